"""Datasets from taxonomies alone: loading, joining, sampling, as an MMSeg config asks for them."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS, TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader

from helpers.tiny import ALLOWED, CLASSES, LOAD, RAW, SOURCE, VOID, draw, encode, save, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_seg.data.compound import CompoundDataset
from lsu_seg.data.datasets import TaxDataset, target_table
from lsu_seg.label_files import LabelFileError
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.targets import TargetError, TargetSet, TargetTable

ROWS = [0, 1, 2, 3, 4, 5, ROW_VOID]
DECIDED = np.array([0, VOID, 3, VOID, VOID, VOID, VOID], np.uint8)
"""`gt_seg_map` of PARK's rows and void: the one class of S(d), void where there are several or none."""


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope("mmseg")


def dataset(root: Path, encoding: str = "id", **options: Any) -> TaxDataset:
    taxonomy = write_tax(root / "tax", encoding)
    return TaxDataset(taxonomy, **(dict(data_root=str(root / "park"), split="train", pipeline=LOAD) | options))


# --- one dataset -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", RAW)
def test_the_taxonomy_is_all_that_a_dataset_needs(tmp_path: Path, encoding: str) -> None:
    drawn = write_park(tmp_path / "park", {"b": ROWS, "a": ROWS}, encoding)
    park = dataset(tmp_path, encoding)
    assert len(park) == 2
    for item, stem in zip(park, ("a", "b"), strict=True):
        sample = item["data_samples"]
        assert sample.key == f"labels/train/{stem}"
        assert Path(sample.img_path) == tmp_path / f"park/images/train/{stem}.png"
        assert item["inputs"].shape == (3, 24, 40)
        assert sample.gt_rows.data.dtype == torch.int16
        assert np.array_equal(sample.gt_rows.data[0], drawn[stem])
        assert np.array_equal(sample.gt_sem_seg.data[0], DECIDED[drawn[stem]])


@pytest.mark.filterwarnings("ignore:.*the taxonomy shows")
def test_every_process_refuses_the_same_palettes(tmp_path: Path) -> None:
    """Also one that reads none but the files that agree with one another."""
    drawn = write_park(tmp_path / "park", {str(i): [0, 1, 2] for i in range(8)})
    for i in range(8):
        path = tmp_path / f"park/labels/train/{i}.png"
        image = Image.open(path).convert("L")
        colours = np.random.default_rng(i == 6).integers(0, 256, (256, 3), np.uint8)
        image.putpalette(colours.tobytes())
        image.save(path)
    message = r"6\.png: found a palette with #.* for value .*, which is #.* in .*train/0\.png; .*`palettes: ignored`"
    for park in (dataset(tmp_path), pickle.loads(pickle.dumps(dataset(tmp_path)))):
        with pytest.raises(LabelFileError, match=message):
            park[6]
        park[7]
    tax = Path(write_tax(tmp_path / "tax", "id"))
    tax.write_text(tax.read_text().replace("encoding: id", "encoding: id\npalettes: ignored"))
    park = TaxDataset(str(tax), str(tmp_path / "park"), "train", pipeline=LOAD)
    assert np.array_equal(park[6]["data_samples"].gt_rows.data[0], drawn["6"])


