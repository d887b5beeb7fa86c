"""In which precision a training computes: as it is told, as it was begun, or as is the default on its device."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from lsu_onto import open_to_read, write_atomic
from lsu_seg.errors import ConfigError, did_you_mean
from lsu_seg.openmmlab.config import is_type
from lsu_seg.openmmlab.written import RECORD
from lsu_seg.runtime.telling import tell
from lsu_seg.teachers.computing import PRECISIONS, lacks_precision, precision_here, tf32

KEY = "train_precision"
"""Of a config. `precision` is an argument of the labelling's loop."""

_DTYPES = {"bf16": "bfloat16", "fp16": "float16"}


def check_precision(cfg: Config) -> None:
    """Refuse a `train_precision` that there is not, or beside a wrapper that says itself how the network computes."""
    named = cfg.get(KEY)
    if named is None:
        return
    if named not in PRECISIONS:
        hint = did_you_mean(str(named), PRECISIONS)
        raise ConfigError(f"`{KEY}` is {named!r}; expected one of {', '.join(PRECISIONS)}{hint}")
    if isinstance(cfg.get("optim_wrapper"), dict) and not _is_plain(cfg):
        kind = cfg.optim_wrapper.get("type")
        what = f"`optim_wrapper.type` is {kind!r}, which" if kind else "`optim_wrapper` has no `optimizer`, so it"
        raise ConfigError(
            f"`{KEY}` is '{named}', and {what} says itself how the network computes: leave one of the two out"
        )
    _check_device(named, torch.device(get_device()))


@contextlib.contextmanager
def computing(cfg: Config, work: Path, resumed: bool) -> Iterator[list[Hook]]:
    """Have the training of a config compute in its precision, as long as this context is open.

    Args:
        cfg: mmengine's wrapper for mixed precision is written into it where that is what computes so.
        work: its folder, which keeps the precision. resumed: whether it goes on from a checkpoint there.

    Yields:
        The hooks that the training needs for this.

    Raises:
        ConfigError: the device does not have this precision, or the network an operation that it needs in it.
    """
    check_precision(cfg)
    named = cfg.pop(KEY, None)
    if not _is_plain(cfg):
        yield []
        return
    device = torch.device(get_device())
    default = precision_here(device)
    precision = named or (_read(work) if resumed else default)
    line = ""
    if named is None and precision not in (None, "fp32"):
        why = "as it was begun" if resumed else "the default on this GPU"
        line = (
            f"the training computes in {precision}, {why}; in float32 with `--precision fp32`, or in a config"
            f" `{KEY} = 'fp32'`"
        )
    if precision is not None:
        _check_device(precision, device)
    if precision in _DTYPES:
        scale: dict[str, Any] = {} if precision == "fp16" else dict(loss_scale=dict(enabled=False))
        cfg.optim_wrapper.update(type="AmpOptimWrapper", dtype=_DTYPES[precision], **scale)
    exact = precision in ("fp32", "tf32") and device.type == "cuda"  # else, torch decides: convolutions are in TF32
    with tf32(precision == "tf32") if exact else contextlib.nullcontext():
        try:
            yield [] if precision is None else [_Keep(work, precision, line)]
        except (RuntimeError, TypeError) as error:
            if precision in _DTYPES and lacks_precision(error):
                line = str(error).strip().partition("\n")[0]
                raise ConfigError(
                    f"the model cannot be trained in {precision} ({line}): choose another precision, `--precision"
                    f" fp32`, or in a config `{KEY} = 'fp32'`"
                ) from error
            raise


class _Keep(Hook):
    """Writes down the precision of a training when there is something to go on from; a refused one leaves nothing.

    Args:
        line: what to say of it once the ranks know each other, and there is a log.
    """

    def __init__(self, work: Path, precision: str, line: str = "") -> None:
        self._path, self._precision, self._line = work / RECORD, precision, line

    def before_train(self, runner: Any) -> None:
        """Before the first batch."""
        if self._line:
            tell(self._line)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Written by the first rank alone, as checkpoints are."""
        if is_main_process():
            write_atomic(self._path, json.dumps({"precision": self._precision}).encode())

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """One of bf16 has no scale of gradients, which fp16 begins then: torch would refuse the empty one."""
        optimizer = checkpoint.get("optimizer")
        if isinstance(optimizer, dict) and not optimizer.get("loss_scaler", True):
            del optimizer["loss_scaler"]


def _is_plain(cfg: Config) -> bool:
    """Whether a config's training has the wrapper that says nothing of precision, and not several of a constructor."""
    wrapper = cfg.get("optim_wrapper")
    return (
        isinstance(wrapper, dict)
        and "optimizer" in wrapper
        and ("type" not in wrapper or is_type(wrapper, "OptimWrapper"))
    )


def _check_device(precision: str, device: torch.device) -> None:
    if precision == "fp32":
        return
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)
    if capability >= ((7, 0) if precision == "fp16" else (8, 0)):
        return
    named = {"cpu": "the CPU", "cuda": f"one of compute capability {'.'.join(map(str, capability))}"}
    least, here = "7.0" if precision == "fp16" else "8.0", named.get(device.type, device.type)
    raise ConfigError(
        f"the training is to compute in {precision}, which needs a GPU of compute capability {least} or newer, and runs"
        f" on {here}: write `--precision fp32`, or in a config `{KEY} = 'fp32'`"
    )


def _read(work: Path) -> str | None:
    """What the training was begun with. None: an earlier version has begun it, as torch computes by itself."""
    try:
        with open_to_read(work / RECORD) as file:
            kept = json.loads(file.read())["precision"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(kept) if kept in PRECISIONS else None
