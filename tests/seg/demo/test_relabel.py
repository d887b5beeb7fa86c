"""Coarse twins of fine datasets: what an annotator with other classes would have drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lsu_onto
from helpers.examples import examples
from helpers.tiny import LAYOUT, SOURCE, VOID, draw, read, save
from helpers.worlds import make_constraint
from lsu_onto import ROW_VOID
from lsu_seg.cli import main
from lsu_seg.demo.relabel import RelabelError, coarsen, encode, relabel_dataset, write_png
from lsu_seg.label_files import LabelFileError, LabelReader

COARSE = """\
1 ground  #805080  > road ~ grass
2 plants  #70a030  > tree ~ grass
3 sky     #4080b0  = sky
4 car     #202090  = car
- drone   #d02040  ~ grass
9 unsure  #00ffff  -> any
"""
GROUND, PLANTS, SKY, CAR, DRONE, UNSURE = range(6)
NAMES = ["a", "b", "c", "d"]
SYMBOLS = "<~>="


def write_coarse(folder: Path, keys: str = f"encoding: id\nvoid: 255\n{LAYOUT}", rows: str = COARSE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.tax").write_text(SOURCE)
    (folder / "coarse.tax").write_text(f"tax 1\ndataset coarse v1 -> tiny v1\n{keys}\n{rows}")
    return folder / "coarse.tax"


@pytest.fixture
def coarse(tmp_path: Path) -> lsu_onto.Constraint:
    return lsu_onto.load(write_coarse(tmp_path / "tax"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- one image ---------------------------------------------------------------------------------------------


@st.composite
def coarse_worlds(draw: st.DrawFn) -> tuple[lsu_onto.Constraint, np.ndarray]:
    """Four source classes, each in one row at least, and labels."""
    table = draw(hnp.arrays(np.uint8, (3, len(NAMES)), elements=st.integers(0, 4)))
    table[0, ~table.any(0)] = 2
    rows = {}
    for i, kinds in enumerate(table):
        words = [f"{SYMBOLS[k - 1]} {NAMES[c]}" for c, k in enumerate(kinds) if k]
        if words or draw(st.booleans()):
            rows[f"row{i}"] = " ".join(words) or "any"
    labels = draw(hnp.arrays(np.int64, (6, 7), elements=st.sampled_from([*range(len(NAMES)), len(NAMES), VOID, -1])))
    return make_constraint(NAMES, rows, encoding=draw(st.sampled_from(["id", "rgb"]))), labels


@given(coarse_worlds(), st.integers(0, 9))
@settings(max_examples=examples(80))
def test_the_truth_always_lies_in_the_allowed_set(world: tuple, seed: int) -> None:
    constraint, labels = world
    rows = coarsen(labels, constraint, rng(seed))
    inside = (labels >= 0) & (labels < len(NAMES))
    assert (rows[~inside] == ROW_VOID).all()
    assert constraint.allowed[rows[inside], labels[inside]].all()
    assert np.array_equal(rows, coarsen(labels, constraint, rng(seed)))


@given(coarse_worlds())
@settings(max_examples=examples(40))
def test_what_is_encoded_is_read_back(tmp_path_factory: pytest.TempPathFactory, world: tuple) -> None:
    constraint, labels = world
    rows = coarsen(labels, constraint, rng())
    file = tmp_path_factory.mktemp("labels") / "a.png"
    write_png(file, encode(rows, constraint))
    assert np.array_equal(LabelReader(constraint).rows(file), rows)


def test_a_class_of_one_row_is_certain(coarse: lsu_onto.Constraint) -> None:
    only = lsu_onto.Constraint(**{**vars(coarse), "allowed": coarse.allowed.copy()})
    only.allowed[UNSURE] = False  # without the odd region that an annotator skipped
    channels = np.array([[0, 2, 3, 4, 255]])
    assert coarsen(channels, only, rng()).tolist() == [[GROUND, PLANTS, SKY, CAR, ROW_VOID]]


def test_chance_decides_by_region(coarse: lsu_onto.Constraint) -> None:
    """Forty separate patches of grass on road: each whole patch is of one class, and not all of the same."""
    channels = np.zeros((40, 5), int)
    channels[::2, 1:4] = 1
    rows = coarsen(channels, coarse, rng())
    patches = rows[::2, 1:4]
    assert (patches == patches[:, :1]).all()
    assert {GROUND, PLANTS} <= set(patches[:, 0].tolist()) <= {GROUND, PLANTS, UNSURE}


def test_a_class_that_is_never_drawn_is_not_drawn(coarse: lsu_onto.Constraint) -> None:
    channels = np.ones((100, 1), int)
    channels[1::2] = 3
    assert DRONE not in coarsen(channels, coarse, rng())
    with pytest.raises(RelabelError, match="`drone` of `coarse` has no raw value"):
        encode(np.full((2, 2), DRONE, np.int16), coarse)


def test_a_class_that_nothing_holds(tmp_path: Path) -> None:
    rows = "1 ground #805080 = road\n- drone #d02040 > car"
    constraint = lsu_onto.load(write_coarse(tmp_path, rows=rows))
    assert coarsen(np.array([[0, 255]]), constraint, rng()).tolist() == [[0, ROW_VOID]]
    for channel, name in ((2, "tree"), (4, "car")):
        with pytest.raises(RelabelError, match=f"no class of `coarse` holds `{name}`; add a relation"):
            coarsen(np.array([[channel]]), constraint, rng())


def test_void_needs_a_value(tmp_path: Path) -> None:
    constraint = lsu_onto.load(write_coarse(tmp_path, "encoding: id"))
    assert encode(np.array([[GROUND]], np.int16), constraint).tolist() == [[1]]
    with pytest.raises(RelabelError, match="no `void:` value"):
        encode(np.array([[ROW_VOID]], np.int16), constraint)


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    constraint = lsu_onto.load(write_coarse(tmp_path, "encoding: id16\nvoid: 255"))
    with pytest.raises(RelabelError, match="cannot write `encoding: id16`"):
        encode(np.array([[GROUND]], np.int16), constraint)


# --- a dataset ---------------------------------------------------------------------------------------------


def write_fine(root: Path, stems: str = "ab", split: str = "train") -> dict[str, np.ndarray]:
    fine = {}
    for seed, stem in enumerate(stems):
        image, fine[stem] = draw(seed, [0, 1, 2, 3, 4, VOID])
        save(root / f"images/{split}/{stem}.png", image)
        save(root / f"labels/{split}/{stem}.png", fine[stem].astype(np.uint8))
    return fine


def relabel(tmp_path: Path, output: Path | None = None, seed: int = 0, **tax: str) -> int:
    taxonomy = write_coarse(tmp_path / "tax", **tax)
    tiny = str(taxonomy.with_name("tiny.tax"))
    return relabel_dataset(str(taxonomy), tiny, tmp_path / "fine", "train", output or tmp_path / "out", seed)


def test_a_folder(tmp_path: Path, coarse: lsu_onto.Constraint) -> None:
    fine = write_fine(tmp_path / "fine")
    assert relabel(tmp_path) == 2
    for stem, channels in fine.items():
        rows = LabelReader(coarse).rows(tmp_path / f"out/labels/train/{stem}.png")
        assert np.array_equal(rows == ROW_VOID, channels == VOID)
        real = channels != VOID
        assert coarse.allowed[rows[real], channels[real]].all()
        image = f"images/train/{stem}.png"
        assert (tmp_path / "out" / image).read_bytes() == (tmp_path / "fine" / image).read_bytes()


def test_an_image_that_does_not_fit_its_label_is_refused(tmp_path: Path) -> None:
    write_fine(tmp_path / "fine")
    image = tmp_path / "fine/images/train/b.png"
    save(image, np.zeros((3, 5, 3), np.uint8))
    with pytest.raises(
        RelabelError, match=r"b\.png: found 5 x 3 pixels; expected \d+ x \d+, as its label .*b\.png has"
    ):
        relabel(tmp_path)
    image.write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(LabelFileError, match=r"images/train/b\.png: found "):
        relabel(tmp_path)
    for kind in ("images", "labels"):
        write_fine(tmp_path / "fine")
        file = tmp_path / "fine" / kind / "train/b.png"
        file.write_bytes(file.read_bytes()[:-30])
        with pytest.raises(LabelFileError, match=f"{kind}/train/b.png: found a damaged PNG"):
            relabel(tmp_path)


def test_colours_are_written_as_colours(tmp_path: Path) -> None:
    write_fine(tmp_path / "fine")
    keys = f"encoding: rgb\nvoid: #000000\n{LAYOUT}"
    relabel(tmp_path, keys=keys, rows=COARSE.replace("- drone", "8 drone"))
    colours = read(tmp_path / "out/labels/train/a.png").reshape(-1, 3)
    assert colours.shape == (24 * 40, 3)
    assert {tuple(c) for c in np.unique(colours, axis=0).tolist()} >= {(0x80, 0x50, 0x80), (0, 0, 0)}


def test_a_seed_decides(tmp_path: Path) -> None:
    write_fine(tmp_path / "fine")
    for out, seed in (("one", 3), ("two", 3), ("three", 4)):
        relabel(tmp_path, tmp_path / out, seed)
    one, two, three = ((tmp_path / o / "labels/train/a.png").read_bytes() for o in ("one", "two", "three"))
    assert one == two != three


def test_another_dataset_is_not_replaced(tmp_path: Path) -> None:
    write_fine(tmp_path / "fine")
    write_fine(tmp_path / "out", stems="xyb")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}
    with pytest.raises(RelabelError, match=r"out/images/train/b\.png: is another image than .*choose an empty folder"):
        relabel(tmp_path)
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}


@pytest.mark.parametrize("output", ["fine", "fine/coarse", "link"])
def test_the_input_is_never_written_to(tmp_path: Path, output: str) -> None:
    write_fine(tmp_path / "fine")
    (tmp_path / "link").symlink_to(tmp_path / "fine")
    before = {p: p.read_bytes() for p in (tmp_path / "fine").rglob("*.png")}
    with pytest.raises(RelabelError, match="the output must not be the input, or a folder inside it"):
        relabel(tmp_path, tmp_path / output)
    assert {p: p.read_bytes() for p in (tmp_path / "fine").rglob("*.png")} == before


def test_layouts_that_cannot_be_written(tmp_path: Path) -> None:
    write_fine(tmp_path / "fine")
    head = "encoding: id\nvoid: 255\nsplits: train\nlabels: labels/{split}/{stem}.png\n"
    for images, why in (
        ("images/{split}/{stem}.jpg", r"has images `\*\.jpg`"),
        ("images/**/{stem}.png", "needs `{stem}`, and only that"),
        ("images/{split}/{city}/{stem}.png", "needs `{stem}`, and only that"),
    ):
        with pytest.raises(RelabelError, match=why):
            relabel(tmp_path, keys=f"{head}images: {images}")
    assert not (tmp_path / "out").exists()


def test_coarse_labels_cannot_be_made_coarser(tmp_path: Path) -> None:
    taxonomy = str(write_coarse(tmp_path / "tax"))
    with pytest.raises(RelabelError, match=r"`ground` of .* may be several classes"):
        relabel_dataset(taxonomy, taxonomy, tmp_path / "fine", "train", tmp_path / "out", 0)


def test_two_images_of_one_name(tmp_path: Path) -> None:
    fine = SOURCE.replace("{split}/{stem}", "{split}/{city}/{stem}")
    for city in ("bonn", "aachen"):
        write_fine(tmp_path / "fine", "a", f"train/{city}")
    taxonomy = write_coarse(tmp_path / "tax")
    taxonomy.with_name("tiny.tax").write_text(fine)
    with pytest.raises(RelabelError, match=r"bonn/a\.png and .*aachen/a\.png would both become `a`"):
        relabel_dataset(
            str(taxonomy),
            str(taxonomy.with_name("tiny.tax")),
            tmp_path / "fine",
            "train",
            tmp_path / "out",
            0,
        )


def test_a_name_that_is_a_folder_and_a_class_that_nobody_annotated(tmp_path: Path, coarse: lsu_onto.Constraint) -> None:
    """As YCOR lies: `{stem}/rgb.jpg`, and a background that is `-> any`."""
    taxonomy = write_coarse(tmp_path / "tax")
    rows = "".join(f"{i} {name} = {name}\n" for i, name in enumerate(("road", "grass", "tree", "sky", "car")))
    files = "splits: train\nimages: {split}/{stem}/rgb.png\nlabels: {split}/{stem}/labels.png\n"
    fine = f"tax 1\ndataset fine v1 -> tiny v1\nencoding: id\n{files}\n{rows}7 background -> any\n"
    taxonomy.with_name("fine.tax").write_text(fine)
    drawn = {}
    for seed, stem in enumerate("ab"):
        image, drawn[stem] = draw(seed, [0, 1, 2, 3, 4, 7])
        save(tmp_path / f"fine/train/{stem}/rgb.png", image)
        save(tmp_path / f"fine/train/{stem}/labels.png", drawn[stem].astype(np.uint8))
    fine_file = str(taxonomy.with_name("fine.tax"))
    assert relabel_dataset(str(taxonomy), fine_file, tmp_path / "fine", "train", tmp_path / "out", 0) == 2
    for stem, values in drawn.items():
        rows = LabelReader(coarse).rows(tmp_path / f"out/labels/train/{stem}.png")
        assert np.array_equal(rows == ROW_VOID, values == 7)
        assert coarse.allowed[rows[values != 7], values[values != 7]].all()
        image = (tmp_path / f"out/images/train/{stem}.png").read_bytes()
        assert image == (tmp_path / f"fine/train/{stem}/rgb.png").read_bytes()


def test_the_coarse_map_says_which_source_is_meant(tmp_path: Path) -> None:
    write_fine(tmp_path / "fine")
    taxonomy = write_coarse(tmp_path / "tax")
    names = "road", "grass", "tree", "sky", "car"
    rows = "".join(f"{i} {name} = {name}\n" for i, name in enumerate(names))
    keys = f"encoding: id\nvoid: 255\n{LAYOUT}"
    (taxonomy.parent / "fine.tax").write_text(f"tax 1\ndataset fine v1 -> tiny v1\n{keys}\n{rows}")
    maps = "tax 1\nmap fine v1 -> other v1\n" + "".join(f"{name} < all\n" for name in names)
    (taxonomy.parent / "other.tax").write_text("tax 1\nsource other v1\n\n0 all\n")
    (taxonomy.parent / "fine_other.tax").write_text(maps)
    with pytest.raises(lsu_onto.TaxonomyError, match="`fine` has several maps"):
        lsu_onto.load("fine", paths=[taxonomy.parent])
    assert relabel_dataset(str(taxonomy), "fine", tmp_path / "fine", "train", tmp_path / "out", 0) == 2
    with pytest.raises(lsu_onto.TaxonomyError, match="there is no map from `finer`"):
        relabel_dataset(str(taxonomy), "finer", tmp_path / "fine", "train", tmp_path / "out", 0)
    to_all = "".join(f"{name} -> any\n" for name in lsu_onto.load(taxonomy).classes)
    (taxonomy.parent / "tiny_other.tax").write_text(maps.replace("map fine", "map tiny"))
    taxonomy.write_text(f"{taxonomy.read_text()}\nmap coarse v1 -> other v1\n" + to_all)
    assert relabel_dataset(str(taxonomy), "tiny", tmp_path / "fine", "train", tmp_path / "out", 0) == 2
    wrong = taxonomy.with_name("wrong.tax")
    wrong.write_text(taxonomy.read_text().replace("road", "raod"))
    with pytest.raises(lsu_onto.TaxonomyError, match="did you mean `road`"):
        relabel_dataset(str(wrong), "fine", tmp_path / "fine", "train", tmp_path / "out", 0)


@pytest.mark.parametrize("command", ["relabel", "unify", "demo"])
def test_seeds_that_no_generator_takes_are_refused(command: str) -> None:
    done = CliRunner().invoke(main, [command, "--seed", "-1"])
    assert done.exit_code == 2
    assert "-1 is not in the range" in done.output
