"""The folder of an export: it belongs to one export, which resumes in it after a stop."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lsu_onto import make_folder, open_to_read, walk, write_atomic
from lsu_seg.export.labelled import ExportError, Item
from lsu_seg.pseudo.errors import check_output
from lsu_seg.runtime.lock import LOCK, locked

_STATE = ".export.json"
_TEMPORARY = re.compile(r"\.[0-9a-f]+-[0-9a-f]{8}\.tmp")
"""Names of the files that are not whole yet: `write_atomic` has the same."""


@contextmanager
def target(root: Path, items: Sequence[Item], settings: dict[str, object]) -> Iterator[None]:
    """Hold a folder for an export.

    Args:
        settings: what the files depend on beside the items.

    Raises:
        ExportError: it holds something else, or another export. LockedError: another process is exporting to it.
        OutputError: it cannot be written, or lies in a folder that is exported, or around one.
    """
    runs = {item.run.root: item.run for item in items}.values()
    others = {f"the folder of the labels of `{run.name}`": run.root for run in runs}
    check_output(root, others | {f"the folder of the dataset `{run.name}`": run.data_root for run in runs})
    make_folder(root)
    with locked(root):
        state = {**settings, "items": _sha256(items)}
        _claim(root, state)
        for folder, _, names in walk(root, closed=lambda _: None):
            for name in filter(_TEMPORARY.fullmatch, names):  # of an export that was killed
                Path(folder, name).unlink(missing_ok=True)
        yield


def temporary(path: Path) -> Path:
    """The name of a file beside `path` while it is written; its folder is made."""
    make_folder(path.parent)
    return path.parent / f".{os.getpid():x}-{os.urandom(4).hex()}.tmp"


def _claim(root: Path, state: dict[str, object]) -> None:
    """Begin an export in an empty folder, or go on with the same one."""
    try:
        with open_to_read(root / _STATE) as file:
            existing = json.loads(file.read())
    except FileNotFoundError:
        if any(path.name != LOCK and not _TEMPORARY.fullmatch(path.name) for path in root.iterdir()):
            raise ExportError(f"{root} holds files that are not of an export: choose an empty folder") from None
        existing = state
    except (ValueError, RecursionError, OSError) as error:
        raise ExportError(f"{root / _STATE}: cannot be read ({error}); remove the folder or choose another") from None
    if not isinstance(existing, dict) or existing != state:
        keys = [k for k in state if not isinstance(existing, dict) or existing.get(k) != state[k]] or ["version"]
        if "to" in keys:  # what else differs follows from it
            keys = [key for key in keys if key in ("to", "items")]
        what = ", ".join("labels" if key == "items" else f"`{key}`" for key in keys)
        raise ExportError(f"{root} holds an export with other {what}: remove it to export again, or choose another")
    write_atomic(root / _STATE, json.dumps(state, indent=1).encode())


def _sha256(items: Sequence[Item]) -> str:
    digest = hashlib.sha256()
    for item in items:
        sums = " ".join(f"{name} {value.hex()}" for name, value in sorted(item.sums.items()))
        digest.update(f"{item.run.name} {item.split} {item.key} {sums}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
