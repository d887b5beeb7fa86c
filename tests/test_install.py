"""That it installs: the pins against what an index serves, `.venv` as `make` keeps it, and what the extras bring."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
sys.path.insert(0, str(ROOT / "tools"))
import check_constraints  # noqa: E402
import install  # noqa: E402
from check_constraints import Release, faults  # noqa: E402

# --- constraints.txt ---------------------------------------------------------------------------------------

SMALL = {
    "name": "lsu-toolkit",
    "dependencies": ["click>=8.1,<9"],
    "optional-dependencies": {
        "seg": ["torch>=2.4"],
        "dev": ["triton>=3.1; platform_system == 'Linux'", "pywin32; platform_system == 'Windows'"],
        "all": ["lsu-toolkit[seg]"],
    },
}
CLICK = {"click": Release("8.5.1")}
TORCH = Release("2.13.0", ['triton==3.7.1; platform_system == "Linux" and python_version < "3.13"'])


@pytest.mark.parametrize(
    ("extras", "pins", "python", "expected"),
    {
        "all is well": (["seg", "dev"], {"torch": TORCH, "triton": Release("3.7.1")}, "3.12", []),
        "a package wants another pin": (
            ["seg", "dev"],
            {"torch": TORCH, "triton": Release("3.9.0")},
            "3.12",
            ["triton==3.9.0: torch 2.13.0 wants triton==3.7.1; write `triton==3.7.1`"],
        ),
        "only on some Pythons": (["seg", "dev"], {"torch": TORCH, "triton": Release("3.9.0")}, "3.13", []),
        "an extra that names an extra": (
            ["all"],
            {"torch": Release("2.0")},
            "3.12",
            ["torch==2.0: pyproject.toml wants torch>=2.4; write a version that is >=2.4"],
        ),
        "a package that is not pinned": (
            ["seg"],
            {"torch": TORCH},
            "3.12",
            ["triton: torch 2.13.0 wants triton==3.7.1, and it is not pinned; add `triton==3.7.1`"],
        ),
        "what an extra of a package brings": (
            ["seg"],
            {
                "torch": Release("2.13.0", ["cuda[fft]==13"]),
                "cuda": Release("13", ['nvidia-fft>=12; extra == "fft"', 'nvidia-rand; extra == "rand"']),
                "nvidia-fft": Release("11"),
            },
            "3.12",
            ["nvidia-fft==11: cuda 13 wants nvidia-fft>=12; write a version that is >=12"],
        ),
        "a package for newer Pythons": (
            ["seg"],
            {"torch": Release("2.13.0", python=">=3.12")},
            "3.11",
            ["torch==2.13.0: it needs Python >=3.12; write a version that runs on 3.11"],
        ),
        "two packages that want each other": (
            ["seg"],
            {"torch": Release("2.13.0", ["click"]), "click": Release("8.5.1", ["torch"])},
            "3.12",
            [],
        ),
    }.values(),
)
def test_pins_against_metadata(extras: list[str], pins: dict[str, Release], python: str, expected: list[str]) -> None:
    assert list(faults(SMALL, extras, CLICK | pins, python)) == expected


def wheel(index: Path, name: str, version: str, *requires: str) -> None:
    """A package in a folder that pip takes for an index."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    file = folder / f"{name}-{version}-py3-none-any.whl"
    needs = "".join(f"Requires-Dist: {r}\n" for r in requires)
    with zipfile.ZipFile(file, "w") as z:
        z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{info}/RECORD", "")
    (folder / "index.html").write_text(
        "".join(f'<a href="{f.name}">{f.name}</a>' for f in sorted(folder.glob("*.whl")))
    )


