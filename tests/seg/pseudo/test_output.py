"""The output folder: what is written, what a resume finds, and disks that refuse."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.folders import check_whole, tree
from helpers.forkserver import drop_privileges
from helpers.output_folder import KEYS, MANIFEST, PALETTE, SPLIT, arrays, fill
from helpers.tiny import read
from lsu_seg.pseudo.errors import OutputError, check_output
from lsu_seg.pseudo.label import soft_file
from lsu_seg.pseudo.output import OutputFolder, file_sha256, precisions
from lsu_seg.pseudo.records import finished

# --- what is written ---------------------------------------------------------------------------------------


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    annotation = tmp_path / "annotation.png"
    annotation.write_bytes(b"drawn by hand")
    fill(tmp_path / "out", ["train/b"])
    (tmp_path / "out/train/a.png").symlink_to(annotation)
    fill(tmp_path / "out", ["train/a"])
    assert annotation.read_bytes() == b"drawn by hand"
    assert np.array_equal(read(tmp_path / "out/train/a.png"), arrays("train/a")["labels"])


def test_a_pipe_in_place_of_a_label_is_no_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsu_onto.files._READER_S", 0)
    fill(tmp_path, ["train/a", "train/b"])
    (tmp_path / "train/a.png").unlink()
    os.mkfifo(tmp_path / "train/a.png")
    assert finished(tmp_path) == {"train/b"}
    with pytest.raises(OutputError, match=r"train/a.png: cannot write there \(it is a pipe that nothing reads from\)"):
        fill(tmp_path, ["train/a"])


def test_the_files_of_an_image(unbroken: Path) -> None:
    names = {f"{k}.png" for k in KEYS} | {f"confidence/{k}.png" for k in KEYS}
    assert tree(unbroken).keys() == names | {f"soft/{k}.npz" for k in KEYS} | {"manifest.json"}
    check_whole(unbroken)
    for key in KEYS:
        wanted = arrays(key)
        image = Image.open(unbroken / f"{key}.png")
        assert image.mode == "P" and image.getpalette()[:15] == PALETTE.ravel().tolist()
        assert np.array_equal(image, wanted["labels"])
        with np.load(unbroken / f"soft/{key}.npz", allow_pickle=False) as soft:
            assert np.array_equal(soft["classes"], wanted["soft"][0])
            assert np.abs(soft["shares"] / 255 - wanted["soft"][1]).max() <= 0.5 / 255 + 1e-6


def test_confidence_is_rounded_to_255ths(tmp_path: Path) -> None:
    values = np.concatenate([np.arange(256) / 255, (np.arange(255) + 0.499) / 255, (np.arange(255) + 0.501) / 255])
    confidence = values.astype(np.float32)[None]
    folder = OutputFolder(tmp_path, MANIFEST, PALETTE)
    folder.write("a", np.zeros(confidence.shape, np.uint8), {}, confidence)
    folder.close()
    found = read(tmp_path / "confidence/a.png")
    assert found.dtype == np.uint8
    assert np.array_equal(found[0], np.concatenate([np.arange(256), np.arange(255), np.arange(255) + 1]))


@pytest.mark.parametrize(("classes", "dtype", "void"), [(255, np.uint8, 255), (256, np.uint16, 65535)])
def test_labels_have_as_many_bits_as_they_need(tmp_path: Path, classes: int, dtype: Any, void: int) -> None:
    labels = np.append(np.arange(classes), void)[None].astype(dtype)
    soft = labels[None], np.ones(labels[None].shape, np.float32)
    folder = OutputFolder(tmp_path, MANIFEST, np.zeros((classes, 3), np.uint8))
    folder.write("a", labels, {}, soft=soft)
    folder.close()
    assert np.array_equal(read(tmp_path / "a.png"), labels)
    with np.load(tmp_path / "soft/a.npz") as found:
        assert found["classes"].dtype == dtype
        assert np.array_equal(found["classes"], labels[None])


def test_a_soft_file_says_nothing_about_when_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    soft = arrays("train/a")["soft"]
    first = soft_file(*soft)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    assert soft_file(*soft) == first
    assert soft_file(*(a.copy() for a in soft)) == first


# --- going on ----------------------------------------------------------------------------------------------


def _flip_a_bit(root: Path) -> None:
    file = root / "train/b.png"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def _truncate(root: Path) -> None:
    file = root / "train/b.png"
    file.write_bytes(file.read_bytes()[:-20])


def _lose_the_record(root: Path) -> None:
    file = root / "records-0.jsonl"
    file.write_bytes(b"".join(s for s in file.read_bytes().splitlines(True) if b"train/b" not in s))


def _cut_a_record(root: Path) -> None:
    file = root / "records-0.jsonl"
    file.write_bytes(file.read_bytes()[:-9])


def _junk_in_records(root: Path) -> None:
    """A block of a file system that lost power: zeros in the middle of a line, and others' lines."""
    file = root / "records-0.jsonl"
    lines = file.read_bytes().splitlines(True)
    lines[1] = lines[1][:10] + bytes(20) + b"\xff\xfe\n"
    odd = ['{"key": "train/a"}', '{"key": [1], "files": {}}', '{"key": "train/a", "files": {"label": "zz"}}']
    odd += ['{"key": "train/a", "files": {"label": 5}}']
    file.write_bytes(b"".join([*lines, b"[]\n", b"17\n", *(f"{line}\n".encode() for line in odd)]))


