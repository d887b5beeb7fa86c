"""What a transform of mmcv or mmseg raises becomes a refusal that names the transform and the image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dataset import BaseDataset, Compose
from mmengine.fileio import LmdbBackend
from mmseg.datasets import MultiImageMixDataset

from lsu_onto import ran_out
from lsu_seg.errors import ConfigError, UserError
from lsu_seg.openmmlab.failures import said_by, short
from lsu_seg.openmmlab.frames import frames_of, is_of_stack
from lsu_seg.runtime.ctrl_c import leave_to_first_process


def run_pipeline(pipeline: Callable[[dict[str, Any]], Any], info: dict[str, Any], name: str) -> Any:
    """Run a dataset's pipeline on one image, in a worker too, which has no frames for `named` to look at.

    Args:
        name: of the dataset, for the message.

    Raises:
        ConfigError: a transform that is not ours does not take its settings, or this image.
    """
    with _refused(name, info.get("img_path", "")):
        return pipeline(info)


def begin_to_load(given: Callable[[int], None] | None, number: int) -> None:
    """What a process that loads images does first; one that is spawned imports this module for it.

    Args:
        given: what the config has it do then.
        number: of the process.
    """
    leave_to_first_process(given, number)


_mixed, _prepared = MultiImageMixDataset.__getitem__, BaseDataset.prepare_data


def _mix(self: MultiImageMixDataset, idx: int) -> Any:
    with _refused("MultiImageMixDataset"):
        return _mixed(self, idx)


def _prepare(self: BaseDataset, idx: int) -> Any:
    with _refused(type(self).__name__):
        return _prepared(self, idx)


MultiImageMixDataset.__getitem__ = _mix
BaseDataset.prepare_data = _prepare
LmdbBackend._client = None  # its destructor asks for it where `lmdb` is missing

_RUN = {Compose.__call__.__code__: ("transforms", "t"), _mixed.__code__: ("pipeline", "transform")}
"""What runs transforms one after another, and how it calls all of them and the one that is running."""


@contextmanager
def _refused(name: str, image: str = "") -> Iterator[None]:
    try:
        yield
    except (UserError, Warning):
        raise
    except Exception as error:
        if ran_out(error) or (isinstance(error, OSError) and error.errno):  # Pillow's, of a damaged image, has none
            raise
        message = _of_transform(error, name, image)
        if message is None:
            raise
        raise ConfigError(message) from error


def _of_transform(error: Exception, name: str, image: str) -> str | None:
    """The message; None where the transform is of ours or the user's own, which need the traceback."""
    frames = frames_of(error)
    place = next((i for i, f in enumerate(frames) if f.f_code in _RUN), None)
    if place is None or not all(is_of_stack(f.f_globals.get("__name__", "")) for f in frames[place:]):
        return None
    several, one = _RUN[frames[place].f_code]
    here = frames[place].f_locals
    transform, results = here.get(one), here.get("results", here.get("data"))
    number = next((i for i, other in enumerate(getattr(here["self"], several)) if other is transform), None)
    if number is None:
        return None
    image = image or (results.get("img_path", "") if isinstance(results, dict) else "")
    said = f"{said_by(error)} (it is {short(repr(transform))})"
    return f"{image and f'{image}: '}`pipeline.{number}` of `{name}` cannot be used as it is: {said}"
