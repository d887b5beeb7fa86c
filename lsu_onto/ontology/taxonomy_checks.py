"""The rules that a taxonomy by itself must keep: one function per code, gathered at the end."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

from lsu_onto.diagnostics import Diagnostic
from lsu_onto.ontology.model import Dataset, Source, TaxClass, Taxonomy

Findings = Iterator[Diagnostic]

_EACH = 9
"""So many mistakes of one kind are a finding each; more are one, because they have one cause."""

_ID_LIMIT = {"id": 1 << 8, "id16": 1 << 16, "instance-ids": 1000}


def _first_and_again(code: str, message: str, first: TaxClass, again: TaxClass, help: str | None) -> Diagnostic:
    return Diagnostic(code, message, again.span, help, first.span, "first here")


def duplicate_name(t: Taxonomy) -> Findings:
    first: dict[str, TaxClass] = {}
    for c in t.classes:
        if c.name in first:
            yield _first_and_again(
                "TAX101", f"`{c.name}` is already a class", first[c.name], c, "rename one of the two"
            )
        first.setdefault(c.name, c)


def duplicate_other_name(t: Taxonomy) -> Findings:
    first = {c.name: c for c in t.classes}
    for c in t.classes:
        for other in dict.fromkeys((c.official, *c.aliases)):
            taken = first.setdefault(other, c)
            if taken is not c and taken.name != c.name:
                help_ = "take it out of one of the two"
                if other in c.aliases and len(c.aliases) > 1:
                    help_ += ', or write an alias of several words in quotes: `aka "paved road"`'
                yield _first_and_again("TAX102", f"`{other}` already stands for `{taken.name}`", taken, c, help_)


def duplicate_id(t: Taxonomy) -> Findings:
    """One finding for each range that overlaps a class declared above."""
    help_ = _free_id(t)
    owners: list[tuple[int, int, int]] = []  # disjoint low, high, class; ascending
    for i, c in enumerate(t.classes):
        for low, high in c.ids:
            at = bisect_left(owners, (low, -1, -1))
            if at and owners[at - 1][1] >= low:
                at -= 1
            if at < len(owners) and owners[at][0] <= high:
                a, _, owner = owners[at]
                what = f"id {max(a, low)} already belongs to `{t.classes[owner].name}`"
                yield _first_and_again("TAX103", what, t.classes[owner], c, help_)
            elif low <= high:
                owners.insert(at, (low, high, i))


def _free_id(t: Taxonomy) -> str:
    """The lowest id that can be written and that no class uses."""
    free = 0
    for low, high in sorted([*(r for c in t.classes for r in c.ids), *((v, v) for v in t.void)]):
        if low > free:
            break
        free = max(free, high + 1)
    return f"the lowest free id is {free}"


def duplicate_colour(t: Taxonomy) -> Findings:
    if t.encoding != "rgb":
        return
    first: dict[int, TaxClass] = {}
    for c in t.classes:
        for colour in c.colours if c.ids else ():
            if colour in first:
                what = f"#{colour:06x} already belongs to `{first[colour].name}`"
                yield _first_and_again(
                    "TAX104", what, first[colour], c, "under `encoding: rgb` the colour is the raw value"
                )
            first.setdefault(colour, c)


def channels_not_contiguous(t: Taxonomy) -> Findings:
    if not isinstance(t, Source) or t.damaged:
        return
    for expected, c in enumerate(t.classes):
        if c.ids != ((expected, expected),):
            several = sum(high - low + 1 for low, high in c.ids) > 1
            numbers = ",".join(f"{low}..{high}" if low < high else f"{low}" for low, high in c.ids)
            channel = f"{'s' if several else ''} {numbers or '`-`'}"
            yield Diagnostic(
                "TAX106",
                f"`{c.name}` has channel{channel}, expected {expected}",
                c.span,
                "the classes of a source are numbered 0 to K-1, in order" + ("; each has one" if several else ""),
            )
            return


def id_out_of_range(t: Taxonomy) -> Findings:
    limit = id_limit(t.encoding)
    beyond = [v for v in t.void[-1:] if v >= limit and t.encoding != "rgb"]
    for value in beyond:
        what = f"void value {value} does not fit `encoding: {t.encoding}` (0 to {limit - 1})"
        help_ = f"write values from 0 to {limit - 1} under `void:`, or `encoding: id16` if the labels are 16-bit"
        here = t.void_span if t.void_span and t.void_span.file == t.span.file else t.span
        second = (
            t.void_span if here is t.span else None
        )  # the file of the base has another encoding, under which it is right
        yield Diagnostic("TAX107", what, here, help_, second, "inherited from here")
    too_large = [(c, high) for c in t.classes for _, high in c.ids if high >= limit and t.encoding != "rgb"]
    many = len(too_large) > _EACH  # the encoding is wrong, or all of them
    for c, high in too_large[:1] if many else too_large:
        yield Diagnostic(
            "TAX107",
            f"id {high} does not fit `encoding: {t.encoding}` (0 to {limit - 1})"
            + f", and {len(too_large) - 1} more ids do not either" * many,
            c.span,
            "write `encoding: id16` if the labels are 16-bit" if t.encoding == "id" else None,
            more=tuple((other.span, "this one does not fit either") for other, _ in too_large[1:3] if many),
        )
    for c in t.classes:
        for low, high in c.ids:
            if low > high and (high < limit or t.encoding == "rgb"):
                yield Diagnostic("TAX107", f"the range {low}..{high} runs backwards", c.span, f"write `{high}..{low}`")


def id_limit(encoding: str) -> int:
    """The number of values that label files of an encoding can store, where these are not colours."""
    if "/" in encoding:
        return 0xFFFF // int(encoding.partition("/")[2]) + 1
    return _ID_LIMIT.get(encoding, 1 << 16)


def void_is_class(t: Taxonomy) -> Findings:
    for c in t.classes if t.void else ():
        ranges = [(x, x) for x in c.colours] if t.encoding == "rgb" else c.ids
        for low, high in ranges if c.ids else ():
            at = bisect_left(t.void, low)
            if at < len(t.void) and t.void[at] <= high:
                shown = f"#{t.void[at]:06x}" if t.encoding == "rgb" else str(t.void[at])
                help_, label = "take it out of `void:`, or remove the class", "void here"
                if not t.void_span:
                    help_, label = (
                        "write the void value of its labels under `void:`",
                        "no `void:` here: it is a source's",
                    )
                yield Diagnostic(
                    "TAX108",
                    f"{shown} is a void value and also `{c.name}`",
                    c.span,
                    help_,
                    t.void_span or t.span,
                    label,
                )


def colour_missing(t: Taxonomy) -> Findings:
    without = [c for c in t.classes if c.ids and not c.colours and t.encoding == "rgb"]
    many = len(without) > _EACH
    for c in without[:1] if many else without:
        yield Diagnostic(
            "TAX109",
            f"`{c.name}` has no colour, and the encoding is `rgb`"
            + f"; {len(without) - 1} more classes have none either" * many,
            c.span,
            "add its `#rrggbb`, or `-` as its id if it is never drawn"
            + "; or leave `encoding:` out if label files store ids" * many,
            more=tuple((other.span, "this one has none either") for other in without[1:3] if many),
        )


def never_drawn(t: Taxonomy) -> Findings:
    complete = isinstance(t, Dataset) and not t.extends and not t.damaged  # else its base or other lines may have ids
    if complete and t.classes and not any(c.ids for c in t.classes):
        first = t.classes[0]
        what = f"no class of `{t.name}` is ever drawn: each has `-` in place of its id"
        yield Diagnostic("TAX111", what, first.span, f"write the number that label files store, e.g. `0 {first.name}`")


TAXONOMY_RULES: tuple[Callable[[Taxonomy], Findings], ...] = (
    duplicate_name,  # TAX101
    duplicate_other_name,  # TAX102
    duplicate_id,  # TAX103
    duplicate_colour,  # TAX104
    channels_not_contiguous,  # TAX106
    id_out_of_range,  # TAX107
    void_is_class,  # TAX108
    colour_missing,  # TAX109
    never_drawn,  # TAX111
)


def check_taxonomy(taxonomy: Source | Dataset) -> list[Diagnostic]:
    return [d for rule in TAXONOMY_RULES for d in rule(taxonomy)]
