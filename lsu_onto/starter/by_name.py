"""What the names of classes say about a map that nobody has written yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsu_onto.errors import UserError
from lsu_onto.exchange.skeleton import need_source
from lsu_onto.library.library import Library, searched
from lsu_onto.library.names import text_of
from lsu_onto.ontology.model import Dataset, Source, TaxClass, bare
from lsu_onto.starter.known import Known, Said, known
from lsu_onto.starter.spelling import group_names, meaningful, spellings

PRIOR, PRIOR_VOID = -3.0, -2.0
"""Log odds that a class is allowed in a row of which nothing is known; and void."""
SAME, GROUP, KNOWN, ALIKE, PART, MODIFIER = 6.0, 4.0, 4.0, 3.0, 2.0, 1.0
"""The same name; the name of a group; the same in other words, here or in another map; almost the name; a part of it,
or of its group; a part that only says more of another word (a *road pile* is no road)."""
VOTE, FEW = 1.7, 0.15
"""The log odds of n maps with the class, of which a allow it: VOTE · log((a + FEW) / (n - a + FEW))."""
DENIAL = 0.5
"""What a vote against a class counts, beside one for it: a map leaves out what is rare."""
OTHERWISE = 0.3
"""What a map counts about a class that it has a row of its own for, and the dataset has not, or the other way round."""

_VOID = frozenset(
    ("void", "ignore", "ignored", "unknown", "unlabelled", "unlabeled", "unannotated", "egovehicle", "outofroi")
)


@dataclass(frozen=True)
class NameOdds:
    """What names say of each pair of dataset class and source class.

    Attributes:
        dataset, source: name and version, as a header has them. classes: D names. source_classes: K names.
        odds: float64 `[D, K+1]`, log odds that the class is in S(d), void last.
        reasons: of each row, by channel (K is void), why. same: int64 `[D]`, the channel of the same name, or -1.
    """

    dataset: str
    source: str
    classes: tuple[str, ...]
    source_classes: tuple[str, ...]
    odds: NDArray[np.float64]
    reasons: tuple[dict[int, list[str]], ...]
    same: NDArray[np.int64]


def by_name(
    dataset: str | Path, source: str, paths: Iterable[str | Path] = (), without: Iterable[str] = ()
) -> NameOdds:
    """Compare the names of a dataset's classes with those of a source, and with what other maps say of such names.

    Args:
        dataset, source, paths: as for `lsu_onto.load`; the dataset need not have a map.
        without: datasets whose maps are left out, besides those of `dataset` itself to this source.

    Raises:
        UserError: there is no such dataset or source.
    """
    folders = searched(paths)
    library = Library(folders)
    d, s = need_dataset(library, dataset), need_source(text_of(source), tuple(map(str, folders)))
    return compare_names(d, s, known(library, s, frozenset(without), (d.name, s.name)))


def need_dataset(library: Library, name: str | Path) -> Dataset:
    """The dataset of a name; a source of that name is refused."""
    taxonomy = library.alone(name)
    if not isinstance(taxonomy, Dataset):
        raise UserError(f"`{name}` is a source, and maps are of datasets: begin its file with `dataset`, not `source`")
    return taxonomy


def compare_names(d: Dataset, s: Source, others: Known) -> NameOdds:
    """What the names say, given what other maps say of them."""
    k = len(s.classes)
    odds = np.full((len(d.classes), k + 1), PRIOR)
    odds[:, k] = PRIOR_VOID
    reasons: list[dict[int, list[str]]] = [defaultdict(list) for _ in d.classes]
    same = np.full(len(d.classes), -1)
    names = _SourceNames(s, others)
    for row, c in enumerate(d.classes):
        for channel, (worth, text) in names.resembling(c).items():
            odds[row, channel] += worth
            reasons[row][channel].append(text)
            if worth == SAME:
                same[row] = channel
    own = np.isin(np.arange(k + 1), same)
    for row, c in enumerate(d.classes):
        for channel, (worth, text) in _votes(others.of(c), own).items():
            odds[row, channel] += worth
            if text:
                reasons[row][channel].append(text)
    return NameOdds(
        f"{d.name} {d.version}", f"{s.name} {s.version}", tuple(c.name for c in d.classes),
        tuple(c.name for c in s.classes), odds, tuple(map(dict, reasons)), same,
    )  # fmt: skip


class _SourceNames:
    """The names of a source's classes and groups, however written.

    Args:
        others: what other maps call equal.
    """

    def __init__(self, source: Source, others: Known) -> None:
        self.source = source
        self.equal = others.equal
        self.channels = {name: i for i, c in reversed([*enumerate(source.classes)]) for name in spellings(c)}
        self.channels |= source.by_letters
        self.words = [meaningful(c.name) for c in source.classes]
        self.groups = {" ".join(meaningful(g.rpartition(".")[2])): g for g in source.groups}

    def resembling(self, c: TaxClass) -> dict[int, tuple[float, str]]:
        """Channel → what the name of a class itself says for it: the strongest reason alone."""
        out: dict[int, tuple[float, str]] = {}

        def say(channels: Iterable[int], worth: float, text: str) -> None:
            for channel in channels:
                if channel not in out or out[channel][0] < worth:
                    out[channel] = worth, text

        source = self.source
        exact = {bare(n) for n in (c.name, c.official, *c.aliases) if n}
        for name in spellings(c):
            if name in exact and name in source.by_letters:
                say([source.by_letters[name]], SAME, "the same name")
            elif name in self.channels:
                say([self.channels[name]], KNOWN, "the same in other words")
            if name in self.groups:
                say(source.group(self.groups[name]), GROUP, f"`{self.groups[name]}` is a group of the source")
            for synonym in sorted(self.equal.get(name, ())):
                if synonym in self.channels:
                    channel = self.channels[synonym]
                    say([channel], KNOWN, f"another map calls it equal to `{source.classes[channel].name}`")
            if name in _VOID:
                say([len(source.classes)], KNOWN, "it is called so")
        for group in group_names(c) if not out else ():
            if group in self.channels:
                say([self.channels[group]], PART, "its group has the name")
            elif group in self.groups:
                say(source.group(self.groups[group]), PART, f"the group `{self.groups[group]}` is in both")
        own = meaningful(c.name)
        if len(own) > 1 and all(word in self.channels for word in own):
            say([self.channels[word] for word in own], KNOWN, "it names these")
        for channel, theirs in enumerate(self.words):
            if part := _part(own, theirs):
                say([channel], *part)
        if not out and (near := _near(c.name, source)):
            say([source.by_name[near]], ALIKE, f"spelled almost like `{near}`")
        return out


def _part(own: list[str], theirs: list[str]) -> tuple[float, str] | None:
    """What it says that one name is a part of the other."""
    if not own or not theirs:
        return None
    if len(own) > 1 and own[-1:] == theirs:
        return ALIKE, "named after it"
    if set(theirs) <= set(own):
        return PART if own[-1] in theirs else MODIFIER, "it is a part of the name"
    compound = len(own) == len(theirs) == 1 and len(theirs[0]) > 3 and own[0].endswith(theirs[0])  # smallpole
    return (PART, "it is a part of the name") if compound or own == theirs[-1:] else None


def _near(name: str, s: Source) -> str | None:
    from lsu_onto.diagnostics import did_you_mean

    return did_you_mean(name, s.by_name, 80)


def _votes(said: list[Said], own: NDArray[np.bool_]) -> dict[int, tuple[float, str]]:
    """Channel → what other maps say of it.

    Args:
        own: which channels have a row of the same name here. A map where riders are a class of their own says little
            of a dataset in which they can only be persons.
    """
    if not said:
        return {}
    alike = [(each.vote.own == own) | (each.vote.yes > 0) & each.vote.own for each in said]
    weight = np.array([e.worth * e.vote.counts * np.where(a, 1, OTHERWISE) for e, a in zip(said, alike, strict=True)])
    yes = np.array([each.vote.yes for each in said])
    a, n = (weight * yes).sum(0), weight.sum(0)
    worth = VOTE * np.log((a + FEW) / (n - a + FEW))
    worth = np.where(worth > 0, worth, worth * DENIAL)
    out = {}
    for channel in np.flatnonzero(n).tolist():
        allow = [each for each in said if each.vote.yes[channel] >= 0.5]
        maps = ", ".join(f"`{each.vote.dataset}`" for each in allow[:3])
        way = f", {allow[0].way}" if allow and allow[0].way else ""
        out[channel] = float(worth[channel]), f"as in the map{'s' * (len(allow) > 1)} of {maps}{way}" if allow else ""
    return out
