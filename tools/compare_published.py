"""Compare our maps with the published ones of UniBwTAS/data-priors: S(d) of every class, where they differ, and why.

    python tools/compare_published.py idd --source cityscapes --published data-priors
    python tools/compare_published.py --published data-priors --format md > docs/maps.md

The published files are not part of this project. Without a dataset argument, the tool compares every map that has a
published counterpart; with `--format md`, the output is the page docs/maps.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from lsu_onto.exchange import ExchangeError
from lsu_onto.exchange.draft import identifier
from lsu_onto.exchange.from_data_priors import Mapping, read_mapping
from lsu_onto.exchange.skeleton import same_name
from lsu_onto.exchange.tables import number, read_table
from lsu_onto.library.errors import TaxonomyError
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Dataset, MapRow, Ontology, Source, Taxonomy

FOLDERS = {
    "cityscapes": "cityscapes",
    "kitti": "KITTI",
    "vistas v1.2": "mapillary-vistas",
    "bdd100k": "BDD",
    "idd": "IDD",
    "apolloscape": "ApolloScape",
    "a2d2": "a2d2",
    "nuimages": "nuimages",
    "waymo": "waymo",
    "wilddash2": "wilddash",
    "camvid": "CamVid",
    "coco_panoptic": "coco",
    "lanes": "road_lane_segmentation",
    "goose": "goose2d",
    "rellis3d": "rellis-3d",
    "rugd": "rugd",
    "tas500": "tas500",
    "ycor": "yamaha",
    "freiburg_forest": "freiburg-forest",
    "wildscenes": "WildScenes",
    "great_outdoors": "god",
}
"""Our dataset → its folder in data-priors."""

SUFFIXES = {"cityscapes": "cityscapes", "vistas": "mapillary", "offroad": "offroad"}
"""Our source → the end of the mapping's file name there."""


@dataclass(frozen=True)
class Row:
    """One class of the dataset. Sets are in channel order, `void` last."""

    name: str
    published: tuple[str, ...]
    ours: tuple[str, ...]
    why: str
    remark: str
    """How the published set was found, if that is not obvious."""


@dataclass
class Comparison:
    ontology: Ontology
    file: str
    rows: list[Row] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)

    @property
    def departures(self) -> list[Row]:
        return [r for r in self.rows if r.published != r.ours]

    @property
    def title(self) -> str:
        o = self.ontology
        return f"{o.dataset.name} {o.dataset.version} → {o.source.name} {o.source.version}"

    @property
    def counts(self) -> str:
        n = len(self.departures)
        return f"{len(self.rows)} classes, {len(self.rows) - n} as published, {n} differ"


def compare(ontology: Ontology, path: Path) -> Comparison:
    """Compare a map with a `master_labels_<source>.csv`; the `labels.csv` beside that file identifies classes by id.

    A class that the mapping does not mention is void there, as in the published code.

    Raises:
        ExchangeError: the file cannot be read as a mapping.
    """
    mapping = read_mapping(str(path), [])
    folder = path.parent.parent if path.parent.name == "lists" else path.parent
    result = Comparison(ontology, f"{folder.name}/{path.name}")
    channels = _source_channels(mapping, ontology.source, result.unmatched)
    names = _names(ontology.dataset)
    by_id = _by_id(path.with_name("labels.csv"), ontology.dataset, names)
    sets: dict[int, set[int]] = {}
    remarks: dict[int, str] = {}
    void = len(ontology.source.classes)
    for channel, cells in mapping.rows:
        target = void if channel is None else channels[channel]
        for cell in cells:
            label = cell.stripped
            cls = names.get(_key(label), by_id.get(label))
            if cls is None:
                row = "void" if channel is None else mapping.channels[channel][1].stripped
                result.unmatched.append(f"`{label}` in the row of `{row}`")
                continue
            if _key(label) not in names:
                remarks[cls] = f"as `{label}`"
            sets.setdefault(cls, set())
            if target is not None:
                sets[cls].add(target)
    for row in ontology.rows:
        published = sets.get(row.cls, set())
        if row.cls not in sets:
            remarks[row.cls] = "not mentioned"
        result.rows.append(
            Row(
                ontology.dataset.classes[row.cls].name,
                set_names(ontology.source, published or {void}),
                allowed(ontology, row),
                reason(row),
                remarks.get(row.cls, ""),
            )
        )
    return result


def _source_channels(mapping: Mapping, source: Source, unmatched: list[str]) -> list[int | None]:
    spellings = same_name(source)
    found: list[int | None] = []
    for _, cell in mapping.channels:
        name = spellings.get(identifier(cell.stripped).lower())
        if name is None:
            unmatched.append(f"the source class `{cell.stripped}`")
        found.append(None if name is None else source.by_name[name])
    if not any(channel is not None for channel in found):
        raise ExchangeError(
            f"{mapping.path}: none of its rows is a class of `{source.name}`; give the mapping to that source"
        )
    return found


