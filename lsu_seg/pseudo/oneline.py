"""The config of a pseudo-label run, made from a dataset's name and a teacher: what the one-line command runs."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, Literal

from mmengine.config import Config

import lsu_onto
from lsu_onto import Constraint
from lsu_seg.errors import ConfigError
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.models.ensemble import KEYS, check_settings, named
from lsu_seg.models.factory import is_factory
from lsu_seg.models.hf_models import PROMPTED, architecture
from lsu_seg.models.hub import CONFIG, check_no_address, described, hub_name, pinned
from lsu_seg.openmmlab.config import LOAD, load_config, merge, renamed
from lsu_seg.openmmlab.parts import weights_in
from lsu_seg.runtime.home import at_home

CONFIG_SUFFIXES = (".py", ".yaml", ".yml", ".json")
"""Suffixes of MMSegmentation's configs."""

TEACHER_KEYS = ("custom_imports", "default_scope", "env_cfg", "model", "data_preprocessor")
"""What is read of a teacher's config; mmengine gives its `data_preprocessor` to a model that has none."""


_LISTED = ("teacher", "set", "flip", *(key for key in KEYS if key != "model"))
"""Keys of a teacher in a file that lists several."""


def pseudo_label_configs(
    taxonomy: str,
    data_root: str,
    teacher: str,
    checkpoint: str | None,
    output: str,
    source: str | None = None,
    splits: Sequence[str] = ("train",),
    paths: Sequence[str] = (),
    **options: Any,
) -> list[Config]:
    """The config of each split, all for the same output folder; see `pseudo_label_config`.

    Raises:
        DatasetError: several splits are given, and the taxonomy has none.
    """
    if len(splits) > 1 and not lsu_onto.load(taxonomy, source, paths).layout.splits:
        raise DatasetError(
            f"`{taxonomy}` has no `splits:`, so its images are labelled all at once: leave `--split` out"
        )
    configs = [
        pseudo_label_config(taxonomy, data_root, teacher, checkpoint, output, source, split, paths=paths, **options)
        for split in splits
    ]
    if len(configs) == 1:
        return configs
    for cfg, split in zip(configs, splits, strict=True):
        cfg.test_cfg.title += f", {split}"
    return [renamed(cfg, f"{short_name(taxonomy)}-{split}") for cfg, split in zip(configs, splits, strict=True)]


def pseudo_label_config(
    taxonomy: str,
    data_root: str,
    teacher: str,
    checkpoint: str | None,
    output: str,
    source: str | None = None,
    split: str = "train",
    scales: Sequence[float] = (1.0,),
    flip: bool = True,
    threshold: float | None = None,
    confidence: bool = False,
    unknown: str = "error",
    precision: str | None = None,
    calibration: str | Literal[False] | None = None,
    paths: Sequence[str] = (),
) -> Config:
    """An MMSeg config whose test run, with `checkpoint`, pseudo-labels one split of a dataset.

    Args:
        taxonomy, source, paths: as for `lsu_onto.load`.
        data_root: the dataset's folder.
        teacher: a config of MMSegmentation; or a Hugging Face folder; or the name of a model on a Hugging Face hub,
            `owner/name[@revision]`; or a checkpoint of data-priors; or a function that makes a network, as
            `TorchSegmentor` takes it; or a file that lists several of them as `teachers`.
        checkpoint: the checkpoint of the config, or of the network; None if the teacher brings its own weights.
        output: folder of the labels.
        split: the split to label.
        scales, threshold, confidence, precision, calibration: as for `PseudoLabelLoop`.
        flip: also look at the mirrored image at every scale.
        unknown: as for `TaxDataset`.

    Raises:
        ConfigError: the teacher is none of these. TeacherError: a hub does not give it. DatasetError: the split does
            not exist. TaxonomyError: see `lsu_onto.load`.

    >>> cfg = pseudo_label_config("demo_town", "data/town", "data/weights/segformer", None, "out", source="demo")
    >>> cfg.model.to_dict(), cfg.test_cfg.type
    ({'type': 'HFSegmentor', 'hf': {'pretrained': 'data/weights/segformer'}}, 'PseudoLabelLoop')
    """
    splits = lsu_onto.load(taxonomy, source, paths).layout.splits
    if splits and split not in splits:
        raise DatasetError(f"`{taxonomy}` has no split `{split}`; it has {', '.join(splits)}")
    config = _teacher_config(teacher, checkpoint, lambda: lsu_onto.load(taxonomy, source, paths), paths)
    if isinstance(config["model"], list):
        c = lsu_onto.load(taxonomy, source, paths)
        own = source or f"{c.source} {c.source_version}"
        config["model"] = dict(type="Ensemble", source=own, paths=list(paths), teachers=config["model"])
    dataset: dict[str, Any] = dict(
        type="TaxDataset",
        taxonomy=taxonomy,
        data_root=data_root,
        split=split,
        unknown=unknown,
        pipeline=[dict(type=step) for step in LOAD],
    )
    if source:
        dataset["source"] = source
    if paths:
        dataset["paths"] = list(paths)
    loop: dict[str, Any] = dict(
        type="PseudoLabelLoop",
        out_dir=output,
        scales=list(scales),
        flips=[False, True] if flip else [False],
        title=f"pseudo-labels of {short_name(taxonomy)}",
    )
    if threshold is not None:
        loop["threshold"] = threshold
    if confidence:
        loop["confidence"] = True
    if precision is not None:
        loop["precision"] = precision
    if calibration is not None:
        loop["calibration"] = calibration
    config["test_dataloader"] = dict(
        batch_size=1, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False), dataset=dataset
    )
    config["test_cfg"] = loop
    # mmengine stores the config under this name in the work folder, from where it can be run again.
    return Config(config, cfg_text="#", filename=f"{short_name(taxonomy)}.py")


