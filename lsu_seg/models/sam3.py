"""SAM 3 with prompts for each class: an open-vocabulary network that says where in an image something is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, logsigmoid

_SURE = -1e-6
"""The largest log p: 1 - p must be a number of float32."""


class Sam3Net(nn.Module):
    """Images, float `[N, 3, H, W]` → one logit for each class, `[N, K, H/4, W/4]`.

    A prompt's probability at a pixel is that the image shows it at all (`presence_logits`) times that it is there
    (`semantic_seg`); a class's is that of the prompt that fits best. SAM 3 sees squares of one size, so images are
    resized to it, as its own processor does. An image is encoded once, and decoded once for each prompt.
    """

    multiple = 4
    """Pixels for each value of the logits, whatever the size that SAM 3 sees."""
    words: Tensor
    mask: Tensor

    @torch.no_grad()
    def __init__(self, model: Any, tokens: Mapping[str, Tensor], lengths: Sequence[int]) -> None:
        """tokens: of all prompts; lengths: how many each class has."""
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.lengths = list(lengths)
        self.register_buffer("words", model.get_text_features(**tokens).pooler_output, persistent=False)
        self.register_buffer("mask", tokens["attention_mask"], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        size = images.shape[2] // self.multiple, images.shape[3] // self.multiple
        side = self.model.config.image_size
        square = (side, side) if isinstance(side, int) else tuple(side)
        if tuple(images.shape[2:]) != square:
            images = interpolate(images, square, mode="bilinear", align_corners=False, antialias=True)
        seen = self.model.get_vision_features(pixel_values=images)
        classes: list[Tensor] = []
        at = 0
        for length in self.lengths:
            best = self._of_prompt(seen, at, len(images))
            for i in range(at + 1, at + length):  # one by one: the maps of all would not fit into memory
                best = torch.maximum(best, self._of_prompt(seen, i, len(images)))
            at += length
            classes.append(interpolate(best, size, mode="bilinear", align_corners=False))
        log_p = torch.cat(classes, 1).clamp(max=_SURE)
        return log_p - (-torch.expm1(log_p)).log()

    def _of_prompt(self, seen: Any, i: int, images: int) -> Tensor:
        """log p of a prompt, `[N, 1, h, w]`."""
        text = SimpleNamespace(pooler_output=self.words[i : i + 1].expand(images, -1, -1))
        out = self.model(vision_embeds=seen, text_embeds=text, attention_mask=self.mask[i : i + 1].expand(images, -1))
        log_p: Tensor = logsigmoid(out.semantic_seg.float()) + logsigmoid(out.presence_logits.float())[..., None, None]
        return log_p
