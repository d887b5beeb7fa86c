"""What is refused before training, and what the log says of each dataset during it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from helpers.forkserver import Server
from helpers.students import student_config
from helpers.tiny import LOAD, SOURCE, write_park
from lsu_seg.training.checks import DisagreementError
from lsu_seg.training.run import train


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


def refusal(cfg: Config) -> str:
    """The one line of the refusal, without its mark."""
    with pytest.raises(DisagreementError) as refused:
        train(cfg, quiet=True)
    head, *lines = str(refused.value).splitlines()
    assert head == "the config disagrees with the ontology of its datasets:"
    assert len(lines) == 1, lines
    return lines[0].removeprefix("  - ")


def change(key: str, value: Any) -> Callable[[Config], None]:
    return lambda cfg: cfg.merge_from_dict({key: value})


def insert(transform: dict[str, Any]) -> Callable[[Config], None]:
    return lambda cfg: cfg.train_dataloader.dataset.pipeline.insert(2, transform)


HEAD = "model.decode_head"
CASES = {
    "classes": (
        change(f"{HEAD}.num_classes", 7),
        "model.decode_head has num_classes=7, and `tiny` has 5 classes: write `decode_head=dict(num_classes=5)`",
    ),
    "ignored": (
        change(f"{HEAD}.ignore_index", 250),
        "ignores 250, and void is 255: write `decode_head=dict(ignore_index=255)`",
    ),
    "padding": (
        change("model.data_preprocessor.seg_pad_val", 0),
        "write `model = dict(data_preprocessor=dict(seg_pad_val=255))`",
    ),
    "loss": (
        change(f"{HEAD}.loss_decode", dict(_delete_=True, type="CrossEntropyLoss", avg_non_ignore=True)),
        "model.decode_head is trained with CrossEntropyLoss, which does not know the targets that `threshold`, `unsure`"
        " or `loss_weight` of `park#2` make: write"
        " `decode_head=dict(loss_decode=dict(type='SetNLLLoss', source='tiny'))`",
    ),
    "another source": (
        change(f"{HEAD}.loss_decode.source", "demo"),
        "SetNLLLoss is of `demo`, and the datasets of `tiny`: write `loss_decode=dict(type='SetNLLLoss',"
        " source='tiny')`",
    ),
    "names of losses": (
        change(f"{HEAD}.loss_decode.loss_name", "nll"),
        "model.decode_head has no loss but `nll`, and MMSegmentation trains on those whose names begin with `loss_`:"
        " write `loss_decode=dict(loss_name='loss_nll')`",
    ),
    "class weights": (
        change(f"{HEAD}.loss_decode.class_weight", [1.0, 2.0]),
        "has 2 class weights, and `tiny` 5 classes",
    ),
    "ohem": (
        change(f"{HEAD}.sampler", dict(type="OHEMPixelSampler", thresh=0.7, min_kept=100)),
        "write `sampler=dict(type='SetOHEMPixelSampler', thresh=0.7, min_kept=100)`",
    ),
    "sampler": (
        change("train_dataloader.sampler", dict(_delete_=True, type="InfiniteSampler")),
        "have the weights [1.0, 2.0], and InfiniteSampler does not look at them",
    ),
    "batch size": (
        change("train_dataloader.sampler.batch_size", 4),
        "makes batches of 4, and the dataloader of 2: write `sampler=dict(type='CompoundSampler', batch_size=2)`",
    ),
    "epochs": (
        change("train_cfg", dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=1)),
        "write `sampler=dict(type='CompoundSampler', endless=False)`",
    ),
    "rotation": (
        insert(dict(type="RandomRotate", prob=0.5, degree=5, seg_pad_val=0)),
        "RandomRotate takes 0 for void, which is 255: write `dict(type='RandomRotate', seg_pad_val=255, …)`",
    ),
    "padding in the pipeline": (
        insert(dict(type="Pad", size=(64, 64), pad_val=dict(img=0, seg=0))),
        "Pad takes 0 for void, which is 255: write `dict(type='Pad', pad_val=dict(img=…, seg=255), …)`",
    ),
    "a crop inside a choice": (
        insert(
            dict(
                type="RandomChoice",
                transforms=[[dict(type="RandomCrop", crop_size=(20, 30), ignore_index=0)], []],
            )
        ),
        "RandomCrop takes 0 for void, which is 255",
    ),
    "labels read raw": (
        insert(dict(type="LoadAnnotations")),
        "the pipeline of `park`, `park#2`: LoadAnnotations takes raw values for classes: write"
        " `dict(type='LoadTaxAnnotations')`",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_disagreement_is_refused_with_the_line_to_write(tmp_path: Path, case: str) -> None:
    cfg = student_config(tmp_path)
    alter, message = CASES[case]
    alter(cfg)
    assert message in refusal(cfg)


def validated(cfg: Config, dataset: dict[str, Any], source: Path | str) -> Config:
    cfg.val_dataloader = dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False), dataset=dataset)
    cfg.val_cfg, cfg.val_evaluator = dict(type="ValLoop"), dict(type="OntologyIoU", source=str(source))
    return cfg


def test_validation_in_other_classes_or_without_void_images(tmp_path: Path) -> None:
    cfg, tiny, other = student_config(tmp_path), tmp_path / "tax/tiny.tax", tmp_path / "other/tiny.tax"
    other.parent.mkdir()
    other.write_text(SOURCE.replace("2 tree ", "2 bush "))
    one = dict(type="TaxDataset", data_root=str(tmp_path / "park"), split="train", pipeline=LOAD)
    wrong = validated(cfg, dict(**one, taxonomy=str(other)), tiny)
    assert "the validation set's `classes` differ from those of `tiny`" in refusal(wrong)
    union = dict(type="CompoundDataset", datasets=[dict(**one, taxonomy=str(tiny))])
    assert "passes over void images: write" in refusal(validated(cfg, union, tiny))


def test_validation_on_images_of_several_sizes(tmp_path: Path) -> None:
    cfg = student_config(tmp_path, iterations=1)
    write_park(tmp_path / "park", {"a": [0, 1]}, split="val")
    write_park(tmp_path / "park", {"b": [0, 1]}, split="val", size=(40, 64))
    one = dict(type="TaxDataset", taxonomy=str(tmp_path / "tax/park.tax"), source="tiny")
    one.update(data_root=str(tmp_path / "park"), split="val", pipeline=LOAD)
    validated(cfg, one, "tiny").train_cfg.val_interval = 1
    assert train(cfg, quiet=True).is_file()
    cfg.val_dataloader.batch_size = 2
    with pytest.raises(DisagreementError, match=r"has images of .* and 64x40, .*write `val_dataloader = dict") as e:
        train(cfg, quiet=True)
    assert "batch_size=1" in str(e.value)


def test_everything_is_found_at_once(tmp_path: Path) -> None:
    cfg = student_config(tmp_path)
    for case in ("classes", "ignored", "batch size"):
        CASES[case][0](cfg)
    with pytest.raises(DisagreementError) as refused:
        train(cfg, quiet=True)
    assert str(refused.value).count("\n  - ") == 3


def test_a_teacher_on_hard_labels_keeps_its_loss(tmp_path: Path) -> None:
    """Nothing is set-valued, so MMSeg's own loss will do."""
    cfg = student_config(tmp_path, iterations=1)
    del cfg.train_dataloader.dataset.datasets[1]
    CASES["loss"][0](cfg)
    assert train(cfg, quiet=True).is_file()


