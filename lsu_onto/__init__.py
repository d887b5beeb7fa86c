"""Ontologies of segmentation datasets: read `.tax` files, check them, compile them to constraint matrices.

The whole public API is `load`, `load_dataset`, `about`, `class_map`, `taxonomies`, `draw`, `read_raster`, `Palettes`,
`Constraint`, `Bars`, `places`, `rewrite`, `suggest_map`, `suggest_rows`, `by_name`, `first_map`, `interruption`,
`make_folder`, `ran_out`, `uninterrupted`, `without_traceback`, `leave_out_tracebacks`, `open_to_read`, `read_rest`,
`walk`, `write_atomic`, `png_chunks`, `compiled_loops` and the four codes below; it needs numpy and no torch,
`read_raster` needs Pillow, and `Bars` needs rich.

>>> import lsu_onto
>>> c = lsu_onto.load("demo_town", source="demo")
>>> c.allowed.shape == (len(c.classes), c.num_classes + 1)
True
"""

import os

__version__ = "0.1.0"

INSTALL = "pip install '.[{}]' at the root of the repository"
"""How to install an extra, for messages: `INSTALL.format("render")`. There is no package to install by name yet."""

INSTALL_MMDET = "pip install --no-deps 'onedl-mmdetection>=3.5.1,<3.6' shapely six"
"""How to install mmdet, for messages: with its dependencies come an older numpy and a second OpenCV."""

TYPE_CHECKING = False  # that of `typing` takes most of the time in which Ctrl-C finds no `main` yet
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any

    from lsu_onto.algebra.between import ClassMap
    from lsu_onto.bars import Bars
    from lsu_onto.constraint.arrays import ROW_SKIPPED, ROW_UNKNOWN, ROW_VOID, VOID, Constraint, Layout
    from lsu_onto.constraint.rows import LabelValueError
    from lsu_onto.errors import UserError, interruption, ran_out, uninterrupted, without_traceback
    from lsu_onto.files import make_folder, open_to_read, read_rest, walk, write_atomic
    from lsu_onto.library.errors import TaxonomyError
    from lsu_onto.library.searchpath import Entry
    from lsu_onto.raster.errors import LabelFileError
    from lsu_onto.raster.loops import Loops, compiled_loops
    from lsu_onto.raster.palettes import Palettes
    from lsu_onto.raster.reader import MAX_PIXELS, Raster, png_chunks, read_raster
    from lsu_onto.revise.places import ClassPlaces, places
    from lsu_onto.revise.revision import Revision, rewrite
    from lsu_onto.starter.by_name import NameOdds, by_name
    from lsu_onto.starter.first_map import FirstMap, FirstRow, first_map
    from lsu_onto.starter.suggest import SuggestedMap, Suggestion, suggest_map, suggest_rows
    from lsu_onto.streams import leave_out_tracebacks

__all__ = [
    "MAX_PIXELS",
    "ROW_SKIPPED",
    "ROW_UNKNOWN",
    "ROW_VOID",
    "VOID",
    "Bars",
    "ClassMap",
    "ClassPlaces",
    "Constraint",
    "Entry",
    "FirstMap",
    "FirstRow",
    "LabelFileError",
    "LabelValueError",
    "Layout",
    "Loops",
    "NameOdds",
    "Palettes",
    "Raster",
    "Revision",
    "SuggestedMap",
    "Suggestion",
    "TaxonomyError",
    "UserError",
    "about",
    "by_name",
    "class_map",
    "compiled_loops",
    "draw",
    "first_map",
    "interruption",
    "leave_out_tracebacks",
    "load",
    "load_dataset",
    "make_folder",
    "open_to_read",
    "places",
    "png_chunks",
    "ran_out",
    "read_raster",
    "read_rest",
    "rewrite",
    "suggest_map",
    "suggest_rows",
    "taxonomies",
    "uninterrupted",
    "walk",
    "without_traceback",
    "write_atomic",
]


