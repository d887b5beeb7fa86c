"""Pictures of the results: a plot of the figures, and the label maps that models predict.

The maps are of predictions alone, because the owners of the frames allow neither these nor their labels to be shown.
"""

from __future__ import annotations

import copy
import io
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import lsu_onto
from lsu_onto import write_atomic
from lsu_seg.label_files import LabelReader
from lsu_seg.label_files.annotation import channel_constraint
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.training.panels import paint
from lsu_seg.unify.configs import stage_config

SHOWN = ("teacher", "raw", "constrained", "set_mean")
"""The models whose label maps are shown, as far as they were trained."""
FRAMES = (4, 6)
"""Of BDD100K, of which maps are shown."""
JUDGES = {"bdd100k": "BDD100K", "camvid_val": "CamVid val", "a2d2": "A2D2", "cityscapes": "Cityscapes"}
_WIDTH, _GAP, _TEXT = 300, 6, 13


def plot(models: Mapping[str, Any], path: Path, titles: Mapping[str, str] = JUDGES) -> None:
    """The difference from the teacher of every student: bars are means, and dots seeds.

    Args:
        models: of the results. titles: of the judges that are shown.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "lsu"  # the same results give the same file
    names = [name for name in models if name != "teacher"]
    size = (9, 0.9 + 0.24 * len(names))
    figure, panels = plt.subplots(1, len(titles), figsize=size, sharey=True, layout="constrained")
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        teachers = {seed: 100 * s[key]["miou"] for seed, s in models["teacher"].items()}
        for y, name in enumerate(names):
            # All seeds have one teacher, or each its own.
            values = [100 * s[key]["miou"] - teachers.get(seed, teachers.get("")) for seed, s in models[name].items()]
            colour = "#3d6fa5" if name.endswith("_mean") else "#9a9a9a"
            axes.barh(y, statistics.mean(values), color=colour, alpha=0.75)
            axes.plot(values, [y] * len(values), "o", color="black", markersize=2.5)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(f"{title} (teacher: {statistics.mean(teachers.values()):.1f})", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    figure.supxlabel("mIoU, difference from the teacher; bars: mean; dots: seeds", fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    write_atomic(path, buffer.getvalue())


def draw_maps(cfg: Config, dataset: Mapping[str, Any], checkpoints: Mapping[str, Path], path: Path) -> None:
    """The sheet of what models predict on some frames of a dataset: a row for each frame, a column for each model.

    Args:
        cfg: of the models. dataset: a `TaxDataset`, `indices` says which frames. checkpoints: by the models' names.
    """
    options = {key: dataset[key] for key in ("taxonomy", "source")}
    constraint = lsu_onto.load(options["taxonomy"], options["source"])
    columns = {}
    for name, checkpoint in checkpoints.items():
        with tempfile.TemporaryDirectory() as folder:
            columns[name] = _predicted(
                cfg, dataset, checkpoint, Path(folder), LabelReader(channel_constraint(constraint))
            )
    write_atomic(path, sheet(columns, constraint.source_classes, constraint.source_palette))


def _predicted(
    cfg: Config, dataset: Mapping[str, Any], checkpoint: Path, folder: Path, reader: LabelReader
) -> list[NDArray[np.int16]]:
    """The channels that a model predicts: the raw labels of a labelling with one view."""
    own = stage_config(cfg, folder / "log", 0, "pictures")
    own.test_dataloader = copy.deepcopy(own.val_dataloader)
    own.test_dataloader.dataset = {**dataset, "pipeline": own.val_dataloader.dataset.pipeline}
    folders = dict(out_dir=str(folder / "constrained"), raw_dir=str(folder / "raw"))
    own.test_cfg = dict(type="PseudoLabelLoop", title="pictures", **folders)
    pseudo_label(own, checkpoint, quiet=True)
    return [reader.rows(str(file)) for file in sorted((folder / "raw").rglob("*.png"))]


def sheet(
    columns: Mapping[str, Sequence[NDArray[np.int16]]], classes: Sequence[str], palette: NDArray[np.uint8]
) -> bytes:
    """A PNG of label maps, by columns, with the columns' names above and the classes that occur below."""
    height, width = next(iter(columns.values()))[0].shape
    size = _WIDTH, round(height * _WIDTH / width)
    rows = len(next(iter(columns.values())))
    line, font = 2 * _TEXT, ImageFont.load_default(_TEXT)
    across = len(columns) * (size[0] + _GAP) - _GAP
    seen = sorted({int(c) for maps in columns.values() for each in maps for c in np.unique(each) if c >= 0})
    chips, x, y = [], 0, 0
    for channel in seen:
        length = round(font.getlength(classes[channel])) + 2 * _TEXT + _GAP
        if x + length > across:
            x, y = 0, y + line
        chips.append((channel, x, y))
        x += length
    top = line + rows * (size[1] + _GAP)
    image = Image.new("RGB", (across, top + y + line), "white")
    draw = ImageDraw.Draw(image)
    for column, (name, maps) in enumerate(columns.items()):
        left = column * (size[0] + _GAP)
        draw.text((left, _GAP), name, "black", font)
        for row, channels in enumerate(maps):
            picture = Image.fromarray(paint(channels, palette)).resize(size, Image.Resampling.NEAREST)
            image.paste(picture, (left, line + row * (size[1] + _GAP)))
    for channel, x, y in chips:
        box = (x, top + y + _GAP, x + _TEXT, top + y + _GAP + _TEXT)
        draw.rectangle(box, tuple(palette[channel].tolist()))
        draw.text((x + _TEXT + 3, top + y + _GAP - 2), classes[channel], "black", font)
    buffer = io.BytesIO()
    image.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
