"""Proves the GPU path on a machine with a GPU, in six minutes at most: what must be equal is equal, and how fast it is.

    make gpu-bundle                    gathers wheels in .gpu-bundle/, for a machine without network
    python3 tools/gpu_check.py         on the machine: a copy of the checkout, .gpu-bundle/ or everything installed
    python3 tools/gpu_check.py --tune  also measures the kernel's knobs, for OUT/knobs.json
    python3 tools/gpu_check.py --cpu   anywhere: every step at reduced size, the kernel in Triton's interpreter

Each step runs in a process of its own and writes its figures at once, so that neither a crash nor the end of the time
takes any of them away. OUT/gpu_check.json has everything, OUT/gpu_check.md is the table for docs/benchmarks.md, and
OUT/gpu_check.log is what the steps printed.

Exit code 0: all steps ran, and what must be equal was. 1: something differed or failed. 2: the check cannot run here.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / ".gpu-bundle"
OUT = ROOT / "work" / "gpu_check"


class Step(NamedTuple):
    """A module of `gpu_steps`: what it is about, and the seconds that it may take on a GPU."""

    about: str
    seconds: float


STEPS = {
    "machine": Step("the machine", 15),
    "equality": Step("the kernel against the reference", 80),
    "bandwidth": Step("decoding against the memory's speed", 35),
    "tune": Step("the kernel's knobs", 60),
    "memory": Step("a large image, and running out of memory", 40),
    "labelling": Step("files to pseudo-labels against the bare model", 100),
    "ensemble": Step("several teachers", 25),
    "computing": Step("precisions, channels last, and compiled networks", 60),
    "training": Step("a training step", 30),
    "suite": Step("the tests that a GPU changes", 60),
}
PROBE = "import torch, triton, cv2, numba, pytest, hypothesis, transformers, mmseg, lsu_seg.cli"
PROBE += "; print(torch.cuda.is_available())"
"""Imports what the steps need, and prints whether there is a GPU."""
PER_STEP = 12
"""Seconds for a step's start and end, beside its own, before it is ended."""


