"""One page per shipped taxonomy: its classes, its maps drawn, and its files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from lsu_onto.exchange.to_csv import ids
from lsu_onto.library.catalogue import catalogue
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Dataset, Ontology, Source, TaxClass
from lsu_onto.ontology.words import allowed_names, notes, relation_text
from lsu_onto.render import draw

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "taxonomies"
FACTS = ("url", "paper", "cite", "licence", "confidence", "source-of-labels")
"""Keys that are shown in this order; all other keys are in the file itself."""


@dataclass
class Shipped:
    """A taxonomy and its place on the website."""

    kind: str
    name: str
    version: str
    title: str
    classes: int
    maps: list[str]
    file: Path
    is_alone: bool = True
    """No other of its kind has its name."""
    page: str = ""
    files: dict[str, str | bytes] = field(default_factory=dict)
    """Path below `FOLDER` → content: the page and its pictures."""

    @property
    def full_name(self) -> str:
        return f"{self.name} {self.version}"


def pages() -> tuple[list[Shipped], str]:
    """All shipped taxonomies with their files, sources first, and the text of the page that lists them."""
    library = Library()
    rows = [r for r in catalogue(library) if Path(r["file"]).is_relative_to(ROOT)]
    shipped = [
        Shipped(
            kind=r["kind"],
            name=r["name"],
            version=r["version"],
            title=r["title"],
            classes=r["classes"],
            maps=sorted({*r["maps"], *r["inherited"]}),
            file=Path(r["file"]).relative_to(ROOT),
        )
        for r in rows
    ]
    shipped.sort(key=lambda t: (t.kind != "source", t.full_name))
    names = [(t.kind, t.name) for t in shipped]
    for t in shipped:
        t.is_alone = names.count((t.kind, t.name)) == 1
        version = "" if t.is_alone else f"-{t.version.replace('.', '-')}"
        t.page = f"{t.name}{version}{'-source' if t.kind == 'source' else ''}.md"
    by_name = {(t.kind, t.full_name): t for t in shipped}
    for t in shipped:
        t.files = _source(library, t, shipped) if t.kind == "source" else _dataset(library, t, by_name)
    return shipped, _index(shipped)


def _index(shipped: list[Shipped]) -> str:
    lines = [
        "# Shipped taxonomies",
        "",
        "`lsu-onto list` prints this list, `lsu-onto show NAME` a taxonomy. A *source* is the class list that models"
        " predict; a *dataset* has the classes that its label files were annotated with, and maps to sources.",
        "",
        "## Sources",
        "",
        "| source | classes | |",
        "|---|---|---|",
        *(f"| [{t.full_name}]({t.page}) | {t.classes} | {_cell(t.title)} |" for t in shipped if t.kind == "source"),
        "",
        "## Datasets",
        "",
        "| dataset | classes | maps to | |",
        "|---|---|---|---|",
    ]
    for t in shipped:
        if t.kind == "dataset":
            maps = " ".join(f"[{s.split()[0]}]({t.page}#{_anchor(s)})" for s in t.maps)
            lines.append(f"| [{t.full_name}]({t.page}) | {t.classes} | {maps} | {_cell(t.title)} |")
    return "\n".join(lines) + "\n"


def _source(library: Library, t: Shipped, shipped: list[Shipped]) -> dict[str, str | bytes]:
    ontology = library.ontology(ROOT / t.file)
    source = ontology.source
    tree = f"{Path(t.page).stem}.svg"
    lines = [
        *_head(t, source),
        "## Classes",
        "",
        "| channel | class | colour | group | note |",
        "|---|---|---|---|---|",
        *(
            f"| {ids(c.ids)} | {_name(c)} | {_swatches(c)} | {_cell(c.group)} | {_cell(c.note)} |"
            for c in source.classes
        ),
        "",
        *_picture(tree, f"the groups and classes of {t.full_name}"),
        "## Datasets mapped to it",
        "",
    ]
    mapped = [d for d in shipped if t.full_name in d.maps]
    lines += [f"- [{d.full_name}]({d.page}#{_anchor(t.full_name)}): {_cell(d.title)}" for d in mapped]
    lines += ["", *_text(t.file)]
    return {t.page: "\n".join(lines), tree: _drawn(ontology, ".svg", "tree")}


def _dataset(library: Library, t: Shipped, by_name: dict[tuple[str, str], Shipped]) -> dict[str, str | bytes]:
    dataset = library.alone(t.full_name)
    assert isinstance(dataset, Dataset)
    lines = [
        *_head(t, dataset),
        "## Classes",
        "",
        "| id | class | colour | group | note |",
        "|---|---|---|---|---|",
        *(
            f"| {ids(c.ids)} | {_name(c)} | {_swatches(c)} | {_cell(c.group)} | {_cell(c.note)} |"
            for c in dataset.classes
        ),
        "",
    ]
    files: dict[str, str | bytes] = {}
    texts = {t.file}
    for source in t.maps:
        ontology = library.ontology(t.full_name, source)
        stem = f"{Path(t.page).stem}-to-{source.split()[0]}"
        files |= {f"{stem}.svg": _drawn(ontology, ".svg"), f"{stem}.html": _drawn(ontology, ".html")}
        to = by_name["source", source]
        lines += [
            f"## Map to {source}",
            "",
            f"What a pixel of each class may be among the {to.classes} classes of [{to.full_name}]({to.page})."
            f" [The map as an interactive page]({stem}.html)",
            "",
            "| class | relation | may be | note |",
            "|---|---|---|---|",
            *_rows(ontology),
            "",
            *_picture(f"{stem}.svg", f"the map from {t.full_name} to {source}"),
        ]
        texts |= {Path(e.path).relative_to(ROOT) for e in library.entries() if _is_map_of(e, t, source)}
    lines += _text(*sorted(texts, key=lambda f: (f != t.file, f)))
    return {t.page: "\n".join(lines), **files}


def _is_map_of(entry: object, t: Shipped, source: str) -> bool:
    is_own = (getattr(entry, "name", ""), getattr(entry, "version", "")) == (t.name, t.version)
    return is_own and getattr(entry, "source_text", "") == source


def _head(t: Shipped, taxonomy: Source | Dataset) -> list[str]:
    name = t.name if t.is_alone else t.full_name
    how = f'lsu_onto.load("{name}", source=…)' if t.kind == "dataset" else f'source="{name}"'
    facts = [(k, taxonomy.meta[k]) for k in FACTS if taxonomy.meta.get(k)]
    if t.kind == "dataset":
        facts.append(("encoding", taxonomy.encoding))
    rows = "".join(
        f"<tr><th>{escape(k)}</th><td>{_linked(value)}</td></tr>" for k, value in [*facts, ("in Python", how)]
    )
    return [
        f"# {t.full_name}",
        "",
        f"{_cell(t.title or t.name)}: a {t.kind} of {t.classes} classes.",
        "",
        f'<table class="lsu-facts">{rows}</table>',
        "",
    ]


def _linked(text: str) -> str:
    shown = escape(text)
    return f'<a href="{shown}">{shown}</a>' if text.startswith("http") and " " not in text else shown


def _rows(ontology: Ontology) -> Iterator[str]:
    total = len(ontology.source.classes)
    for row in ontology.rows:
        allowed = allowed_names(ontology, row)
        shown = "anything" if len(allowed) == total + 1 else ", ".join(allowed)
        name = ontology.dataset.classes[row.cls].name
        yield (
            f"| {_code(name)} | {_code(relation_text(row))} | {_cell(shown)} |"
            f" {_cell('; '.join(notes(ontology, row)))} |"
        )


def _name(c: TaxClass) -> str:
    others = [*([c.official] if c.official != c.name else []), *c.aliases]
    return _code(c.name) + (f" ({_cell(', '.join(others))})" if others else "")


def _swatches(c: TaxClass) -> str:
    hexes = [f"#{x:06x}" for x in c.colours]
    return " ".join(
        f'<span class="lsu-colour"><span class="lsu-swatch" style="background:{x}"></span>{_code(x)}</span>'
        for x in hexes
    )


def _picture(file: str, alt: str) -> list[str]:
    return ['<div class="lsu-map" markdown="1">', "", f"![{alt}]({file})", "", "</div>", ""]


def _text(*files: Path) -> list[str]:
    """The files themselves, folded."""
    lines = ["## Files", ""]
    for file in files:
        text = (ROOT / file).read_text(encoding="utf-8")
        lines += [
            f'<details markdown="1" class="lsu-file"><summary>{file.as_posix()}</summary>',
            "",
            "```tax",
            text.rstrip("\n"),
            "```",
            "",
            "</details>",
            "",
        ]
    return lines


def _drawn(ontology: Ontology, suffix: str, view: str = "map") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, f"picture{suffix}")
        draw(ontology, target, view)
        return target.read_bytes()


def _anchor(source: str) -> str:
    return f"map-to-{source.replace(' ', '-').replace('.', '')}"


def _cell(text: str) -> str:
    for sign in r"\*_|[]`":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("<", "&lt;").replace("\n", " ")


def _code(text: str) -> str:
    return f"<code>{escape(text).replace('|', '&#124;')}</code>" if text else ""
