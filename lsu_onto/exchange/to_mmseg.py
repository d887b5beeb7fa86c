"""An ontology as a Python snippet for MMSegmentation: METAINFO, num_classes, and a map of labels where S(d) is one.

MMSegmentation applies a `label_map` to the values as stored, which it reads as 8 bits. Under other encodings than `id`,
the snippet has a map with another name, for the script that makes label images.
"""

from __future__ import annotations

from lsu_onto.constraint.arrays import ROW_SKIPPED, VOID, Constraint
from lsu_onto.constraint.matrices import compile_ontology
from lsu_onto.ontology.model import NAMED, Ontology

_KEYS = {
    "id16": "raw values",
    "rgb": "colours, R<<16 | G<<8 | B",
    "panoptic-rgb": "the category ids of segments, from the JSON",
    "instance-ids": "stored values, or stored values // 1000 from 1000",
    **dict.fromkeys(NAMED, "the labels in the files"),
}


def _map_head(encoding: str) -> str:
    """The name of the map, below what its keys are."""
    only = "Only the classes that can be one thing."
    if encoding == "id":
        return f"# Keys are raw values. {only}\nlabel_map"
    keys = _KEYS.get(encoding) or f"stored values // {encoding.removeprefix('id16/')}"
    return (
        f"# Keys are {keys}. {only}\n"
        "# This is no `label_map` of MMSegmentation, which reads 8 bits and takes the values as stored,"
        f" not `{encoding}`:\n# use it to make label images.\n{'name_map' if encoding in NAMED else 'raw_map'}"
    )


def dump(ontology: Ontology) -> str:
    c = compile_ontology(ontology)
    names = "".join(f"        {n!r},\n" for n in c.source_classes)
    palette = "".join(
        f"        {rgb.tolist()},  # {n}\n" for n, rgb in zip(c.source_classes, c.source_palette, strict=True)
    )
    mapped, left, skipped = _maps(c)
    text = (
        f"# {c.dataset} {c.dataset_version} -> {c.source} {c.source_version}, written by `lsu-onto export --to mmseg`\n"
        f"METAINFO = dict(\n    classes=(\n{names}    ),\n    palette=[\n{palette}    ],\n)\n"
        f"num_classes = {c.num_classes}\n"
        f"ignore_index = {VOID}\n\n"
        f"{_map_head(c.encoding)} = {{\n{''.join(mapped)}}}\n"
    )
    if c.encoding in (*NAMED, "panoptic-rgb"):
        nothing = f"of the class `{c.classes[c.background]}`" if c.background >= 0 else "not annotated"
        text += f"# Pixels on which nothing is drawn are {nothing}.\n"
    if skipped:
        text += f"\n# Not drawn, as in the dataset's own tools.\n{''.join(skipped)}"
    if left:
        text += f"\n# Left to the teacher (`lsu-seg pseudo-label`): a label map cannot say these.\n{''.join(left)}"
    return text


def _maps(c: Constraint) -> tuple[list[str], list[str], list[str]]:
    """The lines of the map; of the labels that it cannot hold; and of those that are not drawn."""
    mapped, left, skipped = [], [], []
    for i, (value, row) in enumerate(zip(c.raw.tolist(), c.raw_row.tolist(), strict=True)):
        shown = repr(c.raw_names[i]) if c.raw_names else f"0x{value:06x}" if c.encoding == "rgb" else f"{value}"
        if row == ROW_SKIPPED:
            skipped.append(f"#   {shown}\n")
            continue
        if row < 0:
            mapped.append(f"    {shown}: {VOID},  # not annotated\n")
            continue
        to = int(c.relabel[row])
        if to < 0:
            left.append(f"#   {shown}: {c.classes[row]}: {', '.join(c.names(row))}\n")
            continue
        mapped.append(f"    {shown}: {VOID if to == c.num_classes else to},  # {c.classes[row]}: {c.names(row)[0]}\n")
    return mapped, left, skipped
