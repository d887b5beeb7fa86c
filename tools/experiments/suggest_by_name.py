"""The table of `lsu-onto suggest`: how well names alone tell the rows of the shipped maps, and of published ones.

    python tools/experiments/suggest_by_name.py --published data-priors

Of each map, the dataset's own maps and those of its relatives are left out. The rows of `lsu-onto suggest` are compared
with those of the map: S(d) against S(d). Beside it, plain string similarity (rapidfuzz): the source class whose name is
most alike, or everything if none is alike to 60 %. Weights and rules were chosen on the maps of the datasets in TUNED;
the others judge them. Without `--published`, the tool compares with the shipped maps only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from rapidfuzz import fuzz

sys.path.insert(0, str(Path(__file__).parents[1]))

from compare_published import compare, published_files

from lsu_onto import NameOdds, by_name
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Source, bare
from lsu_onto.starter.suggest import suggest_rows

FAMILIES = (
    ("cityscapes", "kitti", "kitti360", "acdc"),
    ("vistas",),
    ("goose", "goose_ex"),
    ("rugd", "rellis3d"),  # which took over its classes
    ("camvid", "camvid11", "camvid_coarse", "camvid_segnet"),
    ("idd", "idd_lite"),
)
"""Relatives: datasets, and sources, that know each other's answers."""

TUNED = {
    *("cityscapes", "kitti", "kitti360", "acdc", "ade20k", "apolloscape", "camvid", "idd", "nuimages", "goose"),
    *("rugd", "rellis3d", "ycor", "idd_lite", "camvid_segnet"),  # the last two as relatives
}
"""The datasets whose maps rules and weights were chosen on."""

Sets = list[frozenset[int]]


@dataclass(frozen=True)
class Case:
    """A map, and what it says: of each class, S(d) as channels, K is void; None where there is nothing to compare."""

    dataset: str
    source: str
    truth: list[frozenset[int] | None]


@dataclass
class Score:
    rows: int = 0
    right: int = 0
    covers: int = 0
    size: int = 0
    misses: list[str] = field(default_factory=list)

    def cells(self) -> str:
        n = max(self.rows, 1)
        return f"{100 * self.right / n:.0f} % | {100 * self.covers / n:.0f} % | {self.size / n:.1f}"


def family(name: str) -> tuple[str, ...]:
    return next((f for f in FAMILIES if name in f), (name,))


def shipped(library: Library) -> Iterator[Case]:
    """The maps of real datasets to a source that is not made of the dataset's own classes."""
    for e in library.entries():
        if e.source and e.source != "demo" and e.source not in family(e.name):
            o = library.ontology(f"{e.name} {e.version}", e.source)
            k = len(o.source.classes)
            truth: list[frozenset[int] | None] = [None] * len(o.dataset.classes)
            for row in o.rows:
                meaning = row.meaning(k)
                truth[row.cls] = frozenset([*meaning.channels, *([k] if meaning.void else [])])
            yield Case(f"{e.name} {e.version}", e.source, truth)


def published(library: Library, root: Path) -> Iterator[Case]:
    """The published maps of the same datasets."""
    for dataset, source, path in published_files(root, None, None):
        if source in family(dataset.split()[0]):
            continue
        o = library.ontology(dataset, source)
        if isinstance(o.dataset, Source):
            continue
        channels = {**o.source.by_name, "void": len(o.source.classes)}
        sets = {r.name: frozenset(channels[c] for c in r.published) for r in compare(o, path).rows}
        truth = [sets.get(c.name) for c in o.dataset.classes]
        yield Case(f"{o.dataset.name} {o.dataset.version}", source, truth)


# --- who answers --------------------------------------------------------------------------------------------


def ours(names: NameOdds) -> Sets:
    return [frozenset(s.channels) for s in suggest_rows(names)]


def certain(names: NameOdds) -> Sets:
    """Nothing about the rows that are not certain."""
    return [frozenset(s.channels) if s.state == "certain" else frozenset() for s in suggest_rows(names)]


def similar(least: float) -> Callable[[NameOdds], Sets]:
    """Plain string similarity: the class whose name is most alike, and everything if none is alike to `least`."""

    def answer(names: NameOdds) -> Sets:
        everything = frozenset(range(len(names.source_classes) + 1))
        sets = []
        for name in names.classes:
            alike = [fuzz.ratio(bare(name), bare(c)) for c in names.source_classes]
            best = int(np.argmax(alike))
            sets.append(frozenset([best]) if alike[best] >= least else everything)
        return sets

    return answer


ANSWERS: dict[str, Callable[[NameOdds], Sets]] = {
    "`suggest`": ours,
    "its certain rows": certain,
    "the most similar name": similar(0),
    "the same, from 60 %": similar(60),
}


def judge(case: Case, sets: Sets, score: Score, names: NameOdds) -> None:
    labels = [*names.source_classes, "void"]
    for d, (truth, answer) in enumerate(zip(case.truth, sets, strict=True)):
        if truth is None or not answer:
            continue
        score.rows += 1
        score.right += answer == truth
        score.covers += answer >= truth
        score.size += len(answer)
        if answer != truth:
            texts = [
                " ".join(labels[c] for c in sorted(s)) if len(s) < 12 else f"{len(s)} classes" for s in (truth, answer)
            ]
            sign = "+" if answer >= truth else "-"
            score.misses.append(f"{sign} {case.dataset} -> {case.source}  {names.classes[d]}: {texts[0]} | {texts[1]}")


@click.command()
@click.option("--published", "root", type=click.Path(exists=True, file_okay=False, path_type=Path), help="data-priors.")
@click.option("--misses", type=click.Choice(["tuned", "judging"]), help="List the rows that are not right.")
def main(root: Path | None, misses: str | None) -> None:
    """Print the table."""
    library = Library()
    kinds = {"shipped": list(shipped(library)), "published": list(published(library, root)) if root else []}
    if root and not kinds["published"]:
        raise click.UsageError(f"there is no published map below `{root}`; give a clone of UniBwTAS/data-priors")
    scores: dict[str, dict[str, Score]] = {name: {} for name in ANSWERS}
    for kind, cases in kinds.items():
        for case in cases:
            dataset = case.dataset.split()[0]
            names = by_name(case.dataset, case.source, without=family(dataset))
            part = "tuned" if dataset in TUNED else "judging"
            for answer, function in ANSWERS.items():
                judge(case, function(names), scores[answer].setdefault(f"{kind}, {part}", Score()), names)
                judge(case, function(names), scores[answer].setdefault(f"{kind}, to {case.source}", Score()), names)
    if misses:
        for kind in kinds:
            score = scores["`suggest`"].get(f"{kind}, {misses}", Score())
            click.echo("\n".join(score.misses))
        return
    click.echo("| maps | rows | by | the same S(d) | S(d) contains it | mean size of S(d) |\n|---|---|---|---|---|---|")
    for part in sorted(scores["`suggest`"], key=lambda p: (p.split(",")[0] == "published", " to " in p, p)):
        for answer, by_part in scores.items():
            click.echo(f"| {part} | {by_part[part].rows} | {answer} | {by_part[part].cells()} |")


if __name__ == "__main__":
    main()
