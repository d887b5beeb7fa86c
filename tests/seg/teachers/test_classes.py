"""What a checkpoint says of its classes, in every generation's key, and what is assumed where it says nothing."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from mmengine.runner import Runner

from helpers.tiny import CLASSES, label_config, model_config, save_checkpoint
from lsu_seg.cli import main
from lsu_seg.errors import TeacherError
from lsu_seg.openmmlab.stated_classes import stated_classes
from lsu_seg.teachers.classes import class_mismatch

SWAPPED = ["road", "tree", "grass", "sky", "car"]
GENERATIONS: dict[str, Any] = {
    "mmseg 0.x": lambda names: {"meta": {"CLASSES": tuple(names), "PALETTE": [[0, 0, 0]] * len(names), "epoch": 3}},
    "mmseg 1.0rc": lambda names: {"meta": {"dataset_meta": {"CLASSES": list(names)}}},
    "mmseg 1.x": lambda names: {"meta": {"dataset_meta": {"classes": list(names)}}},
    "message hub": lambda names: {"message_hub": {"runtime_info": {"dataset_meta": {"classes": tuple(names)}}}},
    "two keys": lambda names: {"meta": {"CLASSES": tuple(CLASSES)}, "class_names": list(names)},
    "of another tool": lambda names: {"meta": {"id2label": {str(i): name for i, name in enumerate(names)}}},
}


def checkpoint(path: Path, **records: Any) -> Path:
    stored = torch.load(save_checkpoint(path), weights_only=False)
    torch.save({"state_dict": stored["state_dict"], **records}, path)
    return path


def label(park: Path, work: Path, checkpoint: Path) -> Result:
    (work / "teacher.py").write_text(f"model = {model_config()!r}\n")
    teacher = ("--teacher", work / "teacher.py", "--checkpoint", checkpoint)
    data = (park / "tax/park.tax", "--data-root", park / "park")
    args = ("pseudo-label", *data, *teacher, "-o", work / "out", "--work-dir", work / "log", "--no-flip")
    return CliRunner().invoke(main, [str(a) for a in args])


@pytest.mark.parametrize("generation", GENERATIONS)
def test_classes_in_another_order_are_refused(park: Path, tmp_path: Path, generation: str) -> None:
    done = label(park, tmp_path, checkpoint(tmp_path / "t.pth", **GENERATIONS[generation](SWAPPED)))
    assert done.exit_code == 1, done.output
    assert (
        "the checkpoint's classes differ from the source taxonomy's from channel 1 on: ['tree', 'grass', 'sky'] (`"
        in done.output
    )
    assert not list((tmp_path / "out").rglob("*.png"))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_sources_classes_are_accepted_in_silence(park: Path, tmp_path: Path, generation: str) -> None:
    done = label(park, tmp_path, checkpoint(tmp_path / "t.pth", **GENERATIONS[generation](CLASSES)))
    assert done.exit_code == 0, done.output
    assert "warning" not in done.output


@pytest.mark.parametrize(
    "records",
    [{}, {"meta": {}}, {"meta": None}, {"meta": {"CLASSES": None, "classes": 5}}, {"meta": {"dataset_meta": None}}],
    ids=str,
)
def test_a_checkpoint_that_says_nothing_is_used_with_a_warning(
    park: Path, tmp_path: Path, records: dict[str, Any]
) -> None:
    done = label(park, tmp_path, checkpoint(tmp_path / "t.pth", **records))
    assert done.exit_code == 0, done.output
    assert done.output.count("names its classes") == 1
    assert "taken for the source taxonomy's: 0 road, 1 grass, 2 tree, 3 sky, 4 car; if" in done.output


def test_an_evaluation_warns_once(park: Path, tmp_path: Path) -> None:
    weights = checkpoint(tmp_path / "t.pth")
    (tmp_path / "teacher.py").write_text(f"model = {model_config()!r}\n")
    sets = [("tiny", "fine", "val"), ("park", "park", "train")]
    named = [part for tax, root, split in sets for part in ("--dataset", park / f"tax/{tax}.tax", park / root, split)]
    args = ("evaluate", tmp_path / "teacher.py", weights, *named, "--work-dir", tmp_path / "work")
    done = CliRunner().invoke(main, [str(a) for a in args])
    assert done.exit_code == 0, done.output
    assert done.output.count("names its classes") == 1


def test_weights_alone_are_a_checkpoint_too(park: Path, tmp_path: Path) -> None:
    weights = torch.load(save_checkpoint(tmp_path / "t.pth"), weights_only=False)["state_dict"]
    torch.save(weights, tmp_path / "t.pth")
    done = label(park, tmp_path, tmp_path / "t.pth")
    assert done.exit_code == 0, done.output
    assert "neither the checkpoint nor the model names its classes" in done.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds a NoneType"),
        ([1], "holds a list"),
        ("text", "holds a str"),
        ({"state_dict": 3}, "holds no weights: it has `state_dict`, which is of type int"),
    ],
    ids=str,
)
def test_what_is_no_checkpoint(park: Path, tmp_path: Path, content: Any, said: str) -> None:
    torch.save(content, tmp_path / "t.pth")
    done = label(park, tmp_path, tmp_path / "t.pth")
    assert done.exit_code == 1
    assert f"`{tmp_path / 't.pth'}` {said}; expected a dict of weights" in done.output


def test_a_damaged_checkpoint_is_refused(park: Path, tmp_path: Path) -> None:
    """Torch reads weights without a look at their checksums."""
    path = Path(save_checkpoint(tmp_path / "t.pth"))
    with zipfile.ZipFile(path) as archive:
        weights = max((i for i in archive.infolist() if "/data/" in i.filename), key=lambda i: i.file_size)
        at = path.read_bytes().index(archive.read(weights), weights.header_offset)
    data = bytearray(path.read_bytes())
    data[at] ^= 64
    path.write_bytes(data)
    torch.load(path, weights_only=False)
    done = label(park, tmp_path, path)
    assert done.exit_code == 1
    assert f"`{path}` is damaged: `{weights.filename}` in it has another checksum; get the file again" in done.output


def test_a_checkpoint_without_checksums_is_none_that_is_damaged(park: Path, tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "t.pth")
    content = torch.load(path, weights_only=False)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(content, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert label(park, tmp_path, path).exit_code == 0


def test_a_runner_of_mmengine_knows_them_too(park: Path, tmp_path: Path) -> None:
    """As MMSegmentation's own script for tests runs a `PseudoLabelLoop`: the Runner keeps nothing of what it loads."""
    dataset = dict(taxonomy=str(park / "tax/park.tax"), data_root=str(park / "park"), split="train")
    cfg = label_config(dataset, tmp_path, flips=(False,))
    cfg.test_evaluator, cfg.experiment_name = [], tmp_path.name
    cfg.load_from = str(checkpoint(tmp_path / "t.pth", meta={"CLASSES": SWAPPED}))
    with pytest.raises(TeacherError, match="differ from the source taxonomy's from channel 1 on"):
        Runner.from_cfg(cfg).test()


