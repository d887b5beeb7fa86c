"""The chosen part of the suite on other stacks: Pythons that pyproject.toml names, and the OpenMMLab originals.

    make test-stacks                        # every stack
    make test-stacks ARGS="python3.13"      # one of them
    make test-stacks ARGS="--list"          # what there is, and which Python each would take

Each stack is a virtual environment in `work/stacks`, which is kept and used again until its requirements change. A
table is printed, and written to `work/stacks/stacks.md` and `stacks.json`. Exit code 1: tests fail in a stack, or it
cannot be installed; 2: nothing was run; 0: all that could be run passes. A stack whose Python is not on this machine
is named in the table and is no failure, unless it was asked for by name.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "work/stacks"
EXTRA_TOOLS = ("pytest", "pytest-xdist", "hypothesis", "scipy", "scikit-learn", "pyarrow", "rdflib")
"""What the chosen tests need besides the extras of a stack."""

LANGUAGE = (
    *("tests/onto/lang", "tests/onto/ontology", "tests/onto/library", "tests/onto/constraint", "tests/onto/exchange"),
    *("tests/onto/commands", "tests/onto/lsp", "tests/onto/raster", "tests/onto/test_files.py"),
)
NETWORKS = (
    # `decode` before `models`, as pytest orders them itself: its tests prepare Triton before anybody imports it.
    *("tests/seg/data", "tests/seg/decode", "tests/seg/label_files", "tests/seg/losses", "tests/seg/models"),
    *("tests/seg/openmmlab", "tests/seg/scan", "tests/seg/targets"),
    *("tests/seg/pseudo/test_pipeline.py", "tests/seg/training/test_training.py", "tests/seg/training/test_hooks.py"),
    *("tests/seg/evaluation/test_evaluation.py", "tests/seg/unify/test_unify.py"),
)
SHOWN = ("numpy", "torch", "onedl-mmengine", "onedl-mmcv", "onedl-mmsegmentation")
ORIGINALS = ("numpy", "torch", "mmengine", "mmcv-lite", "mmsegmentation")


class Stack(NamedTuple):
    """One column of the matrix.

    Attributes:
        python: as in `python3.12`. extras: of pyproject.toml. shown: packages whose versions the table has.
        options: of pytest.
    """

    python: str
    extras: tuple[str, ...]
    tests: tuple[str, ...]
    shown: tuple[str, ...] = SHOWN
    options: tuple[str, ...] = ()


FORKS = ("seg", "hf", "render", "lsp")
STACKS = {
    "python3.11": Stack("3.11", FORKS, (*LANGUAGE, *NETWORKS)),
    "python3.12": Stack("3.12", FORKS, (*LANGUAGE, *NETWORKS)),
    "python3.13": Stack("3.13", FORKS, (*LANGUAGE, *NETWORKS)),
    "openmmlab": Stack("3.11", ("seg-openmmlab", "hf", "render", "lsp"), NETWORKS, ORIGINALS, ("-W", "default")),
    # The originals warn of themselves, and in the tests a warning is an error.
}


class Result(NamedTuple):
    """What became of a stack. `problem` is the line that says why there are no counts, or what failed first."""

    stack: str
    python: str = ""
    versions: Mapping[str, str] = {}
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: int = 0
    problem: str = ""
    failures: Sequence[str] = ()
    outcome: str = "passed"
    """One of `passed`, `failed`, `not installed`, and `no Python`."""


# --- what a stack is made of -------------------------------------------------------------------------------


def find_python(version: str) -> Path | None:
    """The interpreter of a version ("3.12"): this one, on PATH, where uv has put it, or where pyenv has."""
    if "{}.{}".format(*sys.version_info[:2]) == version:
        return Path(getattr(sys, "_base_executable", sys.executable))
    candidates = [shutil.which(f"python{version}")]
    if shutil.which("uv"):
        done = subprocess.run(
            ["uv", "python", "find", "--no-python-downloads", version], capture_output=True, text=True, cwd="/"
        )
        candidates.append(done.stdout.strip() if done.returncode == 0 else None)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    patches = sorted(pyenv.glob(f"{version}.*"), key=lambda p: [int(n) for n in re.findall(r"\d+", p.name)])
    candidates += [str(folder / "bin/python") for folder in reversed(patches)]
    for candidate in filter(None, candidates):
        if _version(Path(candidate)) == version:  # a shim of pyenv is on PATH even where its version is not in use
            return Path(candidate)
    return None


def _version(python: Path) -> str:
    ask = "import sys; print('{}.{}'.format(*sys.version_info[:2]))"
    try:
        return subprocess.run([str(python), "-c", ask], capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def pins_for(extras: Iterable[str], project: Mapping[str, Any], pins: str) -> list[str]:
    """The lines of constraints.txt that these extras allow: the originals want an older setuptools than the others."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    optional = project["optional-dependencies"]
    needs = [Requirement(text) for extra in extras for text in optional[extra]] + [
        Requirement(text) for text in project["dependencies"]
    ]
    kept = []
    for line in pins.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pin = Requirement(line)
        (version,) = (s.version for s in pin.specifier)
        name = canonicalize_name(pin.name)
        if all(n.specifier.contains(version) for n in needs if canonicalize_name(n.name) == name):
            kept.append(line)
    return kept


