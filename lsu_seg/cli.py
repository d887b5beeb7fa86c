"""`lsu-seg`: the commands over `engine` and `unify`. Imports are inside them, so that `--help` starts fast."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click

from lsu_onto import __version__
from lsu_seg.arguments import CONFIG, LAUNCHER, ROOT, SET, WORK, load, run
from lsu_seg.evaluation.command import compare, evaluate
from lsu_seg.pseudo.command import pseudo_label
from lsu_seg.scan.command import scan

# Before torch starts its threads: one that waits gives its core away after some 10 µs instead of spinning for
# milliseconds. On a machine that does anything else at the same time the spinning costs 3 to 20 times the run
# time (measured on 2 cores); on an idle one this costs nothing.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

CONFIGS = Path(__file__).parent / "configs"
DEMO = CONFIGS / "demo" / "demo.py"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lsu-seg")
def main() -> None:
    """Train teachers, pseudo-label datasets inside their constraints, train and judge students.

    \b
    Examples:
      lsu-seg demo                             the whole method on drawn scenes
      lsu-seg scan TAXONOMY --data-root DIR    is the dataset what its taxonomy says?
      lsu-seg unify CONFIG                     the whole method on your data
      lsu-seg train CONFIG                     one model
      lsu-seg pseudo-label CONFIG CHECKPOINT   labels alone
      lsu-seg pseudo-label TAXONOMY --teacher CONFIG CHECKPOINT --data-root DIR -o OUT
      lsu-seg evaluate CONFIG CHECKPOINT       figures alone
      lsu-seg compare A.json B.json            what differs between two of them
      lsu-seg decode TAXONOMY LABEL LOGITS     one pseudo-label from your own model's logits
    """


@main.command()
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
    from lsu_seg.training.run import train
    from lsu_seg.unify.unify import one_student

    def action() -> Path:
        cfg = load(config, data_root, work_dir, options)
        return train(one_student(cfg, student) if student else cfg, resume=resume)

    click.echo(run(action))


@main.command()
@CONFIG
@WORK
@ROOT
@click.option("--seed", default=0, show_default=True, help="Of every training.")
@click.option("--fresh", is_flag=True, help="Start over: remove what an earlier run left in the work folder.")
@SET
def unify(
    config: str, work_dir: str | None, data_root: str | None, seed: int, fresh: bool, options: tuple[str, ...]
) -> None:
    """Run the whole method: teacher, pseudo-labels, students, evaluation, report.

    CONFIG is an MMSeg config of the teacher with a `unify` section. Stages whose config and inputs have not
    changed are reused; what a change replaces is kept once, as FOLDER.before. Writes WORK_DIR/results.json and
    WORK_DIR/report/index.html.

    \b
    Example:
      lsu-seg relabel camvid_coarse --source camvid11 --data-root ../camvid --split train -o work/camvid_coarse
      lsu-seg unify lsu_seg/configs/camvid/camvid.py --data-root ../camvid
    """
    run(lambda: _unify(load(config, data_root, work_dir, options), seed, fresh))


@main.command()
@click.option("--work-dir", default="work/demo", show_default=True, help="Folder of data and results.")
@click.option("--seed", default=0, show_default=True, help="Of the scenes and of every training.")
@click.option("--fresh", is_flag=True, help="Start over: remove what an earlier run left.")
@SET
def demo(work_dir: str, seed: int, fresh: bool, options: tuple[str, ...]) -> None:
    """The whole method on drawn driving scenes, in a few minutes on a CPU.

    \b
    Examples:
      lsu-seg demo
      lsu-seg demo --seed 1 --work-dir work/demo1
    """

    # Before torch is imported. The images are so small that a second thread brings little, and costs much where the
    # other core is not free (measured per step: 47 ms with one; 38 with two on an idle machine, up to 550 beside
    # another busy process).
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    def action() -> None:
        import lsu_onto
        from lsu_seg.demo import data

        for taxonomy in dict.fromkeys(p.taxonomy for p in data.PARTS):
            constraint = lsu_onto.load(taxonomy, data.SOURCE)
            click.echo(
                f"{taxonomy}: {len(constraint.classes)} classes -> {constraint.num_classes} of `{data.SOURCE}`, valid"
            )
        root = Path(work_dir) / "data"
        if not data.make_data(root, seed, fresh):
            click.echo("scenes: reused")
        cfg = load(str(DEMO), str(root), work_dir, options)
        _unify(cfg, seed, fresh)

    run(action)


def _unify(cfg: Any, seed: int, fresh: bool) -> None:
    from lsu_seg.unify import report, unify

    start = time.monotonic()
    work = Path(cfg.work_dir)
    if fresh:
        unify.clear(work)
    results = unify.unify(cfg, work, seed, click.echo)
    page = report.write(cfg, work, results)
    click.echo()
    click.echo(report.table(results))
    click.echo(f"\n{work / 'results.json'}\n{page}\n{time.monotonic() - start:.0f} s")


@main.command()
@click.argument("taxonomy")
@click.option(
    "--source",
    "source_taxonomy",
    required=True,
    help="Taxonomy of the fine labels: a source, or a dataset without open choices.",
)
@click.option("--data-root", required=True, help="Folder of the fine dataset.")
@click.option("--split", required=True, help="Split to relabel.")
@click.option("-o", "--output", required=True, help="Folder to write the coarse dataset to.")
@click.option("--seed", default=0, show_default=True, help="Of the choices where classes overlap.")
def relabel(taxonomy: str, source_taxonomy: str, data_root: str, split: str, output: str, seed: int) -> None:
    """Relabel a fine dataset in a coarser TAXONOMY, as an annotator with those classes would.

    Writes images and labels in the layout of TAXONOMY. Where several classes may hold a region, chance decides.

    \b
    Example:
      lsu-seg relabel camvid_coarse --source camvid11 --data-root ../camvid --split train -o work/coarse
    """
    from lsu_seg.demo.relabel import relabel_dataset

    count = run(lambda: relabel_dataset(taxonomy, source_taxonomy, Path(data_root), split, Path(output), seed))
    click.echo(f"{count} images in {output}")


@main.command()
@click.argument("taxonomy")
@click.argument("label", type=click.Path(dir_okay=False))
@click.argument("logits", type=click.Path(dir_okay=False))
@click.option("--source", help="The source taxonomy, where TAXONOMY has maps to several.")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="PNG to write.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Below this confidence the output is void.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "void"]),
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

    run(lambda: decode_file(taxonomy, source, label, logits, output, threshold, unknown))


main.add_command(pseudo_label)
main.add_command(scan)
main.add_command(evaluate)
main.add_command(compare)


if __name__ == "__main__":
    main()
