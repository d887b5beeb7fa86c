"""`make test-stacks`: which Python and pins a stack gets, its table, and how it ends; nothing is installed."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import stacks  # noqa: E402
from stacks import STACKS, Result, Stack  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8")


def test_every_python_of_the_project_and_every_test_is_there() -> None:
    named = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if ":: Python :: 3." in c}
    assert {s.python for s in STACKS.values()} == named
    for stack in STACKS.values():
        assert set(stack.extras) <= set(PROJECT["optional-dependencies"])
        assert [path for path in stack.tests if not (ROOT / path).exists()] == []


def test_pins_that_an_extra_does_not_allow_are_left_out() -> None:
    project = {"dependencies": ["click>=8.1"], "optional-dependencies": {"a": ["Set_Uptools<82"], "b": ["numpy>=2"]}}
    pins = "# pins\nclick==8.5.1\nset-uptools==84.2.1\n\nnumpy==2.4.6\n"
    assert stacks.pins_for(["a"], project, pins) == ["click==8.5.1", "numpy==2.4.6"]
    assert stacks.pins_for(["b"], project, pins) == ["click==8.5.1", "set-uptools==84.2.1", "numpy==2.4.6"]
    assert stacks.pins_for(STACKS["python3.12"].extras, PROJECT, PINS) == [
        line for line in PINS.splitlines() if line and not line.startswith("#")
    ]
    originals = stacks.pins_for(STACKS["openmmlab"].extras, PROJECT, PINS)
    assert not any(pin.startswith("setuptools==") for pin in originals) and "torch==2.13.0" in originals


def test_a_python_is_looked_for_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert stacks.find_python("3.99") is None
    assert stacks.find_python("{}.{}".format(*sys.version_info[:2]))
    for place, says in (("python3.99", "3.98"), ("pyenv/versions/3.99.2/bin/python", "3.99")):
        program = tmp_path / place
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\necho {says}\n")  # the first is a shim of another version
        program.chmod(0o755)
    assert stacks.find_python("3.99") == tmp_path / "pyenv/versions/3.99.2/bin/python"


def test_a_stack_without_its_python_says_so_and_installs_nothing(tmp_path: Path) -> None:
    result = stacks.run_stack("future", Stack("3.99", (), ()), tmp_path)
    assert (result.outcome, list(tmp_path.iterdir())) == ("no Python", [])
    assert "there is no python3.99 on PATH" in result.problem
    assert stacks.exit_code([result], []) == 2  # nothing was run
    assert stacks.exit_code([result, Result("a", passed=1)], []) == 0
    assert stacks.exit_code([result, Result("a", passed=1)], ["future"]) == 1


def test_the_line_of_pip_that_says_why() -> None:
    output = "WARNING: a cache is off\nERROR: Cannot install a==1 and b==2\n\nThe conflict is caused by: a\n"
    assert stacks.refusal(output) == "ERROR: Cannot install a==1 and b==2"
    assert stacks.refusal("first\nlast\n") == "last"


REPORT = """<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1">
<testcase classname="tests.a" name="good"/><testcase classname="tests.a" name="fine"/>
<testcase classname="tests.a" name="skipped"><skipped message="no GPU"/></testcase>
<testcase classname="tests.a" name="bad"><failure message="assert 1 == 2&#10;more">...</failure></testcase>
<testcase classname="tests.b" name="worse"><error message="no module"/></testcase></testsuite></testsuites>"""


def test_counts_and_the_first_failure_are_in_the_table() -> None:
    result = stacks.with_counts(Result("py", "3.12.1", {"torch": "2.13.0", "mmcv": ""}), REPORT)
    assert (result.passed, result.failed, result.skipped, result.outcome) == (2, 2, 1, "failed")
    assert result.problem == "tests.a::bad: assert 1 == 2"
    assert result.failures == ["tests.a::bad", "tests.b::worse"]
    refused = Result("old", problem="ERROR: a|b", outcome="not installed")
    lines = stacks.table([result, refused]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[2].split("|")][1:8] == ["py", "3.12.1", "torch 2.13.0", "2", "2", "1", ""]
    assert "| not installed: ERROR: a\\|b " in lines[3]
    assert stacks.exit_code([refused], []) == stacks.exit_code([result], []) == 1
    empty = stacks.with_counts(Result("none"), '<testsuite tests="0"/>')
    assert (empty.outcome, empty.problem) == ("failed", "no test was run")
