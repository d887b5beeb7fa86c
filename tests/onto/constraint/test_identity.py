"""What counts where something was made from a constraint: what it says, and not the file that says it."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lsu_onto
from lsu_onto import Constraint, Layout
from lsu_onto.constraint.identity import FIELDS

TEXT = """\
tax 1
dataset yard v1 -> demo v1
splits: train
images: {split}/{stem}.png
labels: {split}/{stem}_label.png
palettes: ignored
image-bits: 12

0 lane #102030 = road
1 rest #405060 -> any
"""


def load(folder: Path, text: str = TEXT) -> Constraint:
    file = folder / "yard.tax"
    file.write_text(text)
    return lsu_onto.load(file)


def changed_parts(a: Constraint, b: Constraint) -> set[str]:
    parts = {part for part in FIELDS if a.content_sha256(part) != b.content_sha256(part)}
    assert (a.content_sha256() != b.content_sha256()) == bool(parts)
    return parts


def test_every_field_is_in_one_part_or_left_out_on_purpose() -> None:
    """A field that is added to a constraint has to be put into one."""
    names = [name for part in FIELDS.values() for name in part]
    assert len(names) == len(set(names))
    left_out = {
        "sha256",
        "prompts",
        "source_prompts",
        *(f"layout.{f.name}" for f in fields(Layout) if f.name != "image_bits"),
    }
    own = {f.name for f in fields(Constraint)} - {"layout"}
    assert {*names, *left_out} == own | {f"layout.{f.name}" for f in fields(Layout)}


@pytest.mark.parametrize(
    "old, new, parts",
    [
        ("# nothing", "", ()),
        ("\n1 rest", "\n# a remark\n1 rest", ()),
        ("_label.png", "_mask.png", ()),
        ("palettes: ignored\n", "", ()),
        ("image-bits: 12", "image-bits: 10", ("images",)),
        ("#102030", "#112030", ("colours",)),
        ("= road", "< road", ("map",)),
        ("yard v1", "yard v2", ("map",)),
        ("\n1 rest", "\n2 rest", ("labels",)),
        ("1 rest", "1 other", ("labels",)),
    ],
)
def test_what_a_change_of_the_file_changes(tmp_path: Path, old: str, new: str, parts: tuple[str, ...]) -> None:
    text = TEXT + "# nothing\n"
    before, after = load(tmp_path, text), load(tmp_path, text.replace(old, new))
    assert before.sha256 != after.sha256
    assert changed_parts(before, after) == set(parts)


@pytest.mark.parametrize(
    "one, other", [("> road", "= road"), ("~ road", "< road"), ("> @flat ! lane_marking sidewalk", "= road")]
)
def test_two_ways_to_write_the_same(tmp_path: Path, one: str, other: str) -> None:
    """What was made from one is valid for the other: to take the advice of TAX305 makes nothing stale."""
    assert changed_parts(*(load(tmp_path, TEXT.replace("= road", relation)) for relation in (one, other))) == set()


def test_every_field_changes_its_part(tmp_path: Path) -> None:
    c = load(tmp_path)
    others: dict[type, Any] = {str: "other", int: 1, tuple: ("other",)}
    for part, names in FIELDS.items():
        for name in (n for n in names if not n.startswith("layout.")):
            value = getattr(c, name)
            other = np.roll(value, 1) + 1 if isinstance(value, np.ndarray) else others[type(value)]
            assert changed_parts(c, replace(c, **{name: other})) == {part}, name
