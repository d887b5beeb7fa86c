"""`lsu-seg review`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lsu_onto.program import FolderPath, put_data, search_path, text_or_json
from lsu_seg.commands.arguments import Output
from lsu_seg.commands.export_dataset import data_roots_option
from lsu_seg.review import TOOLS

_Function = TypeVar("_Function", bound=Callable[..., Any])


@click.group()
def review() -> None:
    """Show people the labels that the teacher was least sure of, and take their corrections.

    \b
    Examples:
      lsu-seg review export out/idd --data-root data/idd --to cvat -o tasks
      lsu-seg review import corrected.zip --work out/idd --data-root data/idd
    """


review.interrupted = "what is written is kept, and the same command goes on after it"  # type: ignore[attr-defined]


@review.command(name="export")
@click.argument("labels", nargs=-1, required=True, metavar="WORK...", type=FolderPath(exists=True))
@click.option("--to", "tool", type=click.Choice(list(TOOLS)), required=True, help="The tool.")
@data_roots_option
@click.option("-o", "--output", type=Output(file_okay=False), required=True, metavar="DIR", help="Folder to write to.")
@click.option(
    "--images", "number", type=click.IntRange(1), default=50, show_default=True, help="Number of images, at most."
)
@search_path
@text_or_json
def export_(
    labels: tuple[str, ...],
    tool: str,
    data_roots: dict[str, Path],
    output: str,
    number: int,
    search: tuple[str, ...],
    format_: str,
) -> None:
    """Write tasks of what the teacher was least sure of.

    WORK are output folders of `lsu-seg pseudo-label`, or folders that hold some, such as the work folder of `unify`.
    Images are chosen class by class, the rarest first. Runs made with `--confidence` know best where the teacher was
    unsure. Images that people have looked at come again only if the teacher later labels them differently.

    \b
    cvat         images/, labels.json (raw labels of a project), annotations.xml ("CVAT 1.1")
    labelstudio  images/, labeling.xml (labeling interface), tasks.json
    fiftyone     a folder of `fiftyone.types.FiftyOneDataset`

    \b
    Examples:
      lsu-seg review export out/idd --data-root data/idd --to cvat -o tasks
      lsu-seg review export out/acdc out/idd --data-root acdc=data/acdc --data-root idd=data/idd --to fiftyone -o tasks
    """
    import json

    from lsu_seg.pseudo.audited import labelling_runs
    from lsu_seg.review.export import export_tasks

    roots = list(dict.fromkeys(run for folder in labels for run in labelling_runs(Path(folder))))
    images = export_tasks(roots, Path(output), tool, data_roots, search, number)
    if format_ == "json":
        put_data(json.dumps(images, indent=1) + "\n")
    else:
        click.echo(f"{len(images)} image{'s' * (len(images) != 1)} in {output}")


@review.command(name="import")
@click.argument("path", metavar="FILE|DIR", type=click.Path(exists=True))
@click.option(
    "--work",
    "labels",
    multiple=True,
    required=True,
    type=FolderPath(exists=True),
    help="Folder of the labels, as WORK of `review export`.",
)
@data_roots_option
@click.option("--by", default="", help="Who corrected, where the tool does not say.  [default: your user name]")
@click.option(
    "--clip", is_flag=True, help="Leave out corrected pixels that the annotation does not allow, and take the others."
)
@search_path
@text_or_json
def import_(
    path: str,
    labels: tuple[str, ...],
    data_roots: dict[str, Path],
    by: str,
    clip: bool,
    search: tuple[str, ...],
    format_: str,
) -> None:
    """Take what people corrected.

    The labels in WORK are the corrected ones from then on, and each later labelling has the corrections on top.
    FILE or DIR is what the tool exports: from CVAT "CVAT for images 1.1" or "Segmentation mask 1.1", from Label Studio
    "JSON", from FiftyOne the folder of a `FiftyOneDataset`. A class that the dataset's own annotation does not allow is
    refused, with its place; then nothing is taken.

    \b
    Examples:
      lsu-seg review import corrected.zip --work out/idd --data-root data/idd
      lsu-seg review import export.json --work out/idd --data-root data/idd --clip
    """
    import json

    from lsu_seg.pseudo.audited import labelling_runs
    from lsu_seg.review.take import import_corrections

    roots = list(dict.fromkeys(run for folder in labels for run in labelling_runs(Path(folder))))
    images = import_corrections(Path(path), roots, data_roots, search, by, clip)
    if format_ == "json":
        put_data(json.dumps(images, indent=1) + "\n")
        return
    changed = sum(1 for image in images if image["changed"])
    left_out = sum(image["left_out"] for image in images)
    pixels = sum(image["changed"] for image in images) - left_out
    if blank := sum(1 for image in images if image["blank"]):
        click.echo(
            f"warning: nothing is painted on {blank} images, so their pixels are void now; if they were never given"
            " their labels in the tool, do that and import again, which replaces this",
            err=True,
        )
    more = f"; {left_out} pixels left out, which annotations do not allow" if left_out else ""
    click.echo(f"{changed} images corrected ({pixels} pixels), {len(images) - changed} looked at and right{more}")
