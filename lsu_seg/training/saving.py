"""Whether a training will leave the checkpoints that it should: mmengine says it late, or never."""

from __future__ import annotations

from numbers import Real
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmseg.evaluation import IoUMetric

from lsu_seg.data.datasets import tax_datasets
from lsu_seg.errors import ConfigError, did_you_mean
from lsu_seg.openmmlab.arguments import is_by_epoch
from lsu_seg.openmmlab.config import is_type


def check_saving(cfg: Config) -> None:
    """Refuse a training of which nothing would be left but a log.

    Raises:
        ConfigError: none of its hooks saves a checkpoint.
    """
    hooks, loop, own = cfg.get("default_hooks") or {}, cfg.get("train_cfg") or {}, cfg.get("custom_hooks") or []
    if not isinstance(hooks, dict) or not isinstance(loop, dict):
        return  # which is refused when they are built
    by_epoch = is_by_epoch(loop)
    steps = loop.get("max_epochs" if by_epoch else "max_iters")
    first = hooks.get("checkpoint", {"type": "CheckpointHook"})  # mmengine's own, where a config says nothing
    savers = [hook for hook in (first, *own) if hook is not None]
    if not isinstance(steps, Real) or any(_saves(hook, by_epoch, steps) for hook in savers):
        return
    hook = next((hook for hook in savers if is_type(hook, "CheckpointHook")), None)
    unit = "epochs" if by_epoch else "iterations"
    why = "no hook does so" if hook is None else f"`save_last` is {hook['save_last']!r}"
    if hook is not None:
        every = f"{hook.get('interval', -1)!r} {'epochs' if hook.get('by_epoch', True) else 'iterations'}"
        begin = f" after {hook['save_begin']!r}" if hook.get("save_begin") else ""
        why += f", and every {every}{begin} is never in a training of {steps!r} {unit}"
    raise ConfigError(
        f"this training would save no checkpoint to go on with: {why}; write `default_hooks = dict(checkpoint=dict("
        f"type='CheckpointHook', by_epoch={by_epoch}, interval=…, save_last=True))`"
    )


def _saves(hook: Any, by_epoch: bool, steps: Any) -> bool:
    """Whether a hook saves, as far as is known: one of another class may."""
    if not is_type(hook, "CheckpointHook"):
        kind = hook.get("type") if isinstance(hook, dict) else hook
        return not (isinstance(kind, str) and kind.rpartition(".")[2] in _SAVE_NOTHING)
    interval, begin = hook.get("interval", -1), hook.get("save_begin", 0)
    if hook.get("save_last", True) or not (isinstance(interval, Real) and isinstance(begin, Real)):
        return True
    # A loop of iterations is one epoch to hooks.
    last: Any = steps if bool(hook.get("by_epoch", True)) == by_epoch else float("inf") if by_epoch else 1
    first: Any = begin or interval  # mmengine begins with `save_begin` itself
    return bool(interval > 0 and first <= last)  # type: ignore[operator]


_SAVE_NOTHING = (
    *("EMAHook", "EmptyCacheHook", "IterTimerHook", "LoggerHook", "ParamSchedulerHook", "RuntimeInfoHook"),
    *("DistSamplerSeedHook", "SyncBuffersHook", "EarlyStoppingHook", "ProfilerHook", "SegVisualizationHook"),
    *("OntologyHook", "DivergenceHook", "PanelHook", "TrainProgressHook", "ChannelsLastHook", "TeacherRefreshHook"),
)


def check_best(runner: Any) -> None:
    """Refuse figures of a validation that none of its evaluators gives, or two give, before the first iteration.

    Nothing is said where an evaluator's class is another than ours and MMSegmentation's.

    Raises:
        ConfigError: as said.
    """
    if runner.val_loop is None:
        return
    datasets = list(tax_datasets(getattr(runner.val_dataloader, "dataset", None)))
    members = [dataset.name for dataset in datasets] if len(datasets) > 1 else []
    known, all_known = set[str](), True
    for metric in runner.val_evaluator.metrics:
        given = _figures(metric, members)
        if twice := sorted(known & (given or set())):
            raise ConfigError(
                f"two parts of `val_evaluator` give the figure `{twice[0]}`: write another `prefix='…'` into each, or"
                " keep one of them"
            )
        known |= given or set()
        all_known &= given is not None
    wanted = [key for hook in runner.hooks if isinstance(hook, CheckpointHook) for key in hook.save_best or ()]
    for key in wanted if all_known and known else ():
        if key != "auto" and key not in known:
            first = sorted(known, key=lambda name: ("." in name, name))[:9]  # those of classes behind
            near = did_you_mean(key, known) or _same_end(key, known) or f"; there are {', '.join(first)}, …"
            raise ConfigError(f"`save_best` is `{key}`, and `val_evaluator` gives no such figure{near}")


def _figures(metric: Any, members: list[str]) -> set[str] | None:
    """The names of what a metric computes; None where nobody knows."""
    if hasattr(metric, "figure_names"):
        return set(metric.figure_names(members))
    if type(metric) is not IoUMetric:
        return None
    if metric.format_only:
        return set()
    computed = {"aAcc", *(f"m{key}" for kind in metric.metrics for key in _COMPUTED.get(kind, ()))}
    return {f"{metric.prefix}/{key}" if metric.prefix else key for key in computed}


_COMPUTED = {"mIoU": ("IoU", "Acc"), "mDice": ("Dice", "Acc"), "mFscore": ("Fscore", "Precision", "Recall")}


def _same_end(key: str, known: set[str]) -> str:
    found = next((name for name in sorted(known) if name.rpartition("/")[2] == key), None)
    return f"; did you mean `{found}`?" if found else ""
