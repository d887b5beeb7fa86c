"""How labelling, evaluation and the start of a training grow with the number of images (docs/scaling.md).

    python tools/scale.py --images 400000 WORK

The dataset is tiny images that are hard links to a few files, and the teacher a network whose forward pass costs
nothing: what remains is the work that every image costs, whatever its size and model. All of it is the real code, as
`lsu-seg pseudo-label` and `lsu-seg evaluate` run it, in processes that are forked once the libraries are imported. Each
labelling run is killed at half, and resumed.

`--labelled M` saves time: a run is killed after M/2 images, and more are filled in up to a half, and in the end up to
all, with links to the labels of the same pixels and with records of them.

Figures are added to WORK/scale.jsonl, a line for each step. What has a line there is not repeated, so a run that was
stopped goes on; labels of the first number of processes and all records stay in WORK. Reads /proc, so it needs Linux.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

SIZE, VARIETY, FOLDER, STEPS = 32, 64, 1000, 20
"""Pixels of a side; different images at most; images in a folder; figures of memory over a run."""
TAX = """\
tax 1
dataset tiny v1 -> cityscapes v1
encoding: id
void:     255
splits:   train
images:   images/{split}/{drive}/{stem}.png
labels:   labels/{split}/{drive}/{stem}.png
0  road       #804080  = road
1  ground     #f423e8  > sidewalk terrain
2  structure  #464646  > building wall fence
3  vehicle    #00008e  ~ car truck bus train void
4  sky        #4682b4  = sky
"""
TEACHER = """\
import torch


