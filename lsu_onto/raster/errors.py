"""What is said of a file that must not be used: path, finding, expectation, remedy."""

from __future__ import annotations

import os

from lsu_onto import INSTALL
from lsu_onto.errors import UserError

_LOSSY = "go back to the original annotation and save as PNG: its pixels are not the annotated values"
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG, which changes values into other valid ones", _LOSSY),
    (b"GIF8", "a GIF, which permutes palette indices", _LOSSY),
    (b"\0\0\0\x0cjP", "a JPEG 2000 image, which may be lossy", _LOSSY),
    (b"BM", "a BMP image", "save it as PNG"),
    (b"version https://git-lfs", "a git-LFS pointer, not the image", "run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, not the image", "run `git annex get`"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"\x93NUMPY", "a NumPy array", "save it as PNG"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", "declare the encoding that the files have"),
    (b"\x89PNG", "a damaged PNG (a transfer as text leaves such a head)", "get the file again, as binary"),
)
_PAGE = (b"<!doctype", b"<html", b"<?xml")


class LabelFileError(UserError):
    """A label file that must not be used. The message names file, finding, expectation and remedy."""

    __module__ = "lsu_onto"  # where users import it from, and what a traceback shows

    @classmethod
    def of(cls, path: str | os.PathLike[str], found: str, expected: str, advice: str) -> LabelFileError:
        """The refusal of a file, from the four parts of its message."""
        return cls(f"{os.fspath(path)}: found {found}; expected {expected}; {advice}")

    @classmethod
    def by_content(cls, path: str | os.PathLike[str], data: bytes, expected: str, advice: str) -> LabelFileError:
        """The refusal of a file of the wrong kind: its first bytes say what it is, because suffixes lie."""
        if not data:
            return cls.of(path, "an empty file (0 bytes)", expected, "get the file again")
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return cls.of(path, "a WebP image, which may be lossy", expected, _LOSSY)
        if data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGE):
            advice = "get the file again: the download was answered by a page"
            return cls.of(path, "an HTML or XML page", expected, advice)
        for magic, found, remedy in _MAGIC:
            if data.startswith(magic):
                return cls.of(path, found, expected, remedy)
        return cls.of(path, f"no known image or JSON (it starts with {data[:8]!r})", expected, advice)

    @classmethod
    def too_large(cls, path: str | os.PathLike[str], width: int, height: int, max_pixels: int) -> LabelFileError:
        """The refusal of an image with more pixels than the caller allows."""
        advice = "cut it into tiles, or raise `max_pixels`"
        return cls.of(path, f"{width} x {height} pixels", f"at most {max_pixels}", advice)


class MissingPillowError(UserError, ImportError):
    """Label files were to be read where Pillow is not installed."""

    def __init__(self) -> None:
        super().__init__(f"reading label files needs Pillow: {INSTALL.format('labels')}")
