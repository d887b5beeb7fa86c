"""Do students learn classes that none of their datasets names? Two coarse datasets of drawn scenes, and no teacher.

    python tools/experiments/unite.py --work-dir work/unite

`uses` says what things are for (vehicle, ground, …), `looks` what they look like (bulk, lane, …). A truck is a vehicle
to the one and bulk to the other; neither names it. A student on their atoms (`unite_scenes/universal.tax`) has sets of
atoms for targets. It is compared with two students that have one dataset each, with the teacher's way (a teacher on
each dataset labels the other one, inside the map between them), and with an oracle. Judged by mIoU in the fifteen fine
classes of the scenes, which no student but the oracle has seen, and in the classes of either dataset. Finished parts
are kept: the same command goes on where it was stopped, and one per seed may run at a time.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: a second thread brings little here

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from numpy.typing import NDArray
from torch import Tensor

import lsu_onto
import lsu_seg
from lsu_onto import __version__, write_atomic
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.demo.relabel import coarsen, encode, write_png
from lsu_seg.demo.scenes import STYLES, draw_scene
from lsu_seg.errors import UserError
from lsu_seg.evaluation.counts import confusion, iou_summary
from lsu_seg.openmmlab.config import load_config
from lsu_seg.openmmlab.runner import runner_with_checkpoint
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.runtime.progress import progress, track
from lsu_seg.training.run import train
from lsu_seg.unify.configs import stage_config, text
from lsu_seg.unify.stages import Stage, run_stages

CONFIG = Path(lsu_seg.__file__).parent / "configs/demo/demo.py"
TAXONOMIES = Path(__file__).parent / "unite_scenes"
FINE, ATOMS, DATASETS = "demo", "universal", ("uses", "looks")
TRAIN = {"uses": "town", "looks": "country"}
"""The style of the scenes that each dataset annotates."""
JUDGED = {"seen": ("town", "country"), "unseen": ("zero_shot",)}
"""The styles of the scenes to be judged on."""


@dataclass(frozen=True)
class Way:
    """A way to a model of all classes.

    Attributes:
        title: in tables.
        networks: one in the atoms or the fine classes, or one in the classes of each dataset.
        steps: of all trainings together, as a share of the iterations.
    """

    title: str
    networks: tuple[str, ...]
    steps: float = 1.0


WAYS = {
    "atoms": Way("student on atoms, no teacher", ("atoms",)),
    "again": Way("student on atoms, then on its own labels", ("again",)),
    "alone": Way("a student on each dataset", ("uses_half", "looks_half")),
    "teachers": Way("the teacher's way, for each dataset", ("uses_student_quarter", "looks_student_quarter")),
    "alone_long": Way("a student on each dataset, longer", ("uses_whole", "looks_whole"), 2.0),
    "teachers_long": Way("the teacher's way, longer", ("uses_student", "looks_student"), 4.0),
    "oracle": Way("oracle: fine labels", ("oracle",)),
}
ON_ATOMS = "atoms", "again"
"""The networks whose channels are atoms."""


def find_taxonomy(name: str, source: str) -> lsu_onto.Constraint:
    return lsu_onto.load(name, source, [TAXONOMIES])


def draw(root: Path, seed: int, images: int, judged: int) -> None:
    """Draw the scenes, each dataset's with its own labels and with the fine ones, and those to be judged on."""
    plan = [(f"{d}/train", TRAIN[d], d, images) for d in DATASETS]
    plan += [(f"{name}/val", style, "", judged) for name, styles in JUDGED.items() for style in styles]
    with progress("drawing scenes", sum(count for *_, count in plan)) as advance:
        for number, (place, style, dataset, count) in enumerate(plan):
            folder, split = place.split("/")
            for i in range(count):
                rng = np.random.default_rng([seed, number, i])
                image, labels = draw_scene(rng, STYLES[style])
                kinds = {folder: labels}
                if dataset:
                    constraint = find_taxonomy(dataset, FINE)
                    kinds = {dataset: encode(coarsen(labels, constraint, rng), constraint), f"{dataset}_fine": labels}
                for name, stored in kinds.items():
                    write_png(root / name / f"images/{split}/{style}_{i:03}.png", image)
                    write_png(root / name / f"labels/{split}/{style}_{i:03}.png", stored)
                advance()


class Clock:
    """Says how far the whole is; each training has a bar of its own."""

    def __init__(self, total: float) -> None:
        self.total, self.done, self.start, self.reused = total, 0.0, time.monotonic(), 0.0

    def next(self, title: str, share: float) -> None:
        own = self.done - self.reused
        left = (time.monotonic() - self.start) / own * (self.total - self.done) / 60 if own else 0
        print(f"[{self.done / self.total:.0%}] {title}" + (f"; ETA {left:.0f} min" if left else ""), flush=True)
        self.done += share


