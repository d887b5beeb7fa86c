"""`lsu-onto validate`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from lsu_onto.commands.arguments import colours, findings_format, named_folders, on_terminal, project, tax_files
from lsu_onto.errors import visible
from lsu_onto.program import put_data, search_path

if TYPE_CHECKING:
    from lsu_onto.diagnostics import Diagnostic
    from lsu_onto.library.fixing import Fixed
    from lsu_onto.library.library import Library

_WATCHING = "watching for changes; Ctrl-C ends"


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--fix", "fix_", is_flag=True, help="Change the files: apply the fixes after which they mean the same.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: also fixes that guess or decide something.")
@click.option("--diff", "diff_", is_flag=True, help="Write nothing; show what --fix would change.")
@click.option("--watch", "watch_", is_flag=True, help="Check again whenever a file is saved, until Ctrl-C.")
@findings_format("How findings are printed.")
@search_path
def validate(
    paths: tuple[str, ...],
    strict: bool,
    fix_: bool,
    unsafe_fixes: bool,
    diff_: bool,
    watch_: bool,
    format_: str,
    **options: Any,
) -> None:
    """Check `.tax` files and folders of them (default: the project).

    The project is the folders of `paths` in the nearest pyproject.toml with a table [tool.lsu-onto], which also selects
    rules; without one, this folder. Names are looked up in the folders that are given here first, then in --path, then
    in the shipped taxonomies. Silent on success. Exit code 0: no errors (with --diff: and nothing would change), 1:
    errors (with --strict: or warnings), 2: wrong usage. `json` also lists infos.

    \b
    Examples:
      lsu-onto validate field.tax
      lsu-onto validate field.tax --diff --unsafe-fixes
      lsu-onto validate field.tax --fix
      lsu-onto validate taxonomies --watch
      lsu-onto validate taxonomies --strict --format github
    """
    from lsu_onto.library.fixing import findings, fix, write
    from lsu_onto.library.formatting import diff
    from lsu_onto.library.library import Library

    if unsafe_fixes and not (fix_ or diff_):
        raise click.UsageError("--unsafe-fixes says which fixes --fix applies, or --diff shows: add one of them")
    if diff_ and format_ != "full":
        raise click.UsageError("--diff prints a diff and no findings: leave --format out")
    if watch_ and (fix_ or diff_):
        raise click.UsageError("--watch changes no files, because an editor may have them open")
    if watch_ and format_ not in ("full", "concise"):
        raise click.UsageError(f"--watch prints findings for people, as `full` or `concise`, not as `{format_}`")
    if watch_:
        _watch(paths, options["search"], format_)
    paths, settings = project(paths)
    folders = [*named_folders(paths), *options["search"]]
    library = Library(folders, silenced=settings.silenced)
    files, problems = tax_files(paths, settings)
    with on_terminal("files", len(files)) as advance:
        found = findings(library, files, advance)
    fixed = None
    if fix_ or diff_:
        with on_terminal("fixes", None) as advance:
            fixed = fix(library, files, unsafe_fixes, advance)
    if fixed and diff_:
        for file, (old, new) in fixed.texts.items():
            put_data(diff(file, old, new, colours(sys.stdout)) + "\n")
        found = findings(library, files)
    elif fixed and fixed.texts:
        problems += write(library, fixed)
        # Anew, because the old one may know a file by a second name, as it was.
        library = Library(folders, silenced=settings.silenced)
        with on_terminal("files", len(files)) as advance:
            found = findings(library, files, advance)
    shown = _shown([*problems, *found], format_)
    if not diff_:  # the lines of what is left are not those on the disk
        _print(shown, library, format_, len(files))
        if format_ == "full" and not fixed and (offer := _offer(shown)):
            click.echo(offer, err=True)
    errors, warnings = _count(shown)
    if fixed:
        unsafe = 0 if unsafe_fixes else sum(d.fix is not None and not d.fix.safe for d in shown)
        click.echo(_report(fixed, errors + warnings, unsafe, diff_), nl=False, err=True)
    sys.exit(1 if errors or (strict and warnings) or (diff_ and fixed and fixed.texts) else 0)


def _watch(paths: tuple[str, ...], search: tuple[str, ...], format_: str) -> NoReturn:
    """Check files again and again, until Ctrl-C. After a change of the settings, everything is read anew.

    Settings that are wrong end the command only where it starts with them; later, somebody is still writing them.
    """
    from lsu_onto.library.disk import Disk, stamps
    from lsu_onto.library.fixing import findings
    from lsu_onto.library.library import Library
    from lsu_onto.settings import SettingsError, candidates

    pyprojects = candidates(Path.cwd())
    read = stamps(pyprojects)
    looked_at, settings = project(paths)
    of_project = settings.paths_from_here()
    given = [path for path in search if path not in of_project]
    changed: list[str] = []
    while True:
        folders = named_folders(looked_at)
        library = Library(dict.fromkeys([*folders, *given, *settings.paths_from_here()]), silenced=settings.silenced)
        disk = Disk(library, [path for path in looked_at if path not in folders])
        disk.look(pyprojects)
        afresh = stamps(pyprojects) != read  # saved since they were read
        while not afresh:
            _head(changed)
            files, problems = tax_files(looked_at, settings)
            shown = _shown([*problems, *findings(library, files)], format_)
            _print(shown, library, format_, len(files))
            if not shown:
                click.echo(f"no problems in {_counted(len(files), 'file')}", err=True)
            click.echo(_WATCHING, err=True)
            changed = disk.wait(pyprojects)
            afresh = bool(set(changed) & set(pyprojects)) or named_folders(looked_at) != folders
        while True:
            read = stamps(pyprojects)
            try:
                looked_at, settings = project(paths)
                break
            except SettingsError as error:
                _head(changed)
                click.echo(f"error: {visible(str(error))}\n{_WATCHING}", err=True)
                changed = disk.wait(pyprojects)


def _head(changed: list[str]) -> None:
    """A line with the time and with what has changed; on a terminal, in place of all that was there."""
    if sys.stderr.isatty():
        click.echo("\x1b[2J\x1b[3J\x1b[H", nl=False, err=True)
    elif changed:
        click.echo(err=True)
    names = [visible(os.path.relpath(path)).replace("\n", "\\n") for path in changed[:3]]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    what = f"{', '.join(names)}{more} changed" if changed else "checking"
    click.echo(f"[{time.strftime('%H:%M:%S')}] {what}\n", err=True)


def _shown(found: Iterable[Diagnostic], format_: str) -> list[Diagnostic]:
    """Each finding once; infos are for machines."""
    return [d for d in dict.fromkeys(found) if format_ == "json" or d.severity != "info"]


def _count(shown: Iterable[Diagnostic]) -> tuple[int, int]:
    """The errors and the warnings."""
    severities = [d.severity for d in shown]
    return severities.count("error"), severities.count("warning")


def _print(shown: list[Diagnostic], library: Library, format_: str, files: int) -> None:
    """Findings, and for people how many there are."""
    from lsu_onto.reporting.findings import FORMATS

    to_stdout = format_ != "full"
    if shown or format_ in ("json", "sarif"):
        text = FORMATS[format_](shown, library.texts, colours() and not to_stdout)
        click.echo(text, err=not to_stdout)
    errors, warnings = _count(shown)
    if format_ == "full" and (errors or warnings):
        first = next(d for d in shown if d.severity == ("error" if errors else "warning"))
        where = f" in {_counted(files, 'file')}" if files else ""
        counts = [_counted(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
        click.echo(f"\n{' and '.join(counts)}{where}; `lsu-onto explain {first.code}` says more", err=True)


def _report(fixed: Fixed, left: int, unsafe: int, diff_: bool) -> str:
    """What was fixed, and which fixes were not taken; empty if there was nothing to fix.

    Args:
        left: the findings that are left. unsafe: those of them that only unsafe fixes would settle.
    """
    more = f"; `--unsafe-fixes` fixes {unsafe} of them" if unsafe else ""
    lines = [
        f"{d.span.file}:{d.span.line}:{d.span.column}: not fixed [{d.code}]: to {d.fix.title} would lead to more errors"
        for d in fixed.undone
        if d.fix
    ]
    if fixed.texts:
        what = f"{_counted(sum(fixed.count.values()), 'finding')} in {_counted(len(fixed.texts), 'file')}"
        lines.append(
            f"would fix {what}; {left or 'none'} would be left{more}"
            if diff_
            else f"fixed {what}; {left or 'none'} {'are' if left > 1 else 'is'} left{more}"
        )
    elif left:
        lines.append(f"nothing to fix; {_counted(left, 'finding')} {'are' if left > 1 else 'is'} left{more}")
    return "".join(f"{line}\n" for line in lines)


def _offer(found: Iterable[Diagnostic]) -> str:
    """How many findings have a fix, and how to apply them; empty if none has."""
    fixes = [d.fix for d in found if d.fix]
    safe = sum(f.safe for f in fixes)
    ways = [("--fix", safe)] * (safe > 0) + [("--fix --unsafe-fixes", len(fixes))] * (len(fixes) > safe)
    return ", ".join(f"`{options}` fixes {n}" for options, n in ways)


def _counted(n: int, word: str) -> str:
    return f"{n} {word}{'s' * (n != 1)}"
