"""How good first maps are: what `lsu-seg suggest` writes, held against the maps that ship.

    PYTHONPATH=FOLDER_OF_THE_NET python tools/experiments/suggest.py --data-root DATA --teacher net.py net.pth \
        --pools work/pools -o work/suggest

DATA has the folders `camvid` and `real/…` of `SETS`; those that are not there are left out. The teacher is a config and
a checkpoint for the classes of Cityscapes. The demo's scenes and their teachers are made for each of `--seeds`; the
pools are those of `audit_table.make`, over which coarse classes without names are drawn. Everything that takes long is
kept in the output folder, and the same command goes on after it.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import numpy as np
from audit_table.ontologies import draw_world
from audit_table.pools import Pool
from audit_table.teachers import demo_teacher
from mmengine.config import DictAction
from numpy.typing import NDArray

import lsu_onto
from lsu_onto import NameOdds, Suggestion, suggest_rows
from lsu_onto.starter.by_name import PRIOR
from lsu_seg.audit.pixels import Pixels, pixels_of
from lsu_seg.audit.suggest import BELIEF, DOUBT, suggest_seen
from lsu_seg.demo.data import make_data
from lsu_seg.pseudo.sampling import drawn_sample
from lsu_seg.runtime.progress import track

CAMVID = """tax 1
dataset camvid_eleven v1 -> cityscapes v1
splits: train val test
images: {split}/{stem}.png
labels: {split}annot/{stem}.png
void:   11
0  sky          = sky
1  building     > building ~ wall
2  pole         < pole
3  road         < road
4  pavement     < sidewalk
5  tree         > vegetation ~ terrain
6  sign_symbol  > traffic_sign traffic_light
7  fence        = fence
8  car          > car bus ~ truck
9  pedestrian   < person
10 bicyclist    ~ rider bicycle
"""
IDD_LITE = """tax 1
dataset idd_lite v1 -> cityscapes v1
splits: train val
images: leftImg8bit/{split}/{seq}/{stem}_image.jpg
labels: gtFine/{split}/{seq}/{stem}_label.png
void:   255
0 drivable          < road
1 non_drivable      ~ sidewalk terrain
2 living_things     > person rider
3 vehicles          > car truck bus train motorcycle bicycle
4 road_side_objects > wall fence pole traffic_light traffic_sign
5 far_objects       > building vegetation
6 sky               = sky
"""


class Frames(NamedTuple):
    """A dataset of which there are frames. relatives: datasets whose maps are left out with its own."""

    name: str
    folder: str
    split: str
    relatives: tuple[str, ...] = ()
    text: str = ""


LIKE_CITYSCAPES = "acdc", "bdd100k", "cityscapes", "kitti", "kitti360"
SETS = (
    Frames("a2d2", "real/a2d2", "all"),
    Frames("ade20k", "real/ade20k", "validation"),
    Frames("bdd100k", "real/bdd100k", "train", LIKE_CITYSCAPES),
    Frames("cityscapes", "real/cityscapes", "train", LIKE_CITYSCAPES),
    Frames("coco_panoptic", "real/coco_panoptic", "val"),
    Frames("vistas v1.2", "real/vistas_v12", "training", ("vistas",)),
    Frames("waymo", "real/waymo", "validation"),
    Frames("camvid_eleven", "camvid", "train", ("camvid",), CAMVID),
    Frames("idd_lite", "real/idd_lite", "train", ("idd",), IDD_LITE),
)
DEMO = ("demo_town", "town"), ("demo_country", "country")
WORLDS = 20
"""Of each pool."""
MODES = "names", "pictures", "both"


@dataclass(frozen=True)
class Row:
    """A row that was suggested. domain: `real`, `drawn` or a pool. truth, suggested: S(d), void last."""

    domain: str
    dataset: str
    mode: str
    name: str
    truth: tuple[str, ...]
    suggested: tuple[str, ...]
    certainty: float
    widened: bool


def nameless(names: NameOdds) -> NameOdds:
    """The same classes, as if their names said nothing."""
    return replace(
        names, odds=np.full_like(names.odds, PRIOR), reasons=tuple({} for _ in names.classes),
        same=np.full(len(names.classes), -1),
    )  # fmt: skip


def compared(
    domain: str, names: NameOdds, truth: NDArray[np.bool_], pixels: Pixels, modes: tuple[str, ...] = MODES
) -> Iterator[Row]:
    """The rows of a dataset that occur, suggested in each mode. truth: bool `[D, K+1]`."""
    labels = np.array([*names.source_classes, "void"])
    occurs = np.bincount(pixels.row[pixels.row >= 0], minlength=len(names.classes)) > 0
    for mode in modes:
        given = nameless(names) if mode == "pictures" else names
        rows: list[Suggestion] = suggest_rows(given) if mode == "names" else suggest_seen(pixels, given)[0]
        for s in rows:
            if occurs[s.row]:
                right, own = tuple(labels[truth[s.row]].tolist()), tuple(labels[list(s.channels)].tolist())
                name = names.classes[s.row]
                yield Row(domain, names.dataset, mode, name, right, own, round(s.certainty, 3), s.widened)


def real(root: Path, work: Path, teacher: tuple[str, str], images: int, options: Mapping[str, Any]) -> Iterator[Row]:
    shipped = {t.name for t in lsu_onto.taxonomies()}
    for frames in SETS:
        if not (root / frames.folder).is_dir():
            continue
        name = frames.name
        if frames.text:
            name = str(work / f"{frames.name}.tax")
            Path(name).write_text(frames.text, encoding="utf-8")
        constraint = lsu_onto.load(name, "cityscapes")
        sample = drawn_sample(
            work / "samples", name, "cityscapes", [], str(root / frames.folder), *teacher, split=frames.split,
            images=images, unknown="void", options=options,
        ).sample  # fmt: skip
        names = lsu_onto.by_name(name, "cityscapes", without=shipped.intersection(frames.relatives))
        yield from compared("real frames", names, constraint.allowed, pixels_of(sample))


def drawn(work: Path, seed: int) -> Iterator[Row]:
    folder = work / f"drawn-{seed}"
    make_data(folder / "data", seed)
    teacher = demo_teacher(folder, seed)
    for name, part in DEMO:
        audited = drawn_sample(
            work / "samples", name, "demo", [], str(folder / "data" / part), *map(str, teacher), images=60
        )
        names = lsu_onto.by_name(name, "demo", without=[n for n, _ in DEMO])
        yield from compared(f"drawn scenes, seed {seed}", names, audited.constraint.allowed, pixels_of(audited.sample))


def coarse(path: Path, first: int) -> Iterator[Row]:
    """Random groups of a pool's classes, without names; S(d) are the classes that the map allows and that occur."""
    pool = Pool.load(path)
    for seed in track(range(first, first + WORLDS), f"coarse classes, {path.stem}", WORLDS):
        world = draw_world(pool, seed)
        classes = [pool.classes[c] for c in world.channels]
        rows = tuple(f"row_{d}" for d in range(len(world.allowed)))
        names = nameless(
            NameOdds(
                f"{path.stem} {seed}", "", rows, tuple(classes), np.zeros(world.allowed.shape), ({},) * len(rows),
                np.full(len(rows), -1),
            )
        )  # fmt: skip
        truth = world.allowed & (np.pad(world.truth[:, :-1], ((0, 0), (0, 1)), constant_values=1) > 0)
        closed = truth.any(1) & ~world.allowed[:, -1]
        found = compared(f"coarse classes, {path.stem}", names, truth, world.pixels, ("pictures",))
        yield from (row for row in found if closed[rows.index(row.name)])


