"""What every compiled `Constraint` keeps. One that comes from a file is held against it before it is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto.constraint.arrays import KINDS, ROW_SKIPPED, ROW_VOID, Constraint
from lsu_onto.diagnostics import Span
from lsu_onto.lang import syntax as ast
from lsu_onto.ontology import keys
from lsu_onto.ontology.model import NAMED, Dataset, TaxClass
from lsu_onto.ontology.taxonomy_checks import id_limit

ARRAYS: dict[str, tuple[type[np.generic], tuple[str | int, ...]]] = {
    "allowed": (np.bool_, ("D", "K+1")),
    "kind": (np.uint8, ("D", "K")),
    "certain": (np.bool_, ("D", "K")),
    "relabel": (np.int16, ("D",)),
    "novel": (np.bool_, ("D",)),
    "raw": (np.uint32, ("N",)),
    "raw_row": (np.int16, ("N",)),
    "palette": (np.uint8, ("D", 3)),
    "source_palette": (np.uint8, ("K", 3)),
}
"""The type and shape of each array. D is the number of classes, K of source classes, N of raw values."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERSION = re.compile(r"v[0-9]+(\.[0-9]+)*")


def broken(constraint: Constraint) -> str | None:
    """The first invariant that a constraint does not keep, in words; None if it keeps them all."""
    return next(_problems(constraint), None)


def _problems(c: Constraint) -> Iterator[str]:
    yield from _names(c)
    yield from _arrays(c)
    yield from _allowed_sets(c)
    yield from _raw_values(c)
    yield from _keys(c)
    yield from _prompts(c)


def _names(c: Constraint) -> Iterator[str]:
    if not c.classes:
        yield "it has no classes"
    if bool(c.source) != bool(c.source_classes):
        yield f"`{c.source}` has {c.num_classes} classes"
    if c.source_groups and len(c.source_groups) != c.num_classes:
        yield f"source_groups: found {len(c.source_groups)} for {c.num_classes} classes"
    for group in c.source_groups:
        if group and not all(_NAME.fullmatch(part) for part in group.split(".")):
            yield f"source_groups: {group!r} is not the name of a group"
    for field in ("classes", "source_classes"):
        names = getattr(c, field)
        for name in names:
            if not _NAME.fullmatch(name) or name in ast.RESERVED:
                yield f"{field}: {name!r} is not the name of a class"
        if len(set(names)) < len(names):
            yield f"{field}: a name is there twice"
    for name, version in ((c.dataset, c.dataset_version), (c.source, c.source_version)):
        alone = not c.source and (name, version) == ("", "")
        if not alone and not (_NAME.fullmatch(name) and _VERSION.fullmatch(version)):
            yield f"{name!r} {version!r} is not the name and version of a taxonomy"
    if not re.fullmatch(r"[0-9a-f]{64}", c.sha256):
        yield f"sha256: found {c.sha256!r}"


def _arrays(c: Constraint) -> Iterator[str]:
    sizes = {"D": len(c.classes), "K": c.num_classes, "K+1": c.num_classes + 1, "N": len(c.raw)}
    for name, (dtype, axes) in ARRAYS.items():
        array = getattr(c, name)
        shape = tuple(sizes.get(str(axis), axis) for axis in axes)
        if array.dtype != dtype or array.shape != shape:
            expected = f"{np.dtype(dtype)} {list(shape)}"
            yield f"{name}: found {array.dtype} {list(array.shape)}, expected {expected}"
        elif dtype is np.bool_ and array.view(np.uint8).max(initial=0) > 1:
            yield f"{name}: found a byte that is neither false nor true"


def _first(c: Constraint, rows: NDArray[np.bool_]) -> str:
    return f"`{c.classes[int(rows.argmax())]}`"


def _allowed_sets(c: Constraint) -> Iterator[str]:
    channels, stated = c.allowed[:, :-1], c.kind > 0
    equal, inside, contains = (c.kind == KINDS.index(k) for k in ("equal", "inside", "contains"))
    size, whole = c.allowed.sum(1), equal | contains
    rules: tuple[tuple[Any, str], ...] = (
        (size == 0, "is allowed to be nothing"),
        ((c.kind >= len(KINDS)).any(1), "has a relation of no known kind"),
        ((stated & ~channels).any(1), "is related to a class that it may not be"),
        (stated.any(1) & (channels & ~stated).any(1), "may be a class that it is not related to"),
        ((equal | inside).any(1) & (size > 1), "may be something besides the class that it equals or lies inside"),
        ((c.certain != whole).any(1), "has other certain classes than its relations say"),
        (c.relabel != np.where(size == 1, c.allowed.argmax(1), -1), "has a `relabel` that S(d) does not give"),
        (c.novel & channels.any(1), "is not a source class (`novel`), and may be one"),
    )
    for rows, what in rules:
        if rows.any():
            yield f"{_first(c, rows)} {what}"
    shared = whole.any(0) & (stated.sum(0) > 1)
    if shared.any():
        yield f"`{c.source_classes[int(shared.argmax())]}` lies wholly inside one class and partly in another"


