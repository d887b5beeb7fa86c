"""Times input: label files to rows, samples of training, pairs of a scan; as ratios against an earlier commit.

    python tools/benchmark_input.py --against COMMIT    both in turns, each in processes of its own, on one core
    python tools/benchmark_input.py                     this tree alone
    python tools/benchmark_input.py --forward           each step of a sample, and the forward pass of two models

Figures are milliseconds of processor time: the best of the rounds, in each of which a process warms up first. Streets
are drawn, 1024 x 2048 pixels, with a camera's noise; `--data FOLDER` takes the images `*.png` and labels
`*_labelIds.png` of Cityscapes in their place. Nothing is asserted: `docs/benchmarks.md` has the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[1]
IMAGES, PAIRS, SAMPLES = 8, 96, 32


# --- the files ---------------------------------------------------------------------------------------------


def write_files(folder: Path, data: str | None) -> None:
    """Streets as JPEG and as PNG with their labels, taxonomies, and a label of each encoding."""
    from drawn_labels import write_label_files
    from PIL import Image

    import lsu_onto
    from lsu_seg.demo.scenes import STYLES, draw_scene

    rng = np.random.default_rng(0)
    real = sorted(Path(data).rglob("*_labelIds.png"))[:IMAGES] if data else []
    if data and len(real) < IMAGES:
        raise click.UsageError(
            f"--data: below {data} are {len(real)} files `*_labelIds.png`; expected {IMAGES} or more"
        )
    for i in range(IMAGES):
        if real:
            labels = np.array(Image.open(real[i]))
            name = str(real[i]).replace("gtFine", "leftImg8bit").replace("_labelIds", "")
            pixels = np.array(Image.open(name))
        else:
            pixels, labels = draw_scene(rng, STYLES["town"], 1024, 2048)
            pixels = np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)
        for kind, options in (("jpg", {"quality": 92}), ("png", {})):
            for n in range(i, PAIRS, IMAGES):
                image, label = folder / kind / f"images/{n:04}.{kind}", folder / kind / f"labels/{n:04}.png"
                image.parent.mkdir(parents=True, exist_ok=True)
                label.parent.mkdir(exist_ok=True)
                if n == i:
                    Image.fromarray(pixels).save(image, **options)
                    Image.fromarray(labels).save(label)
                else:
                    os.link(image.parent / f"{i:04}.{kind}", image)
                    os.link(label.parent / f"{i:04}.png", label)
    names = lsu_onto.load("cityscapes", source="cityscapes").source_classes
    lines = [f"{i}  c{i}  #{i:06x}  < {names[i % len(names)]}" for i in range(256)]
    for kind in ("jpg", "png"):
        keys = ["encoding: id", f"images: images/{{stem}}.{kind}", "labels: labels/{stem}.png"]
        text = "\n".join(["tax 1", f"dataset {kind} v1 -> cityscapes v1", *keys, *lines, ""])
        (folder / f"{kind}.tax").write_text(text)
    write_label_files(folder)


# --- one tree ----------------------------------------------------------------------------------------------


def best(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        times.append(1000 * (time.process_time() - began))
    return min(times)


def measured(folder: Path) -> Iterator[tuple[str, float]]:
    """Name and milliseconds of each figure, for the tree that is imported."""
    from drawn_labels import ENCODINGS

    import lsu_onto
    from lsu_seg.label_files import LabelReader
    from lsu_seg.scan.run import scan

    read = {name: LabelReader(lsu_onto.load(folder / f"{name}.tax")) for name in ENCODINGS}
    for _ in range(80):  # as many as it takes until compiled loops pay
        for name, reader in read.items():
            reader.rows(folder / f"{name}.png")
    for name, reader in read.items():
        yield f"label to rows, {name}", best(lambda r=reader, n=name: r.rows(folder / f"{n}.png"), 10)
    for kind in ("jpg", "png"):
        total = sum(ms for _, ms in steps(folder, kind))
        yield f"sample of training, {kind}", total
    for kind in ("jpg", "png"):
        with tempfile.TemporaryDirectory() as work:
            began = time.process_time()
            scan(str(folder / f"{kind}.tax"), folder / kind, work_dir=work, jobs=1)
            yield f"pair of a scan, {kind}", 1000 * (time.process_time() - began) / PAIRS


def steps(folder: Path, kind: str) -> list[tuple[str, float]]:
    """Each step of the recipes' training pipeline, and the milliseconds that it takes for a sample."""
    import random

    import cv2
    import torch
    from mmengine import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    import lsu_seg
    from lsu_seg.runtime.allocator import keep_freed_memory

    keep_freed_memory()  # as training does
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    init_default_scope("mmseg")
    recipe = Path(lsu_seg.__file__).parent / "configs/_base_/data/pipelines.py"
    pipeline = Config.fromfile(recipe).train_pipeline
    taxonomy = str(folder / f"{kind}.tax")
    dataset = DATASETS.build(
        dict(type="TaxDataset", taxonomy=taxonomy, data_root=str(folder / kind), split="", pipeline=pipeline)
    )
    times: dict[str, float] = {}
    for count in (8, SAMPLES):  # the first to warm up
        random.seed(0)
        np.random.seed(0)
        times.clear()
        for i in range(count):
            results = dataset.get_data_info(i) | {"reader": dataset.reader, "dataset": "", "skip_void": False}
            for transform in dataset.pipeline.transforms:
                began = time.process_time()
                results = transform(results)
                name = type(transform).__name__
                times[name] = times.get(name, 0) + 1000 * (time.process_time() - began) / count
    return list(times.items())


