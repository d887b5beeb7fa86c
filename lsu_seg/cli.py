"""`lsu-seg`: gathers the commands, which are imported when they are asked for."""

from __future__ import annotations

import os
from importlib import import_module

import click

from lsu_onto import __version__

# Before torch starts its threads: one that waits gives its core away after some 10 µs instead of spinning for
# milliseconds. On a machine that does anything else at the same time the spinning costs 3 to 20 times the run
# time (measured on 2 cores); on an idle one this costs nothing.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# mmengine asks for a GPU when it is imported, which must not start the driver: `--jobs` forks, and a process that was
# forked from one with a started driver cannot use the GPU.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

_COMMANDS = ("demo", "scan", "relabel", "train", "pseudo-label", "evaluate", "compare", "unify", "decode")
"""In the order of work; each is a module of `lsu_seg.commands` and a function there of the same name."""


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"lsu_seg.commands.{name}"), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lsu-seg")
def main() -> None:
    """Train teachers, pseudo-label datasets inside their constraints, train and judge students.

    \b
    Examples:
      lsu-seg demo                             the whole method on drawn scenes
      lsu-seg scan TAXONOMY --data-root DIR    is the dataset what its taxonomy says?
      lsu-seg unify CONFIG                     the whole method on your data
      lsu-seg train CONFIG                     one model
      lsu-seg pseudo-label CONFIG CHECKPOINT   labels alone
      lsu-seg pseudo-label TAXONOMY --teacher CONFIG CHECKPOINT --data-root DIR -o OUT
      lsu-seg evaluate CONFIG CHECKPOINT       figures alone
      lsu-seg compare A.json B.json            what differs between two of them
      lsu-seg decode TAXONOMY LABEL LOGITS     one pseudo-label from your own model's logits
    """


if __name__ == "__main__":
    main()
