"""The knobs of the kernels, by measurement: OUT/knobs.json is `lsu_seg/decode/knobs.json` with this GPU's line."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from gpu_steps.bandwidth import over, problem
from gpu_steps.rows import Add, Row, Size, device_ms
from lsu_seg.decode import QueryView, View, cuda
from lsu_seg.decode.knobs import TABLE, Knob, Knobs, knobs

SIZES = {"one_view": (64, 128, 256, 512, 1024), "logits": (1024, 2048, 4096), "queries": (1024, 2048, 4096)}
WARPS, STAGES = (2, 4, 8), (2, 3)


def run(size: Size, add: Add, out: Path) -> None:
    capability = torch.cuda.get_device_capability() if size.full else None
    settings = knobs(capability)
    end, problems = time.monotonic() + size.seconds, _problems(size)
    for i, (form, (views, rows, allowed)) in enumerate(problems.items()):
        share = time.monotonic() + (end - time.monotonic()) / (len(problems) - i)
        before = getattr(settings, form)
        decode = over(views, lambda v, r=rows, a=allowed: cuda.decode(v, r, a))
        times: dict[Knob, float] = {}
        # Those in use first; then the most different ones, for a time that may not suffice for all.
        rest = [Knob(*k) for k in itertools.product(SIZES[form], WARPS, STAGES)]
        for knob in [before, *rest[::2], *rest[1::2]] if size.full else [before, rest[0]]:
            if knob in times or (times and time.monotonic() > share):
                continue
            with mock.patch.object(cuda, "knobs", lambda _, s=settings, f=form, k=knob: s._replace(**{f: k})):
                times[knob] = device_ms(decode, size.of(5, 1)).busy
        best = min(times, key=lambda knob: times[knob])
        words = f"{form}: {best.size} elements, {best.warps} warps, {best.stages} stages, the best of {len(times)}"
        in_use = f"those in use, {before.size}, {before.warps}, {before.stages}"
        add(Row(words, times[best], "ms", in_use, times[before], times[best] / times[before]))
        settings = settings._replace(**{form: best})
    _write(out / "knobs.json", "general" if capability is None else "{}.{}".format(*capability), settings)
    add(Row("the table with these", f"copy OUT/knobs.json to {TABLE.relative_to(TABLE.parents[2])}"))


def _problems(size: Size) -> dict[str, tuple[list[list[View | QueryView]], Tensor, Tensor]]:
    one, several = problem(size, (1.0,), (False,)), problem(size, (1.0, 2.0), (False, True))
    q, h, w = size.of((100, 256, 512), (4, 4, 8))
    k = several[2].shape[1] - 1
    query = QueryView(torch.randn(q, k + 1, device=size.device), torch.randn(q, h, w, device=size.device))
    return {"one_view": one, "logits": several, "queries": ([[query]], *several[1:])}  # type: ignore[dict-item]


def _write(file: Path, key: str, settings: Knobs) -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    table[key] = {form: knob._asdict() for form, knob in settings._asdict().items()}
    rows = [
        f'  "{name}": {{\n' + ",\n".join(f'    "{form}": {json.dumps(knob)}' for form, knob in row.items()) + "\n  }"
        for name, row in table.items()
    ]
    file.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
