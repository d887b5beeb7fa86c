"""`lsu-seg pseudo-label`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lsu_onto.program import Command, FolderPath, NumberRange, search_path, source_option, taxonomy_argument
from lsu_seg.commands.arguments import (
    KEPT,
    LAUNCHER,
    UNKNOWN,
    WORK,
    Output,
    load,
    placed,
    precision_option,
    scales,
    set_option,
    shipped,
    teacher_options,
)
from lsu_seg.errors import no_file


def _splits(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise click.BadParameter(f"`{value}` is not a list of splits such as train,val")
    return names


@click.command(name="pseudo-label", cls=Command, interrupted=KEPT)
@taxonomy_argument("args", nargs=-1, metavar="CONFIG [CHECKPOINT] | TAXONOMY")
@teacher_options("The teacher of TAXONOMY's labels")
@source_option()
@click.option(
    "--data-root",
    type=FolderPath(),
    help="Folder of the dataset; with CONFIG, replaces its `data_root`.",
)
@click.option(
    "--split",
    "splits",
    callback=_splits,
    metavar="NAME,NAME,…",
    help="Splits of TAXONOMY, labelled into one folder.  [default: train]",
)
@click.option(
    "--scales", callback=scales, metavar="S,S,…", help="Scales at which the teacher sees each image.  [default: 1]"
)
@click.option("--flip/--no-flip", default=None, help="Also show the teacher each image mirrored.  [default: flip]")
@click.option("--threshold", type=NumberRange(0, 1), help="Below this confidence the label is void.")
@click.option("--confidence", is_flag=True, default=None, help="Also write confidence images.")
@click.option(
    "--calibration",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.json",
    help="The teacher's temperature, from `calibrate`.  [default: the file beside its weights]",
)
@click.option("--no-calibration", is_flag=True, help="Ignore the temperature file beside the teacher's weights.")
@precision_option()
@click.option(
    "--unknown", type=UNKNOWN, help="What to do with raw values that TAXONOMY does not list.  [default: error]"
)
@click.option(
    "-o", "--output", type=Output(file_okay=False), metavar="DIR", help="Folder to write TAXONOMY's labels to."
)
@click.option(
    "--compare-precision",
    "compared",
    type=click.IntRange(1),
    metavar="N",
    help="Write no labels, but label N images twice, and say how many labels change between `--precision` and fp32.",
)
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Continue in the folder of a stopped run, after checking every label there; --no-resume refuses it.",
)
@search_path
@WORK
@LAUNCHER
@set_option()
def pseudo_label(
    args: tuple[str, ...],
    teacher: str | None,
    checkpoint: str | None,
    data_root: str | None,
    output: str | None,
    compared: int | None,
    resume: bool,
    search: tuple[str, ...],
    work_dir: str | None,
    options: dict[str, Any],
    **settings: Any,
) -> None:
    """Pseudo-label datasets with a trained teacher, inside their constraints. A stopped run resumes.

    \b
    In one line, a split of a dataset:
      lsu-seg pseudo-label TAXONOMY --teacher … --data-root DIR -o OUT

    TAXONOMY is the name of a dataset's taxonomy, or a .tax file. The config that this makes is kept in the work
    folder, and can be run from there.

    \b
    With a config, which can set everything:
      lsu-seg pseudo-label CONFIG CHECKPOINT

    It has either a `unify` section, whose `extra` datasets are labelled into WORK_DIR/pseudo, or
    `test_cfg = dict(type='PseudoLabelLoop', …)`. Omit CHECKPOINT if the model brings its own weights, as
    `HFSegmentor` does with `hf=dict(pretrained=…)`, and `TorchSegmentor` with `checkpoint=…`.

    \b
    Examples:
      lsu-seg pseudo-label idd --source cityscapes --data-root data/idd -o out/idd \\
          --teacher segformer.py --checkpoint segformer.pth
      lsu-seg pseudo-label idd --source cityscapes --data-root data/idd --teacher 24_best.pth -o out/idd --scales 0.5,1
      lsu-seg pseudo-label idd --source cityscapes --data-root data/idd -o out/idd \\
          --teacher facebook/mask2former-swin-large-cityscapes-semantic
      lsu-seg pseudo-label idd --source cityscapes --data-root data/idd -o out/idd --teacher ensemble.yaml
      lsu-seg pseudo-label lsu_seg/configs/demo/demo.py work/demo/teacher/iter_700.pth
      torchrun --nproc-per-node 4 -m lsu_seg pseudo-label CONFIG CHECKPOINT --launcher pytorch
    """
    from lsu_seg.pseudo.errors import check_compared

    chosen = {key: value for key, value in settings.items() if value is not None}
    if chosen.pop("no_calibration"):
        if "calibration" in chosen:
            raise click.UsageError("`--calibration` and `--no-calibration` say opposite things: leave one out")
        chosen["calibration"] = False
    if teacher is not None:
        if compared and "test_cfg.precision" not in options:
            check_compared(chosen.get("precision"))
        _check_one_line(args, data_root, output or ("nothing" if compared else None))
        chosen["paths"] = search
        _one_line(
            args[0], str(data_root), teacher, checkpoint, str(output), compared, resume, work_dir, options, chosen
        )
        return
    foreign = [
        *("split" if key == "splits" else key for key in chosen),
        *(["output"] if output else []),
        *(["checkpoint"] if checkpoint else []),
    ]
    if foreign and args:
        raise click.UsageError(
            f"`--{foreign[0]}` belongs to the form TAXONOMY --teacher …; a config says it itself (see --help)"
        )
    if not 1 <= len(args) <= 2:
        raise click.UsageError("give CONFIG and CHECKPOINT, or TAXONOMY with --teacher, --data-root and -o")
    config = shipped(args[0])
    if not Path(config).is_file() or config.endswith(".tax"):
        raise click.UsageError(f"{no_file('config', config)}; if it is a taxonomy, say who labels it: --teacher …")
    _by_config(config, args[1] if len(args) == 2 else None, compared, resume, work_dir, data_root, options, search)


def _check_one_line(args: tuple[str, ...], data_root: str | None, output: str | None) -> None:
    """A usage error where something is missing or there is too much."""
    if len(args) != 1:
        found = ", ".join(f"`{a}`" for a in args) or "none"
        weights = [a for a in args[1:] if a.endswith((".pth", ".pt"))]
        hint = f"; a checkpoint has an option of its own: --checkpoint {weights[0]}" if weights else ""
        raise click.UsageError(f"with --teacher, expected one TAXONOMY; found {found}{hint}")
    if data_root is None:
        raise click.UsageError("--data-root is missing: the folder of the dataset")
    if output is None:
        raise click.UsageError("-o is missing: the folder to write to")


def _one_line(
    taxonomy: str,
    data_root: str,
    teacher: str,
    checkpoint: str | None,
    output: str,
    compared: int | None,
    resume: bool,
    work_dir: str | None,
    options: dict[str, Any],
    chosen: dict[str, Any],
) -> None:
    from lsu_seg.openmmlab.config import merge
    from lsu_seg.pseudo.oneline import pseudo_label_configs, short_name
    from lsu_seg.pseudo.precision import compare_precision
    from lsu_seg.pseudo.run import pseudo_label as label

    configs = pseudo_label_configs(taxonomy, data_root, teacher, checkpoint, output, **chosen)
    for cfg in configs:
        merge(cfg, options)
        if compared:
            click.echo(compare_precision(cfg, checkpoint, compared))
    if compared:
        return
    for i, cfg in enumerate(configs):
        label(placed(cfg, work_dir, short_name(taxonomy)), checkpoint, quiet=True, resume=resume or i > 0)
    click.echo(output)


def _by_config(
    config: str,
    checkpoint: str | None,
    compared: int | None,
    resume: bool,
    work_dir: str | None,
    data_root: str | None,
    options: dict[str, Any],
    search: tuple[str, ...],
) -> None:
    from lsu_seg.openmmlab.runner import check_checkpoint
    from lsu_seg.pseudo.precision import compare_precision
    from lsu_seg.pseudo.run import pseudo_label as label
    from lsu_seg.unify.checks import check_folders, check_labelling, extra_sets
    from lsu_seg.unify.configs import pseudo_config

    cfg = load(config, data_root, work_dir, options, search)
    if "unify" in cfg:
        check_labelling(cfg)
        check_checkpoint(cfg, checkpoint)
        check_folders(extra_sets(cfg))
        configs = [pseudo_config(cfg, Path(cfg.work_dir), 0, name) for name in cfg.unify.extra]
    else:
        configs = [cfg]
    if compared:
        for one in configs:
            click.echo(compare_precision(one, checkpoint, compared))
    elif "unify" not in cfg:
        label(cfg, checkpoint, resume=resume)
    else:
        for one in configs:
            label(one, checkpoint, quiet=True, resume=resume)
            click.echo(one.test_cfg.out_dir)
