"""What the report shows of confidence: a reliability diagram of each model on each dataset."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from lsu_seg.evaluation.reliability_svg import reliability_svg
from lsu_seg.unify.classes import Judged


def section(judged: Judged, titles: Mapping[str, str]) -> str:
    """The diagrams, dataset by dataset."""
    drawn: dict[str, list[str]] = {}
    for model, document in judged.documents.items():
        for name, part in document["sets"].items():
            if reliability := part["views"].get("source", {}).get("reliability"):
                drawn.setdefault(name, []).append(reliability_svg(reliability, titles[model]))
    return (
        "".join(
            f'<section data-set="{escape(name)}"><h3>{escape(name)}</h3>'
            f'<div class="scroll diagrams" tabindex="0">{"".join(svgs)}</div></section>'
            for name, svgs in drawn.items()
        )
        or '<p class="sub note">Nothing was counted.</p>'
    )