class Seed:
    """The trainings of one seed."""

    def __init__(self, cfg: Config, work: Path, seed: int, images: int, judged: int, clock: Clock) -> None:
        self.cfg, self.work, self.seed, self.clock = copy.deepcopy(cfg), work, seed, clock
        self.images, self.judged = images, judged
        recipe = self.cfg.pop("unify")
        self.views, self.unsure = recipe["views"], recipe["unsure"]
        self.data = work / "data"

    def stage(self, stage: Stage, share: float = 0) -> Any:
        """Run one stage; its result."""
        reused: list[str] = []
        out = run_stages([stage], self.work, reused.append)[stage.name].result
        for line in reused:
            print(f"seed {self.seed}: {line}")
        if reused:
            self.clock.reused += share
        return out

    def run(self) -> dict[str, Any]:
        maps = {d: find_taxonomy(d, FINE).sha256 for d in DATASETS}
        self.drawn = [__version__, self.seed, self.images, self.judged, maps]
        self.stage(
            Stage(
                "data",
                self.data,
                key=lambda _: self.drawn,
                action=lambda _: draw(self.data, self.seed, self.images, self.judged),
            )
        )
        own, sets = [self.dataset(d, ATOMS) for d in DATASETS], dict(threshold=1.0)
        found = {"atoms": self.train("atoms", ATOMS, 1.0, [{**d, **sets} for d in own])}
        found["atoms_half"] = self.train("atoms_half", ATOMS, 0.5, [{**d, **sets} for d in own])
        labelled = [{**d, **self.label("atoms_half", found["atoms_half"], d, ATOMS)} for d in own]
        found["again"] = self.train("again", ATOMS, 0.5, labelled, found["atoms_half"])
        for size, share in ("half", 0.5), ("quarter", 0.25), ("whole", 1.0):
            for one, other in DATASETS, DATASETS[::-1]:
                teacher, own = f"{one}_{size}", [self.dataset(one, one)]
                found[teacher] = self.train(teacher, one, share, own)
                if size == "half":
                    continue
                extra = self.dataset(other, one)
                extra.update(self.label(teacher, found[teacher], extra, one))
                name = f"{one}_student" + ("_quarter" if size == "quarter" else "")
                found[name] = self.train(name, one, share, [*own, extra], found[teacher])
        fine = [{**self.dataset("demo", FINE), "data_root": str(self.data / f"{d}_fine")} for d in DATASETS]
        found["oracle"] = self.train("oracle", FINE, 1.0, fine)
        return self.judge({name: result["checkpoint"] for name, result in found.items()})

    def dataset(self, taxonomy: str, source: str) -> dict[str, Any]:
        return dict(
            type="TaxDataset",
            taxonomy=taxonomy,
            source=source,
            data_root=str(self.data / taxonomy),
            split="train",
            paths=[str(TAXONOMIES)],
        )

    def config(self, name: str, source: str) -> Config:
        cfg = stage_config(self.cfg, self.work / name, self.seed, name)
        cfg.model.decode_head.num_classes = find_taxonomy(source, source).num_classes
        cfg.model.decode_head.loss_decode = dict(type="SetNLLLoss", source=source)
        for part in ("val_dataloader", "val_cfg", "val_evaluator"):  # judged once, below
            cfg.pop(part, None)
        return cfg

    def train(
        self, name: str, source: str, share: float, datasets: list[dict[str, Any]], init: Any = None
    ) -> dict[str, Any]:
        """Train a network; `init`: the result of the training whose weights it begins with."""
        self.clock.next(f"seed {self.seed}: {name}", share)
        cfg = self.config(name, source)
        cfg.train_dataloader.dataset = dict(
            type="CompoundDataset",
            source=source,
            pipeline=self.cfg.train_dataloader.dataset.pipeline,
            datasets=copy.deepcopy(datasets),
        )
        cfg.train_cfg.max_iters = max(1, round(share * cfg.train_cfg.max_iters))
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), dict(type="TrainProgressHook", title=name)]
        if init:
            cfg.load_from = init["checkpoint"]
        key = [text(cfg), self.drawn, init and init["sha256"], [d.get("labels") for d in datasets]]

        def action() -> dict[str, Any]:
            start = time.process_time()
            checkpoint = train(cfg, quiet=True)
            seconds = round(time.process_time() - start)
            return {"checkpoint": str(checkpoint), "sha256": file_sha256(checkpoint), "seconds": seconds}

        stage = Stage(
            name,
            self.work / name,
            key=lambda _: key,
            action=lambda _: action(),
            complete=lambda r: Path(r["checkpoint"]).is_file(),
        )
        result: dict[str, Any] = self.stage(stage, share)
        return result

    def label(self, name: str, teacher: dict[str, Any], dataset: dict[str, Any], source: str) -> dict[str, Any]:
        """Label a dataset inside its constraint; what a TaxDataset says of the labels."""
        folder = self.work / f"{name}_labels" / dataset["taxonomy"]
        cfg = self.config(name, source)
        cfg.work_dir = str(folder)
        pipeline = [dict(type=step) for step in ("LoadTaxImage", "LoadTaxAnnotations", "PackTaxInputs")]
        cfg.test_dataloader = copy.deepcopy(self.cfg.val_dataloader)
        cfg.test_dataloader.dataset = {**dataset, "pipeline": pipeline}
        out = str(folder / "labels")
        cfg.test_cfg = dict(
            type="PseudoLabelLoop", out_dir=out, confidence=True, title=f"labels of {name}", **self.views
        )
        key = [text(cfg), self.drawn, teacher["sha256"]]
        stage = Stage(
            f"{name}-{dataset['taxonomy']}",
            folder,
            key=lambda _: key,
            action=lambda _: pseudo_label(cfg, teacher["checkpoint"], quiet=True) and None,
            complete=lambda _: Path(out).is_dir(),
        )
        self.stage(stage)
        return dict(labels=out, unsure=self.unsure)

    def judge(self, checkpoints: Mapping[str, str]) -> dict[str, Any]:
        """mIoU and IoU by class of each way, on the scenes of each kind, in each label space."""
        networks = sorted({network for way in WAYS.values() for network in way.networks})
        models = {name: self.network(name, checkpoints[name]) for name in networks}
        spaces = Spaces()
        found: dict[str, Any] = {}
        for place in JUDGED:
            counts = {(way, space): 0 for way in WAYS for space in spaces.names}
            for sample, truth in self.scenes(place):
                seen = {name: probabilities(model, sample) for name, model in models.items()}
                seen |= {name: seen[name][spaces.atom_of] for name in ON_ATOMS}
                for way, contender in WAYS.items():
                    for space, own in spaces.predict([seen[network] for network in contender.networks]).items():
                        k = len(spaces.names[space])
                        counts[way, space] += confusion(own, spaces.truth(truth, space), k)
            for (way, space), matrix in counts.items():
                summary = iou_summary(matrix)
                per_class = dict(zip(spaces.names[space], summary["per_class"].tolist(), strict=True))
                found.setdefault(way, {}).setdefault(place, {})[space] = {
                    "miou": summary["miou"],
                    "per_class": per_class,
                }
        return found

    def network(self, name: str, checkpoint: str) -> Any:
        source = ATOMS if name in ON_ATOMS else FINE if name == "oracle" else name.partition("_")[0]
        cfg = self.config(name, source)
        cfg.test_dataloader = copy.deepcopy(self.cfg.val_dataloader)
        cfg.test_dataloader.dataset = self.judged_on("seen")
        cfg.test_cfg, cfg.test_evaluator = dict(type="TestLoop"), []
        cfg.work_dir = str(self.work / "judged")
        return runner_with_checkpoint(cfg, checkpoint, quiet=True).model.eval()

    def judged_on(self, place: str) -> dict[str, Any]:
        pipeline = [dict(type=step) for step in ("LoadTaxImage", "LoadTaxAnnotations", "PackTaxInputs")]
        return dict(
            type="TaxDataset",
            taxonomy=FINE,
            data_root=str(self.data / place),
            split="val",
            pipeline=pipeline,
        )

    def scenes(self, place: str) -> Iterator[tuple[Any, Tensor]]:
        config = self.judged_on(place)
        config.pop("type")
        dataset = TaxDataset(**config)
        for i in track(range(len(dataset)), f"judging on {place} styles", len(dataset)):
            sample = dataset[i]
            yield sample, sample["data_samples"].gt_sem_seg.data[0].long()


