"""How the commands of both programs end, are listed and started, and what options they share."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

import lsu_onto.cli
import lsu_seg.cli
from helpers.ended import ended
from lsu_onto import UserError, faults, program
from lsu_onto.packages import EXTRAS
from lsu_onto.program import Program

ROOT = Path(__file__).parents[3]


class RefusalError(UserError):
    """A refusal of some room."""


def made_of(stop: BaseException, error: BaseException) -> BaseException:
    """What a library raises that catches everything."""
    error.__context__ = stop
    return error


def made_by(cause: BaseException, error: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RefusalError("town.png: found 3; write 4"), 1, "error: town.png: found 3; write 4\n"),
        (FileNotFoundError(2, "No such file or directory", "a.png"), 1, "error: a.png: No such file or directory\n"),
        (
            OSError(24, "Too many open files", "a.png"),
            1,
            "error: a.png: Too many open files; this shell allows no more: see `ulimit -n`\n",
        ),
        (OSError(28, "No space left on device"), 1, "error: No space left on device\n"),
        (OSError("image file is truncated"), 1, "error: image file is truncated\n"),
        (
            MemoryError(),
            1,
            "error: out of memory; end other programs, or see `ulimit -v` for what this shell allows\n",
        ),
        (
            made_by(ImportError("so.6: failed to map segment from shared object"), ImportError("PLEASE READ THIS\n\n")),
            1,
            "error: out of memory: PLEASE READ THIS; end other programs, or see `ulimit -v` for what this shell"
            " allows\n",
        ),
        (
            RuntimeError("can't start new thread"),
            1,
            "error: can't start new thread: no memory for it, or more than this shell allows: see `ulimit -v` and"
            " `ulimit -u`\n",
        ),
        (RuntimeError("Symlink loop from 'a.tax'"), 1, "error: Symlink loop from 'a.tax'\n"),
        (
            RuntimeError("Could not determine home directory."),
            1,
            "error: a path begins with `~` and a name, and there is no such user: write the whole path\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (made_of(KeyboardInterrupt(), SyntaxError("check the syntax")), 130, "interrupted\n"),
        (made_of(KeyboardInterrupt(), BrokenPipeError(32, "Broken pipe")), 130, "interrupted\n"),
        (made_of(KeyboardInterrupt(), RefusalError("cannot be read")), 130, "interrupted\n"),
        (made_of(SystemExit(143), ValueError("ours")), 143, ""),
        (made_of(SystemExit(3), RefusalError("it ends the program")), 1, "error: it ends the program\n"),
        (click.UsageError("not so"), 2, "Error: not so\n"),
    ],
)
def test_what_is_the_users_or_the_machines_is_a_message(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = ended(monkeypatch, error)
    assert isinstance(result.exception, SystemExit)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.endswith(said) and (code == 2 or result.stderr == said)


def test_ctrl_c_while_an_error_is_told_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "ending", interrupted)
    result = ended(monkeypatch, RefusalError("town.png: found 3; write 4"))
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("ours"),
        KeyError("ours"),
        ImportError("cannot import name 'x' from 'lsu_onto'", name="lsu_onto"),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
)
def test_a_fault_of_ours_says_so_and_keeps_its_traceback(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert ended(monkeypatch, error).exception is error  # as all tests want it
    monkeypatch.delenv("LSU_TRACEBACK")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert ended(monkeypatch, error).exception is error  # this file is the user's
    monkeypatch.setattr(faults, "_is_users", lambda _: False)
    result = ended(monkeypatch, error)
    assert (result.exit_code, result.stdout) == (70, "")
    (file,) = tmp_path.iterdir()
    assert "Traceback (most recent call last)" in file.read_text() and type(error).__name__ in file.read_text()
    assert re.match(rf"error: {type(error).__name__}: .*ours|error: ConnectionResetError|error: Import", result.stderr)
    assert "(lsu_onto/program.py:" in result.stderr and f"report it with {file}" in result.stderr
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    result = ended(monkeypatch, error)
    assert result.exit_code == 70 and "report it with what it prints with LSU_TRACEBACK=1 set" in result.stderr


class PanicError(BaseException):
    """As that of Rust in a library, which is no Exception."""


def test_what_is_no_exception_is_a_fault_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LSU_TRACEBACK")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(faults, "_is_users", lambda _: False)
    result = ended(monkeypatch, PanicError("cannot parse"))
    assert result.exit_code == 70 and result.stderr.startswith("error: PanicError: cannot parse (lsu_onto/program.py:")


def test_a_package_that_is_too_old_may_be_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LSU_TRACEBACK")
    assert "unless this is why" not in str(faults.fault(ValueError("no"), "lsu-onto"))
    (tmp_path / "pydantic-1.10.13.dist-info").mkdir()
    (tmp_path / "pydantic-1.10.13.dist-info/METADATA").write_text("Name: pydantic\nVersion: 1.10.13\n")
    monkeypatch.syspath_prepend(tmp_path)
    said = str(faults.fault(ValueError("no"), "lsu-onto"))
    assert ", unless this is why: pydantic 1.10.13 is outside " in said and 'pip install "pydantic' in said


def test_whose_code_a_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("net.py", "code.zip", "target/click/core.py", "copy/mmseg/models/a.py", "copy/net.py", "cache/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert faults._is_users(str(tmp_path / "net.py")) and faults._is_users(str(tmp_path / "code.zip/net.py"))
    monkeypatch.chdir(tmp_path / "copy")
    assert faults._is_users("net.py")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert faults._is_users(str(tmp_path / "net.py")), "a project in its environment's folder"
    ours = ("<frozen runpy>", click.__file__, re.__file__, faults.__file__, "pycocotools/_mask.pyx")
    compiled = ("click/main.py", "/build/click/main.py")  # as pydantic 1 was, or `.pyc` files without these
    assert not any(map(faults._is_users, (*ours, *compiled)))
    assert faults._is_users(str(Path(tempfile.gettempdir(), "config.py"))), "the copy from which mmengine runs a config"
    archive = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    (tmp_path / archive).write_text("")
    monkeypatch.syspath_prepend(tmp_path / archive)
    assert not faults._is_users(str(tmp_path / archive / "json/decoder.py")), "Python's own modules in an archive"
    (tmp_path / "target" / "click-8.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "target")
    assert not faults._is_users(str(tmp_path / "target" / "click" / "core.py")), "of `pip install --target`"
    monkeypatch.setitem(sys.modules, "mmseg", ModuleType("mmseg"))
    monkeypatch.setattr(
        sys.modules["mmseg"], "__file__", str(tmp_path / "copy" / "mmseg" / "__init__.py"), raising=False
    )
    assert not faults._is_users(str(tmp_path / "copy" / "mmseg" / "models" / "a.py")), "a copy"
    assert faults._is_users(str(tmp_path / "copy" / "net.py"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    written = ("cache/a.py", "torchinductor_me/ab/cab.py", ".triton/cache/0/launcher.py")
    for file in written[1:]:
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("")
    assert not any(faults._is_users(str(tmp_path / file)) for file in written), "by `torch.compile`"


def test_a_module_of_pythons_is_none_of_the_users_wherever_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a relative PYTHONHOME, or a link, of whose folders `sysconfig` does not know."""
    monkeypatch.delenv("LSU_TRACEBACK")
    file = tmp_path / "decoder.py"
    file.write_text("def read(): raise KeyError(1)")
    for name, is_shown in (("json.decoder", False), ("click.core", False), ("mine.decoder", True)):
        module = {"__name__": name}
        exec(compile(file.read_text(), str(file), "exec"), module)
        with pytest.raises(KeyError) as raised:
            module["read"]()  # type: ignore[operator]
        outer = RuntimeError("no")
        outer.__context__ = raised.value.with_traceback(raised.tb.tb_next)  # without the frame of this test
        assert faults.is_shown(outer) == is_shown, name


