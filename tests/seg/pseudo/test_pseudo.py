"""The pseudo-label loop, with a real teacher, real files and a real kill."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from helpers.folders import tree
from helpers.forkserver import Server
from helpers.processes import WRITE, standing_still
from helpers.tiny import (
    ALLOWED,
    CLASSES,
    VOID,
    label_config,
    model_config,
    read,
    save_checkpoint,
    write_park,
    write_tax,
)
from lsu_onto import ROW_VOID
from lsu_seg.decode import DecodeError
from lsu_seg.decode.reference import decode, decode_unconstrained
from lsu_seg.errors import ConfigError, TeacherError
from lsu_seg.openmmlab.runner import runner_with_checkpoint
from lsu_seg.pseudo.errors import OutputError
from lsu_seg.pseudo.output import OutputFolder
from lsu_seg.pseudo.records import finished
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.teachers import SegmentorTeacher, Views

ROWS = [0, 1, 2, 3, 4, 5, ROW_VOID]
IMAGES = {f"{city}{i}": ROWS for i in range(3) for city in ("bonn ", "ä")}
VIEWS: dict[str, Any] = dict(scales=(1.0, 1.5), flips=(False, True))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher `teacher.pth` and a dataset `park`, that no test changes."""
    root = tmp_path_factory.mktemp("world")
    write_tax(root / "tax")
    write_park(root / "park", IMAGES)
    save_checkpoint(root / "teacher.pth")
    return root


def config(world: Path, work: Path, **options: Any) -> Config:
    dataset = dict(taxonomy=str(world / "tax/park.tax"), data_root=str(world / "park"), split="train")
    return label_config(dataset, work, **{**VIEWS, **options})


def run(world: Path, work: Path, checkpoint: Path | None = None, **options: Any) -> dict[str, float]:
    return pseudo_label(config(world, work, **options), checkpoint or world / "teacher.pth", quiet=True)


