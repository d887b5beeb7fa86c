"""The output folder of a pseudo-label run. No file is ever half-written, and existing files are known to be complete.

    OUT/manifest.json          everything that the labels depend on
    OUT/KEY.png                labels: channels of the source, in its colours
    OUT/confidence/KEY.png     8-bit grey, 255 = certain (on request)
    OUT/soft/KEY.npz           the best few classes and their shares (on request)
    OUT/records-RANK.jsonl     a line per image: checksums and counts
    OUT/audit-RANK.jsonl       what is kept of some images for an audit of the map
    OUT/uncorrected/…          of images that people have corrected, the same files without (`corrections.py`)

A file gets its final name once it is complete and on the disk; after that, its record is written. A power cut may
therefore lose a file or a record, but leaves no wrong one: a label counts as done if its record has its checksum, and
the image and the annotation that it was made from are still the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import make_folder, open_to_read, walk, write_atomic
from lsu_seg.audit.pieces import Piece, read_lines
from lsu_seg.label_files import void_index
from lsu_seg.pseudo.corrections import Corrections
from lsu_seg.pseudo.errors import OutputError, refused, unusable
from lsu_seg.pseudo.label import Correction, Label
from lsu_seg.pseudo.lock import RunLock
from lsu_seg.pseudo.records import FILES, UNCORRECTED, Records, checksum, pack, whole
from lsu_seg.runtime.lines import LineFile

if TYPE_CHECKING:
    from lsu_seg.pseudo.inputs import Inputs, State

MANIFEST = "manifest.json"
_FOLLOW = ("splits", "meaning_sha256", "teacher")
"""Keys of a manifest that are compared apart, or follow from others."""

_AGAIN = "run the same labelling again, which makes it anew"

_BEFORE: dict[str, Any] = {"precision": "fp32", "compile": False, "temperature": 1.0}
"""What manifests say that were written before these settings were there."""


def file_sha256(path: str | Path) -> str:
    """sha256 of a file, read in blocks.

    Raises:
        OSError: the disk's word; or it has become a pipe that nothing writes to, which would be waited for.
    """
    with open_to_read(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # all that it opens have `readinto`


class OutputFolder:
    """The label files of one run, in a tree like the dataset's.

    A folder belongs to one manifest. A run with the same manifest resumes in it; a run with any other is refused. Other
    splits of the dataset may be labelled into it too.

    Args:
        root: the folder; created if it does not exist.
        manifest: everything that all labels depend on: taxonomies with hashes, checkpoint, views, thresholds; `splits`
            maps the split of this run to the hashes of what only its labels depend on (`dataset_sha256`).
        palette: uint8 `[K, 3]`, the colours of the source's classes.
        rank: rank of this worker; each worker appends to a record file of its own.
        run: a name that all workers of this run share; None: this is the only worker.
        keys: keys of the images that this worker labels; None: all images.
        inputs: the files of these images; None: what they hold is not looked at.
        corrections: what people corrected; None: nothing.

    Attributes:
        damaged: number of existing labels that do not match their record or have none, and are made again.
        changed: keys of the images that have changed, or whose annotation has, since they were labelled.
        corrected: keys of the images whose corrections have changed since they were labelled, which are labelled again.
        outdated: keys of the images whose annotation has changed since they were corrected.
        left_out: key → number of corrected pixels that the annotation does not allow.
        pieces: key → (rows drawn, whether it has a grid) of the labels that have a piece in `audit-RANK.jsonl`.
        other_splits: splits whose labels were in the folder before the first label of this one.

    Raises:
        OutputError: the path is not a folder, or not writable; another run is writing to it; it holds labels made with
            other settings.
    """

    def __init__(
        self,
        root: str | Path,
        manifest: dict[str, Any],
        palette: NDArray[np.uint8],
        rank: int = 0,
        run: str | None = None,
        keys: Container[str] | None = None,
        inputs: Inputs | None = None,
        corrections: Corrections | None = None,
    ) -> None:
        self.root = Path(root)
        self.palette, self.inputs, self.corrections = palette, inputs, corrections
        self.damaged = 0
        self.changed: list[str] = []
        self.corrected: list[str] = []
        self.outdated: list[str] = []
        self.left_out: dict[str, int] = {}
        self.other_splits: list[str] = []
        try:
            make_folder(self.root)
            self._lock = RunLock(self.root, run or os.urandom(16).hex())
            try:
                self._settle(manifest)
                self._lock.entered()  # before the records are read, which may take seconds
                self._records = Records(self.root, rank, keys)
                self.pieces = self._read_pieces()
                self._audit: LineFile | None = None
                self._rank = rank
            except BaseException:
                self._lock.release()
                raise
        except OSError as e:
            raise unusable(self.root, e) from e

    def _settle(self, manifest: dict[str, Any]) -> None:
        expected = json.loads(json.dumps(manifest))
        existing = labelled_with(self.root, manifest)
        if existing is not None:
            splits = existing.get("splits") or {}
            if not expected.get("splits", {}).keys() - splits.keys():
                return
            self.other_splits = sorted(splits)
            expected["splits"] = splits | expected["splits"]
        write_atomic(self.root / MANIFEST, json.dumps(expected, indent=2, sort_keys=True).encode())

    def _read_pieces(self) -> dict[str, tuple[list[int], bool]]:
        pieces = {}
        for line in read_lines(self.root):
            made = self._records.made.get(line["key"]) if "key" in line else None
            if made is not None and line["label"] == made.label():
                pieces[line["key"]] = ([row for row, _ in line["drawn"]], "grid_row" in line)
        return pieces

    def keep_pieces(self, first_line: bytes) -> None:
        """Begin to keep pieces. `first_line`: what says to what they belong.

        Raises:
            OutputError: the disk is full, or refuses the write.
        """
        path = self.root / f"audit-{self._rank}.jsonl"
        try:
            self._audit = LineFile(path)
            self._audit.append(first_line)
        except OSError as e:
            raise refused(path, e) from e

    def __len__(self) -> int:
        """Number of this worker's images whose record `done` has not checked yet."""
        return len(self._records.made)

    @property
    def locked(self) -> bool:
        """Whether a second run is kept out; False if the file system has no locks."""
        return self._lock.possible

    def done(self, key: str) -> bool:
        """Whether the label and its further files exist and have the checksums of their record.

        This reads the files. In a run that is not resumed there are none to read.
        """
        made = self._records.made.pop(key, None)
        if made is None:
            self.damaged += self.path(key).exists()  # the run was killed between writing the file and its record
            return False
        inputs = None if self.inputs is None else self.inputs.compare(key, made.inputs)
        if self.inputs is not None and inputs is None:
            self.changed.append(key)
            return False
        if made.correction.hex() != (self.corrections.digest(key) if self.corrections is not None else ""):
            self.corrected.append(key)
            for name in made.names:
                if name.startswith(UNCORRECTED):  # there may be nothing to correct any more
                    (self.root / FILES[name].format(key)).unlink(missing_ok=True)
            return False
        sums = [made.digests[i : i + 32].hex() for i in range(0, len(made.digests), 32)]
        complete = whole(self.root, key, dict(zip(made.names, sums, strict=True)))
        self.damaged += not complete
        if complete and inputs is not None and pack(inputs) != made.inputs:
            # In a copy of the dataset, for example: the next run need not read it again.
            try:
                self._records.append_again(made, inputs)
            except OSError as e:
                raise refused(self.path(key), e) from e
        return complete

    def path(self, key: str) -> Path:
        return self.root / FILES["label"].format(key)

    def write(
        self,
        key: str,
        labels: NDArray[Any],
        record: dict[str, Any],
        confidence: NDArray[np.float32] | None = None,
        soft: tuple[NDArray[Any], NDArray[np.float32]] | None = None,
        states: Sequence[State] = (),
        piece: Piece | None = None,
        correction: Correction | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> None:
        """Write one image's files and then its record.

        Args:
            labels: `[H, W]`, channels and the void index.
            record: counts; key and checksums are added.
            confidence: float32 `[H, W]`, 0..1.
            soft: see `soft_file`.
            states: of the image and the annotation, before they were read; needed with `inputs`.
            piece: what is kept of the image for an audit.
            correction: what a person corrected. allowed: where the annotation allows that (`inside`).

        Raises:
            OutputError: the disk is full or refuses the write; no part of the file is left.
        """
        label = Label(labels, confidence, soft)
        files = label.files(self.path(key), self.palette)
        if correction is not None and allowed is not None:
            files |= {UNCORRECTED + name: data for name, data in files.items()}
            record = record | self._correct(key, label, correction, allowed, files)
        self._put(key, files)
        record = {"key": key, **record, "files": {name: checksum(data) for name, data in files.items()}}
        if self.inputs is not None:
            record["inputs"] = self.inputs.record(key, states)
            annotation = record["inputs"]["label"][-1]
            if correction is not None and annotation and correction.annotation not in ("", annotation):
                self.outdated.append(key)
        try:
            if piece is not None and self._audit is not None:  # before the record: without it, the piece is not valid
                self._audit.append(piece.line(record["files"].get(f"{UNCORRECTED}label", record["files"]["label"])))
            self._records.append(record)
        except OSError as e:
            raise refused(self.path(key), e) from e

    def correct(self, key: str, correction: Correction, allowed: NDArray[np.bool_]) -> None:
        """Put what a person corrected on top of a finished label, in place of any earlier correction.

        Raises:
            OutputError: the label is not what the run has written; or as `write`.
        """
        made = self._records.made[key]
        own = [name for name in made.names if not name.startswith(UNCORRECTED)]
        before = UNCORRECTED if made.correction else ""
        files = {}
        for name in own:
            path = self.root / FILES[before + name].format(key)
            try:
                with open_to_read(path) as file:
                    files[UNCORRECTED + name] = file.read()
            except OSError as e:
                raise OutputError(f"{path}: {e.strerror or e}; {_AGAIN}") from e
            if checksum(files[UNCORRECTED + name]) != made.sum_of(before + name):
                raise OutputError(f"{path}: this file is not what the run has written; {_AGAIN}")
        label = Label.of({name: files[UNCORRECTED + name] for name in own})
        counts = self._correct(key, label, correction, allowed, files)
        self._put(key, files)
        try:
            self._records.replace(key, {**counts, "files": {name: checksum(data) for name, data in files.items()}})
        except OSError as e:
            raise refused(self.path(key), e) from e

    def _correct(
        self,
        key: str,
        label: Label,
        correction: Correction,
        allowed: NDArray[np.bool_],
        files: dict[str, bytes],
    ) -> dict[str, Any]:
        """Put the files of a corrected label among `files`; returns what its record says of that."""
        corrected = label.with_corrections(correction.limited_to(allowed))
        files |= corrected.files(self.path(key), self.palette)
        pixels = int(np.count_nonzero(correction.pixels & allowed))
        if left_out := int(np.count_nonzero(correction.pixels)) - pixels:
            self.left_out[key] = left_out
        void = int(np.count_nonzero(corrected.labels == void_index(len(self.palette))))
        return {"void": void, "correction": {"file": correction.sha256, "pixels": pixels}}

    def _put(self, key: str, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            path = self.root / FILES[name].format(key)
            try:
                if path.is_symlink():  # to an annotation, perhaps: labels are never written through it
                    path.unlink()
                write_atomic(path, data)
            except OSError as e:
                raise refused(path, e) from e

    def said_of_corrections(self) -> list[str]:
        """What reviewers should know: a line about annotations that have changed, one about pixels left out."""
        lines = []
        if self.outdated:
            lines.append(
                f"{self.root}: the annotations of {len(self.outdated)} images have changed since people corrected their"
                f" labels ({some_of(self.outdated)}); corrections are kept where the new annotations allow them"
            )
        if self.left_out:
            lines.append(
                f"{self.root}: {sum(self.left_out.values())} corrected pixels of {len(self.left_out)} images"
                f" ({some_of(list(self.left_out))}) are not what their annotations allow, and are left out"
            )
        return lines

    def close(self) -> None:
        try:
            if self._audit is not None:
                self._audit.close()
            self._records.close()
        finally:
            self._lock.release()


def some_of(keys: Sequence[str]) -> str:
    """The first three, for messages."""
    return ", ".join(keys[:3]) + (" …" if len(keys) > 3 else "")


def labelled_with(root: Path, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of a folder's labels, or None if it has none. Changes nothing.

    Raises:
        OutputError: labels of `manifest` must not be written there, see `OutputFolder`. OSError: it cannot be read.
    """
    path = root / MANIFEST
    if not path.exists():
        if _has_pngs(root):
            raise OutputError(
                f"{root} holds PNGs and no {MANIFEST}: they are not this program's labels; choose an empty folder"
            )
        return None
    existing = _read_manifest(path)
    if existing is None:
        raise OutputError(f"{path}: not a manifest; remove the folder or choose another")
    differences = _differences(existing, json.loads(json.dumps(manifest)))
    if not differences:
        return existing
    if not _has_pngs(root):  # of a run that ended before its first label
        return None
    lines = "\n".join(f"  {line}" for line in differences)
    go_on = "; `--precision`, left out, goes on in it" if all(d.startswith("precision: ") for d in differences) else ""
    raise OutputError(
        f"{root} holds labels made with other settings:\n{lines}\n"
        f"  help: remove the folder to label again, or write to another one{go_on}"
    )


def precisions(root: Path) -> dict[str, str]:
    """In which precision the labels of a folder were computed: by the names of several teachers; of a single one, "".

    What nobody can make sense of is left out: whoever opens the folder says what is wrong with it.
    """
    try:
        manifest = _read_manifest(root / MANIFEST)
        if manifest is None or not _has_pngs(root):
            return {}
    except OSError:
        return {}
    teachers = manifest.get("teachers", [manifest | {"name": ""}])
    entries = [one for one in teachers if isinstance(one, dict)] if isinstance(teachers, list) else []
    found = {str(one.get("name")): one.get("precision", _BEFORE["precision"]) for one in entries}
    return {name: precision for name, precision in found.items() if isinstance(precision, str)}


def is_labelled(root: Path) -> bool:
    """Whether a folder says what its labels depend on."""
    try:
        return _read_manifest(root / MANIFEST) is not None
    except OSError:
        return False


def _read_manifest(path: Path) -> dict[str, Any] | None:
    """What a file says; None if it is no manifest."""
    with open_to_read(path) as file:
        try:
            manifest = json.loads(file.read())
        except (ValueError, RecursionError):
            return None
    return manifest if isinstance(manifest, dict) else None


def _has_pngs(root: Path) -> bool:
    return any(name.endswith(".png") for _, _, names in walk(root, closed=lambda _: None) for name in names)


def _differences(existing: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """A line for every setting that differs. A split that only one of the two manifests has is no difference.

    `meaning_sha256`, which training compares, follows from `taxonomies_sha256`; and what a teacher's name on a hub
    stands for, from `checkpoint_sha256`.
    """
    existing = {key: value for key, value in _BEFORE.items() if key in expected} | existing
    pairs = [(key, existing.get(key), expected.get(key)) for key in sorted(existing.keys() | expected.keys())]
    lines = [
        line
        for k, a, b in pairs
        if a != b and k not in _FOLLOW
        for line in (_of_teachers(a, b) if k == "teachers" else [f"{k}: there {a}, now {b}"])
    ]
    splits, others = (m.get("splits") or {} for m in (existing, expected))
    if not isinstance(splits, dict) or bool(splits) != bool(others):
        return [*lines, f"splits: there {splits}, now {others}"]
    return lines + [
        line
        for split in sorted(splits.keys() & others.keys())
        if splits[split] != others[split]
        for line in _changes(split, splits[split], others[split])
    ]


def _of_teachers(there: Any, now: Any) -> list[str]:
    """The settings that differ, if the same teachers were asked; else the names of them."""
    lists = [[one for one in e if isinstance(one, dict)] if isinstance(e, list) else [] for e in (there, now)]
    names, others = ([str(one.get("name")) for one in entries] for entries in lists)
    if names != others:
        return [f"teachers: there {', '.join(names) or 'a single one'}, now {', '.join(others) or 'a single one'}"]
    return [
        f"teacher `{name}`: {key}: there {one.get(key)}, now {other.get(key)}"
        for name, one, other in zip(names, *lists, strict=True)
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def _changes(split: str, existing: Any, expected: Mapping[str, str]) -> list[str]:
    """What has changed in a split, by the results of `dataset_sha256`."""
    known = existing if isinstance(existing, dict) else {}
    lines = {
        "images": f"images of the split `{split}` were added, removed or renamed",
        "tables": f"tables beside the labels of the split `{split}` have changed",
    }
    return [line for name, line in lines.items() if known.get(name) != expected.get(name)]
