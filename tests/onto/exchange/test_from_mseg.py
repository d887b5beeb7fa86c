"""MSeg's master table."""

from __future__ import annotations

import re
from pathlib import Path

from helpers.exchange import MSEG, errors, run
from lsu_onto.exchange import Options, import_


def test_mseg(tmp_path: Path) -> None:
    table, names = tmp_path / "MSeg_master.tsv", tmp_path / "town-4_names.txt"
    table.write_text(MSEG)
    names.write_text("lane\nroad\ntunnel\nego vehicle\npavment\n")
    alone = import_("mseg", [table], Options(kind="source"))
    assert errors(alone.text) == [] and "[flat]\n0  road" in alone.text and "unlabeled" not in alone.text
    plain = import_("mseg", [table], Options(column="other-2"))
    assert [e.split()[0] for e in errors(plain.text)] == ["TAX111"], "without the file of the names there are no ids"
    assert re.search(r"^path +~ sidewalk_pavement bird$", plain.text, re.MULTILINE)
    assert "no raw values" in plain.findings[-1].message and re.search(r"^-  path$", plain.text, re.MULTILINE)
    full = import_("mseg", [table, names], Options(column="town-4"))
    assert errors(full.text) == []
    assert re.search(r"^0  lane$", full.text, re.MULTILINE) and re.search(r"^road +< road$", full.text, re.MULTILINE)
    assert re.search(r"^ego_vehicle +-> void$", full.text, re.MULTILINE)
    said = {(Path(f.place[0]).name, *f.place[1:], f.kind, f.help) for f in full.findings}
    assert ("MSeg_master.tsv", 3, 6, "dangling", "did you mean `pavment`?") in said
    assert {s[:4] for s in said} >= {
        ("town-4_names.txt", 3, 1, "unmentioned"),
        ("town-4_names.txt", 5, 1, "unmentioned"),
    }
    assert "`pavement` is not a class of town-4_names.txt" in full.text


def test_a_row_that_ends_before_its_group_has_none(tmp_path: Path) -> None:
    table = tmp_path / "m.tsv"
    table.write_text("universal\ttown-4\tparent category\nroad\troad\n")
    assert "[" not in import_("mseg", [table], Options(kind="source")).text


def test_mseg_errors(tmp_path: Path) -> None:
    table = tmp_path / "m.tsv"
    table.write_text(MSEG)
    for options, message in (
        ([], "which dataset? add `--column` with one of `town-4`, `other-2`"),
        (["--column", "twon-4"], "no column `twon-4`; did you mean `town-4`?"),
    ):
        result = run("import", "--from", "mseg", table, *options)
        assert result.exit_code == 1 and message in result.stderr
    table.write_text(MSEG.replace("{road, lane}", "{road, lane"))
    assert ":2:6: `{road, lane` has one brace" in run("import", "--from", "mseg", table, "--column", "town-4").stderr
