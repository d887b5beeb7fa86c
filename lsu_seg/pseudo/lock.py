"""Who may write into an output folder: one run, with all of its workers."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no locks of this kind
    fcntl = None  # type: ignore[assignment]

from lsu_seg.pseudo.errors import OutputError


class RunLock:
    """Held while a worker lives, however it ends: the system lets go of the locks of a process that is gone.

    All workers of a run share the lock on `.lock/run`, where the run's name stands; a worker of another run cannot have
    it. `.lock/entry` is held for the moment of entering, and of settling what belongs to all workers (`entering`).

    Args:
        root: the output folder, which exists.
        run: a name that all workers of one run have, and no other run.

    Raises:
        OutputError: another run is writing there. OSError: the disk's word.
    """

    def __init__(self, root: Path, run: str) -> None:
        self._files: list[int] = []
        if fcntl is None:
            return
        folder = root / ".lock"
        folder.mkdir(exist_ok=True)
        try:
            self._files.append(os.open(folder / "entry", os.O_RDWR | os.O_CREAT, 0o666))
            fcntl.flock(self._files[0], fcntl.LOCK_EX)
            self._files.append(os.open(folder / "run", os.O_RDWR | os.O_CREAT, 0o666))
            try:
                fcntl.flock(self._files[1], fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(self._files[1], 0)
                os.pwrite(self._files[1], run.encode(), 0)
            except BlockingIOError:
                if os.pread(self._files[1], 4096, 0).decode() != run:
                    raise OutputError(
                        f"{root}: another run is writing there; wait for it, or choose another folder"
                    ) from None
            fcntl.flock(self._files[1], fcntl.LOCK_SH)
        except BaseException:
            self.release()
            raise

    def entered(self) -> None:
        """Let the next worker enter."""
        if self._files:
            fcntl.flock(self._files[0], fcntl.LOCK_UN)

    def release(self) -> None:
        """Let another run in."""
        while self._files:
            os.close(self._files.pop())
