"""Any torch network behind MMSegmentation's segmentor interface: a function of the user makes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from lsu_onto import ran_out
from lsu_seg.decode import QueryView, View
from lsu_seg.errors import TeacherError, no_file
from lsu_seg.label_files import void_index
from lsu_seg.models.factory import find, make
from lsu_seg.models.hidden import hidden_weights
from lsu_seg.models.outputs import Output, Place, Reader, are_shares
from lsu_seg.models.segmentor import NetSegmentor
from lsu_seg.openmmlab.compat import load_checkpoint
from lsu_seg.openmmlab.registry import MODELS, register
from lsu_seg.openmmlab.stated_classes import stated_classes
from lsu_seg.openmmlab.weights import load_into, same_weight
from lsu_seg.runtime.home import at_home
from lsu_seg.runtime.own_code import run

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet: RGB, for values from 0 to 1, as torchvision has them."""

_PROBE = 128
"""Side of the image that a network is shown when it is built, to find out how many channels it has."""

_LARGEST = 4096
"""Of `size_divisor`: each image is scaled to this size, at least."""


@register(MODELS)
class TorchSegmentor(NetSegmentor):
    """The network that a function makes, as an MMSegmentation segmentor: for training, validation, and as a teacher.

    The function returns a `torch.nn.Module` that is called with normalised images, float `[N, 3, H, W]`, and returns
    logits, float `[N, C, h, w]`, at any resolution. They may be in a dict or an object: as `logits`, or as `out` like
    torchvision's. A network that predicts masks with one class each returns class logits `[N, Q, C+1]`, the last of
    which is no object, and mask logits `[N, Q, h, w]`: as `class_queries_logits` and `masks_queries_logits`, or as
    `pred_logits` and `pred_masks`.

    Args:
        factory: the function: `file.py:function`, or `package.module:function`. Its code runs.
        args: its keyword arguments.
        checkpoint: a file with the network's weights. None: the function loads them itself, or a Runner loads a
            checkpoint.
        num_classes: K. Required only if the network cannot be asked: it is shown an image of noise when it is built.
        drop_channels: channels of the output that are no classes of the source, by number, or by a name in `classes`.
        classes: what the channels are called, the dropped ones, too, where the checkpoint does not say it.
        output: where the logits are in an output that is a list, or a dict with other keys.
        auxiliary: where further logits are, which are trained on, too. auxiliary_weight: the weight of their losses.
        mean, std: of images with values from 0 to 1, in the order of the network's input; the default is ImageNet's.
        bgr: the network takes BGR, not RGB.
        size_divisor: sides of images must be multiples of this. Images of other sizes are scaled to the nearest one,
            and the output is scaled back.
        align_corners: how logits are resized to the image's size.
        loss_decode: the loss, or several, which are added; the default is cross-entropy.
        data_preprocessor: instead of `mean`, `std` and `bgr`, MMSegmentation's `SegDataPreProcessor`, as for any model.
        test_cfg: `dict(mode='whole')`, or `dict(mode='slide', crop_size=…, stride=…)` for `predict`. `PseudoLabelLoop`
            has windows of its own.
        pretrained, train_cfg: only for `mmseg.apis.init_model`, which sets them to None.

    Raises:
        TeacherError: the function, its network, or the weights cannot be used.
    """

    names_place = "classes"

    def __init__(
        self,
        factory: str,
        args: Mapping[str, Any] | None = None,
        checkpoint: str | None = None,
        num_classes: int | None = None,
        drop_channels: Place | Sequence[Place] = (),
        classes: Sequence[str] | None = None,
        output: Place | None = None,
        auxiliary: Place | Sequence[Place] = (),
        auxiliary_weight: float = 0.4,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bgr: bool = False,
        size_divisor: int = 32,
        align_corners: bool = False,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        pretrained: None = None,
        train_cfg: dict[str, Any] | None = None,
    ) -> None:
        if pretrained is not None:
            raise TeacherError(f"write `checkpoint={pretrained!r}`, not `pretrained={pretrained!r}`")
        _check_made(factory, args, checkpoint, classes, output, bgr=bgr, align_corners=align_corners)
        _check_seen(size_divisor, test_cfg, data_preprocessor, mean, std, bgr)
        if not isinstance(auxiliary_weight, (int, float)) or not math.isfinite(auxiliary_weight):
            raise TeacherError(f"`auxiliary_weight` is {auxiliary_weight!r}; expected a number")
        dropped = _several("drop_channels", drop_channels)
        net = make(find(factory), args or {})
        reader = Reader(factory, output, _several("auxiliary", auxiliary))
        answer = _ask(net, reader, size_divisor, num_classes is None)
        channels = answer.channels if answer else int(num_classes or 0) + len({*dropped})
        reader = reader.dropping(channels, dropped, classes)
        kept = reader.kept or ()
        if num_classes is not None and num_classes != len(kept):
            less = f", less {channels - len(kept)}" if dropped else ""
            raise TeacherError(
                f"`{factory}` makes a network of {channels} channels{less}, and `num_classes` is {num_classes}; leave"
                " channels that are no classes out with `drop_channels=[…]`"
            )
        queries = answer is not None and answer.masks is not None
        if queries and loss_decode is not None:
            raise TeacherError(
                f"`loss_decode` has no effect on `{factory}`, whose network predicts masks: such a network labels and"
                " is evaluated as a `TorchSegmentor`, and is trained as an `HFSegmentor`"
            )
        super().__init__(
            net,
            len(kept),
            size_divisor,
            queries,
            loss_decode,
            None,
            data_preprocessor or _preprocessor(mean, std, bgr, size_divisor, void_index(len(kept))),
            init_cfg,
            align_corners,
        )
        self.factory, self.arguments, self.reader = factory, dict(args or {}), reader
        self.auxiliary_weight, self.test_cfg = auxiliary_weight, ConfigDict(test_cfg or {})
        if classes:
            self.class_names = [classes[i] for i in kept]
        assumed = []
        if data_preprocessor is None and mean is None:
            assumed.append(
                f"`{factory}` is shown {'BGR' if bgr else 'RGB'} images with the mean and the deviation of ImageNet, as"
                " torchvision's networks are, because nothing says another `mean` and `std`"
            )
        if answer is not None and answer.masks is None and are_shares(answer.logits):
            assumed.append(
                f"what `{factory}` returned, only values from 0 to 1, is taken for logits: if it is a sigmoid's, leave"
                " that out"
            )
        self.assumed = "; ".join(assumed)
        if checkpoint is not None:
            self._load(at_home(checkpoint))

    def _load(self, path: Path) -> None:
        if not path.is_file():
            raise TeacherError(no_file("checkpoint", path))
        if not self.net.state_dict():
            raise TeacherError(
                f"`{self.factory}` makes a network without weights, so it has no use for `{path}`; layers in a plain"
                " list belong to no network: write `nn.ModuleList([…])`"
            )
        loaded = load_checkpoint(path, map_location="cpu")
        load_into(self.net, loaded, str(path))
        self.stated_classes = stated_classes(loaded)
        self.weight_files = (path,)
        if self.unsaved:
            raise TeacherError(f"{self.unsaved}; `{path}` has only the others")

    @property
    def untrained(self) -> str:  # type: ignore[override]
        """Whether the function makes random weights: then it makes others the next time."""
        if self.weight_files:
            return ""
        again = self._made_again()
        own, others = self.net.state_dict(), again.state_dict()
        differ = [name for name, weight in own.items() if name not in others or not same_weight(weight, others[name])]
        if differ:
            return f"`{self.factory}` makes random weights: `{differ[0]}` has others when it is called again"
        if not own:  # frozen, or its layers are in a plain list
            first, second = (_ask(net, self.reader, self.multiple, False) for net in (self.net, again))
            if first and second and not torch.equal(first.logits, second.logits):
                return (
                    f"`{self.factory}` makes random weights: its network returns something else when it is made again"
                )
        return self.unsaved

    @property
    def unsaved(self) -> str:  # type: ignore[override]
        """Whether some of the weights are random whatever is loaded, as no checkpoint has them."""
        own = hidden_weights(self.net)
        others = hidden_weights(self._made_again()) if own else {}
        differ = [name for name, weight in own.items() if name not in others or not same_weight(weight, others[name])]
        if not differ:  # loaded by the function, and left out of checkpoints on purpose
            return ""
        return (
            f"`{self.factory}` makes a network whose `{differ[0]}` is random and in no checkpoint, because layers in a"
            " plain list, dict or object belong to no network: write `nn.ModuleList([…])` or `nn.ModuleDict({…})`"
        )

    @property
    def untrainable(self) -> str:  # type: ignore[override]
        made = "let the function make the network itself, `torch.nn.Module`, and load the weights into it"
        if isinstance(self.net, torch.jit.TopLevelTracedModule):  # type: ignore[attr-defined]
            return (
                f"`{self.factory}` makes a network of `torch.jit.trace`, whose dropout and batch norms stay as they"
                f" were recorded: {made}"
            )
        if not any(weight.requires_grad for weight in self.net.parameters()):
            frozen = isinstance(self.net, torch.jit.ScriptModule)
            advice = f": it is frozen TorchScript; {made}" if frozen else ""
            return f"`{self.factory}` makes a network without a weight that can be trained{advice}"
        return self.unsaved

    def _made_again(self) -> nn.Module:
        """Another network of the function, with other random numbers."""
        with torch.random.fork_rng():
            torch.manual_seed(torch.initial_seed() + 1)
            return make(find(self.factory), self.arguments)

    # --- the network's forward -------------------------------------------------------------------------------------

    def _run(self, images: Tensor) -> Output:
        images = self.fitting(images)
        try:
            out = _run(self.net, images, self.reader, self.training)
        except TeacherError as e:
            if e.__cause__ is not None and ran_out(e.__cause__):  # it is asked again, with less at once
                raise e.__cause__ from None
            raise
        return out

    def evidence_of(self, batch: Tensor) -> list[View | QueryView]:
        out = self._run(batch)
        if out.masks is None:
            return [View(logits, align_corners=self.align_corners) for logits in out.logits.float()]
        pairs = zip(out.logits.float(), out.masks.float(), strict=True)
        return [QueryView(classes, masks, align_corners=self.align_corners) for classes, masks in pairs]

    # --- MMSegmentation's interface ----------------------------------------------------------------------------------

    slide_inference = EncoderDecoder.slide_inference

    def seen(self, images: Tensor) -> list[View | QueryView]:
        if self.test_cfg.get("mode") != "slide":
            return self.evidence_of(images)
        metas = [dict(img_shape=tuple(images.shape[2:])) for _ in images]
        return [View(logits) for logits in self.slide_inference(images, metas)]

    def extract_feat(self, inputs: Tensor) -> Any:
        return self._run(inputs)

    def names_of_kept(self, names: Sequence[str]) -> Sequence[str]:
        """Names of all channels without those of the dropped ones; other names as they are."""
        kept = self.reader.kept or ()
        return [names[i] for i in kept] if len(names) == self.reader.channels else names

    def loss(self, inputs: Tensor, data_samples: Any) -> dict[str, Tensor]:
        """The losses of a batch; `gt_sem_seg` holds channels and void."""
        if self.queries:
            raise TeacherError(
                f"`{self.factory}` makes a network that predicts masks, which a `TorchSegmentor` cannot train: it"
                " labels and is evaluated; train it as an `HFSegmentor`, or a network with logits of pixels"
            )
        target = self.targets(data_samples)
        out = self._run(inputs)
        losses = {"loss_ce": self._pixel_loss(out.logits, target)}
        for place, logits in zip(self.reader.auxiliary, out.auxiliary, strict=True):
            losses[f"loss_aux_{place}"] = self.auxiliary_weight * self._pixel_loss(logits, target)
        return losses


