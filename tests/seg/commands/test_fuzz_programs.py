"""`tools/fuzz_programs`: calls that are drawn the same each time, and what it takes for a find."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import pytest

from helpers.forkserver import Server

TOOL = Path(__file__).parents[3] / "tools" / "fuzz_programs"
START = f"import sys, runpy; sys.path.insert(0, {str(TOOL)!r}); runpy.run_path({str(TOOL)!r}, run_name='__main__')"

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the tool reads /proc")


def test_a_few_calls_find_nothing(server: Server, tmp_path: Path) -> None:
    code, said = server.run(tmp_path / "log", "lsu_onto", tmp_path / "work", "--seed", 3, "--calls", 8, code=START)
    assert (code, said.splitlines()[-1:]) == (0, [f"8 calls, 0 kinds of finds in {tmp_path}/work/finds.jsonl"]), said
    made = [json.loads(line) for line in (tmp_path / "work/calls.jsonl").read_text().splitlines()]
    assert sorted(row[1] for row in made) == list(range(8))


def test_what_is_a_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOL))
    import calls
    import judge
    from process import Ended

    call = calls.Call(["show", "--format", "json"], click.Command("show"))

    def kinds(code: int | None, out: bytes = b"", err: bytes = b"") -> list[str]:
        return [kind for kind, _ in judge.finds(call, Ended(code, out, err, 0.1), tmp_path, {})]

    trace = b'Traceback (most recent call last):\n  File "/a/b.py", line 7, in f\nKeyError: 1\n'
    assert kinds(0, b"{}") == kinds(2, err=b"Error: x") == kinds(1, b"x") == []
    assert kinds(0, b"x") == ["no JSON"]
    assert kinds(1) == ["silent refusal"]
    assert kinds(-11, err=b"x") == ["exit -11"] and kinds(None) == ["hang"]
    assert kinds(1, err=trace) == ["loud"] and kinds(0, b"{}", b"/a/b.py:7: UserWarning: x") == ["loud"]
    (tmp_path / "kept.tax").write_text("")
    before = judge.world.tree(tmp_path)
    (tmp_path / "kept.tax").write_text("x")
    (found,) = judge.finds(call, Ended(0, b"{}", b"", 0.1), tmp_path, before)
    assert found == ("changes a taxonomy", "show: kept.tax")
    for name in ("calls", "judge", "process", "world", "mutate"):
        sys.modules.pop(name, None)
