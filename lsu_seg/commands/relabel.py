"""`lsu-seg relabel`."""

from __future__ import annotations

from pathlib import Path

import click

from lsu_onto.program import search_path, source_option, taxonomy_argument
from lsu_seg.commands.arguments import Output


@click.command()
@taxonomy_argument("taxonomy")
@source_option("Taxonomy of the fine labels: a source, or a dataset without open choices.", required=True)
@click.option("--data-root", required=True, help="Folder of the fine dataset.")
@click.option("--split", required=True, help="Split to relabel.")
@click.option(
    "-o", "--output", required=True, type=Output(file_okay=False), help="Folder to write the coarse dataset to."
)
@click.option(
    "--seed", default=0, type=click.IntRange(0), show_default=True, help="Seed of the choices where classes overlap."
)
@search_path
def relabel(
    taxonomy: str, source: str, data_root: str, split: str, output: str, seed: int, search: tuple[str, ...]
) -> None:
    """Relabel a fine dataset in a coarser TAXONOMY, as an annotator with those classes would.

    Writes images and labels in the layout of TAXONOMY. Where several classes may hold a region, chance decides.

    \b
    Example:
      lsu-seg relabel camvid_coarse --source camvid11 --data-root ../camvid --split train -o work/coarse
    """
    from lsu_seg.demo.relabel import relabel_dataset

    count = relabel_dataset(taxonomy, source, Path(data_root), split, Path(output), seed, search)
    click.echo(f"{count} image{'s' * (count != 1)} in {output}")
