"""What labels are made from, changed after they were made: noticed by content, at the price of a look at sizes."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from PIL import Image

import lsu_onto
from helpers.folders import tree
from helpers.forms import FORMS
from helpers.forms import write_tax as write_form_tax
from helpers.tiny import label_config, read, save_checkpoint, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_onto.changes.revisions import changes
from lsu_onto.constraint.npz import save_npz
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.models.hf_models import weight_files
from lsu_seg.openmmlab.registry import TRANSFORMS, register
from lsu_seg.pseudo.errors import OutputError
from lsu_seg.pseudo.inputs import Inputs, Noting, _content, dataset_sha256, modules_sha256
from lsu_seg.pseudo.records import pack, read_records
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.unify.unify import weights

IMAGES = {f"a{i}": [0, 1, 2, 3, 4, 5, ROW_VOID] for i in range(4)}


@pytest.fixture
def park(tmp_path: Path) -> Path:
    """A labelled dataset: `park`, `tax`, `teacher.pth`, and `labels` of it. Its files are of one size, whatever they
    show."""
    write_tax(tmp_path / "tax")
    write_park(tmp_path / "park", IMAGES)
    save_checkpoint(tmp_path / "teacher.pth")
    for file in (tmp_path / "park").rglob("*.png"):
        rewrite(file, read(file))
        os.utime(file, (1e9, 1e9))  # long ago
    assert run(tmp_path)["images"] == 4
    return tmp_path


def config(root: Path, park: str = "park", labels: str = ".", **options: Any) -> Config:
    dataset = dict(taxonomy=str(root / "tax/park.tax"), data_root=str(root / park), split="train")
    return label_config(dataset, root / labels, **{"flips": (False,), **options})


def run(root: Path, *names: str, **options: Any) -> dict[str, float]:
    return pseudo_label(config(root, *names, **options), root / "teacher.pth", quiet=True)


def rewrite(file: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(file, compress_level=0)


def stems(root: Path, before: dict[str, bytes]) -> set[str]:
    return {Path(name).stem for name, data in tree(root / "labels").items() if before.get(name) != data}


@pytest.mark.parametrize("folder", ["labels", "images"])
@pytest.mark.parametrize("same_size", [True, False])
def test_a_file_corrected_in_place_is_labelled_anew(
    park: Path, folder: str, same_size: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    before, file = tree(park / "labels"), park / f"park/{folder}/train/a2.png"
    pixels, size = read(file).copy(), file.stat().st_size
    pixels[:12] = 3 if folder == "labels" else 0
    rewrite(file, pixels)
    if not same_size:
        Image.fromarray(pixels).save(file)
    assert (file.stat().st_size == size) == same_size
    assert run(park)["images"] == 1
    said = capfd.readouterr().err
    assert f"{park / 'labels'}: 1 images or their annotations have changed since" in said
    assert "(labels/train/a2): they are labelled anew" in said
    assert stems(park, before) == {"a2"}
    assert run(park, "park", "fresh")["images"] == 4
    assert tree(park / "labels") == tree(park / "fresh/labels")
    assert run(park)["images"] == 0  # and the new labels are known
    assert "changed" not in capfd.readouterr().err


def test_raw_labels_are_made_anew_too(park: Path) -> None:
    raw = dict(raw_dir=str(park / "raw"))
    run(park, **raw)
    before = tree(park / "raw")
    rewrite(park / "park/images/train/a1.png", 255 - read(park / "park/images/train/a1.png"))
    run(park, **raw)
    assert {name for name, data in tree(park / "raw").items() if before[name] != data} == {"labels/train/a1.png"}


def test_a_copy_and_a_touched_file_hold_the_same(park: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = tree(park / "labels")
    shutil.copytree(park / "park", park / "copy", copy_function=shutil.copyfile)
    for file in park.rglob("copy/*/train/a?.png"):
        os.utime(file, (1, 1))
    assert run(park, "copy")["images"] == 0
    assert tree(park / "labels") == before
    assert "changed" not in capfd.readouterr().err


def test_files_that_keep_size_and_time_are_not_read(park: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsu_seg.pseudo.inputs._content", lambda path, *_: pytest.fail(f"{path} was read"))
    assert run(park)["images"] == 0


def test_a_copy_is_read_once(park: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = {r["key"]: r for r in read_records(park / "labels")}
    shutil.copytree(park / "park", park / "copy", copy_function=shutil.copyfile)
    for file in park.rglob("copy/*/train/a?.png"):
        os.utime(file, (1, 1))
    assert run(park, "copy")["images"] == 0
    monkeypatch.setattr("lsu_seg.pseudo.inputs._content", lambda path, *_: pytest.fail(f"{path} was read"))
    assert run(park, "copy")["images"] == 0
    again = list(read_records(park / "labels"))
    assert len(again) == 8
    for record in again[4:]:
        inputs = {name: [size, 10**9, content] for name, (size, _, content) in record["inputs"].items()}
        assert record == records[record["key"]] | {"inputs": inputs}


def noting(root: Path) -> tuple[TaxDataset, Inputs]:
    cfg = config(root).test_dataloader.dataset
    dataset = TaxDataset(**{key: value for key, value in cfg.items() if key != "type"})
    dataset.pipeline = Noting(dataset.pipeline)
    return dataset, Inputs(dataset, {KEY: 0})


KEY = "labels/train/a0"


def test_a_file_that_changes_while_it_is_labelled_is_not_taken_for_the_old_one(park: Path) -> None:
    label = park / "park/labels/train/a0.png"
    dataset, inputs = noting(park)
    states = dataset[0]["data_samples"].states
    steady = inputs.record(KEY, states)
    assert inputs.compare(KEY, pack(steady)) == steady and not inputs.unsteady
    assert [r["inputs"] for r in read_records(park / "labels") if r["key"] == KEY] == [steady]
    rewrite(label, np.roll(read(label), 1))
    changed = inputs.record(KEY, states)
    assert inputs.unsteady == {KEY}
    assert changed["label"][2] == "" and changed["image"] == steady["image"]
    assert inputs.compare(KEY, pack(changed)) is None and inputs.compare(KEY, pack(steady)) is None
    assert inputs.compare(KEY, pack(None)) is None and inputs.compare(KEY, pack({"image": [1, 2, "no"]})) is None


def test_a_file_that_changes_within_a_tick_is_not_taken_for_the_old_one(
    park: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its time, which has become one that tells when the record is written."""
    label = park / "park/labels/train/a0.png"
    dataset, inputs = noting(park)
    monkeypatch.setattr("lsu_seg.pseudo.inputs._TICK_NS", 10**18)
    states = dataset[0]["data_samples"].states
    monkeypatch.undo()
    steady = inputs.record(KEY, states)
    assert steady["label"][1] == 0 and not inputs.unsteady
    rewrite(label, np.roll(read(label), 1))
    os.utime(label, (1e9, 1e9))
    assert inputs.record(KEY, states)["label"][1:] == [0, ""]
    assert inputs.unsteady == {KEY}


