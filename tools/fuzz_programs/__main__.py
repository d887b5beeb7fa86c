"""Calls a program as users do, with files, values, streams and variables that are wrong, and keeps what should not be.

    python tools/fuzz_programs lsu_onto --seed 1 --calls 3000 WORK
    python tools/fuzz_programs lsu_seg --seed 1 --calls 500 WORK
    python tools/fuzz_programs lsu_onto --seed 1 --only 17 WORK    # one call again, with all that it says

A find is a traceback, a warning with a line of code, an end by a signal or with a code that is not documented, no
end, a refusal without a word, a file that a refused command wrote, an output that its own format does not accept, or
a taxonomy that another command changed. Each goes to WORK/finds.jsonl once; what a call does follows from the seed
and its number alone. WORK/world is the world before the calls, made once, and WORK/NUMBER that of `--only`. Needs
Linux, two cores, and for `lsu_seg` some GB of memory.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import json
import os
import pkgutil
import shlex
import shutil
import sys
import time
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["LSU_TRACEBACK"] = "1"
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
import calls
import judge
import process
import world

ANEW = {"lsu_onto": 0.15, "lsu_seg": 0.04}
"""The share of calls in a new interpreter."""
LIMIT = {"lsu_onto": 60.0, "lsu_seg": 120.0}
AT_ONCE = 2
_SEG = [
    "openmmlab.components",
    "pseudo.run",
    "pseudo.loop",
    "training.run",
    "evaluation.run",
    "data.compound",
    "decode",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("program", choices=["lsu_onto", "lsu_seg"])
    parser.add_argument("work", type=Path, metavar="WORK", help="a folder of this program's runs")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--calls", type=int, default=1000, metavar="N")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="only this call; says what it did")
    options = parser.parse_args()
    run = Run(options.program, options.work.absolute(), options.seed)
    if options.only is not None:
        run.once(options.only)
        return
    found = run.all(options.calls)
    print(f"{options.calls} calls, {found} kinds of finds in {run.work / 'finds.jsonl'}")
    sys.exit(bool(found))


class Run:
    """The calls of a seed."""

    def __init__(self, program: str, work: Path, seed: int) -> None:
        self.program, self.work, self.seed = program, work, seed
        self.seen: set[tuple[str, str]] = set()
        work.mkdir(parents=True, exist_ok=True)
        self._lock = (work / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(f"error: another run works in {work}; give another folder") from None
        _import(program)
        self.main, self.lines = calls.commands(program)
        self.base = work / "world"
        if not (work / "made").exists():
            shutil.rmtree(self.base, ignore_errors=True)
            self.base.mkdir()
            world.make(self.base, program, self._must)
            (work / "made").touch()

    def all(self, number: int) -> int:
        """Make the calls; returns how many kinds of finds there are."""
        running: list[tuple[process.Process, world.Tree, int]] = []
        places = [self.work / f"slot{i}" for i in range(AT_ONCE)]
        following, began = 0, time.monotonic()
        while following < number or running:
            while following < number and len(running) < AT_ONCE:
                running.append((*self._start(following, places.pop()), following))
                following += 1
            for entry in running:
                if end := entry[0].ended():
                    self._judge(entry[0], end, entry[1], entry[2])
                    running.remove(entry)
                    places.append(entry[0].folder)
                    break
            else:
                time.sleep(0.02)
                continue
            if following % 500 == 0 and not len(running) % AT_ONCE:
                print(f"{following} calls, {time.monotonic() - began:.0f} s, {len(self.seen)} finds", flush=True)
        return len(self.seen)

    def once(self, number: int) -> None:
        running, before = self._start(number, self.work / str(number))
        while not (end := running.ended()):
            time.sleep(0.01)
        print(json.dumps(self._record(running, end, number), indent=1))
        sys.stdout.flush()
        sys.stdout.buffer.write(end.out + end.err)
        for find in judge.finds(running.call, end, running.folder, before):
            print("FIND", *find)

    def _start(self, number: int, folder: Path) -> tuple[process.Process, world.Tree]:
        rng = Random(f"{self.seed} {self.program} {number}")
        for log in ("out", "err"):
            folder.with_name(f"{folder.name}.{log}").unlink(missing_ok=True)
        call = calls.draw(self.main, self.lines, folder, self.base, rng)
        odd = call.env or call.streams != ("null", "file", "file")  # which an interpreter meets as it starts
        anew = rng.random() < ANEW[self.program] * (5 if odd else 0.5) and not call.endless  # may be interrupted early
        before = world.tree(folder)
        return process.Process(self.program, call, folder, anew, LIMIT[self.program]), before

    def _judge(self, running: process.Process, end: process.Ended, before: world.Tree, number: int) -> None:
        with (self.work / "calls.jsonl").open("a") as file:
            print(json.dumps([self.seed, number, end.code, round(end.seconds, 1), running.call.args[0]]), file=file)
        for find in judge.finds(running.call, end, running.folder, before):
            if find in self.seen:
                continue
            self.seen.add(find)
            record = {"kind": find[0], "key": find[1], **self._record(running, end, number)}
            with (self.work / "finds.jsonl").open("a") as file:
                print(json.dumps(record), file=file)
            print(f"{self.seed}/{number}: {find[0]}: {find[1]}", flush=True)

    def _record(self, running: process.Process, end: process.Ended, number: int) -> dict[str, Any]:
        call = running.call
        return {
            "seed": self.seed,
            "number": number,
            "line": shlex.join([process.NAMES[self.program], *call.args]),
            "env": call.env,
            "streams": call.streams,
            "changed": call.changed,
            "no_folder": call.no_folder,
            "code": end.code,
            "seconds": round(end.seconds, 1),
            "out": end.out.decode("utf-8", "backslashreplace")[-3000:],
            "err": end.err.decode("utf-8", "backslashreplace")[-6000:],
        }

    def _must(self, folder: Path, line: str) -> None:
        """Run a line that makes a part of the world."""
        if not line:
            _forked(folder)
            return
        args = shlex.split(line)
        running = process.Process(self.program, calls.Call(args, self.main), folder, False, 600)
        while not (end := running.ended()):
            time.sleep(0.01)
        if end.code:
            raise SystemExit(f"`{line}` has failed: {(end.out + end.err).decode()}")


def _forked(folder: Path) -> None:
    pid = os.fork()
    if not pid:
        try:
            world.weights(folder)
            os._exit(0)
        finally:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("the weights of the world cannot be made, see above")


def _import(program: str) -> None:
    """What calls need, in this thread alone: a process that forks must have no other."""
    main, _ = calls.commands(program)
    for name in main.list_commands(None):  # type: ignore[arg-type]
        main.get_command(None, name)  # type: ignore[arg-type]
    for module in (
        "numpy",
        "pydantic",
        "networkx",
        "PIL.Image",
        "rapidfuzz.process",
        "rapidfuzz.distance",
        "rich.console",
    ):
        import_module(module)
    import lsu_onto

    for each in pkgutil.walk_packages(lsu_onto.__path__, "lsu_onto."):
        if not each.name.endswith("__main__"):
            import_module(each.name)
    lsu_onto.load("demo_town")  # the grammar, too
    if program == "lsu_seg":
        for module in ("mmseg.models", *(f"lsu_seg.{name}" for name in _SEG)):
            import_module(module)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()