def table(rows: list[Row]) -> str:
    """Markdown: how many rows are right, and how many have at least what is right; how sure it is of certain rows."""
    lines = [
        "| | by | rows | the same S(d) | S(d) contains it | mean size of S(d) | certain rows | stated | right |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for domain in dict.fromkeys(row.domain for row in rows):
        for mode in MODES:
            own = [row for row in rows if (row.domain, row.mode) == (domain, mode)]
            if own:
                same = np.mean([set(r.truth) == set(r.suggested) for r in own])
                more = np.mean([set(r.truth) <= set(r.suggested) for r in own])
                size = np.mean([len(r.suggested) for r in own])
                sure = [row for row in own if row.certainty and not row.widened]
                stated = np.mean([row.certainty for row in sure]) if sure else np.nan
                right = np.mean([set(row.truth) == set(row.suggested) for row in sure]) if sure else np.nan
                lines.append(
                    f"| {domain} | {mode} | {len(own)} | {same:.0%} | {more:.0%} | {size:.1f}"
                    f" | {len(sure)} | {stated:.0%} | {right:.0%} |"
                )
    return "\n".join(lines).replace("%", " %") + "\n"


def belief(rows: list[Row]) -> str:
    """How the log odds that a row is right follow from those of its least certain cell, of drawn coarse classes.

    Rows that are widened do not count, as in the table: they have more than is right by intention.
    """
    from sklearn.linear_model import LogisticRegression

    of_drawn = [row for row in rows if row.domain.startswith("coarse classes, drawn")]
    own = [row for row in of_drawn if row.certainty and not row.widened]
    stated = np.clip([row.certainty for row in own], 1e-3, 1 - 1e-3)
    least = (np.log(stated / (1 - stated)) + DOUBT) / BELIEF
    model = LogisticRegression(C=10).fit(least[:, None], [set(row.truth) == set(row.suggested) for row in own])
    return f"log odds of a row: {model.coef_[0, 0]:.2f} · least {model.intercept_[0]:+.2f}, of {len(own)} rows\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--teacher", nargs=2, metavar=("CONFIG", "CHECKPOINT"))
    parser.add_argument("--set", nargs="+", action=DictAction, default={}, help="keys of the teacher's config")
    parser.add_argument("--images", type=int, default=100, help="of each dataset")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2], help="of drawn scenes and their teachers")
    parser.add_argument("--pools", type=Path)
    parser.add_argument("--first-world", type=int, default=100)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    if len(set(args.seeds)) < len(args.seeds):
        parser.error("--seeds: a seed is named twice, and would count twice")
    if (args.data_root is None) != (args.teacher is None):
        parser.error("--data-root and --teacher belong together")
    args.output.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    if args.data_root:
        rows += real(args.data_root, args.output, tuple(args.teacher), args.images, args.set)
    for seed in args.seeds:
        rows += drawn(args.output, seed)
    for path in sorted(args.pools.glob("*.npz")) if args.pools else ():
        rows += coarse(path, args.first_world)
    lines = (json.dumps(vars(row)) + "\n" for row in rows)
    (args.output / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    text = table(rows) + (belief(rows) if args.pools else "")
    (args.output / "table.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