def short_name(taxonomy: str) -> str:
    """A taxonomy's name for titles and files: its own, or that of its file.

    >>> short_name("tax/farm.tax"), short_name("tax/farm"), short_name("vistas@v1.2")
    ('farm', 'farm', 'vistas@v1.2')
    """
    return Path(taxonomy).stem if taxonomy.endswith((".tax", ".npz")) else Path(taxonomy).name


def _teacher_config(
    teacher: str,
    checkpoint: str | None,
    constraint: Callable[[], Constraint],
    paths: Sequence[str] = (),
    file: str | None = None,
) -> dict[str, Any]:
    """The part of the config that concerns the teacher.

    Args:
        constraint: what it says of the source's classes in words. file: the one that lists it among other teachers.
    """
    if is_factory(teacher):
        return _by_lsu_seg(dict(type="TorchSegmentor", factory=teacher))
    check_no_address(teacher)
    is_config = Path(teacher).suffix in CONFIG_SUFFIXES
    hub = hub_name(teacher)
    if not is_config and checkpoint and not hub and not at_home(teacher).exists():
        raise ConfigError(
            f"there is no `{teacher}`; expected for `--teacher` a config of MMSegmentation, a folder of"
            " Hugging Face or a name on its hub, a checkpoint of data-priors, or a function that makes a network:"
            " `file.py:function`"
        )
    if not is_config and checkpoint:
        what = "a model of a hub" if hub else "a folder or a checkpoint of data-priors"
        raise ConfigError(
            f"`--teacher {teacher} --checkpoint {checkpoint}`: {what} brings its own"
            f" weights, so leave `--checkpoint` out; a config ends in {', '.join(CONFIG_SUFFIXES)}"
        )
    if not is_config:
        commit = pinned(hub) if hub else None  # looked up once: what follows finds the commit in the cache
        folder = described(commit) if commit else at_home(teacher)
        hf = dict(pretrained=str(commit or teacher))
        if (folder / CONFIG).is_file() and architecture(folder) in PROMPTED:
            c = constraint()
            prompts = dict(classes=list(c.source_classes), prompts=[list(texts) for texts in c.source_prompts])
            return _by_lsu_seg(dict(type="PromptSegmentor", hf=hf, **prompts))
        return _by_lsu_seg(dict(type="HFSegmentor", hf=hf))
    _check_no_network(Path(teacher))
    cfg = load_config(teacher)
    if "teachers" in cfg and "model" not in cfg:
        if file is not None:
            raise ConfigError(f"{teacher} lists teachers itself: write them into {file}")
        return ensemble_config(teacher, checkpoint, cfg.to_dict(), constraint, paths)
    if not isinstance(cfg.get("model"), dict):
        raise ConfigError(f"{teacher} has no `model = dict(type=…, …)`, so it is no teacher's config")
    if checkpoint is None and weights_in(cfg.model) is None:
        raise ConfigError(f"`--teacher {teacher}` is a config; give its weights, too: --checkpoint FILE")
    kept = {k: v for k, v in cfg.to_dict().items() if k in TEACHER_KEYS}
    imports = kept.get("custom_imports") or {}
    kept["custom_imports"] = {**imports, "imports": list(dict.fromkeys([*_imported(imports, teacher), "lsu_seg"]))}
    return {"default_scope": "mmseg", "log_level": "WARNING", **kept}