DAMAGES: list[tuple[Callable[[Path], Any], int, int]] = [
    (_flip_a_bit, 1, 1),
    (_truncate, 1, 1),
    (lambda root: (root / "train/b.png").write_bytes(b""), 1, 1),
    (lambda root: shutil.copy(root / "train/a.png", root / "train/b.png"), 1, 1),
    (lambda root: (root / "confidence/train/b.png").unlink(), 1, 1),
    (lambda root: shutil.rmtree(root / "soft"), 4, 4),
    (_lose_the_record, 1, 1),
    (_cut_a_record, 1, 1),
    (_junk_in_records, 1, 1),
    (lambda root: (root / "records-0.jsonl").unlink(), 4, 4),
    (lambda root: (root / "records-0.jsonl").write_bytes(b""), 4, 4),
]


@pytest.mark.parametrize(("damage", "written", "damaged"), DAMAGES)
def test_what_is_damaged_is_made_again(
    unbroken: Path, tmp_path: Path, damage: Callable[[Path], Any], written: int, damaged: int
) -> None:
    root = tmp_path / "labels"
    shutil.copytree(unbroken, root)
    damage(root)
    assert fill(root) == (written, damaged)
    assert tree(root) == tree(unbroken)
    assert finished(root) == set(KEYS)
    assert fill(root) == (0, 0)


def test_records_of_another_world_size_count(unbroken: Path, tmp_path: Path) -> None:
    for rank in range(3):
        assert fill(tmp_path, KEYS[rank::3], rank=rank)[1] == 0
    assert len(list(tmp_path.glob("records-*.jsonl"))) == 3
    assert fill(tmp_path) == (0, 0)
    (tmp_path / f"{KEYS[2]}.png").unlink()
    assert fill(tmp_path, rank=7) == (1, 1)
    assert fill(tmp_path) == (0, 0)  # the last record of a key counts, whoever wrote it
    assert tree(tmp_path) == tree(unbroken)


