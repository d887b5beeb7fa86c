"""DOT → svg, png, pdf: an installed `dot`, or else the Graphviz inside pygraphviz's wheels."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import threading
import warnings
from importlib.util import find_spec
from typing import IO

from lsu_onto import INSTALL
from lsu_onto.files import as_bytes
from lsu_onto.progress import waiting
from lsu_onto.render.looks import RenderError

NEEDED = INSTALL.format("render")

_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from lsu_onto.render.engine import child; child()"
_LOOK_S = 0.5
_REFUSED = b"\0"
"""With which no picture begins: what follows says why there is none."""


def lay_out(dot: str, suffix: str) -> bytes:
    """A diagram as bytes: the same for the same text on one machine (fonts differ between machines).

    Graphviz is always in another process. It may abort or exit, for want of memory or by a variable of one of its
    libraries, and holds up the process that it is in, and Ctrl-C, while it works.

    Raises:
        RenderError: there is no engine, no font for a png or pdf, or Graphviz reports an error.
    """
    if installed := shutil.which("dot"):
        data, _ = _other_process([installed, "-Kdot", f"-T{suffix}"], dot, "`dot` failed")
    elif find_spec("pygraphviz") is None:
        raise RenderError(f"there is no `dot` program, and no `pygraphviz` to replace it; {NEEDED}")
    else:
        data, errors = _other_process([sys.executable, "-c", _CHILD, suffix, *sys.path], dot, "Graphviz failed")
        if data.startswith(_REFUSED):
            place, why, advice = json.loads(data.removeprefix(_REFUSED))
            raise RenderError(f"{place}{errors[0] if place and errors else why}{advice}")
        if errors:  # pygraphviz passes over some of them
            raise RenderError(f"Graphviz failed: {errors[0]}")
    return re.sub(rb"/CreationDate \([^)]*\)", _same_length, data)


def _same_length(date: re.Match[bytes]) -> bytes:
    # Offsets in a PDF count bytes, so the date is blanked and not cut out.
    return b"/CreationDate (" + b" " * (len(date[0]) - 16) + b")"


def _other_process(command: list[str], dot: str, failed: str) -> tuple[bytes, list[str]]:
    """What a command writes for a diagram, and the errors that it reports nevertheless.

    While it takes long, stderr says what is waited for.
    """
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with process, waiting("Graphviz is at work (an `.html` needs none)") as look:
            try:
                # `communicate` forgets what it has not written when its time runs out.
                pipe, process.stdin = process.stdin, None
                threading.Thread(target=_write, args=(pipe, as_bytes(dot)), daemon=True).start()
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        data, said = process.communicate(timeout=_LOOK_S)
                        break
                    look()
            except BaseException:  # Ctrl-C: Graphviz would go on
                process.kill()
                raise
    except OSError as e:
        raise RenderError(f"{failed}: {e.strerror}") from e
    lines = said.decode(errors="replace").strip().splitlines()  # Fontconfig adds warnings
    errors = [line for line in lines if line.startswith("Error:")]  # and not Python's own, "Error in sitecustomize"
    code = process.returncode
    if code or not data:
        ended = f"it ended with {code}" if code else "it wrote nothing"
        ended = f"it was ended by signal {-code} (too little memory?)" if code < 0 else ended
        raise RenderError(f"{failed}: {errors[0] if errors else '; '.join([ended, *lines[-1:]])}")
    return data, errors


def _write(pipe: IO[bytes], text: bytes) -> None:
    with contextlib.suppress(OSError), pipe:  # it may have ended
        pipe.write(text)


def child() -> None:
    """What the other process does where there is no `dot`."""
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.buffer.write(_by_pygraphviz(sys.stdin.read(), sys.argv[1]))


def _by_pygraphviz(dot: str, suffix: str) -> bytes:
    try:
        import pygraphviz
    except ImportError as e:
        return _refused("`pygraphviz` cannot be imported: ", e, f"; {NEEDED}")

    def run(text: str, suffix: str) -> bytes:
        return bytes(pygraphviz.AGraph(string=text).draw(format=suffix, prog="dot"))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # Without a font, Graphviz silently draws empty boxes for letters.
            if suffix in ("png", "pdf") and b"/FontFile" not in run("digraph {a}", "pdf"):
                return _refused(
                    "",
                    f"this machine has no fonts, so the letters of a `.{suffix}` would be empty boxes",
                    "; install some (Debian: `apt-get install fonts-dejavu-core`), or write `.svg` or `.html`, which"
                    " use the reader's",
                )
            return run(dot, suffix)
        except OSError as e:
            return _refused("Graphviz failed: ", e)
        except pygraphviz.DotError as e:
            return _refused("Graphviz failed: ", e, " (a very long name or note? an `.html` has room for it)")


def _refused(place: str, why: object, advice: str = "") -> bytes:
    return _REFUSED + json.dumps([place, str(why), advice]).encode()
