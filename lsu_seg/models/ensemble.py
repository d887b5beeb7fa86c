"""Several teachers as one model: each with its weights, its share of the evidence, and the map of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch import Tensor, nn

import lsu_onto
from lsu_seg.decode import QueryView, View, decoder
from lsu_seg.errors import ConfigError, TeacherError, UserError, did_you_mean
from lsu_seg.models.weights import weights_path
from lsu_seg.openmmlab.compat import load_checkpoint
from lsu_seg.openmmlab.registry import MODELS, register
from lsu_seg.openmmlab.stated_classes import stated_classes
from lsu_seg.openmmlab.weights import adopt, check_finite, load_into, readable
from lsu_seg.teachers.forward import views_of

LOOKS = ("scales", "flips", "window", "overlap", "memory", "precision", "compile", "calibration")
"""Settings of a labelling that a teacher may have for itself."""

KEYS = ("model", "checkpoint", "name", "weight", "source", "through", *LOOKS)
"""Keys of a teacher in a config."""

_LARGEST_WEIGHT = 1e6
"""Float32, in which evidence is merged, loses what is a millionth of the rest."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """One of the teachers.

    Attributes:
        name: in messages and records. model: its segmentor. checkpoint: the file of its weights, where it has one.
        weight: its share of the evidence, before all are divided by their sum.
        classes: the classes that it predicts, in the order of its channels.
        to: bool `[C, K+1]`, what each channel may be in the source of the labels, as in `View`; None: the channels are
            the source's. way: the taxonomies on the way there.
        order: where the channels are the source's in another order, the channel of each class.
        looks: its own settings of how it looks at images, and computes.
        weights: where its weights lie, if in a file or a folder.
    """

    name: str
    model: Any
    checkpoint: str | None
    weight: float
    classes: tuple[str, ...]
    to: NDArray[np.bool_] | None = None
    order: tuple[int, ...] | None = None
    way: tuple[str, ...] = ()
    looks: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None

    def placed(self, views: Sequence[View | QueryView]) -> list[View | QueryView]:
        """The evidence of its views, with their weights, for the classes of the labels' source."""
        weight = self.weight / len(views)
        return [replace(self._in_order(view), weight=weight, to=self.to) for view in views]

    def _in_order(self, view: View | QueryView) -> View | QueryView:
        if self.order is None:
            return view
        order = list(self.order)
        if isinstance(view, QueryView):
            return replace(view, classes=view.classes[:, [*order, len(order)]])
        return replace(view, logits=view.logits[order])


