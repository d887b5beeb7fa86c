"""The pseudo-label engine from end to end: section `pipeline` of `benchmark.py`."""

from __future__ import annotations

import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import cv2
import numpy as np

HEIGHT, WIDTH = 512, 1024
HEAD = """\
tax 1
dataset {name} v1 -> cityscapes v1
encoding: id
void:     255
splits:   train
images:   images/{{split}}/{{stem}}.jpg
labels:   labels/{{split}}/{{stem}}.png
"""
FINE = """\
0  road          #804080  < road
1  lane_marking  #ffffff  < road
2  sidewalk      #f423e8  = sidewalk
3  building      #464646  = building
4  wall          #66669c  = wall
5  fence         #be9999  = fence
6  pole          #999999  = pole
7  traffic_sign  #dcdc00  = traffic_sign
8  tree          #6b8e23  < vegetation
9  grass         #98fb98  < terrain
10 sky           #4682b4  = sky
11 person        #dc143c  = person
12 car           #00008e  = car
13 truck         #000046  = truck
14 bicycle       #770b20  = bicycle
"""
MIXED = FINE.replace("= person", "> person rider").replace("= truck", "~ truck bus void")
COARSE = """\
0..2   ground     #804080  > road sidewalk
3..5   structure  #464646  > building wall fence
6,7    furniture  #dcdc00  > pole traffic_light traffic_sign
8,9    nature     #6b8e23  > vegetation terrain
10     sky        #4682b4  = sky
11     human      #dc143c  > person rider
12,13  vehicle    #00008e  ~ car truck bus train void
14     bicycle    #770b20  = bicycle
"""
MAPS = {"coarse": COARSE, "mixed": MIXED, "fine": FINE}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "coarse map": ("coarse", {}),
    "persons and trucks alone are open": ("mixed", {}),
    "the same in windows of 256": ("mixed", dict(window=(256, 256), overlap=0.0)),
    "every class lies in one of the source's": ("fine", {}),
}

BARE = {"the bare model": False, "the bare model with freed memory kept": True}


def write_streets(root: Path, images: int, height: int = HEIGHT, width: int = WIDTH) -> None:
    """JPEGs and PNGs of drawn streets in `root / "data"`, and a dataset taxonomy for each of MAPS."""
    from lsu_seg.demo.relabel import write_png
    from lsu_seg.demo.scenes import STYLES, draw_scene

    for folder in ("images/train", "labels/train"):
        (root / "data" / folder).mkdir(parents=True)
    for i in range(images):
        image, labels = draw_scene(np.random.default_rng(i), STYLES["town"], height, width)
        cv2.imwrite(str(root / f"data/images/train/{i:05}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        write_png(root / f"data/labels/train/{i:05}.png", labels)
    for name, rows in MAPS.items():
        (root / f"{name}.tax").write_text(HEAD.format(name=name) + rows)


def segformer(path: Path) -> dict[str, Any]:
    """The config of MMSegmentation's SegFormer-B0 with 19 classes; a checkpoint of random weights at `path`."""
    import mmseg
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    import lsu_onto

    configs = Path(mmseg.__file__).parent / ".mim/configs"
    model: dict[str, Any] = Config.fromfile(configs / "_base_/models/segformer_mit-b0.py").model.to_dict()
    model["decode_head"] |= dict(num_classes=19, norm_cfg=dict(type="BN", requires_grad=True))
    init_default_scope("mmseg")
    torch.manual_seed(0)
    weights = MODELS.build(model).state_dict()
    classes = list(lsu_onto.load("cityscapes", source="cityscapes").source_classes)
    torch.save({"state_dict": weights, "meta": {"dataset_meta": {"classes": classes}}}, path)
    return model


def label_config(root: Path, model: dict[str, Any], taxonomy: str, **loop: Any) -> Any:
    from mmengine.config import Config

    steps = [dict(type=t) for t in ("LoadTaxImage", "LoadTaxAnnotations", "PackTaxInputs")]
    dataset = dict(
        type="TaxDataset",
        taxonomy=str(root / f"{taxonomy}.tax"),
        data_root=str(root / "data"),
        split="train",
        pipeline=steps,
    )
    return Config(
        dict(
            custom_imports=dict(imports=["lsu_seg"]),
            default_scope="mmseg",
            log_level="ERROR",
            work_dir=str(root / "log"),
            model=model,
            test_dataloader=dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False), dataset=dataset),
            test_cfg=dict(type="PseudoLabelLoop", out_dir=str(root / "out"), flips=(False,), **loop),
        ),
        format_python_code=False,
    )


