"""A training whose weights become NaN ends with a message: it cannot recover, and its last model is worthless."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook

from lsu_seg.errors import UserError
from lsu_seg.openmmlab.registry import HOOKS, register
from lsu_seg.openmmlab.weights import nan_weights, some

_EVERY = 50
"""Iterations between two looks at the loss, which a GPU would otherwise be waited for."""


class DivergedError(UserError):
    """A training's weights are NaN. The message says since when, and from where to go on."""


@register(HOOKS)
class DivergenceHook(Hook):
    """Ends a training whose weights are NaN. Checkpoints stay as they are.

    The loss alone tells nothing: with half precision it overflows now and then, and the step is left out.
    """

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else None
        if (runner.iter + 1) % _EVERY == 0 and isinstance(loss, torch.Tensor) and not loss.isfinite().all():
            self._check(runner, runner.iter + 1)

    def after_train(self, runner: Any) -> None:
        self._check(runner, runner.iter)

    def _check(self, runner: Any, iteration: int) -> None:
        bad = nan_weights(getattr(runner.model, "module", runner.model))
        if bad:
            raise DivergedError(
                f"the training diverged: after iteration {iteration} there are weights that are NaN ({some(bad)}), and"
                f" later checkpoints in {runner.work_dir} may have them too: train with a lower learning rate, or with"
                " `optim_wrapper = dict(clip_grad=dict(max_norm=1.0))`"
            )
