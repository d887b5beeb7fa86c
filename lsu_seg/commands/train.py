"""`lsu-seg train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lsu_onto.program import Command, search_path
from lsu_seg.commands.arguments import CONFIG, LAUNCHER, ROOT, WORK, load, precision_option, set_option


@click.command(cls=Command, interrupted="with `--resume` the same command goes on from the last checkpoint")
@CONFIG
@WORK
@ROOT
@click.option(
    "--student",
    metavar="KIND",
    help="Train a student of the config's `unify` section, raw, constrained or set, on the labels in WORK_DIR/pseudo.",
)
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint in the work folder.")
@precision_option()
@LAUNCHER
@search_path
@set_option("-o")
def train(
    config: str,
    work_dir: str | None,
    data_root: str | None,
    student: str | None,
    resume: bool,
    precision: str | None,
    search: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    """Train the model of an MMSeg config.

    \b
    Examples:
      lsu-seg train lsu_seg/configs/demo/demo.py --work-dir work/teacher
      lsu-seg train RECIPE --student set --work-dir work/recipe
      torchrun --nproc-per-node 4 -m lsu_seg train CONFIG --launcher pytorch
    """
    from lsu_seg.training.run import train as run_training
    from lsu_seg.unify.configs import one_student
    from lsu_seg.unify.stages import check_no_stage

    cfg = load(config, data_root, work_dir, options, search)
    cfg = one_student(cfg, student) if student else cfg
    if precision:
        cfg.train_precision = precision
    check_no_stage(Path(cfg.work_dir))
    click.echo(run_training(cfg, resume=resume))
