"""A first map: which classes are likely in each row, how certain that is, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto.library.library import searched
from lsu_onto.ontology.provenance import Provenance, as_note
from lsu_onto.starter.by_name import NameOdds, by_name
from lsu_onto.starter.first_map import FirstMap, FirstRow, first_map

TRUST = 0.63
"""By so much the log odds are to be believed: a fit to the shipped maps of eight datasets with real frames."""
SURE = 0.7
"""Rows of which every cell is as certain as that are written as they are; others get all that may be, and void."""
MAYBE, HINTED = -1.5, -2.8
"""Log odds from which on a class may be in such a row; and where names alone are known: anything that speaks for it."""
PERHAPS_VOID = -3.0
"""Log odds from which on void may be in such a row."""

FEW = 4
"""So many reasons are written in a line."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A row of the map.

    Attributes:
        row: of d. channels: S(d), K is void. op: `=`, `<`, `>` or `~`; of void alone or everything: `->`.
        certainty: the probability of its least certain cell, 0.5..1; 0 where nothing is known.
        widened: whether it was not certain enough, so that S(d) is larger than what is likely.
        reasons: in words.
    """

    row: int
    channels: tuple[int, ...]
    op: str
    certainty: float
    widened: bool
    reasons: tuple[str, ...]

    @property
    def state(self) -> str:
        """`certain`, `widened`, or `unknown` where nothing is known."""
        return "widened" if self.widened else "certain" if self.certainty else "unknown"


def suggest_rows(names: NameOdds, seen: NDArray[np.float64] | None = None) -> list[Suggestion]:
    """A row for each class of the dataset.

    Args:
        names: what the names say. seen: `[D, K+1]`, what anything else adds to the log odds.
    """
    z = names.odds if seen is None else names.odds + seen
    least = HINTED if seen is None else MAYBE
    return [_suggestion(d, z[d], names, least) for d in range(len(names.classes))]


def _suggestion(d: int, z: NDArray[np.float64], names: NameOdds, least: float) -> Suggestion:
    k = len(names.source_classes)
    chosen = np.flatnonzero(z > 0)
    widened = False
    certainty = float(1 / (1 + np.exp(-TRUST * np.abs(z).min())))
    if not len(chosen) and z.max() <= MAYBE:
        chosen, certainty = np.arange(k + 1), 0.0
    elif certainty < SURE or not len(chosen):
        wider = np.flatnonzero(z > least)
        widened = True
        chosen = np.union1d(wider, [k]) if z[k] >= PERHAPS_VOID else wider
    channels = tuple(int(c) for c in chosen)
    return Suggestion(
        row=d,
        channels=channels,
        op=_op(d, channels, widened, names),
        certainty=certainty,
        widened=widened,
        reasons=tuple(_reasons(d, channels, names)),
    )


def _op(d: int, channels: tuple[int, ...], widened: bool, names: NameOdds) -> str:
    k = len(names.source_classes)
    if channels == (k,) or len(channels) > k:
        return "->"
    if len(channels) == 1:
        return "=" if names.same[d] == channels[0] else "<"
    return "~" if widened or k in channels else ">"


def _reasons(d: int, channels: tuple[int, ...], names: NameOdds) -> Iterator[str]:
    """What the names say for the chosen channels of a row, each reason once."""
    labels = [*names.source_classes, "void"]
    by_reasons: dict[tuple[str, ...], list[str]] = {}
    for c in channels:
        by_reasons.setdefault(tuple(names.reasons[d].get(c, ())), []).append(labels[c])
    for texts, classes in by_reasons.items():
        more = f" and {len(classes) - 3} more" if len(classes) > 3 else ""
        if texts:
            yield f"{' '.join(classes[:3])}{more}: {', '.join(texts)}"


# --- the file -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SuggestedMap:
    """A first map, and what there is to say of it.

    Attributes:
        made: the file. suggestions: its rows, in the order of the dataset's classes.
    """

    names: NameOdds
    suggestions: tuple[Suggestion, ...]
    made: FirstMap

    def as_text(self) -> str:
        """A table: certainty, class, relation, reasons; the least certain rows first."""
        names, relations = self.names, self.made.relations
        width = max(map(len, names.classes), default=0)
        across = max((min(len(r), 40) for r in relations), default=0)
        lines = []
        for s in sorted(self.suggestions, key=lambda s: s.certainty):
            sure = f"{s.certainty:.2f}" if s.certainty else "  - "
            why = "; ".join(_few(s.reasons)) or "nothing is known"
            lines.append(f"{sure}  {names.classes[s.row]:{width}}  {relations[s.row]:{across}}  {why}")
        count = Counter(s.state for s in self.suggestions)
        head = (
            f"{names.dataset} -> {names.source}: {count['certain']} rows certain, {count['widened']} widened,"
            f" {count['unknown']} unknown"
        )
        return "\n".join([head, *lines]) + "\n"

    def as_json(self, file: str, more: Sequence[dict[str, Any]] = ()) -> str:
        """What is suggested, versioned.

        Args:
            file: the map's. more: of each row, what else there is to say.
        """
        names, relations = self.names, self.made.relations
        labels = [*names.source_classes, "void"]
        rows = [
            {
                "class": names.classes[s.row],
                "relation": relations[s.row],
                "allowed": [labels[c] for c in s.channels],
                "certainty": round(s.certainty, 4),
                "state": s.state,
                "reasons": list(s.reasons),
                **(more[s.row] if more else {}),
            }
            for s in self.suggestions
        ]
        document = {"version": 1, "dataset": names.dataset, "source": names.source, "file": file, "classes": rows}
        return json.dumps(document, indent=2) + "\n"


def suggest_map(
    dataset: str | Path,
    source: str,
    paths: Iterable[str | Path] = (),
    names: NameOdds | None = None,
    suggestions: Sequence[Suggestion] | None = None,
    evidence: str = "names alone",
) -> SuggestedMap:
    """The first map of a dataset.

    Args:
        dataset, source, paths: as for `lsu_onto.load`; the dataset need not have a map.
        names: of `by_name`, where it was asked already. suggestions: the rows, where more than names is known of them.
        evidence: what the rows were suggested from, in words.

    Raises:
        UserError: there is no such dataset or source, or it has a map already.
    """
    paths = searched(paths)
    names = names or by_name(dataset, source, paths)
    rows = suggest_rows(names) if suggestions is None else suggestions
    how = "LexicalMatching" if suggestions is None else "CompositeMatching"
    about = [
        f"A first map, suggested from {evidence}: a draft, to be read row by row.",
        "Rows with TODO are not certain: they have all that may be in them.",
    ]
    made = first_map(dataset, source, [FirstRow(s.channels, s.op, (_note(s, how),)) for s in rows], about, paths)
    return SuggestedMap(names, tuple(rows), made)


def _note(s: Suggestion, how: str) -> str:
    """A row's certainty and reasons, as a note in the file. A row to look at begins with `TODO`."""
    if s.state == "unknown":
        return "; ".join(["TODO: too little is known", *_few(s.reasons)])
    origin = as_note(Provenance(confidence=round(s.certainty, 2), how=how))
    return "; ".join([*(["TODO: widened"] if s.widened else []), origin, *_few(s.reasons)])


def _few(reasons: Sequence[str]) -> Sequence[str]:
    """The first reasons, where all of them would be too long a line."""
    return reasons if len(reasons) <= FEW else [*reasons[: FEW - 1], f"and {len(reasons) - FEW + 1} more reasons"]
