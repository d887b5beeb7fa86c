"""`lsu-onto init`: a `.tax` file to begin with, from a class list, from label files, or from nothing.

What the files do not say is not decided here. A class gets no relation, so that `validate` asks for each one; what
may help (a similar name, the same colour) stands in its note. A default such as `-> void` would pass for an answer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsu_onto.arguments import search_path

if TYPE_CHECKING:
    from lsu_onto.exchange.draft import ClassLine
    from lsu_onto.guess import Layout
    from lsu_onto.label_values import Scan
    from lsu_onto.ontology.model import Source

TODO = "TODO"
NO_VOID = f'# void: 255 {TODO}: raw values that mean "not annotated", if there are any'


def _how_to(source: Source | None) -> list[str]:
    """What a newcomer needs to fill in the file, as comments."""
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
        f"  ! any  a fact: it is no class of {source.name}",
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
    from lsu_onto.guess import ELSEWHERE

    void = {"rgb": "#000000", "id16": "65535", "instance-ids": "65"}.get(encoding, "255")
    void = str(65535 // int(encoding[5:])) if encoding.startswith("id16/") else void
    keys = [
        f"title: {name}",
        f"encoding: {encoding} # id: 8-bit images; or id16, id16/1000 (stored // 1000), rgb (colours) …",
        f'void: {void} # raw values that mean "not annotated"' if encoding not in ELSEWHERE else "",
        "# splits: train val",
        "# images: images/{split}/{stem}.png",
        "# labels: labels/{split}/{stem}.png",
    ]
    classes = ["[group]", f"0 first_class #804080 {todo}", f"1 second_class #f423e8 {todo}"]
    return _write(name, source, keys, classes)


# --- from a class list -------------------------------------------------------------------------------------


def _suggestion(c: ClassLine, source: Source) -> str:
    """The class of the source that a name resembles, as a question."""
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


def from_csv(file: str, name: str, source: Source | None, encoding: str | None) -> tuple[str, list[str]]:
    """The file, and what in the list deserves a second look.

    Raises:
        ExchangeError: it is no class list.
    """
    from lsu_onto.exchange import Options
    from lsu_onto.exchange.draft import class_lines
    from lsu_onto.exchange.from_csv import class_list
    from lsu_onto.exchange.skeleton import encoding as narrowest

    # Not None: the file that is written asks for encoding and void itself.
    said = Options(source=source.name if source else None, encoding=encoding or "", void="")
    classes, found = class_list(file, said)
    for c in classes if source else ():
        if not c.relation:
            c.notes.insert(0, _suggestion(c, source))  # type: ignore[arg-type]
    keys = [
        f"title: {name}, from {Path(file).name}",
        f"encoding: {encoding or narrowest(classes)} # {TODO}: is that how the label files store it?",
        NO_VOID,
    ]
    return _write(name, source, keys, class_lines(classes)), [str(f) for f in found]


# --- from label files --------------------------------------------------------------------------------------


def from_labels(scan: Scan, layout: Layout, name: str, source: Source | None) -> str:
    """The file for the values that were found."""
    from lsu_onto.exchange.draft import ClassLine, class_lines

    by_colour = _unique_colours(source)
    classes = []
    for v in layout.values:
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
    why = f" # a guess: {layout.why_encoding}" if layout.why_encoding else ""
    keys = [f"title: {name}", f"encoding: {layout.encoding}{why}"]
    pixels = sum(scan.counts[s] for s in layout.void_stored)
    guess = f"void: {layout.void} # a guess: {layout.why_void}; {_percent(pixels, scan.pixels)} of the pixels"
    keys.append(guess if layout.void else NO_VOID)
    about = (f"Found in {scan.files} label files by `lsu-onto init`.",)
    return _write(name, source, keys, class_lines(classes), about)


def _unique_colours(source: Source | None) -> dict[int, str]:
    """Colours of a source that tell its classes apart."""
    colours = [(c.colours[0], c.name) for c in source.classes if c.colours] if source else []
    return {k: n for k, n in colours if sum(k == other for other, _ in colours) == 1}


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.1f} %" if share >= 0.05 else "under 0.1 %"


# --- the command -------------------------------------------------------------------------------------------


@click.command()
@click.argument("argument", metavar="[NAME]", required=False)
@click.option("--name", help="The same as NAME. Default: from the CSV file or the folder.")
@click.option("--source", help="The source taxonomy that the classes will be related to.")
@click.option("--from-csv", metavar="FILE", help="A class list: `id,name,color,…`; only `name` is needed.")
@click.option(
    "--from-labels",
    multiple=True,
    metavar="DIR_OR_GLOB",
    help="Label files, PNG or TIFF (repeatable). Needs Pillow: the extra [labels].",
)
@click.option(
    "--encoding",
    default="auto",
    show_default=True,
    metavar="ENCODING",
    help="How files store classes: id, id16, id16/1000, instance-ids, rgb …; auto: see what they hold.",
)
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Default: NAME.tax.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@search_path
def init(argument: str | None, name: str | None, from_labels: tuple[str, ...], **options: Any) -> None:
    """Begin a `.tax` file: a commented one, or the classes of a CSV list or of label files.

    No relation is made up: each class is marked TODO, and `lsu-onto validate` asks for those that are open. What was
    guessed (encoding, void) says so in its note. Exit code 0: written, 1: not, or some files could not be read.

    \b
    Examples:
      lsu-onto init mydata --source cityscapes
      lsu-onto init mydata --source cityscapes --from-csv classes.csv
      lsu-onto init mydata --source cityscapes --from-labels data/labels
      lsu-onto init mydata --from-labels 'data/**/*_labelIds.png' --encoding id
    """
    from lsu_onto.exchange import ExchangeError
    from lsu_onto.label_values import ScanError

    if argument and name and argument != name:
        raise click.UsageError(f"the name is given twice, `{argument}` and `{name}`")
    if options["from_csv"] and from_labels:
        raise click.UsageError("--from-csv and --from-labels exclude each other; the values go into the CSV as `id`")
    name = _name(argument or name, options["from_csv"], from_labels)
    target = Path(options["output"] or f"{name}.tax")
    if target.exists() and not options["force"]:
        _fail(f"`{target}` is there already; take another name with -o, or replace it with --force")
    try:
        refused = _make(name, target, from_labels, **options)
    except (ExchangeError, ScanError) as e:
        _fail(str(e))
    except OSError as e:
        _fail(f"cannot write `{target}`: {e.strerror}")
    if refused:
        _fail(
            f"{len(refused)} file{'s' * (len(refused) != 1)} could not be read, so that values may be missing:\n"
            + "\n".join(refused[:5])
            + ("\n…" if len(refused) > 5 else "")
        )


def _fail(message: str) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(1)


def _name(name: str | None, csv: str | None, labels: tuple[str, ...]) -> str:
    from lsu_onto.exchange.draft import identifier, name_problem

    if name is None:
        folder = Path(labels[0]) if len(labels) == 1 and Path(labels[0]).is_dir() else None
        if csv is None and folder is None:
            raise click.UsageError("the dataset needs a name: `lsu-onto init NAME …`")
        return identifier(Path(csv).stem.lower() if csv else folder.resolve().name.lower() if folder else "")
    if problem := name_problem(name):
        raise click.UsageError(problem)
    return name


def _make(name: str, target: Path, labels: tuple[str, ...], **options: Any) -> list[str]:
    """Write the file and say what comes next; returns the label files that could not be read."""
    from lsu_onto.exchange.skeleton import need_source
    from lsu_onto.files import write_atomic

    source = need_source(options["source"], options["search"]) if options["source"] else None
    encoding, refused, summary = options["encoding"], [], "a commented file to fill in"
    _check_encoding(encoding)
    if options["from_csv"]:
        text, found = from_csv(options["from_csv"], name, source, None if encoding == "auto" else encoding)
        for line in found:
            click.echo(line, err=True)
        summary = f"the classes of {options['from_csv']}"
    elif labels:
        from lsu_onto.guess import layout
        from lsu_onto.label_values import find, scan

        files, others = find(labels)
        scanned = scan(files)
        found_layout = layout(scanned, encoding)
        text, refused = from_labels(scanned, found_layout, name, source), scanned.refused
        void = f", void {found_layout.void}" if found_layout.void else ", no void value"
        summary = (
            f"{len(found_layout.values)} classes in {scanned.files} label files, encoding {found_layout.encoding}{void}"
        )
        if others:
            what = "1 file that is" if others == 1 else f"{others} files that are"
            click.echo(f"passed over {what} neither PNG nor TIFF", err=True)
    else:
        text = starter(name, source, "id" if encoding == "auto" else encoding)
    write_atomic(target, text.encode("utf-8"))
    _next(target, text, summary, source, options["search"])
    return refused


def _check_encoding(encoding: str) -> None:
    import re

    from lsu_onto.ontology.keys import ENCODINGS

    if encoding not in ("auto", *ENCODINGS) and not re.fullmatch(r"id16/[1-9]\d{0,4}", encoding):
        known = ", ".join(f"`{e}`" for e in ENCODINGS)
        raise click.UsageError(f"`{encoding}` is no encoding; known are {known}, and `auto`")


def _next(target: Path, text: str, summary: str, source: Source | None, search: tuple[str, ...]) -> None:
    path = "".join(f" --path {p}" for p in search)
    todo = text.count(f"{TODO}:")
    click.echo(f"wrote {target}: {summary}")
    click.echo("next:")
    click.echo(f"  open it, and settle what is marked {TODO} ({todo}) or called a guess")
    if source:
        click.echo(f"  lsu-onto validate {target}{path}   asks for each class that is not related yet")
        click.echo(f"  lsu-onto show {target}{path}       what a pixel of each class may be then")
    else:
        click.echo(f"  lsu-onto validate {target}{path}   silent when all is well")