def _raw_values(c: Constraint) -> Iterator[str]:
    if c.encoding not in keys.ENCODINGS and not re.fullmatch(r"id16/[1-9]\d{0,4}", c.encoding):
        yield f"unknown encoding {c.encoding!r}"
    named = c.encoding in NAMED
    if (np.diff(c.raw.astype(np.int64)) <= 0).any():
        yield "raw: the values do not ascend"
    special = ROW_SKIPPED if named else ROW_VOID
    lost = (c.raw_row >= len(c.classes)) | ((c.raw_row < 0) & (c.raw_row != special))
    if lost.any():
        yield f"raw_row: found {int(c.raw_row[lost][0])}, expected rows from 0 to {len(c.classes) - 1} or {special}"
    if len(c.raw_names) != named * len(c.raw) or len(set(c.raw_names)) < len(c.raw_names):
        yield f"raw_names: found {len(c.raw_names)} under `encoding: {c.encoding}` with {len(c.raw)} raw values"
    if named:
        row = dict(zip(c.raw_names, c.raw_row.tolist(), strict=True))
        if not np.array_equal(c.raw, np.arange(len(c.raw))) or "" in row:
            yield "raw: the names are not numbered from 0"
        for d, name in enumerate(c.classes):
            if row.get(name) not in (d, ROW_SKIPPED):
                yield f"raw_names: `{name}` does not stand for its class"
    else:
        limit = 1 << 24 if c.encoding == "rgb" else id_limit(c.encoding)
        if c.raw.max(initial=0) >= limit:
            yield f"raw: {int(c.raw.max())} does not fit `encoding: {c.encoding}`"


def _keys(c: Constraint) -> Iterator[str]:
    """The keys are written again, and read as those of a `.tax` file."""
    if c.background != ROW_VOID and not 0 <= c.background < len(c.classes):
        yield f"background: found {c.background}, expected a row from 0 to {len(c.classes) - 1} or {ROW_VOID}"
        return
    place, layout = Span("", 1, 1, 2), c.layout
    written = {
        "encoding": c.encoding,
        "splits": " ".join(layout.splits),
        "images": layout.images,
        "labels": layout.labels,
        "segments": layout.segments,
        "list": layout.list,
        "background": "" if c.background == ROW_VOID else c.classes[c.background],
        "image-bits": str(layout.image_bits or ""),
        "palettes": layout.palettes,
    }
    lines = [
        *((key, value) for key, value in written.items() if value),
        *((f"split-{split}", f"{name} = {' '.join(values)}") for split, name, values in layout.split_values),
    ]
    statements = [ast.Meta(ast.Word(key, place), ast.Word(value, place), "", place) for key, value in lines]
    read = keys.read(statements, None)
    dataset = Dataset(
        name=c.dataset,
        version=c.dataset_version,
        classes=tuple(_bare(name, place) for name in c.classes),
        meta=read.meta,
        encoding=read.encoding,
        span=place,
    )
    if dataset.splits != layout.splits:
        yield f"splits: found {list(layout.splits)}"
    for finding in [*read.findings, *(d for s in statements for d in keys.misfits(s, dataset))]:
        yield finding.message


def _bare(name: str, place: Span) -> TaxClass:
    return TaxClass(name=name, official=name, ids=(), colours=(), aliases=(), group="", note="", span=place, end=1)


def _prompts(c: Constraint) -> Iterator[str]:
    for names, field in ((c.classes, "prompts"), (c.source_classes, "source_prompts")):
        prompts = getattr(c, field)
        if prompts and len(prompts) != len(names):
            yield f"{field}: found {len(prompts)} for {len(names)} classes"
        for name, texts in zip(names, prompts, strict=False):
            if not texts or not all(text.strip("| ") == text != "" for text in texts):
                yield f"{field}: {list(texts)} says nothing of `{name}`"
