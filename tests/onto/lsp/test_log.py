"""What the server says of messages that it cannot use: a line each on standard error, where editors keep it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from lsu_onto.lsp.log import Handler
from lsu_onto.lsp.positions import to_column


def message(body: bytes) -> bytes:
    return f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def request(number: int, method: str, **params: Any) -> bytes:
    return message(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode())


def test_a_message_that_cannot_be_used_is_a_line() -> None:
    bad = {
        b"{not json": "Unable to handle message: JSONDecodeError: Expecting property name",
        b"[1, 2]": "Unable to handle message: AttributeError: 'list' object has no attribute 'jsonrpc'",
        b'{"jsonrpc": "2.0", "id": "\xff"}': "Unable to handle message: UnicodeDecodeError: 'utf-8' codec",
        b"[" * 100_000: "Unable to handle message: RecursionError",
        b'{"jsonrpc": "2.0", "id": 3, "method": "textDocument/hover"}': "required field missing @ $.params",
        b'{"jsonrpc": "2.0", "id": 4, "method": "textDocument/hover", "params": {"textDocument": 3}}': (
            "Unable to deserialize message: invalid value for type, expected str @ $.params.text_document.uri …"
        ),
    }
    said = [
        request(1, "initialize", processId=None, rootUri=None, capabilities={}),
        *map(message, bad),
        request(5, "workspace/executeCommand", command="x"),
        request(9, "shutdown"),
        message(b'{"jsonrpc": "2.0", "method": "exit"}'),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "lsu_onto", "lsp"], input=b"".join(said), capture_output=True, check=False
    )
    assert done.returncode == 0, "it goes on after each"
    lines = done.stderr.decode().splitlines()
    assert len(lines) == len(bad) + 1, lines
    for line, start in zip(lines, [*bad.values(), "Command name 'x' is not defined"], strict=True):
        assert line.startswith("lsu-onto: ") and start in line
    assert b'"id": 9' in done.stdout


def test_a_fault_of_ours_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.Logger("a server's")
    logger.addHandler(Handler())
    try:
        to_column(None, 3, "utf-16")  # type: ignore[arg-type]
    except Exception:
        logger.exception("Failed to handle request")
    said = capsys.readouterr().err
    assert said.startswith("lsu-onto: Failed to handle request\nTraceback") and "in to_column" in said
