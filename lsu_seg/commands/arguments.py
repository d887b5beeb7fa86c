"""What several commands of `lsu-seg` take. Imports are inside, so that `--help` starts fast."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lsu_onto.program import FolderPath, OutputPath

_Function = TypeVar("_Function", bound=Callable[..., Any])
_FUNCTION = re.compile(r"(.+\.py):[A-Za-z_]\w*", re.DOTALL)
_KEY_VALUE = re.compile(r"[A-Za-z_][\w.]*=")

KEPT = "finished stages and written labels are kept, and the same command goes on after them"
"""What becomes of the work when Ctrl-C stops it, of most commands."""


class Output(OutputPath):
    """A file or folder to write; a forgotten `KEY=VALUE`, which `-o` once took too, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        takes_keys = ctx is not None and any("--set" in option.opts for option in ctx.command.params)
        if takes_keys and _KEY_VALUE.match(str(value)):
            self.fail(
                f"`{value}` changes a key of the config: write `--set {value}` (a folder of that name: ./{value})"
            )
        return super().convert(value, param, ctx)


def _use_set(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> None:
    if values and "=" not in values[0]:
        raise click.UsageError(f"`-o {values[0]}` names no key of the config; the folder is `--work-dir {values[0]}`")
    if values:
        raise click.UsageError(f"keys of the config are changed with `--set`: write `--set {values[0]}`")


def _key_values(context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]) -> dict[str, Any]:
    if not pairs:
        return {}
    from mmengine.config import DictAction

    out = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.UsageError(f"`--set {pair}` is not `KEY=VALUE`")
        try:
            if value.startswith("dict("):  # a string to mmengine, or without end
                raise RecursionError
            out[key] = DictAction._parse_iterable(value)
        except AssertionError as e:
            raise click.UsageError(f"`--set {pair}`: {e}") from e
        except RecursionError:  # of brackets that are no list's
            raise click.UsageError(
                f"`--set {pair}`: expected a number, a word or a list; the keys of a `dict(…)` are set one by one, as"
                f" `--set {key}.KEY=VALUE`"
            ) from None
    return out


def set_option(*former: str) -> Callable[[_Function], _Function]:
    """`--set KEY=VALUE`; the names that it once had only say so."""

    def decorate(function: _Function) -> _Function:
        for name in ("--option", *former):
            function = click.option(
                name,
                "former" + name.replace("-", "_"),
                multiple=True,
                hidden=True,
                expose_value=False,
                callback=_use_set,
            )(function)
        return click.option(
            "--set",
            "options",
            multiple=True,
            metavar="KEY=VALUE",
            callback=_key_values,
            help="Change a key of the config, such as `train_cfg.max_iters=100` (repeatable).",
        )(function)

    return decorate


PACKAGE = Path(__file__).parents[1]


def shipped(config: str) -> str:
    """The path of a config. Those of this package are found from any folder by the name that the docs have for them."""
    inside = PACKAGE.parent / config
    is_ours = inside.is_relative_to(PACKAGE / "configs") and ".." not in inside.parts
    return str(inside) if is_ours and not Path(config).exists() and inside.is_file() else config


