"""What both programs, `lsu-onto` and `lsu-seg`, consist of.

Commands that are imported when they are asked for, the one place where their errors arrive, what they write to, and the
options that they share.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from lsu_onto.endings import Ending, ending, need_current_folder
from lsu_onto.errors import UserError, interruption
from lsu_onto.streams import give_up_full_streams, mend_streams
from lsu_onto.unraised import CODE, said_of, tell_without_traceback

_Function = TypeVar("_Function", bound=Callable[..., Any])

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def put_data(text: str) -> None:
    """Print what another program will read: UTF-8 whatever the stream, like the same text in a file."""
    data = text.encode("utf-8", "backslashreplace")  # names of files may be no text
    click.echo(data if hasattr(sys.stdout, "buffer") else data.decode(), nl=False)  # a notebook takes no bytes


# --- the commands ----------------------------------------------------------------------------------------------------


class Command(click.Command):
    """A command that says how it ends where that is not as usual.

    Args:
        interrupted: what becomes of the work when Ctrl-C stops it.
        refused: the exit code of a refusal: 2 where 1 is a verdict.
    """

    def __init__(self, *args: Any, interrupted: str = "", refused: int = 1, **options: Any) -> None:
        super().__init__(*args, **options)
        self.interrupted = interrupted
        self.refused = refused


def _nobody_reads() -> bool:
    """Whether the program that our output goes to has ended, as `head` does."""
    import select

    for stream in (sys.stdout, sys.stderr):
        try:
            poll = select.poll()
            poll.register(stream.fileno(), 0)  # the end of a pipe, or of a socket
        except (AttributeError, OSError):  # no such call on Windows; no file behind the stream
            continue
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            return True
    return False


def _empty(args: list[str], command: click.Command) -> str:
    """What has no value among the arguments of a command, or "". An empty one means nothing to any of them."""
    options = [p for p in command.params if isinstance(p, click.Option) and not p.is_flag]
    names = {name for option in options for name in option.opts}
    for before, arg in zip(["", *args], args, strict=False):
        option, equals, value = arg.partition("=")
        if option in names and equals and not value:
            return f"`{option}`"
        if not arg:
            return f"`{before}`" if before in names else "an argument"
    return ""


class Program(click.Group):
    """A program whose commands are imported when they are asked for, and end in one place.

    Args:
        package: of the commands' modules.
        sections: title → command → `module:function`, in the order of the help.
    """

    def __init__(self, *args: Any, package: str, sections: Mapping[str, Mapping[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.package = package
        self.sections = sections
        self.places = {name: place for section in sections.values() for name, place in section.items()}

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*args, **options)
        except KeyboardInterrupt as error:  # while the help is printed, which is before `invoke`
            raise Ending("interrupted", 130) from error

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            mend_streams()
            tell_without_traceback(self._name())
            return super().main(*args, **options)
        except (click.ClickException, click.exceptions.Exit, click.Abort):  # without click's standalone mode
            raise
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            if isinstance(error, BrokenPipeError) and error.filename is None and _nobody_reads():
                sys.exit(1)  # as click ends, but for its own messages
            end = None
            with contextlib.suppress(Exception):  # of a damaged installation
                end = ending(error)  # while the help is printed, which is before `invoke`
            if end is None:
                said = said_of(error, self._name())
                if said is None:
                    raise
                end = Ending(said, CODE)
            end.show()
            sys.exit(end.exit_code)
        finally:
            give_up_full_streams()

    def _name(self) -> str:
        return self.package.partition(".")[0].replace("_", "-")

    def _main_shell_completion(self, *args: Any, **options: Any) -> None:
        try:
            super()._main_shell_completion(*args, **options)
        except BrokenPipeError:
            raise SystemExit(1) from None
        except (KeyboardInterrupt, Ending):  # the latter of `make_context`
            raise SystemExit(130) from None
        except IndexError:  # a word of white space, which fish asks for: nothing begins so
            raise SystemExit(0) from None
        except (KeyError, ValueError, SystemExit) as error:  # no shell has set what it is to complete
            if isinstance(error, SystemExit) and not error.code:
                raise
            end = Ending("error: completion is for shells; write `bash_source`, `zsh_source` or `fish_source`", 2)
            end.show()
            raise SystemExit(end.exit_code) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.places:
            return None
        module, _, function = self.places[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"{self.package}.{module}"), function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.places and not ctx.resilient_parsing:
            from lsu_onto.diagnostics import suggest

            hint = suggest(args[0], self.places, f"there are {', '.join(self.places)}")
            ctx.fail(f"there is no command `{args[0]}`; {hint}")
        name, command, rest = super().resolve_command(ctx, args)
        if command and not ctx.resilient_parsing and (empty := _empty(rest, command)):
            context = click.Context(command, ctx, info_name=name)
            raise click.UsageError(f"{empty} is empty: is a variable of a script unset?", context)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = formatter.width - 6 - max(map(len, self.places))
        for title, section in self.sections.items():
            commands = [(name, self.get_command(ctx, name)) for name in section]
            with formatter.section(title):
                formatter.write_dl([(name, c.get_short_help_str(width)) for name, c in commands if c])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._invoke(ctx)
        except KeyboardInterrupt as error:  # while it is found out how the command ends
            raise Ending("interrupted", 130) from error

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            need_current_folder()
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # a panic in a library's Rust is no Exception
            stop = interruption(error)
            if isinstance(stop, SystemExit) and not isinstance(error, UserError):  # of which that tells
                raise stop from None
            if stop is None and isinstance(error, BrokenPipeError) and error.filename is None:
                if _nobody_reads():
                    raise  # click ends quietly
                raise RuntimeError("a process at the other end of a pipe has ended") from error
            name = ctx.invoked_subcommand
            end = ending(error, self.get_command(ctx, name) if name else None)
            if end is None and isinstance(error, EOFError):  # click would take it for a closed standard input
                raise RuntimeError("a file or a pipe ended too early") from error
            if end is None:
                raise
            raise end from error


# --- what commands take ----------------------------------------------------------------------------------------------


def _names(ctx: click.Context, parameter: click.Parameter, incomplete: str, kind: str = "") -> list[CompletionItem]:
    """The taxonomies whose names begin so; else files."""
    from lsu_onto import taxonomies

    try:
        entries = taxonomies(ctx.params.get("search") or ())
    except UserError:
        entries = []
    names = sorted({e.name for e in entries if e.name.startswith(incomplete) and kind in ("", e.kind)})
    return [CompletionItem(name) for name in names] or ([] if kind else [CompletionItem(incomplete, type="file")])


def _sources(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _names(ctx, parameter, incomplete, "source")


def taxonomy_argument(name: str = "name", **options: Any) -> Callable[[_Function], _Function]:
    """The name of a taxonomy, or a `.tax` file."""
    return click.argument(name, shell_complete=_names, **options)


def source_option(
    help: str = "The source taxonomy, where there are maps to several.", **options: Any
) -> Callable[[_Function], _Function]:
    return click.option("--source", help=help, shell_complete=_sources, **options)


class NumberRange(click.FloatRange):
    """A finite number in a range. click takes `nan`, which is smaller and larger than nothing, for one in any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


