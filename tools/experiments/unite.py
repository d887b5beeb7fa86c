"""Do students learn classes that none of their datasets names? Two coarse datasets of drawn scenes, and no teacher.

    python tools/experiments/unite.py --work-dir work/unite

`uses` says what things are for (vehicle, ground, …), `looks` what they look like (bulk, lane, …). A truck is a vehicle
to the one and bulk to the other; neither names it. A student on their atoms (`unite_scenes/universal.tax`) has sets of
atoms for targets. It is compared with two students that have one dataset each, with the teacher's way (a teacher on
each dataset labels the other one, inside the map between them), and with an oracle. All have the same budget of
iterations. Judged by mIoU in the fifteen fine classes of the scenes, which no student but the oracle has seen, and in
the classes of either dataset; where there are two networks, the fine class is the one whose two classes are likeliest.
Finished parts are kept: the same command goes on where it was stopped, and one per seed may run at a time.
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

import torch
from mmengine.config import Config
from unite_scenes.judge import judge
from unite_scenes.scenes import ATOMS, DATASETS, FINE, JUDGED, TAXONOMIES, draw, find_taxonomy

import lsu_seg
from lsu_onto import __version__, write_atomic
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.errors import UserError
from lsu_seg.openmmlab.config import load_config
from lsu_seg.openmmlab.runner import runner_with_checkpoint
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.runtime.progress import track
from lsu_seg.training.run import train
from lsu_seg.unify.configs import stage_config, text
from lsu_seg.unify.stages import Stage, run_stages

CONFIG = Path(lsu_seg.__file__).parent / "configs/demo/demo.py"
PIPELINE = [dict(type=step) for step in ("LoadTaxImage", "LoadTaxAnnotations", "PackTaxInputs")]


@dataclass(frozen=True)
class Network:
    """How a network is trained.

    Attributes:
        source: the label space.
        share: of the iterations.
        teacher: the network that it begins with, and that labels the dataset that has other classes.
    """

    source: str
    share: float
    teacher: str = ""


NETWORKS = {
    "atoms": Network(ATOMS, 1.0),
    **{f"{d}_half": Network(d, 0.5) for d in DATASETS},
    **{f"{d}_teacher": Network(d, 0.25) for d in DATASETS},
    **{f"{d}_student": Network(d, 0.25, f"{d}_teacher") for d in DATASETS},
    "oracle": Network(FINE, 1.0),
}


@dataclass(frozen=True)
class Way:
    """A way to a model of all classes.

    Attributes:
        title: in tables.
        networks: one in the atoms or the fine classes, or one in the classes of each dataset.
    """

    title: str
    networks: tuple[str, ...]

    @property
    def trainings(self) -> dict[str, Network]:
        """All that are needed, each after its teacher."""
        names = [n for name in self.networks for n in (NETWORKS[name].teacher, name) if n]
        return {name: NETWORKS[name] for name in names}


WAYS = {
    "atoms": Way("student on atoms, no teacher", ("atoms",)),
    "alone": Way("a student on each dataset alone", ("uses_half", "looks_half")),
    "teachers": Way("the teacher's way, for each dataset", ("uses_student", "looks_student")),
    "oracle": Way("oracle: fine labels", ("oracle",)),
}
"""All take equally many iterations, whatever the number of trainings."""

TITLES = {"fine": "15 classes", "unnamed": "the 12 unnamed"}


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
        if any(line.endswith("reused") for line in reused):
            self.clock.reused += share
        return out

    def run(self, ways: Sequence[str]) -> dict[str, Any]:
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
        found: dict[str, dict[str, Any]] = {}
        for name in trainings(ways):
            found[name] = self.train(name, found.get(NETWORKS[name].teacher))
        key = [self.drawn, list(ways), {name: result["sha256"] for name, result in found.items()}]
        stage = Stage("judged", self.work / "judged", key=lambda _: key, action=lambda _: self.judge(ways, found))
        result: dict[str, Any] = self.stage(stage)
        return result

    def datasets(self, network: Network, teacher: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
        """The datasets that a network is trained on."""
        if network.source == FINE:
            yield from ({**self.dataset(FINE, FINE), "data_root": str(self.data / f"{d}_fine")} for d in DATASETS)
            return
        for name in sorted(DATASETS, key=lambda d: d != network.source):
            dataset = self.dataset(name, network.source)
            if name == network.source:
                yield dataset
            elif teacher is not None:
                yield {**dataset, **self.label(network, teacher, dataset)}
            elif network.source == ATOMS:
                yield {**dataset, "threshold": 1.0}

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

    def train(self, name: str, teacher: dict[str, Any] | None) -> dict[str, Any]:
        """Train a network, or reuse it. teacher: the result of that training."""
        network = NETWORKS[name]
        self.clock.next(f"seed {self.seed}: {name}", network.share)
        cfg = self.config(name, network.source)
        datasets = list(self.datasets(network, teacher))
        cfg.train_dataloader.dataset = dict(
            type="CompoundDataset",
            source=network.source,
            pipeline=self.cfg.train_dataloader.dataset.pipeline,
            datasets=copy.deepcopy(datasets),
        )
        cfg.train_cfg.max_iters = max(1, round(network.share * cfg.train_cfg.max_iters))
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), dict(type="TrainProgressHook", title=name)]
        if teacher:
            cfg.load_from = teacher["checkpoint"]
        key = [text(cfg), self.drawn, teacher and teacher["sha256"], [d.get("labels") for d in datasets]]

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
        result: dict[str, Any] = self.stage(stage, network.share)
        return result

    def label(self, network: Network, teacher: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
        """Let the teacher label a dataset inside its constraint; what a TaxDataset says of the labels."""
        name = network.teacher
        folder = self.work / f"{name}_labels" / dataset["taxonomy"]
        cfg = self.config(name, network.source)
        cfg.work_dir = str(folder)
        cfg.test_dataloader = copy.deepcopy(self.cfg.val_dataloader)
        cfg.test_dataloader.dataset = {**dataset, "pipeline": PIPELINE}
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

    def judge(self, ways: Sequence[str], trained: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """What `judge` finds on the scenes of each kind."""
        networks = dict.fromkeys(network for way in ways for network in WAYS[way].networks)
        models = {name: self.network(name, trained[name]["checkpoint"]) for name in networks}
        on_atoms = [name for name in networks if NETWORKS[name].source == ATOMS]
        return {
            place: judge(models, on_atoms, {w: WAYS[w].networks for w in ways}, self.scenes(place)) for place in JUDGED
        }

    def network(self, name: str, checkpoint: str) -> Any:
        cfg = self.config(name, NETWORKS[name].source)
        cfg.test_dataloader = copy.deepcopy(self.cfg.val_dataloader)
        cfg.test_dataloader.dataset = self.judged_on("seen")
        cfg.test_cfg, cfg.test_evaluator = dict(type="TestLoop"), []
        cfg.work_dir = str(self.work / "judged")
        return runner_with_checkpoint(cfg, checkpoint, quiet=True).model.eval()

    def judged_on(self, place: str) -> dict[str, Any]:
        return dict(
            type="TaxDataset",
            taxonomy=FINE,
            data_root=str(self.data / place),
            split="val",
            pipeline=PIPELINE,
        )

    def scenes(self, place: str) -> Iterator[Any]:
        config = self.judged_on(place)
        config.pop("type")
        dataset = TaxDataset(**config)
        yield from track((dataset[i] for i in range(len(dataset))), f"judging on {place} styles", len(dataset))


def trainings(ways: Sequence[str]) -> dict[str, Network]:
    """All that some ways need, each after its teacher."""
    return {name: network for way in ways for name, network in WAYS[way].trainings.items()}


def experiment(
    cfg: Config,
    work: Path,
    seeds: Sequence[int],
    ways: Sequence[str] = tuple(WAYS),
    images: int = 150,
    judged: int = 40,
) -> dict[str, Any]:
    """Run everything, or reuse it; returns what `results.json` holds.

    Args:
        cfg: `configs/demo/demo.py`, or one like it. images: of each dataset. judged: of each style.
    """
    clock = Clock(len(seeds) * sum(network.share for network in trainings(ways).values()))
    found = {str(seed): Seed(cfg, work / f"seed{seed}", seed, images, judged, clock).run(ways) for seed in seeds}
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


def judged_ways(results: Mapping[str, Any]) -> list[str]:
    return list(next(iter(results["seeds"].values()))["seen"])


def mean(results: Mapping[str, Any], way: str, place: str, space: str) -> str:
    """mIoU in percent over seeds, with its sample standard deviation."""
    values = [100 * seed[place][way][space]["miou"] for seed in results["seeds"].values()]
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def table(results: Mapping[str, Any]) -> str:
    """mIoU of each way in Markdown."""
    columns = [(place, space) for place in JUDGED for space in ("fine", "unnamed", *DATASETS)]
    heads = ["", "networks", *(f"{TITLES.get(space, space)}, {place}" for place, space in columns)]
    lines = [f"| {' | '.join(heads)} |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name in judged_ways(results):
        cells = [WAYS[name].title, str(len(WAYS[name].networks))]
        lines.append(f"| {' | '.join([*cells, *(mean(results, name, *column) for column in columns)])} |")
    return "\n".join(lines)


def class_table(results: Mapping[str, Any], place: str = "seen") -> str:
    """IoU of each fine class in percent, the mean over seeds, in Markdown."""
    seeds = list(results["seeds"].values())
    ways = judged_ways(results)
    names = list(seeds[0][place][ways[0]]["fine"]["per_class"])
    lines = [f"| IoU | {' | '.join(names)} |", "|---" + "|---:" * len(names) + "|"]
    for way in ways:
        means = [statistics.mean(s[place][way]["fine"]["per_class"][n] for s in seeds) * 100 for n in names]
        lines.append(f"| {way} | {' | '.join(f'{m:.0f}' for m in means)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work-dir", default=Path("work/unite"), type=Path, help="for all results (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--iters", type=int, default=1200, help="of each way, all trainings together (%(default)s)")
    args = parser.parse_args()
    if len(set(args.seeds)) < len(args.seeds):
        parser.error("--seeds: a seed is named twice, and would count twice")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    start = time.monotonic()
    try:
        cfg = load_config(CONFIG)
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
