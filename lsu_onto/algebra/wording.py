"""Facts as rows of a map, and rows as the text of a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsu_onto.algebra.facts import CONTAINS, EQUAL, Matrix, Step
from lsu_onto.errors import UserError
from lsu_onto.exchange.draft import WIDTH, map_rows
from lsu_onto.lang.fmt import format_text
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Taxonomy

Relation = tuple[str, ...]
"""The relations of a row, one string a line."""


def relation(allowed: NDArray[np.bool_], sets: NDArray[np.uint8], source: Taxonomy, vague: bool) -> Relation:
    """The relations that say no more and no less than what is possible.

    Args:
        allowed: S(d), bool [K + 1]; not empty.
        sets: the possible relations to each class, as `facts.possible` gives them.
        source: has the classes.
        vague: whether it is allowed because nothing is known of a part of d. Then `-> any` says so where it is shorter,
            unless d contains a class.
    """
    k = len(source.classes)
    channels = np.flatnonzero(allowed[:k]).tolist()
    names = [source.classes[c].name for c in channels]
    whole = [sets[c] | EQUAL | CONTAINS == EQUAL | CONTAINS for c in channels]
    if not channels:
        return ("! any",)
    if len(channels) == 1 and not allowed[k]:
        return (f"{'=' if whole[0] else '<'} {names[0]}",)
    if vague and not any(whole) and 2 * len(channels) > k:
        return anything(allowed, source)
    contained = [name for name, w in zip(names, whole, strict=True) if w]
    others = [name for name, w in zip(names, whole, strict=True) if not w]
    return (*wrapped(">", contained), *wrapped("~", [*others, *(["void"] if allowed[k] else [])]))


def anything(allowed: NDArray[np.bool_], source: Taxonomy) -> Relation:
    """`-> any`, without what is not allowed."""
    excluded = _grouped({c for c in range(len(source.classes)) if not allowed[c]}, source)
    excluded += [] if allowed[-1] else ["void"]
    return (f"-> any ! {' '.join(excluded)}" if excluded else "-> any",)


def _grouped(channels: set[int], source: Taxonomy) -> list[str]:
    """The names of classes; a group that is there with all of its classes stands for them."""
    groups = {g: members for g in source.groups if len(members := source.group(g)) > 1 and channels.issuperset(members)}
    largest = {c: g for g, members in reversed(groups.items()) for c in members}  # parents come first in `groups`
    names = (f"@{largest[c]}" if c in largest else source.classes[c].name for c in sorted(channels))
    return list(dict.fromkeys(names))


def wrapped(op: str, names: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for name in names:
        if lines and len(lines[-1]) + len(name) < WIDTH - 30:
            lines[-1] += f" {name}"
        else:
            lines.append(f"{op} {name}")
    return lines


def few(names: Sequence[str], most: int = 8) -> str:
    """Names for a note; of many, the first ones and how many they are."""
    return " ".join(names) if len(names) <= most else f"{' '.join(names[: most - 1])} … ({len(names)})"


def need_a_world(steps: Sequence[Step], matrices: Sequence[Matrix], sets: NDArray[np.uint8]) -> None:
    """Refuse maps that contradict themselves or each other: everything would follow.

    Args:
        steps, matrices: the maps in a row, and their facts.
        sets: what these leave possible.

    Raises:
        UserError: nothing is; the message names a class that can have no pixel.
    """
    if sets.any() or not sets.size:
        return
    why = "they contradict each other"
    for step, may in zip(steps, matrices, strict=True):
        lost = np.flatnonzero(~may[:-1].any(1))
        if lost.size:
            name = f"`{step.start.classes[lost[0]].name}` of `{step.start.name}`"
            why = f"{name} can be nothing in `{step.end.name}`: its row excludes what no other class claims whole"
            break
    what = "these maps" if len(steps) > 1 else "this map"
    raise UserError(f"nothing follows from {what}, because {why}")


def checked(library: Library, text: str, about: str, near: Iterable[Taxonomy]) -> str:
    """A text in its canonical format, once it is known to be valid.

    Args:
        library: where the names in it are looked up.
        text, about: the text, and what it is, for the message.
        near: the taxonomies that it names, wherever their files are.

    Raises:
        UserError: it is not valid, as where a file cannot name its classes.
    """
    file = str(Path("out.tax").absolute())
    text = format_text(file, text)
    roots: list[str | Path] = [*library.workspace.search.roots, *(t.span.file for t in near)]
    texts: dict[str | Path, str] = {file: text}
    texts.update(library.workspace.edited.items())
    problems = Library(roots, texts).check(file, text).errors
    if problems:
        raise UserError(f"{about} cannot be written: {problems[0].message} ({problems[0].code})")
    return text


def map_text(
    dataset: Taxonomy, source: Taxonomy, rows: Iterable[tuple[str, Relation, list[str]]], about: Iterable[str]
) -> str:
    """The text of a map: comments, the header, rows of name, relations and notes."""
    head = ["tax 1", *(f"# {line}" for line in about)]
    header = f"map {dataset.name} {dataset.version} -> {source.name} {source.version}"
    return "\n".join([*head, header, "", *map_rows(rows)]) + "\n"
