"""Precision and compilation of a teacher's network, on a CPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from helpers.hf import M2F, SEGFORMER, built, model
from helpers.tiny import CLASSES, model_config
from helpers.windows import ALL, decoded, image
from lsu_seg.decode import View
from lsu_seg.errors import TeacherError
from lsu_seg.teachers import SegmentorTeacher, Views, computing, sliding
from lsu_seg.teachers.computing import Computing, ComputingNetwork

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def unet() -> Any:
    init_default_scope("mmseg")
    torch.manual_seed(0)
    return MODELS.build(Config(dict(model=model_config())).model).eval()


def evidence(segmentor: Any, network: ComputingNetwork | None = None, size: int = 64, **views: Any) -> Any:
    teacher = SegmentorTeacher(segmentor, CLASSES, Views(**views), network)
    picture = image(size, size)
    return [band for _, band in teacher.evidence([picture], [None], [(size, size)])]


def values(bands: Any) -> torch.Tensor:
    views = [view for band in bands for view in band.views]
    return torch.cat([(v.logits if isinstance(v, View) else v.masks).flatten() for v in views])


@pytest.mark.parametrize("name", ["unet", SEGFORMER, M2F])
def test_a_network_computes_in_16_bits_and_returns_float32(name: str, unet: Any) -> None:
    segmentor = unet if name == "unet" else built(model(name))
    exact = values(evidence(segmentor))
    errors = {}
    for precision in ("fp16", "bf16"):
        with ComputingNetwork(segmentor, Computing(precision), CPU) as network:
            found = values(evidence(segmentor, network))
        assert found.dtype == torch.float32 and found.isfinite().all()
        errors[precision] = float((found - exact).abs().mean() / exact.abs().mean())
    assert 0 < errors["fp16"] < errors["bf16"] < (1.0 if name == M2F else 0.1)  # masks steer its attention
    assert torch.equal(values(evidence(segmentor)), exact), "afterwards, it computes as it did"


def test_predictions_are_float32_too(unet: Any) -> None:
    batch = dict(
        inputs=[image(64, 64)], data_samples=[SegDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(128, 128)))]
    )
    with torch.no_grad(), ComputingNetwork(unet, Computing("bf16"), CPU):
        logits = unet.test_step(batch)[0].seg_logits.data
    assert logits.dtype == torch.float32
    assert logits.unique().numel() > 10_000, "they are resized as float32, not in 16 bits"


def test_float32_on_a_cpu_leaves_a_network_as_it_is(unet: Any) -> None:
    with ComputingNetwork(unet, Computing(), CPU):
        assert "forward" not in vars(unet.backbone)


@pytest.mark.parametrize("there", [True, False])
def test_where_no_precision_is_named_the_device_has_one(
    there: bool, unet: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer of a GPU, on a CPU, which can compute in bfloat16 too; and a network that cannot be changed."""
    monkeypatch.setattr(computing, "precision_here", lambda device: "bf16" if there else "fp32")
    with ComputingNetwork(unet, Computing(None), CPU) as network:
        assert network.settings == Computing("bf16" if there else "fp32")
        assert (values(evidence(unet, network)).unique().numel() < 10_000) is there
    said = "the network computes in bf16, the default on this GPU; in float32 with `--precision fp32`"
    assert (said in capsys.readouterr().err) is there
    assert ComputingNetwork(Other(), Computing(None), CPU).settings == Computing("fp32")


