"""What the names of classes say about a map that nobody has written yet."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsu_onto.errors import UserError
from lsu_onto.exchange.skeleton import need_source
from lsu_onto.lang.names import transliterated
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Dataset, Ontology, Source, TaxClass, bare

PRIOR = -3.0
"""Log odds that a class is allowed in a row of which nothing is known."""
SAME, GROUP, KNOWN, ALIKE, PART = 6.0, 4.0, 4.0, 3.0, 2.0
"""The same name; the name of a group; an equal class of another map has the name; almost the name; a part of it."""
VOTE, FEW = 1.5, 0.15
"""The log odds of n maps with the class, of which a allow it: VOTE · log((a + FEW) / (n - a + FEW))."""
DENIAL = 0.5
"""What a vote against a class counts, beside one for it: a map leaves out what is rare."""
DETOUR = 0.5
"""What a map counts that knows the class under another name only."""

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


@dataclass
class _Known:
    """What the maps at hand say of a name.

    Attributes:
        votes: name → (map, S(d)) in maps to the source. equal: name → names of classes that some map calls equal.
    """

    votes: dict[str, list[tuple[str, frozenset[int]]]] = field(default_factory=lambda: defaultdict(list))
    equal: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


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
    paths = paths if isinstance(paths, (str, Path)) else list(paths)  # which is read twice
    library = Library(paths)
    search = [*map(str, paths)]
    d, s = need_dataset(library, dataset), need_source(source, tuple(search))
    known = _known(library, d, s, frozenset(without))
    k = len(s.classes)
    odds = np.full((len(d.classes), k + 1), PRIOR)
    reasons: list[dict[int, list[str]]] = []
    same = np.full(len(d.classes), -1)
    for row, c in enumerate(d.classes):
        why: dict[int, list[str]] = defaultdict(list)
        for channel, (worth, text) in _direct(c, s, known).items():
            odds[row, channel] += worth
            why[channel].append(text)
            if worth == SAME and channel < k:
                same[row] = channel
        for channel, (worth, text) in _votes(c, k, known).items():
            odds[row, channel] += worth
            if text:
                why[channel].append(text)
        reasons.append(dict(why))
    return NameOdds(
        f"{d.name} {d.version}", f"{s.name} {s.version}", tuple(c.name for c in d.classes),
        tuple(c.name for c in s.classes), odds, tuple(reasons), same,
    )  # fmt: skip


def need_dataset(library: Library, name: str | Path) -> Dataset:
    """The dataset of a name; a source of that name is refused."""
    taxonomy = library.alone(name)
    if not isinstance(taxonomy, Dataset):
        raise UserError(f"`{name}` is a source, and maps are of datasets: begin its file with `dataset`, not `source`")
    return taxonomy


def _known(library: Library, d: Dataset, s: Source, without: frozenset[str]) -> _Known:
    out = _Known()
    for o in _maps(library):
        if o.dataset.name in without or (o.dataset.name == d.name and o.source.name == s.name):
            continue
        for row in o.rows:
            if row.poisoned:
                continue
            meaning = row.meaning(len(o.source.classes))
            own = o.dataset.classes[row.cls]
            if o.source.name == s.name and o.source.version == s.version:
                allowed = frozenset([*meaning.channels, *([len(s.classes)] if meaning.void else [])])
                for name in _spellings(own):
                    out.votes[name].append((o.dataset.name, allowed))
            for channel in (c for c, op in meaning.channels.items() if op == "="):
                for a in _spellings(own):
                    for b in _spellings(o.source.classes[channel]):
                        if a != b:
                            out.equal[a].add(b)
                            out.equal[b].add(a)
    return out


def _maps(library: Library) -> Iterator[Ontology]:
    for path in dict.fromkeys(str(e.path) for e in library.entries() if e.source):
        try:
            yield from library.check(path).resolved.ontologies
        except UserError:  # another file's mistake is not this one's
            continue


def _spellings(c: TaxClass) -> dict[str, None]:
    """Its names, without what may be written in several ways."""
    return dict.fromkeys(bare(n) for n in (c.name, c.official, *c.aliases) if n)


def _direct(c: TaxClass, s: Source, known: _Known) -> dict[int, tuple[float, str]]:
    """Channel → what the name itself says for it: the strongest reason alone."""
    out: dict[int, tuple[float, str]] = {}

    def say(channels: Iterable[int], worth: float, text: str) -> None:
        for channel in channels:
            if channel not in out or out[channel][0] < worth:
                out[channel] = worth, text

    names = _spellings(c)
    groups = {bare(g.rpartition(".")[2]): g for g in s.groups}
    for name in names:
        if name in s.by_letters:
            say([s.by_letters[name]], SAME, "the same name")
        if name in groups:
            say(s.group(groups[name]), GROUP, f"`{groups[name]}` is a group of the source")
        for other in sorted(known.equal.get(name, ())):
            if other in s.by_letters:
                channel = s.by_letters[other]
                say([channel], KNOWN, f"another map calls it equal to `{s.classes[channel].name}`")
        if name in _VOID:
            say([len(s.classes)], KNOWN, "it is called so")
    group = bare(c.group.rpartition(".")[2]) if c.group else ""
    if group in s.by_letters and not out:
        say([s.by_letters[group]], PART, "its group has the name")
    words = _words(c.name)
    for channel, there in enumerate(s.classes):
        theirs = _words(there.name)
        if not words or not theirs:
            continue
        if len(words) > 1 and words[-1:] == theirs:
            say([channel], ALIKE, "named after it")
        elif set(theirs) <= set(words) or (len(words) == 1 and words[0] == theirs[-1]):
            say([channel], PART, "it is a part of the name")
    if not out:
        for name, channel in _near(c.name, s):
            say([channel], ALIKE, f"spelled almost like `{name}`")
    return out


def _words(name: str) -> list[str]:
    """The words of a name, without the plural.

    >>> _words("Parked-Cars"), _words("grass")
    (['parked', 'car'], ['grass'])
    """
    words = transliterated(name).split("_")
    return [w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in words if w]


def _near(name: str, s: Source) -> Iterator[tuple[str, int]]:
    from lsu_onto.diagnostics import did_you_mean

    near = did_you_mean(name, s.by_name, 80)
    if near:
        yield near, s.by_name[near]


def _votes(c: TaxClass, k: int, known: _Known) -> dict[int, tuple[float, str]]:
    """Channel → what other maps say of classes of the name."""
    names = _spellings(c)
    votes = _of(names, known)
    scale = 1.0
    if not votes:
        votes, scale = _of({other: None for n in names for other in sorted(known.equal.get(n, ()))}, known), DETOUR
    if not votes:
        return {}
    count = Counter(channel for allowed in votes.values() for channel in allowed)
    out = {}
    for channel in range(k + 1):
        a, n = count[channel], len(votes)
        worth = VOTE * scale * float(np.log((a + FEW) / (n - a + FEW)))
        maps = ", ".join(f"`{m}`" for m, allowed in list(votes.items())[:3] if channel in allowed)
        text = f"as in the map{'s' * (a > 1)} of {maps}" if a and maps else ""
        out[channel] = (worth if worth > 0 else worth * DENIAL, text)
    return out


def _of(names: Iterable[str], known: _Known) -> dict[str, frozenset[int]]:
    """Map → S(d) of the class that has one of the names, for each map that has one."""
    votes: dict[str, frozenset[int]] = {}
    for name in names:
        for map_, allowed in known.votes.get(name, ()):
            votes.setdefault(map_, allowed)
    return votes