def labels(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*.png"))}


@pytest.fixture(scope="module")
def unbroken(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    work = tmp_path_factory.mktemp("unbroken")
    run(world, work)
    return work / "labels"


# --- what is written ---------------------------------------------------------------------------------------


def test_the_tree_mirrors_the_labels(world: Path, unbroken: Path) -> None:
    assert labels(unbroken).keys() == {f"labels/train/{stem}.png" for stem in IMAGES}
    others = {p.name for p in unbroken.rglob("*") if p.is_file() and p.suffix != ".png"}
    assert others == {"manifest.json", "records-0.jsonl", "audit-0.jsonl", "entry", "run"}  # the last two: .lock


def test_every_pixel_lies_in_its_allowed_set(world: Path, unbroken: Path) -> None:
    drawn = write_park(unbroken.parent / "again", IMAGES)  # the same seeds
    seen: list[set[int]] = [set() for _ in ALLOWED]
    for stem, rows in drawn.items():
        found = read(unbroken / f"labels/train/{stem}.png")
        assert (found[rows == ROW_VOID] == VOID).all()
        for row, allowed in enumerate(ALLOWED):
            here = set(np.unique(found[rows == row]).tolist())
            assert here <= allowed
            seen[row] |= here
    assert seen[1] == {1, 2}  # the teacher did choose
    assert len(seen[5]) > 2


def test_the_labels_are_those_of_the_decode_rule(world: Path, unbroken: Path, tmp_path: Path) -> None:
    """The second batch, by hand: views of both images, decoded one by one."""
    cfg = config(world, tmp_path)
    cfg.test_evaluator = []
    runner = runner_with_checkpoint(cfg, world / "teacher.pth", quiet=True)
    runner.model.eval()
    teacher = SegmentorTeacher(runner.model, CLASSES, Views(**VIEWS))
    dataset = Runner.build_dataloader(cfg.test_dataloader).dataset
    items = [dataset[2], dataset[3]]
    bands = list(teacher.evidence([i["inputs"] for i in items], None, [(24, 40)] * 2))
    assert [(n, band.top, band.bottom, len(band.views)) for n, band in bands] == [
        (0, 0, 24, 4),
        (1, 0, 24, 4),
    ]
    for item, (_, band) in zip(items, bands, strict=True):
        sample = item["data_samples"]
        wanted = decode(band.views, sample.gt_rows.data[0], torch.from_numpy(dataset.constraint.allowed))
        assert np.array_equal(read(unbroken / f"{sample.key}.png"), wanted.labels.cpu().numpy())


def test_records_say_what_the_teacher_was_asked(unbroken: Path) -> None:
    records = [json.loads(line) for line in (unbroken / "records-0.jsonl").read_text().splitlines()]
    assert [r["key"] for r in records] == sorted(f"labels/train/{stem}" for stem in IMAGES)
    for record in records:
        assert record["pixels"] == 24 * 40
        assert 0 < record["asked"] < record["pixels"]
        assert 0 < record["confidence"] <= 1


def test_the_teacher_is_asked_only_where_there_is_a_choice(tmp_path: Path, world: Path) -> None:
    """Batches of two: an image that is decided skips the teacher, whatever its neighbour needs."""
    images = {"a": [0, 2, 4, ROW_VOID], "b": [1, 0], "c": [0, 2], "d": [2, 4]}
    drawn = write_park(tmp_path / "park", images)
    cfg = config(world, tmp_path)
    cfg.test_dataloader.dataset.data_root = str(tmp_path / "park")
    result = pseudo_label(cfg, world / "teacher.pth", quiet=True)
    assert (result["images"], result["skipped_teacher"]) == (4, 3)
    records = map(json.loads, (tmp_path / "labels/records-0.jsonl").read_text().splitlines())
    assert {r["key"][-1]: r["teacher"] for r in records} == {"a": False, "b": True, "c": False, "d": False}
    decided = np.array([0, VOID, 3, VOID, VOID, VOID, VOID])
    for stem in "acd":
        assert np.array_equal(read(tmp_path / f"labels/labels/train/{stem}.png"), decided[drawn[stem]])


def test_images_of_different_sizes_share_a_batch(tmp_path: Path, world: Path) -> None:
    for n, size in enumerate([(24, 40), (40, 24), (24, 40), (33, 57)]):
        write_park(tmp_path / "park", {f"a{n}": ROWS}, size=size)
    cfg = config(world, tmp_path, batch_size=4)
    cfg.test_dataloader.dataset.data_root = str(tmp_path / "park")
    assert pseudo_label(cfg, world / "teacher.pth", quiet=True)["images"] == 4
    shapes = [read(tmp_path / f"labels/labels/train/a{n}.png").shape for n in range(4)]
    assert shapes == [(24, 40), (40, 24), (24, 40), (33, 57)]


def test_raw_labels_are_the_unconstrained_teacher(world: Path, unbroken: Path, tmp_path: Path) -> None:
    run(world, tmp_path, raw_dir=str(tmp_path / "raw"))
    assert labels(tmp_path / "labels") == labels(unbroken)
    raw = labels(tmp_path / "raw")
    assert raw.keys() == labels(unbroken).keys()
    assert {int(v) for name in raw for v in np.unique(read(tmp_path / "raw" / name))} <= set(range(5))
    cfg = config(world, tmp_path, batch_size=1)
    cfg.test_evaluator = []
    runner = runner_with_checkpoint(cfg, world / "teacher.pth", quiet=True)
    item = Runner.build_dataloader(cfg.test_dataloader).dataset[0]
    teacher = SegmentorTeacher(runner.model.eval(), CLASSES, Views(**VIEWS))
    ((_, band),) = teacher.evidence([item["inputs"]], None, [(24, 40)])
    wanted = decode_unconstrained(band.views, (24, 40)).labels.cpu().numpy()
    found = read(tmp_path / "raw" / f"{item['data_samples'].key}.png")
    assert (found != wanted).mean() < 0.01  # another batch size: the last bits of the logits may differ


def test_a_threshold_makes_void(world: Path, unbroken: Path, tmp_path: Path) -> None:
    run(world, tmp_path, threshold=0.9)
    drawn = write_park(tmp_path / "again", IMAGES)
    for stem, rows in drawn.items():
        strict, all_ = (read(f / f"labels/train/{stem}.png") for f in (tmp_path / "labels", unbroken))
        choice = np.isin(rows, [1, 3, 5])
        assert np.array_equal(strict[~choice], all_[~choice])
        assert set(np.unique(strict[rows == 1]).tolist()) <= {1, 2, VOID}
        assert ((strict == all_) | (strict == VOID)).all()
        assert (strict != all_).any()


# --- going on ----------------------------------------------------------------------------------------------


def test_a_finished_run_has_nothing_to_do(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path)
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "labels").rglob("*.png")}
    assert run(world, tmp_path)["images"] == 0
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "labels").rglob("*.png")} == before


