"""Stages: reused, gone on with, or made anew, side by side or not, and nothing finished is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.processes import ended, wait_until
from lsu_seg.errors import ConfigError, UserError
from lsu_seg.runtime.lock import LockedError, locked
from lsu_seg.runtime.processes import ProcessError
from lsu_seg.unify.stages import BEFORE, RECORD, Stage, clear, run_stages


class Work:
    """A stage that writes its key into a file of its folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.lines, self.runs = root, root / "teacher", [], 0

    def run(self, key: str, resumes: bool = False, stop: bool = False) -> str:
        def action(_: Any) -> str:
            self.runs += 1
            (self.folder / f"{self.runs}.txt").write_text(key)
            if stop:
                raise KeyboardInterrupt
            return f"{self.runs}.txt"

        whole = lambda name: (self.folder / name).is_file()  # noqa: E731
        stage = Stage("teacher", self.folder, lambda _: [key], action, complete=whole, resumes=resumes)
        done = run_stages([stage], self.root, self.lines.append)
        return (self.folder / done["teacher"].result).read_text()

    def files(self) -> list[str]:
        return sorted(p.name for p in self.folder.glob("*.txt"))

    def kept(self) -> list[str]:
        return sorted(p.name for p in (self.root / BEFORE).glob("teacher.*/*.txt"))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def test_the_same_is_not_done_twice(work: Work) -> None:
    assert work.run("a") == work.run("a") == "a"
    assert (work.runs, work.lines) == (1, ["teacher: reused"])
    (work.folder / "1.txt").unlink()
    assert work.run("a") == "a"
    assert work.runs == 2


def test_what_a_change_replaces_is_kept(work: Work) -> None:
    work.run("a")
    assert work.run("b") == "b"
    assert (work.files(), work.kept()) == (["2.txt"], ["1.txt"])
    (line,) = work.lines
    assert line.startswith("teacher: config or data have changed; what was there is kept in ")
    assert Path(line.rpartition(" ")[2], "1.txt").is_file()
    assert work.run("a") == "a"
    assert work.lines[1:] == ["teacher: as it was before the last change", "teacher: reused"]
    assert (work.files(), work.kept()) == (["1.txt"], ["2.txt"])
    assert work.run("b") == "b"
    assert work.runs == 2
    work.run("c")  # one step, and no more
    assert work.kept() == ["2.txt"]


def test_what_was_stopped_replaces_nothing_finished(work: Work) -> None:
    work.run("a")
    for key in ("b", "c"):
        with pytest.raises(KeyboardInterrupt):
            work.run(key, stop=True)
    assert work.files() == ["3.txt"], "half of b is gone"
    assert work.run("a") == "a"
    assert (work.runs, work.files(), work.kept()) == (3, ["1.txt"], [])


def test_what_was_stopped_is_gone_on_with(work: Work) -> None:
    with pytest.raises(KeyboardInterrupt):
        work.run("a", stop=True)
    work.run("a", resumes=True)
    assert work.files() == ["1.txt", "2.txt"]
    work.run("b", resumes=True)
    assert work.files() == ["3.txt"]


def test_somebody_elses_folder_is_left_alone(work: Work) -> None:
    work.folder.mkdir(parents=True)
    (work.folder / "thesis.txt").touch()
    with pytest.raises(
        ConfigError, match=r"teacher holds files and no `stage.json`, which each stage .* another command"
    ):
        work.run("a")
    clear(work.root, [work.folder])
    assert work.files() == ["thesis.txt"]


@pytest.mark.parametrize("record", ["{}", '{"result": "a"}', '{"key": 3, "result": "a"}', "[", "[]"])
def test_a_damaged_record_is_named(work: Work, record: str) -> None:
    work.run("a")
    (work.folder / "stage.json").write_text(record)
    with pytest.raises(ConfigError, match=r"teacher/stage.json: cannot be read, or is damaged, .* remove that folder"):
        work.run("a")
    assert work.runs == 1


