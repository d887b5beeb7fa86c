"""The rules that a map must keep: one function per code or two, gathered at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lsu_onto.diagnostics import Diagnostic
from lsu_onto.ontology.fixes import (
    exclude,
    ignore_class,
    ignore_row,
    shown,
    take_away,
    write_instead,
    write_operator,
    write_row,
)
from lsu_onto.ontology.model import MapRow, Ontology, Relation, Target
from lsu_onto.ontology.provenance import unreadable
from lsu_onto.ontology.words import relation_text

Findings = Iterator[Diagnostic]

_FEW = 6
"""How many names a message lists."""


def unmapped(o: Ontology) -> Findings:
    mapped = {r.cls for r in o.rows}
    if o.damaged:
        return
    separate = o.span.file != o.dataset.span.file or o.span != o.dataset.span
    for i, c in enumerate(o.dataset.classes):
        if i in mapped:
            continue
        what = f"`{c.name}` is mapped to nothing in `{o.source.name}`"
        if separate:
            help_ = f"relate it to a class, or write `{c.name} -> void` to ignore its pixels"
            yield Diagnostic("TAX301", what, o.span, help_, c.span, "declared here", ignore_class(o, i, True))
        elif (c.span.file, c.span.line) < (o.span.file, o.span.line) or c.span.file != o.span.file:
            help_ = f"repeat the line of `{c.name}` here with a relation, or `-> void`"
            yield Diagnostic("TAX301", what, o.span, help_, c.span, "declared here")
        else:
            help_ = "relate it to a class, or write `-> void` to ignore its pixels"
            yield Diagnostic("TAX301", what, c.span, help_, fix=ignore_class(o, i, False))


def _positive(row: MapRow) -> Iterator[tuple[Relation, Target]]:
    for relation in row.relations:
        if relation.op != "!":
            for target in relation.targets:
                yield relation, target


def two_kinds(o: Ontology) -> Findings:
    """Two operators to one class. `!` takes a part out of a group, but neither a class by name nor a whole group.

    What `! @group` removes from a row of which nothing is left is one finding, TAX304.
    """
    for row in _sound(o):
        meaning = row.meaning(len(o.source.classes))
        empty = not meaning.channels and not meaning.void
        mentions: dict[int, dict[tuple[str, bool], tuple[Relation, Target]]] = {}
        for relation in row.relations:
            for target in relation.targets:
                earlier = ((c, m) for c in target.channels for m in mentions.get(c, {}).values())
                clash = next(((c, m) for c, m in earlier if _excludes(m, (relation, target), empty)), None)
                if clash:
                    channel, (first, place) = clash
                    yield Diagnostic(
                        "TAX302",
                        f"`{first.op}` and `{relation.op}` to one class, `{o.source.classes[channel].name}`",
                        target.span,
                        "keep the one that is true",
                        place.span,
                        "first here",
                    )
                for channel in target.channels:
                    mentions.setdefault(channel, {}).setdefault(
                        (relation.op, target.kind == "group"), (relation, target)
                    )
        if not empty:
            yield from _emptied_groups(row)


def _excludes(a: tuple[Relation, Target], b: tuple[Relation, Target], empty: bool) -> bool:
    """Whether two mentions of a class cannot both be meant."""
    if a[0].op == b[0].op or "!" not in (a[0].op, b[0].op):
        return a[0].op != b[0].op
    removed, stated = (a[1], b[1]) if a[0].op == "!" else (b[1], a[1])
    return stated.kind != "group" and not (empty and removed.kind == "group")


def _emptied_groups(row: MapRow) -> Findings:
    """The groups that `!` removes altogether."""
    removed = [t for r in row.relations if r.op == "!" for t in r.targets]
    minus = {c for t in removed for c in t.channels}
    for relation, target in _positive(row):
        if target.kind == "group" and minus.issuperset(target.channels):
            last = next(t for t in reversed(removed) if not set(target.channels).isdisjoint(t.channels))
            what = f"`{relation.op}` and `!` to all of `{shown(target)}`"
            yield Diagnostic("TAX302", what, last.span, "keep the one that is true", target.span, "first here")


def not_alone(o: Ontology) -> Findings:
    for row in _sound(o):
        relation = _has_company(row)
        if relation is None:
            continue
        what = f"`{relation.op}` stands alone: the class can be nothing else"
        names = " ".join(dict.fromkeys(shown(t) for _, t in _positive(row)))
        help_ = f"if it overlaps several, write `~ {names}`"
        if len(_stated(row)) == 1:
            help_ = "what is not written is already excluded: leave what follows `!` out"
        elif relation.op == "=" and not any(t.kind == "void" for _, t in _positive(row)):
            help_ += f", or `> {names}` if they make up all of it"
        yield Diagnostic("TAX303", what, relation.span, help_, fix=write_instead(row, f"~ {names}"))


def _has_company(row: MapRow) -> Relation | None:
    """The `=` or `<` of a row that states something else as well. A class named twice is left to TAX308."""
    alone = len(_stated(row)) <= 1 and not any(r.op == "!" for r in row.relations)
    return None if alone else next((r for r in row.relations if r.op in "=<"), None)


def _stated(row: MapRow) -> set[int | str]:
    """The channels and words that a row names, without the targets of `!`."""
    return {k for _, t in _positive(row) for k in t.channels or (t.kind,)}


def nothing_allowed(o: Ontology) -> Findings:
    for row in _sound(o):
        meaning = row.meaning(len(o.source.classes))
        if not meaning.channels and not meaning.void:
            name = o.dataset.classes[row.cls].name
            yield Diagnostic(
                "TAX304",
                f"`{name}` is allowed to be nothing",
                row.span,
                "write `! any` if no source class fits (a fact), or `-> void` to ignore it (a decision)",
            )


def says_no_more(o: Ontology) -> Findings:
    for row in () if o.damaged else _sound(o):  # an unreadable line may continue the row
        meaning = row.meaning(len(o.source.classes))
        left = [
            (r, t) for r, t in _positive(row) if not t.channels or not meaning.channels.keys().isdisjoint(t.channels)
        ]
        if meaning.void or len(meaning.channels) != 1 or len(left) != 1 or left[0][0].op not in "~>":
            continue
        relation, target = left[0]
        simple, why = ("<", "the class lies inside") if relation.op == "~" else ("=", "the class is all of")
        if len(target.channels) == 1:
            says, more, name = f"`{relation.op} {shown(target)}` alone", f"{simple} {shown(target)}", target.text
            alone = len(row.relations) == 1  # what `!` takes out could not stand behind `<`
            fix = write_operator(relation, simple, target) if alone else write_row(row, more, True)
        else:
            name = o.source.classes[next(iter(meaning.channels))].name
            says, more = f"`{relation_text(row)}` leaves `{name}` alone and", f"{simple} {name}"
            fix = write_row(row, more, True)
        yield Diagnostic(
            "TAX305",
            f"{says} says no more than `{more}`",
            relation.span,
            f"write `{more}` ({why} `{name}`), or add `void` if part of it is not a source class",
            fix=fix,
        )


Holder = tuple[MapRow, Relation]


def _holders(o: Ontology) -> dict[int, list[Holder]]:
    """Channel → the rows, with their relation, that hold the class or a part of it."""
    holders: dict[int, list[Holder]] = {}
    for row in _sound(o, inherited=True):
        if _has_company(row):
            continue  # its meaning will change once that is settled
        meaning = row.meaning(len(o.source.classes))
        for relation, target in _positive(row):
            for channel in target.channels:
                if meaning.channels.get(channel) == relation.op:
                    holders.setdefault(channel, []).append((row, relation))
    return holders


def of_holders(o: Ontology) -> Findings:
    """What follows from who holds the classes of the source, which is found out once."""
    holders = _holders(o)
    yield from contradiction(o, holders)
    yield from claimed_elsewhere(o, holders)


def contradiction(o: Ontology, holders: dict[int, list[Holder]]) -> Findings:
    """The classes of a dataset are disjoint, so a source class inside one of them has no part in another."""
    reported: set[tuple[int, int]] = set()
    for channel, users in holders.items():
        name = o.source.classes[channel].name
        whole = next((u for u in users if u[1].op in "=>"), None)
        for user in users if whole else ():
            if whole is None or user[0] is whole[0] or (whole[0].inherited and user[0].inherited):
                continue  # a finding on two rows of a base belongs to the base
            pair = (whole[0].cls, user[0].cls)
            if pair in reported:
                continue
            reported.add(pair)
            owner, other = (o.dataset.classes[i].name for i in pair)
            claim, part = f"`{owner}` claims all of `{name}`", f"`{other}` holds part of it"
            place, counterpart = (user, whole) if not user[0].inherited else (whole, user)
            yield Diagnostic(
                "TAX306",
                f"`{name}` lies wholly inside `{owner}`, so `{other}` cannot hold part of it",
                place[1].span,
                "weaken the side that is not true to `~`"
                if user[1].op in "=>"
                else f"weaken `{owner}` to `{'<' if whole[1].op == '=' else '~'}`, or take `{name}` out of `{other}`",
                counterpart[1].span,
                claim if counterpart is whole else part,
            )


def claimed_elsewhere(o: Ontology, holders: dict[int, list[Holder]]) -> Findings:
    """`-> any` allows what another row claims whole. That is a decision, and may be meant."""
    owners = {c: next((u for u in users if u[1].op in "=>"), None) for c, users in holders.items()}
    known: dict[tuple[frozenset[int], bool], tuple[list[str], list[Holder]]] = {}  # most rows leave the same open
    for row in _sound(o, inherited=True):
        if not row.decision or row.decision.to != "any":
            continue
        key = frozenset(row.meaning(len(o.source.classes)).channels), row.inherited
        if key not in known:
            of_row = ((c, owners.get(c)) for c in sorted(key[0]))
            claims = [(c, u) for c, u in of_row if u and not (row.inherited and u[0].inherited)]
            known[key] = [o.source.classes[c].name for c, _ in claims], [u for _, u in claims]
        names, holding = known[key]
        if not names:
            continue
        shown_names = ", ".join(f"`{n}`" for n in names[:_FEW]) + (f" … ({len(names)})" if len(names) > _FEW else "")
        (owner, relation), who = holding[0], o.dataset.classes[row.cls].name
        what = f"`{who} -> any` allows {shown_names}, which other classes claim whole"
        help_ = "the classes of a dataset share no pixels: exclude them with `!`, or keep them if you doubt the claim"
        claim = f"`{o.dataset.classes[owner.cls].name}` claims all of `{names[0]}`"
        if row.inherited:
            yield Diagnostic("TAX312", what, relation.span, help_, row.decision.span, "decided here")
        else:
            fix = exclude(row.decision, names)
            yield Diagnostic("TAX312", what, row.decision.span, help_, relation.span, claim, fix)


def unreached(o: Ontology) -> Findings:
    if o.damaged or any(r.poisoned for r in o.rows):
        return
    meanings = (row.meaning(len(o.source.classes)).channels for row in o.rows)
    reached = set().union(*{id(channels): channels for channels in meanings}.values())
    missing = [c.name for i, c in enumerate(o.source.classes) if i not in reached]
    if missing:
        names = ", ".join(f"`{m}`" for m in missing)
        yield Diagnostic("TAX307", f"no class of `{o.dataset.name}` reaches {names} of `{o.source.name}`", o.span)


def named_twice(o: Ontology) -> Findings:
    for row in _sound(o):
        first: dict[tuple[str, int], Target] = {}
        decided = [("!", row.decision.minus)] if row.decision else []
        for place, (op, targets) in enumerate([*((r.op, r.targets) for r in row.relations), *decided]):
            for at, target in enumerate(targets):
                keys: list[tuple[str, int]] = [(op, c) for c in target.channels] or [(op + target.kind, -1)]
                again = [k for k in keys if k in first]
                if len(again) == len(keys):
                    yield Diagnostic(
                        "TAX308",
                        f"`{shown(target)}` is already named",
                        target.span,
                        "leave it out",
                        first[again[0]].span,
                        "here",
                        take_away(row, place, at) if place < len(row.relations) else None,
                    )
                for k in keys:
                    first.setdefault(k, target)


def removes_nothing(o: Ontology) -> Findings:
    for row in _sound(o):
        stated = {c for _, t in _positive(row) for c in t.channels}
        for place, relation in enumerate(row.relations):
            for at, target in enumerate(relation.targets) if relation.op == "!" else ():
                if target.kind != "any" and stated.isdisjoint(target.channels):
                    yield Diagnostic(
                        "TAX309",
                        f"`! {shown(target)}` removes nothing",
                        target.span,
                        "what is not written is already excluded: leave it out",
                        fix=take_away(row, place, at),
                    )


def wrong_target(o: Ontology) -> Findings:
    for row in _sound(o):
        positive = [t for _, t in _positive(row)]
        if positive and all(t.kind == "void" for t in positive) and any(r.op in ">~" for r in row.relations):
            yield Diagnostic(
                "TAX310",
                "`void` alone relates the class to nothing",
                positive[0].span,
                "write `! any` if no source class fits (a fact), `-> void` to ignore it (a decision)",
            )
        for relation in row.relations:
            for target in relation.targets:
                if target.kind == "void" and relation.op in "=<!":
                    help_ = "`! any` if no source class fits (a fact), `-> void` to ignore it (a decision)"
                    yield Diagnostic(
                        "TAX310",
                        f"`{relation.op}` cannot be followed by `void`",
                        target.span,
                        f"write {help_}",
                    )
                elif target.kind == "any" and relation.op != "!":
                    alone = len(row.relations) == len(relation.targets) == 1
                    yield Diagnostic(
                        "TAX310",
                        f"`{relation.op}` cannot be followed by `any`",
                        target.span,
                        "write `-> any` to leave the class unconstrained (a decision), or `! any` if no"
                        " source class fits (a fact)",
                        fix=write_instead(row, "-> any") if alone else None,
                    )
        for target in row.decision.minus if row.decision else ():
            if row.decision and row.decision.to == "void":
                yield Diagnostic(
                    "TAX310",
                    "`-> void` leaves nothing for `!` to remove",
                    target.span,
                    "leave it out",
                    fix=ignore_row(row.decision),
                )
            elif target.kind == "any":
                yield Diagnostic(
                    "TAX310",
                    "`-> any` cannot be followed by `! any`",
                    target.span,
                    "write `-> void` to ignore the class",
                    fix=ignore_row(row.decision),
                )


def _sound(o: Ontology, inherited: bool = False) -> list[MapRow]:
    """Rows whose names were all resolved: the others would only raise follow-on errors. Findings that concern only an
    inherited row belong to its own file."""
    return [r for r in o.rows if not r.poisoned and (inherited or not r.inherited)]


MAP_RULES: tuple[Callable[[Ontology], Findings], ...] = (
    unmapped,  # TAX301
    two_kinds,  # TAX302
    not_alone,  # TAX303
    nothing_allowed,  # TAX304
    says_no_more,  # TAX305
    of_holders,  # TAX306, TAX312
    unreached,  # TAX307
    named_twice,  # TAX308
    removes_nothing,  # TAX309
    wrong_target,  # TAX310
    unreadable,  # TAX313
)


def check_map(ontology: Ontology) -> list[Diagnostic]:
    """All findings on a map. A row with an error raises no warnings."""
    findings = [d for rule in MAP_RULES for d in rule(ontology)]
    first = {line: row.span.line for row in ontology.rows if not row.inherited for line in _lines(row)}

    def row(d: Diagnostic) -> int:
        return first.get(d.span.line, d.span.line)

    clashes = {row(d) for d in findings if d.code in ("TAX302", "TAX310")}  # these explain everything
    findings = [d for d in findings if d.code not in ("TAX303", "TAX304") or row(d) not in clashes]
    wrong = {row(d) for d in findings if d.severity == "error"}
    return [d for d in findings if d.severity == "error" or row(d) not in wrong or d.code == "TAX307"]


def _lines(row: MapRow) -> set[int]:
    """The lines of a row: a continued row has several."""
    targets = [t for r in row.relations for t in r.targets] + list(row.decision.minus if row.decision else ())
    return {row.span.line, *(r.span.line for r in row.relations), *(t.span.line for t in targets)}
