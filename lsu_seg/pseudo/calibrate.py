"""The temperature of a teacher, fitted on pixels of a dataset whose class is known."""

from __future__ import annotations

import copy
import hashlib
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from torch import Tensor

import lsu_onto
from lsu_onto import Constraint
from lsu_seg.audit.draw import seed_of
from lsu_seg.decode.points import evidence_at
from lsu_seg.errors import ConfigError, TeacherError
from lsu_seg.layout.pairs import DatasetError, find_pairs
from lsu_seg.models.hub import pin
from lsu_seg.models.weights import weights_path
from lsu_seg.openmmlab.config import is_type
from lsu_seg.openmmlab.failures import named
from lsu_seg.openmmlab.parts import check_parts
from lsu_seg.openmmlab.runner import runner_with_checkpoint
from lsu_seg.pseudo.asked import device_of, own_sha256, weights_sha256
from lsu_seg.pseudo.errors import check_output
from lsu_seg.pseudo.image import LabelledImage, labelled_images
from lsu_seg.pseudo.loop import PseudoLabelLoop
from lsu_seg.pseudo.run import check_loop
from lsu_seg.runtime.progress import progress
from lsu_seg.teachers import SegmentorTeacher
from lsu_seg.teachers.calibration import FORMAT, Calibration, Fit, beside, check_target
from lsu_seg.teachers.computing import Computing, ComputingNetwork
from lsu_seg.teachers.reliability import calibration_error, count_bins
from lsu_seg.teachers.temperature import fit, loss, p_of

_PIXELS = 200_000
"""The number of pixels to draw, from all images together."""
_VALUES = 1 << 26
"""At most so many values of evidence are kept: 256 MiB."""


class Drawn(NamedTuple):
    """The pixels of one or several images whose ground truth is one class.

    Attributes:
        evidence: float32 `[V, P, C]`, see `evidence_at`. target: int64 `[P]`.
        weight: float64 `[P]`, the number of pixels of its image and class that each stands for.
        half: bool `[P]`, in which half of the images.
    """

    evidence: Tensor
    target: Tensor
    weight: Tensor
    half: Tensor

    def of(self, some: Tensor) -> Drawn:
        return Drawn(self.evidence[:, some], self.target[some], self.weight[some], self.half[some])


def calibrate(cfg: Config, checkpoint: str | Path | None, output: str | Path | None, images: int) -> Path:
    """Fit a teacher's temperature, and write it into a file.

    Args:
        cfg: of a labelling run, as from `pseudo_label_config`: the teacher, how it looks at images, and the dataset.
        checkpoint: as for `pseudo_label`.
        output: the file; None: the one beside the weights.
        images: so many images are drawn from the dataset, by hashes of their keys.

    Raises:
        ConfigError: there is no file beside which another could lie. DatasetError: fewer than two images have
            a pixel of one source class. UserError: as for `pseudo_label`.
    """
    cfg = copy.deepcopy(cfg)
    check_parts(cfg)
    if not is_type(cfg.get("test_cfg"), "PseudoLabelLoop"):
        raise ConfigError("`test_cfg` is no PseudoLabelLoop, so nothing says how the teacher looks at images")
    check_loop(cfg)
    dataset: Any = cfg.test_dataloader.dataset
    constraint = lsu_onto.load(dataset.taxonomy, dataset.get("source"), dataset.get("paths", ()))
    truth = known_classes(constraint)
    if not (truth >= 0).any():
        raise DatasetError(
            f"no class of `{constraint.dataset}` is exactly one of `{constraint.source}`, so there is no ground truth"
            " to fit a temperature on; take the dataset that the teacher was trained on"
        )
    if is_type(cfg.model, "Ensemble"):
        raise ConfigError("each teacher has a temperature of its own: calibrate them one by one")
    pin(cfg.model)
    weights = weights_path(cfg.model, checkpoint)
    if output is None and weights is None:
        raise ConfigError(
            "the teacher's weights come from a hub or from code, so no file can lie beside them: name one with"
            " `-o FILE.json`, and label with `--calibration FILE.json`"
        )
    path = Path(output) if output is not None else beside(str(weights))
    check_target(path)
    check_output(path.absolute().parent, {})
    pairs = find_pairs(dataset.data_root, constraint.layout, dataset.split)
    by_hash = sorted(range(len(pairs)), key=lambda i: (seed_of(pairs[i].key), pairs[i].key))
    dataset.indices = sorted(by_hash[:images])
    if len(dataset.indices) < 2:
        raise DatasetError(
            f"{dataset.data_root}: {len(pairs)} images of `{constraint.dataset}`, split `{dataset.split}`; a"
            " temperature is judged on other images than it was fitted on, so at least 2 are needed"
        )
    cfg.test_cfg.update(calibration=False, raw_dir=None)
    cfg.test_evaluator = []
    with tempfile.TemporaryDirectory(prefix="lsu-seg-", ignore_cleanup_errors=True) as folder:
        cfg.work_dir, cfg.launcher = folder, "none"
        runner = runner_with_checkpoint(cfg, checkpoint, quiet=True)
        loop = runner.test_loop
        assert isinstance(loop, PseudoLabelLoop)
        with named(cfg, runner):
            drawn, digest, computing = _draw(loop, truth)
        _fitted(loop, drawn, digest, computing).write(path)
    return path


