"""How many labels change with the precision of the teacher's network: a sample of a dataset, labelled twice."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config

import lsu_onto
from lsu_onto import read_raster
from lsu_seg.audit.draw import seed_of
from lsu_seg.errors import ConfigError
from lsu_seg.layout.pairs import find_pairs
from lsu_seg.openmmlab.config import is_type
from lsu_seg.pseudo.errors import check_compared
from lsu_seg.pseudo.records import FILES, read_records
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.runtime.telling import told_once


class Changed(NamedTuple):
    """What another precision than fp32 makes of a dataset's labels.

    Attributes:
        split: the dataset and the split. precision: the other one. images: those that were labelled. of: the dataset's.
        asked: pixels that the teacher was asked about. changed: those of them that have another label.
        speed, speed_fp32: images a second.
    """

    split: str
    precision: str
    images: int
    of: int
    asked: int
    changed: int
    speed: float
    speed_fp32: float

    def __str__(self) -> str:
        share = 100 * self.changed / max(1, self.asked)
        return (
            f"{self.split}: {self.precision} instead of fp32, on {self.images} of {self.of} images: another label"
            f" for {share:.2g} % of the {self.asked} pixels that the teacher was asked about; {self.speed:.3g}"
            f" images/s instead of {self.speed_fp32:.3g}"
        )


def compare_precision(cfg: Config, checkpoint: str | Path | None, images: int) -> Changed:
    """Label so many images of a dataset, drawn by hashes of their names, with the config's precision and with fp32.

    Nothing is kept.

    Raises:
        ConfigError: the config has no other precision than fp32. UserError: as for `pseudo_label`.
    """
    dataset: Any = (cfg.get("test_dataloader") or {}).get("dataset")
    own = [t.get("precision") for t in (cfg.get("model") or {}).get("teachers") or ()]  # of an ensemble
    named = (cfg.get("test_cfg") or {}).get("precision")
    others = {p for p in (*own, named) if p not in (None, "fp32")}
    precision = "+".join(sorted(others))
    check_compared(precision or named)
    if not is_type(dataset, "TaxDataset"):
        raise ConfigError("`test_dataloader.dataset` is no TaxDataset, so there are no images to compare precisions on")
    constraint = lsu_onto.load(dataset.taxonomy, dataset.get("source"), dataset.get("paths", ()))
    split = dataset.get("split", "train")
    pairs = find_pairs(dataset.data_root, constraint.layout, split)
    chosen = sorted(sorted(range(len(pairs)), key=lambda i: seed_of(pairs[i].key))[:images])
    with told_once(), tempfile.TemporaryDirectory(prefix="lsu-seg-", ignore_cleanup_errors=True) as folder:
        roots = {name: Path(folder) / name for name in (precision, "fp32")}
        speeds = {}
        # What a device lacks is refused at once, and the first image of a process, which takes several times as long as
        # others, counts for neither speed.
        for name, root, some in (
            (precision, Path(folder) / "first", chosen[:1]),
            *((name, root, chosen) for name, root in roots.items()),
        ):
            one = copy.deepcopy(cfg)
            one.work_dir, one.launcher = str(Path(folder) / f"log-{root.name}"), "none"
            one.test_cfg.update(out_dir=str(root), raw_dir=None, confidence=False, soft=0, precision=named or "fp32")
            if name == "fp32":
                one.test_cfg.precision = name
                for teacher in one.model.get("teachers") or ():
                    teacher.pop("precision", None)
            one.test_cfg.title = f"labels of {name}" if name == root.name else f"first image of {name}, not timed"
            one.test_dataloader.dataset.indices = some
            speeds[name] = pseudo_label(one, checkpoint, quiet=True)["images_per_second"]
        records = list(read_records(roots["fp32"]))
        changed = sum(_changed(*(root / FILES["label"].format(r["key"]) for root in roots.values())) for r in records)
    asked = sum(record["asked"] for record in records)
    name = f"{constraint.dataset} {split}"
    return Changed(name, precision, len(records), len(pairs), asked, changed, speeds[precision], speeds["fp32"])


def _changed(one: Path, other: Path) -> int:
    return int(np.count_nonzero(read_raster(one).array != read_raster(other).array))
