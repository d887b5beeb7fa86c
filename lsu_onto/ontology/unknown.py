"""Findings on a class or group that a taxonomy does not have, with what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lsu_onto.diagnostics import Diagnostic, Fix, closest, did_you_mean
from lsu_onto.lang.syntax import Target
from lsu_onto.ontology.model import Taxonomy, bare

_MANY = 40
"""How many groups a message lists."""


def unknown_class(t: Target, taxonomy: Taxonomy, last: Target | None) -> Diagnostic:
    """The finding on a name that stands for no class. `last` is the preceding target."""
    what = f"`{taxonomy.name}` has no class `{t.text}`"
    instead, help_ = intended_class(t.text, taxonomy) or (None, "")
    if not instead:
        help_ = f"`lsu-onto show {taxonomy.name}` lists its classes" + ("; a note starts with `# `" if last else "")
    return Diagnostic("TAX201", what, t.span, help_, fix=Fix.write(instead, t.span) if instead else None)


def intended_class(text: str, taxonomy: Taxonomy) -> tuple[str, str] | None:
    """The class or group that was probably meant by a name that is none, as a relation refers to it, and the help."""
    if text not in taxonomy.meant:
        taxonomy.meant[text] = _intended(text, taxonomy)
    return taxonomy.meant[text]


def _intended(text: str, taxonomy: Taxonomy) -> tuple[str, str] | None:
    known = taxonomy.by_any_name
    cls = _by_value(text, taxonomy)
    if cls is not None:
        name = taxonomy.classes[cls].name
        return name, f"{'colour' if text.startswith('#') else 'id'} {text} is `{name}`: write `{name}`"
    if not re.search(r"\w", text):
        return None
    if (same := taxonomy.by_letters.get(bare(text))) is not None:
        name = taxonomy.classes[same].name
        return name, f"did you mean `{name}`?"
    parts = re.split(r"[/|+&;]", text)
    if len(parts) > 1 and all(p in known for p in parts):
        names = " ".join(taxonomy.classes[known[p]].name for p in parts)
        return names, f"targets are separated by spaces: write `{names}`"
    groups = [] if text.lower() in taxonomy.lowered else _groups(text.replace("/", "."), taxonomy)
    if len(groups) == 1:
        return f"@{groups[0]}", f"`{groups[0]}` is a group: write `@{groups[0]}`"
    *path, last = re.split(r"[./:]", text)
    if path and last in known:
        name = taxonomy.classes[known[last]].name
        return name, f"a class has its name alone: write `{name}`"
    close = closest(text, taxonomy.lowered, 65)
    return (taxonomy.classes[known[close]].name, f"did you mean `{close}`?") if close else None


def _by_value(text: str, taxonomy: Taxonomy) -> int | None:
    """The class with this raw value, channel or colour."""
    if re.fullmatch(r"\d{1,9}", text):
        hits = [i for i, c in enumerate(taxonomy.classes) if any(low <= int(text) <= high for low, high in c.ids)]
    elif re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
        hits = [i for i, c in enumerate(taxonomy.classes) if int(text[1:], 16) in c.colours]
    else:
        return None
    return hits[0] if len(hits) == 1 else None


def unknown_group(t: Target, taxonomy: Taxonomy) -> Diagnostic:
    """The finding on a `@group` that has no classes."""
    names = taxonomy.groups
    instead: str | None = None
    groups = _groups(t.text, taxonomy)
    cls = taxonomy.classes_lowered.get(t.text.lower().rpartition(".")[2])
    close = _close_group(t.text, taxonomy)
    if len(groups) > 1:
        help_ = f"did you mean {' or '.join(f'`@{g}`' for g in groups)}?"
    elif cls and not groups:
        instead = cls
        help_ = f"`{cls}` is a class: write it without `@`"
    elif groups or (close and len(_groups(close, taxonomy)) == 1):
        instead = f"@{(groups or _groups(close or '', taxonomy))[0]}"
        help_ = f"did you mean `{instead}`?"
    elif names:
        listed = ", ".join(f"`@{g}`" for g in names[:_MANY])
        help_ = f"its groups are {listed}" + (f" … ({len(names)})" if len(names) > _MANY else "")
    else:
        help_ = "it has no groups"
    fix = Fix.write(instead, t.span) if instead else None
    return Diagnostic("TAX202", f"`{taxonomy.name}` has no group `{t.text}`", t.span, help_, fix=fix)


def _groups(text: str, taxonomy: Taxonomy) -> list[str]:
    """The groups with this name, otherwise those that end in it. Case is ignored."""
    exact, ending = taxonomy.groups_lowered
    return exact.get(text.lower()) or ending.get(text.lower(), [])


def _close_group(text: str, taxonomy: Taxonomy) -> str | None:
    """The group, or the last part of one, that was probably meant. A file may repeat a mistake in every row."""
    key = f"@{text}"
    if key not in taxonomy.meant:
        exact, _ = taxonomy.groups_lowered
        close = closest(text, {low: names[-1] for low, names in exact.items()}, 60)
        close = close or did_you_mean(text, (g.rpartition(".")[2] for g in taxonomy.groups))
        taxonomy.meant[key] = (close, "") if close else None
    return (taxonomy.meant[key] or (None,))[0]


def taken_apart(items: Sequence[Target], taxonomy: Taxonomy) -> Iterator[tuple[range, Diagnostic]]:
    """Names written as several words, such as `side walk` for `sidewalk`: their targets, and one finding for each."""
    unknown = [
        t.kind == "name" and t.text not in taxonomy.by_name and t.text not in taxonomy.by_other_name for t in items
    ]
    if len(items) < 2 or not any(unknown):
        return
    reported: set[int] = set()
    for run in (range(i, i + n) for n in (3, 2) for i in range(len(items) - n + 1)):
        words = [items[i] for i in run]
        cls = taxonomy.by_letters.get(bare("".join(w.text for w in words)))
        name = None if cls is None else taxonomy.classes[cls].name
        unsettled = any(unknown[i] for i in run) and reported.isdisjoint(run)
        if name and unsettled and all(w.kind == "name" for w in words):
            reported.update(run)
            written, place = " ".join(w.text for w in words), words[0].span._replace(end=words[-1].span.end)
            what = f"`{taxonomy.name}` has no class `{written}`"
            help_ = f"a name is one word: did you mean `{name}`?"
            yield run, Diagnostic("TAX201", what, place, help_, fix=Fix.write(name, place))
