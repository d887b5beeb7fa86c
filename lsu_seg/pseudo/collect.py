"""What a labelling run keeps for an audit: what the teacher says of a few pixels of some images."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsu_onto import Constraint
from lsu_seg.audit.draw import Points, Smallest, count, draw, lots, per_image
from lsu_seg.audit.pieces import Piece, head
from lsu_seg.audit.sample import GRID, UNSEEN
from lsu_seg.decode.points import covered, p_at
from lsu_seg.pseudo.output import OutputFolder
from lsu_seg.runtime.transfer import to_host
from lsu_seg.teachers import Band, EnsembleTeacher, SegmentorTeacher

_SPARE = 4
"""So many times the pixels are drawn where the teacher may have skipped some; the first that it saw are kept."""


class Collector:
    """Decides of which images something is kept.

    Args:
        teacher: what is asked, as planned for each size of images. constraint: of the dataset.
        images: number of images of the split, over all workers.
        out: the folder; the pieces that it has of labels not in `todo` are counted.
        todo: keys of the images that are still to be labelled.
    """

    def __init__(
        self,
        teacher: SegmentorTeacher | EnsembleTeacher,
        constraint: Constraint,
        images: int,
        out: OutputFolder,
        todo: Container[str],
    ) -> None:
        self._teacher, self._rows, self._per_image = teacher, len(constraint.classes), per_image(images)
        self._smallest = Smallest(self._rows)
        for key, (drawn, grid) in out.pieces.items():
            if key not in todo:
                self._add(key, [*drawn, self._rows + 1] if grid else drawn)
        out.pieces = {}
        out.keep_pieces(head(constraint))

    def _add(self, key: str, places: list[int]) -> None:
        own = lots(key, self._rows)
        for place in places:
            self._smallest.add(place, own[place])

    def draw(
        self, key: str, rows: NDArray[np.int16], needed: NDArray[np.bool_], image_size: tuple[int, int]
    ) -> Seen | None:
        """What is to be looked at in an image before it is labelled; None if nothing is."""
        own = lots(key, self._rows)
        wants = np.array([self._smallest.wants(place, lot) for place, lot in enumerate(own)])
        if not wants.any():
            return None
        grid, pixels = bool(wants[-1]), count(rows, self._rows)
        wanted = wants[:-1] & (pixels > 0)
        if not grid and not wanted.any():
            return None
        skips = self._teacher.may_skip(image_size, (rows.shape[0], rows.shape[1]))
        spare = _SPARE if skips and not needed.all() else 1
        # With a grid, whether the teacher saw anything of a row is asked of all rows, whatever this worker keeps.
        number = np.where(wanted | grid, self._per_image * spare, 0)
        return Seen(self, draw(key, rows, pixels, number, grid), wanted, self._per_image)

    def kept(self, piece: Piece) -> None:
        self._add(piece.key, [*piece.drawn, self._rows + 1] if piece.grid else list(piece.drawn))


@dataclass
class Seen:
    """The evidence at the points of an image, band by band."""

    collector: Collector
    points: Points
    wanted: NDArray[np.bool_]
    number: int
    bands: list[tuple[NDArray[np.int64], Tensor, Tensor | None, Tensor]] = field(default_factory=list)
    """Which points; p and mass of the drawn pixels among them, which come first; the two best channels of all."""
    done: torch.cuda.Event | None = None

    def look(self, band: Band) -> None:
        """Take the evidence of the points in a band. On a GPU, this does not wait for it."""
        points = self.points
        which = np.flatnonzero((points.y >= band.top) & (points.y < band.bottom))
        size = (band.bottom - band.top, points.size[1])
        for view, missing in zip(band.views, band.missing or (), strict=False):
            which = which[covered(view, missing, points.y[which] - band.top, points.x[which], size)]
        if not len(which):
            return
        p, mass = p_at(band.views, points.y[which] - band.top, points.x[which], size)
        first = p.argmax(1)
        second = p.scatter(1, first[:, None], -1.0).argmax(1) if p.shape[1] > 1 else torch.full_like(first, UNSEEN)
        n = int(np.searchsorted(which, len(points.row)))
        drawn = to_host((p[:n] * 255 + 0.5).to(torch.uint8))
        drawn_mass = None if mass is None else to_host((mass[:n].clamp(0, 1) * 255 + 0.5).to(torch.uint8))
        best = to_host(torch.stack([first, second], 1).to(torch.int32))
        self.bands.append((which, drawn, drawn_mass, best))
        if p.is_cuda:
            self.done = torch.cuda.Event()
            self.done.record()

    def piece(self) -> Piece | None:
        """What is kept, once all bands were looked at; None if nothing is."""
        if self.done is not None:
            self.done.synchronize()
        points, n = self.points, len(self.points.row)
        top = np.full((len(points.y), 2), UNSEEN, np.uint16)
        place_of = np.full(n, -1)
        at, p, mass = 0, [], []
        for which, drawn, drawn_mass, best in self.bands:
            top[which] = best.numpy()
            place_of[which[: len(drawn)]] = np.arange(at, at + len(drawn))
            at += len(drawn)
            p.append(drawn.numpy())
            if drawn_mass is not None:
                mass.append(drawn_mass.numpy())
        is_seen = place_of >= 0
        unasked = [int(row) for row in np.unique(points.row) if not is_seen[points.row == row].any()]
        rows = [row for row in np.flatnonzero(self.wanted) if row not in unasked]
        chosen = [np.flatnonzero(is_seen & (points.row == row))[: self.number] for row in rows]
        arrays: dict[str, NDArray[Any]] = {}
        if points.grid_row is not None:
            arrays["grid_row"] = points.grid_row
            arrays["grid_top"] = top[5 * n :].reshape(*GRID, 2)
        if chosen:
            index = np.concatenate(chosen)
            near = top[n : 5 * n, 0].reshape(4, n)[:, index]
            arrays["p"] = np.concatenate(p)[place_of[index]]
            arrays["agree"] = points.alike[index] & (near == top[index, 0]).all(0)
            arrays["place"] = np.stack([points.y[index], points.x[index]], 1)
            if mass:
                arrays["void"] = np.concatenate(mass)[place_of[index]]
        if not arrays:
            return None
        drawn_of = {int(row): len(c) for row, c in zip(rows, chosen, strict=True)}
        piece = Piece(points.key, points.size, points.pixels.tolist(), drawn_of, unasked, arrays)
        self.collector.kept(piece)
        return piece