def ensemble_config(
    file: str,
    checkpoint: str | None,
    listed: Mapping[str, Any],
    constraint: Callable[[], Constraint],
    paths: Sequence[str] = (),
) -> dict[str, Any]:
    """The config of a file that lists several teachers; `model` is the list of `Ensemble.teachers`.

    Args:
        file: for messages. checkpoint: must be None, because each teacher has its own.
        listed: what the file says: `teachers`, each with `teacher` and `checkpoint` as on the command line, `set`,
            which changes keys of its config, and the settings of an `Ensemble`'s teacher.
        constraint: of the labels, whose source says what its classes look like.
        paths: where taxonomies are searched first.
    """
    if checkpoint is not None:
        raise ConfigError(f"`--checkpoint {checkpoint}`: in {file}, each teacher has its own `checkpoint`")
    teachers = listed["teachers"]
    if not isinstance(teachers, list) or not teachers or not all(isinstance(one, dict) for one in teachers):
        raise ConfigError(f"{file}: `teachers` is {teachers!r}; expected a list of `teacher: …, checkpoint: …`")
    if more := [key for key in listed if key not in ("teachers", "custom_imports")]:
        raise ConfigError(f"{file}: nothing reads the key `{more[0]}` beside `teachers`")
    out: list[dict[str, Any]] = []
    imports: list[str] = _imported(listed.get("custom_imports"), file)
    for i, given in enumerate(teachers):
        one, where = dict(given), f"{file}: `teachers.{i}`"
        check_settings(one, f"`teachers.{i}` of {file}", _LISTED)
        who, weights, changes = one.pop("teacher", None), one.pop("checkpoint", None), one.pop("set", None) or {}
        if not isinstance(who, str) or not who:
            raise ConfigError(f"{where} has `teacher: {who}`; expected what `--teacher` takes")
        if not isinstance(weights, (str, NoneType)) or weights == "":
            raise ConfigError(f"{where} has `checkpoint: {weights}`; expected a file")
        if not isinstance(changes, dict) or not all(isinstance(key, str) for key in changes):
            raise ConfigError(f"{where} has `set: {changes}`; expected keys of its config, `set: {{model.KEY: VALUE}}`")
        if "flip" in one:  # as on the command line
            flip = one.pop("flip")
            if not isinstance(flip, bool) or "flips" in one:
                raise ConfigError(f"{where} has `flip: {flip}`; expected true or false, and no `flips` beside it")
            one["flips"] = [False, True] if flip else [False]
        try:
            described = partial(_described, one.get("source"), constraint, paths)
            cfg = Config(_teacher_config(who, weights, described, file=file), filename=file)
            merge(cfg, changes)
        except ConfigError as e:
            raise ConfigError(f"{where}: {e}") from e
        for key in ("model", "custom_imports", "data_preprocessor"):
            if not isinstance(cfg.get(key), Mapping) and (key in changes or cfg.get(key) is not None):
                raise ConfigError(f"{where}: `{key}` is {cfg.get(key)!r}; expected `dict(…)`")
        model = cfg.model.to_dict()
        if cfg.get("data_preprocessor") is not None:
            model.setdefault("data_preprocessor", cfg.data_preprocessor.to_dict())
        imports += _imported(cfg.custom_imports, where)
        name = one.pop("name", None) or _name(who, weights)
        taken = {other["name"] for other in out}
        out.append(dict(name=name if name not in taken else f"{name}-{i + 1}", model=model, checkpoint=weights, **one))
    named(out)  # which looks at all of their settings
    config = _by_lsu_seg({})
    return {**config, "model": out, "custom_imports": dict(imports=list(dict.fromkeys([*imports, "lsu_seg"])))}


def _described(source: str | None, constraint: Callable[[], Constraint], paths: Sequence[str]) -> Constraint:
    """What says what the classes of a teacher look like."""
    return constraint() if source is None else lsu_onto.load(source, source, paths)


def _name(teacher: str, checkpoint: str | None) -> str:
    """What a teacher is called: as its weights, or as what it is made from.

    >>> _name("nets/mine.py:build", "work/city_2.0.pth"), _name("nvidia/segformer-b5@main", None)
    ('city_2.0', 'segformer-b5')
    """
    if checkpoint:
        return Path(checkpoint).stem
    return Path(teacher).stem if is_factory(teacher) else Path(teacher.partition("@")[0]).name


def _check_no_network(file: Path) -> None:
    """Refuse a file with a function that makes a network, where the function is not named.

    To read it as a config would run it, and show what mmengine makes of its imports.
    """
    try:
        with lsu_onto.open_to_read(file) as code:
            tree = ast.parse(code.read())
        reads_base = "read_base" in ast.dump(tree)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):  # whoever reads it as a config says so
        return
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    assigned = {target.id for target in targets if isinstance(target, ast.Name)}
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if functions and file.suffix == ".py" and not assigned & {"model", "_base_", "teachers"} and not reads_base:
        raise ConfigError(
            f"{file} has no `model = dict(type=…, …)`, so it is no teacher's config; if one of its functions makes a"
            f" network, name it: --teacher {file}:{functions[-1]}"
        )


def _by_lsu_seg(model: dict[str, Any]) -> dict[str, Any]:
    imports = dict(imports=["lsu_seg"])
    return dict(custom_imports=imports, default_scope="mmseg", log_level="WARNING", model=model)


def _imported(custom_imports: Any, where: str) -> list[str]:
    """The modules that a config has imported."""
    stated = (custom_imports or {}).get("imports") if isinstance(custom_imports or {}, Mapping) else custom_imports
    names = [stated] if isinstance(stated, str) else stated or []
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{where}: `custom_imports` has {stated!r}; expected `dict(imports=['module', …])`")
    return list(names)