def load(name: "str | Path", source: "str | None" = None, paths: "Iterable[str | Path]" = ()) -> "Constraint":
    """The compiled constraint of a dataset.

    Args:
        name: a dataset on the search path (`"idd"`; `"vistas v2"` where there are releases), the path of a `.tax`
            file (`"fleet.tax v2"` where it has several datasets), or of a compiled `.npz`. A source's own name gives
            the identity (labels stored as channels), unless a dataset of that name has a map.
        source: the source taxonomy's name; needed where the dataset has maps to several.
        paths: folders (with their subfolders), or files, to search before the shipped library; each must be there.

    Returns:
        Arrays with D rows, one per class of the dataset in the file's order, and K columns, one per channel of the
        source: `allowed` bool [D, K+1] is S(d), its last column void. See `Constraint`.

    Raises:
        TaxonomyError: there is no such map, or one of its files has errors; the message is the report that
            `lsu-onto validate` prints, `diagnostics` its findings.

    By name:

    >>> town = load("demo_town", source="demo")
    >>> town.names("pavement"), town.allowed.shape
    (('sidewalk', 'grass'), (8, 16))

    By path:

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "field.tax")
    ...     _ = file.write_text("tax 1\\ndataset field v1 -> demo v1\\n3 path < road\\n7 cow ! any\\n")
    ...     field = load(file)
    >>> field.classes, field.raw.tolist(), field.names("cow")
    (('path', 'cow'), [3, 7], ('void',))

    What does not exist:

    >>> load("demo_twon")
    Traceback (most recent call last):
        ...
    lsu_onto.TaxonomyError: there is no map from `demo_twon`; did you mean `demo_town`?
    """
    if str(name).endswith(".npz"):
        from lsu_onto.constraint.npz import load_npz

        return load_npz(name, source)
    from lsu_onto.constraint.matrices import compile_ontology
    from lsu_onto.library.library import Library, searched

    return compile_ontology(Library(searched(paths)).ontology(name, source))


def load_dataset(name: "str | Path", paths: "Iterable[str | Path]" = ()) -> "Constraint":
    """A dataset alone, whatever its maps say: to find and read its files before there is a map.

    Args:
        name, paths: as for `load`. Where a dataset and a source share a name, the dataset is meant.

    Returns:
        As `load`, to a source without classes: `source` is `""`, K is 0, S(d) is {void} for every class.

    Raises:
        TaxonomyError: there is no such dataset, or its classes have errors.

    >>> town = load_dataset("demo_town")
    >>> len(town.classes), town.source, town.allowed.shape
    (8, '', (8, 1))
    """
    if str(name).endswith(".npz"):
        from lsu_onto.constraint.npz import load_npz

        return load_npz(name)
    from lsu_onto.constraint.matrices import compile_alone
    from lsu_onto.library.library import Library, searched

    return compile_alone(Library(searched(paths)).alone(name))


def about(name: "str | Path", paths: "Iterable[str | Path]" = ()) -> "dict[str, str]":
    """The keys of a dataset, or else of a source, such as `title`, `url` and `licence`.

    Args:
        name, paths: as for `load`, but not a compiled `.npz`.

    Raises:
        TaxonomyError: there is none, or its classes have errors.

    >>> about("idd")["url"]
    'https://idd.insaan.iiit.ac.in'
    """
    from lsu_onto.library.library import Library, searched

    return dict(Library(searched(paths)).alone(name).meta)


def class_map(source: str, to: str, through: "Iterable[str]" = (), paths: "Iterable[str | Path]" = ()) -> "ClassMap":
    """What each channel of a source may be in another source, composed from the maps between them.

    Args:
        source, to: the two sources, by name or by file.
        through: taxonomies on the way, where there are several ways or a longer one: docs/map-algebra.md.
        paths: as for `load`.

    Raises:
        TaxonomyError: a name stands for nothing, or for a file with errors. UserError: there is no such way.

    >>> vistas = class_map("vistas", "cityscapes")
    >>> vistas.allowed.shape
    (63, 20)
    >>> bird = vistas.allowed[vistas.classes.index("bird")]
    >>> [name for name, may_be in zip((*vistas.to_classes, "void"), bird) if may_be]
    ['void']
    """
    from lsu_onto.algebra.between import class_map as between
    from lsu_onto.library.library import Library, searched
    from lsu_onto.library.names import text_of

    return between(Library(searched(paths)), text_of(source), text_of(to, "to"), through)


