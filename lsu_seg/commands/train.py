"""`lsu-seg train`."""

from __future__ import annotations

from pathlib import Path

import click

from lsu_seg.commands.arguments import CONFIG, LAUNCHER, ROOT, SET, WORK, load, run


@click.command()
@CONFIG
@WORK
@ROOT
@click.option(
    "--student",
    metavar="KIND",
    help="Train a student of the config's `unify` section, raw, constrained or set, on the labels in WORK_DIR/pseudo.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the work folder.")
@LAUNCHER
@SET
def train(
    config: str,
    work_dir: str | None,
    data_root: str | None,
    student: str | None,
    resume: bool,
    options: tuple[str, ...],
) -> None:
    """Train the model of an MMSeg config.

    \b
    Example:
      lsu-seg train lsu_seg/configs/demo/demo.py --work-dir work/teacher
      lsu-seg train RECIPE --student set --work-dir work/recipe
    """
    from lsu_seg.training.run import train as run_training
    from lsu_seg.unify.configs import one_student

    def action() -> Path:
        cfg = load(config, data_root, work_dir, options)
        return run_training(one_student(cfg, student) if student else cfg, resume=resume)

    click.echo(run(action))