def _key(label: str) -> str:
    return "".join(c for c in label.lower() if c.isalnum())


def _names(dataset: Dataset | Source) -> dict[str, int]:
    """Every name, official name and alias, without case and punctuation → class."""
    return {_key(k): i for k, i in (*dataset.by_other_name.items(), *dataset.by_name.items())}


def _by_id(path: Path, dataset: Taxonomy, names: dict[str, int]) -> dict[str, int]:
    """Published labels that no class is named after → the class with their id, if no label has its name."""
    if not path.is_file():
        return {}
    table = read_table(str(path))
    at_id, at_name = table.need("id"), table.need("name")
    labels = [(r[at_id].stripped, r[at_name].stripped) for r in table.rows if len(r) > max(at_id, at_name)]
    taken = {names[_key(label)] for _, label in labels if _key(label) in names}
    of_id = {n: i for i, c in enumerate(dataset.classes) for a, b in c.ids for n in range(a, b + 1)}
    ids = [(of_id.get(int(n)), label) for n, label in labels if number(n) is not None]
    return {label: cls for cls, label in ids if cls is not None and cls not in taken and _key(label) not in names}


def allowed(ontology: Ontology, row: MapRow) -> tuple[str, ...]:
    """Our S(d)."""
    total = len(ontology.source.classes)
    meaning = row.meaning(total)
    return set_names(ontology.source, {*meaning.channels, *([total] if meaning.void else [])})


def set_names(source: Source, channels: Iterable[int]) -> tuple[str, ...]:
    names = [c.name for c in source.classes] + ["void"]
    return tuple(names[c] for c in sorted(channels))


def set_text(ontology: Ontology, names: Sequence[str]) -> str:
    """A set in words; a set that lacks only a few classes is written as `any but` those classes."""
    every = set_names(ontology.source, range(len(ontology.source.classes) + 1))
    missing = [n for n in every if n not in names]
    if 2 * len(missing) < len(names):
        return "any" + (" but " + " ".join(missing) if missing else "")
    return " ".join(names)


def reason(row: MapRow) -> str:
    """The notes of a map's row, without what they say to `validate` and `check-maps`."""
    notes = [row.note, *(r.note for r in row.relations), row.decision.note if row.decision else ""]
    texts = (re.sub(r"[.;,]?\s*\ballow:(\s*,?\s*TAX\d{3})+", "", n) for n in notes)
    return "; ".join(dict.fromkeys(t for t in texts if t))


# --- what people see ------------------------------------------------------------------------------------


def as_text(comparisons: Sequence[Comparison]) -> str:
    lines = []
    for c in comparisons:
        lines += [f"{c.title}   {c.file}", f"  {c.counts}"]
        for r in c.departures:
            remark = f" ({r.remark})" if r.remark else ""
            lines += [
                f"  {r.name}",
                f"    published       {set_text(c.ontology, r.published)}{remark}",
                f"    ours            {set_text(c.ontology, r.ours)}",
                f"    only published  {_few(n for n in r.published if n not in r.ours)}",
                f"    only ours       {_few(n for n in r.ours if n not in r.published)}",
                f"    why             {r.why or 'NO NOTE'}",
            ]
        lines += [f"  no match: {u}" for u in c.unmatched]
    return "\n".join(lines) + "\n"


def _few(names: Iterable[str]) -> str:
    known = list(names)
    return f"{len(known)} classes" if len(known) > 12 else " ".join(known) or "-"


def as_json(comparisons: Sequence[Comparison]) -> str:
    maps = [
        {
            "dataset": f"{c.ontology.dataset.name} {c.ontology.dataset.version}",
            "source": f"{c.ontology.source.name} {c.ontology.source.version}",
            "published": c.file,
            "classes": [
                {
                    "name": r.name,
                    "published": r.published,
                    "ours": r.ours,
                    "same": r.published == r.ours,
                    "why": r.why,
                    "remark": r.remark,
                }
                for r in c.rows
            ],
            "unmatched": c.unmatched,
        }
        for c in comparisons
    ]
    return json.dumps({"version": 1, "maps": maps}, indent=2) + "\n"


INTRO = """\
# Differences from the published maps

The published maps are those of UniBwTAS/data-priors at commit 94e9865. They state only S(d): what a pixel of class d
may be in the source taxonomy. A class that a published map does not mention is void in that map. *as* names the
published label with the same id as our class. Trailing blanks in published labels are ignored.

`python tools/compare_published.py --published DIR --format md > docs/maps.md` generates this page, where `DIR` is a
copy of data-priors. A test checks that the page matches the maps.
"""