PYTHONS = [f"Programming Language :: Python :: {version}" for version in ("3.11", "3.13")]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A small project whose pins an index in a folder serves: torch wants another triton than the one pinned.

    With a parameter, for so many Pythons; pip is asked for each.
    """
    monkeypatch.setattr(check_constraints, "ROOT", tmp_path)
    monkeypatch.setattr(check_constraints, "PINS", tmp_path / "constraints.txt")
    monkeypatch.setattr(check_constraints, "CHECKED", tmp_path / "checked")
    monkeypatch.setattr(check_constraints, "EXTRAS", {"demo": "seg", "dev": "seg,dev"})
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "lsu-toolkit"\ndependencies = ["click>=8.1"]\n'
        f"classifiers = {PYTHONS[: getattr(request, 'param', 1)]}\n"
        '[project.optional-dependencies]\nseg = ["torch"]\ndev = ["triton>=3.1"]\nall = ["lsu-toolkit[seg]"]\n'
    )
    for name, version, *requires in (("click", "8.5.1"), ("torch", "2.13.0", "triton==3.7.1"), ("triton", "3.9.0")):
        wheel(tmp_path / "index", name, version, *requires)
    wheel(tmp_path / "index", "triton", "3.7.1")
    wheel(tmp_path / "index", "pip", "26.3")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))  # lies here alone: not asked
    wheel(tmp_path / "wheels", "torch", "2.13.0+cpu")
    return tmp_path


@pytest.mark.parametrize("small", [2], indirect=True)
def test_the_check_asks_the_index_and_keeps_only_success(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small / "constraints.txt").write_text("# pins\nclick==8.5.1\ntorch==2.13.0\ntriton==3.9.0\n")
    assert check_constraints.main() == 1
    fault = (
        "constraints.txt: triton==3.9.0: torch 2.13.0 wants triton==3.7.1; write `triton==3.7.1` (Python 3.11, 3.13)\n"
    )
    assert capsys.readouterr().err == fault and not (small / "checked").exists()
    (small / "constraints.txt").write_text("click==8.5.1\ntorch==2.13.0\ntriton==3.7.1\n")
    assert check_constraints.main() == 0 and (small / "checked").exists()
    shutil.rmtree(small / "index")  # not asked again
    assert check_constraints.main() == 0 and capsys.readouterr().err == ""


def test_pins_that_the_index_does_not_have(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small / "constraints.txt").write_text("click==8.5.9\ntorch==2.13.0\ntriton==3.7.1\ntritn==3.7.1\n")
    assert check_constraints.main() == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        f"constraints.txt: {pin}: PyPI has no file of it" for pin in ("click==8.5.9", "tritn==3.7.1")
    ]


def test_no_index_is_said_and_is_no_success(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://127.0.0.1:9/simple")
    (small / "constraints.txt").write_text("click==8.5.1\ntorch==2.13.0\ntriton==3.9.0\n")
    assert check_constraints.main() == 0 and not (small / "checked").exists()
    assert "NOT compared with PyPI, which cannot be reached" in capsys.readouterr().err


# --- the extras --------------------------------------------------------------------------------------------


def closure(extra: str) -> Iterator[str]:
    for r in map(Requirement, PROJECT["dependencies"] if not extra else PROJECT["optional-dependencies"][extra]):
        if r.name == PROJECT["name"]:
            for e in r.extras:
                yield from closure(e)
        else:
            yield canonicalize_name(r.name)


def test_all_covers_every_import() -> None:
    """What the packages import is brought by a dependency, or by the extra `all`."""
    brought = {*closure(""), *closure("all")}
    # Not in `all`: a second OpenCV comes with it. Or part of what is: lsprotocol of pygls, llvmlite of numba, …
    elsewhere = {"mmdet"} | {"lsprotocol", "cattrs", "llvmlite", "cv2", "triton", "safetensors"}
    names = {"PIL": "pillow", "mmcv": "onedl-mmcv", "mmengine": "onedl-mmengine", "mmseg": "onedl-mmsegmentation"}
    names["yaml"] = "pyyaml"
    missing = set()
    for file in [*(ROOT / "lsu_onto").rglob("*.py"), *(ROOT / "lsu_seg").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules = [node.module]
            for top in {m.partition(".")[0] for m in modules} - elsewhere - {"lsu_onto", "lsu_seg"}:
                if top not in sys.stdlib_module_names and canonicalize_name(names.get(top, top)) not in brought:
                    missing.add((top, file.name))
    assert missing == set()


def test_all_names_every_extra_that_goes_together() -> None:
    (everything,) = map(Requirement, PROJECT["optional-dependencies"]["all"])
    apart = {"all", "dev", "docs", "release", "sssom", "seg-openmmlab", "mask2former"}
    assert everything.extras == set(PROJECT["optional-dependencies"]) - apart


# --- .venv -------------------------------------------------------------------------------------------------

BACKEND = """
import pathlib, zipfile
def get_requires_for_build_editable(config_settings=None): return []
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as z:
        z.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        z.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        z.writestr("tiny-1.dist-info/entry_points.txt", "[console_scripts]\\ntiny = tiny:main\\n")
        z.writestr("tiny-1.dist-info/RECORD", "")
        z.writestr("tiny.pth", str(pathlib.Path.cwd()))
    return name
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project that installs at once and without a network, with our Makefile, in a path with a space."""
    root = tmp_path / "a checkout"
    (root / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", root)
    shutil.copy(ROOT / "tools" / "install.py", root / "tools")
    (root / "constraints.txt").write_text("")
    (root / "backend.py").write_text(BACKEND)
    (root / "tiny.py").write_text("def main(): print(__file__)\n")
    extras = "".join(f"{e} = []\n" for e in sorted({e for line in install.EXTRAS.values() for e in line.split(",")}))
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "tiny"\nversion = "1"\n[project.optional-dependencies]\n{extras}'
    )
    return root


def make(root: Path, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(["make", "-s", "-C", root, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tiny(root: Path) -> str:
    return subprocess.run([root / ".venv/bin/tiny"], capture_output=True, text=True, check=True).stdout.strip()


def python_with_a_space(folder: Path) -> Path:
    """This interpreter under a path with a space."""
    folder.mkdir()
    link = folder / "my python"
    link.write_text(f'#!/bin/sh\nexec "{sys._base_executable}" "$@"\n')  # type: ignore[attr-defined]
    link.chmod(0o755)
    return link


def test_a_venv_is_made_once_and_mended(checkout: Path, tmp_path: Path) -> None:
    """Slow parts stand in `test_a_venv_that_cannot_be_mended_is_made_anew`."""
    python = f"PYTHON={python_with_a_space(tmp_path / 'a folder')}"
    assert make(checkout, "install-demo", python) == "installing seg,render into .venv\n"
    assert tiny(checkout) == str(checkout / "tiny.py")
    assert make(checkout, "install-demo", python) == make(checkout, "install-demo") == ""
    assert make(checkout, "install") == "installing seg,hf,render,lsp,dev into .venv\n"
    assert make(checkout, "install-demo") == ""  # what the tests need is enough for the demo
    (checkout / "constraints.txt").write_text("# other pins\n")
    assert make(checkout, "install") == "installing seg,hf,render,lsp,dev into .venv\n"


@pytest.mark.slow
def test_a_venv_that_cannot_be_mended_is_made_anew(checkout: Path, tmp_path: Path) -> None:
    python = f"PYTHON={sys._base_executable}"  # type: ignore[attr-defined]
    make(checkout, "install", python)
    (checkout / ".venv" / ".unfinished").touch()
    assert "made anew: its last installation was broken off\n" in make(checkout, "install", python)
    (checkout / ".venv" / "bin" / "python").unlink()
    (checkout / ".venv" / "bin" / "python").symlink_to(tmp_path / "gone")
    assert "made anew: its Python is gone\n" in make(checkout, "install", python)
    moved = checkout.rename(tmp_path / "another place")
    assert f"made anew: it was made in {checkout}\n" in make(moved, "install-demo", python)
    assert tiny(moved) == str(moved / "tiny.py") and not (moved / ".venv-old").exists()


def test_another_python_is_named_and_not_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(install, "PYTHON", tmp_path / ".venv/bin/python")
    monkeypatch.setattr(install, "MARK", tmp_path / ".venv/.unfinished")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    assert install._why_anew([], False) == "its Python does not run"  # no pip
    (site,) = tmp_path.glob(".venv/lib/python*/site-packages")
    (site / "pip.py").touch()
    assert install._why_anew([], True) is None
    monkeypatch.setattr(sys, "base_prefix", "other")
    assert install._why_anew([], False) is None
    assert f"of {Path(install.sys.base_prefix)}" in str(install._why_anew([], True))


def test_an_old_python_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 2))
    assert install.main("dev", False) == 1
    assert "Python 3.11 or newer is needed" in capsys.readouterr().err
