"""The Markdown of this repository, which is written for GitHub, as Python-Markdown reads it.

Nothing here needs MkDocs.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the website that are not in `docs`: file → page."""

_FENCE = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)|\]\(([^)\s]+)\)", re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_ITEM = re.compile(r"\]\(([^)#\s]+)\)")
_NESTED = re.compile(r"^ {1,3}(?:[-*] |\d+\. |```)", re.MULTILINE)
_JOINED = re.compile(r"^ {4,}\S.*\n((?:[-*]|\d+\.) .*)", re.MULTILINE)


def slug(heading: str, separator: str = "-") -> str:
    """The anchor that GitHub gives to a heading.

    >>> slug("`goose v1` → cityscapes v1")
    'goose-v1--cityscapes-v1'
    """
    return re.sub(r"[^\w -]", "", heading.lower().strip()).replace(" ", separator)


def adapted(text: str, file: str, blob: str, missing: Callable[[str], None]) -> str:
    """A file of this repository as a page of the website.

    Links to other pages lead there, all others to `blob`, the repository on the web. Blocks of `.tax` text get colours
    and their names.

    Args:
        file: its place in the repository, `docs/render.md`.
        missing: called with a message for each link that leads nowhere, and each list that is not portable.
    """
    page = page_of(file)
    assert page is not None
    out: list[str] = []
    end = 0
    for m in _FENCE.finditer(text):
        out += [_prose(text[end : m.start()], file, page, blob, missing), _fence(m)]
        end = m.end()
    return "".join([*out, _prose(text[end:], file, page, blob, missing)])


def _fence(m: re.Match[str]) -> str:
    language, *words = m[2].split()[:2] or [""]
    if not language and m[3].startswith("tax 1\n"):
        language = "tax"
    title = f' title="{words[0]}"' if words and language == "tax" else ""
    return f"{m[1]}{language}{title}\n{m[3]}{m[1]}"


def _prose(text: str, file: str, page: str, blob: str, missing: Callable[[str], None]) -> str:
    for nested in _NESTED.findall(text):
        missing(f"{nested!r} at the start of a line: Python-Markdown wants an indent of four below an item of a list")
    for item in _JOINED.findall(text):
        missing(f"{item!r} below an indented line: Python-Markdown wants an empty line between them")
    # Lists in <details> are Markdown for GitHub; Python-Markdown wants to be told.
    text = text.replace("<details>", '<details markdown="1">')

    def link(m: re.Match[str]) -> str:
        target = m[2]
        if target is None and text[text.rfind("\n", 0, m.start()) + 1] == "|":
            return m[0].replace("\\|", "|")  # code in a table: only GitHub wants its bars escaped
        if target is None or re.match(r"[a-z]+:", target):
            return m[0]
        path, hash_, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(file), path)) if path else file
        if not (ROOT / place).exists():
            missing(f"a link to {path}, which is not there")
        elif anchor and place.endswith(".md") and anchor not in _anchors(place):
            missing(f"a link to {target}, and {path or 'this page'} has no such heading")
        if not path:
            return m[0]
        to = page_of(place)
        if to is None:
            return f"]({blob}/{place}{hash_}{anchor})"
        return f"]({posixpath.relpath(to, posixpath.dirname(page) or '.')}{hash_}{anchor})"

    return _LINK.sub(link, text)


@cache
def _anchors(file: str) -> frozenset[str]:
    text = _FENCE.sub("", (ROOT / file).read_text(encoding="utf-8"))
    names = re.findall(r"""<a (?:id|name)=["']([^"']+)""", text)
    return frozenset([*map(slug, _HEADING.findall(text)), *names])


def page_of(file: str) -> str | None:
    """The page of the website that a file of the repository is, if it is one. Pictures in `docs` count."""
    if file in PAGES:
        return PAGES[file]
    return file.removeprefix("docs/") if file.startswith("docs/") and "." in posixpath.basename(file) else None


def groups(readme: str) -> Iterator[tuple[str, list[str]]]:
    """README's list of documentation: the heading of each group, and the files that it links to first in each item."""
    section = readme.partition("\n## Documentation\n")[2].partition("\n## ")[0]
    for part in re.split(r"\n\n(?=[A-Z][^\n]*:\n)", "\n" + section):
        heading, _, items = part.strip().partition(":\n")
        if not items:
            continue
        files: list[str] = []
        for item in re.split(r"^- ", items, flags=re.MULTILINE)[1:]:
            # `CONTRIBUTING.md, CHANGELOG.md` share one; the others are followed by a text with links of its own.
            head = item.partition(": ")[0]
            files += _ITEM.findall(head)
        yield heading, files
