"""An ontology as SSSOM: a TSV of mappings below a YAML header in `#` lines (https://w3id.org/sssom)."""

from __future__ import annotations

import csv
import io
import json

from lsu_onto import __version__
from lsu_onto.exchange.to_skos import PREDICATES, uri
from lsu_onto.ontology.model import MapRow, Ontology
from lsu_onto.ontology.provenance import in_digits, provenance
from lsu_onto.ontology.words import notes, relation_text

COLUMNS = (
    "subject_id",
    "subject_label",
    "predicate_id",
    "object_id",
    "object_label",
    "mapping_justification",
    "object_source",
    "author_id",
    "author_label",
    "confidence",
    "comment",
    "other",
)
_ALWAYS = (*COLUMNS[:7], "comment")
"""The others are left out where no row has them."""

PART_VOID = "void: "
"""In the column `other`: the operator of void, which is not a class that SSSOM could map to."""
MAY_BE_VOID = "part of it may be no class of the object source"
"""The same for readers."""
DECIDED = "decisions: "
"""In the header's `other`: rows that are decisions and no mappings, one after the other."""
_ORCID = "orcid:"
SKOS = "http://www.w3.org/2004/02/skos/core#"
_TAKEN = {"skos", "semapv", "sssom", "owl", "rdf", "rdfs", "linkml"}
"""Prefixes that SSSOM defines. A different expansion would be ignored, and the mappings would change their meaning."""


def dump(ontology: Ontology) -> str:
    """Facts only: decisions (`->`) map nothing and are listed in the header.

    `! any` is `sssom:NoTermFound`. If void is among the targets, the comment of the row's mappings says so, and `other`
    how. `from_sssom` reads all of it.
    """
    d, s = ontology.dataset, ontology.source
    target = f"{s.name}_source" if s.name in _TAKEN else s.name
    subject = target if d is s else f"{d.name}_labels" if d.name in (*_TAKEN, target) else d.name
    rows: list[dict[str, str]] = []
    decided: list[str] = []
    for row in ontology.rows:
        c = d.classes[row.cls]
        meaning = row.meaning(len(s.classes))
        origin = provenance(notes(ontology, row))
        mapping = {
            "subject_id": f"{subject}:{c.name}",
            "subject_label": c.official,
            "mapping_justification": f"semapv:{origin.how}",
            "object_source": f"{target}:",
            "author_id": "|".join(a for a in origin.authors if a.startswith(_ORCID)),
            "author_label": "|".join(a for a in origin.authors if not a.startswith(_ORCID)),
            "confidence": "" if origin.confidence is None else in_digits(origin.confidence),
            "comment": "; ".join(origin.remarks),
        }
        if meaning.void and not meaning.novel and not row.decision:
            mapping["comment"] = "; ".join(filter(None, [MAY_BE_VOID, mapping["comment"]]))
            mapping["other"] = PART_VOID + _operator_of_void(row)
        if row.decision:
            decided.append(f"{c.name} {relation_text(row)}")
        elif meaning.novel:
            rows.append(mapping | {"predicate_id": "skos:exactMatch", "object_id": "sssom:NoTermFound"})
        else:
            for channel, op in sorted(meaning.channels.items()):
                other = s.classes[channel]
                to = {"object_id": f"{target}:{other.name}", "object_label": other.official}
                rows.append(mapping | {"predicate_id": f"skos:{PREDICATES[op]}"} | to)
    comment = "Pixels of a subject class may be the object classes (label-space ontology, RCC-5)."
    header = {
        "curie_map": {
            subject: uri(d, ""),
            target: uri(s, ""),
            "skos": SKOS,
            "urn": "urn:",  # without it, sssom-py refuses the ids of mapping sets
            **({"orcid": "https://orcid.org/"} if any(row["author_id"] for row in rows) else {}),
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
        **({"other": DECIDED + "; ".join(decided)} if decided else {}),
    }
    out = io.StringIO()
    for key, value in header.items():
        if isinstance(value, dict):
            out.write(f"# {key}:\n" + "".join(f"#   {k}: {json.dumps(v)}\n" for k, v in value.items()))
        else:  # a JSON string is a YAML string
            out.write(f"# {key}: {json.dumps(value, ensure_ascii=False)}\n")
    used = [c for c in COLUMNS if c in _ALWAYS or any(row.get(c) for row in rows)]
    writer = csv.DictWriter(out, used, restval="", extrasaction="ignore", delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _operator_of_void(row: MapRow) -> str:
    return next(r.op for r in row.relations if any(t.kind == "void" for t in r.targets))
