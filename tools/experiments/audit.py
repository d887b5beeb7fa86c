"""The table of the audit: planted errors that it finds, and findings about maps without errors.

    PYTHONPATH=tools/experiments python -m audit_table.make … -o work/pools
    python tools/experiments/audit.py work/pools -o work/audit.jsonl --worlds 40
    python tools/experiments/audit.py work/pools -o work/audit.jsonl --table

Each world is a random map over a pool. What was done is kept in the output; a further call goes on after it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from audit_table.ontologies import draw_world
from audit_table.plants import confident_joint, file_plants, plants, ranked
from audit_table.pools import Pool

from lsu_seg.audit.judge import enough, examine, scored
from lsu_seg.audit.learnt import learnt
from lsu_seg.audit.rows import closed_rows
from lsu_seg.audit.verdicts import CHOSEN, Case, Settings, power_of

BINS = (0, 0.5, 0.8, 0.95, 1.01)
"""Of the stated power."""
FIRST = 100_000
"""Seeds below were looked at while the audit was written."""


def work(path: Path, seed: int) -> list[dict[str, Any]]:
    """Everything about one world."""
    pool = Pool.load(path)
    world = draw_world(pool, seed)
    settings = Settings()
    rng = np.random.default_rng([seed, 5])
    rows, k = world.allowed.shape[0], world.allowed.shape[1] - 1
    name = {"pool": path.stem, "seed": seed, "miou": round(pool.miou, 3)}
    start = time.perf_counter()
    findings, clean_cells, _ = examine(world.pixels, world.allowed, np.arange(rows), settings)
    truth = world.truth[:, :k]
    closed = closed_rows(world.allowed)
    notes = [
        f.kind
        for f in findings
        if not f.contradiction and not (f.kind == "never-chosen" and truth[f.rows[0], f.channels[0]] < CHOSEN)
    ]
    inside = world.allowed[:, :k] & closed[:, None]
    large = inside & (truth > 0.1)
    joint = confident_joint(world.pixels, world.allowed)
    case = Case(scored(world.pixels, world.allowed, enough(world.pixels), learnt()), learnt(), settings)
    power = power_of(case, np.maximum(truth, 1e-3))
    outside = ~world.allowed[:, :k] & closed[:, None]
    clean = {
        "contradictions": [f.kind for f in ranked(findings)],
        "notes": notes,
        "decidable": [int((clean_cells.decidable[large] <= truth[large]).sum()), int(large.sum())],
        "joint": sorted(np.round(joint[outside], 4).tolist())[-10:],
        "scores": sorted(np.round(clean_cells.score[outside], 3).tolist())[-10:],
        "seconds": round(time.perf_counter() - start, 1),
    }
    out = [name | {"kind": "clean"} | clean]
    for plant in plants(world, rng):
        findings, cells, _ = examine(plant.pixels, plant.allowed, plant.raw, settings)
        result = plant.judge(findings, cells)
        if plant.kind == "missing":
            d, c = result.pop("pair")
            result |= {
                "clean from": float(clean_cells.decidable[d, c]),
                "power": round(float(power[d, c]), 3),
                "joint": round(float(confident_joint(plant.pixels, plant.allowed)[d, c]), 4),
                "score": round(float(cells.score[d, c]), 3),
            }
        out.append(name | {"kind": plant.kind} | result)
    out += [name | {"kind": kind} | result for kind, result in file_plants(world, rng, settings)]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pools", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON lines")
    parser.add_argument("--worlds", type=int, default=40, help="per pool")
    parser.add_argument("--first", type=int, default=FIRST, help="seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    args = parser.parse_args()
    lines = [json.loads(x) for x in args.output.read_text().splitlines()] if args.output.is_file() else []
    if not args.table:
        done = {(x["pool"], x["seed"]) for x in lines}
        paths = sorted(args.pools.glob("*.npz"))
        todo = [(p, s) for s in range(args.first, args.first + args.worlds) for p in paths if (p.stem, s) not in done]
        start = time.monotonic()
        args.output.parent.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(args.jobs) as workers, args.output.open("a", encoding="utf-8") as file:
            futures = [workers.submit(work, p, s) for p, s in todo]
            for i, future in enumerate(as_completed(futures), 1):
                rows = future.result()
                lines += rows
                file.write("".join(json.dumps(row) + "\n" for row in rows))
                file.flush()
                left = (time.monotonic() - start) / i * (len(todo) - i)
                print(f"{i} of {len(todo)} worlds, {left / 60:.0f} min left", file=sys.stderr, flush=True)
    print("\n".join(table(lines)))


def table(lines: list[dict[str, Any]]) -> Iterator[str]:
    """The results as Markdown."""
    pools = sorted({x["pool"] for x in lines}, key=lambda p: (p.split("-")[0], -_miou(lines, p)))
    yield "| | " + " | ".join(f"{p} ({_miou(lines, p):.2f})" for p in pools) + " | all | plants |"
    yield "|---" * (len(pools) + 3) + "|"

    def row(title: str, kind: str, value: Any, keep: Any = lambda x: True) -> str:
        of = [x for x in lines if x["kind"] == kind and keep(x)]
        parts = [[value(x) for x in of if x["pool"] == p] for p in pools]
        values = [f"{np.mean(part):.2f}" if part else "-" for part in parts]
        every = f"{np.mean([value(x) for x in of]):.2f}" if of else "-"
        return f"| {title} | {' | '.join(values)} | {every} | {len(of)} |"

    yield row("false contradictions per clean map", "clean", lambda x: len(x["contradictions"]))
    yield row("false notes per clean map", "clean", lambda x: len(x["notes"]))
    for kind in ("exchanged", "slipped by one", "trainIds", "permuted"):
        yield row(f"{kind}: first", kind, lambda x: x["first"])
        yield row(f"{kind}: exact proposal", kind, lambda x: x["exact"])
    yield row("two files exchanged: first", "two files", lambda x: x["first"])
    yield row("two files exchanged: reported", "two files", lambda x: x["reported"])
    yield row("list shuffled", "shuffled list", lambda x: x["found"])
    yield row("wrong row in the first three", "wrong row", lambda x: x["in three"])
    yield row("class missing (over 10 % of d)", "missing", lambda x: x["found"])
    yield row("… where decidable", "missing", lambda x: x["found"], lambda x: x["share"] >= x["from"])
    yield row(
        "… where the right map's audit says decidable",
        "missing",
        lambda x: x["found"],
        lambda x: x["share"] >= x["clean from"],
    )
    for low, high in pairwise(BINS):
        of = [x for x in lines if x["kind"] == "missing" and low <= x["power"] < high]
        stated = f"{np.mean([x['power'] for x in of]):.2f}" if of else "-"
        title = f"… where the stated power is {low:.2f} to {min(high, 1):.2f} ({stated} on average)"
        yield row(title, "missing", lambda x: x["found"], lambda x, a=low, b=high: a <= x["power"] < b)
    yield row("decidable, of classes over 10 % of d", "clean", lambda x: x["decidable"][0] / max(x["decidable"][1], 1))
    yield row("superfluous class", "superfluous", lambda x: x["found"])
    yield row("void hides a class", "void hides", lambda x: x["found"])
    yield row("class is really void", "really void", lambda x: x["found"])
    for name, of_clean, of_plant in (("this audit", "scores", "score"), ("confident joint", "joint", "joint")):
        borders = {p: border([x[of_clean] for x in lines if x["kind"] == "clean" and x["pool"] == p]) for p in pools}
        yield row(
            f"class missing, at 0.5 false alarms: {name}",
            "missing",
            lambda x, key=of_plant, at=borders: x[key] > at[x["pool"]],
        )


def border(values: list[list[float]], false: float = 0.5) -> float:
    """The score above which there are so many false alarms per clean map."""
    joined = np.sort(np.concatenate([np.nan_to_num(v, nan=-99) for v in values]))[::-1] if values else np.zeros(1)
    return float(joined[min(int(false * len(values)), len(joined) - 1)])


def _miou(lines: list[dict[str, Any]], pool: str) -> float:
    return float(next(x["miou"] for x in lines if x["pool"] == pool))


if __name__ == "__main__":
    main()
