"""The lock of a work folder: only one run at a time, with the processes that it starts, changes what is in there."""

from __future__ import annotations

import contextlib
import errno
import os
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


class LockedError(UserError):
    """Another run is using the work folder."""


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
            # Closing is not enough: the lock stays as long as any process, also a forked one, has the file open.
            fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)


def _acquire(path: Path) -> int | None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):
                os.ftruncate(file, 0)
                os.pwrite(file, str(os.getpid()).encode(), 0)
                return file
            os.close(file)  # the last holder has removed it in between
        except BlockingIOError:
            holder = os.pread(file, 32, 0).decode(errors="replace")
            os.close(file)
            if _is_running(holder) or time.monotonic() > deadline:
                raise LockedError(
                    f"{path.parent}: process {holder or 'of another run'}, or one that it has started, is working"
                    " there; wait until it ends, or choose another work folder"
                ) from None
            time.sleep(0.05)
        except OSError as error:
            os.close(file)
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            return None


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
