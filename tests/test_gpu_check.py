"""The GPU check, run without a GPU at reduced size, and the bundle that it installs from."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import gpu_bundle  # noqa: E402
import gpu_check  # noqa: E402


def check(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "tools/gpu_check.py", *map(str, args)], capture_output=True, text=True
    )


def test_every_step_runs_without_a_gpu(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    done = check("--cpu", "--tune", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads((tmp_path / "gpu_check.json").read_text())
    assert list(data["steps"]) == list(gpu_check.STEPS)
    assert not any(step["problem"] for step in data["steps"].values())
    equal = [row["equal"] for row in data["steps"]["equality"]["rows"]]
    assert equal.count(True) >= 10
    assert False not in equal
    assert any("SetNLLLoss" in row["what"] for row in data["steps"]["training"]["rows"])
    assert {row["what"].split(",")[0] for row in data["steps"]["labelling"]["rows"]} == {
        "SegFormer-B5",
        "Mask2Former Swin-L",
    }
    cells = {line.count("|") for line in (tmp_path / "gpu_check.md").read_text().splitlines()}
    assert cells == {8}, "every line of the table has as many cells"
    assert json.loads((tmp_path / "knobs.json").read_text())["general"]["one_view"]["size"] in (64, 256)


def test_a_step_that_fails_takes_nothing_from_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps' rows are read from a file, so that they outlive the process that wrote them."""
    (tmp_path / "gpu_steps").mkdir()
    for name, code in {
        "machine": "    add({'what': 'a GPU', 'value': 'x|y'})\n",
        "equality": "    add({'what': 'all equal', 'value': 0, 'equal': True})\n    raise SystemExit(7)\n",
        "suite": "    add({'what': 'the tests', 'value': 1, 'unit': 'failed', 'equal': False})\n",
        "rows": "import json\nfrom typing import NamedTuple\n"
        "class Size(NamedTuple):\n    device: str\n    seconds: float\n"
        "EMPTY = dict(unit='', baseline='', baseline_value=None, ratio=None, aim='', equal=None)\n"
        "def writer(file, size):\n"
        "    return lambda row: file.open('a').write(json.dumps(EMPTY | row) + '\\n')\n",
    }.items():
        body = code if name == "rows" else f"def run(size, add):\n{code}"
        (tmp_path / "gpu_steps" / f"{name}.py").write_text(body)
    (tmp_path / "gpu_check.py").write_text((ROOT / "tools/gpu_check.py").read_text())
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, tmp_path / "gpu_check.py", "--cpu", "--out", tmp_path / "out"]
    done = subprocess.run([*command, "--only", "machine", "equality", "suite"], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "FAILED: ended with exit code 7" in done.stdout
    assert "1 equalities held, 1 did not; step equality failed" in done.stdout
    table = (tmp_path / "out/gpu_check.md").read_text()
    assert "| a GPU | x\\|y |" in table
    assert "| all equal | 0 | | | | | yes |" in re.sub(r"\| +(?=\|)", "| ", table)
    assert "| **step equality** | ended with exit code 7; see gpu_check.log |" in table


def test_what_cannot_run_says_why(tmp_path: Path) -> None:
    import torch

    done = check("--cpu", "--only", "equalty", "--out", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no step `equalty`; the steps are machine, equality, " in done.stderr
    if not torch.cuda.is_available():
        done = check("--out", tmp_path)
        assert done.returncode == 2
        assert "torch sees no GPU here; `--cpu` runs the same steps at reduced size" in done.stderr


def test_a_bundle_of_other_code_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "lsu_toolkit-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(ROOT / "lsu_seg/errors.py", "lsu_seg/errors.py")
    gpu_check._check_ours([wheel])
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("lsu_seg/errors.py", "")
    with pytest.raises(gpu_check._CannotRunError, match=r"has another lsu_seg/errors\.py than this checkout"):
        gpu_check._check_ours([wheel])
    with pytest.raises(gpu_check._CannotRunError, match="no wheel of lsu-toolkit"):
        gpu_check._check_ours([])


def test_a_bundle_has_exactly_what_the_machine_lacks() -> None:
    there = gpu_bundle.packages(gpu_bundle.THERE)
    names = gpu_bundle.missing(gpu_bundle.NEEDED, there)
    assert {"lsu-toolkit", "lark", "pydantic", "onedl-mmcv", "onedl-mmengine", "onedl-mmsegmentation"} <= {*names}
    assert not {*names} & {"torch", "numpy", "triton", "opencv-python", "transformers", "pytest"}
    assert not any(name.startswith("nvidia") for name in names)
    more = there | gpu_bundle.packages("lark==1.3.1\nPydantic_Core==2.50.4\n")
    assert {*names} - {*gpu_bundle.missing(gpu_bundle.NEEDED, more)} == {"lark", "pydantic-core"}
    less = there - {"numba", "llvmlite"}
    assert {*gpu_bundle.missing(gpu_bundle.NEEDED, less)} - {*names} == {"numba", "llvmlite"}
