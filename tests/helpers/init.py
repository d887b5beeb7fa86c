"""`lsu-onto init` in the current folder, and what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from PIL import Image

from lsu_onto.cli import main
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.parse import parse
from lsu_onto.library.formatting import format_file
from lsu_onto.library.library import Library


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["init", *args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


def png(name: str, array: Any, palette: dict[int, str] | None = None, **options: Any) -> Path:
    path = Path("labels") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        flat = bytearray(768)
        for i, colour in palette.items():
            flat[3 * i : 3 * i + 3] = bytes.fromhex(colour)
        image = Image.fromarray(array).convert("L")
        image.putpalette(bytes(flat))
    image.save(path, **options)
    return path


def written(name: str = "x.tax") -> tuple[str, dict[str, tuple[str, str]], dict[str, ast.ClassLine]]:
    """Text, key → (value, note), name → class. The file is canonical and has no error but open relations."""
    text = Path(name).read_text()
    found = Library().check(name).diagnostics
    assert {d.code for d in found if d.severity != "info"} <= {"TAX301"}, found
    assert format_file(Library(), name) == text
    statements = parse(name, text)[0].statements
    keys = {s.key.text: (s.value.text, s.note) for s in statements if isinstance(s, ast.Meta)}
    return text, keys, {s.name.text: s for s in statements if isinstance(s, ast.ClassLine)}


def ids(classes: dict[str, ast.ClassLine]) -> dict[str, list[tuple[int, int]]]:
    return {n: [(r.low, r.high) for r in c.ids] for n, c in classes.items()}
