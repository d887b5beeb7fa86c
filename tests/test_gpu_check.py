"""The GPU check, run without a GPU at reduced size, and the bundle that it installs from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.forkserver import Server

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import gpu_bundle  # noqa: E402
import gpu_check  # noqa: E402


@pytest.fixture(scope="module")
def interpreter(libraries: Server) -> Iterator[Server]:
    """Starts processes without a GPU, the kernel in Triton's interpreter, that know what takes long to import."""
    pytest.importorskip("triton")
    path = f"{ROOT / 'tools'}{os.pathsep}{os.environ['PYTHONPATH']}"
    env = {"PYTHONPATH": path, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    modules = ["triton.language", "helpers.interpreter", "hypothesis", "lsu_seg", "mmseg.models"]
    server = Server(modules, parent=libraries, env=env)
    yield server
    server.close()


@pytest.mark.parametrize("step", gpu_check.STEPS)
def test_every_step_runs_without_a_gpu(step: str, interpreter: Server, tmp_path: Path) -> None:
    """As the check starts it, in a process of its own."""
    rows_file = tmp_path / "rows.jsonl"
    start = f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r}); import gpu_check; sys.exit(gpu_check.main())"
    options = ["--step", step, "--rows", rows_file, "--out", tmp_path, "--device", "cpu", "--seconds", 60]
    code, printed = interpreter.run(tmp_path / "log", *options, code=start)
    assert code == 0, printed
    rows = [json.loads(line) for line in rows_file.read_text().splitlines()]
    assert rows and not any(row["aim"] for row in rows)
    equal, what = [row["equal"] for row in rows], [row["what"].split(",")[0] for row in rows]
    assert False not in equal
    if step == "equality":
        assert equal.count(True) >= 10
    elif step == "training":
        assert "SetNLLLoss" in rows[0]["what"]
    elif step == "labelling":
        assert what == ["SegFormer-B5", "Mask2Former Swin-L"]
    elif step == "ensemble":
        assert equal.count(True) == 3, "a view of the same source, of another one, and masks of another one"
    elif step == "computing":
        assert len({row["what"] for row in rows}) == len(rows) == 23
        assert equal.count(True) == 13, "each network, in each way that it computes"
    elif step == "tune":
        assert json.loads((tmp_path / "knobs.json").read_text())["general"]["one_view"]["size"] in (64, 256)


def test_a_step_that_fails_takes_nothing_from_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps' rows are read from a file, so that they outlive the process that wrote them."""
    (tmp_path / "gpu_steps").mkdir()
    steps = dict.fromkeys(gpu_check.STEPS, "    add({'what': 'a step', 'value': os.environ['TRITON_INTERPRET']})\n")
    steps |= {
        "machine": "    add({'what': 'a GPU', 'value': 'x|y'})\n",
        "equality": "    add({'what': 'all equal', 'value': 0, 'equal': True})\n    raise SystemExit(7)\n",
        "tune": "    add({'what': 'out', 'value': str(out)})\n",
        "suite": "    add({'what': 'the tests', 'value': 1, 'unit': 'failed', 'equal': False})\n",
    }
    for name, body in steps.items():
        (tmp_path / f"gpu_steps/{name}.py").write_text(f"import os\ndef run(size, add, out=None):\n{body}")
    (tmp_path / "gpu_steps/rows.py").write_text(
        "import json\nfrom typing import NamedTuple\n"
        "class Size(NamedTuple):\n    device: str\n    seconds: float\n"
        "EMPTY = dict(unit='', baseline='', baseline_value=None, ratio=None, aim='', equal=None)\n"
        "def writer(file, size):\n"
        "    return lambda row: file.open('a').write(json.dumps(EMPTY | row) + '\\n')\n"
    )
    (tmp_path / "gpu_check.py").write_text((ROOT / "tools/gpu_check.py").read_text())
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    out = tmp_path / "out"
    command = [sys.executable, tmp_path / "gpu_check.py", "--cpu", "--out", out]
    done = subprocess.run([*command, "--tune"], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "FAILED: ended with exit code 7" in done.stdout
    assert "1 equalities held, 1 did not; step equality failed" in done.stdout
    data = json.loads((out / "gpu_check.json").read_text())
    assert [name for name, step in data["steps"].items() if step["problem"]] == ["equality"]
    assert [row["value"] for row in data["steps"]["memory"]["rows"]] == ["1"]
    assert [row["value"] for row in data["steps"]["tune"]["rows"]] == [str(out)]
    table = (out / "gpu_check.md").read_text()
    assert "| a GPU | x\\|y |" in table
    assert "| all equal | 0 | | | | | yes |" in re.sub(r"\| +(?=\|)", "| ", table)
    assert "| **step equality** | ended with exit code 7; see gpu_check.log |" in table
    cells = {line.replace("\\|", "").count("|") for line in table.splitlines()}
    assert cells == {8}, "every line of the table has as many cells"
    assert list(data["steps"]) == list(gpu_check.STEPS)
    # What packages there are, it need not ask again.
    monkeypatch.setattr(gpu_check, "_environment", lambda scratch, cpu: {**os.environ, "TRITON_INTERPRET": "1"})
    monkeypatch.setattr(gpu_check, "__file__", str(tmp_path / "gpu_check.py"))
    monkeypatch.setattr(sys, "argv", [str(a) for a in command[1:]] + ["--only", "suite", "machine"])
    assert gpu_check.main() == 1
    assert list(json.loads((out / "gpu_check.json").read_text())["steps"]) == ["machine", "suite"]


def test_what_cannot_run_says_why(
    interpreter: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        code, printed = interpreter.run(tmp_path / "log", code=gpu_check.PROBE)
        return subprocess.CompletedProcess([], code, printed, printed)

    def check(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gpu_check.py", *map(str, args)])
        return gpu_check.main(), *capsys.readouterr()

    code, printed, said = check("--cpu", "--only", "equalty", "--out", tmp_path)
    assert (code, printed) == (2, "")
    assert "there is no step `equalty`; the steps are machine, equality, " in said
    monkeypatch.setattr(gpu_check, "_probe", probe)
    code, _, said = check("--out", tmp_path)
    assert code == 2
    assert "torch sees no GPU here; `--cpu` runs the same steps at reduced size" in said


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
