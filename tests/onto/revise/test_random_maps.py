"""Random changes of random maps: S(d) becomes what was asked for, and lines of other rows stay."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import lsu_onto
from helpers.examples import examples
from lsu_onto.library.library import Library

K = 6
NAMES = [f"s{i}" for i in range(K)]
HEAD = ["tax 1", "source world v1", "[a]", "0 s0", "1 s1", "[a.b]", "2 s2", "3 s3", "[c]", "4 s4", "5 s5"]
TARGETS = [*NAMES, "@a", "@a.b", "@c", "void"]


@st.composite
def rows(draw: st.DrawFn) -> str:
    """A row as somebody may write it; not each is valid."""
    kind = draw(st.sampled_from(["one", "any", "void", "fact", *["several"] * 4]))
    if kind == "one":
        return f"{draw(st.sampled_from('=<'))} {draw(st.sampled_from(NAMES))}"
    if kind in ("void", "fact"):
        return "-> void" if kind == "void" else "! any"
    gap = draw(st.sampled_from([" ", ", ", "  "]))
    minus = draw(st.lists(st.sampled_from([*NAMES, "@a.b"]), max_size=2, unique=True))
    tail = f" ! {gap.join(minus)}" if minus else ""
    if kind == "any":
        return f"-> any{tail}"
    parts = []
    targets = draw(st.lists(st.sampled_from(TARGETS), min_size=1, max_size=5, unique=True))
    cut = draw(st.integers(0, len(targets)))
    ops = draw(st.permutations([">", "~"]))
    for op, some in zip(ops, (targets[:cut], targets[cut:]), strict=True):
        if some:
            parts.append(f"{op} {gap.join(some)}" + draw(st.sampled_from(["", "  # note", " # a\n   "])))
    text = ""
    for p in parts:  # a note ends its line
        text += ("\n   " if "#" in text.split("\n")[-1] else " ") * bool(text) + p
    return text.rstrip() + (("\n   " if "#" in text.split("\n")[-1] else "") + tail if tail else "")


def valid(file: Path) -> bool:
    return not Library().check(file).errors


@settings(max_examples=examples(150))
@given(
    st.lists(rows(), min_size=1, max_size=5),
    st.data(),
)
def test_the_wanted_matrix_is_compiled_and_other_lines_stay(texts: list[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "drawn.tax"
        kept: list[str] = []
        for text in texts:  # rows that the others contradict are left out
            file.write_text("\n".join([*HEAD, "dataset drawn v1 -> world v1", *_lines([*kept, text])]) + "\n")
            kept += [text] if valid(file) else []
        if not kept:
            return
        file.write_text("\n".join([*HEAD, "dataset drawn v1 -> world v1", *_lines(kept)]) + "\n")
        before = lsu_onto.load(file)
        changed = data.draw(st.lists(st.sampled_from(before.classes), min_size=1, unique=True))
        wanted = before.allowed.copy()
        for d in changed:
            s = data.draw(st.sets(st.integers(0, K), min_size=1))
            wanted[before.classes.index(d)] = np.isin(np.arange(K + 1), sorted(s))
        names = np.array([*NAMES, "void"])
        revision = lsu_onto.rewrite(
            file,
            rows={d: names[wanted[before.classes.index(d)]].tolist() for d in changed},
            notes=dict.fromkeys(data.draw(st.lists(st.sampled_from(before.classes), unique=True)), "audit: x"),
        )
        np.testing.assert_array_equal(revision.constraint.allowed, wanted)
        new = revision.after.get(str(file), file.read_text())
        file.write_text(new)
        same = [d for d in before.classes if (wanted == before.allowed)[before.classes.index(d)].all()]
        np.testing.assert_array_equal(lsu_onto.load(file).allowed, wanted)
    weakened = {d for d in same if (revision.constraint.kind != before.kind)[before.classes.index(d)].any()}
    old_notes = sum(t.count("#") for t in kept)
    assert new.count("#") - new.count("# audit: x") == old_notes  # none is lost
    for d, text in zip(before.classes, kept, strict=True):
        if d in same and d not in weakened:
            first = _row(before.classes.index(d), text)
            assert first in new


def _row(i: int, text: str) -> str:
    return f"{i}  d{i}   {text}"


def _lines(texts: list[str]) -> list[str]:
    return [_row(i, t) for i, t in enumerate(texts)]


def test_a_class_that_comes_back_into_a_group_is_claimed_by_nobody_who_shares_it(tmp_path: Path) -> None:
    file = tmp_path / "drawn.tax"
    file.write_text(
        "\n".join([*HEAD, "dataset drawn v1 -> world v1", *_lines(["-> void", "> @a ! s2", "= s2"])]) + "\n"
    )
    before = lsu_onto.load(file)
    names = np.array([*NAMES, "void"])
    wanted = [*names[before.allowed[1]].tolist(), "s2"]
    revision = lsu_onto.rewrite(file, rows={"d1": wanted}, notes={})
    assert set(names[revision.constraint.allowed[1]]) == set(wanted)
    assert names[revision.constraint.allowed[2]].tolist() == ["s2"]
