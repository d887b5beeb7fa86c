"""CVAT's exports: "CVAT for images 1.1" (`annotations.xml`), "Segmentation mask 1.1" (`labelmap.txt` and PNGs)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import IO
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from lsu_seg.review.errors import ReviewError
from lsu_seg.review.returned import Layers, Returned, check_size, mask_file
from lsu_seg.review.tasks import name_and_label
from lsu_seg.review.to_cvat import COMMENT

_WHO = ("meta/job/assignee/username", "meta/task/assignee/username", "meta/task/owner/username")


def read_xml(place: str, file: IO[bytes]) -> Iterator[Returned]:
    """The images of `annotations.xml`.

    Raises:
        ReviewError: it is damaged, or of another format.
    """
    by = time = ""
    root = None
    try:
        for event, element in ElementTree.iterparse(file, ("start", "end", "comment")):
            if event == "comment":
                if element.text == COMMENT:
                    raise ReviewError(f"{place}: these are the tasks of `lsu-seg review export`; {_EXPECTED}")
                continue
            if root is None:
                root = element
                if element.tag != "annotations":
                    raise ReviewError(f"{place}: its root is `{element.tag}`; expected `annotations`: {_EXPECTED}")
            if event == "end" and element.tag == "meta":
                by = next((text for path in _WHO if (text := root.findtext(path))), "")
                time = root.findtext("meta/dumped") or ""
            if event == "end" and element.tag == "track":
                raise ReviewError(f"{place}: these are tracks of a video; {_EXPECTED}")
            if event == "end" and element.tag == "image":
                name = element.get("name", "")
                of = f"{place}: image `{name}`"
                shapes = sorted(element, key=lambda shape: int(shape.get("z_order", "0")))  # stable
                size = element.get("width", ""), element.get("height", "")
                name, shown = name_and_label(name)
                yield Returned(of, name, partial(_layers, of, shapes, size), by, time, shown)
                element.clear()  # there may be thousands of images
    except ReviewError:  # a ValueError, too
        raise
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        raise ReviewError(f"{place}: cannot be read ({error}); {_EXPECTED}") from error


_EXPECTED = 'export the task from CVAT as "CVAT for images 1.1" or "Segmentation mask 1.1"'


def _layers(place: str, shapes: list[ElementTree.Element], size: tuple[str, str], height: int, width: int) -> Layers:
    check_size(place, size, (width, height))  # of a larger image, polygons would lie elsewhere without a word
    for shape in shapes:
        name = shape.get("label", "")
        if shape.tag not in ("mask", "polygon", "tag"):
            raise ReviewError(f"{place}: `{name}` is a {shape.tag}; expected masks and polygons, which have pixels")
        try:
            if shape.tag == "mask":
                yield name, decode(shape.attrib, height, width)
            elif shape.tag == "polygon":
                yield name, _polygon(shape.get("points", ""), height, width)
        except (KeyError, ValueError, OverflowError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else error
            raise ReviewError(f"{place}: a {shape.tag} of `{name}` is damaged ({what}); export again") from error


def decode(shape: Mapping[str, str], height: int, width: int) -> NDArray[np.bool_]:
    """The mask `[H, W]` of a shape (see `to_cvat.encode`).

    >>> box = {"rle": "0, 2, 1, 1", "left": "1", "top": "1", "width": "2", "height": "2"}
    >>> decode(box, 3, 3).astype(int).tolist()
    [[0, 0, 0], [0, 1, 1], [0, 0, 1]]
    """
    left, top, across, down = (int(float(shape[key])) for key in ("left", "top", "width", "height"))
    if min(left, top, across, down) < 0 or left + across > width or top + down > height:
        raise ValueError(f"it reaches out of the image of {width}x{height}")
    runs = [int(run) for run in shape["rle"].split(",")]
    if sum(runs) != across * down or min(runs) < 0:
        raise ValueError(f"its runs have {sum(runs)} pixels, and its box {across}x{down}")
    mask = np.zeros((height, width), bool)
    mask[top : top + down, left : left + across] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(down, across)
    return mask


def _polygon(points: str, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels whose centres lie inside, so that polygons with a common edge share no pixel and leave none out."""
    corners = [(float(x), float(y)) for x, y in (point.split(",") for point in points.split(";"))]
    if len(corners) < 3 or not all(math.isfinite(value) and abs(value) < 1e9 for corner in corners for value in corner):
        raise ValueError("expected three or more points")
    crossed = np.zeros((height, width + 1), np.int64)
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        top, bottom = (min(max(math.ceil(y - 0.5), 0), height) for y in sorted((y0, y1)))
        if top < bottom:
            rows = np.arange(top, bottom)
            x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            crossed[rows, np.clip(np.ceil(x - 0.5), 0, width).astype(int)] += 1
    inside: NDArray[np.bool_] = np.cumsum(crossed, 1)[:, :-1] % 2 == 1
    return inside


_COLOUR = re.compile(r"(.*):(\d{1,3}),(\d{1,3}),(\d{1,3}):[^:]*:[^:]*")
"""A line of `labelmap.txt`; a name may have colons."""

_UNPAINTED = "background"
"""What `labelmap.txt` calls the colour of pixels that nobody painted."""


def read_masks(place: str, names: list[str], read: Callable[[str], bytes]) -> Iterator[Returned]:
    """The images of "Segmentation mask 1.1".

    Args:
        names: of all files. read: the bytes of one.

    Raises:
        ReviewError: there is no `labelmap.txt`, or it is damaged.
    """
    tables = [name for name in names if PurePosixPath(name).name == "labelmap.txt"]
    if len(tables) > 1:
        raise ReviewError(f"{place}: found {' and '.join(tables)}; import the exports one by one")
    if not tables:
        raise ReviewError(f"{place}: there are masks and no `labelmap.txt`, which says what colours mean; {_EXPECTED}")
    table, colours = tables[0], dict[int, str]()
    for line in read(table).decode("utf-8", "replace").splitlines():
        if line.strip() and not line.startswith("#"):
            found = _COLOUR.fullmatch(line.strip())
            if not found:
                raise ReviewError(f"{place}: `{line}` in {table}; expected `name:red,green,blue::`")
            name, red, green, blue = found[1], *map(int, found.groups()[1:])
            other = colours.setdefault(red << 16 | green << 8 | blue, name)
            if other != name:
                raise ReviewError(
                    f"{place}: `{other}` and `{name}` have one colour in {table}, so nothing tells their pixels apart;"
                    ' export the task from CVAT as "CVAT for images 1.1"'
                )
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.parent.name == "SegmentationClass" and path.suffix == ".png":
            of = f"{place}: {name}"
            name, shown = name_and_label(path.name)
            layers = partial(_colours, of, partial(read, str(path)), colours)
            yield Returned(of, name, layers, shown=shown, unpainted=_UNPAINTED)


def _colours(place: str, read: Callable[[], bytes], colours: Mapping[int, str], height: int, width: int) -> Layers:
    pixels = mask_file(place, read, height, width, "RGB").astype(np.int64)
    values = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    for value in np.unique(values).tolist():
        if value not in colours:
            raise ReviewError(f"{place}: no class in `labelmap.txt` has the colour #{value:06x}; export again")
        yield colours[value], values == value
