"""`lsu-onto changes` follows chains: composed files, and what has no other map than by a chain."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.tax import TAX
from lsu_onto.changes.revisions import changes
from lsu_onto.cli import main
from lsu_onto.diagnostics import Diagnostic
from lsu_onto.library.searchpath import shipped

OLD = (TAX / "changes" / "chain.old.tax").read_text()


def compose(folder: Path, *names: str) -> None:
    done = CliRunner().invoke(main, ["compose", *names, "-o", str(folder / "composed.tax"), "--path", str(folder)])
    assert done.exit_code == 0, done.output


def chain_findings(new: Path, old: Path, search: list[str | Path]) -> list[Diagnostic]:
    findings, texts = changes(str(new), str(old), search)
    assert all({d.span.file, *(place.file for place, _ in d.places)} <= texts.keys() for d in findings)
    return [d for d in findings if d.code == "TAX905"]


def versions(tmp_path: Path, old: str, new: str) -> tuple[Path, Path]:
    """A file outside of the search path, so that each version is all that is known of it."""
    files = tmp_path / "old" / "all.tax", tmp_path / "new" / "all.tax"
    for file, text in zip(files, (old, new), strict=True):
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return files[1], files[0]


def test_a_chain_says_which_classes_changed_and_by_which_row(tmp_path: Path) -> None:
    (d,) = chain_findings(*versions(tmp_path, OLD, OLD.replace("truck  < vehicle", "truck  ~ vehicle void")), [])
    assert d.message == "2 classes of `fleet v1` changed in `coarse v1`, by way of `fine v1`, `fine_labels v1`"
    assert [label for _, label in d.places] == [
        "`large` may now be `void`, through fine: truck",
        "`both` may now be `void`, through fine: car truck",
    ]
    assert d.help and "`lsu-onto compose fleet@v1 fine@v1 fine_labels@v1 coarse@v1`" in d.help
    assert OLD.split("\n")[d.span.line - 1] == "truck  < vehicle"


def test_the_first_map_of_a_chain_counts_too_and_renamed_classes_are_the_same(tmp_path: Path) -> None:
    renamed = OLD.replace("vehicle", "engine").replace("0  engine", "0  engine  aka vehicle")
    assert chain_findings(*versions(tmp_path / "a", OLD, renamed), []) == []
    (d,) = chain_findings(*versions(tmp_path / "b", OLD, renamed.replace("large  < truck", "large  < road")), [])
    assert d.message.startswith("1 class of `fleet v1` changed")
    assert d.places[0][1] == "`large` may now be `surface` and may no longer be `engine`, through fine: road"
    raised = OLD.replace("dataset fleet v1", "dataset fleet v2").replace("large  < truck", "large  < road")
    assert [d.message[:22] for d in chain_findings(*versions(tmp_path / "c", OLD, raised), [])] == [
        "1 class of `fleet v2` "
    ]


def test_a_chain_that_is_interrupted_or_contradicts_itself(tmp_path: Path) -> None:
    start = OLD.index("source coarse")
    source = tmp_path / "fine.tax"  # nobody names a dataset that is called as its source
    source.write_text(OLD[:start])
    by_name = "tax 1\n" + OLD[start:].replace("fine_labels", "fine")
    (d,) = chain_findings(
        *versions(tmp_path / "a", by_name, by_name.replace("car    = car", "car    ~ car void")), [source]
    )
    assert d.message == "the chain from `fleet v1` to `coarse v1` by way of `fine v1` is interrupted"
    assert d.help == "`fine v1` no longer has all classes of the source, each by `=`"
    claims = OLD.replace("truck  < vehicle", "truck  = vehicle").replace(
        "car    < vehicle", "car  -> any ! surface void"
    )
    (d,) = chain_findings(*versions(tmp_path / "b", OLD, claims), [])
    assert d.message.startswith("nothing follows any more from `fleet v1` to `coarse v1`")
    assert d.help and "`car` of `fine_labels` can be nothing in `coarse`" in d.help
    files = versions(tmp_path / "c", OLD, OLD[: OLD.index("map fine_labels v1 -> coarse")])
    assert chain_findings(*files, []) == []  # that the map is gone, another finding says


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commit() -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"GIT_CONFIG_GLOBAL": os.devnull}
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for args in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", *who, *args], check=True, capture_output=True, env=env)


def test_a_composed_file_is_stale_until_it_is_composed_again(repository: Path) -> None:
    Path("all.tax").write_text(OLD)
    compose(Path(), "fleet", "fine", "coarse")
    commit()
    Path("all.tax").write_text(OLD.replace("truck  < vehicle", "truck  -> void"))
    for file in ("all.tax", "composed.tax"):
        (d,) = chain_findings(Path(file), Path("git:HEAD"), ["."])
        assert d.help == (
            "`composed.tax` is stale; compose it again: `lsu-onto compose fleet@v1 fine@v1 fine_labels@v1 coarse@v1`"
        )
        assert {place.file for place, _ in d.places} == {"composed.tax"}
    Path("composed.tax").unlink()
    compose(Path(), "fleet", "fine", "coarse")
    assert chain_findings(Path("all.tax"), Path("git:HEAD"), ["."]) == []
    assert [d.code for d in changes("composed.tax", "git:HEAD", ["."])[0]] == ["TAX903", "TAX903"]


def test_of_many_chains_the_first_ones_are_shown(repository: Path) -> None:
    shutil.copytree(shipped(), "taxonomies")
    commit()
    file = Path("taxonomies/offroad/to_offroad/cityscapes.tax")
    text = file.read_text()
    assert "= sky" in text
    file.write_text(text.replace("= sky", "~ sky void"))
    findings = chain_findings(file, Path("git:HEAD"), ["taxonomies"])
    assert len(findings) == 8 and all("in `offroad v1`, by way of `cityscapes v1`" in d.message for d in findings)
    assert all(len(d.places) <= 3 for d in findings)
    fine = [d for d in findings[:-1] if "idd_lite" not in d.message]  # six of whose seven classes change
    assert all("`sky` may now be `void`" in str(d.places) for d in fine)
    more = re.search(r"; (\d+) more chains changed: (.*)$", findings[-1].help or "")
    assert more and len(more[2].split(", ")) == int(more[1]) and "`vistas v2` → `offroad v1`" in more[2]
    to_cityscapes = Path("taxonomies/urban/to_cityscapes")
    assert len(chain_findings(to_cityscapes / "idd.tax", Path("git:HEAD"), ["taxonomies"])) == 1
    assert chain_findings(to_cityscapes / "cityscapes.tax", Path("git:HEAD"), ["taxonomies"]) == []  # it says the same
    file.write_text(text)
    to_vistas = Path("taxonomies/urban/to_vistas/cityscapes.tax")
    changed = to_vistas.read_text().replace("= sky", "~ sky void")
    assert changed != to_vistas.read_text()
    to_vistas.write_text(changed)
    composed = [
        d for d in chain_findings(to_vistas, Path("git:HEAD"), ["taxonomies"]) if "`vistas v1`, by" in d.message
    ]
    without = [
        d for d in composed if not Path(f"taxonomies/urban/to_vistas/{d.message.split('`')[1].split()[0]}.tax").exists()
    ]
    assert composed == without  # no dataset that has a map of its own there
