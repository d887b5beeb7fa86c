"""Commands read what has an end: no command waits for a pipe that nothing writes to, nor reads a device."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

import lsu_onto
from helpers.tax import SOURCE, TAX
from lsu_onto import TaxonomyError
from lsu_onto.cli import main
from lsu_onto.files import open_to_read

COMMANDS = {
    "show": "show {}.tax",
    "show --source": "show demo_town --source {}.tax",
    "fmt": "fmt {}.tax",
    "fmt --check": "fmt --check {}.tax",
    "validate": "validate {}.tax",
    "compile": "compile {}.tax -o out.npz",
    "render": "render {}.tax -o out.svg",
    "export": "export {}.tax --to csv",
    "init --from-csv": "init x --from-csv {}.csv",
    "init --from-labels": "init x --from-labels {}.png",
    "init --data-root": "init x --data-root {}.csv",
    "changes": "changes {}.tax --against ok.tax",
    "changes --against": "changes ok.tax --against {}.tax",
    "list": "list --path .",
    **{
        f"import {f}": f"import --from {f} {{}}.csv" for f in ("csv", "json", "xml", "labelmap", "mmseg", "data-priors")
    },
    "import mseg": "import --from mseg {}.csv --column idd",
    "import --source-from": "import --from data-priors {}.csv --source-from {}.csv",
}
ALL_RUN = """
import contextlib, io, sys
from lsu_onto.cli import main
for line in sys.stdin.read().splitlines():
    print("---", line)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(line.split(), standalone_mode=True)
    except SystemExit as end:
        print(end.code)
    print(err.getvalue())
"""


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_no_command_reads_what_has_no_end(tmp_path: Path, kind: str) -> None:
    (tmp_path / "ok.tax").write_text(SOURCE)
    for suffix in (".tax", ".csv", ".png"):
        file = tmp_path / f"odd{suffix}"
        if kind == "pipe":
            os.mkfifo(file)
        else:
            file.symlink_to("/dev/zero")
    lines = "\n".join(line.replace("{}", "odd") for line in COMMANDS.values())
    done = subprocess.run(
        [sys.executable, "-c", ALL_RUN], cwd=tmp_path, input=lines, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split("--- ")[1:]
    assert len(answers) == len(COMMANDS)
    for answer in answers:
        assert "Traceback" not in answer
        line, code, *said = answer.split("\n")
        assert (code == "0") == (line == "list --path ."), answer
        assert "odd" in "".join(said) or code == "0", answer
    whys = {"pipe": "a pipe that nothing writes to", "device": "a device, not a file"}
    assert sum(whys[kind] in answer for answer in answers) >= 15, done.stdout
    assert {f.name for f in tmp_path.iterdir()} == {"ok.tax", "odd.tax", "odd.csv", "odd.png"}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("lsu-onto validate <(cat {ok})", 0),
        ("lsu-onto validate /dev/stdin < {ok}", 0),
        ("cat {ok} | lsu-onto validate /dev/stdin", 0),
        ("lsu-onto fmt --check <(cat {ok}) | grep -qx /dev/fd/63", 0),
        ("lsu-onto validate <(sleep 0.2; cat {ok})", 0),
        ("lsu-onto validate <(cat {bad})", 1),
        ("lsu-onto import --from csv <(printf 'id,name\\n1,road\\n') --name town | grep -q '1  road'", 0),
        ("cat {table} | lsu-onto import --from csv /dev/stdin --name town | grep -q '1  road'", 0),
        ("lsu-onto init town --from-csv <(cat {table}) -o /dev/stdout --force | grep -q road", 0),
        ("lsu-onto validate <(true)", 1),
    ],
)
def test_what_a_shell_connects_is_read(tmp_path: Path, command: str, code: int) -> None:
    table, good = tmp_path / "a.csv", tmp_path / "demo.tax"
    good.write_text(SOURCE)
    table.write_text("id,name\n1,road\n")
    paths = {"ok": good, "bad": TAX / "bad/TAX201.tax", "table": table}
    line = command.replace("lsu-onto", f"{shlex.quote(sys.executable)} -m lsu_onto")
    line = line.format(**{name: shlex.quote(str(path)) for name, path in paths.items()})
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "pipe" not in done.stderr


def test_a_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe, text, read = tmp_path / "pipe", b"long\n" * 100_000, []
    os.mkfifo(pipe)
    kept = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # so that a writer can come before the reader
    with pipe.open("wb") as writer:
        reader = threading.Thread(target=lambda: read.append(open_to_read(pipe).read()), daemon=True)
        reader.start()
        writer.write(text)
    reader.join(10)
    os.close(kept)
    assert read == [text]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("changes folder --against ok.tax", "`folder` is a folder; expected a `.tax` file"),
        ("changes ok.tax --against okk.tax", "there is no file `okk.tax`; did you mean `ok.tax`?"),
        ("changes ok.tax --against pipe.tax", "cannot read `pipe.tax`: it is a pipe that nothing writes to"),
        ("init x --data-root ok.tax", "`ok.tax` is not a folder"),
        ("init x --data-root pipe.tax", "`pipe.tax` is not a folder"),
        ("init x --data-root gone", "'gone' does not exist"),
        ("init x --from-labels pipe.tax", "`pipe.tax` is a pipe or a device; expected a folder, a file or a pattern"),
        ("list --path pipe.tax", "`pipe.tax` is not a folder"),
        ("validate idd", "help: expected files and folders, not names; `idd` is in `"),
        ("check-maps vistas@v2", "not names; `vistas@v2` is in `"),
        ("fmt okk.tax", "help: did you mean `ok.tax`?"),
        ("show demo --path ok.tax", "`ok.tax` is not a folder"),
    ],
)
def test_what_is_there_is_named_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("ok.tax").write_text(SOURCE)
    os.mkfifo("pipe.tax")
    refused = CliRunner().invoke(main, line.split())
    assert refused.exit_code != 0 and message in refused.output, refused.output


def test_what_no_screen_shows_is_spelt_out(tmp_path: Path) -> None:
    (tmp_path / "nul.tax").write_bytes(b"tax 1\nsource a v1\n0 ro\0ad\n")
    (tmp_path / "lfs.tax").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n")
    (tmp_path / "bell.tax").write_bytes(b"tax 1\nsource a v1\n0 ro\x07ad\n")
    for form in ("full", "concise", "github"):
        found = CliRunner().invoke(main, ["validate", str(tmp_path), "--format", form]).output
        assert "not UTF-8 text: found byte 0x00" in found
        assert found.count("lfs.tax") == 1 and "this is a git-LFS pointer, not the file" in found
        assert "\0" not in found and "\x07" not in found, form
        assert r"unexpected `\x07ad`" in found, found
    with pytest.raises(TaxonomyError, match="no file has a NUL in its name"):
        lsu_onto.load("a\0b.tax")
