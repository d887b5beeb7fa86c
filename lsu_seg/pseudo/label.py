"""What a pseudo-label consists of, with or without what a person corrected, and its files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_seg.label_files import encode_confidence, encode_labels, own_pixels


class Correction(NamedTuple):
    """The corrected pixels of one image.

    Attributes:
        sha256: of the file that they are kept in.
        pixels: bool `[H, W]`. labels: `[H, W]`, channels and the void index; of the corrected pixels.
        annotation: sha256 of the annotation that they were checked against, or empty.
    """

    sha256: str
    pixels: NDArray[np.bool_]
    labels: NDArray[Any]
    annotation: str = ""

    def nowhere(self, shape: tuple[int, ...]) -> Correction:
        """The same correction of no pixel, for an image of another size."""
        return self._replace(pixels=np.zeros(shape, bool), labels=np.zeros(shape, self.labels.dtype))

    def limited_to(self, allowed: NDArray[np.bool_]) -> Correction:
        return self._replace(pixels=self.pixels & allowed)


class Label(NamedTuple):
    """What a label consists of.

    Attributes:
        labels: `[H, W]`, channels and the void index.
        confidence: float32 `[H, W]`, 0..1, or None.
        soft: classes and shares `[k, H, W]`, or None; see `soft_file`.
    """

    labels: NDArray[Any]
    confidence: NDArray[np.float32] | None = None
    soft: tuple[NDArray[Any], NDArray[np.float32]] | None = None

    @staticmethod
    def of(files: Mapping[str, bytes]) -> Label:
        """The label in files, by the names of records."""
        labels = own_pixels("label", files["label"])
        confidence = soft = None
        if "confidence" in files:
            grey = own_pixels("confidence", files["confidence"])
            confidence = grey.astype(np.float32) / np.float32(255)
        if "soft" in files:
            arrays = np.load(io.BytesIO(files["soft"]))
            soft = arrays["classes"], arrays["shares"].astype(np.float32) / np.float32(255)
        return Label(labels, confidence, soft)

    def with_corrections(self, correction: Correction) -> Label:
        """The label with a person's pixels on top, which are certain."""
        at = correction.pixels
        labels = np.where(at, correction.labels, self.labels).astype(self.labels.dtype)
        confidence = None if self.confidence is None else np.where(at, np.float32(1), self.confidence)
        soft = None
        if self.soft is not None:
            classes, shares = (array.copy() for array in self.soft)
            classes[:, at], shares[:, at] = np.iinfo(classes.dtype).max, 0  # the void index, of either size
            classes[0, at], shares[0, at] = correction.labels[at], 1
            soft = classes, shares
        return Label(labels, confidence, soft)

    def files(self, path: Path, palette: NDArray[np.uint8]) -> dict[str, bytes]:
        """The bytes of its files, by the names of records. path: for messages."""
        files = {"label": encode_labels(path, self.labels, palette)}
        if self.confidence is not None:
            files["confidence"] = encode_confidence(self.confidence)
        if self.soft is not None:
            files["soft"] = soft_file(*self.soft)
        return files


def soft_file(classes: NDArray[Any], shares: NDArray[np.float32]) -> bytes:
    """The bytes of a soft label: `.npz`, the same for the same arrays.

    Args:
        classes: integers `[k, H, W]`, the best k classes of S(d), best first; void where S(d) has fewer classes.
        shares: float `[k, H, W]`, 0..1, their shares of the evidence in S(d); 0 where S(d) has fewer classes.

    Returns:
        a file for `numpy.load` with `classes` (uint8, or uint16 with 16-bit labels) and `shares` (uint8, 255 = 1).

    >>> import io
    >>> data = soft_file(np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 0.5, np.float32))
    >>> np.load(io.BytesIO(data))["shares"][0, 0].tolist()
    [128, 128]
    """
    arrays = {"classes": classes, "shares": (np.asarray(shares) * 255 + 0.5).astype(np.uint8)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED, 3)
    return buffer.getvalue()
