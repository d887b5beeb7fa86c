"""The files that labels are made from, and whether they are still what they were.

Size and time come first: a file that has kept both is not read again. Where they differ, as in a copy of the dataset on
another machine, its content decides.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.structures import BaseDataElement

from lsu_onto import walk
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.label_files import container
from lsu_seg.models.factory import code_sha256, make
from lsu_seg.models.factory import find as find_factory
from lsu_seg.openmmlab.config import is_type
from lsu_seg.openmmlab.parts import models_in
from lsu_seg.openmmlab.weights import weight_bytes
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.pseudo.records import INPUTS, STATED

_TICK_NS = 2 * 10**9
"""A file system's clock may tick as slowly as this: a file that was changed just now may change again with one time."""
_UNKNOWN = bytes(32)
"""Of a file that was changed while its image was labelled."""


class State(NamedTuple):
    """Of a file, before it was read."""

    size: int
    time: int
    """Of its last modification, in nanoseconds; 0 if it does not tell this content from a later one."""
    content: bytes
    """sha256, where there is no time; otherwise nothing, because nobody has needed it yet."""


class Noting:
    """A dataset's pipeline that notes the state of an image's files before it reads them.

    The state travels with the sample, as `states`, because the pipeline may run in a loader's process.
    """

    def __init__(self, pipeline: Callable[[dict[str, Any]], Any]) -> None:
        self._pipeline = pipeline

    def __call__(self, info: dict[str, Any]) -> Any:
        states = [_state(path) for path in _paths(info)]
        packed = self._pipeline(info)
        sample = packed.get("data_samples") if isinstance(packed, dict) else None
        if isinstance(sample, BaseDataElement):  # the loop refuses pipelines that end in anything else
            sample.set_metainfo({"states": states})
        return packed


class Inputs:
    """The files of a worker's images.

    Args:
        dataset: whose images are labelled.
        indices: key → index of the images of this worker.

    Attributes:
        unsteady: keys of the images whose files were changed while they were labelled.
    """

    def __init__(self, dataset: TaxDataset, indices: Mapping[str, int]) -> None:
        self.unsteady: set[str] = set()
        self._dataset, self._indices = dataset, indices

    def _paths(self, key: str) -> tuple[Path, Path]:
        return _paths(self._dataset.get_data_info(self._indices[key]))

    def record(self, key: str, states: Sequence[State]) -> dict[str, list[Any]]:
        """For each file, its size, time and sha256, which is empty if the file has changed since it had this state."""
        contents = [_content_in(path, state) for path, state in zip(self._paths(key), states, strict=True)]
        if not all(contents):
            self.unsteady.add(key)
        return _record(states, contents)

    def compare(self, key: str, packed: bytes) -> dict[str, list[Any]] | None:
        """What a record made now would say, if the files still hold what they held for an earlier one; else None.

        Args:
            packed: the result of `pack` for the earlier record.
        """
        if len(packed) != len(INPUTS) * STATED.size:
            return None
        states, contents = [], []
        for path, (size, changed, content) in zip(self._paths(key), STATED.iter_unpack(packed), strict=True):
            kept = changed and content != _UNKNOWN and _size_and_time(path) == (size, changed)
            state = State(size, changed, b"") if kept else _state(path)
            if not kept and (state.size != size or (state.content or _content_in(path, state)) != content):
                return None
            states.append(state)
            contents.append(content)
        return _record(states, contents)


def _record(states: Sequence[State], contents: Sequence[bytes]) -> dict[str, list[Any]]:
    return {
        name: [state.size, state.time, content.hex()]
        for name, state, content in zip(INPUTS, states, contents, strict=True)
    }


def dataset_sha256(dataset: TaxDataset) -> dict[str, str]:
    """sha256 over the names of a dataset's images, and over the tables that explain its labels."""
    tables = [f"{path.name} {file_sha256(path)}" for path in dataset.annotation.reader.tables()]
    images = [dataset.get_data_info(i)["key"] for i in range(len(dataset))]
    return {
        name: hashlib.sha256("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")).hexdigest()
        for name, lines in (("images", images), ("tables", tables))
    }


def modules_sha256(config: Any) -> dict[str, str]:
    """The modules of a user that a config imports (`custom_imports`), or has its model made by, with their sha256.

    A package that is imported counts with all that lies in its folder; a function that makes a model, with the files of
    the user's that it is made of.
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
        inside = (found for folder in folders for found in walk(folder, closed=lambda _: None))
        files = [Path(here, name) for here, _, names in inside for name in names if name.endswith(".py")]
        if not folders and spec.origin and Path(spec.origin).is_file():
            files = [Path(spec.origin)]
        text = "".join(f"{file_sha256(file)}\n" for file in sorted(files))
        digests[name] = hashlib.sha256(text.encode()).hexdigest()
    for model, _ in models_in(config.get("model") or {}):
        if is_type(model, "TorchSegmentor") and isinstance(model.get("factory"), str):
            name = Path(model["factory"]).name
            digest = code_sha256(find_factory(model["factory"]))
            digests[name] = digest if digests.get(name, digest) == digest else f"{digests[name]} {digest}"
    return digests


def weights_by_code(model: Mapping[str, Any]) -> str:
    """sha256 of the weights that the function of a `TorchSegmentor` loads; nothing where they are in a checkpoint."""
    if is_type(model, "Ensemble"):
        return " ".join(weights_by_code(one) for one, checkpoint in models_in(model) if checkpoint is None)
    if not is_type(model, "TorchSegmentor") or model.get("checkpoint"):
        return ""
    return tensors_sha256(make(find_factory(model["factory"]), model.get("args") or {}))


def tensors_sha256(model: torch.nn.Module) -> str:
    """sha256 of weights that are in no file."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(f"{name} ".encode() + weight_bytes(value))
    return digest.hexdigest()


def _paths(info: Mapping[str, Any]) -> tuple[Path, Path]:
    """The image's and the label's file on disk, which may be a table with many of them."""
    return container(Path(info["img_path"])), container(Path(info["seg_map_path"]))


def _size_and_time(path: Path) -> tuple[int, int]:
    """Zeros if there is no such file: reading it will say so. A file's time is never 0, which stands for no time."""
    with contextlib.suppress(OSError):
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns or 1
    return 0, 0


def _is_settled(changed: int) -> bool:
    """Whether a file that changes from now on gets another time than this one, the time of its last change."""
    return changed != 0 and time.time_ns() - changed > _TICK_NS


def _state(path: Path) -> State:
    """The state of a file that is read next."""
    size, changed = _size_and_time(path)
    if _is_settled(changed):
        return State(size, changed, b"")
    with contextlib.suppress(OSError):
        return State(size, 0, bytes.fromhex(file_sha256(path)))
    return State(size, 0, b"")


def _content_in(path: Path, state: State) -> bytes:
    """sha256 of a file that is still in this state, or nothing."""
    with contextlib.suppress(OSError):
        if not state.time:
            content = bytes.fromhex(file_sha256(path))
            return content if content == state.content else b""
        if _size_and_time(path) == state[:2]:
            content = _content(path, state.size, state.time)
            return content if _size_and_time(path) == state[:2] else b""
    return b""


@lru_cache(4096)
def _content(path: Path, _size: int, _time: int) -> bytes:
    """sha256 of a file in this state. Kept, because a table has the files of many images."""
    return bytes.fromhex(file_sha256(path))