def test_going_on_can_be_refused(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path)
    with pytest.raises(OutputError, match="holds labels of an earlier run"):
        pseudo_label(config(world, tmp_path), world / "teacher.pth", quiet=True, resume=False)


def test_a_resume_writes_what_is_missing(world: Path, unbroken: Path, tmp_path: Path) -> None:
    """One image of a batch, both of another: the bytes are those of an unbroken run."""
    run(world, tmp_path)
    files = sorted((tmp_path / "labels").rglob("*.png"))
    for i in (0, 4, 5):
        files[i].unlink()
    kept = {f: f.stat().st_mtime_ns for f in files if f.exists()}
    assert run(world, tmp_path)["images"] == 3
    assert labels(tmp_path / "labels") == labels(unbroken)
    assert {f: f.stat().st_mtime_ns for f in kept} == kept


def test_a_resume_asks_the_teacher_for_the_same_batches(world: Path, tmp_path: Path) -> None:
    """How images are batched shows in the last bits of the logits, so a resume must not batch them anew."""
    run(world, tmp_path)
    (tmp_path / "labels/labels/train/ä0.png").unlink()
    sizes = []
    evidence = SegmentorTeacher.evidence
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentorTeacher, "evidence", lambda *a: (sizes.append(len(a[1])), evidence(*a))[1])
        run(world, tmp_path)
    assert sizes == [2]


def test_raw_labels_are_resumed_too(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path, raw_dir=str(tmp_path / "raw"))
    before = labels(tmp_path)
    (tmp_path / "raw/labels/train/ä1.png").unlink()
    assert run(world, tmp_path, raw_dir=str(tmp_path / "raw"))["images"] == 1
    assert labels(tmp_path) == before