@pytest.mark.parametrize("where", ["message", "cause"])
def test_an_error_of_the_users_code_in_another_process_keeps_its_traceback(
    where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """torch raises what a worker has raised with the worker's traceback as the message."""
    lines = f'Traceback (most recent call last):\n  File "{tmp_path}/augment.py", line 3, in transform\nKeyError: 1\n'
    error = RuntimeError("ours" if where == "cause" else f"Caught KeyError in DataLoader worker process 0.\n{lines}")
    error.__cause__ = RuntimeError(lines) if where == "cause" else None
    monkeypatch.delenv("LSU_TRACEBACK")
    monkeypatch.setattr(faults, "_is_users", lambda file: file == f"{tmp_path}/augment.py")
    assert ended(monkeypatch, error).exception is error


@pytest.mark.parametrize("error", [EOFError(), BrokenPipeError(32, "Broken pipe")])
def test_click_would_pass_over_these_without_a_word(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    result = ended(monkeypatch, error)
    assert isinstance(result.exception, RuntimeError) and result.exception.__cause__ is error


def test_a_message_that_nobody_can_read_keeps_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(click, "echo", full)
    assert ended(monkeypatch, RefusalError("no"), refused=2).exit_code == 2


def test_a_message_commands_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    done = ended(monkeypatch, UserError("`\x1b]0;title\x07\x9b1m` is not a class\n  of `s`"))
    assert done.output == "error: `\\x1b]0;title\\x07\\x9b1m` is not a class\n  of `s`\n"


@pytest.mark.parametrize("line", ["list", "scan idd --data-root ."])
def test_a_current_folder_that_is_gone_is_named(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone := tmp_path / "gone").mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(gone)
        gone.rmdir()
        done = CliRunner().invoke(lsu_seg.cli.main if "scan" in line else lsu_onto.cli.main, line.split())
    assert done.exit_code in (1, 2) and "the current folder has been removed" in done.output, done.output


def test_a_command_says_how_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(monkeypatch, RefusalError("no"), refused=2).exit_code == 2
    assert ended(monkeypatch, KeyboardInterrupt(), interrupted="go on").stderr == "interrupted; go on\n"


def test_the_table_of_extras_is_that_of_the_project() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    brings = {extra: {Requirement(r).name.lower() for r in needs} for extra, needs in declared.items()}
    providers = packages_distributions()
    for extra, modules in EXTRAS.items():
        for module in modules:
            names = {d.lower() for d in providers.get(module, [])}
            assert (
                not names or names & brings[extra] or module in ("cv2", "llvmlite", "mmcv", "mmengine", "lsprotocol")
            ), module
    assert set(EXTRAS) <= set(declared)


def test_head_ends_it_quietly() -> None:
    python = shlex.quote(sys.executable)
    long = f"{python} -m lsu_onto export idd --source cityscapes --to json"
    completion = f"_LSU_ONTO_COMPLETE=bash_source {python} -m lsu_onto"
    for line in (f"{long} | head -1", f"{python} -m lsu_onto list | true", f"{completion} | true"):
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.stderr == ""
    wrong = f"{python} -m lsu_onto nonsense 2>&1 | true; exit ${{PIPESTATUS[0]}}"
    assert subprocess.run(["bash", "-c", wrong], check=False, cwd=ROOT).returncode == 1


@pytest.mark.parametrize("program", ["lsu_onto", "lsu_seg"])
def test_python_m(program: str) -> None:
    done = subprocess.run([sys.executable, "-m", program, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: {program.replace('_', '-')} [OPTIONS]")


@pytest.mark.parametrize("main", [lsu_onto.cli.main, lsu_seg.cli.main], ids=["lsu-onto", "lsu-seg"])
def test_every_command_is_listed_once_and_a_misspelt_one_is_named(main: Program) -> None:
    text = CliRunner().invoke(main, ["--help"]).stdout
    assert all(text.count(f"\n  {name} ") == 1 for name in main.places)
    folder = ROOT / main.package.replace(".", "/")
    modules = {f.stem for f in folder.glob("*.py")} - {"__init__", "arguments"}
    assert {place.partition(":")[0] for place in main.places.values()} == modules
    first = next(iter(main.places))
    wrong = CliRunner().invoke(main, [f"{first}x"])
    assert wrong.exit_code == 2 and f"there is no command `{first}x`; did you mean `{first}`?" in wrong.stderr


SHARED = {"search": "--path", "source": "--source", "format_": "--format", "split": "--split", "output": "--output"}


@pytest.mark.parametrize("main", [lsu_onto.cli.main, lsu_seg.cli.main], ids=["lsu-onto", "lsu-seg"])
def test_options_are_spelt_alike(main: Program) -> None:
    for name in main.places:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                if parameter.name in SHARED:
                    expected = {SHARED[parameter.name], *(["-o"] if parameter.name == "output" else [])}
                    allowed = {*expected, "--from", "--to"} if parameter.name == "format_" else expected
                    assert set(parameter.opts) <= allowed, (name, parameter.opts)
                assert "-o" not in parameter.opts or parameter.name == "output", (name, parameter.opts)


@pytest.mark.parametrize("main", [lsu_onto.cli.main, lsu_seg.cli.main], ids=["lsu-onto", "lsu-seg"])
def test_no_command_takes_an_empty_argument(main: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--source "$UNSET"` of a script, which must mean neither all files below here nor no source."""
    monkeypatch.chdir(tmp_path)
    Path("ugly.tax").write_text("tax 1\nsource a v1\n0  road\n")
    lines = 0
    for name in main.places:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                given = {"an argument": ["--a-flag", ""]}
            elif parameter.hidden or parameter.is_flag or isinstance(parameter.type, click.Choice):
                continue
            elif parameter.nargs > 1:
                given = {"an argument": [parameter.opts[0], "a", "", "c"]}
            else:
                given = {f"`{o}`": [o, ""] for o in parameter.opts}
                given[f"`{parameter.opts[-1]}` "] = [f"{parameter.opts[-1]}="]
            for called, args in given.items():
                lines += 1
                refused = CliRunner().invoke(main, [name, *args])
                assert refused.exit_code == 2, (name, args, refused.output)
                assert f"Error: {called.strip()} is empty: is a variable of a script unset?" in refused.stderr
                assert f" {name} --help" in refused.stderr
    assert lines > 30
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("ugly.tax", "tax 1\nsource a v1\n0  road\n")]


NO_TAXONOMY = {"explain", "doctor", "docs", "demo", "compare", "average"}
"""Commands that look no taxonomy up, or only shipped ones."""


@pytest.mark.parametrize("main", [lsu_onto.cli.main, lsu_seg.cli.main], ids=["lsu-onto", "lsu-seg"])
def test_every_command_that_looks_taxonomies_up_searches_folders(main: Program) -> None:
    for name in {*main.places} - NO_TAXONOMY:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        for each in command.commands.values() if isinstance(command, click.Group) else [command]:
            assert "search" in {p.name for p in each.params}, (name, each.name)


FAR = (
    "tax 1\nsource far v1\n0 road\nsource farther v1\n0 place\ndataset middle v1\n1 road\n"
    "map middle v1 -> far v1\nroad = road\nmap middle v1 -> farther v1\nroad < place\n"
)
NEAR = "tax 1\ndataset near v1 -> far v1\n1 way < road\n"
LOOKS_UP = {
    "list": "list",
    "show": "show far",
    "validate": "validate near.tax",
    "fmt": "fmt --check near.tax",
    "changes": "changes near.tax --against near.tax",
    "render": "render near.tax -o near.dot",
    "compile": "compile near.tax -o near.npz",
    "export": "export near.tax --to csv",
    "compose": "compose near far farther",
    "suggest": "suggest near.tax --source farther -o -",
    "check-maps": "check-maps near.tax",
    "invert": "invert near.tax",
    "restrict": "restrict far road",
    "unite": "unite near.tax far",
    "import": "import --from csv a.csv --source far",
    "init": "init x --source far --force",
    "lsp": "",
}
"""Of each command, a line that needs the source `far`; `fmt` asks for nothing, and the server has a test of its own."""


def test_every_command_finds_what_lies_in_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(LOOKS_UP) == {*lsu_onto.cli.main.places} - NO_TAXONOMY
    monkeypatch.chdir(tmp_path)
    Path("lib").mkdir()
    Path("lib/far.tax").write_text(FAR)
    Path("near.tax").write_text(NEAR)
    Path("a.csv").write_text("id,name\n1,road\n")
    for name, line in LOOKS_UP.items():
        if name not in ("fmt", "lsp"):
            lines = line, f"{line} --path lib"
            alone, found = (CliRunner().invoke(lsu_onto.cli.main, each.split()) for each in lines)
            assert found.exit_code == 0, (name, found.output)
            assert alone.exit_code != 0 or (name == "list" and "far" not in alone.stdout and "far" in found.stdout), (
                name
            )


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_streams_that_cannot_be_opened_are_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LSU_TRACEBACK")
    code = """import os, resource
import lsu_onto.cli, lsu_onto.commands.list, lsu_onto.endings, lsu_onto.faults
os.close(0); os.close(1)
resource.setrlimit(resource.RLIMIT_NOFILE, (1, 1))
lsu_onto.cli.main(["list"])"""
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "error: Too many open files; this shell allows no more: see `ulimit -n`\n",
    )
