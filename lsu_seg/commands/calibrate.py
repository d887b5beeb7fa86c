"""`lsu-seg calibrate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from lsu_onto.program import FolderPath, search_path, source_option, taxonomy_argument
from lsu_seg.commands.arguments import UNKNOWN, Output, precision_option, scales, set_option, teacher_options

if TYPE_CHECKING:
    from lsu_seg.teachers.calibration import Calibration


@click.command()
@taxonomy_argument("dataset", metavar="NAME")
@teacher_options("The teacher to calibrate", required=True, several=False)
@source_option()
@click.option("--data-root", type=FolderPath(exists=True), required=True, help="Folder of the dataset.")
@click.option("--split", default="val", show_default=True, metavar="SPLIT", help="Split of NAME.")
@click.option(
    "--images",
    type=click.IntRange(2),
    default=500,
    show_default=True,
    help="Number of images to draw at random; 200,000 pixels are drawn from them.",
)
@click.option(
    "--scales", callback=scales, metavar="S,S,…", help="Scales at which the teacher sees each image.  [default: 1]"
)
@click.option("--flip/--no-flip", default=None, help="Also show the teacher each image mirrored.  [default: flip]")
@precision_option()
@click.option("--unknown", type=UNKNOWN, help="What to do with raw values that NAME does not list.  [default: error]")
@click.option(
    "-o",
    "--output",
    type=Output(".json", dir_okay=False),
    metavar="FILE.json",
    help="The file to write.  [default: the weights' name with .calibration.json, beside them]",
)
@search_path
@set_option()
def calibrate(
    dataset: str,
    teacher: str,
    checkpoint: str | None,
    data_root: str,
    output: str | None,
    images: int,
    search: tuple[str, ...],
    options: dict[str, Any],
    **settings: Any,
) -> None:
    """Fit a teacher's temperature, so that its confidence matches how often it is right.

    NAME is a dataset that the teacher's classes were annotated in, and whose images it was not trained on: ideally
    the validation split of its own source. Pixels that may be several classes do not count.

    `pseudo-label`, `unify`, `audit` and `suggest` then use the file beside the weights; `evaluate` judges confidence
    with and without it. Calibrate with the views that you label with.

    \b
    Examples:
      lsu-seg calibrate cityscapes --data-root data/cityscapes --teacher segformer.py --checkpoint segformer.pth
      lsu-seg calibrate cityscapes --data-root data/cityscapes --scales 0.5,1 --teacher weights/mask2former
      lsu-seg calibrate cityscapes --data-root data/cityscapes -o mask2former.json \\
          --teacher facebook/mask2former-swin-large-cityscapes-semantic
    """
    from lsu_seg.openmmlab.config import merge
    from lsu_seg.pseudo.calibrate import calibrate as fitted
    from lsu_seg.pseudo.oneline import pseudo_label_config
    from lsu_seg.teachers.calibration import Calibration

    chosen = {key: value for key, value in settings.items() if value is not None}
    cfg = pseudo_label_config(dataset, data_root, teacher, checkpoint, "nothing", paths=search, **chosen)
    merge(cfg, options)
    path = fitted(cfg, checkpoint, output, images)
    calibration = Calibration.read(path)
    if missing := calibration.missing:
        click.echo(
            f"warning: fitted without {len(missing)} classes of the source, of which there was no pixel:"
            f" {', '.join(missing)}",
            err=True,
        )
    for line in _doubts(calibration):
        click.echo(f"warning: {line}", err=True)
    click.echo(_text(calibration))
    click.echo(path)


def _doubts(c: Calibration) -> Iterator[str]:
    """Why one should not rely on a temperature."""
    from lsu_seg.teachers.temperature import LARGEST

    if not 1.001 / LARGEST < c.temperature < LARGEST / 1.001:
        yield (
            f"the temperature is at an end of its range, {1 / LARGEST:g} to {LARGEST:g}: the teacher's confidence has"
            " next to nothing to do with these images; check that its classes and its normalisation are theirs"
        )
    if c.after.nll > c.before.nll + 0.005:
        yield (
            "on images that it was not fitted on, the confidence is worse with the temperature than without: take more"
            " images, or label with `--no-calibration`"
        )


def _text(c: Calibration) -> str:
    lines = [
        f"temperature {c.temperature:.3f}, fitted on {c.pixels} pixels of {c.images} images of {c.dataset}, {c.split}",
        f"expected calibration error {100 * c.before.ece:.1f} % before, {100 * c.after.ece:.1f} % after",
        f"negative log-likelihood {c.before.nll:.3f} before, {c.after.nll:.3f} after",
    ]
    return "\n".join(lines)
