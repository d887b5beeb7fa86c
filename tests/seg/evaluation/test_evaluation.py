"""Evaluation: against scikit-learn, on one to three ranks, and its files and comparisons."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import confusion_matrix, jaccard_score

from helpers.counted import PRED, ROWS, SOURCE, WORLD
from helpers.forkserver import Server
from helpers.worlds import make_constraint
from lsu_onto import Constraint
from lsu_seg.cli import main
from lsu_seg.evaluation import bootstrap, files
from lsu_seg.evaluation.compare import as_text, compare
from lsu_seg.evaluation.counts import confusion, iou_summary, row_counts
from lsu_seg.evaluation.document import document
from lsu_seg.evaluation.errors import EvaluationError
from lsu_seg.evaluation.measured import Measured, sums_of_image
from lsu_seg.evaluation.picture import confusion_picture
from lsu_seg.evaluation.text import table
from lsu_seg.evaluation.views import possible, projected_summary, scored_rows


def measured(
    seed: int,
    right: float,
    images: int = 30,
    views: tuple = ("source", "projected", "set"),
    constraint: Constraint = WORLD,
) -> Measured:
    """A model that is right with a probability; truth and keys do not depend on the model."""
    counts, sums, keys = {}, [], []
    for i in range(images):
        rng = np.random.default_rng([1, i])
        truth = torch.from_numpy(rng.integers(0, 4, 200))
        rows = torch.tensor([0, 2, 1, 1])[truth]
        model = np.random.default_rng([seed, i])
        pred = np.where(model.random(200) < right, truth, model.integers(0, 4, 200))
        pred = torch.from_numpy(pred)
        one = {"source": confusion(pred, truth, 4), "rows": row_counts(pred, rows, 5, 4)}
        counts = {k: counts.get(k, 0) + v for k, v in one.items()}
        keys.append(f"{i:03d}")
        sums.append(sums_of_image(one, constraint, constraint.groups))
    stacked = {v: np.stack([s[v] for s in sums]) for v in sums[0]}
    return Measured("src", tuple(SOURCE), views, counts, constraint, tuple(keys), stacked, constraint.groups)


@pytest.mark.parametrize("k", [2, 19, 124])
def test_scikit_learn_agrees(k: int) -> None:
    rng = np.random.default_rng(k)
    truth, pred = rng.integers(0, k - 1, 5000), rng.integers(0, k, 5000)  # class k - 1 is absent
    counts = confusion(torch.from_numpy(pred), torch.from_numpy(truth), k)
    assert np.array_equal(counts[:-1, :-1], confusion_matrix(truth, pred, labels=range(k)))
    expected = jaccard_score(truth, pred, labels=range(k), average=None, zero_division=0)
    np.testing.assert_allclose(iou_summary(counts)["per_class"][: k - 1], expected[: k - 1], rtol=1e-12)
    assert iou_summary(counts)["miou"] == pytest.approx(expected[: k - 1].mean())


def test_the_bootstrap_is_a_resampling_of_images() -> None:
    sums = measured(2, 0.8).sums["source"]
    draws = bootstrap.resample(sums)
    assert np.array_equal(draws, bootstrap.resample(sums))
    rng = np.random.default_rng([0, 0])
    again = [sums[rng.integers(0, 30, 30)].sum(0) for _ in range(60)]
    assert np.array_equal(draws[:60], again)
    low, high = bootstrap.interval(bootstrap.mean(bootstrap.iou(draws)), 30)
    assert low < bootstrap.mean(bootstrap.iou(sums.sum(0, dtype=float))) < high
    assert np.isnan(bootstrap.interval(draws, 1)).all()


def test_the_interval_covers() -> None:
    """Of 200 sets of 60 images, the mean lies inside some 95 %."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        hits = rng.binomial(100, rng.beta(8, 2, 60))
        sums = np.stack([hits, np.full(60, 100), hits], 1)[..., None].astype(np.int32)
        low, high = bootstrap.interval(bootstrap.iou(bootstrap.resample(sums))[:, 0], 60)
        covered += low <= 0.8 <= high
    assert 180 <= covered <= 198


def test_projected_bounds_by_hand() -> None:
    summary, own = projected_summary(row_counts(PRED, ROWS, 5, 4), WORLD)
    # terrain (1) is allowed only for gravel and implies nothing; void is allowed for animal
    assert np.argwhere(possible(WORLD)).tolist() == [[2, 1], [3, 4]]
    assert own[2, 2] == 0
    assert summary["per_class_upper"][:4].tolist() == pytest.approx([2 / 7, 2 / 6, 1 / 3, 1 / 2])
    assert summary["miou_upper"] == summary["miou"]  # gravel and animal are not scored


