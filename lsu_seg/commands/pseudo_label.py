"""`lsu-seg pseudo-label`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lsu_seg.commands.arguments import LAUNCHER, WORK, key_values, load, run


class _PseudoLabel(click.Command):
    """click's options take a fixed number of values; `--teacher` takes two where the first is a config."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        out: list[str] = []
        for i, arg in enumerate(args):
            config = args[i - 1].removeprefix("--teacher=") if i else ""
            named = args[i - 1].startswith("--teacher=") or args[i - 2 : i - 1] == ["--teacher"]
            if named and config.endswith((".py", ".yaml", ".yml", ".json")) and not arg.startswith("-"):
                out.append("--teacher")
            out.append(arg)
        return super().parse_args(ctx, out)


def _scales(context: click.Context, parameter: click.Parameter, value: str | None) -> list[float] | None:
    try:
        scales = None if value is None else [float(s) for s in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"`{value}` is no list of numbers, as 0.5,1,2 is") from None
    if scales and not all(0 < s < 100 for s in scales):
        raise click.BadParameter(f"`{value}`: scales are above 0 and below 100")
    return scales


@click.command(name="pseudo-label", cls=_PseudoLabel)
@click.argument("args", nargs=-1, metavar="CONFIG CHECKPOINT | TAXONOMY")
@click.option(
    "--teacher",
    multiple=True,
    metavar="CONFIG CHECKPOINT | FOLDER | CHECKPOINT",
    help="The teacher of TAXONOMY's labels: an MMSeg config with its checkpoint, a Hugging Face folder, or a checkpoint"
    " of data-priors.",
)
@click.option("--source", help="Source taxonomy, where TAXONOMY has maps to several.")
@click.option("--data-root", help="Folder of the dataset; of CONFIG, put in place of its `data_root`.")
@click.option("--split", help="Of TAXONOMY.  [default: train]")
@click.option("--scales", callback=_scales, metavar="S,S,…", help="Of the images that the teacher sees.  [default: 1]")
@click.option("--flip/--no-flip", default=None, help="Mirrored images, too, at every scale.  [default: flip]")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Below this confidence the label is void.")
@click.option("--confidence", is_flag=True, default=None, help="Write confidence as images, too.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "void"]),
    help="What values are that TAXONOMY does not list.  [default: error]",
)
@click.option("--output", metavar="OUT", help="Folder of TAXONOMY's labels.")
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Go on in a folder that a stopped run left, after a look at every label there; else refuse it.",
)
@WORK
@LAUNCHER
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="Change a key of the config (repeatable)."
)
@click.option("-o", "short", multiple=True, metavar="OUT | KEY=VALUE", help="Short for --output, and for --option.")
def pseudo_label(
    args: tuple[str, ...],
    teacher: tuple[str, ...],
    source: str | None,
    data_root: str | None,
    split: str | None,
    scales: list[float] | None,
    flip: bool | None,
    threshold: float | None,
    confidence: bool | None,
    unknown: str | None,
    output: str | None,
    resume: bool,
    work_dir: str | None,
    options: tuple[str, ...],
    short: tuple[str, ...],
) -> None:
    """Pseudo-label datasets with a trained teacher, inside their constraints. A run that was stopped goes on.

    \b
    In one line, a split of a dataset:
      lsu-seg pseudo-label TAXONOMY --teacher … --data-root DIR -o OUT

    TAXONOMY is the name of a dataset's taxonomy, or a .tax file. The config that this makes is kept in the work
    folder, and can be run from there.

    \b
    By a config, everything that one can say:
      lsu-seg pseudo-label CONFIG CHECKPOINT

    It has either a `unify` section, whose `extra` datasets are labelled into WORK_DIR/pseudo, or
    `test_cfg = dict(type='PseudoLabelLoop', …)`. CHECKPOINT is left out where the model brings its weights, as
    `HFSegmentor` does with `hf=dict(pretrained=…)`.

    \b
    Examples:
      lsu-seg pseudo-label idd --source cityscapes --data-root data/idd --teacher segformer.py segformer.pth -o out/idd
      lsu-seg pseudo-label idd --source cityscapes --data-root data/idd --teacher 24_best.pth -o out/idd --scales 0.5,1,2
      lsu-seg pseudo-label lsu_seg/configs/demo/demo.py work/demo/teacher/iter_700.pth
      torchrun --nproc-per-node 4 tools/pseudo_label.py CONFIG CHECKPOINT --launcher pytorch
    """
    settings: dict[str, Any] = dict(
        source=source,
        split=split,
        scales=scales,
        flip=flip,
        threshold=threshold,
        confidence=confidence,
        unknown=unknown,
    )
    chosen = {key: value for key, value in settings.items() if value is not None}
    if teacher:
        folders = [*([output] if output else []), *(s for s in short if "=" not in s)]
        options = (*options, *(s for s in short if "=" in s))
        name = _one_line_arguments(args, teacher, data_root, folders)
        run(lambda: _one_line(name, str(data_root), teacher, folders[0], resume, work_dir, options, chosen))
        return
    foreign = [*chosen, *(["output"] if output else [])]
    if foreign and args:
        raise click.UsageError(
            f"`--{foreign[0]}` belongs to the form TAXONOMY --teacher …; a config says it itself (see --help)"
        )
    if not 1 <= len(args) <= 2:
        raise click.UsageError("give CONFIG and CHECKPOINT, or TAXONOMY with --teacher, --data-root and -o")
    if not Path(args[0]).is_file() or args[0].endswith(".tax"):
        raise click.UsageError(
            f"there is no config `{args[0]}`; if it is a taxonomy, say who labels it: --teacher CONFIG CHECKPOINT"
        )
    config, checkpoint = args[0], args[1] if len(args) == 2 else None
    run(lambda: _by_config(config, checkpoint, resume, work_dir, data_root, (*options, *short)))