def forward() -> Iterator[tuple[str, float]]:
    """A forward pass of two models at random weights, for one image of 1024 x 512 pixels, on one core."""
    import torch
    from transformers import (
        SegformerConfig,
        SegformerForSemanticSegmentation,
        SwinConfig,
        UperNetConfig,
        UperNetForSemanticSegmentation,
    )

    torch.set_num_threads(1)
    swin = SwinConfig(
        embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32], out_features=[f"stage{i}" for i in range(1, 5)]
    )
    models = {
        "SegFormer-B0": SegformerForSemanticSegmentation(SegformerConfig(num_labels=19)),
        "UPerNet with Swin-B": UperNetForSemanticSegmentation(UperNetConfig(backbone_config=swin, num_labels=19)),
    }
    image = torch.randn(1, 3, 512, 1024)
    for name, model in models.items():
        model.eval()
        with torch.inference_mode():
            yield name, best(lambda m=model: m(image), 3)


# --- both --------------------------------------------------------------------------------------------------


def child(tree: Path, folder: Path) -> dict[str, float]:
    """The figures of a tree, by a process on this core that imports it."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, __file__, "--measure", str(folder)]
    done = subprocess.run(command, env=environment, cwd=tree, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(commit: str | None, folder: Path, rounds: int) -> None:
    trees = {"now": ROOT}
    if commit:
        trees = {"before": folder / "tree", **trees}
        trees["before"].mkdir()
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "x"], cwd=trees["before"], input=archive, check=True)
    figures: dict[str, dict[str, float]] = {name: {} for name in trees}
    for _ in range(rounds):
        for name, tree in trees.items():
            for what, ms in child(tree, folder).items():
                figures[name][what] = min(ms, figures[name].get(what, ms))
    print(f"| what | {' | '.join(f'{name}, ms' for name in trees)} | ratio |\n|---|{'---:|' * (len(trees) + 1)}")
    for what, now in figures["now"].items():
        before = figures.get("before", {}).get(what, now)
        columns = " | ".join(f"{figures[name].get(what, float('nan')):.1f}" for name in trees)
        print(f"| {what} | {columns} | {now / before:.2f} |", flush=True)


@click.command()
@click.option("--against", "commit", help="A commit to compare with.")
@click.option("--data", help="Cityscapes, in place of drawn streets.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--forward", "models", is_flag=True, help="Each step of a sample, and two models.")
@click.option("--measure", hidden=True, help="The files of a process that measures its tree.")
def main(commit: str | None, data: str | None, rounds: int, models: bool, measure: str | None) -> None:
    """Time input."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if measure:
        figures: dict[str, Any] = dict(measured(Path(measure)))
        print(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory() as name:
        write_files(Path(name), data)
        if not models:
            compare(commit, Path(name), rounds)
            return
        list(measured(Path(name)))
        print("| what | ms |\n|---|---:|")
        for kind in ("jpg", "png"):
            for what, ms in steps(Path(name), kind):
                print(f"| {what}, {kind} | {ms:.1f} |")
        for what, ms in forward():
            print(f"| {what} | {ms:.0f} |", flush=True)


if __name__ == "__main__":
    main()
