"""Mixed precision, recomputed activations, moving averages and gradients of several iterations, on a CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from helpers.hf import M2F, TINY, built, model
from helpers.students import student_config
from helpers.tiny import LOAD
from lsu_seg.errors import ConfigError
from lsu_seg.evaluation.run import measure
from lsu_seg.losses.mmseg import SetNLLLoss
from lsu_seg.openmmlab.recompute import recompute_in_backward
from lsu_seg.training import precision
from lsu_seg.training.run import train

AMP = {"optim_wrapper.type": "AmpOptimWrapper", "optim_wrapper.dtype": "bfloat16"}


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


def trained(root: Path, iterations: int = 3, **changes: Any) -> dict[str, Any]:
    """The checkpoint of a short training."""
    cfg = student_config(root, iterations=iterations)
    cfg.merge_from_dict(changes)
    loaded: dict[str, Any] = torch.load(train(cfg, quiet=True), weights_only=False)
    return loaded


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    init_default_scope("mmseg")
    weights: dict[str, torch.Tensor] = trained(tmp_path_factory.mktemp("plain"))["state_dict"]
    return weights


def test_mixed_precision_needs_a_gpu(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match=r"`optim_wrapper` cannot be used as it is: .*only available training on gpu"):
        trained(tmp_path, **AMP)
    for named, least in (("bf16", "8.0"), ("tf32", "8.0"), ("fp16", "7.0")):
        said = rf"in {named}, which needs a GPU of .* {least} or newer, and runs on the CPU"
        with pytest.raises(ConfigError, match=said):
            trained(tmp_path / "more", train_precision=named)
    with pytest.raises(ConfigError, match=r"`train_precision` is 'bf61'; expected one of .*; did you mean `bf16`"):
        trained(tmp_path / "more", train_precision="bf61")
    with pytest.raises(ConfigError, match=r"'AmpOptimWrapper', which says itself how the network computes"):
        trained(tmp_path / "more", train_precision="bf16", **AMP)
    assert not (tmp_path / "more/work").exists()


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What a GPU answers, on a CPU, where torch's autocast computes in bfloat16 as well."""
    monkeypatch.setattr(amp_optimizer_wrapper, "is_cuda_available", lambda: True)
    monkeypatch.setattr(precision, "_check_device", lambda *_: None)
    monkeypatch.setattr(precision, "precision_here", lambda device: "bf16")
    return monkeypatch


def test_a_training_on_a_gpu_is_in_16_bits_and_goes_on_as_it_was_begun(
    plain: dict[str, torch.Tensor],
    tmp_path: Path,
    as_on_a_gpu: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cfg = student_config(tmp_path, iterations=3)
    first = torch.load(train(cfg, quiet=True), weights_only=False)
    assert "the training computes in bf16, the default on this GPU; in float32 with" in capsys.readouterr().err
    assert "loss_scaler" in first["optimizer"] and "bfloat16" in first["meta"]["cfg"]
    distance = max(float((w - plain[k]).abs().max()) for k, w in first["state_dict"].items() if w.is_floating_point())
    assert 0 < distance < 0.02
    assert json.loads((tmp_path / "work/precision.json").read_text()) == {"precision": "bf16"}
    as_on_a_gpu.setattr(precision, "precision_here", lambda device: "fp32")
    cfg.train_cfg.max_iters = 4
    second = torch.load(train(cfg, quiet=True, resume=True), weights_only=False)
    assert "the training computes in bf16, as it was begun" in capsys.readouterr().err
    assert "loss_scaler" in second["optimizer"]
    cfg.train_precision, cfg.train_cfg.max_iters = "fp32", 5
    third = torch.load(train(cfg, quiet=True, resume=True), weights_only=False)
    assert "loss_scaler" not in third["optimizer"] and third["meta"]["iter"] == 5
    assert json.loads((tmp_path / "work/precision.json").read_text()) == {"precision": "fp32"}


@pytest.mark.usefixtures("as_on_a_gpu")
def test_what_cannot_be_trained_in_16_bits_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SetNLLLoss, "forward", lambda *_, **__: torch.pdist(torch.eye(2, dtype=torch.bfloat16)))
    with pytest.raises(ConfigError, match=r"cannot be trained in bf16 \(.*'BFloat16'\): .*`train_precision = 'fp32'`"):
        trained(tmp_path)


