"""Writes the pools: two domains, three teachers each.

    PYTHONPATH=tools/experiments python -m audit_table.make --shared DATA --edgenets CHECKOUT -o work/pools

DATA holds `camvid` and `weights/espnetv2_s_2.0_city_1024x512.pth`; CHECKOUT is sacmehta/EdgeNets.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import torch
from torch import Tensor
from torch.nn import functional

from audit_table.pools import Pool, Scene, make_pool
from audit_table.teachers import (
    CAMVID,
    CLASSES,
    Teacher,
    camvid,
    drawn,
    espnet,
    train_drawn,
)

DRAWN = {"good": (400, 3000), "fair": (80, 900), "poor": (12, 300)}
"""Images of the source and iterations."""
Part = tuple[tuple[str, ...], Callable[[], Teacher], Callable[[], Iterable[Scene]]]
"""Classes, teacher, scenes."""
DRIVES = ("0001TP", "0006R0", "0016E5")


def degraded(noise: float, blur: int, image: Tensor) -> Tensor:
    """Blurred, paler, and noisy, always alike."""
    image = functional.avg_pool2d(image, blur, 1, blur // 2, count_include_pad=False)
    image = 0.5 + (image - 0.5) * 0.7
    return (image + noise * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--edgenets", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work-dir", type=Path, default=Path("work/audit-teachers"))
    parser.add_argument("--style", default="town", help="of the drawn target")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn scenes and their teachers")
    parser.add_argument("--only", default="", help="pools whose name begins so")
    args = parser.parse_args()
    torch.set_num_threads(1)
    frames = args.shared / "camvid"
    weights = args.shared / "weights/espnetv2_s_2.0_city_1024x512.pth"
    everything = partial(camvid, frames, DRIVES)
    seed = 1000 * (args.seed + 1)
    parts: dict[str, Part] = {}
    for name, (images, iterations) in DRAWN.items():
        work = args.work_dir / f"drawn-{name}-{args.seed}"
        train = partial(train_drawn, work, images, iterations, seed)
        parts[f"drawn-{name}"] = CLASSES, train, partial(drawn, args.style, seed + 2, 150)
    real = partial(espnet, args.edgenets, weights, (480, 640))
    worse = partial(espnet, args.edgenets, weights, (320, 432), partial(degraded, 0.01, 3))
    worst = partial(espnet, args.edgenets, weights, (240, 320), partial(degraded, 0.02, 3))
    parts["camvid-good"] = CAMVID, real, everything
    parts["camvid-fair"] = CAMVID, worse, everything
    parts["camvid-poor"] = CAMVID, worst, everything
    for name, (classes, teacher, scenes) in parts.items():
        path = args.output / f"{name}.npz"
        if name.startswith(args.only) and not path.exists():
            make_pool(classes, scenes(), teacher(), seed).save(path)
    lines = []
    for path in sorted(args.output.glob("*.npz")):
        pool = Pool.load(path)
        lines.append(f"{path.stem:20} mIoU {pool.miou:.3f}, {len(pool.keys)} images, {len(pool.row)} pixels")
        print(lines[-1], flush=True)
    (args.output / "README.txt").write_text("\n".join([*lines, "", Pool.__doc__ or ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