class Null(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.linspace(0, 1, 19).reshape(1, 19, 1, 1))

    def forward(self, images):
        return self.logits.expand(len(images), -1, images.shape[2] // 8, images.shape[3] // 8)


def build():
    return Null()
"""
MODEL = dict(type="TorchSegmentor", mean=[0.0] * 3, std=[1.0] * 3)
LEARNT = dict(type="TaxDataset", source="cityscapes", split="train", pipeline=[])
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path, help="an empty folder, or that of a run that was stopped")
    parser.add_argument("--images", type=int, default=400_000, metavar="N")
    parser.add_argument("--labelled", type=int, metavar="M", help="so many by the teacher  [default: all]")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 8], metavar="P")
    options = parser.parse_args()
    _import()
    for line in measure(options.work, options.images, options.processes, options.labelled):
        print(line, flush=True)


def measure(work: Path, images: int, processes: list[int], labelled: int | None = None) -> Iterator[str]:
    """Take the steps that are not done yet, and yield the line of each."""
    work.mkdir(parents=True, exist_ok=True)
    world = World(work.absolute(), images, min(labelled or images, images))
    steps: list[tuple[str, Callable[[], Figures]]] = [("files", world.make), ("listing", lambda: forked(world.listing))]
    for number in processes:
        steps += [
            (f"labelling, {number}", partial(world.label, number)),
            (f"nothing left to label, {number}", partial(world.label_again, number)),
            (f"records, {number}", partial(world.records, number, processes[0])),
        ]
    steps += [(f"training, {when}", lambda: forked(world.training)) for when in ("first", "again")]
    steps += [(f"evaluation, {number}", partial(world.evaluate, number)) for number in processes]
    results = work / "scale.jsonl"
    kept = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    if other := next((row["images"] for row in kept if row["images"] != images), None):
        raise SystemExit(f"error: {results} has figures of {other} images; give `--images {other}`, or another folder")
    for name, step in steps:
        if not any(row["step"] == name for row in kept):
            start = time.monotonic()
            row = {"step": name, "images": images, **step()}
            row.setdefault("seconds", round(time.monotonic() - start, 2))
            with results.open("a") as file:
                print(json.dumps(row), file=file)
            yield json.dumps(row)


class World:
    """A dataset of so many images and its teacher, in a folder."""

    def __init__(self, work: Path, images: int, labelled: int) -> None:
        self.work, self.images, self.labelled = work, images, labelled
        self.tax, self.data, self.teacher = work / "tiny.tax", work / "data", work / "null_teacher.py"
        self.variety = max(1, min(VARIETY, labelled // 8))  # so that each is among the first half of a run
        self._counted: dict[Path, tuple[int, int]] = {}

    def make(self) -> Figures:
        """Write a few images and labels, and link to them."""
        from PIL import Image

        self.tax.write_text(TAX)
        self.teacher.write_text(TEACHER)
        rng = np.random.default_rng(0)
        for kind in ("images", "labels"):
            models = [self.work / f"models/{kind}/{i}.png" for i in range(self.variety)]
            models[0].parent.mkdir(parents=True, exist_ok=True)
            for path in models:
                coarse = rng.choice([0, 1, 2, 3, 4, 255], (4, 4)).astype(np.uint8)
                pixels = rng.integers(0, 256, (4, 4, 3), np.uint8) if kind == "images" else coarse
                Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.NEAREST).save(path)
            for i in range(self.images):
                path = self.data / kind / "train" / f"{i // FOLDER:04}" / f"{i // FOLDER:04}_{i:06}.png"
                if i % FOLDER == 0:
                    path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    os.link(models[i % len(models)], path)
        return {}

    def listing(self) -> Figures:
        """Find the pairs, and list them as a dataset does."""
        import lsu_onto
        from lsu_seg.data.datasets import TaxDataset
        from lsu_seg.layout.pairs import find_pairs

        start = _cpu()
        layout = lsu_onto.load(str(self.tax)).layout
        assert len(find_pairs(self.data, layout, "train")) == self.images
        pairs = _cpu() - start
        gc.collect()
        start = _cpu()
        dataset = TaxDataset(str(self.tax), str(self.data), "train", pipeline=[])
        assert len(dataset) == self.images
        whole = _cpu() - start
        return {"pairs_cpu_s": round(pairs, 2), "dataset_cpu_s": round(whole, 2), **memory("self")}

    def label(self, number: int) -> Figures:
        """Label images until half of them are there; kill the run, and resume it."""
        kept = self.work / f"memory-{number}.jsonl"
        figures: Figures = {}
        if self._recorded(number) < self.labelled // 2:
            first = self._label(number, kept, self.labelled // 2)
            figures |= {"first_label_s": first["first_label_s"], "half_images_per_s": first["images_per_s"]}
        self._fill(number, self.images // 2)
        whole = self.labelled == self.images
        second = self._label(number, kept, None if whole else self._recorded(number) + self.labelled // 2)
        self._fill(number, self.images)
        figures |= {"resumed_first_label_s": second["first_label_s"], "resumed_images_per_s": second["images_per_s"]}
        samples = [json.loads(line) for line in kept.read_text().splitlines()]
        return figures | {"labelled": self.labelled, "MB_at": samples, "peak_MB": second["peak_MB"]}

    def _fill(self, number: int, wanted: int) -> None:
        """Have the labels and the records that a run would write until so many images are labelled.

        Images with the same pixels have the same label. Their files are links to one, so even the times agree.
        """
        from lsu_seg.pseudo.records import read_records

        out = self.work / f"labels-{number}"
        records = {record["key"]: record for record in read_records(out)}
        models = {self._index(key) % self.variety: record for key, record in records.items()}
        added: list[list[str]] = [[] for _ in range(number)]
        for i in range(self.images):
            if len(records) >= wanted:
                break
            key = f"labels/train/{i // FOLDER:04}/{i // FOLDER:04}_{i:06}"
            if key not in records:
                model = models[i % self.variety]
                path = out / f"{key}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)  # killed between the file and its record
                os.link(out / f"{model['key']}.png", path)
                records[key] = model
                added[i % number].append(json.dumps({**model, "key": key}))
        for rank, lines in enumerate(added):
            if lines:
                with (out / f"records-{rank}.jsonl").open("a") as file:
                    file.write("\n" * self._cut_off(file.name) + "\n".join(lines) + "\n")

    @staticmethod
    def _cut_off(path: str) -> bool:
        data = Path(path).read_bytes()
        return bool(data) and not data.endswith(b"\n")

    @staticmethod
    def _index(key: str) -> int:
        return int(key.rpartition("_")[2])

    def label_again(self, number: int) -> Figures:
        """A run that finds every label there."""
        run = self._label(number, None, None)
        return {key: run[key] for key in ("cpu_s", "peak_MB")}

    def _label(self, number: int, kept: Path | None, stop_at: int | None) -> Figures:
        out = self.work / f"labels-{number}"
        arguments = ["pseudo-label", str(self.tax), "--data-root", str(self.data), "-o", str(out), "--no-flip"]
        arguments += ["--teacher", f"{self.teacher}:build", "--work-dir", str(self.work / f"work-{number}")]
        for key in ("mean", "std"):
            arguments += ["--set", f"model.{key}={MODEL[key]}"]
        before, start = self._recorded(number), time.monotonic()
        first: tuple[float, int] | None = None
        last, peak = (start, before), 0
        every = max(1, self.labelled // STEPS)
        run = Ranks(self.work / f"log-{number}", number, arguments)
        while run.running():
            time.sleep(0.02 if first is None else 0.1)
            done, now = self._recorded(number), time.monotonic()
            peak = max([peak, *(figures["peak_MB"] for figures in run.memory())])
            if done > before and first is None:
                first = now, done
            if kept and done // every > last[1] // every:
                with kept.open("a") as file:
                    row = {"images": done, "s": round(now - start, 1), "MB": [m["MB"] for m in run.memory()]}
                    print(json.dumps(row), file=file)
            last = (now, done) if done > last[1] else last
            if stop_at is not None and done >= stop_at:
                run.kill()
                break
        else:
            run.check()
        figures: Figures = {"peak_MB": peak, "cpu_s": round(run.cpu, 1)}
        if first:
            rate = (last[1] - first[1]) / max(1e-9, last[0] - first[0])
            figures |= {"first_label_s": round(first[0] - start, 2), "images_per_s": round(rate, 1)}
        return {"first_label_s": None, "images_per_s": None, **figures}

    def _recorded(self, number: int) -> int:
        """How many records there are. Counts what was added since it was called last."""
        total = 0
        for path in (self.work / f"labels-{number}").glob("records-*.jsonl"):
            read, lines = self._counted.get(path, (0, 0))
            with path.open("rb") as file:
                file.seek(read)
                added = file.read()
            self._counted[path] = read + len(added), lines + added.count(b"\n")
            total += self._counted[path][1]
        return total

    def records(self, number: int, first: int) -> Figures:
        """The records and the manifest, and whether the labels are those of the first number of processes."""
        from lsu_seg.pseudo.records import read_records

        def labels(of: int) -> dict[str, str]:
            return {r["key"]: r["files"]["label"] for r in read_records(self.work / f"labels-{of}")}

        def read() -> Figures:
            start = _cpu()
            own = labels(number)
            seconds = _cpu() - start
            assert len(own) == self.images
            assert own == labels(first), f"the labels of {number} processes differ from those of {first}"
            return {"read_cpu_s": round(seconds, 2)}

        out = self.work / f"labels-{number}"
        size = sum(path.stat().st_size for path in out.glob("records-*.jsonl"))
        figures = {"record_bytes": round(size / self.images), "manifest_bytes": (out / "manifest.json").stat().st_size}
        figures |= forked(read)
        if number != first:
            shutil.rmtree(out / "labels")
        return figures

    def evaluate(self, number: int) -> Figures:
        """Evaluate the teacher on all images."""
        config = self.work / "evaluate.py"
        model = MODEL | {"factory": f"{self.teacher}:build", "num_classes": 19}
        config.write_text(f"custom_imports = dict(imports=['lsu_seg'])\nmodel = {model!r}\n")
        out = self.work / f"evaluation-{number}"
        arguments = ["evaluate", str(config), "--dataset", str(self.tax), str(self.data), "train", "-o", str(out)]
        run = Ranks(self.work / f"log-{number}", number, [*arguments, "--work-dir", str(self.work / f"work-{number}")])
        samples: list[list[int]] = []
        step = 0.1
        while run.running():
            time.sleep(step)
            samples.append([m["MB"] for m in run.memory()])
            if len(samples) == 2 * STEPS:
                samples, step = samples[1::2], 2 * step
        run.check()
        sizes = {path.name: path.stat().st_size for path in out.glob("evaluation.*")}
        return {"cpu_s": round(run.cpu, 1), "MB_at": [round(step, 1), samples], "bytes": sizes}

    def training(self) -> Figures:
        """What happens before the first iteration: the union of datasets, the classes of all images, the sampler."""
        from lsu_seg.data.compound import CompoundDataset
        from lsu_seg.data.samplers import CompoundSampler

        labels = next(path for path in sorted(self.work.glob("labels-*")) if (path / "labels").is_dir())
        member = LEARNT | dict(taxonomy=str(self.tax), data_root=str(self.data), labels=str(labels))
        times = [_cpu()]

        def took() -> float:
            times.append(_cpu())
            return round(times[-1] - times[-2], 2)

        plain = CompoundDataset([dict(member)], pipeline=[])
        assert len(plain) == self.images
        figures = {"dataset_cpu_s": took()}
        rare = CompoundDataset([dict(member)], pipeline=[], rare_classes=0.01)
        assert len(rare) == self.images
        figures["with_rare_classes_cpu_s"] = took()
        sampler = CompoundSampler(rare, seed=0)
        sampler.skip(self.images // 2)
        next(iter(sampler))
        return figures | {"resume_at_half_cpu_s": took(), **memory("self")}


# --- processes -------------------------------------------------------------------------------------------------------


class Ranks:
    """`lsu-seg ARGUMENTS` in so many processes, connected as torchrun connects them.

    Attributes:
        cpu: processor time in seconds of those that have ended: the clock would say how busy the machine is, too.
    """

    def __init__(self, log: Path, number: int, arguments: list[str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self._log, self._codes, self.cpu = log, dict[int, int](), 0.0
        self._pids = []
        for rank in range(number):
            pid = os.fork()
            if not pid:
                variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(number)}
                if number > 1:
                    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **variables}
                    arguments = [*arguments, "--launcher", "pytorch"]
                _become(log.with_suffix(f".{rank}"), arguments)
            self._pids.append(pid)

    def running(self) -> bool:
        for pid in self._pids:
            if pid not in self._codes and (ended := os.wait4(pid, os.WNOHANG))[0]:
                self._codes[pid] = os.waitstatus_to_exitcode(ended[1])
                self.cpu += ended[2].ru_utime + ended[2].ru_stime
        return len(self._codes) < len(self._pids)

    def memory(self) -> list[Figures]:
        figures = [memory(pid) for pid in self._pids if pid not in self._codes]
        return [each for each in figures if each["MB"]]

    def kill(self) -> None:
        for pid in self._pids:
            if pid not in self._codes:
                os.kill(pid, signal.SIGKILL)
        while self.running():
            time.sleep(0.01)

    def check(self) -> None:
        if any(self._codes.values()):
            said = "\n".join(path.read_text()[-3000:] for path in sorted(self._log.parent.glob(f"{self._log.name}.*")))
            raise SystemExit(f"exit codes {list(self._codes.values())}:\n{said}")


def forked(call: Callable[[], Figures]) -> Figures:
    """What a call returns in a process of its own, whose memory says what the call needs."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            with os.fdopen(writing, "w") as file:
                json.dump(call(), file)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("a step has failed, see above")
    figures: Figures = json.loads(text)
    return figures


def memory(pid: int | str) -> Figures:
    """The memory of a process in MB, now and at its peak; zeros if it has just ended."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    now, peak = (int(lines.get(key, "0").split()[0]) // 1000 for key in ("VmRSS", "VmHWM"))
    return {"MB": now, "peak_MB": peak}


def _cpu() -> float:
    """Processor time of this process and of those that it has waited for, in seconds."""
    return sum(os.times()[:4])


def _become(log: Path, arguments: list[str]) -> None:
    from lsu_seg.cli import main as run

    code = 1
    try:
        number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(number, 1)
        os.dup2(number, 2)
        run(arguments, prog_name="lsu-seg")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


_MODULES = (
    "cli",
    "openmmlab.components",
    "pseudo.run",
    "pseudo.loop",
    "evaluation.run",
    "data.compound",
    "data.samplers",
)


def _import() -> None:
    """What all steps need, before any is measured, and as few threads as can be forked."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for module in ("mmseg.models", *(f"lsu_seg.{name}" for name in _MODULES)):
        import_module(module)
    from lsu_seg.decode import View, cpu

    cpu.decode([View(np.zeros((2, 1, 1), np.float32))] * 2, np.zeros((1, 1)), np.ones((1, 3), bool), threads=1)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()