# --- one stack ---------------------------------------------------------------------------------------------


def run_stack(name: str, stack: Stack, work: Path, pytest_options: Sequence[str] = ()) -> Result:
    python = find_python(stack.python)
    if python is None:
        line = f"there is no python{stack.python} on PATH, nor does uv or pyenv know one"
        return Result(name, problem=line, outcome="no Python")
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    problem = install(stack, python, folder)
    bin_ = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    if problem:
        return Result(name, problem=problem, outcome="not installed", seconds=round(time.monotonic() - start))
    found = json.loads(_output([bin_ / "python", "-c", VERSIONS, *stack.shown]))
    result = Result(name, found.pop("python"), found)
    # Where this says "problem", the toolkit refuses to work, and the tests' first errors would be obscure.
    doctor = subprocess.run([bin_ / "lsu-onto", "doctor"], capture_output=True, text=True, cwd=folder)
    if doctor.returncode:
        lines = [line.strip() for line in (doctor.stdout + doctor.stderr).splitlines() if line.strip()]
        line = next((x for x in lines if "problem" in x.lower()), lines[-1] if lines else "")
        return result._replace(problem=f"lsu-onto doctor: {line}", outcome="not installed")
    report, log = folder / "tests.xml", folder / "tests.log"
    report.unlink(missing_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for variable in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(variable, None)
    command = [bin_ / "python", "-m", "pytest", "-n", "auto", "--maxprocesses", "2", "--dist", "loadfile"]
    command += ["-p", "no:cacheprovider", f"--junitxml={report}", *stack.options, *pytest_options]
    command += stack.tests
    with log.open("w") as out:
        code = subprocess.call([str(word) for word in command], cwd=ROOT, env=environment, stdout=out, stderr=out)
    result = result._replace(seconds=round(time.monotonic() - start))
    if not report.exists():
        last = (log.read_text().strip().splitlines() or [""])[-1]
        return result._replace(problem=f"pytest ended with {code}: {last}; see {log}", outcome="failed")
    result = with_counts(result, report.read_text(encoding="utf-8"))
    if code and result.outcome == "passed":  # interrupted, or broken off by an error of its own
        result = result._replace(problem=f"pytest ended with {code}; see {log}", outcome="failed")
    return result


VERSIONS = """
import json, platform, sys
from importlib.metadata import PackageNotFoundError, version
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try: found[name] = version(name)
    except PackageNotFoundError: found[name] = ""
print(json.dumps(found))
"""


def install(stack: Stack, python: Path, folder: Path) -> str:
    """Make the environment, or mend it, or leave it; what kept it from that, in one line."""
    venv, stamp = folder / "venv", folder / "installed"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = "\n".join(pins_for(stack.extras, project, (ROOT / "constraints.txt").read_text(encoding="utf-8")))
    digest = hashlib.sha256(repr((stack.extras, EXTRA_TOOLS, project, pins)).encode()).hexdigest()
    wanted = [str(python), str(ROOT), digest]
    have = stamp.read_text(encoding="utf-8").splitlines() if stamp.exists() else []
    if have == wanted:
        return ""
    stamp.unlink(missing_ok=True)
    if have[:2] != wanted[:2]:  # of another Python or checkout, or broken off
        shutil.rmtree(venv, ignore_errors=True)
    (folder / "constraints.txt").write_text(pins + "\n", encoding="utf-8")
    print(f"  installing {', '.join(stack.extras)} for {python}", flush=True)
    new = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [new, "-m", "pip", "install", "--quiet", "--no-compile", "--constraint", folder / "constraints.txt"]
    what = ["--editable", f"{ROOT}[{','.join(stack.extras)}]", *EXTRA_TOOLS]
    make = [] if new.exists() else [[python, "-m", "venv", venv], [*pip, "pip"]]
    for command in (*make, [*pip, *what]):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        (folder / "install.log").write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode:
            return refusal(done.stdout + done.stderr) + f"; see {folder / 'install.log'}"
    stamp.write_text("\n".join(wanted), encoding="utf-8")
    return ""


def refusal(output: str) -> str:
    """The line of pip's output that says why."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines[-1:] or ["pip says nothing"])[0]


def with_counts(result: Result, report: str) -> Result:
    """What a report of pytest's, in JUnit's XML, adds to a result."""
    root = ElementTree.fromstring(report)
    suites = list(root.iter("testsuite"))
    total = {key: sum(int(s.get(key, 0)) for s in suites) for key in ("tests", "failures", "errors", "skipped")}
    failures, first = [], ""
    for case in root.iter("testcase"):
        node = next((n for n in case if n.tag in ("failure", "error")), None)
        if node is not None:
            failures.append(f"{case.get('classname', '')}::{case.get('name', '')}")
            first = first or f"{failures[0]}: {node.get('message') or ''}".partition("\n")[0]
    failed = total["failures"] + total["errors"]
    passed = total["tests"] - failed - total["skipped"]
    if not failed and not passed:
        first = "no test was run"
    return result._replace(
        passed=passed,
        failed=failed,
        skipped=total["skipped"],
        problem=first,
        failures=failures,
        outcome="failed" if first else "passed",
    )


def _output(command: Sequence[object]) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


# --- the table ---------------------------------------------------------------------------------------------


def table(results: Iterable[Result]) -> str:
    """In Markdown, with cells of one width."""
    head = ("stack", "Python", "versions", "passed", "failed", "skipped", "seconds", "what is wrong")
    rows = [head, *(_cells(r) for r in results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def _cells(r: Result) -> tuple[str, ...]:
    versions = ", ".join(f"{name} {version}" for name, version in r.versions.items() if version)
    counts = ("", "", "") if r.outcome in ("not installed", "no Python") else (r.passed, r.failed, r.skipped)
    problem = r.problem.replace("|", "\\|").replace("\n", " ")
    if r.outcome in ("not installed", "no Python"):
        problem = f"{r.outcome}: {problem}"
    return (r.stack, r.python, versions, *map(str, counts), str(r.seconds or ""), problem)


def exit_code(results: Sequence[Result], named: Iterable[str]) -> int:
    """See the top of this file. named: the stacks that were asked for by name."""
    named = set(named)
    bad = [r for r in results if r.outcome in ("failed", "not installed")]
    if bad or any(r.outcome == "no Python" and r.stack in named for r in results):
        return 1
    return 0 if any(r.outcome == "passed" for r in results) else 2


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a part of the suite on other stacks.")
    parser.add_argument("stacks", nargs="*", metavar="STACK", help=f"one or more of {', '.join(STACKS)}; default: all")
    parser.add_argument("--list", action="store_true", help="only say which Python each stack would take")
    parser.add_argument("--work", type=Path, default=WORK, help="where the environments are kept")
    parser.add_argument("--pytest", default="", help="more options of pytest in one string, as in --pytest=-x")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.stacks if name not in STACKS]
    if unknown:
        print(f"error: there is no stack `{unknown[0]}`; the stacks are {', '.join(STACKS)}", file=sys.stderr)
        return 2
    chosen = arguments.stacks or list(STACKS)
    if arguments.list:
        for name in chosen:
            print(f"{name:12} {find_python(STACKS[name].python) or 'no such Python on this machine'}")
        return 0
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = []
    for name in chosen:
        print(f"{name} …", flush=True)
        results.append(run_stack(name, STACKS[name], arguments.work.resolve(), shlex.split(arguments.pytest)))
        print(f"  {results[-1].outcome} {results[-1].problem}", flush=True)
        data = {"machine": platform.platform(), "stacks": [r._asdict() for r in results]}
        (arguments.work / "stacks.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    text = table(results)
    (arguments.work / "stacks.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{arguments.work / 'stacks.json'}")
    return exit_code(results, arguments.stacks)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