class Cost(NamedTuple):
    """Milliseconds per image: on the wall, and of all the process's threads together."""

    wall: float
    processor: float


def cost(run: Callable[[], object], images: int) -> Cost:
    gc.collect()
    cpu, began = time.process_time(), time.perf_counter()
    run()
    return Cost(1000 * (time.perf_counter() - began) / images, 1000 * (time.process_time() - cpu) / images)


def pipeline(images: int = 12, rounds: int = 5) -> Iterator[tuple[Any, ...]]:
    """One view of 512 x 1024 images, from their files to label files, against the bare forward of the same images.

    In turns; the median of the rounds. The loop is measured whole, with the first image's reading and the last one's
    writing, which nothing overlaps; not the making of the model, once per run. Processor time is of all threads. The
    bare model runs twice: as in any process, and with what the engine does about memory (`allocator.py`).
    """
    import torch

    from lsu_seg.openmmlab.runner import runner_with_checkpoint
    from lsu_seg.pseudo.loop import PseudoLabelLoop
    from lsu_seg.pseudo.run import pseudo_label
    from lsu_seg.runtime.allocator import keep_freed_memory

    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_streets(root, images)
        model = segformer(root / "b0.pth")
        loop, seen = PseudoLabelLoop._label, []

        def measured(self: Any, *args: Any) -> Any:
            result: dict[str, Any] = {}
            spent = cost(lambda: result.update(loop(self, *args)), images)
            seen.append((spent, result))
            return result

        def label(taxonomy: str, **options: Any) -> tuple[Cost, dict[str, Any]]:
            shutil.rmtree(root / "out", ignore_errors=True)
            with mock.patch.object(PseudoLabelLoop, "_label", measured):
                pseudo_label(label_config(root, model, taxonomy, **options), root / "b0.pth", quiet=True)
            return seen[-1]

        label("coarse")  # now the decoder is compiled, and the files are in the system's cache
        cfg = label_config(root, model, "coarse")
        cfg.test_evaluator = []
        runner = runner_with_checkpoint(cfg, root / "b0.pth", quiet=True)
        segmentor = runner.model.eval()
        with torch.inference_mode():
            batches = [
                segmentor.data_preprocessor(batch, False)["inputs"]
                for batch in runner.build_dataloader(cfg.test_dataloader)
            ]

        @torch.inference_mode()
        def bare() -> None:
            for batch in batches:
                segmentor(batch, mode="tensor")

        bare()
        costs: dict[str, list[Cost]] = {}
        saved: dict[str, str] = {}
        for _ in range(rounds):
            for name, keep in BARE.items():
                keep_freed_memory(keep)
                bare()
                costs.setdefault(name, []).append(cost(bare, images))
            for name, (taxonomy, options) in RUNS.items():
                spent, r = label(taxonomy, **options)
                costs.setdefault(name, []).append(spent)
                windows = f", {r['skipped_windows'] / r['windows']:.0%} of windows" if r["windows"] else ""
                saved[name] = (
                    f"{1 - r['asked_share']:.0%} of pixels{windows} and {r['skipped_teacher'] / images:.0%} of images"
                    " need no teacher"
                )
        for field in ("wall", "processor"):
            median = {name: statistics.median(getattr(c, field) for c in found) for name, found in costs.items()}
            bases = {name: median.pop(name) for name in BARE}
            for name, ms in median.items():
                for what, base in bases.items():
                    yield f"{name}, {saved[name]}; {field} time", ms, what, base, 1.05 * base