def test_decided_pixels_are_those_with_one_class(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": ROWS})
    allowed = dataset(tmp_path).constraint.allowed
    for row, wanted in enumerate(ALLOWED):
        assert {VOID if c == len(CLASSES) else c for c in np.flatnonzero(allowed[row])} == wanted


def test_a_source_is_a_dataset_of_its_own_channels(tmp_path: Path) -> None:
    write_tax(tmp_path / "tax")
    image, channels = draw(0, [0, 1, 2, 3, 4, VOID])
    save(tmp_path / "data/images/val/a.png", image)
    save(tmp_path / "data/labels/val/a.png", channels.astype(np.uint8))
    source = TaxDataset(str(tmp_path / "tax/tiny.tax"), str(tmp_path / "data"), "val", pipeline=LOAD)
    assert np.array_equal(source[0]["data_samples"].gt_sem_seg.data[0], channels)


def test_metainfo_is_plain(tmp_path: Path) -> None:
    """It ends up in checkpoints, which hold plain values only."""
    write_park(tmp_path / "park", {"a": ROWS})
    meta = dataset(tmp_path).metainfo
    assert meta["classes"] == CLASSES
    assert meta["palette"][0] == [0x80, 0x40, 0x80]
    assert (meta["source"], Path(meta["taxonomy"]).name) == ("tiny", "park.tax")
    assert json.loads(json.dumps(meta)) == meta
    torch.save(meta, tmp_path / "meta.pth")
    assert torch.load(tmp_path / "meta.pth", weights_only=True) == meta


def test_a_value_that_the_taxonomy_does_not_list(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": ROWS})
    _, rows = draw(0, [0])
    raw = encode(rows, "id")
    raw[5:7, 9:12] = 77
    file = save(tmp_path / "park/labels/train/a.png", raw)
    with pytest.raises(LabelFileError) as refusal:
        dataset(tmp_path)[0]
    message = str(refusal.value)
    assert message.startswith(f"{file}: ")
    assert "77 in 6 pixel(s), first at x=9 y=5" in message
    assert "`park v1`" in message
    lenient = dataset(tmp_path, unknown="void")[0]["data_samples"].gt_rows.data[0]
    assert np.array_equal(lenient, np.where(raw == 77, ROW_VOID, rows))


def test_a_label_of_another_size_is_refused(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": ROWS})
    file = save(tmp_path / "park/labels/train/a.png", encode(np.zeros((12, 20), int), "id"))
    with pytest.raises(LabelFileError, match=r"the label is 20x12 and the image .* 40x24") as refusal:
        dataset(tmp_path)[0]
    assert str(file) in str(refusal.value)


def test_transforms_carry_the_classes_and_leave_the_rows(tmp_path: Path) -> None:
    drawn = write_park(tmp_path / "park", {"a": ROWS})
    resize = dict(type="Resize", scale=(80, 48), keep_ratio=False)
    park = TaxDataset(
        write_tax(tmp_path / "tax"), str(tmp_path / "park"), "train", pipeline=[*LOAD[:2], resize, LOAD[2]]
    )
    item = park[0]
    assert item["inputs"].shape == (3, 48, 80)
    assert np.array_equal(item["data_samples"].gt_rows.data[0], drawn["a"])
    doubled = np.kron(DECIDED[drawn["a"]], np.ones((2, 2), np.uint8))
    assert np.array_equal(item["data_samples"].gt_sem_seg.data[0], doubled)


def test_a_target_of_every_second_row_and_column() -> None:
    """From a random one on, so that every pixel is learnt from at some time."""
    target = np.arange(6 * 8, dtype=np.uint16).reshape(6, 8)
    subsample = TRANSFORMS.build(dict(type="SubsampleTarget"))
    seen = [subsample(dict(gt_seg_map=target, gt_rows=target))["gt_seg_map"] for _ in range(60)]
    assert {(s.shape, s.dtype.name) for s in seen} == {((3, 4), "uint16")}
    assert all((np.diff(s, axis=1) == 2).all() and (np.diff(s, axis=0) == 16).all() for s in seen)
    assert {int(s[0, 0]) for s in seen} == {0, 1, 8, 9}
    for step in (0, 1.5, math.nan, "2", None):
        with pytest.raises(
            DatasetError, match=f"`step` of a SubsampleTarget is {step!r}; expected a whole number, 1 or"
        ):
            TRANSFORMS.build(dict(type="SubsampleTarget", step=step))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(weight=-1), "weight of .* is -1; expected a finite number that is not negative"),
        (dict(weight="x"), "weight of .* is x"),
        (dict(weight=float("inf")), "weight of .* is inf"),
        (dict(weight=float("nan")), "weight of .* is nan"),
        (dict(unsure="x"), "`unsure` of .* is x; expected a share"),
        (dict(indices="x"), "`indices` of .* is 'x'; expected how many images to take"),
        (dict(indices=0), "`indices` of .* is 0: no image is left"),
        (dict(indices=[0.5]), "`indices` of .* is "),
        (dict(indices=[1]), "`indices` of `park` has 1, which is none of its 1 images; they are counted from 0"),
        (dict(ann_file="train.txt"), "a TaxDataset has no `ann_file`: its taxonomy says where"),
        (dict(reduce_zero_label=True), "a TaxDataset has no `reduce_zero_label`"),
        (dict(ignore_index=0), "a TaxDataset has no `ignore_index`"),
        (dict(metainfo=dict(classes=["a"])), "a TaxDataset has no `metainfo`"),
        (dict(data_prefix=None), "a TaxDataset has no `data_prefix`"),
        (dict(data_root=None), "`data_root` of .* is None; expected a text"),
        (dict(split=None), "`split` of .* is None; expected a text"),
    ],
    ids=str,
)
def test_wrong_settings(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write_park(tmp_path / "park", {"a": ROWS})
    with pytest.raises(DatasetError, match=message):
        dataset(tmp_path, **options)


@pytest.mark.parametrize(
    "options", [dict(loss_weight="x"), dict(loss_weight=float("nan")), dict(threshold="x")], ids=str
)
def test_wrong_settings_of_targets(tmp_path: Path, options: dict[str, Any]) -> None:
    write_park(tmp_path / "park", {"a": ROWS})
    with pytest.raises(TargetError, match="expected"):
        dataset(tmp_path, **options)


def test_what_is_left_to_mmengine(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": ROWS, "b": ROWS, "c": ROWS})
    assert len(dataset(tmp_path, indices=2, backend_args=None, data_prefix={}, img_suffix=None)) == 2
    keys = [d["key"] for d in map(dataset(tmp_path, indices=[2, 0]).get_data_info, range(2))]
    assert keys == ["labels/train/c", "labels/train/a"]


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": ROWS})
    with pytest.raises(DatasetError, match="no split `test`"):
        TaxDataset(write_tax(tmp_path / "tax"), str(tmp_path / "park"), "test")


# --- pseudo-labels in place of labels ----------------------------------------------------------------------


def write_pseudo(root: Path, stems: list[str], value: int = 2) -> str:
    for stem in stems:
        save(root / "pseudo/labels/train" / f"{stem}.png", np.full((24, 40), value, np.uint8))
    return str(root / "pseudo")


def test_pseudo_labels_replace_the_labels(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": ROWS})
    park = dataset(tmp_path, labels=write_pseudo(tmp_path, ["a"]))
    assert (park[0]["data_samples"].gt_sem_seg.data == 2).all()
    assert park.metainfo["classes"] == CLASSES


def test_a_pseudo_label_that_is_no_channel_is_refused(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": ROWS})
    park = dataset(tmp_path, labels=write_pseudo(tmp_path, ["a"], value=5))
    with pytest.raises(LabelFileError, match="5 in 960 pixel"):
        park[0]


def test_missing_pseudo_labels_are_counted(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": ROWS, "b": ROWS, "c": ROWS})
    with pytest.raises(DatasetError, match=r"2 of 3 pseudo-labels are missing, e\.g\. .*b\.png.*resumes"):
        dataset(tmp_path, labels=write_pseudo(tmp_path, ["a"]))


def test_a_subset_needs_only_its_own_pseudo_labels(tmp_path: Path) -> None:
    write_park(tmp_path / "park", {"a": ROWS, "b": ROWS, "c": ROWS})
    park = dataset(tmp_path, labels=write_pseudo(tmp_path, ["a", "c"]), indices=[0, 2])
    assert [Path(item["data_samples"].seg_map_path).stem for item in park] == ["a", "c"]
    with pytest.raises(DatasetError, match="1 of 2 pseudo-labels are missing"):
        dataset(tmp_path, labels=write_pseudo(tmp_path, []), indices=[0, 1])


# --- several datasets --------------------------------------------------------------------------------------


@pytest.fixture
def union(tmp_path: Path) -> CompoundDataset:
    """Three images of `park`, of weight 1/2, and one in the source's own taxonomy, as a user's config says it."""
    park = write_tax(tmp_path / "tax")
    write_park(tmp_path / "park", {"a": ROWS, "b": ROWS, "c": ROWS})
    image, channels = draw(0, [0, 1, 2, 3, 4, VOID])
    save(tmp_path / "fine/images/train/d.png", image)
    save(tmp_path / "fine/labels/train/d.png", channels.astype(np.uint8))
    config = Config.fromstring(
        f"""
custom_imports = dict(imports=['lsu_seg'])
dataset = dict(type='CompoundDataset', source='tiny', pipeline={LOAD!r}, datasets=[
    dict(type='TaxDataset', taxonomy={park!r}, data_root={str(tmp_path / "park")!r}, split='train', weight=0.5),
    dict(type='TaxDataset', taxonomy={str(tmp_path / "tax/tiny.tax")!r}, data_root={str(tmp_path / "fine")!r},
         split='train'),
])
""",
        ".py",
    )
    return DATASETS.build(config.dataset)


def test_a_union(union: CompoundDataset) -> None:
    assert [len(d) for d in union.datasets] == [3, 1]
    assert union.weights == [0.5, 1.0]
    assert [Path(item["data_samples"].img_path).stem for item in union] == ["a", "b", "c", "d"]
    assert union.metainfo["classes"] == CLASSES
    assert union.metainfo["source"] == "tiny"
    assert "taxonomy" not in union.metainfo  # it has several
    assert json.loads(json.dumps(union.metainfo)) == union.metainfo


def test_a_union_of_different_sources_is_refused(tmp_path: Path) -> None:
    park = write_tax(tmp_path / "tax")
    write_park(tmp_path / "park", {"a": ROWS})
    (tmp_path / "other").mkdir()
    (tmp_path / "other/tiny.tax").write_text(SOURCE.replace("2 tree ", "2 bush "))
    configs = [
        dict(type="TaxDataset", taxonomy=t, data_root=str(tmp_path / "park"), split="train")
        for t in (park, str(tmp_path / "other/tiny.tax"))
    ]
    with pytest.raises(DatasetError, match="differ in `classes`: entry 2 is `tree` against `bush`; all datasets"):
        CompoundDataset(configs)
    with pytest.raises(DatasetError, match="at least one dataset"):
        CompoundDataset([])


def test_workers_load_what_the_main_process_loads(union: CompoundDataset) -> None:
    again = pickle.loads(pickle.dumps(union))
    loader = Runner.build_dataloader(
        dict(
            dataset=union,
            batch_size=2,
            num_workers=2,
            sampler=dict(type="DefaultSampler", shuffle=False),
            collate_fn=dict(type="pseudo_collate"),
        )
    )
    loaded = [s for batch in loader for s in batch["data_samples"]]
    assert len(loaded) == len(union) == 4
    for sample, mine, copied in zip(loaded, union, again, strict=True):
        assert torch.equal(sample.gt_rows.data, mine["data_samples"].gt_rows.data)
        assert torch.equal(copied["inputs"], mine["inputs"])


# --- the table of sets -------------------------------------------------------------------------------------


def weighted(root: Path, *options: dict[str, Any], **compound: Any) -> CompoundDataset:
    """Datasets of one image, of PARK's rows, with these options each."""
    if not (root / "park").exists():
        write_park(root / "park", {"a": ROWS})
        write_tax(root / "tax")
    one = dict(type="TaxDataset", taxonomy=str(root / "tax/park.tax"), data_root=str(root / "park"), split="train")
    return CompoundDataset([{**one, **o} for o in options], source="tiny", pipeline=LOAD, **compound)


def said(targets: torch.Tensor, table: TargetTable) -> set[TargetSet]:
    """What the numbers of a target map above the void index say by a table."""
    return {table.entries[number - table.first] for number in targets.unique().tolist() if number > VOID}


def test_two_compounds_of_one_source_have_tables_of_their_own(tmp_path: Path) -> None:
    """In the main process, and in a worker, be it forked with the dataset or given a pickle of it."""
    sets = weighted(tmp_path, dict(threshold=0.5), dict())
    heavy = weighted(tmp_path, dict(loss_weight=2.0), dict(threshold=0.5))
    either = TargetSet((1, 2))
    wanted = {
        sets: [{either}, set()],
        heavy: [{TargetSet((c,), 2.0) for c in (0, 3)}, {either}],
    }
    assert sets.table.number(*either) != heavy.table.number(*either)
    for union, meaning in wanted.items():
        assert {id(d.table) for d in union.datasets} == {id(union.table)}
        found = [said(item["data_samples"].gt_sem_seg.data, union.table) for item in union]
        assert found == meaning
        for copy in (union, pickle.loads(pickle.dumps(union))):
            loader = DataLoader(copy, batch_size=None, num_workers=1, multiprocessing_context="fork")
            assert [said(item["data_samples"].gt_sem_seg.data, union.table) for item in loader] == meaning


def test_what_is_pickled_does_not_grow_as_it_is_used(tmp_path: Path) -> None:
    union = weighted(tmp_path, dict(threshold=0.5), dict(loss_weight=2.0))
    before = pickle.dumps([d.reader for d in union.datasets])
    assert len(list(union)) == 2
    assert pickle.dumps([d.reader for d in union.datasets]) == before
    assert len(before) < 10_000


def test_numbers_depend_on_settings_and_order_alone(tmp_path: Path) -> None:
    """So that ranks, and a training that is resumed, have the same."""
    options = dict(threshold=0.5), dict(loss_weight=2.0)
    first = weighted(tmp_path, *options)
    list(first)
    assert weighted(tmp_path, *options, lazy_init=True).table == first.table
    assert weighted(tmp_path, *reversed(options)).table != first.table


def test_a_dataset_is_in_one_compound(tmp_path: Path) -> None:
    union = weighted(tmp_path, dict(loss_weight=2.0), dict(threshold=0.5))
    assert CompoundDataset(union.datasets).table == union.table  # nothing changes
    with pytest.raises(DatasetError, match="`park` is in another CompoundDataset already, whose sets have other num"):
        CompoundDataset([*weighted(tmp_path, dict(loss_weight=3.0)).datasets, *union.datasets])


def test_the_table_of_any_dataset(tmp_path: Path) -> None:
    union, other = weighted(tmp_path, dict(threshold=0.5)), weighted(tmp_path, dict(threshold=0.5, loss_weight=2.0))
    (alone,) = union.datasets
    for dataset_ in (union, alone, RepeatDataset(alone, 2), ConcatDataset([alone, alone])):
        assert target_table(dataset_) == union.table
    assert target_table([1, 2, 3]) is None
    with pytest.raises(DatasetError, match="of `park` and `park` one number means several sets: put them into one `Co"):
        target_table(ConcatDataset([alone, *other.datasets]))
