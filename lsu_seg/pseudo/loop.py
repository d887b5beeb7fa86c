"""The pseudo-label loop: an mmengine test loop that writes constrained pseudo-labels."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, get_dist_info, is_distributed
from mmengine.logging import print_log
from mmengine.runner import BaseLoop

from lsu_onto import Constraint, __version__
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.decode import Decoder, QueryView, View, decoder
from lsu_seg.decode.soft import top_k
from lsu_seg.label_files.annotation import meaning_sha256
from lsu_seg.models.ensemble import LOOKS
from lsu_seg.models.weights import weights_path
from lsu_seg.openmmlab.compat import load_checkpoint
from lsu_seg.openmmlab.config import is_type
from lsu_seg.openmmlab.registry import LOOPS, register
from lsu_seg.openmmlab.stated_classes import stated_classes
from lsu_seg.pseudo.asked import asked, device_of
from lsu_seg.pseudo.collect import Collector
from lsu_seg.pseudo.corrections import Corrections, corrections_of, inside
from lsu_seg.pseudo.errors import OutputError, check_forms, check_output_settings
from lsu_seg.pseudo.image import LabelledImage, labelled_images
from lsu_seg.pseudo.inputs import Inputs, Noting, dataset_sha256, modules_sha256
from lsu_seg.pseudo.lock import check_free
from lsu_seg.pseudo.output import OutputFolder, labelled_with, precisions, some_of
from lsu_seg.pseudo.pipeline import Behind, ahead, one_behind
from lsu_seg.pseudo.statistics import Statistics
from lsu_seg.runtime.canonical import canonical_json
from lsu_seg.runtime.progress import progress, track
from lsu_seg.runtime.telling import tell
from lsu_seg.teachers import Band, EnsembleTeacher, SegmentorTeacher, Views
from lsu_seg.teachers.computing import Computing

_HELD = 64 << 20
"""A band's evidence of at most this many bytes waits for the next band's forward pass before it is let go: where there
is more of it, the forward pass takes so long that the time between two of them is no matter."""


@register(LOOPS)
class PseudoLabelLoop(BaseLoop):
    """Pseudo-label a dataset within its constraints (`test_cfg = dict(type='PseudoLabelLoop', …)`).

    The teacher's views of each image are decoded at the label's own resolution, as docs/decoding.md describes, and
    written as a PNG in the source taxonomy. An image whose pixels are all decided by the ground truth skips the
    teacher. A run that was stopped resumes where it stopped; a folder with labels of other settings is refused. Threads
    read images ahead of the teacher and write files behind it. With several workers, each labels the images of its own
    shard (`ShardSampler`), whatever sampler the dataloader has, and none waits for another.

    Args:
        out_dir: folder of the labels, which are laid out as the dataset's own.
        scales, flips, window, overlap, memory, keep_windows: how the teacher looks at images, see `Views`.
        precision, compile: how its network computes, see `Computing`; `compile` needs a `window`. Without `precision`,
            a folder of labels is gone on with as it was begun.
        calibration: the file with the teacher's temperature, from `lsu-seg calibrate`; None: the one beside the
            checkpoint, if there is one; False: none.
        threshold: pixels with a lower confidence, 0..1, become void. None: no pixel does.
        confidence: also write the confidence as images, `OUT_DIR/confidence`.
        soft: also write this number of best classes and their shares, `OUT_DIR/soft`. This is slow.
        raw_dir: also write the teacher's unconstrained argmax to this folder, as a baseline.
        corrections: folder of what people corrected (docs/review.md), which is put on top of the labels. None: that
            which belongs to `out_dir`.
        title: title of the progress bar.

    Raises:
        OutputError: the dataset is not a single `TaxDataset`, or it has pseudo-labels; `threshold` or `soft` is out of
            range; an output folder cannot be used.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        out_dir: str,
        evaluator: Any = None,
        scales: tuple[float, ...] = (1.0,),
        flips: tuple[bool, ...] = (False, True),
        window: tuple[int, int] | None = None,
        overlap: float = 0.25,
        memory: float | None = 2.0,
        keep_windows: bool = False,
        precision: str | None = None,
        compile: bool = False,
        calibration: str | Literal[False] | None = None,
        threshold: float | None = None,
        confidence: bool = False,
        soft: int = 0,
        raw_dir: str | None = None,
        corrections: str | None = None,
        title: str = "pseudo-labels",
    ) -> None:
        if isinstance(dataloader, dict):
            dataloader, batch_size = copy.deepcopy(dataloader), dataloader.get("batch_size", 1)
            if not isinstance(batch_size, int) or batch_size < 1:
                raise OutputError(f"`test_dataloader.batch_size` is {batch_size!r}; expected 1 or more")
            dataloader["sampler"] = dict(type="ShardSampler", batch_size=batch_size)
        super().__init__(runner, dataloader)
        if not isinstance(self.dataloader.dataset, TaxDataset):
            raise OutputError("a PseudoLabelLoop labels one TaxDataset")
        if self.dataloader.dataset.pseudo:
            raise OutputError("a PseudoLabelLoop reads the dataset's own labels: take `labels=` out of its config")
        check_output_settings(threshold, soft, calibration)
        check_forms(out_dir, title, confidence, corrections)
        self.dataloader.dataset.pipeline = Noting(self.dataloader.dataset.pipeline)
        self.out_dir, self.raw_dir, self.title = out_dir, raw_dir, title
        self.corrections_dir = Path(corrections) if corrections else corrections_of(out_dir)
        self.views = Views(scales, flips, window, overlap, memory, keep_windows)
        self.computing = Computing(precision, compile)
        self.computing.check_window(self.views.window)
        self.calibration = calibration
        self.threshold, self.confidence, self.soft = threshold, confidence, soft

    @property
    def constraint(self) -> Constraint:
        constraint: Constraint = self.dataloader.dataset.constraint
        return constraint

    @cached_property
    def _device(self) -> torch.device:
        return device_of(self.runner.model)

    @cached_property
    def decoder(self) -> Decoder:
        return decoder(self._device.type)

    def manifest(self, constrained: bool) -> dict[str, Any]:
        """Everything that the labels depend on, as JSON values."""
        return {
            **self._settings,
            "confidence": self.confidence and constrained,
            "soft": self.soft if constrained else 0,
            "constrained": constrained,
        }

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """What both manifests have in common. Kept, because it has hashes of large files."""
        c = self.constraint
        return {
            "format": 3,  # 2: decoded as if every model had `align_corners=False`
            "version": __version__,
            "dataset": f"{c.dataset} {c.dataset_version}",
            "source": f"{c.source} {c.source_version}",
            "taxonomies_sha256": c.content_sha256(),
            "meaning_sha256": meaning_sha256(c),
            "splits": {self.dataloader.dataset.split: dataset_sha256(self.dataloader.dataset)},
            "unknown": self.dataloader.dataset.annotation.unknown,
            "pipeline": [dict(t) for t in self.runner.cfg.test_dataloader.dataset.pipeline or ()],
            "model_sha256": _config_sha256(self.runner.cfg),
            "modules_sha256": modules_sha256(self.runner.cfg),
            "batch_size": self.dataloader.batch_size,
            **self._of_teacher,
            "threshold": self.threshold,
            "decoder": self.decoder.name,
        }

    @property
    def _model(self) -> Any:
        """The model itself, and not as it is wrapped on several GPUs."""
        return getattr(self.runner.model, "module", self.runner.model)

    entered = False
    """Whether `run` has found nothing to refuse, and has begun to work in the output folders."""

    def run(self) -> dict[str, float]:
        """Label the dataset. Returns counts and speed."""
        self._take_stated_classes()
        checkpoint = self.runner._load_from
        before = precisions(Path(self.out_dir)) or precisions(Path(self.raw_dir or self.out_dir))
        with asked(
            self._model,
            self.constraint,
            self.views,
            self.computing,
            self._device,
            checkpoint,
            weights_path(self.runner.cfg.model, checkpoint),
            self.calibration,
            before,
        ) as (teacher, self._of_teacher):
            return self._run(teacher)

    def _run(self, teacher: SegmentorTeacher | EnsembleTeacher) -> dict[str, float]:
        wanted = [(self.out_dir, self.manifest(constrained=True))]
        if self.raw_dir:
            wanted.append((self.raw_dir, self.manifest(constrained=False)))
        run = _agree_on_name(wanted)
        with ExitStack() as stack:
            folders = [stack.enter_context(closing(self._folder(path, manifest, run))) for path, manifest in wanted]
            out, raw = folders[0], folders[1] if self.raw_dir else None
            self.entered = True
            self._todo = [self._unfinished(folder) for folder in folders]
            for folder in folders:
                self._say_what_was_there(folder)
            self.runner.load_or_resume()
            self.runner.call_hook("before_test")
            self.runner.model.eval()
            result = self._label(teacher, out, raw)
            self.runner.call_hook("after_test")
        self.runner.logger.info(f"pseudo-labels in {self.out_dir}: {result}")
        return result

    def _take_stated_classes(self) -> None:
        """What the checkpoint says of its classes, where a Runner other than ours is to load it."""
        if self.runner._load_from and not hasattr(self._model, "stated_classes"):
            self._model.stated_classes = stated_classes(load_checkpoint(self.runner._load_from, map_location="cpu"))

    def _folder(self, path: str, manifest: dict[str, Any], run: str) -> OutputFolder:
        rank, _ = get_dist_info()
        c = self.constraint
        corrections = None
        if manifest["constrained"]:
            corrections = Corrections(self.corrections_dir, f"{c.source} {c.source_version}", c.source_classes)
        folder = OutputFolder(path, manifest, c.source_palette, rank, run, self._own_indices, self._inputs, corrections)
        if not folder.locked:
            print_log(
                f"{path}: this file system has no locks: see to it that no other run writes there",
                "current",
                logging.WARNING,
            )
        return folder

    @cached_property
    def _own_indices(self) -> dict[str, int]:
        """Key → index of this rank's images. Read once, because there may be hundreds of thousands."""
        dataset = self.dataloader.dataset
        return {dataset.get_data_info(i)["key"]: i for i in self.dataloader.sampler}

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.dataloader.dataset, self._own_indices)

    def _unfinished(self, folder: OutputFolder) -> set[str]:
        """The keys of this rank for which the folder has no complete label."""
        keys: Iterable[str] = self._own_indices
        if len(folder):  # otherwise there is nothing to read, and no need for a progress bar
            keys = track(self._own_indices, "checking what is there", len(self._own_indices))
        return {key for key in keys if not folder.done(key)}

    def _say_what_was_there(self, folder: OutputFolder) -> None:
        """Tell of labels that are made anew, because their inputs have changed, and of those of other splits."""
        if folder.changed:
            _tell(
                f"{folder.root}: {len(folder.changed)} images or their annotations have changed since they were"
                f" labelled ({some_of(folder.changed)}): they are labelled anew"
            )
        if folder.corrected:
            _tell(
                f"{folder.root}: the corrections of {len(folder.corrected)} images have changed since they were"
                f" labelled ({some_of(folder.corrected)}): they are labelled anew"
            )
        if folder.other_splits and get_dist_info()[0] == 0:
            splits = ", ".join(f"`{split}`" for split in folder.other_splits)
            _tell(
                f"{folder.root}: holds labels of {splits}; those of `{self.dataloader.dataset.split}` are written"
                " beside them"
            )

    def _label(
        self, teacher: SegmentorTeacher | EnsembleTeacher, out: OutputFolder, raw: OutputFolder | None
    ) -> dict[str, float]:
        statistics = Statistics(teacher.counts)
        todo = set().union(*self._todo)
        self._collector = Collector(teacher, self.constraint, len(self.dataloader.dataset), out, self._todo[0])
        self.dataloader.sampler.keep({i for key, i in self._own_indices.items() if key in todo})
        with (
            progress(self.title, len(self.dataloader.sampler)) as advance,
            Behind() as writer,
            closing(ahead(self.dataloader, patience_s=1 if self.dataloader.num_workers else None)) as batches,
        ):
            for item in one_behind(self._decoding(teacher, batches, raw is not None)):
                item.settle()
                if item.todo:
                    record = item.record()
                    piece = None if item.seen is None else item.seen.piece()
                    confidence = item.confidence if self.confidence else None
                    corrected = self._corrected(item, out)
                    writer.do(
                        out.write, item.key, item.labels, record, confidence, item.soft, item.states, piece, *corrected
                    )
                    statistics.add(item.key, record)
                if item.todo_raw and raw is not None:
                    writer.do(raw.write, item.key, item.raw, {"pixels": item.rows.size}, None, None, item.states)
                    statistics.images += not item.todo
                advance(1, statistics.note())
        findings = [
            f"{folder.root}: {folder.damaged} files were there without a record of their checksum, or with another"
            " checksum, and were made anew"
            for folder in (out, raw)
            if folder is not None and folder.damaged
        ]
        findings += out.said_of_corrections()
        if self._inputs.unsteady:
            findings.append(
                f"{len(self._inputs.unsteady)} images or their annotations were changed while they were labelled: run"
                " the same command again, which labels them anew"
            )
        for line in [*findings, *statistics.findings()]:
            _tell(line)
        seconds = teacher.seconds() if isinstance(teacher, EnsembleTeacher) else {}
        if seconds:
            tell("time of each teacher: " + ", ".join(f"{name} {value:.3g} s" for name, value in seconds.items()))
        return statistics.summary() | {f"seconds of {name}": value for name, value in seconds.items()}

    def _corrected(self, item: LabelledImage, out: OutputFolder) -> tuple[Any, ...]:
        """What a person corrected in an image, and where its annotation allows that; nothing of most images."""
        correction = None if out.corrections is None else out.corrections.of(item.key)
        if correction is None:
            return ()
        if correction.pixels.shape != item.rows.shape:  # the annotation has another size by now
            out.left_out[item.key] = int(np.count_nonzero(correction.pixels))
            correction = correction.nowhere(item.rows.shape)
        return correction, inside(self.constraint, item.rows, correction.labels)

    def _decoding(
        self, teacher: SegmentorTeacher | EnsembleTeacher, batches: Iterable[dict[str, Any]], with_raw: bool
    ) -> Iterator[LabelledImage]:
        """Yield each image as soon as the work on its labels has been started."""
        for batch in batches:
            items = labelled_images(batch, self.constraint)
            for item in items:
                item.todo = item.key in self._todo[0]
                item.todo_raw = with_raw and item.key in self._todo[1]
            for group in _same_size(items):
                yield from self._decode_group(teacher, group, with_raw)

    def _decode_group(
        self, teacher: SegmentorTeacher | EnsembleTeacher, group: list[LabelledImage], with_raw: bool
    ) -> Iterator[LabelledImage]:
        """Decode the images of a group, and yield them one by one."""
        for item in group:
            if item.todo:
                height, width = item.image.shape[1:]
                item.seen = self._collector.draw(item.key, item.rows, item.needed, (height, width))
        # The unconstrained teacher is asked for every pixel.
        asking = [item for item in group if with_raw or item.needed.any()]
        # This includes images that are already done: the batch affects the last bits of an image's logits, and a
        # resumed run must write the same bytes as an uninterrupted one.
        if any(item.todo or item.todo_raw for item in asking):
            evidence = teacher.evidence(
                [item.image for item in asking],
                [None if with_raw else item.needed for item in asking],
                [(len(item.rows), item.rows.shape[1]) for item in asking],
            )
            for i, band in evidence:
                asking[i].teacher = True
                self._decode_band(asking[i], band)
        for item in group:
            if item.todo:
                self._decode_rows(item, len(item.rows), None)
            yield item

    _in_flight: LabelledImage | None = None
    """Whose evidence is held for the decoder: that of one band, of one image, so that bands do not add up."""

    def _decode_band(self, item: LabelledImage, band: Band) -> None:
        before = item.unsettled
        item.out_of_memory |= band.out_of_memory
        if item.todo:
            if item.seen is not None:
                item.seen.look(band)
            self._decode_rows(item, band.top, None)
            self._decode_rows(item, band.bottom, band.views)
        if item.todo_raw:
            size = (band.bottom - band.top, item.rows.shape[1])
            item.put_raw(band.top, self.decoder.start_unconstrained(band.views, size, item.path))
        # The band before is waited for only now, when the device has this one's work.
        if self._in_flight is not None and self._in_flight is not item:
            self._in_flight.settle()
        item.settle(None if _bytes(band.views) > _HELD else before)
        self._in_flight = item

    def _decode_rows(self, item: LabelledImage, bottom: int, views: list[View | QueryView] | None) -> None:
        """Decode the rows down to `bottom`. `views` is None if no pixel of these rows needs the teacher."""
        rows = item.rows[item.decided : bottom]
        if not len(rows):
            return
        if views is None:
            views = [View(torch.zeros(self.constraint.num_classes, 1, 1, device=self._device))]
        allowed = self.constraint.allowed
        soft = top_k(views, rows, allowed, self.soft) if self.soft else None
        item.put(len(rows), self.decoder.start(views, rows, allowed, self.threshold, item.path), soft)