def test_a_killed_run_leaves_whole_files_and_goes_on(server: Server, world: Path, tmp_path: Path) -> None:
    write_park(tmp_path / "park", {f"{i:02}": ROWS for i in range(16)})
    cfg = config(world, tmp_path, batch_size=1)
    cfg.test_dataloader.dataset.data_root = str(tmp_path / "park")
    cfg.dump(tmp_path / "config.py")
    command = ["pseudo-label", str(tmp_path / "config.py"), str(world / "teacher.pth")]
    process = server.start(tmp_path / "log.txt", *command, code=standing_still(WRITE, "labels/train/05"))
    process.when_still()
    process.send(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.said
    assert sorted(labels(tmp_path / "labels")) == [f"labels/train/{i:02}.png" for i in range(6)]
    cut = tmp_path / "labels/records-0.jsonl"
    cut.write_bytes(cut.read_bytes()[:-9])  # the kill may also have cut a record off

    # The label whose record was cut off is made again.
    assert pseudo_label(cfg, world / "teacher.pth", quiet=True)["images"] == 11
    cfg.test_cfg.out_dir = str(tmp_path / "whole")
    pseudo_label(cfg, world / "teacher.pth", quiet=True)
    assert labels(tmp_path / "labels") == labels(tmp_path / "whole")
    assert finished(tmp_path / "labels") == {f"labels/train/{i:02}" for i in range(16)}


# --- what is refused ---------------------------------------------------------------------------------------


def test_a_model_that_cannot_be_run_is_named(world: Path, tmp_path: Path) -> None:
    cfg = config(world, tmp_path)
    cfg.model.decode_head.in_index = 9
    with pytest.raises(ConfigError, match="the model fails in its `decode_head`: IndexError"):
        pseudo_label(cfg, world / "teacher.pth", quiet=True)


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (dict(scales=(1.0,)), "scales: there [1.0, 1.5], now [1.0]"),
        (dict(flips=(False,)), "flips: there [False, True], now [False]"),
        (dict(threshold=0.5), "threshold: there None, now 0.5"),
    ],
)
def test_other_settings_are_refused(world: Path, tmp_path: Path, options: dict[str, Any], changed: str) -> None:
    run(world, tmp_path)
    before = labels(tmp_path)
    with pytest.raises(OutputError) as refusal:
        run(world, tmp_path, **options)
    assert f"holds labels made with other settings:\n  {changed}\n  help: remove the folder" in str(refusal.value)
    assert labels(tmp_path) == before
    assert run(world, tmp_path)["images"] == 0


def test_another_teacher_or_taxonomy_is_refused(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path)
    other = save_checkpoint(tmp_path / "other.pth", seed=1)
    with pytest.raises(OutputError, match=r"settings:\n  checkpoint_sha256: there \w{64}, now \w{64}\n  help"):
        run(world, tmp_path, other)
    cfg = config(world, tmp_path)
    cfg.test_dataloader.dataset.taxonomy = write_tax(tmp_path / "tax", rows="1 way #805080 < road\n")
    with pytest.raises(OutputError, match=r"settings:\n  taxonomies_sha256: there"):
        pseudo_label(cfg, world / "teacher.pth", quiet=True)


