"""A torch model that is trained further and keeps what it knew: its norms, and the evidence that it had."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, log_softmax
from torch.nn.modules.batchnorm import _BatchNorm

from lsu_seg.models.torch_segmentor import TorchSegmentor
from lsu_seg.openmmlab.registry import MODELS, register


@register(MODELS)
class StreetsSegmentor(TorchSegmentor):
    """`TorchSegmentor`, with what keeps the source's classes alive.

    Args:
        norms: "kept": BatchNorm normalises by the teacher's statistics; "trained": by those of the batch.
        distil: the weight of a second loss, the cross-entropy against what the model said before the training. It says
            all of it in the source's images, and in others only where the target is a set, of the classes of the set.
        settings: of `TorchSegmentor`.
    """

    def __init__(self, *, norms: str = "kept", distil: float = 0.0, **settings: Any) -> None:
        super().__init__(**settings)
        self.norms, self.distil = norms, distil
        # In a list: no part of the model, its weights, or its checkpoint.
        self.before = [copy.deepcopy(self.net).eval().requires_grad_(False)] if distil else []

    def train(self, mode: bool = True) -> StreetsSegmentor:
        super().train(mode)
        if mode and self.norms == "kept":
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def loss(self, inputs: Tensor, data_samples: Any) -> dict[str, Tensor]:
        if not self.before:
            return super().loss(inputs, data_samples)
        target = self.targets(data_samples)
        logits = self._run(inputs).logits
        own = torch.tensor(
            [s.metainfo["dataset"] == self.loss_decode.source for s in data_samples], device=target.device
        )
        with torch.no_grad():
            images = self.fitting(inputs)
            taught = self.reader.read(self.before[0].to(inputs.device)(images), len(images), False).logits
        return {
            "loss_ce": self._pixel_loss(logits, target),
            "loss_before": self.distil * self._against(taught, logits, target, own),
        }

    def _against(self, taught: Tensor, logits: Tensor, target: Tensor, own: Tensor) -> Tensor:
        """The mean cross-entropy against the evidence `taught`, inside the sets that are targets.

        Args:
            taught, logits: `[N, K, h, w]`. target: int64 `[N, H, W]`. own: bool `[N]`, the source's images.
        """
        sets = torch.ones(1, self.num_classes, dtype=torch.bool, device=target.device)
        table = self.loss_decode.table
        if table is not None and len(table):
            sets = torch.cat([sets, torch.from_numpy(table.sets).to(target.device)])
        entry = (target - self.void).clamp_min(0)  # 0: every class
        counts = (entry > 0) | (own[:, None, None] & (target != self.void))
        if not counts.any():
            return logits.sum() * 0
        size = tuple(target.shape[1:])
        q, p = (interpolate(x, size, mode="bilinear").permute(0, 2, 3, 1)[counts] for x in (taught, logits))
        q = q.masked_fill(~sets[entry[counts]], -torch.inf).softmax(1)
        return -(q * log_softmax(p, 1)).sum(1).mean()