def taxonomies(paths: "Iterable[str | Path]" = ()) -> "list[Entry]":
    """The datasets and sources on the search path: `kind`, `name`, `version` and `path` of each.

    >>> [e.path.name for e in taxonomies() if (e.kind, e.name) == ("source", "demo")]
    ['demo.tax']
    """
    from lsu_onto.library.library import Library, searched

    return [e for e in Library(searched(paths)).entries() if e.kind != "map"]


def draw(
    name: "str | Path",
    target: "str | Path",
    source: "str | None" = None,
    view: str = "map",
    paths: "Iterable[str | Path]" = (),
) -> None:
    """Draw an ontology; the target's suffix (svg, png, pdf, html, dot) sets the format.

    Args:
        name, source, paths: as for `load`, but not a compiled `.npz`.
        view: `map`, `tree` or `matrix`. An html has all three and opens with this one.

    Raises:
        TaxonomyError: as for `load`. RenderError (a ValueError): it cannot be drawn or written.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw("demo_town", pathlib.Path(folder, "town.html"), source="demo")
    ...     pathlib.Path(folder, "town.html").read_text(encoding="utf-8")[:15]
    '<!DOCTYPE html>'
    """
    import pathlib

    from lsu_onto.library.library import Library, searched
    from lsu_onto.render import RenderError
    from lsu_onto.render import draw as draw_ontology

    if not isinstance(target, (str, os.PathLike)):
        raise RenderError(f"`target` is {target!r}; expected the path of a file, such as `map.svg`")
    draw_ontology(Library(searched(paths)).ontology(name, source), pathlib.Path(target), view)


def __getattr__(name: str) -> "Any":
    # Lazily, so that `import lsu_onto` and `lsu-onto --help` need neither numpy nor lark.
    if name in ("Constraint", "Layout", "ROW_SKIPPED", "ROW_UNKNOWN", "ROW_VOID", "VOID"):
        from lsu_onto.constraint import arrays

        return getattr(arrays, name)
    if name == "ClassMap":
        from lsu_onto.algebra.between import ClassMap

        return ClassMap
    if name == "LabelValueError":
        from lsu_onto.constraint.rows import LabelValueError

        return LabelValueError
    if name in ("UserError", "interruption", "ran_out", "uninterrupted", "without_traceback"):
        from lsu_onto import errors

        return getattr(errors, name)
    if name == "Bars":
        from lsu_onto.bars import Bars

        return Bars
    if name == "leave_out_tracebacks":
        from lsu_onto.streams import leave_out_tracebacks

        return leave_out_tracebacks
    if name == "TaxonomyError":
        from lsu_onto.library.errors import TaxonomyError

        return TaxonomyError
    if name == "Entry":
        from lsu_onto.library.searchpath import Entry

        return Entry
    if name == "LabelFileError":
        from lsu_onto.raster.errors import LabelFileError

        return LabelFileError
    if name in ("Loops", "compiled_loops"):
        from lsu_onto.raster import loops

        return getattr(loops, name)
    if name == "Palettes":
        from lsu_onto.raster.palettes import Palettes

        return Palettes
    if name in ("make_folder", "open_to_read", "read_rest", "walk", "write_atomic"):
        from lsu_onto import files

        return getattr(files, name)
    if name in ("MAX_PIXELS", "Raster", "png_chunks", "read_raster"):
        from lsu_onto.raster import reader

        return getattr(reader, name)
    if name in ("ClassPlaces", "places"):
        from lsu_onto.revise import places as module

        return getattr(module, name)
    if name in ("NameOdds", "by_name"):
        from lsu_onto.starter import by_name as names

        return getattr(names, name)
    if name in ("FirstMap", "FirstRow", "first_map"):
        from lsu_onto.starter import first_map as first

        return getattr(first, name)
    if name in ("SuggestedMap", "Suggestion", "suggest_map", "suggest_rows"):
        from lsu_onto.starter import suggest

        return getattr(suggest, name)
    if name in ("Revision", "rewrite"):
        from lsu_onto.revise import revision

        return getattr(revision, name)
    raise AttributeError(f"module 'lsu_onto' has no attribute {name!r}")
