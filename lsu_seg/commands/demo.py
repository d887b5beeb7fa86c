"""`lsu-seg demo`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click

from lsu_onto.program import Command, OutputPath
from lsu_seg.commands.arguments import JOBS, KEPT, load, set_option
from lsu_seg.commands.unify import run_unify

DEMO = Path(__file__).parents[1] / "configs" / "demo" / "demo.py"


@click.command(cls=Command, interrupted=KEPT)
@click.option(
    "--work-dir", type=OutputPath(), default="work/demo", show_default=True, help="Folder of data and results."
)
@click.option(
    "--seed",
    default=0,
    type=click.IntRange(0, 2**31 - 1),
    show_default=True,
    help="Seed of the scenes and of every training.",
)
@click.option("--fresh", is_flag=True, help="Start over: remove what an earlier run left.")
@JOBS
@set_option("-o")
def demo(work_dir: str, seed: int, fresh: bool, jobs: int | None, options: dict[str, Any]) -> None:
    """The whole method on drawn driving scenes, in minutes on a CPU.

    \b
    Examples:
      lsu-seg demo
      lsu-seg demo --seed 1 --work-dir work/demo1
    """

    # Before torch is imported. The images are so small that a second thread brings little, and costs much where the
    # other core is not free (measured per step: 47 ms with one; 38 with two on an idle machine, up to 550 beside
    # another busy process).
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    start = time.monotonic()

    import lsu_onto
    from lsu_seg.demo import data
    from lsu_seg.runtime.processes import can_fork, cores

    root = Path(work_dir) / "data"

    def draw() -> None:
        for taxonomy in dict.fromkeys(p.taxonomy for p in data.PARTS):
            constraint = lsu_onto.load(taxonomy, data.SOURCE)
            click.echo(
                f"{taxonomy}: {len(constraint.classes)} classes -> {constraint.num_classes} of `{data.SOURCE}`, valid"
            )
        if not data.make_data(root, seed, fresh, jobs or (cores() if can_fork() else 1)):
            click.echo("scenes: reused")

    run_unify(load(str(DEMO), str(root), work_dir, options), seed, fresh, jobs, start, draw)
