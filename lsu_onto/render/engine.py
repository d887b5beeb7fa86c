"""DOT → svg, png, pdf: an installed `dot`, or else the Graphviz inside pygraphviz's wheels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lsu_onto import INSTALL
from lsu_onto.files import as_bytes
from lsu_onto.progress import waiting
from lsu_onto.render.looks import RenderError

NEEDED = INSTALL.format("render")
QUICK = 200_000
"""Characters of DOT that take Graphviz less than a second. It holds up this process, and Ctrl-C, while it works: larger
diagrams are laid out in another one."""

_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from lsu_onto.render.engine import child; child()"
_LOOK_S = 0.5
_REFUSED = 3
"""The exit code after a message of ours."""


def lay_out(dot: str, suffix: str) -> bytes:
    """A diagram as bytes: the same for the same text on one machine (fonts differ between machines).

    Raises:
        RenderError: there is no engine, no font for a png or pdf, or Graphviz reports an error.
    """
    if installed := shutil.which("dot"):
        data = _other_process([installed, "-Kdot", f"-T{suffix}"], dot, "`dot` failed")
    elif len(dot) > QUICK and sys.executable:
        data = _other_process([sys.executable, "-c", _CHILD, suffix, *sys.path], dot, "Graphviz failed")
    else:
        data = _in_process(dot, suffix)
    return re.sub(rb"/CreationDate \([^)]*\)", _same_length, data)


def _same_length(date: re.Match[bytes]) -> bytes:
    # Offsets in a PDF count bytes, so the date is blanked and not cut out.
    return b"/CreationDate (" + b" " * (len(date[0]) - 16) + b")"


def _other_process(command: list[str], dot: str, failed: str) -> bytes:
    """What a command writes for a diagram. While it takes long, stderr says what is waited for."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with process, waiting("Graphviz is at work (an `.html` needs none)") as look:
            text: bytes | None = as_bytes(dot)
            while True:
                try:
                    data, errors = process.communicate(text, timeout=_LOOK_S)
                    break
                except subprocess.TimeoutExpired:
                    text = None
                    look()
                except BaseException:  # Ctrl-C: Graphviz would go on
                    process.kill()
                    raise
    except OSError as e:
        raise RenderError(f"{failed}: {e.strerror}") from e
    lines = errors.decode(errors="replace").strip().splitlines()
    if process.returncode == _REFUSED:
        raise RenderError("\n".join(lines))
    if process.returncode or not data:
        code = process.returncode
        ended = f"it ended with {code}" if code else "it wrote nothing"
        ended = f"it was ended by signal {-code} (too little memory?)" if code < 0 else ended
        raise RenderError(f"{failed}: {next((line for line in lines if line.startswith('Error')), ended)}")
    return data


def child() -> None:
    """What the other process does where there is no `dot`."""
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        data = _in_process(sys.stdin.read(), sys.argv[1])
    except RenderError as error:
        print(error, file=sys.stderr)
        sys.exit(_REFUSED)
    sys.stdout.buffer.write(data)


def _in_process(dot: str, suffix: str) -> bytes:
    try:
        import pygraphviz
    except ImportError:
        raise RenderError(f"there is no `dot` program, and no `pygraphviz` to replace it; {NEEDED}") from None

    def run(text: str, suffix: str) -> bytes:
        data, failure = b"", None
        with warnings.catch_warnings(), _stderr() as stderr:
            warnings.simplefilter("ignore")
            try:
                data = bytes(pygraphviz.AGraph(string=text).draw(format=suffix, prog="dot"))
            except (pygraphviz.DotError, OSError) as e:
                failure = e
        errors = [line for line in stderr if line.startswith("Error")]
        if errors or failure:
            is_long = isinstance(failure, pygraphviz.DotError)
            hint = " (a very long name or note? an `.html` has room for it)" if is_long else ""
            raise RenderError(f"Graphviz failed: {errors[0] if errors else failure}{hint}") from failure
        return data

    # Without a font, Graphviz silently draws empty boxes for letters.
    if suffix in ("png", "pdf") and b"/FontFile" not in run("digraph {a}", "pdf"):
        raise RenderError(
            f"this machine has no fonts, so the letters of a `.{suffix}` would be empty boxes; install some"
            " (Debian: `apt-get install fonts-dejavu-core`), or write `.svg` or `.html`, which use the reader's"
        )
    return run(dot, suffix)


@contextmanager
def _stderr() -> Iterator[list[str]]:
    """What C code writes to standard error: Graphviz reports errors nowhere else, and Fontconfig adds warnings."""
    lines: list[str] = []
    saved = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            log.seek(0)
            lines += log.read().decode(errors="replace").splitlines()
