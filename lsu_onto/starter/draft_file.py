"""A first `.tax` file, from a class list, from label files, or from nothing.

Nothing is decided here that the files do not say. A class gets no relation, so that `validate` asks for each one; its
note gives hints (a similar name, the same colour). A default such as `-> void` would pass for an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lsu_onto.exchange.draft import ClassLine
    from lsu_onto.ontology.model import Source
    from lsu_onto.starter.guess import Storage

TODO = "TODO"
NO_VOID = f'# void: 255 {TODO}: raw values that mean "not annotated", if there are any'


def _how_to(source: Source | None) -> list[str]:
    """Comments that tell a newcomer how to fill in the file."""
    if source is None:
        return [
            "To relate the classes to a source taxonomy (`lsu-onto list`), write `-> NAME v1` behind the header above,",
            "and after each class what it is there, e.g. `< road`.",
        ]
    import textwrap

    a, b = ([c.name for c in source.classes] * 2)[:2]
    lines = [
        f"Say of each class, before its note, what it is in {source.name}:",
        f"  = {a}  the same pixels",
        f"  < {a}  it lies inside",
        f"  > {a} {b}  both lie inside it, and make up all of it",
        f"  ~ {a} {b} void  it has pixels of each, and some of no class there",
        f"  ! any  a fact: it is not a class of {source.name}",
        "  -> void  a decision: ignore its pixels",
        "  -> any  a decision: the teacher chooses",
    ]
    names = " ".join(c.name for c in source.classes)
    return lines + textwrap.wrap(f"Classes of {source.name}: {names}", 100, subsequent_indent="  ")


def _write(name: str, source: Source | None, keys: list[str], classes: list[str], about: tuple[str, ...] = ()) -> str:
    from lsu_onto.lang.fmt import format_text

    arrow = f" -> {source.name} {source.version}" if source else ""
    comments = [f"# {line}" for line in (*about, *_how_to(source))]
    lines = ["tax 1", f"dataset {name} v1{arrow}", "", *comments, "", *keys, "", *classes]
    return format_text(f"{name}.tax", "\n".join(lines) + "\n")


# --- from nothing ------------------------------------------------------------------------------------------


def starter(name: str, source: Source | None, encoding: str = "id") -> str:
    """A commented file with two classes to replace."""
    todo = f"# {TODO}: its id, name and colour" + (f"; what it is in {source.name}" if source else "")
    from lsu_onto.starter.guess import ELSEWHERE

    void = {"rgb": "#000000", "id16": "65535", "instance-ids": "65"}.get(encoding, "255")
    void = str(65535 // int(encoding[5:])) if encoding.startswith("id16/") else void
    keys = [
        f"title: {name}",
        f"encoding: {encoding} # id: 8-bit images; or id16, id16/1000 (stored // 1000), rgb (colours) …",
        f'void: {void} # raw values that mean "not annotated"' if encoding not in ELSEWHERE else "",
        *_segments(encoding),
        "# splits: train val",
        "# images: images/{split}/{stem}.png",
        "# labels: labels/{split}/{stem}.png",
    ]
    classes = ["[group]", f"0 first_class #804080 {todo}", f"1 second_class #f423e8 {todo}"]
    return _write(name, source, keys, classes)


def _segments(encoding: str) -> list[str]:
    """Where an encoding has its tables: the file must say it, and nobody can guess it."""
    place = {"rle": "annotations", "panoptic-rgb": "annotations/panoptic.json"}.get(encoding)
    what = "the folder of its JSON tables" if encoding == "rle" else "its JSON file"
    return [f"# segments: {place} {TODO}: {what}"] if place else []


# --- from a class list -------------------------------------------------------------------------------------


def _suggestion(c: ClassLine, source: Source) -> str:
    """A question about the source class that a name resembles."""
    from lsu_onto.diagnostics import did_you_mean
    from lsu_onto.exchange.draft import identifier
    from lsu_onto.exchange.skeleton import same_name

    names = same_name(source)
    own = [identifier(n).lower() for n in (c.name, c.official, *c.aliases) if n]
    same = next((names[n] for n in own if n in names), None)
    if same:
        return f"{TODO}: `= {same}` or `< {same}`? The same name, perhaps not the same pixels"
    near = did_you_mean(own[0], names)
    return f"{TODO}: `< {names[near]}`?" if near else f"{TODO}: relate it"


def from_csv(
    file: str,
    name: str,
    source: Source | None,
    encoding: str | None,
    search: tuple[str, ...],
    places: Sequence[str] = (),
) -> tuple[str, list[str]]:
    """The text of the file, and everything in the list that deserves a second look.

    Args:
        places: lines that say where images and labels lie.

    Raises:
        ExchangeError: it is not a class list.
    """
    from lsu_onto.exchange import ExchangeError, Options, canonical, refused
    from lsu_onto.exchange.draft import class_lines, one_line
    from lsu_onto.exchange.from_csv import class_list
    from lsu_onto.exchange.skeleton import encoding as narrowest
    from lsu_onto.exchange.tables import read_table

    # Not None: the new file asks for encoding and void itself.
    exactly = f"{source.span.file} {source.name} {source.version}" if source else None
    options = Options(source=exactly, encoding=encoding or "", void="", search=search)
    try:
        found = class_list(read_table(file, None), options)
    except ExchangeError as e:
        raise refused(e, file, "csv") from None
    classes, findings = found.classes, found.findings
    for c in classes if source else ():
        if not c.relation:
            c.notes.insert(0, _suggestion(c, source))  # type: ignore[arg-type]
    keys = [
        f"title: {name}, from {one_line(Path(file).name)}",
        f"encoding: {encoding or found.encoding or narrowest(classes)}"
        f" # {TODO}: is that how the label files store it?{f' It is {found.why}' if found.why else ''}",
        NO_VOID.replace("255", "#000000") if "rgb" in (encoding, found.encoding) else NO_VOID,
        *_segments(encoding or ""),
        *places,
    ]
    return canonical(_write(name, source, keys, class_lines(classes)), search), [str(f) for f in findings]


# --- from label files --------------------------------------------------------------------------------------


def from_labels(storage: Storage, name: str, source: Source | None, places: Sequence[str] = ()) -> str:
    """The text of the file for the values that were found. `places`: lines that say where images and labels lie."""
    from lsu_onto.exchange.draft import ClassLine, class_lines

    scan = storage.scan
    by_colour = _unique_colours(source)
    classes = []
    for v in storage.values:
        pixels = sum(scan.counts[s] for s in v.stored)
        files = max(scan.in_files[s] for s in v.stored)
        hint = by_colour.get(v.colour) if v.colour is not None else None
        todo = f"{TODO}: `< {hint}`? It has its colour" if hint else f"{TODO}: name it"
        if source and not hint:
            todo += " and relate it"
        least = "at least " if len(v.stored) > 1 and files < scan.files else ""
        seen = f"{pixels} px, {_percent(pixels, scan.pixels)}, in {least}{files}"
        notes = [todo, *([v.note] if v.note else []), f"{seen} of {scan.files} files"]
        colour = f"#{v.colour:06x}" if v.colour is not None else ""
        classes.append(ClassLine(v.name, v.ids, colours=colour, notes=notes))
    why = f" # a guess: {storage.why_encoding}" if storage.why_encoding else ""
    keys = [f"title: {name}", f"encoding: {storage.encoding}{why}"]
    if storage.palettes:
        keys.append(f"palettes: {storage.palettes} # {scan.clash}")
    pixels = sum(scan.counts[s] for s in storage.void_stored)
    guess = f"void: {storage.void} # a guess: {storage.why_void}; {_percent(pixels, scan.pixels)} of the pixels"
    keys.append(guess if storage.void else NO_VOID)
    keys += places
    about = (f"Found in {scan.files} label files by `lsu-onto init`.",)
    return _write(name, source, keys, class_lines(classes), about)


def _unique_colours(source: Source | None) -> dict[int, str]:
    """The colours of a source that only one class has, with its name."""
    colours = [(c.colours[0], c.name) for c in source.classes if c.colours] if source else []
    return {k: n for k, n in colours if sum(k == other for other, _ in colours) == 1}


def _percent(part: int, whole: int) -> str:
    """
    >>> _percent(1, 800), _percent(1, 4000)
    ('0.1 %', 'under 0.1 %')
    """
    share = 100 * part / whole
    return f"{share:.1f} %" if share >= 0.05 else "under 0.1 %"
