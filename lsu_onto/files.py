"""Writing files: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


def write_atomic(path: str | Path, data: bytes) -> None:
    """Put `data` under the name `path`: readers see the old file or the new one, never a part.

    The mode of a file that is there stays, a new one is readable by all; links are followed. A missing folder is made.
    What is no file (`/dev/null`, `/dev/stdout`, a pipe) is written to, and not replaced.

    Raises:
        OSError: the disk's word, of `path`.
    """
    try:
        if is_special(Path(path)):
            Path(path).write_bytes(data)
        else:
            _write(Path(path).resolve(), data)
    except OSError as e:  # not of the temporary file
        raise OSError(e.errno, e.strerror, str(path)) from e


def as_bytes(text: str) -> bytes:
    r"""The bytes of a text file: UTF-8. Names of files may hold bytes that are no text, which are spelt out.

    >>> as_bytes("Straße, caf\udce9")
    b'Stra\xc3\x9fe, caf\\udce9'
    """
    return text.encode("utf-8", "backslashreplace")


def is_special(path: Path) -> bool:
    """Whether something is there that is neither a file nor a folder: a device or a pipe, which a rename would replace.

    >>> is_special(Path("/dev/null")), is_special(Path("/")), is_special(Path("/nothing/of/this/name"))
    (True, False, False)
    """
    return path.exists() and not path.is_file() and not path.is_dir()


def _write(target: Path, data: bytes) -> None:
    with contextlib.suppress(FileExistsError):  # a file, and the next line says so
        target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        if target.exists():
            shutil.copymode(target, temporary)
        else:
            temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
