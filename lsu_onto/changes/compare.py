"""What broke between two versions of a `.tax` file, in four buckets; the fifth one, CHAIN, is in `chains.py`.

LABEL: a raw value means another class. CHANNEL: a class of a source moved, so checkpoints break. CONSTRAINT: S(d) or
the relations in it changed, so pseudo-labels are stale. RENAME: a class has a new name, and no alias records the old
one.

Taxonomies and maps are matched by name and version, and what is left by name: a release that raises its version still
breaks what was made with the previous one. A renamed class is recognised by its alias or its ids, so that one rename is
one finding. S(d) is not compared for a class that only one version has: its raw values are reported instead.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lsu_onto.diagnostics import Diagnostic, Span
from lsu_onto.lang import syntax as ast
from lsu_onto.library.pipe import Analysis
from lsu_onto.ontology.model import NAMED, MapRow, Ontology, Source, TaxClass, Taxonomy
from lsu_onto.ontology.words import allowed_names, relation_text

BUCKETS = {"TAX901": "LABEL", "TAX902": "CHANNEL", "TAX903": "CONSTRAINT", "TAX904": "RENAME", "TAX905": "CHAIN"}

VOID = "void"  # reserved, so that no class has this name
Raw = int | str
"""A raw value: a number, or a name where labels are names."""
Names = dict[str, str]
"""Name of a class in the old version → its name in the new one."""


@dataclass(frozen=True)
class Version:
    """A file, and the maps that it stands for: its own, and those that its datasets inherit."""

    analysis: Analysis
    maps: tuple[Ontology, ...]


def compare(old: Version, new: Version) -> list[Diagnostic]:
    """The breaking changes from `old` to `new`, two versions without errors.

    The second place of a finding lies in the old file.
    """
    findings: list[Diagnostic] = []
    names: dict[tuple[str, ...], Names] = {}
    past, present = old.analysis, new.analysis
    for t, now in _pairs(past.resolved.taxonomies, present.resolved.taxonomies, _key_of, lambda t: _key_of(t)[:2]):
        if now is None:
            code = "TAX902" if isinstance(t, Source) else "TAX901"
            findings.append(_gone(code, f"{type(t).__name__.lower()} `{t.name} {t.version}`", t.span, present))
            continue
        follow = names[_key_of(t)] = successors(t, now)
        findings += _renames(t, now, follow)
        if isinstance(t, Source):
            findings += _channels(t, now, follow)
            findings += _groups(t, now, follow)  # whether or not a map here names one: other maps may
        findings += _labels(t, now, follow, past, present)
    declared = {_key_of(t) for t in past.resolved.taxonomies}
    for o, other in pairs_of_maps(old, new):
        if other:
            findings += constraints(o, other, names)
        elif _key_of(o.dataset) in names or _key_of(o.dataset) not in declared:
            what = f"map from `{o.dataset.name} {o.dataset.version}` to `{o.source.name} {o.source.version}`"
            findings.append(_gone("TAX903", what, o.span, present))
    return sorted(findings, key=lambda d: (d.span, d.code))


_T = TypeVar("_T")


def _pairs(
    olds: Iterable[_T], news: Iterable[_T], exact: Callable[[_T], Hashable], loose: Callable[[_T], Hashable]
) -> list[tuple[_T, _T | None]]:
    """Each old one with its new one: of the same exact key, else the next that is left of the same loose key."""
    olds, left = list(olds), dict(enumerate(news))
    pairs: dict[int, _T] = {}
    for key in (exact, loose):
        for i, old in enumerate(olds):
            match = next((n for n, new in left.items() if i not in pairs and key(new) == key(old)), None)
            if match is not None:
                pairs[i] = left.pop(match)
    return [(old, pairs.get(i)) for i, old in enumerate(olds)]


def pairs_of_maps(old: Version, new: Version) -> list[tuple[Ontology, Ontology | None]]:
    """Each map of the old version with that of the new one."""
    return _pairs(old.maps, new.maps, ends, lambda o: (o.dataset.name, o.source.name))


def _key_of(t: Taxonomy) -> tuple[str, str, str]:
    return type(t).__name__, t.name, t.version


def ends(o: Ontology) -> tuple[str, ...]:
    return o.dataset.name, o.dataset.version, o.source.name, o.source.version


def _gone(code: str, what: str, old: Span, new: Analysis) -> Diagnostic:
    start = Span(new.file.path, 1, 1, len(new.file.text.split("\n", 1)[0].rstrip()) + 1)
    return Diagnostic(code, f"the {what} is gone", start, None, old, "it was here")


# --- names -------------------------------------------------------------------------------------------------


def successors(old: Taxonomy, new: Taxonomy) -> Names:
    """The new name of each class of the old version, found by name, alias, ids or official label."""
    fresh = [c for c in new.classes if c.name not in old.by_name]
    names: Names = {}
    for c in old.classes:
        if c.name in new.by_name:
            names[c.name] = c.name
            continue
        heirs = (
            [x for x in fresh if c.name in x.aliases],
            [x for x in fresh if c.ids and x.ids == c.ids],
            [x for x in fresh if not c.ids and not x.ids and x.official == c.official],
        )
        taken = names.values()
        heir = next((x.name for group in heirs for x in group if x.name not in taken), None)
        if heir:
            names[c.name] = heir
    return names


def _renames(old: Taxonomy, new: Taxonomy, names: Names) -> Iterator[Diagnostic]:
    for was, now in names.items():
        heir = new.classes[new.by_name[now]]
        if was != now and was not in heir.aliases:
            yield Diagnostic(
                "TAX904",
                f"`{was}` is now called `{now}`, and no alias tells",
                heir.span,
                f"write `aka {was}`",
                old.classes[old.by_name[was]].span,
                f"`{was}` was here",
            )


# --- channels ----------------------------------------------------------------------------------------------


def _channels(old: Taxonomy, new: Taxonomy, names: Names) -> Iterator[Diagnostic]:
    for was, now in names.items():
        before, after = old.classes[old.by_name[was]], new.classes[new.by_name[now]]
        if before.ids != after.ids:
            yield Diagnostic(
                "TAX902",
                f"`{now}` moved from channel {_numbers(before)} to {_numbers(after)}",
                after.span,
                "checkpoints that were trained with the old channels no longer fit",
                before.span,
                "it was here",
            )
    for c in old.classes:
        if c.name not in names:
            yield Diagnostic(
                "TAX902", f"channel {_numbers(c)}, `{c.name}`, is gone", new.span, None, c.span, "it was here"
            )
    known = set(names.values())
    for c in new.classes:
        if c.name not in known:
            yield Diagnostic(
                "TAX902",
                f"channel {_numbers(c)}, `{c.name}`, is new",
                c.span,
                "checkpoints of the old version do not have it",
            )


def _groups(old: Taxonomy, new: Taxonomy, names: Names) -> Iterator[Diagnostic]:
    """Classes that left or entered a group of the old version. Maps name groups, and their S(d) follows in silence."""
    moves: dict[tuple[str, str], list[tuple[TaxClass, TaxClass]]] = {}
    for was, now in names.items():
        before, after = old.classes[old.by_name[was]], new.classes[new.by_name[now]]
        moves.setdefault((before.group, after.group), []).append((before, after))
    for groups, classes in moves.items():
        changed = [g for g in old.groups if _within(groups[0], g) != _within(groups[1], g)]
        if changed:
            before, after = classes[0]
            places = [f"the group `{g}`" if g else "no group" for g in groups]
            yield Diagnostic(
                "TAX903",
                f"{_list([c.name for _, c in classes], 'and')} moved from {places[0]} to {places[1]}",
                after.span,
                f"S(d) changes wherever a map names {_list([f'@{g}' for g in changed])}",
                before.span,
                "it was here",
            )


def _within(group: str, outer: str) -> bool:
    return group == outer or group.startswith(f"{outer}.")


def _numbers(c: TaxClass) -> str:
    return ",".join(f"{low}..{high}" if high > low else f"{low}" for low, high in c.ids) or "-"


# --- raw values --------------------------------------------------------------------------------------------


def _labels(old: Taxonomy, new: Taxonomy, names: Names, past: Analysis, analysis: Analysis) -> Iterator[Diagnostic]:
    if old.encoding != new.encoding:
        yield Diagnostic(
            "TAX901",
            f"the encoding was `{old.encoding}` and is `{new.encoding}`",
            _key(analysis, new, "encoding"),
            None,
            _key(past, old, "encoding"),
            "as it was",
        )
        return
    nothing = [t.meta.get("background", "") for t in (old, new)]
    if names.get(nothing[0], nothing[0]) != nothing[1]:
        shown = [f"`{n}`" if n else "not annotated" for n in nothing]
        yield Diagnostic(
            "TAX901",
            f"pixels on which nothing is drawn were {shown[0]} and are {shown[1]}",
            _key(analysis, new, "background"),
            None,
            _key(past, old, "background"),
            "as it was",
        )
    # The labels of a source store its channels, which TAX902 covers, or colours.
    classes = not isinstance(old, Source) or old.encoding == "rgb"
    before, after = _raw(old, classes), _raw(new, classes)
    if old.encoding in NAMED:  # a further name for a class breaks nothing
        known = old.by_any_name
        after = {label: c for label, c in after.items() if label in known}
    moved: dict[tuple[str, str], list[Raw]] = {}
    for value in sorted(before.keys() | after.keys()):
        was, now = before.get(value, ""), after.get(value, "")
        if (names.get(was, was) if was != VOID else was) != now:
            moved.setdefault((was, now), []).append(value)
    void = _key(analysis, new, "void")
    for (was, now), values in moved.items():
        new_place = void if now == VOID else new.classes[new.by_name[now]].span if now else None
        old_place = None
        if was:
            old_place = _key(past, old, "void") if was == VOID else old.classes[old.by_name[was]].span
        if new_place is None:  # gone: point at what is left of the class
            heir = names.get(was)
            new_place = void if was == VOID else new.classes[new.by_name[heir]].span if heir else new.span
        yield Diagnostic(
            "TAX901",
            _moved(values, was, now, old.encoding),
            new_place,
            None,
            old_place,
            f"{'it was' if len(values) == 1 else 'they were'} here" if old_place else "",
        )


def _raw(t: Taxonomy, classes: bool) -> dict[Raw, str]:
    """Raw value → class name, or `void`. If labels are names, only those of classes that are drawn."""
    if t.encoding in NAMED:
        names = t.by_any_name.items()
        return {name: t.classes[i].name for name, i in names if t.classes[i].ids}
    table: dict[Raw, str] = dict.fromkeys(t.void, VOID)
    for c in t.classes if classes else ():
        if t.encoding == "rgb":
            values: Iterable[int] = c.colours if c.ids else ()
        else:
            values = (v for low, high in c.ids for v in range(low, high + 1))
        table.update(dict.fromkeys(values, c.name))
    return table


def _moved(values: Sequence[Raw], was: str, now: str, encoding: str) -> str:
    one = len(values) == 1
    what = {"rgb": "colour", "polygons": "label", "rle": "label"}.get(encoding, "raw value") + "s " * (not one)
    numbers = [v for v in values if isinstance(v, int)]
    listed = encoding == "rgb" or not numbers
    shown = ", ".join(f"#{v:06x}" if isinstance(v, int) else f"`{v}`" for v in values[:8])
    what = f"{what.strip()} {shown if listed else _ranges(numbers)}"
    if listed and len(values) > 8:
        what += f" and {len(values) - 8} more"
    if not was:
        return f"{what} {'is' if one else 'are'} new, as `{now}`"
    if not now:
        return f"{what} {'is' if one else 'are'} gone; {'it was' if one else 'they were'} `{was}`"
    return f"{what} {'was' if one else 'were'} `{was}` and {'is' if one else 'are'} `{now}`"


def _ranges(values: Sequence[int]) -> str:
    out: list[list[int]] = []
    for v in values:
        if out and v == out[-1][1] + 1:
            out[-1][1] = v
        else:
            out.append([v, v])
    return ",".join(f"{a}..{b}" if b > a else f"{a}" for a, b in out)


def _key(analysis: Analysis, taxonomy: Taxonomy, key: str) -> Span:
    """The place of a key of a taxonomy, or of its header if the key is absent."""
    inside = False
    place = taxonomy.span
    for s in analysis.file.statements:
        if isinstance(s, ast.Header):
            inside = s.span == taxonomy.span
        elif inside and isinstance(s, ast.Meta) and s.key.text == key:
            place = s.span
    return place


# --- constraints -------------------------------------------------------------------------------------------


def constraints(old: Ontology, new: Ontology, names: Mapping[tuple[str, ...], Names]) -> Iterator[Diagnostic]:
    """The rows of a map whose S(d), or whose relations in it, changed.

    Args:
        names: the successors of classes that are known already.
    """
    datasets = names.get(_key_of(old.dataset)) or successors(old.dataset, new.dataset)
    sources = names.get(_key_of(old.source)) or successors(old.source, new.source)
    rows = {new.dataset.classes[r.cls].name: r for r in new.rows}
    for row in old.rows:
        name = datasets.get(old.dataset.classes[row.cls].name, "")
        now = rows.get(name)
        if now is None:
            continue
        before = [sources.get(s, s) for s in allowed_names(old, row)]
        what = difference(before, allowed_names(new, now))
        if not what and _meant(old, row, sources) != _meant(new, now, {}):
            what = f"was `{relation_text(row)}` and is `{relation_text(now)}`"
        if what:
            yield Diagnostic(
                "TAX903", f"`{name}` {what}", now.span, "pseudo-labels made before are stale", row.span, "it was here"
            )


def _meant(o: Ontology, row: MapRow, names: Names) -> dict[str, str]:
    """The operator of each class in S(d), as the part `map` of `Constraint.content_sha256` counts it.

    Where S(d) is one class, `>` says no more than `=`, and `~` than `<`.
    """
    meaning = row.meaning(len(o.source.classes))
    same = {">": "=", "~": "<"} if len(meaning.channels) + meaning.void == 1 else {}
    called = {c: o.source.classes[c].name for c in meaning.channels}
    return {names.get(called[c], called[c]): same.get(op, op) for c, op in meaning.channels.items()}


def difference(before: Sequence[str], after: Sequence[str]) -> str:
    """How an allowed set changed, in words; empty if it did not."""
    gains, losses = _without(after, before), _without(before, after)
    return " and ".join(f"{verb} be {_list(c)}" for verb, c in (("may now", gains), ("may no longer", losses)) if c)


def _without(items: Iterable[str], others: Iterable[str]) -> list[str]:
    gone = set(others)
    return [x for x in items if x not in gone]


def _list(names: Sequence[str], last: str = "or") -> str:
    shown = [f"`{n}`" for n in names[:5]]
    if len(names) > 6:
        return ", ".join(shown) + f" and {len(names) - 5} more"
    shown = [f"`{n}`" for n in names]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + f" {last} {shown[-1]}"
