"""Files about a source as a dataset of its own: in the classes of a dataset, in some of its classes, in its groups.

Maps lead from datasets, so each file declares one whose labels are the channels of the source, all of them `=` its
classes. `compose` then walks through it, from any dataset with a map to the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lsu_onto.algebra.facts import Step, facts, possible
from lsu_onto.algebra.wording import checked, few, need_a_world, relation
from lsu_onto.diagnostics import suggest
from lsu_onto.errors import UserError
from lsu_onto.exchange.draft import ClassLine, class_lines, map_rows
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Ontology, Source, TaxClass, Taxonomy

Rows = list[tuple[str, tuple[str, ...], list[str]]]


def is_taken(library: Library, name: str, version: str, output: str | None) -> bool:
    """Whether there is such a source on the search path, in another file than the output: one would hide the other."""
    file = Path(output).resolve() if output else None
    same = [e for e in library.entries() if (e.kind, e.name, e.version) == ("source", name, version)]
    return any(e.path.resolve() != file for e in same)


def inverted(library: Library, o: Ontology, output: str | None = None) -> tuple[str, list[str]]:
    """A source's classes in the terms of a dataset; and the classes of which the map says nothing.

    Args:
        library: where the map comes from.
        o: the map.
        output: where the text is to be written. The new source is called as the dataset, or `…_labels` if another
            source is called so.

    Returns:
        The text of a `.tax` file: the dataset's classes as a source, the source's channels as a dataset, and their map.

    Raises:
        UserError: no pixels keep the map, so that nothing follows.
    """
    may = facts(o).T
    sets = possible([may])
    need_a_world([Step(o)], [may.T], sets)
    stating = {row.cls for row in o.rows if row.decision is None}
    rows: Rows = []
    unstated = []
    for c, cls in enumerate(o.source.classes):
        holders = [o.dataset.classes[d].name for d in np.flatnonzero(may[c, :-1]).tolist() if d in stating]
        if holders:
            note = f"held by {few(holders)}"
        else:
            unstated.append(cls.name)
            note = "no row states that it holds this class"
        rows.append((cls.name, relation(may[c], sets[c], o.dataset, vague=not holders), [note]))
    about = f"lsu-onto invert {o.dataset.name}@{o.dataset.version} --source {o.source.name}@{o.source.version}"
    target = [_line(c, str(i)) for i, c in enumerate(o.dataset.classes)]
    name = o.dataset.name
    if name == o.source.name or is_taken(library, name, o.dataset.version, output):
        name += "_labels"
    return _text(library, about, o.source, name, o.dataset.version, target, rows), unstated


def restricted(library: Library, source: Source, chosen: Sequence[str], groups: bool, name: str) -> str:
    """A source with some of the classes of another, or with groups for classes, and the map between them.

    Args:
        library: where the source comes from.
        source: the full one.
        chosen: names of classes, and `@group`; none: all of them.
        groups: a group becomes a class; without a choice, every outermost group does.
        name: of the new source.

    Raises:
        UserError: there is no such class or group, or one is chosen twice.
    """
    words = chosen or (_outermost(source) if groups else [c.name for c in source.classes])
    part_of: dict[int, int] = {}
    target: list[ClassLine] = []
    for word in words:
        members = _members(source, word)
        if twice := [source.classes[c].name for c in members if c in part_of]:
            raise UserError(f"`{word}` has `{twice[0]}`, which is in another choice already; name it once")
        if word.startswith("@") and groups:
            part_of |= dict.fromkeys(members, len(target))
            first = source.classes[members[0]]
            colour = f"#{first.colours[0]:06x}" if first.colours else ""
            held = few([source.classes[c].name for c in members])
            target.append(ClassLine(word[1:].replace(".", "_"), str(len(target)), colours=colour, notes=[held]))
        else:
            for c in members:
                part_of[c] = len(target)
                target.append(_line(source.classes[c], str(len(target))))
    size = list(part_of.values()).count
    rows: Rows = [
        (
            cls.name,
            (f"{'=' if size(p) == 1 else '<'} {target[p].name}",) if (p := part_of.get(i)) is not None else ("! any",),
            [],
        )
        for i, cls in enumerate(source.classes)
    ]
    words = " ".join([f"{source.name}@{source.version}", *chosen, *(["--groups"] if groups else [])])
    return _text(library, f"lsu-onto restrict {words} --name {name}", source, name, "v1", target, rows)


def _outermost(source: Source) -> list[str]:
    """The groups that are in no other, and the classes that are in none."""
    return list(dict.fromkeys(f"@{c.group.partition('.')[0]}" if c.group else c.name for c in source.classes))


def _members(source: Source, word: str) -> Sequence[int]:
    """The classes that a word stands for."""
    known = {**source.by_other_name, **source.by_name}
    if word.startswith("@"):
        members = source.group(word[1:])
        names = [f"@{g}" for g in source.groups]
    else:
        members = (known[word],) if word in known else ()
        names = [*known, *(f"@{g}" for g in source.groups)]
    if not members:
        hint = suggest(word, names, f"`lsu-onto show {source.name}` lists classes and groups")
        raise UserError(f"`{source.name}` has no {'group' if word.startswith('@') else 'class'} `{word}`; {hint}")
    return members


def _line(c: TaxClass, ids: str) -> ClassLine:
    colour = f"#{c.colours[0]:06x}" if c.colours else ""
    notes = [c.note] if c.note else []
    return ClassLine(c.name, ids, c.official, colour, c.aliases, c.group, notes=notes)


def channels_name(source: Source) -> str:
    """What the dataset of a source's channels is called."""
    return f"{source.name}_channels"


def storage(classes: int) -> tuple[str, str, str]:
    """The keys that say how label files store so many channels."""
    return ("encoding: id16", "void: 65535", "") if classes > 255 else ("encoding: id", "void: 255", "")


def channel_dataset(source: Source) -> list[str]:
    """The lines of a dataset whose labels are the channels of a source, and of its map to it."""
    name = channels_name(source)
    return [
        *(f"dataset {name} {source.version} # label files that store the channels of {source.name}", ""),
        *storage(len(source.classes)),
        *class_lines([_line(c, str(i)) for i, c in enumerate(source.classes)]),
        *("", f"map {name} {source.version} -> {source.name} {source.version}", ""),
        *map_rows([(c.name, (f"= {c.name}",), []) for c in source.classes]),
    ]


def _text(
    library: Library, about: str, source: Source, name: str, version: str, target: list[ClassLine], rows: Rows
) -> str:
    """The file: a new source, the channels of the old one as a dataset, and its maps to both."""
    lines = [
        *("tax 1", f"# {about}", f"source {name} {version}", ""),
        *(storage(len(target)) if len(target) > 255 else ()),  # else it is as of any source
        *(*class_lines(target), ""),
        *channel_dataset(source),
        *("", f"map {channels_name(source)} {source.version} -> {name} {version}", ""),
        *map_rows(rows),
    ]
    near: list[Taxonomy] = [source]
    return checked(library, "\n".join(lines) + "\n", f"the source `{name}`", near)
