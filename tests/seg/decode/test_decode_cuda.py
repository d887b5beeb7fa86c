"""The GPU decoder against the reference: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from helpers.decoding import compare, on_device, problems
from helpers.examples import examples

GPU = torch.cuda.is_available()
if not GPU:
    assert "triton" not in sys.modules, "TRITON_INTERPRET is read when triton is imported"
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton")
if not GPU:
    import helpers.interpreter  # noqa: F401

from lsu_seg.decode import DecodeError, Part, QueryView, View, cuda, decoder, knobs  # noqa: E402
from lsu_seg.decode.knobs import Knob, Knobs  # noqa: E402

DEVICE = "cuda" if GPU else "cpu"


# Of the interpreter: numpy's, in lanes that no pixel needs, whose result a GPU throws away as cheaply as a clamp costs.
@pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning")
@settings(
    max_examples=examples(15),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.filter_too_much],
)
@given(problems(), st.sampled_from([None, 0.0, 0.5, 1.0]))
def test_equals_the_reference(problem: tuple, threshold: float | None) -> None:
    views, rows, allowed = problem
    k = allowed.shape[1] - 1
    assume(GPU or rows.size * k <= 40_000)  # the interpreter is slow
    decoded = cuda.decode(
        [on_device(v, DEVICE) for v in views], torch.from_numpy(rows), torch.from_numpy(allowed), threshold
    )
    found = compare(views, rows, allowed, threshold, decoded)
    assert found.outside == 0
    assert found.wrong == 0
    assert found.confidence <= 1


@pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning")
@pytest.mark.parametrize("mask", [-10.0, -22.0, -40.0, -60.0, -67.5, -90.0])
def test_tiny_masks_of_unlikely_classes_keep_their_shares(mask: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The products of masks and classes are then denormal in float32, or 0, long before their sum is."""
    monkeypatch.setattr(cuda, "_WEAK", 3)  # in parts
    classes = np.array([[-24.4, -24.7, 10.2]], np.float32)
    views = [QueryView(classes, np.full((1, 2, 2), mask, np.float32))]
    rows, allowed = np.zeros((4, 4), np.int16), np.array([[True, True, False]])
    decoded = cuda.decode([on_device(v, DEVICE) for v in views], torch.from_numpy(rows), torch.from_numpy(allowed))
    found = compare(views, rows, allowed, None, decoded)
    assert found.compared == rows.size
    assert (found.outside, found.wrong) == (0, 0)
    assert found.confidence <= 1


