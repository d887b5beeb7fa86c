"""Networks over several label spaces, judged on the same scenes in each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from numpy.typing import NDArray
from torch import Tensor

from lsu_seg.evaluation.counts import confusion, iou_summary
from unite_scenes.scenes import ATOMS, DATASETS, FINE, find_taxonomy


def judge(
    models: Mapping[str, Any], on_atoms: Sequence[str], ways: Mapping[str, Sequence[str]], scenes: Iterable[Any]
) -> dict[str, Any]:
    """mIoU and IoU by class of each way, in each label space; `unnamed`: of the fine classes that no dataset names.

    Args:
        models: by name; on_atoms: those whose channels are atoms.
        ways: the models of each (`Spaces.predict`).
        scenes: samples of a TaxDataset with the fine labels.
    """
    spaces = Spaces()
    counts = {(way, space): torch.tensor(0) for way in ways for space in spaces.names}
    for sample in scenes:
        truth = sample["data_samples"].gt_sem_seg.data[0].long()
        seen = {name: probabilities(model, sample) for name, model in models.items()}
        seen |= {name: seen[name][spaces.atom_of] for name in on_atoms}
        for way, networks in ways.items():
            for space, own in spaces.predict([seen[network] for network in networks]).items():
                counts[way, space] = counts[way, space] + confusion(
                    own, spaces.truth(truth, space), len(spaces.names[space])
                )
    found: dict[str, Any] = {way: {} for way in ways}
    for (way, space), matrix in counts.items():
        summary = iou_summary(matrix)
        per_class = dict(zip(spaces.names[space], summary["per_class"].tolist(), strict=True))
        found[way][space] = {"miou": summary["miou"], "per_class": per_class}
    for of_way in found.values():
        per_class = {name: of_way["fine"]["per_class"][name] for name in spaces.unnamed}
        of_way["unnamed"] = {"miou": float(np.nanmean([*per_class.values()])), "per_class": per_class}
    return found


@torch.no_grad()
def probabilities(model: Any, sample: Any) -> Tensor:
    """Float `[K, H, W]`."""
    return model.test_step(pseudo_collate([sample]))[0].seg_logits.data.softmax(0)


class Spaces:
    """The scenes' fine classes and the classes of either dataset, and the way from one to the other.

    The fine class of an atom is the one that lies in the same two classes.
    """

    def __init__(self) -> None:
        to_fine = {d: find_taxonomy(d, FINE) for d in DATASETS}
        to_atoms = {d: find_taxonomy(d, ATOMS) for d in DATASETS}
        fine = find_taxonomy(FINE, FINE).source_classes
        self.names: dict[str, tuple[str, ...]] = {"fine": fine, **{d: c.classes for d, c in to_fine.items()}}
        parents = [parent_of(c.certain) for c in to_fine.values()]
        atoms = zip(*(parent_of(c.certain) for c in to_atoms.values()), strict=True)
        place = {pair: i for i, pair in enumerate(atoms)}
        self.atom_of = [place[pair] for pair in zip(*parents, strict=True)]
        """The atom of each fine class."""
        self.parents = dict(zip(DATASETS, map(torch.from_numpy, parents), strict=True))
        """The class of each fine class, by dataset."""
        self.own = len(fine)
        shared = [np.bincount(p)[p] > 1 for p in parents]
        self.unnamed = tuple(name for name, *ones in zip(fine, *shared, strict=True) if all(ones))
        """The fine classes that no dataset has a class for."""

    def truth(self, fine: Tensor, space: str) -> Tensor:
        if space == "fine":
            return fine
        lookup = torch.full((256,), 255)
        lookup[: self.own] = self.parents[space]
        return lookup[fine]

    def predict(self, networks: Sequence[Tensor]) -> dict[str, Tensor]:
        """What one network over fine classes says in each space, or two over the classes of each dataset: `[K, H, W]`.

        Of two networks, the fine class is the one whose two classes are likeliest together.
        """
        if len(networks) == 2:
            own = dict(zip(DATASETS, networks, strict=True))
            both = sum(own[d].clamp_min(1e-9).log()[self.parents[d]] for d in DATASETS)
            return {"fine": both.argmax(0), **{d: p.argmax(0) for d, p in own.items()}}
        fine = networks[0].argmax(0)
        return {"fine": fine, **{d: parents[fine] for d, parents in self.parents.items()}}


def parent_of(certain: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The class that each channel lies in, of bool `[D, K]`."""
    if not (certain.sum(0) == 1).all():
        raise ValueError("some channel lies in no class for certain, or in several")
    return certain.argmax(0).astype(np.int64)