def test_a_constructor_of_several_optimizers_is_left_as_it_is() -> None:
    several = dict(constructor="Two", generator=dict(optimizer=dict(type="SGD")), critic=dict(optimizer=dict()))
    one = dict(constructor="LayerDecayOptimizerConstructor", optimizer=dict(type="SGD"))
    assert [precision._is_plain(Config(dict(optim_wrapper=w))) for w in (several, one)] == [False, True]


def test_the_precision_is_said_when_the_ranks_know_each_other(
    tmp_path: Path, as_on_a_gpu: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before, each takes itself for the first, and there is no log."""
    cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type="SGD"))))
    with precision.computing(cfg, tmp_path, resumed=False) as (hook,):
        assert capsys.readouterr().err == ""
        hook.before_train(None)
        assert "the training computes in bf16" in capsys.readouterr().err


def test_a_training_in_bf16_can_go_on_in_fp16(tmp_path: Path) -> None:
    """Its scaler of gradients was disabled, and torch refuses the state of such a one."""
    hook = precision._Keep(tmp_path, "fp16")
    for scaler, kept in (({}, False), ({"scale": 2.0}, True)):
        checkpoint: dict[str, Any] = {"optimizer": {"state": {}, "loss_scaler": scaler}}
        hook.after_load_checkpoint(None, checkpoint)
        assert ("loss_scaler" in checkpoint["optimizer"]) is kept
    hook.after_load_checkpoint(None, {"state_dict": {}})


def test_the_loss_of_sets_is_float32_in_mixed_precision(
    plain: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mmengine's wrapper asks for a GPU; torch's autocast to bfloat16, all that it does then, works on a CPU too."""
    monkeypatch.setattr(amp_optimizer_wrapper, "is_cuda_available", lambda: True)
    kinds = []
    forward = SetNLLLoss.forward

    def noted(self: Any, logits: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = forward(self, logits, *args, **kwargs)
        kinds.append((logits.dtype, loss.dtype))
        return loss

    monkeypatch.setattr(SetNLLLoss, "forward", noted)
    found = trained(tmp_path, **AMP, **{"optim_wrapper.loss_scale": dict(enabled=False)})["state_dict"]
    assert set(kinds) == {(torch.bfloat16, torch.float32)}
    assert all(w.dtype == plain[key].dtype for key, w in found.items())
    distance = max(float((w - plain[key]).abs().max()) for key, w in found.items() if w.is_floating_point())
    assert 0 < distance < 0.02


@pytest.mark.parametrize("name", TINY)
def test_the_losses_of_hugging_faces_models_are_float32_under_autocast(name: str) -> None:
    segmentor = built(model(name)).train()
    target = torch.randint(0, 5, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    target = target.repeat_interleave(8, 1).repeat_interleave(8, 2)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in target]
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    losses = []
    for precise in (True, False):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            parts = segmentor(images, samples, mode="loss")
        assert {part.dtype for part in parts.values()} == {torch.float32}
        losses.append(torch.stack(list(parts.values())).sum())
        losses[-1].backward()
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.1)


def test_recomputed_activations_change_nothing(plain: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """Also where a part's arguments need no gradient, and in the statistics of batch norms, which see a batch twice."""
    found = trained(tmp_path, activation_checkpointing=["backbone", "decode_head"])["state_dict"]
    assert all(torch.equal(weight, plain[key]) for key, weight in found.items())


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of torch's own compiler, which looks at gradients of what has none
def test_a_compiled_step_learns_the_same(plain: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """mmengine compiles the whole step, with our losses: minutes."""
    found = trained(tmp_path, compile=True)["state_dict"]
    assert found.keys() == plain.keys()
    for key, weight in found.items():
        torch.testing.assert_close(weight, plain[key], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [torch.nn.BatchNorm2d, torch.nn.SyncBatchNorm])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norms_count_a_recomputed_batch_once(kind: type[torch.nn.BatchNorm2d], momentum: float | None) -> None:
    states = []
    for again in (False, True):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), kind(4, momentum=momentum))
        if again:
            recompute_in_backward(net, "1")
        for _ in range(2):
            net(torch.rand(2, 3, 4, 4)).square().sum().backward()
        states.append({**net.state_dict(), "gradient": net[0].weight.grad})
    assert states[1]["1.num_batches_tracked"] == 2
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_activations_of_a_network_that_takes_keywords_are_recomputed() -> None:
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.arange(64).view(1, 1, 64).expand(1, 64, 64) % 5))
    gradients = []
    for again in (False, True):
        segmentor = built(model(M2F)).train()
        if again:
            recompute_in_backward(segmentor, "net.model.pixel_level_module")
        torch.manual_seed(0)
        segmentor(torch.ones(1, 3, 64, 64), [sample], mode="loss")["loss_masks"].backward()
        gradients.append({key: p.grad for key, p in segmentor.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.allclose(g, gradients[1][key], rtol=1e-4, atol=1e-6) for key, g in gradients[0].items())


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has 'backbon', and the model has no such part; did you mean `backbone`"):
        trained(tmp_path, activation_checkpointing=["backbon"])


@pytest.mark.parametrize("parts", [True, 3, [3], [""], dict(type="backbone")])
def test_parts_that_are_no_names_are_refused(parts: Any) -> None:
    with pytest.raises(ConfigError, match=r"`activation_checkpointing` is .*; expected a list of names of the model's"):
        recompute_in_backward(torch.nn.Sequential(torch.nn.ReLU()), parts)


def test_a_moving_average_is_what_a_checkpoint_holds(plain: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """The last validation's figures are those of `evaluate`, which takes the checkpoint as it is."""
    cfg = student_config(tmp_path)
    early = dict(type="EarlyStoppingHook", monitor="source/mIoU")  # only a training can be stopped so
    cfg.custom_hooks = [dict(type="EMAHook", momentum=0.5), early]
    dataset = dict(cfg.train_dataloader.dataset.datasets[0], pipeline=LOAD)
    cfg.val_dataloader = dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False), dataset=dataset)
    cfg.val_cfg, cfg.val_evaluator = dict(type="ValLoop"), dict(type="OntologyIoU", source="tiny")
    cfg.train_cfg.val_interval = 3
    last = train(cfg, quiet=True)
    loaded = torch.load(last, weights_only=False)
    own = {key.removeprefix("module."): w for key, w in loaded["ema_state_dict"].items() if key != "steps"}
    assert all(torch.equal(weight, plain[key]) for key, weight in own.items()), "the weights are those of the training"
    key = "decode_head.conv_seg.weight"
    assert not torch.equal(loaded["state_dict"][key], plain[key])
    scalars = next(tmp_path.rglob("scalars.json")).read_text()
    validated = float(scalars.rpartition('"source/mIoU": ')[2].partition(",")[0])
    measured = measure(cfg, last, {"val": dict(dataset)}, quiet=True)["val"].figures()
    assert measured["source/mIoU"] == pytest.approx(validated, abs=1e-4)


def test_a_resumed_moving_average_goes_on(tmp_path: Path) -> None:
    cfg = student_config(tmp_path, iterations=2)
    cfg.custom_hooks = [dict(type="EMAHook", momentum=1e-6)]
    first = torch.load(train(cfg, quiet=True), weights_only=False)
    cfg.train_cfg.max_iters = 4
    second = torch.load(train(cfg, quiet=True, resume=True), weights_only=False)
    assert (first["ema_state_dict"]["steps"], second["ema_state_dict"]["steps"]) == (2, 4)
    key = "decode_head.conv_seg.weight"
    assert torch.allclose(second["state_dict"][key], first["state_dict"][key], atol=1e-5), "it hardly moves"
    moved = second["ema_state_dict"][f"module.{key}"] - first["ema_state_dict"][f"module.{key}"]
    assert moved.abs().max() > 1e-3, "the weights themselves do"
