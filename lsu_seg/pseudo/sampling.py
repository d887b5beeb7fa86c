"""A sample for an audit where there is no labelling run yet: a teacher is asked about a few hundred images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

import lsu_onto
from lsu_onto import Constraint
from lsu_seg.audit.draw import seed_of
from lsu_seg.audit.sample import load_sample
from lsu_seg.label_files import LabelReader, size_and_time
from lsu_seg.layout.pairs import DatasetError, Pair, find_pairs
from lsu_seg.models.weights import weights_path
from lsu_seg.openmmlab.config import merge
from lsu_seg.openmmlab.parts import check_parts, models_in, weights_in
from lsu_seg.pseudo.audited import Audited
from lsu_seg.pseudo.inputs import modules_sha256, weights_by_code
from lsu_seg.pseudo.oneline import pseudo_label_config, short_name
from lsu_seg.pseudo.run import check_loop, pseudo_label
from lsu_seg.pseudo.sample import check_classes, read_sample
from lsu_seg.runtime.canonical import canonical_json
from lsu_seg.runtime.home import at_home
from lsu_seg.teachers.calibration import calibration_file

_LABELS = "labels-of-the-sample"


def drawn_sample(
    work: Path,
    name: str,
    source: str | None,
    paths: Sequence[str],
    data_root: str,
    teacher: str,
    checkpoint: str | None = None,
    split: str | None = None,
    images: int = 300,
    unknown: str = "error",
    options: Mapping[str, Any] | None = None,
) -> Audited:
    """The sample of a teacher, kept in a folder of its own in `work`, where a further audit reads it.

    What was kept is used if dataset, teacher and images are the same, whatever the map says. A run that was stopped
    goes on.

    Args:
        name, source, paths: the map, as for `lsu_onto.load`.
        teacher, checkpoint, unknown: as for `pseudo_label_config`.
        split: None stands for `train`, or for the only split.
        images: number of images to draw, by hashes of their keys.
        options: changes of the config's keys, as for `merge`.

    Raises:
        UserError: as for `pseudo_label_config` and `pseudo_label`. DatasetError: there is no image.
    """
    constraint = lsu_onto.load(name, source, paths)
    splits = list(constraint.layout.splits)
    if split is None:
        split = splits[0] if len(splits) == 1 else "train"
    cfg = pseudo_label_config(
        name, data_root, teacher, checkpoint, _LABELS, source, split, unknown=unknown, paths=list(paths)
    )
    cfg.test_cfg.title = f"asking about {constraint.dataset}"  # not the name of the map's file: it is in the key
    merge(cfg, options or {})
    check_parts(cfg)
    check_loop(cfg)
    pairs = find_pairs(data_root, constraint.layout, split)
    if not pairs:
        raise DatasetError(f"{data_root}: `{short_name(name)}` has no images there to draw a sample from")
    chosen = sorted(sorted(range(len(pairs)), key=lambda i: (seed_of(pairs[i].key), pairs[i].key))[:images])
    reader = LabelReader(constraint, unknown=unknown, root=data_root, split=split)
    of_teachers = [
        file for model, own in models_in(cfg.model) for path in (weights_in(model), own) for file in _files(path)
    ]
    of_teachers += _calibrations(cfg, checkpoint)
    files = [*reader.tables(), *of_teachers, *_files(checkpoint)]
    key = _key(cfg, checkpoint, constraint, [pairs[i] for i in chosen], files)
    folder = work / f"{constraint.dataset}-{constraint.source}-{split}-{key}"
    labelling = folder / f"map-{constraint.content_sha256()[:8]}"
    sample = load_sample(folder / "sample.npz") if (folder / "sample.npz").is_file() else None
    if sample is None:
        cfg.merge_from_dict(
            {
                "work_dir": str(labelling / "log"),
                "launcher": "none",
                "test_cfg.out_dir": str(labelling / _LABELS),
                # The teacher is asked for every pixel where its own labels are wanted, too, and the page shows them.
                "test_cfg.raw_dir": str(labelling / "teacher"),
                "test_cfg.keep_windows": True,
                "test_dataloader.dataset.indices": chosen,
            }
        )
        pseudo_label(cfg, checkpoint, quiet=True)
        sample = replace(read_sample(labelling / _LABELS), images=len(pairs))
        sample.save(folder / "sample.npz")
    else:
        check_classes(folder, sample, constraint)
        if not labelling.exists():  # made under another map
            labelling = next(iter(sorted(folder.glob("map-*"))), labelling)
    labels, raw = labelling / _LABELS, labelling / "teacher"
    return Audited(name, source, tuple(paths), constraint, sample, (split,) if splits else (), labels, raw)


def _key(
    cfg: Config, checkpoint: str | None, constraint: Constraint, pairs: Iterable[Pair], files: Iterable[Path]
) -> str:
    """A hash of all that a sample depends on. Files count by their names, sizes and times; code by what it says."""
    parts: list[Any] = [
        lsu_onto.__version__,
        constraint.content_sha256("labels"),
        constraint.source_classes,
        {key: cfg.get(key) for key in ("model", "data_preprocessor", "custom_imports", "test_cfg")},
        modules_sha256(cfg),
        weights_by_code(cfg.model) if checkpoint is None else "",
        {key: value for key, value in cfg.test_dataloader.dataset.items() if key in ("split", "unknown", "pipeline")},
        [(str(path.absolute()), *size_and_time(path)) for path in files],
    ]
    parts += [(pair.key, *size_and_time(pair.image), *size_and_time(pair.label)) for pair in pairs]
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:10]


def _calibrations(cfg: Config, checkpoint: str | None) -> list[Path]:
    """The files with the temperatures of the teachers."""
    given = cfg.test_cfg.get("calibration")
    settings: list[Any] = cfg.model.get("teachers") or [{}]  # those of an ensemble may have files of their own
    found = [
        calibration_file(
            weights_path(model, own or checkpoint), given if one.get("calibration") is None else one["calibration"]
        )
        for one, (model, own) in zip(settings, models_in(cfg.model), strict=True)
    ]
    return [file for file in found if file is not None]


def _files(path: str | None) -> list[Path]:
    """The files of weights: a checkpoint, or all those in a folder."""
    if path is None:
        return []
    own = at_home(path)
    files = own.iterdir() if own.is_dir() else [own]
    return sorted(file for file in files if file.is_file())
