"""Pictures for a tracker: what the model makes of a few training images, beside what they are annotated as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lsu_seg.data.datasets import TaxDataset, tax_datasets
from lsu_seg.errors import ConfigError
from lsu_seg.label_files.annotation import channel_constraint
from lsu_seg.label_files.reader import LabelReader
from lsu_seg.openmmlab.config import LOAD
from lsu_seg.openmmlab.registry import HOOKS, TRANSFORMS, register
from lsu_seg.openmmlab.sharding import whole

_GAP, _HEAD = 4, 14
_WIDEST = 8192
"""Pixels of an image in a picture: the largest images of street datasets have about as many."""


@register(HOOKS)
class PanelHook(Hook):
    """Show what the model makes of a few training images, every so many iterations.

    Each dataset of the training gives a picture, `panels_NAME`: a line per image, with the image, the ground truth in
    the dataset's own colours, the pseudo-label if it is trained on one, and the model's prediction in those of the
    source; void is black. It goes to all backends of the config's `visualizer`. Images are shown as they are stored,
    without the augmentations of the training. Training itself does not change.

    Args:
        every: number of iterations between two pictures.
        images: of each dataset, evenly spaced.
        width: of one image in a picture, in pixels.

    Raises:
        ConfigError: an argument is no whole number above 0, or `width` is above 8192; or no dataset of the training
            has a taxonomy.
    """

    priority = "LOW"

    def __init__(self, every: int = 1000, images: int = 2, width: int = 320) -> None:
        for name, value in (("every", every), ("images", images), ("width", width)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"`{name}` of the PanelHook is {value!r}; expected a whole number, 1 or more")
        if width > _WIDEST:
            raise ConfigError(f"`width` of the PanelHook is {width!r}; expected {_WIDEST} pixels or fewer")
        self.every, self.images, self.width = every, images, width
        self._panels: list[_Panel] = []

    def before_train(self, runner: Any) -> None:
        members = list(tax_datasets(runner.train_loop.dataloader.dataset))
        if not members:
            raise ConfigError("the PanelHook shows `TaxDataset`s, and the training has none: take the hook out")
        self._panels = [_Panel(member, self.images, self.width) for member in members] if is_main_process() else []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if not self.every_n_train_iters(runner, self.every):
            return
        model = getattr(runner.model, "module", runner.model)
        modes = {module: module.training for module in model.modules()}  # some parts may be frozen
        model.eval()
        try:
            with whole(model):  # the first rank predicts alone
                for panel in self._panels:
                    picture = panel.picture(model)
                    runner.visualizer.add_image(f"panels_{panel.name}", picture, step=runner.iter + 1)
        finally:
            for module, training in modes.items():
                module.training = training


@dataclass
class _Sample:
    """An image, packed for the model, and what does not change of its line."""

    packed: dict[str, Any]
    pictures: list[Image.Image]


class _Panel:
    """Some images of a dataset."""

    def __init__(self, dataset: TaxDataset, images: int, width: int) -> None:
        self.name = dataset.name.replace("#", "-")  # which trackers do not take in a name
        self._dataset, self._width = dataset, width
        self._places = np.unique(np.linspace(0, len(dataset) - 1, images).astype(int)).tolist()
        self._samples: list[_Sample] | None = None

    def picture(self, model: Any) -> NDArray[np.uint8]:
        """uint8 `[H, W, 3]`, RGB."""
        if self._samples is None:
            self._samples = [self._load(place) for place in self._places]
        lines = []
        for sample in self._samples:
            with torch.no_grad():
                (result,) = model.val_step({key: [value] for key, value in sample.packed.items()})
            prediction = result.pred_sem_seg.data[0].cpu().numpy()
            palette = self._dataset.constraint.source_palette
            lines.append([*sample.pictures, _scaled(paint(prediction, palette), self._width, smooth=False)])
        titles = ["image", "ground truth", *(["pseudo-label"] if self._dataset.pseudo else []), "prediction"]
        return _grid(titles, lines)

    def _load(self, place: int) -> _Sample:
        dataset, c = self._dataset, self._dataset.constraint
        info = dataset.get_data_info(place)
        steps = Compose([TRANSFORMS.build(dict(type=step)) for step in LOAD])
        packed = steps(info | {"reader": dataset.reader, "dataset": dataset.name, "image_bits": c.layout.image_bits})
        image = packed["inputs"].numpy()[::-1].transpose(1, 2, 0)  # BGR, as models of MMSegmentation take it
        maps = [paint(dataset.reader.own.load(info["own_path"])[1], c.palette)]
        if dataset.pseudo:
            labels = LabelReader(channel_constraint(c)).rows(info["seg_map_path"])
            maps.append(paint(labels, c.source_palette))
        pictures = [_scaled(np.ascontiguousarray(image), self._width, smooth=True)]
        return _Sample(packed, pictures + [_scaled(each, self._width, smooth=False) for each in maps])


def paint(rows: NDArray[Any], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows or channels as colours, uint8 `[H, W, 3]`; what is none of them (void) is black."""
    colours = np.concatenate([palette, np.zeros((1, 3), np.uint8)])
    return colours[np.where((rows < 0) | (rows >= len(palette)), len(palette), rows)]


def _scaled(pixels: NDArray[np.uint8], width: int, smooth: bool) -> Image.Image:
    image = Image.fromarray(pixels)
    size = (width, max(1, round(image.height * width / image.width)))
    return image.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


def _grid(titles: Sequence[str], lines: Sequence[Sequence[Image.Image]]) -> NDArray[np.uint8]:
    """Pictures in lines, under their titles."""
    width = lines[0][0].width
    heights = [line[0].height for line in lines]
    page = Image.new(
        "RGB", (len(titles) * (width + _GAP) - _GAP, _HEAD + sum(heights) + _GAP * (len(lines) - 1)), "white"
    )
    pen, top = ImageDraw.Draw(page), _HEAD
    for column, title in enumerate(titles):
        pen.text((column * (width + _GAP) + 2, 1), title, fill="black")
    for line, height in zip(lines, heights, strict=True):
        for column, picture in enumerate(line):
            page.paste(picture, (column * (width + _GAP), top))
        top += height + _GAP
    return np.asarray(page)
