"""Compare a training config with the ontology of its datasets, before the first iteration.

Each check yields findings: what the config says, what the ontology says, and the line to write.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.runner import EpochBasedTrainLoop
from mmseg.datasets import MultiImageMixDataset
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs, RandomMosaic
from mmseg.structures.sampler import OHEMPixelSampler
from torch import nn

from lsu_onto import Constraint
from lsu_seg.data.compound import compound_of
from lsu_seg.data.copy_paste import TaxCopyPaste, nested
from lsu_seg.data.datasets import TaxDataset, tax_datasets
from lsu_seg.data.samplers import CompoundSampler
from lsu_seg.data.transforms import LoadTaxAnnotations, TaxMosaic
from lsu_seg.errors import UserError
from lsu_seg.label_files import void_index
from lsu_seg.losses.category import CategoryLoss
from lsu_seg.losses.mmseg import SetNLLLoss, SetOHEMPixelSampler
from lsu_seg.models.hf_models import SET_QUERY_MODELS
from lsu_seg.models.known_masks import NO_SETS


class DisagreementError(UserError):
    """A training config disagrees with its ontology. The message lists every place and the line to write there."""


def check_training(model: nn.Module, loop: Any, val_dataset: Any = None) -> None:
    """Check a training against the ontology of its datasets.

    Args:
        model: the segmentor, without a DDP wrapper. loop: the train loop. val_dataset: the validation set, or None.

    Raises:
        DisagreementError: the config disagrees with the ontology; the message lists all findings.
    """
    dataset = loop.dataloader.dataset
    members = list(tax_datasets(dataset))
    if not members:
        return  # no dataset has an ontology
    findings = [
        *check_model(model, members),
        *check_pipelines(dataset),
        *check_copy_paste(dataset),
        *check_sampling(loop, dataset),
        *check_validation(members[0], val_dataset),
    ]
    if findings:
        lines = "\n".join(f"  - {f}" for f in dict.fromkeys(findings))
        raise DisagreementError(f"the config disagrees with the ontology of its datasets:\n{lines}")


def check_model(model: nn.Module, members: list[TaxDataset]) -> Iterator[str]:
    """Check the padding, and the classes, ignored index and losses of every head.

    A head, or a segmentor without heads, that has no `loss_decode` but `takes_sets = True` handles sets itself.
    """
    void = void_index(members[0].constraint.num_classes)
    with_sets = [d.name for d in members if d.coder.uses_table]
    padding = getattr(getattr(model, "data_preprocessor", None), "seg_pad_val", void)
    if padding != void:
        yield (
            f"batches are padded with {padding}, and void is {void}: write"
            f" `model = dict(data_preprocessor=dict(seg_pad_val={void}))`"
        )
    for name, head in _heads(model):
        masks = _predicts_masks(head)
        yield from _check_head(name, head, members[0].constraint, [] if masks else with_sets)
        if masks:
            yield from _check_masks(name, head, members)


def _check_head(name: str, head: nn.Module, constraint: Constraint, with_sets: list[str]) -> Iterator[str]:
    source, k = constraint.source, constraint.num_classes
    void = void_index(k)
    last = name.rpartition(".")[2]
    classes = getattr(head, "num_classes", k)
    if classes != k:
        factory = getattr(head, "factory", "")
        mend = f"let `{factory}` make one of {k} channels" if factory else f"write `{last}=dict(num_classes={k})`"
        yield f"{name} has num_classes={classes}, and `{source}` has {k} classes: {mend}"
    ignored = getattr(head, "ignore_index", void)
    if ignored != void:
        yield f"{name} ignores {ignored}, and void is {void}: write `{last}=dict(ignore_index={void})`"
    losses = getattr(head, "loss_decode", None)
    losses = list(losses) if isinstance(losses, nn.ModuleList) else [losses]
    if not losses:
        yield f"{name} has no loss: write `{last}=dict(loss_decode=dict(type='SetNLLLoss', source='{source}'))`"
        return
    names = [getattr(loss, "loss_name", "loss_") for loss in losses]
    if not any("loss" in str(each) for each in names):
        yield (
            f"{name} has no loss but {_names(list(map(str, names)))}, and MMSegmentation trains on those whose names"
            f" begin with `loss_`: write `loss_decode=dict(loss_name='loss_{names[0]}')`"
        )
    for loss in losses:
        if isinstance(loss, (SetNLLLoss, CategoryLoss)) and loss.source != source:
            kind = type(loss).__name__
            yield (
                f"{name}'s {kind} is of `{loss.source}`, and the datasets of `{source}`: write"
                f" `loss_decode=dict(type='{kind}', source='{source}')`"
            )
        if isinstance(loss, CategoryLoss):
            yield from _check_categories(name, constraint, alone=len(losses) == 1)
        elif isinstance(loss, SetNLLLoss):
            weights = loss.class_weight
            if weights is not None and not isinstance(weights, (list, tuple)):
                yield f"{name}'s SetNLLLoss has class_weight={weights}: write a list of {k} numbers, one for each class"
            elif weights is not None and len(weights) != k:
                yield (
                    f"{name}'s SetNLLLoss has {len(weights)} class weights, and `{source}` {k} classes:"
                    " write one for each, in the order of its channels"
                )
        elif with_sets and (loss is not None or not getattr(head, "takes_sets", False)):
            kind = type(loss if loss is not None else head).__name__
            line = f"loss_decode=dict(type='SetNLLLoss', source='{source}')"
            yield (
                f"{name} is trained with {kind}, which does not know the targets that `threshold`, `unsure` or"
                f" `loss_weight` of {_names(with_sets)} make: write `{last}=dict({line})`, or take them out of the"
                " datasets"
            )
    if getattr(head, "source", None) not in (None, source):
        yield f"{name} has source='{head.source}', and the datasets `{source}`: write `{last}=dict(source='{source}')`"
    pixels: Any = getattr(head, "sampler", None)
    if with_sets and type(pixels) is OHEMPixelSampler and pixels.thresh is not None:
        yield (
            f"{name}'s OHEMPixelSampler with a `thresh` looks up the probability of one class: write"
            f" `sampler=dict(type='{SetOHEMPixelSampler.__name__}', thresh={pixels.thresh},"
            f" min_kept={pixels.min_kept})`"
        )


def _check_categories(name: str, constraint: Constraint, alone: bool) -> Iterator[str]:
    if alone:
        yield (
            f"{name} has a CategoryLoss alone, which does not tell the classes of a category apart: write"
            f" `loss_decode=[dict(type='SetNLLLoss', source='{constraint.source}'), dict(type='CategoryLoss', …)]`"
        )
    number = len({group or channel for channel, group in enumerate(constraint.source_groups)})
    if not 1 < number < constraint.num_classes:
        yield (
            f"{name} has a CategoryLoss, and the groups of `{constraint.source}` make {number} categories of"
            f" {constraint.num_classes} classes, on which there is nothing to learn: leave the loss out, or write the"
            " classes below `[group]` lines in the source's taxonomy"
        )


def _predicts_masks(head: nn.Module) -> bool:
    from mmseg.models.decode_heads import Mask2FormerHead, MaskFormerHead  # slow: all models

    return getattr(head, "queries", False) is True or isinstance(head, (MaskFormerHead, Mask2FormerHead))


def _check_masks(name: str, head: nn.Module, members: list[TaxDataset]) -> Iterator[str]:
    """Check a head that predicts masks: its losses are over masks and classes, in which pixels have no weight."""
    weighted = [d.name for d in members if d.loss_weight != 1]
    if weighted:
        yield (
            f"{name} is trained on masks, so the `loss_weight` of {_names(weighted)} has no effect: write"
            " `dict(type='TaxDataset', loss_weight=1.0, …)`; `weight` says how often a dataset's images are drawn"
        )
    makers = ", ".join(
        f"`{'threshold' if d.unsure is None else 'unsure'}` of `{d.name}`" for d in members if d.coder.has_sets
    )
    if not makers or getattr(head, "takes_sets", False):
        return
    source, kind = members[0].constraint.source, type(getattr(head, "net", head)).__name__
    if kind in SET_QUERY_MODELS:
        line = f"source='{source}'"
    elif kind == "Mask2FormerHead":
        line = f"type='SetMask2FormerHead', source='{source}'"
    else:
        yield f"{name} is a {kind}, which {NO_SETS}; or leave out {makers}"
        return
    yield (
        f"{name} is trained with {kind}, which does not know sets, as they come of {makers}: write"
        f" `{name.rpartition('.')[2]}=dict({line})`, or leave that out"
    )


def _heads(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules with a loss: the heads of MMSegmentation's segmentors, or a segmentor that has no heads."""
    heads = False
    for name in ("decode_head", "auxiliary_head"):
        head = getattr(model, name, None)
        if isinstance(head, nn.ModuleList):
            yield from ((f"model.{name}[{i}]", h) for i, h in enumerate(head))
        elif isinstance(head, nn.Module):
            yield f"model.{name}", head
        heads |= head is not None
    if not heads:
        yield "model", model


