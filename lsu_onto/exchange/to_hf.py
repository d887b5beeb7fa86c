"""The source's classes as they stand in a config.json of Hugging Face. `import --from json` reads it back."""

from __future__ import annotations

import json

from lsu_onto.ontology.model import Ontology


def dump(ontology: Ontology) -> str:
    names = [c.name for c in ontology.source.classes]
    config = {"id2label": dict(enumerate(names)), "label2id": {name: channel for channel, name in enumerate(names)}}
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
