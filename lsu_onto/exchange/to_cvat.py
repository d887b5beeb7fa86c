"""A taxonomy's classes as CVAT's label constructor takes them (`Raw`). `import --from json` reads it back."""

from __future__ import annotations

import json

from lsu_onto.ontology.model import Taxonomy


def dump(taxonomy: Taxonomy) -> str:
    labels = [
        {
            "name": c.official,
            **({"color": f"#{c.colours[0]:06x}"} if c.colours else {}),
            "type": "any",  # masks, polygons and boxes
            "attributes": [],
        }
        for c in taxonomy.classes
    ]
    return json.dumps(labels, indent=2, ensure_ascii=False) + "\n"
