"""What an audit looks at: some pixels and some coarse grids of a dataset, with what the teacher says of them."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import ROW_VOID, open_to_read, write_atomic
from lsu_seg.errors import UserError

GRID = (36, 64)
"""Height and width of a grid: the label is looked up at the centre of each cell, whatever its size."""

UNSEEN = 65535
"""In `Sample.grid_top`: the teacher saw nothing there."""


class SampleError(UserError):
    """A sample that cannot be read, or of which there is nothing to read."""


@dataclass(frozen=True)
class Sample:
    """Pixels and grids drawn from one dataset, as one teacher saw them. It depends on labels and teacher, on no map.

    Of every row of d, and of the pixels without annotation, the images in which it is drawn are those with the smallest
    hashes of (key, row); in each, the pixels are those with the smallest hashes of (key, position). Nothing is drawn
    where the teacher was not asked.

    Attributes:
        classes: the K source classes, in channel order. rows_of: the D dataset classes, in the constraint's order.
        p: uint8 `[N, K]`, of each sampled pixel the mean over views of the teacher's probabilities, round(255·p).
        void: uint8 `[N]`, the same of the no-object mass of teachers that have one, else None.
        row: int16 `[N]`, the row of d, or `ROW_VOID`.
        agree: bool `[N]`, whether top class and annotation are the same at the four diagonal neighbours, at a distance
            of max(1, round(H / 128)) label pixels, clipped at the border.
        image: int32 `[N]`, index into `keys`. place: uint16 `[N, 2]`, y and x in the label.
        weight: float32 `[N]`, the pixels of that row in that image per pixel drawn there.
        keys: the M images of the sample, sorted. size: int32 `[M, 2]`, height and width of their labels.
        pixels: int64 `[M, D+1]`, the pixels of each row in each image, `ROW_VOID` last, whether the teacher was asked
            or not.
        grid_image: int32 `[G]`, the images with a grid, as indices into `keys`.
        grid_row: int16 `[G, 36, 64]`, row of d at the centre of each cell of `GRID`, or `ROW_VOID`.
        grid_top: uint16 `[G, 36, 64, 2]`, the two best channels there, the better first; `UNSEEN` where the teacher was
            not asked, and as the second of a source with one class.
        images: number of images of the run so far, of which `keys` are a sample.
        unasked: int64 `[D+1]`, number of images of the run that have pixels of the row, but none of which the teacher
            was asked.
    """

    classes: tuple[str, ...]
    rows_of: tuple[str, ...]
    p: NDArray[np.uint8]
    void: NDArray[np.uint8] | None
    row: NDArray[np.int16]
    agree: NDArray[np.bool_]
    image: NDArray[np.int32]
    place: NDArray[np.uint16]
    weight: NDArray[np.float32]
    keys: tuple[str, ...]
    size: NDArray[np.int32]
    pixels: NDArray[np.int64]
    grid_image: NDArray[np.int32]
    grid_row: NDArray[np.int16]
    grid_top: NDArray[np.uint16]
    images: int
    unasked: NDArray[np.int64]

    def save(self, path: str | Path) -> None:
        """Write it as `.npz`, the same bytes for the same sample.

        Raises:
            OSError: the file cannot be written.
        """
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            for field in fields(self):
                value = getattr(self, field.name)
                if value is None:
                    continue
                member = io.BytesIO()
                np.save(member, np.array(value, str if field.name in _TEXTS else None), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{field.name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED, 3)
        write_atomic(Path(path), buffer.getvalue())


def renumbered(sample: Sample, rows: NDArray[np.intp], names: tuple[str, ...]) -> Sample:
    """The sample in other rows.

    Args:
        rows: the new number of each row, a permutation `[D]`. names: of the new rows.
    """
    new = np.append(rows, -1)  # ROW_VOID stays
    order = np.append(np.argsort(rows), len(rows))
    return replace(
        sample,
        rows_of=names,
        row=new[sample.row].astype(np.int16),
        grid_row=new[sample.grid_row].astype(np.int16),
        pixels=sample.pixels[:, order],
        unasked=sample.unasked[order],
    )


_TEXTS = ("classes", "rows_of", "keys")


def load_sample(path: str | Path) -> Sample:
    """Read what `Sample.save` has written.

    Raises:
        SampleError: it is no such file. OSError: it cannot be read.
    """
    with open_to_read(path) as file:
        data = io.BytesIO(file.read())
    try:
        with np.load(data, allow_pickle=False) as archive:
            values: dict[str, Any] = {name: archive[name] for name in archive.files}
        values |= {name: tuple(map(str, values[name].tolist())) for name in _TEXTS}
        sample = Sample(**{"void": None} | values | {"images": int(values["images"])})
        if wrong := _misfit(sample):
            raise ValueError(f"`{wrong}` has another type, shape or range")
        return sample
    except Exception as error:  # damaged bytes surface as anything: numpy evaluates the headers of arrays
        raise SampleError(f"{path}: not a sample of an audit ({error}); remove it") from None


_SHAPES: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "p": ("uint8", ("N", "K")),
    "void": ("uint8", ("N",)),
    "row": ("int16", ("N",)),
    "agree": ("bool", ("N",)),
    "image": ("int32", ("N",)),
    "place": ("uint16", ("N", 2)),
    "weight": ("float32", ("N",)),
    "size": ("int32", ("M", 2)),
    "pixels": ("int64", ("M", "D+1")),
    "grid_image": ("int32", ("G",)),
    "grid_row": ("int16", ("G", *GRID)),
    "grid_top": ("uint16", ("G", *GRID, 2)),
    "unasked": ("int64", ("D+1",)),
}
"""As in the docstring of `Sample`."""


def _misfit(sample: Sample) -> str | None:
    """The first array of a file that is not as `Sample` describes it."""
    rows, images = len(sample.rows_of), len(sample.keys)
    lengths: dict[str | int, int] = {"K": len(sample.classes), "D+1": rows + 1, "M": images}
    lengths |= {"N": sample.row.size, "G": sample.grid_image.size}
    for name, (kind, shape) in _SHAPES.items():
        array = getattr(sample, name)
        expected = tuple(lengths.get(n, n) for n in shape)
        if array is not None and (array.dtype != kind or array.shape != expected):
            return name
    least = {"row": ROW_VOID, "grid_row": ROW_VOID}
    for name, end in (("row", rows), ("grid_row", rows), ("image", images), ("grid_image", images)):
        array = getattr(sample, name)
        if ((array < least.get(name, 0)) | (array >= end)).any():
            return name
    if not (np.isfinite(sample.weight) & (sample.weight > 0)).all():
        return "weight"
    seen = sample.grid_top[sample.grid_top != UNSEEN]
    return "grid_top" if (seen >= len(sample.classes)).any() else None
