"""A hook that knows the ontology: checks before training, metrics per dataset during training."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from torch import nn

from lsu_seg.data.compound import compound_of
from lsu_seg.data.datasets import TaxDataset, target_table, tax_datasets
from lsu_seg.errors import UserError
from lsu_seg.losses.mmseg import SetNLLLoss
from lsu_seg.openmmlab.registry import HOOKS, register
from lsu_seg.targets.table import TakesTargetTable, TargetTable
from lsu_seg.training.checks import check_training, check_val_batch
from lsu_seg.training.saving import check_best


@register(HOOKS)
class OntologyHook(Hook):
    """Refuse a training that disagrees with its ontology; pass the table of sets to losses; log metrics per dataset.

    `lsu-seg train` and `unify` add this hook; elsewhere, write `custom_hooks = [dict(type='OntologyHook')]`.

    Before training, the hook compares classes, ignored index, losses, padding, samplers and the validation set with the
    ontology of the training datasets, and raises a `DisagreementError` with the lines to write. It also raises one in
    validation if a batch has images of several sizes. Losses and heads (`TakesTargetTable`) get the table of sets of
    the dataset whose targets they see: the training set's, or during validation the validation set's.

    During training, the log has for each dataset (here `town`):

    - `loss_town`: the mean loss per pixel (with a `SetNLLLoss`);
    - `acc_town`: the share of its labelled pixels in the batch whose likeliest class is the target, or in the target's
      set (with a `SetNLLLoss`; it replaces MMSegmentation's `acc_seg`, which counts every set as wrong);
    - `ratio_town`: the share of its samples among all samples so far;
    - `sets_town`: the share of its labelled pixels so far whose target is a set (with a `SetNLLLoss`).

    Before the first iteration, the thresholds of datasets with `unsure` are logged, which classes of own labels are
    ignored although they could be trained on as sets, and which channels no set tells apart; after the last, a table
    over all ranks, with the shares that result from the weights, and the number of void images that were skipped.
    Samples are assigned to datasets by the `dataset` that `PackTaxInputs` writes. An image of a mosaic (`TaxMosaic`)
    counts as its part of a sample; a mosaic of several datasets counts in none of the other figures, and no image with
    segments that `TaxCopyPaste` has pasted from another dataset.
    """

    priority = "NORMAL"  # before the LoggerHook
    table: TargetTable | None = None
    """The table of the current training; None outside of training."""

    def before_train(self, runner: Any) -> None:
        model = getattr(runner.model, "module", runner.model)
        loader = getattr(runner.val_loop, "dataloader", None)
        check_training(model, runner.train_loop, getattr(loader, "dataset", None))
        check_best(runner)
        dataset = runner.train_loop.dataloader.dataset
        self.table = target_table(dataset)
        give_table(runner.model, self.table)
        members = list(tax_datasets(dataset))
        log_thresholds(runner, members)
        log_rare(runner, dataset)
        log_ignored(runner, members)
        log_alike(runner, members)
        shares = shares_of(runner.train_loop.dataloader)
        self.names, self.shares = list(shares), list(shares.values())
        self.totals = torch.zeros(len(self.names), len(COLUMNS), dtype=torch.float64)
        head = getattr(model, "decode_head", None) or model
        losses = [m for m in head.modules() if isinstance(m, SetNLLLoss)]
        self.loss = losses[0] if losses else None
        if self.loss is not None:
            self.loss.watch = True

    def before_val(self, runner: Any) -> None:
        table = None
        with contextlib.suppress(UserError):  # several tables concern only losses, and few compute any in validation
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
        # A mosaic is of several datasets: what is counted by pixels cannot be told apart.
        parts = [s.get("parts") or [(s.dataset, s.get("void_skipped", 0))] for s in samples]
        row_of = {name: row for row, name in enumerate(self.names)}
        rows = [[row_of.get(name, -1) for name, _ in some] for some in parts]  # -1: without an ontology
        foreign = [s.get("pasted", s.dataset) != s.dataset for s in samples]  # with segments of another dataset
        pure = [n for n, of in enumerate(rows) if len(set(of)) == 1 and of[0] >= 0 and not foreign[n]]
        new = torch.zeros_like(self.totals)
        seen = self.loss.seen if self.loss is not None else None
        for some, of_sample in zip(parts, rows, strict=True):
            for (_, skipped), row in zip(some, of_sample, strict=True):
                if row >= 0:
                    new[row, 0] += 1 / len(some)
                    new[row, 1] += skipped
        right = new.new_zeros(len(new))
        if seen is not None and len(seen) == len(rows):
            counts, of_pure = seen.double().cpu()[pure], torch.tensor([rows[n][0] for n in pure], dtype=torch.int64)
            new[:, 2:].index_add_(0, of_pure, counts[:, :-1])
            right.index_add_(0, of_pure, counts[:, -1])
        self.totals += new
        hub = runner.message_hub
        if seen is not None:
            for key in [k for k in hub.log_scalars if k.endswith("acc_seg")]:
                del hub.log_scalars[key]
        for row in sorted({rows[n][0] for n in pure}):
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
            runner.logger.info("samples of each dataset:\n" + summary(self.names, self.shares, totals))


def shares_of(dataloader: Any) -> dict[str, float]:
    """The share of the samples that each TaxDataset should have, by its name."""
    compound = compound_of(dataloader.dataset)
    members = list(tax_datasets(dataloader.dataset)) if compound is None else compound.datasets
    shares = getattr(dataloader.sampler, "shares", [])
    if len(shares) != len(members):  # other samplers, and other wrappers of several datasets, draw evenly
        shares = [len(member) / sum(map(len, members)) for member in members]
    out: dict[str, float] = {}
    for member, share in zip(members, shares, strict=True):
        for dataset in tax_datasets(member):
            out[dataset.name] = out.get(dataset.name, 0.0) + share
    return out


def give_table(model: nn.Module, table: TargetTable | None) -> None:
    """Give the table to every module that is trained on targets with sets; None removes it."""
    for module in model.modules():
        if isinstance(module, TakesTargetTable):
            module.use_table(table)


def log_thresholds(runner: Any, members: list[TaxDataset]) -> None:
    """Log the confidence from which on datasets with `unsure` have hard targets."""
    for dataset in members:
        if dataset.thresholds:
            text = ", ".join(f"{name} {level:.2f}" for name, level in dataset.thresholds.items())
            runner.logger.info(f"`{dataset.name}`: confidence from which on ambiguous pixels are hard targets: {text}")


def log_rare(runner: Any, dataset: Any) -> None:
    """Log how likely each class is drawn first, which have too few pixels in every image, and what is drawn anew."""
    compound = compound_of(dataset)
    if compound is None:
        return
    classes = compound.metainfo["classes"]
    pasted = None if compound.donors is None else compound.donors.rare
    for rare, what in (compound.rare, "images are drawn"), (pasted, "segments to paste are drawn"):
        if rare is None:
            continue
        odds = ", ".join(f"{name} {p:.1%}" for name, p in zip(classes, rare.odds, strict=True) if p >= 0.0005)
        runner.logger.info(f"{what} by their classes: {odds}")
        nowhere = [name for name, *images in zip(classes, *rare.images, strict=True) if not any(map(len, images))]
        if nowhere:
            runner.logger.info(f"in no image are enough pixels of {_listed(nowhere, 'or')}, so none is drawn for these")
    for factors, member in zip(compound.repeats or (), compound.datasets, strict=False):
        runner.logger.info(
            f"`{member.name}`: images are drawn up to {factors.max(initial=1):.1f} times as often as others, for their"
            f" rare classes; {factors.sum() / max(1, len(factors)):.2f} times on average"
        )


def log_ignored(runner: Any, members: list[TaxDataset]) -> None:
    """Warn of classes whose own labels are ignored, although the loss could be over the set of what they may be."""
    for dataset in members:
        constraint = dataset.constraint
        closed = (constraint.allowed[:, :-1].sum(1) > 1) & ~constraint.allowed[:, -1]
        if dataset.pseudo or dataset.reader.threshold is not None or not closed.any():
            continue
        names = [name for name, one in zip(constraint.classes, closed, strict=True) if one]
        runner.logger.warning(
            f"`{dataset.name}`: pixels of {_listed(names)} are ignored, because each may be several classes of"
            f" `{constraint.source}`; write `threshold=1.0` to train on them as sets, or `labels=` for pseudo-labels"
        )


def log_alike(runner: Any, members: list[TaxDataset]) -> None:
    """Warn of channels that a training on sets alone cannot tell apart: each label that may be one may be the other."""
    if any(d.pseudo for d in members) or not any(d.coder.has_sets for d in members):
        return
    classes = members[0].constraint.source_classes
    targets = [d.constraint.allowed[:, :-1][d.coder.by_row[:-1] != d.coder.void] for d in members]
    alike: dict[bytes, list[str]] = {}
    for name, column in zip(classes, np.concatenate(targets).T, strict=True):
        alike.setdefault(column.tobytes(), []).append(name)
    nowhere = alike.pop(bytes(sum(map(len, targets))), [])
    if nowhere:
        runner.logger.warning(
            f"no label of the training datasets may be {_listed(nowhere, 'or')}: nothing teaches the model what that is"
        )
    for names in alike.values():
        if len(names) > 1:
            runner.logger.warning(
                f"every label of the training datasets that may be one of {_listed(names)} may be each of them:"
                " nothing teaches the model to tell them apart"
            )


def _listed(names: list[str], word: str = "and") -> str:
    """Names in a sentence, not more than a few."""
    quoted = [f"`{name}`" for name in names[:_NAMED]]
    if len(names) > _NAMED:
        quoted.append(f"{len(names) - _NAMED} more")
    return f" {word} ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


_NAMED = 5
"""So many classes are named in a message."""

COLUMNS = ("samples", "void skipped", "loss", "counted", "sets", "valid")


def summary(names: list[str], shares: list[float], totals: torch.Tensor) -> str:
    """A table with one line per dataset.

    Args:
        names: names of the D datasets. shares: the share of the samples that each should have.
        totals: float64 `[D, 6]`, with the columns COLUMNS.
    """
    width = max(len("dataset"), *map(len, names))
    lines = [f"  {'dataset':{width}}  samples  ratio  wanted   loss  sets  void images skipped"]
    for name, share, (samples, skipped, loss, counted, sets, valid) in zip(names, shares, totals.tolist(), strict=True):
        mean = f"{loss / counted:.3f}" if counted else "-"
        among = f"{sets / valid:.0%}" if valid else "-"
        lines.append(
            f"  {name:{width}}  {samples:7.0f}  {samples / float(totals[:, 0].sum()):5.3f}  {share:6.3f}"
            f"  {mean:>5}  {among:>4}  {skipped:.0f}"
        )
    return "\n".join(lines)