def scalars(work: Path) -> list[dict[str, Any]]:
    (file,) = work.glob("*/vis_data/scalars.json")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_log_has_figures_for_each_dataset(tmp_path: Path) -> None:
    cfg = student_config(tmp_path, iterations=9)
    cfg.train_dataloader.batch_size = 1
    cfg.train_dataloader.dataset.datasets[1].loss_weight = 1.0
    cfg.log_processor.window_size, cfg.log_level = 1, "INFO"
    train(cfg, quiet=True)
    lines = scalars(tmp_path / "work")
    assert len(lines) == 9
    last = lines[-1]
    assert last["ratio_park"] == pytest.approx(1 / 3)
    assert last["ratio_park#2"] == pytest.approx(2 / 3)
    assert last["sets_park"] == 0 < last["sets_park#2"] < 1
    assert not any("acc_seg" in line for line in lines)
    for before, line in zip([{}, *lines], lines, strict=False):  # one sample each: its loss is the batch's
        new = [k for k in ("loss_park", "loss_park#2") if line.get(k) != before.get(k)]
        assert len(new) == 1
        assert line[new[0]] == pytest.approx(line["decode.loss_set_nll"], rel=1e-4)
        assert 0 <= line[new[0].replace("loss", "acc")] <= 1
    (log,) = (tmp_path / "work").glob("*/*.log")
    table = log.read_text().split("samples of each dataset:\n")[1].splitlines()
    assert table[1].split()[:4] == ["park", "3", "0.333", "0.333"]
    assert table[2].split()[:4] == ["park#2", "6", "0.667", "0.667"]


