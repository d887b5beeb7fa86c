"""The lock of an output folder: only one run, with all its workers, may write to it."""

from __future__ import annotations

import contextlib
import os
import re
import weakref
from pathlib import Path

from lsu_onto import walk
from lsu_seg.pseudo.errors import OutputError
from lsu_seg.runtime.lock import NoLocksError, lock, unlock, wait_for_lock

_TEMPORARY = re.compile(r"\.[0-9a-f]+-[0-9a-f]{8}\.tmp")
"""Names of the temporary files of `write_atomic`."""


class RunLock:
    """A lock that a worker holds until it ends in any way: the system releases the locks of a process that is gone.

    All workers of a run share the lock on `.lock/run`, a file with the run's name; a worker of another run cannot get
    it. A worker holds `.lock/entry` while it enters and sets up what all workers share, until it calls `entered`. If
    the file has a name but nobody holds the lock, the run of that name was killed, and its unfinished files are
    removed.

    Args:
        root: the output folder, which exists.
        run: a name that all workers of this run share, and that no other run has.

    Attributes:
        first: whether no other worker of this run is in the folder.
        possible: False on a file system (or on Windows) without such locks.

    Raises:
        OutputError: another run is writing to the folder. OSError: the folder cannot be written to.
    """

    def __init__(self, root: Path, run: str) -> None:
        self.first = self.possible = True
        self._root, self._files = root, []
        folder = root / ".lock"
        folder.mkdir(exist_ok=True)
        _open.add(self)
        try:
            for name in ("entry", "run"):
                self._files.append(os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666))
            self._enter(run)
        except NoLocksError:
            self._close()
            self.possible = False
        except BaseException:
            self._close()
            raise

    def _enter(self, run: str) -> None:
        entry, held = self._files
        self._wait(entry)
        before = os.pread(held, 4096, 0).decode(errors="replace")
        if lock(held):
            if before:
                _sweep(self._root)
            os.ftruncate(held, 0)
            os.pwrite(held, run.encode(), 0)
        elif before == run:
            self.first = False
        else:
            raise _in_use(self._root)
        lock(held, shared=True)

    def _wait(self, entry: int) -> None:
        _wait_to_enter(entry, self._root)

    def entered(self) -> None:
        """Let the next worker enter."""
        if self._files:
            unlock(self._files[0])

    def release(self) -> None:
        """Let another run enter. The last worker removes the run's name."""
        if self._files:
            entry, held = self._files
            self._wait(entry)
            if lock(held):
                os.ftruncate(held, 0)
            unlock(held)
            unlock(entry)
            self._close()

    def _close(self) -> None:
        while self._files:
            os.close(self._files.pop())
        _open.discard(self)


def check_free(root: Path) -> None:
    """Refuse a folder that a run is writing to, before others are made beside it. Nothing is created.

    Raises:
        OutputError: a run holds the lock.
    """
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError, NoLocksError):  # whoever opens it says so
        entry, held = (stack.enter_context((root / ".lock" / name).open("r+b")).fileno() for name in ("entry", "run"))
        _wait_to_enter(entry, root)
        try:
            if not lock(held):
                raise _in_use(root)
            unlock(held)
        finally:
            unlock(entry)


def _wait_to_enter(entry: int, root: Path) -> None:
    wait_for_lock(entry, f"another worker, or another run, that is entering {root}")


def _in_use(root: Path) -> OutputError:
    return OutputError(f"{root}: another run is writing there; wait for it, or choose another folder")


_open: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _close_in_child() -> None:
    """Close the files in a forked loader, which must not hold the lock after its parent was killed."""
    for own in list(_open):
        own._close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def _sweep(root: Path) -> None:
    """Remove the unfinished files of a killed run."""
    for folder, _, names in walk(root, closed=lambda _: None):
        for name in names:
            if _TEMPORARY.fullmatch(name):
                with contextlib.suppress(OSError):
                    (Path(folder) / name).unlink()
