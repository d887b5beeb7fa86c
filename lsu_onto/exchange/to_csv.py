"""An ontology as CSV: one row per dataset class. `import --from csv` reads it back."""

from __future__ import annotations

import csv
import io

from lsu_onto.ontology.model import Ontology
from lsu_onto.ontology.words import allowed_names, notes, relation_text

HEADER = ("id", "name", "official", "colour", "group", "aliases", "relation", "allowed", "note")


def dump(ontology: Ontology) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for row in sorted(ontology.rows, key=lambda r: r.cls):  # the rows of a map may be in any order
        c = ontology.dataset.classes[row.cls]
        writer.writerow(
            [
                ids(c.ids),
                c.name,
                c.official,
                " ".join(f"#{x:06x}" for x in c.colours),
                c.group,
                "; ".join(f'"{a}"' if ";" in a or a != a.strip() else a for a in c.aliases),
                # The whole statement: a cell that starts with `=` or `-` is a formula to a spreadsheet.
                f"{c.name} {relation_text(row)}",
                " ".join(allowed_names(ontology, row)),
                "; ".join(notes(ontology, row)),
            ]
        )
    return out.getvalue()


def ids(ranges: tuple[tuple[int, int], ...]) -> str:
    return ",".join(f"{a}" if a == b else f"{a}..{b}" for a, b in ranges) or "-"