class OutputPath(click.Path):
    """A file or folder to write.

    Taxonomies are written by hand, and any copy may be the only one: what writes no `.tax` file replaces none.

    Args:
        suffixes: how the file may end; without any, any name but that of a taxonomy will do.
    """

    def __init__(self, *suffixes: str, **options: Any) -> None:
        super().__init__(**options)
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = os.fspath(value)
        is_file = os.path.isfile(path) or not os.path.exists(path)  # noqa: PTH110, PTH113 (Path raises)
        is_file = is_file and not (path == "-" and self.allow_dash)
        if is_file and not path.startswith(("/dev/", "/proc/")):
            if self.suffixes and not path.endswith(self.suffixes):
                expected = " or ".join(f"`{suffix}`" for suffix in self.suffixes)
                self.fail(f"the output must end in {expected}, not `{path}`", param, ctx)
            if ".tax" not in self.suffixes and {path[-4:], os.path.realpath(path)[-4:]} & {".tax"}:
                self.fail(f"`{path}` is the name of a taxonomy, and this writes none; name another file", param, ctx)
        return super().convert(value, param, ctx)


class FolderPath(click.Path):
    """A folder to read. click itself takes a pipe for one, in which nothing would be found.

    Args:
        exists: whether it must be there.
    """

    def __init__(self, exists: bool = False) -> None:
        super().__init__(exists=exists, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = os.fspath(value)
        if os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112 (Path raises)
            self.fail(f"`{path}` is not a folder", param, ctx)
        return super().convert(value, param, ctx)


def need_new(file: str, format_: str) -> None:
    """Refuse a `.tax` file that is there already, and two things on standard output.

    Raises:
        UserError: it is. UsageError: the map and the report would both be printed.
    """
    if file == "-" and format_ != "text":
        raise click.UsageError(f"-o - and --format {format_} would both be printed; name a file for -o")
    if file != "-" and os.path.lexists(file):
        raise UserError(f"`{file}` is there already, and nothing is overwritten; take another name with -o")


def put_new_map(text: str, report: str, file: str, format_: str, next_step: str) -> None:
    """Write a first map, or print it, and say what there is to say of it."""
    from lsu_onto.files import write_atomic

    if file == "-":
        put_data(text)
    else:
        write_atomic(Path(file), text.encode("utf-8", "backslashreplace"))
    if format_ == "json":
        put_data(report)
        return
    click.echo(report.rstrip("\n"), err=file == "-")
    if file != "-":
        click.echo(f"\nwrote {file}: a draft; read it, then `{next_step}`", err=True)


def _with_project(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """The folders of `--path`, then those of the project."""
    from lsu_onto.settings import find_settings

    try:
        return tuple(dict.fromkeys([*value, *find_settings(Path.cwd()).paths_from_here()]))
    except UserError:
        if ctx.resilient_parsing:  # completion
            return value
        raise


def path_option(**options: Any) -> Callable[[_Function], _Function]:
    """Folders to search, as they are given."""
    return click.option(
        "--path",
        "search",
        multiple=True,
        type=FolderPath(exists=True),
        metavar="DIR",
        help="Search this folder before the shipped taxonomies (repeatable).",
        **options,
    )


search_path = path_option(callback=_with_project)
"""For commands that look taxonomies up: the folders of `paths` in `pyproject.toml` come after those of the option."""

text_or_json = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the result is printed.",
)


def first_map_options(required: bool) -> Callable[[_Function], _Function]:
    """The options of commands that write a first map: `source`, `output`, `format_` and `search`.

    Args:
        required: whether nothing else says which source is meant.
    """
    options = (
        source_option("The source taxonomy that the classes are related to.", required=required),
        click.option(
            "-o",
            "--output",
            type=OutputPath(".tax", dir_okay=False, allow_dash=True),
            metavar="FILE | -",
            help="The map, a new file; `-` prints it, and the table to standard error.  [default: NAME-SOURCE.tax]",
        ),
        text_or_json,
        search_path,
    )

    def decorate(command: _Function) -> _Function:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