def test_a_folder_that_cannot_be_one(world: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("a file")
    with pytest.raises(OutputError, match="labels: cannot write there"):
        run(world, tmp_path)
    (tmp_path / "labels").unlink()
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/manifest.json").write_text("{")
    with pytest.raises(OutputError, match=r"manifest\.json: not a manifest"):
        run(world, tmp_path)


def test_a_teacher_of_other_classes_is_refused(world: Path, tmp_path: Path) -> None:
    swapped = [CLASSES[i] for i in (0, 2, 1, 3, 4)]
    with pytest.raises(TeacherError, match=r"differ .* from channel 1 on: \['tree', 'grass', 'sky'\] \("):
        run(world, tmp_path, save_checkpoint(tmp_path / "swapped.pth", classes=swapped))
    six = save_checkpoint(tmp_path / "six.pth", classes=[*CLASSES, "bus"])
    with pytest.raises(TeacherError, match=r"six\.pth` does not fit the config's model"):
        run(world, tmp_path, six)
    cfg = config(world, tmp_path)
    cfg.model = model_config(6)
    with pytest.raises(TeacherError, match="the model predicts 6 classes, and the source taxonomy has 5"):
        pseudo_label(cfg, six, quiet=True)
    assert labels(tmp_path) == {}
    assert run(world, tmp_path)["images"] == 6  # what wrote nothing has no claim on the folder


def test_half_a_checkpoint_is_refused(world: Path, tmp_path: Path) -> None:
    key = "backbone.encoder.0.0.convs.0.conv.weight"
    with pytest.raises(TeacherError, match=key):
        run(world, tmp_path, save_checkpoint(tmp_path / "half.pth", drop=key))
    assert labels(tmp_path) == {}


def test_no_checkpoint(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no checkpoint `.*none\.pth`"):
        run(world, tmp_path, tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("bias", "refusal", "said"),
    [
        ("nan", TeacherError, r"nan\.pth` has weights that are NaN: `decode_head\.conv_seg\.bias`"),
        ("inf", DecodeError, r"images/train/bonn 0\.png: the teacher's logits .* (NaN|Inf)"),
    ],
)
def test_a_teacher_that_says_nan(world: Path, tmp_path: Path, bias: str, refusal: type[Exception], said: str) -> None:
    checkpoint = torch.load(world / "teacher.pth", weights_only=True)
    checkpoint["state_dict"]["decode_head.conv_seg.bias"][2] = float(bias)
    torch.save(checkpoint, tmp_path / "nan.pth")
    with pytest.raises(refusal, match=said):
        run(world, tmp_path, tmp_path / "nan.pth")
    assert labels(tmp_path) == {}


@pytest.mark.parametrize("options", [dict(scales=()), dict(flips=()), dict(scales=(0.0,))])
def test_no_view_is_refused(world: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(TeacherError, match=r"give no view|positive numbers"):
        run(world, tmp_path, **options)


@pytest.mark.parametrize("folder", [".", "labels", "pseudo"])
def test_the_dataset_is_never_written_to(world: Path, tmp_path: Path, folder: str) -> None:
    before = labels(world / "park")
    for key in ("out_dir", "raw_dir"):
        cfg = config(world, tmp_path)
        cfg.test_cfg[key] = str(world / "park" / folder)
        with pytest.raises(OutputError, match=r"is the dataset's folder .* or inside it"):
            pseudo_label(cfg, world / "teacher.pth", quiet=True)
    assert labels(world / "park") == before


def test_a_refused_raw_dir_leaves_nothing(world: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    shutil.copy(world / "park/labels/train/ä0.png", raw)
    with pytest.raises(OutputError, match=rf"^{raw} holds PNGs and no manifest"):
        run(world, tmp_path, raw_dir=str(raw))
    assert tree(tmp_path).keys() == {"raw/ä0.png"} and list(tmp_path.iterdir()) == [raw]
    (raw / "manifest.json").write_text("{}")
    with pytest.raises(OutputError, match=rf"^{raw} holds labels made with other settings:\n  batch_size: there None"):
        run(world, tmp_path, raw_dir=str(raw))
    assert list(tmp_path.iterdir()) == [raw]
    shutil.rmtree(raw)
    run(world, tmp_path, raw_dir=str(raw))
    assert len(labels(raw)) == len(IMAGES)


def test_a_second_run_into_the_same_folder_is_refused(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path)
    manifest = json.loads((tmp_path / "labels/manifest.json").read_text())
    out = OutputFolder(tmp_path / "labels", manifest, np.zeros((5, 3), np.uint8))
    with pytest.raises(OutputError, match="another run is writing there"):
        run(world, tmp_path)
    out.close()
    assert run(world, tmp_path)["images"] == 0


def test_a_second_run_into_the_same_raw_folder_leaves_nothing_beside_it(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path, raw_dir=str(tmp_path / "raw"))
    manifest = json.loads((tmp_path / "raw/manifest.json").read_text())
    raw = OutputFolder(tmp_path / "raw", manifest, np.zeros((5, 3), np.uint8))
    shutil.rmtree(tmp_path / "labels")
    with pytest.raises(OutputError, match="raw: another run is writing there"):
        run(world, tmp_path, raw_dir=str(tmp_path / "raw"))
    assert not (tmp_path / "labels").exists()
    raw.close()
    assert run(world, tmp_path, raw_dir=str(tmp_path / "raw"))["images"] == len(IMAGES)


def test_only_one_dataset_at_a_time(world: Path, tmp_path: Path) -> None:
    cfg = config(world, tmp_path)
    one = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(type="CompoundDataset", datasets=[one])
    with pytest.raises(OutputError, match="labels one TaxDataset"):
        pseudo_label(cfg, world / "teacher.pth", quiet=True)
