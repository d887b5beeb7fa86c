"""Checkpoints: what mmengine writes is loaded, and nothing in a file is ever run."""

from __future__ import annotations

import os
import pickle
import random
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("mmseg")

from helpers.forkserver import Server
from lsu_seg.errors import TeacherError, UserError
from lsu_seg.openmmlab import compat  # the import itself guards mmengine's loaders

torch = pytest.importorskip("torch")
from mmengine.logging import HistoryBuffer, MessageHub  # noqa: E402
from mmengine.model import BaseModel  # noqa: E402
from mmengine.optim import OptimWrapper  # noqa: E402
from mmengine.runner import Runner, load_checkpoint  # noqa: E402
from mmengine.runner.checkpoint import CheckpointLoader  # noqa: E402

from lsu_seg.openmmlab.weights import check_file, check_finite, check_weights, refuse_other_kinds  # noqa: E402


class Writes:
    """Unpickling this makes a folder: harmless proof that code ran."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Walks:
    """Asks for `getattr`, which the list knows, but for something else than a history's statistics."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, "__init__")


@pytest.fixture
def model() -> torch.nn.Module:
    return torch.nn.Linear(2, 1)


def malicious(path: Path, model: torch.nn.Module) -> tuple[Path, Path]:
    """A checkpoint whose weights are fine, and the path that exists once its code has run."""
    proof = path / "code_ran"
    file = path / "model.pth"
    torch.save({"state_dict": model.state_dict(), "meta": Writes(proof)}, file)
    return file, proof


def test_a_malicious_checkpoint_is_refused(tmp_path: Path, model: torch.nn.Module) -> None:
    file, proof = malicious(tmp_path, model)
    with pytest.raises(compat.UntrustedCheckpointError) as refusal:
        load_checkpoint(model, str(file))
    assert not proof.exists()
    message = str(refusal.value)
    assert str(file) in message
    assert "posix.mkdir" in message or "nt.mkdir" in message
    assert "LSU_SEG_TRUST_CHECKPOINT=1" in message
    assert len(message.splitlines()) == 3


def test_a_bare_pickle_is_refused(tmp_path: Path, model: torch.nn.Module) -> None:
    """The format of before torch 1.6 has no archive around it."""
    file = tmp_path / "model.pth"
    file.write_bytes(pickle.dumps(Writes(tmp_path / "code_ran"), protocol=2))
    with pytest.raises(TeacherError, match=r"pickle that `torch.save` has not written"):
        load_checkpoint(model, str(file))
    assert not (tmp_path / "code_ran").exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><p>Sign in", "HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04 and no more", "ends too early"),
        (b"just text", "not a checkpoint, or is cut off"),
        (
            tarfile.TarInfo("a.pth").tobuf() + b"\0" * 1024,
            "is a tar archive and no checkpoint: it holds `a.pth`; unpack",
        ),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named_as_what_it_is(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "model.pth"
    file.write_bytes(data)
    with pytest.raises(TeacherError, match=said):
        check_file(file)


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_damaged_checkpoint_is_refused_whatever_torch_makes_of_it(
    tmp_path: Path, model: torch.nn.Module, as_zip: bool
) -> None:
    file = tmp_path / "model.pth"
    torch.save({"state_dict": model.state_dict()}, file, _use_new_zipfile_serialization=as_zip)
    chance, whole, refused = random.Random(0), file.read_bytes(), 0
    for _ in range(80):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data[: chance.choice([len(data), chance.randrange(1, len(data))])])
        try:
            compat.load_checkpoint(file)
        except UserError:
            refused += 1
    assert refused > 30


