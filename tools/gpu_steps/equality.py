"""`decode/cuda.py` against the reference: the cases of the property tests, each pixel inside S(d)."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from gpu_steps.rows import Add, Row, Size
from helpers.decoding import compare, on_device, problems
from lsu_seg.decode import Part, View, cuda


def run(size: Size, add: Add) -> None:
    _properties(size, add)
    _parts(size, add)


def _properties(size: Size, add: Add) -> None:
    counts: Counter[str] = Counter()
    worst: list[Any] = []
    end = time.monotonic() + size.seconds / 2
    largest_difference = 0.0

    @seed(0)
    @settings(
        database=None,
        deadline=None,
        max_examples=size.of(2000, 6),
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(problems(), st.sampled_from([None, 0.0, 0.5, 1.0]))
    def each(problem: tuple[Any, ...], threshold: float | None) -> None:
        nonlocal largest_difference
        views, rows, allowed = problem
        small = rows.size * allowed.shape[1] <= 10_000  # the interpreter is slow
        if time.monotonic() > end or not (size.full or small):
            return
        decoded = cuda.decode(
            [on_device(v, size.device) for v in views], torch.from_numpy(rows), torch.from_numpy(allowed), threshold
        )
        found = compare(views, rows, allowed, threshold, decoded)
        counts.update(cases=1, pixels=found.pixels, compared=found.compared, wrong=found.wrong, outside=found.outside)
        counts["labels of 8 bits" if allowed.shape[1] <= 256 else "labels of more bits"] += 1
        largest_difference = max(largest_difference, found.confidence)
        if (found.wrong or found.outside) and len(worst) < 3:
            k, d = allowed.shape[1] - 1, len(allowed)
            worst.append(f"K={k}, D={d}, rows {rows.shape}, {len(views)} views, threshold {threshold}: {found}")

    each()
    forms = f"{counts['labels of 8 bits']} with labels of 8 bits, {counts['labels of more bits']} of more"
    add(Row("cases of the property tests", counts["cases"], f"cases, {forms}"))
    what = f"labels equal the reference's in {counts['compared']:,} pixels that are no ties"
    add(Row(what, counts["wrong"], "pixels differ", equal=counts["cases"] > 0 and not counts["wrong"]))
    what = f"labels are inside S(d) in {counts['pixels']:,} pixels"
    add(Row(what, counts["outside"], "pixels outside", equal=counts["cases"] > 0 and not counts["outside"]))
    what = "confidences differ at most as much as rounding explains (1: just as much)"
    add(Row(what, largest_difference, equal=largest_difference <= 1))
    for line in worst:
        add(Row("a case that differs", line))


def _parts(size: Size, add: Add) -> None:
    """Plain and mirrored, with labels of 8 bits and of more: equal to the reference, and to itself in parts."""
    for k in size.of((63, 300), (5, 256)):
        height, width = size.of((256, 512), (12, 4))
        generator = torch.Generator().manual_seed(k)
        logits = 3 * torch.randn(k, height // 4, width // 4, generator=generator)
        allowed = torch.rand(20, k + 1, generator=generator) < 0.1
        allowed[torch.arange(20), torch.randint(k + 1, (20,), generator=generator)] = True
        rows = torch.randint(-1, 20, (height // 4, width // 4), generator=generator, dtype=torch.int16)
        rows = rows.repeat_interleave(4, 0).repeat_interleave(4, 1)
        for flips in ((False,), (True,), (False, True)):
            there = logits.to(size.device)
            whole = cuda.decode([View(there, flip) for flip in flips], rows, allowed)
            labels, confidence = [], []
            cuts = np.linspace(0, height // 4, 4).astype(int).tolist()
            for top, bottom in pairwise(cuts):
                a, b = max(0, top - 1), min(height // 4, bottom + 1)
                part = Part(a, height // 4, 4 * top, height)
                views = [View(there[:, a:b], flip, None, part) for flip in flips]
                decoded = cuda.decode(views, rows[4 * top : 4 * bottom], allowed)
                labels.append(decoded.labels)
                confidence.append(decoded.confidence)
            same = torch.equal(torch.cat(labels), whole.labels) and torch.equal(torch.cat(confidence), whole.confidence)
            words = {(False,): "one view", (True,): "one mirrored view", (False, True): "a view and its mirror image"}
            add(Row(f"{words[flips]}, {k} classes: in three parts as whole", "" if same else "not", equal=same))
            plain = [View(logits.numpy(), flip) for flip in flips]
            found = compare(plain, rows.numpy(), allowed.numpy(), None, whole)
            what = f"… and as the reference, in {found.compared:,} pixels"
            wrong = found.wrong + found.outside
            add(Row(what, wrong, "pixels differ", equal=not wrong))
