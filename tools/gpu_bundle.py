"""Gathers what `gpu_check.py` needs on a machine without network: the wheels that the machine lacks, ours among them.

    make gpu-bundle                              for a machine that has what THERE names
    make gpu-bundle ARGS="--there FREEZE.txt"    for one whose `pip list --format=freeze` is this file

The wheels are for Linux on x86-64 and Python 3.12 and have the versions of constraints.txt. They go to `.gpu-bundle/`,
which git ignores. What the machine has is not among them: torch, Triton, numpy, OpenCV and others.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Set
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from check_constraints import LINUX, PINS, PLATFORMS
from install import ROOT
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHON = "3.12"
BUNDLE = ROOT / ".gpu-bundle"
LIMIT = 60 * 2**20
"""Bytes that the bundle may have: with a checkout, it must fit into what a borrowed machine takes (64 MiB)."""

US = "lsu-toolkit"
NEEDED = [f"{US}[seg,hf]", "pytest", "pytest-xdist", "hypothesis"]
"""What `gpu_check.py` imports or runs."""

THERE = """
click contourpy cycler execnet filelock fonttools fsspec huggingface-hub hypothesis iniconfig jinja2 kiwisolver llvmlite
markdown-it-py markupsafe matplotlib mdurl mpmath networkx numba numpy opencv-python-headless packaging pillow pluggy
pygments pyparsing pytest pytest-xdist python-dateutil pyyaml regex rich safetensors scipy setuptools shellingham six
sortedcontainers sympy tokenizers torch tqdm transformers triton typer typing-extensions
"""
"""What a bare machine for machine learning has: torch 2.11, Triton 3.6, transformers 5.17, numba, nothing of ours."""

SAME = {"opencv-python-headless": "opencv-python", "opencv-contrib-python": "opencv-python"}
"""Packages that are another one under another name; two of them in one environment break each other."""


def missing(needed: Iterable[str], there: Set[str]) -> list[str]:
    """The packages, by normalised name, that `needed` requires and that are not there.

    What a package requires is read from the one installed here: the pins are the same.

    Raises:
        PackageNotFoundError: a package that is required on the other machine is not installed here.
    """
    environment = {**default_environment(), **LINUX, "python_version": PYTHON, "python_full_version": f"{PYTHON}.9"}
    seen: set[tuple[str, str]] = set()
    todo = [(name, extra) for need in needed for name, extra in _with_extras(Requirement(need))]
    while todo:
        if todo[-1] in seen:
            todo.pop()
            continue
        name, extra = todo.pop()
        if name in there:
            continue
        seen.add((name, extra))
        for requirement in map(Requirement, distribution(name).requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({**environment, "extra": extra}):
                todo += _with_extras(requirement)
    return sorted({name for name, _ in seen})


def _with_extras(requirement: Requirement) -> list[tuple[str, str]]:
    return [(canonicalize_name(requirement.name), extra) for extra in ("", *requirement.extras)]


def packages(text: str) -> set[str]:
    """The normalised names in the lines of `pip list --format=freeze`, or in a list of names."""
    names = {canonicalize_name(word.partition("==")[0]) for word in text.split()}
    return names | {SAME[name] for name in names if name in SAME}


def gather(names: Iterable[str], folder: Path) -> None:
    """Put the pinned wheels of `names`, and ours, into an existing folder.

    Wheels for every machine are built where their author publishes none; the others are downloaded.

    Raises:
        CalledProcessError: pip finds no such wheel, or cannot reach PyPI.
    """
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    pins = {_name(pin): pin for pin in PINS.read_text(encoding="utf-8").split("\n") if pin and not pin.startswith("#")}
    pure = {name for name in names if name == US or "py3-none-any" in (distribution(name).read_text("WHEEL") or "")}
    platforms = ["--python-version", PYTHON, *(f"--platform={p}" for p in PLATFORMS)]
    compiled = [pins[name] for name in names if name not in pure]
    subprocess.run(
        [*pip, "download", "--no-deps", "--only-binary=:all:", *platforms, "--dest", str(folder), *compiled], check=True
    )
    anywhere = [str(ROOT) if name == US else pins[name] for name in names if name in pure]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), *anywhere], check=True)


def _name(pin: str) -> str:
    return canonicalize_name(Requirement(pin).name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--there", type=Path, metavar="FILE", help="what the machine has: its `pip list --format=freeze`"
    )
    args = parser.parse_args()
    try:
        there = packages(args.there.read_text(encoding="utf-8") if args.there else THERE)
    except OSError as e:
        print(f"{args.there}: {e.strerror}; write there what `pip list --format=freeze` prints on the machine")
        return 2
    for name in ("torch", "triton", "numpy"):
        if name not in there:
            print(f"{args.there} has no {name}: the check needs a machine with torch's CUDA build, which brings it")
            return 2
    try:
        names = missing(NEEDED, there)
    except PackageNotFoundError as e:
        print(f"{e.name} is not installed here, so that what it needs is not known: run `make install`")
        return 1
    print(f"gathering {len(names)} wheels", flush=True)
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".gpu-bundle-") as name:
        folder = Path(name)
        try:
            gather(names, folder)
        except subprocess.CalledProcessError as e:
            print(f"pip {e.cmd[5]} ended with exit code {e.returncode}; what it printed is above")
            return 1
        wheels = sorted(folder.glob("*.whl"))
        sizes = {wheel.name: wheel.stat().st_size for wheel in wheels}
        for wheel_name, size in sizes.items():
            print(f"{size / 2**20:6.1f} MiB  {wheel_name}")
        total = sum(sizes.values())
        print(f"{total / 2**20:6.1f} MiB  in {len(wheels)} wheels")
        if total > LIMIT:
            print(f"more than the {LIMIT / 2**20:.0f} MiB that a bundle may have: put the largest on the machine first")
            return 1
        shutil.rmtree(BUNDLE, ignore_errors=True)
        BUNDLE.mkdir()
        for wheel in wheels:
            wheel.replace(BUNDLE / wheel.name)
    where = BUNDLE.relative_to(ROOT)
    print(f"{where}/ is ready: copy it with the checkout, and run `python3 tools/gpu_check.py` there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
