"""Checkpoints of data-priors as teachers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from helpers.hf import M2F, built, folder, model, released
from helpers.tiny import CLASSES
from lsu_seg.errors import TeacherError
from lsu_seg.models import data_priors
from lsu_seg.openmmlab.compat import UntrustedCheckpointError


def test_a_released_checkpoint_becomes_the_model_that_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = released(tmp_path / "3_best.pth", monkeypatch)
    assert any(".encoder.encoder.layers.0." in key for key in data_priors.read(path).weights)  # not today's names
    segmentor = built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before, after = (s.evidence_of(image)[0] for s in (built(model(M2F)), segmentor))
    torch.testing.assert_close(after.masks, before.masks)
    torch.testing.assert_close(after.classes, before.classes)
    assert segmentor.class_names == tuple(CLASSES)
    assert segmentor.data_preprocessor.mean.flatten().tolist() == pytest.approx(list(data_priors.MEAN))


class Writes:
    """Unpickling this makes a folder: harmless proof that code ran."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_malicious_one_is_refused_and_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n, place in enumerate(("model_config", "config", "model_state_dict")):
        proof = tmp_path / f"ran{n}"
        path = released(tmp_path / f"{n}.pth", monkeypatch, **{place: Writes(proof)})
        with pytest.raises(UntrustedCheckpointError, match="mkdir"):
            built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
        assert not proof.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [("image_mean", []), ("image_std", [0.2, 0.2, 0.0]), ("image_mean", [float("nan")] * 3), ("do_normalize", "false")],
)
def test_a_folder_whose_normalisation_cannot_be_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    path = folder(tmp_path / "f")
    file = path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(TeacherError, match=r"preprocessor_config\.json: does not say how images are normalised"):
        built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))


def test_a_folder_with_a_malicious_pickle_is_refused(tmp_path: Path) -> None:
    """The format of weights before safetensors."""
    path = folder(tmp_path / "f")
    (path / "model.safetensors").unlink()
    proof = tmp_path / "ran"
    torch.save({"weights": Writes(proof)}, path / "pytorch_model.bin")
    with pytest.raises(TeacherError, match="the model cannot be loaded"):
        built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
    assert not proof.exists()


def test_the_stand_in_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lsu_seg.openmmlab.compat import PickledRecord, load_checkpoint

    record = load_checkpoint(released(tmp_path / "3.pth", monkeypatch))["model_config"]
    assert isinstance(record, PickledRecord)
    assert type(record) is not transformers.Mask2FormerConfig
    assert record.attributes["num_queries"] == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state_dict": {}}, "is a checkpoint of MMEngine, which does not say what its model is"),
        ({"model_state_dict": {"a": 1}}, "`model_state_dict` holds something other than tensors"),
        ({"model_state_dict": {"a": torch.zeros(1)}}, "the weights do not fit the config"),
        ({"model_config": {"a": 1}}, "found a dict as `model_config`; expected a Mask2FormerConfig"),
    ],
)
def test_checkpoints_that_are_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    path = released(tmp_path / "x.pth", monkeypatch, **changes)
    with pytest.raises(TeacherError) as refusal:
        built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
    assert message in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    for content, message in (
        (b"x", "is not a checkpoint, or is cut off"),
        (None, "found list; expected the keys"),
    ):
        path = tmp_path / "x.pth"
        path.write_bytes(content) if content else torch.save([1], path)
        with pytest.raises((TeacherError, UntrustedCheckpointError), match=message if content is None else str(path)):
            data_priors.read(path)