def _one_line_arguments(
    args: tuple[str, ...], teacher: tuple[str, ...], data_root: str | None, folders: list[str]
) -> str:
    """The taxonomy; a usage error where something is missing or there is too much."""
    if len(args) != 1:
        found = ", ".join(f"`{a}`" for a in args) or "none"
        raise click.UsageError(f"with --teacher, expected one TAXONOMY; found {found}")
    if len(teacher) > 2:
        raise click.UsageError(f"one --teacher, please; found {', '.join(teacher)}")
    if data_root is None:
        raise click.UsageError("--data-root is missing: the folder of the dataset")
    if len(folders) != 1:
        raise click.UsageError(f"expected one folder to write to, -o OUT; found {', '.join(folders) or 'none'}")
    return args[0]


def _one_line(
    taxonomy: str,
    data_root: str,
    teacher: tuple[str, ...],
    output: str,
    resume: bool,
    work_dir: str | None,
    options: tuple[str, ...],
    chosen: dict[str, Any],
) -> None:
    from lsu_seg.openmmlab.config import merge
    from lsu_seg.pseudo.oneline import pseudo_label_config
    from lsu_seg.pseudo.run import pseudo_label as label

    cfg, checkpoint = pseudo_label_config(taxonomy, data_root, teacher, output, **chosen)
    merge(cfg, key_values(options))
    cfg.work_dir = work_dir or f"work/{Path(taxonomy).stem}"
    cfg.launcher = click.get_current_context().meta.get("lsu_seg.launcher", "none")
    label(cfg, checkpoint, quiet=True, resume=resume)
    click.echo(output)


def _by_config(
    config: str,
    checkpoint: str | None,
    resume: bool,
    work_dir: str | None,
    data_root: str | None,
    options: tuple[str, ...],
) -> None:
    from lsu_seg.pseudo.run import pseudo_label as label
    from lsu_seg.unify.configs import pseudo_config

    cfg = load(config, data_root, work_dir, options)
    if "unify" not in cfg:
        label(cfg, checkpoint, resume=resume)
        return
    for name in cfg.unify.extra:
        one = pseudo_config(cfg, Path(cfg.work_dir), 0, name)
        label(one, checkpoint, quiet=True, resume=resume)
        click.echo(one.test_cfg.out_dir)
