"""Do students beat their teacher on real images? CamVid: a few frames in its eleven classes, the others in coarse ones.

    python tools/experiments/camvid.py --data-root CAMVID --work-dir work/camvid

For every seed: a teacher on the fine frames; pseudo-labels of the coarse frames; four students that differ in the
targets of the coarse frames alone; and an oracle that has their fine labels. All start from the same weights and take
equally many iterations. Judged by mIoU in CamVid's eleven classes on the val split, at native resolution. Finished
parts are kept: the same command goes on where it was stopped, and one per seed may run at a time.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: a second thread brings little here

import torch
from mmengine.config import Config

import lsu_onto
import lsu_seg
from lsu_onto import __version__, write_atomic
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.demo.relabel import relabel_dataset
from lsu_seg.errors import ConfigError, UserError
from lsu_seg.evaluation.counts import confusion, iou_summary
from lsu_seg.evaluation.run import evaluate
from lsu_seg.label_files import void_index
from lsu_seg.label_files.annotation import Annotation, channel_constraint
from lsu_seg.layout.pairs import find_pairs
from lsu_seg.openmmlab.config import load_config
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.training.run import train
from lsu_seg.unify import unify
from lsu_seg.unify.configs import stage_config, text
from lsu_seg.unify.stages import Stage, run_stages

CONFIG = Path(lsu_seg.__file__).parent / "configs/camvid/camvid.py"
SOURCE, COARSE = "camvid11", "camvid_coarse"
MODELS = {
    "teacher": "teacher: fine frames alone",
    "raw": "student, raw labels",
    "constrained": "student, constrained",
    "confident": "student, unsure pixels ignored",
    "set": "student, unsure pixels set-valued",
    "oracle": "oracle: fine labels everywhere",
}
VARIANTS = {
    "single": "set-valued, one threshold",
    "smoothed": "set-valued, smoothed inside the set",
    "refreshed": "set-valued, labels refreshed twice",
}
"""Of the set-valued student, trained where `--also` names them."""
THRESHOLD = 0.7
"""Of confidence: where unsure pixels are ignored, and of the variant with one threshold for all classes."""
TITLES = {**MODELS, **VARIANTS}
KINDS = ("raw", "constrained", "confident")
"""Of pseudo-labels. The set-valued student has the constrained ones, and their confidence."""


def experiment(
    cfg: Config, root: Path, work: Path, seeds: Sequence[int], fine: int, also: Sequence[str] = ()
) -> dict[str, Any]:
    """Run everything, or reuse it; returns what `results.json` holds.

    Args:
        cfg: `configs/camvid/camvid.py`, or one like it. root: CamVid. fine: so many frames have fine labels.
        also: some of VARIANTS.
    """
    total = len(find_pairs(root, lsu_onto.load(SOURCE).layout, "train"))
    chosen = {seed: fine_frames(seed, fine, total) for seed in seeds}
    coarse = coarsen(root, work)
    models = [*MODELS, *also]
    clock = Clock(len(seeds) * len(models))
    found = {}
    for seed in seeds:
        found[str(seed)] = Seed(cfg, root, coarse, work / f"seed{seed}", seed, chosen[seed], total).run(clock, also)
    return {
        "settings": {
            "version": __version__,
            "iterations": cfg.train_cfg.max_iters,
            "batch": cfg.train_dataloader.batch_size,
            "fine": fine,
            "coarse": total - fine,
            "threshold": THRESHOLD,
            "unsure": cfg.unify.unsure,
            "machine": f"{_processor()}, {torch.get_num_threads()} thread",
        },
        "seeds": found,
        "summary": {model: summary([s[model]["miou"] for s in found.values()]) for model in models},
    }


def fine_frames(seed: int, fine: int, total: int) -> list[int]:
    """The frames with fine labels: evenly spaced along the drives, and others for every seed."""
    if not 0 < fine < total:
        raise ConfigError(f"{fine} fine frames of {total}: expected at least one, and one left")
    return sorted({(seed * total // fine // 3 + i * total // fine) % total for i in range(fine)})


def coarsen(root: Path, work: Path) -> Path:
    """The folder with the coarse labels of the train split."""
    coarse = work / "coarse"
    key = [__version__, unify.inputs(_train_split(root), SOURCE), lsu_onto.load(COARSE).sha256]
    relabel = Stage(
        "coarse",
        coarse,
        key=lambda _: key,
        action=lambda _: relabel_dataset(COARSE, SOURCE, root, "train", coarse, seed=0),
    )
    run_stages([relabel], work, print)
    return coarse


def _train_split(root: Path, indices: Sequence[int] | None = None) -> dict[str, Any]:
    chosen = {} if indices is None else {"indices": list(indices)}
    return dict(type="TaxDataset", taxonomy=SOURCE, data_root=str(root), split="train", **chosen)


class Clock:
    """Says how far the whole is; each training has a bar of its own."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.seconds = total, 0, 0.0

    def next(self, title: str) -> None:
        left = self.seconds / max(1, self.done) * (self.total - self.done) / 60
        self.done += 1
        print(f"[{self.done}/{self.total}] {title}" + (f"; ETA {left:.0f} min" if left else ""), flush=True)

    def took(self, seconds: float) -> None:
        self.seconds += seconds