@register(MODELS)
class Ensemble(BaseSegmentor):
    """Several segmentors, whose evidence is merged (docs/decoding.md): for labelling and evaluation, not for training.

    Args:
        teachers: of each a dict with `model`, a segmentor's config, and these, which may be left out:
            `checkpoint`: its weights, where the model does not bring them.
            `name`: in messages and records.
            `weight`: how much it counts, 1 by default.
            `source`: the source whose classes it predicts, if that is another than the labels'. `through`: taxonomies
            on the way, as for `lsu_onto.class_map`.
            `scales`, `flips`, `window`, `overlap`, `memory`, `precision`, `compile`, `calibration`: as for
            `PseudoLabelLoop`, whose own settings it has otherwise.
        source: the source of the labels. paths: where taxonomies are searched first, as for `lsu_onto.load`.

    Raises:
        ConfigError: a teacher's settings are wrong. UserError: a teacher cannot be built or loaded.
    """

    def __init__(
        self,
        teachers: Sequence[Mapping[str, Any]],
        source: str,
        paths: Sequence[str] = (),
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        train_cfg: dict[str, Any] | None = None,
        pretrained: None = None,
    ) -> None:
        raw = dict(type="SegDataPreProcessor")  # each teacher normalises images by itself
        super().__init__(data_preprocessor=data_preprocessor or raw, init_cfg=init_cfg)
        names = named(teachers)
        self.source_classes = lsu_onto.class_map(source, source, paths=paths).classes
        self.out_channels = len(self.source_classes)
        self.class_names = self.source_classes
        built = [self._teacher(n, one, source, paths) for n, one in zip(names, teachers, strict=True)]
        self.teachers: tuple[Teacher, ...] = tuple(built)
        self.models = nn.ModuleList(teacher.model for teacher in built)

    def _teacher(self, name: str, given: Mapping[str, Any], source: str, paths: Sequence[str]) -> Teacher:
        own = given.get("source") or source
        try:
            through = given.get("through") or ()
            through = (through,) if isinstance(through, str) else tuple(through)
            found = lsu_onto.class_map(own, source, through, paths)
            model = MODELS.build(dict(given["model"]))
            checkpoint = given.get("checkpoint")
            if checkpoint is None:
                if why := getattr(model, "untrained", f"a {type(model).__name__} has random weights"):
                    raise ConfigError(f"{why}: give its `checkpoint`")
            else:
                _load(model, str(checkpoint))
        except UserError as e:
            kind = TeacherError if isinstance(e, TeacherError) else ConfigError
            raise kind(f"teacher `{name}`: {e}") from e
        to, order = _as_order(found.allowed)
        looks = {key: given[key] for key in LOOKS if given.get(key) is not None}
        weight = float(given.get("weight", 1.0))
        weights = weights_path(given["model"], checkpoint)
        return Teacher(name, model, checkpoint, weight, found.classes, to, order, found.way, looks, weights)

    untrained = ""
    """Every teacher is asked for its weights when it is built."""

    def extract_feat(self, inputs: Tensor) -> Any:
        return [teacher.model.extract_feat(inputs) for teacher in self.teachers]

    def encode_decode(self, inputs: Tensor, batch_data_samples: Any = None) -> Any:
        raise ConfigError("an Ensemble has no logits: its evidence is merged pixel by pixel, when labels are made")

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Any:
        return self.encode_decode(inputs)

    def loss(self, inputs: Tensor, data_samples: Any) -> Any:
        raise ConfigError("an Ensemble is not trained: train a student on its labels")

    def predict(self, inputs: Tensor, data_samples: Any = None) -> list[SegDataSample]:
        """Add `pred_sem_seg` `[1, H, W]`: the labels of all teachers together, without constraints.

        Each looks once at the whole image, in float32 and without its temperature, whatever it has for labelling.
        """
        samples = list(data_samples or [SegDataSample() for _ in inputs])
        decode = decoder(inputs.device.type)
        for image, sample in zip(inputs, samples, strict=True):
            top, bottom, left, right = 0, image.shape[1], 0, image.shape[2]
            if padding := sample.metainfo.get("img_padding_size", sample.metainfo.get("padding_size")):
                left, right, top, bottom = padding[0], right - padding[1], padding[2], bottom - padding[3]
            shown = image[:, top:bottom, left:right]
            views = [view for teacher in self.teachers for view in teacher.placed([_seen(teacher.model, shown)])]
            size = tuple(sample.metainfo.get("ori_shape", shown.shape[1:]))[:2]
            labels = decode.unconstrained(views, size, sample.metainfo.get("img_path", "image")).labels
            data = torch.from_numpy(labels.astype(np.int64))[None].to(inputs.device)
            sample.set_data({"pred_sem_seg": PixelData(data=data)})
        return samples


def named(teachers: Any) -> list[str]:
    """The names of an ensemble's teachers, each once, after all of their settings were looked at.

    >>> named([{"model": {"type": "HFSegmentor"}}, {"model": {"type": "HFSegmentor"}, "name": "large"}])
    ['HFSegmentor', 'large']
    """
    if not isinstance(teachers, (list, tuple)) or not teachers or not all(isinstance(t, Mapping) for t in teachers):
        raise ConfigError(f"`model.teachers` is {teachers!r}; expected a list: `[dict(model=dict(type=…), …), …]`")
    names: list[str] = []
    for i, one in enumerate(teachers):
        where = f"`model.teachers.{i}`"
        check_settings(one, where)
        if not isinstance(one.get("model"), Mapping) or not one["model"].get("type"):
            raise ConfigError(f"{where} has no `model = dict(type=…, …)`")
        if one["model"]["type"] in ("Ensemble", "lsu_seg.Ensemble"):
            raise ConfigError(f"{where} is an Ensemble itself: write its teachers into this one")
        name = str(one.get("name") or one["model"]["type"])
        names.append(name if name not in names else f"{name}-{i + 1}")
    if len(set(names)) < len(names):
        raise ConfigError(f"two of `model.teachers` have the same name: {', '.join(names)}")
    return names


