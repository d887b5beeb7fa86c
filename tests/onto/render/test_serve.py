"""`lsu-onto render --watch`, asked as a browser asks."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner

from helpers.tax import save
from lsu_onto.cli import main
from lsu_onto.render import RenderError, serve
from lsu_onto.render.serve import PageServer

TOWN = "tax 1\ndataset town v1 -> demo v1\n1 drivable > road lane_marking\n2 verge {} grass\n"


def get(url: str, **headers: str) -> str:
    with urlopen(Request(url, headers=headers)) as answer:
        return str(answer.read().decode())


def event(stream: BinaryIO | http.client.HTTPResponse) -> dict[str, Any]:
    line = stream.readline()
    while not line.startswith(b"data: "):
        assert line, "the server has ended"
        line = stream.readline()
    return dict(json.loads(line[6:]))


def test_a_session(tmp_path: Path) -> None:
    town = tmp_path / "town.tax"
    town.write_text(TOWN.format("<"))
    command = [sys.executable, "-m", "lsu_onto", "render", "town", "--watch", "--view", "matrix"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stderr
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:") and 'src="http' not in get(url)
            with urlopen(f"{url}events") as events:
                first = event(events)
                assert (first["severity"], first["findings"]) == ("", "") and "no warnings" in first["status"]
                picture = get(f"{url}page")
                assert "drivable" in picture and 'id="show-matrix" aria-label="matrix" checked' in picture

                save(town, TOWN.format("<").replace("road", "rode"))
                wrong = event(events)
                assert wrong["severity"] == "error" and "did you mean `road`?" in wrong["findings"]
                assert wrong["picture"] == first["picture"] and get(f"{url}page") == picture

                save(town, TOWN.format("~"))
                right = event(events)
                assert right["severity"] == "warning" and "1 warning" in right["status"]
                assert "  --> town.tax:4:9" in right["findings"] and "TAX305" in right["findings"]
                assert right["picture"] != first["picture"] and get(f"{url}page") != picture

                settings = tmp_path / "pyproject.toml"
                save(settings, "[tool.lsu-onto]\nignor = []\n")
                wrong = event(events)
                assert wrong["severity"] == "error" and "there is no setting `ignor`" in wrong["findings"]
                assert "the settings are wrong" in wrong["status"] and wrong["picture"] == right["picture"]
                save(settings, '[tool.lsu-onto]\nignore = ["TAX305"]\n')
                ignored = event(events)
                assert (ignored["severity"], ignored["picture"]) == ("", right["picture"])
            process.send_signal(signal.SIGINT)
            assert process.wait() == 130
            assert process.stderr.read() == "watching for changes; Ctrl-C ends\ninterrupted\n"
        finally:
            process.kill()


def test_pages_elsewhere_cannot_read_ours() -> None:
    with PageServer() as server:
        server.show("<p>ours", "", "", "")
        port = server.server_address[1]
        assert get(f"http://localhost:{port}/page") == "<p>ours" == get(f"{server.url}page", Host="localhost:1")
        for path, host, status in (("", "rebound.example:80", 403), ("page", "127.0.0.1.example", 403), ("x", "", 404)):
            with pytest.raises(HTTPError) as refused:
                get(f"{server.url}{path}", **({"Host": host} if host else {}))
            assert refused.value.code == status
            refused.value.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(24, "Too many open files", "watch.js"), "a browser got no answer: [Errno 24] Too many open files"),
        (RuntimeError("can't start new thread"), "a browser got no answer: can't start new thread"),
        (MemoryError(), "a browser got no answer: out of memory"),
        (ConnectionResetError(104, "Connection reset by peer"), ""),
    ],
)
def test_what_the_machine_does_not_allow_is_a_line(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str) -> str:
        raise error

    monkeypatch.setattr(serve, "fill", fail)
    with PageServer() as server:
        with pytest.raises(http.client.RemoteDisconnected):
            get(server.url)
        server.show("<p>ours", "", "", "")
        assert get(f"{server.url}page") == "<p>ours", "it goes on"
    shown = capsys.readouterr().err
    assert shown.startswith(said) and bool(shown) == bool(said) and "Traceback" not in shown


def test_a_port_that_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(RenderError, match=r"port \d+ is in use"):
        PageServer(other.getsockname()[1])


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["demo_town", "--watch", "-o", "a.html"], 2, "--watch serves the page of one map and writes no file"),
        (["bdd100k", "cityscapes", "offroad", "--watch"], 2, "--watch serves the page of one map"),
        (["demo_town", "--port", "8000"], 2, "--port and --open belong to --watch"),
        (["demo_twon", "--watch"], 1, "did you mean `demo_town`?"),
        (["no/such/town.tax", "--watch"], 1, "no/such/town.tax"),
    ],
)
def test_what_is_refused(args: list[str], code: int, message: str) -> None:
    done = CliRunner().invoke(main, ["render", *args])
    assert done.exit_code == code and message in done.stderr