@torch.no_grad()
def probabilities(model: Any, sample: Any) -> Tensor:
    """Float `[K, H, W]`."""
    return model.test_step(pseudo_collate([sample]))[0].seg_logits.data.softmax(0)


class Spaces:
    """The label spaces: the scenes' fine classes, and the classes of either dataset. And the way from each to others.

    An atom is the fine class that lies inside the same two classes.
    """

    def __init__(self) -> None:
        to_fine = {d: find_taxonomy(d, FINE) for d in DATASETS}
        to_atoms = {d: find_taxonomy(d, ATOMS) for d in DATASETS}
        fine = find_taxonomy(FINE, FINE).source_classes
        self.names: dict[str, tuple[str, ...]] = {"fine": fine, **{d: c.classes for d, c in to_fine.items()}}
        self.members = {d: torch.from_numpy(c.certain).float() for d, c in to_fine.items()}
        """Float `[D, 15]` by dataset: which fine classes lie in each of its classes."""
        parents = [parent_of(c.certain) for c in to_fine.values()]
        atoms = zip(*(parent_of(c.certain) for c in to_atoms.values()), strict=True)
        place = {pair: i for i, pair in enumerate(atoms)}
        self.atom_of = [place[pair] for pair in zip(*parents, strict=True)]
        self.parents = dict(zip(DATASETS, map(torch.from_numpy, parents), strict=True))
        self.own = len(fine)

    def truth(self, fine: Tensor, space: str) -> Tensor:
        if space == "fine":
            return fine
        lookup = torch.full((256,), 255)
        lookup[: self.own] = self.parents[space]
        return lookup[fine]

    def predict(self, networks: Sequence[Tensor]) -> dict[str, Tensor]:
        """What one network over atoms or fine classes says in each space, or two over the classes of each dataset."""
        if len(networks) == 2:
            own = dict(zip(DATASETS, networks, strict=True))
            logs = sum(own[d].clamp_min(1e-9).log()[self.parents[d]] for d in DATASETS)
            return {"fine": logs.argmax(0), **{d: p.argmax(0) for d, p in own.items()}}
        (fine,) = networks
        return {
            "fine": fine.argmax(0),
            **{d: torch.einsum("dk,khw->dhw", m, fine).argmax(0) for d, m in self.members.items()},
        }


