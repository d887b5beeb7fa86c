"""Locks on files, which the system releases when a process is gone; and the lock of a work folder.

Not the library filelock: it has no locks that several workers share, and it empties the file that names the holder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no locks of this kind
    fcntl = None  # type: ignore[assignment]

from lsu_seg.errors import UserError

LOCK = ".lsu-lock"
_PATIENCE_S = 10.0
"""The time that processes of a killed run may take to end."""
_SILENCE_S = 1.0
"""After this time, a process that waits says what for."""
_POLL_S = 0.05


class LockedError(UserError):
    """Another run is using the work folder."""


class NoLocksError(Exception):
    """The file system (or Windows) has no locks of this kind."""


def lock(file: int, shared: bool = False) -> bool:
    """Lock an open file for this process, alone or `shared` with others that share it. A lock is changed in place.

    Returns:
        Whether it could be had; other processes may have it.

    Raises:
        NoLocksError: there are no locks here.
    """
    if fcntl is None:
        raise NoLocksError
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise NoLocksError from error
        raise
    return True


def wait_for_lock(file: int, reason: str) -> None:
    """Lock an open file alone. If that takes long, say on stderr that this process waits for `reason`."""
    since, silent = time.monotonic(), True
    while not lock(file):
        silent = silent and not _say_waiting(since, reason)
        time.sleep(_POLL_S)


def unlock(file: int) -> None:
    """Release the lock. Closing the file is not enough: the lock stays as long as any process, also a forked one, has
    it open."""
    fcntl.flock(file, fcntl.LOCK_UN)


def _say_waiting(since: float, reason: str) -> bool:
    if time.monotonic() - since < _SILENCE_S:
        return False
    print(f"waiting for {reason}", file=sys.stderr, flush=True)
    return True


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which exists; on a file system (or on Windows) without such locks, do nothing.

    Processes forked meanwhile keep the lock if this one is killed, until they have ended too: they may still write.

    Raises:
        LockedError: another run holds the lock. The message names its process.
    """
    file = _acquire(folder / LOCK) if fcntl is not None else None
    try:
        yield
    finally:
        if file is not None:
            (folder / LOCK).unlink(missing_ok=True)
            unlock(file)
            os.close(file)


def _acquire(path: Path) -> int | None:
    since, silent = time.monotonic(), True
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        holder = None
        try:
            if not lock(file):
                holder = os.pread(file, 32, 0).decode(errors="replace")
            elif _is_at(file, path):
                return _signed(file, path)
        except BaseException as error:
            os.close(file)
            if isinstance(error, NoLocksError):
                return None
            if isinstance(error, OSError) and error.filename is None:  # an open file has no name
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise
        os.close(file)
        if holder is None:  # the last one has removed the file in between
            continue
        if _is_running(holder) or time.monotonic() - since > _PATIENCE_S:
            raise LockedError(
                f"{path.parent}: process {holder or 'of another run'}, or one that it has started, is working"
                " there; wait until it ends, or choose another work folder"
            )
        silent = silent and not _say_waiting(since, f"the processes that a run has left behind in {path.parent}")
        time.sleep(_POLL_S)


def _signed(file: int, path: Path) -> int:
    """Write down who holds the lock; where that cannot be written, nothing is left of it."""
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return file


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _is_running(pid: str) -> bool:
    """False also where the holder has not yet written its number."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True
