"""Graph → `Constraint`: the dense arrays that decoding, losses and metrics read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto.constraint.arrays import ROW_SKIPPED, ROW_VOID, Constraint, Layout
from lsu_onto.constraint.graph import VOID_NODE, build
from lsu_onto.library.errors import TaxonomyError
from lsu_onto.ontology.keys import PROMPT
from lsu_onto.ontology.model import NAMED, Ontology, TaxClass, Taxonomy, alternatives

_KIND = {"=": 1, "<": 2, ">": 3, "~": 4}


def compile_ontology(ontology: Ontology, texts: Mapping[str, str] | None = None) -> Constraint:
    """Compile an ontology without errors.

    Args:
        ontology: what is compiled.
        texts: path → text that counts instead of the file on disk, as in the library that it comes from.

    Raises:
        TaxonomyError: it has more classes than the arrays can number.
    """
    dataset, source = ontology.dataset, ontology.source
    _refuse_more_than_int16(source)
    graph = build(ontology)
    rows, channels = len(dataset.classes), len(source.classes)
    allowed = np.zeros((rows, channels + 1), bool)
    kind = np.zeros((rows, channels), np.uint8)
    novel = np.zeros(rows, bool)
    for d in range(rows):
        node: Any = ("dataset", d)
        novel[d] = graph.nodes[node]["novel"]
        allowed[d, list(graph.nodes[node]["any"])] = True
        for _, target, data in graph.out_edges(node, data=True):
            column = channels if target == VOID_NODE else target[1]
            allowed[d, column] = True
            if column < channels:
                kind[d, column] = _KIND.get(data["kind"], 0)
    relabel = np.where(allowed.sum(1) == 1, allowed.argmax(1), -1).astype(np.int16)
    return Constraint(
        **_of_dataset(dataset),
        source=source.name,
        source_version=source.version,
        source_classes=tuple(c.name for c in source.classes),
        allowed=allowed,
        kind=kind,
        certain=(kind == _KIND["="]) | (kind == _KIND[">"]),
        relabel=relabel,
        novel=novel,
        source_palette=_palette(source.classes),
        source_groups=tuple(c.group for c in source.classes),
        source_prompts=_prompts(source),
        sha256=_sha256(ontology.files, texts or {}),
    )


def compile_alone(dataset: Taxonomy) -> Constraint:
    """A dataset without a map, as a constraint to a source without classes: S(d) is {void} for every class."""
    rows = len(dataset.classes)
    return Constraint(
        **_of_dataset(dataset),
        source="",
        source_version="",
        source_classes=(),
        allowed=np.ones((rows, 1), bool),
        kind=np.zeros((rows, 0), np.uint8),
        certain=np.zeros((rows, 0), bool),
        relabel=np.zeros(rows, np.int16),
        novel=np.zeros(rows, bool),
        source_palette=np.zeros((0, 3), np.uint8),
        sha256=_sha256((dataset.span.file,), {}),
    )


def _refuse_more_than_int16(t: Taxonomy) -> None:
    """Rows and channels, with one number for void, are int16."""
    limit = np.iinfo(np.int16).max
    if len(t.classes) > limit:
        raise TaxonomyError(f"`{t.name} {t.version}` has {len(t.classes)} classes; at most {limit} can be compiled")


def _of_dataset(dataset: Taxonomy) -> dict[str, Any]:
    """The fields of a constraint that do not depend on a map."""
    _refuse_more_than_int16(dataset)
    raw_names, raw, raw_row = _raw_names(dataset) if dataset.encoding in NAMED else ((), *_raw_values(dataset))
    return {
        "dataset": dataset.name,
        "dataset_version": dataset.version,
        "classes": tuple(c.name for c in dataset.classes),
        "raw": raw,
        "raw_row": raw_row,
        "raw_names": raw_names,
        "background": dataset.by_name.get(dataset.meta.get("background", ""), ROW_VOID),
        "palette": _palette(dataset.classes),
        "encoding": dataset.encoding,
        "layout": _layout(dataset),
        "prompts": _prompts(dataset),
    }


def _prompts(t: Taxonomy) -> tuple[tuple[str, ...], ...]:
    stated = [t.meta.get(f"{PROMPT}{c.name}") for c in t.classes]
    return tuple(
        tuple(alternatives(text)) if text else words_of([c.name, c.official, *c.aliases])
        for text, c in zip(stated, t.classes, strict=True)
    )


def words_of(names: Iterable[str]) -> tuple[str, ...]:
    """The names of a class as prompts, each once. A path, as Vistas' official names are, is no prompt.

    >>> words_of(["traffic_sign", "traffic sign", "Road sign", "object--traffic-sign"])
    ('traffic sign', 'road sign')
    """
    words = (" ".join(name.replace("_", " ").lower().split()) for name in names if "--" not in name)
    return tuple(dict.fromkeys(filter(None, words)))


def _layout(t: Taxonomy) -> Layout:
    values = {k.removeprefix("split-"): v.partition("=") for k, v in t.meta.items() if k.startswith("split-")}
    return Layout(
        splits=t.splits,
        split_values=tuple((k, name.strip(), tuple(v.split())) for k, (name, _, v) in values.items()),
        image_bits=int(t.meta.get("image-bits", 0)),
        palettes=t.meta.get("palettes", ""),
        **{key: " | ".join(alternatives(t.meta.get(key, ""))) for key in ("images", "labels", "segments", "list")},
    )


def _raw_values(t: Taxonomy) -> tuple[NDArray[np.uint32], NDArray[np.int16]]:
    table: dict[int, int] = dict.fromkeys(t.void, ROW_VOID)
    for row, c in enumerate(t.classes):
        if t.encoding == "rgb":
            values = c.colours if c.ids else ()
        else:
            values = tuple(v for low, high in c.ids for v in range(low, high + 1))
        table.update(dict.fromkeys(values, row))
    items = sorted(table.items())
    return np.array([v for v, _ in items], np.uint32), np.array([r for _, r in items], np.int16)


def _raw_names(t: Taxonomy) -> tuple[tuple[str, ...], NDArray[np.uint32], NDArray[np.int16]]:
    """Every name that annotators may have written for a class: its official name, an alias, or its name in the file."""
    table = {name: d if t.classes[d].ids else ROW_SKIPPED for name, d in t.by_any_name.items()}
    return tuple(table), np.arange(len(table), dtype=np.uint32), np.array(list(table.values()), np.int16)


def _palette(classes: tuple[TaxClass, ...]) -> NDArray[np.uint8]:
    """RGB per class; classes without a colour get distinct ones, spread by the golden angle."""
    out = np.zeros((len(classes), 3), np.uint8)
    for i, c in enumerate(classes):
        out[i] = c.rgb or _spread(i)
    return out


def _spread(i: int) -> tuple[int, int, int]:
    import colorsys

    r, g, b = colorsys.hsv_to_rgb(i * 0.61803398875 % 1.0, 0.45 + 0.35 * (i % 2), 0.9 - 0.25 * (i % 3) / 2)
    return int(r * 255), int(g * 255), int(b * 255)


def _sha256(files: tuple[str, ...], texts: Mapping[str, str]) -> str:
    """A hash of the contents of the files, not of their paths: it is the same on every machine."""
    digest = hashlib.sha256()
    for file in files:
        data = texts[file].encode() if file in texts else Path(file).read_bytes()
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()