def test_a_row_with_a_doubtful_main_class_has_two_values() -> None:
    world = make_constraint(["tree", "grass", "road"], {"green": "> tree ~ grass", "way": "= road"})
    counts = row_counts(torch.tensor([0, 1, 1, 1, 2]), torch.tensor([0, 0, 0, 0, 1]), 2, 3)
    summary, _ = projected_summary(counts, world)
    assert (summary["per_class"].tolist(), summary["per_class_upper"].tolist()) == ([0.25, 1], [1, 1])
    assert (summary["miou"], summary["miou_upper"], summary["ambiguous"]) == (0.625, 1, 3)


def test_rows_that_claim_the_same_class_are_not_scored() -> None:
    twice = make_constraint(["road", "car"], {"a": "> road", "b": "> road", "c": "= car"})
    assert scored_rows(twice).tolist() == [False, False, True]


GROUPED = replace(WORLD, source_groups=("thing.vehicle", "thing.vehicle", "flat", "thing"))


def test_groups_are_classes_of_their_own(tmp_path: Path) -> None:
    """Counted anew from the pixels: a group is what any of its classes is, in truth and in prediction."""
    sets = {"a": measured(2, 0.7, constraint=GROUPED), "b": measured(3, 0.4, images=5, constraint=GROUPED)}
    report = document(sets)
    groups = report["sets"]["a"]["views"]["source"]["groups"]
    assert [(g["name"], g["classes"]) for g in groups] == [
        ("thing", [SOURCE[0], SOURCE[1], SOURCE[3]]),
        ("thing.vehicle", SOURCE[:2]),
        ("flat", [SOURCE[2]]),
    ]
    table_of_pixels = sets["a"].counts["source"].numpy()
    for group, members in zip(groups, ([0, 1, 3], [0, 1], [2]), strict=True):
        inside = np.isin(np.arange(5), members)
        hits, union = table_of_pixels[inside][:, inside].sum(), table_of_pixels[:4][inside[:4]].sum()
        union += table_of_pixels[:4][~inside[:4]][:, inside].sum()
        assert group["iou"] == hits / union
        low, high = group["interval"]
        assert low < group["iou"] < high
    flat = report["sets"]["a"]["views"]["source"]["classes"][2]
    assert [groups[2][key] for key in ("iou", "interval", "hits")] == [flat[k] for k in ("iou", "interval", "hits")]
    pooled = report["pooled"]["views"]["source"]["groups"]
    assert pooled[0]["hits"] == sum(one["views"]["source"]["groups"][0]["hits"] for one in report["sets"].values())
    assert sets["a"].figures()["groups/IoU.thing.vehicle"] == groups[1]["iou"]

    text = table(report)
    assert "IoU of a group" in text and any(x.split()[0] == "thing.vehicle" for x in text.splitlines() if x.strip())
    files.write_figures(tmp_path, report, sets)
    lines = list(csv.DictReader(io.StringIO((tmp_path / "classes.csv").read_text())))
    assert [x["class"] for x in lines if (x["set"], x["view"]) == ("(pooled)", "groups")] == [
        "thing",
        "thing.vehicle",
        "flat",
    ]
    files.read(tmp_path / "evaluation.json")


