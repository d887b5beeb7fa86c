"""Class lists as XML → `.tax`: Label Studio's labeling interface, and `annotations.xml` of CVAT.

Neither says what label files store. What stands after CVAT's list, the annotations, is not read.
"""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from lsu_onto.exchange.base import ExchangeError, Finding, Imported, Options, Place
from lsu_onto.exchange.from_csv import imported, one
from lsu_onto.exchange.from_json import CVAT_BACKGROUND
from lsu_onto.exchange.tables import Cell, Table
from lsu_onto.files import open_to_read
from lsu_onto.lang.colours import as_colour


def read(inputs: list[str], options: Options) -> Imported:
    file = one(inputs)
    reader = _Reader(file)
    reader.read()
    if not reader.classes:
        raise ExchangeError(
            f"{file}: no labels here; expected Label Studio's `<Label value=…>` or CVAT's `<labels>` in `<meta>`"
        )
    findings = []
    rows = []
    for place, values in reader.classes:
        text = values.get("color", "")
        if text and not as_colour(text):  # `red`, `rgba(…)`: only what Label Studio draws with
            findings.append(Finding("info", "value", f"`{text}` is no colour as `#rrggbb`: left out", place))
            text = ""
        rows.append(
            tuple(Cell(v, place) for v in (values.get("id", ""), values["name"], text, values.get("aliases", "")))
        )
    header = tuple(Cell(n, (file, 1, 1)) for n in ("id", "name", "color", "aliases"))
    numbered = [row for row in rows if row[0].stripped]
    if len(numbered) < len(rows):
        header, rows = header[1:], [row[1:] for row in rows]
        if numbered:
            message = "`category` numbers only some of the labels: not used"
            findings.append(Finding("warning", "value", message, numbered[0][0].place))
    if reader.is_cvat:
        message, help_ = CVAT_BACKGROUND
        findings.append(Finding("info", "value", message, (file, 1, 1), help_))
    return imported(Table(file, header, tuple(rows)), options, findings=tuple(findings))


class _Reader:
    """What expat finds, with places. `classes` has `name`, and perhaps `color`, `id` and `aliases`."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.is_cvat = False
        self.classes: list[tuple[Place, dict[str, str]]] = []
        self._path: list[str] = []
        self._text = ""
        self._is_over = False
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.EntityDeclHandler = self._entity

    def read(self) -> None:
        try:
            with open_to_read(self.file) as stream:
                while not self._is_over and (chunk := stream.read(1 << 16)):
                    self._parser.Parse(chunk)
            if not self._is_over:
                self._parser.Parse(b"", True)
        except OSError as e:
            raise ExchangeError(f"cannot read `{self.file}`: {e.strerror}") from None
        except ExchangeError:  # our own, which is a ValueError, too
            raise
        except (LookupError, ValueError) as e:  # an encoding that does not exist, or that expat cannot read
            raise ExchangeError(f"{self.file}:1:1: not XML that can be read: {e}; save it as UTF-8") from None
        except expat.ExpatError as e:
            what = expat.ErrorString(e.code)
            raise ExchangeError(f"{self.file}:{e.lineno}:{e.offset + 1}: not XML: {what}") from None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        self._text = ""
        place = (self.file, self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1)
        if tag == "Label" and attributes.get("value", "").strip():
            values = {
                "name": attributes["value"],
                "color": attributes.get("background", ""),
                "id": attributes.get("category", ""),
                "aliases": attributes.get("alias", ""),
            }
            # The same labels may be there for brushes and for polygons.
            if all(values["name"] != other["name"] for _, other in self.classes):
                self.classes.append((place, values))
        elif self._path[-2:] == ["labels", "label"] and "meta" in self._path:
            self.is_cvat = True
            self.classes.append((place, {"name": ""}))

    def _end(self, tag: str) -> None:
        if self.is_cvat and self._path[-3:-1] == ["labels", "label"] and tag in ("name", "color"):
            self.classes[-1][1][tag] = self._text.strip()
        self._is_over = self._is_over or (tag == "meta" and self.is_cvat)
        self._path.pop()

    def _characters(self, text: str) -> None:
        self._text += text

    def _entity(self, *about: Any) -> None:
        """Refuse what may grow without bounds; neither format has entities of its own."""
        raise ExchangeError(f"{self.file}: this XML declares an entity, which a class list has no need of")