def test_a_view_decodes_the_same_in_parts() -> None:
    logits = torch.randn(4, 9, 7, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    rows, allowed = torch.zeros(36, 28, dtype=torch.int16), torch.ones(1, 5, dtype=torch.bool)
    whole = cuda.decode([View(logits, True), View(logits)], rows, allowed)
    for top, bottom, a, b in [(0, 10, 0, 4), (10, 23, 2, 7), (23, 36, 5, 9)]:
        part = Part(a, 9, top, 36)
        views = [View(logits[:, a:b], flip, None, part) for flip in (True, False)]
        found = cuda.decode(views, rows[top:bottom], allowed)
        assert torch.equal(found.labels, whole.labels[top:bottom])
        assert torch.equal(found.confidence, whole.confidence[top:bottom])
    with pytest.raises(DecodeError, match="do not cover"):
        cuda.decode(views, rows[:36], allowed)


# The interpreter is numpy: the kernel runs before anybody has looked whether all values are finite.
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("where", ["logits", "void"])
def test_nan_and_inf_are_refused_wherever_they_are(where: str) -> None:
    logits, void = torch.zeros(3, 2, 2, device=DEVICE), torch.zeros(2, 2, device=DEVICE)
    {"logits": logits[2], "void": void}[where][1, 1] = torch.nan if where == "logits" else torch.inf
    allowed = torch.tensor([[True, True, False, False]])  # channel 2 is asked by nobody
    with pytest.raises(DecodeError, match=r"street\.png.*1 NaN or Inf"):
        cuda.decode(
            [View(logits, False, void)],
            torch.zeros(4, 4, dtype=torch.int16),
            allowed,
            image_name="street.png",
        )


def test_a_gpu_gets_it() -> None:
    assert decoder("cuda").name == "cuda"
    views = [View(torch.tensor([1.0, 2.0, 9.0], device=DEVICE).reshape(3, 1, 1))]
    allowed = np.array([[True, True, False, False]])
    labels, confidence = decoder("cuda").decode(views, np.zeros((1, 2), np.int16), allowed, None, "a.png")
    assert labels.tolist() == [[1, 1]]
    assert confidence[0, 0] == pytest.approx(0.7311, abs=1e-4)


@pytest.mark.parametrize("device", [DEVICE, "reference"])
def test_arrays_have_the_types_of_the_cpu_path(device: str) -> None:
    path = decoder("cuda" if device == DEVICE else "meta")  # a device that has no path of its own
    for k, dtype in ((255, np.uint8), (256, np.uint16)):
        logits = torch.zeros(k, 1, 1, device=device if device == DEVICE else "cpu")
        found = path.decode([View(logits)], np.array([[0, -1]], np.int16), np.ones((1, k + 1), bool), None, "a.png")
        assert (found.labels.dtype, found.confidence.dtype) == (dtype, np.float32)
        assert found.labels.tolist() == [[0, np.iinfo(dtype).max]]


@pytest.mark.parametrize("rows", [[[0, 3]], [[-2, 0]]])
def test_rows_out_of_range_are_refused_after_the_kernel(rows: list) -> None:
    allowed = torch.ones(3, 4, dtype=torch.bool)
    views = [View(torch.zeros(3, 1, 1, device=DEVICE))]
    with pytest.raises(DecodeError, match=r"street\.png: (rows range over 0\.\.3|1 pixels have a raw value)"):
        cuda.decode(views, torch.tensor(rows, dtype=torch.int16), allowed, image_name="street.png")
    with pytest.raises(DecodeError, match=r"rows range over 0\.\.65536"):  # not cut to 16 bits first
        cuda.decode(views, torch.tensor([[0, 65536]]), allowed)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_types_of_logits_decode_as_their_float32(dtype: torch.dtype) -> None:
    logits = 3 * torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    rows, allowed = torch.zeros(12, 16, dtype=torch.int16), torch.ones(1, 6, dtype=torch.bool)
    found, wanted = (cuda.decode([View(x)], rows, allowed) for x in (logits, logits.float()))
    assert torch.equal(found.labels, wanted.labels)
    assert torch.equal(found.confidence, wanted.confidence)


def test_labels_of_one_view_do_not_depend_on_the_knobs(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(7, 2, 30, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    rows = torch.arange(8 * 120).reshape(8, 120).remainder(3).to(torch.int16)
    allowed = torch.rand(3, 8, generator=torch.Generator().manual_seed(1)) < 0.5
    wanted = cuda.decode([View(logits)], rows, allowed)
    monkeypatch.setattr(cuda, "knobs", lambda _: Knobs(Knob(32, 1, 1), Knob(512, 1, 1), Knob(512, 1, 1)))
    found = cuda.decode([View(logits)], rows, allowed)
    assert torch.equal(found.labels, wanted.labels)
    assert torch.equal(found.confidence, wanted.confidence)


def test_knobs_are_those_of_the_nearest_lower_capability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def row(size: int) -> dict:
        return {form: {"size": size, "warps": 4, "stages": 2} for form in Knobs._fields}

    (tmp_path / "knobs.json").write_text(json.dumps({"general": row(1), "8.0": row(2), "9.0": row(3), "12.0": row(4)}))
    monkeypatch.setattr(knobs, "TABLE", tmp_path / "knobs.json")
    read = knobs.knobs.__wrapped__
    capabilities = (None, (7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (12, 1))
    assert [read(c).one_view.size for c in capabilities] == [1, 1, 2, 2, 3, 3, 4]


KINDS = dict.fromkeys(("y0s", "y1s", "x0s", "x1s", "only", "first_entry", "entries"), "*i32")
KINDS |= dict.fromkeys(("yas", "xas", "mass", "logits", "confidence", "any_weak", "weights"), "*fp32")
KINDS |= dict.fromkeys(("width", "height", "h", "w", "num_sets", "void", "views", "num_classes"), "i32")
KINDS |= dict(rows="*i16", sets="*u8", table="*i64", labels="*u8", low="fp32")


@pytest.mark.skipif(GPU, reason="the kernels are run instead")
@pytest.mark.parametrize(
    ("kernel", "constants"),
    [
        ("decide_one_view", dict(has_mass=False, block=256)),
        ("decide_one_view", dict(has_mass=True, block=256)),
        ("decide", dict(form=0, mapped=False, channels=64, block=32)),
        ("decide", dict(form=2, mapped=True, channels=128, block=16)),
    ],
)
def test_it_compiles_for_gpus(kernel: str, constants: dict) -> None:
    """To machine code, without a GPU: what the interpreter lets pass, the compiler may not."""
    code = f"""
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from lsu_seg.decode.cuda_kernels import {kernel} as kernel
names = kernel.arg_names
source = ASTSource(kernel, {{n: {KINDS!r}.get(n, "constexpr") for n in names}},
                   constexprs={{(names.index(n),): v for n, v in {constants!r}.items()}})
assert len(compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]) > 1000
"""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
