"""The files that labels are made from, and whether they are still what they were.

Size and time come first: a file that has kept both is not read again. Where they differ, as in a copy of the dataset on
another machine, its content decides.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lsu_seg.data.datasets import TaxDataset
from lsu_seg.label_files import container
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.pseudo.records import INPUTS, STATED

_TICK_NS = 2 * 10**9
"""A file system's clock may tick as slowly as this: a file that was changed just now may change again with one time."""
_UNKNOWN = bytes(32)
"""Of a file that was changed while its image was labelled."""


class Inputs:
    """The files of a worker's images, with the size and time that they had when the run began.

    Args:
        dataset: whose images are labelled.
        indices: key → index of the images of this worker.

    Attributes:
        unsteady: number of images whose files were changed while they were labelled.
    """

    def __init__(self, dataset: TaxDataset, indices: Mapping[str, int]) -> None:
        self.unsteady = 0
        self._dataset, self._indices = dataset, indices
        # An array, because there may be hundreds of thousands.
        self._states = np.zeros((len(dataset), len(INPUTS), 2), np.int64)
        for key, index in indices.items():
            for file, path in enumerate(self._paths(key)):
                with contextlib.suppress(OSError):  # reading the file will say so
                    self._states[index, file] = _state(path)

    def _paths(self, key: str) -> tuple[Path, Path]:
        """The image's and the label's file on disk, which may be a table with many of them."""
        info = self._dataset.get_data_info(self._indices[key])
        return container(Path(info["img_path"])), container(Path(info["seg_map_path"]))

    def record(self, key: str) -> dict[str, list[Any]]:
        """For each file, its size and time before it was read, and its sha256, empty if the file has changed since.

        A time that says nothing, because it is that of this moment, is 0.
        """
        states = self._states[self._indices[key]].tolist()
        contents = [_content_in(path, state) for path, state in zip(self._paths(key), states, strict=True)]
        self.unsteady += not all(contents)
        return {
            name: [size, changed if _is_settled(changed) else 0, content.hex()]
            for name, (size, changed), content in zip(INPUTS, states, contents, strict=True)
        }

    def same(self, key: str, packed: bytes) -> bool:
        """Whether the files are those of a record. `packed` is the result of `pack` for it."""
        if len(packed) != len(INPUTS) * STATED.size:
            return False
        states = self._states[self._indices[key]].tolist()
        for path, state, (size, changed, content) in zip(
            self._paths(key), states, STATED.iter_unpack(packed), strict=True
        ):
            unread = state == [size, changed] and content != _UNKNOWN
            if not unread and (state[0] != size or _content_in(path, state) != content):
                return False
        return True


def dataset_sha256(dataset: TaxDataset) -> str:
    """sha256 over the names of a dataset's images, and the content of the tables that explain its labels."""
    digest = hashlib.sha256()
    for path in dataset.annotation.reader.tables():
        digest.update(f"{path.name} {file_sha256(path)}\n".encode("utf-8", "surrogateescape"))
    for i in range(len(dataset)):
        digest.update(f"{dataset.get_data_info(i)['key']}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def modules_sha256(config: Any) -> dict[str, str]:
    """The modules of a user that a config imports (`custom_imports`), with the sha256 of their files.

    A package counts with all that lies in its folder.
    """
    imports = (config.get("custom_imports") or {}).get("imports") or []
    digests: dict[str, str] = {}
    for name in [imports] if isinstance(imports, str) else imports:
        spec = None
        with contextlib.suppress(ImportError, ValueError):  # a config may allow imports that fail
            spec = find_spec(name)
        if name.partition(".")[0] == "lsu_seg" or spec is None:  # ours have a version
            continue
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
        files = [f for folder in folders for f in folder.rglob("*.py")]
        if not folders and spec.origin and Path(spec.origin).is_file():
            files = [Path(spec.origin)]
        text = "".join(f"{file_sha256(file)}\n" for file in sorted(files))
        digests[name] = hashlib.sha256(text.encode()).hexdigest()
    return digests


def _state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _is_settled(changed: int) -> bool:
    """Whether a file's time of modification says that it has not been changed since."""
    return time.time_ns() - changed > _TICK_NS


def _content_in(path: Path, state: list[int]) -> bytes:
    """sha256 of a file, or nothing if it is not in this state before and after it is read."""
    with contextlib.suppress(OSError):
        if _state(path) == state:
            content = _content(path, *state) if _is_settled(state[1]) else _content.__wrapped__(path, *state)
            return content if _state(path) == state else b""
    return b""


@lru_cache(4096)
def _content(path: Path, _size: int, _time: int) -> bytes:
    """sha256 of a file in this state. Kept, because a table has the files of many images."""
    return bytes.fromhex(file_sha256(path))
