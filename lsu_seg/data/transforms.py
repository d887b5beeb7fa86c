"""Pipeline steps: load images, load label files as `gt_seg_map` and `gt_rows`, and pack them for the model."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs, RandomMosaic
from numpy.typing import NDArray
from PIL import Image

from lsu_onto import open_to_read
from lsu_seg.data.arguments import are_numbers, check_transform, is_number
from lsu_seg.data.augment import TaxRandomCrop, in_order
from lsu_seg.data.compound import compound_of
from lsu_seg.data.rare import MIN_CROP, TRIES
from lsu_seg.label_files import LabelFileError, read_bytes
from lsu_seg.layout.images import (
    CAMERA_BITS,
    damaged_image,
    decoded_by_opencv,
    opencv_image,
    plain_png,
    png_depth,
    stored_bits,
)
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.openmmlab.registry import TRANSFORMS, register
from lsu_seg.targets.class_pixels import class_counts
from lsu_seg.targets.reader import TargetReader

ORIENTATION = 0x0112
"""The EXIF tag that tells a viewer to rotate an image."""


@register(TRANSFORMS)
class LoadTaxImage(BaseTransform):
    """Load an image as `LoadImageFromFile` does, but as its pixels are stored, and no darker than it is.

    Its EXIF orientation is ignored: label files have none, so rotated images would not match their labels. Values of
    16 bits become 8 bits by the bits that they use, which `image-bits:` of the taxonomy says, or else the file (`sBIT`
    of PNG); where neither does, all 16 are taken. Also reads images inside Parquet tables (Waymo). Adds `img` uint8
    `[H, W, 3]` BGR, `img_shape` and `ori_shape`.

    Raises:
        LabelFileError: no such file, OpenCV cannot read the image or would turn it (TIFF), or its values use more
            bits than `image-bits:` says.
    """

    def __init__(self) -> None:
        self._warned = False

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        path = Path(results["img_path"])
        data = read_bytes(path)
        rgb = plain_png(path, data)  # where it gives nothing, OpenCV says what is wrong, or reads the file all the same
        if rgb is not None:
            return _loaded(results, np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR, rgb)))
        image = opencv_image(path, data)
        if image.dtype == np.uint16:
            image = self._scaled(path, data, image, results.get("image_bits", 0))
        return _loaded(results, image)

    def _scaled(self, path: Path, data: bytes, image: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
        brightest = int(image.max(initial=0))
        if bits and brightest >> bits:
            raise LabelFileError.of(
                path,
                f"an image with the value {brightest}",
                f"at most {(1 << bits) - 1} (`image-bits: {bits}`)",
                "write the bits that the values use into the taxonomy",
            )
        bits = bits or _bits_of_file(data, image)
        if not bits and 0 < brightest < 1 << 12 and not self._warned:
            self._warned = True
            likely = next(b for b in CAMERA_BITS if not brightest >> b)
            warnings.warn(
                f"{path}: no value of this 16-bit image is above {brightest}, so it is loaded nearly black; write"
                f" `image-bits: {likely}` into the taxonomy if its values use {likely} bits (`lsu-seg scan` looks at"
                " more images)",
                stacklevel=2,
            )
        whole = bits in (0, 16)
        pixels: NDArray[np.uint8] | None = decoded_by_opencv(data) if whole else (image >> bits - 8).astype(np.uint8)
        if pixels is None:
            raise damaged_image(path, data, "OpenCV cannot decode it")
        return pixels


def _loaded(results: dict[str, Any], image: NDArray[np.uint8]) -> dict[str, Any]:
    shape = image.shape[:2]
    return results | {"img": image, "img_shape": shape, "ori_shape": shape, "as_stored": True}


def _bits_of_file(data: bytes, image: NDArray[np.uint16]) -> int:
    """The bits that a 16-bit PNG says its values use, or 0 if it says nothing.

    By the specification, the values of a PNG with `sBIT` 12 are scaled to 16 bits, but cameras store them as they are.
    Those have bits below the lowest of scaled values.
    """
    bits = png_depth(data).significant
    if not 8 <= bits <= 16:
        return 0
    unscaled = not (image >> bits).any() and (image & ((1 << 16 - bits) - 1)).any()
    return bits if unscaled else 16


@register(TRANSFORMS)
class LoadTaxAnnotations(BaseTransform):
    """Load a label file through the dataset's taxonomy.

    Adds `gt_seg_map` `[H, W]`, the target map (`lsu_seg.targets.table`), which merges pseudo-label, row of d and
    confidence into one number per pixel, so that geometric transforms move them together. Also adds `gt_rows` int16
    `[H, W]` (rows of d at the label's own resolution; for pseudo-labels without a threshold, channels), which
    transforms do not change.

    Raises:
        LabelFileError: the label is unreadable, has a value that the taxonomy does not list, or differs from the image
            in size; or the image was rotated by its EXIF orientation.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        reader: TargetReader = results["reader"]
        target, rows, results["unknown_pixels"] = reader.read(results)
        if "ori_shape" in results and not results.get("as_stored"):
            _check_other_loader(results["img_path"], results.get("image_bits", 0))
        void = reader.table.void
        # A few pixels first: nearly every label has some that are not void.
        if results.get("skip_void") and (target[::64, ::64] == void).all() and (target == void).all():
            return None  # TaxDataset uses another image instead
        results["gt_seg_map"], results["gt_rows"] = target, rows
        results["seg_fields"].append("gt_seg_map")
        return results


def _check_other_loader(path: str, bits: int) -> None:
    """Refuse an image that `LoadImageFromFile` changes: it rotates one with an EXIF orientation, but not its label, and
    takes the upper 8 of 16 bits, whatever `image-bits:` or the file (`sBIT`) says."""
    try:
        with open_to_read(path) as file, Image.open(file) as image:
            orientation = image.getexif().get(ORIENTATION, 1)
            file.seek(0)
            data = file.read(64)
            sixteen = stored_bits(image, data) == 16
            data += file.read() if sixteen and not bits else b""
    except MemoryError:
        raise
    except Exception:  # Pillow raises arbitrary exceptions for damaged files
        return  # it cannot read it, so it has no orientation that OpenCV would apply
    if orientation not in (0, 1):
        raise LabelFileError(
            f"{path}: found EXIF orientation {orientation}; expected none: the label's pixels lie as they are stored;"
            " load images with `LoadTaxImage`, which ignores it, in place of `LoadImageFromFile`"
        )
    says = "the taxonomy"
    if sixteen and not bits and 8 <= png_depth(data).significant < 16:
        pixels = decoded_by_opencv(data, cv2.IMREAD_ANYDEPTH)
        says, bits = "the file (sBIT)", 0 if pixels is None else _bits_of_file(data, pixels)
    if sixteen and bits not in (0, 16):
        raise LabelFileError(
            f"{path}: found 16 bits, of which {says} says that {bits} are used, and `LoadImageFromFile` takes the"
            " upper 8; load images with `LoadTaxImage` in its place"
        )


@register(TRANSFORMS)
class SubsampleTarget(BaseTransform):
    """Keep every nth row and column of `gt_seg_map`, from a random offset, so that the loss is computed on that grid.

    MMSegmentation's heads resize their logits to the size of the target. For a small model on a CPU, the loss at full
    size takes 40 % of a training step, and with every second row and column a quarter of that. Use it after all crops
    and pads, on images that the data preprocessor need not pad: it pads targets by as much as images.

    Args:
        step: the distance between the rows and columns to keep.

    Raises:
        DatasetError: a step that is no whole number, or below 1.
    """

    def __init__(self, step: int = 2) -> None:
        check_transform(self, step=(step, is_number(step, 1, whole=True), "a whole number, 1 or more"))
        self.step = step

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        top, left = np.random.randint(self.step, size=2)
        results["gt_seg_map"] = results["gt_seg_map"][top :: self.step, left :: self.step]
        return results


@register(TRANSFORMS)
class RareClassCrop(TaxRandomCrop):
    """`TaxRandomCrop` that looks for a rare class, where the `CompoundDataset` has `rare_classes`; elsewhere the same.

    One of the classes of which the image has enough pixels is drawn by the odds of the dataset, and up to ten crops are
    tried until one shows it (`MIN_CROP`). Pixels whose target is a set are ignored.

    Args:
        crop_size, cat_max_ratio: as in `TaxRandomCrop`.
    """

    def crop_bbox(self, results: dict[str, Any]) -> tuple[int, ...]:
        box: tuple[int, ...] = super().crop_bbox(results)
        if results.get("class_odds") is None:
            return box
        target, table = results["gt_seg_map"], results["reader"].table
        height, width = (min(given, size) for given, size in zip(self.crop_size, target.shape, strict=True))
        needed = MIN_CROP * height * width
        odds = results["class_odds"] * (class_counts(target, table)[: table.num_classes] >= needed)
        if not odds.any():
            return box
        pixels = (table.single == np.random.choice(len(odds), p=odds / odds.sum()))[target]
        for _ in range(TRIES - 1):
            if self.crop(pixels, box).sum() >= needed:
                break
            box = super().crop_bbox(results)
        return box


@register(TRANSFORMS)
class TaxMosaic(RandomMosaic):
    """`RandomMosaic` whose other three images are drawn by the datasets' weights, as `CompoundSampler` draws the first.

    MMSegmentation's own draws them evenly from all images, so weights would apply to a quarter of the pixels only, and
    it draws past the end of the dataset. Use it in the pipeline of a `MultiImageMixDataset`, after a dataset whose
    pipeline only loads. `parts` of the result names the dataset of each image, with its number of skipped void images.

    Args:
        prob: the share of the samples that become mosaics; the others are not changed, and load no other image.
        img_scale, center_ratio_range, pad_val, seg_pad_val: as in `RandomMosaic`.

    Raises:
        DatasetError: a setting that is of another type, or out of range; an image has a side that would vanish.
    """

    def __init__(
        self,
        prob: float,
        img_scale: Sequence[int] = (640, 640),
        center_ratio_range: Sequence[float] = (0.5, 1.5),
        pad_val: float | Sequence[float] = 0,
        seg_pad_val: int = 255,
    ) -> None:
        middle = center_ratio_range
        check_transform(
            self,
            prob=(prob, is_number(prob, 0, 1), "a share of the samples, 0 to 1"),
            img_scale=(img_scale, are_numbers(img_scale, 1, whole=True), "height and width, such as (512, 1024)"),
            center_ratio_range=(
                middle,
                are_numbers(middle, 0, 2) and middle[0] <= middle[1],
                "where the middle lies, from 0 to 2, such as (0.5, 1.5)",
            ),
            pad_val=(pad_val, _is_colour(pad_val), "a number, 0 to 255, or three"),
            seg_pad_val=(seg_pad_val, is_number(seg_pad_val, 0, 65535, whole=True), "the void index, a whole number"),
        )
        super().__init__(prob, tuple(img_scale), center_ratio_range, pad_val, seg_pad_val)
        self.share, self.prob = prob, 1.0  # whether it is a mosaic is known before the other images are loaded

    def get_indices(self, dataset: Any) -> list[int]:
        """The indices of the other images, for `MultiImageMixDataset`; [] for a sample that stays as it is."""
        if random.random() >= self.share:
            return []
        compound = compound_of(dataset)
        if compound is None:
            return [random.randrange(len(dataset)) for _ in range(3)]
        members = random.choices(range(len(compound.datasets)), compound.masses(), k=3)
        starts = [0, *compound.cumulative_sizes]
        return [random.randrange(starts[member], starts[member + 1]) for member in members]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        if not results["mix_results"]:
            return results
        images = [results, *results["mix_results"]]
        for image in images:
            height, width = image["img"].shape[:2]
            ratio = min(self.img_scale[0] / height, self.img_scale[1] / width)
            if int(min(height, width) * ratio) < 1:  # OpenCV's words name no image
                raise DatasetError(
                    f"{image.get('img_path')}: nothing is left of {width} x {height} pixels in a mosaic of images of"
                    f" `img_scale={self.img_scale}`, height and width: choose larger ones, or take the image out"
                )
        results = super().transform(results)
        results["parts"] = [(image.get("dataset"), image.get("void_skipped", 0)) for image in images]
        results.pop("gt_rows", None)  # of the first image alone
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results


@register(TRANSFORMS)
class PackTaxInputs(PackSegInputs):
    """`PackSegInputs` that also packs `gt_rows` int16 `[1, H, W]`, and the sample's `key` and `dataset`."""

    META = (
        "img_path",
        "seg_map_path",
        "ori_shape",
        "img_shape",
        "key",
        "dataset",
        "void_skipped",
        "parts",
        "pasted",
        "unknown_pixels",
    )

    def __init__(self, meta_keys: Sequence[str] = META) -> None:
        names = isinstance(meta_keys, (list, tuple)) and all(isinstance(key, str) for key in meta_keys)
        check_transform(self, meta_keys=(meta_keys, names, "a list of names"))
        super().__init__(meta_keys=meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        for name in ("img", "gt_seg_map", "gt_rows"):
            if isinstance(results.get(name), torch.Tensor):
                raise DatasetError(
                    f"`PackTaxInputs` makes the tensors, and `{name}` is one already: take `ToTensor` out"
                )
        planes = _planes(results["img"]) if "img" in results else None
        if planes is None:
            packed: dict[str, Any] = super().transform(results)
        else:
            packed = super().transform({k: v for k, v in results.items() if k != "img"})
            packed["inputs"] = torch.from_numpy(planes)
        if "gt_rows" in results:
            rows = torch.from_numpy(np.ascontiguousarray(results["gt_rows"]))[None]
            packed["data_samples"].gt_rows = PixelData(data=rows)
        return packed


def _is_colour(value: Any) -> bool:
    channels = value if isinstance(value, (list, tuple)) and len(value) == 3 else (value,)
    return all(is_number(channel, 0, 255) for channel in channels)


def _planes(image: NDArray[Any]) -> NDArray[np.uint8] | None:
    """The channels of a colour image, `[3, H, W]`, in a tenth of the time of a transposition; None for other images."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        return None
    planes = np.empty((3, *image.shape[:2]), np.uint8)
    cv2.split(in_order(image), list(planes))
    return planes
