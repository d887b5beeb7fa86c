"""Stages: reused, gone on with, or made anew, and nothing finished is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsu_seg.engine import ConfigError
from lsu_seg.stages import Stages


class Work:
    """A stage that writes its key into a folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.lines, self.runs = root, root / "teacher", [], 0

    def run(self, key: str, resumes: bool = False, stop: bool = False) -> str:
        def action() -> str:
            self.runs += 1
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{self.runs}.txt").write_text(key)
            if stop:
                raise KeyboardInterrupt
            return str(self.folder / f"{self.runs}.txt")

        stages = Stages(self.root, self.lines.append)
        found = stages.run(
            "teacher", [key], action, lambda p: Path(p).is_file(), [self.folder], resumes=resumes
        )
        return Path(found).read_text()

    def files(self, folder: str = "teacher") -> list[str]:
        return sorted(p.name for p in (self.root / folder).glob("*"))


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
    assert (work.files(), work.files("teacher.before")) == (["2.txt"], ["1.txt"])
    assert work.lines == [
        f"teacher: config or data have changed; what was there is kept in {work.root / 'teacher.before'}"
    ]
    assert work.run("a") == "a"
    assert work.lines[1:] == ["teacher: as it was before the last change", "teacher: reused"]
    assert (work.files(), work.files("teacher.before")) == (["1.txt"], ["2.txt"])
    assert work.run("b") == "b"
    assert work.runs == 2
    work.run("c")  # one step, and no more
    assert work.files("teacher.before") == ["2.txt"]


def test_what_was_stopped_replaces_nothing_finished(work: Work) -> None:
    work.run("a")
    for key in ("b", "c"):
        with pytest.raises(KeyboardInterrupt):
            work.run(key, stop=True)
    assert work.files() == ["3.txt"], "half of b is gone"
    assert work.run("a") == "a"
    assert (work.runs, work.files("teacher.before")) == (3, ["3.txt"])


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
    with pytest.raises(ConfigError, match="teacher is not a folder of this program's"):
        work.run("a")
    assert work.files() == ["thesis.txt"]
