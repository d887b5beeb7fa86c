"""A call: a command line that works, or one drawn from the program's own tree of commands, with some things wrong."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import click
import mutate
import world

NAMES = ["tiny", "park", "two", "park v1", "tiny@v1", "two v2", "demo", "demo_town", "idd", "cityscapes", "offroad"]
NAMES += ["road", "way", "sky", "@nature", "train", "val", "TAX306", "id", "rgb", "git:HEAD", "git:HEAD~9:park.tax"]
OUTPUTS = ["mine.tax", "mine.json", "mine.svg", "mine.html", "mine.npz", "mine", "new/er/mine.csv", "park.tax", "park"]
OUTPUTS += [
    "park.tax/x",
    "ok",
    ".",
    "-",
    "/dev/null",
    "-x.svg",
    "a\nb.json",
    "sur\udcff.svg",
    "x" * 300,
    "~",
    "mine.zzz",
]


@dataclass
class Call:
    """One call of a program in a copy of the world.

    Attributes:
        env: variables that differ; None: not set. streams: what stdin, stdout and stderr are.
        changed: the files that something was done to, for the record.
    """

    args: list[str]
    command: click.Command
    env: dict[str, str | None] = field(default_factory=dict)
    streams: tuple[str, str, str] = ("null", "file", "file")
    changed: list[str] = field(default_factory=list)
    no_folder: bool = False

    @property
    def endless(self) -> bool:
        """Whether it runs until it is interrupted."""
        return "--watch" in self.args

    def outputs(self) -> list[str]:
        """What it was told to write."""
        names = [n for p in self.command.params if "utput" in type(p.type).__name__ for n in p.opts]
        pairs = zip(["", *self.args], self.args, strict=False)
        return [arg for before, arg in pairs if before in names]


def draw(main: click.Group, lines: list[list[str]], folder: Path, base: Path, rng: Random) -> Call:
    """A call, and the copy of the world that it is about, in `folder`."""
    world.put_back(folder, base)
    files = sorted(os.fspath(p.relative_to(folder)) for p in folder.rglob("*") if ".git" not in p.parts)
    known = rng.random() < 0.85
    args = list(rng.choice(lines)) if known else _path(main, rng)
    command = _command(main, args)
    if not known:
        for parameter in command.params:
            if rng.random() < (0.9 if parameter.required else 0.25):
                args += _given(parameter, files, rng)
    call = Call(args, command)
    start = 2 if args[0] == "review" else 1
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 3])):
        _mistype(call, start, files, rng)
    if rng.random() < 0.75:
        for _ in range(rng.choice([1, 1, 2, 3])):
            _change(call, folder, files, rng)
    if rng.random() < 0.2:
        call.env = mutate.environment(rng)
    if rng.random() < 0.1:
        streams = [
            rng.choice(kinds) for kinds in (("null", "closed", "junk"), *[("file", "closed", "full", "pipe")] * 2)
        ]
        call.streams = (streams[0], streams[1], streams[2])
    call.no_folder = rng.random() < 0.01
    return call


def _path(main: click.Group, rng: Random) -> list[str]:
    """The words of a command."""
    words, here = [], main
    while isinstance(here, click.Group):
        words.append(rng.choice(here.list_commands(click.Context(here))))
        here = here.get_command(click.Context(here), words[-1])  # type: ignore[assignment]
    return words


def _command(main: click.Group, args: list[str]) -> click.Command:
    here: click.Command = main
    for word in args:
        if not isinstance(here, click.Group):
            break
        here = here.get_command(click.Context(here), word) or here
    return here


def _given(parameter: click.Parameter, files: list[str], rng: Random) -> list[str]:
    """What stands on a command line for a parameter."""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return [rng.choice([*parameter.opts, *parameter.secondary_opts])]
    count = rng.choice([0, 1, 1, 2, 3]) if parameter.nargs < 0 else parameter.nargs
    values = [_value(parameter.type, files, rng) for _ in range(count)]
    return [rng.choice(parameter.opts), *values] if isinstance(parameter, click.Option) else values


def _value(type_: click.ParamType, files: list[str], rng: Random) -> str:
    if rng.random() < 0.08:
        return rng.choice(mutate.WORDS + mutate.NUMBERS)
    if isinstance(type_, click.Choice):
        return str(rng.choice(type_.choices))
    if isinstance(type_, click.FloatRange | click.IntRange) or type_ in (click.INT, click.FLOAT):
        return rng.choice(["1", "2", "0.5", *mutate.NUMBERS])
    name = type(type_).__name__
    if "utput" in name:
        return rng.choice(OUTPUTS)
    if "Folder" in name:
        return rng.choice([".", "park", "ok", "labels", "fine", rng.choice(files)])
    if isinstance(type_, click.Path):
        return rng.choice(files)
    return rng.choice([rng.choice(files), rng.choice(NAMES), rng.choice(NAMES)])


def _mistype(call: Call, start: int, files: list[str], rng: Random) -> None:
    args, what = call.args, rng.randrange(8)
    if len(args) <= start or what < 2:
        if call.command.params:
            args += _given(rng.choice(call.command.params), files, rng)
        return
    i = rng.randrange(start, len(args))
    if what == 2:
        del args[i]
    elif what == 3:
        del args[i : i + 2]
    elif what == 4:
        args.insert(rng.randrange(start, len(args) + 1), args[i])
    elif what == 5:
        args[i] = rng.choice([*OUTPUTS, *NAMES, *rng.choices(files, k=30)])
    else:
        args[i] = mutate.word(args[i], rng)


def _change(call: Call, folder: Path, files: list[str], rng: Random) -> None:
    """Do something to a file, mostly to one that the command line names or that lies in a folder of it."""
    named = []
    for arg in call.args:
        for name in (arg, arg.partition(":")[0], f"{arg}.tax"):
            named += [f for f in files if f == name or (f.startswith(name.rstrip("/") + "/") and name not in ("", "."))]
    choices = [f for f in (named if named and rng.random() < 0.8 else files) if (folder / f).is_file()]
    if choices:
        name = rng.choice(choices)
        mutate.change(folder / name, rng)
        call.changed.append(name)


def commands(program: str) -> tuple[click.Group, list[list[str]]]:
    from importlib import import_module

    main: click.Group = import_module(f"{program}.cli").main
    return main, world.lines(program)
