"""Reading ahead and writing behind, alone and in the loop."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.forkserver import Server
from helpers.processes import WRITE, standing_still, wait_until
from helpers.tiny import encode, label_config, read, save, save_checkpoint, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_seg.decode import Decoder, decoder
from lsu_seg.pseudo import loop
from lsu_seg.pseudo.output import OutputFolder
from lsu_seg.pseudo.pipeline import Behind, ahead, one_behind
from lsu_seg.pseudo.run import pseudo_label

ROWS = [0, 1, 2, 3, 4, 5, ROW_VOID]


# --- alone -------------------------------------------------------------------------------------------------


def test_reading_is_ahead_but_not_far() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(9):
            taken.append(n)
            yield n

    reader = ahead(items(), depth=2)
    assert next(reader) == 0
    wait_until(lambda: len(taken) >= 4)
    time.sleep(0.02)
    assert taken == [0, 1, 2, 3]  # two lie ready, and one waits to
    assert list(reader) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_an_error_of_the_reader_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    reader = ahead(items())
    assert next(reader) == 1
    with pytest.raises(OSError, match="gone"):
        next(reader)
    assert "read-ahead" not in [thread.name for thread in threading.enumerate()]


def test_a_reader_that_is_not_needed_any_more_ends() -> None:
    reader = ahead(itertools.count())
    assert next(reader) == 0
    reader.close()
    assert "read-ahead" not in [thread.name for thread in threading.enumerate()]


def test_a_reader_that_only_waits_keeps_nobody() -> None:
    """As for the first batch of a process that has yet to import torch; its end is what ends the wait."""
    more = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        more.wait()

    reader = ahead(items(), patience_s=0.01)
    assert next(reader) == 1
    reader.close()
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "read-ahead")
    more.set()
    thread.join()


def test_a_reader_that_computes_is_waited_for() -> None:
    """Python aborts where it ends while a thread is in OpenCV."""
    begun, done = threading.Event(), []

    def items() -> Iterator[int]:
        yield 1
        begun.set()
        time.sleep(1.5)
        done.append(1)
        yield 2

    reader = ahead(items())
    assert next(reader) == 1 and begun.wait(60)
    reader.close()
    assert done


def test_writing_is_in_order_and_finished_however_the_block_ends() -> None:
    written: list[int] = []

    def write(n: int) -> None:
        time.sleep(0.002)
        written.append(n)

    with pytest.raises(KeyboardInterrupt), Behind(depth=3) as writer:
        for n in range(8):
            writer.do(write, n)
            assert n - len(written) <= 3
        raise KeyboardInterrupt
    assert written == list(range(8))


def test_an_error_of_the_writer_surfaces_soon_and_nothing_is_written_after_it() -> None:
    written: list[int] = []

    def write(n: int) -> None:
        if n == 1:
            raise OSError("full")
        written.append(n)

    given = 0
    with pytest.raises(OSError, match="full"), Behind(depth=2) as writer:
        for n in range(100):
            writer.do(write, n)
            given = n
    assert given <= 3
    assert written == [0]
    with pytest.raises(OSError, match="full"), Behind() as writer:
        writer.do(write, 1)  # the last one


def test_one_behind_produces_the_next_before_it_yields() -> None:
    log: list[str] = []

    def items(fails: bool = False) -> Iterator[int]:
        for n in range(3):
            log.append(f"made {n}")
            yield n
        if fails:
            raise OSError("gone")

    for n in one_behind(items()):
        log.append(f"took {n}")
    assert log == ["made 0", "made 1", "took 0", "made 2", "took 1", "took 2"]
    log.clear()
    with pytest.raises(OSError, match="gone"):
        for n in one_behind(items(fails=True)):
            log.append(f"took {n}")
    assert log[-1] == "took 2", "what was finished before the failure is not lost"


# --- in the loop -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_tax(root / "tax")
    write_park(root / "park", {f"{i:02}": ROWS for i in range(7)})
    for file in (root / "park").rglob("*.png"):
        os.utime(file, (1e9, 1e9))  # the time of a file that was written just now is not noted
    save_checkpoint(root / "teacher.pth")
    return root


def run(world: Path, work: Path, park: str = "park", **options: Any) -> dict[str, float]:
    loop = {k: v for k, v in options.items() if k != "num_workers"}
    dataset = dict(taxonomy=str(world / "tax/park.tax"), data_root=str(world / park), split="train")
    cfg = label_config(dataset, work, **loop)
    cfg.test_dataloader.num_workers = options.get("num_workers", 0)
    return pseudo_label(cfg, world / "teacher.pth", quiet=True)


def labels(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*.png"))}


def test_bytes_do_not_depend_on_who_reads_nor_on_timing(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path / "a")
    run(world, tmp_path / "b", num_workers=1)
    write = OutputFolder.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutputFolder, "write", lambda *a, **k: (time.sleep(0.03), write(*a, **k))[1])
        run(world, tmp_path / "c")
    one = labels(tmp_path / "a/labels")
    assert len(one) == 7
    assert one == labels(tmp_path / "b/labels") == labels(tmp_path / "c/labels")
    for work in "bc":
        records = [(tmp_path / w / "labels/records-0.jsonl").read_text() for w in ("a", work)]
        assert records[0] == records[1]


def test_the_gpu_has_the_next_image_before_the_last_ones_labels_are_asked_for(world: Path, tmp_path: Path) -> None:
    log: list[tuple[str, str]] = []

    def start(views: Any, rows: Any, allowed: Any, threshold: Any, image_name: str) -> Any:
        decoded = decoder("cpu").decode(views, rows, allowed, threshold, image_name)
        log.append(("start", Path(image_name).stem))

        def finish() -> Any:
            log.append(("finish", Path(image_name).stem))
            return decoded

        return finish

    run(world, tmp_path / "a", batch_size=1, raw_dir=str(tmp_path / "a/raw"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "decoder", lambda device: Decoder("cpu", start))
        run(world, tmp_path / "b", batch_size=1, raw_dir=str(tmp_path / "b/raw"))
        steps = [step for i, step in enumerate(log) if i == 0 or step != log[i - 1]]
        assert steps[:5] == [("start", "00"), ("start", "01"), ("finish", "00"), ("start", "02"), ("finish", "01")]
        # Evidence that is too large to be held is let go at once.
        log.clear()
        patch.setattr(loop, "_HELD", 0)
        run(world, tmp_path / "c", batch_size=1)
        assert log[:4] == [("start", "00"), ("finish", "00"), ("start", "01"), ("finish", "01")]
    assert labels(tmp_path / "a/raw") == labels(tmp_path / "b/raw")
    assert labels(tmp_path / "a/labels") == labels(tmp_path / "b/labels") == labels(tmp_path / "c/labels")


def test_of_an_image_in_bands_at_most_two_hold_their_evidence(world: Path, tmp_path: Path) -> None:
    """Neither the bands of an image nor the images of a batch add up."""
    open_now, most = 0, 0

    def start(*args: Any) -> Any:
        nonlocal open_now, most
        decoded = decoder("cpu").decode(*args)
        open_now += 1
        most = max(most, open_now)

        def finish() -> Any:
            nonlocal open_now
            open_now -= 1
            return decoded

        return finish

    write_park(tmp_path / "park", {f"{i}": [0, 1, 5] for i in range(3)}, size=(320, 64))
    options: dict[str, Any] = dict(window=(64, 64), flips=(False,), memory=0.1, batch_size=3)
    for name, more in (("bands", options), ("batch", dict(flips=(False,), batch_size=3))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "decoder", lambda device: Decoder("cpu", start))
            most = 0
            run(world, tmp_path / name, str(tmp_path / "park"), **more)
        assert (open_now, most) == (0, 2), name
        run(world, tmp_path / f"{name}-plain", str(tmp_path / "park"), **more)
        assert labels(tmp_path / name / "labels") == labels(tmp_path / f"{name}-plain/labels")


def test_a_failed_write_ends_the_run_and_the_next_goes_on(world: Path, tmp_path: Path) -> None:
    write = OutputFolder.write

    def full(self: OutputFolder, key: str, *rest: Any, **more: Any) -> None:
        if key.endswith("02"):
            raise OSError(28, "No space left on device")
        write(self, key, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutputFolder, "write", full)
        with pytest.raises(OSError, match="No space left on device"):
            run(world, tmp_path)
    assert {"labels/train/00.png", "labels/train/01.png"} <= labels(tmp_path / "labels").keys()
    run(world, tmp_path)
    assert len(labels(tmp_path / "labels")) == 7


def test_what_the_summary_says(world: Path, tmp_path: Path) -> None:
    result = run(world, tmp_path)
    found = np.stack([read(f) for f in sorted((tmp_path / "labels").rglob("*.png"))])
    assert result["images"] == 7
    assert result["void_share"] == pytest.approx((found == 255).mean())
    assert 0 < result["confidence"] < 1
    assert (result["unknown_pixels"], result["windows"], result["out_of_memory"]) == (0, 0, 0)


def test_windows_without_a_choice_are_skipped_and_change_nothing(world: Path, tmp_path: Path) -> None:
    """One image that asks in its upper left corner only: most windows are not computed."""
    drawn = write_park(tmp_path / "park", {"a": [0, 2], "b": [0, 1, 5]}, size=(160, 192))
    raw = encode(drawn["a"], "id")
    raw[:8, :8] = encode(np.array([[1]]), "id")[0, 0]
    save(tmp_path / "park/labels/train/a.png", raw)
    options: dict[str, Any] = dict(window=(64, 64), flips=(False,), batch_size=1)
    skipping = run(world, tmp_path / "s", str(tmp_path / "park"), **options)
    keeping = run(world, tmp_path / "k", str(tmp_path / "park"), keep_windows=True, **options)
    assert skipping["windows"] == keeping["windows"] > 10
    assert keeping["skipped_windows"] == 0
    assert skipping["skipped_windows"] > 0.3 * skipping["windows"]
    assert labels(tmp_path / "s/labels") == labels(tmp_path / "k/labels")


def test_an_interrupted_run_leaves_what_it_finished(server: Server, world: Path, tmp_path: Path) -> None:
    write_park(tmp_path / "park", {f"{i:02}": ROWS for i in range(24)})
    dataset = dict(taxonomy=str(world / "tax/park.tax"), data_root=str(tmp_path / "park"), split="train")
    cfg = label_config(dataset, tmp_path, batch_size=1)
    cfg.dump(tmp_path / "config.py")
    command = ["pseudo-label", str(tmp_path / "config.py"), str(world / "teacher.pth")]
    process = server.start(tmp_path / "log.txt", *command, code=standing_still(WRITE, "labels/train/02"))
    process.when_still()
    process.send(signal.SIGINT)
    process.send(signal.SIGCONT)
    assert process.wait() == 130
    assert "Traceback" not in process.said
    done = len(labels(tmp_path / "labels"))
    assert 3 <= done < 24, process.said
    assert len((tmp_path / "labels/records-0.jsonl").read_text().splitlines()) == done
    assert pseudo_label(cfg, world / "teacher.pth", quiet=True)["images"] == 24 - done
