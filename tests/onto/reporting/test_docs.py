"""The docs say what the program does today: their files are valid, their commands print what is shown."""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from lsu_onto.cli import main
from lsu_onto.reporting.error_pages import error_pages

ROOT = Path(__file__).parents[3]
ERRORS = ROOT / "docs" / "errors"
PAGES = ("README.md", "docs/language.md", "docs/cookbook.md", "docs/map-algebra.md")

_BLOCK = re.compile(r"^```(\w*)[ ]?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


def run(*args: str) -> Result:
    return CliRunner().invoke(main, list(args), env={"COLUMNS": "100"})


def blocks(page: str) -> list[tuple[str, list[str], str]]:
    """Language, words behind it and text of each fenced block: `tax field.tax`, `tax field.tax wrong`, `console`."""
    return [(m[1], m[2].split(), m[3]) for m in _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))]


def commands(console: str) -> list[tuple[list[str], str]]:
    """Command lines of a `console` block, and what each prints."""
    parts = re.split(r"^\$ lsu-onto (.*)\n", console, flags=re.MULTILINE)
    assert parts[0] == "", f"no command above: {parts[0]}"
    return [(shlex.split(c), out) for c, out in zip(parts[1::2], parts[2::2], strict=True)]


def plain(output: str) -> str:
    return "\n".join(line.rstrip() for line in output.rstrip().splitlines())


def test_the_error_pages_are_fresh() -> None:
    found = {f.name: f.read_text(encoding="utf-8") for f in ERRORS.iterdir()}
    assert found == error_pages(), "run `lsu-onto docs`"


def test_the_diagrams_are_fresh_and_shown() -> None:
    spec = importlib.util.spec_from_file_location("draw_docs", ROOT / "tools" / "draw_docs.py")
    assert spec and spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    pages = "".join(f.read_text(encoding="utf-8") for f in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for name, draw in tool.PICTURES.items():
        ElementTree.fromstring(draw())
        drawn = (tool.IMAGES / f"{name}.svg").read_text(encoding="utf-8")
        assert drawn == draw(), "run `python tools/draw_docs.py`"
        assert f"images/{name}.svg)" in pages, f"no page shows {name}.svg"


@pytest.mark.parametrize("page", PAGES)
def test_files_are_valid_and_commands_print_what_is_shown(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = shown = 0
    for n, (language, words, text) in enumerate(blocks(page)):
        if language == "console":
            for command, output in commands(text):
                assert plain(run(*command).output) == plain(output), f"{page}: lsu-onto {' '.join(command)}"
                shown += 1
        elif language == "tax" or text.startswith("tax 1\n"):
            name = words[0] if words else f"{n}.tax"
            Path(name).write_text(text, encoding="utf-8")
            files += 1
            good = run("validate", "--strict", name).output == ""
            assert good == ("wrong" not in words), f"{page}: {name}"
            assert not good or run("fmt", "--check", name).exit_code == 0, f"{page}: `lsu-onto fmt {name}`"
    assert files and (shown or page == "README.md")


def test_the_tutorial_makes_two_mistakes_and_mends_them() -> None:
    drafts = [(words, text) for language, words, text in blocks("docs/language.md") if words[:1] == ["field.tax"]]
    assert [w[1:] for w, _ in drafts] == [["wrong"], []]
    shown = next(text for language, _, text in blocks("docs/language.md") if "error[" in text)
    assert len(re.findall(r"^error\[", shown, re.MULTILINE)) == 2


SITUATIONS = (
    "coarser class",
    "finer class",
    "overlapping policy",
    "void in one",
    "unlabelled regions",
    "instance-packed ids",
    "colour files",
    "two releases of one dataset",
    "known to be outside",
    "new source",
)


def test_the_cookbook_has_ten_situations_each_with_file_result_and_mistake() -> None:
    recipes = re.split(r"^## \d+\. ", (ROOT / "docs/cookbook.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(recipes) == 10
    for recipe, situation in zip(recipes, SITUATIONS, strict=True):
        assert situation in recipe.splitlines()[0].lower()
        assert "```tax " in recipe and "$ lsu-onto show " in recipe and "**What people get wrong.**" in recipe


def test_the_python_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = str(ROOT / "docs" / "python.md")
    found = doctest.testfile(page, module_relative=False, encoding="utf-8")
    assert found.failed == 0 and found.attempted > 20


def test_the_readme_of_the_package_index_has_no_relative_links() -> None:
    """The build applies the same substitutions, of hatch-fancy-pypi-readme."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = before = (ROOT / "README.md").read_text(encoding="utf-8")
    for s in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(s["pattern"], s["replacement"], text)
    home = project["project"]["urls"]["Homepage"]
    raw = home.replace("//github.com", "//raw.githubusercontent.com")
    links = [file for file, _ in _LINK.findall(text) if file]
    assert len(links) > 20 and all(link.startswith("https://") for link in links)
    assert f"]({raw}/main/docs/images/demo.png)" in text and f"]({home}/blob/main/docs/language.md)" in text
    assert text.replace(f"{home}/blob/main/", "").replace(f"{raw}/main/", "") == before


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{f.name}" for f in sorted((ROOT / "docs").glob("*.md")))]
)
def test_links_lead_somewhere(page: str) -> None:
    for file, anchor in _LINK.findall(
        re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    ):
        if "://" in file:
            continue
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), f"{page}: {file}"
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings], (
                f"{page}: {anchor}"
            )