def _names(names: list[str]) -> str:
    return ", ".join(f"`{n}`" for n in names)


def check_pipelines(dataset: Any) -> Iterator[str]:
    """Check that the transforms read the label files, and fill in void where there is no label."""
    findings: dict[str, list[str]] = {}
    for member, mixing in _mixed(dataset, []):
        own, void = list(nested(member.pipeline)), void_index(member.constraint.num_classes)
        for text in (*_check_transforms([*own, *mixing], void), *_check_mixing(own, mixing)):
            findings.setdefault(text, []).append(member.name)
    for text, names in findings.items():
        yield f"the pipeline of {_names(names)}: {text}"


def check_copy_paste(dataset: Any) -> Iterator[str]:
    """Check that what is pasted is drawn, and that what is drawn is pasted."""
    compound = compound_of(dataset)
    drawn = compound is not None and compound.copy_paste is not None
    pasting = [
        member.name
        for member, mixing in _mixed(dataset, [])
        if any(isinstance(t, TaxCopyPaste) for t in (*nested(member.pipeline), *mixing))
    ]
    if pasting and not drawn:
        yield (
            f"the pipeline of {_names(pasting)} has a TaxCopyPaste, and nothing says what it pastes: write"
            " `dict(type='CompoundDataset', copy_paste=0.01, …)`, or leave it out"
        )
    if drawn and not pasting:
        yield (
            "the CompoundDataset has `copy_paste`, and nothing is pasted: write `dict(type='TaxCopyPaste')` into the"
            " pipeline, after crops and flips"
        )


