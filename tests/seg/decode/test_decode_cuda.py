"""The GPU decoder against the reference: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

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

from lsu_seg.decode import DecodeError, Part, View, cuda, decoder  # noqa: E402

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


def test_a_view_decodes_the_same_in_parts() -> None:
    logits = torch.randn(4, 9, 7, generator=torch.Generator().manual_seed(0))
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


@pytest.mark.skipif(GPU, reason="the kernel is run instead")
@pytest.mark.parametrize(
    ("views", "form", "plain", "has_mass", "channels"),
    [(1, 0, True, False, 64), (2, 2, False, True, 128)],
)
def test_it_compiles_for_gpus(views: int, form: int, plain: bool, has_mass: bool, channels: int) -> None:
    """To machine code, without a GPU: what the interpreter lets pass, the compiler may not."""
    code = f"""
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from lsu_seg.decode.cuda import _decide as kernel
kinds = dict(rows="*i16", sets="*u8", only="*i32", table="*i64", y0s="*i32", y1s="*i32", yas="*fp32", x0s="*i32",
             x1s="*i32", xas="*fp32", labels="*u8", confidence="*fp32", width="i32", height="i32", num_sets="i32",
             low="fp32", void="i32")
constants = dict(views={views}, form={form}, plain={plain}, has_mass={has_mass}, num_classes={channels - 1},
                 channels={channels}, block=max(16, {4096 if plain else 2048} // {channels}))
names = kernel.arg_names
source = ASTSource(kernel, {{n: kinds.get(n, "constexpr") for n in names}},
                   constexprs={{(names.index(n),): v for n, v in constants.items()}})
assert len(compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]) > 1000
"""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
