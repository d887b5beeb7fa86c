"""A first map of a dataset: what the names say, and the file that is written of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lsu_onto
from lsu_onto import FirstRow, NameOdds, by_name, first_map

TOWN = "tax 1\ndataset my v1\n1 road\n2 parked_cars\n3 vehicle\n4 ignore\n5 blob\n6 persn\n7 gully\n"


@pytest.fixture
def town(tmp_path: Path) -> Path:
    (tmp_path / "my.tax").write_text(TOWN)
    return tmp_path / "my.tax"


def likely(names: NameOdds, d: int) -> set[str]:
    return {[*names.source_classes, "void"][c] for c in np.flatnonzero(names.odds[d] > 0)}


def test_names(town: Path) -> None:
    names = by_name(town, "cityscapes")
    assert (names.dataset, names.source) == ("my v1", "cityscapes v1")
    assert [likely(names, d) for d in range(6)] == [
        {"road"},
        {"car"},
        # trailers, among others, are void
        {"car", "truck", "bus", "train", "motorcycle", "bicycle", "void"},
        {"void"},
        set(),
        set(),
    ]
    car, person = (names.source_classes.index(c) for c in ("car", "person"))
    assert names.odds[1].argmax() == car and names.reasons[1][car][0] == "named after it"
    assert names.reasons[1][car][1].startswith("as in the maps of `a2d2`, ")
    assert names.reasons[1][car][1].endswith("of another `car`")
    assert names.odds[5].argmax() == person and names.reasons[5][person] == ["spelled almost like `person`"]
    assert names.same.tolist() == [names.source_classes.index("road"), -1, -1, -1, -1, -1, -1]
    assert "as in the maps of" in " ".join(names.reasons[0][0])


def test_other_maps_of_the_folder_count_and_can_be_left_out(town: Path, tmp_path: Path) -> None:
    (tmp_path / "other.tax").write_text('tax 1\ndataset other v1 -> cityscapes v1\n1 drain "gully" < road\n')
    gully = by_name(town, "cityscapes", [tmp_path])
    assert likely(gully, 6) == {"road"} and gully.reasons[6][0] == ["as in the map of `other`"]
    assert likely(by_name(town, "cityscapes", [tmp_path], without=["other"]), 6) == set()


def test_a_name_is_known_by_way_of_another_source(tmp_path: Path) -> None:
    (tmp_path / "way.tax").write_text(
        "tax 1\nsource near v1\n0 lorry\nsource far v1\n0 heavy\n1 light\n"
        "dataset a v1 -> near v1\n1 hgv = lorry\ndataset b v1 -> far v1\n1 lorry ~ heavy light\n"
        "dataset new v1\n1 hgv\n"
    )
    names = by_name(f"{tmp_path / 'way.tax'} new", "far", [tmp_path])
    assert [r for why in names.reasons[0].values() for r in why] == ["as in the map of `b`, by a synonym"] * 2
    assert (names.odds[0, :2] > names.odds[0, 2]).all()


def test_the_file_is_valid_and_claims_no_more_than_it_can(town: Path) -> None:
    k = 19
    rows = [
        FirstRow((0,), "=", ("sure",)),
        FirstRow((13,), "="),  # not alone in `car`
        FirstRow((13, 14, 15), ">"),
        FirstRow((k,)),
        FirstRow(tuple(range(k + 1)), notes=("nothing is known",)),
        FirstRow((11, 12), ">"),
        FirstRow((10, k), "~"),
    ]
    made = first_map(town, "cityscapes", rows, ["a first map"])
    written = ["= road", "< car", "~ car truck bus", "-> void", "-> any", "> person rider", "~ sky void"]
    assert list(made.relations) == written

    assert "# a first map\nmap my v1 -> cityscapes v1\n" in made.text and "# nothing is known" in made.text
    file = town.with_name("my-cityscapes.tax")
    file.write_text(made.text)
    allowed = lsu_onto.load(file).allowed
    assert [tuple(np.flatnonzero(a)) for a in allowed] == [row.allowed for row in rows]
    with pytest.raises(lsu_onto.UserError, match=r"`my v1` already has a map to `cityscapes`, in .*my-cityscapes.tax"):
        first_map(town, "cityscapes", rows)


def test_what_may_be_void_claims_nothing(town: Path) -> None:
    rows = [FirstRow((0, 19), "="), FirstRow((1, 2, 19), ">"), *[FirstRow((19,))] * 5]
    assert list(first_map(town, "cityscapes", rows).relations[:2]) == ["~ road void", "~ sidewalk building void"]


def test_any_rows_make_a_valid_file(tmp_path: Path) -> None:
    """Rows that several ask for, in sources of one class and more: the file is valid, and has the sets asked for."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        k, d = rng.integers(1, 5, 2).tolist()
        file = tmp_path / "all.tax"
        lines = [
            "tax 1",
            "source s v1",
            *(f"{i} s{i}" for i in range(k)),
            "dataset d v1",
            *(f"{i} d{i}" for i in range(d)),
        ]
        file.write_text("\n".join(lines) + "\n")
        sets = [rng.choice(k + 1, rng.integers(1, k + 2), replace=False).tolist() for _ in range(d)]
        made = first_map(file, "s", [FirstRow(tuple(s), str(rng.choice(list("=<>~")))) for s in sets], paths=[tmp_path])
        whole = tmp_path / "map.tax"
        whole.write_text(made.text)
        allowed = lsu_onto.load(whole, "s", [tmp_path]).allowed
        assert [set(np.flatnonzero(a)) for a in allowed] == [set(s) for s in sets], made.text
        whole.unlink()
    alone = first_map(file, "s", [FirstRow((0,), "=")] + [FirstRow((k,))] * (d - 1), paths=[tmp_path])
    assert alone.relations[0] == "= s0"


