"""When two constraints say the same: what is made from one is valid for the other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from lsu_onto.constraint.arrays import KINDS
from lsu_onto.errors import UserError

if TYPE_CHECKING:
    from lsu_onto.constraint.arrays import Constraint

Part = Literal["labels", "map", "novel", "colours", "groups", "images"]

FIELDS: dict[Part, tuple[str, ...]] = {
    "labels": ("classes", "encoding", "raw", "raw_row", "raw_names", "background"),
    "map": (
        "dataset",
        "dataset_version",
        "source",
        "source_version",
        "source_classes",
        "allowed",
        "kind",
        "certain",
        "relabel",
    ),
    "novel": ("novel",),
    "colours": ("palette", "source_palette"),
    "groups": ("source_groups",),
    "images": ("layout.image_bits",),
}
"""What each part consists of. `map` has what `lsu-onto changes` calls breaking in a map.

Where files lie, which palettes are refused, and the bytes of the files that a constraint was compiled from are in none
of them: they change nothing that is made from it. Nor do prompts: a model that takes some has them in its config.
"""


def content_sha256(constraint: Constraint, parts: tuple[Part, ...]) -> str:
    """The sha256 of some parts of a constraint, or, without any, of all."""
    if unknown := [part for part in parts if not isinstance(part, str) or part not in FIELDS]:
        raise UserError(f"a constraint has no part {unknown[0]!r}; its parts are {', '.join(FIELDS)}")
    digest = hashlib.sha256()
    for part, names in FIELDS.items():
        for name in names if part in parts or not parts else ():
            owner, field = (constraint.layout, name[7:]) if name.startswith("layout.") else (constraint, name)
            value = _kind(constraint) if name == "kind" else getattr(owner, field)
            if isinstance(value, np.ndarray):
                digest.update(f"{name} {value.dtype} {value.shape}\n".encode() + value.tobytes())
            else:
                digest.update(f"{name} {value!r}\n".encode())
    return digest.hexdigest()


def _kind(c: Constraint) -> NDArray[np.uint8]:
    """The relations as they are meant: where S(d) is one class, `>` says no more than `=`, and `~` than `<`."""
    kind = c.kind.copy()
    alone = c.allowed.sum(1, keepdims=True) == 1
    for written, meant in (("contains", "equal"), ("overlaps", "inside")):
        kind[alone & (kind == KINDS.index(written))] = KINDS.index(meant)
    return kind
