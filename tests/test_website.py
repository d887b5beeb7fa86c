"""`make docs`: Markdown for GitHub as the website reads it, the pages made from the source, and their check."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.browser import chromium
from helpers.processes import wait_until

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools" / "website"))
import check  # noqa: E402
import prose  # noqa: E402
import reference_pages  # noqa: E402

DOCS = sorted((ROOT / "docs").rglob("*.md"))


def adapted(text: str, file: str = "docs/render.md") -> tuple[str, list[str]]:
    faults: list[str] = []
    return prose.adapted(text, file, "https://example.org/blob", faults.append), faults


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            "README.md",
            "[a](docs/ci.md#github) ![](docs/images/demo.png)",
            "[a](ci.md#github) ![](images/demo.png)",
        ),
        (
            "README.md",
            "[CHANGELOG](CHANGELOG.md) [e](docs/errors/README.md)",
            "[CHANGELOG](changelog.md) [e](errors/README.md)",
        ),
        ("docs/cli.md", "[a](../README.md), [b](scan.md)", "[a](index.md), [b](scan.md)"),
        ("docs/errors/TAX001.md", "[up](../language.md)", "[up](../language.md)"),
        ("docs/cli.md", "[m](../Makefile)", "[m](https://example.org/blob/Makefile)"),
        (
            "docs/cli.md",
            "[`fmt`](scan.md) `](x.md)` [](#shell-completion) [](https://e.org)",
            "[`fmt`](scan.md) `](x.md)` [](#shell-completion) [](https://e.org)",
        ),
        ("docs/cli.md", "| `a \\| b` | c |", "| `a | b` | c |"),
        ("docs/cli.md", "```tax a.tax wrong\ntax 1\n```", '```tax title="a.tax"\ntax 1\n```'),
        ("docs/cli.md", "```\ntax 1\n```", "```tax\ntax 1\n```"),
        ("docs/cli.md", "```\n[a](nothing.md)\n```", "```\n[a](nothing.md)\n```"),
    ],
)
def test_markdown_for_github_becomes_a_page(file: str, text: str, expected: str) -> None:
    assert adapted(text, file) == (expected, [])


def test_what_the_website_would_not_show_is_said() -> None:
    _, faults = adapted("- item\n\n    of two paragraphs\n- item\n")
    assert faults == ["'- item' below an indented line: Python-Markdown wants an empty line between them"]
    _, faults = adapted("[a](nothing.md)\n\n- item\n  - below it\n")
    assert faults[0].startswith("'  - ' at the start of a line") and faults[1:] == [
        "a link to nothing.md, which is not there"
    ]
    _, faults = adapted("[a](cli.md#no-such-heading) [b](cli.md#shell-completion) [c](#x)", "docs/ci.md")
    assert faults == [
        "a link to cli.md#no-such-heading, and cli.md has no such heading",
        "a link to #x, and this page has no such heading",
    ]


@pytest.mark.parametrize("file", DOCS, ids=lambda file: file.relative_to(ROOT / "docs").as_posix())
def test_pages_are_written_so_that_both_read_them(file: Path) -> None:
    assert adapted(file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix())[1] == []


def test_readme_lists_every_page() -> None:
    """The navigation is made of its list."""
    groups = dict(prose.groups((ROOT / "README.md").read_text(encoding="utf-8")))
    listed = [file for files in groups.values() for file in files]
    assert len(groups) == 3 and len(listed) == len(set(listed))
    pages = {f"docs/{f.name}" for f in (ROOT / "docs").glob("*.md")}
    assert set(listed) == pages | {"docs/errors/README.md", "CONTRIBUTING.md", "CHANGELOG.md"}


def test_the_reference_has_what_users_import_and_what_configs_name() -> None:
    import lsu_onto

    assert set(reference_pages.public("lsu_onto")) == set(lsu_onto.__all__)
    parts = reference_pages.registered()
    imported = re.findall(r'^    "([\w.]+)",$', (ROOT / "lsu_seg/openmmlab/components.py").read_text(), re.MULTILINE)
    modules = {path.rpartition(".")[0] for paths in parts.values() for path in paths}
    assert modules == {f"lsu_seg.{module}" for module in imported}
    pages = reference_pages.pages()
    assert "::: lsu_onto.load\n" in pages["lsu_onto.md"] and "::: lsu_seg.set_nll.set_nll_loss\n" in pages["lsu_seg.md"]
    assert all(f"::: {path}\n" in pages["configs.md"] for paths in parts.values() for path in paths)


def test_docstrings_as_they_are_written_here() -> None:
    griffe = pytest.importorskip("griffe", reason="needs the extra [docs]")
    import docstrings

    shown = docstrings.adapted("What it is.\n\n>>> f(1)\n2\n>>> f(2)\n3\n\nAnd:\n\n    >>> g()\n    0")
    assert shown == (
        "What it is.\n\n```pycon\n>>> f(1)\n2\n>>> f(2)\n3\n```\n\nAnd:\n\n    ```pycon\n    >>> g()\n    0\n    ```"
    )
    text = docstrings.adapted(
        "Things.\n\nAttributes:\n    dataset, version: as in the file.\n    rows (int): how many.\n"
    )
    _, attributes = griffe.Docstring(text).parse("google")
    assert [(a.name, a.annotation) for a in attributes.value] == [("dataset,\u00a0version", None), ("rows", "int")]


PAGE = '<link rel="stylesheet" href="a.css"><h1 id="top">x</h1><a href="b.html#top">b</a><a href="https://e.org">e</a>'


@pytest.mark.parametrize(
    ("text", "fault"),
    {
        "a missing page": ('<a href="c.html">', "index.html: links to c.html, which is not there"),
        "a missing anchor": ('<a href="b.html#no">', "index.html: links to b.html#no; b.html has no such anchor"),
        "an anchor of its own": ('<a href="#no">', "index.html: links to #no; index.html has no such anchor"),
        "a script": (
            '<script src="https://cdn.example/x.js"></script>',
            "loads https://cdn.example/x.js from another machine",
        ),
        "a font": ('<link rel="preconnect" href="//fonts.example">', "loads //fonts.example from another machine"),
        "a picture": ('<img src="no.png">', "index.html: loads no.png, which is not there"),
        "a style": ("<style>@import 'https://e.org/x.css'</style>", "loads https://e.org/x.css from another machine"),
        "an attribute": (
            '<p style="background:url(https://e.org/x.png)">',
            "loads https://e.org/x.png from another machine",
        ),
        "a diagram": (
            '<pre class="mermaid">',
            "index.html: a diagram whose program the theme loads from another machine",
        ),
    }.values(),
)
def test_the_check_of_the_website_finds(
    text: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.css").write_text("p { background: url(data:image/png;base64,xx) } /* url(https://e.org/y) */")
    (tmp_path / "b.html").write_text(PAGE)
    (tmp_path / "index.html").write_text(PAGE)
    assert check.main(tmp_path) == 0
    (tmp_path / "index.html").write_text(PAGE + text)
    assert check.main(tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(fault)


@pytest.mark.slow
def test_the_website_is_built_and_searched_from_disk(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra [docs]")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    subprocess.run(command, check=True, cwd=ROOT)
    assert check.main(site) == 0
    with chromium(tmp_path / "profile") as browser:
        browser.get((site / "index.html").as_uri())
        browser.find_element("css selector", ".md-search__input").send_keys("traversability levels")
        results = ".md-search-result__item h1"
        wait_until(lambda: browser.find_elements("css selector", results))
        assert "traversability v1" in [e.text for e in browser.find_elements("css selector", results)]
        assert browser.get_log("browser") == []