def check_settings(one: Mapping[Any, Any], where: str, keys: Sequence[str] = KEYS) -> None:
    """Refuse settings of a teacher that nothing reads, and those that are of another type. keys: those it may have."""
    for key in one:
        if key not in keys:
            hint = did_you_mean(str(key), keys) or f"; it has {', '.join(keys)}"
            raise ConfigError(f"nothing reads the key `{key}` of {where}{hint}")
    weight = one.get("weight", 1.0)
    if not (isinstance(weight, (int, float)) and not isinstance(weight, bool) and weight > 0):
        raise ConfigError(f"{where}: `weight` is {weight!r}; expected a number above 0{_as_number(weight)}")
    if not 1 / _LARGEST_WEIGHT <= weight <= _LARGEST_WEIGHT:
        raise ConfigError(f"{where}: `weight` is {str(weight)[:9]}; expected a number from 1e-6 to 1e6")
    calibration = one.get("calibration")
    if (
        calibration is not None
        and calibration is not False
        and not (calibration and isinstance(calibration, (str, Path)))
    ):
        raise ConfigError(
            f"{where}: `calibration` is {calibration!r}; expected the file of `lsu-seg calibrate`, or False"
        )
    for key, kind, expected in (
        ("name", str, "a name"),
        ("source", str, "the name of a source"),
        ("through", str, "names of taxonomies"),
        ("flips", bool, "a list of true and false"),
    ):
        value = one.get(key)
        items = value if isinstance(value, (list, tuple)) and key in ("through", "flips") else [value]
        if value is not None and not all(isinstance(item, kind) for item in items):
            raise ConfigError(f"{where}: `{key}` is {value!r}; expected {expected}")


def _as_number(text: Any) -> str:
    """What to write for a text that looks like a number: to YAML, `1e-3` is a text, because it has no point."""
    try:
        number = float(text) if isinstance(text, str) else 0.0
    except ValueError:
        return ""
    return f": write {number}, without quotes" if 1 / _LARGEST_WEIGHT <= number <= _LARGEST_WEIGHT else ""


def _as_order(allowed: NDArray[np.bool_]) -> tuple[NDArray[np.bool_] | None, tuple[int, ...] | None]:
    """A map as in `View`, or, where it only brings the classes into another order, the channel of each class."""
    classes = allowed[:, :-1]
    if classes.shape[0] != classes.shape[1] or allowed.sum() != len(allowed) or not classes.any(0).all():
        return allowed, None
    order = tuple(classes.argmax(0).tolist())
    return None, None if order == tuple(range(len(order))) else order


def _load(model: Any, checkpoint: str) -> None:
    with readable(checkpoint):
        loaded = load_checkpoint(checkpoint, map_location="cpu")
        adopt(checkpoint, loaded, model.state_dict())
        load_into(model, loaded, checkpoint)
    check_finite(checkpoint, model)
    if why := getattr(model, "unsaved", ""):
        raise ConfigError(f"{why}; `{checkpoint}` has only the others")
    model.stated_classes = stated_classes(loaded)


def _seen(model: Any, image: Tensor) -> View | QueryView:
    """The evidence of a model for an image `[3, H, W]` as it is stored."""
    preprocessor = model.data_preprocessor
    padding, preprocessor.test_cfg = getattr(preprocessor, "test_cfg", None), None
    try:
        batch = preprocessor({"inputs": [image]}, False)["inputs"]
    finally:
        preprocessor.test_cfg = padding
    (view,) = views_of(model, batch)
    return view
