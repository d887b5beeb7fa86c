"""What of a call's end is a find, and the tree of files before and after it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import world
from calls import Call
from process import Ended

CODES = {0, 1, 2, 130}
_LOUD = re.compile(
    rb"Traceback \(most recent call last\)|internal error|Exception ignored|Fatal Python error"
    rb"|^[^\n]*\.py:\d+: \w*Warning: |core dumped|terminate called",
    re.MULTILINE,
)
_FRAME = re.compile(rb'File "([^"\n]*)", line (\d+), in (\S+)')
_REWRITES = {"fmt", "validate"}


def finds(call: Call, end: Ended, folder: Path, before: world.Tree) -> Iterator[tuple[str, str]]:
    """The kind of each find, and what makes two of them the same."""
    said = end.out + end.err
    what = " ".join(call.args[: 2 if call.args[0] == "review" else 1])
    first = re.sub(r"\d+|`[^`]*`", "_", end.err.decode("utf-8", "replace").strip().partition("\n")[0])[:120]
    if end.code is None:
        yield "hang", f"{what}: {_last_frame(said) or first}"
    elif end.code not in CODES and not (end.code == 120 and call.streams[1:] != ("file", "file")):
        yield f"exit {end.code}", f"{what}: {_last_frame(said) or first}"
    if match := _LOUD.search(said):
        yield "loud", _last_frame(said) or said[match.start() :].partition(b"\n")[0].decode("utf-8", "replace")
    plain = call.streams[1:] == ("file", "file")
    if end.code and plain and not said.strip() and what != "lsp":  # whose codes are those of its protocol
        yield "silent refusal", what
    after = world.tree(folder)
    told = [os.path.normpath(path) for path in call.outputs()]
    asked = [name for name in after if any(name == path or name.startswith(f"{path}/") for path in told)]
    if left := [name for name in after if name not in before and name.endswith((".tmp", ".part"))]:
        yield "leaves a temporary file", f"{what}: {left[0].rpartition('.')[2]}"
    lost = [name for name in before if before[name] != after.get(name) and not stat.S_ISDIR(before[name][0])]
    if call.args[0] not in _REWRITES and (harmed := [n for n in lost if n.endswith(".tax") and n not in asked]):
        yield "changes a taxonomy", f"{what}: {harmed[0]}"
    verdict = getattr(call.command, "refused", 1) == 2 and end.code == 1
    if end.code and not verdict and end.code != 130:
        files = [
            path for path in told if path in after and before.get(path) != after[path] and stat.S_ISREG(after[path][0])
        ]
        unfinished = end.out.startswith(b"wrote ") or b" correction" in end.err  # `init`, `import`: what is left to do
        if files and plain and not unfinished:
            yield "an output, and a refusal", f"{what}: {first}"
    if end.code == 0 and plain:
        for path in told:
            if what == "export" and path.endswith(".svg"):  # any name will do
                continue
            if path in after and before.get(path) != after[path] and (fault := _fault(folder / path)):
                if fault.encode() in said:  # `init` and `import` print what is wrong with what they were given
                    continue
                yield "a wrong output", f"{what}: {fault}"
        form = [b for a, b in zip(call.args, call.args[1:], strict=False) if a == "--format"][-1:]
        encoded = any("ENCODING" in name for name in call.env)
        if form and form[0] in ("json", "sarif") and not encoded and not call.endless and "--help" not in call.args:
            with contextlib.suppress(ValueError):
                json.loads(end.out)
                return
            yield "no JSON", what


def _last_frame(said: bytes) -> str:
    """The last frame of the last traceback, and the error."""
    start = said.rfind(b"Traceback (most recent call last)")
    if start < 0 or not (frames := _FRAME.findall(said, start)):
        return ""
    path, line, function = (part.decode("utf-8", "replace") for part in frames[-1])
    errors = re.findall(rb"^(\w[\w.]*(?:Error|Exception|Warning|Interrupt|Exit)\b)", said[start:], re.MULTILINE)
    error = errors[0].decode() if errors else "?"
    return f"{'/'.join(path.split('/')[-3:])}:{line} {function}: {error}"


def _fault(path: Path) -> str:
    """What is wrong with a file, as far as its own format says."""
    if not path.is_file():
        return ""
    try:
        data = path.read_bytes()
        if not data:
            return "empty"
        if path.suffix == ".json":
            json.loads(data)
        elif path.suffix in (".svg", ".xml"):
            ElementTree.fromstring(data)
        elif path.suffix == ".npz":
            import lsu_onto

            lsu_onto.load(str(path))
        elif path.suffix == ".tax":
            from lsu_onto.library.library import Library

            errors = [
                d
                for d in Library([path.parent]).check(str(path)).diagnostics
                if d.severity == "error" and d.code != "TAX301"
            ]
            return f"{errors[0].code}" if errors else ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:80]
    return ""
