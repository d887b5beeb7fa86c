"""Build an `HFSegmentor`'s model from a config, a folder, a name on a hub, or a data-priors checkpoint."""

from __future__ import annotations

import contextlib
import copy
import difflib
import importlib.util
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsu_onto import INSTALL, open_to_read
from lsu_seg.errors import TeacherError
from lsu_seg.label_files import void_index
from lsu_seg.models import data_priors
from lsu_seg.models.hub import (
    CONFIG,
    PROCESSOR,
    TOKENIZER,
    check_no_address,
    described,
    downloaded,
    hub_name,
    pinned,
    weights_in_folder,
)
from lsu_seg.openmmlab.weights import check_finite, refuse_other_kinds
from lsu_seg.runtime.home import at_home

SET_QUERY_MODELS = (
    "Mask2FormerForUniversalSegmentation",
    "EomtForUniversalSegmentation",
    "EomtDinov3ForUniversalSegmentation",
)
"""The query models whose loss samples points, and can therefore leave unknown points out (`query_loss.py`)."""

ONEFORMER = "OneFormerForUniversalSegmentation"

CLIPSEG = "CLIPSegForImageSegmentation"
PROMPTED = (CLIPSEG, "Sam3Model", "Sam3VideoModel")
"""Models that look for what words describe (`prompted.py`)."""

QUERY_MODELS = (*SET_QUERY_MODELS, "MaskFormerForInstanceSegmentation", ONEFORMER)
"""Models that predict masks with one class each."""

MODELS = (
    *QUERY_MODELS,
    "SegformerForSemanticSegmentation",
    "UperNetForSemanticSegmentation",
    "DPTForSemanticSegmentation",
)

_UNUSED = re.compile(r"\.swin\.layernorm\.(weight|bias)$|\.relative_position_index$")
"""Weights that exist only in checkpoints or only in today's `transformers`, and that no output depends on."""


class HFModel(NamedTuple):
    """A model and its properties.

    Attributes:
        net: the `transformers` model, in float32.
        class_names: K names; `LABEL_0` and the like if nobody has named them.
        files: the files it was loaded from; () for random weights.
        origin: its name on a hub, with the commit; "" if it comes from elsewhere.
        new_head: the files have another number of classes, so the head has random weights.
        queries: the model predicts masks with one class each.
        multiple: image sizes must be multiples of this.
        data_preprocessor: config with the normalisation used in training, or None for random weights.
        task: the tokens, int64 `[1, T]`, that say what OneFormer predicts.
    """

    net: Any
    class_names: tuple[str, ...]
    files: tuple[Path, ...]
    new_head: bool
    queries: bool
    multiple: int
    data_preprocessor: dict[str, Any] | None
    origin: str = ""
    task: Tensor | None = None


def build(hf: dict[str, Any], num_classes: int | None) -> HFModel:
    """Make the model that `HFSegmentor`'s argument `hf` describes.

    Raises:
        TeacherError: see `HFSegmentor`.
    """
    if importlib.util.find_spec("transformers") is None:
        raise TeacherError(f"Hugging Face models need `transformers`, which is not installed: {INSTALL.format('hf')}")
    import transformers

    unknown = sorted(set(hf) - {"model", "config", "pretrained"})
    if unknown or (hf.get("pretrained") is None and "config" not in hf):
        raise TeacherError(
            f"`hf` has the keys {sorted(hf)}; expected `pretrained`, or `model` and `config` for random weights"
        )
    arguments = dict(hf.get("config") or {})
    if hf.get("pretrained") is None:
        return _from_config(transformers, hf.get("model"), arguments, num_classes)
    origin = ""
    check_no_address(hf["pretrained"])
    if name := hub_name(hf["pretrained"]):
        name = pinned(name)
        model_name(described(name))  # before what may be gigabytes
        hf, origin = {**hf, "pretrained": downloaded(name)}, str(name)
    path = at_home(hf["pretrained"])
    model = (
        _from_folder(transformers, path, num_classes, arguments)
        if path.is_dir()
        else _from_data_priors(transformers, path, num_classes, arguments)
    )
    expected = hf.get("model")
    if expected and expected != type(model.net).__name__:
        raise TeacherError(f"{path} holds a {type(model.net).__name__}, and the config says {expected}")
    return model._replace(origin=origin)


# --- the three sources -----------------------------------------------------------------------------------------------


