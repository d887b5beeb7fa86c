"""What the commands of both programs write to: streams of any charset, closed streams, full disks."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import lsu_onto.cli

ROOT = Path(__file__).parents[3]
ODD = """tax 1
dataset odd v1 -> demo v1

1  path "道路 → Straße"  #ff8000  < road  # ≥ 3 m, “gravel”
2  cow  ! any
"""


def call(*args: str, charset: str = "utf-8") -> Result:
    result = CliRunner(charset=charset).invoke(lsu_onto.cli.main, args)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("charset", ["cp1252", "latin-1", "ascii"])
def test_every_command_writes_to_any_stream(charset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("道.tax").write_text(ODD, encoding="utf-8")
    Path("道.csv").write_text("id,name\n1,Straße → 道\n", encoding="utf-8")
    Path("wrong.tax").write_text(ODD.replace("< road", "→ road"), encoding="utf-8")
    Path("old.tax").write_text(ODD.replace("< road", "< sky"), encoding="utf-8")
    commands = [
        ["init", "--from-csv", "道.csv", "-o", "new.tax"],
        ["import", "nowhere.csv", "--from", "csv", "--name", "odd"],
        ["fmt", "--diff", "道.tax"],
        *(["validate", "wrong.tax", "--format", f] for f in ("full", "concise", "json", "github", "sarif")),
        ["changes", "道.tax", "--against", "old.tax"],
        ["check-maps", "wrong.tax"],
        ["explain", "TAX306"],
        ["list", "--path", "."],
        ["show", "道.tax"],
        ["show", "道.tax", "path"],
        ["render", "道.tax"],
        ["compile", "道.tax", "-o", "道.npz"],
        *(["export", "道.tax", "--to", f] for f in ("json", "csv", "md", "mmseg", "sssom", "skos")),
        ["compose", "道.tax", "demo", "道"],
        ["invert", "道.tax"],
        ["restrict", "demo", "@道"],
        ["unite", "道.tax", "道"],
        ["suggest", "道.tax", "--source", "cityscapes"],
        ["doctor"],
        ["docs", "-o", "道"],
    ]
    for command in commands:
        result = call(*command, charset=charset)
        refused = command[0] in (
            "import",
            "fmt",
            "validate",
            "changes",
            "check-maps",
            "compose",
            "restrict",
            "unite",
            "suggest",
        )
        assert result.output and result.exit_code == refused, command
    assert {c[0] for c in commands} == {*lsu_onto.cli.main.places} - {"lsp"}


@pytest.mark.parametrize("charset", ["utf-8", "ascii", "cp1252", "utf-16", "utf-16-le", "utf-32"])
def test_names_of_files_that_are_no_text_can_be_written(charset: str) -> None:
    name = os.fsdecode(b"caf\xe9.tax")
    written = name.encode(charset, "lsu_onto.spell")
    if charset.startswith("utf-16") or charset.startswith("utf-32"):
        assert written.decode(charset) == r"caf\xe9.tax"
    else:
        assert written == os.fsencode(name)


def test_what_a_stream_lacks_is_spelt_out_and_data_is_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "odd.tax"
    file.write_text(ODD, encoding="utf-8")
    shown = call("show", str(file), "path", charset="cp1252")
    assert "# \\u2265 3 m, “gravel”" in shown.stdout  # the quotes are in cp1252
    assert '"gravel"' in call("show", str(file), "path", charset="latin-1").stdout
    marks = call("doctor", charset="latin-1").stdout
    assert "\n+ the language" in marks and "\\u2713" not in marks
    for command in (["export", str(file), "--to", "json"], ["export", str(file), "--to", "md"]):
        exported = call(*command, charset="cp1252").stdout_bytes
        assert exported == call(*command).stdout_bytes
        assert "道路" in exported.decode("utf-8")


CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("streams", CLOSED)
@pytest.mark.parametrize("line", ["lsu-onto show demo_town", "lsu-onto list", "lsu-onto fmt -", "lsu-seg --help"])
def test_closed_streams_are_no_fault(line: str, streams: str, path: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"exec {line} {streams}"],
        input="tax 1\n",
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": path},
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="for sandboxes without devices, of Linux")
@pytest.mark.parametrize("streams", CLOSED)
def test_closed_streams_are_no_fault_without_a_null_device(streams: str) -> None:
    code = "import os; os.devnull = '/nowhere/null'; from lsu_onto.cli import main; main(['explain', 'TAX306'])"
    command = ["bash", "-c", f'exec "$0" -c "$1" {streams}', sys.executable, code]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists() or sys.platform != "linux", reason="there is no full device")
def test_a_full_disk_is_a_message_without_a_null_device() -> None:
    code = "import os; os.devnull = '/nowhere/null'; from lsu_onto.cli import main; main(['explain', 'TAX306'])"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")


@pytest.mark.parametrize(("command", "says"), [("fmt -", "Connection reset by peer"), ("lsp", "")])
def test_a_connection_as_standard_input_that_is_reset(command: str, says: str, path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        far, _ = server.accept()
        with far:
            near.sendall(b"tax 1\n")
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            near.close()  # with what has not been read: a reset, and no end
            done = subprocess.run(
                ["lsu-onto", *command.split()],
                stdin=far,
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | {"PATH": path},
            )
    assert done.returncode == 1 and says in done.stdout + done.stderr and "does not expect" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("line", ["lsu-onto --help", "lsu-onto explain TAX306", "lsu-onto export demo_town --to md"])
def test_a_full_disk_is_a_message(line: str, path: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"exec {line} >/dev/full"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": path},
    )
    assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_what_is_said_beside_a_result_ends_nothing_on_a_full_disk(tmp_path: Path, path: str) -> None:
    """A log of hours of labelling, or a terminal that is gone."""
    file = tmp_path / "odd.tax"
    file.write_text(ODD.replace("< road", "< raod"), encoding="utf-8")
    for line, code in ((f"invert {file.parent}/even.tax", 0), (f"validate {file}", 1), ("show nothing", 1)):
        (tmp_path / "even.tax").write_text(ODD, encoding="utf-8")
        command = ["bash", "-c", f"exec lsu-onto {line} 2>/dev/full"]
        env = os.environ | {"PATH": path}
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=env)
        said = subprocess.run([*command[:2], f"exec lsu-onto {line}"], capture_output=True, check=False, env=env)
        assert (done.returncode, done.stdout) == (code, said.stdout) and said.stderr


def test_what_a_full_disk_takes_a_part_of_is_a_message_where_streams_have_no_buffer(tmp_path: Path, path: str) -> None:
    """As in containers: there Python writes what fits, and says nothing of the rest."""
    done = subprocess.run(
        ["bash", "-c", "ulimit -f 8; exec lsu-onto export idd --source cityscapes --to json > out.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"},
    )
    assert (done.returncode, done.stderr) == (1, "error: File too large\n")


def test_closed_streams_leave_no_file_open(path: str) -> None:
    env = os.environ | {"PATH": path, "PYTHONWARNINGS": "error::ResourceWarning"}
    done = subprocess.run(
        ["bash", "-c", "exec lsu-onto list >&- <&-"], stderr=subprocess.PIPE, check=False, text=True, env=env
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_log_on_a_full_disk_prints_no_traceback() -> None:
    code = (
        "import logging; from lsu_onto.cli import main; logging.basicConfig(filename='/dev/full');"
        "main(['explain', '306'], standalone_mode=False); logging.error('what mmengine logs')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert (done.stdout[:13], done.stderr) == ("error[TAX306]", "")


@pytest.mark.parametrize("encoding", ["idna", "undefined", "ascii:replcae"])
def test_an_encoding_that_takes_no_text_is_not_used(encoding: str, path: str) -> None:
    done = subprocess.run(
        ["lsu-onto", "validate", b"no\xff.tax"],
        capture_output=True,
        check=False,
        env=os.environ | {"PATH": path, "PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 1 and b"error[TAX001]: cannot read `no" in done.stderr, done.stderr


def test_a_name_that_is_no_text_is_written_byte_for_byte(tmp_path: Path, path: str) -> None:
    shutil.copy(ROOT / "tests/tax/ok/field.tax", os.fsencode(tmp_path) + b"/f\xff.tax")
    done = subprocess.run(
        ["lsu-onto", "compile", b"f\xff.tax", "-o", b"f\xff.npz"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
    )
    assert (done.stdout, done.stderr) == (b"f\xff.npz\n", b"")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["fmt", "--diff", b"f\xff.tax"], rb"--- f\udcff.tax"),
        (["validate", b"f\xff.tax", "--format", "sarif"], b'"uri": "f%FF.tax"'),
        (["init", "--from-csv", b"c\xff.csv", "-o", "/dev/stdout", "--force"], rb"c\udcff.csv"),
        (["import", "--from", "csv", b"c\xff.csv"], rb"from c\udcff.csv"),
    ],
)
def test_a_name_that_is_no_text_is_spelt_out_inside_of_a_text(
    line: list[str | bytes], expected: bytes, tmp_path: Path, path: str
) -> None:
    text = (ROOT / "tests/tax/ok/field.tax").read_text()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xff.tax")).write_text(text.replace(" =", "   =") + "oh\n")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/c\xff.csv")).write_text("id,name\n1,road\n")
    environment = os.environ | {"PATH": path}
    done = subprocess.run(["lsu-onto", *line], capture_output=True, check=False, cwd=tmp_path, env=environment)
    assert expected in done.stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "compose idd vistas cityscapes",
        "invert idd --source cityscapes",
        "restrict cityscapes road car",
        "import --from csv a.csv",
    ],
)
def test_what_people_wrote_is_not_replaced(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("id,name\n1,road\n")
    Path("mine.tax").write_text("tax 1\nsource mine v1\n0 road  # a week of work\n")
    result = CliRunner().invoke(lsu_onto.cli.main, [*line.split(), "-o", "mine.tax"])
    assert result.exit_code == 1 and "mine.tax: is there already, and would be lost" in result.stderr
    assert "a week of work" in Path("mine.tax").read_text()
    for _ in range(2):  # the same is written again
        assert call(*line.split(), "-o", "new.tax").exit_code == 0
    Path("new.tax").write_text(Path("new.tax").read_text() + "# edited since\n")
    assert CliRunner().invoke(lsu_onto.cli.main, [*line.split(), "-o", "new.tax"]).exit_code == 1


def test_streams_that_code_of_users_closes_or_nobody_has_opened_take_what_comes_later() -> None:
    code = (
        "import sys; from lsu_onto.streams import mend_streams as mend;"
        "out, sys.stdout = sys.stdout, None; mend(); print('\\udcff'); sys.stdout = out;"
        "mend(); sys.stdout.close(); print('more')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "more\n", "")


@pytest.mark.parametrize(("columns", "kept"), [("²", False), ("1" * 5000, False), ("٣", True), ("120", True)])
def test_a_width_of_the_terminal_that_is_no_number_is_none(columns: str, kept: bool) -> None:
    """rich takes all of them for numbers."""
    code = (
        "import os; from lsu_onto.streams import mend_streams as mend; from rich.console import Console;"
        "mend(); print(os.environ.get('COLUMNS', 'none'), Console().width > 0)"
    )
    environment = {**os.environ, "COLUMNS": columns, "PYTHONUTF8": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8")
    assert (run.returncode, run.stdout, run.stderr) == (0, f"{columns if kept else 'none'} True\n", "")


class Cell(io.TextIOBase):
    """What a notebook has for a stream: it takes text alone, and is no file."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        assert isinstance(text, str)
        self.text += text
        return len(text)


