"""A class list as a `.tax` file: a source, a dataset without relations, or a dataset with a first proposal."""

from __future__ import annotations

from collections.abc import Sequence

from lsu_onto.diagnostics import suggest
from lsu_onto.exchange.base import ExchangeError, Options
from lsu_onto.exchange.draft import ClassLine, class_lines, identifier, one_line
from lsu_onto.library.library import Library
from lsu_onto.library.names import spaced
from lsu_onto.ontology.model import Source


def need_source(name: str, search: tuple[str, ...]) -> Source:
    """The source of a name, with or without its version, or of a `.tax` file."""
    library = Library(search)
    source = library.source(name)
    if source is None:
        bare_name = spaced(name).partition(" ")[0]
        entries = [e for e in library.entries() if e.kind == "source"]
        versions = dict.fromkeys(f"`{e.name} {e.version}`" for e in entries if e.name == bare_name)
        is_dataset = not versions and any((e.kind, e.name) == ("dataset", bare_name) for e in library.entries())
        advice = "`lsu-onto list` shows what there is; `--path DIR` adds a folder"
        close = suggest(name, sorted({e.name for e in entries}), advice)
        what = f"there is no source `{name}`{', which is a dataset' if is_dataset else ''}"
        raise ExchangeError(f"{what}; {'found ' + ', '.join(versions) if versions else close}")
    return source


def same_name(source: Source) -> dict[str, str]:
    """Every spelling of a source's classes, lower-case and without punctuation → the name of the class."""
    out = {identifier(k).lower(): source.classes[i].name for k, i in source.by_other_name.items()}
    return {**out, **{k.lower(): k for k in source.by_name}}


def encoding(classes: Sequence[ClassLine]) -> str:
    """The narrowest encoding that holds the ids."""
    ids = (i for c in classes for i in c.ids.replace("..", ",").split(","))
    return "id16" if max((int(i) for i in ids if i.isdigit()), default=0) > 255 else "id"


def write(
    classes: Sequence[ClassLine], name: str, title: str, options: Options, why: str = "", more: tuple[str, ...] = ()
) -> str:
    """The text of the file. With a source, every class has a relation: a proposal by its name, or else `-> any`.

    Args:
        classes, name, title, options: what the file is about.
        why: a note on the encoding.
        more: further keys of a dataset.
    """
    head = f"{options.kind} {name} {options.version}"
    keys = [f"title:    {one_line(title)}"]
    if options.kind == "dataset":
        if options.source:
            source = need_source(options.source, options.search)
            head += f" -> {source.name} {source.version}"
            names = same_name(source)
            for c in classes:
                if not c.relation:
                    hit = names.get(identifier(c.official or c.name).lower())
                    c.relation = (f"< {hit}",) if hit else ("-> any",)
                    c.notes.append("proposed: the same name, to be checked" if hit else "TODO: relate it")
        keys.append(f"encoding: {options.encoding or encoding(classes)}{f'  # {why}' if why else ''}")
        if options.void:
            keys.append(f"void:     {options.void}")
        keys += more
    return "\n".join(["tax 1", head, "", *keys, "", *class_lines(classes)]) + "\n"
