"""Feeds the language mutated files: nothing may raise, hang, or be formatted differently the second time.

    python tools/fuzz.py --inputs 1000000

Each input is checked and its findings are printed; for every eighth, in every format, and what `fmt` makes of it is
formatted again. An input that raises, takes more than a second of processor time or is not a fixed point of `fmt` is
kept in `work/fuzz`, and the exit code is 1. The same `--seed` gives the same inputs.
"""

from __future__ import annotations

import random
import sys
import time
import traceback
from pathlib import Path

import click
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from lsu_onto.library.formatting import format_file
from lsu_onto.library.library import Library
from lsu_onto.reporting.findings import FORMATS

ROOT = Path(__file__).parents[1]
PIECES = [
    "tax 1",
    "source a v1",
    "dataset b v1 -> a v1",
    "map b v1 -> a v1",
    "extends b v1",
    "title:",
    "encoding: rgb",
    "encoding: id16/1000",
    "\nvoid: 1..3",
    "splits: train val",
    "images: {split}/{stem}.png",
    "[a.b]",
    "@a.b",
    "@a",
    "0",
    "1..3",
    "65536",
    "-",
    "road",
    "car",
    "void",
    "any",
    "aka",
    '"x y"',
    '"',
    "=",
    "<",
    "\n>",
    "~",
    "!",
    "->",
    ",",
    "#804080",
    "#x",
    "# note",
    "# allow: TAX308",
    "\n",
    "\n  ",
    "\n  ~ ",
    "\r\n",
    "\t",
    "\xa0",
    "é",
    "\x00",
    "\u2028",
    "\U0001d538",
    "v1",
    "v1.2",
    "..",
    ".",
    "{",
    "}",
    "@",
    ":",
    "[",
    "]",
]
SLOW = 1.0


def corpus() -> list[str]:
    files = [*(ROOT / "tests" / "tax").rglob("*.tax"), *(ROOT / "taxonomies").rglob("*.tax")]
    texts = [p.read_bytes().decode() for p in sorted(files)]
    return [t for t in texts if len(t) < 1500]


def mutate(text: str, pool: list[str], rng: random.Random) -> str:
    """One to four changes: cut, insert, repeat or swap lines, or splice two files."""
    for _ in range(rng.randint(1, 4)):
        a = rng.randint(0, len(text))
        b = min(len(text), a + rng.randint(0, 20))
        what = rng.random()
        if what < 0.5:
            text = text[:a] + rng.choice(PIECES) + text[b:]
        elif what < 0.6:
            text = text[:a] + chr(rng.choice([rng.randint(0, 127), rng.randint(128, 0xD7FF)])) + text[b:]
        elif what < 0.7:
            text = text[:a] + text[b:]
        elif what < 0.9:
            lines = text.split("\n")
            i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[i] = rng.choice([lines[j], lines[j] * 2, lines[j].strip() + " " + rng.choice(PIECES)])
            text = "\n".join(lines)
        else:
            other = rng.choice(pool)
            text = text[:a] + other[rng.randint(0, len(other)) :]
    return text[:2000]


def examine(library: Library, text: str, closely: bool) -> str | None:
    """What is wrong with the program on this input."""
    path = "fuzz.tax"
    library.forget(path)
    began = time.process_time()
    found = library.check(path, text).diagnostics
    for write in FORMATS.values() if closely else (FORMATS["full"],):
        write(found, library.texts, True)
    once = format_file(library, path, text) if closely else ""
    took = time.process_time() - began
    if took > SLOW:
        return f"took {took:.2f} s"
    if not closely:
        return None
    library.forget(path)
    if format_file(library, path, once) != once:
        return "fmt is not idempotent"
    return None


@click.command()
@click.option("--inputs", default=10_000, show_default=True, help="How many.")
@click.option("--seed", default=0, show_default=True)
def main(inputs: int, seed: int) -> None:
    """Feed the language mutated files (see the module's text)."""
    rng, pool, library = random.Random(seed), corpus(), Library()
    bad, slowest = 0, 0.0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("inputs", total=inputs)
        for n in range(inputs):
            text = mutate(rng.choice(pool), pool, rng)
            began = time.process_time()
            try:
                problem = examine(library, text, closely=n % 8 == 0)
            except Exception:
                problem = traceback.format_exc()
            slowest = max(slowest, time.process_time() - began)
            if problem:
                bad += 1
                folder = ROOT / "work" / "fuzz"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{seed}-{n}.tax").write_bytes(text.encode("utf-8", "surrogatepass"))
                (folder / f"{seed}-{n}.txt").write_text(problem)
                click.echo(f"input {n}: {problem.strip().splitlines()[-1]}")
            if n % 1000 == 999:
                progress.update(task, completed=n + 1)
                if not sys.stderr.isatty() and n % 50_000 == 49_999:
                    click.echo(f"{n + 1} inputs, {bad} bad, slowest {slowest:.2f} s")
    click.echo(f"{inputs} inputs, {bad} bad, slowest {slowest:.2f} s")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
