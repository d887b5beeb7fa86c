"""What label files hold: the values or colours that occur, with pixels and files counted, for `lsu-onto init`.

Every file is told by its content, not by its name, and what does not store exact values is refused. Pillow is needed
here and nowhere else in `lsu_onto`: the extra [labels].
"""

from __future__ import annotations

import glob
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lsu_onto.errors import UserError

SUFFIXES = (".png", ".tif", ".tiff")
MAX_COLOURS = 4096
"""A file with more colours is a picture, or has instances in its colours."""

AFTER_S = 2.0
"""What takes longer shows its progress."""

LINE_S = 10.0

INSTALL = 'reading label files needs Pillow: `python -m pip install "pillow>=10.3"`'
_LOSSY = "go back to the original annotation and save it as PNG"
_MAGIC = (
    (b"\xff\xd8\xff", "a JPEG, which changes values into other valid ones", _LOSSY),
    (b"GIF8", "a GIF, which permutes palette indices", _LOSSY),
    (b"RIFF", "a WebP image, which may be lossy", _LOSSY),
    (b"\0\0\0\x0cjP", "a JPEG 2000 image, which may be lossy", _LOSSY),
    (b"BM", "a BMP image", "save it as PNG"),
    (b"version https://git-lfs", "a git-LFS pointer, not the image", "run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, not the image", "run `git annex get`"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"\x93NUMPY", "a NumPy array", "save it as PNG"),
    (b"<", "an HTML or XML page", "get the file again"),
)


class ScanError(UserError):
    """Label files that cannot be read as such. The message says which, what was found and what to do."""


@dataclass(frozen=True)
class Counted:
    """One file. `kind`: palette, grey8, grey16, grey32 or rgb; `counts`: stored value or 0xrrggbb → pixels."""

    kind: str
    counts: dict[int, int]
    palette: tuple[int, ...] = ()


@dataclass
class Scan:
    """All files together."""

    files: int = 0
    pixels: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    in_files: Counter[int] = field(default_factory=Counter)
    palette: tuple[int, ...] = ()
    """Colours of the indices, 0xrrggbb; of the first file that has any."""
    kinds: dict[str, Path] = field(default_factory=dict)
    """Kind → the first file of it."""
    refused: list[str] = field(default_factory=list)


def find(where: Sequence[str]) -> tuple[list[Path], int]:
    """The label files of folders, files and patterns, and how many other files lie in the folders.

    Raises:
        ScanError: one of them has none.
    """
    found: dict[Path, None] = {}
    others = 0
    for text in where:
        if Path(text).is_dir():
            files = [f for f in sorted(Path(text).rglob("*")) if f.is_file() and not f.name.startswith(".")]
            hits = [f for f in files if f.suffix.lower() in SUFFIXES]
            others += len(files) - len(hits)
            if not hits:
                raise ScanError(
                    f"`{text}`: found {_suffixes(files)}; expected PNG or TIFF label files;"
                    " give the folder with the labels, or a pattern in quotes"
                )
        else:
            matched = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - absolute patterns, too
            hits = [Path(f) for f in matched if Path(f).is_file()]
            if not hits:
                raise ScanError(
                    f"`{text}`: there is no such folder or file, and as a pattern it matches none;"
                    " `**` stands for any folders: 'data/**/*_labelIds.png'"
                )
        found.update(dict.fromkeys(hits))
    return list(found), others


def _suffixes(files: Sequence[Path]) -> str:
    kinds = Counter(f.suffix.lower() or "no suffix" for f in files).most_common(3)
    text = ", ".join(f"{n} x `{s}`" for s, n in kinds)
    lossy = any(s in (".jpg", ".jpeg", ".webp", ".gif") for s, _ in kinds)
    return (text or "no files") + (" (JPEG, WebP and GIF do not keep label values)" if lossy else "")


