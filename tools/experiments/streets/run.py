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
import copy
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import torch
from mmengine.config import Config, DictAction

from lsu_onto import UserError, __version__, write_atomic
from lsu_seg.evaluation.document import document
from lsu_seg.evaluation.files import write
from lsu_seg.evaluation.run import measure
from lsu_seg.openmmlab.config import load_config
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.training.average import average_checkpoints
from lsu_seg.training.run import train
from lsu_seg.unify import unify
from lsu_seg.unify.configs import stage_config, text
from lsu_seg.unify.stages import Done, Stage, run_stages
from streets import pictures, report, segmentor  # noqa: F401 - the third registers the model

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
"""The value of the other recipes; docs/results.md says why."""

STUDENTS: dict[str, dict[str, Any]] = {
    "raw": dict(kind="raw"),
    "constrained": dict(kind="constrained"),
    "set": dict(kind="constrained", unsure=UNSURE),
    "kept": dict(kind="constrained", unsure=UNSURE, distil=1.0),
    "soft": dict(kind="constrained", unsure=1.0, distil=1.0),
    "trained_norms": dict(kind="constrained", unsure=UNSURE, norms="trained"),
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
        folder = self.work / "pseudo" / name
        cfg = stage_config(self.cfg, folder, 0, name)
        cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
        cfg.test_dataloader.dataset = {**self.foreign(name), "pipeline": cfg.val_dataloader.dataset.pipeline}
        kinds = dict(out_dir=str(folder / "constrained"), raw_dir=str(folder / "raw"), confidence=True)
        cfg.test_cfg = dict(type="PseudoLabelLoop", title=f"labels of {name}", **kinds, **self.views)
        return Stage(
            f"labels of {name}",
            folder,
            key=lambda _: [__version__, text(cfg), self.weights, unify.inputs(self.foreign(name), "cityscapes")],
            action=lambda _: pseudo_label(cfg, self.teacher, quiet=True),
            complete=lambda _: all((folder / kind).is_dir() for kind in ("constrained", "raw")),
            resumes=True,
        )

    def _student(self, name: str, seed: int) -> list[Stage]:
        folder = self.work / f"seed{seed}" / name
        cfg = self._student_config(name, seed, folder)
        datasets = cfg.train_dataloader.dataset.datasets
        labels = tuple(f"labels of {n}" for n in FOREIGN)

        def action(_: Any) -> dict[str, Any]:
            start = time.monotonic()
            training = copy.deepcopy(cfg)
            for part in ("val_dataloader", "val_cfg", "val_evaluator"):  # judged once, by a stage of its own
                training.pop(part, None)
            return {"checkpoint": str(train(training, quiet=True)), "seconds": round(time.monotonic() - start)}

        training = Stage(
            f"{name}, seed {seed}",
            folder / "training",
            key=lambda done: [
                *(__version__, text(cfg), self.weights, [unify.inputs(d, "cityscapes") for d in datasets]),
                *(done[n].key for n in labels),
            ],
            action=action,
            inputs=labels,
            complete=lambda result: Path(result["checkpoint"]).is_file(),
        )
        return [training, self._judged(training.name, folder / "judged", _checkpoint, (training.name,))]

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
        cfg.custom_hooks = [*cfg.custom_hooks, dict(type="TrainProgressHook", title=f"{name}, seed {seed}")]
        return cfg

    def _mean(self, name: str, seed: int) -> list[Stage]:
        folder, student = self.work / f"seed{seed}" / name, f"{MEANS[name]}, seed {seed}"

        def action(done: Any) -> dict[str, Any]:
            path = folder / "weights" / "mean.pth"
            average_checkpoints(self.teacher, done[student].result["checkpoint"], path)
            return {"checkpoint": str(path)}

        weights = Stage(
            f"{name}, seed {seed}",
            folder / "weights",
            key=lambda done: [__version__, self.weights, done[student].key],
            action=action,
            inputs=(student,),
            complete=lambda result: Path(result["checkpoint"]).is_file(),
        )
        return [weights, self._judged(weights.name, folder / "judged", _checkpoint, (weights.name,))]

    def _judged(self, name: str, folder: Path, checkpoint: Any, inputs: tuple[str, ...]) -> Stage:
        cfg = stage_config(self.cfg, folder, 0, "judged")

        def action(done: Any) -> dict[str, str]:
            path = checkpoint([done[n] for n in inputs])
            measured = measure(cfg, path, self.judges(), quiet=True, title=name)
            write(folder / "evaluation", document(measured), measured)
            return {"evaluation": str(folder / "evaluation" / "evaluation.json")}

        return Stage(
            f"{name}, judged",
            folder,
            key=lambda done: [
                *(__version__, text(cfg), self.weights, [done[n].key for n in inputs]),
                {n: unify.inputs(d, "cityscapes") for n, d in self.judges().items()},
            ],
            action=action,
            inputs=inputs,
            complete=lambda result: Path(result["evaluation"]).is_file(),
        )


def _checkpoint(done: Sequence[Done]) -> Path:
    return Path(done[0].result["checkpoint"])


class Clock:
    """Says which stage begins, of how many, and how long the rest may take."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.start, self.reused, self.total = time.monotonic(), 0, len(stages)
        self.stages = [self._wrapped(stage, number) for number, stage in enumerate(stages)]

    def _wrapped(self, stage: Stage, before: int) -> Stage:
        def action(done: Any) -> Any:
            ran = before - self.reused
            minutes = (time.monotonic() - self.start) / 60
            eta = f", ETA {minutes / ran * (self.total - before):.0f} min" if ran > 0 else ""
            print(f"[{before + 1}/{self.total}] {stage.name}; {minutes:.0f} min so far{eta}", flush=True)
            return stage.action(done)

        return replace(stage, action=action)

    def say(self, line: str) -> None:
        """Of `run_stages`: a line for each stage that is reused or replaced."""
        self.reused += line.endswith(": reused")
        print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, type=Path)
    parser.add_argument("--teacher", required=True, help="the function that makes the network: FILE.py:FUNCTION")
    parser.add_argument("--checkpoint", required=True, type=Path, help="its weights")
    parser.add_argument("-o", "--work", default=Path("work/streets"), type=Path, help="for all results (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    names = [*STUDENTS, *MEANS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these students (all)")
    parser.add_argument("--iters", type=int, help="of every training; by default the config's")
    parser.add_argument("--jobs", type=int, default=1, help="stages at a time, where they do not wait (%(default)s)")
    parser.add_argument(
        "--set", nargs="+", action=DictAction, default={}, help="of config.py, as model.size_divisor=32"
    )
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
