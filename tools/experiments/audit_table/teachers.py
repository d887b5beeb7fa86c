"""Teachers of the table, and the scenes that they are asked about: drawn ones, and CamVid's."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import lsu_onto
import lsu_seg
from audit_table.pools import Scene
from lsu_seg.demo.relabel import write_png
from lsu_seg.demo.scenes import CLASSES, STYLES, draw_scene
from lsu_seg.openmmlab.config import load_config
from lsu_seg.openmmlab.runner import runner_with_checkpoint
from lsu_seg.training.run import train

Teacher = Callable[[NDArray[np.uint8], tuple[int, int]], NDArray[np.float32]]
CONFIGS = Path(lsu_seg.__file__).parent / "configs"
HEIGHT, WIDTH = 96, 192
CAMVID = tuple(lsu_onto.load("camvid11").source_classes)
TO_CAMVID = {
    "road": "road",
    "sidewalk": "pavement",
    "building": "building",
    "wall": "building",
    "fence": "fence",
    "pole": "pole",
    "traffic_light": "sign_symbol",
    "traffic_sign": "sign_symbol",
    "vegetation": "tree",
    "terrain": "tree",
    "sky": "sky",
    "person": "pedestrian",
    "rider": "bicyclist",
    "car": "car",
    "truck": "car",
    "bus": "car",
    "train": "car",
    "motorcycle": "bicyclist",
    "bicycle": "bicyclist",
}
"""Cityscapes' classes, in the order of the teacher's channels, in CamVid's."""
CITYSCAPES = tuple(TO_CAMVID)


def drawn(style: str, seed: int, count: int) -> Iterator[Scene]:
    """Scenes of a style with their exact labels."""
    for i in range(count):
        image, labels = draw_scene(np.random.default_rng([seed, i]), STYLES[style], HEIGHT, WIDTH)
        yield f"{style}_{seed}_{i:04d}", image, _channels(labels, len(CLASSES))


def camvid(root: Path, sequences: tuple[str, ...]) -> Iterator[Scene]:
    """The frames of some of the drives."""
    paths = sorted(p for split in ("train", "val") for p in (root / split).glob("*.png"))
    for path in paths:
        if path.name.startswith(sequences):
            truth = cv2.imread(str(path.parent.with_name(f"{path.parent.name}annot") / path.name), cv2.IMREAD_UNCHANGED)
            yield path.stem, _rgb(path), _channels(truth, len(CAMVID))


def _channels(labels: NDArray[np.uint8], count: int) -> NDArray[np.int16]:
    return np.where(labels < count, labels.astype(np.int16), np.int16(-1))


def _rgb(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])


def both_ways(net: Callable[[Tensor], Tensor], size: tuple[int, int] | None) -> Teacher:
    """A net on the image and its mirror image. size: height and width that it sees; net: 0..255 RGB → p."""

    @torch.no_grad()
    def teacher(image: NDArray[np.uint8], label: tuple[int, int]) -> NDArray[np.float32]:
        x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
        if size:
            x = functional.interpolate(x, size, mode="bilinear", antialias=True)
        p = (net(x) + net(x.flip(3)).flip(3)) / 2
        return functional.interpolate(p, label, mode="bilinear")[0].numpy()

    return teacher


def segmentor(cfg: Any, checkpoint: Path, size: tuple[int, int] | None = None) -> Teacher:
    """A model of MMSegmentation as a teacher."""
    model = runner_with_checkpoint(cfg, checkpoint, quiet=True).model.eval()
    prepare = model.data_preprocessor

    def net(x: Tensor) -> Tensor:
        x = (x - prepare.mean.view(3, 1, 1)) / prepare.std.view(3, 1, 1)
        logits = model(x, mode="tensor")
        return functional.interpolate(logits, x.shape[2:], mode="bilinear").softmax(1)

    return both_ways(net, size)


def train_drawn(work: Path, images: int, iterations: int, seed: int) -> Teacher:
    """The demo's net, trained on so many scenes of the source's style."""
    root = work / "data"
    layout = lsu_onto.load("demo").layout
    for split, first, count in (("train", seed, images), ("val", seed + 1, 4)):
        for key, image, truth in drawn("source", first, count):
            write_png(root / layout.images.format(split=split, stem=key), image)
            write_png(
                root / layout.labels.format(split=split, stem=key), np.where(truth < 0, 255, truth).astype(np.uint8)
            )
    cfg = load_config(CONFIGS / "demo/demo.py")
    cfg.pop("unify"), cfg.pop("test_cfg", None)
    cfg.train_dataloader.dataset.datasets[0].data_root = str(root)
    cfg.work_dir, cfg.train_cfg.max_iters, cfg.randomness = str(work / "net"), iterations, dict(seed=seed)
    return segmentor(cfg, _trained(cfg))


def demo_teacher(work: Path, seed: int) -> tuple[Path, Path]:
    """The demo's own teacher, trained on the scenes in `work/data`: its config and its checkpoint."""
    cfg = load_config(CONFIGS / "demo/demo.py")
    cfg.pop("unify"), cfg.pop("test_cfg", None)
    cfg.train_dataloader.dataset.datasets[0].data_root = str(work / "data/source")
    cfg.work_dir, cfg.randomness = str(work / "net"), dict(seed=seed)
    config = work / "teacher.py"
    cfg.dump(str(config))
    return config, _trained(cfg)


def _trained(cfg: Any) -> Path:
    for part in ("val_dataloader", "val_cfg", "val_evaluator"):
        cfg.pop(part, None)
    named = Path(cfg.work_dir) / "last_checkpoint"
    return Path(named.read_text(encoding="utf-8")) if named.is_file() else train(cfg, quiet=True)


def espnet(
    code: Path, weights: Path, size: tuple[int, int] | None, degrade: Callable[[Tensor], Tensor] | None = None
) -> Teacher:
    """The Cityscapes ESPNetv2 of sacmehta/EdgeNets, a checkout of which is `code`, in CamVid's classes."""
    sys.path.insert(0, str(code))
    from model.segmentation.espnetv2 import ESPNetv2Segmentation

    model = ESPNetv2Segmentation(Namespace(s=2.0, channels=3, num_classes=1000), classes=20, dataset="city")
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    model.eval()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    to = torch.zeros(len(CAMVID), len(CITYSCAPES))
    for i, name in enumerate(CITYSCAPES):
        to[CAMVID.index(TO_CAMVID[name]), i] = 1

    def net(x: Tensor) -> Tensor:
        x = x / 255
        p = model(((degrade(x) if degrade else x) - mean) / std)[:, : len(CITYSCAPES)].softmax(1)
        return torch.einsum("ck,bkhw->bchw", to, p)

    return both_ways(net, size)