def _from_config(transformers: ModuleType, name: Any, arguments: dict[str, Any], num_classes: int | None) -> HFModel:
    if name not in MODELS:
        raise TeacherError(f"there is no model `{name}`{_suggestion(str(name), MODELS)}; there are {', '.join(MODELS)}")
    if num_classes is None:
        raise TeacherError(f"`num_classes` of the {name} is missing")
    cls = getattr(transformers, name)
    net = _construct(cls, _config(cls.config_class, {**arguments, "num_labels": num_classes}))
    # A network that is trained from nothing learns what any constant stands for.
    task = torch.ones(1, net.config.task_seq_len, dtype=torch.int64) if name == ONEFORMER else None
    return _describe(net, (), None)._replace(task=task)


def _from_folder(transformers: ModuleType, path: Path, num_classes: int | None, overrides: dict[str, Any]) -> HFModel:
    name = model_name(path)
    cls = getattr(transformers, name)
    with quiet(transformers), loading_errors(path):
        check_kinds(path)
        config = cls.config_class.from_pretrained(str(path), local_files_only=True)
        if overrides:
            _check_keys(cls.config_class, overrides)
            config = cls.config_class.from_dict(_merged(config.to_dict(), overrides))
        old = config.num_labels
        new_head = num_classes is not None and num_classes != old
        if new_head:
            config.num_labels = num_classes
        net, info = cls.from_pretrained(
            str(path),
            config=config,
            local_files_only=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # `check_complete` says which they are
            output_loading_info=True,
        )
    check_complete(path, info, (old, config.num_labels), bool(overrides))
    check_finite(str(path), net)
    model = _describe(net, weight_files(path), lambda model: folder_preprocessor(path, model))
    return model._replace(new_head=new_head, task=_task(path, config.task_seq_len) if name == ONEFORMER else None)


def _from_data_priors(
    transformers: ModuleType, path: Path, num_classes: int | None, overrides: dict[str, Any]
) -> HFModel:
    released = data_priors.read(path)
    cls = transformers.Mask2FormerForUniversalSegmentation
    with loading_errors(path):
        config = _config(cls.config_class, _merged(released.config, overrides))
    if num_classes not in (None, config.num_labels):
        raise TeacherError(f"{path} has {config.num_labels} classes, and the config says {num_classes}")
    with quiet(transformers), loading_errors(path):
        # Not `load_state_dict`: weight names have changed since, and only this method can translate them.
        net, info = cls.from_pretrained(
            None, config=config, state_dict=released.weights, dtype=torch.float32, output_loading_info=True
        )
    check_complete(path, info)
    return _describe(net, weight_files(path), lambda model: _preprocessor(data_priors.MEAN, data_priors.STD, model))


def weight_files(pretrained: str | Path) -> tuple[Path, ...]:
    """The files of a pretrained model: a folder's config, preprocessor and weights, or the single checkpoint."""
    name = hub_name(pretrained)
    path = downloaded(name) if name else at_home(pretrained)
    if not path.is_dir():
        return (path,)
    processor = [path / PROCESSOR] if (path / PROCESSOR).is_file() else []
    words = [path / name for name in TOKENIZER if (path / name).is_file()]
    return (path / CONFIG, *processor, *words, *weights_in_folder(path))


def model_name(folder: Path) -> str:
    """The model class of a folder that `save_pretrained` wrote.

    Raises:
        TeacherError: the folder does not exist, or the model is not supported.
    """
    name = architecture(folder)
    if name in PROMPTED:
        raise TeacherError(
            f"{folder / CONFIG}: found a `{name}`, which needs words for each class: write `model ="
            " dict(type='PromptSegmentor', hf=dict(pretrained=…), classes=[…], prompts=[…])`"
        )
    if not isinstance(name, str) or name not in MODELS:
        raise TeacherError(f"{folder / CONFIG}: found a model `{name}`; expected one of {', '.join(MODELS)}")
    return name


def architecture(folder: Path) -> Any:
    """What the config of a folder calls its model.

    Raises:
        TeacherError: there is no config, or it cannot be read.
    """
    try:
        config = json.loads(_text(folder / CONFIG))
        names = config.get("architectures")
        return names[0] if isinstance(names, list) and names else names
    except FileNotFoundError:
        raise TeacherError(
            f"{folder}: found no {CONFIG}; expected a folder that `model.save_pretrained` wrote"
        ) from None
    except (ValueError, RecursionError, AttributeError, OSError) as e:
        raise TeacherError(f"{folder / CONFIG}: cannot be read as the config of a model: {e}") from None


