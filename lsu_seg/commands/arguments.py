"""What several commands of `lsu-seg` take, and how they end. Imports are inside, so that `--help` starts fast."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def run(action: Callable[[], Any]) -> Any:
    """Run an action; what a user got wrong becomes a message and exit code 1, never a traceback."""
    try:
        from lsu_seg.errors import UserError

        try:
            return action()
        except UserError as e:
            click.echo(f"error: {e}", err=True)
            sys.exit(1)
        except OSError as e:
            click.echo(f"error: {e.filename or 'input or output'}: {e.strerror or e}", err=True)
            sys.exit(1)
    except KeyboardInterrupt:
        click.echo(
            "interrupted; finished stages and written labels are kept, and the same command goes on after them",
            err=True,
        )
        sys.exit(130)


def key_values(pairs: tuple[str, ...]) -> dict[str, Any]:
    from mmengine.config import DictAction

    out = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"`-o {pair}` is not `key=value`")
        try:
            out[key] = DictAction._parse_iterable(value)
        except AssertionError as e:
            raise click.UsageError(f"`-o {pair}`: {e}") from e
    return out


CONFIG = click.argument("config", type=click.Path(exists=True, dir_okay=False))
ROOT = click.option("--data-root", help="Put in place of the config's `data_root`.")
WORK = click.option("--work-dir", help="Folder of the results.  [default: the config's, or work/NAME]")
LAUNCHER = click.option(
    "--launcher",
    type=click.Choice(["none", "pytorch", "slurm", "mpi"]),
    default="none",
    show_default=True,
    expose_value=False,
    callback=lambda context, _, value: context.meta.update({"lsu_seg.launcher": value}),
    help="How several processes were started, as mmengine names it; `pytorch` for torchrun.",
)
SET = click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the config (repeatable).",
)
JOBS = click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Stages at a time, each in its own process.  [default: what OMP_NUM_THREADS leaves room for; 1 with a GPU]",
)


def load(config: str, data_root: str | None, work_dir: str | None, options: tuple[str, ...]) -> Any:
    from lsu_seg.openmmlab.config import load_config

    cfg = load_config(config, data_root, key_values(options))
    if work_dir or not cfg.get("work_dir"):
        cfg.work_dir = work_dir or f"work/{Path(config).stem}"
    cfg.launcher = click.get_current_context().meta.get("lsu_seg.launcher", "none")
    return cfg
