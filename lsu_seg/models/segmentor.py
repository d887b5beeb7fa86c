"""What the segmentors around a network of another library share: predictions and losses made from its evidence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import initialize
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lsu_onto import ran_out, without_traceback
from lsu_seg.decode import QueryView, View
from lsu_seg.errors import ConfigError, UserError
from lsu_seg.label_files import void_index
from lsu_seg.openmmlab.registry import MODELS
from lsu_seg.targets.table import TableUser

_AT_ONCE = 8
"""Number of masks that `predict` resizes to the image's size at once; all of them would need Q x H x W values."""


class NetSegmentor(TableUser, BaseSegmentor):
    """A network with an interface of its own behind MMSegmentation's interface.

    Subclasses say what the network's evidence is (`evidence_of`), and what its losses are.

    Args:
        net: the network. num_classes: K.
        multiple: sides of images must be multiples of this; an image of any other size is scaled to the nearest one.
        queries: the network predicts masks with one class each.
        loss_decode: the loss of per-pixel logits, or several, which are added; None: cross-entropy, which ignores the
            targets that are sets.
        source: the source taxonomy of a network that is trained on sets of masks.
        data_preprocessor, init_cfg: as for any model of MMSegmentation.
        align_corners: how the network's maps are brought to the size of the image.
    """

    class_names: Sequence[str] = ()
    names_place = "id2label"
    """Where the class names were found, for messages."""
    assumed = ""
    """What was taken for granted, because nothing says it."""
    weight_files: Sequence[Path] = ()
    """The files that the network was loaded from."""
    origin = ""
    """The network's name on a hub, with the commit, where it comes from one."""
    untrained = ""
    """Why some of the weights are random, although the model brings its weights."""
    unsaved = ""
    """Why some of the weights are random whatever checkpoint is loaded."""
    untrainable = ""
    """Why the network cannot be trained, or not all of it."""

    def __init__(
        self,
        net: nn.Module,
        num_classes: int,
        multiple: int,
        queries: bool,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None,
        source: str | None,
        data_preprocessor: dict[str, Any] | None,
        init_cfg: dict[str, Any] | None,
        align_corners: bool = False,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.net = net
        self.num_classes = self.out_channels = num_classes
        self.multiple, self.queries = multiple, queries
        self.align_corners = align_corners
        self.void = void_index(num_classes)
        if isinstance(loss_decode, (list, tuple)) and not loss_decode:
            raise ConfigError("`loss_decode` is an empty list; leave it out for cross-entropy, or write losses into it")
        for loss in loss_decode if isinstance(loss_decode, (list, tuple)) else [loss_decode]:
            if loss is not None and not (isinstance(loss, dict) and loss.get("type")):
                raise ConfigError(
                    f"`loss_decode` is or has {loss!r}; expected a loss, `dict(type=…)`, or a list of losses"
                )
        losses = loss_decode or dict(type="CrossEntropyLoss", avg_non_ignore=True)
        several = nn.ModuleList(map(MODELS.build, losses)) if isinstance(losses, (list, tuple)) else None
        self.loss_decode = None if queries else several or MODELS.build(losses)
        self.source = source
        self.takes_sets = loss_decode is not None

    def init_weights(self) -> None:
        """Only what `init_cfg` says.

        mmengine would also call the network's own `init_weights`, which many have, after its weights are loaded.
        """
        if self.init_cfg:
            initialize(self, self.init_cfg)

    @abstractmethod
    def evidence_of(self, batch: Tensor) -> list[View | QueryView]:
        """The network's evidence for each image.

        Args:
            batch: normalised images, float `[N, 3, H, W]`.

        Returns:
            for each image a `QueryView` if the network predicts masks, else a `View`, float32, at its resolution.
        """

    def seen(self, images: Tensor) -> list[View | QueryView]:
        """What `predict` makes its labels of: the evidence for whole images."""
        return self.evidence_of(images)

    def fitting(self, images: Tensor) -> Tensor:
        """Images `[N, 3, H, W]` at the nearest size that the network takes."""
        size = tuple(max(1, round(s / self.multiple)) * self.multiple for s in images.shape[2:])
        if tuple(images.shape[2:]) == size:
            return images
        return interpolate(images, size, mode="bilinear", align_corners=False)

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        """`mode='tensor'`: logits `[N, K, h, w]` at the model's resolution; for mask models log p without no-object."""
        return torch.stack([_logits(view) for view in self.evidence_of(inputs)])

    def encode_decode(self, inputs: Tensor, batch_img_metas: Any = None) -> Tensor:
        """Logits `[N, K, H, W]` at the size of the inputs."""
        size = tuple(inputs.shape[2:])
        views = self.evidence_of(inputs)
        return torch.stack([_logits(view, lambda maps: _resize(maps, size, self.align_corners)) for view in views])

    def predict(self, inputs: Tensor, data_samples: Any = None) -> list[SegDataSample]:
        """Add `pred_sem_seg` `[1, H, W]` and `seg_logits` `[K, H, W]`, at the original size, to the samples.

        Padding is removed before the model sees an image, so that the labels equal those that `lsu_seg.decode` gets
        from `evidence_of` for the whole image without constraints.
        """
        samples = data_samples or [SegDataSample() for _ in inputs]
        size = (inputs.shape[2], inputs.shape[3])
        shown = [_shown(sample.metainfo, size) for sample in samples]
        if all(part == shown[0] for part in shown):
            views = self.seen(inputs[(..., *shown[0])])
        else:
            views = [self.seen(one[None][(..., *part)])[0] for one, part in zip(inputs, shown, strict=True)]
        for view, sample, part in zip(views, samples, shown, strict=True):
            size = part[0].stop - part[0].start, part[1].stop - part[1].start
            logits = _logits(view, _placement(sample.metainfo, size, self.align_corners))
            sample.set_data(
                {
                    "seg_logits": PixelData(data=logits),
                    "pred_sem_seg": PixelData(data=logits.argmax(0, keepdim=True)),
                }
            )
        return list(samples)

    def targets(self, data_samples: Any) -> Tensor:
        """The targets of a batch, int64 `[N, H, W]`; without the sets, if the loss knows none."""
        target = torch.stack([sample.gt_sem_seg.data.squeeze(0) for sample in data_samples]).long()
        return target if self.takes_sets or self.queries else hard(target, self.num_classes, self.void)

    def _pixel_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        assert self.loss_decode is not None
        logits = _resize(logits, tuple(target.shape[1:]), self.align_corners)
        losses = self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]
        return torch.stack([_loss_of(loss, logits, target, self.void) for loss in losses]).sum()