def test_the_log_has_the_thresholds_of_classes_and_which_are_ignored(tmp_path: Path) -> None:
    cfg = student_config(tmp_path, iterations=1)
    labelled = cfg.train_dataloader.dataset.datasets[1]
    labelled.unsure = 0.6  # of two confidences, 64 and 191
    del labelled.threshold
    cfg.log_level = "INFO"
    train(cfg, quiet=True)
    (log,) = (tmp_path / "work").glob("*/*.log")
    (line,) = (x for x in log.read_text().splitlines() if "are hard targets: " in x)
    assert "`park#2`: confidence from which on" in line
    assert line.split("targets: ")[1] == "road 0.75, grass 0.75, tree 0.75, car 0.75"
    (warning,) = (x for x in log.read_text().splitlines() if "are ignored" in x)
    assert warning.partition("WARNING - ")[2] == (
        "`park`: pixels of `green` are ignored, because each may be several classes of `tiny`; write `threshold=1.0` to"
        " train on them as sets, or `labels=` for pseudo-labels"
    )

    labelled.pop("unsure")
    cfg.train_dataloader.dataset.datasets[0].threshold, cfg.work_dir = 1.0, str(tmp_path / "sets")
    train(cfg, quiet=True)
    (log,) = (tmp_path / "sets").glob("*/*.log")
    assert "are ignored" not in log.read_text()


def test_the_table_is_of_all_ranks(server: Server, tmp_path: Path) -> None:
    cfg = student_config(tmp_path, iterations=3)
    cfg.log_level = "INFO"
    cfg.dump(tmp_path / "student.py")
    ranks = server.ranks(tmp_path, 2, "train", tmp_path / "student.py", "--launcher", "pytorch")
    assert [rank.wait() for rank in ranks] == [0, 0], [rank.said for rank in ranks]
    (log,) = (tmp_path / "work").glob("*/*.log")
    table = log.read_text().split("samples of each dataset:\n")[1].splitlines()
    assert table[1].split()[:2] == ["park", "4"]
    assert table[2].split()[:2] == ["park#2", "8"]


def test_epochs(tmp_path: Path) -> None:
    cfg = student_config(tmp_path)
    cfg.train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=2, val_interval=10)
    cfg.log_processor = dict(by_epoch=True)
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", interval=1)
    cfg.train_dataloader.sampler.endless = False
    assert train(cfg, quiet=True).name == "epoch_2.pth"
    assert max(line["step"] for line in scalars(tmp_path / "work")) == 2 * 3  # six images, two at a time
