"""What a run of the pseudo-label loop refuses, and what it warns of: rows 17 and 42 to 46 of the bad inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS

from helpers.folders import tree
from helpers.tiny import VOID, label_config, read, save, save_checkpoint, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_seg.decode import DecodeError
from lsu_seg.errors import UserError
from lsu_seg.pseudo.errors import OutputError
from lsu_seg.pseudo.records import finished, read_records
from lsu_seg.pseudo.run import pseudo_label

IMAGES = {f"a{i}": [0, 1, 2, 3, 4, 5, ROW_VOID] for i in range(4)}
KEYS = [f"labels/train/{stem}" for stem in IMAGES]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher `teacher.pth` and a dataset `park`, that no test changes."""
    root = tmp_path_factory.mktemp("world")
    write_tax(root / "tax")
    write_park(root / "park", IMAGES)
    save_checkpoint(root / "teacher.pth")
    return root


def config(world: Path, work: Path, park: Path | None = None, **options: Any) -> Config:
    dataset = dict(taxonomy=str(world / "tax/park.tax"), data_root=str(park or world / "park"), split="train")
    return label_config(dataset, work, **{"flips": (False,), **options})


def nothing_built(cfg: Config, world: Path) -> str:
    """The refusal, which came before the model was built: there is no such model."""
    cfg.model = dict(type="NoSuchModel")
    with pytest.raises(OutputError) as refusal:
        pseudo_label(cfg, world / "teacher.pth", quiet=True)
    return str(refusal.value)


# --- 42: folders that must not meet -------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["out_dir", "raw_dir"])
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("park", "is the dataset's folder"),
        ("park/", "is the dataset's folder"),
        ("tax/../park/labels/new", "or inside it"),
        ("link/labels", "or inside it"),
        (".", "holds the dataset's folder"),
        ("up/..", "holds the dataset's folder"),
    ],
)
def test_the_dataset_and_the_labels(world: Path, tmp_path: Path, key: str, place: str, said: str) -> None:
    for link, target in (("link", world / "park"), ("up", world / "tax")):
        (world / link).exists() or (world / link).symlink_to(target)
    before = tree(world)
    cfg = config(world, tmp_path)
    cfg.test_cfg[key] = f"{world}/{place}"
    text = nothing_built(cfg, world)
    assert said in text and str(world / "park") in text and text.endswith("write labels elsewhere")
    assert tree(world) == before


@pytest.mark.parametrize("raw", ["labels", "labels/raw", ".", "labels/../labels/", "link"])
def test_the_labels_and_the_raw_labels(world: Path, tmp_path: Path, raw: str) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "labels")
    text = nothing_built(config(world, tmp_path, raw_dir=f"{tmp_path}/{raw}"), world)
    assert "the folder of the constrained labels" in text and text.endswith("write labels elsewhere")