def hard(target: Tensor, num_classes: int, void: int) -> Tensor:
    """Targets without sets: numbers above the void index (`lsu_seg.targets.table`) are ignored.

    >>> hard(torch.tensor([0, 2, 255, 257]), 3, 255).tolist()
    [0, 2, 255, 255]
    """
    return torch.where((target >= 0) & (target < num_classes), target, void)


def _loss_of(loss: nn.Module, logits: Tensor, target: Tensor, void: int) -> Tensor:
    """One number for a batch: the mean, as mmengine takes it, of a loss with one for each pixel.

    Raises:
        ConfigError: the loss cannot be taken of logits of pixels, or not with its settings.
    """
    try:
        value: Tensor = loss(logits, target, ignore_index=void)
    except UserError:
        raise
    except Exception as e:
        if ran_out(e):
            raise
        said = " ".join(without_traceback(str(e)).split())
        raise ConfigError(
            f"`loss_decode`: {type(loss).__name__} fails on logits {list(logits.shape)}, for targets"
            f" {list(target.shape)} and `ignore_index={void}`: {type(e).__name__}: {said[:300]}"
        ) from e
    return value.mean()


# --- evidence → logits at a size -------------------------------------------------------------------------------------


def _resize(maps: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """Resize `[C, h, w]` or `[N, C, h, w]` bilinearly, as the decoders do."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    batch = maps if maps.ndim == 4 else maps[None]
    resized = interpolate(batch, tuple(size), mode="bilinear", align_corners=align_corners)
    return resized if maps.ndim == 4 else resized[0]


def _shown(meta: dict[str, Any], size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns that the image fills in a padded input of this size."""
    left, right, top, bottom = meta.get("img_padding_size", meta.get("padding_size", (0, 0, 0, 0)))
    return slice(top, size[0] - bottom), slice(left, size[1] - right)


def _placement(meta: dict[str, Any], size: Sequence[int], align_corners: bool) -> Callable[[Tensor], Tensor]:
    """A function that maps an image's maps to the original image; `size` is used if the metadata have no other size."""
    flipped = {"horizontal": -1, "vertical": -2}[meta["flip_direction"]] if meta.get("flip") else None

    def place(maps: Tensor) -> Tensor:
        maps = maps if flipped is None else maps.flip(flipped)
        return _resize(maps, tuple(meta.get("ori_shape", size))[:2], align_corners)

    return place


def _logits(view: View | QueryView, place: Callable[[Tensor], Tensor] = lambda maps: maps) -> Tensor:
    """`[K, H, W]`: logits unchanged; for masks the logarithm of each class's share of the evidence."""
    if isinstance(view, View):
        return place(view.logits)
    classes = view.classes.softmax(1)
    evidence: Tensor | None = None
    for first in range(0, len(classes), _AT_ONCE):
        masks = place(view.masks[first : first + _AT_ONCE]).sigmoid()
        part = torch.einsum("qc,qhw->chw", classes[first : first + _AT_ONCE], masks)
        evidence = part if evidence is None else evidence.add_(part)
    assert evidence is not None
    tiny = torch.finfo(evidence.dtype).tiny
    evidence = evidence / evidence.sum(0).clamp_min(tiny)
    return evidence[:-1].clamp_min(tiny).log()
