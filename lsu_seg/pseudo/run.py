"""One labelling run: a config and a teacher in, a folder of pseudo-labels out."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

import lsu_onto
from lsu_seg.errors import ConfigError
from lsu_seg.models.hub import pin
from lsu_seg.openmmlab.config import is_type
from lsu_seg.openmmlab.leftovers import nothing_left
from lsu_seg.openmmlab.parts import check_parts, models_in
from lsu_seg.openmmlab.runner import runner_with_checkpoint
from lsu_seg.pseudo.errors import OutputError, check_output
from lsu_seg.pseudo.output import MANIFEST


def pseudo_label(
    cfg: Config, checkpoint: str | Path | None, quiet: bool = False, resume: bool = True
) -> dict[str, float]:
    """Run the config's `PseudoLabelLoop` with a trained teacher.

    Args:
        checkpoint: None where the config's model brings its weights: an `HFSegmentor` with `hf=dict(pretrained=…)`, a
            `TorchSegmentor` with `checkpoint=…`.
        resume: go on in a folder that an earlier run left; else such a folder is refused.

    Raises:
        ConfigError: `test_cfg` is no PseudoLabelLoop. TeacherError: the checkpoint does not fit the model, or
            the model not the source taxonomy.
    """
    check_parts(cfg)
    check_loop(cfg)
    cfg = copy.deepcopy(cfg)
    cfg.test_evaluator = []
    _check_labelling(cfg, resume)
    for model, _ in models_in(cfg.model):
        pin(model)
    # Nothing is exchanged but a few numbers at the start. NCCL, which configs ask for, would watch over its peers and
    # end processes whose peers are gone.
    environment = cfg.get("env_cfg") or {}
    cfg.env_cfg = {**environment, "dist_cfg": {**(environment.get("dist_cfg") or {}), "backend": "gloo"}}
    runner = None
    with nothing_left(cfg, lambda: getattr(runner and runner._test_loop, "entered", False)):
        runner = runner_with_checkpoint(cfg, checkpoint, quiet)
        figures: dict[str, float] = runner.test()
        return figures


def compile_decoder() -> None:
    """Have the CPU's decoder compiled for this machine, which labelling does otherwise; it is kept on disk."""
    from lsu_seg.decode import View, cpu

    cpu.decode([View(torch.zeros(2, 1, 1))], np.zeros((1, 1)), np.ones((1, 3), bool))


def check_loop(cfg: Config) -> None:
    """Refuse a config that labels nothing.

    Raises:
        ConfigError: `test_cfg` is no PseudoLabelLoop, or there is no `test_dataloader`.
    """
    if not is_type(cfg.get("test_cfg"), "PseudoLabelLoop"):
        raise ConfigError("the config has no `test_cfg = dict(type='PseudoLabelLoop', …)` and no `unify` section")
    if not cfg.get("test_dataloader"):
        raise ConfigError("the config has no `test_dataloader`: nothing says which images to label")


def _check_labelling(cfg: Config, resume: bool) -> None:
    """Find, before the model is built, what would end the run."""
    dataset, loop = cfg.test_dataloader.dataset, cfg.test_cfg
    if "dataset" in dataset or "datasets" in dataset:
        raise OutputError(
            f"`test_dataloader.dataset` is a {dataset.get('type')} around datasets; a PseudoLabelLoop labels one"
            " TaxDataset: write it itself, or a config for each of several"
        )
    others = {"the dataset's folder": dataset.data_root} if dataset.get("data_root") else {}
    for key, what in (("out_dir", "the folder of the constrained labels"), ("raw_dir", "")):
        if loop.get(key):
            if not isinstance(loop[key], (str, Path)):
                raise ConfigError(f"`test_cfg.{key}` is {loop[key]!r}; expected a folder")
            check_output(loop[key], others)
            if not resume and (Path(loop[key]) / MANIFEST).exists():
                raise OutputError(
                    f"{loop[key]} holds labels of an earlier run; remove it, choose another folder, or go on with"
                    " `--resume`"
                )
            others[what] = loop[key]
    if is_type(dataset, "TaxDataset") and "taxonomy" in dataset:
        c = lsu_onto.load(dataset.taxonomy, dataset.get("source"), dataset.get("paths", ()))
        if not c.allowed[:, :-1].any():
            raise OutputError(
                f"no class of `{c.dataset}` may be any class of `{c.source}`: every label would be void; relate its"
                " classes in the map first"
            )