def model_of(hf: dict[str, Any]) -> str:
    """The model class that `HFSegmentor`'s argument `hf` describes; data-priors' class if it does not say.

    Raises:
        TeacherError: the folder does not exist, the model is not supported, or a hub does not give it.
    """
    if hf.get("model"):
        return str(hf["model"])
    if not hf.get("pretrained"):
        return SET_QUERY_MODELS[0]
    name = hub_name(hf["pretrained"])
    path = described(name) if name else at_home(hf["pretrained"])
    return model_name(path) if path.is_dir() else SET_QUERY_MODELS[0]


def tokenizer(folder: Path) -> Any:
    """The tokenizer of CLIP that a folder has.

    Raises:
        TeacherError: it has none.
    """
    import transformers

    if not any((folder / name).is_file() for name in TOKENIZER):
        raise TeacherError(
            f"{folder}: found no tokenizer, in none of {', '.join(TOKENIZER)}; this model reads what to predict"
            " from a text: save its processor there, too"
        )
    with quiet(transformers), loading_errors(folder):
        return transformers.CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)


def _task(folder: Path, length: int) -> Tensor:
    """The tokens of semantic segmentation, as OneFormer's own processor makes them."""
    with loading_errors(folder):
        tokens = tokenizer(folder)(["the task is semantic"], padding="max_length", max_length=length, truncation=True)
        return torch.tensor(tokens["input_ids"]) * torch.tensor(tokens["attention_mask"])


# --- configs ---------------------------------------------------------------------------------------------------------


def _config(cls: Any, arguments: dict[str, Any]) -> Any:
    """A `transformers` config; `transformers` itself would silently keep a misspelt key."""
    _check_keys(cls, arguments)
    try:
        return cls(**copy.deepcopy(arguments))  # some versions take keys out of what they are given
    except Exception as e:  # its validators raise arbitrary exceptions
        raise TeacherError(f"a {cls.__name__} cannot be made of {arguments}: {_first_line(e)}") from e


def _check_keys(cls: Any, keys: Iterable[str]) -> None:
    known = {f.name for f in fields(cls)} | set(cls.attribute_map) | {"num_labels", "id2label"}
    for key in keys:
        if key not in known:
            raise TeacherError(f"a {cls.__name__} has no `{key}`{_suggestion(key, known)}")


