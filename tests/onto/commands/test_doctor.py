"""`lsu-onto doctor` on environments made of real `.dist-info` folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lsu_onto
from lsu_onto.installation import ALONE, EXTRAS, Environment, Finding, as_dict, as_text, examine

ROOT = Path(lsu_onto.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lowest(needs: list[str]) -> dict[str, str]:
    """The lowest version of each requirement that is in range."""
    found = {}
    for r in map(Requirement, needs):
        found[r.name] = next((s.version for s in r.specifier if s.operator == ">="), "1.0")
    return found


CORE = lowest(PROJECT["dependencies"])
FORKS = lowest(PROJECT["optional-dependencies"]["seg"]) | {"torch": "2.13.0+cpu"}
ORIGINALS = lowest(PROJECT["optional-dependencies"]["seg-openmmlab"]) | {"torch": "2.13.0+cpu"}


def put(folder: Path, name: str, version: str, requires: list[str] | tuple[str, ...] = (), files: str = "") -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(head + "".join(f"Requires-Dist: {r}\n" for r in requires))
    (info / "RECORD").write_text(f"{info.name}/METADATA,,\n{files}", encoding="utf-8", errors="surrogateescape")


def put_ourselves(folder: Path) -> None:
    requires = list(PROJECT["dependencies"])
    for extra, needs in PROJECT["optional-dependencies"].items():
        for need in needs:
            name, _, marker = need.partition(";")
            requires.append(f'{name} ; {f"({marker}) and " if marker else ""}extra == "{extra}"')
    put(folder, PROJECT["name"], "0.1.0", requires)


def environment(folder: Path, *packages: dict[str, str], virtual: bool = True, dot: str = "") -> Environment:
    put_ourselves(folder)
    for name, version in {k: v for p in packages for k, v in p.items()}.items():
        put(folder, name, version)
    return Environment([str(folder)], virtual, dot)


def problems(env: Environment) -> list[Finding]:
    return [f for f in examine(env) if f.state == "problem"]


@pytest.mark.parametrize("stack", [{}, FORKS, ORIGINALS], ids=["language", "forks", "originals"])
def test_a_sound_environment(tmp_path: Path, stack: dict[str, str]) -> None:
    env = environment(tmp_path, CORE, stack)
    assert problems(env) == []
    text = as_text(env, examine(env))
    assert f"✓ the language: click {CORE['click']}, lark {CORE['lark']}" in text and text.endswith("no problems")
    assert ("✓ [seg]: " in text) == (stack is FORKS) and ("✓ [seg-openmmlab]: " in text) == (stack is ORIGINALS)


CASES: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    # name: packages, what the message has, what the fix has
    "old numpy": (CORE | {"numpy": "1.26.4"}, ["numpy 1.26.4 is outside"], ['pip install "numpy<3,>=2.0"']),
    "no lark": ({k: v for k, v in CORE.items() if k != "lark"}, ["missing: lark"], ['"lark<2,>=1.2"']),
    "new torch": (CORE | FORKS | {"torch": "2.14.0"}, ["torch 2.14.0 is outside"], ['pip install "torch<2.14,>=2.4"']),
    "old torch, nothing else": (CORE | {"torch": "2.3.1"}, ["torch 2.3.1 is outside"], ['"torch<2.14,>=2.4"']),
    "half of the forks": (
        {k: v for k, v in (CORE | FORKS).items() if k != "onedl-mmcv"},
        ["[seg] lacks onedl-mmcv"],
        ['"onedl-mmcv<2.4,>=2.3.6"'],
    ),
    "forks and originals": (
        CORE | FORKS | ORIGINALS,
        ["onedl-mmengine 0.10.12", "mmcv-lite 2.1", "overwrite"],
        [
            "uninstall -y onedl-mmengine onedl-mmcv onedl-mmsegmentation mmengine mmcv-lite mmsegmentation && ",
            'pip install "onedl-mmengine<0.11,>=0.10.12" "onedl-mmcv',
        ],
    ),
    "two mmcv": (
        CORE | ORIGINALS | {"mmcv": "2.1.0"},
        ["mmcv 2.1.0, mmcv-lite 2.1"],
        ['uninstall -y mmcv mmcv-lite && python -m pip install "mmcv-lite<2.2,>=2.1"'],
    ),
    "mmcv too new for mmseg": (
        {k: v for k, v in (CORE | ORIGINALS).items() if k != "mmcv-lite"} | {"mmcv": "2.2.0"},
        ["mmcv 2.2.0 is outside"],
        ["mmcv-lite<2.2"],
    ),
    "two opencv": (
        CORE | {"opencv-python": "5.0.0.93", "opencv-python-headless": "4.12.0"},
        ["opencv-python 5.0.0.93, opencv-python-headless 4.12.0"],
        ["uninstall -y opencv-python opencv-python-headless && python -m pip install opencv-python"],
    ),
    "originals without what they do not declare": (
        {k: v for k, v in (CORE | ORIGINALS).items() if k not in ("ftfy", "regex", "setuptools")},
        ["[seg-openmmlab] lacks ftfy, regex, setuptools"],
        ['"ftfy" "regex" "setuptools<82,>=77.0.3"'],
    ),
    "setuptools without pkg_resources": (
        CORE | ORIGINALS | {"setuptools": "82.0.0"},
        ["setuptools 82.0.0 is outside"],
        ['"setuptools<82'],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_conflict_and_its_fix(tmp_path: Path, case: str) -> None:
    packages, message, fix = CASES[case]
    (found,) = problems(environment(tmp_path, packages))
    assert all(part in found.message for part in message), found
    assert found.fix and all(part in found.fix for part in fix), found


@pytest.mark.parametrize(
    ("torch", "vision", "needs", "fits"),
    [
        ("2.13.0+cpu", "0.28.0+cpu", "torch==2.13.0", True),
        ("2.13.0", "0.28.0", "torch==2.13.0", True),
        ("2.13.0+cpu", "0.28.0", "torch==2.13.0", False),  # built for a GPU: what a package index gives
        ("2.13.0", "0.27.0", "torch==2.12.0", False),
        ("2.13.0+cpu", "0.29.1", "torch (>=2.14.0)", False),
    ],
)
def test_torchvision(tmp_path: Path, torch: str, vision: str, needs: str, fits: bool) -> None:
    env = environment(tmp_path / "a", CORE, {"torch": torch})
    put(tmp_path / "a", "torchvision", vision, ["numpy", needs, 'scipy ; extra == "scipy"'])
    env = Environment([str(tmp_path / "a")], True, "")
    found = problems(env)
    assert (found == []) == fits
    for f in found:
        assert "`operator torchvision::nms does not exist`" in f.message
        assert f.fix and f.fix.startswith("python -m pip uninstall -y torchvision ")


DAMAGED = {
    "a version of the core": ("numpy", "abc", (), "", "`abc` is no version"),
    "a version of two that belong together": ("torchvision", "2.0+local!", (), "", "`2.0+local!` is no version"),
    "a requirement": ("torchvision", "0.28.0+cpu", ["torch ==x"], "", "a requirement cannot be read"),
    "a list of files": ("onedl-mmcv", FORKS["onedl-mmcv"], (), "a,b,c,d,e\n", "its RECORD cannot be read"),
    "names that are no text": ("onedl-mmcv", FORKS["onedl-mmcv"], (), "caf\udce9,,\n", "its RECORD cannot be read"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_metadata_are_a_problem_with_a_fix(tmp_path: Path, case: str) -> None:
    name, version, requires, files, why = DAMAGED[case]
    environment(tmp_path, {k: v for k, v in (CORE | FORKS).items() if k != name})
    put(tmp_path, name, version, requires, files)
    env = Environment([str(tmp_path)], True, "")
    (found,) = problems(env)
    assert found.message.startswith(f"the metadata of {name} are damaged: ") and why in found.message
    assert found.fix == f"python -m pip install --force-reinstall --no-deps {name}"
    assert "1 problem" in as_text(env, [found])


def test_mmcv_with_compiled_ops(tmp_path: Path) -> None:
    packages = {k: v for k, v in (CORE | ORIGINALS).items() if k != "mmcv-lite"}
    for name, record in (("without", ""), ("with", "mmcv/_ext.cpython-311-x86_64-linux-gnu.so,,\n")):
        environment(tmp_path / name, packages)
        put(tmp_path / name, "mmcv", "2.1.0", files=f"mmcv/__init__.py,,\n{record}")
        if record:  # since Python 3.12, files that are not there do not count
            (tmp_path / name / "mmcv").mkdir()
            (tmp_path / name / record.partition(",")[0]).touch()
        env = Environment([str(tmp_path / name)], True, "")
        assert problems(env) == []
        assert any("no compiled ops" in f.message for f in examine(env)) == (name == "without")


def test_what_is_worth_knowing_is_no_problem(tmp_path: Path) -> None:
    env = environment(tmp_path, CORE, {"graphviz": "0.21"}, virtual=False)
    found = {f.message.split(":")[0]: f for f in examine(env)}
    assert problems(env) == []
    assert found["this is no virtual environment"].fix == "python -m venv .venv && . .venv/bin/activate"
    assert found["[render] lacks pygraphviz"].fix == 'python -m pip install "pygraphviz<3,>=2.0"'
    assert {"[skos] lacks rdflib", "[lsp] lacks pygls", "[labels] lacks pillow, isal"} <= set(found)


@pytest.mark.parametrize(
    ("stack", "package"), [(FORKS, '"onedl-mmdetection<3.6,>=3.5.1"'), (ORIGINALS, '"mmdet<3.4,>=3.3"')]
)
def test_mmdet_is_installed_alone(tmp_path: Path, stack: dict[str, str], package: str) -> None:
    """Not as pip would: with an older numpy, a second OpenCV, or the fork beside the originals."""
    (found,) = [f for f in examine(environment(tmp_path / "a", CORE, stack)) if f.message.startswith("[mask2former]")]
    assert found.state == "note" and found.fix == f"python -m pip install --no-deps {package} shapely six"
    name = package.strip('"').partition("<")[0]
    whole = environment(tmp_path / "b", CORE, stack, {name: "3.5.1" if "onedl" in name else "3.3.0", "six": "1"})
    assert any(f.message.startswith("[mask2former] lacks shapely:") for f in examine(whole))
    old = environment(tmp_path / "c", CORE, stack, {name: "3.0.0", "six": "1", "shapely": "2"})
    assert [f.fix for f in problems(old)] == [f"python -m pip install --no-deps {package}"]


def test_messages_about_mmdet_say_what_doctor_says() -> None:
    (need,) = PROJECT["optional-dependencies"]["mask2former"]
    assert f"pip install --no-deps '{need}' {' '.join(ALONE['mask2former'])}" == lsu_onto.INSTALL_MMDET
    assert lsu_onto.INSTALL_MMDET in (ROOT / "docs/teachers.md").read_text(encoding="utf-8")


def test_an_installed_dot_program_is_enough_to_render(tmp_path: Path) -> None:
    env = environment(tmp_path, CORE, {"graphviz": "0.21"}, dot="bin/dot")
    assert Finding("ok", "[render]: graphviz 0.21, and the `dot` program at bin/dot") in examine(env)


def test_not_installed(tmp_path: Path) -> None:
    for name, version in CORE.items():
        put(tmp_path, name, version)
    (tmp_path / "~umpy-1.0.dist-info").mkdir()  # the leavings of an uninstallation that broke off
    (found,) = problems(Environment([str(tmp_path)], True, ""))
    assert "not installed" in found.message and found.fix and "pip install -e ." in found.fix


def test_json(tmp_path: Path) -> None:
    env = environment(tmp_path, CORE, {"torch": "2.14.0"})
    report = json.loads(json.dumps(as_dict(env, examine(env))))
    assert (report["version"], report["problems"], report["packages"]["torch"]) == (1, 1, "2.14.0")
    assert {"state", "message", "fix"} == set(report["findings"][0])


def test_every_extra_of_a_user_is_known() -> None:
    """An extra that is new in pyproject.toml needs a line that says what for, or is a developer's."""
    assert set(PROJECT["optional-dependencies"]) - set(EXTRAS) <= {"all", "dev", "docs", "release", "sssom"}


def test_the_command(tmp_path: Path) -> None:
    """As typed, and with a package in front of the real ones that goes with no torch."""

    def run(*args: str, path: str = "") -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, [path]), str(ROOT)])}
        return subprocess.run([sys.executable, *args], capture_output=True, text=True, env=env)

    plain = run("-m", "lsu_onto.cli", "doctor", "--format", "json")
    report = json.loads(plain.stdout)
    assert plain.returncode == (report["problems"] > 0) and report["packages"]["click"]
    put(tmp_path, "torch", "2.13.0")
    put(tmp_path, "torchvision", "0.1", ["torch==1.0"])
    broken = run("-m", "lsu_onto.cli", "doctor", path=str(tmp_path))
    assert broken.returncode == 1 and "does not go with torch 2.13.0" in broken.stdout
    script = "import sys\nfrom lsu_onto.installation import examine\nexamine()\n"
    script += "print([m for m in ('torch', 'numpy') if m in sys.modules])"
    assert run("-c", script).stdout == "[]\n"
