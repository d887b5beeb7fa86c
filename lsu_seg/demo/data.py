"""Writes the demo's datasets to disk, as ordinary dataset folders."""

from __future__ import annotations

import glob
import json
import shutil
import uuid
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import lsu_onto
from lsu_onto import make_folder, open_to_read, write_atomic
from lsu_seg.demo.relabel import coarsen, encode, write_png
from lsu_seg.demo.scenes import CLASSES, STYLES, draw_scene
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.runtime.lock import locked
from lsu_seg.runtime.processes import Processes
from lsu_seg.runtime.progress import progress

SOURCE = "demo"


@dataclass(frozen=True)
class Part:
    """One split of one of the demo's datasets. `taxonomy` other than the source's: coarse labels, fine truth apart."""

    folder: str
    style: str
    taxonomy: str
    split: str
    images: int


PARTS = (
    Part("source", "source", SOURCE, "train", 16),
    Part("source", "source", SOURCE, "val", 60),
    Part("town", "town", "demo_town", "train", 150),
    Part("country", "country", "demo_country", "train", 150),
    Part("zero_shot", "zero_shot", SOURCE, "val", 60),
    Part("town", "town", "demo_town", "val", 60),
)
HEIGHT, WIDTH = 96, 192


def _data_key(seed: int) -> list[object]:
    """What the data depends on; a changed key draws it anew."""
    here = Path(__file__).parent
    code = [zlib.crc32((here / f).read_bytes()) for f in ("scenes.py", "styles.py", "objects.py", "data.py")]
    return [seed, HEIGHT, WIDTH, code, [lsu_onto.load(p.taxonomy, SOURCE).sha256 for p in PARTS]]


def make_data(root: Path, seed: int, fresh: bool = False, jobs: int = 1) -> bool:
    """Draw all datasets under `root`, in so many processes; False if they were there already.

    Extra datasets get `images`, their own coarse labels, and `truth/<split>` with the fine labels, which no
    training reads.

    Raises:
        DatasetError: `root` holds other files. LockedError: another run is using the work folder that contains `root`.
    """
    make_folder(root.parent)
    with locked(root.parent):  # a run that reads the data holds this lock too
        return _make_data(root, seed, fresh, jobs)


def _made_of(done: Path) -> Any:
    """What the scenes of a folder were drawn from; None where there is none, or the record is damaged."""
    try:
        with open_to_read(done) as file:
            return json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return None


def _make_data(root: Path, seed: int, fresh: bool, jobs: int) -> bool:
    if root.is_symlink():  # what is on another disk stays there
        root = root.resolve()
    for trash in root.parent.glob(f".{glob.escape(root.name)}.removed-*"):  # a kill came between
        shutil.rmtree(trash, ignore_errors=True)
    wanted = json.loads(json.dumps(_data_key(seed)))
    done = root / "complete.json"
    if not fresh and _made_of(done) == wanted:
        return False
    mark = root / ".lsu-demo"
    if root.exists() and not mark.is_file() and any(root.iterdir()):
        raise DatasetError(f"{root} holds files that are not the demo's; choose another work folder")
    if root.exists():  # gone at once: half of it, without the mark, would pass for somebody else's
        trash = root.with_name(f".{root.name}.removed-{uuid.uuid4().hex}")
        root.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
    make_folder(root)
    mark.touch()
    source = lsu_onto.load(SOURCE)
    if source.source_classes != CLASSES:
        raise ValueError(f"`taxonomies/demo/demo.tax` and `scenes.CLASSES` differ: {source.source_classes}, {CLASSES}")
    if jobs == 1:
        _draw(root, seed, 0, 1)
    else:
        with Processes() as processes:
            for job in range(jobs):
                processes.start(f"scenes {job}", partial(_draw, root, seed, job, jobs))
            while processes:
                ended = processes.wait()
                if ended.error:
                    raise ended.error
    write_atomic(done, json.dumps(wanted).encode())
    return True


def _draw(root: Path, seed: int, first: int, step: int) -> None:
    """Every so manyth scene. Each has a random stream of its own, so it does not matter who draws it."""
    scenes = [(number, i) for number, part in enumerate(PARTS) for i in range(part.images)][first::step]
    title = "drawing scenes" + (f", part {first + 1} of {step}" if step > 1 else "")
    with progress(title, len(scenes)) as advance:
        for number, i in scenes:
            part = PARTS[number]
            constraint = lsu_onto.load(part.taxonomy, SOURCE)
            rng = np.random.default_rng([seed, number, i])
            image, labels = draw_scene(rng, STYLES[part.style], HEIGHT, WIDTH)
            layout, stem, base = constraint.layout, f"{part.folder}_{i:04d}", root / part.folder
            write_png(base / layout.images.format(split=part.split, stem=stem), image)
            rows = coarsen(labels, constraint, rng)
            write_png(base / layout.labels.format(split=part.split, stem=stem), encode(rows, constraint))
            if part.taxonomy != SOURCE:
                write_png(base / "truth" / part.split / f"{stem}.png", labels)
            advance()
