"""What do a student's recipes bring on real images? Copy-paste, rare classes, categories and colours on CamVid.

    python tools/experiments/camvid_recipes.py --data-root CAMVID --work-dir work/recipes

The teacher, the pseudo-labels and the student *set* are those of `camvid.py`. For every seed, this student is trained
once as it is, and once with each recipe alone; all take equally many iterations. Judged by mIoU in CamVid's eleven
classes on the val split, and by the mean IoU of its rare ones. Finished parts are kept: the same command goes on where
it was stopped, and one per seed may run at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: a second thread brings little here

import torch
from camvid import CONFIG, SOURCE, Clock, Seed, coarsen, fine_frames
from mmengine.config import Config

import lsu_onto
from lsu_onto import __version__, write_atomic
from lsu_seg.errors import UserError
from lsu_seg.layout.pairs import find_pairs
from lsu_seg.openmmlab.config import load_config

RARE = ("pole", "sign_symbol", "fence", "pedestrian", "bicyclist")
"""Each has less than 1.2 % of the pixels."""


def _steps(cfg: Config) -> list[Any]:
    steps: list[Any] = cfg.train_dataloader.dataset.pipeline
    return steps


def _replace(cfg: Config, kind: str, new: str) -> None:
    (step,) = (step for step in _steps(cfg) if step.type == kind)
    step.type = new


def rare(cfg: Config) -> None:
    cfg.train_dataloader.dataset.rare_classes = 0.01
    _replace(cfg, "TaxRandomCrop", "RareClassCrop")


def oversampled(cfg: Config) -> None:
    cfg.train_dataloader.dataset.oversample_thr = 1.0


def copy_paste(cfg: Config) -> None:
    cfg.train_dataloader.dataset.copy_paste = 0.01
    _replace(cfg, "TaxRandomCrop", "RareClassCrop")
    place = [step.type for step in _steps(cfg)].index("RandomFlip")
    _steps(cfg).insert(place + 1, dict(type="TaxCopyPaste", prob=0.5))


def category(cfg: Config) -> None:
    head = cfg.model.decode_head
    head.loss_decode = [head.loss_decode, dict(type="CategoryLoss", source=SOURCE)]


def colour(cfg: Config) -> None:
    _replace(cfg, "TaxPhotoMetricDistortion", "RandAugmentColour")


RECIPES: dict[str, Callable[[Config], None]] = {
    "set": lambda cfg: None,
    "rare": rare,
    "oversampled": oversampled,
    "copy_paste": copy_paste,
    "category": category,
    "colour": colour,
}
"""Name → the change of the config of the student *set*."""


class Student(Seed):
    """The students of one seed."""

    def recipes(self, clock: Clock, only: Sequence[str]) -> dict[str, Any]:
        """The results of teacher and students by name."""
        self.clock = clock
        out = {"teacher": self.model("teacher", [])}
        _, key = self.labels(("constrained", "raw"), Path(out["teacher"]["checkpoint"]), confidence=True)
        sets = {**self.coarse, "labels": self.folder("constrained"), "unsure": self.unsure}
        for name in only:
            out[name] = self.model(name, [sets], key, RECIPES[name])
        return out


def experiment(
    cfg: Config, root: Path, work: Path, seeds: Sequence[int], fine: int, only: Sequence[str]
) -> dict[str, Any]:
    """Run everything, or reuse it; returns what `results.json` holds.

    Args:
        cfg: `configs/camvid/camvid.py`, or one like it. root: CamVid. fine: so many frames have fine labels. only: some
            of RECIPES.
    """
    total = len(find_pairs(root, lsu_onto.load(SOURCE).layout, "train"))
    chosen = {seed: fine_frames(seed, fine, total) for seed in seeds}
    coarse, clock = coarsen(root, work), Clock(len(seeds) * (1 + len(only)))
    found = {}
    for seed in seeds:
        student = Student(cfg, root, coarse, work / f"seed{seed}", seed, chosen[seed], total)
        found[str(seed)] = student.recipes(clock, only)
    settings = dict(version=__version__, iterations=cfg.train_cfg.max_iters, fine=fine, coarse=total - fine)
    return {"settings": settings, "seeds": found}


def rare_iou(result: dict[str, Any]) -> float:
    """The mean IoU of the rare classes."""
    return statistics.mean(value for name, value in result["per_class"].items() if name in RARE)


def table(results: dict[str, Any]) -> str:
    """In Markdown: mIoU and that of the rare classes in percent, and differences from *set* of the same seed."""
    seeds = list(results["seeds"].values())
    lines = ["| model | mIoU | against *set* | rare classes | against *set* |", "|---|---:|---:|---:|---:|"]
    for name in seeds[0]:
        cells = []
        for figure in (lambda result: result["miou"], rare_iou):
            values = [100 * figure(of_seed[name]) for of_seed in seeds]
            cells.append(f"{statistics.mean(values):.1f} ({', '.join(f'{v:.1f}' for v in values)})")
            gains = [v - 100 * figure(of_seed["set"]) for v, of_seed in zip(values, seeds, strict=True)]
            each = ", ".join(f"{gain:+.1f}" for gain in gains)
            cells.append("" if name == "set" else f"{statistics.mean(gains):+.1f} ({each})")
        lines.append(f"| *{name}* | {' | '.join(cells)} |")
    return "\n".join(lines)


def class_table(results: dict[str, Any]) -> str:
    """IoU of each class in percent, the mean over seeds, in Markdown."""
    seeds = list(results["seeds"].values())
    names = list(seeds[0]["set"]["per_class"])
    lines = [f"| IoU | {' | '.join(names)} |", "|---" + "|---:" * len(names) + "|"]
    for model in seeds[0]:
        means = [100 * statistics.mean(s[model]["per_class"][n] for s in seeds) for n in names]
        lines.append(f"| *{model}* | {' | '.join(f'{m:.0f}' for m in means)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, type=Path, help="CamVid in the layout of the SegNet tutorial")
    parser.add_argument("--work-dir", default=Path("work/recipes"), type=Path, help="for all results (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--iters", type=int, default=300, help="of every training (%(default)s)")
    parser.add_argument("--fine", type=int, default=10, help="frames with fine labels (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), help="these students (all)")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        cfg = load_config(CONFIG)
        cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = args.iters
        only = list(dict.fromkeys(["set", *args.only]))
        results = experiment(cfg, args.data_root, args.work_dir, args.seeds, args.fine, only)
    except (UserError, ImportError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    text = f"{table(results)}\n\n{class_table(results)}"
    write_atomic(args.work_dir / "results.json", json.dumps(results, indent=2).encode())
    write_atomic(args.work_dir / "table.md", f"{text}\n".encode())
    print(f"\n{text}\n\n{args.work_dir}/results.json, table.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
