"""Files are written whole or not at all, and read only if reading them has an end."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_Folder = tuple[str, list[str], list[str]]

TAX_LIMIT = 64 << 20
"""Bytes of a `.tax` file."""

_LIMIT = 1 << 30
"""Bytes of a pipe, which may have no end."""

_MOST = 4 << 30
"""Bytes of a file that is read as a whole."""

_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
"""Windows has neither this nor pipes that have a place in a folder."""

_READER_S = 2.0
"""How long a pipe is waited for that nothing reads from."""


def write_atomic(path: str | os.PathLike[str], data: bytes, sync: bool = True) -> None:
    """Put `data` under the name `path`: readers see the old file or the new one, never a part.

    The mode of a file that is there stays; links are followed. A missing folder is made. What is no file (`/dev/null`,
    a pipe) is written to, and not replaced; nor is the file behind `/dev/stdout`, which may hold what others wrote.

    Args:
        sync: wait until the disk has the data, so that a power cut leaves no empty file either. Not needed for what the
            same command writes again in no time.

    Raises:
        OSError: the disk's word, of `path`; or it is a pipe that nothing reads from.

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
            _write_special(Path(path), data)
        else:
            _write(Path(os.path.realpath(path)), data, sync)
    except OSError as e:  # not of the temporary file
        raise OSError(e.errno, e.strerror, os.fspath(path)) from e


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder, and those that it is to lie in, unless it is there.

    `Path.mkdir` with parents goes no deeper than Python's stack.

    Raises:
        OSError: the disk's word, of `folder`.
    """
    missing, here = [], Path(folder)
    try:
        while not os.path.lexists(here):
            missing.append(here)
            here = here.parent
        if not here.is_dir():
            here.stat()  # a link to what is not there
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
    except OSError as e:
        raise OSError(e.errno, e.strerror, os.fspath(folder)) from e


def open_to_read(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file that a user names. It never waits for a file to become one.

    A named pipe is read if something writes to it. What is open already (`/dev/stdin`, or the `/dev/fd/63` of a shell's
    `<(…)`) is read as it is.

    Raises:
        OSError: the disk's word; or it is a device, a pipe that nothing writes to, or one without an end.

    >>> open_to_read("/dev/zero")
    Traceback (most recent call last):
    OSError: [Errno 22] it is a device, not a file: '/dev/zero'
    """
    if "\0" in os.fspath(path):
        raise OSError(errno.EINVAL, "no file has a NUL in its name", os.fspath(path))
    mode = stat.S_IFREG if _descriptor(path) is not None else os.stat(path).st_mode  # noqa: PTH116
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise OSError(errno.EINVAL, "it is a device, not a file", os.fspath(path))
    return _open_pipe(path) if stat.S_ISFIFO(mode) else open(path, "rb")  # noqa: PTH123 (the caller closes it)


def read_rest(file: BinaryIO) -> bytes:
    """What is left to read of a file that `open_to_read` opened.

    Raises:
        OSError: the disk's word; or the file has more than 4 GB, as no image that `read_raster` reads and no text has:
            it may be larger than the memory, and while it is read, Ctrl-C waits.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.txt")
    >>> path.write_bytes(b"whole")
    5
    >>> with open_to_read(path) as file:
    ...     file.read(1), read_rest(file)
    (b'w', b'hole')
    """
    if not isinstance(file, io.BytesIO) and os.fstat(file.fileno()).st_size > _MOST:
        raise OSError(errno.EFBIG, f"it has more than {_MOST >> 30} GB", file.name)
    return file.read()


def _open_pipe(path: str | os.PathLike[str]) -> BinaryIO:
    """What is written to a named pipe. Without `O_NONBLOCK`, opening it waits for a writer."""
    number = os.open(path, os.O_RDONLY | _NONBLOCK)
    with os.fdopen(number, "rb", buffering=0) as pipe:
        start = pipe.read(1)  # None: there is a writer, which has not written yet
        if start == b"":
            raise OSError(errno.EINVAL, "it is a pipe that nothing writes to", os.fspath(path))
        os.set_blocking(number, True)
        data = io.BytesIO(start or b"")
        data.seek(0, io.SEEK_END)
        while chunk := pipe.read(1 << 20):
            data.write(chunk)
            if data.tell() > _LIMIT:
                raise OSError(errno.EFBIG, f"it is a pipe with more than {_LIMIT >> 20} MB", os.fspath(path))
    data.seek(0)
    return data


def walk(
    folder: str | os.PathLike[str], closed: Callable[[OSError], object], follow: bool = False
) -> Iterator[_Folder]:
    """The folders below a folder, each with the names of its subfolders and files, as `os.walk` has them: what is taken
    out of the first list is not entered. That one goes no deeper than Python's stack before Python 3.12.

    Args:
        closed: is called with the error of a folder that cannot be read.
        follow: enter folders through links as well.
    """
    todo = [os.fspath(folder)]
    while todo:
        here = todo.pop()
        folders: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    (folders if is_folder(entry) else files).append(entry.name)
        except OSError as error:
            closed(error)
            continue
        yield here, folders, files
        below = (os.path.join(here, name) for name in reversed(folders))  # noqa: PTH118 (`Path` loses a leading `./`)
        todo += [path for path in below if follow or not os.path.islink(path)]  # noqa: PTH114


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that may not be entered
        return False


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
    match = re.fullmatch(r"/dev/(stdin|stdout|stderr)|(?:/dev|/proc/self)/fd/(\d{1,9})", os.fspath(path))
    if match is None:
        return None
    return int(match[2]) if match[2] else ("stdin", "stdout", "stderr").index(match[1])


def _is_special(path: Path) -> bool:
    """Whether something is there that is neither a file nor a folder: a device or a pipe, which a rename would replace.

    >>> _is_special(Path("/dev/null")), _is_special(Path("/")), _is_special(Path("/nothing/of/this/name"))
    (True, False, False)
    """
    return path.exists() and not path.is_file() and not path.is_dir()


def _write_special(path: Path, data: bytes) -> None:
    """Without `O_NONBLOCK`, opening a pipe waits for a reader for ever; one that is started beside us may be late."""
    last = time.monotonic() + _READER_S
    while True:
        try:
            number = os.open(path, os.O_WRONLY | _NONBLOCK)
            break
        except OSError as e:
            if e.errno != errno.ENXIO:
                raise
            if time.monotonic() > last:
                raise OSError(e.errno, "it is a pipe that nothing reads from") from e
        time.sleep(0.02)
    os.set_blocking(number, True)
    with os.fdopen(number, "wb") as file:
        file.write(data)


def _write(target: Path, data: bytes, sync: bool) -> None:
    make_folder(target.parent)
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
