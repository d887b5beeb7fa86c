"""Models that need mmdet, which is not installed with MMSegmentation."""

from __future__ import annotations

from typing import Any

from lsu_onto import INSTALL_MMDET
from lsu_seg.errors import MissingPackageError

_NEED_MMDET = ("MaskFormerHead", "Mask2FormerHead", "SetMask2FormerHead")


def check_mmdet(config: Any) -> None:
    """Raise an error that says what to install, where a model's config needs mmdet and there is none.

    Before anything is built: MMSegmentation's own `MaskFormerHead` would complain of an unexpected argument.
    """
    if isinstance(config, dict):
        kind = str(config.get("type", ""))
        if kind.startswith("mmdet.") or kind.rpartition(".")[2] in _NEED_MMDET:
            need_mmdet(kind)
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for part in config:
            check_mmdet(part)


def need_mmdet(name: str) -> None:
    """Raise an error that says what to install, where mmdet cannot be imported."""
    try:
        import mmdet.models.dense_heads  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f"`{name}` needs mmdet, which cannot be imported ({error}): {INSTALL_MMDET}"
        ) from error