@pytest.mark.parametrize("command", ["export demo --to csv", "restrict demo road car --name r", "list --format json"])
def test_commands_that_are_called_in_a_notebook(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell()
    monkeypatch.setattr(sys, "stdout", cell)
    with contextlib.suppress(SystemExit):
        lsu_onto.cli.main(command.split(), standalone_mode=False)
    assert cell.text == CliRunner().invoke(lsu_onto.cli.main, command.split()).stdout != ""


HIDDEN = """tax 1
dataset odd v1 -> demo v1

1  path "a\u202elebal\u2066\u200bz"  < road
2  cow  > road sky \u202e
"""


def test_names_cannot_turn_the_order_of_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor can characters that show nothing make two names look the same."""
    monkeypatch.chdir(tmp_path)
    name = "wrong\u202exat.tax"
    Path(name).write_text(HIDDEN, encoding="utf-8")
    for form in ("full", "concise", "github"):
        result = call("validate", name, "--format", form)
        assert "\\u202e" in result.output.replace(name, "")
        assert not {*"\u202e\u2066\u200b"} & {*result.output}.difference(name if form == "github" else "")
    missing = call("show", "no\u2067where")
    assert "no\\u2067where" in missing.output


def test_a_terminal_shows_what_it_would_obey(tmp_path: Path) -> None:
    """A pipe gets it as it is: another program may look the name up."""
    (tmp_path / "odd.tax").write_text("tax 1\nsource odd v1\n\n0 road  # a\u202elebal\n", encoding="utf-8")
    command = [sys.executable, "-m", "lsu_onto", "show", "odd.tax"]
    near, far = os.openpty()
    with os.fdopen(near, "rb", buffering=0) as terminal:
        run = subprocess.run(command, stdout=far, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
        os.close(far)
        shown = terminal.read(1 << 16).decode()
    assert run.returncode == 0, run.stderr
    assert "a\\u202elebal" in shown
    piped = subprocess.run(command, capture_output=True, cwd=tmp_path, check=False, text=True, encoding="utf-8")
    assert "a\u202elebal" in piped.stdout
