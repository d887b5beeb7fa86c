"""What the server says of messages that it cannot use: a line each on standard error, where editors keep it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from lsu_onto import UserError, faults
from lsu_onto.lsp.log import Handler
from lsu_onto.lsp.positions import to_column
from lsu_onto.lsp.server import Server, serve
from lsu_onto.lsp.session import Session


def message(body: bytes) -> bytes:
    return f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def request(number: int, method: str, **params: Any) -> bytes:
    return message(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode())


def notify(method: str, **params: Any) -> bytes:
    return message(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())


def document(uri: str) -> dict[str, Any]:
    return {"uri": uri, "languageId": "tax", "version": 1, "text": "tax 2\n"}


def test_a_message_that_cannot_be_used_is_a_line() -> None:
    bad = {
        b"{not json": "Unable to handle message: JSONDecodeError: Expecting property name",
        b"[1, 2]": "Unable to handle message: AttributeError: 'list' object has no attribute 'jsonrpc'",
        b'{"jsonrpc": "2.0", "id": "\xff"}': "Unable to handle message: UnicodeDecodeError: 'utf-8' codec",
        b'{"jsonrpc": "2.0", "id": NaN, "method": "shutdown"}': "number or a text, not NaN",
        b'{"jsonrpc": "2.0", "id": [[]], "method": "workspace/symbol", "params": {"query": ""}}': "not [[]]",
        b"[" * 100_000: "Unable to handle message: RecursionError",
        b'{"jsonrpc": "2.0", "id": 3, "method": "textDocument/hover"}': "required field missing @ $.params",
        b'{"jsonrpc": "2.0", "id": 4, "method": "textDocument/hover", "params": {"textDocument": 3}}': (
            "Unable to deserialize message: invalid value for type, expected str @ $.params.text_document.uri …"
        ),
    }
    said = [
        request(7, "textDocument/hover", textDocument={"uri": "file:///x.tax"}, position={"line": 0, "character": 0}),
        request(1, "initialize", processId=None, rootUri=None, capabilities={}),
        *map(message, bad),
        *(notify("textDocument/didOpen", textDocument=document(uri)) for uri in ("file:///a%00b.tax", "file:///c.tax")),
        notify("textDocument/didOpen", textDocument=document(f"file:///{'y/' * 3000}z.tax")),
        request(8, "textDocument/documentSymbol", textDocument={"uri": "http://[x/a.tax"}),
        request(5, "workspace/executeCommand", command="x"),
        request(9, "shutdown"),
        message(b'{"jsonrpc": "2.0", "method": "exit"}'),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "lsu_onto", "lsp"], input=b"".join(said), capture_output=True, check=False
    )
    assert done.returncode == 0, "it goes on after each"
    lines = done.stderr.decode().splitlines()
    assert len(lines) == len(bad) + 2, lines
    for line, start in zip(
        lines, ["the first request is `initialize`", *bad.values(), "Command name 'x' is not defined"], strict=True
    ):
        assert line.startswith("lsu-onto: ") and start in line
    assert b'"id": 9' in done.stdout and b'"id": 8, "jsonrpc": "2.0", "result": ' in done.stdout
    assert b"-32002" in done.stdout and b"the first request is `initialize`" in done.stdout
    for name in (b"a%00b.tax", b"c.tax"):
        assert b'"uri": "file:///' + name + b'", "diagnostics": [' in done.stdout, "one NUL ends nothing"


@pytest.mark.parametrize("length", ["9223372036854775807", "9" * 20, "9" * 5000])
def test_a_length_that_is_no_length_ends_in_a_message(length: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lsu_onto", "lsp"],
        input=f"Content-Length: {length}\r\n\r\n{{}}".encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2 and b"is its `Content-Length` right" in done.stderr


def test_an_id_that_no_float_holds_is_answered() -> None:
    request = message(b'{"jsonrpc": "2.0", "id": 1%b, "method": "shutdown"}' % (b"0" * 400))
    done = subprocess.run([sys.executable, "-m", "lsu_onto", "lsp"], input=request, capture_output=True, check=False)
    assert b'"id": 1%b' % (b"0" * 400) in done.stdout and b"does not expect" not in done.stderr


def test_a_length_that_no_memory_holds_ends_in_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(self: Server, **streams: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Server, "start_io", starve)
    with pytest.raises(UserError, match="is its `Content-Length` right"):
        serve()


def test_a_fault_of_ours_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.Logger("a server's")
    logger.addHandler(Handler())
    try:
        to_column(None, 3, "utf-16")  # type: ignore[arg-type]
    except Exception:
        logger.exception("Failed to handle request")
    said = capsys.readouterr().err
    assert said.startswith("lsu-onto: Failed to handle request\nTraceback") and "in to_column" in said


def test_for_users_a_fault_is_a_message_and_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LSU_TRACEBACK")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(faults, "_is_users", lambda _: False)
    logger = logging.Logger("a server's")
    logger.addHandler(Handler())
    for _ in range(2):
        try:
            to_column(None, 3, "utf-16")  # type: ignore[arg-type]
        except Exception:
            logger.exception("Failed to handle request")
    said = capsys.readouterr().err
    (kept,) = tmp_path.iterdir()
    assert "Traceback" not in said and said.count(f"report it with {kept}") == 1
    assert said.splitlines()[-1].endswith(", as before") and "in to_column" in kept.read_text()


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_a_folder_that_cannot_be_is_searched_like_one_that_is_not_there(path: str) -> None:
    session = Session([path])
    session.edit("/a.tax", "file:///a.tax", "tax 1\ndataset a v1 -> demo v1\n1 a = road\n")
    assert [d.code for d in session.check("/a.tax").diagnostics] == ["TAX307"]