def test_a_claim_goes_on_in_the_next_line(tmp_path: Path) -> None:
    names = [f"a_class_of_the_source_with_a_long_name_{i}" for i in range(6)]
    lines = ["tax 1", "source s v1", *(f"{i} {n}" for i, n in enumerate(names)), "dataset d v1", "0 all"]
    (tmp_path / "all.tax").write_text("\n".join(lines) + "\n")
    (made,) = first_map(tmp_path / "all.tax", "s", [FirstRow(tuple(range(6)), ">")], paths=[tmp_path]).relations
    assert "~" not in made and made.count(">") > 1


def test_a_draft_with_an_arrow_is_refused(town: Path) -> None:
    town.write_text(TOWN.replace("my v1", "my v1 -> cityscapes v1"))
    with pytest.raises(lsu_onto.UserError, match="only the header of a draft, remove `-> cityscapes v1` there"):
        first_map(town, "cityscapes", [FirstRow((0,))] * 7)


def test_rows_of_another_form_are_refused(town: Path) -> None:
    rows: list[Any] = [FirstRow((c,)) for c in range(7)]
    for changed, message in (
        (rows[1:], "found 6 rows; expected 7, one for each class of `my`"),
        (
            [*rows[1:], FirstRow((-1,))],
            "the row of `gully` allows -1; expected channels of `cityscapes`, 0 to 18, or 19",
        ),
        ([*rows[1:], FirstRow((0,), "in")], "the operator of `gully` is 'in'; expected one of =, <, >, ~"),
        ([*rows[1:], FirstRow((0,), "<", "ab")], r"the notes of `gully` are 'ab'; expected several texts"),  # type: ignore[arg-type]
        ([*rows[1:], FirstRow(0)], r"the row of `gully` allows 0; expected several channels: `\(0,\)`"),  # type: ignore[arg-type]
        (["road"] * 7, "expected a `FirstRow` for each class of `my`"),
    ):
        with pytest.raises(lsu_onto.UserError, match=message):
            first_map(town, "cityscapes", changed)
    with pytest.raises(lsu_onto.UserError, match=r"`about` is 'two'; expected a list of lines"):
        first_map(town, "cityscapes", rows, "two")  # each letter was a line
    assert "# two\n# lines\nmap my" in first_map(town, "cityscapes", rows, ["two\nlines"]).text
