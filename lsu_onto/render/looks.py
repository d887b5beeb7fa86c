"""What the diagrams and the page share: how a kind of relation looks, which edges there are, text and colour."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from lsu_onto.constraint.graph import VOID_NODE, build
from lsu_onto.errors import UserError
from lsu_onto.ontology.model import Ontology, TaxClass, Taxonomy

VIEWS = ("map", "tree", "matrix")
"""Of one map. Maps in a row, and a triangle of maps, have one view each."""


class RenderError(UserError):
    """A picture that cannot be drawn or written."""

    __module__ = "lsu_onto.render"  # where users import it from, and what a traceback shows


class Kind(NamedTuple):
    """How one kind of relation looks. The symbol fills the cells of the matrix, for black-and-white prints."""

    symbol: str
    colour: str
    meaning: str


KINDS = {
    "=": Kind("=", "#00795c", "the same pixels"),
    "<": Kind("<", "#1d5fa8", "lies inside the source class"),
    ">": Kind(">", "#b4460f", "contains the source class"),
    "~": Kind("~", "#8e3b8a", "overlaps it"),
    "any": Kind("·", "#64748b", "unconstrained"),
    "void": Kind("∅", "#374151", "may be void"),
    "ignored": Kind("\u00d7", "#9f1239", "void by decision"),
    "novel": Kind("!", "#111827", "no source class"),
}


Marks = Mapping[tuple[int, int], bool]
"""Row and channel of what a map says, and what others exclude → whether its note answers that."""

MARKS = {
    False: Kind("✗", "#dc2626", "excluded by the other way"),
    True: Kind("✗", "#d98a00", "excluded, and its note says why"),
}


class Triangle(NamedTuple):
    """What closes two maps in a row to a triangle.

    Attributes:
        direct: the map of the first dataset to the last source.
        marks: of each map in the row, then of the direct one, what the others exclude.
    """

    direct: Ontology
    marks: Sequence[Marks]


class Edge(NamedTuple):
    """Source class `channel` (void: K) is in S(row); `kind` is a key of KINDS."""

    row: int
    channel: int
    kind: str


def edges(ontology: Ontology) -> list[Edge]:
    """S(d) of every row, in the order of rows and channels."""
    graph = build(ontology)
    void = len(ontology.source.classes)
    of_void = {r.cls: "ignored" for r in ontology.rows if r.decision and r.decision.to == "void"}
    of_void |= {node[1]: "novel" for node, novel in graph.nodes(data="novel") if novel}
    decided = (Edge(a[1], k, "any") for a, free in graph.nodes(data="any") for k in free or ())
    stated = (
        Edge(a[1], void, of_void.get(a[1], kind)) if b == VOID_NODE else Edge(a[1], b[1], kind)
        for a, b, kind in graph.edges(data="kind")
    )
    return sorted([*decided, *stated])


def unconstrained(ontology: Ontology, all_edges: list[Edge]) -> dict[int, str]:
    """Rows that a decision leaves to the teacher → what they may be, in words. A map has one edge for each, not K."""
    names = [*(c.name for c in ontology.source.classes), "void"]
    allowed: dict[int, set[int]] = {r.cls: set() for r in ontology.rows if r.decision and r.decision.to == "any"}
    for row, channel, _ in all_edges:
        if row in allowed:
            allowed[row].add(channel)
    return {row: _all_but([n for k, n in enumerate(names) if k not in own]) for row, own in allowed.items()}


def _all_but(missing: list[str]) -> str:
    few = missing if len(missing) <= 3 else [*missing[:2], f"{len(missing) - 2} more"]
    return "any class, or void" if not few else f"any but {', '.join(few)}"


def members(taxonomy: Taxonomy) -> dict[str, list[int]]:
    """The classes of each group that has classes of its own, in the order of the file."""
    out: dict[str, list[int]] = {}
    for i, c in enumerate(taxonomy.classes):
        out.setdefault(c.group, []).append(i)
    return out


def outline(taxonomy: Taxonomy) -> Iterator[tuple[int, str, list[int]]]:
    """`(depth, last part of the name, classes)` of every group and parent of one; "" first, at depth 0."""
    own = members(taxonomy)
    for group in ["", *taxonomy.groups]:
        yield group.count(".") + bool(group), group.rpartition(".")[2], own.get(group, [])


def title(ontology: Ontology) -> str:
    d, s = ontology.dataset, ontology.source
    return f"{d.name} {d.version}" + (f" → {s.name} {s.version}" if d is not s else "")


def raw_values(c: TaxClass) -> str:
    """The raw values as the file writes them: `3`, `6,7`, `12..14`, `-`."""
    return ",".join(f"{a}" if a == b else f"{a}..{b}" for a, b in c.ids) or "-"


def official(c: TaxClass) -> str:
    """The official name if it says more than the name: `traffic light` says no more than `traffic_light`."""
    return "" if _letters(c.official) == _letters(c.name) else c.official


def _letters(text: str) -> str:
    return re.sub(r"[\s_-]+", "_", text.casefold())
