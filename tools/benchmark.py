"""Times what the project promises to be fast, as ratios against named baselines of the same run.

    python tools/benchmark.py              everything
    python tools/benchmark.py language     the `.tax` language and its tools
    python tools/benchmark.py decode       teacher logits to pseudo-labels, on two cores
    python tools/benchmark.py loss         the set-valued loss against cross-entropy, on one core
    python tools/benchmark.py labels       label files to rows, on one core
    python tools/benchmark.py pipeline     files to pseudo-labels against the bare model, on two cores

`tools/benchmark_input.py` compares input with an earlier commit.

Milliseconds depend on the machine and on what else runs on it; the ratios much less. Each figure is the best of
several runs. Nothing is asserted: `docs/benchmarks.md` has a table, and the machine that it was measured on.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

import click

if TYPE_CHECKING:
    import numpy as np
    import torch


class Figure(NamedTuple):
    """One measurement. `bar`: what the project promises, in milliseconds."""

    what: str
    ms: float
    baseline: str
    baseline_ms: float
    bar: float | None = None


def best(run: Callable[[], object], repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> float:
    """Milliseconds of the fastest run; `time.process_time` for what has one thread, on a busy machine."""
    times = []
    for _ in range(repeats):
        began = clock()
        run()
        times.append(clock() - began)
    return 1000 * min(times)


def process(*args: str) -> Callable[[], object]:
    return lambda: subprocess.run(
        [sys.executable, *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


# --- the language ------------------------------------------------------------------------------------------


def source_text(classes: int) -> str:
    lines = [f"{i}  class_{i}  #{i * 65793 % (1 << 24):06x}  # note {i}" for i in range(classes)]
    return "\n".join(["tax 1", "source big v1", "[all]", *lines, ""])


def dataset_text(classes: int, channels: int) -> str:
    lines = [
        f'{i}  thing_{i} "thing {i}"  #{i * 65793 % (1 << 24):06x}  aka other_{i}'
        f"  ~ class_{i % channels} class_{(i + 7) % channels} void  # what annotators did"
        for i in range(classes)
    ]
    return "\n".join(["tax 1", "dataset town v1 -> big v1", "encoding: id16", *lines, ""])


def language() -> Iterator[Figure]:
    from lsu_onto.lang import fastpath
    from lsu_onto.library.library import Library
    from lsu_onto.library.searchpath import shipped

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "big.tax").write_text(source_text(194))
        town, huge = folder / "town.tax", folder / "apart" / "huge.tax"
        huge.parent.mkdir()  # or its headers would be looked through for every other figure
        town.write_text(dataset_text(150, 194))
        huge.write_text(dataset_text(10_000, 194))

        def check(file: Path) -> Callable[[], object]:
            def run() -> None:
                assert not Library([folder]).check(file).errors

            return run

        bare = best(process("-c", "pass"), 9)
        run = "from lsu_onto.cli import main; main()"
        yield Figure("`lsu-onto --help`", best(process("-c", run, "--help"), 9), "python -c pass", bare, 150)
        cold = best(process("-c", run, "validate", str(town)), 9)
        yield Figure("validate 150 classes against 194, cold", cold, "python -c pass", bare, 300)
        with mock.patch.object(fastpath, "statement", lambda *_: None):
            lark, lark_huge = best(check(town)), best(check(huge), 1)
        yield Figure("the same in process", best(check(town), 9), "every line through lark", lark, 30)
        yield Figure("10,000 lines in process", best(check(huge), 3), "every line through lark", lark_huge, 2000)
        maps = best(process("-c", run, "check-maps", str(shipped())), 3)
        yield Figure("check-maps of all shipped maps, cold", maps, "python -c pass", bare, 5000)

        urban = ["cityscapes", "vistas@v1.2", "idd", "bdd100k", "a2d2"]
        union = best(process("-c", run, "unite", *urban), 3)
        yield Figure("unite of five urban datasets, cold", union, "python -c pass", bare, 5000)

        lines = dataset_text(200, 194)
        town.write_text(lines)
        yield Figure(
            "an answer to a keystroke in 200 lines, over the protocol",
            keystroke(town, lines),
            "the file in process",
            best(check(town)),
            50,
        )
        lines = dataset_text(5000, 194)
        town.write_text(lines)
        alone = best(check(town), 3)
        for request, ms in answers(town, lines).items():
            yield Figure(f"{request} in 5,000 lines, over the protocol", ms, "the file in process", alone, 50)


def keystroke(file: Path, text: str) -> float:
    """Milliseconds from a change to the findings, in an editor that talks to `lsu-onto lsp`: the median of 20."""
    from lsprotocol import types
    from pygls.lsp.client import LanguageClient

    client, answered = LanguageClient("benchmark", "1"), asyncio.Event()
    client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda _: answered.set())
    uri = file.as_uri()

    async def session() -> list[float]:
        await client.start_io(sys.executable, "-m", "lsu_onto.cli", "lsp")
        await client.initialize_async(types.InitializeParams(types.ClientCapabilities()))
        document = types.TextDocumentItem(uri, "tax", 0, text)
        client.text_document_did_open(types.DidOpenTextDocumentParams(document))
        times = []
        for n in range(1, 22):
            await answered.wait()
            answered.clear()
            began = time.perf_counter()
            change = types.TextDocumentContentChangeWholeDocument(text.replace("did", "did" + n * "!", 1))
            client.text_document_did_change(
                types.DidChangeTextDocumentParams(types.VersionedTextDocumentIdentifier(n, uri), [change])
            )
            await answered.wait()
            times.append(1000 * (time.perf_counter() - began))
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()
        return sorted(times)

    return asyncio.run(session())[10]


def answers(file: Path, text: str) -> dict[str, float]:
    """Milliseconds for each question about a class in the middle of a file: the median of 9, all files being read."""
    from lsprotocol import types
    from pygls.lsp.client import LanguageClient

    client, checked = LanguageClient("benchmark", "1"), asyncio.Event()
    client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda _: checked.set())
    lines = text.split("\n")
    middle = len(lines) // 2
    document, place = types.TextDocumentIdentifier(file.as_uri()), types.Position(middle, lines[middle].index("class_"))
    everywhere = types.ReferenceContext(include_declaration=True)

    async def session() -> dict[str, float]:
        await client.start_io(sys.executable, "-m", "lsu_onto.cli", "lsp")
        await client.initialize_async(types.InitializeParams(types.ClientCapabilities()))
        opened = types.TextDocumentItem(document.uri, "tax", 0, text)
        client.text_document_did_open(types.DidOpenTextDocumentParams(opened))
        await checked.wait()
        questions: dict[str, Callable[[], Awaitable[object]]] = {
            "hover": lambda: client.text_document_hover_async(types.HoverParams(document, place)),
            "definition": lambda: client.text_document_definition_async(types.DefinitionParams(document, place)),
            "references": lambda: client.text_document_references_async(
                types.ReferenceParams(everywhere, document, place)
            ),
        }
        medians = {}
        for name, ask in questions.items():
            times = []
            for _ in range(10):
                began = time.perf_counter()
                assert await ask()
                times.append(1000 * (time.perf_counter() - began))
            medians[name] = sorted(times[1:])[4]
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()
        return medians

    return asyncio.run(session())


# --- decoding ----------------------------------------------------------------------------------------------


def decode() -> Iterator[Figure]:
    """1024 x 2048 labels of ApolloScape's classes on a drawn street, 63 channels at stride 4.

    The scene is drawn by rules, with poles, signs and people in it; its runs are about as long as a real scene's.
    """
    import numpy as np
    import torch

    import lsu_onto
    from lsu_seg.decode import View, cpu, reference
    from lsu_seg.demo.scenes import CLASSES, STYLES, draw_scene

    constraint = lsu_onto.load("apolloscape", source="vistas")
    rng = np.random.default_rng(0)
    k, height, width = constraint.num_classes, 1024, 2048
    names = {"lane_marking": "road", "grass": "vegetation", "tree": "vegetation"}
    row_of = np.full(256, -1, np.int16)
    for i, name in enumerate(CLASSES):
        row_of[i] = constraint.classes.index(names.get(name, name))
    rows = row_of[draw_scene(rng, STYLES["town"], height, width)[1]]
    noise = rng.integers(-1, len(constraint.classes), rows.shape).astype(np.int16)
    logits = rng.standard_normal((k, height // 4, width // 4), dtype=np.float32) * 3
    tensor, sets, allowed = torch.from_numpy(logits), torch.from_numpy(constraint.allowed), constraint.allowed
    index = torch.from_numpy(rows).long()

    def upsampled() -> torch.Tensor:
        size = (height, width)
        return torch.nn.functional.interpolate(tensor[None], size, mode="bilinear", align_corners=False)[0]

    def masked() -> object:
        return upsampled().masked_fill(~sets[:, :k][index].permute(2, 0, 1), -torch.inf).argmax(0)

    def published() -> object:
        p = torch.cat([upsampled().softmax(0), torch.zeros(1, height, width)])
        mask = torch.zeros(k + 1, height, width)
        for d in np.unique(rows[rows >= 0]):
            here = index == int(d)
            for c in np.flatnonzero(allowed[d]):
                mask[c][here] = 1
        p = p * mask
        return (p / p.sum(0)).argmax(0)

    def touched() -> object:
        copy = np.empty_like(rows)
        copy[:] = rows
        labels, confidence = np.empty(rows.shape, np.uint8), np.empty(rows.shape, np.float32)
        labels[:], confidence[:] = 1, 1
        return logits.max()

    def fast(views: list[View], rows: np.ndarray = rows) -> Callable[[], object]:
        return lambda: cpu.decode(views, rows, allowed, threads=2)

    one = fast([View(logits)])
    one()  # compiled
    torch.set_num_threads(2)
    plain, theirs, bytes_ = best(masked, 2), best(published, 2), best(touched, 15)
    ours = best(one, 25)
    bytes_ = min(bytes_, best(touched, 15))
    yield Figure("decode, one view", ours, "upsample, mask, argmax in torch", plain, plain / 150)
    yield Figure("decode, one view", ours, "published algorithm", theirs, theirs / 300)
    yield Figure("decode, one view", ours, "all bytes read and written once, one core", bytes_, 2 * bytes_)
    yield Figure(
        "decode, one view, labels are noise",
        best(fast([View(logits)], noise), 3),
        "published algorithm",
        theirs,
    )

    # The reference holds float64 of every view at label resolution: a quarter of the image, for both.
    part = np.ascontiguousarray(rows[::2, ::2])
    sizes = [(round(128 * s), round(256 * s)) for s in (0.5, 1.0, 1.5, 2.0)]
    views = [View(tensor.new_empty(k, *size).normal_() * 3, flip) for size in sizes for flip in (False, True)]
    slow = best(lambda: reference.decode(views, torch.from_numpy(part), sets), 1)
    yield Figure("decode, 8 views, 512 x 1024", best(fast(views, part), 3), "reference", slow, slow / 10)


# --- the loss ----------------------------------------------------------------------------------------------


def loss() -> Iterator[Figure]:
    """Forward and backward of the set-valued loss: logits of 512 x 1024, labels in patches of 8 x 8 pixels.

    The clock is the processor's, so other programs count less. Memory is the most that is allocated at once,
    beyond logits and labels.
    """
    import torch
    import torch.nn.functional as F

    from lsu_seg.set_nll import set_nll_loss

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    for images, k in ((4, 19), (2, 63)):
        logits = torch.randn(images, k, 512, 1024, generator=generator).requires_grad_()

        def patches(values: int, n: int = images) -> torch.Tensor:
            drawn = torch.randint(0, values, (n, 64, 128), generator=generator)
            return drawn.repeat_interleave(8, 1).repeat_interleave(8, 2)

        hard = patches(k)
        sets = torch.zeros(6, k, dtype=torch.bool)
        for i in range(6):  # two to four classes
            sets[i, torch.randperm(k, generator=generator)[: 2 + i % 3]] = True
        where, which = patches(100), patches(6)

        def cross_entropy() -> None:
            F.cross_entropy(logits, hard, ignore_index=255).backward()  # noqa: B023
            logits.grad = None  # noqa: B023

        for percent in (0, 30, 100):
            target = torch.where(where < percent, 256 + which, hard)

            def ours() -> None:
                set_nll_loss(logits, target, sets).backward()  # noqa: B023
                logits.grad = None  # noqa: B023

            what = f"set_nll_loss, [{images}, {k}, 512, 1024], {percent} % sets"
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(5):  # in turns, so that both see the same neighbours
                for run, into in zip((ours, cross_entropy), times, strict=True):
                    began = time.process_time()
                    run()
                    into.append(1000 * (time.process_time() - began))
            a, b = min(times[0]), min(times[1])
            yield Figure(what, a, "F.cross_entropy", b, 1.3 * b)
            a, b = peak_mebibytes(ours), peak_mebibytes(cross_entropy)
            yield Figure(what + ", MiB", a, "F.cross_entropy, MiB", b, 1.3 * b)


def labels() -> Iterator[Figure]:
    """Label files of 1024 x 2048 -> rows of d, every checksum verified, against Pillow alone, which verifies few."""
    import numpy as np
    from drawn_labels import ENCODINGS, write_label_files
    from PIL import Image

    import lsu_onto
    from lsu_seg.label_files import LabelReader

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_label_files(folder)
        for what in ENCODINGS:
            path, reader = folder / f"{what}.png", LabelReader(lsu_onto.load(folder / f"{what}.tax"))
            for _ in range(300):  # as many as it takes until compiled loops pay
                reader.rows(path)
            ms = best(lambda r=reader, p=path: r.rows(p), 20, time.process_time)
            baseline = best(lambda p=path: np.asarray(Image.open(p)), 20, time.process_time)
            yield Figure(f"{what} PNG to rows", ms, "Pillow alone", baseline)


def peak_mebibytes(run: Callable[[], object]) -> float:
    """The most memory that torch has allocated at once while `run` runs, beyond what it had before."""
    import torch

    run()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak / 2**20


def pipeline() -> Iterator[Figure]:
    """The pseudo-label engine from end to end, and what the ontology saves."""
    import benchmark_engine

    yield from (Figure(*figure) for figure in benchmark_engine.pipeline())


SECTIONS: dict[str, Callable[[], Iterator[Figure]]] = {
    "language": language,
    "decode": decode,
    "loss": loss,
    "labels": labels,
    "pipeline": pipeline,
}


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
def main(sections: tuple[str, ...]) -> None:
    """Time the SECTIONS (default: all)."""
    print("| what | ms | bar | baseline | ms | ratio |\n|---|---:|---:|---|---:|---:|")
    for section in sections or SECTIONS:
        for f in SECTIONS[section]():
            bar = f"{f.bar:g}" if f.bar else ""
            print(
                f"| {f.what} | {f.ms:.3g} | {bar} | {f.baseline} | {f.baseline_ms:.3g} | {f.ms / f.baseline_ms:.3g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
