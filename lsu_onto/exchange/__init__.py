"""Import and export: an ontology in other formats, and foreign class lists and mappings as `.tax` text.

Three tables list the formats; the module of a format is imported when it is used.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lsu_onto.exchange.base import ExchangeError, Finding, Imported, Options, write_text
from lsu_onto.files import as_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lsu_onto.ontology.model import Ontology, Taxonomy

__all__ = [
    "CLASS_EXPORTS",
    "EXPORTS",
    "IMPORTS",
    "ExchangeError",
    "Finding",
    "Imported",
    "Options",
    "export",
    "export_classes",
    "import_",
    "write_text",
]

EXPORTS = {
    "json": "lsu_onto.exchange.to_json",
    "csv": "lsu_onto.exchange.to_csv",
    "sssom": "lsu_onto.exchange.to_sssom",
    "skos": "lsu_onto.exchange.to_skos",
    "mmseg": "lsu_onto.exchange.to_mmseg",
    "hf": "lsu_onto.exchange.to_hf",
    "md": "lsu_onto.exchange.to_md",
}
"""Format → a module with `dump(ontology) -> str`."""

CLASS_EXPORTS = {
    "cvat": "lsu_onto.exchange.to_cvat",
    "labelstudio": "lsu_onto.exchange.to_labelstudio",
}
"""Format → a module with `dump(taxonomy) -> str`: these have classes and no relations, so no map is needed."""

IMPORTS = {
    "csv": "lsu_onto.exchange.from_csv",
    "data-priors": "lsu_onto.exchange.from_data_priors",
    "mseg": "lsu_onto.exchange.from_mseg",
    "mmseg": "lsu_onto.exchange.from_mmseg",
    "json": "lsu_onto.exchange.from_json",
    "xml": "lsu_onto.exchange.from_xml",
    "labelmap": "lsu_onto.exchange.from_labelmap",
    "sssom": "lsu_onto.exchange.from_sssom",
}
"""Format → a module with `read(inputs, options) -> Imported`."""


def export(ontology: Ontology, format_: str) -> str:
    """An ontology as text in one of the `EXPORTS`.

    Raises:
        ExchangeError: the format's package is not installed.
    """
    text: str = import_module(EXPORTS[format_]).dump(ontology)
    return text


def export_classes(taxonomy: Taxonomy, format_: str) -> str:
    """A taxonomy's classes as text in one of the `CLASS_EXPORTS`."""
    text: str = import_module(CLASS_EXPORTS[format_]).dump(taxonomy)
    return text


def import_(format_: str, inputs: Sequence[str | Path], options: Options | None = None) -> Imported:
    """`.tax` text from files in one of the `IMPORTS`, with a finding for everything that deserves a second look.

    The text is in the canonical format: `lsu-onto fmt` changes nothing.

    Raises:
        ExchangeError: a file cannot be read as the format; the message names the place and what to do, or the format
            that it is.
    """
    options = options or Options()
    try:
        imported: Imported = import_module(IMPORTS[format_]).read([str(i) for i in inputs], options)
    except ExchangeError as e:
        raise refused(e, str(inputs[0]), format_) if len(inputs) == 1 else e from None
    text = imported.text
    for stem in (Path(given).stem for given in inputs):  # which the text names, and which may be no text
        text = text.replace(stem, as_bytes(stem).decode())
    try:
        text.encode()
    except UnicodeEncodeError as e:
        half = text[e.start].encode("unicode_escape").decode()
        raise ExchangeError(f"{inputs[0]}: `{half}` is half a character, which no text can hold; correct it") from None
    return replace(imported, text=canonical(text, options.search))


def canonical(text: str, search: Sequence[str]) -> str:
    """`.tax` text as `lsu-onto fmt` writes it, with the references that the folders to search resolve as names."""
    from lsu_onto.library.formatting import format_file
    from lsu_onto.library.library import Library

    return format_file(Library(search), "imported.tax", text)


def refused(error: ExchangeError, file: str, format_: str) -> ExchangeError:
    """The refusal of a file that was tried as a format; if another one reads it, with the command that does."""
    from lsu_onto.exchange.recognise import refusal

    return refusal(error, file, format_, IMPORTS)
