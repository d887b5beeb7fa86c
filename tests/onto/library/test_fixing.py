"""`validate --fix`: fixes are applied until none is left, and never do harm."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from helpers.tax import TAX
from lsu_onto.cli import main
from lsu_onto.constraint.matrices import compile_ontology
from lsu_onto.diagnostics import Diagnostic
from lsu_onto.library import fixing
from lsu_onto.library.library import Library

MINI = """\
tax 1
source mini v1
0 road
1 grass
[vehicle]
2 car
3 truck aka lorry
"""
FIELD = """\
dataset field v1 -> mini v1
void: 255
1\tasphalt  #404040  < raod
2 track    < road grass
3 vehicle  #1e9  > car car car truck
4 cow      ~ grass ! car truck
5 unsure
"""
SAFE = """\
tax 1
dataset field v1 -> mini v1
void: 255
1       asphalt  #404040  < raod
2 track    < road grass
3 vehicle  #11ee99  > car truck
4 cow      < grass
5 unsure
"""
UNSAFE = SAFE.replace("raod", "road").replace("< road grass", "~ road grass").replace("5 unsure", "5 unsure  -> void")


def run(*args: str) -> Result:
    result = CliRunner().invoke(main, ["validate", *args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mini.tax").write_text(MINI)
    Path("field.tax").write_text(FIELD)
    return Path("field.tax")


def test_safe_fixes_leave_what_has_to_be_decided(field: Path) -> None:
    done = run("--fix")
    assert field.read_text() == SAFE and Path("mini.tax").read_text() == MINI
    assert done.exit_code == 1 and done.stderr.endswith(
        "\nfixed 6 findings in 1 file; 3 are left; `--unsafe-fixes` fixes 3 of them\n"
    )
    assert {"TAX201", "TAX303", "TAX301"} == {c for c in ("TAX201", "TAX303", "TAX301", "TAX305") if c in done.stderr}
    assert "field.tax:4:29" in done.stderr  # where it is now
    again = run("--fix")
    assert field.read_text() == SAFE and again.stderr.endswith(
        "\nnothing to fix; 3 findings are left; `--unsafe-fixes` fixes 3 of them\n"
    )


def test_unsafe_fixes_decide_it(field: Path) -> None:
    done = run("--fix", "--unsafe-fixes", "field.tax", str(field.absolute()))
    assert field.read_text() == UNSAFE
    assert (done.exit_code, done.output) == (0, "fixed 9 findings in 1 file; none is left\n")
    assert run("--fix").output == ""


def test_a_diff_writes_nothing(field: Path) -> None:
    done = run("--diff", "--fix", "--unsafe-fixes")
    assert (field.read_text(), done.exit_code) == (FIELD, 1)
    assert done.stdout.startswith("--- field.tax\n+++ field.tax\n") and "\n+5 unsure  -> void\n" in done.stdout
    assert done.stderr == "would fix 9 findings in 1 file; none would be left\n"
    field.write_text(UNSAFE)
    assert (run("--diff").exit_code, run("--diff").output) == (0, "")


def test_what_can_be_fixed_is_offered(field: Path) -> None:
    assert run().stderr.endswith("says more\n`--fix` fixes 5, `--fix --unsafe-fixes` fixes 7\n")
    found = json.loads(run("--format", "json").stdout)["diagnostics"]
    assert {d["code"]: d["fix"]["safe"] for d in found if d["fix"]}["TAX201"] is False
    assert {d["code"]: d["fix"]["safe"] for d in found if d["fix"]}["TAX010"] is True
    assert "--fix" in run("--unsafe-fixes").stderr and run("--unsafe-fixes").exit_code == 2
    assert "--format" in run("--diff", "--format", "json").stderr


def test_lines_end_as_they_did(field: Path) -> None:
    field.write_bytes(b"\xef\xbb\xbf" + FIELD.replace("\n", "\r\n").encode())
    run("--fix")
    assert field.read_bytes() == b"\xef\xbb\xbf" + SAFE.replace("\n", "\r\n").encode()


def test_a_fix_that_leads_to_more_errors_is_undone(field: Path) -> None:
    """If `a` overlaps road and grass, neither `b` nor `c` can be all of them: two contradictions for one error."""
    text = "tax 1\ndataset field v1 -> mini v1\n1 a  < road grass\n2 b  > grass\n3 c  > road\n"
    field.write_text(text)
    done = run("--fix", "--unsafe-fixes", "field.tax")
    assert field.read_text() == text.replace("  >", "  =") and done.exit_code == 1
    said = "field.tax:3:6: not fixed [TAX303]: to write `~ road grass` would lead to more errors"
    assert done.stderr.endswith(f"\n{said}\nfixed 2 findings in 1 file; 1 is left\n")


def test_another_fix_of_the_same_line_is_still_tried(field: Path) -> None:
    text = "tax 1\ndataset field v1 -> mini v1\n1 a\t < road grass\n2 b  = grass\n3 c  = road\n"
    field.write_text(text)
    run("--fix", "--unsafe-fixes", "field.tax")
    assert field.read_text() == text.replace("1 a\t <", "1 a      <")


def test_the_harm_of_one_fix_does_not_hide_behind_another(field: Path) -> None:
    """Together they remove an error and add one; alone, each is judged by what it does."""
    text = "tax 1\ndataset field v1 -> mini v1\n1 a  < road grass\n2 b  > grass\n3 c  > road\n4 d  < car truck\n"
    field.write_text(text)
    run("--fix", "--unsafe-fixes", "field.tax")
    assert field.read_text() == text.replace("  >", "  =").replace("< car", "~ car")


def test_one_that_does_harm_among_many_takes_few_trials(field: Path) -> None:
    """Each trial checks whole files again."""
    others = "".join(f"{n} k{n}\t-> void\n" for n in range(4, 132))
    text = f"tax 1\ndataset field v1 -> mini v1\n1 a  < road grass\n2 b  = grass\n3 c  = road\n{others}"
    field.write_text(text)
    trials: list[None] = []
    fixed = fixing.fix(Library(), ["field.tax"], unsafe=True, advance=lambda: trials.append(None))
    assert fixed.count == {"field.tax": 128} and [d.code for d in fixed.undone] == ["TAX303"]
    assert len(trials) == 1 + 2 * 8, "from 129 to one, two halves each time"


def test_an_unreadable_line_hides_errors_that_do_not_count(field: Path) -> None:
    field.write_text("tax 1\ndataset field v1 -> mini v1\n1 a #123 < road\n2 b\n3 c\n")
    done = run("--fix", "field.tax")
    assert done.stderr.endswith("fixed 1 finding in 1 file; 2 are left; `--unsafe-fixes` fixes 2 of them\n")
    assert done.stderr.count("error[TAX301]") == 2


def test_the_same_finding_again_at_the_same_place(field: Path) -> None:
    field.write_text("tax 1\ndataset field v1 -> mini v1\n1 a  ~ road road road grass\n")
    assert run("--fix", "field.tax").output == "fixed 2 findings in 1 file; none is left\n"
    assert field.read_text().endswith("1 a  ~ road grass\n")


def test_a_file_that_somebody_else_changes_stays(field: Path) -> None:
    library = Library()
    fixed = fixing.fix(library, ["field.tax"], unsafe=False)
    assert fixed.texts == {"field.tax": (FIELD, SAFE)} and fixed.count == {"field.tax": 6}
    field.write_text(MINI)
    (problem,) = fixing.write(library, fixed)
    assert "changed while it was being fixed" in problem.message
    assert field.read_text() == MINI and not fixed.texts and not fixed.count


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_folder_without_permission(field: Path) -> None:
    field.parent.absolute().chmod(0o500)
    done = run("--fix")
    field.parent.absolute().chmod(0o700)
    assert done.exit_code == 1 and "cannot write `field.tax`" in done.stderr and field.read_text() == FIELD


def compiled(text: str) -> list[object]:
    """S(d) of each row of a text, and by what each map tells whether labels that were made from it are stale."""
    out: list[object] = []
    for o in Library().check("edited.tax", text).resolved.ontologies:
        out.append(compile_ontology(o, {"edited.tax": text}).content_sha256())
        for r in o.rows:
            meaning = r.meaning(len(o.source.classes))
            out.append((o.dataset.classes[r.cls].name, set(meaning.channels), meaning.void, meaning.novel))
    return out


def errors(text: str) -> list[Diagnostic]:
    return [d for d in Library().check("edited.tax", text).diagnostics if d.severity == "error"]


@pytest.mark.parametrize("path", sorted((TAX / "bad").glob("*.tax")), ids=lambda p: p.stem)
def test_safe_fixes_keep_the_meaning(path: Path) -> None:
    before = path.read_text()
    library = Library(texts={"edited.tax": before})
    fixed = fixing.fix(library, ["edited.tax"], unsafe=False)
    after = library.texts["edited.tax"]
    assert len(errors(after)) <= len(errors(before))
    if not errors(before):
        assert compiled(after) == compiled(before)
    assert fixing.fix(library, ["edited.tax"], unsafe=False).texts == {}
    assert bool(fixed.texts) == bool(fixed.count)


@pytest.mark.parametrize("path", sorted((TAX / "mistakes").glob("*.tax")), ids=lambda p: p.stem)
def test_all_fixes_of_many_mistakes_come_to_an_end(path: Path) -> None:
    library = Library(texts={"edited.tax": path.read_text()})
    fixing.fix(library, ["edited.tax"], unsafe=True)
    left = library.check("edited.tax").diagnostics
    assert fixing.fix(library, ["edited.tax"], unsafe=True).texts == {}, left
