"""`lsu-seg export-dataset`: runs of two datasets, labelled by a real teacher, out in each format and in again."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import lsu_onto
from helpers.hf import SEGFORMER, TINY, folder
from helpers.tiny import CLASSES, PARK, read, write_park, write_tax
from lsu_seg.cli import main
from lsu_seg.export import to_coco, to_hf, to_webdataset
from lsu_seg.export.labelled import ExportError
from lsu_seg.export.run import export_dataset
from lsu_seg.label_files import LabelReader
from lsu_seg.layout.pairs import find_pairs

KEYS = {"park": ["labels/train/a", "labels/train/b"], "yard": ["labels/train/c", "labels/val/d"]}
SIZE = (64, 64)
YARD = "splits: train val\nimages: images/{split}/{stem}.png\nlabels: labels/{split}/{stem}.png\n"


@dataclass
class World:
    """Two labelled datasets; `yard` has no confidence."""

    root: Path

    @property
    def runs(self) -> list[Path]:
        return [self.root / "out/park", self.root / "out/yard"]

    @property
    def data(self) -> dict[str, Path]:
        return {name: self.root / name for name in KEYS}

    def export(self, output: Path, to: str, **options: Any) -> int:
        return export_dataset(self.runs, output, to, self.data, [str(self.root / "tax")], **options)

    def command(self, output: Path, to: str, *more: str) -> Result:
        roots = [part for name, path in self.data.items() for part in ("--data-root", f"{name}={path}")]
        line = ["export-dataset", *map(str, self.runs), *roots, "--path", str(self.root / "tax"), "--to", to]
        return CliRunner().invoke(main, [*line, "-o", str(output), *more])

    def label(self, name: str, key: str) -> Path:
        return self.root / f"out/{name}/{key}.png"

    def image(self, name: str, key: str) -> Path:
        return self.root / name / f"{key.replace('labels', 'images')}.png"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("labelled")
    write_tax(root / "tax")
    meta = "title: Yard\nurl: https://yard.example\nlicence: CC-BY 4.0\nvoid: 255\n"
    (root / "tax/yard.tax").write_text(f"tax 1\ndataset yard v2 -> tiny v1\n{meta}{YARD}\n{PARK}")
    write_park(root / "park", {"a": [0, 1, 2, 3, 4, 5, -1], "b": [1, 3]}, size=SIZE)
    write_park(root / "yard", {"c": [0, 1]}, size=SIZE)
    write_park(root / "yard", {"d": [5, 3]}, split="val", size=SIZE)
    for name, more in (("park", ["--confidence"]), ("yard", ["--split", "train,val"])):
        data = [root / f"tax/{name}.tax", "--data-root", root / name, "-o", root / "out" / name]
        line = ["pseudo-label", *data, "--teacher", teacher(root), "--work-dir", root / "log", *more]
        result = CliRunner().invoke(main, [str(part) for part in line])
        assert result.exit_code == 0, result.output
    return World(root)


def teacher(root: Path) -> Path:
    return root / "teacher" if (root / "teacher").exists() else folder(root / "teacher")


@pytest.fixture
def world(labelled: World, tmp_path: Path) -> World:
    """A copy that a test may spoil."""
    shutil.copytree(labelled.root, tmp_path / "world")
    return World(tmp_path / "world")


def rows(output: Path, split: str) -> list[dict[str, Any]]:
    shards = sorted((output / "data").glob(f"{split}-*.parquet"))
    return [row for shard in shards for row in pq.read_table(io.BytesIO(shard.read_bytes())).to_pylist()]


def test_shards_hold_the_files_as_they_lie(labelled: World, tmp_path: Path) -> None:
    result = labelled.command(tmp_path / "hf", "hf")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"4 images in {tmp_path / 'hf'}"
    train = rows(tmp_path / "hf", "train")
    assert [(row["dataset"], row["name"]) for row in train] == [
        *(("park", key) for key in KEYS["park"]),
        ("yard", "labels/train/c"),
    ]
    for row in [*train, *rows(tmp_path / "hf", "validation")]:
        assert row["image"]["bytes"] == labelled.image(row["dataset"], row["name"]).read_bytes()
        assert row["label"]["bytes"] == labelled.label(row["dataset"], row["name"]).read_bytes()
        grey = labelled.root / f"out/{row['dataset']}/confidence/{row['name']}.png"
        assert (row["confidence"] and row["confidence"]["bytes"]) == (grey.read_bytes() if grey.exists() else None)
    assert json.loads((tmp_path / "hf/id2label.json").read_text()) == {str(i): name for i, name in enumerate(CLASSES)}
    classes = json.loads((tmp_path / "hf/classes.json").read_text())
    assert (classes["source"], classes["void"]) == ("tiny v1", 255)
    assert classes["classes"][0] == {"id": 0, "name": "road", "color": "#804080"}


def test_the_card_of_a_manifest_that_somebody_has_edited(world: World, tmp_path: Path) -> None:
    manifest = world.root / "out/park/manifest.json"
    stated = json.loads(manifest.read_text()) | {"scales": 3, "flips": "x", "threshold": [0.5]}
    manifest.write_text(json.dumps(stated))
    world.export(tmp_path / "out", "folder")
    assert " |  | no | [0.5] | " in (tmp_path / "out/README.md").read_text()


def test_names_that_are_no_text_are_spelt_out(world: World, tmp_path: Path) -> None:
    odd = os.fsdecode(b"a\xff")
    for place in ("park/images", "park/labels", "out/park/labels", "out/park/confidence/labels"):
        (world.root / place / "train/a.png").rename(world.root / place / f"train/{odd}.png")
    records = world.root / "out/park/records-0.jsonl"
    records.write_text(records.read_text().replace('"labels/train/a"', json.dumps(f"labels/train/{odd}")))
    output = tmp_path / os.fsdecode(b'o\xff"')
    assert world.export(output, "hf") == 4
    assert "labels/train/a\\udcff" in [row["name"] for row in rows(output, "train")]
    assert 'load_dataset("o\\udcff\\"", split=' in (output / "README.md").read_text()


def test_the_card_says_where_everything_comes_from(labelled: World, tmp_path: Path) -> None:
    labelled.export(tmp_path / "hf", "hf")
    card = (tmp_path / "hf/README.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    assert "- split: train\n    path: data/train-*.parquet\n" in card
    assert "| `yard v2`, Yard | 1 train, 1 validation | " in card
    assert " | CC-BY 4.0 | https://yard.example |" in card
    assert "| `park v1` | 2 train | " in card
    digest = json.loads((labelled.root / "out/park/manifest.json").read_text())["checkpoint_sha256"]
    digest = digest.removeprefix("none: ")[:12]
    assert re.fullmatch("[0-9a-f]{12}", digest)
    assert f"| park | weights {digest} | 1 | yes | none | {lsu_onto.__version__} |" in card


def test_datasets_loads_it(labelled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="pip install datasets")
    labelled.export(tmp_path / "hf", "hf")
    found = datasets.load_dataset(str(tmp_path / "hf"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(part) for split, part in found.items()} == {"train": 3, "validation": 1}
    for row in found["train"]:
        assert np.array_equal(np.array(row["label"]), read(labelled.label(row["dataset"], row["name"])))
        assert np.array_equal(np.array(row["image"]), read(labelled.image(row["dataset"], row["name"])))
    assert [row["confidence"] is None for row in found["train"]] == [False, False, True]


def test_a_model_of_transformers_trains_on_it(labelled: World, tmp_path: Path) -> None:
    """The loop of `transformers`' example for semantic segmentation, without its arguments."""
    datasets = pytest.importorskip("datasets", reason="pip install datasets")
    import torch
    import transformers

    labelled.export(tmp_path / "hf", "hf")
    names = json.loads((tmp_path / "hf/id2label.json").read_text())
    config = transformers.SegformerConfig(
        **TINY[SEGFORMER],
        id2label={int(i): name for i, name in names.items()},
        label2id={name: int(i) for i, name in names.items()},
        semantic_loss_ignore_index=255,
    )
    model = transformers.SegformerForSemanticSegmentation(config)
    train = datasets.load_dataset(str(tmp_path / "hf"), split="train", cache_dir=str(tmp_path / "cache"))

    def preprocess(batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        images = np.stack([np.array(image.convert("RGB"), np.float32) for image in batch["image"]])
        labels = np.stack([np.array(label, np.int64) for label in batch["label"]])
        return {"pixel_values": torch.from_numpy(images / 255).permute(0, 3, 1, 2), "labels": torch.from_numpy(labels)}

    loader = torch.utils.data.DataLoader(train.with_transform(preprocess), batch_size=3, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        for batch in loader:
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_tar_shards_hold_the_files_as_they_lie(labelled: World, tmp_path: Path) -> None:
    result = labelled.command(tmp_path / "tars", "webdataset")
    assert result.exit_code == 0, result.output
    samples: dict[str, dict[str, bytes]] = {}
    for path in sorted((tmp_path / "tars/data").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                number, _, suffix = member.name.partition(".")
                stream = tar.extractfile(member)
                assert stream
                samples.setdefault(number, {})[suffix] = stream.read()
    assert list(samples) == [f"{i:09d}" for i in range(4)]
    for sample, with_confidence in zip(samples.values(), [True, True, False, False], strict=True):
        about = json.loads(sample["json"])
        assert about["name"] in KEYS[about["dataset"]]
        assert sample["png"] == labelled.image(about["dataset"], about["name"]).read_bytes()
        assert sample["label.png"] == labelled.label(about["dataset"], about["name"]).read_bytes()
        assert ("confidence.png" in sample) == with_confidence


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its files open
def test_webdataset_reads_it_as_the_card_says(labelled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("webdataset", reason="pip install webdataset")
    labelled.export(tmp_path / "tars", "webdataset")
    snippet = (tmp_path / "tars/README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    exec(snippet, names)
    rows = list(names["samples"])
    assert len(rows) == 3
    for image, label, about in rows:
        assert np.array_equal(np.array(label), read(labelled.label(about["dataset"], about["name"])))
        assert image.size == label.size


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_no_program_turns_an_image_away_from_its_label(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lsu_seg.export.orientation import as_stored

    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", 6
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)).save(path, exif=exif)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        path.write_bytes(as_stored(path, before))
    with Image.open(path) as image:
        assert image.getexif().get(0x0112) == 1
        assert image.getexif()[0x010F] == "a camera"
        image.load()
        assert image.size == (30, 20)
    assert len(path.read_bytes()) == len(before)
    assert as_stored(path, path.read_bytes()) == path.read_bytes()


@pytest.mark.parametrize("copy", [False, True])
def test_a_folder_of_links_or_of_copies(labelled: World, tmp_path: Path, copy: bool) -> None:
    assert labelled.export(tmp_path / "out", "folder", copy=copy) == 4
    files = sorted(path for path in (tmp_path / "out").rglob("*.png"))
    assert len(files) == 4 + 4 + 2
    assert {path.is_symlink() for path in files} == {not copy}
    place = tmp_path / "out/labels/train/park/labels/train/a.png"
    assert place.read_bytes() == labelled.label("park", "labels/train/a").read_bytes()
    image = tmp_path / "out/images/validation/yard/labels/val/d.png"
    assert image.read_bytes() == labelled.image("yard", "labels/val/d").read_bytes()
    assert (tmp_path / "out/confidence/train/park/labels/train/b.png").is_file()
    assert (tmp_path / "out/README.md").read_text().startswith("# 2 datasets in the classes of `tiny v1`")


def test_our_own_reader_takes_coco_panoptic_for_the_same_labels(
    labelled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's limit is none of ours
        labelled.export(tmp_path / "coco", "coco-panoptic")
    document = json.loads((tmp_path / "coco/annotations/panoptic_train.json").read_text())
    assert [c["name"] for c in document["categories"]] == CLASSES
    assert document["licenses"][1] == {"id": 2, "name": "CC-BY 4.0", "url": "https://yard.example", "dataset": "yard"}
    assert [image["license"] for image in document["images"]] == [1, 1, 2]
    classes = "".join(f"{i + 1} {name} = {name}\n" for i, name in enumerate(CLASSES))
    keys = "encoding: panoptic-rgb\nvoid: 0\nsplits: train\nimages: images/{split}/{name}/labels/train/{stem}.png\n"
    where = "labels: panoptic_{split}/{name}/labels/train/{stem}.png\nsegments: annotations/panoptic_{split}.json\n"
    (tmp_path / "coco.tax").write_text(f"tax 1\ndataset union v1 -> tiny v1\n{keys}{where}\n{classes}")
    constraint = lsu_onto.load(tmp_path / "coco.tax", paths=[labelled.root / "tax"])
    reader = LabelReader(constraint, root=tmp_path / "coco", split="train")
    pairs = find_pairs(tmp_path / "coco", constraint.layout, "train")
    assert len(pairs) == 3
    for pair in pairs:
        _, name, *key = Path(pair.key).parts
        expected = read(labelled.label(name, "/".join(key)))
        assert np.array_equal(reader.rows(pair.label), np.where(expected == 255, -1, expected.astype(int)))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("to", ["hf", "webdataset", "folder", "coco-panoptic"])
def test_an_export_that_was_stopped_goes_on(
    labelled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    options = {"shard_bytes": 1} if to in ("hf", "webdataset") else {}
    labelled.export(tmp_path / "whole", to, **options)
    for stop in range(4):
        with monkeypatch.context() as patch:
            patch.setattr("lsu_seg.export.run.progress", stopping_after(stop))
            with pytest.raises(Killed):
                labelled.export(tmp_path / "out", to, **options)
        assert not (tmp_path / "out/README.md").exists()
    (tmp_path / "out/.7b-00000000.tmp").write_bytes(b"half a file of a run that was killed")
    written: list[int] = []
    row = to_hf._row
    monkeypatch.setattr(to_hf, "_row", lambda *args: written.append(1) or row(*args))
    files = to_webdataset._files
    monkeypatch.setattr(to_webdataset, "_files", lambda *args: written.append(1) or files(*args))
    image = to_coco._image
    monkeypatch.setattr(to_coco, "_image", lambda *args: written.append(1) or image(*args))
    labelled.export(tmp_path / "out", to, **options)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert len(written) <= 1  # the others were there
    labelled.export(tmp_path / "out", to, **options)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def stopping_after(count: int) -> Any:
    """Progress that ends the process when so many images are done."""
    from contextlib import contextmanager

    @contextmanager
    def progress(title: str, total: int) -> Iterator[Any]:
        left = count

        def advance(n: int = 1, note: str = "") -> None:
            nonlocal left
            left -= n
            if left < 0:
                raise Killed

        yield advance

    return progress


def contents(root: Path) -> dict[str, bytes]:
    card = (root / "README.md").read_text().replace(f'"{root.name}"', '"NAME"')
    files = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    return {**files, "README.md": card.encode()}


def test_what_is_not_finished_is_refused_unless_told(world: World, tmp_path: Path) -> None:
    write_park(world.root / "yard", {"c": [0, 1], "e": [2]}, size=SIZE)
    assert world.export(tmp_path / "out", "folder", unfinished=True) == 4
    result = world.command(tmp_path / "new", "folder")
    assert result.exit_code == 1
    assert "1 images have no label yet, e.g. `labels/train/e`; run the same labelling again" in result.output
    assert "--unfinished" in result.output
    assert not (tmp_path / "new").exists()


def test_an_image_of_several_splits_is_in_each_of_them(world: World, tmp_path: Path) -> None:
    layout = "splits: train trainval\nimages: images/train/{stem}.png\nlabels: labels/train/{stem}.png\n"
    lists = "list: {split}.txt\n"
    (world.root / "tax/park.tax").write_text(f"tax 1\ndataset park v1 -> tiny v1\nvoid: 255\n{layout}{lists}\n{PARK}")
    (world.root / "park/train.txt").write_text("a\n")
    (world.root / "park/trainval.txt").write_text("a\nb\n")
    manifest = world.root / "out/park/manifest.json"
    stated = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**stated, "splits": {"train": "", "trainval": ""}}))
    data, tax = {"": world.root / "park"}, [str(world.root / "tax")]
    assert export_dataset(world.runs[:1], tmp_path / "hf", "hf", data, tax) == 3
    assert [row["name"] for row in rows(tmp_path / "hf", "train")] == KEYS["park"][:1]
    assert [row["name"] for row in rows(tmp_path / "hf", "trainval")] == KEYS["park"]


def test_labels_of_the_teacher_alone_are_called_so(world: World, tmp_path: Path) -> None:
    manifest = world.root / "out/yard/manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "constrained": False}))
    world.export(tmp_path / "out", "folder")
    card = (tmp_path / "out/README.md").read_text()
    assert "The labels of `yard` are the teacher's alone: the dataset's own annotation may contradict them." in card
    assert "Every label lies inside" not in card


def test_labels_that_training_accepts_are_exported(world: World, tmp_path: Path) -> None:
    """`novel` was part of what labels were chosen by; it changes none of them."""
    tax = [str(world.root / "tax")]
    manifest = world.root / "out/park/manifest.json"
    before = lsu_onto.load("park", "tiny", tax).content_sha256("labels", "map", "novel")
    stated = json.loads(manifest.read_text())
    assert stated["meaning_sha256"] != before
    manifest.write_text(json.dumps({**stated, "meaning_sha256": before}))
    assert world.export(tmp_path / "out", "folder") == 4


def test_files_that_have_changed_are_refused(world: World, tmp_path: Path) -> None:
    label = world.label("park", "labels/train/a")
    before = label.read_bytes()
    label.write_bytes(before + b"x")
    with pytest.raises(ExportError, match=r"a\.png: this file is not what the run has written"):
        world.export(tmp_path / "out", "hf")
    label.write_bytes(before)
    shutil.copy(world.image("park", "labels/train/b"), world.image("park", "labels/train/a"))
    with pytest.raises(ExportError, match=r"a\.png: this file has changed since it was labelled"):
        world.export(tmp_path / "out", "hf")


def test_runs_that_do_not_go_together_are_refused(world: World, tmp_path: Path) -> None:
    out, tax = tmp_path / "out", [str(world.root / "tax")]

    def refused(message: str, runs: list[Path], data: dict[str, Path]) -> None:
        with pytest.raises(ExportError, match=message):
            export_dataset(runs, out, "folder", data, tax)
        assert not out.exists()

    refused("nothing says where its images are: --data-root yard=DIR", world.runs, {"park": world.root / "park"})
    refused("--data-root lawn=…: there are labels of park, yard", world.runs, {"lawn": out, "": world.root / "park"})
    shutil.copytree(world.runs[0], world.root / "out/again")
    refused("both have a label of `labels/train/a` of `park`", [*world.runs, world.root / "out/again"], world.data)
    for path in (world.image("park", "labels/train/a"), world.root / "park/labels/train/a.png"):
        path.unlink()
    refused(r"has labels of 1 images that are not in .*park, e\.g\. `labels/train/a`", world.runs, world.data)
    file = world.root / "tax/yard.tax"
    file.write_text(file.read_text().replace("! any", "-> void").replace("> grass tree", "> grass"))
    refused("were made when the taxonomies of yard v2 -> tiny v1 had other classes", world.runs, world.data)


def test_a_folder_belongs_to_one_export(labelled: World, tmp_path: Path) -> None:
    labelled.export(tmp_path / "out", "folder")
    with pytest.raises(ExportError, match="holds an export with other `to`: remove it"):
        labelled.export(tmp_path / "out", "coco-panoptic")
    with pytest.raises(ExportError, match="holds an export with other `to`: remove it"):
        labelled.export(tmp_path / "out", "hf")
    data = {"": labelled.root / "park"}
    with pytest.raises(ExportError, match="holds an export with other labels"):
        export_dataset(labelled.runs[:1], tmp_path / "out", "folder", data, [str(labelled.root / "tax")])
    (tmp_path / "out/.export.json").unlink()
    os.mkfifo(tmp_path / "out/.export.json")  # it never waits for a file to become one
    with pytest.raises(ExportError, match=r"\.export\.json: cannot be read .*remove the folder"):
        labelled.export(tmp_path / "out", "folder")
    with pytest.raises(ExportError, match="holds files that are not of an export: choose an empty folder"):
        labelled.export(labelled.root / "tax", "folder")
    result = labelled.command(labelled.root / "yard/export", "folder")
    assert result.exit_code == 1
    assert "is the folder of the dataset `yard` " in result.output
    assert not (labelled.root / "yard/export").exists()
