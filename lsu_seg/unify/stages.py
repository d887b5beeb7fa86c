"""Long work as a list of stages: what is there already is reused, and what a change replaces is kept one step back.

A stage writes into one folder, and `stage.json` in that folder says what it depends on (the key) and, once the stage is
finished, its result. Data and record can therefore never be of different runs: a folder is moved as a whole, by one
rename. What a changed key replaces goes to `WORK/before`, named by its stage and key, and comes back when the key does.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lsu_onto import make_folder, open_to_read, write_atomic
from lsu_seg.errors import ConfigError
from lsu_seg.runtime.canonical import canonical_json
from lsu_seg.runtime.lock import locked
from lsu_seg.runtime.processes import Ended, Processes

RECORD = "stage.json"
BEFORE = "before"
_ASIDE = ".removed-"
"""Begins the names, in `before`, of folders that are being removed or made. What a kill leaves of them is no loss."""


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


Failed = Callable[[Mapping[str, Done], str, Exception], Stage]
"""What to do when a stage has failed, given what is done, that stage's name, and what it raised."""


def run_stages(
    stages: Sequence[Stage], work: Path, say: Callable[[str], None], jobs: int = 1, failed: Failed | None = None
) -> dict[str, Done]:
    """Run stages, or reuse what an earlier run left; returns what each has done.

    Args:
        stages: each after its inputs.
        work: contains their folders.
        say: gets a line per stage that is reused or replaced.
        jobs: so many at a time, where inputs allow it, each in a process of its own (`runtime/processes.py`); 1: one
            after the other, in this process. Results are the same.
        failed: gives the last stage of a run that fails. It never counts as finished, so the next run replaces it.

    Raises:
        ConfigError: a stage's folder holds files that no stage wrote, or is a symbolic link.
        LockedError: another run is using the work folder.
        Exception: of the first stage that failed. What ran beside it was finished before, and is kept.
    """
    _check_order(stages)
    make_folder(work)
    with locked(work):
        for stage in stages:
            if stage.folder is not None:
                _check_owned(stage.folder)
        return _run_all(stages, work, say, jobs, failed)


def _run_all(
    stages: Sequence[Stage], work: Path, say: Callable[[str], None], jobs: int, failed: Failed | None
) -> dict[str, Done]:
    done: dict[str, Done] = {}
    waiting = list(stages)
    keys: dict[str, str] = {}
    failure: Exception | None = None
    culprit = ""
    with Processes() as processes:

        def start(stage: Stage) -> None:
            key = keys[stage.name] = _digest(stage.key(done))
            found = _begin(stage, key, work, say)
            if found:
                done[stage.name] = found
            elif jobs == 1:
                done[stage.name] = _finish(stage, key, stage.action(done))
            else:
                processes.start(stage.name, partial(stage.action, {name: done[name] for name in stage.inputs}))

        def end(stage: Stage, ended: Ended) -> None:
            if ended.error is not None:
                raise ended.error
            done[stage.name] = _finish(stage, keys[stage.name], ended.result)

        while (waiting and not failure) or processes:
            ready = [s for s in waiting if all(name in done for name in s.inputs)] if not failure else []
            step: Callable[[], None]
            if ready and len(processes) < jobs:
                stage = ready[0]
                waiting.remove(stage)
                step = partial(start, stage)
            else:
                ended = processes.wait()
                stage = next(s for s in stages if s.name == ended.name)
                step = partial(end, stage, ended)
            try:
                step()
            except Exception as error:
                if failure is None:
                    failure, culprit = error, stage.name
                    if processes:
                        running = " and ".join(processes.names)
                        say(f"{stage.name}: failed; waiting for {running}, so that nothing is lost")
    if failure:
        if failed:
            _run_last(failed(done, culprit, failure), done, work, say)
        raise failure
    return done


def _run_last(stage: Stage, done: Mapping[str, Done], work: Path, say: Callable[[str], None]) -> None:
    try:
        _begin(stage, _digest(stage.key(done)), work, say)
        say(f"{stage.name}: {stage.action(done)} shows what was done")
    except Exception as error:  # what the run has failed with is what the user must see
        say(f"{stage.name}: not written ({error})")


def clear(work: Path, folders: Sequence[Path], files: Sequence[Path] = ()) -> None:
    """Remove those of the folders that stages have written, what is kept of earlier ones, and nothing else.

    Args:
        files: made of the stages' results; they go with the first folder.

    Raises:
        ConfigError: one of the folders is a symbolic link.
        LockedError: another run is using the work folder.
    """
    if not work.is_dir():
        return
    with locked(work):
        written = [folder for folder in (*folders, *_subfolders(work / BEFORE)) if (folder / RECORD).is_file()]
        for folder in written:
            _check_no_link(folder)
        for file in files if written else ():
            file.unlink(missing_ok=True)
        for folder in written:
            _remove(folder, work)
        _tidy(work)