def _mixed(dataset: Any, outer: list[Any]) -> Iterator[tuple[TaxDataset, list[Any]]]:
    """Each TaxDataset, with the transforms that wrappers apply after its own pipeline."""
    if isinstance(dataset, MultiImageMixDataset):
        outer = [*nested(dataset.pipeline), *outer]
    if isinstance(dataset, TaxDataset):
        yield dataset, outer
        return
    for member in getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]:
        if member is not None:
            yield from _mixed(member, outer)


def _check_transforms(transforms: list[Any], void: int) -> Iterator[str]:
    if not any(isinstance(t, LoadTaxAnnotations) for t in transforms):
        yield "nothing reads the labels: write `dict(type='LoadTaxAnnotations')`"
    for transform in transforms:
        kind = type(transform).__name__
        if isinstance(transform, LoadAnnotations):
            yield f"{kind} takes raw values for classes: write `dict(type='LoadTaxAnnotations')`"
        pad = getattr(transform, "pad_val", None)
        values = {
            "seg_pad_val": getattr(transform, "seg_pad_val", void),
            "pad_val": pad.get("seg", 255) if isinstance(pad, dict) else void,
            "ignore_index": getattr(transform, "ignore_index", void),
        }
        for key, value in values.items():
            if value != void:
                line = f"dict(img=…, seg={void})" if key == "pad_val" else void
                yield f"{kind} takes {value} for void, which is {void}: write `dict(type='{kind}', {key}={line}, …)`"


