"""Long work in stages: what is there already is reused, and what a change replaces is kept one step back."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsu_seg.encodings import write_atomic
from lsu_seg.engine import ConfigError


@dataclass
class Stages:
    """Runs stages, or reuses what an earlier run left if its key is the same.

    `WORK/stages/NAME.json` holds the key and the result. When the key changes, folders of a finished stage become
    `FOLDER.before`: a changed time of the data's files, or a word in a config, must not cost a training of days. When
    it changes back, they are taken back.

    Args:
        work: folder of all results.
        say: gets a line per stage.
    """

    work: Path
    say: Callable[[str], None]

    def run(
        self,
        name: str,
        key: Any,
        action: Callable[[], Any],
        complete: Callable[[Any], bool],
        folders: list[Path],
        resumes: bool = False,
    ) -> Any:
        """The action's JSON result.

        Args:
            key: everything that the result depends on.
            complete: whether what a finished run left, given its result, is still all there.
            folders: what the action writes to; empty when it runs.
            resumes: the action goes on from what it left in the folders; then they stay, if the key is the same.
        """
        record = self.work / "stages" / f"{name}.json"
        digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
        found = _read(record)
        same = found.get("key") == digest
        if not same and _read(before(record)).get("key") == digest:
            self.say(f"{name}: as it was before the last change")
            for path in (*folders, record):
                _swap(path)
            found, same = _read(record), True
        if same and "result" in found and complete(found["result"]):
            self.say(f"{name}: reused")
            return found["result"]
        if not (same and resumes):
            self._make_room(name, record, folders, keep=not same and "result" in found)
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(record, json.dumps({"key": digest}).encode())
        result = action()
        write_atomic(record, json.dumps({"key": digest, "result": result}).encode())
        return result

    def _make_room(self, name: str, record: Path, folders: list[Path], keep: bool) -> None:
        there = [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]
        if there and not record.is_file():
            raise ConfigError(f"{there[0]} is not a folder of this program's; choose another work folder")
        if keep and there:
            for path in (*folders, record):
                shutil.rmtree(before(path), ignore_errors=True)
                if path.exists():
                    path.replace(before(path))
            names = ", ".join(str(before(folder)) for folder in there)
            self.say(f"{name}: config or data have changed; what was there is kept in {names}")
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def before(path: Path) -> Path:
    """Where a folder or record is kept that a change has replaced.

    >>> before(Path("work/teacher")).name, before(Path("work/stages/teacher.json")).name
    ('teacher.before', 'teacher.json.before')
    """
    return path.with_name(f"{path.name}.before")


def _swap(path: Path) -> None:
    other, between = before(path), path.with_name(f"{path.name}.swapped")
    for source, target in ((path, between), (other, path), (between, other)):
        if source.exists():
            source.replace(target)


def _read(record: Path) -> dict[str, Any]:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
