"""An ontology as SSSOM: a TSV of mappings below a YAML header in `#` lines (https://w3id.org/sssom)."""

from __future__ import annotations

import csv
import io
import json

from lsu_onto import __version__
from lsu_onto.exchange.to_skos import PREDICATES, uri
from lsu_onto.ontology.model import Ontology
from lsu_onto.ontology.words import notes, relation_text

COLUMNS = (
    "subject_id",
    "subject_label",
    "predicate_id",
    "object_id",
    "object_label",
    "mapping_justification",
    "object_source",
    "comment",
)
_SKOS = "http://www.w3.org/2004/02/skos/core#"
_TAKEN = {"skos", "semapv", "sssom", "owl", "rdf", "rdfs", "linkml"}
"""Prefixes that SSSOM defines. A different expansion would be ignored, and the mappings would change their meaning."""


def dump(ontology: Ontology) -> str:
    """Facts only: decisions (`->`) map nothing and are listed in the comment of the header.

    `! any` is `sssom:NoTermFound`. If void is among the targets, the comment of the row's mappings says so.
    """
    d, s = ontology.dataset, ontology.source
    target = f"{s.name}_source" if s.name in _TAKEN else s.name
    subject = target if d is s else f"{d.name}_labels" if d.name in (*_TAKEN, target) else d.name
    rows: list[list[str]] = []
    decided: list[str] = []
    for row in ontology.rows:
        c = d.classes[row.cls]
        meaning = row.meaning(len(s.classes))
        remarks = notes(ontology, row)
        if meaning.void and meaning.channels:
            remarks = ["part of it may be no class of the object source", *remarks]
        head = [f"{subject}:{c.name}", c.official]
        tail = ["semapv:ManualMappingCuration", f"{target}:", "; ".join(remarks)]
        if row.decision:
            decided.append(f"{c.name} {relation_text(row)}")
        elif meaning.novel:
            rows.append([*head, "skos:exactMatch", "sssom:NoTermFound", "", *tail])
        else:
            for channel, op in sorted(meaning.channels.items()):
                other = s.classes[channel]
                rows.append([*head, f"skos:{PREDICATES[op]}", f"{target}:{other.name}", other.official, *tail])
    comment = "Pixels of a subject class may be the object classes (label-space ontology, RCC-5)."
    if decided:
        comment += f" Not mapped, by decision: {'; '.join(decided)}."
    header = {
        "curie_map": {
            subject: uri(d, ""),
            target: uri(s, ""),
            "skos": _SKOS,
            "semapv": "https://w3id.org/semapv/vocab/",
            "sssom": "https://w3id.org/sssom/",
        },
        "mapping_set_id": f"urn:lsu:map:{d.name}:{d.version}:{s.name}:{s.version}",
        "mapping_set_title": f"{d.name} {d.version} -> {s.name} {s.version}",
        "mapping_set_version": d.version,
        "license": "https://w3id.org/sssom/license/unspecified",
        "subject_source": f"{subject}:",
        "subject_source_version": d.version,
        "object_source_version": s.version,
        "mapping_tool": "lsu-onto",
        "mapping_tool_version": __version__,
        "comment": comment,
    }
    out = io.StringIO()
    for key, value in header.items():
        if isinstance(value, dict):
            out.write(f"# {key}:\n" + "".join(f"#   {k}: {json.dumps(v)}\n" for k, v in value.items()))
        else:  # a JSON string is a YAML string
            out.write(f"# {key}: {json.dumps(value, ensure_ascii=False)}\n")
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return out.getvalue()