@pytest.mark.parametrize("key", MANIFEST)
def test_every_key_of_a_manifest_counts(unbroken: Path, tmp_path: Path, key: str) -> None:
    root = tmp_path / "labels"
    shutil.copytree(unbroken, root)
    for other in ({**MANIFEST, key: "other"}, {k: v for k, v in MANIFEST.items() if k != key}):
        with pytest.raises(OutputError, match=rf"holds labels made with other settings:\n  {key}: there .*, now"):
            fill(root, manifest=other)
    with pytest.raises(OutputError, match="more: there None, now 1"):
        fill(root, manifest={**MANIFEST, "more": 1})
    assert tree(root) == tree(unbroken)
    assert fill(root) == (0, 0)


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        ({"precision": "bf16"}, {"": "bf16"}),
        ({}, {"": "fp32"}),  # of an earlier version
        ({"teachers": [{"name": "a", "precision": "bf16"}, {"name": "b"}]}, {"a": "bf16", "b": "fp32"}),
        ({"precision": ["bf16"]}, {}),
        ({"teachers": 3}, {}),
        ([], {}),
    ],
)
def test_in_which_precision_a_folder_was_labelled(manifest: Any, found: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert precisions(tmp_path) == {}, "there is no label yet"
    (tmp_path / "a.png").touch()
    assert precisions(tmp_path) == found


# --- a disk that refuses -----------------------------------------------------------------------------------


def test_a_full_disk(unbroken: Path, small_disk: Callable[[int], Path]) -> None:
    """Whatever it is that does not fit any more, from the manifest to the last record."""
    refusals = []
    for pages in itertools.count(1):
        root = small_disk(pages)
        try:
            fill(root)
            break
        except OutputError as error:
            refusals.append(str(error))
        check_whole(root)
        small_disk(64)
        before = finished(root)
        assert fill(root) == (len(KEYS) - len(before), pytest.approx(0, abs=1))
        assert tree(root) == tree(unbroken)
        assert finished(root) == set(KEYS)
        for leftover in root.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    assert len(refusals) > 6
    for text in refusals:
        assert text.startswith(str(root)) and "disk is full" in text and "make room and run" in text
    named = {next((n for n in ("manifest", "confidence", "soft", "records", ".png") if n in t), t) for t in refusals}
    assert {"confidence", "soft", ".png"} <= named, refusals


def test_a_limit_on_the_size_of_files(unbroken: Path, tmp_path: Path) -> None:
    """As quotas and some network disks do: single files cannot grow, and a write ends in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = sorted({len(data) for data in tree(unbroken).values()} | {700, 1100})
    for number, limit in enumerate(sizes):
        root = tmp_path / str(number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit - 1, hard))
        try:
            with pytest.raises(OutputError, match=rf"{root}.*: cannot write|the disk is full"):
                fill(root)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        check_whole(root)
        fill(root)
        assert tree(root) == tree(unbroken)
        assert finished(root) == set(KEYS)


FORK = multiprocessing.get_context("fork")


def forked(call: Callable[[], Any], timeout: float = 600) -> str:
    """What a call says in a process of its own: `ok`, or its `OutputError`."""
    ours, its = FORK.Pipe()

    def body() -> None:
        try:
            call()
            its.send("ok")
        except OutputError as error:
            its.send(str(error))

    process = FORK.Process(target=body)
    process.start()
    assert ours.poll(timeout)
    text: str = ours.recv()
    process.join(timeout)
    assert process.exitcode == 0
    return text


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_permission(tmp_path: Path, there: bool) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    root = closed if there else closed / "new"

    def attempt(call: Callable[[], Any]) -> str:
        return forked(lambda: (drop_privileges(), call()))

    try:
        for call in (lambda: check_output(root, {}), lambda: fill(root)):
            assert attempt(call) == f"{root}: cannot write there (Permission denied); choose another output folder"
        assert not list(closed.iterdir())
        closed.chmod(0o755)
        assert attempt(lambda: (check_output(root, {}), fill(root))) == "ok"
    finally:
        closed.chmod(0o755)


def test_a_folder_that_loses_its_permission(unbroken: Path, tmp_path: Path) -> None:
    fill(tmp_path, KEYS[:1])
    (tmp_path / "train").chmod(0o555)
    said = forked(lambda: (drop_privileges(), fill(tmp_path)))
    assert said.startswith(f"{tmp_path / 'train/b.png'}: cannot write there (Permission denied); labels written")
    (tmp_path / "train").chmod(0o755)
    assert fill(tmp_path) == (3, 0)
    assert tree(tmp_path) == tree(unbroken)


def test_a_read_only_disk(small_disk: Callable[[int], Path]) -> None:
    root = small_disk(16)
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    for call in (lambda: check_output(root, {}), lambda: fill(root), lambda: check_output(root / "new", {})):
        with pytest.raises(OutputError, match=r"cannot write there \(Read-only file system\); choose another"):
            call()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_place_of_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("text")
    root = tmp_path / name
    for call in (lambda: check_output(root, {}), lambda: fill(root)):
        with pytest.raises(OutputError, match=rf"{root}: cannot write there \((File exists|Not a directory)\)"):
            call()
    assert (tmp_path / "file").read_text() == "text"


def test_splits_share_a_folder_and_nothing_else(tmp_path: Path) -> None:
    train, val = (MANIFEST | {"splits": {split: SPLIT}} for split in ("train", "val"))
    assert fill(tmp_path, KEYS[:2], train) == (2, 0)
    folder = OutputFolder(tmp_path, val, PALETTE)
    folder.close()
    assert folder.other_splits == ["train"]
    folder = OutputFolder(tmp_path, val, PALETTE)
    folder.close()
    assert folder.other_splits == []
    both = json.loads((tmp_path / "manifest.json").read_text())
    assert both == MANIFEST | {"splits": {"train": SPLIT, "val": SPLIT}}
    assert fill(tmp_path, KEYS, val) == (2, 0)
    for splits, said in (
        ({"val": SPLIT | {"images": "b"}}, "images of the split `val` were added, removed or renamed"),
        ({"val": SPLIT | {"tables": "b"}}, "tables beside the labels of the split `val` have changed"),
        ({}, f"splits: there {dict(train=SPLIT, val=SPLIT)}, now {{}}"),
    ):
        with pytest.raises(OutputError) as refusal:
            fill(tmp_path, KEYS, MANIFEST | {"splits": splits})
        assert f"holds labels made with other settings:\n  {said}\n  help" in str(refusal.value)
    for damaged in ([1], "text", None):
        (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST | {"splits": damaged}))
        with pytest.raises(OutputError, match=r"other settings:\n  splits: there "):
            fill(tmp_path, KEYS, val)


def test_a_file_that_has_become_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(OSError, match="it is a pipe that nothing writes to"):
        file_sha256(tmp_path / "a.png")
