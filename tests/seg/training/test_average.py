"""The mean of two models' weights: what is averaged, what is refused, and what the checkpoint says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from lsu_seg.cli import main
from lsu_seg.errors import TeacherError
from lsu_seg.openmmlab.compat import load_checkpoint
from lsu_seg.pseudo.output import file_sha256
from lsu_seg.training.average import AverageError, average_checkpoints, average_weights


def net() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))


def checkpoint(path: Path, weights: dict[str, Any], **more: Any) -> Path:
    torch.save({"state_dict": weights, **more}, path)
    return path


def meta(*classes: str) -> dict[str, Any]:
    return {"iter": 7, "dataset_meta": {"classes": list(classes), "source": "demo"}}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A teacher, and a student whose names are those of a segmentor around the teacher's network."""
    torch.manual_seed(0)
    teacher, student = net().state_dict(), net().state_dict()
    student["1.num_batches_tracked"] += 5
    torch.save(teacher, tmp_path / "teacher.pth")
    inside = {f"net.{name}": value for name, value in student.items()}
    checkpoint(tmp_path / "student.pth", inside, meta=meta("road", "sky"), optimizer={"state": {}}, message_hub={})
    return tmp_path / "teacher.pth", tmp_path / "student.pth"


def test_floating_weights_are_averaged_in_the_students_types() -> None:
    teacher = {"a": torch.tensor([1.0, 3.0]), "n": torch.tensor(2), "h": torch.tensor([4096.0])}
    student = {"n": torch.tensor(9), "a": torch.tensor([2.0, 5.0]), "h": torch.tensor([4100.0], dtype=torch.float16)}
    mean = average_weights(teacher, student, 0.25)
    assert list(mean) == ["n", "a", "h"]
    assert mean["a"].tolist() == [1.75, 4.5] and mean["n"] == 9
    eight = torch.tensor([2.0]).to(torch.float8_e4m3fn)
    assert average_weights({"a": eight}, {"a": eight})["a"].float().tolist() == [2.0]
    assert mean["h"].dtype == torch.float16 and mean["h"].tolist() == [4100.0]  # 4099, in steps of 4


def test_a_plain_file_of_the_network_and_a_student_around_it(files: tuple[Path, Path], tmp_path: Path) -> None:
    teacher, student = files
    average_checkpoints(teacher, student, tmp_path / "mean.pth")
    made = load_checkpoint(tmp_path / "mean.pth")
    before, after = load_checkpoint(teacher), load_checkpoint(student)["state_dict"]
    assert made["state_dict"].keys() == after.keys()
    for name in ("0.weight", "1.running_var"):
        assert torch.equal(made["state_dict"][f"net.{name}"], (before[name] + after[f"net.{name}"]) / 2)
    assert made["state_dict"]["net.1.num_batches_tracked"] == 5
    assert made.keys() == {"state_dict", "meta"}
    assert made["meta"] == {
        **meta("road", "sky"),
        "average": {
            "share": 0.5,
            "teacher": {"file": "teacher.pth", "sha256": file_sha256(teacher)},
            "student": {"file": "student.pth", "sha256": file_sha256(student)},
        },
    }


def test_other_networks_and_other_classes_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    _, student = files
    weights = load_checkpoint(student)["state_dict"]

    def refused(error: type[Exception], match: str, first: Any, **more: Any) -> None:
        with pytest.raises(error, match=match):
            average_checkpoints(checkpoint(tmp_path / "other.pth", first, **more), student, tmp_path / "mean.pth")
        assert not (tmp_path / "mean.pth").exists()

    one = {k: v for k, v in weights.items() if k != "net.0.bias"}
    refused(AverageError, r"only `.*student\.pth` has `net\.0\.bias`; .* began with the teacher's weights", one)
    refused(AverageError, r"only `.*other\.pth` has `net\.2\.weight`", {**weights, "net.2.weight": torch.zeros(1)})
    other = {**weights, "net.0.weight": torch.zeros(4, 1, 1, 1)}
    refused(AverageError, r"`net\.0\.weight` is 4x1x1x1 and 4x3x1x1", other)
    refused(AverageError, r"from channel 1 on: `car` and `sky`", weights, meta=meta("road", "car"))
    refused(TeacherError, r"NaN: `net\.0\.bias`", {**weights, "net.0.bias": torch.full((4,), torch.nan)})
    refused(TeacherError, r"other\.pth` holds no weights: it has `state_dict`", {})
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(TeacherError, match=r"list\.pth` holds a list; expected a dict of weights"):
        average_checkpoints(student, tmp_path / "list.pth", tmp_path / "mean.pth")
    with pytest.raises(AverageError, match=r"share of the mean is 1; expected a number above 0 and below 1"):
        average_weights(weights, weights, 1)


def test_the_command(files: tuple[Path, Path], tmp_path: Path) -> None:
    teacher, student = map(str, files)
    out = str(tmp_path / "new/mean.pth")
    done = CliRunner().invoke(main, ["average", teacher, student, "-o", out, "--share", "0.25"])
    assert (done.exit_code, done.output) == (0, f"{out}\n")
    assert load_checkpoint(out)["meta"]["average"]["share"] == 0.25
    for more, message in (
        (["-o", student], "student.pth: is an input too, and would be lost"),
        (["-o", out, "--share", "1"], "1.0 is not in the range 0<x<1"),
    ):
        refused = CliRunner().invoke(main, ["average", teacher, student, *more])
        assert refused.exit_code != 0 and message in refused.output
    missing = CliRunner().invoke(main, ["average", str(tmp_path / "no.pth"), student, "-o", out])
    assert missing.exit_code == 1 and "there is no checkpoint `" in missing.output


def test_weights_that_are_not_plain_are_refused(tmp_path: Path) -> None:
    plain, sparse = tmp_path / "plain.pth", tmp_path / "sparse.pth"
    torch.save({"state_dict": {"a": torch.ones(2, 2)}}, plain)
    torch.save({"state_dict": {"a": torch.ones(2, 2).to_sparse()}}, sparse)
    with pytest.raises(AverageError, match=r"sparse\.pth: `a` is quantized, sparse, nested or without values"):
        average_checkpoints(sparse, plain, tmp_path / "out.pth")
