"""An ontology as JSON: both taxonomies and every relation, in a versioned envelope."""

from __future__ import annotations

import json
from typing import Any

from lsu_onto.ontology.model import MapRow, Ontology, Target, Taxonomy
from lsu_onto.ontology.provenance import provenance
from lsu_onto.ontology.words import allowed_names, notes, relation_text

VERSION = 1
"""It rises when a field changes its meaning or is removed."""


def dump(ontology: Ontology) -> str:
    envelope = {
        "format": "lsu-onto ontology",
        "version": VERSION,
        "dataset": _taxonomy(ontology.dataset),
        "source": _taxonomy(ontology.source),
        "map": [_row(ontology, r) for r in ontology.rows],
    }
    return json.dumps(envelope, indent=2, ensure_ascii=False) + "\n"


def _taxonomy(t: Taxonomy) -> dict[str, Any]:
    classes = [
        {
            "name": c.name,
            "official": c.official,
            "ids": [list(r) for r in c.ids],
            "colours": [f"#{x:06x}" for x in c.colours],
            "aliases": list(c.aliases),
            "group": c.group,
            "note": c.note,
        }
        for c in t.classes
    ]
    return {
        "name": t.name,
        "version": t.version,
        "encoding": t.encoding,
        "void": list(t.void),
        "meta": t.meta,
        "groups": list(t.groups),
        "classes": classes,
    }


def _row(ontology: Ontology, row: MapRow) -> dict[str, Any]:
    source = ontology.source

    def target(t: Target) -> dict[str, Any]:
        return {"text": t.text, "kind": t.kind, "classes": [source.classes[c].name for c in t.channels]}

    decision = row.decision and {
        "to": row.decision.to,
        "minus": [target(t) for t in row.decision.minus],
        "note": row.decision.note,
    }
    origin = provenance(notes(ontology, row))
    return {
        "class": ontology.dataset.classes[row.cls].name,
        "text": relation_text(row),
        "relations": [{"op": r.op, "targets": [target(t) for t in r.targets], "note": r.note} for r in row.relations],
        "decision": decision,
        "allowed": allowed_names(ontology, row),
        "novel": row.meaning(len(source.classes)).novel,
        "note": row.note,
        "authors": list(origin.authors),
        "confidence": origin.confidence,
        "justification": origin.how,
    }
