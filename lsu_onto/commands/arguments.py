"""What several commands share: `.tax` files and folders of them, colours, formats, and where text goes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from lsu_onto.program import OutputPath, put_data
from lsu_onto.progress import progress

if TYPE_CHECKING:
    from lsu_onto.diagnostics import Diagnostic
    from lsu_onto.settings import Settings

_Function = TypeVar("_Function", bound=Callable[..., Any])


def project(paths: tuple[str, ...]) -> tuple[tuple[str, ...], Settings]:
    """What a command is to look at, and the settings of the current folder: the paths that are given, else those of the
    project, else this folder."""
    from lsu_onto.settings import find_settings

    settings = find_settings(Path.cwd())
    return paths or settings.paths_from_here() or (".",), settings


def tax_files(paths: tuple[str, ...], settings: Settings) -> tuple[list[str], list[Diagnostic]]:
    """The files that are named, and those in the folders that are; and what is wrong with the names.

    A file that cannot be read is among the files: reading it says why not. What the settings exclude in folders is not.
    """
    from lsu_onto.diagnostics import Diagnostic
    from lsu_onto.library.library import here
    from lsu_onto.library.searchpath import files_below

    files: dict[str, None] = {}
    problems = []
    for path in paths:
        if _is_folder(path):
            closed: list[OSError] = []
            with on_terminal("folders", None) as advance:
                found = sorted(map(str, files_below(path, closed, lambda name: advance() is None)))
            problems += [
                Diagnostic("TAX001", f"cannot read `{e.filename}`: {e.strerror}", here(e.filename)) for e in closed
            ]
            chosen = [f for f in found if not settings.excludes(f)]
            if found and not chosen:
                what = f"all `.tax` files in `{path}` are excluded"
                problems.append(Diagnostic("TAX001", what, here(path), f"see `exclude` in `{settings.file}`"))
            elif not found and not closed:
                problems.append(Diagnostic("TAX001", f"there are no `.tax` files in `{path}`", here(path)))
            found = chosen
            odd = [f for f in found if _is_no_file(f)]  # reading it might never end
            problems += [Diagnostic("TAX001", f"`{f}` is a pipe or a device, not a file", here(f)) for f in odd]
            files.update(dict.fromkeys(f for f in found if f not in odd))
        elif os.path.lexists(path) or (help_ := beside(path) or _where(path)) is None:
            files[path] = None
        else:
            problems.append(Diagnostic("TAX001", f"there is no file or folder `{path}`", here(path), help_))
    return list(files), problems


@contextlib.contextmanager
def on_terminal(what: str, total: int | None) -> Iterator[Callable[[], None]]:
    """`progress`, if somebody is looking: commands that print findings are silent otherwise."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with progress(what, total) as advance:
        yield advance


def named_folders(paths: tuple[str, ...]) -> list[str]:
    """The folders among the paths, to search first: the files of a tree see each other."""
    return [path for path in paths if _is_folder(path)]


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:  # in a folder that may not be entered
        return False


def _is_no_file(path: str) -> bool:
    """Whether something other than a file lies there. What cannot be looked at may be one: reading it says why not."""
    try:
        return Path(path).exists() and not Path(path).is_file()
    except OSError:
        return False


def no_file(path: str) -> str | None:
    """Why a path is not that of a file; None if it is, or if it is a pipe, which reading it knows more of."""
    if _is_folder(path):
        return f"`{path}` is a folder; expected a `.tax` file"
    if Path(path).exists():
        return None
    return "; ".join(filter(None, [f"there is no file `{path}`", beside(path)]))


def _where(name: str) -> str | None:
    """What to do where a name stands for a file: which files declare it; None if none does."""
    from lsu_onto.library.library import Library
    from lsu_onto.library.names import is_called, spaced

    files = list(dict.fromkeys(f"`{e.path}`" for e in Library().entries() if is_called(e, spaced(name))))
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"expected files and folders, not names; `{name}` is in {', '.join(files[:3])}{more}" if files else None


def beside(path: str) -> str | None:
    """What may be meant by a file that is not there, given what stands beside it; None where that cannot be seen."""
    from lsu_onto.diagnostics import suggest

    try:
        return suggest(path, [str(f) for f in Path(path).parent.iterdir()])
    except FileNotFoundError:
        return suggest(path, [])
    except OSError:
        return None


def colours(stream: TextIO | None = None) -> bool:
    """Whether a stream (default: stderr) is a terminal whose user wants colours (no-color.org)."""
    return (stream or sys.stderr).isatty() and not os.environ.get("NO_COLOR")


def put(text: str, output: str | None) -> None:
    """Write a text to a file, or else to standard output."""
    from lsu_onto.exchange import write_text

    if output is None:
        put_data(text)
        return
    write_text(output, text)
    click.echo(output, err=True)


taxonomy_output = click.option(
    "-o", "--output", type=OutputPath(".tax", dir_okay=False), metavar="OUT.tax", help="Default: standard output."
)
"""Of commands that write by `put_taxonomy`."""


def put_taxonomy(text: str, output: str | None) -> None:
    """Write a `.tax` file, or else to standard output. Another one that is there may have been edited, and stays.

    Raises:
        ExchangeError: there is a file with another text.
    """
    from lsu_onto.exchange.base import ExchangeError
    from lsu_onto.files import as_bytes, open_to_read

    if output is not None and Path(output).is_file():
        with open_to_read(output) as file:
            old = file.read()
        if old and old != as_bytes(text):
            raise ExchangeError(f"{output}: is there already, and would be lost; remove it, or write to another file")
    put(text, output)


def refuse_inputs(output: str | None, inputs: Iterable[str], source: str | None, search: tuple[str, ...]) -> None:
    """Refuse an output that is one of the files which the command reads, under whatever name.

    Args:
        output: the file to write; None: standard output.
        inputs: the files, and perhaps other things, that are read.
        source, search: the source taxonomy that is read, too, and where it is looked up.

    Raises:
        ExchangeError: what is written would replace what is read; or there is no such source.
    """
    if output is None or not Path(output).is_file():
        return
    from lsu_onto.exchange.base import ExchangeError
    from lsu_onto.exchange.skeleton import need_source

    for path in [*inputs, *([need_source(source, search).span.file] if source else [])]:
        with contextlib.suppress(OSError):  # not there: whoever reads it says so
            if Path(path).samefile(output):
                raise ExchangeError(f"{output}: is an input too, and would be lost; write to another file")


def findings_format(help: str) -> Callable[[_Function], _Function]:
    """`--format` of commands that print findings; its names are those of `reporting.findings.FORMATS`."""
    return click.option(
        "--format",
        "format_",
        default="full",
        show_default=True,
        type=click.Choice(["full", "concise", "json", "github", "sarif"]),
        help=help,
    )
