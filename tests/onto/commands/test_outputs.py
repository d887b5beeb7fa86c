"""What a command writes never replaces what it reads, nor a taxonomy that it does not mean to write."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import lsu_onto.cli
import lsu_seg.cli
from helpers.tax import SOURCE
from lsu_onto.program import OutputPath, Program

GRADE = "tax 1\nsource g v1\n0 road\n"
LINES = [
    "export g --to csv -o {}",
    "export g --to json -o {}",
    "compile g -o {}",
    "render g -o {}",
    "import --from csv {} -o {}",
    "import --from data-priors a.csv --source-from {} -o {}",
    "import --from csv a.csv --source ./g.tax -o {}",
    "init x --from-csv {} --force -o {}",
    "init x --from-csv a.csv --source ./g.tax --force -o {}",
]


def run(*args: str) -> Result:
    result = CliRunner().invoke(lsu_onto.cli.main, args)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", ["g.tax", "linked.tax", "link.csv", "link.npz", "link.svg"])
def test_an_input_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("g.tax").write_text(GRADE)
    Path("copy").mkdir()
    Path("copy/g.tax").write_text(GRADE)  # which `--path` finds first, so that the other is no input
    Path("a.csv").write_text("id,name\n1,road\n")
    Path("linked.tax").hardlink_to("g.tax")
    for link in ("link.csv", "link.npz", "link.svg"):
        Path(link).symlink_to("g.tax")
    refused = run(*line.replace("{}", name).split(), "--path", "copy")
    assert refused.exit_code != 0, refused.output
    assert Path("g.tax").read_text() == GRADE
    why = ("is an input too", "is the name of a taxonomy", "the output must end in", "the suffix must be")
    assert any(w in refused.stderr for w in why), refused.stderr


def test_a_table_is_no_taxonomy_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("id,name\n1,road\n")
    for line in ("import --from csv a.csv -o a.csv", "init x --from-csv a.csv --force -o a.csv"):
        assert "the output must end in `.tax`, not `a.csv`" in run(*line.split()).stderr
    assert Path("a.csv").read_text() == "id,name\n1,road\n"
    done = run("import", "--from", "csv", "a.csv", "-o", "/dev/stdout")
    assert (done.exit_code, [f.name for f in tmp_path.iterdir()]) == (0, ["a.csv"])


@pytest.mark.parametrize("main", [lsu_onto.cli.main, lsu_seg.cli.main], ids=["lsu-onto", "lsu-seg"])
def test_no_output_of_any_command_replaces_a_taxonomy(tmp_path: Path, main: Program) -> None:
    file = tmp_path / "town.tax"
    file.write_text(SOURCE)
    (tmp_path / "link.html").symlink_to(file)
    outputs = 0
    for name in main.places:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter.type, OutputPath) and ".tax" not in parameter.type.suffixes:
                outputs += 1
                for path in (file, tmp_path / "new.tax", tmp_path / "link.html"):
                    with pytest.raises(click.BadParameter, match=r"is the name of a taxonomy|must end in"):
                        parameter.type.convert(str(path), parameter, click.Context(command))
    assert outputs > 3
