"""A taxonomy's classes as Label Studio's labeling interface, with brushes. `import --from xml` reads it back."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from lsu_onto.ontology.model import TaxClass, Taxonomy

_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot hold, not even escaped: an official name may have control characters."""
_NO_NUMBERS = "the labels have no numbers, because these classes have not exactly one raw value: {}"


def dump(taxonomy: Taxonomy) -> str:
    classes = taxonomy.classes
    numbered = taxonomy.encoding in ("id", "id16") and all(_id(c) >= 0 for c in classes)
    labels = "".join(f"    <Label {_attributes(c, numbered)}/>\n" for c in classes)
    several = [c.official for c in classes if _id(c) < 0] if taxonomy.encoding in ("id", "id16") else []
    why = ""
    if several:  # a number for some of the labels is worse than none: the others would be numbered past them
        names = _plain(", ".join(several[:3])) + (" …" if len(several) > 3 else "")
        why = f"  <!-- {escape(re.sub('-(?=-)', '- ', _NO_NUMBERS.format(names)))} -->\n"
    return (
        f"<View>\n{why}"
        '  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <BrushLabels name="label" toName="image">\n{labels}  </BrushLabels>\n'
        "</View>\n"
    )


def _attributes(c: TaxClass, numbered: bool) -> str:
    values = {"value": c.official}
    if c.colours:
        values["background"] = f"#{c.colours[0]:06x}"
    if numbered:
        values["category"] = str(_id(c))
    return " ".join(f"{key}={quoteattr(_plain(value))}" for key, value in values.items())


def _plain(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)


def _id(c: TaxClass) -> int:
    """The raw value of a class that has a single one, else -1."""
    return c.ids[0][0] if len(c.ids) == 1 and c.ids[0][0] == c.ids[0][1] else -1