def parent_of(certain: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The class that each channel lies in, of bool `[D, K]`."""
    if not (certain.sum(0) == 1).all():
        raise ValueError("some channel lies in no class for certain, or in several")
    return certain.argmax(0).astype(np.int64)


def experiment(cfg: Config, work: Path, seeds: Sequence[int], images: int = 150, judged: int = 60) -> dict[str, Any]:
    """Run everything, or reuse it; returns what `results.json` holds.

    Args:
        cfg: `configs/demo/demo.py`, or one like it. images: of each dataset. judged: of each style.
    """
    clock = Clock(len(seeds) * 9)
    found = {str(seed): Seed(cfg, work / f"seed{seed}", seed, images, judged, clock).run() for seed in seeds}
    return {
        "settings": {
            "version": __version__,
            "iterations": cfg.train_cfg.max_iters,
            "batch": cfg.train_dataloader.batch_size,
            "images": images,
            "judged": judged,
        },
        "seeds": found,
    }


def mean(results: Mapping[str, Any], way: str, place: str, space: str) -> str:
    """mIoU in percent over seeds, with its sample standard deviation."""
    values = [100 * seed[way][place][space]["miou"] for seed in results["seeds"].values()]
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def table(results: Mapping[str, Any]) -> str:
    """mIoU of each way in Markdown."""
    columns = [(place, space) for place in JUDGED for space in ("fine", *DATASETS)]
    heads = ["", "networks", "steps", *(f"{space}, {place}" for place, space in columns)]
    lines = [f"| {' | '.join(heads)} |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name, way in WAYS.items():
        steps = round(way.steps * results["settings"]["iterations"])
        cells = [way.title, str(len(way.networks)), str(steps)]
        lines.append(f"| {' | '.join([*cells, *(mean(results, name, *column) for column in columns)])} |")
    return "\n".join(lines)


def class_table(results: Mapping[str, Any], place: str = "seen") -> str:
    """IoU of each fine class in percent, the mean over seeds, in Markdown."""
    seeds = list(results["seeds"].values())
    names = list(seeds[0]["oracle"][place]["fine"]["per_class"])
    lines = [f"| IoU | {' | '.join(names)} |", "|---" + "|---:" * len(names) + "|"]
    for way in WAYS:
        means = [statistics.mean(s[way][place]["fine"]["per_class"][n] for s in seeds) * 100 for n in names]
        lines.append(f"| {way} | {' | '.join(f'{m:.0f}' for m in means)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work-dir", default=Path("work/unite"), type=Path, help="for all results (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--iters", type=int, help="of the longest training; by default the config's")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    start = time.monotonic()
    try:
        cfg = load_config(CONFIG)
        if args.iters:
            cfg.train_cfg.max_iters = args.iters
        results = experiment(cfg, args.work_dir, args.seeds)
    except (UserError, ImportError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    text = "\n\n".join([table(results), class_table(results)])
    write_atomic(args.work_dir / "results.json", json.dumps(results, indent=2).encode())
    write_atomic(args.work_dir / "table.md", (text + "\n").encode())
    print(f"\n{text}\n\n{args.work_dir}/results.json, table.md; {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
