"""The files that a config inherits from: a circle of them is found at once, a mistake in one is said of that one."""

from __future__ import annotations

import ast
import contextlib
import json
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lsu_seg.errors import ConfigError

_QUOTED = re.compile(r"""["'][^"':,\n]*(\{\{\s*_base_\.[\w.]+\s*\}\})""")

_LEFT = re.compile(r'''"_([\w.]+)_[0-9a-f]{6}"''')
"""What mmengine writes for the time being, in the form of a text of its own."""


def check_bases(path: Path) -> None:
    """Refuse a config that inherits from itself, which mmengine notices after a thousand copies of it.

    Raises:
        ConfigError: it does, or its `_base_` is no name of a file.
    """
    with contextlib.suppress(RecursionError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its code, which mmengine reads once more
        _walk(path, [])


def _walk(path: Path, above: list[Path]) -> None:
    stated = _stated(path)
    names = stated if isinstance(stated, (list, tuple)) else [stated]
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path} cannot be read: its `_base_` is {stated!r}; expected the name of a file, or a list")
    above = [*above, path.resolve()]
    for base in _files(path, names):
        if base.resolve() in above:
            files = [*above[above.index(base.resolve()) :], base.resolve()]
            raise ConfigError(
                f"{above[0]} cannot be read: a `_base_` leads back to its own file: {' -> '.join(map(str, files))}"
            )
        _walk(base, above)


def place_of(path: Path, error: BaseException) -> str:
    """Where the mistake is, if it is in a file that the config inherits from; or what its text must not have; or ""."""
    for file in inherited(path):
        frame = next((f for f in reversed(traceback.extract_tb(error.__traceback__)) if _is(f.filename, file)), None)
        if frame is not None:
            return f", in {file}:{frame.lineno}" if file != path else ""
    for file in inherited(path):
        if quoted := _QUOTED.search(_text(file)):
            where = "" if file == path else f", in {file}"
            return f"{where}; write `{quoted[1]}` without quotes: the value brings its own"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrong = _unreadable(file)
        if wrong is not None:
            line = f":{wrong.lineno}" if isinstance(wrong, SyntaxError) and wrong.lineno else ""
            return "" if file == path else f", in {file}{line}"
    return ""


def check_put_in(path: Path, value: Any, key: str) -> None:
    """Refuse what mmengine makes of `{{ _base_.x }}` in quotes, or as a part of a text: a text like `"_x_7ac39c"`.

    Raises:
        ConfigError: the config has one.
    """
    if isinstance(value, str) and (left := _LEFT.search(value)) and _is_named(path, left[1]):
        name = left[1]
        code = f"; in Python, `f'…{{_base_.{name}}}…'` is a text with it" if path.suffix == ".py" else ""
        raise ConfigError(
            f"{path} cannot be read: `{{{{ _base_.{name} }}}}` in `{key}` is in quotes, or a part of a text, where"
            f" mmengine puts no value in its place: write it alone, without quotes{code}"
        )
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for name, inside in items:
        check_put_in(path, inside, f"{key}.{name}")


def _is_named(path: Path, name: str) -> bool:
    return any(re.search(rf"\{{\{{\s*_base_\.{re.escape(name)}\s*\}}\}}", _text(file)) for file in inherited(path))


def inherited(path: Path, seen: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The files, those that are read first before those that inherit from them."""
    if path.resolve() not in seen:
        stated = _stated(path)
        names = stated if isinstance(stated, (list, tuple)) else [stated]
        for base in _files(path, names):
            yield from inherited(base, (*seen, path.resolve()))
        yield path


def _files(path: Path, names: Any) -> list[Path]:
    """Those that are on this disk, and not in a package: `mmseg::…`."""
    return [path.parent / name for name in names if isinstance(name, str) and (path.parent / name).is_file()]


def _is(filename: str, path: Path) -> bool:
    return Path(filename).name == path.name and Path(filename).resolve() == path.resolve()


def _stated(path: Path) -> Any:
    """What stands as `_base_`; nothing where there is none, where code makes it, or where the text cannot be read."""
    try:
        if path.suffix == ".py":
            for line in ast.parse(_text(path)).body:
                if isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "_base_":
                    return ast.literal_eval(line.value)
            return ()
        values = _parsed(path)
    except (ValueError, SyntaxError, ArithmeticError, RecursionError, MemoryError, yaml.YAMLError):
        # A text with `{{ _base_.x }}` is neither YAML nor JSON before mmengine has put something there.
        found = re.search(r"""^[\s{]*["']?_base_["']?\s*:\s*["']?([^\s"',\]]+)["']?\s*,?\s*$""", _text(path), re.M)
        return found[1] if found and not found[1].startswith("[") else ()
    return values.get("_base_", ()) if isinstance(values, dict) else ()


def _parsed(path: Path) -> Any:
    if path.suffix == ".json":
        return json.loads(_text(path))
    try:
        return yaml.safe_load(_text(path))
    except (AttributeError, LookupError, TypeError, ArithmeticError) as error:  # of `!!bool x`, `1:1:…:1.5`
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _unreadable(path: Path) -> Exception | None:
    """What is wrong with the syntax of a file."""
    try:
        if path.suffix == ".py":
            compile(_text(path), str(path), "exec")
        else:
            _parsed(path)
    except (ValueError, SyntaxError, RecursionError, MemoryError, yaml.YAMLError) as error:
        return error
    return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError):
        return ""
