"""`lsu-seg decode`."""

from __future__ import annotations

import click

from lsu_onto.program import source_option, taxonomy_argument
from lsu_seg.commands.arguments import UNKNOWN, Output


@click.command()
@taxonomy_argument("taxonomy")
@click.argument("label", type=click.Path(dir_okay=False))
@click.argument("logits", type=click.Path(dir_okay=False))
@source_option()
@click.option("-o", "--output", required=True, type=Output(dir_okay=False), help="PNG to write.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Below this confidence the output is void.")
@click.option(
    "--unknown",
    type=UNKNOWN,
    default="error",
    show_default=True,
    help="What becomes of raw values that TAXONOMY does not list.",
)
def decode(
    taxonomy: str, label: str, logits: str, source: str | None, output: str, threshold: float | None, unknown: str
) -> None:
    """Decode the logits of any model into a pseudo-label, inside the constraints of one label file.

    LABEL is annotated in TAXONOMY. LOGITS is a `.npy` file: float [K, h, w] at any resolution, channels in the
    order of the source taxonomy.

    \b
    Example:
      lsu-seg decode idd --source cityscapes 0001_gt.png 0001.npy -o 0001.png
    """
    from lsu_seg.decode.files import decode_file

    decode_file(taxonomy, source, label, logits, output, threshold, unknown)
