"""Which format a file is, so that a refusal can name the command that reads it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from lsu_onto.exchange.base import ExchangeError, Options
from lsu_onto.exchange.from_json import is_metainfo
from lsu_onto.exchange.from_labelmap import CAMVID, RUGD, VOC
from lsu_onto.files import open_to_read

_START = 1 << 12
_LARGE = 1 << 20
_WHAT = {
    "csv": "a table",
    "data-priors": "a folder of the data-priors files",
    "json": "JSON",
    "labelmap": "a label map",
    "mmseg": "a dataset of MMSegmentation",
    "mseg": "MSeg's master table",
    "sssom": "a mapping set in SSSOM",
    "xml": "XML",
}


def refusal(error: ExchangeError, file: str, tried: str, formats: Mapping[str, str]) -> ExchangeError:
    """The refusal of a file in one format: if another one reads it, with that command.

    Args:
        error: why it was refused.
        file: the file.
        tried: the format.
        formats: format → module, as in `IMPORTS`.
    """
    if _is_taxonomy(file):
        return ExchangeError(f"`{file}` is a `.tax` file already: `lsu-onto validate {shlex.quote(file)}` checks it")
    other = _recognise(file)
    if other in (None, tried) or (other == "csv" and tried in ("data-priors", "mseg")):  # these are tables, too
        return error
    try:
        if other != "sssom":  # which needs a source, and has columns that nothing else has
            import_module(formats[other or ""]).read([file], Options(kind="source" if other == "mseg" else "dataset"))
    except ExchangeError:
        return error
    command = f"lsu-onto import --from {other} {shlex.quote(file)}"
    return ExchangeError(f"`{file}` is {_WHAT[other or '']}, which `{command}` reads")


def _recognise(file: str) -> str | None:
    """The name of a file's format in `IMPORTS`, or None if nothing tells."""
    path = Path(file)
    if re.search(r"\.py(:\w*)?$", file) or (not path.exists() and re.fullmatch(r"[\w.]+:\w+", file)):
        return "mmseg"
    if path.is_dir():
        return "data-priors" if (path / "labels.csv").is_file() else None
    try:
        with open_to_read(path) as stream:
            start = stream.read(_START).decode("utf-8-sig", errors="replace").lstrip()
    except OSError:
        return None
    if start[:1] == "<":
        return "xml"
    if start[:1] in ("{", "["):
        return "mmseg" if _is_metainfo(path) else "json"
    lines = [line.strip() for line in start.splitlines() if line.strip() and line[0] != "#"]
    if lines and any(p.fullmatch(lines[0]) for p in (VOC, CAMVID, RUGD)):
        return "labelmap"
    header = [cell.strip(' "') for cell in re.split(r"[,;\t]", lines[0].lower())] if lines else []
    if {"predicate_id", "mapping_justification"} & set(header):
        return "sssom"
    if "universal" in header:
        return "mseg"
    return "csv" if len(header) > 1 and {"name", "class", "label"} & set(header) else None


def _is_taxonomy(file: str) -> bool:
    try:
        with open_to_read(Path(file)) as stream:
            start = stream.read(_START).decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    return bool(re.match(r"(?:[^\S\n]*(?:#.*)?\n)*tax[ \t]+\d+[ \t]*(?:#.*)?\r?\n", start))


def _is_metainfo(path: Path) -> bool:
    try:
        with open_to_read(path) as stream:
            return path.stat().st_size < _LARGE and is_metainfo(json.loads(stream.read()))
    except (ValueError, RecursionError, OSError):
        return False
