"""What is missing, damaged or unfit among installed packages is named, with what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import py_compile
import sys
from pathlib import Path
from types import ModuleType

import pytest

from helpers.ended import ended


def test_what_an_extra_brings_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdflib", None)
    missing = ended(monkeypatch, ImportError("no", name="rdflib.graph"))
    assert missing.exit_code == 1
    assert missing.stderr.startswith("error: this needs `rdflib`, which is not installed: pip install '.[skos]'")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "lark", None)
        missing = ended(monkeypatch, ImportError("no", name="lark"))
    assert (
        missing.stderr
        == "error: this needs `lark`, which is not installed: pip install '.' at the root of the repository\n"
    )
    broken = ended(monkeypatch, ImportError("libGL.so.1: cannot open shared object file", name="PIL"))
    assert "`PIL` is installed and cannot be imported (libGL.so.1: cannot open" in broken.stderr
    assert "`lsu-onto doctor`" in broken.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "try:\n import nono\nexcept ImportError as e:\n raise ImportError(f'PLEASE READ: {e}') from e",
            "No module named 'nono'",
        ),
        ("assert False, 'MMCV==3.0 is used but incompatible'", "MMCV==3.0 is used but incompatible"),
        ("import numpy; numpy.bool8", "module 'numpy' has no attribute 'bool8'"),
        ("import ftfyy", "No module named 'ftfyy'"),
        ("def check(): raise ImportError('Numba needs NumPy 1.0 or less')\ncheck()", "Numba needs NumPy 1.0 or less"),
        ("raise OSError('libcudart.so.12: cannot open shared object file')", "libcudart.so.12: cannot open"),
    ],
)
def test_a_package_that_fails_while_it_is_imported_is_no_fault_of_ours(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mmseg").mkdir()
    (tmp_path / "mmseg/__init__.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mmseg"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(Exception, match=said) as raised:
        importlib.import_module("mmseg")
    message = ended(monkeypatch, raised.value).stderr
    assert message.startswith(f"error: `mmseg` is installed and cannot be imported ({said}")


def test_a_file_in_the_place_of_a_module_that_a_package_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("zlib")
    other.__file__ = str(tmp_path / "zlib.py")
    monkeypatch.setitem(sys.modules, "zlib", other)
    said = ended(monkeypatch, ImportError("module 'zlib' has no attribute 'crc32'", name="PIL")).stderr
    assert said.startswith("error: `PIL` cannot be imported (module 'zlib' has no attribute 'crc32'): ")
    assert f"`{tmp_path / 'zlib.py'}` was imported in the place of Python's module `zlib`: rename it" in said


def test_a_package_of_which_only_folders_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a `pip uninstall` of one of two packages for OpenCV."""
    (tmp_path / "cv2/cv2/lib").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    with pytest.raises(AttributeError) as raised:
        importlib.import_module("cv2").imread("a.png")
    monkeypatch.delitem(sys.modules, "cv2")
    message = ended(monkeypatch, raised.value).stderr
    assert message.startswith(
        "error: `cv2` is installed and cannot be imported (module 'cv2' has no attribute 'imread'"
    )


@pytest.mark.parametrize(
    ("begins", "said"),
    [
        ("def late(): from mmseg import _part", "'(' was never closed"),
        ("import mmseg._part", "marshal data too short"),
        ("def late(): import importlib; importlib.import_module('mmseg._part')", "marshal data too short"),
    ],
    ids=["what a function imports", "a compiled file", "a compiled file that a function imports"],
)
@pytest.mark.parametrize("package", ["mmseg", "needed_by_others"])
def test_a_package_whose_files_are_cut_off_is_named(
    package: str, begins: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    part = packages / f"{package}/_part.py"
    part.parent.mkdir(parents=True)
    (packages / f"{package}/__init__.py").write_text(begins.replace("mmseg", package))
    if "closed" in said:
        part.write_text("def cut(off,")
    else:
        part.write_text("")
        compiled = Path(py_compile.compile(str(part), doraise=True) or "")
        compiled.write_bytes(compiled.read_bytes()[:-9])
    monkeypatch.syspath_prepend(packages)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises((SyntaxError, EOFError)) as raised:
        importlib.import_module(package).late()
    message = ended(monkeypatch, raised.value).stderr
    kept = f"`{part.parent}/__pycache__/_part.{sys.implementation.cache_tag}.pyc` is damaged ("
    begins = f"`{package}` is installed and cannot be imported (" if "closed" in said else kept
    assert message.startswith(f"error: {begins}") and said in message
    if kept in message:
        assert message.endswith("): delete it, and Python makes it anew\n")


def test_a_compiled_file_without_its_source_is_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "without_source.py").write_text("")
    compiled = py_compile.compile(str(tmp_path / "without_source.py"), str(tmp_path / "without_source.pyc"))
    (tmp_path / "without_source.py").unlink()
    Path(compiled or "").write_bytes(Path(compiled or "").read_bytes()[:20])
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EOFError) as raised:
        importlib.import_module("without_source")
    said = ended(monkeypatch, raised.value).stderr
    assert said == f"error: `{compiled}` is damaged ({raised.value}): install it again\n"


def test_a_file_of_nothing_but_nuls_is_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python does not say which file that is."""
    (tmp_path / "mmseg.py").write_bytes(bytes(100))
    (tmp_path / "begins.py").write_text("import mmseg\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mmseg"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises((SyntaxError, ValueError)) as raised:
        importlib.import_module("begins")
    said = ended(monkeypatch, raised.value).stderr
    assert said.startswith("error: `mmseg` is installed and cannot be imported (source code") and "null bytes" in said


def test_damaged_metadata_of_a_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pydantic and networkx read that of every package, to find what extends them."""
    folder = tmp_path / "some-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: some\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[console_scripts]\nno equals sign\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError) as raised:
        importlib.metadata.entry_points(group="networkx.backends")
    said = ended(monkeypatch, raised.value).stderr
    assert said.startswith(f"error: `{folder}/entry_points.txt` is damaged (") and "install that package again" in said


@pytest.mark.parametrize(
    ("text", "set_to", "said"),
    [
        ("import os\nTIME = int(os.environ.get('HF_HUB_DOWNLOAD_TIMEOUT', 10))", "x", "HF_HUB_DOWNLOAD_TIMEOUT=x"),
        (
            "raise ValueError('Invalid log settings: nosuch, must be a list')",
            "nosuch",
            "HF_HUB_DOWNLOAD_TIMEOUT=nosuch",
        ),
        ("import warnings\nwarnings.warn('old', DeprecationWarning)", "", "PYTHONWARNINGS=error"),
        ("raise ValueError('something else')", "", "`mmseg` is installed and cannot be imported (something else)"),
        ("raise ValueError('a.yaml, line 7')", "7", "`mmseg` is installed and cannot be imported (a.yaml, line 7)"),
    ],
)
def test_a_variable_that_a_package_cannot_read_is_named(
    text: str, set_to: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mmseg").mkdir()
    (tmp_path / "mmseg/__init__.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", set_to)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    for name in [name for name in sys.modules if name.partition(".")[0] == "mmseg"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises((ValueError, DeprecationWarning)) as raised:
        importlib.import_module("mmseg")
    assert said in ended(monkeypatch, raised.value).stderr
