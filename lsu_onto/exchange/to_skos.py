"""An ontology as SKOS (Turtle): two concept schemes and the mapping relations between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsu_onto import INSTALL
from lsu_onto.exchange.base import ExchangeError
from lsu_onto.ontology.model import Ontology, Taxonomy

if TYPE_CHECKING:
    import rdflib

PREDICATES = {"=": "exactMatch", "<": "broadMatch", ">": "narrowMatch", "~": "relatedMatch"}
"""The properties from a dataset class to a source class. `!` and decisions have no counterpart."""


def uri(taxonomy: Taxonomy, name: str) -> str:
    """A URN, because nobody owns a web address for these. The version is part of it."""
    return f"urn:lsu:{type(taxonomy).__name__.lower()}:{taxonomy.name}:{taxonomy.version}:{name}"


def dump(ontology: Ontology) -> str:
    """
    Raises:
        ExchangeError: rdflib is not installed.
    """
    try:
        from rdflib import SKOS, Graph, URIRef
    except ModuleNotFoundError:
        raise ExchangeError(f"SKOS needs rdflib: {INSTALL.format('skos')}") from None
    graph = Graph()
    graph.bind("skos", SKOS)
    for t in dict.fromkeys((ontology.dataset.name, ontology.source.name)):
        owner = ontology.dataset if t == ontology.dataset.name else ontology.source
        graph.bind(t, uri(owner, ""))
    _scheme(graph, ontology.dataset)
    if ontology.source is not ontology.dataset:
        _scheme(graph, ontology.source)
    total = len(ontology.source.classes)
    for row in ontology.rows:
        subject = URIRef(uri(ontology.dataset, ontology.dataset.classes[row.cls].name))
        if row.decision:
            continue
        for channel, op in row.meaning(total).channels.items():
            target = URIRef(uri(ontology.source, ontology.source.classes[channel].name))
            graph.add((subject, SKOS[PREDICATES[op]], target))
    return str(graph.serialize(format="turtle"))


def _scheme(graph: rdflib.Graph, t: Taxonomy) -> None:
    from rdflib import DCTERMS, OWL, RDF, SKOS, Literal, URIRef

    from lsu_onto.exchange.to_csv import ids

    scheme = URIRef(uri(t, "").rstrip(":"))
    graph.add((scheme, RDF.type, SKOS.ConceptScheme))
    graph.add((scheme, SKOS.prefLabel, Literal(f"{t.name} {t.version}")))
    graph.add((scheme, OWL.versionInfo, Literal(t.version)))
    for key, predicate in (("title", DCTERMS.title), ("url", DCTERMS.source), ("licence", DCTERMS.license)):
        if t.meta.get(key):
            graph.add((scheme, predicate, Literal(t.meta[key])))
    for c in t.classes:
        concept = URIRef(uri(t, c.name))
        graph.add((concept, RDF.type, SKOS.Concept))
        graph.add((concept, SKOS.inScheme, scheme))
        graph.add((concept, SKOS.prefLabel, Literal(c.official)))
        for other in {c.name, *c.aliases} - {c.official}:
            graph.add((concept, SKOS.altLabel, Literal(other)))
        if c.ids:
            graph.add((concept, SKOS.notation, Literal(ids(c.ids))))
        if c.note:
            graph.add((concept, SKOS.note, Literal(c.note)))
    for group in t.groups:
        node = URIRef(uri(t, f"@{group}"))
        graph.add((node, RDF.type, SKOS.Collection))
        graph.add((node, SKOS.prefLabel, Literal(group)))
        for i in t.group(group):
            graph.add((node, SKOS.member, URIRef(uri(t, t.classes[i].name))))
