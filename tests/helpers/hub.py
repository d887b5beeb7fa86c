"""A Hugging Face hub on the loopback address: what `huggingface_hub` asks for when it downloads a model."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Hub:
    """Models by name, each a folder with its only commit, and what was asked of them.

    Attributes:
        commits: name → commit, to which the branch `main` leads.
        gated: names of models that need the token.
        status: what every request is answered with, if it is not 200.
    """

    root: Path
    endpoint: str = ""
    commits: dict[str, str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    status: int = 200
    requests: list[str] = field(default_factory=list)

    TOKEN = "hf_of_this_test"

    def downloads(self) -> set[str]:
        """Names of the files whose content was asked for."""
        return {line.rpartition("/")[2] for line in self.requests if line.startswith("GET") and "/resolve/" in line}


@contextmanager
def serve(root: Path) -> Iterator[Hub]:
    """A hub with the models `ROOT/OWNER/NAME`. They may be changed while it runs, with their entry in `commits`."""
    hub = Hub(root)
    for folder in sorted(root.glob("*/*")):
        name = folder.relative_to(root).as_posix()
        hub.commits[name] = hashlib.sha1(name.encode()).hexdigest()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"{self.command} {path}")
            if hub.status != 200:
                self.refuse(hub.status, "")
                return
            parts = path.strip("/").split("/")
            is_api = parts[:2] == ["api", "models"]
            owner, name, what, revision, *rest = [*(parts[2:] if is_api else parts), "", "", "", ""]
            model, file = f"{owner}/{name}", "/".join(rest).strip("/")
            commit = hub.commits.get(model)
            if commit is None:
                self.refuse(401, "RepoNotFound")  # as the real one does where nobody has logged in
            elif revision not in ("main", commit):
                self.refuse(404, "RevisionNotFound")
            elif is_api and what == "revision":
                self.answer(json.dumps({"id": model, "sha": commit, "siblings": []}).encode())
            elif is_api and what == "tree":
                self.answer(json.dumps([self.entry(f) for f in sorted((root / model).iterdir())]).encode())
            elif model in hub.gated and self.headers.get("authorization") != f"Bearer {hub.TOKEN}":
                self.refuse(403, "GatedRepo")
            elif what == "resolve" and (root / model / file).is_file():
                content = (root / model / file).read_bytes()
                self.answer(content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit})
            else:
                self.refuse(404, "EntryNotFound")

        def entry(self, file: Path) -> dict[str, object]:
            content = file.read_bytes()
            return {"type": "file", "path": file.name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

        def answer(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def refuse(self, status: int, code: str) -> None:
            self.answer(b"", {"X-Error-Code": code} if code else {}, status)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
