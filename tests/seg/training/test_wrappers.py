"""Wrappers of datasets in training: each is looked through by checks, sampler, hooks and totals, or is refused."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS

from helpers.students import student_config
from helpers.tiny import LOAD, VOID, save
from lsu_seg.data.compound import CompoundDataset
from lsu_seg.data.samplers import CompoundSampler
from lsu_seg.errors import UserError
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.openmmlab.config import load_config
from lsu_seg.training.run import train


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


def wrapped(cfg: Config, kind: str, **options: Any) -> Config:
    cfg.train_dataloader.dataset = dict(type=kind, dataset=cfg.train_dataloader.dataset, **options)
    return cfg


def mosaics(cfg: Config, mosaic: str = "TaxMosaic", **options: Any) -> Config:
    """The student on mosaics: its datasets load images, and all else is done to mosaics of four."""
    steps = cfg.train_dataloader.dataset.pipeline
    cfg.train_dataloader.dataset.pipeline = steps[:2]
    mix = dict(type=mosaic, prob=1.0, img_scale=(24, 40)) | options
    return wrapped(cfg, "MultiImageMixDataset", pipeline=[mix, *steps[2:]])


def table(work: Path) -> dict[str, list[str]]:
    """The table that a training ends with: dataset → samples, ratio, wanted, loss, …"""
    (log,) = work.glob("*/*.log")
    lines = log.read_text().split("samples of each dataset:\n")[1].splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines[1:3]}


# --- mosaics ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_a_student_trains_on_mosaics(tmp_path: Path, workers: int) -> None:
    cfg = mosaics(student_config(tmp_path, iterations=60 if workers == 0 else 6))
    cfg.train_dataloader.num_workers, cfg.log_level = workers, "INFO"
    before = multiprocessing.active_children()
    assert train(cfg, quiet=True).is_file()
    assert multiprocessing.active_children() == before, "the garbage collector would wait for them, 5 s each"
    rows = table(tmp_path / "work")
    assert [rows[name][2] for name in ("park", "park#2")] == ["0.333", "0.667"]
    if workers == 0:  # four images each, of which three are drawn at random
        assert float(rows["park#2"][1]) == pytest.approx(2 / 3, abs=0.1)


def test_what_a_mosaic_shows_is_what_its_images_have(tmp_path: Path) -> None:
    """Also where the first image's dataset has no sets: a set's number in its 8 bits would be that of a class."""
    cfg = student_config(tmp_path)
    cfg.train_dataloader.dataset.datasets[1].loss_weight = 1.0
    union = mosaics(cfg).train_dataloader.dataset
    mix = union.pipeline[0]
    union.pipeline = [mix]
    dataset = DATASETS.build(union)
    inner = dataset.dataset
    values = [{int(v) for i in range(3) for v in np.unique(inner[3 * n + i]["gt_seg_map"])} for n in range(2)]
    assert max(values[0]) == VOID < max(values[1])
    shown: set[int] = set()
    for _ in range(20):
        mosaic = dataset[0]
        assert mosaic["img"].shape == (48, 80, 3) and mosaic["gt_seg_map"].shape == mosaic["img_shape"] == (48, 80)
        names = {name for name, _ in mosaic["parts"]}
        assert mosaic["parts"][0][0] == "park" and len(mosaic["parts"]) == 4
        there = set(np.unique(mosaic["gt_seg_map"]).tolist())
        assert there <= {VOID, *values[0], *(values[1] if "park#2" in names else ())}
        assert "gt_rows" not in mosaic
        shown |= there
    assert shown > values[0] and max(shown) == max(values[1])


def test_more_classes_than_fit_into_8_bits(tmp_path: Path) -> None:
    mosaic = TRANSFORMS.build(dict(type="TaxMosaic", prob=1.0, img_scale=(8, 8), seg_pad_val=65535))
    for dtype in (np.uint16, np.int32):
        image = dict(
            img=np.zeros((8, 8, 3), np.uint8), gt_seg_map=np.full((8, 8), 65535 if dtype is np.uint16 else 70000)
        )
        image = {**image, "gt_seg_map": image["gt_seg_map"].astype(dtype), "seg_fields": ["gt_seg_map"], "dataset": "a"}
        result = mosaic({**image, "mix_results": [image] * 3})
        assert set(np.unique(result["gt_seg_map"])) <= {65535, image["gt_seg_map"][0, 0]}
        assert image["gt_seg_map"][0, 0] in result["gt_seg_map"] and result["gt_seg_map"].dtype == dtype


def test_the_other_images_are_drawn_by_weight_and_within_the_dataset(tmp_path: Path) -> None:
    compound = DATASETS.build(student_config(tmp_path).train_dataloader.dataset)
    mosaic = TRANSFORMS.build(dict(type="TaxMosaic", prob=1.0))
    drawn = np.bincount([i for _ in range(2000) for i in mosaic.get_indices(compound)], minlength=6)
    assert len(drawn) == 6
    np.testing.assert_allclose(drawn / 6000, [1 / 9] * 3 + [2 / 9] * 3, atol=0.03)
    one = TRANSFORMS.build(dict(type="TaxMosaic", prob=1.0))
    assert {i for _ in range(99) for i in one.get_indices(compound.datasets[0])} == {0, 1, 2}


def test_samples_that_are_no_mosaic_load_no_other_image(tmp_path: Path) -> None:
    compound = DATASETS.build(student_config(tmp_path).train_dataloader.dataset)
    mosaic = TRANSFORMS.build(dict(type="TaxMosaic", prob=0.25))
    counts = [len(mosaic.get_indices(compound)) for _ in range(2000)]
    assert set(counts) == {0, 3} and np.mean(counts) == pytest.approx(0.75, abs=0.1)
    sample = dict(img=1, mix_results=[])
    assert mosaic.transform(sample) is sample


def test_figures_of_a_dataset_are_of_samples_that_are_its_own(tmp_path: Path) -> None:
    """Half of the samples are mosaics; the loss of one of several datasets belongs to none of them."""
    cfg = mosaics(student_config(tmp_path, iterations=40), prob=0.5)
    cfg.log_level = "INFO"
    train(cfg, quiet=True)
    rows = table(tmp_path / "work")
    samples = [float(rows[name][0]) for name in ("park", "park#2")]
    assert sum(samples) == pytest.approx(80, abs=1)
    assert all(float(rows[name][3]) > 0 for name in rows)


def test_figures_of_a_dataset_have_no_segments_of_others(tmp_path: Path) -> None:
    """The rarest class is in the pseudo-labels alone, so each image of the other dataset has segments of theirs."""
    cfg = student_config(tmp_path, iterations=6)
    cfg.train_dataloader.dataset.copy_paste, cfg.log_level = 1e-5, "INFO"
    cfg.train_dataloader.dataset.pipeline.insert(5, dict(type="TaxCopyPaste", prob=1.0))
    train(cfg, quiet=True)
    rows = table(tmp_path / "work")
    assert float(rows["park"][0]) > 0 and float(rows["park#2"][0]) > 0
    assert rows["park"][3:5] == ["-", "-"] != rows["park#2"][3:5]


def test_labels_are_made_anew_for_mosaics(tmp_path: Path) -> None:
    cfg = mosaics(student_config(tmp_path, iterations=6))
    hook = dict(type="TeacherRefreshHook", every=1, views=dict(flips=(False,)), pipeline=LOAD, momentum=0.5)
    cfg.custom_hooks = [hook]
    assert train(cfg, quiet=True).is_file()
    assert len(list((tmp_path / "work/refresh/1/park#2/labels/train").glob("*.png"))) == 3


def test_the_mosaic_on_the_page(tmp_path: Path) -> None:
    """docs/augmentation.md: its lines about mosaics, around the datasets of a student that trains."""
    page = (Path(__file__).parents[3] / "docs/augmentation.md").read_text()
    (text,) = re.findall(r"^```python\n(mosaic_pipeline.*?)^```$", page, re.M | re.S)
    student_config(tmp_path, iterations=2).dump(tmp_path / "base.py")
    text = (
        text.replace('source="demo"', 'source="tiny"')
        .replace("crop_size=(96, 192)", "crop_size=(24, 40)")
        .replace("img_scale=(96, 192)", "img_scale=(24, 40)")
    )
    (tmp_path / "student.py").write_text(
        f"_base_ = 'base.py'\ndatasets = _base_.train_dataloader.dataset.datasets\n{text}"
    )
    cfg = load_config(tmp_path / "student.py")
    assert train(cfg, quiet=True).is_file()


# --- refused ------------------------------------------------------------------------------------------------


def own_mosaic(cfg: Config) -> None:
    cfg.train_dataloader.dataset.pipeline.insert(2, dict(type="TaxMosaic", prob=1.0))


def packed_first(cfg: Config) -> None:
    steps = cfg.train_dataloader.dataset.pipeline
    wrapped(cfg, "MultiImageMixDataset", pipeline=[dict(type="TaxMosaic", prob=0.0, img_scale=(24, 40)), *steps[2:]])


def classes(cfg: Config) -> None:
    cfg.model.decode_head.num_classes = 7
    wrapped(mosaics(cfg), "RepeatDataset", times=2)


def evenly(cfg: Config) -> None:
    cfg.train_dataloader.sampler = dict(type="InfiniteSampler")
    wrapped(cfg, "RepeatDataset", times=2)


def concatenated(cfg: Config) -> None:
    datasets = [{**d, "pipeline": cfg.train_dataloader.dataset.pipeline} for d in cfg.train_dataloader.dataset.datasets]
    for dataset in datasets:
        dataset.pop("threshold", None), dataset.pop("loss_weight", None)
    cfg.train_dataloader.dataset = dict(type="ConcatDataset", datasets=datasets)


def member(kind: str, **options: Any) -> Callable[[Config], None]:
    def alter(cfg: Config) -> None:
        datasets = cfg.train_dataloader.dataset.datasets
        inside = (
            dict(datasets=[datasets[1]]) if kind in ("ConcatDataset", "CompoundDataset") else dict(dataset=datasets[1])
        )
        datasets[1] = dict(type=kind, **inside, **options)

    return alter


REFUSED: dict[str, tuple[Callable[[Config], object], str]] = {
    "classes": (classes, "model.decode_head has num_classes=7, and `tiny` has 5 classes"),
    "a sampler that ignores weights": (
        evenly,
        "have the weights [1.0, 2.0], and InfiniteSampler does not look at them",
    ),
    "weights in a ConcatDataset": (
        concatenated,
        "the datasets have the weights [1.0, 2.0], and nothing looks at them inside a ConcatDataset: put the datasets"
        " into a `dict(type='CompoundDataset', datasets=[…])`",
    ),
    "ClassBalancedDataset": (
        lambda cfg: wrapped(cfg, "ClassBalancedDataset", oversample_thr=0.1),
        "a ClassBalancedDataset asks which classes an image has, and a CompoundDataset does not know",
    ),
    "MMSegmentation's mosaic": (
        lambda cfg: mosaics(cfg, "RandomMosaic"),
        "the pipeline of `park`, `park#2`: RandomMosaic draws its other images whatever the weights are, and past the"
        " end of the dataset: write `dict(type='TaxMosaic', prob=1.0, img_scale=(24, 40), …)`",
    ),
    "padding of mosaics": (
        lambda cfg: mosaics(cfg, seg_pad_val=0),
        "TaxMosaic takes 0 for void, which is 255: write `dict(type='TaxMosaic', seg_pad_val=255, …)`",
    ),
    "a mosaic of one image": (
        own_mosaic,
        "TaxMosaic needs several images: write it into the pipeline of a `dict(type='Mu",
    ),
    "images packed before they are mixed": (
        packed_first,
        "PackTaxInputs packs the images before the MultiImageMixDataset mixes them: move it to the end",
    ),
    "a member in RepeatDataset": (
        member("RepeatDataset", times=2),
        "a member of the CompoundDataset is a RepeatDataset: write the TaxDataset itself, or each of several, into"
        " `datasets`; `weight=2.0` has its images drawn twice as often",
    ),
    "a member in MultiImageMixDataset": (
        member("MultiImageMixDataset", pipeline=[]),
        "into `datasets`, and the MultiImageMixDataset around the CompoundDataset",
    ),
    "a member in ClassBalancedDataset": (
        member("ClassBalancedDataset", oversample_thr=0.1),
        "is a ClassBalancedDataset: write",
    ),
    "a ConcatDataset as a member": (
        member("ConcatDataset"),
        "a member of the CompoundDataset is a ConcatDataset: write",
    ),
    "a compound in a compound": (
        member("CompoundDataset"),
        "a member of the CompoundDataset is a CompoundDataset: write",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_looked_through_is_refused_with_what_to_write(tmp_path: Path, case: str) -> None:
    alter, message = REFUSED[case]
    cfg = student_config(tmp_path)
    alter(cfg)
    with pytest.raises(UserError) as refused:
        train(cfg, quiet=True)
    assert message in str(refused.value)


def test_built_members_are_refused_too(tmp_path: Path) -> None:
    compound = DATASETS.build(student_config(tmp_path).train_dataloader.dataset)
    with pytest.raises(DatasetError, match="a member of the CompoundDataset is a CompoundDataset"):
        CompoundDataset([compound])


# --- RepeatDataset ------------------------------------------------------------------------------------------


def test_a_repeated_compound_has_longer_epochs_and_the_same_shares(tmp_path: Path) -> None:
    cfg = wrapped(student_config(tmp_path), "RepeatDataset", times=3)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    plain, repeated = (CompoundSampler(d, seed=0, endless=False) for d in (dataset.dataset, dataset))
    assert repeated.shares == plain.shares == [1 / 3, 2 / 3]
    assert (len(plain), len(repeated)) == (6, 18)
    assert list(repeated)[:6] == list(plain)


def test_a_repeated_compound_trains_by_epochs(tmp_path: Path) -> None:
    cfg = wrapped(student_config(tmp_path), "RepeatDataset", times=3)
    cfg.train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=1, val_interval=10)
    cfg.log_processor = dict(by_epoch=True)
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", interval=1)
    cfg.train_dataloader.sampler.endless = False
    cfg.log_level = "INFO"
    assert train(cfg, quiet=True).name == "epoch_1.pth"
    rows = table(tmp_path / "work")
    assert rows["park"][:3] == ["6", "0.333", "0.333"] and rows["park#2"][:3] == ["12", "0.667", "0.667"]


def test_names_that_stand_twice_share_a_line(tmp_path: Path) -> None:
    """MMEngine's ConcatDataset gives no names of their own to two datasets of one taxonomy."""
    cfg = student_config(tmp_path)
    concatenated(cfg)
    cfg.train_dataloader.dataset.datasets[1].weight = 1.0
    cfg.train_dataloader.sampler, cfg.log_level = dict(type="InfiniteSampler"), "INFO"
    train(cfg, quiet=True)
    (log,) = (tmp_path / "work").glob("*/*.log")
    lines = log.read_text().split("samples of each dataset:\n")[1].splitlines()
    assert lines[1].split()[:4] == ["park", "6", "1.000", "1.000"]
    assert len(lines) == 2 or not lines[2].startswith("  park")


def test_void_images_of_mosaics_are_counted_by_their_dataset(tmp_path: Path) -> None:
    cfg = mosaics(student_config(tmp_path, iterations=20))
    save(tmp_path / "park/labels/train/a.png", np.full((24, 40), 255, np.uint8))
    cfg.log_level = "INFO"
    train(cfg, quiet=True)
    rows = table(tmp_path / "work")
    assert int(rows["park"][-1]) > 0 and int(rows["park#2"][-1]) == 0
