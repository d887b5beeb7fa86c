"""`lsu-seg decode`."""

from __future__ import annotations

from typing import Any

import click

from lsu_onto.program import Command, NumberRange, search_path, source_option, taxonomy_argument
from lsu_seg.commands.arguments import UNKNOWN, Output


@click.command(cls=Command, interrupted="labels written so far are whole")
@taxonomy_argument("taxonomy")
@click.argument("label", type=click.Path())
@click.argument("logits", type=click.Path())
@source_option()
@click.option("-o", "--output", required=True, type=Output(), help="PNG to write; of folders, the folder of PNGs.")
@click.option("--threshold", type=NumberRange(0, 1), help="Below this confidence the output is void.")
@click.option("--confidence", is_flag=True, help="Also write confidence images, to the folder `confidence`.")
@click.option("--align-corners", is_flag=True, help="The model was trained with `align_corners=True`.")
@click.option(
    "--unknown",
    type=UNKNOWN,
    default="error",
    show_default=True,
    help="What to do with raw values that TAXONOMY does not list.",
)
@search_path
def decode(search: tuple[str, ...], **options: Any) -> None:
    """Decode the logits of any model into pseudo-labels, inside the constraints of label files.

    LABEL is annotated in TAXONOMY. LOGITS is a `.npy` file: float [K, h, w] at any resolution, channels in the
    order of the source taxonomy. Both may be folders: the logits of LABEL/KEY.png are LOGITS/KEY.npy.

    \b
    Examples:
      lsu-seg decode idd --source cityscapes 0001_gt.png 0001.npy -o 0001.png
      lsu-seg decode idd --source cityscapes data/idd/gtFine/val logits/val -o out/val --confidence
    """
    from lsu_seg.decode.files import decode_files
    from lsu_seg.runtime.progress import track

    notes = decode_files(
        **options, paths=search, track=lambda jobs: track(jobs, "decoding", len(jobs)) if len(jobs) > 1 else iter(jobs)
    )
    for note in notes:
        click.echo(note, err=True)
