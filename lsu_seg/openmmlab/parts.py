"""The parts that every config must have, and their shapes, checked before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator

from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.config import hooks_of, is_type
from lsu_seg.openmmlab.keys import paths_of, read_keys

_MOST = 10**12
"""More steps than any training takes, and fewer than mmengine can say the end of."""
_LARGEST_SEED = 2**31 - 1
"""numpy takes seeds of 32 bits, and mmengine adds numbers of ranks and processes."""
_MOST_WORKERS = 512
"""Ctrl-C waits until all are started, which takes some hundredths of a second each."""
_OTHER_LOOPS = {
    "train_cfg": ("ValLoop", "TestLoop"),
    "val_cfg": ("IterBasedTrainLoop", "EpochBasedTrainLoop", "TestLoop"),
}
"""What mmengine builds where it takes a loop of another kind, and what fails in its first step."""
_COUNTS = ("max_iters", "max_epochs", "val_interval")
"""Of a training's loop. Schedules of the learning rate follow from them, and would be blamed."""
_ALONE = ("OntologyHook", "DivergenceHook", "TeacherRefreshHook", "EMAHook")
"""Hooks that exchange, or count, what belongs to the whole training."""


def check_parts(cfg: Config) -> None:
    """Refuse a config without what every run needs, or with parts of another shape."""
    if not isinstance(cfg.get("model"), dict):
        raise ConfigError(f"{cfg.filename} has no `model = dict(type=…, …)`: nothing to run")
    scope = cfg.get("default_scope", "mmseg")
    if scope is not None and not (isinstance(scope, str) and scope):
        raise ConfigError(f"`default_scope` is {scope!r}; expected a package's name: write `default_scope = 'mmseg'`")
    environment = cfg.get("env_cfg") or {}
    _need_dict("env_cfg", environment)
    for key in ("mp_cfg", "dist_cfg"):
        _need_dict(f"env_cfg.{key}", environment.get(key) or {})
    if own := cfg.get("custom_imports"):
        names = own.get("imports") if isinstance(own, dict) else None
        if not all(isinstance(name, str) for name in (names if isinstance(names, (list, tuple)) else [names])):
            raise ConfigError(f"`custom_imports` is {own!r}; expected `dict(imports=['a_module'])`")
    _check_model(cfg.model)
    for key in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if cfg.get(key) is not None:
            _check_loader(key, cfg[key])
    random = cfg.get("randomness")
    seed = random.get("seed") if isinstance(random, dict) else None
    if isinstance(seed, Integral) and not 0 <= int(seed) <= _LARGEST_SEED:
        raise ConfigError(f"`randomness.seed` is {seed!r}; expected a whole number from 0 to {_LARGEST_SEED}")
    loop = cfg.get("train_cfg")
    for key in _COUNTS if isinstance(loop, dict) else ():
        value = loop.get(key, 1)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 1 or value % 1:
            raise ConfigError(f"`train_cfg.{key}` is {value!r}; expected a whole number, 1 or more")
        if value > _MOST:
            raise ConfigError(f"`train_cfg.{key}` is {value!r}; expected a whole number, {_MOST} or less")
    for key, kinds in _OTHER_LOOPS.items():
        if is_type(cfg.get(key), *kinds):
            own = "`IterBasedTrainLoop` or `EpochBasedTrainLoop`" if key == "train_cfg" else "`ValLoop`"
            raise ConfigError(f"`{key}.type` is {cfg[key]['type']!r}; expected {own}")
    if (norms := cfg.get("sync_bn")) not in (None, "torch", "mmcv"):
        raise ConfigError(f"`sync_bn` is {norms!r}; expected 'torch' or 'mmcv'")
    wrapper = cfg.get("optim_wrapper")
    counts = wrapper.get("accumulative_counts", 1) if isinstance(wrapper, dict) else 1
    if not _is_count(counts, 1):  # mmengine takes 2.5 for one step in five batches
        raise ConfigError(f"`optim_wrapper.accumulative_counts` is {counts!r}; expected a whole number, 1 or more")
    for key in read_keys() & set(cfg):
        _check_ours(key, cfg[key])
    hooks = cfg.get("custom_hooks") or []
    if not isinstance(hooks, (list, tuple)) or not all(isinstance(hook, dict) for hook in hooks):
        raise ConfigError(f"`custom_hooks` is {hooks}; expected a list: `custom_hooks = [dict(type=…, …)]`")
    for kind in _ALONE:
        if sum(is_type(hook, kind) for hook in hooks_of(cfg)) > 1:
            raise ConfigError(
                f"the config has several hooks of the type `{kind}`, which would undo each other: keep one"
            )
    judges = _several(cfg.get("val_evaluator"))
    if not all(isinstance(part, (Mapping, BaseMetric, Evaluator)) for part in judges):
        what = "`dict(type='OntologyIoU', source=…)`, or a list of such"
        raise ConfigError(f"`val_evaluator` is {cfg.val_evaluator!r}; expected {what}")


