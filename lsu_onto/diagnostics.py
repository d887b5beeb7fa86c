"""What can be wrong with a `.tax` file: `Span`, `Diagnostic`, and what to write instead.

Diagnostics are plain values. Functions return them and never raise for a user's mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lsu_onto.rules import RULES as RULES
from lsu_onto.rules import Rule as Rule
from lsu_onto.rules import Severity


class Span(NamedTuple):
    """A stretch of one line. Lines and columns count from 1; `end` is the column after the last character."""

    file: str
    line: int
    column: int
    end: int


@dataclass(frozen=True)
class Fix:
    """The one obvious edit that settles a finding: `text` replaces the contents of `span`, which may be empty."""

    title: str
    span: Span
    text: str
    safe: bool = False
    """The file means afterwards what it means now, or the only thing that it can mean. Other fixes guess a name or a
    form, or decide something."""

    @classmethod
    def write(cls, text: str, span: Span, safe: bool = False) -> Fix:
        return cls(f"write `{text.strip()}`", span, text, safe)


@dataclass(frozen=True)
class Diagnostic:
    """One finding: a rule's code, where, what, and what to do about it."""

    code: str
    message: str
    span: Span
    help: str | None = None
    second: Span | None = None
    label: str = ""
    """What is at the second place."""
    fix: Fix | None = None
    raised: bool = False
    """It is an error, although its rule is a warning."""
    more: tuple[tuple[Span, str], ...] = ()
    """Further places, each with what is there."""

    @property
    def places(self) -> list[tuple[Span, str]]:
        """All places but the first, each with what is there."""
        return [*([(self.second, self.label)] if self.second else []), *self.more]

    @property
    def severity(self) -> Severity:
        return "error" if self.raised else RULES[self.code].severity


def did_you_mean(word: str, candidates: Iterable[str], least: float = 60) -> str | None:
    """The candidate that was most likely meant by `word`, or None if none is alike to at least `least` per cent.

    >>> did_you_mean("vegetaton", ["road", "vegetation"])
    'vegetation'
    """
    return closest(word, {c.lower(): c for c in candidates}, least)


def closest(word: str, pool: Mapping[str, str], least: float) -> str | None:
    """`did_you_mean` where the candidates are at hand by their lower case, for many words."""
    from rapidfuzz import fuzz, process  # only needed once something is wrong

    hit = process.extractOne(word.lower(), pool.keys(), scorer=fuzz.ratio, score_cutoff=least)
    return pool[hit[0]] if hit else None


def suggest(word: str, candidates: Iterable[str], fallback: str | None = None) -> str | None:
    """`did_you_mean` as a help line."""
    hit = did_you_mean(word, candidates)
    return f"did you mean `{hit}`?" if hit else fallback