def test_an_operation_without_the_precision_is_named(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of another library's kernels; torch has such, too. And a network whose own code mixes two."""
    for forward, why in (
        (lambda x: torch.pdist(x[0, 0].bfloat16()), "not implemented for 'BFloat16'"),
        (lambda x: torch.ops.aten.mm.out(x[0, 0], x[0, 0].bfloat16(), out=x[0, 0]), "BFloat16"),
        (lambda x: (x[0, 0] @ x[0, 0]).numpy(), "unsupported ScalarType BFloat16"),
    ):
        monkeypatch.setattr(unet.backbone, "forward", forward)
        said = rf"cannot compute in bf16 \(.*{why}.*\): choose another precision, `--precision fp32`"
        with pytest.raises(TeacherError, match=said), ComputingNetwork(unet, Computing("bf16"), CPU) as network:
            evidence(unet, network)


def _dynamo(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    """Compile by torch's own tracer, and not by way of C++, which takes half a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    monkeypatch.setattr(sliding, "_PIXELS", 3 * 32 * 32)  # windows in a batch


def test_a_network_is_compiled_once_for_its_windows(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in 3 x 3 windows, a strip of which is a batch; and in 2 x 2, which are filled up; and in a single one."""
    shapes = []

    def backend(graph: Any, examples: list[torch.Tensor]) -> Any:
        shapes.extend(tuple(e.shape) for e in examples if e.ndim == 4 and e.shape[1] == 3)
        return graph.forward

    _dynamo(monkeypatch, backend)
    views: dict[str, Any] = dict(window=(32, 32), overlap=0.0, scales=(0.5, 1.0, 1.5), flips=(False, True))
    plain = evidence(unet, **views)
    with ComputingNetwork(unet, Computing(compile=True), CPU) as network:
        found = evidence(unet, network, **views)
        assert network.compiled
    assert (3, 3, 32, 32) in shapes and len({s for s in shapes if s[2:] == (32, 32)}) == 1
    assert torch.allclose(values(found), values(plain), atol=1e-5)
    rows = np.zeros((64, 64), np.int64)
    assert np.array_equal(decoded(found, rows, ALL)[0], decoded(plain, rows, ALL)[0])


def test_a_network_that_cannot_be_compiled_runs_as_it_is(
    unet: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def backend(graph: Any, examples: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    _dynamo(monkeypatch, backend)
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    plain = evidence(unet, window=(32, 32))
    unet.train()  # as it is when a run begins
    with ComputingNetwork(unet, Computing(compile=True), CPU) as network:
        found = evidence(unet, network, window=(32, 32))
        assert not network.compiled
    assert torch.equal(values(found), values(plain))
    said = capsys.readouterr().err
    assert "the network cannot be compiled here, and runs as it is: BackendCompilerFailed" in said
    assert "no C++ compiler" in said.splitlines()[-1]
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


def test_what_wraps_the_errors_of_its_network_runs_as_it_is_too(unet: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """As a TorchSegmentor does. What is no compiler's stays an error."""
    compiler = type("InvalidCxxCompiler", (RuntimeError,), {"__module__": "torch._inductor.exc"})

    def show(cause: Exception) -> None:
        raise TeacherError("the network of `net.py:build` fails") from cause

    with ComputingNetwork(unet, Computing(compile=True), CPU) as network:
        network.compile_for(lambda: show(compiler("No working C++ compiler found")))
        assert not network.compiled
        said = capsys.readouterr().err
        assert "the network cannot be compiled here, and runs as it is: InvalidCxxCompiler: No working C++" in said
        with pytest.raises(TeacherError, match="fails"):
            network.compile_for(lambda: show(ValueError("of the network itself")))


@pytest.mark.slow
def test_a_network_is_compiled_by_way_of_cpp(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliding, "_PIXELS", 3 * 32 * 32)
    plain = evidence(unet, window=(32, 32), scales=(1.5,))
    with ComputingNetwork(unet, Computing(compile=True), CPU) as network:
        found = evidence(unet, network, window=(32, 32), scales=(1.5,))
        assert network.compiled
    assert torch.allclose(values(found), values(plain), atol=1e-5)


class Other(nn.Module):
    """A segmentor whose network is in none of the usual places."""

    out_channels = len(CLASSES)


class Frozen(nn.Module):
    out_channels = len(CLASSES)

    def __init__(self) -> None:
        super().__init__()
        with pytest.warns(DeprecationWarning):
            self.net = torch.jit.trace(nn.Conv2d(3, 5, 1), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("settings", "segmentor", "message"),
    [
        (
            dict(precision="bf15"),
            None,
            "precision is 'bf15'; expected one of fp32, tf32, bf16, fp16; did you mean `bf16`?",
        ),
        (dict(precision=16), None, "precision is 16; expected one of"),
        (dict(compile="yes"), None, "compile is 'yes'; expected True or False"),
        (
            dict(precision="tf32"),
            None,
            "precision='tf32' needs a GPU of compute capability 8.0 or newer, and the network",
        ),
        (dict(precision="bf16"), Other, "it is not known which part of a Other is its network"),
        (dict(precision="bf16"), Frozen, "so it can only run as it is: leave both out"),
        (dict(compile=True), None, r"with `compile=True`, also set `window=\(height, width\)`"),
    ],
)
def test_what_cannot_be_is_refused(settings: Any, segmentor: Any, message: str, unet: Any) -> None:
    with pytest.raises(TeacherError, match=message.replace("?", r"\?")):
        one = segmentor() if segmentor else unet
        with ComputingNetwork(one, Computing(**settings), CPU) as network:
            SegmentorTeacher(one, CLASSES, Views(), network)