# --- asking the network ----------------------------------------------------------------------------------------------


def _run(net: nn.Module, images: Tensor, reader: Reader, training: bool) -> Output:
    shown = f"{len(images)} image(s) of {images.shape[3]}x{images.shape[2]}"
    what = f"the network of `{reader.name}` fails on {shown}"
    out: Output = run(lambda: reader.read(net(images), len(images), training), what)
    return out


def _ask(net: nn.Module, reader: Reader, multiple: int, needed: bool) -> Output | None:
    """What a network says of an image of noise; None if it takes none of this size, unless that is needed."""
    side = math.ceil(_PROBE / multiple) * multiple
    what = f"the network of `{reader.name}`: the network's own code fails"
    weights = run(lambda: {**dict(net.named_parameters()), **dict(net.named_buffers())}, what)
    if empty := [name for name, weight in weights.items() if weight.is_meta]:
        raise TeacherError(
            f"`{reader.name}` makes a network on the meta device, where `{empty[0]}` has no values: make it on the CPU"
        )
    weight = next(iter(weights.values()), torch.empty(0))
    training = getattr(net, "training", False)  # a frozen one of TorchScript does not know
    run(net.eval, what)
    try:
        with torch.no_grad():
            return _run(net, _noise(side).to(weight.device), reader, False)
    except TeacherError as e:
        if not needed and e.__cause__ is not None:
            return None
        if e.__cause__ is None:
            raise
        hint = "if it only takes images of another size, write `num_classes`, too"
        other = {name: w.dtype for name, w in weights.items() if w.is_floating_point() and w.dtype != torch.float32}
        for name, dtype in list(other.items())[:1]:
            kind = str(dtype).removeprefix("torch.")
            hint = f"its `{name}` is {kind}, and images are float32: let the function return `net.float()`"
        raise TeacherError(f"{e}; {hint}") from e
    finally:
        net.train(training)


