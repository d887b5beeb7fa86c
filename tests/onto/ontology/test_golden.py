"""Golden files: `tests/tax/ok` has nothing wrong; `tests/tax/bad` states at its end what is.

`# expect: 7:12 TAX201` is a line, a column and a code. To add a case, add a file. Infos count only where one
is expected.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import lsu_onto
from helpers.tax import TAX, diagnose, expected
from lsu_onto.algebra.agree import disagreements
from lsu_onto.constraint.matrices import compile_ontology
from lsu_onto.diagnostics import RULES
from lsu_onto.library.library import Library
from lsu_onto.library.searchpath import shipped
from lsu_onto.reporting.findings import full

BAD = sorted((TAX / "bad").glob("*.tax"))
CHANGES = sorted((TAX / "changes").glob("*.new.tax"))
DISAGREE = sorted((TAX / "disagree").glob("*.tax"))
OK = sorted((TAX / "ok").glob("*.tax"))
SHIPPED = sorted(shipped().rglob("*.tax"))
FROM_BYTES = {"TAX001": "needs a missing file", "TAX002": "needs bytes", "TAX009": "needs bytes"}


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", BAD, ids=name)
def test_bad_file_has_the_findings_it_expects_and_no_more(path: Path) -> None:
    wanted = expected(path)
    found = Library().check(path).diagnostics
    infos = {code for _, _, code in wanted if RULES[code].severity == "info"}
    assert wanted
    assert [(d.span.line, d.span.column, d.code) for d in found if d.severity != "info" or d.code in infos] == wanted
    assert all(d.span.end > d.span.column for d in found)


@pytest.mark.parametrize("path", DISAGREE, ids=name)
def test_maps_that_are_good_alone_and_disagree(path: Path) -> None:
    assert [d for d in Library().check(path).diagnostics if d.severity != "info"] == []
    found = disagreements(Library([path]), {str(path)})
    assert [(d.span.line, d.span.column, d.code) for d in found] == expected(path)


@pytest.mark.parametrize("path", OK + SHIPPED, ids=name)
def test_good_file_is_silent(path: Path) -> None:
    assert [d for d in Library().check(path).diagnostics if d.severity != "info"] == []


def test_every_rule_has_a_bad_file() -> None:
    covered = {code for path in [*BAD, *CHANGES, *DISAGREE] for _, _, code in expected(path)}
    assert covered | set(FROM_BYTES) == set(RULES)


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"\xef\xbb\xbftax 1\nsource a v1\n0 road\n", ["TAX009"]),
        ("tax 1\nsource a v1\n0 stra\u00dfe\n".encode("latin-1"), ["TAX002"]),
        ("tax 1\nsource a v1\n0 road\n".encode("utf-16"), ["TAX002"]),
        (b"\x93NUMPY\x01\x00", ["TAX002"]),
        (None, ["TAX001"]),
    ],
)
def test_bytes_that_are_no_plain_text(tmp_path: Path, data: bytes | None, codes: list[str]) -> None:
    file = tmp_path / "x.tax"
    if data is not None:
        file.write_bytes(data)
    assert [d.code for d in Library().check(file).diagnostics if d.code != "TAX004"] == codes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# a note\n",
        "title: x\n",
        "0 road\n",
        "{\n" + '  "a": 1,\n' * 30 + "}\n",
        "".join(f"k{i}: x\n  - {i}\n" for i in range(30)),
    ],
    ids=["empty", "note", "key", "class", "json", "yaml"],
)
def test_a_file_that_is_no_tax_file_is_told_once(text: str) -> None:
    assert [d.code for d in diagnose(text)] == ["TAX004"]


def test_second_place_and_help_of_a_contradiction() -> None:
    (found,) = (d for d in Library().check(TAX / "bad" / "TAX306.tax").diagnostics if d.code == "TAX306")
    assert found.message == "`car` lies wholly inside `vehicle`, so `police` cannot hold part of it"
    assert found.second is not None and found.second.line == 10
    assert found.help and "`~`" in found.help


def test_long_numbers_are_said_whole() -> None:
    long = "1" + "23456789" * 5
    text = f"tax 1\ndataset g v1\nencoding: id\n\n{long}1  a\n{long}2  b\n"
    messages = [d.message for d in Library().check("a.tax", text).errors]
    assert messages == [f"id {long}{n} does not fit `encoding: id` (0 to 255)" for n in (1, 2)]


def test_void_values_are_shown_where_they_are_written() -> None:
    (found,) = (d for d in Library().check(TAX / "bad" / "TAX108.tax").diagnostics if d.code == "TAX108")
    assert found.second is not None and (found.second.line, found.second.column) == (10, 7)
    (found,) = diagnose("tax 1\nsource big v1\n" + "\n".join(f"{i} c{i}" for i in range(256)))
    assert found.second is not None and found.second.line == 2  # 255 is a source's void where none is written
    assert found.help == "write the void value of its labels under `void:`"


def test_a_void_value_that_a_base_wrote(tmp_path: Path) -> None:
    base, own = tmp_path / "base.tax", tmp_path / "own.tax"
    base.write_text("tax 1\ndataset base v1\nencoding: id16\nvoid: 65535\n1 road\n")
    own.write_text("tax 1\ndataset own v1\nextends base v1\nencoding: id\n2 car\n")
    (found,) = Library().check(own).diagnostics
    assert (found.code, found.span.file, found.span.line) == ("TAX107", str(own), 2)
    assert found.second is not None and (found.second.file, found.second.line) == (str(base), 4)


def test_the_example_of_the_design() -> None:
    c = lsu_onto.load(TAX / "ok" / "field.tax")
    assert {d: c.names(d) for d in c.classes} == {
        "footpath": ("sidewalk",),
        "asphalt": ("road",),
        "gravel": ("road", "terrain"),
        "mixed": ("road", "terrain", "void"),
        "high_grass": ("vegetation", "terrain"),
        "woody": ("vegetation",),
        "vehicle": ("car", "truck", "void"),
        "pickup": ("car",),
        "animal": ("void",),
        "rock": ("void",),
        "obstacle": ("vegetation", "terrain", "car", "truck", "void"),
        "undefined": ("road", "sidewalk", "vegetation", "terrain", "car", "truck", "void"),
        "tunnel": ("void",),
    }
    assert [d for d, new in zip(c.classes, c.novel, strict=True) if new] == ["animal"]


def test_a_map_in_its_own_file() -> None:
    c = lsu_onto.load(TAX / "ok" / "idd_to_town.tax")
    assert c.names("road") == ("road",)
    assert c.names("drivable_fallback") == ("road", "terrain", "void")
    assert c.names("vehicle_fallback") == ("truck", "void")
    assert c.encoding == "id16/1000"


def test_extends_keeps_the_classes_of_its_base_and_replaces_by_name() -> None:
    c = lsu_onto.load(TAX / "ok" / "idd_plus.tax")
    assert c.classes == ("drivable_fallback", "vehicle_fallback", "out_of_roi", "hedge", "road")
    assert c.encoding == "id16/1000"
    assert dict(zip(c.raw.tolist(), c.raw_row.tolist(), strict=True)) == {
        1: 0,
        2: 1,
        3: 1,
        4: 1,
        5: 3,
        10: 4,
        65: lsu_onto.ROW_VOID,
    }


@pytest.mark.parametrize(
    ("key", "severity", "meant"),
    [
        ("Void", "error", "void"),
        ("VOID", "error", "void"),
        ("viod", "error", "void"),
        ("ignore_index", "error", "void"),
        ("ignore-label", "error", "void"),
        ("titel", "warning", "title"),
        ("my-key", "warning", None),
        ("note", "warning", None),
    ],
)
def test_a_misspelt_key_about_labels_is_an_error(key: str, severity: str, meant: str | None) -> None:
    text = f"tax 1\ndataset d v1\n{key}: 255  # allow: TAX008\n1 a\n255 b\n"
    found = {d.code: d for d in diagnose(text)}
    if severity == "warning":
        assert found == {}
        (unknown,) = diagnose(text.replace("allow", "for"))
        assert (unknown.severity, unknown.help) == ("warning", f"did you mean `{meant}`?" if meant else unknown.help)
    else:
        assert found["TAX008"].severity == severity and found["TAX008"].help == f"did you mean `{meant}`?"
        assert found["TAX108"].second and found["TAX108"].second.line == 3  # what was meant counts, and nothing is lost


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("val=4", "val"),
        ("train = 200, val: 4", "train val"),
        ('"train" "val"', "train val"),
        ("[train, val]", "train val"),
        ("train:val", "train val"),
        ("train | val", "train val"),
    ],
)
def test_splits_that_no_command_could_name_are_refused(written: str, names: str) -> None:
    text = (
        f"tax 1\ndataset d v1\nsplits: {written}\nimages: {{split}}/{{stem}}.jpg\nlabels: {{split}}/{{stem}}.png\n1 a\n"
    )
    (found,) = diagnose(text)
    assert (found.code, found.span.line, found.fix and found.fix.text) == ("TAX012", 3, names)
    assert diagnose(text.replace(written, names)) == []


@pytest.mark.parametrize(
    ("line", "help_"),
    [
        ("label: labels/{split}/{stem}.png", "did you mean `labels`?"),
        ("img_dir: train", "write `images:` and a pattern"),
        ("ann_dir: train", "write `labels:` and a pattern"),
        ("seg_map_path: train", "write `labels:` and a pattern"),
        ("Reduce_zero_label: True", "write `void: 0` if it is true; the other ids stay as the label files store them"),
    ],
)
def test_a_key_of_another_program_about_labels_is_an_error(line: str, help_: str) -> None:
    (found,) = diagnose(f"tax 1\ndataset d v1\n{line}  # allow: TAX008\n1 a\n")
    assert (found.code, found.severity, found.help) == ("TAX008", "error", help_)
    (found,) = diagnose(f"tax 1\nsource s v1\n0 a\ndataset d v1\n1 a\nmap d v1 -> s v1\n{line}\na = a\n")
    assert (found.code, found.help) == ("TAX011", "write it below `dataset d v1`")


@pytest.mark.parametrize("key", ["void", "ignore_index"])
def test_a_number_of_thousands_of_digits_is_no_raw_value(key: str) -> None:
    first, *_ = diagnose(f"tax 1\ndataset d v1\n{key}: 0x{'f' * 5000}\n1 a\n")
    assert (first.severity, first.span.line) == ("error", 3)


def test_errors_cannot_be_allowed() -> None:
    assert [d.code for d in diagnose("tax 2  # allow: TAX005\n")] == ["TAX005"]


@pytest.mark.parametrize(
    ("encoding", "code", "said"),
    [
        ("id", "TAX107", "id 256 does not fit `encoding: id` (0 to 255), and 43 more ids do not either"),
        ("rgb", "TAX109", "`c0` has no colour, and the encoding is `rgb`; 299 more classes have none either"),
    ],
)
def test_a_wrong_encoding_is_one_finding(encoding: str, code: str, said: str) -> None:
    """However many classes do not fit it."""
    lines = "".join(f"{i} c{i}\n" for i in range(300))
    [found] = diagnose(f"tax 1\ndataset s v1\nencoding: {encoding}\n{lines}")
    assert (found.code, found.message, len(found.more)) == (code, said, 2)


@pytest.mark.parametrize(
    "row",
    [
        lambda n: f"> {' '.join(f'x{i}' for i in range(n))}",
        lambda n: f"> {' '.join(f'@x{i}' for i in range(n))}",
        lambda n: f"~ @g ! {'asphalt ' * n}",
        lambda n: "~ asphalt " * n,
    ],
    ids=["unknown", "unknown-groups", "removed-again", "named-again"],
)
def test_a_row_with_thousands_of_findings_takes_time_in_proportion(row: Callable[[int], str]) -> None:
    """Its excerpts, too. What is quadratic took minutes."""
    text = f"tax 1\nsource s v1\n[g]\n0 asphalt\n1 grass\ndataset d v1 -> s v1\n1 road {row(6000)}\n"
    began = time.process_time()
    found = Library(texts={"/x.tax": text}).check("/x.tax").diagnostics
    assert len(full(found, {"/x.tax": text}, True)) > 100_000 and len(found) >= 6000
    assert time.process_time() - began < 20  # 1 s


def test_a_file_with_thousands_of_wrong_references_takes_time_in_proportion() -> None:
    """To sources, maps and groups that there are not. Each was compared with all, and each map searched for its own."""
    n = 1000
    maps = "".join(f"dataset d{i} v1\n1 a\nmap d{i} v1 -> elsewhere{i} v1\na = b\n" for i in range(n))
    groups = "".join(f"[group{i}]\n{i} s{i}\n" for i in range(n))
    rows = "".join(f"{i} c{i} ~ @grup{i}x s0\n" for i in range(n))
    text = f"tax 1\n{maps}source s v1\nencoding: id16\n{groups}dataset d v1 -> s v1\nencoding: id16\n{rows}"
    began = time.process_time()
    found = Library(texts={"/x.tax": text}).check("/x.tax").diagnostics
    assert Counter(d.code for d in found)["TAX203"] == n == Counter(d.code for d in found)["TAX202"]
    assert time.process_time() - began < 8  # 1.5 s; it was 15 s


def test_rows_that_leave_all_open_take_time_in_proportion() -> None:
    """Each allows the whole source, which was listed anew for each of its checks."""
    n = 1500
    source = "".join(f"{i} s{i}\n" for i in range(n))
    rows = "".join(f"{i} c{i} {'-> any' if i % 2 else f'= s{i}'}\n" for i in range(n))
    text = f"tax 1\nsource s v1\nencoding: id16\n{source}dataset d v1 -> s v1\nencoding: id16\n{rows}"
    began = time.process_time()
    library = Library(texts={"/x.tax": text})
    constraint = compile_ontology(library.ontology("/x.tax d"), library.texts)
    assert constraint.allowed.sum() == n // 2 * (n + 1) + n // 2 and constraint.kind.sum() == n // 2
    assert time.process_time() - began < 5  # 1 s; it was 10 s