def test_interrupted_pictures_leave_the_evaluation_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = {"val": measured(2, 0.7)}, {"val": measured(3, 0.8)}
    files.write(tmp_path, document(first), first)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    drawn = []

    def draw_one(*args: object) -> bytes:
        if drawn:
            raise KeyboardInterrupt
        drawn.append(args)
        return b"new"

    monkeypatch.setattr(files, "confusion_picture", draw_one)
    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path, document(second), second)
    assert drawn and {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_groups_are_compared(tmp_path: Path) -> None:
    for name, one in (("a", measured(2, 0.7, constraint=GROUPED)), ("b", measured(3, 0.8, constraint=GROUPED))):
        files.write_figures(tmp_path / name, document({"val": one}), {"val": one})
    a, b = (tmp_path / name / "evaluation.json" for name in "ab")
    result = compare(a, b)
    thing = result["sets"]["val"]["views"]["source"]["groups"][0]
    assert thing["name"] == "thing" and thing["exceeds"] and thing["difference"] == thing["b"] - thing["a"]
    assert "val, groups of src" in as_text(result)
    plain = measured(3, 0.8)
    files.write_figures(tmp_path / "plain", document({"val": plain}), {"val": plain})
    assert "groups" not in compare(a, tmp_path / "plain" / "evaluation.json")["sets"]["val"]["views"]["source"]
    coarse = replace(WORLD, source_groups=("thing", "thing", "flat", "flat"))
    mixed = {"val": measured(2, 0.7, constraint=GROUPED), "other": measured(3, 0.8, constraint=coarse)}
    files.write_figures(tmp_path / "mixed", document(mixed), mixed)
    same = compare(*[tmp_path / "mixed" / "evaluation.json"] * 2)
    assert [g["name"] for g in same["sets"]["other"]["views"]["source"]["groups"]] == ["thing", "flat"]
    assert "groups" not in same["pooled"]["views"]["source"]
    arrays = dict(np.load(tmp_path / "a" / "evaluation.npz"))
    np.savez(tmp_path / "a" / "evaluation.npz", **arrays | {"groups_0": arrays["groups_0"] + 1})
    with pytest.raises(EvaluationError, match="is of another evaluation"):
        compare(a, b)


def test_pooled_is_the_sum_and_not_the_mean() -> None:
    sets = {"a": measured(2, 0.9), "b": measured(3, 0.4, images=5)}
    report = document(sets)
    total = sum(m.counts["source"] for m in sets.values())
    assert report["pooled"]["views"]["source"]["miou"] == iou_summary(total)["miou"]
    assert report["pooled"]["sets"] == {
        "a": {"images": 30, "pixels": {"source": 6000, "set": 6000}},
        "b": {"images": 5, "pixels": {"source": 1000, "set": 1000}},
    }
    hits = sum(m.sums["set"].sum(0) for m in sets.values())
    assert report["pooled"]["views"]["set"]["consistency"] == hits[0] / hits[1]
    assert table(report).splitlines()[-2].split()[0] == "pooled"


def test_the_table_says_how_many_of_its_own_classes_a_set_is_judged_in() -> None:
    report = document({"a": measured(2, 0.9)})
    assert [c["name"] for c in report["sets"]["a"]["views"]["projected"]["classes"] if c["scored"]] == [
        "street",
        "vehicle",
    ]
    assert "; 2 of 3 classes" in " ".join(table(report).split()), "gravel occurs, and no class of the source implies it"
    rows = {"street": "= road", "vehicle": "> car truck", "land": "= terrain", "animal": "void", "rock": "void"}
    whole = document({"a": measured(2, 0.9, constraint=make_constraint(SOURCE, rows))})
    assert "of 3 classes" not in " ".join(table(whole).split())


def test_files(tmp_path: Path) -> None:
    sets = {"a/b": measured(2, 0.8)}
    files.write(tmp_path, document(sets), sets)
    report, arrays = files.read(tmp_path / "evaluation.json")
    assert report["sets"]["a/b"]["views"]["source"]["matrix"] == sets["a/b"].counts["source"].tolist()
    assert np.array_equal(arrays["source_0"], sets["a/b"].sums["source"])
    lines = list(csv.DictReader(io.StringIO((tmp_path / "classes.csv").read_text())))
    assert [x["class"] for x in lines[:4]] == SOURCE
    assert float(lines[0]["iou"]) == report["sets"]["a/b"]["views"]["source"]["classes"][0]["iou"]
    names = {f.name for f in tmp_path.glob("*.png")}
    assert names == {"confusion_a_b_source.png", "confusion_a_b_projected.png"}


@pytest.mark.parametrize("k", [4, 124])
def test_pictures_have_room_for_every_class(k: int) -> None:
    matrix = np.eye(k + 1, dtype=np.int64)
    picture = Image.open(io.BytesIO(confusion_picture(matrix, [f"class {i}" for i in range(k)], "t")))
    assert picture.width > 15 * k
    assert picture.convert("L").getextrema()[0] < 80


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluations")
    for name, one in (("a", measured(2, 0.7)), ("b", measured(3, 0.8)), ("few", measured(3, 0.8, images=9))):
        files.write_figures(root / name, document({"val": one}), {"val": one})
    return root


@pytest.fixture
def folders(evaluations: Path, tmp_path: Path) -> Path:
    """Evaluations that may be changed."""
    return shutil.copytree(evaluations, tmp_path, dirs_exist_ok=True)


def test_compare(folders: Path) -> None:
    a, b, few = (folders / n / "evaluation.json" for n in ("a", "b", "few"))
    result = compare(a, b)["sets"]["val"]
    assert result["paired"]
    source = result["views"]["source"]
    assert source["exceeds"]
    assert source["difference"] == pytest.approx(source["b"] - source["a"])
    assert source["interval"][0] < source["difference"] < source["interval"][1]
    same = compare(a, a)["sets"]["val"]["views"]["source"]
    assert (same["difference"], same["interval"], same["exceeds"]) == (0, [0, 0], False)
    other = compare(b, few)["sets"]["val"]
    assert (other["paired"], other["images"]) == (False, [30, 9])
    wide = other["views"]["source"]["interval"]
    assert wide[1] - wide[0] > source["interval"][1] - source["interval"][0]


def test_compare_command(folders: Path) -> None:
    a, b = (str(folders / n / "evaluation.json") for n in ("a", "b"))
    done = CliRunner().invoke(main, ["compare", a, b])
    assert done.exit_code == 0, done.output
    assert "val, source (30 images, paired)" in done.output
    assert "*" in next(x for x in done.output.splitlines() if "mIoU" in x)
    done = CliRunner().invoke(main, ["compare", a, b, "--format", "json"])
    assert json.loads(done.output)["sets"]["val"]["views"]["set"]["exceeds"]


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (("source",), 5, "`source`: input should be a valid string"),
        (("sets",), {}, "`sets`: dictionary should have at least 1 item"),
        (("sets", "val", "images"), "30", "`sets.val.images`: input should be a valid integer"),
        (("sets", "val", "views", "set"), None, "`sets.val.views.set`: input should be a valid dictionary"),
        (("sets", "val", "views", "source", "miou"), "0.4", "`sets.val.views.source.miou`: input should be"),
        (("sets", "val", "views", "source", "classes", 0, "iou"), [], "`sets.val.views.source.classes.0.iou`"),
        (("pooled",), [], "`pooled`: input should be a valid dictionary"),
    ],
)
def test_an_edited_evaluation_is_refused_by_the_key(
    folders: Path, place: tuple[str | int, ...], value: object, problem: str
) -> None:
    a, b = folders / "a/evaluation.json", folders / "b/evaluation.json"
    report = json.loads(b.read_text())
    part = report
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    b.write_text(json.dumps(report))
    done = CliRunner().invoke(main, ["compare", str(a), str(b)])
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert f"b/evaluation.json: is not as `lsu-seg evaluate` wrote it: {problem}" in done.output


