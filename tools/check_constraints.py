"""Whether what `make` installs can be had from PyPI: constraints.txt against the metadata that PyPI serves.

Packages that lie on this machine (pip's find-links, a build of torch for CPUs) want less, or other versions, than those
that everybody else gets. pip asks for the metadata of every pin, for every Python that pyproject.toml names, on Linux;
each requirement is then compared with the pins. An answer without faults is kept in `.venv` until a pin or a
requirement changes. Exit code 1: something cannot be installed; 0: all can, or PyPI cannot be reached, which is said.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from install import EXTRAS, ROOT, VENV
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

PINS = ROOT / "constraints.txt"
CHECKED = VENV / ".constraints-checked"
LINUX = {
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}
PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{glibc}_x86_64" for glibc in range(28, 16, -1)))
KEPT = ("PIP_INDEX_URL", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_TRUSTED_HOST")
"""How to reach PyPI. Every other setting of pip (find-links, further indexes, constraints) is left out."""


class Release(NamedTuple):
    """What PyPI says of one pinned version."""

    version: str
    requires: Sequence[str] = ()
    python: str = ""


class UnreachableError(Exception):
    """PyPI does not answer."""


# --- the comparison ----------------------------------------------------------------------------------------


def faults(
    project: Mapping[str, Any], extras: Iterable[str], pins: Mapping[str, Release], python: str
) -> Iterator[str]:
    """What keeps the project with these extras from being installed on Linux, with `python` ("3.12") and these pins.

    Args:
        project: the table `[project]` of pyproject.toml.
        pins: normalised name → the release that is pinned.
    """
    us = canonicalize_name(project["name"])
    # With its own name in place, an extra that names others of the project's needs no special case.
    optional = {canonicalize_name(e): needs for e, needs in project["optional-dependencies"].items()}
    conditional = [_conditional(need, e) for e, needs in optional.items() for need in needs]
    releases = {**pins, us: Release("0", [*project["dependencies"], *conditional])}
    seen: set[tuple[str, str]] = set()
    todo = [(us, extra) for extra in ("", *extras)]
    while todo:
        if todo[-1] in seen:
            todo.pop()
            continue
        name, extra = todo.pop()
        seen.add((name, extra))
        release = releases[name]
        who = "pyproject.toml" if name == us else f"{name} {release.version}"
        if release.python and not Requirement(f"python{release.python}").specifier.contains(f"{python}.99"):
            yield f"{name}=={release.version}: it needs Python {release.python}; write a version that runs on {python}"
        environment = {
            **default_environment(),
            **LINUX,
            "python_version": python,
            "python_full_version": f"{python}.99",
        }
        for r in map(Requirement, release.requires):
            if r.marker and not r.marker.evaluate({**environment, "extra": extra}):
                continue
            wanted = canonicalize_name(r.name)
            exact = next((s.version for s in r.specifier if s.operator == "==" and "*" not in s.version), None)
            if wanted not in releases:
                yield f"{wanted}: {who} wants {_short(r)}, and it is not pinned; add `{wanted}=={exact or 'VERSION'}`"
                continue
            have = releases[wanted].version
            if wanted != us and not r.specifier.contains(have, prereleases=True):
                write = f"`{wanted}=={exact}`" if exact else f"a version that is {r.specifier}"
                yield f"{wanted}=={have}: {who} wants {_short(r)}; write {write}"
            todo += [(wanted, e) for e in ("", *map(canonicalize_name, r.extras))]


def _conditional(need: str, extra: str) -> str:
    """A requirement of an extra as metadata has it."""
    r = Requirement(need)
    marker = f"({r.marker}) and " if r.marker else ""
    return f'{_short(r)}; {marker}extra == "{extra}"'


def _short(r: Requirement) -> str:
    extras = f"[{','.join(sorted(r.extras))}]" if r.extras else ""
    return f"{r.name}{extras}{r.specifier}"


# --- PyPI --------------------------------------------------------------------------------------------------


def ask(pins: Sequence[str], pythons: Sequence[str]) -> dict[str, dict[str, Release]]:
    """For each Python: normalised name → release, of every pin that PyPI has a file of.

    Most files serve every Python, so that the others are asked only about files for the first one.
    """
    first, *others = pythons
    parts = [list(pins[i::4]) for i in range(4)] if len(pins) > 8 else [list(pins)]
    with ThreadPoolExecutor(4) as pool:  # pip waits more than it works
        found = [a for part in pool.map(_answers, parts, [first] * len(parts)) for a in part]
        answers = {first: {name: release for name, release, _ in found}}
        shared = {name: release for name, release, alone in found if not alone}
        rest = [pin for pin in pins if _name(pin) not in shared]
        for python, part in zip(others, pool.map(_answers, [rest] * len(others), others), strict=True):
            answers[python] = shared | {name: release for name, release, _ in part}
    return answers


def _answers(pins: Sequence[str], python: str) -> list[tuple[str, Release, bool]]:
    """Normalised name, release, and whether its file is for this Python alone."""
    found = []
    for item in _report(pins, python):
        data = item["metadata"]
        release = Release(data["version"], data.get("requires_dist", ()), data.get("requires_python", ""))
        file = item["download_info"]["url"].rpartition("/")[2].partition("#")[0]
        tags = parse_wheel_filename(file)[3] if file.endswith(".whl") else ()
        alone = bool(tags) and not any(t.abi == "abi3" or t.interpreter.startswith("py") for t in tags)
        found.append((canonicalize_name(data["name"]), release, alone))
    return found


def _report(pins: Sequence[str], python: str) -> list[dict[str, Any]]:
    """pip's report on pins; the ones that it finds no file of are left out."""
    if not pins:
        return []
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_") or k in KEPT}
    environment["PIP_CONFIG_FILE"] = os.devnull
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        command += [
            "--use-feature=fast-deps",
            "--retries=1",
            "--timeout=15",
            "--disable-pip-version-check",
            "--target",
            folder,
        ]
        command += ["--python-version", python, *(f"--platform={p}" for p in PLATFORMS), "--report", f"{folder}/report"]
        done = subprocess.run([*command, *pins], capture_output=True, text=True, env=environment)
        if done.returncode == 0:
            items: list[dict[str, Any]] = json.loads(Path(folder, "report").read_text(encoding="utf-8"))["install"]
            return items
    missing = re.search(r"No matching distribution found for (\S+)", done.stderr)
    if missing and missing[1] != "pip" and ("(from versions: none)" not in done.stderr or _report(["pip"], python)):
        return _report([pin for pin in pins if pin != missing[1]], python)
    reason = re.search(r"connection broken by '(.+)': /|ERROR: (.+)", done.stderr)
    raise UnreachableError((reason[1] or reason[2]) if reason else f"pip exited with {done.returncode}")


