"""The hook that knows of the ontology: checks before training, figures per dataset during it."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from torch import nn

from lsu_seg.data.datasets import CompoundDataset, TaxDataset, target_table, tax_datasets
from lsu_seg.errors import UserError
from lsu_seg.losses.mmseg import SetNLLLoss
from lsu_seg.openmmlab.registry import HOOKS, register
from lsu_seg.targets.table import TakesTargetTable, TargetTable
from lsu_seg.training.checks import check_training, check_val_batch


@register(HOOKS)
class OntologyHook(Hook):
    """Refuse a training that disagrees with its ontology; tell losses what targets mean; log each dataset's figures.

    `lsu-seg train` and `unify` add it; elsewhere: `custom_hooks = [dict(type='OntologyHook')]`.

    Before training it compares classes, ignored index, losses, padding, samplers and the validation set with the
    ontology of the training datasets, and raises `DisagreementError` with the lines to write; so it does in validation
    where a batch has images of several sizes. Losses and heads (`TakesTargetTable`) get the table of sets of the
    dataset whose targets they see: the training set's, and during validation the validation set's.

    During training the log has, for each dataset (`town`):

    - `loss_town`: mean loss per pixel (with a `SetNLLLoss`);
    - `acc_town`: share of its labelled pixels in the batch whose likeliest class is the target, or in the target's set
      (with a `SetNLLLoss`; in place of MMSegmentation's `acc_seg`, to which every set is wrong);
    - `ratio_town`: share of the samples so far;
    - `sets_town`: share of its labelled pixels so far whose target is a set (with a `SetNLLLoss`).

    Before the first iteration the log has the thresholds of datasets with `unsure`; after the last a table over all
    ranks, with the shares that the weights ask for and how many void images were passed over. Samples are attributed by
    the `dataset` that `PackTaxInputs` writes.
    """

    priority = "NORMAL"  # before the LoggerHook
    table: TargetTable | None = None
    """Of the training that is under way."""

    def before_train(self, runner: Any) -> None:
        model = getattr(runner.model, "module", runner.model)
        loader = getattr(runner.val_loop, "dataloader", None)
        check_training(model, runner.train_loop, getattr(loader, "dataset", None))
        dataset = runner.train_loop.dataloader.dataset
        self.table = target_table(dataset)
        give_table(runner.model, self.table)
        members = list(tax_datasets(dataset))
        self.names = [d.name for d in members]
        log_thresholds(runner, members)
        self.wanted = [1.0]
        if isinstance(dataset, CompoundDataset):
            sampler = runner.train_loop.dataloader.sampler
            sizes = [len(d) for d in members]
            self.wanted = getattr(sampler, "shares", [n / sum(sizes) for n in sizes])
        self.totals = torch.zeros(len(members), len(COLUMNS), dtype=torch.float64)
        head = getattr(model, "decode_head", None) or model
        losses = [m for m in head.modules() if isinstance(m, SetNLLLoss)]
        self.loss = losses[0] if losses else None
        if self.loss is not None:
            self.loss.watch = True

    def before_val(self, runner: Any) -> None:
        table = None
        with contextlib.suppress(UserError):  # several tables: a matter for losses only, and few look here
            table = target_table(runner.val_loop.dataloader.dataset)
        give_table(runner.model, table)

    def after_val(self, runner: Any) -> None:
        give_table(runner.model, self.table)

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        check_val_batch(getattr(runner.model, "module", runner.model), data_batch)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if not self.names or data_batch is None:
            return
        samples = data_batch["data_samples"]
        if not all("dataset" in s for s in samples):
            return  # packed by another transform than ours
        rows = [self.names.index(s.dataset) for s in samples]
        new = torch.zeros_like(self.totals)
        seen = self.loss.seen if self.loss is not None else None
        for n, row in enumerate(rows):
            new[row, 0] += 1
            new[row, 1] += samples[n].get("void_skipped", 0)
        right = new.new_zeros(len(new))
        if seen is not None and len(seen) == len(rows):
            of_sample = seen.double().cpu()
            new[:, 2:].index_add_(0, torch.tensor(rows), of_sample[:, :-1])
            right.index_add_(0, torch.tensor(rows), of_sample[:, -1])
        self.totals += new
        hub = runner.message_hub
        if seen is not None:
            for key in [k for k in hub.log_scalars if k.endswith("acc_seg")]:
                del hub.log_scalars[key]
        for row in sorted(set(rows)):
            name, (_, _, loss, counted, _, valid) = self.names[row], new[row].tolist()
            if counted:
                hub.update_scalar(f"train/loss_{name}", loss / counted)
            if valid:
                hub.update_scalar(f"train/acc_{name}", float(right[row]) / valid)
            if seen is not None:
                _, _, _, _, sets, valid = self.totals[row].tolist()
                hub.update_scalar(f"train/sets_{name}", sets / max(1, valid))
        for row, name in enumerate(self.names):
            hub.update_scalar(f"train/ratio_{name}", float(self.totals[row, 0] / self.totals[:, 0].sum()))

    def after_train(self, runner: Any) -> None:
        self.table = None
        give_table(runner.model, None)
        if self.loss is not None:
            self.loss.watch, self.loss.seen = False, None
        totals = self.totals.clone()
        all_reduce(totals)
        if is_main_process() and totals[:, 0].sum():
            runner.logger.info("samples of each dataset:\n" + summary(self.names, self.wanted, totals))


def give_table(model: nn.Module, table: TargetTable | None) -> None:
    """To every part of a model that is trained on targets with sets; None takes it away."""
    for module in model.modules():
        if isinstance(module, TakesTargetTable):
            module.use_table(table)


def log_thresholds(runner: Any, members: list[TaxDataset]) -> None:
    """Which confidence the datasets with `unsure` ask of hard targets."""
    for dataset in members:
        if dataset.thresholds:
            text = ", ".join(f"{name} {level:.2f}" for name, level in dataset.thresholds.items())
            runner.logger.info(f"`{dataset.name}`: confidence from which on ambiguous pixels are hard targets: {text}")


COLUMNS = ("samples", "void skipped", "loss", "counted", "sets", "valid")


def summary(names: list[str], wanted: list[float], totals: torch.Tensor) -> str:
    """A line per dataset. totals: float64 `[D, 6]`, columns as COLUMNS says."""
    width = max(len("dataset"), *map(len, names))
    lines = [f"  {'dataset':{width}}  samples  ratio  wanted   loss  sets  void images skipped"]
    for name, share, (samples, skipped, loss, counted, sets, valid) in zip(names, wanted, totals.tolist(), strict=True):
        mean = f"{loss / counted:.3f}" if counted else "-"
        among = f"{sets / valid:.0%}" if valid else "-"
        lines.append(
            f"  {name:{width}}  {samples:7.0f}  {samples / float(totals[:, 0].sum()):5.3f}  {share:6.3f}"
            f"  {mean:>5}  {among:>4}  {skipped:.0f}"
        )
    return "\n".join(lines)