def test_where_a_checkpoint_names_them() -> None:
    stored = {
        "state_dict": {"decode_head.classes": torch.zeros(2)},
        "meta": {"CLASSES": ("a", "b"), "classes": "a", "dataset_meta": {"Classes": ["c"]}},
        "optimizer": {"param_groups": [{"classes": ["x"]}]},
        "id2label": {1: "e", 0: "d"},
    }
    assert stated_classes(stored) == {
        "meta.CLASSES": ["a", "b"],
        "meta.dataset_meta.Classes": ["c"],
        "id2label": ["d", "e"],
    }
    assert stated_classes({"id2label": {0: "a", 2: "b"}, "classes": []}) == {}


@pytest.mark.parametrize("generation", [g for g in GENERATIONS if g != "two keys"])
def test_numbers_of_channels_are_no_names(park: Path, tmp_path: Path, generation: str) -> None:
    numbers = [f"LABEL_{channel}" for channel in range(5)]
    done = label(park, tmp_path, checkpoint(tmp_path / "t.pth", **GENERATIONS[generation](numbers)))
    assert done.exit_code == 0, done.output
    assert "warning: neither the checkpoint nor the model names its classes" in done.output


def test_names_count_beside_numbers(tmp_path: Path) -> None:
    model: Any = torch.nn.Module()
    numbers = [f"LABEL_{channel}" for channel in range(5)]
    model.stated_classes, model.dataset_meta, model.class_names = {"id2label": numbers}, {"classes": numbers}, SWAPPED
    assert "from channel 1 on: ['tree', 'grass', 'sky'] (`id2label`)" in str(class_mismatch(model, CLASSES))
    model.class_names = numbers
    assert class_mismatch(model, CLASSES) is None


@pytest.mark.parametrize("key", ["classes", "CLASSES"])
@pytest.mark.parametrize(("names", "fits"), [(CLASSES, True), (SWAPPED, False), (CLASSES[:4], False)])
def test_a_model_that_mmsegmentation_loaded(key: str, names: Sequence[str], fits: bool) -> None:
    """`init_model` keeps the names in `dataset_meta`."""
    model = torch.nn.Module()
    model.dataset_meta = {key: names}  # type: ignore[assignment]
    problem = class_mismatch(model, CLASSES)
    assert (problem is None) == fits
    assert fits or f"`dataset_meta.{key}`" in str(problem)
