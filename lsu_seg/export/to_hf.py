"""Parquet shards as Hugging Face's `datasets` loads them: each row has the files of an image as they lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lsu_onto import INSTALL
from lsu_seg.errors import MissingPackageError
from lsu_seg.export.labelled import Item
from lsu_seg.export.orientation import as_stored
from lsu_seg.export.shards import SHARD_BYTES, Shard, write_shards

_GROUP_BYTES = 32 << 20
"""Of the images that are in memory at a time, and of a row group."""


def write(root: Path, items: Sequence[Item], advance: Callable[[int], None], shard_bytes: int = SHARD_BYTES) -> None:
    """Write `data/SPLIT-00000-of-00012.parquet`, …. A shard that is there is whole.

    Raises:
        MissingPackageError: pyarrow is not installed. ExportError: see `Item`. OSError: the disk's word.
    """
    check_installed()
    import pyarrow as pa
    import pyarrow.parquet as pq

    confidence = any(item.confidence for item in items)
    schema = _schema(pa, confidence)

    def write_one(file: BinaryIO, shard: Shard) -> None:
        # An open file, because pyarrow takes no path that is not UTF-8. PNG and JPEG are compressed already.
        with pq.ParquetWriter(file, schema, compression="none") as writer:
            for rows in _in_groups(_row(item, confidence) for item in shard.items):
                writer.write_table(pa.Table.from_pylist(rows, schema))
                advance(len(rows))

    write_shards(root / "data", "parquet", items, shard_bytes, advance, write_one)


def check_installed() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"`--to hf` needs pyarrow: {INSTALL.format('parquet')}") from error


def _row(item: Item, confidence: bool) -> dict[str, Any]:
    key = item.key.encode("utf-8", "backslashreplace").decode()  # a column of Parquet is UTF-8
    name = f"{item.run.name}/{key}"
    image = as_stored(item.image, item.read_image())
    row: dict[str, Any] = {
        "image": {"bytes": image, "path": f"{name}{item.image.suffix}"},
        "label": {"bytes": item.read_label(), "path": f"{name}.png"},
        "dataset": item.run.name,
        "name": key,
    }
    if confidence:
        grey = item.read_confidence()
        row["confidence"] = grey and {"bytes": grey, "path": f"{name}.confidence.png"}
    return row


def _in_groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(value["bytes"]) for value in row.values() if isinstance(value, dict))
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _schema(pa: Any, confidence: bool) -> Any:
    """The columns, with what `datasets` must know to open images."""
    file = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"image": file, "label": file}
    if confidence:
        columns["confidence"] = file
    columns |= {"dataset": pa.string(), "name": pa.string()}
    kinds = {file: {"_type": "Image"}, pa.string(): {"dtype": "string", "_type": "Value"}}
    features = {name: kinds[kind] for name, kind in columns.items()}
    return pa.schema(columns, {"huggingface": json.dumps({"info": {"features": features}})})