def test_damaged_sums_are_refused(folders: Path) -> None:
    """Whatever zipfile, zlib and numpy raise at bits that are turned over."""
    a, sums = folders / "a/evaluation.json", folders / "b/evaluation.npz"
    whole = sums.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        sums.write_bytes(data)
        with contextlib.suppress(EvaluationError):  # a bit of a time stamp does no harm
            compare(a, folders / "b/evaluation.json")


def test_what_cannot_be_compared(folders: Path) -> None:
    a, b = folders / "a/evaluation.json", folders / "b/evaluation.json"

    def refused(text: str) -> None:
        done = CliRunner().invoke(main, ["compare", str(a), str(b)])
        assert done.exit_code == 1
        assert text in done.output

    report = json.loads(b.read_text())
    b.write_text(json.dumps(report | {"source": "other"}))
    refused("differ in the source: `src` and `other`")
    b.write_text(json.dumps(report | {"sets": {"test": report["sets"]["val"]}}))
    refused("differ in the sets: `['val']` and `['test']`")
    report["sets"]["val"]["taxonomy_sha256"] = "0"
    b.write_text(json.dumps(report))
    refused("differ in the taxonomy_sha256 of set `val`")
    b.write_text("[]")
    refused("found no evaluation of format 1")
    b.write_text("[" * 100_000)
    refused("cannot be read as JSON")
    b.write_text("{")
    refused("cannot be read as JSON")
    sums = folders / "a/evaluation.npz"
    sums.write_bytes(sums.read_bytes()[:200])
    refused("a/evaluation.npz: cannot be read")
    refused("copy it again from where that came from, or evaluate again")
    shutil.copy(folders / "b/evaluation.npz", sums)
    refused("a/evaluation.npz: is of another evaluation than evaluation.json")
    with zipfile.ZipFile(sums, "w") as archive:
        archive.writestr("keys_0.npy", b"no array")  # which numpy reads as bytes
    refused("a/evaluation.npz: is of another evaluation than evaluation.json")
    whole = dict(np.load(folders / "b/evaluation.npz"))
    np.savez(sums, **whole | {"keys_0": np.zeros(len(whole["keys_0"]), [("a", "u1")])})
    refused("a/evaluation.npz: is of another evaluation than evaluation.json")