def main() -> int:
    args = _arguments()
    if args.step:
        return _run_step(args.step, args.rows, args.out, args.device, args.seconds)
    if unknown := [name for name in args.only if name not in STEPS]:
        print(f"there is no step `{unknown[0]}`; the steps are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    steps = {name: step for name, step in STEPS.items() if name in (args.only or STEPS)}
    if not args.tune and "tune" not in args.only:
        steps.pop("tune", None)
    scale = min(1.0, args.seconds / sum(step.seconds for step in steps.values()))
    steps = {name: step._replace(seconds=scale * step.seconds) for name, step in steps.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
        try:
            environment = _environment(Path(scratch), args.cpu)
        except _CannotRunError as e:
            print(e, file=sys.stderr)
            return 2
        try:
            return _run_all(steps, args, environment, Path(scratch))
        except KeyboardInterrupt:
            print(f"\ninterrupted; what was measured is in {args.out}", file=sys.stderr)
            return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="without a GPU, at reduced size")
    parser.add_argument("--tune", action="store_true", help="also measure the kernel's knobs")
    parser.add_argument(
        "--out", type=Path, default=OUT, metavar="FOLDER", help="for the results  [default: %(default)s]"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="STEP", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--seconds", type=float, default=360, help="for everything  [default: %(default)s]")
    for hidden in ("--step", "--device"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


# --- what the steps run with ---------------------------------------------------------------------------------


class _CannotRunError(Exception):
    """The message says what to do."""


def _environment(scratch: Path, cpu: bool) -> dict[str, str]:
    """The variables of a step's process: where it finds the packages, and the interpreter where there is no GPU."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if cpu:
        environment |= {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    paths = [str(ROOT / "tools"), str(ROOT / "tests"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    done = _probe(environment)
    wheels = sorted(BUNDLE.glob("*.whl"))
    if done.returncode and wheels:
        _check_ours(wheels)
        site = scratch / "site"
        print(f"installing {len(wheels)} wheels", flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        installed = subprocess.run([*pip, "--target", str(site), *map(str, wheels)], capture_output=True, text=True)
        if installed.returncode:
            raise _CannotRunError(f"the wheels of {BUNDLE.name} cannot be installed here:\n{installed.stderr.strip()}")
        environment["PYTHONPATH"] = os.pathsep.join([*paths, str(site)])
        done = _probe(environment)
    if done.returncode:
        raise _CannotRunError(
            f"{done.stderr.strip().splitlines()[-1]}: install lsu-toolkit with [seg,hf,dev] here, or put the wheels of"
            f" `make gpu-bundle` into {BUNDLE} (with `--there` where the machine has less than most)"
        )
    if not cpu and done.stdout.strip() != "True":
        raise _CannotRunError("torch sees no GPU here; `--cpu` runs the same steps at reduced size")
    return environment


def _probe(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True)


def _check_ours(wheels: list[Path]) -> None:
    """Refuse a bundle that was gathered from other code than the checkout's."""
    ours = next((wheel for wheel in wheels if wheel.name.startswith("lsu_toolkit-")), None)
    if ours is None:
        raise _CannotRunError(f"{BUNDLE} has no wheel of lsu-toolkit: gather it anew with `make gpu-bundle`")
    with zipfile.ZipFile(ours) as archive:
        for name in archive.namelist():
            file = ROOT / name
            ours_too = name.startswith(("lsu_onto/", "lsu_seg/")) and not name.startswith("lsu_onto/taxonomies/")
            if ours_too and (not file.exists() or file.read_bytes() != archive.read(name)):
                raise _CannotRunError(f"{ours.name} has another {name} than this checkout: run `make gpu-bundle` again")


# --- the steps ---------------------------------------------------------------------------------------------


def _run_step(name: str, rows: Path, out: Path, device: str, seconds: float) -> int:
    from gpu_steps.rows import Size, writer

    step: Any = importlib.import_module(f"gpu_steps.{name}")
    size = Size(device, seconds)
    step.run(size, writer(rows, size), *([out] if name == "tune" else []))
    return 0


def _run_all(steps: dict[str, Step], args: argparse.Namespace, environment: dict[str, str], scratch: Path) -> int:
    began = time.monotonic()
    results: dict[str, dict[str, Any]] = {}
    with (args.out / "gpu_check.log").open("w", encoding="utf-8") as log:
        for i, (name, step) in enumerate(steps.items(), 1):
            left = args.seconds - (time.monotonic() - began)
            rows = scratch / f"{name}.jsonl"
            print(f"{i}/{len(steps)} {name}: {step.about}, at most {min(step.seconds, left):.0f} s", flush=True)
            command = [sys.executable, __file__, "--step", name, "--rows", str(rows), "--out", str(args.out)]
            own = max(1.0, min(step.seconds, left - PER_STEP))
            command += ["--device", "cpu" if args.cpu else "cuda", "--seconds", str(own)]
            log.write(f"\n===== {name}\n")
            log.flush()
            start = time.monotonic()
            said = _Said(rows)
            problem = "the time was up" if left < PER_STEP else _process(command, environment, log, step, left, said)
            results[name] = {
                "about": step.about,
                "seconds": round(time.monotonic() - start, 1),
                "problem": problem,
                "rows": _read(rows),
            }
            said.rows()
            if problem:
                print(f"    FAILED: {problem}", flush=True)
            _write(args.out, results, time.monotonic() - began)
    rows_ = [row for result in results.values() for row in result["rows"]]
    differing = sum(row["equal"] is False for row in rows_)
    failed = [name for name, result in results.items() if result["problem"]]
    held = sum(row["equal"] is True for row in rows_)
    print(f"{held} equalities held, {differing} did not; {_list('step', failed)} failed; {args.out / 'gpu_check.md'}")
    return int(bool(differing or failed))


def _list(what: str, names: list[str]) -> str:
    return f"{what} {', '.join(names)}" if names else f"no {what}"


def _process(command: list[str], environment: dict[str, str], log: Any, step: Step, left: float, said: _Said) -> str:
    """Run a step; returns what went wrong, or ""."""
    limit = min(step.seconds + PER_STEP, left)
    end = time.monotonic() + limit
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        while process.poll() is None:
            if time.monotonic() > end:
                return f"not done after {limit:.0f} s"
            said.rows()
            time.sleep(0.2)
    finally:
        with contextlib.suppress(ProcessLookupError):  # with all that it has started
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return f"ended with exit code {process.returncode}; see gpu_check.log" if process.returncode else ""


def _read(file: Path) -> list[dict[str, Any]]:
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


class _Said:
    """Prints the rows of a step as they come, and in between how long it has taken."""

    def __init__(self, file: Path) -> None:
        self._file, self._done, self._began, self._last = file, 0, time.monotonic(), time.monotonic()

    def rows(self) -> None:
        rows, now = _read(self._file), time.monotonic()
        for row in rows[self._done :]:
            print(f"    {' | '.join(cell for cell in _cells(row) if cell)}", flush=True)
        if self._done < len(rows):
            self._done, self._last = len(rows), now
        elif now - self._last >= 10:
            self._last = now
            print(f"    … {now - self._began:.0f} s", flush=True)


# --- the results -------------------------------------------------------------------------------------------


def _write(out: Path, results: dict[str, dict[str, Any]], seconds: float) -> None:
    machine = {row["what"]: row["value"] for row in results.get("machine", {}).get("rows", ())}
    data = {"seconds": round(seconds, 1), "machine": machine, "checkout": _checkout(), "steps": results}
    _replace(out / "gpu_check.json", json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    lines = ["| what | measured | compared with | | ratio | aim | held |", "|---|---:|---|---:|---:|---|---|"]
    for name, result in results.items():
        for row in result["rows"]:
            lines.append(f"| {' | '.join(_cells(row))} |")
        if result["problem"]:
            lines.append(f"| **step {name}** | {result['problem']} |  |  |  |  | no |")
    _replace(out / "gpu_check.md", "\n".join(lines) + "\n")


def _cells(row: dict[str, Any]) -> list[str]:
    value = row["value"] if isinstance(row["value"], str) else f"{row['value']:.4g}"
    baseline = "" if row["baseline_value"] is None else f"{row['baseline_value']:.4g} {row['unit']}"
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g}"
    verdict = {True: "yes", False: "no", None: ""}[row["equal"] if row["equal"] is not None else _met(row)]
    cells = [row["what"], f"{value} {row['unit']}".strip(), row["baseline"], baseline, ratio, row["aim"], verdict]
    return [cell.replace("|", "\\|") for cell in cells]


def _met(row: dict[str, Any]) -> bool | None:
    """Whether the aim is met; None: there is none."""
    if not row["aim"] or row["ratio"] is None:
        return None
    sign, _, bound = row["aim"].partition(" ")
    return row["ratio"] >= float(bound) if sign == "≥" else row["ratio"] <= float(bound)


def _checkout() -> str:
    """The sha256 of the code that was checked: there may be no git on the machine, nor a history."""
    digest = hashlib.sha256()
    for folder in ("lsu_onto", "lsu_seg", "tools"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            digest.update(file.relative_to(ROOT).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _replace(file: Path, text: str) -> None:
    half = file.with_name(f".{file.name}")
    half.write_text(text, encoding="utf-8")
    half.replace(file)


if __name__ == "__main__":
    sys.exit(main())
