"""The classes of an MMSegmentation dataset → `.tax`, read from the source text: nothing is imported or run.

The dataset is given as `module:Class`, `file.py:Class`, or a JSON file of `{"classes": […], "palette": […]}`.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lsu_onto.diagnostics import suggest
from lsu_onto.exchange import skeleton
from lsu_onto.exchange.base import ExchangeError, Finding, Imported, Options
from lsu_onto.exchange.draft import ClassLine, identifier, identifiers
from lsu_onto.exchange.from_json import metainfo
from lsu_onto.exchange.tables import read_text
from lsu_onto.exchange.zero_label import zero_label


class _Found(NamedTuple):
    """What stands in a file, and where. `zero_label` is None if it cannot be said."""

    path: str
    value: Any
    line: int
    title: str
    zero_label: bool | None


def read(inputs: list[str], options: Options) -> Imported:
    if len(inputs) != 1:
        raise ExchangeError(f"expected one dataset class or JSON file, found {len(inputs)}")
    given = inputs[0]
    path, value, line, title, shift = _json(given) if given.endswith(".json") else _python(given)
    classes, palette = _checked(path, line, value)
    findings = []
    if shift is None and options.kind == "dataset":
        findings.append(
            Finding(
                "warning",
                "value",
                f"the file does not say whether `{title}` sets `reduce_zero_label`: it is taken to be off",
                (path, line, 1),
                "if it is on, raw values are the class's place plus 1, and 0 is void",
            )
        )
    if shift and options.kind == "dataset":
        findings.append(
            Finding(
                "info",
                "value",
                "`reduce_zero_label` is on: raw values are the class's place plus 1, and 0 is void",
                (path, line, 1),
            )
        )
        options = replace(options, void=options.void or "0")
    start = int(bool(shift)) if options.kind == "dataset" else 0
    lines = []
    seen: dict[str, int] = {}
    for i, (official, name) in enumerate(zip(classes, identifiers(classes), strict=True)):
        if seen.setdefault(official, i) != i:
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"`{official}` is listed twice; class {i} is `{name}`",
                    (path, line, 1),
                )
            )
        colour = f"#{palette[i][0]:02x}{palette[i][1]:02x}{palette[i][2]:02x}" if palette else ""
        lines.append(ClassLine(name, str(i + start), official, colour))
    name = options.name or identifier(re.sub("dataset", "", title.lower()))
    return Imported(skeleton.write(lines, name, f"{title}'s METAINFO", options), tuple(findings))


def _json(given: str) -> _Found:
    try:
        value = json.loads(read_text(given))
    except json.JSONDecodeError as e:
        raise ExchangeError(f"{given}:{e.lineno}:{e.colno}: not JSON: {e.msg.lower()}") from None
    except ValueError as e:  # Python reads no integer of thousands of digits
        raise ExchangeError(f"{given}: not METAINFO: {e}") from None
    except RecursionError:
        raise ExchangeError(f"{given}: nested too deeply; expected `classes` and `palette`") from None
    return _Found(given, metainfo(value), 1, Path(given).stem, False)


def _checked(path: str, line: int, value: Any) -> tuple[list[str], list[list[int]]]:
    where = f"{path}:{line}:1"
    if not isinstance(value, dict) or "classes" not in value:
        have = ", ".join(f"`{k}`" for k in value) if isinstance(value, dict) else type(value).__name__
        raise ExchangeError(f"{where}: no `classes` here, found {have or 'nothing'}; expected `classes` and `palette`")
    classes, palette = value["classes"], value.get("palette") or []
    if (
        not isinstance(classes, (list, tuple))
        or not classes
        or not all(isinstance(c, str) and c.strip() for c in classes)
    ):
        raise ExchangeError(f"{where}: `classes` is not a list of names")
    good = all(
        isinstance(c, (list, tuple)) and len(c) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in c)
        for c in (palette if isinstance(palette, (list, tuple)) else [None])
    )
    if not good:
        raise ExchangeError(f"{where}: `palette` is not a list of `[r, g, b]` from 0 to 255")
    if palette and len(palette) != len(classes):
        raise ExchangeError(f"{where}: {len(classes)} classes and {len(palette)} colours; one of the lists is wrong")
    return [c.strip() for c in classes], [list(c) for c in palette]


def _python(given: str) -> _Found:
    module, _, class_name = given.rpartition(":") if ":" in given else (given, "", "")
    path = _file(module)
    text = read_text(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the file's own
            tree = ast.parse(text)
    except SyntaxError as e:
        raise ExchangeError(f"{path}:{e.lineno or 1}:{e.offset or 1}: not Python: {e.msg}") from None
    except (ValueError, RecursionError, MemoryError) as e:
        raise ExchangeError(f"{path}: not Python: {e}") from None
    bodies: dict[str, list[ast.stmt]] = {"": tree.body}
    bodies |= {n.name: n.body for n in tree.body if isinstance(n, ast.ClassDef)}
    facts = {name: _facts(body) for name, body in bodies.items()}
    owners = [name for name, found in facts.items() if found]
    if class_name not in owners:
        names = [n for n in owners if n]
        if len(owners) == 1 and not class_name:
            class_name = owners[0]
        else:
            listed = ", ".join(f"`{n}`" for n in names) or "none"
            hint = suggest(class_name, names, f"classes with a METAINFO or CLASSES: {listed}")
            what = "which class? write `:Class` after the file"
            if class_name and class_name in bodies:
                what, hint = f"`{class_name}` has no METAINFO or CLASSES of its own", "give the class that it builds on"
            elif class_name:
                what = f"no class `{class_name}` with a METAINFO or CLASSES"
            raise ExchangeError(f"{path}: {what}; {hint}")
    value, line = _value(path, facts[class_name])
    return _Found(path, value, line, class_name or Path(path).stem, zero_label(tree, class_name))


def _file(module: str) -> str:
    """The source file of a module, found without importing its packages."""
    if module.endswith(".py"):
        return module
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top) if all(map(str.isidentifier, (top, *rest))) else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        raise ExchangeError(
            f"there is no module `{top or module}` here; give `module:Class`, a `.py` file or a `.json` file"
        )
    if not rest and spec.origin and spec.origin.endswith(".py"):
        return spec.origin
    if not spec.submodule_search_locations:
        raise ExchangeError(f"the module `{top}` has no Python file to read; give the `.py` or `.json` file itself")
    for folder in spec.submodule_search_locations or ():
        base = Path(folder).joinpath(*rest)
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return str(candidate)
    raise ExchangeError(f"`{top}` has no module `{module}`; give the `.py` file itself")


def _facts(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """What a class (or module) says in `METAINFO`, or in `CLASSES` and `PALETTE` as in MMSegmentation 0.x."""
    found: dict[str, ast.expr] = {}
    for node in body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {t.id for t in targets if isinstance(t, ast.Name)}
            found |= dict.fromkeys(names & {"METAINFO", "CLASSES", "PALETTE"}, node.value)
    return found if {"METAINFO", "CLASSES"} & set(found) else {}


def _value(path: str, facts: dict[str, ast.expr]) -> tuple[dict[str, Any], int]:
    """The classes and the palette, and the line where they start. Nothing else is read."""
    node = facts.get("METAINFO")
    pairs = [(k.lower(), v) for k, v in facts.items()]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        pairs = [(k.arg or "", k.value) for k in node.keywords]
    elif isinstance(node, ast.Dict):
        named = ((k.value, v) for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant))
        pairs = [(k, v) for k, v in named if isinstance(k, str)]
    elif node:
        pairs = []
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key not in ("classes", "palette"):
            out[key] = None
            continue
        try:
            out[key] = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, ArithmeticError, RecursionError, MemoryError):
            raise ExchangeError(
                f"{path}:{value.lineno}:{value.col_offset + 1}: `{key}` is computed, and this is read"
                " without running it; write it out as a JSON of `classes` and `palette`"
            ) from None
    return out, (node or facts["CLASSES"]).lineno
