"""`lsu-seg review`: a real labelling, out to each tool, corrected, and in again."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.reviewed import CAR, GRASS, GREEN, SKY, TREE, Edit, Reviewed, corrected
from helpers.tiny import CLASSES, VOID, read
from lsu_seg.export.run import export_dataset
from lsu_seg.pseudo.corrections import Corrections, corrections_of, corrections_state, has_corrections
from lsu_seg.pseudo.errors import OutputError
from lsu_seg.pseudo.output import OutputFolder
from lsu_seg.pseudo.records import finished, read_records
from lsu_seg.pseudo.sample import read_sample
from lsu_seg.review import TOOLS, take


def painting(world: Reviewed, stem: str, row: int, channel: int) -> Edit:
    """Paint all pixels of a row with a class."""
    return lambda labels: np.where(world.rows[stem] == row, channel, labels)


def test_tasks_show_what_the_teacher_was_least_sure_of(world: Reviewed) -> None:
    first, again = world.export(images=2), world.export(images=2, name="again")
    assert (first / "review.json").read_text() == (again / "review.json").read_text()
    images = json.loads((first / "review.json").read_text())["images"]
    assert len(images) == 2
    counts = np.zeros(6, int)
    for stem in world.rows:
        labels = world.label(stem)
        counts += np.bincount(np.where(labels == VOID, 5, labels).ravel(), minlength=6)
    rarest = min(range(6), key=lambda c: (counts[c], c))
    doubt = {
        stem: float(((255 - world.label(stem, "confidence").astype(float)) * (world.label(stem) == rarest)).sum())
        for stem in world.rows
    }
    assert images[0]["chosen_for"] == ["road", "grass", "tree", "sky", "car", "void"][rarest]
    assert images[0]["key"] == f"labels/train/{max(doubt, key=lambda stem: doubt[stem])}"
    for region in images[0]["regions"]:
        x, y, width, height = region["box"]
        tile = (slice(y, y + height), slice(x, x + width))
        assert world.label(Path(images[0]["key"]).stem, "confidence")[tile].mean() < 255 * 0.95
    for image in images:
        stem = Path(image["key"]).stem
        assert (
            read(first / "images" / image["file"]).tolist()
            == read(world.root / f"park/images/train/{stem}.png").tolist()
        )
        assert (world.corrections / f"shown/{image['key']}.png").read_bytes() == world.path(stem).read_bytes()
    image = first / "images" / images[0]["file"]
    before = image.read_bytes()
    image.write_bytes(b"")  # a power cut
    world.export(images=2)
    assert image.read_bytes() == before
    kept = world.corrections / "doubt.jsonl"
    assert len(kept.read_text().splitlines()) == 3  # the second export read no label
    first_line, second_line, third_line = kept.read_text().splitlines()
    kept.write_text(
        first_line.replace('"pixels": {"', '"pixels": {"-1')
        + re.sub('("pixels": {"[0-9]+": )[0-9]+', r"\g<1>1e308", f"\n{second_line}\n")
        + re.sub('("doubt": {"[0-9]+": )[0-9.]+', r"\g<1>1e308", f"{third_line}\n")
        + '{"of": "x", "pixels": {"0": []}}\n{'
    )
    damaged = world.export(images=2, name="damaged")
    assert len(kept.read_text().splitlines()) == 5 + 3  # the three are read again
    assert (damaged / "review.json").read_text() == (first / "review.json").read_text()


def test_without_confidence_the_open_pixels_are_in_doubt(world: Reviewed) -> None:
    shutil.rmtree(world.root / "labels")
    world.label_again(confidence=False)
    images = json.loads((world.export() / "review.json").read_text())["images"]
    assert len(images) == 3
    for image in images:
        rows = world.rows[Path(image["key"]).stem]
        for region in image["regions"]:
            x, y, width, height = region["box"]
            assert np.isin(rows[y : y + height, x : x + width], [GREEN, 3, 5]).any()
            assert 0 < region["confidence"] < 1


@pytest.mark.parametrize("tool", TOOLS)
def test_corrections_become_the_labels(world: Reviewed, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {stem: world.label(stem) for stem in world.rows}
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's limit is none of ours
        tasks = world.export(tool)
    returned = corrected(
        tasks, {"a1": painting(world, "a1", GREEN, TREE), "a2": lambda labels: np.full_like(labels, VOID)}
    )
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        taken = {image["key"]: image for image in world.take(returned)}
    expected = np.where(world.rows["a1"] == GREEN, TREE, before["a1"])
    changed = expected != before["a1"]
    assert changed.any()
    assert taken["labels/train/a1"]["changed"] == np.count_nonzero(changed)
    assert taken["labels/train/a0"]["changed"] == 0
    assert [key for key, image in taken.items() if image["blank"]] == ["labels/train/a2"]
    assert (world.label("a1") == expected).all()
    assert (world.label("a0") == before["a0"]).all()
    assert (world.label("a2") == VOID).all()
    assert (world.label("a1", "confidence")[changed] == 255).all()
    assert (world.label("a1", "uncorrected") == before["a1"]).all()
    assert len(finished(world.root / "labels")) == 3
    assert has_corrections(world.root / "labels")
    record = {r["key"]: r for r in read_records(world.root / "labels")}["labels/train/a2"]
    assert record["void"] == record["pixels"]
    assert record["correction"]["pixels"] == np.count_nonzero(before["a2"] != VOID)
    lines = [json.loads(line) for line in (world.corrections / "corrections.jsonl").read_text().splitlines()]
    line = next(line for line in lines if line.get("file") and line["key"] == "labels/train/a1")
    assert line["tool"] == tool
    assert line["by"] == ("ann@example.org" if tool == "labelstudio" else line["by"]) != ""
    assert line["time"].startswith("2026-01-02" if tool == "labelstudio" else "20")
    assert read_sample(world.root / "labels").images == 3  # what was kept for an audit is of the teacher's own labels


def test_whoever_reads_the_labels_sees_them_corrected(world: Reviewed, tmp_path: Path) -> None:
    from lsu_seg.data.datasets import TaxDataset

    before = world.label("a1")
    world.take(corrected(world.export(), {"a1": painting(world, "a1", GREEN, TREE)}))
    where = dict(data_root=str(world.root / "park"), split="train", labels=str(world.root / "labels"))
    dataset = TaxDataset(taxonomy=str(world.root / "tax/park.tax"), unsure=0.5, pipeline=[], **where)
    classes, is_set = dataset.targets(1)
    changed = (world.rows["a1"] == GREEN) & (before != TREE)
    assert (classes[changed] == TREE).all()
    assert not is_set[changed].any()
    assert is_set[(world.rows["a1"] == GREEN) & ~changed].any()  # what was not painted over is still the teacher's
    count = export_dataset(
        [world.root / "labels"], tmp_path / "out", "folder", {"": world.root / "park"}, [str(world.root / "tax")]
    )
    assert count == 3
    assert (read(tmp_path / "out/labels/train/park/labels/train/a1.png") == world.label("a1")).all()
    assert "People have corrected labels: 1 of `park`." in (tmp_path / "out/README.md").read_text()


def test_what_the_annotation_does_not_allow_is_refused_with_its_place(world: Reviewed) -> None:
    before = world.tree()
    tasks = world.export()
    y, x = np.argwhere(world.rows["a1"] == SKY)[0]

    def edit(labels: np.ndarray) -> np.ndarray:
        labels = painting(world, "a1", GREEN, TREE)(labels)
        labels[y : y + 2, x] = CAR
        return labels

    returned = corrected(tasks, {"a1": edit, "a2": painting(world, "a2", -1, GRASS)})
    message = world.refused(returned)
    assert f"park labels/train/a1 at x {x}, y {y}: found `car`, and `sky` allows `sky`, `void` (2 pixels)" in message
    assert "found `grass`, and nothing is annotated there: only void is allowed" in message
    assert "`--clip` leaves out the pixels" in message
    assert world.tree() == before
    taken = {image["key"]: image for image in world.take(returned, "--clip")}
    after = world.tree()
    world.take(returned, "--clip")
    assert world.tree() == after  # the same once more
    assert taken["labels/train/a1"]["left_out"] == 2
    expected = np.where(world.rows["a1"] == GREEN, TREE, read(world.path("a1", "uncorrected")))
    assert (world.label("a1") == expected).all()


def test_a_second_look_replaces_the_first(world: Reviewed) -> None:
    tasks = world.export()
    before = world.label("a1")
    green, thing = world.rows["a1"] == GREEN, world.rows["a1"] == 3
    world.take(corrected(tasks, {"a1": painting(world, "a1", GREEN, TREE)}))
    world.take(corrected(tasks, {"a1": painting(world, "a1", 3, VOID)}))  # the same task, done otherwise
    assert (world.label("a1")[green] == before[green]).all()
    assert (world.label("a1")[thing] == VOID).all()
    later = world.root / "later"
    result = world.command("export", world.root / "labels", "--to", "cvat", "-o", later)
    assert "labels: people have looked at 3 of 3 labels: there is nothing to look at" in result.output
    assert not later.exists()


def test_a_later_export_adds_to_what_was_corrected(world: Reviewed) -> None:
    before = world.label("a1")
    first = world.export()
    world.take(corrected(first, {"a1": painting(world, "a1", GREEN, TREE)}))
    corrected_first = (world.rows["a1"] == GREEN) & (before != TREE)
    shutil.rmtree(world.root / "labels")
    world.label_again(threshold=0.7)  # as good as another teacher, whose labels nobody has looked at
    later = world.export(name="later")
    assert "was shown with another label than that of the latest export" in world.refused(first / "corrected.xml")
    world.take(corrected(later, {"a1": painting(world, "a1", 0, VOID)}))
    assert (world.label("a1")[corrected_first] == TREE).all()
    assert (world.label("a1")[world.rows["a1"] == 0] == VOID).all()
    assert world.label("a1", "uncorrected").tolist() != before.tolist()


def test_corrections_survive_a_new_labelling(world: Reviewed, capfd: pytest.CaptureFixture[str]) -> None:
    edits = {stem: painting(world, stem, GREEN, TREE if stem == "a1" else GRASS) for stem in world.rows}
    world.take(corrected(world.export(), edits))
    after = world.tree()
    assert world.label_again()["images"] == 0
    shutil.rmtree(world.root / "labels")
    assert world.label_again()["images"] == 3
    assert world.tree() == after
    assert has_corrections(world.root / "labels")
    assert capfd.readouterr().err.count("annotation") == 0

    annotation = world.root / "park/labels/train/a1.png"
    pixels = read(annotation).copy()
    was_green = world.rows["a1"] == GREEN
    pixels[was_green & (np.arange(24)[:, None] < 12)] = 3  # the upper half is sky now
    Image.fromarray(pixels).save(annotation)
    (world.corrections / "labels/train/a2.png").unlink()
    for kind in ("images", "labels"):
        path = world.root / f"park/{kind}/train/a0.png"
        Image.fromarray(read(path)[:16]).save(path)
    assert world.label_again()["images"] == 3
    said = capfd.readouterr().err
    changed = "labels/train/a0, labels/train/a1"
    assert f"the annotations of 2 images have changed since people corrected their labels ({changed})" in said
    left_out = np.count_nonzero(was_green[:12] & (read(world.path("a1", "uncorrected"))[:12] == 3))
    assert left_out
    assert f"corrected pixels of 2 images ({changed}) are not what their annotations allow" in said
    assert world.label("a0").shape == (16, 40)
    assert world.label_again()["images"] == 0
    assert "the corrections of 1 images have changed since they were labelled (labels/train/a2)" in said
    assert (world.label("a1")[12:][was_green[12:]] == TREE).all()
    assert (world.label("a1")[:12][was_green[:12]] == 3).all()
    assert not world.path("a2", "uncorrected").exists()


def test_mistakes_are_refused_and_nothing_is_taken(labelled: Reviewed, tmp_path: Path) -> None:
    before, tasks = labelled.tree(), labelled.export("labelstudio")
    other, first, second = json.loads((tasks / "tasks.json").read_text())
    other["data"]["name"] = "other"
    first["data"]["label_sha256"] = "0" * 64
    for number, task in enumerate((other, first, second)):
        task |= {"id": number, "annotations": [{"result": []}]}
    (tmp_path / "a.json").write_text(json.dumps([other, first, second, second]))
    message = labelled.refused(tmp_path / "a.json")
    assert "a.json: nothing is taken; problems: 3" in message
    assert "task 0: no image of" in message
    assert (
        "has the name `other`; name all folders that were exported (`--work`), and leave files their names" in message
    )
    assert "was shown with another label than that of the latest export" in message
    assert f"task 2: `{second['data']['name']}` is there twice; leave one of the two out" in message
    assert "--clip" not in message  # would not help
    third = {**second, "annotations": []}
    (tmp_path / "a.json").write_text(json.dumps([third]))
    assert "no image in it has been looked at; submit or save them" in labelled.refused(tmp_path / "a.json")
    assert "these are the tasks of `lsu-seg review export`" in labelled.refused(
        labelled.export("cvat", name="as they were")
    )
    assert "nobody has changed any; name what the tool has exported" in labelled.refused(labelled.export("fiftyone"))
    assert labelled.tree() == before
    assert not list(labelled.corrections.glob("labels/**/*.png"))


def test_other_classes_and_damaged_corrections_are_refused(world: Reviewed) -> None:
    world.take(corrected(world.export(), {"a1": painting(world, "a1", GREEN, TREE)}))
    with pytest.raises(OutputError, match=r"has corrections in the classes of `tiny v1`, and the labels are in those"):
        Corrections(world.corrections, "tiny v2", ["road"])
    lines = world.corrections / "corrections.jsonl"
    before = lines.read_text()
    lines.write_text(before.partition("\n")[2])
    assert "the first line, which says of what classes the corrections are, is missing" in world.refused(lines)
    lines.write_text(before)
    (world.corrections / "labels/train/a1.png").write_bytes(b"x")
    with pytest.raises(OutputError, match=r"a1\.png: these corrections are not what `lsu-seg review import` has"):
        Corrections(world.corrections, "tiny v1", CLASSES).of("labels/train/a1")


def test_corrections_lie_where_no_new_labelling_removes_them(tmp_path: Path) -> None:
    assert corrections_of("out/idd") == Path("out/idd.corrections").absolute()
    stage = tmp_path / "work/pseudo/town"
    stage.mkdir(parents=True)
    (stage / "stage.json").write_text("{}")
    assert corrections_of(stage / "constrained") == tmp_path / "work/corrections/town"
    assert corrections_state(stage / "constrained") == []


def test_an_import_that_was_stopped_is_done_again(world: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    before = world.label("a1")
    green = world.rows["a1"] == GREEN
    returned = corrected(world.export(), {"a1": lambda labels: np.where(green, TREE, labels)})
    with monkeypatch.context() as patch:
        patch.setattr(OutputFolder, "correct", stopped)
        result = world.command("import", returned, "--work", world.root / "labels")
    assert result.exit_code == 130
    assert "interrupted; what is written is kept, and the same command goes on after it" in result.output
    assert (world.label("a1") == before).all()
    assert not has_corrections(world.root / "labels")
    world.take(returned)
    assert (world.label("a1") == np.where(green, TREE, before)).all()
    assert has_corrections(world.root / "labels")


def test_an_import_that_was_stopped_before_its_file_was_there_is_done_again(
    world: Reviewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = world.export(images=1)
    (image,) = json.loads((tasks / "review.json").read_text())["images"]
    key, stem = image["key"], Path(image["key"]).stem
    before, green, thing = world.label(stem), world.rows[stem] == GREEN, world.rows[stem] == 3
    world.take(corrected(tasks, {stem: lambda labels: np.where(green, TREE, labels)}))
    returned = corrected(tasks, {stem: lambda labels: np.where(thing, VOID, labels)})
    with monkeypatch.context() as patch:
        patch.setattr("lsu_seg.pseudo.corrections.write_atomic", stopped)
        assert world.command("import", returned, "--work", world.root / "labels").exit_code == 130
    corrections = Corrections(world.corrections, "tiny v1", CLASSES)
    with pytest.raises(OutputError, match="import them again"):
        corrections.of(key)
    _, earlier = corrections.in_place(key)
    assert earlier is not None
    assert (earlier.pixels == (green & (before != TREE))).all()
    world.take(returned)
    assert (world.label(stem) == np.where(thing, VOID, before)).all()


def test_an_import_does_not_replace_what_another_one_takes_meanwhile(
    world: Reviewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    green = world.rows["a1"] == GREEN
    tasks = world.export()
    first = corrected(tasks, {"a1": lambda labels: np.where(green, TREE, labels)}).rename(tasks / "first.xml")
    second = corrected(tasks, {"a1": lambda labels: np.full_like(labels, VOID)})

    def after_another(*arguments: Any, **options: Any) -> OutputFolder:
        patch.undo()
        world.take(first)
        return OutputFolder(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("lsu_seg.review.take.OutputFolder", after_another)
        assert "another import has corrected some of these images meanwhile (labels/train/a0, " in world.refused(second)
    assert (world.label("a1")[green] == TREE).all()
    result = world.command("import", second, "--work", world.root / "labels", json_=False)
    assert "warning: nothing is painted on 1 images, so their pixels are void now" in result.output
    assert (world.label("a1") == VOID).all()


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_full_disk_is_said_with_the_folder_even_when_the_spool_is_closed(tmp_path: Path) -> None:
    spool = take._Spool(tmp_path)
    spool.close()
    spool._file = open("/dev/full", "wb")  # noqa: SIM115, PTH123 - closed below, which fails
    with pytest.raises(OSError, match=re.escape(f"No space left on device: '{tmp_path}'")), closing(spool):
        spool.put(b"x")
