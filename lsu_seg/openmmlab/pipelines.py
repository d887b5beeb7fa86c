"""What a transform of mmcv or mmseg raises becomes a refusal that names the transform and the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.dataset import Compose

from lsu_seg.errors import ConfigError, UserError
from lsu_seg.openmmlab.failures import said_by, short
from lsu_seg.openmmlab.frames import frames_of, is_of_stack


def run_pipeline(pipeline: Callable[[dict[str, Any]], Any], info: dict[str, Any], name: str) -> Any:
    """Run a dataset's pipeline on one image, in a worker too, which has no frames for `named` to look at.

    Args:
        name: of the dataset, for the message.

    Raises:
        ConfigError: a transform that is not ours does not take its settings, or this image.
    """
    image = info.get("img_path", "")
    try:
        return pipeline(info)
    except (UserError, OSError, Warning):
        raise
    except Exception as error:
        message = _of_transform(error, name)
        if message is None:
            raise
        raise ConfigError(f"{image}: {message}") from error


def _of_transform(error: Exception, name: str) -> str | None:
    """The message; None where the transform is of ours or the user's own, which need the traceback."""
    frames = frames_of(error)
    place = next((i for i, f in enumerate(frames) if f.f_code is Compose.__call__.__code__), None)
    if place is None or not all(is_of_stack(f.f_globals.get("__name__", "")) for f in frames[place:]):
        return None
    transforms, transform = frames[place].f_locals["self"].transforms, frames[place].f_locals.get("t")
    number = next((i for i, one in enumerate(transforms) if one is transform), None)
    if number is None:
        return None
    return f"`pipeline.{number}` of `{name}` cannot be used as it is: {said_by(error)} (it is {short(repr(transform))})"
