"""`lsu-seg calibrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lsu_onto.program import FolderPath, search_path, source_option, taxonomy_argument
from lsu_seg.commands.arguments import PRECISION, UNKNOWN, ConfigFile, Output, scales, set_option

if TYPE_CHECKING:
    from lsu_seg.teachers.calibration import Calibration


@click.command()
@taxonomy_argument("dataset", metavar="NAME")
@click.option(
    "--teacher",
    type=ConfigFile(),
    required=True,
    metavar="CONFIG | FOLDER | OWNER/NAME[@REVISION] | FILE | FILE.py:FUNCTION",
    help="The teacher, as for `pseudo-label`.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="The weights of a teacher's config or network.",
)
@source_option()
@click.option("--data-root", type=FolderPath(exists=True), required=True, help="Folder of the dataset.")
@click.option("--split", default="val", show_default=True, metavar="SPLIT", help="Of NAME.")
@click.option(
    "--images",
    type=click.IntRange(2),
    default=500,
    show_default=True,
    help="Number of images to draw at random; 200,000 pixels are drawn from them.",
)
@click.option("--scales", callback=scales, metavar="S,S,…", help="Of the images that the teacher sees.  [default: 1]")
@click.option("--flip/--no-flip", default=None, help="Mirrored images, too, at every scale.  [default: flip]")
@PRECISION
@click.option("--unknown", type=UNKNOWN, help="What values are that NAME does not list.  [default: error]")
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
    """Fit the temperature of a teacher, so that its confidence is how often it is right.

    NAME is a dataset that the teacher's classes were annotated in, and whose images it was not trained on: best the
    validation of its own source. Pixels that may be several classes do not count.

    The file beside the weights is used by whoever labels with them: `pseudo-label`, `unify`, `audit` and `suggest`.
    `evaluate` judges confidence with and without it. Calibrate with the views that labels are made with.

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
    click.echo(_text(Calibration.read(path)))
    click.echo(path)


def _text(c: Calibration) -> str:
    missing = f"; no pixel of {', '.join(c.missing)}" if c.missing else ""
    lines = [
        f"temperature {c.temperature:.3f}, fitted on {c.pixels} pixels of {c.images} images of {c.dataset},"
        f" {c.split}{missing}",
        f"expected calibration error {100 * c.before.ece:.1f} % before, {100 * c.after.ece:.1f} % after",
        f"negative log-likelihood {c.before.nll:.3f} before, {c.after.nll:.3f} after",
    ]
    return "\n".join(lines)
