"""`[tool.lsu-onto]` in a `pyproject.toml`: what it does to commands, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lsu_onto.cli import main
from lsu_onto.diagnostics import RULES
from lsu_onto.settings import Settings, SettingsError, find_settings

SOURCE = "tax 1\nsource s v1\n0 road\n1 grass\n"
OVERLAP = "tax 1\ndataset {} v1 -> s v1\n1 a  ~ road\n"
"""It has a warning, TAX305."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a source in `sources`, and datasets in `maps`."""
    for file, text in {
        "sources/s.tax": SOURCE,
        "maps/d.tax": OVERLAP.format("d"),
        "maps/drafts/e.tax": OVERLAP.format("e"),
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(f"[project]\nname = 'x'\n[tool.lsu-onto]\n{text}\n")


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def findings(*args: str) -> list[str]:
    """File and code of each finding."""
    lines = run("validate", "--format", "concise", *args).stdout.splitlines()
    return [f"{line.split(':')[0]} {line.partition('[')[2][:6]}" for line in lines]


def test_paths_are_searched_and_checked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings("maps/d.tax") == ["maps/d.tax TAX203"]
    settings(project, 'paths = ["sources", "maps"]')
    assert findings() == ["maps/d.tax TAX305", "maps/drafts/e.tax TAX305"]
    assert findings("maps/d.tax") == ["maps/d.tax TAX305"]
    assert run("show", "d").exit_code == 0
    (project / "elsewhere.tax").write_text("tax 1\n")
    assert run("fmt", "--check").exit_code == 1 and "elsewhere" not in run("fmt", "--check").stdout
    assert run("check-maps").exit_code == 0
    monkeypatch.chdir("maps")  # from a folder of the project
    assert findings() == ["d.tax TAX305", "drafts/e.tax TAX305"]
    assert findings("d.tax", "--path", "../sources") == ["d.tax TAX305"]


def test_both_programs_search_the_paths(project: Path) -> None:
    from lsu_seg.cli import main as seg

    settings(project, 'paths = ["sources", "maps"]')
    done = CliRunner().invoke(seg, ["scan", "d", "--data-root", "."])
    assert done.exit_code == 1 and "the taxonomy has no `images:` and `labels:`" in done.output
    settings(project, "")
    assert "no taxonomy" in CliRunner().invoke(seg, ["scan", "d", "--data-root", "."]).stderr


def test_the_nearest_table_counts(project: Path) -> None:
    settings(project, 'paths = ["sources"]')
    (project / "maps/pyproject.toml").write_text("[project]\nname = 'lsu-onto'\n")
    assert find_settings("maps").paths == (str(project / "sources"),)
    (project / "maps/pyproject.toml").write_text("no TOML, and none of ours")
    assert find_settings("maps").paths == (str(project / "sources"),)
    (project / "maps/pyproject.toml").write_text("[tool.lsu-onto]\n")
    assert find_settings("maps").paths == () and find_settings("maps").file


def test_what_is_excluded_is_checked_only_by_name(project: Path) -> None:
    settings(project, 'paths = ["sources", "maps"]\nexclude = ["drafts"]')
    assert findings() == ["maps/d.tax TAX305"]
    assert findings("maps/drafts/e.tax") == ["maps/drafts/e.tax TAX305"]
    for pattern in ("maps/drafts", "./maps/drafts/", "maps/*/e.tax", "e.*", "maps/dr*"):
        settings(project, f'paths = ["sources", "maps"]\nexclude = ["{pattern}"]')
        assert findings() == ["maps/d.tax TAX305"], pattern
    settings(project, 'exclude = ["*.tax"]')
    assert "all `.tax` files in `maps` are excluded" in run("validate", "maps").stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ignore = ["TAX305"]', set()),
        ('ignore = ["TAX3"]', set()),
        ('ignore = ["ALL"]', set()),
        ('select = ["TAX2"]', set()),
        ("select = []", set()),
        ('select = ["TAX30"]', {"d", "e"}),
        ('select = ["TAX305"]\nignore = ["TAX3"]', {"d", "e"}),  # as of ruff, the longer one counts
        ('select = ["TAX3"]\nignore = ["TAX305"]', set()),
        ('select = ["TAX305"]\nignore = ["TAX305"]', set()),
        ('per-file-ignores = { "maps/d.tax" = ["TAX305"] }', {"e"}),
        ('[tool.lsu-onto.per-file-ignores]\ndrafts = ["TAX3"]\n"*.txt" = ["ALL"]', {"d"}),
    ],
)
def test_warnings_that_are_not_reported(project: Path, text: str, expected: set[str]) -> None:
    settings(project, text)
    found = findings("maps", "--path", "sources")
    assert {Path(f.split()[0]).stem for f in found} == expected
    done = run("validate", "maps", "--path", "sources", "--strict")
    assert done.exit_code == bool(expected)


