"""What mmengine has written into the work folder of a run that is refused."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.logging import MMLogger

from lsu_seg.errors import UserError


@contextlib.contextmanager
def nothing_left(cfg: Config, began: Callable[[], bool]) -> Iterator[None]:
    """Leave a work folder as it was if the run is refused.

    Args:
        began: whether the work itself has begun: then its log stays.
    """
    work = Path(os.path.abspath(cfg.get("work_dir", "")))  # noqa: PTH100 - as mmengine makes it
    before = {path for path in (work, *work.parents) if path.exists()} | set(work.glob("*"))
    try:
        yield
    except UserError:
        if not began() and get_dist_info()[0] == 0:
            _remove_log(work, before, Path(str(cfg.filename)).name)
        raise


def log_has_traceback() -> bool:
    """Whether the log of this run has more to say of an error than the message does."""
    log = _current_log()
    try:
        return log is not None and b"Traceback (most recent call last)" in Path(log).read_bytes()
    except OSError:
        return False


def _current_log() -> str | None:
    try:
        return str(MMLogger.get_current_instance().log_file or "") or None
    except ValueError:  # it reads LOCAL_RANK, which may be why the run was refused
        return None


def _remove_log(work: Path, before: set[Path], config: str) -> None:
    """Remove what mmengine has written into the work folder of a run that was refused, but nothing of other runs."""
    log = _current_log()
    own = Path(log).parent if log else work
    if own.parent == work and own not in before:
        shutil.rmtree(own, ignore_errors=True)
        for file in (work / config, own.with_suffix(".py")):  # the second: of a config without a name
            if file not in before:
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)
    for folder in (work, *work.parents):
        if folder not in before:
            with contextlib.suppress(OSError):  # not empty: somebody else's
                folder.rmdir()