def _name(pin: str) -> str:
    return canonicalize_name(Requirement(pin).name)


# --- the command -------------------------------------------------------------------------------------------


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = PINS.read_text(encoding="utf-8").splitlines()
    pins = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    needs = [project["dependencies"], project["optional-dependencies"], project["classifiers"], EXTRAS]
    digest = hashlib.sha256(json.dumps([pins, needs, Path(__file__).read_text(encoding="utf-8")]).encode()).hexdigest()
    if CHECKED.exists() and CHECKED.read_text(encoding="utf-8") == digest:
        return 0
    pythons = [c.rpartition(" ")[2] for c in project["classifiers"] if re.search(r":: Python :: 3\.\d+$", c)]
    extras = sorted({"all", *(e for line in EXTRAS.values() for e in line.split(","))})
    try:
        answers = ask(pins, pythons)
    except UnreachableError as error:
        print(f"constraints.txt was NOT compared with PyPI, which cannot be reached: {error}", file=sys.stderr)
        return 0
    found: dict[str, list[str]] = {}
    for python, releases in answers.items():
        for pin in pins:
            if _name(pin) not in releases:
                fault = (
                    f"{pin}: PyPI has no file of it; write a version that it has (`pip index versions {_name(pin)}`)"
                )
                found.setdefault(fault, []).append(python)
        stand_ins = {_name(pin): Release(pin.partition("==")[2]) for pin in pins}
        for fault in dict.fromkeys(faults(project, extras, {**stand_ins, **releases}, python)):
            found.setdefault(fault, []).append(python)
    for fault, where in found.items():
        print(f"constraints.txt: {fault} (Python {', '.join(where)})", file=sys.stderr)
    if not found:
        CHECKED.write_text(digest, encoding="utf-8")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