def test_starting_over(work: Work) -> None:
    work.run("a")
    work.run("b")
    clear(work.root, [work.folder, work.root / "never"])
    assert list(work.root.iterdir()) == []
    assert work.run("a") == "a"
    assert work.runs == 3


def test_starting_over_leaves_other_files_alone(work: Work) -> None:
    work.run("a")
    work.run("b")
    (work.root / BEFORE / "photos").mkdir()
    (work.root / BEFORE / "photos" / "cat.jpg").touch()
    (work.root / BEFORE / ".removed-1").mkdir()
    results = work.root / "results.json"
    results.touch()
    clear(work.root, [work.folder], [results])
    assert sorted(str(p.relative_to(work.root)) for p in work.root.rglob("*")) == [
        "before",
        "before/photos",
        "before/photos/cat.jpg",
    ]
    results.touch()
    clear(work.root, [work.folder], [results])
    assert results.exists(), "no stage has made it"
    clear(work.root / "never", [work.root / "never" / "teacher"])


def test_a_name_with_brackets(tmp_path: Path) -> None:
    """One step back is kept, of exactly this stage."""
    work = Work(tmp_path / "work")
    work.folder = work.root / "t[ab]"
    other = work.root / BEFORE / f"ta.{'0' * 12}"
    other.mkdir(parents=True)
    (other / RECORD).touch()
    for key in "abc":
        work.run(key)
    kept = [p.name for p in (work.root / BEFORE).iterdir() if p != other]
    assert other.is_dir()
    assert len(kept) == 1


def test_a_link_is_refused(work: Work, tmp_path: Path) -> None:
    work.run("a")
    work.folder.rename(tmp_path / "disk")
    work.folder.symlink_to(tmp_path / "disk")
    with pytest.raises(ConfigError, match=r"teacher is a symbolic link, .* link the whole work folder"):
        work.run("b")
    with pytest.raises(ConfigError, match="symbolic link"):
        clear(work.root, [work.folder])
    assert (tmp_path / "disk" / "1.txt").is_file()


def test_one_run_at_a_time(work: Work) -> None:
    work.run("a")
    with locked(work.root):
        with pytest.raises(LockedError, match=f"process {os.getpid()}"):
            work.run("b")
        with pytest.raises(LockedError):
            clear(work.root, [work.folder])
    assert work.files() == ["1.txt"]


@pytest.mark.parametrize("keys", ["a", "ac", "aca", "acaca"])
def test_a_kill_at_any_step_mixes_nothing_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    """The last of the keys is killed at its nth rename, write or removal, for every n, and run again, as are others.

    In a process of its own, which ends as if killed: nothing is cleaned up. Before the step, or after it; a removal
    after half of the folder. A write's rename is a step, before which its temporary file is there.
    """
    left, late = [0], [False]

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and (function is rmtree or not late[0]):
                for file in sorted(args[0].glob("*.txt")) if function is rmtree else ():
                    file.unlink()
                os._exit(9)
            result = function(*args, **kwargs)
            if left[0] == 0:
                os._exit(9)
            return result

        return step

    def run_and_die(work: Work, key: str) -> bool:
        """Whether it was killed."""
        pid = os.fork()
        if not pid:
            try:
                os._exit(0 if work.run(key) == key else 1)
            finally:
                os._exit(2)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, 9)
        return code == 9

    rmtree = shutil.rmtree
    for owner, name in (Path, "rename"), (Path, "mkdir"), (os, "replace"), (shutil, "rmtree"):
        monkeypatch.setattr(owner, name, deadly(getattr(owner, name)))
    for late[0] in (False, True):
        for n in range(1, 40):
            left[0] = 0
            work = Work(tmp_path / f"{late[0]} {n}")
            for key in keys[:-1]:
                assert work.run(key) == key
            left[0] = n
            killed = run_and_die(work, keys[-1])
            left[0] = 0
            if not killed:
                break
            runs = work.runs
            for key in keys[-1], "a", "c":
                assert work.run(key) == key
            assert work.runs - runs <= 1 + (keys == "a"), "only what was stopped is run again, and what never ran"
        assert 2 < n < 39
    assert not [*tmp_path.glob("*/before/.removed-*")]


