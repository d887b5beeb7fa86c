"""What people corrected in pseudo-labels, kept apart from them.

    OUT.corrections/corrections.jsonl   a line per image and import: who, when, with what, and what was corrected
    OUT.corrections/KEY.png             the corrected pixels: 0 not corrected, 1..K the class plus 1, 65535 void
    OUT.corrections/shown/KEY.png       the label that people were shown, which their corrections are compared with

Labelling puts them on top of what the teacher says, so every reader of `OUT` sees them, and a run that labels anew,
also in a folder that was removed, keeps them. A correction whose `KEY.png` is removed is taken back by the next run.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import Constraint, make_folder, open_to_read, write_atomic
from lsu_seg.label_files import VOID16, own_pixels, void_index
from lsu_seg.pseudo.errors import OutputError
from lsu_seg.pseudo.label import Correction
from lsu_seg.pseudo.records import checksum, read_records
from lsu_seg.runtime.lines import LineFile, read_line

_LINES = "corrections.jsonl"
_STAGE = "stage.json"
"""In the folder of a stage of `unify`, which is moved as a whole when the stage changes."""


def corrections_of(labels: str | Path) -> Path:
    """The folder of the corrections of a folder of labels: beside it, or in the work folder of `unify`."""
    labels = Path(labels).absolute()
    if (labels.parent / _STAGE).is_file():
        return labels.parents[2] / "corrections" / labels.parent.name
    return labels.parent / f"{labels.name}.corrections"


def inside(constraint: Constraint, rows: NDArray[np.int16], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """bool `[H, W]`: where a label is void, or a class that the annotation allows. Without annotation, only void is.

    Args:
        rows: int16 `[H, W]`, rows of d. labels: `[H, W]`, channels and the void index.
    """
    void = void_index(constraint.num_classes)
    allowed = np.vstack([constraint.allowed, np.zeros_like(constraint.allowed[:1])])  # ROW_VOID is -1, the last
    allowed[:, -1] = True
    result: NDArray[np.bool_] = allowed[rows, np.where(labels == void, constraint.num_classes, labels)]
    return result


@dataclass(frozen=True)
class Line:
    """What is written down of the correction of an image.

    Attributes:
        file: sha256 of the file of corrected pixels; empty of an image that was only shown.
        pixels: how many there are.
        shown: sha256 of the label that the person was shown.
        teacher: sha256 of the teacher's own label then.
        annotation: sha256 of the annotation then.
        by, time, tool: who corrected, when, and with what.
    """

    key: str
    file: str
    pixels: int
    shown: str
    teacher: str
    annotation: str
    by: str
    time: str
    tool: str


class Corrections:
    """The corrections of a folder of labels. Nothing is created before something is kept.

    Args:
        root: their folder.
        source: the source of the labels, as manifests name it. classes: its classes.

    Raises:
        OutputError: they are of other classes, or nothing says of which.
    """

    def __init__(self, root: Path, source: str, classes: Sequence[str]) -> None:
        self.root = root
        self._head = {"source": source, "classes": list(classes)}
        self._void = void_index(len(classes))
        self._lines: dict[str, list[Line]] = {}
        self._shown: dict[str, str] = {}
        self._has_head = False
        for line in _read_lines(root):
            if "classes" in line:
                self._check(line)
                self._has_head = True
            elif not self._has_head:
                raise OutputError(
                    f"{root / _LINES}: the first line, which says of what classes the corrections are, is missing;"
                    f" restore the file, or move {root} away"
                )
            elif "file" not in line:
                self._shown[line["key"]] = str(line.get("shown", ""))
            else:
                known = Line(**{name: line.get(name, "") for name in Line.__annotations__})
                self._lines.setdefault(known.key, []).append(known)

    def _check(self, head: dict[str, Any]) -> None:
        if head["classes"] != self._head["classes"]:
            raise OutputError(
                f"{self.root} has corrections in the classes of `{head.get('source')}`, and the labels are in those of"
                f" `{self._head['source']}`; move it away, or label into another folder"
            )

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def shown_images(self) -> int:
        """The number of images that people were shown."""
        return len(self._shown)

    def path(self, key: str) -> Path:
        return self.root / f"{key}.png"

    def digest(self, key: str) -> str:
        """sha256 of the correction of an image; empty if it has none."""
        line = self.line(key)
        return line.file if line is not None else ""

    def line(self, key: str) -> Line | None:
        """What is written down of an image's correction, if there is one."""
        return self._lines[key][-1] if key in self._lines and self.path(key).is_file() else None

    def of(self, key: str) -> Correction | None:
        """The corrected pixels of an image, or None.

        Raises:
            OutputError: their file is not what was written.
        """
        line = self.line(key)
        if line is None:
            return None
        written, correction = self.in_place(key)
        if written is None or correction is None or written.file != line.file:
            raise OutputError(
                f"{self.path(key)}: these corrections are not what `lsu-seg review import` has written; import them"
                " again, or remove the file, which takes them back"
            )
        return correction

    def in_place(self, key: str) -> tuple[Line, Correction] | tuple[None, None]:
        """What a new correction of an image replaces: if an import was stopped, it may be an earlier one than `of`.

        Nothing if the file is missing, or not what any import has written.
        """
        try:
            with open_to_read(self.path(key)) as file:
                data = file.read()
        except FileNotFoundError:
            return None, None
        digest = checksum(data)
        line = next((line for line in reversed(self._lines.get(key, [])) if line.file == digest), None)
        if line is None:
            return None, None
        values = own_pixels(self.path(key), data).astype(np.uint16)
        labels = np.where(values == VOID16, self._void, np.maximum(values, 1) - 1)
        return line, Correction(digest, values > 0, labels, line.annotation)

    def shown(self, key: str) -> tuple[str, bytes] | None:
        """sha256 and bytes of the label of an image that people were shown last, if any was."""
        try:
            with open_to_read(self.root / "shown" / f"{key}.png") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        digest = checksum(data)
        return (digest, data) if digest == self._shown.get(key) else None

    def show(self, key: str, data: bytes) -> None:
        """Keep the label that people are shown."""
        digest = checksum(data)
        if self._shown.get(key) == digest and (self.root / "shown" / f"{key}.png").is_file():
            return
        write_atomic(self.root / "shown" / f"{key}.png", data)
        self._append([{"key": key, "shown": digest}])
        self._shown[key] = digest

    def encode(self, pixels: NDArray[np.bool_], labels: NDArray[Any]) -> bytes:
        """The bytes of the file of corrected pixels."""
        from PIL import Image

        values = np.where(labels == self._void, VOID16, labels.astype(np.int64) + 1) * pixels
        buffer = io.BytesIO()
        Image.fromarray(values.astype(np.uint16)).save(buffer, "PNG")
        return buffer.getvalue()

    def keep(self, line: Line, data: bytes) -> None:
        """Keep a correction, in place of an earlier one of the same image."""
        self._append([line.__dict__])  # first, so that no file is there that no line tells of
        write_atomic(self.path(line.key), data)
        self._lines.setdefault(line.key, []).append(line)

    def _append(self, lines: Sequence[dict[str, Any]]) -> None:
        make_folder(self.root)
        file = LineFile(self.root / _LINES)
        try:
            for line in lines if self._has_head else [self._head, *lines]:
                file.append(json.dumps(line).encode())
                self._has_head = True
        finally:
            file.close()


