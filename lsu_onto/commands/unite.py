"""`lsu-onto unite`."""

from __future__ import annotations

import json
import shlex

import click

from lsu_onto.commands.arguments import put_taxonomy, refuse_inputs, taxonomy_output
from lsu_onto.program import NumberRange, put_data, search_path, taxonomy_argument, text_or_json


@click.command()
@taxonomy_argument("names", nargs=-1, required=True, metavar="DATASET DATASET...")
@click.option("--name", default="universal", show_default=True, help="The new source's name.")
@click.option(
    "--through",
    multiple=True,
    metavar="SOURCE",
    help="Use only the maps to this source (repeatable). Default: all but those that compose and unite wrote.",
)
@click.option(
    "--merge",
    multiple=True,
    metavar="CLASS,CLASS|DATASET:CLASS",
    help="Make one class of several, or of all parts of a dataset's class (repeatable).",
)
@click.option(
    "--drop-below",
    type=NumberRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Leave out classes with a smaller share of the pixels, such as 0.0001; needs --scan.",
)
@click.option(
    "--scan",
    "scans",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="What `lsu-seg scan DATASET --format json` wrote (repeatable).",
)
@taxonomy_output
@text_or_json
@search_path
def unite(
    names: tuple[str, ...],
    name: str,
    through: tuple[str, ...],
    merge: tuple[str, ...],
    drop_below: float | None,
    scans: tuple[str, ...],
    output: str | None,
    format_: str,
    search: tuple[str, ...],
) -> None:
    """Write a source of the finest classes that several datasets tell apart, and the map of each to it.

    A class of the new source is a region of pixels that rows force to exist: what a class of one dataset shares with
    one of another. Each class of a dataset is a set of them. Where no row says whether two classes ever meet, no class
    is made of what they would share; these questions are printed, in the order of how many classes they leave in doubt.
    Adding datasets at the end changes little of what comes before.

    --drop-below leaves classes out, so that their pixels are void; then --merge, which only joins classes.
    What is lost is printed. docs/map-algebra.md says more.

    \b
    Examples:
      lsu-onto unite cityscapes vistas@v1.2 idd -o universal.tax
      lsu-onto unite rugd rellis3d tas500 --name fields -o fields.tax --format json > questions.json
      lsu-onto unite goose vistas@v1.2 wilddash2 --through vistas -o roads.tax
      lsu-onto unite cityscapes vistas@v1.2 --merge vistas:bike_lane --merge caravan,trailer -o small.tax
    """
    from lsu_onto.algebra.channels import is_taken
    from lsu_onto.algebra.members import COMMAND
    from lsu_onto.algebra.shares import read_all
    from lsu_onto.algebra.union import unite as unite_
    from lsu_onto.algebra.universal import VERSION, as_json, report, text
    from lsu_onto.exchange.draft import name_problem
    from lsu_onto.exchange.skeleton import need_source
    from lsu_onto.library.library import Library

    if len(names) < 2:
        raise click.UsageError("name at least two datasets")
    if output is None and format_ == "json":
        raise click.UsageError("--format json would be printed with the source; name a file for it with -o")
    if drop_below is not None and not scans:
        raise click.UsageError("--drop-below needs the shares of a dataset's classes: name a report with --scan")
    if scans and drop_below is None:
        raise click.UsageError("--scan is read for --drop-below: name the least share of a class that stays")
    if problem := name_problem(name):
        raise click.UsageError(problem)
    library = Library(search)
    if is_taken(library, name, VERSION, output):
        raise click.UsageError(
            f"there is a source `{name} {VERSION}` already; give the new one a name of its own with --name"
        )
    taxonomies = [library.alone(n) for n in names]
    called = [f"{t.name}@{t.version}" for t in taxonomies]
    if twice := next((c for c in called if called.count(c) > 1), None):
        raise click.UsageError(f"`{twice}` is named twice")
    sources = [need_source(s, search) for s in through]
    union = unite_(library, taxonomies, name, sources)
    words = [*called, "--name", name, *(w for s in sources for w in ("--through", f"{s.name}@{s.version}"))]
    if drop_below is not None:
        union = union.drop(drop_below, read_all(scans, union.members))
        words += ["--drop-below", f"{drop_below:g}", *(w for s in scans for w in ("--scan", s))]
    union = union.merge(merge)
    words += [w for m in merge for w in ("--merge", m.replace(" ", ""))]
    files = {f for m in union.members for f in (m.taxonomy.span.file, *(f for o in m.maps.values() for f in o.files))}
    refuse_inputs(output, [*files, *scans], None, search)
    put_taxonomy(text(library, union, COMMAND + shlex.join(words)), output)
    if format_ == "json":
        put_data(json.dumps(as_json(union), indent=2, ensure_ascii=False) + "\n")
    else:
        click.echo(report(union).rstrip("\n"), err=output is None)
