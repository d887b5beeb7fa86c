"""Long work in stages: what is there already is reused, and what a change replaces is kept one step back."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsu_seg.errors import ConfigError
from lsu_seg.label_files import write_atomic


@dataclass
class Stages:
    """Runs stages, or reuses what an earlier run left if its key is the same.

    `WORK/stages/NAME.json` holds the key, the folders and the result. When the key changes, folders of a finished stage
    become `FOLDER.before`: a changed time of the data's files, or a word in a config, must not cost a training of days.
    When it changes back, they are taken back, all of them or none: what a kill leaves half moved is moved on next time.

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
            folders: under `work`, what the action writes to; empty when it runs.
            resumes: the action goes on from what it left in the folders; then they stay, if the key is the same.
        """
        record = self.work / "stages" / f"{name}.json"
        digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
        _go_on(self.work, _journal(record))
        found, kept = _read(record), _read(before(record))
        names = [folder.relative_to(self.work).as_posix() for folder in folders]
        same = found.get("key") == digest
        if not same and kept.get("key") == digest:
            self.say(f"{name}: as it was before the last change")
            self._exchange(record, {*found.get("folders", names), *kept.get("folders", names)})
            found, same = kept, True
        if same and "result" in found and complete(found["result"]):
            self.say(f"{name}: reused")
            return found["result"]
        if not (same and resumes):
            self._make_room(name, record, {*names, *found.get("folders", [])}, not same and "result" in found)
        record.parent.mkdir(parents=True, exist_ok=True)
        begun = {"key": digest, "folders": names}
        write_atomic(record, json.dumps(begun).encode())
        result = action()
        write_atomic(record, json.dumps({**begun, "result": result}).encode())
        return result

    def _make_room(self, name: str, record: Path, names: set[str], keep: bool) -> None:
        folders = [self.work / n for n in sorted(names)]
        there = [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]
        if there and not record.is_file():
            raise ConfigError(f"{there[0]} is not a folder of this program's; choose another work folder")
        if keep and (there or not folders):  # a stage without folders has its result in the record alone
            kept = _read(before(record)).get("folders", [])
            before(record).unlink(missing_ok=True)  # first: half a folder must not pass for a finished one
            for folder in {*folders, *(self.work / n for n in kept)}:
                shutil.rmtree(before(folder), ignore_errors=True)
            self._exchange(record, names)
            if there:
                text = ", ".join(str(before(folder)) for folder in there)
                self.say(f"{name}: config or data have changed; what was there is kept in {text}")
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _exchange(self, record: Path, names: set[str]) -> None:
        """Folders and record change places with those of before."""
        paths = [*sorted(names), record.relative_to(self.work).as_posix()]
        write_atomic(_journal(record), json.dumps({"paths": paths, "aside": False}).encode())
        _go_on(self.work, _journal(record))


def before(path: Path) -> Path:
    """Where a folder or record is kept that a change has replaced.

    >>> before(Path("work/teacher")).name, before(Path("work/stages/teacher.json")).name
    ('teacher.before', 'teacher.json.before')
    """
    return path.with_name(f"{path.name}.before")


def aside(path: Path) -> tuple[Path, Path]:
    """Where a path, and what is kept of it, are while they change places."""
    return path.with_name(f"{path.name}.leaves"), path.with_name(f"{path.name}.returns")


def _journal(record: Path) -> Path:
    return record.with_suffix(".moves")


def _go_on(work: Path, journal: Path) -> None:
    """Change places, from wherever a kill came between two renames: each half may be done again without harm."""
    found = _read(journal)
    paths = [work / name for name in found.get("paths", [])]
    if paths and not found["aside"]:
        for path in paths:
            leaves, returns = aside(path)
            _move(path, leaves)
            _move(before(path), returns)
        write_atomic(journal, json.dumps({**found, "aside": True}).encode())
    for path in paths:
        leaves, returns = aside(path)
        _move(returns, path)
        _move(leaves, before(path))
    journal.unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    if source.exists():
        source.replace(target)


def _read(record: Path) -> dict[str, Any]:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