def corrections_state(labels: Path) -> list[str]:
    """What the labels in a folder depend on, whatever their classes are: a line for each that a person has changed."""
    return [f"{key} {line['file']}" for key, line in sorted(_kept_lines(labels).items()) if line.get("pixels")]


def _kept_lines(labels: Path) -> dict[str, dict[str, Any]]:
    """The last line of each image whose correction is there."""
    root = corrections_of(labels)
    lines = {line["key"]: line for line in _read_lines(root) if line.get("file")}
    return {key: line for key, line in lines.items() if (root / f"{key}.png").is_file()}


def has_corrections(labels: Path) -> bool:
    """Whether the labels in a folder have just the corrections that are kept of them."""
    latest = {record["key"]: (record.get("correction") or {}).get("file", "") for record in read_records(labels)}
    kept = {key: line["file"] for key, line in _kept_lines(labels).items()}
    return all(digest == kept.get(key, "") for key, digest in latest.items())


def _read_lines(root: Path) -> Iterator[dict[str, Any]]:
    """The lines of a folder, without those that a kill cut off."""
    try:
        with open_to_read(root / _LINES) as file:
            for text in file:
                try:
                    line = read_line(text)
                except ValueError:
                    continue
                if isinstance(line, dict) and (isinstance(line.get("key"), str) or "classes" in line):
                    yield line
    except (FileNotFoundError, NotADirectoryError):
        return
