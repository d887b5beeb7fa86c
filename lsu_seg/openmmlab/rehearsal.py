"""All parts of a training but its data, built and thrown away: mistakes of a config show before any work begins."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from logging import FileHandler
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import TRANSFORMS
from mmengine.visualization import Visualizer
from torch.utils.data import DataLoader

from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.config import renamed
from lsu_seg.openmmlab.failures import named
from lsu_seg.openmmlab.runner import QuietRunner, RankedRunner, build_runner

_STEPS = 1000
"""Of an epoch of the data that stands in: schedules by epochs are built for so many."""


def rehearse(cfg: Config) -> None:
    """Build the model, the hooks, the optimizer, the schedules, the loops, and the transforms of a training.

    Neither weights to begin with nor data are looked at, and nothing is written but to a temporary folder.

    Raises:
        ConfigError: one of them cannot be built. The message names its key.
    """
    with tempfile.TemporaryDirectory(prefix="lsu-seg-", ignore_cleanup_errors=True) as folder:
        own = renamed(cfg, "rehearsal")
        own.work_dir, own.launcher, own.load_from, own.resume = folder, "none", None, False
        for key in [key for key in own if key.startswith("test_")]:
            own.pop(key)
        try:
            _build(build_runner(own, kind=_Rehearsal), own)
        finally:
            _close_log(folder)


class _Rehearsal(QuietRunner):
    """Takes what a loader would load as it is, and leaves nothing behind."""

    @staticmethod
    def build_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> DataLoader[Any]:
        return DataLoader(range(_STEPS))  # type: ignore[arg-type]

    def build_visualizer(self, *args: Any, **kwargs: Any) -> Visualizer:
        visualizer = super().build_visualizer(*args, **kwargs)
        visualizer.add_config = _nothing  # which starts a service's run  # type: ignore[method-assign]
        return visualizer

    def dump_config(self) -> None:
        pass

    def _log_env(self, env_cfg: Any) -> None:  # asks compilers for their versions
        pass


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _build(runner: RankedRunner, cfg: Config) -> None:
    """In the order of `Runner.train`, which goes on with the hooks `before_run`: these may start a service's run."""
    with named(cfg, runner):
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
        if runner.param_schedulers is not None:
            runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
        if runner._val_loop is not None:
            runner._val_loop = runner.build_val_loop(runner._val_loop)
        for key in ("train_dataloader", "val_dataloader"):
            for path, pipeline in _pipelines(cfg.get(key), key):
                if not isinstance(pipeline, (list, tuple)):
                    raise ConfigError(f"`{path}` is {pipeline!r}; expected a list: `[dict(type=…), …]`")
                for number, transform in enumerate(pipeline):
                    if isinstance(transform, dict):
                        TRANSFORMS.build(transform)
                    elif not callable(transform):
                        raise ConfigError(f"`{path}.{number}` is {transform!r}; expected a transform: `dict(type=…)`")


def _close_log(folder: str) -> None:
    """Close the log in the folder, which stays mmengine's current one until another Runner is built."""
    logger = MMLogger.get_current_instance()
    for handler in list(logger.handlers):
        if isinstance(handler, FileHandler) and Path(handler.baseFilename).is_relative_to(folder):
            handler.close()
            logger.removeHandler(handler)


def _pipelines(part: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The pipelines in a dataloader, with their paths; not what is none, as an empty one is."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key != "pipeline":
                yield from _pipelines(value, f"{path}.{key}")
            elif value:
                yield f"{path}.{key}", value
    elif isinstance(part, (list, tuple)):
        for number, value in enumerate(part):
            yield from _pipelines(value, f"{path}.{number}")