def scan(files: Sequence[Path]) -> Scan:
    """Count all files; what is refused is listed, and the rest goes on.

    Raises:
        ScanError: Pillow is not installed, or no file could be read.
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise ScanError(INSTALL) from None
    total = Scan()
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))  # Pillow and numpy let other threads run
    try:
        with _progress(len(files)) as advance:
            for file, result in zip(files, pool.map(_count_or_say, files), strict=True):
                if isinstance(result, str):
                    total.refused.append(result)
                else:
                    _add(total, file, result)
                advance()
    finally:
        pool.shutdown(cancel_futures=True)
    if not total.files:
        more = f"\n… and {len(files) - 1} more like it" if len(files) > 1 else ""
        raise ScanError(f"no file could be read as labels\n{total.refused[0]}{more}")
    return total


def _add(total: Scan, file: Path, one: Counted) -> None:
    total.files += 1
    total.pixels += sum(one.counts.values())
    total.counts.update(one.counts)
    total.in_files.update(one.counts.keys())
    total.palette = total.palette or one.palette
    total.kinds.setdefault(one.kind, file)


def _count_or_say(path: Path) -> Counted | str:
    try:
        return count(path)
    except ScanError as e:
        return str(e)


# --- one file ----------------------------------------------------------------------------------------------


def count(path: Path) -> Counted:
    """The stored values of one label file, exactly.

    Raises:
        ScanError: it is no PNG or lossless TIFF, is damaged, or holds no exact values.
    """
    from PIL import PngImagePlugin, TiffImagePlugin

    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as e:
        raise _refuse(path, f"no readable file ({e.strerror})", "check path and rights") from None
    png, tiff = head.startswith(b"\x89PNG\r\n\x1a\n"), head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    if not png and not tiff:
        raise _not_a_label_file(path, head)
    try:
        # The plugins' classes, not `Image.open`: the latter has a size limit of its own.
        image: Any = (PngImagePlugin.PngImageFile if png else TiffImagePlugin.TiffImageFile)(path)
        with image:
            if str(image.info.get("compression", "")).endswith(("jpeg", "webp")):
                raise _refuse(path, "a TIFF with lossy compression", _LOSSY)
            if getattr(image, "n_frames", 1) != 1:
                raise _refuse(path, "several images in one file", "write one file for each")
            image.load()
            return _pixels(path, image, head[24] if png else 0)
    except ScanError:
        raise
    except Exception as e:  # Pillow raises whatever the damage leads to
        raise _refuse(path, f"a damaged {'PNG' if png else 'TIFF'} ({e})", "get the file again") from None


def _pixels(path: Path, image: Any, bits: int) -> Counted:
    """`bits`: of a PNG's channel, as Pillow scales 2- and 4-bit grey (1 → 85, 17)."""
    mode = image.mode
    if mode in ("RGB", "RGBA", "LA") and bits == 16:
        raise _refuse(path, "16 bits per colour channel", "write 8-bit colours, or 16-bit grey values")
    if mode in ("RGBA", "LA"):
        if image.getchannel("A").getextrema() != (255, 255):
            raise _refuse(path, f"{mode} with transparent pixels", "save it without the alpha channel")
        image = image.convert("RGB" if mode == "RGBA" else "L")
        mode = image.mode
    if mode == "RGB":
        colours = image.getcolors(MAX_COLOURS)
        if colours is None:
            raise _refuse(
                path,
                f"more than {MAX_COLOURS} colours",
                "is it a picture? Give the label files only;"
                " if its colours number segments (panoptic-rgb), write the classes into a CSV, for `--from-csv`",
            )
        return Counted("rgb", {r << 16 | g << 8 | b: n for n, (r, g, b) in colours})
    array = np.asarray(image)
    if mode == "P":
        raw = (image.getpalette("RGB") or [])[:768]
        palette = tuple(raw[i] << 16 | raw[i + 1] << 8 | raw[i + 2] for i in range(0, len(raw), 3))
        return Counted("palette", _bincount(array), palette)
    if mode in ("1", "L"):
        return Counted("grey8", _bincount(array.astype(np.uint8) // {2: 85, 4: 17}.get(bits, 1)))
    if mode.startswith("I;16"):
        return Counted("grey16", _bincount(array.astype(np.uint16)))
    if mode in ("I", "F"):
        if not np.isfinite(array).all() or (array != np.floor(array)).any() or array.min(initial=0) < 0:
            raise _refuse(path, "negative numbers, fractions, NaN or Inf", "write whole numbers from 0 on")
        if array.max(initial=0) > 65535:
            raise _refuse(path, f"values up to {array.max():.0f}", "write 8- or 16-bit class ids")
        return Counted("grey16" if mode == "I" and bits else "grey32", _bincount(array.astype(np.uint16)))
    raise _refuse(path, f"an image of mode {mode}", "save it as 8- or 16-bit grey, palette or RGB PNG")


def _bincount(array: Any) -> dict[int, int]:
    counts = np.bincount(array.ravel())
    return {int(v): int(counts[v]) for v in np.flatnonzero(counts)}


def _refuse(path: Path, found: str, advice: str) -> ScanError:
    return ScanError(f"{path}: found {found}; expected a PNG or lossless TIFF of labels; {advice}")


def _not_a_label_file(path: Path, head: bytes) -> ScanError:
    if not head:
        return _refuse(path, "an empty file (0 bytes)", "get the file again")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, found, advice in _MAGIC:
        if head.startswith(magic) or (magic == b"<" and text.startswith(magic)):
            return _refuse(path, found, advice)
    return _refuse(path, f"no known image (it starts with {head[:8]!r})", "save it as PNG")


# --- progress ----------------------------------------------------------------------------------------------


class _Advance(Protocol):
    def __call__(self) -> None: ...


@contextmanager
def _progress(total: int) -> Iterator[_Advance]:
    """On stderr, once it takes longer than `AFTER_S`: a bar with ETA on a terminal, a line now and then elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("label files"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("", total=total)
    start = time.monotonic()
    done, next_line = 0, AFTER_S

    def advance() -> None:
        nonlocal done, next_line
        done += 1
        elapsed = time.monotonic() - start
        bar.update(task, completed=done)
        if sys.stderr.isatty():
            if elapsed > AFTER_S and not bar.live.is_started:
                bar.start()
        elif elapsed > next_line:
            next_line = elapsed + LINE_S
            eta = elapsed / done * (total - done)
            print(f"label files {done}/{total}, ETA {eta:.0f} s", file=sys.stderr, flush=True)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()
