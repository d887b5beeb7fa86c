"""Networks of which torch does not see, save or train every weight, and weights that are no plain tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from helpers.forkserver import Server
from helpers.students import student_config
from lsu_seg.errors import ConfigError, TeacherError
from lsu_seg.models.hidden import hidden_weights
from lsu_seg.openmmlab.runner import runner_with_checkpoint
from lsu_seg.openmmlab.weights import nan_weights, same_weight, weight_bytes
from lsu_seg.training.run import train

NETS = """\
import functools
import torch
from torch import nn


class Holder:
    def __init__(self, layer):
        self.layer = layer


class Net(nn.Module):
    def __init__(self, hides, fixed=False):
        super().__init__()
        first = nn.Conv2d(3, 4, 1)
        if fixed:
            nn.init.ones_(first.weight), nn.init.zeros_(first.bias)
        self.first = {
            "list": lambda: [first],
            "dict": lambda: {"a": (first, None)},
            "object": lambda: Holder(first),
            "function": lambda: lambda x: first(x),
            "partial": lambda: functools.partial(first),
            "method": lambda: first.forward,
            "nothing": lambda: first,
        }[hides]()
        self.head = nn.Conv2d(4, 5, 1)

    def forward(self, images):
        first = self.first
        first = first[0] if isinstance(first, list) else first["a"][0] if isinstance(first, dict) else first
        return self.head(getattr(first, "layer", first)(images))

    def init_weights(self):  # many have one: for whoever trains them from the beginning
        nn.init.zeros_(self.head.weight)


def build(hides="nothing", fixed=False, wrap=""):
    net = Net(hides, fixed)
    if wrap == "trace":
        return torch.jit.trace(net, torch.zeros(1, 3, 8, 8))
    if wrap == "freeze":
        return torch.jit.freeze(torch.jit.trace(net.eval(), torch.zeros(1, 3, 8, 8)))
    return torch.compile(net, backend="eager") if wrap == "compile" else net
"""
HIDING = ("list", "dict", "object", "function", "partial", "method")


@pytest.fixture
def factory(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(NETS)
    return f"{tmp_path / 'nets.py'}:build"


def built(factory: str, checkpoint: Path | None = None, **args: Any) -> Any:
    init_default_scope("mmseg")
    more = {} if checkpoint is None else dict(checkpoint=str(checkpoint))
    return MODELS.build(dict(type="TorchSegmentor", factory=factory, args=args, **more))


@pytest.mark.parametrize("hides", HIDING)
def test_layers_that_no_checkpoint_has_are_noticed(factory: str, tmp_path: Path, hides: str) -> None:
    """They would stay random, and others in each run, while the rest is loaded."""
    net = built(factory, hides=hides).net
    assert len(hidden_weights(net)) == 2
    torch.save(net.state_dict(), tmp_path / "net.pth")
    with pytest.raises(TeacherError, match=r"whose `first.*weight` is random and in no checkpoint, .*ModuleList.*only"):
        built(factory, tmp_path / "net.pth", hides=hides)
    built(factory, tmp_path / "net.pth", hides=hides, fixed=True)  # hidden on purpose, and the same each time
    assert "`first" in built(factory, hides=hides).untrainable


def test_a_network_that_hides_nothing(factory: str) -> None:
    segmentor = built(factory)
    assert not hidden_weights(segmentor.net)
    assert segmentor.unsaved == segmentor.untrainable == ""


def test_a_checkpoint_that_a_run_is_given_has_all_weights(factory: str, tmp_path: Path) -> None:
    torch.save(built(factory, hides="list").net.state_dict(), tmp_path / "net.pth")
    model = dict(type="TorchSegmentor", factory=factory, args=dict(hides="list"))
    cfg = Config(dict(default_scope="mmseg", work_dir=str(tmp_path / "work"), model=model))
    with pytest.raises(ConfigError, match=r"`first\[0\].weight` is random .*; `.*net.pth` has only the others"):
        runner_with_checkpoint(cfg, tmp_path / "net.pth", quiet=True)


def config(tmp_path: Path, factory: str, **args: Any) -> Config:
    cfg = student_config(tmp_path, iterations=1)
    loss = dict(type="SetNLLLoss", source="tiny")
    cfg.model = dict(type="TorchSegmentor", factory=factory, args=args, num_classes=5, size_divisor=8, loss_decode=loss)
    return cfg


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (dict(hides="list"), r"`first\[0\].weight` is random"),
        (
            dict(wrap="trace"),
            "a network of `torch.jit.trace`, whose dropout .*: let the function make the network itself",
        ),
        (dict(wrap="freeze"), "a network without a weight that can be trained: it is frozen TorchScript; let"),
    ],
)
def test_networks_that_cannot_be_trained(factory: str, tmp_path: Path, args: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        train(config(tmp_path, factory, **args), quiet=True)


def test_hidden_layers_are_noticed_by_every_rank(server: Server, factory: str, tmp_path: Path) -> None:
    """There, the model is in torch's wrapper for several GPUs."""
    config(tmp_path, factory, hides="list").dump(tmp_path / "student.py")
    ranks = server.ranks(tmp_path, 2, "train", tmp_path / "student.py", "--launcher", "pytorch")
    assert [rank.wait() for rank in ranks] == [1, 1], [rank.said for rank in ranks]
    assert all("`first[0].weight` is random and in no checkpoint" in rank.said for rank in ranks)


def test_a_compiled_network_is_trained_from_the_weights_that_it_has(factory: str, tmp_path: Path) -> None:
    """mmengine calls a network's own `init_weights`, and cannot take its notes off a compiled one."""
    start = built(factory).net.state_dict()
    torch.save({f"_orig_mod.{name}": weight for name, weight in start.items()}, tmp_path / "net.pth")
    cfg = config(tmp_path, factory, wrap="compile")
    cfg.model.checkpoint = str(tmp_path / "net.pth")
    cfg.optim_wrapper.optimizer.lr = 1e-6
    last = torch.load(train(cfg, quiet=True), weights_only=False)["state_dict"]
    assert {*last} == {f"net._orig_mod.{name}" for name in start}
    torch.testing.assert_close(last["net._orig_mod.head.weight"], start["head.weight"], rtol=0, atol=1e-3)


ODD = {
    "sparse": torch.eye(3).to_sparse(),
    "float8": torch.eye(3).to(torch.float8_e4m3fn),
    "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
    "conjugate": torch.eye(3).to(torch.complex64).conj(),
    "negative": torch._neg_view(torch.eye(3)),
    "no weight": torch.qint8,  # what a quantized layer adds to its state
}


@pytest.mark.parametrize("kind", ODD)
def test_weights_of_every_kind_are_compared_and_hashed(kind: str) -> None:
    value = ODD[kind]
    assert same_weight(value, value)
    assert weight_bytes(value) == weight_bytes(value)
    net = torch.nn.Module()
    if isinstance(value, torch.Tensor):
        net.register_buffer("w", value)
        assert not same_weight(value, torch.zeros(1))
    assert nan_weights(net) == []


@pytest.mark.parametrize("keep", [lambda w: w.to_sparse(), lambda w: w.to(torch.float8_e4m3fn), lambda w: w * 1j])
def test_a_nan_is_found_in_weights_of_every_kind(keep: Any) -> None:
    net = torch.nn.Module()
    net.register_buffer("w", keep(torch.tensor([1.0, torch.nan])))
    assert nan_weights(net) == ["w"]