def _merged(config: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """A pretrained model's config with our keys; nested configs, such as the backbone's, are merged key by key."""
    both = {
        key: _merged(config[key], value)
        for key, value in overrides.items()
        if isinstance(value, dict) and isinstance(config.get(key), dict)
    }
    return {**config, **overrides, **both}


def _construct(cls: Any, config: Any) -> Any:
    try:
        return cls(config)
    except Exception as e:
        raise TeacherError(f"a {cls.__name__} cannot be made of its config: {_first_line(e)}") from e


def _describe(net: Any, files: tuple[Path, ...], preprocessor: Any) -> HFModel:
    labels: Any = net.config.id2label
    if not isinstance(labels, dict) or set(labels) != set(range(len(labels))):
        where = f"{files[0].parent}: the config's" if files else "the model's"
        raise TeacherError(
            f"{where} `id2label` is {str(labels)[:80]}; expected a name for each of its channels, counted from 0"
        )
    names = [str(labels[i]) for i in range(len(labels))]
    queries = type(net).__name__ in QUERY_MODELS
    if hasattr(net, "criterion"):  # a folder keeps the no-object weight its model was trained with
        net.criterion.empty_weight[-1] = net.config.no_object_weight
    model = HFModel(net, tuple(names), files, False, queries, _multiple(net), None)
    return model._replace(data_preprocessor=preprocessor(model)) if preprocessor else model


def _multiple(net: Any) -> int:
    """The patch size of plain vision transformers; the stride of the last stage of all other models."""
    backbone = getattr(net.config, "backbone_config", None) or net.config
    patch = getattr(backbone, "patch_size", None) or getattr(net.config, "patch_size", None)
    plain = type(net).__name__.startswith(("Eomt", "DPT")) or (isinstance(patch, int) and patch > 4)
    return int(patch) if plain and isinstance(patch, int) else 32


def check_kinds(folder: Path) -> None:
    """Refuse a folder with a file that is none of a model, such as a pointer of Git LFS."""
    for file in weights_in_folder(folder):
        with open_to_read(file) as opened:
            refuse_other_kinds(file, opened.read(512))


def check_complete(
    path: Path, info: dict[str, Any], classes: tuple[int, int] = (0, 0), overridden: bool = False
) -> None:
    """Refuse missing or left-over weights, except for weights that no output depends on.

    Args:
        classes: the numbers of classes of the file and of the model. Weights that differ from the model's only in their
            first size, and by these numbers, belong to a new head and are accepted. Mask models have one more class,
            for no object.
        overridden: the config is not only the file's.
    """
    for key, size, expected in sorted(info["mismatched_keys"]):
        first = (size[0], expected[0]) if len(size) and len(expected) else (0, 0)
        new_head = classes[0] != classes[1] and first in (classes, (classes[0] + 1, classes[1] + 1))
        if size[1:] != expected[1:] or not new_head:
            advice = (
                "take what does not belong to this model out of the `config` that stands beside `pretrained`"
                if overridden
                else f"its {CONFIG} is of another model: get the files again"
            )
            raise TeacherError(
                f"{path}: the model cannot be loaded: the weights `{key}` are of size {list(size)}, and of the config's"
                f" model {list(expected)}; {advice}"
            )
    for what, keys in (("lacks", info["missing_keys"]), ("has no place for", info["unexpected_keys"])):
        odd = sorted(k for k in keys if not _UNUSED.search(k))
        if odd:
            raise TeacherError(
                f"{path}: the weights do not fit the config: the {'file' if what == 'lacks' else 'model'} {what}"
                f" {len(odd)} of them, e.g. `{odd[0]}`; get the files again"
            )


# --- normalisation ---------------------------------------------------------------------------------------------------


def folder_preprocessor(path: Path, model: HFModel) -> dict[str, Any] | None:
    """The normalisation in `preprocessor_config.json`; None if the file is missing: the config must then have one."""
    try:
        settings = json.loads(_text(path / PROCESSOR))
        for key in ("do_rescale", "do_normalize"):
            if (value := settings.get(key, True)) not in (None, True, False):  # text would count as true
                raise ValueError(f"`{key}` is {json.dumps(value)}; expected true or false")
        factor = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
        if not settings.get("do_normalize", True):
            return _preprocessor([0.0] * 3, [1 / factor] * 3, model)
        mean, std = settings["image_mean"], settings["image_std"]
        if not (
            len(mean) == len(std) == 3 and all(map(math.isfinite, [*mean, *std, factor])) and min(*std, factor) > 0
        ):
            raise ValueError(f"mean {mean}, std {std}, factor {factor}; expected three numbers each, std above 0")
        return _preprocessor([m / factor for m in mean], [s / factor for s in std], model)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, ZeroDivisionError) as e:
        raise TeacherError(
            f"{path / PROCESSOR}: does not say how images are normalised ({type(e).__name__}: {e});"
            " save the model's image processor there again"
        ) from None


def _text(path: Path) -> str:
    with open_to_read(path) as file:
        return file.read().decode()


def _preprocessor(mean: Sequence[float], std: Sequence[float], model: HFModel) -> dict[str, Any]:
    """The config of a `SegDataPreProcessor` that pads only in training: `predict` would remove the padding again."""
    return dict(
        type="SegDataPreProcessor",
        mean=list(mean),
        std=list(std),
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=void_index(model.net.config.num_labels),
        size_divisor=model.multiple,
    )


# --- quirks of transformers -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def quiet(transformers: ModuleType) -> Iterator[None]:
    """Silence the progress bar and the loading report of `transformers`; `check_complete` checks the same facts."""
    logs = transformers.utils.logging
    bar, level = logs.is_progress_bar_enabled(), logs.get_verbosity()
    logs.disable_progress_bar()
    logs.set_verbosity(logs.CRITICAL)
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if bar:
            logs.enable_progress_bar()


@contextlib.contextmanager
def loading_errors(path: Path) -> Iterator[None]:
    """Turn the exceptions that `transformers` raises for damaged or foreign files into errors that name the path."""
    try:
        yield
    except (TeacherError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as e:  # of tokenizers, a panic of Rust, which is no Exception
        raise TeacherError(f"{path}: the model cannot be loaded: {_first_line(e)}; get the files again") from e


def _first_line(error: BaseException) -> str:
    """What an error says first; where that only announces what follows, the next line, too."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [""]
    return f"{type(error).__name__}: {' '.join(lines[: 1 + lines[0].endswith(':')])}"


def _suggestion(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, [str(k) for k in known], 1)
    return f"; did you mean `{close[0]}`?" if close else ""