class Seed:
    """The models of one seed."""

    def __init__(
        self, cfg: Config, root: Path, coarse: Path, work: Path, seed: int, fine: list[int], total: int
    ) -> None:
        self.cfg, self.work, self.seed = copy.deepcopy(cfg), work, seed
        others = [i for i in range(total) if i not in set(fine)]
        self.cfg.train_dataloader.dataset.datasets = [_train_split(root, fine)]
        self.cfg.val_dataloader.dataset.data_root = str(root)
        self.truth, self.total = _train_split(root, others), total
        self.coarse = {**self.truth, "taxonomy": COARSE, "source": SOURCE, "data_root": str(coarse)}
        recipe = self.cfg.pop("unify")
        self.views, self.unsure = recipe["views"], recipe["unsure"]

    def stage(self, stage: Stage) -> Any:
        """Run one stage; its result."""
        return run_stages([stage], self.work, lambda line: print(f"seed {self.seed}: {line}"))[stage.name].result

    def run(self, clock: Clock, also: Sequence[str] = ()) -> dict[str, Any]:
        """The results of all models by name, and how good the pseudo-labels are."""
        self.clock = clock
        out = {"teacher": self.model("teacher", [])}
        teacher = Path(out["teacher"]["checkpoint"])
        constrained, key = self.labels(("constrained", "raw"), teacher, confidence=True)
        confident, sure = self.labels(("confident",), teacher, threshold=THRESHOLD)
        sets = dict(labels=self.folder("constrained"), unsure=self.unsure)
        for name, extra, labels in (
            ("raw", dict(labels=self.folder("raw")), key),
            ("constrained", dict(labels=self.folder("constrained")), key),
            ("confident", dict(labels=self.folder("confident")), sure),
            ("set", sets, key),
        ):
            out[name] = self.model(name, [{**self.coarse, **extra}], labels)
        out["oracle"] = self.model("oracle", [self.truth])
        for name in also:
            extra = dict(labels=self.folder("constrained"), threshold=THRESHOLD) if name == "single" else sets
            out[name] = self.model(name, [{**self.coarse, **extra}], key)
        return {**out, "labels": {**constrained, **confident}}

    def refresh(self) -> dict[str, Any]:
        """The student's average labels the coarse frames anew after each third of the training."""
        loader = self.cfg.train_dataloader
        epoch = -(-self.total // loader.batch_size)  # in iterations
        return dict(
            type="TeacherRefreshHook",
            every=max(1, self.cfg.train_cfg.max_iters // 3 // epoch),
            views=self.views,
            pipeline=self.cfg.val_dataloader.dataset.pipeline,
            momentum=0.01,  # of a third of 1500 iterations, the last hundred count
        )

    def folder(self, kind: str) -> str:
        return str(self.work / "pseudo" / ("confident" if kind == "confident" else "whole") / kind)

    def model(
        self,
        name: str,
        extra: list[dict[str, Any]],
        labels: Any = None,
        change: Callable[[Config], None] | None = None,
    ) -> dict[str, Any]:
        """Train and judge one model.

        Args:
            extra: what it has besides the fine frames. labels: the key of the labels of these. change: of its config.
        """
        title = TITLES.get(name, name)
        self.clock.next(f"seed {self.seed}: {title}")
        cfg = stage_config(self.cfg, self.work / name, self.seed, name)
        datasets = cfg.train_dataloader.dataset.datasets
        datasets.extend(copy.deepcopy(extra))
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), dict(type="TrainProgressHook", title=title)]
        if name == "refreshed":
            cfg.custom_hooks.append(self.refresh())
        if name == "smoothed":
            cfg.model.decode_head.loss_decode.label_smoothing = 0.5
        if change is not None:
            change(cfg)
        val = cfg.val_dataloader.dataset
        key = [__version__, text(cfg), [unify.inputs(d, SOURCE) for d in [*datasets, val]], labels]

        def action() -> dict[str, Any]:
            start = time.monotonic()
            training = copy.deepcopy(cfg)
            for part in ("val_dataloader", "val_cfg", "val_evaluator"):  # judged once, below
                training.pop(part, None)
            checkpoint = train(training, quiet=True)
            measured = evaluate(cfg, checkpoint, {"val": val}, quiet=True)["val"]
            prefix = "source/IoU."
            return {
                "checkpoint": str(checkpoint),
                "miou": measured["source/mIoU"],
                "per_class": {k.removeprefix(prefix): v for k, v in measured.items() if k.startswith(prefix)},
                "seconds": round(time.monotonic() - start),
            }

        result = self.stage(
            Stage(
                name,
                self.work / name,
                key=lambda _: key,
                action=lambda _: action(),
                complete=lambda r: Path(r["checkpoint"]).is_file(),
            )
        )
        self.clock.took(result["seconds"])
        return result

    def labels(self, kinds: Sequence[str], teacher: Path, **options: Any) -> tuple[dict[str, Any], Any]:
        """Label the coarse frames: constrained, and raw if `kinds` has a second. The labels' scores, and their key."""
        cfg = stage_config(self.cfg, Path(self.folder(kinds[0])).parent, self.seed, "labels")
        pipeline = cfg.val_dataloader.dataset.pipeline
        cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
        cfg.test_dataloader.dataset = {**self.coarse, "pipeline": pipeline}
        cfg.test_cfg = dict(type="PseudoLabelLoop", out_dir=self.folder(kinds[0]), **self.views, **options)
        if len(kinds) > 1:
            cfg.test_cfg.raw_dir = self.folder(kinds[1])
        key = [__version__, text(cfg), file_sha256(teacher), unify.inputs(self.coarse, SOURCE)]

        def action() -> dict[str, Any]:
            pseudo_label(cfg, teacher, quiet=True)
            return {kind: self.score(kind) for kind in kinds}

        folders = [Path(self.folder(kind)) for kind in kinds]
        found = self.stage(
            Stage(
                f"pseudo-{kinds[0]}",
                folders[0].parent,
                key=lambda _: key,
                action=lambda _: action(),
                complete=lambda _: all(f.is_dir() for f in folders),
                resumes=True,
            )
        )
        return found, key

    def score(self, kind: str) -> dict[str, float]:
        """How many pixels with a fine truth the labels name a class for, and their mIoU there."""
        dataset = TaxDataset(**{k: v for k, v in self.truth.items() if k != "type"})
        k = dataset.constraint.num_classes
        reader = Annotation(channel_constraint(dataset.constraint))
        counts = torch.zeros(k + 1, k + 1, dtype=torch.int64)
        for info in map(dataset.get_data_info, range(len(dataset))):
            true = dataset.annotation.load(info["seg_map_path"])[0].astype("int64")
            found = reader.load(f"{self.folder(kind)}/{info['key']}.png")[0].astype("int64")
            counts += confusion(torch.from_numpy(found), torch.from_numpy(true), k, ignore=void_index(k))
        labelled = float(counts[:-1, :-1].sum() / counts[:-1].sum())
        counts[:, -1] = 0  # a label that is left out is not a wrong one
        return {"miou": iou_summary(counts)["miou"], "labelled": labelled}


