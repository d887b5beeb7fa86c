"""Labels made anew during training: by whom, for whom, and what a training does not notice of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from helpers.forkserver import Server
from helpers.students import student_config
from helpers.tiny import ALLOWED, CLASSES, LOAD, read
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.pseudo.corrections import Corrections, Line, corrections_of
from lsu_seg.pseudo.records import checksum
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.training.checks import DisagreementError
from lsu_seg.training.refresh import TeacherRefreshHook
from lsu_seg.training.run import train

ROUNDING = 1e-3 if torch.cuda.is_available() else 1e-6
"""On a GPU, bilinear upsampling adds its gradients in any order."""

EPOCH = 3
"""Iterations: six images, two at a time."""


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


def refreshing(root: Path, epochs: int = 3, **hook: Any) -> Config:
    cfg = student_config(root, iterations=epochs * EPOCH)
    options = dict(every=1, views=dict(flips=(False,)), pipeline=LOAD, momentum=0.5) | hook
    cfg.custom_hooks = [dict(type="TeacherRefreshHook", **options)]
    return cfg


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Any], torch.Tensor]]:
    """Where the labels of every batch came from, and its images."""
    seen: list[tuple[list[Any], torch.Tensor]] = []
    original = TeacherRefreshHook.after_train_iter

    def after(self: Any, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        samples = data_batch["data_samples"]
        paths = [(s.dataset, Path(s.seg_map_path)) for s in samples]
        seen.append((paths, torch.stack([x.float() for x in data_batch["inputs"]])))
        original(self, runner, batch_idx, data_batch, outputs)

    monkeypatch.setattr(TeacherRefreshHook, "after_train_iter", after)
    return seen


def pseudo_folders(paths: list[Any]) -> set[Path]:
    return {p.parents[2] for name, p in paths if name == "park#2"}  # …/labels/train/a.png


def test_the_students_average_labels_anew_and_training_takes_that(tmp_path: Path, batches: list[Any]) -> None:
    checkpoint = train(refreshing(tmp_path), quiet=True)
    work = tmp_path / "work/refresh"
    assert sorted(p.name for p in work.iterdir()) == ["1", "2"]  # none after the last epoch
    of = {0: tmp_path / "pseudo", 1: work / "1/park#2", 2: work / "2/park#2"}
    assert len(batches) == 3 * EPOCH
    for i, (paths, _) in enumerate(batches):
        assert pseudo_folders(paths) <= {of[i // EPOCH]}
    assert all(any(pseudo_folders(p) for p, _ in batches[k : k + EPOCH]) for k in (0, EPOCH, 2 * EPOCH))

    # What it wrote is what the engine writes with these weights, and lies in S(d).
    cfg = Config.fromfile(work / "2/log/park#2.py")
    cfg.test_cfg.out_dir = str(tmp_path / "again")
    pseudo_label(cfg, work / "2/teacher.pth", quiet=True)
    for stem in "abc":
        found = read(work / f"2/park#2/labels/train/{stem}.png")
        assert (found == read(tmp_path / f"again/labels/train/{stem}.png")).all()
        rows = read(tmp_path / f"park/labels/train/{stem}.png").astype(int)
        for raw, allowed in enumerate(ALLOWED, 1):
            assert set(np.unique(found[rows == raw])) <= allowed
        assert (work / f"2/park#2/confidence/labels/train/{stem}.png").is_file()

    # The average is a mean of the weights so far: neither the first nor the last.
    teacher = torch.load(work / "2/teacher.pth", weights_only=True)["state_dict"]
    student = torch.load(checkpoint, weights_only=False)["state_dict"]
    assert teacher.keys() == student.keys()
    assert not torch.equal(teacher["decode_head.conv_seg.weight"], student["decode_head.conv_seg.weight"])


def test_new_labels_have_thresholds_of_their_own(tmp_path: Path) -> None:
    cfg = refreshing(tmp_path)
    labelled = cfg.train_dataloader.dataset.datasets[1]
    labelled.unsure = 0.1
    del labelled.threshold
    cfg.log_level = "INFO"
    green = read(tmp_path / "park/labels/train/a.png") == 2
    corrections = Corrections(corrections_of(tmp_path / "pseudo"), "tiny v1", CLASSES)
    data = corrections.encode(green, np.full(green.shape, CLASSES.index("tree")))
    corrections.keep(Line("labels/train/a", checksum(data), 0, "", "", "", "", "", ""), data)
    train(cfg, quiet=True)
    (log,) = (tmp_path / "work").glob("*/*.log")
    lines = [x.split("INFO - ")[1] for x in log.read_text().splitlines() if "are hard targets: " in x]
    assert len(lines) == len(set(lines)) == 3
    labels = tmp_path / "work/refresh/2/park#2"
    assert (labels / "confidence.json").is_file()
    assert (read(labels / "labels/train/a.png")[green] == CLASSES.index("tree")).all()  # as a person has corrected it
    assert (read(labels / "confidence/labels/train/a.png")[green] == 255).all()
    assert (read(labels / "uncorrected/labels/train/a.png")[green] != CLASSES.index("tree")).any()


def test_images_and_random_numbers_are_as_without_it(tmp_path: Path, batches: list[Any]) -> None:
    train(refreshing(tmp_path / "with"), quiet=True)
    logger = MMLogger.get_current_instance()
    assert logger.name.startswith("mmengine") and "work-" in logger.instance_name
    refreshed = list(batches)
    batches.clear()
    train(refreshing(tmp_path / "without", every=99), quiet=True)
    assert not (tmp_path / "without/work/refresh").exists()
    for (_, images), (_, others) in zip(refreshed, batches, strict=True):
        assert torch.equal(images, others)


@pytest.mark.parametrize("stop", [EPOCH, EPOCH + 1])
def test_a_resumed_training_has_the_average_and_the_labels_that_it_had(
    tmp_path: Path, batches: list[Any], stop: int
) -> None:
    def plain(root: Path) -> Config:
        """Without random transforms: mmengine does not resume random numbers."""
        cfg = refreshing(root, momentum=0.01)
        cfg.train_dataloader.dataset.pipeline = LOAD
        cfg.default_hooks.checkpoint = dict(type="CheckpointHook", by_epoch=False, interval=1)
        return cfg

    whole = torch.load(train(plain(tmp_path / "whole"), quiet=True), weights_only=False)
    unbroken = list(batches)
    batches.clear()
    # Stopped, and a later checkpoint lost: it has labels already that are to be made anew.
    broken = plain(tmp_path / "broken")
    train(broken, quiet=True)
    batches.clear()
    work = tmp_path / "broken/work"
    (work / "last_checkpoint").write_text(str(work / f"iter_{stop}.pth"))
    resumed = torch.load(train(broken, quiet=True, resume=True), weights_only=False)
    for (paths, _), (others, _) in zip(batches, unbroken[stop:], strict=True):
        assert [p.relative_to(tmp_path / "broken") for _, p in paths] == [
            p.relative_to(tmp_path / "whole") for _, p in others
        ]
    for key, value in whole["teacher_refresh"]["average"].items():
        assert torch.allclose(value.float(), resumed["teacher_refresh"]["average"][key].float(), atol=ROUNDING)
    assert resumed["teacher_refresh"]["in_use"] == 2


@pytest.mark.parametrize("workers", [dict(num_workers=1), dict(num_workers=1, persistent_workers=True)])
def test_workers_and_epochs(tmp_path: Path, batches: list[Any], workers: dict[str, Any]) -> None:
    cfg = refreshing(tmp_path, 2)
    cfg.train_dataloader.update(workers)
    if "persistent_workers" in workers:
        cfg.train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=2, val_interval=10)
        cfg.log_processor = dict(by_epoch=True)
        cfg.default_hooks.checkpoint = dict(type="CheckpointHook", interval=1)
        cfg.train_dataloader.sampler.endless = False
    train(cfg, quiet=True)
    folders = [pseudo_folders(paths) for paths, _ in batches]
    assert set.union(*folders[:EPOCH]) == {tmp_path / "pseudo"}
    assert set.union(*folders[EPOCH:]) == {tmp_path / "work/refresh/1/park#2"}


def test_it_is_refused_where_it_could_do_nothing(tmp_path: Path) -> None:
    cfg = refreshing(tmp_path, pipeline=None)
    with pytest.raises(DisagreementError, match=r"no `val_dataloader` whose pipeline .* write `pipeline="):
        train(cfg, quiet=True)
    cfg = refreshing(tmp_path)
    del cfg.train_dataloader.dataset.datasets[1]
    with pytest.raises(DisagreementError, match="no training dataset has pseudo-labels"):
        train(cfg, quiet=True)
    for wrong in (dict(every=0), dict(momentum=0.0)):
        with pytest.raises(DisagreementError, match="expected"):
            train(refreshing(tmp_path, **wrong), quiet=True)


def test_a_model_that_cannot_be_copied_is_refused() -> None:
    runner = SimpleNamespace(model=torch.jit.script(torch.nn.Conv2d(3, 2, 1)))
    with pytest.raises(DisagreementError, match=r"mean of the weights: the model cannot be copied \(requires_grad_"):
        TeacherRefreshHook(every=1).before_train(runner)


def test_two_ranks_label_together(server: Server, tmp_path: Path) -> None:
    refreshing(tmp_path, 4).dump(tmp_path / "student.py")
    ranks = server.ranks(tmp_path, 2, "train", tmp_path / "student.py", "--launcher", "pytorch")
    assert [rank.wait() for rank in ranks] == [0, 0], [rank.said for rank in ranks]
    assert len(list((tmp_path / "work/refresh/2/park#2/labels/train").glob("*.png"))) == 3


def test_other_labels_of_the_same_images(tmp_path: Path) -> None:
    cfg = student_config(tmp_path)
    dataset = TaxDataset(
        source="tiny", **{k: v for k, v in cfg.train_dataloader.dataset.datasets[1].items() if k != "type"}
    )
    with pytest.raises(Exception, match="3 of 3 pseudo-labels are missing"):
        dataset.use_labels(tmp_path / "nothing")
    dataset.use_labels(tmp_path / "pseudo")
    assert Path(dataset.get_data_info(0)["seg_map_path"]).is_file()