class ConfigFile(click.Path):
    """A config: a file, or `lsu_seg/configs/…`; or, as a teacher, a function in a file, which must be there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if (match := _FUNCTION.fullmatch(str(value))) and not Path(value).exists():
            from lsu_seg.runtime.own_code import check_file

            check_file(match[1])  # now, and not after torch is imported
        return super().convert(shipped(str(value)), param, ctx)


CONFIG = click.argument("config", type=ConfigFile(exists=True, dir_okay=False))
ROOT = click.option("--data-root", type=FolderPath(), help="Folder of the data; replaces the config's `data_root`.")
WORK = click.option(
    "--work-dir", type=OutputPath(), help="Folder of the results.  [default: the config's, or work/NAME]"
)
LAUNCHER = click.option(
    "--launcher",
    type=click.Choice(["none", "pytorch", "slurm", "mpi"]),
    default="none",
    show_default=True,
    expose_value=False,
    callback=lambda context, _, value: context.meta.update({"lsu_seg.launcher": value}),
    help="How several processes were started, as mmengine names it; `pytorch` for torchrun.",
)
UNKNOWN = click.Choice(["error", "void"])


def precision_option(default: str = "bf16 on a GPU that has it, else fp32") -> Callable[[_Function], _Function]:
    """`--precision`. default: in words."""
    return click.option(
        "--precision",
        type=click.Choice(["fp32", "tf32", "bf16", "fp16"]),
        help=f"Precision that the network computes in.  [default: {default}]",
    )


JOBS = click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Stages at a time, each in its own process.  [default: what OMP_NUM_THREADS leaves room for; 1 with a GPU]",
)


def say_written(page: str | None, err: bool) -> None:
    """Say where the page is that an option has asked for; not of a device, such as `/dev/stdout`, which shows it."""
    if page and Path(page).is_file():
        click.echo(page, err=err)


def scales(context: click.Context, parameter: click.Parameter, value: str | None) -> list[float] | None:
    """Of an option: a list of numbers."""
    try:
        numbers = None if value is None else [float(s) for s in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"`{value}` is not a list of numbers such as 0.5,1,2") from None
    if numbers and not all(0.01 <= s <= 10 for s in numbers):  # as `Views` has it
        raise click.BadParameter(f"`{value}`: scales are from 0.01 to 10, such as 0.5,1,2")
    return numbers


def load(
    config: str, data_root: str | None, work_dir: str | None, options: dict[str, Any], search: tuple[str, ...] = ()
) -> Any:
    from lsu_seg.openmmlab.config import load_config

    return placed(load_config(config, data_root, options, search), work_dir, Path(config).stem)


def placed(cfg: Any, work_dir: str | None, name: str) -> Any:
    """A config with its work folder, and with the launcher of this run."""
    from lsu_seg.openmmlab.parts import check_work_dir

    if work_dir or not cfg.get("work_dir"):
        cfg.work_dir = work_dir or f"work/{name}"
    check_work_dir(cfg)
    cfg.launcher = click.get_current_context().meta.get("lsu_seg.launcher", "none")
    return cfg


def teacher_options(what: str, required: bool = False, several: bool = True) -> Callable[[_Function], _Function]:
    """`--teacher` and `--checkpoint`, which take every kind of teacher; `several`: also a file that lists them."""
    kinds = (
        "MMSeg config, Hugging Face folder or OWNER/NAME[@REVISION] on its hub, checkpoint of data-priors,"
        " FILE.py:FUNCTION that makes a torch network"
    )

    def decorate(function: _Function) -> _Function:
        weights = click.option(
            "--checkpoint",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="The teacher's weights, if --teacher is a config or a function.",
        )
        teacher = click.option(
            "--teacher",
            type=ConfigFile(),
            required=required,
            metavar="TEACHER",
            help=f"{what}: {kinds}{', or YAML file that lists several' if several else ''}. See docs/teachers.md.",
        )
        return teacher(weights(function))

    return decorate


def ask_options(function: _Function) -> _Function:
    """Of the commands that ask a teacher about some images of a dataset, once for all of them."""
    for option in reversed(
        [
            teacher_options("Ask this teacher about NAME"),
            click.option("--split", metavar="SPLIT", help="Split of NAME.  [default: train, or the only one]"),
            click.option(
                "--images",
                type=click.IntRange(1),
                help="Number of images of NAME to ask about, drawn at random.  [default: 300]",
            ),
            click.option(
                "--unknown", type=UNKNOWN, help="What to do with raw values that NAME does not list.  [default: error]"
            ),
            click.option(
                "--work-dir",
                type=OutputPath(),
                metavar="DIR",
                help="Folder of the teacher's answers, which `audit` and `suggest` reuse.  [default: work/audit]",
            ),
        ]
    ):
        function = option(function)
    return function