# --- several stages ----------------------------------------------------------------------------------------


def stage(work: Path, name: str, action: Callable[[Any], Any], inputs: tuple[str, ...] = ()) -> Stage:
    return Stage(name, work / name, lambda done: [name, *(done[i].key for i in inputs)], action, inputs)


def pid(_: Any) -> int:
    return os.getpid()


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_stage_has_what_its_inputs_have_done(tmp_path: Path, jobs: int) -> None:
    stages = [
        stage(tmp_path, "a", lambda _: 1),
        stage(tmp_path, "b", lambda done: done["a"].result + 1, ("a",)),
        stage(tmp_path, "c", lambda done: done["a"].result + 2, ("a",)),
        stage(tmp_path, "d", lambda done: [done["b"].result, done["c"].result], ("b", "c")),
    ]
    done = run_stages(stages, tmp_path, print, jobs)
    assert {name: d.result for name, d in done.items()} == {"a": 1, "b": 2, "c": 3, "d": [2, 3]}
    assert json.loads((tmp_path / "d" / RECORD).read_text())["result"] == [2, 3]
    lines = []
    assert run_stages(stages, tmp_path, lines.append, 3 - jobs) == done, "whether side by side is no part of a key"
    assert lines == [f"{name}: reused" for name in "abcd"]


def test_stages_run_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the other's file."""

    def meet(own: str, other: str) -> Callable[[Any], int]:
        def action(_: Any) -> int:
            (tmp_path / own / "here").touch()
            wait_until((tmp_path / other / "here").exists)
            return os.getpid()

        return action

    done = run_stages([stage(tmp_path, "a", meet("a", "b")), stage(tmp_path, "b", meet("b", "a"))], tmp_path, print, 2)
    assert len({done["a"].result, done["b"].result, os.getpid()}) == 3


def fail(error: BaseException, begun: Path | None = None) -> Callable[[Any], None]:
    """An action that fails, once a stage beside it has begun."""

    def action(_: Any) -> None:
        if begun:
            wait_until(begun.exists)
        raise error

    return action


def slow(begun: Path, end: Path) -> Callable[[Any], str]:
    def action(_: Any) -> str:
        begun.touch()
        wait_until(end.exists)
        return "finished"

    return action