def _agree_on_name(wanted: list[tuple[str, dict[str, Any]]]) -> str:
    """A name that all workers of this run share, which distinguishes them from those of another run.

    Args:
        wanted: folders with the manifests of what is to be written there.

    Raises:
        OutputError: one of the folders holds other labels, or another run writes to it. None has been made or changed.
    """
    name, refusal = os.urandom(16).hex(), ""
    if get_dist_info()[0] == 0:  # alone: the others might find what it has written meanwhile
        try:
            for path, manifest in wanted:
                with contextlib.suppress(OSError):  # whoever opens the folder says so
                    labelled_with(Path(path), manifest)
                    check_free(Path(path))
        except OutputError as error:
            refusal = str(error)
    agreed = [name, refusal]
    if is_distributed():
        broadcast_object_list(agreed)
    name, refusal = agreed
    if refusal:
        raise OutputError(refusal)
    return name


def _bytes(views: Sequence[View | QueryView]) -> int:
    return sum(v.maps.nbytes for v in views)


def _tell(line: str) -> None:
    tell(line, everywhere=True)  # of a rank's own images


def _config_sha256(cfg: Config) -> str:
    """sha256 of the config of the model, without the locations of weights.

    With the same weights, another normalisation or another head makes other labels.
    """

    def settings(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {k: v for k, v in value.items() if k not in ("pretrained", "init_cfg", "checkpoint")}
            if is_type(kept, "Ensemble"):  # what follows from paths and looks stands in the manifest by teacher
                kept.pop("paths", None)
                kept["teachers"] = [{k: v for k, v in one.items() if k not in LOOKS} for one in kept["teachers"]]
            if is_type(kept, "TorchSegmentor"):  # its code is hashed, wherever that lies
                kept["factory"] = Path(str(kept.get("factory"))).name
            return {k: settings(v) for k, v in kept.items()}
        return [settings(v) for v in value] if isinstance(value, (list, tuple)) else value

    # mmengine gives what stands beside the model to one that has none, in a copy of its own.
    model = {"data_preprocessor": cfg.get("data_preprocessor"), **cfg.model}
    return hashlib.sha256(canonical_json(settings(model)).encode()).hexdigest()


def _same_size(items: list[LabelledImage]) -> list[list[LabelledImage]]:
    """Groups of images of the same size, which can be stacked."""
    groups: dict[tuple[int, ...], list[LabelledImage]] = {}
    for item in items:
        groups.setdefault(tuple(item.image.shape), []).append(item)
    return list(groups.values())
