"""An editor for the tests: pygls' own client, talking to `lsu-onto lsp` in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types
from pygls.lsp.client import LanguageClient

import lsu_onto

T = TypeVar("T")
TIMEOUT = 600


class Editor:
    """One server process and the documents open in it. Positions are found by searching for a text."""

    def __init__(self, folder: Path, *args: str, options: Any = None, encodings: list[str] | None = None) -> None:
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self.client = LanguageClient("test", "1")
        self.found: dict[str, list[types.Diagnostic]] = {}
        self.news = asyncio.Event()
        self.texts: dict[str, str] = {}
        self.version = 0
        self.exit_code: int | None = None

        @self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _(params: types.PublishDiagnosticsParams) -> None:
            self.found[params.uri] = list(params.diagnostics)
            self.news.set()

        self.refreshed: list[str] = []
        """What the server said to ask for again."""
        for method in (types.WORKSPACE_INLAY_HINT_REFRESH, types.WORKSPACE_SEMANTIC_TOKENS_REFRESH):
            self.client.feature(method)(lambda *_, method=method: self.refreshed.append(method))
        workspace = types.WorkspaceClientCapabilities(
            inlay_hint=types.InlayHintWorkspaceClientCapabilities(refresh_support=True),
            semantic_tokens=types.SemanticTokensWorkspaceClientCapabilities(refresh_support=True),
        )

        root = str(Path(lsu_onto.__file__).parents[1])
        start = self.client.start_io(sys.executable, "-m", "lsu_onto.cli", "lsp", *args, cwd=root)
        self.wait(start)
        general = types.GeneralClientCapabilities(position_encodings=encodings) if encodings else None
        self.capabilities = self.wait(
            self.client.initialize_async(
                types.InitializeParams(
                    types.ClientCapabilities(general=general, workspace=workspace),
                    workspace_folders=[types.WorkspaceFolder(folder.as_uri(), "tests")],
                    initialization_options=options,
                )
            )
        ).capabilities
        self.client.initialized(types.InitializedParams())

    def wait(self, work: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, TIMEOUT))

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    # --- documents ------------------------------------------------------------------------------------

    def open(self, name: str, text: str | None = None) -> list[types.Diagnostic]:
        """Open a document, and wait for its findings."""
        self.texts[name] = (self.folder / name).read_text(encoding="utf-8") if text is None else text
        self.found.pop(self.uri(name), None)
        item = types.TextDocumentItem(self.uri(name), "tax", 0, self.texts[name])
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return self.findings(name)

    def type(self, name: str, text: str, *also: str) -> list[types.Diagnostic]:
        """Change a document, and wait for the findings of it and of others that it touches."""
        self.version += 1
        for n in (name, *also):
            self.found.pop(self.uri(n), None)
        self.texts[name] = text
        document = types.VersionedTextDocumentIdentifier(self.version, self.uri(name))
        change = types.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))
        return [self.findings(n) for n in (name, *also)][-1]

    def close(self, name: str) -> None:
        document = types.TextDocumentIdentifier(self.uri(name))
        self.found.pop(self.uri(name), None)
        self.client.text_document_did_close(types.DidCloseTextDocumentParams(document))
        self.texts.pop(name)

        async def until_none() -> None:
            while self.found.get(self.uri(name)) != []:
                self.news.clear()
                await self.news.wait()

        self.wait(until_none())

    def findings(self, name: str) -> list[types.Diagnostic]:
        async def until() -> list[types.Diagnostic]:
            while self.uri(name) not in self.found:
                self.news.clear()
                await self.news.wait()
            return self.found[self.uri(name)]

        return self.wait(until())

    # --- requests -------------------------------------------------------------------------------------

    def at(self, name: str, text: str, inside: int = 0) -> tuple[types.TextDocumentIdentifier, types.Position]:
        """The place of a text, or so many characters into it, in UTF-16 code units."""
        before = self.texts[name][: self.texts[name].index(text) + inside]
        column = len(before.rpartition("\n")[2].encode("utf-16-le")) // 2
        return types.TextDocumentIdentifier(self.uri(name)), types.Position(before.count("\n"), column)

    def ask(self, method: str, params: Any) -> Any:
        async def request() -> Any:
            return await self.client.protocol.send_request_async(method, params)

        return self.wait(request())

    def hover(self, name: str, text: str, inside: int = 0) -> str:
        found = self.ask("textDocument/hover", types.HoverParams(*self.at(name, text, inside)))
        return found.contents.value if found else ""

    def completions(self, name: str, after: str) -> dict[str, types.CompletionItem]:
        place = self.at(name, after, len(after))
        found = self.ask("textDocument/completion", types.CompletionParams(*place))
        return {i.label: i for i in found.items}

    def rename(self, name: str, text: str, new: str, inside: int = 0) -> dict[str, str]:
        """File → its text afterwards."""
        document, position = self.at(name, text, inside)
        edit = self.ask("textDocument/rename", types.RenameParams(document, position, new))
        return self.edited(edit)

    def edited(self, edit: types.WorkspaceEdit) -> dict[str, str]:
        return {
            Path(uri).name: apply(self.text(Path(uri).name), list(edits)) for uri, edits in (edit.changes or {}).items()
        }

    def text(self, name: str) -> str:
        return self.texts.get(name) or (self.folder / name).read_text(encoding="utf-8")

    def stop(self) -> int:
        """Say goodbye; the server's exit code."""
        process = self.client._server
        assert process is not None
        self.wait(self.client.shutdown_async(None))
        self.client.exit(None)
        code = self.wait(process.wait())
        self.wait(self.client.stop())
        self.loop.close()
        return code


def apply(text: str, edits: list[types.TextEdit]) -> str:
    """Edits to a text, as an editor makes them."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)

    def offset(p: types.Position) -> int:
        if p.line >= len(lines):
            return len(text)
        units = lines[p.line].encode("utf-16-le")[: 2 * p.character]
        return starts[p.line] + len(units.decode("utf-16-le"))

    for e in sorted(edits, key=lambda e: offset(e.range.start), reverse=True):
        text = text[: offset(e.range.start)] + e.new_text + text[offset(e.range.end) :]
    return text
