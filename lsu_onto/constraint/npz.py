"""`Constraint` ↔ `.npz`. The same input gives the same bytes, and loading needs no pickle."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from lsu_onto.constraint.arrays import Constraint, Layout
from lsu_onto.constraint.invariants import ARRAYS, broken
from lsu_onto.files import open_to_read, write_atomic
from lsu_onto.library.errors import TaxonomyError

FORMAT = 4


class _Header(BaseModel):
    """All fields that are not arrays. They are validated, because they come from outside."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int
    dataset: str
    dataset_version: str
    source: str
    source_version: str
    classes: tuple[str, ...]
    source_classes: tuple[str, ...]
    raw_names: tuple[str, ...]
    background: int
    source_groups: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    source_prompts: tuple[tuple[str, ...], ...]
    encoding: str
    layout: Layout
    sha256: str


def save_npz(constraint: Constraint, path: str | Path) -> None:
    """Write a constraint to `path`, whole or not at all. Timestamps in the zip are fixed, so bytes are reproducible."""
    header: dict[str, Any] = {"format": FORMAT}
    arrays: dict[str, np.ndarray] = {}
    for f in fields(constraint):
        value = getattr(constraint, f.name)
        if isinstance(value, np.ndarray):
            arrays[f.name] = value
        else:
            header[f.name] = asdict(value) if isinstance(value, Layout) else value
    text = json.dumps(header, sort_keys=True).encode()
    arrays["header"] = np.frombuffer(text, np.uint8)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, buffer.getvalue())
    write_atomic(path, packed.getvalue(), sync=False)


def load_npz(path: str | Path, source: str | None = None) -> Constraint:
    """Read a compiled constraint, which must be to this source if one is given.

    What `compile` guarantees is checked: whoever uses a constraint relies on it.

    Raises:
        TaxonomyError: not a compiled constraint, damaged, or written by another version.
    """
    try:
        with (
            open_to_read(path) as file,
            zipfile.ZipFile(file) as archive,
        ):  # np.load takes other files for pickles, and its message says so
            arrays: dict[str, Any] = {n.removesuffix(".npy"): _array(archive.read(n)) for n in archive.namelist()}
        text = arrays.pop("header").tobytes()
        file_format = json.loads(text)["format"]
        if file_format != FORMAT:
            by, mend = ("a newer", "upgrade, or ") if file_format > FORMAT else ("an older", "")
            raise TaxonomyError(
                f"`{path}` was compiled by {by} lsu-toolkit (format {file_format}; this one reads {FORMAT}):"
                f" {mend}compile it again"
            )
        header = _Header.model_validate_json(text)
        fields_of_header = {name: getattr(header, name) for name in _Header.model_fields if name != "format"}
        constraint = Constraint(**fields_of_header, **_known(arrays))
        if source not in (None, constraint.source, f"{constraint.source} {constraint.source_version}"):
            is_to = f"to `{constraint.source} {constraint.source_version}`" if constraint.source else "without a map"
            raise TaxonomyError(f"`{path}` was compiled {is_to}, not to `{source}`; compile that one")
        problem = broken(constraint)
        if problem:
            raise ValueError(problem)
        return constraint
    except TaxonomyError:
        raise
    except FileNotFoundError:
        raise TaxonomyError(f"there is no file `{path}`") from None
    except OSError as e:
        raise TaxonomyError(f"cannot read `{path}`: {e.strerror or e}") from None
    except Exception as e:  # damaged bytes surface as anything: BadZipFile, zlib.error, KeyError, TypeError …
        why = (str(e) or type(e).__name__).splitlines()[0]  # pydantic's messages have several lines
        raise TaxonomyError(
            f"`{path}` is not a compiled constraint, or damaged ({why}); make one with `lsu-onto compile`"
        ) from e


def _known(arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays as `compile` lays them out: another machine may have stored other byte orders."""
    if arrays.keys() != ARRAYS.keys():
        other = sorted(arrays.keys() ^ ARRAYS.keys())
        raise ValueError(
            f"{', '.join(f'`{n}`' for n in other)} {'is' if len(other) == 1 else 'are'} missing or unknown"
        )
    return {
        name: np.asarray(a, ARRAYS[name][0] if np.can_cast(a.dtype, ARRAYS[name][0], "equiv") else None, order="C")
        for name, a in arrays.items()
    }


def _array(data: bytes) -> np.ndarray:
    array: np.ndarray = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array
