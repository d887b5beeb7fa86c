"""The package cleanlab on the classes that the table takes out of maps, for the table of docs/audit.md.

    python tools/experiments/audit_cleanlab.py work/pools --worlds 34

It needs `pip install cleanlab` beside what the audit needs. cleanlab knows one class per pixel and no sets: it is given
the best class inside S(d) by the teacher's probabilities, as a labelling run would have it, and asked which of these
labels are wrong. The score of (d, c) is the part of d that it calls wrong and c.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from audit import FIRST, border
from audit_table.ontologies import World, draw_world
from audit_table.plants import plants
from audit_table.pools import Pool
from cleanlab.count import compute_confident_joint
from cleanlab.segmentation.filter import find_label_issues
from numpy.typing import NDArray

from lsu_seg.audit.rows import closed_rows
from lsu_seg.runtime.progress import track

WAYS = "segmentation.filter.find_label_issues", "count.compute_confident_joint"


def scores(world: World, allowed: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """What each of `WAYS` says of the pairs, `[D, K]`."""
    closed = closed_rows(allowed)
    rows, k = allowed.shape[0], allowed.shape[1] - 1
    at = np.flatnonzero((world.pixels.row >= 0) & closed[np.maximum(world.pixels.row, 0)])
    row, p = world.pixels.row[at], world.pixels.p[at].astype(np.float64)
    labels = np.where(allowed[row, :k], p, -1).argmax(1)
    used = np.unique(labels)  # cleanlab says nothing of classes that no pixel is labelled as
    p, to = p[:, used] + 1e-6, np.searchsorted(used, labels)
    p /= p.sum(1, keepdims=True)
    images = find_label_issues(
        to[:, None, None], p[:, :, None, None], downsample=1, n_jobs=1, verbose=False, batch_size=len(to)
    )
    _, wrong = compute_confident_joint(to, p, return_indices_of_off_diagonals=True)
    out = []
    for chosen in (np.flatnonzero(images[:, 0, 0]), np.asarray(wrong, np.intp)):
        joint = np.zeros((rows, k))
        np.add.at(joint, (row[chosen], used[p[chosen].argmax(1)]), world.pixels.weight[at][chosen])
        mass = np.bincount(row, world.pixels.weight[at], minlength=rows)
        out.append(joint / np.maximum(mass, 1e-9)[:, None])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pools", type=Path)
    parser.add_argument("--worlds", type=int, default=40, help="per pool")
    args = parser.parse_args()
    found: list[list[bool]] = [[] for _ in WAYS]
    for path in sorted(args.pools.glob("*.npz")):
        pool = Pool.load(path)
        clean: list[list[list[float]]] = [[] for _ in WAYS]
        missing: list[list[float]] = [[] for _ in WAYS]
        for seed in track(range(FIRST, FIRST + args.worlds), path.stem, args.worlds):
            world = draw_world(pool, seed)
            outside = ~world.allowed[:, :-1] & closed_rows(world.allowed)[:, None]
            for i, score in enumerate(scores(world, world.allowed)):
                clean[i].append(score[outside].tolist())
            for plant in plants(world, np.random.default_rng([seed, 5])):
                if plant.kind == "missing":
                    [[d, c]] = np.argwhere(plant.allowed != world.allowed).tolist()
                    for i, score in enumerate(scores(world, plant.allowed)):
                        missing[i].append(float(score[d, c]))
        for i, way in enumerate(WAYS):
            least = border(clean[i])
            hits = [value > least for value in missing[i]]
            found[i] += hits
            print(f"{path.stem} {way}: {np.mean(hits):.2f} of {len(hits)}", flush=True)
    for i, way in enumerate(WAYS):
        print(f"all {way}: {np.mean(found[i]):.2f} of {len(found[i])}")


if __name__ == "__main__":
    main()
