"""Which column of a class list says what. A column that is not understood is named, never guessed at.

The lists that lie around call the raw value `id`, `Idx`, `class_id`, `Pixel Value` or `label`. Words that mean the
number in one list and the name in another (`label`, `class`, `category`) are told apart by what is below them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lsu_onto.exchange.base import ExchangeError
from lsu_onto.exchange.tables import Cell, Table, number
from lsu_onto.lang.colours import as_colour
from lsu_onto.lang.relations import IGNORED, NO_CLASS
from lsu_onto.ontology.model import Source

_EITHER = ("label", "class", "category")
_NAME = ("name", "class_name", "classname", "label_name", "category_name", "title")
_ID = (
    *("id", "ids"),
    *(
        "class_id",
        "classid",
        "class_index",
        "class_idx",
        "label_id",
        "labelid",
        "label_index",
        "label_idx",
        "label_key",
    ),
    *("category_id", "categoryid", "index", "idx", "value", "raw", "raw_value", "pixel", "pixel_value"),
    *(
        "png_index",
        "gray",
        "grey",
        "gray_value",
        "grey_value",
        "grayscale",
        "greyscale",
        "number",
        "num",
        "nr",
        "no",
        "code",
    ),
)
_OTHERS = {
    "official": ("official",),
    "group": ("group", "supercategory", "super_category"),
    "aliases": ("aliases", "alias", "aka", "synonyms"),
    "relation": ("relation",),
    "void": ("void", "is_void", "ignore", "ignored"),
    "note": ("note", "notes", "description", "comment"),
}
_TRAIN = ("train_id", "trainid")
_DERIVED = ("allowed",)
"""What `export --to csv` writes for people; it follows from the relation."""
_COLOUR = {"colour", "color", "rgb", "hex", "palette"}
_PRIMARY = re.compile(r"(?:colou?r_|rgb_)?(?:(r|red)|(g|green)|(b|blue))")
IDS = re.compile(r"[0-9]{1,9}(\.\.[0-9]{1,9})?(,[0-9]{1,9}(\.\.[0-9]{1,9})?)*")
NO_ID = ("", "-", "-1")
VOID = IGNORED - NO_CLASS
"""Words for void in a guess. Those that may also mean that no class of the source fits are left to the user."""


@dataclass(frozen=True)
class Columns:
    """The place of each column that is used. `colour` is one place, or three: red, green, blue.

    `no_channels` are those with the source's name whose numbers are no channels; they are among the unused.
    """

    places: dict[str, int]
    colour: tuple[int, ...]
    unused: tuple[int, ...]
    no_channels: tuple[int, ...]

    def cell(self, row: tuple[Cell, ...], role: str) -> Cell | None:
        """The cell of a role in a row, or None where there is none or it is blank."""
        at = self.places.get(role)
        return row[at] if at is not None and at < len(row) and row[at].stripped else None

    def text(self, row: tuple[Cell, ...], role: str) -> str:
        cell = self.cell(row, role)
        return cell.stripped if cell else ""


def columns(table: Table, source: Source | None) -> Columns:
    """The columns of a class list.

    Args:
        table: the list.
        source: the source whose column gives first guesses of relations. Numbers in it are channels, or it is not used.

    Raises:
        ExchangeError: there is no name, or there are several columns of raw values and they differ.
    """
    words = [_word(c.text) for c in table.header]
    numeric = [_is_numeric(table, i) for i in range(len(words))]
    places: dict[str, int] = {}

    def first(role: str, names: Iterable[str], like: bool | None = None) -> None:
        free = [i for i in range(len(words)) if i not in places.values() and like in (None, numeric[i])]
        hit = next((i for n in names for i in free if words[i] == n), None)
        if hit is not None:
            places.setdefault(role, hit)

    first("name", _NAME)
    first("name", _EITHER, like=False)
    if "name" not in places:
        _refuse_without_header(table)
        hint = "what holds the names must be called `name`; if there is no header, put one above"
        places["name"] = table.need("name", hint=hint)  # refuses, with what there is
    _id(table, words, numeric, places)
    for role, names in _OTHERS.items():
        first(role, names)
    first("group", ("category",), like=False)
    first("train", _TRAIN)
    no_channels: tuple[int, ...] = ()
    if source:
        pattern = re.compile(rf"(to_)?{re.escape(_word(source.name))}(_v[\d_]+)?(_(name|class|label))?")
        named = [i for i, w in enumerate(words) if pattern.fullmatch(w)]
        no_channels = tuple(i for i in named if are_numbers(table, i) and not _are_channels(table, i, source))
        first("guess", [words[i] for i in named if i not in no_channels])
    shades = _colours(table, words)
    chosen, same = (
        (shades[0], [s for s in shades[1:] if _values(table, s) == _values(table, shades[0])]) if shades else ((), [])
    )
    used = {*places.values(), *chosen, *(i for s in same for i in s)}
    used |= {i for i, w in enumerate(words) if w in _DERIVED or not any(c.stripped for c in _below(table, i))}
    return Columns(places, chosen, tuple(i for i in range(len(words)) if i not in used), no_channels)


def numbers(table: Table, places: Iterable[int]) -> list[int]:
    """The columns that may hold raw values, though their headers do not say so: one number per class, all different."""

    def fits(i: int) -> bool:
        values = [number(ids(c.text)) for c in _below(table, i)]
        return len(values) == len(table.rows) and None not in values and len(set(values)) == len(values)

    return [i for i in places if fits(i) or _word(table.header[i].text) in _TRAIN]


def are_numbers(table: Table, at: int) -> bool:
    """Whether a column of guesses says numbers and words for void, and no names."""
    texts = [c.stripped for c in _below(table, at) if c.stripped and c.stripped.lower() not in VOID]
    return bool(texts) and all(number(t) is not None for t in texts)


def _are_channels(table: Table, at: int, source: Source) -> bool:
    """Whether the numbers of a column may be channels of a source. Ids of its label files often go beyond these."""
    texts = [c.stripped for c in _below(table, at) if c.stripped.lower() not in VOID]
    return all((number(t) or 0) < len(source.classes) for t in texts)


def shown(table: Table, places: Iterable[int]) -> str:
    """Columns as a message names them."""
    return ", ".join(f"`{table.header[i].stripped}`" if table.header[i].stripped else f"number {i + 1}" for i in places)


def ids(text: str) -> str:
    """What a cell says of raw values, without blanks; `7.0`, as tables with gaps have it, is 7."""
    return re.sub(r"\s+", "", text).removesuffix(".0")


def _word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _below(table: Table, at: int) -> list[Cell]:
    return [row[at] for row in table.rows if at < len(row)]


def _is_numeric(table: Table, at: int) -> bool:
    texts = [ids(c.text) for c in _below(table, at)]
    return any(texts) and 2 * sum(t in NO_ID or bool(IDS.fullmatch(t)) for t in texts) > len(texts)


def _id(table: Table, words: list[str], numeric: list[bool], places: dict[str, int]) -> None:
    for names in (_ID[:2], _ID[2:], _EITHER):
        hits = [i for i, w in enumerate(words) if w in names and i != places["name"]]
        hits = hits if names == _ID[:2] else [i for i in hits if numeric[i]]
        if len({_values(table, (i,)) for i in hits}) > 1:
            raise ExchangeError(
                f"{table.file}:1:{table.header[hits[0]].place[2]}: {shown(table, hits)} differ, and"
                " each may hold the raw values; rename the one that label files store to `id`"
            )
        if hits:
            places["id"] = hits[0]
            return


def _refuse_without_header(table: Table) -> None:
    texts = [c.stripped for c in table.header]
    plain = [i for i, t in enumerate(texts) if number(t) is not None]
    if not plain and not any(as_colour(t) for t in texts):
        return
    words = ["color" if as_colour(t) else "name" for t in texts]
    for i, word in zip(plain, {1: ["id"], 3: [*"rgb"], 4: ["id", *"rgb"]}.get(len(plain), []), strict=False):
        words[i] = word
    file, line, column = table.header[0].place
    raise ExchangeError(
        f"{file}:{line}:{column}: this line is a class, and a header is missing;"
        f" put one above it, such as `{table.delimiter.join(words)}`"
    )


def _colours(table: Table, words: list[str]) -> list[tuple[int, ...]]:
    """The columns of colours, the best first: those that can be read before those that cannot."""
    found: list[tuple[int, ...]] = [
        (i,) for i, w in enumerate(words) if _COLOUR & set(w.split("_")) and not _PRIMARY.fullmatch(w)
    ]
    found.sort(key=lambda c: words[c[0]] not in ("colour", "color"))
    primaries = [[i for i, w in enumerate(words) if (m := _PRIMARY.fullmatch(w)) and m[n]] for n in (1, 2, 3)]
    if all(len(p) == 1 for p in primaries):
        found.append(tuple(p[0] for p in primaries))
    filled = [c for c in found if any(_values(table, c))]
    return sorted(filled, key=lambda c: not all(as_colour(v) for v in _values(table, c) if v))


def _values(table: Table, places: tuple[int, ...]) -> tuple[str, ...]:
    """What stands below some columns, comparable: colours as `#rrggbb`."""
    rows = [" ".join(row[i].stripped for i in places if i < len(row)).strip() for row in table.rows]
    return tuple(as_colour(r) or r for r in rows)
