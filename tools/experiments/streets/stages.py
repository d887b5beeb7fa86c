"""The stages that experiments with teachers and students consist of, and the command line that they share."""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from lsu_onto import __version__
from lsu_seg.evaluation.document import document
from lsu_seg.evaluation.files import write
from lsu_seg.evaluation.run import measure
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.training.average import average_checkpoints
from lsu_seg.training.run import train
from lsu_seg.unify import unify
from lsu_seg.unify.configs import text
from lsu_seg.unify.stages import Done, Stage

Before = Mapping[str, Done]
"""What the stages before have done."""


def labelled(
    name: str,
    cfg: Config,
    dataset: Any,
    views: Mapping[str, Any],
    teacher: Callable[[Before], Path],
    weights: str,
    inputs: tuple[str, ...] = (),
) -> Stage:
    """The teacher labels a dataset, with constraints and without, below `cfg.work_dir`.

    Args:
        weights: what the experiment begins with, as the key of the stage says it.
    """
    folder = Path(cfg.work_dir)
    cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    cfg.test_dataloader.dataset = {**dataset, "pipeline": cfg.val_dataloader.dataset.pipeline}
    kinds = dict(out_dir=str(folder / "constrained"), raw_dir=str(folder / "raw"), confidence=True)
    cfg.test_cfg = dict(type="PseudoLabelLoop", title=name, **kinds, **views)
    return Stage(
        name,
        folder,
        key=lambda done: [
            *(__version__, text(cfg), weights, unify.inputs(dataset, None)),
            *(done[n].key for n in inputs),
        ],
        action=lambda done: pseudo_label(cfg, teacher(done), quiet=True),
        inputs=inputs,
        complete=lambda _: all((folder / kind).is_dir() for kind in ("constrained", "raw")),
        resumes=True,
    )


def trained(name: str, cfg: Config, weights: str, inputs: tuple[str, ...] = (), begin: str | None = None) -> Stage:
    """A training in `cfg.work_dir`.

    Args:
        weights: what the experiment begins with, as the key of the stage says it.
        begin: the stage, one of the inputs, whose checkpoint the training begins with.
    """
    datasets = cfg.train_dataloader.dataset.datasets
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type="TrainProgressHook", title=name)]

    def action(done: Before) -> dict[str, Any]:
        start = time.monotonic()
        training = copy.deepcopy(cfg)
        if begin is not None:
            training.load_from = str(checkpoint(done[begin]))
        for part in ("val_dataloader", "val_cfg", "val_evaluator"):  # judged once, by a stage of its own
            training.pop(part, None)
        return {"checkpoint": str(train(training, quiet=True)), "seconds": round(time.monotonic() - start)}

    return Stage(
        name,
        Path(cfg.work_dir),
        key=lambda done: [
            *(__version__, text(cfg), weights, [unify.inputs(d, None) for d in datasets]),
            *(done[n].key for n in inputs),
        ],
        action=action,
        inputs=inputs,
        complete=_has_checkpoint,
    )


def averaged(
    name: str,
    folder: Path,
    student: str,
    teacher: Callable[[Before], Path],
    weights: str,
    inputs: tuple[str, ...] = (),
) -> Stage:
    """The mean of the weights of a teacher and of the stage `student`, which began with them."""

    def action(done: Before) -> dict[str, Any]:
        path = folder / "mean.pth"
        average_checkpoints(teacher(done), checkpoint(done[student]), path)
        return {"checkpoint": str(path)}

    return Stage(
        name,
        folder,
        key=lambda done: [__version__, weights, *(done[n].key for n in (student, *inputs))],
        action=action,
        inputs=(student, *inputs),
        complete=_has_checkpoint,
    )


def judged(
    name: str,
    cfg: Config,
    judges: Mapping[str, Any],
    model: Callable[[Before], Path],
    weights: str,
    inputs: tuple[str, ...] = (),
) -> Stage:
    """A model measured on all judges, in `cfg.work_dir`."""
    folder = Path(cfg.work_dir)

    def action(done: Before) -> dict[str, str]:
        measured = measure(cfg, model(done), judges, quiet=True, title=name)
        write(folder / "evaluation", document(measured), measured)
        return {"evaluation": str(folder / "evaluation" / "evaluation.json")}

    return Stage(
        f"{name}, judged",
        folder,
        key=lambda done: [
            *(__version__, text(cfg), weights, [done[n].key for n in inputs]),
            {n: unify.inputs(d, None) for n, d in judges.items()},
        ],
        action=action,
        inputs=inputs,
        complete=lambda result: Path(result["evaluation"]).is_file(),
    )


def checkpoint(done: Done) -> Path:
    return Path(done.result["checkpoint"])


def _has_checkpoint(result: Any) -> bool:
    return Path(result["checkpoint"]).is_file()


class Clock:
    """Says which stage begins, of how many, and how long the rest may take."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.start, self.reused, self.total = time.monotonic(), 0, len(stages)
        self.stages = [self._wrapped(stage, number) for number, stage in enumerate(stages)]

    def _wrapped(self, stage: Stage, before: int) -> Stage:
        def action(done: Any) -> Any:
            ran = before - self.reused
            minutes = (time.monotonic() - self.start) / 60
            eta = f", ETA {minutes / ran * (self.total - before):.0f} min" if ran > 0 else ""
            print(f"[{before + 1}/{self.total}] {stage.name}; {minutes:.0f} min so far{eta}", flush=True)
            return stage.action(done)

        return replace(stage, action=action)

    def say(self, line: str) -> None:
        """Of `run_stages`: a line for each stage that is reused or replaced."""
        self.reused += line.endswith(": reused")
        print(line, flush=True)


def add_options(parser: argparse.ArgumentParser, models: Sequence[str], work: Path) -> None:
    """The options that experiments share."""
    parser.add_argument("--data-root", required=True, type=Path)
    parser.add_argument("-o", "--work", default=work, type=Path, help="for all results (%(default)s)")
    parser.add_argument("--seeds", type=_at_least(0), nargs="+", action=_Distinct, default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=models, default=models, help="these students (all)")
    parser.add_argument("--iters", type=_at_least(1), help="of every training; by default the config's")
    parser.add_argument(
        "--jobs", type=_at_least(1), default=1, help="stages at a time, where they do not wait (%(default)s)"
    )
    parser.add_argument(
        "--set", nargs="+", action=DictAction, default={}, help="of the config, as model.size_divisor=32"
    )


class _Distinct(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if len(set(values)) < len(values):
            raise argparse.ArgumentError(self, "a seed is named twice, and would count twice")
        setattr(namespace, self.dest, values)


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number, {least} or more")
        return int(text)

    return number
