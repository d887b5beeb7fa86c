"""An ontology with hostile text in every place."""

from __future__ import annotations

from dataclasses import replace

from helpers.tax import TAX
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Ontology

NASTY = """</script><script>window.hit = 1</script><img src=x onerror="window.hit=2">{{data}} <!-- ' & \x01 \u2028 ü"""


FIELD = Library().ontology(TAX / "ok" / "field.tax")


def nasty(ontology: Ontology) -> Ontology:
    """Every text that a file can bring, hostile."""
    update = {"official": NASTY, "note": NASTY, "aliases": (NASTY,)}
    classes = tuple(replace(c, **update) for c in ontology.dataset.classes)
    channels = tuple(replace(c, **update) for c in ontology.source.classes)
    rows = tuple(replace(r, note=NASTY) for r in ontology.rows)
    dataset = replace(ontology.dataset, classes=classes, meta={"title": NASTY})
    source = replace(ontology.source, classes=channels)
    return replace(ontology, dataset=dataset, source=source, rows=rows)