def _check_ours(path: str, part: Any) -> None:
    """Check the names in what reads taxonomies, at any depth: they are looked up before anything is built.

    And settings with which OpenCV ends the process, and a sampler looks for images for ever: no tiles, no repetitions.
    """
    if is_type(part, "RepeatDataset") and not _is_count(part.get("times", 1), 1):
        raise ConfigError(f"`{path}.times` is {part['times']!r}; expected a whole number, 1 or more")
    tiles = part.get("tile_grid_size") if is_type(part, "CLAHE") else None
    if isinstance(tiles, (list, tuple)) and any(isinstance(side, Integral) and int(side) < 1 for side in tiles):
        raise ConfigError(f"`{path}.tile_grid_size` is {tiles!r}; expected two whole numbers, 1 or more")
    if is_type(part, "TaxDataset", "CompoundDataset", "OntologyIoU"):
        for key, expected in wrong_names(part):
            raise ConfigError(f"`{path}.{key}` is {part[key]!r}; expected {expected}")
    parts = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, (list, tuple)) else ()
    for name, inside in parts:
        _check_ours(f"{path}.{name}", inside)


def wrong_names(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The arguments of a class of ours that should be names or folders and are not, with what was expected.

    >>> list(wrong_names({"taxonomy": "idd", "source": None, "split": 3}))
    [('split', 'a text')]
    """
    for key in ("taxonomy", "data_root", "split", "source", "labels"):
        left_out = key not in part or (part[key] is None and key in ("source", "labels"))
        if not left_out and not isinstance(part[key], (str, Path)):
            yield key, "a text"
    paths = part.get("paths") or ()
    if not isinstance(paths, (list, tuple)) or not all(isinstance(path, (str, Path)) for path in paths):
        yield "paths", "a list of folders"


def check_work_dir(cfg: Config) -> None:
    """Refuse a work folder that is no path."""
    if not isinstance(cfg.work_dir, (str, Path)):
        raise ConfigError(f"`work_dir` is {cfg.work_dir!r}; expected a folder, as in `work_dir = 'work/NAME'`")


def models_in(model: Any) -> list[tuple[Any, str | None]]:
    """The models of a config, each with its own checkpoint: those of an `Ensemble`, or else the model itself.

    >>> models_in({"type": "Ensemble", "teachers": [{"model": {"type": "A"}, "checkpoint": "a.pth"}]})
    [({'type': 'A'}, 'a.pth')]
    """
    if not is_type(model, "Ensemble"):
        return [(model, None)]
    teachers = model.get("teachers")
    several = teachers if isinstance(teachers, (list, tuple)) else ()
    return [
        (t["model"], t.get("checkpoint"))
        for t in several
        if isinstance(t, Mapping) and isinstance(t.get("model"), Mapping)
    ]


def weights_in(model: Mapping[str, Any]) -> str | None:
    """What brings the weights of a model that needs no checkpoint: a folder, a file, or the function that makes it.

    >>> weights_in({"type": "HFSegmentor", "hf": {"pretrained": "weights/segformer"}})
    'weights/segformer'
    """
    own = hf.get("pretrained") if isinstance(hf := model.get("hf"), Mapping) else None
    if is_type(model, "TorchSegmentor"):
        own = model.get("checkpoint") or model.get("factory")
    return None if own is None else str(own)


def _check_model(model: Any) -> None:
    if not isinstance(model.get("hf") or {}, dict):
        raise ConfigError(f"`model.hf` is {model.hf!r}; expected `dict(pretrained='FOLDER')`, or `dict(model=…, …)`")
    for key in ("train_cfg", "test_cfg"):
        if not isinstance(model.get(key) or {}, Mapping):
            raise ConfigError(f"`model.{key}` is {model[key]!r}; expected `dict(…)`")
    _check_mode(model)
    for key in ("backbone", "neck", "decode_head", "auxiliary_head"):
        for part in _several(model.get(key)):
            if not isinstance(part, Mapping):
                raise ConfigError(f"`model.{key}` is {model[key]!r}; expected `dict(type=…, …)`")
            if not all(isinstance(loss, Mapping) for loss in _several(part.get("loss_decode"))):
                raise ConfigError(f"`model.{key}.loss_decode` is {part['loss_decode']!r}; expected `dict(type=…, …)`")
    for path in paths_of(model, "num_classes"):
        value: Any = model
        for key in path.split("."):
            value = value[int(key)] if isinstance(value, (list, tuple)) else value[key]
        if value is not None and not _is_count(value, 1):
            raise ConfigError(f"`model.{path}` is {value!r}; expected how many classes there are, a whole number")


def _check_mode(model: Any) -> None:
    """MMSegmentation looks at the mode of its segmentors when the first image is predicted: in a training's validation,
    that is after hours."""
    test = model.get("test_cfg") or {}
    mode = test.get("mode", "whole")
    if is_type(model, "EncoderDecoder", "CascadeEncoderDecoder") and mode not in ("whole", "slide"):
        raise ConfigError(f"`model.test_cfg.mode` is {mode!r}; expected 'whole' or 'slide'")
    for key in ("crop_size", "stride") if mode == "slide" else ():
        sides = test.get(key)
        if not isinstance(sides, (list, tuple)) or len(sides) != 2 or not all(_is_count(side, 1) for side in sides):
            raise ConfigError(
                f"`model.test_cfg.{key}` is {sides!r}; expected height and width for `mode='slide'`, such as (512, 512)"
            )


def _several(part: Any) -> list[Any]:
    """The parts where there may be one, several, or none."""
    return list(part) if isinstance(part, (list, tuple)) else [part] if part else []


def _need_dict(path: str, part: Any) -> None:
    if not isinstance(part, dict):
        raise ConfigError(f"`{path}` is {part!r}; expected `dict(…)`")


def _check_loader(key: str, loader: Any) -> None:
    """A dataloader makes some mistakes known only when the first batch is loaded, in the validation after hours."""
    if not (isinstance(loader, dict) and isinstance(loader.get("dataset"), dict)):
        raise ConfigError(f"`{key}` has no `dataset`: write `{key} = dict(dataset=dict(type=…), batch_size=…, …)`")
    for name, least in (("batch_size", 1), ("num_workers", 0)):
        if not _is_count(loader.get(name, least), least):
            raise ConfigError(f"`{key}.{name}` is {loader[name]!r}; expected a whole number, {least} or more")
    batches = loader.get("num_batch_per_epoch")
    if batches is not None and not _is_count(batches, 1):
        raise ConfigError(f"`{key}.num_batch_per_epoch` is {batches!r}; expected a whole number, 1 or more")
    if loader.get("num_workers", 0) > _MOST_WORKERS:
        raise ConfigError(f"`{key}.num_workers` is {loader['num_workers']}; expected {_MOST_WORKERS} or fewer")
    for name in ("sampler", "batch_sampler"):
        if isinstance(loader.get(name), (bool, int, float, str, list, tuple)):  # anything else may be a sampler itself
            raise ConfigError(f"`{key}.{name}` is {loader[name]!r}; expected `dict(type=…, …)`")


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least