def test_safetensors_are_weights_whatever_the_length_of_their_header(tmp_path: Path) -> None:
    """One in 32 begins as a pickle does: with 0x80, the lowest byte of that length."""
    safetensors = pytest.importorskip("safetensors.torch")
    begins = set()
    for length in range(1, 300, 8):
        weights, file = {"w" * length: torch.ones(2)}, tmp_path / "model.safetensors"
        safetensors.save_file(weights, file)
        begins.add(file.read_bytes()[:1])
        assert compat.load_checkpoint(file).keys() == weights.keys()
    assert b"\x80" in begins
    refuse_other_kinds(tmp_path / "model.safetensors.index.json", b'{"weight_map": {}}')  # a list of shards is none
    assert compat.load_checkpoint(file.rename(tmp_path / "model.bin")).keys() == weights.keys()
    loaded = compat.load_checkpoint(tmp_path / "model.bin")
    whole = (tmp_path / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(b"")
    assert loaded["w" * length].tolist() == [1, 1], "a mapped file would end this process with SIGBUS"
    (tmp_path / "cut.safetensors").write_bytes(whole[:-1])
    with pytest.raises(TeacherError, match=r"cut.safetensors` is damaged, or cut off: .*; get the file again"):
        compat.load_checkpoint(tmp_path / "cut.safetensors")


@pytest.mark.parametrize("nest", [lambda s: {"net": s}, lambda s: {f"net.{k}": v for k, v in s.items()}])
def test_the_help_on_nested_weights_writes_a_checkpoint_and_stays_guarded(
    tmp_path: Path, model: torch.nn.Module, nest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(nest(model.state_dict()), "a.pth")
    with pytest.raises(TeacherError) as refusal:
        check_weights("a.pth", compat.load_checkpoint("a.pth"), model)
    line = re.search(r"of their own, `(.+)`$", str(refusal.value))[1]
    assert "torch.load" not in line
    exec(line)
    check_weights("weights.pth", compat.load_checkpoint("weights.pth"), model)

    torch.save({**nest(model.state_dict()), "meta": Writes(tmp_path / "code_ran")}, "a.pth")
    with pytest.raises(compat.UntrustedCheckpointError):
        exec(line)
    assert not (tmp_path / "code_ran").exists()


def test_weights_that_nothing_would_load_are_found(tmp_path: Path, model: torch.nn.Module) -> None:
    state = model.state_dict()
    check_weights("a.pth", {"state_dict": {f"module.{k}": v for k, v in state.items()}}, model)
    for checkpoint, said in (
        ({"state_dict": {"net": state}}, r"in `\['state_dict'\]\['net'\]`"),
        ({f"net.{k}": v for k, v in state.items()}, "under names that begin with `net.`"),
        ({"state_dict": {"other": torch.zeros(1)}}, "is of another model: it has `other`"),
        ({"epoch": 3}, "holds no weights: it has `epoch`"),
        ({"state_dict": {}}, "holds no weights: it has `state_dict`, which is empty; expected a dict of weights"),
        ({"state_dict": {"weight": np.zeros(2)}}, "has `state_dict`, which has `weight`, a ndarray; expected"),
        ([1], "holds a list"),
        ({k: v.int() for k, v in state.items()}, "has values of int32 as `weight`, and the model's is float32: take"),
        ({k: v.to(torch.complex64) for k, v in state.items()}, "has values of complex64 as `weight`"),
        ({k: v.to_sparse() for k, v in state.items()}, "has a sparse tensor as `weight`"),
        ({k: v.to("meta") for k, v in state.items()}, "has a tensor of the meta device, which has no values, as"),
    ):
        with pytest.raises(TeacherError, match=said):
            check_weights("a.pth", checkpoint, model)
    model.register_buffer("seen", torch.zeros(1))
    check_weights("a.pth", {**state, "seen": torch.tensor([3])}, model)  # a count is no less a count
    torch.nn.init.constant_(model.bias, torch.nan)
    with pytest.raises(TeacherError, match="NaN: `bias`"):
        check_finite("a.pth", model)


def test_the_guard_does_not_depend_on_the_order_of_imports(
    libraries: Server, tmp_path: Path, model: torch.nn.Module
) -> None:
    """Here `lsu_seg` comes first and mmengine's loader later, as in a user's training script."""
    file, proof = malicious(tmp_path, model)
    code = f"""
import lsu_seg, sys
assert 'mmengine.runner.checkpoint' not in sys.modules
from mmengine.runner.checkpoint import CheckpointLoader
try:
    CheckpointLoader.load_checkpoint({str(file)!r})
except lsu_seg.openmmlab.compat.UntrustedCheckpointError:
    print('refused')
"""
    exit_code, said = libraries.run(tmp_path / "log.txt", code=code)
    assert exit_code == 0 and said.endswith("refused\n"), said
    assert not proof.exists()


def test_trust_is_the_way_out(tmp_path: Path, model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    file, proof = malicious(tmp_path, model)
    monkeypatch.setenv(compat.TRUST_VARIABLE, "1")
    load_checkpoint(model, str(file))
    assert proof.exists()


def test_a_class_of_the_script_that_saved_it(
    tmp_path: Path, model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "Net", type("Net", (), {"__module__": "__main__"}), raising=False)
    torch.save({"state_dict": model.state_dict(), "net": sys.modules["__main__"].Net()}, tmp_path / "a.pth")
    monkeypatch.undo()
    monkeypatch.setenv(compat.TRUST_VARIABLE, "1")
    said = (
        r"a.pth` holds an object of a class that is not found here \(Can't get attribute 'Net' .*\): save the `state_"
    )
    with pytest.raises(TeacherError, match=said):
        load_checkpoint(model, str(tmp_path / "a.pth"))


def test_getattr_is_not_a_way_round(tmp_path: Path, model: torch.nn.Module) -> None:
    file = tmp_path / "model.pth"
    torch.save({"state_dict": model.state_dict(), "meta": Walks()}, file)
    with pytest.raises(compat.UntrustedCheckpointError, match=r"builtins\.getattr.*'__init__'"):
        load_checkpoint(model, str(file))


def test_other_sources_are_restricted_too(tmp_path: Path, model: torch.nn.Module) -> None:
    """The loader of `https://` asks for an unrestricted load by itself; here is one that needs no network."""
    file, proof = malicious(tmp_path, model)

    def load_from_probe(filename: str, map_location=None):
        return torch.load(file, map_location=map_location, weights_only=False)

    class Loader(CheckpointLoader):
        _schemes: ClassVar = {"probe://": load_from_probe}

    compat.guard_checkpoints(SimpleNamespace(CheckpointLoader=Loader))
    with pytest.raises(compat.UntrustedCheckpointError, match="refused to load `probe://model`"):
        Loader.load_checkpoint("probe://model")
    assert not proof.exists()


def test_names_that_a_loader_does_not_have_are_refused() -> None:
    with pytest.raises(
        TeacherError, match=r"`mmcls://nothing` is no checkpoint that can be loaded \(KeyError: 'nothing'"
    ):
        CheckpointLoader.load_checkpoint("mmcls://nothing")


def test_the_environment_is_left_as_it_was(tmp_path: Path, model: torch.nn.Module) -> None:
    file = tmp_path / "model.pth"
    torch.save(model.state_dict(), file)
    before = dict(os.environ)
    load_checkpoint(model, str(file))
    assert dict(os.environ) == before


def test_a_file_that_is_not_there(model: torch.nn.Module, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        load_checkpoint(model, str(tmp_path / "none.pth"))


class Regression(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, *inputs, mode="tensor"):
        out = self.linear(torch.stack(inputs))
        return {"loss": out.square().mean()} if mode == "loss" else out


def test_a_runner_checkpoint_loads(tmp_path: Path) -> None:
    """As a training writes it: weights, optimizer, schedule, and the message hub with its histories."""

    def runner(**options) -> Runner:
        return Runner(
            Regression(),
            str(tmp_path / "work"),
            train_dataloader={
                "dataset": [torch.ones(2)] * 4,
                "sampler": {"type": "DefaultSampler", "shuffle": True},
                "batch_size": 2,
            },
            optim_wrapper=OptimWrapper(torch.optim.AdamW(Regression().parameters())),
            train_cfg={"by_epoch": False, "max_iters": 3},
            param_scheduler={"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 4, "by_epoch": False},
            default_hooks={"logger": {"type": "LoggerHook", "interval": 1}},
            log_level="ERROR",
            experiment_name=tmp_path.name + str(len(options)),
            **options,
        )

    first = runner()
    first.train()
    hub = MessageHub.get_current_instance()
    hub.update_info("dataset_meta", {"classes": ("road", "sky"), "palette": np.zeros((2, 3), np.uint8)})
    hub.update_info("numbers", [np.float64(0.5), np.int64(3), np.bool_(True)])
    first.save_checkpoint(str(tmp_path), "model.pth")

    assert b"HistoryBuffer" in b"".join(pickled(tmp_path / "model.pth"))
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / "model.pth"))
    history = loaded["message_hub"]["log_scalars"]["train/loss"]
    assert isinstance(history, HistoryBuffer)
    assert history.mean() > 0
    assert loaded["message_hub"]["runtime_info"]["numbers"] == [0.5, 3, True]

    second = runner(resume=True, load_from=str(tmp_path / "model.pth"))
    second.load_or_resume()
    assert second.iter == 3
    assert second.param_schedulers[0].state_dict() == first.param_schedulers[0].state_dict()
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def pickled(file: Path) -> list[bytes]:
    """The pickle streams of a checkpoint, which is a zip file."""
    with zipfile.ZipFile(file) as archive:
        return [archive.read(name) for name in archive.namelist() if name.endswith(".pkl")]


def test_a_checkpoint_written_with_numpy_1(tmp_path: Path) -> None:
    """It asks for `numpy.core`, which numpy 2 calls `numpy._core`; a bare pickle is easily made to ask so."""
    new = pickle.dumps({"mean": np.float64(0.5), "array": np.arange(3)}, protocol=2)
    payload = new.replace(b"numpy._core", b"numpy.core")
    assert payload != new
    torch.save({}, tmp_path / "empty.pth")
    with zipfile.ZipFile(tmp_path / "empty.pth") as empty, zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
        for name in empty.namelist():
            old.writestr(name, payload if name.endswith("data.pkl") else empty.read(name))
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / "old.pth"))
    assert loaded["mean"] == 0.5
    assert loaded["array"].tolist() == [0, 1, 2]


def test_mmseg_configs_are_found() -> None:
    from mmengine.config import Config
    from mmengine.config.utils import MODULE2PACKAGE

    assert MODULE2PACKAGE["mmseg"] == "mmseg"
    config = Config._get_cfg_path("mmseg::_base_/schedules/schedule_20k.py", "")
    assert Path(config[0]).is_file()


def test_a_compiled_operator_fails_when_it_is_called() -> None:
    from mmcv.ops import nms, point_sample

    assert point_sample(torch.ones(1, 1, 2, 2), torch.full((1, 3, 2), 0.5)).flatten().tolist() == [1, 1, 1]
    if isinstance(sys.modules["mmcv._ext"], compat._OpsStub):
        with pytest.raises(NotImplementedError, match="`nms` needs mmcv with compiled operators"):
            nms(torch.rand(2, 4), torch.rand(2), 0.5)


def test_installing_twice_changes_nothing() -> None:
    schemes = dict(CheckpointLoader._schemes)
    compat.install()
    assert dict(CheckpointLoader._schemes) == schemes
    assert not any(isinstance(f, compat._AfterImport) and f.name in sys.modules for f in sys.meta_path)
