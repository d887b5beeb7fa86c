"""The tests of `tests/` that a GPU changes: those whose models, evidence or losses are on it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from gpu_steps.rows import Add, Row, Size

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("decode", "losses", "models", "teachers", "pseudo", "training", "evaluation")
ONE = "tests/seg/decode/test_decode_cuda.py::test_a_gpu_gets_it"


def run(size: Size, add: Add) -> None:
    where = size.of([f"tests/seg/{room}" for room in ROOMS], [ONE])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={scratch}/tests"]
        command += ["--tb=short", "-rfE", "-vv"]
        if size.full:
            # Each process has its own context on the GPU.
            # Warnings that only a GPU causes are not what is asked.
            command += ["-W", "default", "-n", str(min(8, os.cpu_count() or 1)), "--dist", "loadfile", "--maxfail=40"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                [*command, *where],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=size.seconds,
            )
            output, code = done.stdout + done.stderr, done.returncode
        except subprocess.TimeoutExpired as e:
            output, code = _text(e.stdout) + _text(e.stderr), -1
    print(output, flush=True)
    last = next((line for line in reversed(output.split("\n")) if re.search(r"\d+ (passed|failed|error)", line)), "")
    summary = last.strip("= ") or ("not done in time" if code == -1 else f"pytest ended with exit code {code}")
    add(Row(f"tests of {', '.join(ROOMS) if size.full else ONE}", summary, equal=code == 0))
    failed = dict.fromkeys(re.findall(r"\b(?:FAILED|ERROR)\s+(tests/\S+)", output))  # also of a run that was ended
    for test in list(failed)[:40]:
        add(Row("", f"failed: {test}"))


def _text(output: bytes | str | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
