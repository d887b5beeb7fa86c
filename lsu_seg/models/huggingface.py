"""Hugging Face segmentation models behind MMSegmentation's segmentor interface."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate

from lsu_onto import ran_out, without_traceback
from lsu_seg.decode import QueryView, View
from lsu_seg.errors import TeacherError
from lsu_seg.models.hf_models import SET_QUERY_MODELS, HFModel, build
from lsu_seg.models.known_masks import masks_and_known
from lsu_seg.models.segmentor import NetSegmentor, hard
from lsu_seg.openmmlab.registry import MODELS, register

_OF_SIZES = re.compile(r"size|shape|dimension|divisible|resolution|more than 1 value per channel", re.IGNORECASE)
"""Of errors that are about how large the images are, or that one image is too few to train on."""


@register(MODELS)
class HFSegmentor(NetSegmentor):
    """A `transformers` model as an MMSegmentation segmentor: for training, for validation, and as a teacher.

    `hf_models.MODELS` lists the supported classes. Models that predict masks with one class each (Mask2Former,
    MaskFormer, EoMT, OneFormer) pass their masks on unmerged, at their own resolution and with the mass of no object;
    nothing is resized to 384 x 384, as in Hugging Face's post-processing.

    Args:
        hf: where the model comes from, one of

            - `dict(model='SegformerForSemanticSegmentation', config=dict(depths=…))`: random weights; `config` has the
              arguments of the class's config,
            - `dict(pretrained='folder')`: a folder that `save_pretrained` wrote,
            - `dict(pretrained='facebook/mask2former-swin-large-cityscapes-semantic')`: a model of a Hugging Face hub,
              perhaps with `@` and a revision (`hub.py`). A file or folder of that name is preferred,
            - `dict(pretrained='23_best.pth')`: a checkpoint that data-priors wrote (`data_priors.py`).

            Beside `pretrained`, `config` overrides keys of the model's own config:
            `config=dict(no_object_weight=0.005)`; `pretrained=None` is the same as no `pretrained`.
        num_classes: K. Required for random weights. A pretrained model has its own K; any other number gives it a new,
            untrained head.
        loss_decode: the loss of models with per-pixel logits; the default is cross-entropy. Mask models use the loss
            that `transformers` gives them.
        source: the source taxonomy, with which Mask2Former and EoMT are also trained on sets (`query_loss.py`).
        data_preprocessor: MMSegmentation's `SegDataPreProcessor`, as for any model. If this is None, a pretrained
            model's own normalisation is used (the folder's `preprocessor_config.json`).
        test_cfg: None or `dict(mode='whole')`: `PseudoLabelLoop` handles windows.
        pretrained, train_cfg: only for `mmseg.apis.init_model`, which sets them to None.

    Images whose sizes are not multiples of `multiple` are scaled to the nearest size that fits, and the model's output
    is scaled back. Views of `PseudoLabelLoop` have fitting sizes for all models except those with a patch size of 14.

    Raises:
        TeacherError: `transformers` is missing; the model, config key or folder does not exist, or the hub does not
            give it; the config cannot be built; the weights do not fit.
    """

    task: Tensor | None

    def __init__(
        self,
        hf: dict[str, Any],
        num_classes: int | None = None,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        source: str | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        pretrained: None = None,
        train_cfg: dict[str, Any] | None = None,
    ) -> None:
        if pretrained is not None:
            raise TeacherError(f"write `hf=dict(pretrained={pretrained!r})`, not `pretrained={pretrained!r}`")
        if test_cfg and test_cfg.get("mode", "whole") != "whole":
            raise TeacherError(
                f"test_cfg is {dict(test_cfg)}; an HFSegmentor sees whole images (windows: `PseudoLabelLoop`)"
            )
        model: HFModel = build(dict(hf), num_classes)
        if data_preprocessor is None and model.data_preprocessor is None:
            raise TeacherError(
                f"how images are normalised is not said: {hf} has no preprocessor_config.json; save the model's image"
                " processor there, or write `data_preprocessor=dict(type='SegDataPreProcessor', mean=…, std=…)`"
            )
        if model.queries and loss_decode is not None:
            raise TeacherError(
                f"`loss_decode` has no effect on a {type(model.net).__name__}, which has a loss of its own; leave it"
                " out"
            )
        super().__init__(
            model.net,
            model.net.config.num_labels,
            model.multiple,
            model.queries,
            loss_decode,
            source,
            data_preprocessor or model.data_preprocessor,
            init_cfg,
        )
        self.class_names, self.weight_files, self.origin = model.class_names, model.files, model.origin
        if model.new_head:
            self.untrained = (
                f"{hf['pretrained']} has another number of classes than the config's `num_classes`, so the model's"
                " head has random weights"
            )
        if source is not None:
            if type(self.net).__name__ not in SET_QUERY_MODELS:
                raise TeacherError(
                    f"`source` has no effect on a {type(self.net).__name__}: leave it out (Mask2Former and EoMT are"
                    " trained on sets with it)"
                )
            from lsu_seg.models.query_loss import KnownLoss

            self.net.criterion = KnownLoss(self.net)
            self.takes_sets = True
        self.register_buffer("task", model.task, persistent=False)
        self._grid = (0, 0)
        self._auxiliary: list[Tensor] = []
        self._prepare_net()

    # --- the model's forward ---------------------------------------------------------------------------------------

    def _prepare_net(self) -> None:
        """Let models for a single size, or for square images only, accept any size."""
        name = type(self.net).__name__
        if name == "EomtForUniversalSegmentation":  # the one of DINOv3 computes positions for any size
            self.net.get_submodule("embeddings.position_embeddings").register_forward_hook(self._positions)
        if name.startswith("DPT"):
            self.net.get_submodule("neck").register_forward_pre_hook(self._patches, with_kwargs=True)
        if getattr(self.net, "auxiliary_head", None) is not None:
            self.net.get_submodule("auxiliary_head").register_forward_hook(self._keep_auxiliary)

    def _keep_auxiliary(self, module: nn.Module, inputs: Any, logits: Tensor) -> None:
        """Keep logits that `transformers` computes but does not return."""
        self._auxiliary.append(logits)

    def _positions(self, module: nn.Embedding, inputs: Any, embedded: Tensor) -> Tensor:
        """EoMT's position embeddings `[1, h * w, C]`, interpolated to the patches of this image."""
        side = math.isqrt(embedded.shape[1])
        if self._grid == (side, side):
            return embedded
        table = embedded.reshape(1, side, side, -1).permute(0, 3, 1, 2)
        table = interpolate(table, self._grid, mode="bicubic", align_corners=False)
        return table.flatten(2).transpose(1, 2)

    def _patches(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Pass the patch grid to DPT's neck, which otherwise assumes a square image."""
        return args, {**kwargs, "patch_height": self._grid[0], "patch_width": self._grid[1]}

    def _run(self, inputs: Tensor, **labels: Any) -> Any:
        """The model's output for images `[N, 3, H, W]` of any size."""
        inputs = self.fitting(inputs)
        height, width = inputs.shape[2:]
        self._grid = (height // self.multiple, width // self.multiple)
        self._auxiliary.clear()
        if hasattr(self.net, "grid_size"):
            net: Any = self.net  # a plain attribute, not one of torch's
            net.grid_size = self._grid
        if self.task is not None:
            labels["task_inputs"] = self.task.expand(len(inputs), -1)
        try:
            return self.net(pixel_values=inputs, **labels)
        # Of a fixed input size (timm asserts it), of one that cannot train on a single image.
        except (ValueError, RuntimeError, AssertionError) as e:
            if ran_out(e):
                raise
            images = f"{len(inputs)} image(s) of {width}x{height}"
            said = " ".join(without_traceback(str(e)).split())[:300]
            does = "does not take" if _OF_SIZES.search(said) else "fails on"
            why = said if does == "does not take" else f"{type(e).__name__}: {said}"
            raise TeacherError(f"a {type(self.net).__name__} of this config {does} {images}: {why}") from e

    def evidence_of(self, batch: Tensor) -> list[View | QueryView]:
        out = self._run(batch)
        if not self.queries:
            return [View(logits) for logits in out.logits.float()]
        pairs = zip(out.class_queries_logits.float(), out.masks_queries_logits.float(), strict=True)
        return [QueryView(classes, masks) for classes, masks in pairs]

    # --- MMSegmentation's interface ----------------------------------------------------------------------------------

    def extract_feat(self, inputs: Tensor) -> Any:
        return self._run(inputs, output_hidden_states=True).hidden_states

    def loss(self, inputs: Tensor, data_samples: Any) -> dict[str, Tensor]:
        """The losses of a batch; `gt_sem_seg` holds channels and void."""
        target = self.targets(data_samples)
        if self.queries:
            return self._query_loss(inputs, target)
        out = self._run(inputs)
        losses = {"loss_ce": self._pixel_loss(out.logits, target)}
        weight = getattr(self.net.config, "auxiliary_loss_weight", 0.4)
        for logits in self._auxiliary:
            losses["loss_aux"] = weight * self._pixel_loss(logits, target)
        return losses

    def _query_loss(self, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
        if self.takes_sets:
            table = self.table_of(self.num_classes)
            with self.explained(self.num_classes):
                pairs = [masks_and_known(one, table) for one in target]
            classes, masks = [c for c, _ in pairs], [m for _, m in pairs]
        else:
            masks, classes = mask_targets(target, self.num_classes, self.void)
        known = [i for i, c in enumerate(classes) if len(c)]
        if not known:  # no pixel has a known class: a zero loss that keeps every parameter in the graph, for DDP
            out = self._run(inputs)
            return {"loss_masks": 0 * (out.class_queries_logits.sum() + out.masks_queries_logits.sum())}
        if len(known) < len(inputs):
            inputs, masks, classes = inputs[known], [masks[i] for i in known], [classes[i] for i in known]
        out = self._run(inputs, mask_labels=masks, class_labels=classes)
        return {"loss_masks": out.loss.sum()}


# --- targets ---------------------------------------------------------------------------------------------------------


def mask_targets(target: Tensor, num_classes: int, void: int) -> tuple[list[Tensor], list[Tensor]]:
    """The training targets of mask models: one mask for each class in an image. No mask contains void or sets.

    Args:
        target: int `[N, H, W]`, channels and void.

    Returns:
        for each image, masks, float `[M, H, W]`, and their classes, int64 `[M]`; M is 0 if the whole image is void.

    >>> import torch
    >>> masks, classes = mask_targets(torch.tensor([[[0, 2, 255]]]), 3, 255)
    >>> masks[0].tolist(), classes[0].tolist()
    ([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]], [0, 2])
    """
    masks, classes = [], []
    for one in hard(target, num_classes, void):
        present = one.unique()
        present = present[present != void]
        classes.append(present)
        masks.append((one[None] == present[:, None, None]).float())
    return masks, classes
