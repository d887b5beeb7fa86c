"""`lsu-seg compare`."""

from __future__ import annotations

from pathlib import Path

import click

from lsu_onto.program import put_data, text_or_json


@click.command()
@click.argument("a", type=click.Path(exists=True, dir_okay=False))
@click.argument("b", type=click.Path(exists=True, dir_okay=False))
@text_or_json
def compare(a: str, b: str, format_: str) -> None:
    """Compare two evaluations on the same datasets: B - A, per class, with a 95 % interval.

    A and B are `evaluation.json` files of `lsu-seg evaluate`, with their `.npz` beside them; without, there are no
    intervals. Exits with 0 whatever differs, 1 if they cannot be compared.

    \b
    Examples:
      lsu-seg compare work/teacher/evaluation.json work/student/evaluation.json
      lsu-seg compare A.json B.json --format json > difference.json
    """

    from lsu_seg.evaluation.compare import as_text
    from lsu_seg.evaluation.compare import compare as difference
    from lsu_seg.evaluation.files import as_json

    result = difference(Path(a), Path(b))
    if format_ == "json":
        put_data(as_json(result))
    else:
        click.echo(as_text(result))
