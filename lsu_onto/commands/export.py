"""`lsu-onto export`."""

from __future__ import annotations

import click

from lsu_onto.commands.arguments import put
from lsu_onto.exchange import CLASS_EXPORTS, EXPORTS
from lsu_onto.program import OutputPath, search_path, source_option, taxonomy_argument


@click.command()
@taxonomy_argument()
@click.option("--to", "format_", type=click.Choice([*EXPORTS, *CLASS_EXPORTS]), required=True, help="The format.")
@click.option("-o", "--output", type=OutputPath(dir_okay=False), metavar="FILE", help="Default: standard output.")
@source_option()
@search_path
def export(name: str, format_: str, output: str | None, source: str | None, search: tuple[str, ...]) -> None:
    """Write an ontology in another format. NAME is a taxonomy or a `.tax` file.

    \b
    json         both taxonomies and every relation, in a versioned envelope
    csv          one row per dataset class; `import --from csv` reads it back
    sssom        a mapping set: facts as TSV, decisions in its YAML header
    skos         two concept schemes in Turtle; needs the extra [skos]
    mmseg        METAINFO, num_classes, and a label map where S(d) is one class
    hf           id2label and label2id of the source, for a config.json
    md           a page with a table of classes
    cvat         the dataset's own labels, for CVAT's label constructor
    labelstudio  the dataset's own labels, for Label Studio's labeling interface

    The last two have no relations, so NAME needs no map; of a source, they have its classes.

    \b
    Examples:
      lsu-onto export demo_town --to csv
      lsu-onto export demo_town --to sssom -o town.sssom.tsv
      lsu-onto export field.tax --to md -o field.md
      lsu-onto export field.tax --to cvat
    """
    from lsu_onto.exchange import export as export_
    from lsu_onto.exchange import export_classes
    from lsu_onto.library.library import Library

    library = Library(search)
    if format_ in EXPORTS:
        put(export_(library.ontology(name, source), format_), output)
        return
    if source:
        raise click.UsageError(f"`--to {format_}` has no relations: leave `--source` out, or name the source itself")
    put(export_classes(library.alone(name), format_), output)