def _check_mixing(own: list[Any], outer: list[Any]) -> Iterator[str]:
    """Check which transforms see several images: those of a `MultiImageMixDataset` do, before anything is packed."""
    for transform in own:
        kind = type(transform).__name__
        if hasattr(transform, "get_indices"):
            yield (
                f"{kind} needs several images: write it into the pipeline of a `dict(type='MultiImageMixDataset',"
                " dataset=…, pipeline=[…])` around the dataset"
            )
        if outer and isinstance(transform, PackSegInputs):
            yield (
                f"{kind} packs the images before the MultiImageMixDataset mixes them: move it to the end of the"
                " MultiImageMixDataset's pipeline"
            )
    for transform in (*own, *outer):
        if isinstance(transform, RandomMosaic) and not isinstance(transform, TaxMosaic):
            yield (
                "RandomMosaic draws its other images whatever the weights are, and past the end of the dataset: write"
                f" `dict(type='TaxMosaic', prob={transform.prob}, img_scale={transform.img_scale}, …)`"
            )


def check_sampling(loop: Any, dataset: Any) -> Iterator[str]:
    """Check that weights have an effect, and that an epoch ends."""
    sampler, kind = getattr(loop.dataloader, "sampler", None), type(dataset).__name__
    compound = compound_of(dataset)
    weights = [d.weight for d in tax_datasets(dataset)] if compound is None else compound.weights
    if compound is None and len(set(weights)) > 1:
        yield (
            f"the datasets have the weights {weights}, and nothing looks at them inside a {kind}: put the datasets into"
            " a `dict(type='CompoundDataset', datasets=[…])`, and write"
            " `train_dataloader = dict(sampler=dict(type='CompoundSampler'))`"
        )
    if not isinstance(sampler, CompoundSampler):
        for key in ("rare_classes", "oversample_thr"):
            if getattr(compound, key, None) is not None:
                yield (
                    f"the CompoundDataset has `{key}`, and {type(sampler).__name__} draws images whatever classes"
                    " they have: write `train_dataloader = dict(sampler=dict(type='CompoundSampler'))`"
                )
        if compound is not None and len(set(weights)) > 1:
            yield (
                f"the datasets have the weights {weights}, and {type(sampler).__name__} does not look at them: write"
                " `train_dataloader = dict(sampler=dict(type='CompoundSampler'))`"
            )
        return
    size = loop.dataloader.batch_size
    if sampler.batch_size not in (1, size):
        yield (
            f"the CompoundSampler makes batches of {sampler.batch_size}, and the dataloader of {size}: write"
            f" `sampler=dict(type='CompoundSampler', batch_size={size})`"
        )
    if isinstance(loop, EpochBasedTrainLoop) and sampler.endless:
        yield (
            "an EpochBasedTrainLoop waits for its epoch to end, and the CompoundSampler is endless: write"
            " `sampler=dict(type='CompoundSampler', endless=False)`"
        )


def check_validation(train: TaxDataset, val_dataset: Any) -> Iterator[str]:
    """Check that validation uses the classes of training, and every image."""
    if any(d.skip_void for d in tax_datasets(val_dataset)):
        yield (
            "the validation set is a CompoundDataset for training, which passes over void images: write"
            " `val_dataloader = dict(dataset=dict(type='CompoundDataset', test_mode=True, …))`"
        )
    meta = getattr(val_dataset, "metainfo", None) or {}
    for key in ("source", "classes", "palette"):
        own, other = train.metainfo.get(key), meta.get(key)
        if other is not None and list(own) != list(other):
            yield (
                f"the validation set's `{key}` differ from those of `{train.constraint.source}`, which training has:"
                f" write `val_dataloader = dict(dataset=dict(source='{train.constraint.source}', …))`"
            )
            return


def check_val_batch(model: nn.Module, batch: Any) -> None:
    """Check that MMSegmentation can stack the images of a batch: it pads them in training, but not in validation.

    This is checked batch by batch: pipelines determine image sizes, so an earlier check would have to load every image.

    Raises:
        DisagreementError: the images have several sizes.
    """
    from mmseg.models import SegDataPreProcessor

    if not isinstance(getattr(model, "data_preprocessor", None), SegDataPreProcessor):
        return
    sizes = sorted({f"{image.shape[-1]}x{image.shape[-2]}" for image in batch["inputs"]})
    if len(sizes) > 1:
        raise DisagreementError(
            f"a batch of the validation set has images of {' and '.join(sizes)}, which cannot be stacked: write"
            " `val_dataloader = dict(batch_size=1)`"
        )
