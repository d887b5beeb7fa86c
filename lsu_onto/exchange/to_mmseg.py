"""An ontology as a Python snippet for MMSegmentation: METAINFO, num_classes, and a label map where S(d) is one."""

from __future__ import annotations

from lsu_onto.constraint.arrays import VOID
from lsu_onto.constraint.matrices import compile_ontology
from lsu_onto.ontology.model import Ontology


def dump(ontology: Ontology) -> str:
    c = compile_ontology(ontology)
    names = "".join(f"        {n!r},\n" for n in c.source_classes)
    palette = "".join(
        f"        {rgb.tolist()},  # {n}\n" for n, rgb in zip(c.source_classes, c.source_palette, strict=True)
    )
    label_map, left = [], []
    for value, row in zip(c.raw.tolist(), c.raw_row.tolist(), strict=True):
        shown = f"0x{value:06x}" if c.encoding == "rgb" else f"{value}"
        if row < 0:
            label_map.append(f"    {shown}: {VOID},  # not annotated\n")
            continue
        to = int(c.relabel[row])
        if to < 0:
            left.append(f"#   {shown}: {c.classes[row]}: {', '.join(c.names(row))}\n")
            continue
        target = VOID if to == c.num_classes else to
        label_map.append(f"    {shown}: {target},  # {c.classes[row]}: {c.names(row)[0]}\n")
    keys = {"rgb": "colours, R<<16 | G<<8 | B", "id": "raw values"}.get(c.encoding, f"raw values, `{c.encoding}`")
    text = (
        f"# {c.dataset} {c.dataset_version} -> {c.source} {c.source_version}, written by `lsu-onto export --to mmseg`\n"
        f"METAINFO = dict(\n    classes=(\n{names}    ),\n    palette=[\n{palette}    ],\n)\n"
        f"num_classes = {c.num_classes}\n"
        f"ignore_index = {VOID}\n\n"
        f"# Keys are {keys}. Only the classes that can be one thing.\n"
        f"label_map = {{\n{''.join(label_map)}}}\n"
    )
    if left:
        text += f"\n# Left to the teacher (`lsu-seg pseudo-label`): a label map cannot say these.\n{''.join(left)}"
    return text
