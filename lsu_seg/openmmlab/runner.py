"""mmengine's Runner as we build it: named, with ranks on CPUs too, its weights loaded completely or not at all."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import itertools
import logging
import multiprocessing
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.model import (
    BaseDataPreprocessor,
    MMDistributedDataParallel,
    convert_sync_batchnorm,
    is_model_wrapper,
)
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch.nn.parameter import is_lazy
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from lsu_onto import make_folder, write_atomic
from lsu_seg.errors import ConfigError, UserError, no_file
from lsu_seg.openmmlab.arguments import check_arguments
from lsu_seg.openmmlab.config import hooks_of, is_type
from lsu_seg.openmmlab.failures import named, said_by
from lsu_seg.openmmlab.frames import frames_of
from lsu_seg.openmmlab.mmdet import check_mmdet
from lsu_seg.openmmlab.parts import check_parts, models_in, weights_in
from lsu_seg.openmmlab.pipelines import begin_to_load
from lsu_seg.openmmlab.recompute import recompute_in_backward
from lsu_seg.openmmlab.sharding import Sharding, gather, is_sharded, release
from lsu_seg.openmmlab.stated_classes import stated_classes
from lsu_seg.openmmlab.weights import AGAIN, adopt, check_finite, check_kind, check_weights, readable
from lsu_seg.runtime.allocator import keep_freed_memory
from lsu_seg.runtime.ctrl_c import expect_their_end, held_back, second_ends_at_once
from lsu_seg.runtime.launch import join_ranks

_BEGINS = {"before_train": "train", "before_val": "val", "before_test": "test"}
_STARTED = ("after_train_iter", "after_val", "after_test_iter")
"""Hooks with which a loop begins, and has shown that it runs."""

_MultiProcessingDataLoaderIter._shutdown = True
"""Of one whose arguments are refused before it starts anything; else it is a traceback when it is thrown away."""


class RankedRunner(Runner):
    """A Runner that also works with several ranks on CPUs, which mmengine's own wrapping of the model does not.

    A model that is not trained is not wrapped: its ranks need not talk to each other. A mistake of the config
    that shows when the run starts is a ConfigError.
    """

    loop = "train"
    """Which loop runs: `train`, `val` inside it, or `test`."""
    _started: frozenset[str] = frozenset()
    _has_begun, _is_last_test, _loading = False, True, ""
    _sharding: Sharding | None = None

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler) and handler.stream:
                # Whatever the locale has: it may not be able to write the names in a config.
                handler.encoding = "utf-8"
                handler.stream.reconfigure(encoding="utf-8")
        return logger

    def build_visualizer(self, visualizer: Any = None) -> Visualizer:
        # mmengine would hand on one of that name, which writes into the folder of an earlier run of this process.
        kinds: list[Any] = [Visualizer] if isinstance(visualizer, dict) else []
        for kind in kinds:
            kind._instance_dict.pop(visualizer.get("name"), None)
            kinds += kind.__subclasses__()
        return super().build_visualizer(visualizer)

    def dump_config(self) -> None:
        given = Path(self.cfg.filename or f"{self.timestamp}.py")
        kept = Path(self.work_dir, given.name)
        if given.is_file() and kept.exists() and kept.samefile(given):
            return  # the config was written in the work folder: it stays as it is, bases and comments included
        # mmengine opens the file, and then lays the config out, which takes seconds and may be interrupted.
        write_atomic(kept, self.cfg.dump().encode("utf-8", "backslashreplace"))

    def train(self) -> Any:
        with named(self.cfg, self), second_ends_at_once(), warnings.catch_warnings():
            # mmengine's schedules count iterations, and its `accumulative_counts` takes no step in the first of them.
            warnings.filterwarnings("ignore", r"Detected call of `scheduler\.step\(\)` before", UserWarning)
            if parts := self.cfg.pop("activation_checkpointing", None):  # mmengine's own trains less than it says
                model: Any = getattr(self.model, "module", self.model)
                recompute_in_backward(model, parts)
            try:
                return super().train()
            finally:
                self._end_workers()

    def test(self) -> Any:
        with named(self.cfg, self), second_ends_at_once():
            try:
                return super().test()
            finally:
                self._end_workers()

    def _end_workers(self) -> None:
        """End the processes of the data loaders while their queues still work.

        Loops, loaders and their iterators refer to each other in a circle. The garbage collector would first take the
        queues apart, and then wait five seconds for each process, which has not been told to end.
        """
        # A loop that has not been built is a dict, or None.
        loaders = [getattr(loop, "dataloader", None) for loop in (self._train_loop, self._val_loop, self._test_loop)]
        begun = [workers for loader in loaders for workers in getattr(loader, "begun", ())]
        for workers in begun:
            expect_their_end(workers)
        for workers in begun:
            workers._shutdown_workers()
        owner: Any
        for owner in (*loaders, getattr(self._train_loop, "dataloader_iterator", None)):
            if getattr(owner, "_iterator", None) in begun:
                owner._iterator = None

    @staticmethod
    def build_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> DataLoader[Any]:
        loader: DataLoader[Any] = Runner.build_dataloader(dataloader, *args, **kwargs)
        if loader.num_workers:
            loader.worker_init_fn = functools.partial(begin_to_load, loader.worker_init_fn)
            begin: Any = loader._get_iterator  # which starts them
            method = (loader.multiprocessing_context or multiprocessing).get_start_method  # asked when they start
            loader.begun = weakref.WeakSet()
            loader._get_iterator = functools.partial(_begin, begin, method, loader.begun)  # type: ignore
        return loader

    def build_test_loop(self, loop: Any) -> Any:
        with named(self.cfg, self):  # also for those who ask for the loop before the test
            return super().build_test_loop(loop)

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        # A run of several tests is one: after it, a visualizer's backends take no more figures.
        if (fn_name == "before_run" and self._has_begun) or (fn_name == "after_run" and not self._is_last_test):
            return
        self._has_begun |= fn_name == "before_run"
        if fn_name == "after_load_checkpoint":
            model: Any = getattr(self.model, "module", self.model)
            adopt(self._loading, kwargs["checkpoint"], model.state_dict())
            check_weights(self._loading, kwargs["checkpoint"], model)
        if fn_name in _BEGINS:
            self.loop = _BEGINS[fn_name]
        if fn_name == "after_val_epoch" and self._sharding is not None:
            release(self.model)  # before a moving average is taken out of the model again
        super().call_hook(fn_name, **kwargs)
        if fn_name == "before_val_epoch" and self._sharding is not None:
            gather(self.model)  # after it was put in
        if fn_name == "before_save_checkpoint" and self._sharding is not None and not is_main_process():
            raise _GatheredError
        if fn_name in _STARTED:
            self._started |= {self.loop}
        if fn_name == "after_val":
            self.loop = "train"

    @property
    def started(self) -> bool:
        """Whether the loop that runs has shown that the config is right: by one step, or by one whole validation."""
        return self.loop in self._started

    @property
    def trained(self) -> bool:
        """Whether a step of the training was taken, whatever has run since."""
        return "train" in self._started

    def wrap_model(self, model_wrapper_cfg: Any, model: Any) -> Any:
        if self._train_loop is None:
            return model.to(get_device())
        if self.distributed and is_sharded(self.cfg):
            return self._shard(model.to(get_device()))
        plain = model_wrapper_cfg is None and not is_model_wrapper(model)
        if self.distributed and plain and not torch.cuda.is_available():
            return MMDistributedDataParallel(module=model, broadcast_buffers=False)
        return super().wrap_model(model_wrapper_cfg, model)

    def _shard(self, model: Any) -> Any:
        if (sync_bn := self.cfg.get("sync_bn")) is not None:
            model = convert_sync_batchnorm(model, sync_bn)
        self._sharding = Sharding(average=any(is_type(hook, "EMAHook") for hook in hooks_of(self.cfg)))
        self.logger.info(self._sharding.shard(model))
        return model

    def _init_model_weights(self) -> None:
        if self._sharding is None:  # else they were, before they were shared out
            super()._init_model_weights()

    def build_optim_wrapper(self, *args: Any, **kwargs: Any) -> Any:
        wrapper = super().build_optim_wrapper(*args, **kwargs)
        if self._sharding is not None:
            self._sharding.shard_optimizer(wrapper)
        return wrapper

    test_name = ""
    """Of the dataset that `test` is about."""

    def take_test(self, name: str, dataloader: Any, evaluator: Any, last: bool = True) -> None:
        """Have `test` judge the model as it is on this dataset: several need no model each.

        Args:
            last: no other dataset follows, so the run ends after this one.
        """
        self.test_name, self._is_last_test, self._started = name, last, self._started - {"test"}
        self.cfg.test_dataloader, self.cfg.test_evaluator = copy.deepcopy((dataloader, evaluator))
        self._test_dataloader, self._test_evaluator, self._test_loop = dataloader, evaluator, dict(type="TestLoop")

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Say which file a full disk has cut off, and remove it: `last_checkpoint` names the one before."""
        try:
            if self._sharding is None:
                super().save_checkpoint(out_dir, filename, *args, **kwargs)
            else:
                with self._sharding.gathering(), contextlib.suppress(_GatheredError):
                    every_rank: Any = Runner.save_checkpoint
                    every_rank.__wrapped__(self, out_dir, filename, *args, **kwargs)
        except OSError as error:
            path = Path(out_dir) / filename
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror or str(error), error.filename or str(path)) from error

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> Any:
        self._loading = str(filename)
        try:
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        except UserError as error:
            if not (self._resume and AGAIN in str(error)):
                raise
            last = Path(self.work_dir) / "last_checkpoint"
            other = f"write the path of an earlier one into {last}, or remove {last.name} to train from the beginning"
            raise type(error)(str(error).replace(AGAIN, other)) from error
        self._check_progress(filename, checkpoint)
        # mmengine would begin the optimizer and the learning rate's schedule anew, in the middle of the training.
        states = {"optimizer": True, "param_schedulers": bool(self.param_schedulers)}
        missing = [key for key, used in states.items() if used and key not in checkpoint]
        goes_on = self._resume and checkpoint.get("meta", {}).get("iter", 0) < self.max_iters
        if goes_on and missing:
            raise ConfigError(
                f"{filename} has no state of {' and '.join(f'`{key}`' for key in missing)}, so the training cannot go"
                f" on from it: {self._anew}, and write"
                " `default_hooks = dict(checkpoint=dict(save_optimizer=True, save_param_scheduler=True))`"
            )
        if goes_on:
            self._check_resumed(filename, checkpoint)
        return checkpoint

    def _check_progress(self, filename: str, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint to resume that does not say how far the training was."""
        meta = checkpoint.get("meta", {})
        known = isinstance(meta, dict) and all(type(n := meta.get(k, 0)) is int and n >= 0 for k in ("iter", "epoch"))
        if self._resume and not known:
            raise ConfigError(
                f"{filename} is damaged: its `meta` does not say after how many iterations it was saved; {self._anew}"
            )

    @property
    def _anew(self) -> str:
        return f"remove {Path(self.work_dir) / 'last_checkpoint'} to train from the beginning"

    def _check_resumed(self, filename: str, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of which mmengine leaves out what has no place here, and goes on with what is there."""
        model: Any = getattr(self.model, "module", self.model)
        own, saved = model.state_dict(), checkpoint.get("state_dict", {})
        optimizer: Any = checkpoint.get("optimizer")
        kept = optimizer.get("param_groups") if isinstance(optimizer, dict) else None
        begun: Any = checkpoint.get("param_schedulers") or []
        now: Any = self.param_schedulers or []
        anew = self._anew
        for name, weights in own.items():
            there = getattr(saved.get(name), "shape", None)
            if there is not None and not is_lazy(weights) and there != weights.shape:
                raise ConfigError(
                    f"{filename} is of another model, whose `{name}` is {_size(there)}, here {_size(weights.shape)}:"
                    f" go on with the config that the training began with, or {anew}"
                )
        moments = optimizer.get("state") if isinstance(optimizer, dict) else None
        if isinstance(kept, list) and not (
            isinstance(moments, dict)
            and all(isinstance(each, dict) for each in moments.values())
            and all(isinstance(group, dict) and isinstance(group.get("params"), list) for group in kept)
        ):
            raise ConfigError(f"{filename} is damaged: its state of `optimizer` is none of torch's; {anew}")
        groups = getattr(self.optim_wrapper, "param_groups", None)
        if isinstance(kept, list) and isinstance(groups, list) and kept and groups:
            lacks, has = ({*a[0]} - {*b[0]} for a, b in ((groups, kept), (kept, groups)))
            if lacks and has:  # another version of torch has more, or fewer
                raise ConfigError(
                    f"{filename} has the state of another optimizer, with {', '.join(sorted(map(str, has)))} instead of"
                    f" {', '.join(sorted(map(str, lacks)))}: go on with the one that the training began with, or {anew}"
                )
        if isinstance(begun, list) and isinstance(now, list) and begun and now and len(begun) != len(now):
            raise ConfigError(
                f"{filename} has the state of {len(begun)} of `param_scheduler`, and the config has {len(now)}, so the"
                f" learning rate would jump: go on with those that the training began with, or {anew}"
            )


def _size(shape: Any) -> str:
    return " x ".join(map(str, shape)) or "one number"


class _GatheredError(Exception):
    """A rank has given its part of a checkpoint, which the first one writes."""


class QuietRunner(RankedRunner):
    """A Runner whose log goes to its file in the work folder, and only errors to the terminal."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.ERROR)
        return logger

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a line past every logger
            return super().load_checkpoint(*args, **kwargs)


def make_work_dir(cfg: Config) -> Path:
    try:
        make_folder(cfg.work_dir)
    except OSError as e:
        raise ConfigError(
            f"{cfg.work_dir}: cannot be the work folder ({e.strerror}); choose another with `--work-dir`"
        ) from e
    return Path(cfg.work_dir)


def build_runner(cfg: Config, quiet: bool = False, kind: type[RankedRunner] | None = None) -> RankedRunner:
    """A Runner of a name of its own, so that several can be built in one process. kind: of Runner, if it is another."""
    cfg = copy.deepcopy(cfg)
    make_work_dir(cfg)
    join_ranks(cfg.get("launcher", "none"))
    keep_freed_memory()
    cfg.experiment_name = f"{Path(cfg.work_dir).name}-{next(_NUMBER)}"

    check_parts(cfg)
    check_mmdet(cfg.model)
    with named(cfg), second_ends_at_once():
        check_arguments(cfg)
        runner: RankedRunner = (kind or (QuietRunner if quiet else RankedRunner)).from_cfg(cfg)
    _check_normalised(runner.model)
    return runner


_NUMBER = itertools.count()


def _check_normalised(model: Any) -> None:
    """Refuse a segmentor that nothing gives normalised images: mmengine then passes it a list of what was loaded."""
    from mmseg.models.segmentors import BaseSegmentor  # slow: all models, which the Runner has imported

    model = getattr(model, "module", model)
    if isinstance(model, BaseSegmentor) and type(model.data_preprocessor) is BaseDataPreprocessor:
        raise ConfigError(
            "`model.data_preprocessor` is None or missing, so nothing says how images are normalised: write the one of"
            " the model's training, such as `model = dict(data_preprocessor=dict(type='SegDataPreProcessor',"
            " mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True, pad_val=0, seg_pad_val=255,"
            " size_divisor=32))`; MMSegmentation 0.x has its values in `img_norm_cfg`"
        )


def check_checkpoint(cfg: Config, checkpoint: str | Path | None) -> None:
    """Refuse a file that is no checkpoint, and a model without weights, before the model is built."""
    if is_type(cfg.model, "Ensemble"):
        if checkpoint is not None:
            raise ConfigError(
                f"an Ensemble has several teachers, each with its own `checkpoint`: leave out `{checkpoint}`"
            )
        for i, (model, own) in enumerate(models_in(cfg.model)):
            try:
                check_checkpoint(Config(dict(model=dict(model))), own)
            except ConfigError as e:
                raise ConfigError(f"`model.teachers.{i}`: {e}") from e
        return
    if checkpoint is None:
        if weights_in(cfg.model) is None:
            raise ConfigError("the config's model has random weights: give the CHECKPOINT of a trained one")
        return
    if not isinstance(checkpoint, (str, Path)):
        raise ConfigError(f"`checkpoint` is {checkpoint!r}; expected a file")
    if not Path(checkpoint).is_file():
        raise ConfigError(no_file("checkpoint", checkpoint))
    check_kind(Path(checkpoint))  # loading looks at all of it


def runner_with_checkpoint(cfg: Config, checkpoint: str | Path | None, quiet: bool) -> RankedRunner:
    """A Runner for testing, its weights loaded completely or not at all."""
    check_parts(cfg)
    check_checkpoint(cfg, checkpoint)
    for key in (
        "train_dataloader",
        "train_cfg",
        "optim_wrapper",
        "val_dataloader",
        "val_cfg",
        "val_evaluator",
    ):
        cfg.pop(key, None)
    cfg.pop("param_scheduler", None)
    # What a moving average's checkpoint holds as the model is the average; only a training goes on from the rest of it,
    # and only a training is stopped early.
    of_training = ("EMAHook", "EarlyStoppingHook")
    cfg.custom_hooks = [hook for hook in cfg.get("custom_hooks") or [] if not is_type(hook, *of_training)]
    if checkpoint is None:
        cfg.load_from = None
        runner = build_runner(cfg, quiet)
        with named(cfg):
            why = runner.model.untrained
        if why:
            raise ConfigError(f"{why}: give the CHECKPOINT of a trained one")
        return runner
    cfg.load_from = str(checkpoint)
    if is_type(cfg.model, "TorchSegmentor"):
        cfg.model.pop("checkpoint", None)  # what it began with may be on another machine
    runner = build_runner(cfg, quiet)
    with readable(str(checkpoint)):
        loaded = runner.load_checkpoint(str(checkpoint), strict=True)
    model: Any = getattr(runner.model, "module", runner.model)
    check_finite(str(checkpoint), model)
    if why := getattr(model, "unsaved", ""):
        raise ConfigError(f"{why}; `{checkpoint}` has only the others")
    model.stated_classes = stated_classes(loaded)
    return runner


def _begin(start: Callable[[], Any], method: Callable[[], str], begun: weakref.WeakSet[Any]) -> Any:
    """Start the processes of a data loader, which takes some of its arguments as they are until then."""
    try:
        workers = held_back(start, method)
        begun.add(workers)
        return workers
    except KeyboardInterrupt as error:
        for workers in (frame.f_locals.get("self") for frame in frames_of(error)):
            if hasattr(workers, "_workers_status"):  # as garbage, they would end as any that fail
                begun.add(workers)
            elif isinstance(workers, _MultiProcessingDataLoaderIter):
                workers._shutdown = True  # its destructor needs what is not there yet; Python ends its processes
        raise
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"a data loader of the config cannot start its processes: {said_by(error)}") from error
    except EOFError as error:  # `mp_start_method = 'forkserver'`
        why = "the process that is to start them has ended; it says why above, or the system has ended it"
        raise ConfigError(f"a data loader of the config cannot start its processes: {why}") from error