class OddError(UserError):
    """Cannot be made again from its message."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ConfigError("the file is missing"), ConfigError, "^the file is missing$"),
        (OddError("one", "two"), UserError, "^one and two$"),
        (FileNotFoundError(2, "No such file", "a.png"), FileNotFoundError, "a.png"),
        (ZeroDivisionError("a fault"), ZeroDivisionError, "a fault"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_failure_is_told_and_what_runs_beside_it_is_kept(
    tmp_path: Path, error: Exception, kind: type[Exception], message: str
) -> None:
    lines: list[str] = []
    begun, told = tmp_path / "begun", tmp_path / "told"

    def say(line: str) -> None:
        lines.append(line)
        told.touch()

    stages = [
        stage(tmp_path, "bad", fail(error, begun)),
        stage(tmp_path, "good", slow(begun, told)),
        stage(tmp_path, "later", pid, ("good",)),
    ]
    with pytest.raises(kind, match=message) as found:
        run_stages(stages, tmp_path, say, 2)
    assert lines == ["bad: failed; waiting for good, so that nothing is lost"]
    notes = getattr(found.value, "__notes__", [])
    assert bool(notes) == (not issubclass(kind, UserError)), "where it was, unless it is the user's mistake"
    assert all("in action" in note for note in notes)
    assert not (tmp_path / "later").exists()
    stages[0] = stage(tmp_path, "bad", pid)
    lines.clear()
    assert run_stages(stages, tmp_path, lines.append, 2)["good"].result == "finished"
    assert lines == ["good: reused"]


@pytest.mark.parametrize("where", ["key", "begin", "finish"])
def test_a_failure_around_an_action_is_a_failure_of_its_stage(tmp_path: Path, where: str) -> None:
    """What runs beside it is finished and kept."""
    begun, told = tmp_path / "begun", tmp_path / "told"

    def bad_key(_: Any) -> Any:
        raise ZeroDivisionError("a fault")

    def bad_result(_: Any) -> Any:
        wait_until(begun.exists)
        if where == "finish":
            return {1, 2}  # no JSON
        if where == "begin":  # of the next stage
            (tmp_path / "next").mkdir()
            (tmp_path / "next" / "thesis.txt").touch()
        return 1

    bad = stage(tmp_path, "bad", bad_result)
    following = Stage("next", tmp_path / "next", bad_key if where == "key" else lambda _: 1, pid, ("bad",))
    stages = [stage(tmp_path, "good", slow(begun, told)), bad, following]
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        told.touch()

    error, message = {
        "key": (ZeroDivisionError, "a fault"),
        "begin": (ConfigError, "holds files and no"),
        "finish": (TypeError, "set is not JSON serializable"),
    }[where]
    with pytest.raises(error, match=message):
        run_stages(stages, tmp_path, say, 2)
    name = "bad" if where == "finish" else "next"
    assert lines == [f"{name}: failed; waiting for good, so that nothing is lost"]
    lines.clear()
    assert run_stages(stages[:1], tmp_path, lines.append)["good"].result == "finished"
    assert lines == ["good: reused"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_foreign_files_come_to_light_before_any_action(tmp_path: Path, jobs: int) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="holds files and no"):
        run_stages([stage(tmp_path, "a", pid), stage(tmp_path, "b", pid, ("a",))], tmp_path, print, jobs)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_input_that_is_no_stage(tmp_path: Path, jobs: int) -> None:
    with pytest.raises(ValueError, match="stage a needs never, and no stage before it has that name"):
        run_stages([stage(tmp_path, "a", pid, ("never",))], tmp_path, print, jobs)


def test_a_killed_process_is_told(tmp_path: Path) -> None:
    stages = [stage(tmp_path, "big", lambda _: os.kill(os.getpid(), signal.SIGKILL))]
    with pytest.raises(ProcessError, match=r"big: its process was ended by SIGKILL, .* memory .*`--jobs 1`"):
        run_stages(stages, tmp_path, print, 2)
    stages = [stage(tmp_path, "quit", lambda _: os._exit(3))]
    with pytest.raises(ProcessError, match="quit: its process ended with exit code 3 and no result"):
        run_stages(stages, tmp_path, print, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_no_process_outlives_the_first(tmp_path: Path, number: signal.Signals) -> None:
    """A shell's Ctrl-C, a kill: what runs side by side ends, and what was finished is kept."""

    def forever(own: str) -> Callable[[Any], None]:
        def action(_: Any) -> None:
            (tmp_path / own / "pid").write_text(str(os.getpid()))
            time.sleep(600)

        return action

    stages = [
        stage(tmp_path, "done", lambda _: 7),
        stage(tmp_path, "a", forever("a"), ("done",)),
        stage(tmp_path, "b", forever("b"), ("done",)),
    ]
    first = os.fork()
    if not first:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            run_stages(stages, tmp_path, print, 2)
        except KeyboardInterrupt:
            os._exit(130)
        finally:
            os._exit(1)
    files = [tmp_path / name / "pid" for name in "ab"]
    wait_until(lambda: all(f.exists() and f.read_text() for f in files))
    os.kill(first, number)
    code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    assert code == (130 if number == signal.SIGINT else -number)
    wait_until(lambda: all(ended(int(f.read_text())) for f in files))
    lines = []
    stages[1:] = [stage(tmp_path, name, pid, ("done",)) for name in "ab"]
    assert run_stages(stages, tmp_path, lines.append)["done"].result == 7
    assert lines == ["done: reused"]
