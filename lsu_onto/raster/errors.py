"""What is said of a file that must not be used: path, finding, expectation, remedy."""

from __future__ import annotations

from pathlib import Path

from lsu_seg.errors import UserError


class LabelFileError(UserError):
    """A label file that must not be used. The message names file, finding, expectation and remedy."""


def refuse(path: Path, found: str, expected: str, advice: str) -> LabelFileError:
    return LabelFileError(f"{path}: found {found}; expected {expected}; {advice}")


_LOSSY = "go back to the original annotation and save as PNG: its pixels are not the annotated values"
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG, which changes values into other valid ones", _LOSSY),
    (b"GIF8", "a GIF, which permutes palette indices", _LOSSY),
    (b"\0\0\0\x0cjP", "a JPEG 2000 image", _LOSSY),
    (b"BM", "a BMP image", "save it as PNG"),
    (b"version https://git-lfs", "a git-LFS pointer, not the image", "run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, not the image", "run `git annex get`"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"\x93NUMPY", "a NumPy array", "save it as PNG"),
    (b"\x89PNG", "a PNG image", "declare the encoding that the files have"),
)


def not_what_was_expected(path: Path, data: bytes, expected: str, advice: str) -> LabelFileError:
    """Say what the file is, by content: suffixes lie."""
    if not data:
        return refuse(path, "an empty file (0 bytes)", expected, "get the file again")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return refuse(path, "a WebP image, which may be lossy", expected, _LOSSY)
    if data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return refuse(path, "an HTML or XML page", expected, "get the file again: the download was answered by a page")
    for magic, found, remedy in _MAGIC:
        if data.startswith(magic):
            return refuse(path, found, expected, remedy)
    return refuse(path, f"no known image or JSON (it starts with {data[:8]!r})", expected, advice)