def summary(values: Sequence[float]) -> dict[str, float]:
    """Mean and sample standard deviation over seeds."""
    return {"mean": statistics.mean(values), "std": statistics.stdev(values) if len(values) > 1 else 0.0}


def trained(results: dict[str, Any]) -> list[str]:
    """The models of a result, the oracle last."""
    found = set.intersection(*(set(s) for s in results["seeds"].values()))
    return [name for name in sorted(TITLES, key=lambda name: name == "oracle") if name in found]


def table(results: dict[str, Any]) -> str:
    """The results in Markdown: mIoU in percent, and its difference from the teacher of the same seed."""
    seeds = results["seeds"]
    heads = ["model", "mIoU", "against the teacher", *(f"seed {s}" for s in seeds)]
    lines = [f"| {' | '.join(heads)} |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name in trained(results):
        values = [s[name]["miou"] * 100 for s in seeds.values()]
        gains = [v - s["teacher"]["miou"] * 100 for v, s in zip(values, seeds.values(), strict=True)]
        both = [summary(values), summary(gains)]
        cells = [
            TITLES[name],
            "{mean:.1f} ± {std:.1f}".format(**both[0]),
            "" if name == "teacher" else "{mean:+.1f} ± {std:.1f}".format(**both[1]),
            *(f"{v:.1f}" for v in values),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def class_table(results: dict[str, Any]) -> str:
    """IoU of each class in percent, the mean over seeds, in Markdown."""
    seeds = list(results["seeds"].values())
    names = list(seeds[0]["teacher"]["per_class"])
    lines = [f"| IoU | {' | '.join(names)} |", "|---" + "|---:" * len(names) + "|"]
    for model in trained(results):
        means = [statistics.mean(s[model]["per_class"][n] for s in seeds) * 100 for n in names]
        lines.append(f"| {model} | {' | '.join(f'{m:.0f}' for m in means)} |")
    return "\n".join(lines)


def label_table(results: dict[str, Any]) -> str:
    """How good the pseudo-labels are, in Markdown."""
    lines = ["| pseudo-labels | mIoU of the labelled pixels | labelled pixels |", "|---|---:|---:|"]
    for kind in KINDS:
        found = [s["labels"][kind] for s in results["seeds"].values()]
        miou, share = (statistics.mean(f[key] for f in found) for key in ("miou", "labelled"))
        lines.append(f"| {kind} | {miou:.1%} | {share:.1%} |")
    return "\n".join(lines)


def plot(results: dict[str, Any], path: Path) -> None:
    """Mean, spread and single seeds of every model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams["svg.hashsalt"] = "lsu"  # the same results give the same file
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    seeds = list(results["seeds"].values())
    for y, name in enumerate(trained(results)):
        values = [s[name]["miou"] * 100 for s in seeds]
        both = summary(values)
        colour = {"teacher": "#9a9a9a", "oracle": "#5a8a5a"}.get(name, "#3d6fa5")
        axes.barh(
            y,
            both["mean"],
            xerr=both["std"] if len(values) > 1 else None,
            color=colour,
            alpha=0.75,
            capsize=3,
        )
        axes.plot(values, [y] * len(values), "o", color="black", markersize=3)
        axes.text(0.5, y, TITLES[name], va="center", fontsize=8, color="white")
    axes.invert_yaxis()
    axes.set_yticks([])
    axes.set_xlabel(f"mIoU in % on the val split; bars: mean ± standard deviation; dots: {len(seeds)} seeds")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), platform.machine())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, type=Path, help="CamVid in the layout of the SegNet tutorial")
    parser.add_argument("--work-dir", default=Path("work/camvid"), type=Path, help="for all results (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--iters", type=int, help="of every training; by default the config's")
    parser.add_argument("--fine", type=int, default=10, help="frames with fine labels (%(default)s)")
    parser.add_argument("--also", nargs="+", choices=VARIANTS, default=[], help="train these students as well")
    args = parser.parse_args()
    if len(set(args.seeds)) < len(args.seeds):
        parser.error("--seeds: a seed is named twice, and would count twice")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    start = time.monotonic()
    try:
        cfg = load_config(CONFIG)
        if args.iters:
            cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = args.iters
        results = experiment(cfg, args.data_root, args.work_dir, args.seeds, args.fine, args.also)
    except (UserError, ImportError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    text = "\n\n".join([table(results), class_table(results), label_table(results)])
    write_atomic(args.work_dir / "results.json", json.dumps(results, indent=2).encode())
    write_atomic(args.work_dir / "table.md", (text + "\n").encode())
    plot(results, args.work_dir / "plot.svg")
    print(f"\n{text}\n\n{args.work_dir}/results.json, table.md, plot.svg; {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
