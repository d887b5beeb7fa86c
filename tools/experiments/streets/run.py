"""Real streets: a Cityscapes teacher, two foreign datasets labelled inside their constraints, zero-shot judges.

    PYTHONPATH=tools/experiments python -m streets.run --data-root DATA --teacher net.py:build --checkpoint W -o WORK

DATA holds `camvid`, and `real/` with `cityscapes`, `idd_lite`, `bdd100k` and `a2d2`, each as its taxonomy says. The
teacher labels CamVid's training frames and IDD-Lite; students begin with its weights and are trained on six frames of
Cityscapes and on these; they differ in the targets of the foreign frames, and in what keeps the source alive. Judged on
BDD100K and A2D2, which no training sees, CamVid's val split, and two frames of Cityscapes that are held back. Finished
parts are kept: the same command goes on where it was stopped. Other seeds, or other students (`--only`), may run at the
same time in a work folder of their own.
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

from lsu_onto import UserError, __version__, write_atomic
from lsu_seg.openmmlab.config import load_config
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.unify.configs import stage_config
from lsu_seg.unify.stages import Stage, run_stages
from streets import pictures, report, segmentor  # noqa: F401 - the third registers the model
from streets.stages import Clock, add_options, averaged, checkpoint, judged, labelled, trained

HERE = Path(__file__).parent
HELD_BACK = (6, 7)
"""Of the eight frames of Cityscapes, which are sorted by name."""
FOREIGN = {
    "camvid": ("camvid_segnet", "camvid"),
    "idd_lite": (str(HERE / "idd_lite_closed.tax"), "real/idd_lite"),
}
"""Taxonomy and folder of what the teacher labels."""
SHARES = {"cityscapes": 0.25, "camvid": 0.25, "idd_lite": 0.5}
"""Of the images that a student sees."""
FRAMES = {"camvid": 100, "idd_lite": 400}

UNSURE = 0.25
"""The value of the other recipes; docs/results-camvid.md says why."""

STUDENTS: dict[str, dict[str, Any]] = {
    "raw": dict(kind="raw"),
    "constrained": dict(kind="constrained"),
    "set": dict(kind="constrained", unsure=UNSURE),
    "kept": dict(kind="constrained", unsure=UNSURE, distil=1.0),
    "soft": dict(kind="constrained", unsure=1.0, distil=1.0),
    "trained_norms": dict(kind="constrained", unsure=UNSURE, norms="trained"),
    "raw_trained_norms": dict(kind="raw", norms="trained"),
    "rare": dict(kind="constrained", unsure=UNSURE, rare_classes=0.01),
}
"""kind: of pseudo-labels. unsure: the share of each class that are sets. rare_classes: the temperature. The rest:
of `StreetsSegmentor`."""
MEANS = {f"{name}_mean": name for name in STUDENTS}
"""The mean of the teacher's weights and a student's (`lsu-seg average`); it takes no training."""


class Streets:
    """The experiment as stages.

    Args:
        cfg: `config.py` with the teacher's network filled in. root: DATA. teacher: its checkpoint.
        only: the students that are wanted, some of STUDENTS and MEANS.
    """

    def __init__(self, cfg: Config, root: Path, teacher: Path, work: Path, seeds: Sequence[int], only: Sequence[str]):
        self.cfg, self.root, self.teacher, self.work = cfg, root, teacher, work
        self.seeds, self.only = seeds, only
        self.views = cfg.pop("views")
        self.weights = file_sha256(teacher)

    # --- datasets ----------------------------------------------------------------------------------------------------

    def source(self, indices: Sequence[int]) -> dict[str, Any]:
        return self._dataset("cityscapes", "real/cityscapes", "train", indices=list(indices))

    def foreign(self, name: str) -> dict[str, Any]:
        taxonomy, folder = FOREIGN[name]
        return self._dataset(taxonomy, folder, "train", indices=list(range(FRAMES[name])))

    def judges(self) -> dict[str, dict[str, Any]]:
        return {
            "bdd100k": self._dataset(str(HERE / "bdd100k_official.tax"), "real/bdd100k", "train"),
            "camvid_val": self._dataset(str(HERE / "camvid_eleven.tax"), "camvid", "val"),
            "a2d2": self._dataset("a2d2", "real/a2d2", "all"),
            "cityscapes": self.source(HELD_BACK),
        }

    def _dataset(self, taxonomy: str, folder: str, split: str, **more: Any) -> dict[str, Any]:
        root = str(self.root / folder)
        return dict(type="TaxDataset", taxonomy=taxonomy, source="cityscapes", data_root=root, split=split, **more)

    # --- stages ------------------------------------------------------------------------------------------------------

    def stages(self) -> list[Stage]:
        out = [self._judged("teacher", self.work / "teacher", lambda _: self.teacher, ())]
        out += [self._labels(name) for name in FOREIGN]
        for seed in self.seeds:
            base = [*self.only, *(MEANS[name] for name in self.only if name in MEANS)]
            for name in (n for n in STUDENTS if n in base):
                out += self._student(name, seed)
            for name in (n for n in MEANS if n in self.only):
                out += self._mean(name, seed)
        return out

    def _labels(self, name: str) -> Stage:
        cfg = stage_config(self.cfg, self.work / "pseudo" / name, 0, name)
        dataset = self.foreign(name)
        return labelled(f"labels of {name}", cfg, dataset, self.views, lambda _: self.teacher, self.weights)

    def _student(self, name: str, seed: int) -> list[Stage]:
        folder = self.work / f"seed{seed}" / name
        cfg = self._student_config(name, seed, folder)
        training = trained(f"{name}, seed {seed}", cfg, self.weights, tuple(f"labels of {n}" for n in FOREIGN))
        return [training, self._judged_stage(training, folder)]

    def _student_config(self, name: str, seed: int, folder: Path) -> Config:
        student = dict(STUDENTS[name])
        kind, unsure, rare = student.pop("kind"), student.pop("unsure", 0), student.pop("rare_classes", None)
        cfg = stage_config(self.cfg, folder / "training", seed, name)
        cfg.model.update(student)
        datasets = {"cityscapes": self.source(range(HELD_BACK[0]))}
        for foreign in FOREIGN:
            extra = dict(unsure=unsure) if unsure else {}
            labels = str(self.work / "pseudo" / foreign / kind)
            datasets[foreign] = self.foreign(foreign) | {"labels": labels} | extra
        for key, dataset in datasets.items():
            dataset["weight"] = SHARES[key] / len(dataset["indices"])
        compound = cfg.train_dataloader.dataset
        compound.datasets = list(datasets.values())
        if rare is not None:
            compound.rare_classes = rare
            for transform in compound.pipeline:
                if transform.type == "RandomCrop":
                    transform.type = "RareClassCrop"
        return cfg

    def _mean(self, name: str, seed: int) -> list[Stage]:
        folder, student = self.work / f"seed{seed}" / name, f"{MEANS[name]}, seed {seed}"
        mean = averaged(
            *(f"{name}, seed {seed}", folder / "weights", student),
            *(lambda _: self.teacher, self.weights),
        )
        return [mean, self._judged_stage(mean, folder)]

    def _judged_stage(self, stage: Stage, folder: Path) -> Stage:
        return self._judged(stage.name, folder / "judged", lambda done: checkpoint(done[stage.name]), (stage.name,))

    def _judged(self, name: str, folder: Path, model: Any, inputs: tuple[str, ...]) -> Stage:
        return judged(name, stage_config(self.cfg, folder, 0, "judged"), self.judges(), model, self.weights, inputs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*STUDENTS, *MEANS]
    add_options(parser, names, Path("work/streets"))
    parser.add_argument("--teacher", required=True, help="the function that makes the network: FILE.py:FUNCTION")
    parser.add_argument("--checkpoint", required=True, type=Path, help="its weights")
    args = parser.parse_args()
    if not args.checkpoint.is_file():
        parser.error(f"--checkpoint: there is no file {args.checkpoint}; expected the weights of {args.teacher}")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        cfg = load_config(HERE / "config.py")
        cfg.model.factory, cfg.model.checkpoint = args.teacher, str(args.checkpoint)
        if args.iters:
            cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = args.iters
        cfg.merge_from_dict(args.set)
        streets = Streets(cfg, args.data_root, args.checkpoint, args.work, args.seeds, args.only)
        clock = Clock(streets.stages())
        done = run_stages(clock.stages, args.work, clock.say, args.jobs)
        results = report.results(args.work, args.seeds, [n for n in names if n in args.only])
    except (UserError, ImportError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    results["settings"] |= dict(version=__version__, iterations=cfg.train_cfg.max_iters, shares=SHARES)
    write_atomic(args.work / "results.json", json.dumps(results, indent=1).encode())
    page = report.page(results)
    write_atomic(args.work / "results.md", page.encode())
    pictures.plot(results["models"], args.work / "plot.svg")
    shown = {name: f"{name}, seed {args.seeds[0]}" for name in pictures.SHOWN[1:] if name in args.only}
    checkpoints = {name: Path(done[stage].result["checkpoint"]) for name, stage in shown.items()}
    frames = streets.judges()["bdd100k"] | {"indices": list(pictures.FRAMES)}
    pictures.draw_maps(cfg, frames, {"teacher": args.checkpoint, **checkpoints}, args.work / "maps.png")
    print(f"\n{page}\n{args.work}/results.json, results.md, plot.svg, maps.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
