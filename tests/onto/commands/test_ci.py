"""The hooks for pre-commit and the action for GitHub: what they run is run, and the docs use it as it is."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from lsu_onto.cli import main

ROOT = Path(__file__).parents[3]
HOOKS = {h["id"]: h for h in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
DOCS = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "ci.md").read_text(), re.MULTILINE | re.DOTALL)
FILE = "tax 1\nsource s v1\n0 road\ndataset d v1 -> s v1\n1 a  ~ road\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pre-commit and GitHub start commands in."""
    monkeypatch.chdir(tmp_path)
    Path("maps").mkdir()
    Path("maps/d.tax").write_text(FILE)
    return tmp_path


def hook(use: dict[str, Any], changed: list[str]) -> int:
    """What pre-commit runs for the changed files."""
    own = HOOKS[use["id"]] | use
    files = [f for f in changed if re.search(own["files"], f)]
    program, *words = shlex.split(own["entry"])
    assert program == "lsu-onto" and files
    passed = files if own.get("pass_filenames", True) else []
    return CliRunner().invoke(main, [*words, *own.get("args", []), *passed]).exit_code


def test_the_hooks_of_the_docs(repository: Path) -> None:
    (shared,) = yaml.safe_load(DOCS[0])["repos"]
    for use in shared["hooks"]:
        assert hook(use, ["README.md", "maps/d.tax"]) == 0
    changed = "tax 1\nsource s v1\n0  road\ndataset d v1 -> s v1\n1  a  < road\n"
    assert Path("maps/d.tax").read_text() == changed, "by both, so the commit stops"
    Path("maps/other.tax").write_text("tax 1\ndataset e v1 -> s v1\n1  a  < grass\n")
    local = yaml.safe_load(DOCS[1])["repos"][0]["hooks"]
    for use in [*shared["hooks"][:1], *local]:
        assert hook(use, ["maps/d.tax"]) == 1, "a file that is not in the commit is checked, too"


def test_the_inputs_of_the_docs() -> None:
    (step,) = (s for s in yaml.safe_load(DOCS[2])["jobs"]["validate"]["steps"] if "lsu-toolkit" in s["uses"])
    table = re.findall(r"^\| `([\w-]+)` \| `(.+?)` \|", (ROOT / "docs" / "ci.md").read_text(), re.MULTILINE)
    assert dict(table) == {name: each["default"] for name, each in ACTION["inputs"].items()}
    assert step["with"].keys() <= ACTION["inputs"].keys()


@pytest.mark.skipif(not shutil.which("bash"), reason="the steps are scripts of bash")
@pytest.mark.parametrize(("strict", "status"), [("", 0), ("--strict", 1)])
def test_the_steps_of_the_action(repository: Path, strict: str, status: int) -> None:
    program = repository / "runner temp" / "lsu-onto" / "bin" / "lsu-onto"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lsu_onto "$@"\n')
    program.chmod(0o755)
    steps = {s["name"]: s for s in ACTION["runs"]["steps"]}
    output = repository / "output"
    (repository / "-x.tax").write_text("tax 1\nsource x v1\n0 road\n")  # a pattern may name it
    env = dict(os.environ, RUNNER_TEMP="runner temp", GITHUB_OUTPUT=str(output), PATHS="*x.tax maps", STRICT=strict)
    assert steps["Validate"]["env"].keys() == {"PATHS", "STRICT"}
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]  # as GitHub starts it
    done = subprocess.run([*bash, steps["Validate"]["run"]], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("::warning file=maps/d.tax,line=5,") and done.stderr == ""
    assert output.read_text() == f"written=true\nstatus={status}\n"
    (result,) = json.loads(Path("runner temp/lsu-onto.sarif").read_text())["runs"][0]["results"]
    assert result["ruleId"] == "TAX305" and result["fixes"]
    ended = subprocess.run([*bash, steps["Result"]["run"]], env=dict(env, STATUS=str(status)), check=False)
    assert ended.returncode == status

    output.unlink()
    (repository / "pyproject.toml").write_text("[tool.lsu-onto]\nignor = []\n")
    done = subprocess.run([*bash, steps["Validate"]["run"]], env=env, capture_output=True, text=True, check=True)
    assert output.read_text() == "status=1\n", "there is nothing to upload"
    assert "did you mean `ignore`?" in done.stderr
    assert "outputs.written == 'true'" in steps["Upload"]["if"]
