"""What numba keeps of the CPU decoder: never used for other sources, and not needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lsu_seg
from helpers.forkserver import Server

DECODE = """
import numpy as np
from lsu_seg.decode import View, cpu
view = View(np.array([1, 2, 9], np.float32).reshape(3, 1, 1))
print(cpu.decode([view], np.zeros((1, 2), np.int16), np.array([[True, True, False, False]])).confidence[0, 0])
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package that may be changed."""
    folder = tmp_path / "lsu_seg"
    shutil.copytree(Path(lsu_seg.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(copy: Path, code: str, cache: Path) -> str:
    path = os.pathsep.join([str(copy.parent), str(Path(lsu_seg.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(cache), "HOME": str(cache)}
    environment.pop("XDG_CACHE_HOME", None)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=copy.parent, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.slow
def test_code_that_was_compiled_from_other_sources_is_not_used(copy: Path, tmp_path: Path) -> None:
    """Also where they differ in a file that numba does not look at. Compiles twice."""
    cache, file = tmp_path / "cache", copy / "decode" / "kernels" / "choices.py"
    first, text = run(copy, DECODE, cache), file.read_text()
    assert float(first) == pytest.approx(0.7311, abs=1e-4)
    index = next(cache.rglob("*.nbi"))
    assert b"lsu_seg" not in index.read_bytes()  # a class that is renamed would make the index unreadable
    changed = text.replace("share = divide(splat(_f(1.0)), total)", "share = divide(splat(_f(0.5)), total)")
    assert changed != text
    file.write_text(changed)
    assert float(run(copy, DECODE, cache)) == pytest.approx(0.7311 / 2, abs=1e-4)
    file.write_text(text)
    compiled = sorted(cache.rglob("*.nbc"))
    assert run(copy, DECODE, cache) == first
    assert sorted(cache.rglob("*.nbc")) == compiled  # and what was kept of these sources is


def test_where_nothing_can_be_kept_it_is_compiled_each_time(copy: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("in the way of every folder that numba would make")
    (copy / "decode" / "kernels" / "__pycache__").write_text("here, too")
    code = "from lsu_seg.decode.kernels.entry import decode_rows; from lsu_seg.decode.kernels.jit import why_not_kept;"
    code += "print(decode_rows.stats.cache_path, why_not_kept(decode_rows))"
    assert run(copy, code, nowhere) == "None neither the package's folder nor a folder for caches is writable"


WITHOUT_COMPILING = """
from lsu_seg.decode import cpu
from lsu_seg.decode.kernels.jit import _Cache, why_not_kept
from numba import njit

@njit(cache=True)
def decode_rows(x):
    return x + 1

decode_rows._cache = _Cache(decode_rows._cache)
cpu.decode_rows = decode_rows
answers = []
cpu._announced("uint8", lambda: answers.append(decode_rows(2)))
answers.append(sum(decode_rows._cache_hits.values()))
"""
"""Another function behind the decoder's cache, because the decoder takes ten seconds to compile."""

AGAIN = """
import importlib
import small

def index():
    [found] = cache.rglob("small*.nbi")
    return found

def damage(): index().write_bytes(index().read_bytes()[:50])
def close(): index().chmod(0)

print(small.answers)
for step in (None, damage, None, close, None):
    if step:
        step()
    importlib.reload(small)  # another function, which looks for what was kept
    print(small.answers)
"""


def test_a_cache_that_cannot_be_used_costs_a_compilation_and_not_the_run(
    copy: Path, tmp_path: Path, libraries: Server
) -> None:
    cache = tmp_path / "cache"
    (copy.parent / "small.py").write_text(WITHOUT_COMPILING)
    start = f"import sys; from pathlib import Path; from numba import config; cache = Path({str(cache)!r})"
    start += f"; config.CACHE_DIR = str(cache); sys.path.insert(0, {str(copy.parent)!r})"

    def run(code: str) -> tuple[list[str], str]:
        errors = tmp_path / "stderr"
        code = f"{start}\nsys.stderr = open({str(errors)!r}, 'w')\n{code}"
        exit_code, printed = libraries.run(tmp_path / "stdout", code=code, unprivileged=True)
        assert exit_code == 0, errors.read_text()
        return printed.splitlines(), errors.read_text()

    compiled, kept = "[3, 0]", "[3, 1]"
    lines, said = run(AGAIN)
    assert (lines, said) == ([compiled, kept, compiled, kept, compiled, kept], "")  # so each time it was mended
    assert run("import small; print(small.answers)") == ([kept], "")  # in another process
    shutil.rmtree(cache)
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"  # as on a full disk
    lines, said = run(f"{full}; import small; print(small.answers)")
    assert lines == [compiled]
    assert said.startswith("the compiled CPU decoder cannot be kept for the next time (OSError: ")
    assert said.endswith(": set NUMBA_CACHE_DIR to a folder that is writable\n")


def test_a_numba_that_compiles_nothing_is_named() -> None:
    code = "from lsu_seg.decode import cpu"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stderr.endswith(
        "NUMBA_DISABLE_JIT is set, and the decoder exists only as numba compiles it: unset it\n"
    )
