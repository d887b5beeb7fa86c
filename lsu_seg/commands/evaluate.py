"""`lsu-seg evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lsu_onto.program import search_path, source_option
from lsu_seg.commands.arguments import CONFIG, LAUNCHER, ROOT, WORK, Output, load, precision_option, set_option


@click.command()
@CONFIG
@click.argument("checkpoint", required=False, type=click.Path(dir_okay=False))
@WORK
@ROOT
@click.option(
    "--dataset",
    "datasets",
    nargs=3,
    multiple=True,
    metavar="TAXONOMY DIR SPLIT",
    help="Evaluate on this dataset in place of the config's (repeatable).",
)
@source_option("The source taxonomy of `--dataset`, where there are maps to several.")
@click.option(
    "-o",
    "--output",
    type=Output(file_okay=False),
    metavar="DIR",
    help="Folder to write to.  [default: WORK_DIR/evaluation]",
)
@precision_option("fp32")
@click.option(
    "--compile", is_flag=True, help="Compile the network, for images of the size of each dataset's first one."
)
@search_path
@set_option()
@LAUNCHER
def evaluate(
    config: str,
    checkpoint: str | None,
    work_dir: str | None,
    data_root: str | None,
    datasets: tuple[tuple[str, str, str], ...],
    source: str | None,
    output: str | None,
    precision: str | None,
    compile: bool,
    search: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    """Evaluate a model on the config's `unify.evaluate` sets, or on its `test_dataloader`.

    Per dataset and pooled: mIoU in the source taxonomy and in the dataset's own, and how often predictions lie in
    S(d), each with a 95 % interval. Writes evaluation.json, evaluation.npz, classes.csv and pictures of the confusion
    matrices. What the figures mean: docs/evaluation.md.

    With `--dataset`, CONFIG needs no more than `model`: images and labels are then loaded as they are stored.

    Omit CHECKPOINT if the model brings its own weights, as `HFSegmentor` does with `hf=dict(pretrained=…)`,
    and `TorchSegmentor` with `checkpoint=…`.

    \b
    Examples:
      lsu-seg evaluate lsu_seg/configs/demo/demo.py work/demo/teacher/iter_700.pth -o work/teacher
      lsu-seg evaluate CONFIG CHECKPOINT --dataset idd data/idd val --dataset acdc data/acdc val \\
          --source cityscapes -o out
      torchrun --nproc-per-node 4 -m lsu_seg evaluate CONFIG CHECKPOINT --launcher pytorch
    """
    from mmengine.dist import is_main_process

    from lsu_seg.evaluation import files
    from lsu_seg.evaluation.document import document
    from lsu_seg.evaluation.run import measure
    from lsu_seg.evaluation.text import table
    from lsu_seg.models.hub import pin
    from lsu_seg.models.weights import weights_path
    from lsu_seg.openmmlab.parts import models_in, weights_in
    from lsu_seg.pseudo.errors import check_output
    from lsu_seg.teachers.calibration import calibration_file, calibration_of
    from lsu_seg.teachers.computing import Computing

    if source and not datasets:
        raise click.UsageError("`--source` belongs to `--dataset`; the config's own datasets say theirs")
    cfg = load(config, data_root, work_dir, options, search)
    folder = Path(output or f"{cfg.work_dir}/evaluation")
    check_output(folder, {})  # now, and not after the evaluation
    for model, _ in models_in(cfg.get("model")):
        pin(model)
    computing = Computing(precision or "fp32", compile)
    file = calibration_file(weights_path(cfg.get("model") or {}, checkpoint))
    calibration = None
    if file:
        calibration = calibration_of(file, _sha256(str(checkpoint or weights_in(cfg.model)), bool(checkpoint)))
    measured = measure(
        cfg,
        checkpoint,
        _sets(datasets, source, search),
        quiet=True,
        computing=computing,
        temperature=None if calibration is None else calibration.temperature,
    )
    if not is_main_process():
        return
    weights = [checkpoint or own or weights_in(model) or "" for model, own in models_in(cfg.model)]
    sums = [
        _sha256(brought, bool(checkpoint or own))
        for (_, own), brought in zip(models_in(cfg.model), weights, strict=True)
    ]
    model = {
        "config": Path(config).name,
        "checkpoint": " ".join(weights),
        "sha256": " ".join(sums),
        "precision": computing.precision,
        "compile": computing.compile,
    }
    report: dict[str, Any] = document(measured) | {"model": model}
    files.write(folder, report, measured)
    click.echo(table(report))
    click.echo(folder / "evaluation.json")


def _sha256(weights: str, is_checkpoint: bool) -> str:
    """Of the files of a model's weights."""
    from lsu_seg.models.factory import code_files, is_factory
    from lsu_seg.models.factory import find as find_factory
    from lsu_seg.models.hf_models import weight_files
    from lsu_seg.pseudo.output import file_sha256

    if is_factory(weights):
        files = code_files(find_factory(weights))
    else:
        files = [Path(weights)] if is_checkpoint else list(weight_files(weights))
    return " ".join(map(file_sha256, files))


def _sets(
    datasets: tuple[tuple[str, str, str], ...], source: str | None, search: tuple[str, ...]
) -> dict[str, Any] | None:
    from lsu_seg.pseudo.oneline import short_name

    sets: dict[str, Any] = {}
    for number, (taxonomy, root, split) in enumerate(datasets):
        if (taxonomy, root, split) in datasets[:number]:
            raise click.UsageError(f"`--dataset {taxonomy} {root} {split}` stands twice")
        short = short_name(taxonomy)
        name = short if short not in sets else f"{short} {split}"
        if name in sets:
            raise click.UsageError(f"`{name}` of `--dataset` is in two folders: evaluate them one by one")
        sets[name] = dict(type="TaxDataset", taxonomy=taxonomy, data_root=root, split=split, paths=list(search))
        if source:
            sets[name]["source"] = source
    return sets or None