def known_classes(constraint: Constraint) -> NDArray[np.int64]:
    """int64 `[D + 1]`: the one source class that each row is, or -1; the last is `ROW_VOID`'s."""
    allowed = constraint.allowed
    one = (allowed.sum(1) == 1) & ~allowed[:, -1]
    return np.append(np.where(one, allowed.argmax(1), -1), -1)


def draw(key: str, truth: NDArray[np.int64], number: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw pixels of an image, as many of each class as there are, or as the others leave.

    Args:
        key: of the image, which decides what is drawn. truth: `[H, W]`, classes, or -1.

    Returns:
        Places in the flat image, and how many pixels of its class each stands for.

    >>> places, weight = draw("a", np.array([[0, 0, 0, 0, 1, -1]]), 3)
    >>> sorted(places.tolist())[-1], weight.tolist()
    (4, [1.0, 2.0, 2.0])
    """
    flat = truth.reshape(-1)
    classes, counts = np.unique(flat[flat >= 0], return_counts=True)
    rng = np.random.default_rng(seed_of(key))
    places, weights, left = [], [], number
    order = np.argsort(counts, kind="stable")  # what a rare class does not use is for the others
    for done, i in enumerate(order):
        n = min(int(counts[i]), max(1, left // (len(order) - done)))
        left -= n
        places.append(rng.choice(np.flatnonzero(flat == classes[i]), n, replace=False))
        weights.append(np.full(n, counts[i] / n))
    if not places:
        return np.empty(0, np.int64), np.empty(0)
    return np.concatenate(places), np.concatenate(weights)


def _draw(loop: PseudoLabelLoop, truth: NDArray[np.int64]) -> tuple[Drawn, str, Computing]:
    """The drawn pixels of all images, a hash of what they are, and how the teacher's network has computed."""
    dataset, views = loop.dataloader.dataset, loop.views
    channels = len(views.scales) * len(views.flips) * (loop.constraint.num_classes + 1)
    number = max(1, min(_PIXELS, _VALUES // channels) // len(dataset))
    model = _model(loop)
    model.eval()
    parts: list[Drawn] = []
    digest = hashlib.sha256()
    with (
        ComputingNetwork(model, loop.computing, device_of(model)) as network,
        progress(f"calibrating on {loop.constraint.dataset}", len(dataset)) as advance,
    ):
        teacher = SegmentorTeacher(model, loop.constraint.source_classes, views, network)
        for batch in loop.dataloader:
            for item in labelled_images(batch, loop.constraint):
                own = truth[item.rows]
                places, weight = draw(item.key, own, number)
                digest.update(f"{item.key}\n".encode("utf-8", "surrogateescape"))
                if len(places):
                    target = own.reshape(-1)[places]
                    digest.update(places.tobytes() + target.tobytes())
                    parts.append(_ask(teacher, item, places, target, weight, bool(len(parts) % 2)))
                advance(1)
    if len(parts) < 2:
        raise DatasetError(
            f"{dataset.data_root}: {len(parts)} of {len(dataset)} images have a pixel that is exactly one class of"
            f" `{loop.constraint.source}`; at least 2 are needed"
        )
    evidence = torch.cat([part.evidence for part in parts], 1)
    if not evidence.isfinite().all():
        raise TeacherError("the teacher's logits hold NaN or Inf; check its weights, config and precision")
    rest = (torch.cat([part[i] for part in parts]) for i in (1, 2, 3))
    return Drawn(evidence, *rest), digest.hexdigest(), network.settings


def _ask(
    teacher: SegmentorTeacher,
    item: LabelledImage,
    places: NDArray[np.int64],
    target: NDArray[np.int64],
    weight: NDArray[np.float64],
    half: bool,
) -> Drawn:
    """The evidence of one image."""
    height, width = item.rows.shape
    y, x = np.divmod(places, width)
    needed: NDArray[np.bool_] = np.zeros((height, width), bool)
    needed[y, x] = True
    found: list[Tensor] = []
    order: list[NDArray[np.int64]] = []
    for _, band in teacher.evidence([item.image], [needed], [(height, width)]):
        some = np.flatnonzero((y >= band.top) & (y < band.bottom))
        if len(some):
            size = (band.bottom - band.top, width)
            found.append(evidence_at(band.views, y[some] - band.top, x[some], size).cpu())
            order.append(some)
    index = np.concatenate(order)
    return Drawn(
        torch.cat(found, 1),
        torch.from_numpy(target[index]),
        torch.from_numpy(weight[index]),
        torch.full((len(index),), half),
    )


def _fitted(loop: PseudoLabelLoop, drawn: Drawn, digest: str, computing: Computing) -> Calibration:
    c = loop.constraint
    halves = [drawn.of(drawn.half == half) for half in (False, True)]
    seen = set(drawn.target.tolist())
    return Calibration(
        format=FORMAT,
        toolkit=lsu_onto.__version__,
        temperature=_fit(drawn),
        weights_sha256=own_sha256(weights_sha256(_model(loop), loop.runner._load_from), loop.runner._load_from),
        source=f"{c.source} {c.source_version}",
        dataset=f"{c.dataset} {c.dataset_version}",
        split=loop.dataloader.dataset.split,
        data_sha256=digest,
        images=len(loop.dataloader.dataset),
        pixels=len(drawn.target),
        missing=tuple(name for channel, name in enumerate(c.source_classes) if channel not in seen),
        views=loop.views.manifest(),
        computing=computing.manifest(),
        before=_judged([(drawn, 1.0)], c.num_classes),
        after=_judged([(halves[0], _fit(halves[1])), (halves[1], _fit(halves[0]))], c.num_classes),
    )


def _model(loop: PseudoLabelLoop) -> Any:
    return getattr(loop.runner.model, "module", loop.runner.model)


def _fit(drawn: Drawn) -> float:
    return fit(drawn.evidence, drawn.target, drawn.weight)


def _judged(parts: list[tuple[Drawn, float]], num_classes: int) -> Fit:
    """How well temperatures fit the pixels that each comes with."""
    bins, total, nats = np.zeros((15, 3)), 0.0, 0.0
    for drawn, temperature in parts:
        weight = float(drawn.weight.sum())
        nats += weight * loss(drawn.evidence, drawn.target, drawn.weight, temperature)
        total += weight
        confidence, label = p_of(drawn.evidence, temperature)[:, :num_classes].max(1)
        bins += count_bins(confidence, (label == drawn.target).double(), drawn.weight)
    return Fit(nll=nats / total, ece=calibration_error(bins), bins=bins.tolist())