def test_errors_are_reported_whatever_is_ignored(project: Path) -> None:
    settings(project, 'select = []\nignore = ["TAX2", "ALL"]\nper-file-ignores = { "*" = ["ALL"] }')
    assert findings("maps/d.tax") == ["maps/d.tax TAX203"]
    assert all(RULES[code].severity != "error" for code in find_settings(".").silenced("maps/d.tax"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('ignor = ["TAX305"]', "there is no setting `ignor`; did you mean `ignore`?"),
        ("x-y = 1", "there is no setting `x-y`; expected `paths`, `exclude`, `select`, `ignore`, `per-file-ignores`"),
        ('ignore = "TAX305"', '`ignore` is `TAX305`; expected a list of strings, such as ["TAX305"]'),
        ('ignore = ["TAX350"]', "no rule begins with `TAX350` of `ignore`; did you mean"),
        ('select = ["305"]', "no rule begins with `305` of `select`; did you mean `TAX305`?"),
        (
            'ignore = ["TAX201"]',
            "`TAX201` is an error; what has errors cannot be compiled, so errors cannot",
        ),
        ('ignore = ["TAX10"]', "all rules in `TAX10` are errors"),
        ("exclude = [1]", "`exclude` is `[1]`; expected a list of strings"),
        ("exclude = ['']", "`exclude` is `['']`; expected a list of strings"),
        ('paths = ["map"]', "`map` of `paths` is not a folder; paths are relative to"),
        pytest.param(f'paths = ["{"x/" * 3000}"]', "of `paths` is not a folder; paths are relative to", id="long"),
        pytest.param("paths = " + "9" * 5000, "not valid TOML: Exceeds the limit", id="digits"),
        pytest.param("paths = " + "[" * 9999, "not valid TOML: its lists or tables are nested too deeply", id="deep"),
        ("per-file-ignores = []", "`per-file-ignores` is empty; expected a table, such as"),
        ('per-file-ignores = { "a" = "TAX305" }', "`a` is `TAX305`; expected a list of codes"),
        ('per-file-ignores = { "a" = ["TAX201"] }', "`TAX201` is an error"),
        ("ignore = [", "not valid TOML: "),
    ],
)
def test_what_cannot_be_meant(project: Path, text: str, message: str) -> None:
    settings(project, text)
    for args in (["validate", "maps"], ["list"], ["fmt", "maps"]):
        done = run(*args)
        assert done.exit_code == 1 and message in done.stderr, args
        assert done.stderr.startswith(f"error: {project / 'pyproject.toml'}:")
    if "TOML" not in message:
        assert f"{project / 'pyproject.toml'}:4: [tool.lsu-onto]: " in run("list").stderr


def test_a_key_of_thousands_of_parts(project: Path) -> None:
    settings(project, f"paths{'.a' * 20_000} = 1")
    done = run("list")
    assert done.exit_code == 1 and "`paths` is nested too deeply; expected a list of strings" in done.stderr


def test_a_file_that_cannot_be_read(project: Path) -> None:
    (project / "pyproject.toml").write_bytes(b"[tool.lsu-onto]\nexclude = ['caf\xe9']\n")
    with pytest.raises(SettingsError, match="not UTF-8 text: found byte 0xe9"):
        find_settings(project)
    text = '[tool.lsu-onto]\nexclude = ["drafts"]\n'
    (project / "pyproject.toml").write_text(text, encoding="utf-8-sig")
    assert find_settings(project).exclude == ("drafts",)
    for encoding in ("utf-16", "utf-16-be", "utf-32"):
        (project / "pyproject.toml").write_text(text, encoding=encoding)
        with pytest.raises(SettingsError, match="UTF-16 or UTF-32 text; TOML is UTF-8: save it as UTF-8"):
            find_settings(project)
    (project / "pyproject.toml").write_text("tool = 1\nlsu-onto = 2\n")
    with pytest.raises(SettingsError, match="`tool` is `1`; expected a table"):
        find_settings(project)
    (project / "pyproject.toml").write_text("tool.lsu-onto = 1\n")
    with pytest.raises(SettingsError, match=r"`tool[.]lsu-onto` is `1`; expected the table"):
        find_settings(project)
    (project / "pyproject.toml").unlink()
    (project / "pyproject.toml").mkdir()
    assert find_settings(project) == Settings()


def test_the_example_of_the_docs(project: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```$", docs, re.MULTILINE | re.DOTALL)
    (project / "pyproject.toml").write_text(example, encoding="utf-8")
    (project / "taxonomies").mkdir()
    found = find_settings(project)
    assert (
        found.paths == (str(project / "taxonomies"),)
        and found.ignored == {"TAX305"}
        and found.excludes("maps/old_1.tax")
    )
    assert found.silenced("taxonomies/generated/a.tax") >= {"TAX305", "TAX308"}


def test_completion_goes_on_without_settings(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(project, "ignor = 1")
    monkeypatch.setenv("COMP_WORDS", "lsu-onto show demo_t")
    monkeypatch.setenv("COMP_CWORD", "2")
    done = CliRunner().invoke(main, [], prog_name="lsu-onto", env={"_LSU_ONTO_COMPLETE": "bash_complete"})
    assert "demo_town" in done.output
