"""The pseudo-label loop: an mmengine test loop that writes constrained pseudo-labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_dist_info
from mmengine.runner import BaseLoop

from lsu_onto import Constraint, __version__
from lsu_seg.datasets import TaxDataset
from lsu_seg.decode import Decoder, View, decoder
from lsu_seg.progress import progress
from lsu_seg.pseudo.output import OutputError, OutputFolder, file_sha256
from lsu_seg.registry import LOOPS, register
from lsu_seg.teachers import SegmentorTeacher


@register(LOOPS)
class PseudoLabelLoop(BaseLoop):
    """Pseudo-label a dataset inside its constraints (`test_cfg = dict(type='PseudoLabelLoop', …)`).

    For every image: the teacher's views, decoded by DESIGN's rule at the label's own resolution, written as
    source-taxonomy PNGs. Images whose pixels the ground truth decides alone skip the teacher. A run that was
    stopped resumes; one with other settings is refused.

    Args:
        out_dir: where the labels go, laid out as the dataset's own.
        scales, flips: the views; every scale with every flip.
        threshold: below this confidence the output is void.
        confidence: also write the confidence, `<out_dir>/confidence/<key>.png`, 8 bits, 255 = 1.
        raw_dir: also write the teacher's unconstrained argmax there (the baseline to compare with).
        title: for the progress bar.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        out_dir: str,
        evaluator: Any = None,
        scales: Sequence[float] = (1.0,),
        flips: Sequence[bool] = (False, True),
        threshold: float | None = None,
        raw_dir: str | None = None,
        confidence: bool = False,
        title: str = "pseudo-labels",
    ) -> None:
        super().__init__(runner, dataloader)
        if not isinstance(self.dataloader.dataset, TaxDataset):
            raise OutputError("a PseudoLabelLoop labels one TaxDataset")
        if self.dataloader.dataset.pseudo:
            raise OutputError(
                "a PseudoLabelLoop reads the dataset's own labels: take `labels=` out of its config"
            )
        self.out_dir, self.raw_dir, self.title = out_dir, raw_dir, title
        self.confidence = confidence
        self.scales, self.flips, self.threshold = tuple(scales), tuple(flips), threshold
        if not self.scales or not self.flips or min(self.scales) <= 0:
            raise OutputError(
                f"scales {self.scales} and flips {self.flips} give no view; name at least one of each"
            )

    @property
    def constraint(self) -> Constraint:
        constraint: Constraint = self.dataloader.dataset.constraint
        return constraint

    @cached_property
    def decoder(self) -> Decoder:
        return decoder(next(self.runner.model.parameters()).device.type)

    def manifest(self, constrained: bool) -> dict[str, Any]:
        """Everything that the labels depend on."""
        c = self.constraint
        checkpoint = self.runner._load_from
        return {
            "format": 1,
            "version": __version__,
            "dataset": f"{c.dataset} {c.dataset_version}",
            "source": f"{c.source} {c.source_version}",
            "taxonomies_sha256": c.sha256,
            "files_sha256": self.dataloader.dataset.fingerprint(),
            "unknown": self.dataloader.dataset.annotation.unknown,
            "pipeline": [dict(t) for t in self.runner.cfg.test_dataloader.dataset.pipeline],
            "checkpoint_sha256": file_sha256(checkpoint) if checkpoint else "none: initial weights",
            "scales": list(self.scales),
            "flips": list(self.flips),
            "threshold": self.threshold,
            "confidence": self.confidence and constrained,
            "decoder": self.decoder.name,
            "constrained": constrained,
        }

    def run(self) -> dict[str, float]:
        """Label the dataset; returns counts and speed."""
        with ExitStack() as stack:
            out = stack.enter_context(closing(self._folder(self.out_dir, constrained=True)))
            raw = None
            if self.raw_dir:
                raw = stack.enter_context(closing(self._folder(self.raw_dir, constrained=False)))
            return self._label(out, raw)

    def _folder(self, path: str, constrained: bool) -> OutputFolder:
        data = self.dataloader.dataset.data_root
        if Path(path).resolve().is_relative_to(Path(data).resolve()):
            raise OutputError(f"{path} is the dataset's folder {data} or inside it; write labels elsewhere")
        rank, _ = get_dist_info()
        return OutputFolder(path, self.manifest(constrained), self.constraint.source_palette, rank)

    def _label(self, out: OutputFolder, raw: OutputFolder | None) -> dict[str, float]:
        self.runner.load_or_resume()
        self.runner.call_hook("before_test")
        self.runner.model.eval()
        teacher = SegmentorTeacher(self.runner.model, self.constraint.source_classes)
        allowed = self.constraint.allowed
        ambiguous_rows = torch.from_numpy(self.constraint.relabel < 0)
        images = skipped = ambiguous = pixels = 0
        start = time.monotonic()
        with progress(self.title, len(self.dataloader)) as advance:
            for batch in self.dataloader:
                samples = batch["data_samples"]
                if "key" not in samples[0] or "gt_rows" not in samples[0]:
                    raise OutputError(
                        "the test pipeline must have LoadTaxAnnotations and end in PackTaxInputs"
                    )
                todo = {s.key for s in samples if not (out.done(s.key) and (raw is None or raw.done(s.key)))}
                for group in _same_size(list(zip(batch["inputs"], samples, strict=True))):
                    rows = [sample.gt_rows.data[0] for _, sample in group]
                    asked = [ambiguous_rows[r.long()] & (r >= 0) for r in rows]
                    needing = [n for n, a in enumerate(asked) if raw is not None or bool(a.any())]
                    views: dict[int, list[View]] = {}
                    if any(group[n][1].key in todo for n in needing):
                        # All of them, also those that are done: an image's batch shows in the last bits of its
                        # logits, and a resumed run must give the bytes of an unbroken one.
                        seen = self._views(teacher, [group[n][0] for n in needing])
                        views = dict(zip(needing, seen, strict=True))
                    for n, (_, sample) in enumerate(group):
                        if sample.key not in todo:
                            continue
                        name = sample.img_path
                        mine = views.get(n) or _no_views(len(self.constraint.source_classes))
                        decoded = self.decoder.decode(mine, rows[n], allowed, self.threshold, name)
                        count = int(asked[n].sum())
                        record = {
                            "pixels": rows[n].numel(),
                            "asked": count,
                            "confidence": round(float(decoded.confidence[asked[n].numpy()].mean()), 4)
                            if count
                            else 1.0,
                            "teacher": n in views,
                        }
                        if not out.done(sample.key):
                            grey = decoded.confidence if self.confidence else None
                            out.write(sample.key, decoded.labels, record, grey)
                        if raw is not None and not raw.done(sample.key):
                            labels = self.decoder.unconstrained(views[n], tuple(rows[n].shape), name).labels
                            raw.write(sample.key, labels, {"pixels": rows[n].numel()})
                        images, skipped = images + 1, skipped + (n not in views)
                        ambiguous, pixels = ambiguous + count, pixels + rows[n].numel()
                rate = images / max(1e-9, time.monotonic() - start)
                advance(note=f"{rate:.1f} img/s, {ambiguous / max(1, pixels):.0%} of pixels asked")
        self.runner.call_hook("after_test")
        seconds = time.monotonic() - start
        result = {
            "images": images,
            "skipped_teacher": skipped,
            "asked_share": ambiguous / max(1, pixels),
            "seconds": seconds,
        }
        self.runner.logger.info(f"pseudo-labels in {self.out_dir}: {result}")
        return result

    def _views(self, teacher: SegmentorTeacher, images: list[torch.Tensor]) -> list[list[View]]:
        by_view = list(teacher.views(images, self.scales, self.flips))
        return [[view[n] for view in by_view] for n in range(len(images))]


def _same_size(items: list[Any]) -> list[list[Any]]:
    """Groups of samples whose images can be stacked."""
    groups: dict[tuple[int, ...], list[Any]] = {}
    for item in items:
        groups.setdefault(tuple(item[0].shape), []).append(item)
    return list(groups.values())


def _no_views(num_classes: int) -> list[View]:
    """Evidence for images in which no pixel asks for any."""
    return [View(torch.zeros(num_classes, 1, 1))]
