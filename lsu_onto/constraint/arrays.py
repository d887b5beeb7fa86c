"""`Constraint`: the compiled arrays of an ontology, and nothing else. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsu_onto.errors import UserError

if TYPE_CHECKING:
    from lsu_onto.constraint.identity import Part
    from lsu_onto.constraint.rows import RowTable

VOID = 255
"""The void index in 8-bit label files and in losses. Never a class."""

ROW_VOID = -1
"""Row code of a raw value that the taxonomy's `void:` key lists (not annotated)."""

ROW_UNKNOWN = -2
"""Row code of a raw value that the taxonomy does not list. Never silently a class."""

ROW_SKIPPED = -3
"""Row code of a class with `-` for an id where labels are names: what carries it is not drawn at all."""

KINDS = ("none", "equal", "inside", "contains", "overlaps")
"""Names of the codes in `Constraint.kind`: 0 none or `!`, 1 `=`, 2 `<`, 3 `>`, 4 `~`."""


@dataclass(frozen=True)
class Layout:
    """Where a dataset's files lie, relative to its root, and what has to be known to read them.

    `images` and `labels` are patterns with placeholders: `{split}` and any other `{name}`, each of which
    matches within one path segment. An image and a label belong together if they agree in the placeholders that both
    patterns have. `segments` and `list` may have `{split}`. Each of the four may hold several patterns separated by
    ` | `, for downloads that come in several forms: the first that finds a file of the split counts (see
    `alternatives`).

    Attributes:
        segments: the JSON file (`panoptic-rgb`) or folder of JSON tables (`rle`) that says what is drawn.
        list: a text file that lists the images of a split, one a line, with or without their labels.
        split_values: `(split, placeholder, values)`: the split has the files whose placeholder is one of these.
        image_bits: how many bits the values of 16-bit images use; 0 if that is not said.
        palettes: `ignored` where the palettes of label files may differ, because only values count; else empty.
    """

    splits: tuple[str, ...] = ()
    images: str = ""
    labels: str = ""
    segments: str = ""
    list: str = ""
    split_values: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    image_bits: int = 0
    palettes: str = ""

    def alternatives(self, key: str, split: str) -> tuple[str, ...]:
        """The patterns of `images`, `labels`, `segments` or `list`, with `{split}` filled in; none for an absent key.

        >>> Layout(labels="{split}/labels/{stem}.png | {split}/v1.2/labels/{stem}.png").alternatives("labels", "val")
        ('val/labels/{stem}.png', 'val/v1.2/labels/{stem}.png')
        """
        value: str = getattr(self, key)
        return tuple(p.replace("{split}", split) for p in value.split(" | ")) if value else ()