def _noise(side: int) -> Tensor:
    """The same for each network. On one colour, any network's channels would add up to the same at each pixel."""
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


# --- settings --------------------------------------------------------------------------------------------------------


def _several(name: str, places: Any) -> tuple[Place, ...]:
    """One number or name, or a list of them."""
    several = tuple(places) if isinstance(places, (list, tuple)) else (places,)
    if not all(map(_is_place, several)):
        raise TeacherError(f"`{name}` is {places!r}; expected a list of numbers or names")
    return several


def _is_place(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _check_made(factory: Any, args: Any, checkpoint: Any, classes: Any, output: Any, **others: Any) -> None:
    names = isinstance(classes, (list, tuple)) and all(isinstance(name, str) for name in classes)
    for name, value, fits, expected in (
        ("factory", factory, isinstance(factory, str), "`'file.py:function'` or `'package.module:function'`"),
        ("args", args, args is None or isinstance(args, Mapping), "the function's arguments, `dict(…)`"),
        ("checkpoint", checkpoint, checkpoint is None or isinstance(checkpoint, (str, Path)), "a file"),
        ("classes", classes, classes is None or names, "a list of names"),
        ("output", output, output is None or _is_place(output), "a key, or the number of an item"),
        *((name, value, isinstance(value, bool), "`True` or `False`") for name, value in others.items()),
    ):
        if not fits:
            raise TeacherError(f"`{name}` is {value!r}; expected {expected}")


def _check_seen(size_divisor: Any, test_cfg: Any, data_preprocessor: Any, mean: Any, std: Any, bgr: Any) -> None:
    if not isinstance(size_divisor, int) or not 1 <= size_divisor <= _LARGEST:
        raise TeacherError(f"`size_divisor` is {size_divisor!r}; expected a whole number, 1 to {_LARGEST}")
    mode = (test_cfg or {}).get("mode", "whole")
    if mode not in ("whole", "slide") or (mode == "slide" and not {"crop_size", "stride"} <= {*test_cfg}):
        raise TeacherError(
            f"`test_cfg` is {dict(test_cfg)}; expected `dict(mode='whole')`, or `dict(mode='slide', crop_size=(H, W),"
            " stride=(H, W))`"
        )
    if (mean is None) != (std is None):
        raise TeacherError(f"`{'std' if std is None else 'mean'}` is missing: write both `mean` and `std`, or neither")
    if data_preprocessor is not None and (mean is not None or std is not None or bgr):
        raise TeacherError("the config has a `data_preprocessor`, which says it all: leave `mean`, `std` and `bgr` out")
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and not _are_shares(values):
            raise TeacherError(
                f"`{name}` is {values}; expected three numbers from 0 to 1, for images with values from 0 to 1: divide"
                " those of images from 0 to 255 by 255, or write a `data_preprocessor`"
            )
    if std is not None and min(std) <= 0:
        raise TeacherError(f"`std` is {std}; expected three numbers above 0, to 1")


def _are_shares(values: Any) -> bool:
    return (
        isinstance(values, (list, tuple))
        and len(values) == 3
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= 1 for v in values)
    )


def _preprocessor(
    mean: Sequence[float] | None, std: Sequence[float] | None, bgr: bool, size_divisor: int, void: int
) -> dict[str, Any]:
    """The config of a `SegDataPreProcessor` that pads only in training: `predict` would remove the padding again."""
    order = -1 if bgr else 1
    mean, std = mean or MEAN[::order], std or STD[::order]
    return dict(
        type="SegDataPreProcessor",
        mean=[255 * v for v in mean],
        std=[255 * v for v in std],
        bgr_to_rgb=not bgr,
        pad_val=0,
        seg_pad_val=void,
        size_divisor=size_divisor,
    )
