"""What keeps both programs from starting is a message, too."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lsu_onto
from lsu_onto.start import NEEDED, in_its_place


def ended(package: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """How the program ends where modules of a folder go before Python's own."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); sys.argv = ['x', 'list']"
    code += f"; from {package}.__main__ import main; main()"
    kept = {name: value for name, value in os.environ.items() if name != "LSU_TRACEBACK"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=kept | variables
    )


def run(options: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """How Python ends with options where PYTHONPATH names a folder before that of our packages."""
    path = os.pathsep.join([str(folder), str(Path(lsu_onto.__file__).parents[1])])
    kept = {name: value for name, value in os.environ.items() if name != "LSU_TRACEBACK"} | {"PYTHONPATH": path}
    command = [sys.executable, "-P", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=kept, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("package", ["lsu_onto", "lsu_seg"])
def test_a_file_with_the_name_of_a_module_of_python(package: str, tmp_path: Path) -> None:
    (tmp_path / "uuid.py").write_text("")
    done = ended(package, tmp_path)
    name = package.replace("_", "-")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: `{name}` cannot be imported: AttributeError: module 'uuid' has no attribute")
    assert f"help: `{tmp_path / 'uuid.py'}` was imported in the place of Python's module `uuid`: rename" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in ended(package, tmp_path, LSU_TRACEBACK="1").stderr


@pytest.mark.parametrize("package", ["lsu_onto", "lsu_seg"])
def test_an_older_python(package: str) -> None:
    needed = Path(lsu_onto.__file__).parents[1] / "pyproject.toml"
    assert f'requires-python = ">={".".join(map(str, NEEDED))}"\n' in needed.read_text(encoding="utf-8")
    code = f"import sys; sys.version_info = (3, 9, 18, 'final', 0); from {package}.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    name = package.replace("_", "-")
    said = f"error: `{name}` needs Python 3.11 or newer, and {sys.executable} is 3.9.18\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize(
    "file",
    ["lsu_onto/__init__.py", "lsu_onto/__main__.py", "lsu_onto/start.py", "lsu_seg/__init__.py", "lsu_seg/__main__.py"],
)
def test_an_older_python_reads_what_tells_it_so(file: str) -> None:
    """It would evaluate `str | None`; and with `from __future__` a file of that name would be looked for."""
    text = (Path(lsu_onto.__file__).parents[1] / file).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text, feature_version=(3, 7))):
        assert not isinstance(node, ast.ImportFrom) or node.module != "__future__"
        annotations = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        local = isinstance(node, ast.AnnAssign)  # that of a function's own variable is not evaluated
        assert local or all(isinstance(a, (ast.Constant, ast.Name, type(None))) for a in annotations), node.lineno


@pytest.mark.parametrize(
    "options",
    [
        ["-c", "from lsu_onto.start import lsu_seg; lsu_seg()"],  # the installed program
        ["-m", "lsu_seg", "--help"],
        ["-um", "lsu_seg", "--help"],
        ["-mlsu_seg", "--help"],
    ],
    ids=lambda options: options[0],
)
def test_another_python_s_module_that_lsu_seg_itself_needs(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "ast.py").write_text("assert False, 'of another Python'\n")
    done = run(options, tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: `lsu-seg` cannot be imported: AssertionError: of another Python (")
    assert f"`{tmp_path / 'ast.py'}` was imported in the place of Python's module `ast`" in done.stderr


@pytest.mark.parametrize("package", ["lsu_onto", "lsu_seg"])
def test_a_file_that_python_itself_takes_for_its_future(package: str, tmp_path: Path) -> None:
    (tmp_path / "__future__.py").write_text("")
    said = run(["-m", package, "list"], tmp_path).stderr
    assert said.startswith(f"error: `{package.replace('_', '-')}` cannot be imported: ImportError: ")
    assert f"`{tmp_path / '__future__.py'}` was imported in the place of Python's module `__future__`: rename" in said


def test_where_python_goes_on_after_the_end_the_message_is_one(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("x = (")
    done = run(["-i", "-m", "lsu_onto", "list"], tmp_path)
    assert done.stderr.startswith("error: `lsu-onto` cannot be imported: SyntaxError: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["lsu_onto.py", "lsu_onto/__init__.py"])
def test_a_file_in_the_place_of_the_other_package(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    said = f"error: `{tmp_path / name}` was imported in the place of the package `lsu_onto`: rename it\n"
    assert run(["-m", "lsu_seg", "--help"], tmp_path).stderr == said


@pytest.mark.parametrize("package", ["lsu_onto", "lsu_seg"])
def test_a_folder_of_a_clone_that_is_run_as_a_program(package: str) -> None:
    folder = Path(lsu_onto.__file__).parents[1] / package
    done = subprocess.run([sys.executable, "-I", "-S", folder], capture_output=True, text=True, check=False)
    said = f"error: write `python -m {package}`: the folder itself is no program\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize("damage", ["\0", "x = ("])
def test_a_package_whose_file_is_damaged(damage: str, tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(damage)
    done = ended("lsu_onto", tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("error: `lsu-onto` cannot be imported: SyntaxError: ")
    assert "a package that it needs, is damaged, or may not be read: install it again" in done.stderr


def test_what_a_package_puts_in_its_place_is_no_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """setuptools has a `distutils` of its own."""
    module = ModuleType("this")
    module.__file__ = "/x/lib/python3.12/site-packages/y/this.py"
    monkeypatch.setitem(sys.modules, "this", module)
    assert in_its_place() == ""
    module.__file__ = f"{sys.base_prefix}/DLLs/this.pyd"  # as on Windows
    assert in_its_place() == ""
    module.__file__ = "/x/this.py"
    assert "`/x/this.py` was imported in the place of Python's module `this`" in in_its_place()
    for odd in (Path("/x/this.py"), 5, b"/x"):  # as the user's own file may set it
        module.__file__ = odd  # type: ignore[assignment]
        assert f"`{odd}` was imported in the place of" in in_its_place()
    (tmp_path / "lib").symlink_to(Path(os.__file__).parent)
    module.__file__ = str(tmp_path / "lib/this.py")
    assert in_its_place() == "", "Python's own, by a link"
    module.__file__, module.__path__ = None, 5  # type: ignore[assignment]
    assert in_its_place() == ""
    module.__file__, module.__path__ = None, ["/x/pandas"]  # of an empty folder
    monkeypatch.delitem(sys.modules, "this")
    monkeypatch.setitem(sys.modules, "pandas", module)
    assert "`/x/pandas` was imported in the place of the package `pandas`" in in_its_place()


@pytest.mark.parametrize("module", ["tempfile", "traceback"])
def test_what_tells_of_faults_may_be_damaged_itself(module: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("")
    (tmp_path / "csv.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['x', 'export', 'demo_town', '--to', 'csv']"
    code += "; from lsu_onto.__main__ import main; main()"
    kept = {name: value for name, value in os.environ.items() if name != "LSU_TRACEBACK"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=kept)
    assert done.returncode == 70 and done.stderr.startswith("error: AttributeError: module '")
    assert "was imported in the place of Python's module" in done.stderr
    assert "Traceback" not in done.stderr