def test_a_comment_in_the_taxonomy_changes_no_comparison(folders: Path) -> None:
    sets = {"val": replace(measured(3, 0.7), constraint=replace(WORLD, sha256="1" * 64))}
    files.write_figures(folders / "commented", document(sets), sets)
    assert compare(folders / "a/evaluation.json", folders / "commented/evaluation.json")["sets"]["val"]["paired"]
    other = {"val": replace(sets["val"], constraint=replace(WORLD, raw=WORLD.raw + 1))}
    files.write_figures(folders / "other", document(other), other)
    with pytest.raises(EvaluationError, match="differ in the taxonomy_sha256 of set `val`"):
        compare(folders / "a/evaluation.json", folders / "other/evaluation.json")


def test_compare_without_the_sums_per_image(folders: Path) -> None:
    a, b = folders / "a/evaluation.json", folders / "b/evaluation.json"
    whole = compare(a, b)["sets"]["val"]["views"]
    sums = folders / "b/evaluation.npz"
    sums.unlink()
    result = compare(a, b)
    assert result["missing"] == [str(sums)]
    part = result["sets"]["val"]
    assert part["paired"] is None
    for view, values in part["views"].items():
        assert (values["a"], values["b"]) == (whole[view]["a"], whole[view]["b"])
        assert values["difference"] == whole[view]["difference"] != 0
        assert values["exceeds"] is None
        assert np.isnan(values["interval"]).all()
        lines = [(c["name"], c["difference"]) for c in values.get("classes", [])]
        assert lines == [(c["name"], c["difference"]) for c in whole[view].get("classes", [])]
    done = CliRunner().invoke(main, ["compare", str(a), str(b)])
    assert done.exit_code == 0, done.output
    assert f"no intervals: {sums} is missing" in done.output
    assert "[" not in done.output
    assert "nan" not in done.output
    done = CliRunner().invoke(main, ["compare", str(a), str(b), "--format", "json"])
    assert json.loads(done.output)["sets"]["val"]["views"]["source"]["interval"] == [None, None]


def test_compare_pools_the_sets(tmp_path: Path) -> None:
    for name, right in (("a", 0.5), ("b", 0.7)):
        sets = {"x": measured(2, right), "y": measured(3, right, images=9)}
        files.write_figures(tmp_path / name, document(sets), sets)
    result = compare(tmp_path / "a/evaluation.json", tmp_path / "b/evaluation.json")
    pooled = result["pooled"]
    assert (pooled["images"], list(pooled["views"])) == ([39, 39], ["source", "set"])
    source = pooled["views"]["source"]
    assert source["exceeds"]
    assert source["interval"][0] < source["difference"] < source["interval"][1]
    one = result["sets"]["x"]["views"]["source"]["interval"]
    assert source["interval"][1] - source["interval"][0] < one[1] - one[0]  # more images say more
    assert "pooled, set (39 images)" in as_text(result)


RANK = """
import os, sys
import torch, torch.distributed as dist
from helpers.counted import SOURCE, WORLD
from lsu_seg.evaluation.document import document
from lsu_seg.evaluation.errors import EvaluationError
from lsu_seg.evaluation.files import as_json
from lsu_seg.evaluation.metrics import OntologyIoU
rank, world, images = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(sys.argv[1])
if world > 1:
    dist.init_process_group("gloo")
metric = OntologyIoU("src", ("source", "projected", "set"))
metric.dataset_meta = {"classes": SOURCE, "constraint": WORLD}
indices = list(range(images))
indices += indices[: -len(indices) % world]
for i in indices[rank::world]:
    g = torch.Generator().manual_seed(i)
    pred, gt = (torch.randint(0, 4, (1, 5, i + 3), generator=g) for _ in range(2))
    sample = {"pred_sem_seg": {"data": pred}, "gt_sem_seg": {"data": gt}, "key": f"k{i}"}
    metric.process(None, [sample | {"gt_rows": {"data": torch.tensor([0, 2, 1, 1])[gt]}}])
metric.evaluate(images)
print("RESULT" + as_json(document({"a": metric.measured})) + str(metric.measured.keys))
"""


def test_one_two_and_three_ranks_agree_to_the_last_digit(server: Server, tmp_path: Path) -> None:
    results = set()
    for world in (1, 2, 3):
        ranks = server.ranks(tmp_path, world, 7, code=RANK)
        assert [rank.wait() for rank in ranks] == [0] * world, [rank.said for rank in ranks]
        results |= {rank.said.split("RESULT")[1] for rank in ranks}
    assert len(results) == 1
    assert "'k6'" in results.pop()