# --- 43: other settings -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a finished run."""
    work = tmp_path_factory.mktemp("labelled")
    pseudo_label(config(world, work), world / "teacher.pth", quiet=True)
    return work


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"test_cfg.window": (32, 32)}, ["window"]),
        ({"test_cfg.confidence": True}, ["confidence"]),
        ({"test_cfg.soft": 2}, ["soft"]),
        ({"test_dataloader.batch_size": 1}, ["batch_size"]),
        ({"test_dataloader.dataset.unknown": "void"}, ["unknown"]),
        ({"test_dataloader.dataset.pipeline.0.imdecode_backend": "pillow"}, ["pipeline"]),
        ({"model.data_preprocessor.mean": [0.0] * 3}, ["model_sha256"]),
        ({"model.decode_head.align_corners": True}, ["model_sha256"]),
    ],
)
def test_a_changed_setting_is_named(world: Path, labelled: Path, options: dict[str, Any], changed: list[str]) -> None:
    cfg, before = config(world, labelled), tree(labelled / "labels")
    cfg.merge_from_dict(options)
    with pytest.raises(OutputError) as refusal:
        pseudo_label(cfg, world / "teacher.pth", quiet=True)
    first, *lines, last = str(refusal.value).splitlines()
    assert first == f"{labelled / 'labels'} holds labels made with other settings:"
    assert [line.strip().partition(":")[0] for line in lines] == changed
    assert last == "  help: remove the folder to label again, or write to another one"
    assert tree(labelled / "labels") == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"test_dataloader.batch_size": 0}, "`test_dataloader.batch_size` is 0; expected a whole number, 1 or more"),
        (
            {"test_dataloader.batch_size": "x"},
            "`test_dataloader.batch_size` is 'x'; expected a whole number, 1 or more",
        ),
        ({"test_cfg.soft": "x"}, "soft is 'x'; expected"),
        ({"test_cfg.soft": True}, "soft is True; expected how many classes"),
        ({"test_cfg.out_dir": None}, "out_dir is None; expected a folder"),
        ({"test_cfg.threshold": True}, "threshold is True; expected 0..1, or None"),
        ({"test_cfg.title": None}, "title is None; expected a text"),
        ({"test_cfg.confidence": "maybe"}, "confidence is 'maybe'; expected True or False"),
        ({"test_cfg.corrections": 5}, "corrections is 5; expected a folder, or None"),
        ({"test_cfg.memory": float("inf")}, "memory is inf; expected GiB for the views' evidence"),
        ({"test_cfg.threshold": "x"}, "threshold is 'x'; expected 0..1, or None"),
        ({"test_dataloader.dataset.indices": 0}, "`indices` of .* is 0: no image is left"),
    ],
)
def test_a_setting_that_is_none_is_named(world: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    cfg = config(world, tmp_path / "work")
    cfg.merge_from_dict(options)
    with pytest.raises(UserError, match=said):
        pseudo_label(cfg, world / "teacher.pth", quiet=True)
    assert not list(tmp_path.iterdir())


def test_another_version_is_named(world: Path, labelled: Path) -> None:
    path = labelled / "labels/manifest.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"version": "0.0.1"}))
    try:
        with pytest.raises(OutputError, match=r"settings:\n  version: there 0\.0\.1, now "):
            pseudo_label(config(world, labelled), world / "teacher.pth", quiet=True)
    finally:
        path.write_text(before)


def test_another_dataset_is_named(world: Path, labelled: Path, tmp_path: Path) -> None:
    write_park(tmp_path / "park", {**IMAGES, "more": [0]})
    with pytest.raises(OutputError, match=r"settings:\n  images of the split `train` were added"):
        pseudo_label(config(world, labelled, tmp_path / "park"), world / "teacher.pth", quiet=True)


# --- 45: a teacher that fails on one image ------------------------------------------------------------------


@MODELS.register_module()
class StandardisingSegmentor(EncoderDecoder):
    """Divides by each image's own spread, which a blank image has none of."""

    def extract_feat(self, inputs: torch.Tensor) -> Any:
        return super().extract_feat(inputs / inputs.std((1, 2, 3), correction=0, keepdim=True))


def test_one_image_of_nan(world: Path, tmp_path: Path) -> None:
    write_park(tmp_path / "park", IMAGES)
    save(tmp_path / "park/images/train/a2.png", np.zeros((24, 40, 3), np.uint8))
    cfg = config(world, tmp_path, tmp_path / "park", scales=(1.0, 1.5))
    cfg.model.type = "StandardisingSegmentor"
    for _ in range(2):  # a resume does not pass over it
        with pytest.raises(DecodeError, match=r"images/train/a2\.png: the teacher's logits .* NaN or Inf"):
            pseudo_label(cfg, world / "teacher.pth", quiet=True)
        assert finished(tmp_path / "labels") == set(KEYS[:2])
    before = tree(tmp_path / "labels")
    cfg.model.type = "EncoderDecoder"
    with pytest.raises(OutputError, match=r"settings:\n  model_sha256: there"):
        pseudo_label(cfg, world / "teacher.pth", quiet=True)
    assert tree(tmp_path / "labels") == before
    cfg.test_cfg.out_dir = str(tmp_path / "other")
    assert pseudo_label(cfg, world / "teacher.pth", quiet=True)["images"] == 4


# --- 46 and 17: nothing allowed -----------------------------------------------------------------------------


def test_void_is_counted_and_warned_of(world: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    images = {"all": [0, 2], "animals": [0, 4], "empty": [ROW_VOID], "novel": [4]}
    drawn = write_park(tmp_path / "park", images)
    result = pseudo_label(config(world, tmp_path, tmp_path / "park"), world / "teacher.pth", quiet=True)
    records = {r["key"].rpartition("/")[2]: r for r in read_records(tmp_path / "labels")}
    for stem, rows in drawn.items():
        found = read(tmp_path / f"labels/labels/train/{stem}.png")
        nothing = (rows == ROW_VOID) | (rows == 4)
        assert (found[nothing] == VOID).all() and not (found[~nothing] == VOID).any()
        assert records[stem]["void"] == nothing.sum()
    assert 0 < records["animals"]["void"] < records["animals"]["pixels"]
    assert result["void_images"] == 2
    assert result["void_share"] == sum(r["void"] for r in records.values()) / (4 * 24 * 40)
    said = capfd.readouterr().err
    assert "2 of 4 labels are void everywhere (labels/train/empty, labels/train/novel)" in said


def test_a_map_of_void_alone(world: Path, tmp_path: Path) -> None:
    cfg = config(world, tmp_path)
    rows = "1 way #805080 ! any\n2 green #70a030 ! any\n"
    cfg.test_dataloader.dataset.taxonomy = write_tax(tmp_path / "tax", rows=rows)
    text = nothing_built(cfg, world)
    assert text.startswith("no class of `park` may be any class of `tiny`: every label would be void")
