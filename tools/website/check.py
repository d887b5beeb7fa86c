"""Whether a built website is whole: every link inside leads somewhere, and no page asks another machine for anything.

    python tools/website/check.py site

A page has to work from disk and without a network, so that scripts, styles, fonts and pictures lie beside it. Links
that a reader may follow to other machines are not looked at. Exit code 1: there are faults, one line each.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "embed": "src"}
_FETCHING_RELS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload"}
_FETCHING_PARTS = {
    "mermaid": "a diagram whose program the theme loads from another machine",
    'data-md-component="source"': "facts about the repository, which the theme asks GitHub for",
}
_CSS_URL = re.compile(r"@import\s+[\"']([^\"']+)|url\(\s*[\"']?([^\"')]+)")


class _Page(HTMLParser):
    """What a page has to link to, links to, and loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self._is_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {k: v or "" for k, v in attrs}
        self.anchors |= {values[k] for k in ("id", "name") if k in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and set(values.get("rel", "").split()) & _FETCHING_RELS:
            self.loads.append(values.get("href", ""))
        if tag in _LOADED and values.get(_LOADED[tag]):
            self.loads.append(values[_LOADED[tag]])
        self.loads += _urls(values.get("style", ""))
        self._is_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if self._is_style:
            self.loads += _urls(data)


def _urls(css: str) -> list[str]:
    return [a or b for a, b in _CSS_URL.findall(css)]


def faults(site: Path) -> Iterator[str]:
    """One line per fault: the file, and what is wrong there."""
    texts = {file: file.read_text(encoding="utf-8") for file in sorted(site.rglob("*.html"))}
    pages = {file: _Page(text) for file, text in texts.items()}
    if not pages:
        yield f"{site}: no pages here; `mkdocs build` makes them"
    for file, page in pages.items():
        # The page of a server for addresses that are not there; its links begin at the root.
        base = site if file == site / "404.html" else file.parent
        name = file.relative_to(site)
        for part, what in _FETCHING_PARTS.items():
            if re.search(rf"<[^>]*\b{re.escape(part)}[\s\">]", texts[file]):
                yield f"{name}: {what}"
        yield from _missing(site, name, base, page.loads)
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = _file(site, base, url.path) if url.path else file
            if target is None:
                yield f"{name}: links to {link}, which is not there"
            elif url.fragment and target in pages and unquote(url.fragment) not in pages[target].anchors:
                yield f"{name}: links to {link}; {target.relative_to(site)} has no such anchor"
    for file in sorted(site.rglob("*.css")):
        text = re.sub(r"/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        yield from _missing(site, file.relative_to(site), file.parent, _urls(text))


def _missing(site: Path, name: Path, base: Path, loads: list[str]) -> Iterator[str]:
    for url in dict.fromkeys(loads):
        parts = urlsplit(url)
        if parts.scheme == "data":
            continue
        if parts.scheme or parts.netloc:
            yield f"{name}: loads {url} from another machine"
        elif parts.path and _file(site, base, parts.path) is None:
            yield f"{name}: loads {url}, which is not there"


def _file(site: Path, base: Path, path: str) -> Path | None:
    """The file that a path of a link names."""
    start = site if path.startswith("/") else base
    target = (start / unquote(path).lstrip("/")).resolve()
    if target.is_dir():
        target /= "index.html"
    return target if target.is_file() else None


def main(site: Path) -> int:
    site = site.resolve()
    lines = list(faults(site))
    for line in lines:
        print(line, file=sys.stderr)
    if not lines:
        print(f"{site / 'index.html'}: {sum(1 for _ in site.rglob('*.html'))} pages, every link leads somewhere")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
