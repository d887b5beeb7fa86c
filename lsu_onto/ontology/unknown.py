"""Findings on a class or group that a taxonomy does not have, with what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lsu_onto.diagnostics import Diagnostic, Fix, did_you_mean, suggest
from lsu_onto.lang.syntax import Target
from lsu_onto.ontology.model import Taxonomy


def unknown_class(t: Target, taxonomy: Taxonomy, last: Target | None) -> Diagnostic:
    """The finding on a name that stands for no class. `last` is the preceding target."""
    known = taxonomy.by_other_name | taxonomy.by_name
    instead: str | None = None
    groups = _groups(t.text, taxonomy) if t.text.lower() not in map(str.lower, known) else []
    if last and last.text in known and t.text in ("and", "or"):
        help_ = "targets are separated by spaces: leave it out"
    elif t.text.lower() in ("void", "any"):
        instead = t.text.lower()
        help_ = f"write `{instead}`"
    elif t.text.lower() in ("all", "everything", "anything"):
        help_ = "`-> any` leaves the class unconstrained"
    elif len(groups) == 1:
        instead = f"@{groups[0]}"
        help_ = f"`{groups[0]}` is a group: write `{instead}`"
    else:
        listing = f"`lsu-onto show {taxonomy.name}` lists its classes"
        close = did_you_mean(t.text, known)
        instead = taxonomy.classes[known[close]].name if close else None
        help_ = suggest(t.text, known, f"{listing}; a note starts with `# `" if last else listing) or ""
    fix = Fix.write(instead, t.span) if instead else None
    return Diagnostic("TAX201", f"`{taxonomy.name}` has no class `{t.text}`", t.span, help_, fix=fix)


def unknown_group(t: Target, taxonomy: Taxonomy) -> Diagnostic:
    """The finding on a `@group` that has no classes."""
    names = taxonomy.groups
    instead: str | None = None
    groups = _groups(t.text, taxonomy)
    cls = next((n for n in taxonomy.by_name if n.lower() == t.text.lower()), None)
    close = did_you_mean(t.text, names) or did_you_mean(t.text, (g.rpartition(".")[2] for g in names))
    if len(groups) > 1:
        help_ = f"did you mean {' or '.join(f'`@{g}`' for g in groups)}?"
    elif cls and not groups:
        instead = cls
        help_ = f"`{cls}` is a class: write it without `@`"
    elif groups or (close and len(_groups(close, taxonomy)) == 1):
        instead = f"@{(groups or _groups(close or '', taxonomy))[0]}"
        help_ = f"did you mean `{instead}`?"
    elif names:
        help_ = f"its groups are {', '.join(f'`@{g}`' for g in names)}"
    else:
        help_ = "it has no groups"
    fix = Fix.write(instead, t.span) if instead else None
    return Diagnostic("TAX202", f"`{taxonomy.name}` has no group `{t.text}`", t.span, help_, fix=fix)


def _groups(text: str, taxonomy: Taxonomy) -> list[str]:
    """The groups with this name, otherwise those that end in it. Case is ignored."""
    lowered = text.lower()
    exact = [g for g in taxonomy.groups if g.lower() == lowered]
    return exact or [g for g in taxonomy.groups if g.lower().endswith(f".{lowered}")]


def taken_apart(items: Sequence[Target], taxonomy: Taxonomy) -> Iterator[tuple[range, Diagnostic]]:
    """Names written as several words, such as `side walk` for `sidewalk`: their targets, and one finding for each."""
    unknown = [
        t.kind == "name" and t.text not in taxonomy.by_name and t.text not in taxonomy.by_other_name for t in items
    ]
    if len(items) < 2 or not any(unknown):
        return
    known = taxonomy.by_other_name | taxonomy.by_name
    plain = {re.sub(r"[\W_]", "", k).lower(): taxonomy.classes[i].name for k, i in known.items()}
    reported: set[int] = set()
    for run in (range(i, i + n) for n in (3, 2) for i in range(len(items) - n + 1)):
        words = [items[i] for i in run]
        name = plain.get("".join(w.text for w in words).replace("_", "").lower())
        unsettled = any(unknown[i] for i in run) and reported.isdisjoint(run)
        if name and unsettled and all(w.kind == "name" for w in words):
            reported.update(run)
            written, place = " ".join(w.text for w in words), words[0].span._replace(end=words[-1].span.end)
            what = f"`{taxonomy.name}` has no class `{written}`"
            help_ = f"a name is one word: did you mean `{name}`?"
            yield run, Diagnostic("TAX201", what, place, help_, fix=Fix.write(name, place))
