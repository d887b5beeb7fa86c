"""MkDocs' hooks: what the website has besides `docs`, and its navigation."""

from __future__ import annotations

import logging
import tomllib
from typing import Any

import prose
import reference_pages
import taxonomy_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.website")  # a warning ends a strict build
PROJECT = tomllib.loads((prose.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BLOB = f"{PROJECT['urls']['Homepage']}/blob/main"
FILES = {page: file for file, page in prose.PAGES.items()}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.site_description = PROJECT["description"]
    config.mdx_configs["toc"]["slugify"] = prose.slug
    config.extra["social"] = [{"icon": "fontawesome/brands/github", "link": PROJECT["urls"]["Homepage"]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and make the navigation from them and README."""
    readme = (prose.ROOT / "README.md").read_text(encoding="utf-8")
    for file, page in prose.PAGES.items():
        files.append(File.generated(config, page, content=(prose.ROOT / file).read_text(encoding="utf-8")))
    shipped, index = taxonomy_pages.pages()
    content: dict[str, str | bytes] = {f"{taxonomy_pages.FOLDER}/index.md": index}
    for taxonomy in shipped:
        content |= {f"{taxonomy_pages.FOLDER}/{name}": data for name, data in taxonomy.files.items()}
    content |= {f"{reference_pages.FOLDER}/{name}": page for name, page in reference_pages.pages().items()}
    for name, data in content.items():
        files.append(File.generated(config, name, content=data))
    config.nav = _nav(readme, files, shipped)
    return files


def _nav(readme: str, files: Files, shipped: list[taxonomy_pages.Shipped]) -> list[Any]:
    nav: list[Any] = [{"Start": "index.md"}]
    for heading, linked in prose.groups(readme):
        pages: list[Any] = []
        for file in linked:
            page = prose.page_of(file)
            if page is None:
                log.warning("README's list of documentation links to %s, which is no page", file)
            elif page == "errors/README.md":
                errors = sorted(f.src_uri for f in files.documentation_pages() if f.src_uri.startswith("errors/TAX"))
                pages.append({"Diagnostics": [page, *errors]})
            else:
                pages.append(page)
        nav.append({heading: pages})
    kinds = {"Sources": "source", "Datasets": "dataset"}
    lists = [
        {heading: [{t.full_name: f"{taxonomy_pages.FOLDER}/{t.page}"} for t in shipped if t.kind == kind]}
        for heading, kind in kinds.items()
    ]
    nav.append({"Taxonomies": [f"{taxonomy_pages.FOLDER}/index.md", *lists]})
    nav.append({"Reference": [f"{reference_pages.FOLDER}/{name}" for name in reference_pages.pages()]})
    return nav


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str | None:
    uri = page.file.src_uri
    if uri.startswith((f"{taxonomy_pages.FOLDER}/", f"{reference_pages.FOLDER}/")):
        return None
    file = FILES.get(uri, f"docs/{uri}")
    return prose.adapted(markdown, file, BLOB, lambda fault: log.warning("%s: %s", file, fault))
