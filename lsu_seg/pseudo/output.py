"""The output folder of a pseudo-label run: manifest, label files, records. Nothing is ever half-written."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

try:
    import fcntl
except ImportError:  # Windows has no locks of this kind
    fcntl = None  # type: ignore[assignment]

from lsu_seg.encodings import write_atomic, write_labels

MANIFEST = "manifest.json"


class OutputError(ValueError):
    """The output folder cannot be used as it is. The message says why and what to do."""


def file_sha256(path: str | Path) -> str:
    """sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class OutputFolder:
    """Label files of one run, mirrored from the dataset's tree: `<root>/<key>.png`.

    A folder belongs to one manifest. A run with the same manifest resumes it, any other is refused.

    Args:
        root: made if it does not exist.
        manifest: everything that the labels depend on: taxonomies with hashes, checkpoint, views, thresholds.
        palette: uint8 `[K, 3]`.
        rank: of this worker; each appends to a record file of its own.

    Raises:
        OutputError: not a folder, not writable, or another run's.
    """

    def __init__(
        self, root: str | Path, manifest: dict[str, Any], palette: np.ndarray, rank: int = 0
    ) -> None:
        self.root = Path(root)
        self.palette = palette
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._records = (self.root / f"records-{rank}.jsonl").open("a+b")
            try:
                self._lock()
                self._settle(manifest)
                self._end_line()
            except BaseException:
                self._records.close()  # and with it the lock
                raise
        except OSError as e:
            raise OutputError(
                f"{self.root}: cannot write there ({e.strerror}); choose another output folder"
            ) from e

    def _lock(self) -> None:
        """Keep a second run out for as long as this one lives, however it ends."""
        if fcntl is None:
            return
        try:
            fcntl.flock(self._records, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{self.root}: another run is writing there; wait for it, or choose another"
            ) from None

    def _settle(self, manifest: dict[str, Any]) -> None:
        path = self.root / MANIFEST
        wanted = json.loads(json.dumps(manifest))
        if not path.exists():
            if (
                next(self.root.rglob("*.png"), None) and not path.exists()
            ):  # another rank's may have come meanwhile
                raise OutputError(
                    f"{self.root} holds PNGs and no {MANIFEST}: they are not this program's labels; choose an empty folder"
                )
            write_atomic(path, json.dumps(wanted, indent=2, sort_keys=True).encode())
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise OutputError(f"{path}: not a manifest; remove the folder or choose another") from None
        changed = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        if (
            changed and next(self.root.rglob("*.png"), None) is None
        ):  # a run that ended before its first label
            write_atomic(path, json.dumps(wanted, indent=2, sort_keys=True).encode())
        elif changed:
            lines = "\n".join(f"  {k}: there {found.get(k)}, now {wanted.get(k)}" for k in changed)
            raise OutputError(
                f"{self.root} holds labels made with other settings:\n{lines}\n"
                "  help: remove the folder to label again, or write to another one"
            )

    def _end_line(self) -> None:
        """After a kill the last record may be cut off: it is lost, the next must not be lost with it."""
        if self._records.seek(0, 2):
            self._records.seek(-1, 2)
            if self._records.read(1) != b"\n":
                self._records.write(b"\n")

    def done(self, key: str) -> bool:
        """Whether the label exists. Files appear under their final name only when whole."""
        return self.path(key).is_file()

    def path(self, key: str) -> Path:
        return self.root / f"{key}.png"

    def write(
        self, key: str, labels: np.ndarray, record: dict[str, Any], confidence: np.ndarray | None = None
    ) -> None:
        """Write one label and its record, and the confidence (float `[H, W]`, 0..1) as 8-bit grey, 255 = 1."""
        path = self.path(key)
        if confidence is not None:  # first: a label says that all of the image is there
            grey = self.root / "confidence" / f"{key}.png"
            grey.parent.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            Image.fromarray(np.rint(255 * confidence).astype(np.uint8)).save(buffer, "PNG")
            write_atomic(grey, buffer.getvalue())
        path.parent.mkdir(parents=True, exist_ok=True)
        write_labels(path, labels, self.palette)
        self._records.write(json.dumps({"key": key, **record}).encode() + b"\n")
        self._records.flush()

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of every worker; a last line cut off by a kill is passed over."""
        for file in sorted(self.root.glob("records-*.jsonl")):
            for line in file.read_text(encoding="utf-8").splitlines():
                try:
                    yield json.loads(line)
                except ValueError:
                    continue

    def close(self) -> None:
        self._records.close()
