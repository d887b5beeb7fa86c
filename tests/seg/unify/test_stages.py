"""Stages: reused, gone on with, or made anew, and nothing finished is lost."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest

from lsu_seg.errors import ConfigError
from lsu_seg.unify.stages import Stages


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
        found = stages.run("teacher", [key], action, lambda p: Path(p).is_file(), [self.folder], resumes=resumes)
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


class Labels:
    """A stage that writes a file into each of several folders; which ones depends on the key."""

    FOLDERS = MappingProxyType({"a": ("x", "y"), "b": ("x",), "c": ("x", "y")})

    def __init__(self, root: Path) -> None:
        self.root, self.made = root, []

    def run(self, key: str) -> None:
        folders = [self.root / name for name in self.FOLDERS[key]]

        def action() -> None:
            self.made.append(key)
            for folder in folders:
                folder.mkdir(parents=True)
                (folder / "key").write_text(key)

        complete = lambda _: all((folder / "key").is_file() for folder in folders)  # noqa: E731
        Stages(self.root, lambda _: None).run("labels", key, action, complete, folders)
        assert [(folder / "key").read_text() for folder in folders] == [key] * len(folders)


def test_folders_go_with_the_run_that_wrote_them(tmp_path: Path) -> None:
    """Each run checks that all of its folders are its own, also where the run in between had fewer."""
    labels = Labels(tmp_path)
    for key in "abab":
        labels.run(key)
    assert labels.made == ["a", "b"]
    for key in "cbc":
        labels.run(key)
    assert labels.made == ["a", "b", "c"]


def test_a_result_without_folders_is_taken_back(tmp_path: Path) -> None:
    made = []
    for key in "aba":
        stages = Stages(tmp_path, lambda _: None)
        assert stages.run("evaluate", key, lambda k=key: made.append(k) or k, lambda _: True, []) == key
    assert made == ["a", "b"]


@pytest.mark.parametrize("keys", ["ac", "aca", "acaca"])
def test_a_kill_between_two_renames_mixes_nothing_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    """The last of the keys is stopped at its nth rename, for every n, and run again; and so is the one before it."""
    replace, left = Path.replace, [0]

    def stop(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    for n in range(1, 20):
        labels = Labels(tmp_path / str(n))
        for key in keys[:-1]:
            labels.run(key)
        left[0] = n
        try:
            labels.run(keys[-1])
        except KeyboardInterrupt:
            labels.run(keys[-1])
            labels.run(keys[-2])
            assert labels.made == ["a", "c"]
        else:
            break
    assert n > 3
    assert list((tmp_path / str(n)).glob("*.leaves")) == []