def is_finished(folder: Path) -> bool:
    """Whether a stage's folder holds the result of a run that went through."""
    return "result" in _read(folder)


def check_no_stage(folder: Path) -> None:
    """Refuse to write into a folder that `unify` would then take for its own stage's result.

    Raises:
        ConfigError: the folder is of a stage, finished or not.
    """
    if (folder / RECORD).is_file():
        raise ConfigError(
            f"{folder} is a stage of `lsu-seg unify`, which would take what is written there for its own: have `unify`"
            " go on with it, remove that folder, or choose another work folder"
        )


def _check_order(stages: Sequence[Stage]) -> None:
    names: set[str] = set()
    for stage in stages:
        missing = [name for name in stage.inputs if name not in names]
        if missing:
            raise ValueError(f"stage {stage.name} needs {' and '.join(missing)}, and no stage before it has that name")
        names.add(stage.name)


def _check_owned(folder: Path) -> None:
    """Refuse a folder that is somebody else's, or whose record does not say of which run it is."""
    _check_no_link(folder)
    if _read(folder) or not (folder.is_dir() and any(folder.iterdir())):
        return
    if os.path.lexists(folder / RECORD):
        raise ConfigError(
            f"{folder / RECORD}: cannot be read, or is damaged, so nobody knows what {folder} was made from; remove"
            " that folder, and it is made anew"
        )
    raise ConfigError(
        f"{folder} holds files and no `{RECORD}`, which each stage of this program writes: another command has written"
        " them, or an earlier version; choose another work folder, or remove it"
    )


def _check_no_link(folder: Path) -> None:
    if folder.is_symlink():
        raise ConfigError(
            f"{folder} is a symbolic link, and the folder of a stage must be a folder, because it is moved as a whole;"
            " remove the link, and link the whole work folder instead if it is to be on another disk"
        )


def _begin(stage: Stage, key: str, work: Path, say: Callable[[str], None]) -> Done | None:
    """What an earlier run has done; or None, and the folder is ready for the action."""
    folder = stage.folder
    if folder is None:
        return None
    _check_owned(folder)
    _tidy(work)
    record = _read(folder)
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
        for older in (work / BEFORE).glob(f"{glob.escape(_slug(folder, work))}.{'?' * 12}"):
            if (older / RECORD).is_file():  # one step back, and no more
                _remove(older, work)
        target = _kept(folder, record["key"], work)
        say(f"{stage.name}: config or data have changed; what was there is kept in {target}")
        _move(folder, target, work)
    elif same and stage.resumes:
        write_atomic(folder / RECORD, json.dumps({"key": key}).encode())
        return None
    # The folder is there with its record or not at all: a kill must not leave one that looks like somebody else's.
    new = _aside(work)
    new.mkdir()
    write_atomic(new / RECORD, json.dumps({"key": key}).encode())
    _move(new, folder, work)
    _tidy(work)
    return None


def _finish(stage: Stage, key: str, result: Any) -> Done:
    if stage.folder is not None:
        write_atomic(stage.folder / RECORD, json.dumps({"key": key, "result": result}, indent=2).encode())
    return Done(key, result)


def _digest(key: Any) -> str:
    return hashlib.sha256(canonical_json(key).encode()).hexdigest()


def _slug(folder: Path, work: Path) -> str:
    return "-".join(folder.relative_to(work).parts)


def _kept(folder: Path, key: str, work: Path) -> Path:
    """Where a folder is kept that a change has replaced."""
    return work / BEFORE / f"{_slug(folder, work)}.{key[:12]}"


def _move(source: Path, target: Path, work: Path) -> None:
    if target.exists():
        _remove(target, work)
    make_folder(target.parent)
    source.rename(target)


def _remove(folder: Path, work: Path) -> None:
    """Remove a folder. It is gone at once: half of one must pass neither for a stage's nor for somebody else's."""
    if folder.is_dir():
        trash = _aside(work)
        folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def _aside(work: Path) -> Path:
    make_folder(work / BEFORE)
    return work / BEFORE / f"{_ASIDE}{uuid.uuid4().hex}"


def _tidy(work: Path) -> None:
    """Remove what a kill has left in `before`; and `before` itself if it is empty."""
    for folder in _subfolders(work / BEFORE):
        if folder.name.startswith(_ASIDE):
            shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        (work / BEFORE).rmdir()


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _read(folder: Path) -> dict[str, Any]:
    try:
        with open_to_read(folder / RECORD) as file:
            found = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("key"), str) else {}