def as_page(comparisons: Sequence[Comparison]) -> str:
    lines = [INTRO, "| map | classes | as published | differ |", "|---|---:|---:|---:|"]
    for c in comparisons:
        anchor = "".join(x for x in c.title.replace(" ", "-") if x.isalnum() or x in "-_")
        n = len(c.departures)
        lines.append(f"| [{c.title}](#{anchor}) | {len(c.rows)} | {len(c.rows) - n} | {n} |")
    rows, n = sum(len(c.rows) for c in comparisons), sum(len(c.departures) for c in comparisons)
    lines.append(f"| all | {rows} | {rows - n} | {n} |")
    for c in comparisons:
        lines += as_section(c)
    return "\n".join(lines) + "\n"


def as_section(c: Comparison) -> Iterator[str]:
    yield from ("", f"## {c.title}", "", f"`{c.file}`: {c.counts}.", "")
    if c.departures:
        yield from ("| class | published | ours | why |", "|---|---|---|---|")
    for r in c.departures:
        remark = f" *({r.remark})*" if r.remark else ""
        cells = [
            f"`{r.name}`",
            set_text(c.ontology, r.published) + remark,
            set_text(c.ontology, r.ours),
            r.why,
        ]
        yield "| " + " | ".join(x.replace("|", "\\|").replace("<", "&lt;") for x in cells) + " |"
    same = [r for r in c.rows if r.published == r.ours]
    if same:
        yield from ("", "<details><summary>As published</summary>", "")
        for r in same:
            yield f"- `{r.name}`: {set_text(c.ontology, r.ours)}"
        yield from ("", "</details>")
    if c.unmatched:
        yield from ("", f"Published labels without a match: {', '.join(dict.fromkeys(c.unmatched))}.")


FORMATS = {"text": as_text, "json": as_json, "md": as_page}


def published_files(root: Path, dataset: str | None, source: str | None) -> Iterator[tuple[str, str, Path]]:
    """The pairs that are published below `root`: our dataset, our source, the mapping.

    In a clone of data-priors they lie in `datasets/NAME/lists`; with nothing but these files, in `NAME`.
    """
    for name, folder in FOLDERS.items():
        for src, suffix in SUFFIXES.items():
            file = f"master_labels_{suffix}.csv"
            paths = [p for p in (root / "datasets" / folder / "lists" / file, root / folder / file) if p.is_file()]
            if dataset in (None, name, name.split()[0]) and source in (None, src) and paths:
                yield name, src, paths[0]


def _chosen(library: Library, dataset: str | None, source: str | None, at: Path) -> list[Comparison]:
    if at.is_file() or (dataset and not any((at / f).is_dir() for f in FOLDERS.values())):
        if not (dataset and source):
            raise click.UsageError("one file or folder is compared with one map: give DATASET and --source")
        path = at if at.is_file() else at / f"master_labels_{SUFFIXES.get(source, source)}.csv"
        return [compare(library.ontology(dataset, source), path)]
    pairs = list(published_files(at, dataset, source))
    if not pairs:
        what = f"map of `{dataset}`" if dataset else "map"
        known = ", ".join(f"`{n}`" for n in FOLDERS)
        raise click.UsageError(
            f"there is no published {what} below `{at}`; give the folder data-priors, or a"
            f" `master_labels_<source>.csv`. The datasets with a folder there: {known}"
        )
    found, missing = [], []
    for name, src, path in pairs:
        try:
            ontology = library.ontology(name, src)
            # A source's own name gives its identity where no dataset of that name has a map.
            if isinstance(ontology.dataset, Source):
                raise TaxonomyError(f"there is no map from the dataset `{name}` to `{src}`")
            found.append(compare(ontology, path))
        except TaxonomyError as e:
            if dataset or e.diagnostics:
                raise
            missing.append(f"{name} → {src}")
    if missing:
        click.echo(f"left out, as there is no map: {', '.join(missing)}", err=True)
    return found


@click.command()
@click.argument("dataset", required=False)
@click.option("--source", help="the source taxonomy's name; default: every one")
@click.option(
    "--published",
    "at",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="the folder data-priors, a dataset's folder in it, or a master_labels_<source>.csv",
)
@click.option(
    "--path",
    "paths",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="a folder searched for taxonomies before the shipped ones",
)
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), default="text", show_default=True)
def main(dataset: str | None, source: str | None, at: Path, paths: tuple[str, ...], format_: str) -> None:
    """Compare the map of DATASET (default: every map) with the published one."""
    try:
        comparisons = _chosen(Library(paths), dataset, source, at)
    except (TaxonomyError, ExchangeError) as e:
        raise click.ClickException(str(e)) from None
    click.echo(FORMATS[format_](comparisons), nl=False)


if __name__ == "__main__":
    main()
