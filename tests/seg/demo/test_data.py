"""The demo's datasets on disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lsu_seg.demo import data
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.runtime.lock import LockedError, locked


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "PARTS", [data.Part(**{**vars(p), "images": 2}) for p in data.PARTS])


def files(root: Path) -> dict[str, bytes]:
    return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked there")
def test_several_processes_draw_the_same(tmp_path: Path) -> None:
    assert data.make_data(tmp_path / "one", seed=3)
    assert data.make_data(tmp_path / "two", seed=3, jobs=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(files(tmp_path / "one")) == 2 * (2 * 6 + 3) + 2
    assert not data.make_data(tmp_path / "two", seed=3), "it is there already"


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked there")
def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "a.png")

    monkeypatch.setattr(data, "write_png", full)
    for jobs in 1, 2:
        with pytest.raises(OSError, match="No space left"):
            data.make_data(tmp_path / "data", seed=0, jobs=jobs)
    assert not (tmp_path / "data/complete.json").exists()


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(DatasetError, match="holds files that are not the demo's"):
        data.make_data(tmp_path, seed=0)
    assert (tmp_path / "thesis.txt").exists()


def test_a_kill_while_old_data_is_removed_blocks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "work" / "data"
    data.make_data(root, seed=0)

    def killed(folder: Path, **_: object) -> None:
        (folder / ".lsu-demo").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(data.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            data.make_data(root, seed=1)
    assert data.make_data(root, seed=1)
    assert [p.name for p in root.parent.iterdir()] == ["data"], "what the kill left is gone"


def test_data_on_another_disk_stays_there(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    for seed in 0, 1:
        assert data.make_data(tmp_path / "data", seed)
    assert (tmp_path / "data").is_symlink()
    assert (tmp_path / "disk" / "complete.json").is_file()


def test_data_that_a_run_is_reading_is_left_alone(tmp_path: Path) -> None:
    data.make_data(tmp_path / "data", seed=0)
    before = files(tmp_path / "data")
    with locked(tmp_path), pytest.raises(LockedError, match="is working there"):
        data.make_data(tmp_path / "data", seed=1)
    assert files(tmp_path / "data") == before
