"""`.venv` for `make`: made where there is none, made anew where it cannot be mended, left alone where it is right.

Runs before anything is installed, with any Python that `PYTHON=` may name. An installation leaves a stamp that says
what it was of; a mark stands beside it for as long as it goes on, so that one that was killed is known.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

EXTRAS = {"demo": "seg,render", "dev": "seg,hf,render,lsp,dev", "docs": "render,docs", "release": "release"}
"""What `make demo`, `make test`, `make docs` and `make release-check` need."""
INCLUDES = {"demo": ("demo", "dev"), "dev": ("dev",), "docs": ("docs", "dev"), "release": ("release",)}
"""Whose stamps are good enough."""
OLDEST = (3, 11)

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
MARK = VENV / ".unfinished"


def main(what: str, this_python: bool) -> int:
    if sys.version_info < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return _refuse(
            f"Python {oldest} or newer is needed, and {sys.executable} is {_version()}: add PYTHON=python{oldest}"
        )
    stamps = {name: VENV / f".{name}" for name in EXTRAS}
    wanted = f"{ROOT}\n{_digest()}\n"
    why = _why_anew(stamps.values(), this_python)
    if why is None and any(_text(stamps[name]) == wanted for name in INCLUDES[what]):
        return 0
    if why:
        print(f".venv is made anew: {why}", flush=True)
        _remove(VENV)
    if not PYTHON.exists():
        VENV.mkdir(exist_ok=True)
        MARK.touch()
        base = getattr(sys, "_base_executable", sys.executable)  # not a link into another environment
        code = subprocess.call([base, "-m", "venv", str(VENV)])
        if code:
            return code
    MARK.touch()
    for stamp in stamps.values():
        if _text(stamp) != wanted:  # of other pins; with these pins, an installation only adds to the others
            stamp.unlink(missing_ok=True)
    print(f"installing {EXTRAS[what]} into .venv", flush=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt"]
    code = subprocess.call([*pip, "--editable", f".[{EXTRAS[what]}]"], cwd=ROOT)
    if code == 0:
        stamps[what].write_text(wanted, encoding="utf-8")
    if code >= 0:  # an error of its own: pip has put back what it could not replace
        MARK.unlink()
    return abs(code)


def _why_anew(stamps: Iterable[Path], this_python: bool) -> str | None:
    """What no installation into `.venv` would mend."""
    if not VENV.exists():
        return None
    if MARK.exists():
        return "its last installation was broken off"
    ask = "import pip, sys; print(*sys.version_info[:2], sys.version.split()[0], sys.base_prefix, sep='\\n')"
    try:
        answer = subprocess.run([str(PYTHON), "-c", ask], capture_output=True, text=True)
    except OSError:
        return "its Python is gone"
    lines = answer.stdout.splitlines()
    if answer.returncode or len(lines) != 4:
        return "its Python does not run"
    major, minor, version, prefix = lines
    if this_python and (version, prefix) != (_version(), sys.base_prefix):
        return f"it has Python {version} of {prefix}, and PYTHON says {_version()} of {sys.base_prefix}"
    if (int(major), int(minor)) < OLDEST:
        return f"it has Python {version}"
    places = {text.splitlines()[0] for text in map(_text, stamps) if text}
    if places - {str(ROOT)}:
        return f"it was made in {places.pop()}"
    return None


def _digest() -> str:
    """Of everything that says what is installed."""
    texts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256(b"\0".join([*texts, repr(EXTRAS).encode()])).hexdigest()


def _remove(folder: Path) -> None:
    """By way of another name, so that no half of it is taken for a whole one."""
    old = folder.with_name(folder.name + "-old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    shutil.rmtree(old)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _version() -> str:
    return sys.version.split()[0]


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make or mend .venv.")
    parser.add_argument("what", choices=EXTRAS)
    parser.add_argument("--this-python", action="store_true", help="make .venv anew if it has another Python")
    arguments = parser.parse_args()
    try:
        sys.exit(main(arguments.what, arguments.this_python))
    except KeyboardInterrupt:
        sys.exit(130)
