"""DOT → svg, png, pdf: an installed `dot`, or else the Graphviz inside pygraphviz's wheels, in this process."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lsu_onto import INSTALL
from lsu_onto.render.looks import RenderError

NEEDED = INSTALL.format("render")


def lay_out(dot: str, suffix: str) -> bytes:
    """A diagram as bytes: the same for the same text on one machine (fonts differ between machines).

    Raises:
        RenderError: there is no engine, no font for a png or pdf, or Graphviz reports an error.
    """
    data = _installed(dot, suffix) if shutil.which("dot") else _in_process(dot, suffix)
    return re.sub(rb"/CreationDate \([^)]*\)", _same_length, data)


def _same_length(date: re.Match[bytes]) -> bytes:
    # Offsets in a PDF count bytes, so the date is blanked and not cut out.
    return b"/CreationDate (" + b" " * (len(date[0]) - 16) + b")"


def _installed(dot: str, suffix: str) -> bytes:
    import subprocess

    import graphviz

    try:
        return bytes(graphviz.Source(dot).pipe(format=suffix, quiet=True))
    except (OSError, subprocess.CalledProcessError) as e:
        raise RenderError(f"`dot` failed: {e}") from e


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
