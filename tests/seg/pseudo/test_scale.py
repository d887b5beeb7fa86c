"""`tools/scale.py`, with few images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.forkserver import Server

ROOT = Path(__file__).resolve().parents[3]
START = f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r}); import scale; scale.main()"

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the tool reads memory from /proc")


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_every_step_is_taken_once(server: Server, tmp_path: Path, number: int) -> None:
    options = [tmp_path / "world", "--images", 100, "--labelled", 75, "--processes", number]
    code, said = server.run(tmp_path / "log", *options, code=START)
    assert code == 0, said
    rows = {row["step"]: row for row in map(json.loads, (tmp_path / "world/scale.jsonl").read_text().splitlines())}
    assert list(rows) == [
        *("files", "listing", f"labelling, {number}", f"nothing left to label, {number}", f"records, {number}"),
        *("training, first", "training, again", f"evaluation, {number}"),
    ]
    labelled = rows[f"labelling, {number}"]
    assert labelled["first_label_s"] > 0 and labelled["resumed_first_label_s"] > 0
    assert len(labelled["MB_at"]) > 4 and all(len(sample["MB"]) <= number for sample in labelled["MB_at"])
    assert rows[f"records, {number}"]["record_bytes"] > 300
    code, said = server.run(tmp_path / "log", *options, code=START)
    assert (code, [line for line in said.splitlines() if line.startswith("{")]) == (0, [])
    code, said = server.run(tmp_path / "log", tmp_path / "world", "--images", 300, code=START)
    assert code == 1 and "scale.jsonl has figures of 100 images; give `--images 100`" in said