@dataclass(frozen=True, eq=False)
class Constraint:
    """What a pixel of each dataset class may be in the source taxonomy.

    D is the number of dataset classes (rows, in the file's order), K that of source classes (channels).
    Void is column K of `allowed` and never shares a number with a class.

    Attributes:
        dataset, dataset_version: the dataset taxonomy, e.g. `"idd"`, `"v2"`.
        source, source_version: the source taxonomy, e.g. `"cityscapes"`, `"v1"`.
        classes: D names. source_classes: K names.
        allowed: bool `[D, K+1]`. `allowed[d]` is S(d); the last column is void.
        kind: uint8 `[D, K]`. 0 none or `!`, 1 `=`, 2 `<`, 3 `>`, 4 `~` (see `KINDS`).
        certain: bool `[D, K]`. The source class lies inside the dataset class, so predicting it implies d.
        relabel: int16 `[D]`. The one element of S(d): a channel, K for void, or -1 where there are several.
        novel: bool `[D]`. Known to be no source class (`! any`).
        raw: uint32 `[N]`, ascending. The raw values that the taxonomy lists; a colour is `R<<16 | G<<8 | B`.
        raw_row: int16 `[N]`. The row of each raw value, or `ROW_VOID`. A value not in `raw` is `ROW_UNKNOWN`.
        raw_names: N labels where these are names (`polygons`, `rle`), else none; raw value i is name i, and
            `ROW_SKIPPED` marks what is not drawn.
        background: the row of pixels on which nothing is drawn (`panoptic-rgb`, `polygons`, `rle`), or `ROW_VOID`.
        palette: uint8 `[D, 3]` RGB. source_palette: uint8 `[K, 3]` RGB.
        source_groups: the group of each channel, `object.vehicle` or empty; none at all without a source.
        prompts: D tuples, what each class looks like, in words: its `prompt-NAME:`, or else what it is called.
        source_prompts: K tuples, the same for the source's classes.
        encoding: how label files store raw values (see docs/language.md).
        layout: where the files lie.
        sha256: over the taxonomy files that this was compiled from. A comment changes it; see `content_sha256`.
    """

    dataset: str
    dataset_version: str
    source: str
    source_version: str
    classes: tuple[str, ...]
    source_classes: tuple[str, ...]
    allowed: NDArray[np.bool_]
    kind: NDArray[np.uint8]
    certain: NDArray[np.bool_]
    relabel: NDArray[np.int16]
    novel: NDArray[np.bool_]
    raw: NDArray[np.uint32]
    raw_row: NDArray[np.int16]
    palette: NDArray[np.uint8]
    source_palette: NDArray[np.uint8]
    encoding: str
    layout: Layout
    sha256: str
    raw_names: tuple[str, ...] = ()
    background: int = ROW_VOID
    source_groups: tuple[str, ...] = ()
    prompts: tuple[tuple[str, ...], ...] = ()
    source_prompts: tuple[tuple[str, ...], ...] = ()

    @property
    def num_classes(self) -> int:
        """K, the number of source classes."""
        return len(self.source_classes)

    @property
    def open_rows(self) -> NDArray[np.bool_]:
        """bool `[D]`: rows whose S(d) has void."""
        return self.allowed[:, -1]

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """The channels of every group of the source and of its subgroups, in the order of their first channels."""
        out: dict[str, list[int]] = {}
        for channel, group in enumerate(self.source_groups):
            parts = group.split(".") if group else []
            for n in range(1, len(parts) + 1):
                out.setdefault(".".join(parts[:n]), []).append(channel)
        return {name: tuple(channels) for name, channels in out.items()}

    def names(self, dataset_class: str | int) -> tuple[str, ...]:
        """S(d) as names, `"void"` last.

        >>> import lsu_onto
        >>> lsu_onto.load("demo_town", source="demo").names("drivable")
        ('road', 'lane_marking')
        """
        if isinstance(dataset_class, (int, np.integer)) and not isinstance(dataset_class, bool):
            d, last = int(dataset_class), len(self.classes) - 1
            if not -last - 1 <= d <= last:
                raise UserError(f"`{self.dataset}` has no class {d}; its classes are 0 to {last}")
        elif dataset_class in self.classes:
            d = self.classes.index(dataset_class)
        else:
            from lsu_onto.diagnostics import suggest

            hint = suggest(str(dataset_class), self.classes)
            raise UserError(f"`{self.dataset}` has no class `{dataset_class}`" + (f"; {hint}" if hint else ""))
        labels = (*self.source_classes, "void")
        return tuple(labels[i] for i in np.flatnonzero(self.allowed[d]))

    def rows(self, values: ArrayLike, unknown: str = "error") -> NDArray[np.int16]:
        """The row of every pixel of a label image that other code has read.

        Args:
            values: as the files store them, of any integer type: `[H, W]` numbers, or `[H, W, 3]` colours, R first,
                under `rgb`. `id16/N` and `instance-ids` are divided here. Under `panoptic-rgb`: category ids, which
                the JSON has.
            unknown: what values are that the taxonomy does not list: `"error"` refuses them, `"void"` takes them for
                `ROW_VOID`, `"keep"` marks them `ROW_UNKNOWN`.

        Returns:
            int16 `[H, W]`: an index into `classes`, `ROW_VOID` or `ROW_UNKNOWN`. Both are negative: see to them before
            you index with them.

        Raises:
            LabelValueError: values that are not listed, or an array that cannot be labels of this encoding.

        >>> import lsu_onto
        >>> town = lsu_onto.load("demo_town", source="demo")
        >>> town.rows([[1, 255], [7, 9]], unknown="keep").tolist()
        [[0, -1], [6, -2]]
        """
        from lsu_onto.constraint.rows import rows_of

        return rows_of(self, self._row_table, values, unknown)

    def content_sha256(self, *parts: Part) -> str:
        """sha256 over what the constraint says, by which to tell whether what was made from another one is still valid.

        Comments and where files lie do not count.

        Args:
            parts: `"labels"`: the classes and how label files are read. `"map"`: what each class may be in the source,
                and the names of both taxonomies. `"novel"`: which classes are known to be none of the source's.
                `"colours"`: the palettes. `"images"`: how images are read. Without any, all of them.

        >>> import lsu_onto
        >>> from dataclasses import replace
        >>> town = lsu_onto.load("demo_town", source="demo")
        >>> other = replace(town, background=0, sha256="0" * 64)
        >>> [town.content_sha256(part) == other.content_sha256(part) for part in ("labels", "map")]
        [False, True]
        """
        from lsu_onto.constraint.identity import content_sha256

        return content_sha256(self, parts)

    def _repr_html_(self) -> str:
        """The map as a table, for notebooks."""
        from lsu_onto.constraint.notebook import constraint_table

        return constraint_table(self)

    @cached_property
    def _row_table(self) -> RowTable:
        from lsu_onto.constraint.rows import RowTable

        return RowTable(self.raw, self.raw_row)

    def __getstate__(self) -> dict[str, Any]:
        """Without the table, so that sending a constraint to a worker costs nothing."""
        return {name: value for name, value in self.__dict__.items() if name != "_row_table"}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constraint):
            return NotImplemented
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b
