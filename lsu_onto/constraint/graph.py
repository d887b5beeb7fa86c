"""Model → networkx: the graph that `render`, the exports and the compiler read.

Nodes: `("dataset", row)`, `("source", channel)` and `("void",)`. An edge from a dataset class means that the
target is in its S(d); its attribute `kind` is `=`, `<`, `>`, `~`, or `any` / `void` for a decision or an
explicit `void`. The decision `-> any` allows nearly all of the source: its channels are the attribute `any` of the
dataset class, and no edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsu_onto.ontology.model import Ontology

if TYPE_CHECKING:
    import networkx as nx

VOID_NODE = ("void",)


def build(ontology: Ontology) -> nx.DiGraph[Any]:
    """The graph of an ontology without errors. Every dataset node has the attribute `novel`."""
    import networkx as nx

    graph: nx.DiGraph[Any] = nx.DiGraph(
        dataset=ontology.dataset.name,
        dataset_version=ontology.dataset.version,
        source=ontology.source.name,
        source_version=ontology.source.version,
    )
    graph.add_node(VOID_NODE, name="void", side="void")
    for k, c in enumerate(ontology.source.classes):
        graph.add_node(("source", k), name=c.name, side="source", rgb=c.rgb, group=c.group, note=c.note)
    for d, c in enumerate(ontology.dataset.classes):
        graph.add_node(
            ("dataset", d), name=c.name, side="dataset", rgb=c.rgb, group=c.group, note=c.note, novel=False, any=()
        )
    for row in ontology.rows:
        node = ("dataset", row.cls)
        meaning = row.meaning(len(ontology.source.classes))
        graph.nodes[node]["novel"] = meaning.novel
        notes = " ".join(
            filter(None, [row.note, *(r.note for r in row.relations), row.decision.note if row.decision else ""])
        )
        graph.nodes[node]["notes"] = notes
        if row.decision:
            graph.nodes[node]["any"] = meaning.channels
        for channel, op in () if row.decision else meaning.channels.items():
            graph.add_edge(node, ("source", channel), kind=op)
        if meaning.void:
            graph.add_edge(node, VOID_NODE, kind="any" if row.decision and row.decision.to == "any" else "void")
    return graph
