"""`lsu-seg average`."""

from __future__ import annotations

from pathlib import Path

import click

from lsu_onto.program import NumberRange
from lsu_seg.commands.arguments import Output


@click.command()
@click.argument("teacher", type=click.Path(dir_okay=False))
@click.argument("student", type=click.Path(dir_okay=False))
@click.option("-o", "--output", required=True, type=Output(dir_okay=False), metavar="FILE", help="Checkpoint to write.")
@click.option(
    "--share",
    type=NumberRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Share of the teacher's weights in the mean.",
)
def average(teacher: str, student: str, output: str, share: float) -> None:
    """Average the weights of a teacher and of a student that began with them.

    TEACHER and STUDENT are checkpoints of one architecture; STUDENT was trained with `load_from=TEACHER`, with
    `student_init='teacher'`, or as a `TorchSegmentor` with `checkpoint='TEACHER'`. The mean of models that began with
    different weights is no model. FILE is used wherever STUDENT is. Why: docs/training.md.

    \b
    Example:
      lsu-seg average work/teacher/iter_700.pth work/student_set/iter_700.pth -o work/mean.pth
      lsu-seg evaluate CONFIG work/mean.pth
    """
    from lsu_onto import UserError
    from lsu_seg.training.average import average_checkpoints

    for given in (teacher, student):
        if Path(output).exists() and Path(given).exists() and Path(output).samefile(given):
            raise UserError(f"{output}: is an input too, and would be lost; write the mean to another file")
    average_checkpoints(teacher, student, output, share)
    click.echo(output)
