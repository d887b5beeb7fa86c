"""Who may write into an output folder: one run, with all of its workers."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no locks of this kind
    fcntl = None  # type: ignore[assignment]

from lsu_seg.pseudo.errors import OutputError

_TEMPORARY = re.compile(r"\.[0-9a-f]+-[0-9a-f]{8}\.tmp")
"""The names of `write_atomic`."""


class RunLock:
    """Held while a worker lives, however it ends: the system lets go of the locks of a process that is gone.

    All workers of a run share the lock on `.lock/run`, where the run's name stands; a worker of another run cannot have
    it. `.lock/entry` is held for the moment of entering, and of settling what belongs to all workers, until `entered`.
    A name that still stands there when nobody has the lock is of a run that was killed: what it left unfinished is
    removed.

    Args:
        root: the output folder, which exists.
        run: a name that all workers of one run have, and no other run.

    Attributes:
        first: no other worker of this run is there.
        possible: false on a file system (or Windows) without locks.

    Raises:
        OutputError: another run is writing there. OSError: the disk's word.
    """

    def __init__(self, root: Path, run: str) -> None:
        self.first, self.possible = True, fcntl is not None
        self._files: list[int] = []
        if fcntl is None:
            return
        folder = root / ".lock"
        folder.mkdir(exist_ok=True)
        _open.add(self)
        try:
            for name in ("entry", "run"):
                self._files.append(os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666))
            entry, held = self._files
            fcntl.flock(entry, fcntl.LOCK_EX)
            before = os.pread(held, 4096, 0).decode()
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if before != run:
                    raise OutputError(
                        f"{root}: another run is writing there; wait for it, or choose another folder"
                    ) from None
                self.first = False
            else:
                if before:
                    _sweep(root)
                os.ftruncate(held, 0)
                os.pwrite(held, run.encode(), 0)
            fcntl.flock(held, fcntl.LOCK_SH)
        except OSError as e:
            self._close()
            if e.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            self.possible = False
        except BaseException:
            self._close()
            raise

    def entered(self) -> None:
        """Let the next worker enter."""
        if self._files:
            fcntl.flock(self._files[0], fcntl.LOCK_UN)

    def release(self) -> None:
        """Let another run in. The last worker takes the run's name away."""
        if self._files:
            entry, held = self._files
            fcntl.flock(entry, fcntl.LOCK_EX)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(held, 0)
            # By name: a lock lives as long as any process has the file open, forked ones too.
            fcntl.flock(held, fcntl.LOCK_UN)
            fcntl.flock(entry, fcntl.LOCK_UN)
            self._close()

    def _close(self) -> None:
        while self._files:
            os.close(self._files.pop())
        _open.discard(self)


_open: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _close_in_child() -> None:
    """A forked loader must not hold the lock when its parent is killed."""
    for lock in list(_open):
        lock._close()


if fcntl is not None:
    os.register_at_fork(after_in_child=_close_in_child)


def _sweep(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            if _TEMPORARY.fullmatch(name):
                with contextlib.suppress(OSError):
                    (Path(folder) / name).unlink()