def test_a_time_of_0_is_a_time(park: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some archives give it to all files."""
    label = park / "park/labels/train/a0.png"
    dataset, inputs = noting(park)
    with monkeypatch.context() as patch:
        patch.setattr("lsu_seg.pseudo.inputs._TICK_NS", 10**18)
        unsettled = inputs.record(KEY, dataset[0]["data_samples"].states)
    before = read(label).copy()
    rewrite(label, np.roll(before, 1))
    os.utime(label, (0, 0))
    assert inputs.compare(KEY, pack(unsettled)) is None
    rewrite(label, before)
    os.utime(label, (0, 0))
    _content.cache_clear()  # a run never sees two files of one time
    settled = inputs.compare(KEY, pack(unsettled))
    assert settled is not None and settled["label"] == [unsettled["label"][0], 1, unsettled["label"][2]]
    monkeypatch.setattr("lsu_seg.pseudo.inputs.file_sha256", lambda path: pytest.fail(f"{path} was read"))
    assert inputs.compare(KEY, pack(settled)) == settled


@register(TRANSFORMS)
class Meddle(BaseTransform):
    """Changes a label that is read later, and an image that has just been read."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        path = Path(results["img_path"])
        if path.stem == "a0":
            later = Path(results["seg_map_path"]).with_name("a3.png")
            rewrite(later, np.roll(read(later), 1))
        if path.stem == "a1":
            rewrite(path, 255 - read(path))
        return results


def test_only_what_changes_after_it_was_read_is_labelled_again(park: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = dict(labels="fresh", raw_dir=str(park / "raw"))
    cfg = config(park, **options)
    cfg.test_dataloader.dataset.pipeline.insert(2, dict(type="Meddle"))
    assert pseudo_label(cfg, park / "teacher.pth", quiet=True)["images"] == 4
    said = capfd.readouterr().err
    assert said.count("while they were labelled") == 1
    assert "1 images or their annotations were changed while they were labelled: run the same command again" in said
    for folder in ("fresh/labels", "raw"):
        unknown = {r["key"] for r in read_records(park / folder) if not all(c for *_, c in r["inputs"].values())}
        assert unknown == {"labels/train/a1"}


def test_tables_that_explain_labels_count_by_content(tmp_path: Path) -> None:
    form = next(form for name, form in FORMS.items() if "panoptic" in name)
    drawn = np.kron(np.arange(6).reshape(2, 3), np.ones((8, 8), int))
    form.write(tmp_path / "data", "train", {"x": drawn})
    taxonomy = write_form_tax(tmp_path / "tax", form)

    def digests() -> dict[str, str]:
        return dataset_sha256(TaxDataset(taxonomy, str(tmp_path / "data"), "train", pipeline=[]))

    before = digests()
    [table] = TaxDataset(taxonomy, str(tmp_path / "data"), "train", pipeline=[]).annotation.reader.tables()
    os.utime(table, (1, 1))
    assert digests() == before
    text = table.read_text()
    first = json.loads(text)["annotations"][0]["segments_info"][0]["category_id"]
    changed = text.replace(f'"category_id": {first}', f'"category_id": {first % 9 + 1}', 1)
    assert len(changed) == len(text) and changed != text
    table.write_text(changed)
    assert [name for name, digest in digests().items() if digest != before[name]] == ["tables"]


def test_another_image_is_told(park: Path) -> None:
    for folder in ("images", "labels"):
        shutil.copy(park / f"park/{folder}/train/a0.png", park / f"park/{folder}/train/b0.png")
    with pytest.raises(OutputError, match=r"settings:\n  images of the split `train` were added, removed or renamed\n"):
        run(park)


def test_a_taxonomy_counts_by_what_it_says(park: Path) -> None:
    taxonomy = park / "tax/park.tax"
    constraint = lsu_onto.load(taxonomy)
    taxonomy.write_text(taxonomy.read_text() + "# a remark\n")
    assert run(park)["images"] == 0
    compiled = park / "tax/park.npz"
    save_npz(constraint, compiled)
    cfg = config(park)
    cfg.test_dataloader.dataset.taxonomy = str(compiled)
    assert pseudo_label(cfg, park / "teacher.pth", quiet=True)["images"] == 0
    with np.load(compiled) as file:
        arrays = dict(file)
    assert arrays["raw"].tolist() == [1, 2, 3, 4, 5, 6, 255]
    arrays["raw"][5] = 7  # as nobody should
    np.savez(compiled, **arrays)
    changed = lsu_onto.load(compiled)
    assert changed.sha256 == constraint.sha256
    assert changed.content_sha256() != constraint.content_sha256()
    with pytest.raises(OutputError, match=r"settings:\n  taxonomies_sha256: there"):
        pseudo_label(cfg, park / "teacher.pth", quiet=True)


def test_the_bits_of_images_count(park: Path) -> None:
    taxonomy = park / "tax/park.tax"
    taxonomy.write_text(taxonomy.read_text().replace("splits:", "image-bits: 12\nsplits:"))
    with pytest.raises(OutputError, match=r"settings:\n  taxonomies_sha256: there"):
        run(park)


def test_a_normalisation_beside_the_model_counts(park: Path) -> None:
    cfg = config(park)
    cfg.data_preprocessor = cfg.model.pop("data_preprocessor")
    assert pseudo_label(cfg, park / "teacher.pth", quiet=True)["images"] == 0  # the same model
    cfg.data_preprocessor.mean = [10.0, 200.0, 30.0]
    with pytest.raises(OutputError, match=r"settings:\n  model_sha256: there"):
        pseudo_label(cfg, park / "teacher.pth", quiet=True)


def test_the_normalisation_of_a_hugging_face_folder_belongs_to_its_files(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    assert [f.name for f in weight_files(tmp_path)] == ["config.json", "model.safetensors"]
    (tmp_path / "preprocessor_config.json").touch()
    assert [f.name for f in weight_files(tmp_path)] == [
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    ]


def test_a_stage_depends_on_the_weights_that_its_config_names(tmp_path: Path) -> None:
    for name in ("a.pth", "b.pth", "hf/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    init = [dict(type="Pretrained", checkpoint=str(tmp_path / "b.pth"))]
    model = dict(hf=dict(pretrained=str(tmp_path / "hf")), backbone=dict(init_cfg=init), pretrained=None)
    cfg = dict(load_from=str(tmp_path / "a.pth"), model=model, default_hooks=dict(checkpoint=dict(interval=1)))
    seen = [weights(cfg)]
    for name in ("a.pth", "b.pth", "hf/config.json"):
        (tmp_path / name).write_text("2")
        seen.append(weights(cfg))
    assert len({str(w) for w in seen}) == 4
    assert weights(dict(load_from="https://host/a.pth", resume=True)) == []


def test_a_file_that_was_changed_just_now_is_known_by_its_content_alone(
    park: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may change once more without another time, where the file system's clock ticks slowly."""
    monkeypatch.setattr("lsu_seg.pseudo.inputs._TICK_NS", 10**15)  # however slow this machine is
    label = park / "park/labels/train/a0.png"
    rewrite(label, np.roll(read(label), 1))
    assert run(park)["images"] == 1
    latest = [r for r in read_records(park / "labels") if r["key"] == "labels/train/a0"][-1]["inputs"]
    assert latest["label"][1] == 0 and latest["image"][1] == 10**18
    stat = label.stat()
    rewrite(label, np.roll(read(label), 1))
    os.utime(label, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert run(park)["images"] == 1
    assert run(park)["images"] == 0


def test_training_refuses_labels_of_another_meaning(park: Path) -> None:
    taxonomy = park / "tax/park.tax"

    def dataset() -> TaxDataset:
        return TaxDataset(str(taxonomy), str(park / "park"), "train", labels=str(park / "labels"), pipeline=[])

    assert len(dataset()) == 4
    text = taxonomy.read_text()
    taxonomy.write_text(text.replace("#805080", "#805081") + "# a remark\n")
    assert len(dataset()) == 4
    taxonomy.write_text(text.replace("= sky", "< sky"))
    with pytest.raises(DatasetError, match="park v1 -> tiny v1 had other classes, values or relations; label again"):
        dataset()
    taxonomy.write_text(text.replace("dataset park v1", "dataset park v2"))
    with pytest.raises(DatasetError, match="are of park v1 -> tiny v1, and not park v2 -> tiny v1; label again"):
        dataset()
    (park / "labels/manifest.json").write_text("{}")
    assert len(dataset()) == 4


def test_labels_are_refused_where_changes_says_that_they_are_stale(park: Path) -> None:
    taxonomy, old = park / "tax/park.tax", park / "tax/old.tax"
    text = taxonomy.read_text()
    old.write_text(text)
    breaking = {}
    for was, now in (
        ("= road", "< road"),
        ("= road", "> road"),  # all that S(d) has is one class, so it says no more
        ("> grass tree", "> tree grass"),
        ("> grass tree", "> grass  ~ tree"),
        ("~ car void", "> car ~ void"),
        ("~ car void", "~ car"),
        ("! any", "-> void"),
        ("-> any ! sky", "-> any"),
        ("~ car void", "-> any ! road grass tree sky"),
    ):
        taxonomy.write_text(text.replace(was, now))
        found, _ = changes(str(taxonomy), str(old))
        breaking[now] = bool(found)
        try:
            TaxDataset(str(taxonomy), str(park / "park"), "train", labels=str(park / "labels"), pipeline=[])
        except DatasetError as error:
            assert found, (was, now, error)
        else:
            assert not found, (was, now, found)
    assert [now for now in breaking if not breaking[now]] == ["> road", "> tree grass", "-> void"]


def test_modules_of_the_user_count_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_module.py").write_text("A = 1\n")
    (tmp_path / "own_package").mkdir()
    for name in ("__init__", "part"):
        (tmp_path / f"own_package/{name}.py").write_text("B = 1\n")
    imports = ["lsu_seg", "lsu_seg.losses", "own_module", "own_package", "there_is_none", "there_is.none"]
    seen = [modules_sha256(dict(custom_imports=dict(imports=imports)))]
    assert seen[0].keys() == {"own_module", "own_package"}
    (tmp_path / "own_module.py").write_text("A = 2\n")
    seen.append(modules_sha256(dict(custom_imports=dict(imports=imports))))
    (tmp_path / "own_package/part.py").write_text("B = 2\n")
    seen.append(modules_sha256(dict(custom_imports=dict(imports=imports))))
    assert [a["own_module"] == b["own_module"] for a, b in itertools.pairwise(seen)] == [False, True]
    assert [a["own_package"] == b["own_package"] for a, b in itertools.pairwise(seen)] == [True, False]
    assert modules_sha256({}) == modules_sha256(dict(custom_imports=dict(imports="lsu_seg"))) == {}
