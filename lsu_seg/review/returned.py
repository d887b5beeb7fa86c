"""What comes back from a tool: the classes that are painted on each image, and who painted them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_onto import Constraint
from lsu_seg.errors import did_you_mean
from lsu_seg.label_files import void_index
from lsu_seg.layout.images import any_size
from lsu_seg.review.errors import ReviewError

Layers = Iterable[tuple[str, NDArray[np.bool_]]]


@dataclass(frozen=True)
class Returned:
    """An image that a person has looked at.

    Attributes:
        place: where it was read, for messages.
        name: see `name_of`.
        layers: makes the classes with their pixels, for an image of a height and a width; raises ReviewError.
        by, time: who and when; empty where the tool does not say.
        shown: sha256 of the label that the person was shown, or how it begins; empty where the tool does not say.
    unpainted: what the tool calls pixels that nobody painted, unless the source has such a class; empty: nothing.
    """

    place: str
    name: str
    layers: Callable[[int, int], Layers]
    by: str = ""
    time: str = ""
    shown: str = ""
    unpainted: str = ""


def check_size(place: str, found: tuple[object, object], expected: tuple[int, int]) -> None:
    """Compare the width and the height that an image had in a tool with those of its label.

    Raises:
        ReviewError: they differ.
    """
    if tuple(map(str, found)) != tuple(map(str, expected)):
        raise ReviewError(
            f"{place}: it is {found[0]}x{found[1]} there, and the label {expected[0]}x{expected[1]}: images must not be"
            " resized or turned in the tool"
        )


def mask_file(place: str, read: Callable[[], bytes], height: int, width: int, mode: str = "") -> NDArray[Any]:
    """The pixels of the file of a mask. It is unpacked only if it has the size of the label.

    Args:
        read: its bytes. mode: a mode of Pillow, to convert the pixels to; empty: as they are.

    Raises:
        ReviewError: it is damaged, or of another size.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with any_size(), Image.open(io.BytesIO(read())) as image:
            check_size(place, image.size, (width, height))
            return np.asarray(image.convert(mode) if mode else image)
    except (ReviewError, MemoryError):
        raise
    except Exception as error:  # Pillow raises arbitrary exceptions for damaged files
        what = "it is no image" if isinstance(error, UnidentifiedImageError) else error
        raise ReviewError(f"{place}: its mask cannot be read ({what}); export again") from error


def painted(returned: Returned, constraint: Constraint, shown: NDArray[np.int64]) -> NDArray[np.int64]:
    """The label that was painted, `[H, W]`: channels, and the void index where nothing is.

    Where classes lie upon one another, the person has painted over what was shown, and did not erase it: what differs
    from `shown` counts, of several such classes the last.

    Raises:
        ReviewError: a class that the source does not have; or as `layers`.
    """
    void = void_index(constraint.num_classes)
    channels = {name: channel for channel, name in enumerate(constraint.source_classes)}
    labels = np.full(shown.shape, void, np.int64)
    for name, mask in returned.layers(*shown.shape):
        if name not in channels:
            if name and name == returned.unpainted:
                continue
            raise ReviewError(
                f"{returned.place}: there is no class `{name}` in `{constraint.source}`"
                f"{did_you_mean(name, channels) or f'; there are {_list(constraint.source_classes)}'}"
            )
        mask = mask & ((labels == void) | (shown != channels[name]))
        labels[mask] = channels[name]
    return labels


class Outside(NamedTuple):
    """Corrected pixels of one class in one class of the dataset, which does not allow it.

    Attributes:
        x, y: the first of them. row: of d, or -1. channel: what was painted. pixels: how many there are.
    """

    x: int
    y: int
    row: int
    channel: int
    pixels: int

    def sentence(self, constraint: Constraint) -> str:
        """The place, what was found there, and what is allowed."""
        where = f"at x {self.x}, y {self.y}: found `{constraint.source_classes[self.channel]}`"
        more = f" ({self.pixels} pixels)" if self.pixels > 1 else ""
        if self.row < 0:
            return f"{where}, and nothing is annotated there: only void is allowed{more}"
        allowed = [constraint.source_classes[c] for c in np.flatnonzero(constraint.allowed[self.row, :-1])]
        return f"{where}, and `{constraint.classes[self.row]}` allows {_list([*allowed, 'void'])}{more}"


def all_outside(rows: NDArray[np.int16], labels: NDArray[np.int64], wrong: NDArray[np.bool_]) -> Iterator[Outside]:
    """The pixels in `wrong`, by the rows and classes that contradict each other."""
    y, x = np.nonzero(wrong)
    pairs = np.stack([rows[y, x].astype(np.int64), labels[y, x]], 1)
    kinds, first, counts = np.unique(pairs, axis=0, return_index=True, return_counts=True)
    for (row, channel), at, count in zip(kinds.tolist(), first.tolist(), counts.tolist(), strict=True):
        yield Outside(int(x[at]), int(y[at]), row, channel, count)


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
