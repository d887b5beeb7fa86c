"""`lsu-onto`: thin commands over the functions that everything else calls too.

Imports are inside the commands, so that `--help` starts without numpy, lark or networkx.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from lsu_onto import __version__
from lsu_onto.arguments import named_folders, search_path, tax_files

if TYPE_CHECKING:
    from lsu_onto.diagnostics import Diagnostic


_ELSEWHERE = {
    "doctor": "lsu_onto.doctor:doctor",
    "export": "lsu_onto.exchange.commands:export",
    "import": "lsu_onto.exchange.commands:import_",
    "init": "lsu_onto.init:init",
    "lsp": "lsu_onto.lsp.command:lsp",
}


class _Commands(click.Group):
    """Imports the commands of other modules when they are asked for, so that `validate` does not wait for them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        from importlib import import_module

        module, _, name = _ELSEWHERE[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lsu-onto")
def main() -> None:
    """Check, compile and draw label-space ontologies written in `.tax` files.

    \b
    Examples:
      lsu-onto validate taxonomies            check every file; silent when all is well
      lsu-onto show demo_town                 what a pixel of each class may be
      lsu-onto render demo_town -o town.svg   draw the map
      lsu-onto fmt taxonomies                 align the columns
      lsu-onto explain TAX306                 what a rule wants, and why
    """


def _colour(stream: TextIO | None = None) -> bool:
    """Whether a stream (default: stderr) is a terminal whose user wants colours (no-color.org)."""
    return (stream or sys.stderr).isatty() and not os.environ.get("NO_COLOR")


@main.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option(
    "--format",
    "format_",
    default="full",
    show_default=True,
    type=click.Choice(["full", "concise", "json", "github", "sarif"]),
    help="How findings are printed.",
)
@search_path
def validate(paths: tuple[str, ...], strict: bool, format_: str, **options: Any) -> None:
    """Check `.tax` files and folders of them (default: this folder).

    Names are looked up in the folders that are given here first, then in --path, then in the shipped taxonomies.
    Silent on success. Exit code 0: no errors, 1: errors (with --strict: or warnings), 2: wrong usage.
    `json` also lists infos.

    \b
    Examples:
      lsu-onto validate field.tax
      lsu-onto validate taxonomies --strict --format github
    """
    from lsu_onto.library import Library
    from lsu_onto.report import FORMATS

    library = Library([*named_folders(paths), *options["search"]])
    files, found = tax_files(paths)
    for file in files:
        found += library.check(file).diagnostics
    for file in files:
        imported = {f for o in library.check(file).resolved.ontologies for f in o.files} - set(files)
        found += [d for f in sorted(imported) for d in library.check(f).errors]
    shown = [d for d in dict.fromkeys(found) if format_ == "json" or d.severity != "info"]
    errors = sum(d.severity == "error" for d in shown)
    warnings = sum(d.severity == "warning" for d in shown)
    if shown or format_ in ("json", "sarif"):
        to_stdout = format_ != "full"
        text = FORMATS[format_](shown, library.texts, _colour() and not to_stdout)
        click.echo(text, err=not to_stdout)
    if format_ == "full" and (errors or warnings):
        counts = [f"{n} {word}{'s' * (n != 1)}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
        first = next(d for d in shown if d.severity == ("error" if errors else "warning"))
        where = f" in {len(files)} file{'s' * (len(files) != 1)}" if files else ""
        click.echo(f"\n{' and '.join(counts)}{where}; `lsu-onto explain {first.code}` says more", err=True)
    sys.exit(1 if errors or (strict and warnings) else 0)


def _standard_input(name: str) -> tuple[str, Diagnostic | None]:
    from lsu_onto.diagnostics import Diagnostic
    from lsu_onto.library import here

    try:
        return sys.stdin.buffer.read().decode("utf-8"), None
    except UnicodeDecodeError as e:
        return "", Diagnostic("TAX002", f"not UTF-8 text: found byte 0x{e.object[e.start]:02x}", here(name))


@main.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--check", is_flag=True, help="Write nothing; list the files that would change.")
@click.option("--diff", "diff_", is_flag=True, help="Write nothing; show what would change.")
@search_path
def fmt(paths: tuple[str, ...], check: bool, diff_: bool, **options: Any) -> None:
    """Give `.tax` files and folders of them (default: this folder) the canonical layout.

    Only white space moves, and official names in quotes that are used as references become names. Lines that cannot
    be read stay as they are. `-` reads standard input and writes standard output. Exit code 0: done, or nothing to
    do; 1: with --check or --diff a file would change, or a file cannot be read; 2: wrong usage.

    \b
    Examples:
      lsu-onto fmt                      every .tax file below this folder
      lsu-onto fmt --check taxonomies   for CI
      lsu-onto fmt --diff field.tax
      lsu-onto fmt - < field.tax
    """
    from lsu_onto.diagnostics import Diagnostic
    from lsu_onto.files import write_atomic
    from lsu_onto.formatting import diff, format_file
    from lsu_onto.lang.parse import read
    from lsu_onto.library import Library, here
    from lsu_onto.report import full

    if check and diff_:
        raise click.UsageError("--check and --diff exclude each other: --diff checks too")
    if "-" in paths and len(paths) > 1:
        raise click.UsageError("`-` stands alone")
    library = Library([*named_folders(paths), *options["search"]])
    files, found = (["-"], []) if "-" in paths else tax_files(paths)
    changed = False
    for file in files:
        stdin = file == "-"
        name = "<stdin>" if stdin else file
        text, problem = _standard_input(name) if stdin else read(file)
        if problem:
            found.append(problem)
            continue
        new = format_file(library, file, text)
        found += [d for d in library.check(file).diagnostics if d.code == "TAX005"]
        changed |= new != text
        if diff_ and new != text:
            click.echo(diff(name, text, new, _colour(sys.stdout)))
        elif check and new != text:
            click.echo(name)
        elif stdin and not (check or diff_):
            click.echo(new.encode(), nl=False)
        elif new != text and not (check or diff_):
            try:
                write_atomic(file, new.encode())
            except OSError as e:
                found.append(Diagnostic("TAX001", f"cannot write `{file}`: {e.strerror}", here(file)))
            else:
                click.echo(f"formatted {file}")
    if found:
        click.echo(full(found, library.texts, _colour()), err=True)
    sys.exit(1 if found or (changed and (check or diff_)) else 0)


@main.command()
@click.argument("file")
@click.option("--against", required=True, metavar="git:REV|FILE", help="The old version: a revision, or a file.")
@click.option(
    "--format",
    "format_",
    default="full",
    show_default=True,
    type=click.Choice(["full", "concise", "json", "github", "sarif"]),
    help="How changes are printed.",
)
@search_path
def changes(file: str, against: str, format_: str, **options: Any) -> None:
    """List the breaking changes of a `.tax` file since another version of it.

    \b
    LABEL       a raw value (or a colour that is one) means another class
    CHANNEL     a class of a source moved, came or went: checkpoints break
    CONSTRAINT  S(d) changed: pseudo-labels are stale
    RENAME      a class has another name, and no alias tells

    Exit code 0: none, 1: some, or one of the versions has errors, 2: wrong usage, or nothing to compare with. With
    git:REV the other taxonomies of the repository are read as they were at that revision, too.

    \b
    Examples:
      lsu-onto changes field.tax --against git:HEAD
      lsu-onto changes field.tax --against git:origin/main --format github
      lsu-onto changes field.tax --against field_v1.tax
    """
    from lsu_onto.changes import BUCKETS
    from lsu_onto.report import FORMATS
    from lsu_onto.revisions import RevisionError
    from lsu_onto.revisions import changes as compare

    for path in (file, *([] if against.startswith("git:") else [against])):
        if not Path(path).is_file():
            raise click.UsageError(f"there is no file `{path}`")
    try:
        found, texts = compare(file, against, options["search"])
    except RevisionError as e:
        raise click.UsageError(str(e)) from None
    to_stdout = format_ != "full"
    if found or format_ in ("json", "sarif"):
        click.echo(FORMATS[format_](found, texts, _colour() and not to_stdout), err=not to_stdout)
    if found and not to_stdout:
        codes = [BUCKETS.get(d.code) for d in found]
        counts = [f"{codes.count(b)} {b}" for b in BUCKETS.values() if b in codes]
        what = f"breaking changes: {', '.join(counts)}" if counts else "the versions cannot be compared"
        click.echo(f"\n{what}; `lsu-onto explain {found[0].code}` says more", err=True)
    sys.exit(1 if found else 0)


def _user_errors(action: Callable[[], Any]) -> Any:
    """Run an action; a taxonomy's errors become a message and exit code 1."""
    from lsu_onto.library import TaxonomyError

    try:
        return action()
    except TaxonomyError as e:
        click.echo(f"error: {e}", err=True)
        sys.exit(1)


@main.command()
@click.argument("name")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Default: NAME.svg. The suffix sets the format.")
@click.option("--source", help="The source taxonomy, where NAME has maps to several.")
@click.option(
    "--view",
    type=click.Choice(["map", "tree", "matrix"]),
    default="map",
    show_default=True,
    help="The relations, the groups, or the matrix of S(d); an html opens with it.",
)
@search_path
def render(name: str, output: str | None, source: str | None, view: str, **options: Any) -> None:
    """Draw an ontology as svg, png, pdf, html or dot. Needs no `dot` program.

    An html has all three views on one page, with search; pointing at a class
    shows what it may be, and its notes. It opens from disk, without a network.

    \b
    Examples:
      lsu-onto render demo_town
      lsu-onto render field.tax -o field.html
      lsu-onto render field.tax -o field.png --view matrix
      lsu-onto render demo --view tree -o demo.pdf
    """
    from lsu_onto.library import Library
    from lsu_onto.render import FORMATS, RenderError, draw

    library = Library(options["search"])
    target = Path(output or f"{Path(name).stem if name.endswith('.tax') else name}.svg")
    ontology = _user_errors(lambda: library.ontology(name, source))
    try:
        draw(ontology, target, view)
    except RenderError as e:
        click.echo(f"error: {e}", err=True)
        sys.exit(1 if target.suffix.lower()[1:] in FORMATS else 2)
    click.echo(target)


@main.command(name="compile")
@click.argument("name")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="The `.npz` to write.")
@click.option("--source", help="The source taxonomy, where NAME has maps to several.")
@search_path
def compile_(name: str, output: str, source: str | None, **options: Any) -> None:
    """Compile an ontology to its constraint matrices.

    \b
    Example:
      lsu-onto compile demo_town -o town.npz
      python -c "import lsu_onto; print(lsu_onto.load('town.npz').allowed)"
    """
    from lsu_onto.compiled import save_npz
    from lsu_onto.library import Library
    from lsu_onto.matrices import compile_ontology

    if not output.endswith(".npz"):
        raise click.UsageError(f"the output must end in `.npz`, not `{output}`")
    ontology = _user_errors(lambda: Library(options["search"]).ontology(name, source))
    try:
        save_npz(compile_ontology(ontology), output)
    except OSError as e:
        click.echo(f"error: cannot write `{output}`: {e.strerror}", err=True)
        sys.exit(1)
    click.echo(output)


@main.command()
@click.argument("name")
@click.argument("class_", metavar="[CLASS]", required=False)
@click.option("--source", help="The source taxonomy, where NAME has maps to several.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
@search_path
def show(name: str, class_: str | None, source: str | None, format_: str, **options: Any) -> None:
    """Show what a pixel of each class may be: S(d), relations, notes, statistics.

    On a terminal long cells go on below themselves; elsewhere every class is one line.

    \b
    Examples:
      lsu-onto show demo_town
      lsu-onto show demo_town pavement
    """
    import shutil

    from lsu_onto.library import Library
    from lsu_onto.show import as_json, as_text

    library = Library(options["search"])
    ontology = _user_errors(lambda: library.ontology(name, source))
    row = _user_errors(lambda: _row(ontology, class_))
    if format_ == "json":
        click.echo(as_json(ontology, row))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(as_text(ontology, row, _colour(sys.stdout), width))


def _row(ontology: Any, class_: str | None) -> int | None:
    from lsu_onto.diagnostics import suggest
    from lsu_onto.library import TaxonomyError

    if class_ is None:
        return None
    names = {**ontology.dataset.by_other_name, **ontology.dataset.by_name}
    if class_ not in names:
        hint = suggest(class_, names, "without CLASS, all are shown")
        raise TaxonomyError(f"`{ontology.dataset.name}` has no class `{class_}`; {hint}")
    return int(names[class_])


@main.command()
@click.argument("code")
def explain(code: str) -> None:
    """Explain a diagnostic: what the rule wants, why, and an example of each.

    \b
    Example:
      lsu-onto explain TAX306
    """
    from lsu_onto.diagnostics import RULES, suggest

    rule = RULES.get(code.upper())
    if rule is None:
        hint = suggest(code.upper(), RULES)
        raise click.UsageError(f"there is no rule `{code}`" + (f"; {hint}" if hint else ""))
    click.echo(f"{rule.severity}[{rule.code}]: {rule.title}\n\n{rule.why}\n")
    click.echo(f"bad:\n{_example(rule.bad)}\n\ngood:\n{_example(rule.good)}")


def _example(text: str) -> str:
    if _colour(sys.stdout):
        from lsu_onto.lang.highlight import highlight

        text = highlight(text)
    return "\n".join(f"    {line}" for line in text.split("\n"))


@main.command()
@click.option(
    "-o",
    "--output",
    default="docs/errors",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Folder.",
)
def docs(output: str) -> None:
    """Write a Markdown page for every diagnostic, and an index.

    \b
    Example:
      lsu-onto docs -o docs/errors
    """
    from lsu_onto.docs import error_pages

    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in error_pages().items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as e:
        click.echo(f"error: cannot write `{output}`: {e.strerror}", err=True)
        sys.exit(1)
    click.echo(output)


@main.command(name="list")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
@search_path
def list_(format_: str, **options: Any) -> None:
    """List the taxonomies on the search path: class counts, and the sources that each dataset has a map to.

    \b
    Examples:
      lsu-onto list
      lsu-onto list --path my_taxonomies --format json
    """
    import json
    import shutil

    from lsu_onto.catalogue import as_text, catalogue
    from lsu_onto.library import Library

    rows = catalogue(Library(options["search"]))
    if format_ == "json":
        click.echo(json.dumps({"version": 2, "taxonomies": rows}, indent=2))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000
    click.echo(as_text(rows, width))


if __name__ == "__main__":
    main()
