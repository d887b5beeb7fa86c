"""Class lists as JSON → `.tax`: of annotation tools and of datasets. A list is recognised by what it holds.

Each is turned into a table and read as one, so a column means what it means in a CSV. What differs is what the raw
values are: the place in Mapillary's list, the category id of COCO, the names of nuImages. The `id` of CVAT and
Supervisely is a number in their data base, which no label image has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from lsu_onto.exchange.base import ExchangeError, Finding, Imported, Options
from lsu_onto.exchange.draft import identifiers
from lsu_onto.exchange.from_csv import imported, one
from lsu_onto.exchange.tables import Cell, Table, read_text
from lsu_onto.lang.colours import as_colour

_Object = dict[str, Any]
_LARGE = 1 << 24


@dataclass
class _List:
    """Classes as objects of plain values, and what the format says of the label files."""

    objects: list[_Object]
    encoding: str | None = None
    keys: tuple[str, ...] = ()
    findings: list[tuple[str, str | None]] = field(default_factory=list)
    """Message and help."""


def read(inputs: list[str], options: Options) -> Imported:
    file = one(inputs)
    try:
        return _read(file, options)
    except RecursionError:  # of Python's parser; or of what looks at a list that newer parsers do read
        raise ExchangeError(f"{file}: nested too deeply for a class list") from None


def _read(file: str, options: Options) -> Imported:
    text = read_text(file)
    try:
        document = _document(text)
    except json.JSONDecodeError as e:
        raise ExchangeError(f"{file}:{e.lineno}:{e.colno}: not JSON: {e.msg.lower()}") from None
    except ValueError as e:  # Python reads no integer of thousands of digits
        raise ExchangeError(f"{file}: not a class list: {e}") from None
    if isinstance(document, dict) and document.get("format") == "lsu-onto ontology":
        raise ExchangeError(
            f"{file}: `export --to json` is for other programs; `export --to csv` writes what `import --from csv` reads"
        )
    objects = _objects(document)
    if not objects or is_metainfo(document):
        raise ExchangeError(
            f"{file}: no list of classes here; expected a list of objects with a `name`, or one under"
            " `categories`, `classes` or `labels`"
        )
    found = next((make(document, objects) for is_one, make in _FORMATS if is_one(document, objects)), _List(objects))
    table = _table(file, text, found.objects)
    if options.kind == "dataset" and not options.encoding:
        options = replace(options, encoding=found.encoding)
    keys = found.keys if options.kind == "dataset" and options.encoding == found.encoding else ()
    findings = tuple(Finding("info", "value", what, (file, 1, 1), how) for what, how in found.findings)
    return imported(table, options, keys, findings)


def _document(text: str) -> Any:
    """The document; of a large one, such as the annotations of COCO, only its categories."""
    categories = re.search(r'"categories"\s*:\s*(?=\[)', text) if len(text) > _LARGE else None
    if categories:
        return {"categories": json.JSONDecoder().raw_decode(text, categories.end())[0]}
    return json.loads(text)


def metainfo(document: Any) -> Any:
    """What a document says, without a `METAINFO` around it."""
    inner = document.get("METAINFO") if isinstance(document, dict) else None
    return inner if isinstance(inner, dict) else document


def is_metainfo(document: Any) -> bool:
    """Whether it is a METAINFO of MMSegmentation, whose palette goes with its classes."""
    value = metainfo(document)
    classes = value.get("classes") if isinstance(value, dict) else None
    return isinstance(classes, list) and all(isinstance(c, str) for c in classes)


def _objects(document: Any) -> list[_Object]:
    """The classes of a document as objects; none if it has no list of classes."""
    if isinstance(document, dict):
        for key in ("categories", "classes", "labels", "id2label", "label_map", "results"):
            if key in document:
                return _objects(document[key])
        return list(_pairs(document))
    if not isinstance(document, list):
        return []
    if all(isinstance(x, str) for x in document):
        return [{"name": x} for x in document]
    return document if all(isinstance(x, dict) and x for x in document) else []


def _pairs(document: _Object) -> Iterator[_Object]:
    """`{"0": "road"}`, `{"road": 0}`, `{"road": [128, 64, 128]}` and, as in A2D2, `{"#804080": "road"}`."""
    values = list(document.values())
    numbered = all(re.fullmatch("[0-9]{1,9}", k) for k in document)
    if numbered and all(isinstance(v, str) for v in values):
        yield from ({"id": int(k), "name": v} for k, v in document.items())
    elif all(as_colour(k) for k in document) and all(isinstance(v, str) for v in values):
        yield from ({"name": v, "color": k} for k, v in document.items())
    elif not numbered and all(type(v) is int for v in values):
        yield from ({"name": k, "id": v} for k, v in document.items())
    elif all(isinstance(v, list) and len(v) == 3 for v in values):
        yield from ({"name": k, "color": v} for k, v in document.items())


def _table(file: str, text: str, objects: list[_Object]) -> Table:
    header = dict.fromkeys(k for o in objects for k in o)
    at = 0
    rows = []
    for o in objects:
        # Near enough to find the class: after the class before it.
        name = next((v for k, v in o.items() if isinstance(v, str) and "name" in k.lower()), "")
        hit = text.find(json.dumps(name, ensure_ascii="\\u" in text), at) if name else -1
        at = hit if hit >= 0 else at
        place = (file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        rows.append(tuple(Cell(_text(o.get(k)), place) for k in header))
    return Table(file, tuple(Cell(k, (file, 1, 1)) for k in header), tuple(rows))


def _text(value: Any) -> str:
    """A value as a cell has it. An empty list or object says nothing."""
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, list) and all(isinstance(v, (int, str)) for v in value):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- what the formats say ------------------------------------------------------------------------------------


def _mapillary(document: Any, objects: list[_Object]) -> _List:
    numbered = [{"id": i, **o} for i, o in enumerate(objects)]
    return _List(_split_names(numbered, "--"), "id", findings=[("raw values are places in Mapillary's list", None)])


def _nuscenes(document: Any, objects: list[_Object]) -> _List:
    plain = _split_names([{k: v for k, v in o.items() if k != "token"} for o in objects], ".")
    if all("index" in o for o in objects):  # nuScenes-lidarseg
        return _List(plain, "id")
    help_ = "`--encoding id` if label files store numbers"
    keys = ("segments: v1.0-{split}  # a guess: the tables of nuImages",)
    return _List(plain, "rle", keys, [("labels are taken for names, as in nuImages: `encoding: rle`", help_)])


def _coco(document: Any, objects: list[_Object]) -> _List:
    if not all("isthing" in o for o in objects):
        help_ = "label images may count otherwise: the stuff images of COCO store the id minus 1"
        return _List(objects, findings=[("raw values are COCO's category ids", help_)])
    keys = ("segments: annotations/panoptic_{split}2017.json  # a guess: as in COCO",)
    help_ = "`--encoding id` if label files store the ids"
    return _List(objects, "panoptic-rgb", keys, [("taken for COCO panoptic: `encoding: panoptic-rgb`", help_)])


def _supervisely(document: Any, objects: list[_Object]) -> _List:
    return _List(*_of_a_tool(objects, "Supervisely"))


def _cvat(document: Any, objects: list[_Object]) -> _List:
    found = _List(*_of_a_tool(objects, "CVAT"))
    found.findings.append(CVAT_BACKGROUND)
    return found


CVAT_BACKGROUND = (
    "in CVAT's masks, pixels without a label are black, which is not a class here",
    "`--void '#000000'`, or `labelmap.txt` of the export, which lists it",
)


def _of_a_tool(objects: list[_Object], tool: str) -> tuple[list[_Object], None, tuple[str, ...], list[Any]]:
    message = f"the `id` of a class is {tool}'s own number, and no raw value: not used"
    findings = [(message, None)] if any("id" in o for o in objects) else []
    return [{k: v for k, v in o.items() if k != "id"} for o in objects], None, (), findings


def _split_names(objects: list[_Object], separator: str) -> list[_Object]:
    """`animal--bird` as the class `bird`, officially `animal--bird`, of the group `animal`."""
    full = [str(o.get("name", "")) for o in objects]
    last = [n.rpartition(separator)[2] for n in full]
    names = identifiers([short if last.count(short) == 1 else n for short, n in zip(last, full, strict=True)])
    return [
        {**o, "name": name, "official": n, "group": ".".join(n.split(separator)[:-1])}
        for o, name, n in zip(objects, names, full, strict=True)
    ]


def _have(objects: list[_Object], *keys: str) -> bool:
    return all(k in o for o in objects for k in keys)


_FORMATS: tuple[tuple[Callable[[Any, list[_Object]], bool], Callable[[Any, list[_Object]], _List]], ...] = (
    (lambda d, o: _have(o, "name", "readable", "evaluate"), _mapillary),
    (lambda d, o: _have(o, "title", "shape"), _supervisely),
    (lambda d, o: _have(o, "name", "attributes"), _cvat),
    (lambda d, o: _have(o, "token", "name"), _nuscenes),
    (lambda d, o: _have(o, "name", "id") and (_have(o, "supercategory") or "categories" in d), _coco),
)
"""How a format is recognised, and what it says."""
