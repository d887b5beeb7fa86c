"""`make release-check`: what it finds in the files of a release. It builds and installs them itself."""

from __future__ import annotations

import re
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import release_check  # noqa: E402
from release_check import Built, content_faults, page_faults, version_faults  # noqa: E402

TRACKED = ["README.md", "lsu_onto/__init__.py", "lsu_onto/page.css", "lsu_seg/__init__.py", "taxonomies/urban/idd.tax"]
WHEEL = ["lsu_onto/__init__.py", "lsu_onto/page.css", "lsu_seg/__init__.py", "lsu_onto/taxonomies/urban/idd.tax"]


def built(folder: Path, wheel: list[str], sdist: list[str]) -> Built:
    files = Built(folder / "lsu_toolkit-0.1.0-py3-none-any.whl", folder / "lsu_toolkit-0.1.0.tar.gz")
    with zipfile.ZipFile(files.wheel, "w") as z:
        for name in [*wheel, "lsu_toolkit-0.1.0.dist-info/METADATA"]:
            z.writestr(name, "")
    with tarfile.open(files.sdist, "w:gz") as t:
        for name in [*sdist, "PKG-INFO"]:
            t.addfile(tarfile.TarInfo(f"lsu_toolkit-0.1.0/{name}"))
    return files


def test_files_have_what_git_has_and_nothing_else(tmp_path: Path) -> None:
    assert list(content_faults(built(tmp_path, WHEEL, TRACKED), TRACKED)) == []
    files = built(tmp_path, [*WHEEL[:-1], "lsu_onto/scratch.npz"], [*TRACKED[1:], "work/out.npz"])
    assert list(content_faults(files, TRACKED)) == [
        f"{files.wheel.name}: lacks lsu_onto/taxonomies/urban/idd.tax",
        f"{files.wheel.name}: has lsu_onto/scratch.npz, which git does not track",
        f"{files.sdist.name}: lacks README.md",
        f"{files.sdist.name}: has work/out.npz, which git does not track",
    ]


@pytest.mark.parametrize(
    ("version", "heading", "count"),
    [
        ("0.1.0", "## 0.1.0 (2026-12-01)", 0),
        ("0.1.0", "## 0.1.0 (unreleased)", 0),
        ("0.1.0", "## Unreleased", 1),
        ("0.1.0", "", 1),
        ("0.2.0", "## 0.2.0", 2),
        ("0.1", "## 0.1", 2),
    ],
)
def test_one_version_everywhere(version: str, heading: str, count: int, tmp_path: Path) -> None:
    faults = list(version_faults(version, built(tmp_path, [], []), f"# Changelog\n\n{heading}\n\n- something\n"))
    assert len(faults) == count
    if heading == "## Unreleased":
        assert faults[0].startswith("CHANGELOG.md: its first section is `Unreleased`; expected `## 0.1.0`")


HOME = "https://github.com/lsu-toolkit/lsu-toolkit"
RAW = "https://raw.githubusercontent.com/lsu-toolkit/lsu-toolkit"


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        (f'<a href="{HOME}/blob/main/docs/none.md#x">', "there is no docs/none.md in the repository"),
        ('<a href="docs/cli.md">', "docs/cli.md: is relative"),
        (f'<img src="{RAW}/main/none.png">', "there is no none.png in the repository"),
        (f'<img src="{RAW}/main/docs/a.svg">', "does not show pictures of this kind"),
    ],
)
def test_the_page_on_an_index(html: str, fault: str) -> None:
    good = f'<a href="{HOME}/tree/main/docs"></a><a href="#x"></a><a href="{HOME}/blob/main/docs/cli.md#x"></a>' * 4
    good += f'<img src="{RAW}/main/docs/a.png">'
    files = ["docs/cli.md", "docs/a.png", "docs/a.svg"]
    assert list(page_faults(good, files, HOME)) == []
    (found,) = page_faults(good + html, files, HOME)
    assert fault in found
    assert "README was not rendered" in next(page_faults("", files, HOME))


def test_our_readme_on_an_index() -> None:
    """With the substitutions that the build makes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for s in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(s["pattern"], s["replacement"], text)
    files = [f.relative_to(ROOT).as_posix() for f in [*ROOT.glob("*.*"), *(ROOT / "docs").rglob("*.*")]]
    assert list(page_faults(MarkdownIt().render(text), files, HOME)) == []


@pytest.mark.slow
def test_what_ends_badly_is_said(tmp_path: Path) -> None:
    """Not even installed: a file that is no wheel."""
    file = tmp_path / "lsu_toolkit-0.1.0-py3-none-any.whl"
    file.write_text("nothing")
    environment = tmp_path / "wheel"
    (fault,) = release_check.use_faults(file, "0.1.0", environment)
    assert re.match(rf"{re.escape(file.name)}: `python -m pip install --quiet .*` ends with 1: ", fault)
