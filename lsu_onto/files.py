"""Writing files: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path


def write_atomic(path: str | os.PathLike[str], data: bytes, sync: bool = True) -> None:
    """Put `data` under the name `path`: readers see the old file or the new one, never a part.

    The mode of a file that is there stays; links are followed. A missing folder is made. What is no file (`/dev/null`,
    a pipe) is written to, and not replaced; nor is the file behind `/dev/stdout`, which may hold what others wrote.

    Args:
        sync: wait until the disk has the data, so that a power cut leaves no empty file either. Not needed for what the
            same command writes again in no time.

    Raises:
        OSError: the disk's word, of `path`.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "new", "a.txt")
    >>> write_atomic(file, b"whole")
    >>> file.read_bytes(), [f.name for f in file.parent.iterdir()]
    (b'whole', ['a.txt'])
    """
    try:
        if (number := _descriptor(path)) is not None:
            with os.fdopen(os.dup(number), "wb") as file:
                file.write(data)
        elif _is_special(Path(path)):
            Path(path).write_bytes(data)
        else:
            _write(Path(os.path.realpath(path)), data, sync)
    except OSError as e:  # not of the temporary file
        raise OSError(e.errno, e.strerror, os.fspath(path)) from e


def as_bytes(text: str) -> bytes:
    r"""The bytes of a text file: UTF-8. Names of files may hold bytes that are no text, which are spelt out.

    >>> as_bytes("Straße, caf\udce9")
    b'Stra\xc3\x9fe, caf\\udce9'
    """
    return text.encode("utf-8", "backslashreplace")


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """The number of the open file that a path stands for.

    >>> _descriptor("/dev/stdout"), _descriptor("/dev/fd/63"), _descriptor("/dev/null")
    (1, 63, None)
    """
    match = re.fullmatch(r"/dev/(?:fd/(\d+)|stdout|(stderr))|/proc/self/fd/(\d+)", os.fspath(path))
    return int(match[1] or match[3] or (2 if match[2] else 1)) if match else None


def _is_special(path: Path) -> bool:
    """Whether something is there that is neither a file nor a folder: a device or a pipe, which a rename would replace.

    >>> _is_special(Path("/dev/null")), _is_special(Path("/")), _is_special(Path("/nothing/of/this/name"))
    (True, False, False)
    """
    return path.exists() and not path.is_file() and not path.is_dir()


def _write(target: Path, data: bytes, sync: bool) -> None:
    with contextlib.suppress(FileExistsError):  # a file, and the next lines say so
        target.parent.mkdir(parents=True, exist_ok=True)
    # Short, so that long names stay writable, and with a dot, so that scans ignore it.
    temporary = target.parent / f".{os.getpid():x}-{os.urandom(4).hex()}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
