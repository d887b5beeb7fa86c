"""Long work as a list of stages: what is there already is reused, and what a change replaces is kept one step back.

A stage writes into one folder, and `stage.json` in that folder says what it depends on (the key) and, once the stage is
finished, its result. Data and record can therefore never be of different runs: a folder is moved as a whole, by one
rename. What a changed key replaces goes to `WORK/before`, named by its stage and key, and comes back when the key does.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lsu_seg.errors import ConfigError
from lsu_seg.label_files import write_atomic
from lsu_seg.runtime.processes import Processes

RECORD = "stage.json"
BEFORE = "before"


@dataclass(frozen=True)
class Done:
    """What a finished stage hands on."""

    key: str
    result: Any


@dataclass(frozen=True)
class Stage:
    """A part of the work.

    Attributes:
        name: in messages, and among the inputs of other stages.
        folder: what the action writes to, and nothing else does; exists and is empty when the action begins.
            None: nothing is kept, and the action runs every time.
        key: everything that the result depends on, given what the inputs have done.
        action: does the work, given the same; its result is plain JSON.
        inputs: the names of the stages that must be finished before.
        complete: whether what a finished run left, given its result, is still all there.
        resumes: the action goes on from what it left in the folder; then that stays, if the key is the same.
    """

    name: str
    folder: Path | None
    key: Callable[[Mapping[str, Done]], Any]
    action: Callable[[Mapping[str, Done]], Any]
    inputs: tuple[str, ...] = ()
    complete: Callable[[Any], bool] = lambda result: True
    resumes: bool = False


def run_stages(stages: Sequence[Stage], work: Path, say: Callable[[str], None], jobs: int = 1) -> dict[str, Done]:
    """Run stages, or reuse what an earlier run left; returns what each has done.

    Args:
        stages: each after its inputs.
        work: contains their folders.
        say: gets a line per stage that is reused or replaced.
        jobs: so many at a time, where inputs allow it, each in a process of its own (`runtime/processes.py`); 1: one
            after the other, in this process. Results are the same.

    Raises:
        ConfigError: a stage's folder holds files that no stage wrote.
        Exception: of the first action that failed. What ran beside it was finished before, and is kept.
    """
    done: dict[str, Done] = {}
    waiting = list(stages)
    keys: dict[str, str] = {}
    failure: Exception | None = None
    with Processes() as processes:
        while (waiting and not failure) or processes:
            ready = [s for s in waiting if all(name in done for name in s.inputs)] if not failure else []
            if ready and len(processes) < jobs:
                stage = ready[0]
                waiting.remove(stage)
                key = keys[stage.name] = _digest(stage.key(done))
                found = _begin(stage, key, work, say)
                if found:
                    done[stage.name] = found
                elif jobs == 1:
                    done[stage.name] = _finish(stage, key, stage.action(done))
                else:
                    inputs = {name: done[name] for name in stage.inputs}
                    processes.start(stage.name, partial(stage.action, inputs))
                continue
            ended = processes.wait()
            stage = next(s for s in stages if s.name == ended.name)
            if ended.error is None:
                done[stage.name] = _finish(stage, keys[stage.name], ended.result)
            elif failure is None:
                failure = ended.error
                if processes:
                    say(f"{stage.name}: failed; waiting for {' and '.join(processes.names)}, so that nothing is lost")
    if failure:
        raise failure
    return done


def clear(work: Path, folders: Sequence[Path]) -> None:
    """Remove those of the folders that stages have written, and what is kept of earlier ones."""
    for folder in folders:
        if (folder / RECORD).is_file():
            _remove(folder, work)
    shutil.rmtree(work / BEFORE, ignore_errors=True)


def _begin(stage: Stage, key: str, work: Path, say: Callable[[str], None]) -> Done | None:
    """What an earlier run has done; or None, and the folder is ready for the action."""
    folder = stage.folder
    if folder is None:
        return None
    record = _read(folder)
    if not record and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(
            f"{folder} holds files and no `{RECORD}`, so this program has not written it (or an earlier version has);"
            " choose another work folder, or remove it"
        )
    for trash in (work / BEFORE).glob(".removed-*"):  # a kill came between
        shutil.rmtree(trash, ignore_errors=True)
    kept = _kept(folder, key, work)
    if record.get("key") != key and "result" in _read(kept):
        say(f"{stage.name}: as it was before the last change")
        if "result" in record:
            _move(folder, _kept(folder, record["key"], work), work)
        else:
            _remove(folder, work)
        _move(kept, folder, work)
        record = _read(folder)
    same = record.get("key") == key
    if same and "result" in record and stage.complete(record["result"]):
        say(f"{stage.name}: reused")
        return Done(key, record["result"])
    if not same and "result" in record:
        for older in (work / BEFORE).glob(_kept(folder, "?" * 12, work).name):  # one step back, and no more
            _remove(older, work)
        target = _kept(folder, record["key"], work)
        say(f"{stage.name}: config or data have changed; what was there is kept in {target}")
        _move(folder, target, work)
    elif not (same and stage.resumes):
        _remove(folder, work)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / RECORD, json.dumps({"key": key}).encode())
    return None


def _finish(stage: Stage, key: str, result: Any) -> Done:
    if stage.folder is not None:
        write_atomic(stage.folder / RECORD, json.dumps({"key": key, "result": result}, indent=2).encode())
    return Done(key, result)


def _digest(key: Any) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()


def _slug(folder: Path, work: Path) -> str:
    return "-".join(folder.relative_to(work).parts)


def _kept(folder: Path, key: str, work: Path) -> Path:
    """Where a folder is kept that a change has replaced."""
    return work / BEFORE / f"{_slug(folder, work)}.{key[:12]}"


def _move(source: Path, target: Path, work: Path) -> None:
    if target.exists():
        _remove(target, work)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)


def _remove(folder: Path, work: Path) -> None:
    """Remove a folder. It is gone at once: half of one must pass neither for a stage's nor for somebody else's."""
    if folder.is_dir():
        (work / BEFORE).mkdir(parents=True, exist_ok=True)
        trash = work / BEFORE / f".removed-{uuid.uuid4().hex}"
        folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
