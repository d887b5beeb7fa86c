"""Plants errors into the maps of real frames, and says at which rank the audit names each.

    lsu-seg audit NAME --source cityscapes --data-root … --teacher … --work-dir work/audit    # once for each dataset
    python tools/experiments/audit_real.py work/audit --taxonomies MAPS --published DATA_PRIORS -o work/real.md

WORK is the folder in which `lsu-seg audit NAME --teacher` keeps its samples; the teacher is not asked again. The errors
are those of published maps and tools, in the datasets that are at hand. PUBLISHED is a copy of data-priors.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import lsu_onto
from lsu_onto import Constraint
from lsu_seg.audit import words
from lsu_seg.audit.findings import Report
from lsu_seg.audit.judge import audit
from lsu_seg.audit.sample import load_sample

TOOLS = Path(__file__).parents[1]
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Of Cityscapes, by train id."""
PUBLISHED = "a2d2", "waymo"


class Plant(NamedTuple):
    """An error. about: the rows that a finding should name. text: what is wrong. allowed: the wrong S(d)."""

    about: frozenset[int]
    text: str
    allowed: NDArray[np.bool_]


ROWS = {
    "camvid11": (
        ("fence", "pole", "may only be `pole`, as RELLIS-3D's in the published map"),
        ("fence", "rider bicycle", "may only be `rider` or `bicycle`, as CamVid's bridge in the published map"),
        ("building", "rider bicycle", "the same; it holds the bridges among the eleven classes"),
        ("tree", "sky", "may only be `sky`: a class of another kind, as The Great Outdoors' trees may be water"),
        ("bicyclist", "rider", "without `bicycle`, as Waymo's cyclist in the published map"),
        ("sign_symbol", "traffic_sign", "without `traffic_light`"),
        ("car", "car", "without `bus` and `truck`"),
        ("tree", "vegetation", "without `terrain`"),
        ("tree", "vegetation terrain sky", "with `sky`, which it never is"),
        ("fence", "void", "ignored"),
        ("building", "void", "ignored"),
        ("road", "void", "ignored"),
    ),
    "idd_lite": (
        ("non_drivable", "terrain", "without `sidewalk`, as IDD's non-drivable fallback in the published map"),
        ("drivable", "terrain", "without `road`"),
        ("far_objects", "building", "without `vegetation`"),
        ("vehicles", "person rider", "may only be people"),
        ("living_things", "void", "ignored"),
    ),
    "bdd100k": (
        ("traffic_sign", "traffic_sign", "without void, as published"),
        ("terrain", "vegetation", "may only be `vegetation`"),
        ("sky", "building", "may only be `building`"),
    ),
    "cityscapes": (("terrain", "vegetation", "may only be `vegetation`"), ("vegetation", "void", "ignored")),
}  # fmt: skip
EXCHANGED = {
    "bdd100k": (("wall", "fence", "exchanged, as their colours in the official sem_seg.toml"),),
    "camvid11": (("pole", "sign_symbol", "exchanged"), ("pedestrian", "bicyclist", "exchanged")),
    "idd_lite": (("living_things", "vehicles", "exchanged"), ("drivable", "non_drivable", "exchanged")),
    "cityscapes": (("wall", "fence", "exchanged"),),
}


def plants(c: Constraint, published: Path | None) -> Iterator[Plant]:
    at, k = {name: d for d, name in enumerate(c.classes)}, len(c.source_classes)
    channel = {name: i for i, name in enumerate([*c.source_classes, "void"])}
    for name, classes, text in ROWS.get(c.dataset, ()):
        allowed = c.allowed.copy()
        allowed[at[name]] = np.isin(np.arange(k + 1), [channel[n] for n in classes.split()])
        yield Plant(frozenset([at[name]]), f"`{name}` {text}", allowed)
    for a, b, text in EXCHANGED.get(c.dataset, ()):
        allowed = c.allowed.copy()
        allowed[[at[a], at[b]]] = allowed[[at[b], at[a]]]
        yield Plant(frozenset([at[a], at[b]]), f"`{a}` and `{b}` {text}", allowed)
    everything = frozenset(range(len(c.classes)))
    yield Plant(everything, "all ids are one off", np.roll(c.allowed, 1, axis=0))
    if c.dataset == "bdd100k":  # its files store train ids; read as Cityscapes' label ids, most of them mean nothing
        allowed = np.eye(k + 1, dtype=bool)[np.full(len(c.classes), k)]
        for d, i in enumerate(LABEL_IDS):
            if i < len(allowed):
                allowed[i] = c.allowed[d]
        yield Plant(everything, "train ids are read as label ids", allowed)
    if published and c.dataset in PUBLISHED:
        command = [TOOLS / "compare_published.py", c.dataset, "--source", c.source, "--published", published]
        done = subprocess.run([sys.executable, *command, "--format", "json"], check=True, capture_output=True)
        allowed, about = c.allowed.copy(), set()
        for row in json.loads(done.stdout)["maps"][0]["classes"]:
            d = at[row["name"]]
            allowed[d] = np.isin(np.arange(k + 1), [channel[n] for n in row["published"]])
            if (allowed[d] != c.allowed[d]).any():
                about.add(d)
        yield Plant(frozenset(about), f"the published map, which differs in {len(about)} rows", allowed)


def rank(report: Report, plant: Plant) -> tuple[str, str]:
    """At which place of its list a finding is about the plant, and what it says."""
    for kind, findings in (("contradiction", report.contradictions), ("note", report.notes)):
        for place, finding in enumerate(findings, 1):
            if plant.about.intersection(finding.rows):
                return f"{kind} {place} of {len(findings)}", words.title(finding)
    return "not found", f"{len(report.contradictions)} other contradictions" if report.contradictions else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--taxonomies", type=Path, help="a folder of `.tax` files that do not ship")
    parser.add_argument("--published", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    lines = ["| dataset | images | planted | found as | kind |", "|---|---|---|---|---|"]
    for path in sorted(args.work.glob("*-cityscapes-*/sample.npz")):
        name = path.parent.name.split("-")[0]
        own = args.taxonomies / f"{name}.tax" if args.taxonomies else Path()
        constraint = lsu_onto.load(str(own) if own.is_file() else name, "cityscapes")
        sample = load_sample(path)
        for plant in plants(constraint, args.published):
            report = audit(sample, replace(constraint, allowed=plant.allowed))
            lines.append(f"| {name} | {len(sample.keys)} | {plant.text} | {' | '.join(rank(report, plant))} |")
            print(lines[-1], flush=True)
    args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
