"""Pictures of an ontology: svg, png, pdf and dot by Graphviz, and an HTML page to explore it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lsu_onto.files import write_atomic
from lsu_onto.ontology.model import Ontology
from lsu_onto.render.looks import VIEWS, RenderError, Triangle

__all__ = ["FORMATS", "VIEWS", "RenderError", "Triangle", "draw"]

FORMATS = ("svg", "png", "pdf", "html", "dot")


def draw(
    ontology: Ontology,
    target: Path,
    view: str,
    chain: Sequence[Ontology] = (),
    triangle: Triangle | None = None,
) -> None:
    """Draw an ontology without errors. The suffix of `target` sets the format; the same input gives the same bytes.

    Args:
        ontology: what to draw.
        target: the file to write, whole or not at all.
        view: `map` (relations), `tree` (groups and classes of both sides) or `matrix` (S(d)). An HTML page
            has all three and opens with this one.
        chain: maps that follow on the source of the ontology, drawn behind it: only in the view `map`, and not as HTML.
        triangle: the map that leads straight from the dataset to the end of the chain, drawn before it.

    Raises:
        RenderError: unknown format or view, nothing to draw with, or the file cannot be written.
    """
    suffix = target.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise RenderError(f"cannot draw `{target}`: the suffix must be one of {', '.join(f'`.{f}`' for f in FORMATS)}")
    if view not in VIEWS:
        raise RenderError(f"there is no view `{view}`; one of {', '.join(f'`{v}`' for v in VIEWS)}")
    if triangle and suffix == "html":
        raise RenderError("a triangle of maps is drawn as svg, png, pdf or dot")
    if chain and (view != "map" or suffix == "html"):
        raise RenderError("several maps in a row are drawn in the view `map` only, as svg, png, pdf or dot")
    if suffix == "html":
        from lsu_onto.render.page import page

        data = page(ontology, view).encode()
    else:
        from lsu_onto.render.diagrams import diagram

        data = diagram(ontology, suffix, view, chain, triangle)
    try:
        write_atomic(target, data, sync=False)
    except OSError as e:
        raise RenderError(f"cannot write `{target}`: {e.strerror}") from e
