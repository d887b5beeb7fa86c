"""The METAINFO of an MMSegmentation dataset → `.tax`, read from the source text: nothing is imported or run.

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
from typing import Any

from lsu_onto.diagnostics import suggest
from lsu_onto.exchange import skeleton
from lsu_onto.exchange.base import ExchangeError, Finding, Imported, Options
from lsu_onto.exchange.draft import ClassLine, identifier, identifiers
from lsu_onto.exchange.tables import read_text


def read(inputs: list[str], options: Options) -> Imported:
    if len(inputs) != 1:
        raise ExchangeError(f"expected one dataset class or JSON file, found {len(inputs)}")
    given = inputs[0]
    shift = 0
    if given.endswith(".json"):
        path, line, title = given, 1, Path(given).stem
        try:
            value = json.loads(read_text(given))
        except json.JSONDecodeError as e:
            raise ExchangeError(f"{given}:{e.lineno}:{e.colno}: not JSON: {e.msg.lower()}") from None
        except RecursionError:
            raise ExchangeError(f"{given}: nested too deeply; expected `classes` and `palette`") from None
        if isinstance(value, dict) and isinstance(value.get("METAINFO"), dict):
            value = value["METAINFO"]
    else:
        path, value, line, title, shift = _python(given)
    classes, palette = _checked(path, line, value)
    findings = []
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
    start = shift if options.kind == "dataset" else 0
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


def _python(given: str) -> tuple[str, Any, int, str, int]:
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
    owners: dict[str, tuple[ast.expr, ast.ClassDef | None]] = {}
    for node in tree.body:
        for statement in node.body if isinstance(node, ast.ClassDef) else [node]:
            value = _metainfo(statement)
            if value is not None:
                owners[node.name if isinstance(node, ast.ClassDef) else ""] = (
                    value,
                    node if isinstance(node, ast.ClassDef) else None,
                )
    if class_name not in owners:
        names = [n for n in owners if n]
        if len(owners) == 1 and not class_name:
            class_name = next(iter(owners))
        else:
            listed = ", ".join(f"`{n}`" for n in names) or "none"
            hint = suggest(class_name, names, f"classes with a METAINFO: {listed}")
            what = (
                f"no class `{class_name}` with a METAINFO"
                if class_name
                else "which class? write `:Class` after the file"
            )
            raise ExchangeError(f"{path}: {what}; {hint}")
    node_, cls = owners[class_name]
    shift = int(cls is not None and any(_is_shifted(f) for f in cls.body))
    return path, _value(path, node_), node_.lineno, class_name or Path(path).stem, shift


def _file(module: str) -> str:
    """The source file of a module, found without importing its packages."""
    if module.endswith(".py"):
        return module
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top) if top else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        raise ExchangeError(
            f"there is no module `{top or module}` here; give `module:Class`, a `.py` file or a `.json` file"
        )
    if not rest and spec.origin:
        return spec.origin
    for folder in spec.submodule_search_locations or ():
        base = Path(folder).joinpath(*rest)
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return str(candidate)
    raise ExchangeError(f"`{top}` has no module `{module}`; give the `.py` file itself")


def _metainfo(node: ast.stmt) -> ast.expr | None:
    if isinstance(node, ast.Assign):
        names = [t.id for t in node.targets if isinstance(t, ast.Name)]
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        names = [node.target.id]
    else:
        return None
    return node.value if "METAINFO" in names else None


def _value(path: str, node: ast.expr) -> dict[str, Any]:
    """`dict(classes=…, palette=…)` or a literal; only these two keys are read."""
    pairs: list[tuple[str, ast.expr]] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        pairs = [(k.arg or "", k.value) for k in node.keywords]
    elif isinstance(node, ast.Dict):
        pairs = [(str(k.value), v) for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)]
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key not in ("classes", "palette"):
            out[key] = None
            continue
        try:
            out[key] = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            raise ExchangeError(
                f"{path}:{value.lineno}:{value.col_offset + 1}: `{key}` is computed, and this is read"
                " without running it; write it out as a JSON of `classes` and `palette`"
            ) from None
    return out


def _is_shifted(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef) or node.name != "__init__":
        return False
    named = [*node.args.args, *node.args.kwonlyargs]
    defaults = [None] * (len(node.args.args) - len(node.args.defaults)) + [
        *node.args.defaults,
        *node.args.kw_defaults,
    ]
    return any(
        a.arg == "reduce_zero_label" and isinstance(d, ast.Constant) and d.value is True
        for a, d in zip(named, defaults, strict=True)
    )
