"""The server: requests of the protocol, answered by the other modules of this room."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcServerNotInitialized
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol

from lsu_onto import __version__
from lsu_onto.diagnostics import RULES, Diagnostic, Fix, Span
from lsu_onto.errors import UserError
from lsu_onto.lang import syntax as ast
from lsu_onto.library.formatting import format_file
from lsu_onto.library.pipe import Analysis
from lsu_onto.lsp.complete import Item, complete
from lsu_onto.lsp.ends import at_ctrl_c, output
from lsu_onto.lsp.hover import hover
from lsu_onto.lsp.log import Handler
from lsu_onto.lsp.outline import outline
from lsu_onto.lsp.positions import to_column, to_path, to_range, to_uri
from lsu_onto.lsp.rename import RenameError, everywhere, may_rename, rename
from lsu_onto.lsp.session import Session
from lsu_onto.lsp.shown import FEATURES
from lsu_onto.lsp.symbols import Occurrence, at, occurrences
from lsu_onto.settings import NAME as SETTINGS

_SEVERITY = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "info": types.DiagnosticSeverity.Information,
}
_KIND = {
    "class": types.CompletionItemKind.EnumMember,
    "group": types.CompletionItemKind.Module,
    "word": types.CompletionItemKind.Keyword,
    "taxonomy": types.CompletionItemKind.File,
    "version": types.CompletionItemKind.Constant,
    "key": types.CompletionItemKind.Property,
    "value": types.CompletionItemKind.Value,
    "code": types.CompletionItemKind.Reference,
}
_UNNECESSARY = ("TAX308", "TAX309")
_FIX_ALL = "source.fixAll.lsu-onto"
"""Editors ask for `source.fixAll` on save."""

_REQUEST_FAILED = -32803
_QUICK = 0.2
"""Seconds. If checking takes longer, it waits for a pause in the typing."""


class Protocol(LanguageServerProtocol):
    """That of pygls, which answers a message by its id: some ids that JSON can write are no keys, or equal nothing."""

    def structure_message(self, data: dict[str, Any]) -> Any:
        number = data.get("id") if "jsonrpc" in data else None  # not a part of a message
        usable = number is None or isinstance(number, (str, int)) or (isinstance(number, float) and isfinite(number))
        if not usable or isinstance(number, bool):
            raise UserError(f"the `id` of a message is a number or a text, not {json.dumps(number)[:80]}")
        return super().structure_message(data)

    def _send_response(self, msg_id: Any, result: Any = None, error: Any = None) -> None:
        if error is not None and isinstance(error.data, dict):
            error.data.pop("traceback", None)  # what editors show; `log` says how a fault is reported
        super()._send_response(msg_id, result, error)


class Server(LanguageServer):
    """A session behind the protocol of pygls. Texts are sent whole: `.tax` files are small, and no edit can be lost."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        full = types.TextDocumentSyncKind.Full
        super().__init__("lsu-onto", __version__, text_document_sync_kind=full, protocol_cls=Protocol)
        self.session = Session(paths)
        self.session.say = self.warn
        self.said_goodbye = False
        self._published: dict[str, Analysis] = {}
        self._took = 0.0
        self._waiting: asyncio.TimerHandle | None = None
        self._complained = ""

    # --- places ---------------------------------------------------------------------------------------

    @property
    def encoding(self) -> str:
        try:
            encoding = self.workspace.position_encoding
        except RuntimeError as error:  # of pygls: nobody has said `initialize`
            raise JsonRpcServerNotInitialized("the first request is `initialize`") from error
        return str(getattr(encoding, "value", encoding))

    def uri(self, path: str) -> str:
        return self.session.open.get(path) or to_uri(path)

    def range(self, span: Span) -> types.Range:
        return to_range(self.session.lines(span.file), span, self.encoding)

    def location(self, span: Span) -> types.Location:
        return types.Location(self.uri(span.file), self.range(span))

    def place(self, uri: str, position: types.Position) -> tuple[str, int, int]:
        """File, line and column of a position."""
        path = to_path(uri)
        lines = self.session.lines(path)
        line = lines[position.line].removesuffix("\r") if position.line < len(lines) else ""
        return path, position.line + 1, to_column(line, position.character, self.encoding)

    def under(self, uri: str, position: types.Position) -> Occurrence | None:
        path, line, column = self.place(uri, position)
        return at(occurrences(self.session.library, self.session.check(path), line), line, column)

    def edit(self, fixes: Iterable[Fix]) -> types.WorkspaceEdit:
        changes: dict[str, list[types.TextEdit]] = {}
        for f in fixes:
            changes.setdefault(self.uri(f.span.file), []).append(types.TextEdit(self.range(f.span), f.text))
        return types.WorkspaceEdit(changes=changes)

    # --- findings -------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Check the open documents: at once, or in the next pause of the typing if they are large."""
        if self._waiting:
            self._waiting.cancel()
        if self._took < _QUICK:
            self.publish()
        else:
            self._waiting = asyncio.get_running_loop().call_later(self._took, self.publish)

    def publish(self) -> None:
        """Send the findings of every open document whose findings may have changed: an edit affects its users, too."""
        start = time.perf_counter()
        published = 0
        for path, uri in self.session.open.items():
            analysis = self.session.check(path)
            if self._published.get(path) is not analysis:
                self._published[path] = analysis
                shown = [] if self.session.settings.excludes(path) else analysis.diagnostics
                findings = [self.diagnostic(d, path) for d in shown]
                self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, findings))
                published += 1
        if published > 1:
            self.refresh()
        self._took = time.perf_counter() - start

    def refresh(self) -> None:
        """Let the editor ask again for what it asks for when a document itself is edited."""
        can = self.client_capabilities.workspace
        if can and can.inlay_hint and can.inlay_hint.refresh_support:
            self.workspace_inlay_hint_refresh(None)
        if can and can.semantic_tokens and can.semantic_tokens.refresh_support:
            self.workspace_semantic_tokens_refresh(None)

    def read_settings(self) -> None:
        """Use the settings of the folders that are open. A mistake in them is shown, and changes nothing."""
        try:
            self.session.find_settings()
        except UserError as e:
            if self._complained != str(e):
                self.window_show_message(types.ShowMessageParams(types.MessageType.Error, str(e)))
            self._complained = str(e)
        else:
            self._complained = ""

    def warn(self, message: str) -> None:
        self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, message))

    def close(self, path: str) -> None:
        uri = self.uri(path)
        self.session.close(path)
        self._published.pop(path, None)
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))

    def diagnostic(self, d: Diagnostic, path: str) -> types.Diagnostic:
        where, related = d.span, [(span, label or "here") for span, label in d.places]
        if where.file != path:  # an inherited class: the finding is shown at the top, and refers to the place
            where, related = Span(path, 1, 1, 2), [(d.span, d.message), *related]
        fix = d.fix and {"title": d.fix.title, "text": d.fix.text}
        return types.Diagnostic(
            range=self.range(where),
            message=d.message + (f"\n{d.help}" if d.help else ""),
            severity=_SEVERITY[d.severity],
            code=d.code,
            source="lsu-onto",
            tags=[types.DiagnosticTag.Unnecessary] if d.code in _UNNECESSARY else None,
            related_information=[
                types.DiagnosticRelatedInformation(self.location(span), text) for span, text in related
            ]
            or None,
            data={"title": RULES[d.code].title, "why": RULES[d.code].why, "fix": fix},
        )

    def actions(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """Quick fixes of the requested lines, and all safe fixes of the document if these are requested."""
        path = to_path(params.text_document.uri)
        only = params.context.only
        wanted = None if only is None else [str(getattr(kind, "value", kind)) for kind in only]
        quick = self.quick_fixes(path, params) if _is_wanted(types.CodeActionKind.QuickFix.value, wanted) else []
        return [*quick, *(self.fix_all(path) if wanted and _is_wanted(_FIX_ALL, wanted) else ())]

    def fix_all(self, path: str) -> list[types.CodeAction]:
        edits = self.rewriting(path, self.session.without_safe_findings(path))
        uri = self.uri(path)
        action = types.CodeAction("apply all safe fixes", _FIX_ALL, edit=types.WorkspaceEdit(changes={uri: edits}))
        return [action] if edits else []

    def quick_fixes(self, path: str, params: types.CodeActionParams) -> list[types.CodeAction]:
        lines = range(params.range.start.line + 1, params.range.end.line + 2)
        return [
            types.CodeAction(
                d.fix.title,
                types.CodeActionKind.QuickFix,
                [self.diagnostic(d, path)],
                is_preferred=True,
                edit=self.edit([d.fix]),
            )
            for d in self.session.check(path).diagnostics
            if d.fix and d.span.file == path and d.span.line in lines
        ]

    # --- colours and formatting -----------------------------------------------------------------------

    def colours(self, uri: str) -> list[types.ColorInformation]:
        colours = []
        for s in self.session.check(to_path(uri)).file.statements:
            for word in s.colours if isinstance(s, ast.ClassLine) else ():
                red, green, blue = (value / 255 for value in bytes.fromhex(word.text[1:]))
                colour = types.Color(red, green, blue, 1.0)
                colours.append(types.ColorInformation(self.range(word.span), colour))
        return colours

    def formatting(self, uri: str) -> list[types.TextEdit]:
        """The changes of `fmt`."""
        path = to_path(uri)
        return self.rewriting(path, format_file(self.session.library, path))

    def rewriting(self, path: str, new: str) -> list[types.TextEdit]:
        """What makes another text of a document, as one edit. The editor takes care of line ends."""
        old, new = (text.replace("\r\n", "\n") for text in (self.session.text(path), new))
        if old == new:
            return []
        same = _shared(old, new)
        back = _shared(old[same:][::-1], new[same:][::-1])

        def position(offset: int) -> types.Position:
            before = old[:offset].split("\n")
            column = len(before[-1]) + 1
            return self.range(Span(path, len(before), column, column)).start

        where = types.Range(position(same), position(len(old) - back))
        return [types.TextEdit(where, new[same : len(new) - back])]

    def completion(self, item: Item, order: int, line: int, column: int, path: str) -> types.CompletionItem:
        span = Span(path, line, item.start, column)
        return types.CompletionItem(
            item.text,
            kind=_KIND[item.kind],
            detail=item.detail or None,
            documentation=item.note or None,
            sort_text=f"{order:05d}",
            filter_text=item.text,
            text_edit=types.TextEdit(self.range(span), item.text),
        )


def _shared(a: str, b: str) -> int:
    """The length of the common prefix of two texts."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _is_wanted(kind: str, wanted: Sequence[str] | None) -> bool:
    """Whether a kind of action is asked for: by its name, or by a beginning of it that ends at a dot."""
    return wanted is None or any(not w or kind == w or kind.startswith(f"{w}.") for w in wanted)


def _failed(error: RenameError) -> JsonRpcException:
    return JsonRpcException(str(error), _REQUEST_FAILED)


def initialize(ls: Server, params: types.InitializeParams) -> None:
    options: Any = params.initialization_options or {}
    paths = options.get("path") if isinstance(options, dict) else None
    paths = [paths] if isinstance(paths, str) else paths if isinstance(paths, list) else []
    ls.session.search([path for path in paths if isinstance(path, str)])
    set_folders(ls)


def initialized(ls: Server, params: types.InitializedParams) -> None:
    ls.read_settings()  # not before: what is wrong with them can be shown now
    watched = ls.client_capabilities.workspace and ls.client_capabilities.workspace.did_change_watched_files
    if watched and watched.dynamic_registration:
        patterns = [types.FileSystemWatcher(pattern) for pattern in ("**/*.tax", f"**/{SETTINGS}")]
        options = types.DidChangeWatchedFilesRegistrationOptions(patterns)
        method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
        ls.client_register_capability(types.RegistrationParams([types.Registration("watch", method, options)]))


def folders_changed(ls: Server, *_: Any) -> None:
    set_folders(ls)
    ls.read_settings()
    ls.changed()


def set_folders(ls: Server) -> None:
    folders = [to_path(f.uri) for f in ls.workspace.folders.values()]
    root = ls.workspace.root_path  # for editors without workspace folders
    ls.session.folders = [Path(f) for f in folders or ([root] if root else [])]


def did_open(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
    document = params.text_document
    ls.session.edit(to_path(document.uri), document.uri, document.text)
    on_disk(ls, params)


def did_change(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
    uri = params.text_document.uri
    for change in params.content_changes:
        ls.session.edit(to_path(uri), uri, change.text)
    ls.changed()


def did_close(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
    ls.close(to_path(params.text_document.uri))
    ls.changed()


def on_disk(ls: Server, params: Any) -> None:
    ls.read_settings()
    ls.session.look(now=True)
    ls.changed()


def on_hover(ls: Server, params: types.HoverParams) -> types.Hover | None:
    path, line, column = ls.place(params.text_document.uri, params.position)
    answer = hover(ls.session.library, ls.session.check(path), line, column)
    if not answer:
        return None
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, answer[1]), ls.range(answer[0]))


def on_completion(ls: Server, params: types.CompletionParams) -> types.CompletionList:
    path, line, column = ls.place(params.text_document.uri, params.position)
    items = complete(ls.session.library, ls.session.check(path), line, column)
    return types.CompletionList(False, [ls.completion(x, i, line, column, path) for i, x in enumerate(items)])


def on_definition(ls: Server, params: types.DefinitionParams) -> types.Location | None:
    occurrence = ls.under(params.text_document.uri, params.position)
    return ls.location(occurrence.symbol.place) if occurrence else None


def on_references(ls: Server, params: types.ReferenceParams) -> list[types.Location]:
    here = ls.under(params.text_document.uri, params.position)
    with_it = params.context.include_declaration
    places = everywhere(ls.session, here.symbol) if here else ()
    return [ls.location(o.span) for o in places if with_it or o.span != o.symbol.place]


def on_prepare_rename(ls: Server, params: types.PrepareRenameParams) -> types.PrepareRenamePlaceholder | None:
    here = ls.under(params.text_document.uri, params.position)
    if not here:
        return None
    try:
        may_rename(ls.session, here)
    except RenameError as e:
        raise _failed(e) from None
    return types.PrepareRenamePlaceholder(ls.range(here.span), here.symbol.name)


def on_rename(ls: Server, params: types.RenameParams) -> types.WorkspaceEdit | None:
    here = ls.under(params.text_document.uri, params.position)
    if not here:
        return None
    try:
        may_rename(ls.session, here)
        return ls.edit(rename(ls.session, here.symbol, params.new_name))
    except RenameError as e:
        raise _failed(e) from None


def on_symbols(ls: Server, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    return outline(ls.session.check(to_path(params.text_document.uri)).file, ls.range)


def on_presentation(ls: Server, params: types.ColorPresentationParams) -> list[types.ColorPresentation]:
    c = params.color
    text = "#" + "".join(f"{round(min(1, max(0, x)) * 255):02x}" for x in (c.red, c.green, c.blue))
    return [types.ColorPresentation(text, types.TextEdit(params.range, text))]


def build(paths: Iterable[str] = ()) -> Server:
    """A server with a handler for every request that it can answer."""
    server = Server(paths)

    def goodbye(ls: Server, *_: Any) -> None:
        ls.said_goodbye = True

    triggers = types.CompletionOptions(trigger_characters=["@", " "])
    features: list[tuple[str, Any, Any]] = [
        (types.INITIALIZE, initialize, None),
        (types.INITIALIZED, initialized, None),
        (types.SHUTDOWN, goodbye, None),
        (types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS, folders_changed, None),
        (types.TEXT_DOCUMENT_DID_OPEN, did_open, None),
        (types.TEXT_DOCUMENT_DID_CHANGE, did_change, None),
        (types.TEXT_DOCUMENT_DID_CLOSE, did_close, None),
        (types.TEXT_DOCUMENT_DID_SAVE, on_disk, None),
        (types.WORKSPACE_DID_CHANGE_WATCHED_FILES, on_disk, None),
        (types.TEXT_DOCUMENT_HOVER, on_hover, None),
        (types.TEXT_DOCUMENT_COMPLETION, on_completion, triggers),
        (types.TEXT_DOCUMENT_DEFINITION, on_definition, None),
        (types.TEXT_DOCUMENT_REFERENCES, on_references, None),
        (types.TEXT_DOCUMENT_PREPARE_RENAME, on_prepare_rename, None),
        (types.TEXT_DOCUMENT_RENAME, on_rename, types.RenameOptions(prepare_provider=True)),
        (types.TEXT_DOCUMENT_DOCUMENT_SYMBOL, on_symbols, None),
        (types.TEXT_DOCUMENT_DOCUMENT_COLOR, lambda ls, p: ls.colours(p.text_document.uri), None),
        (types.TEXT_DOCUMENT_COLOR_PRESENTATION, on_presentation, None),
        (types.TEXT_DOCUMENT_FORMATTING, lambda ls, p: ls.formatting(p.text_document.uri), None),
        (
            types.TEXT_DOCUMENT_CODE_ACTION,
            lambda ls, p: ls.actions(p),
            types.CodeActionOptions([types.CodeActionKind.QuickFix, _FIX_ALL]),
        ),
        *FEATURES,
    ]
    for name, handler, options in features:
        server.feature(name, options)(handler)  # pygls passes the server to a parameter named `ls`
    return server


def serve(paths: Iterable[str] = ()) -> int:
    """Serve one editor over standard input and output. The exit code: 0 if it said goodbye."""
    server = build(paths)
    everything = logging.getLogger()  # futures and asyncio have loggers of their own for what fails in pygls
    handler = Handler()
    everything.addHandler(handler)
    try:
        with at_ctrl_c():
            server.start_io(stdout=output())
    except ConnectionError:  # the editor's end of a socket is gone; nobody is left to be told
        return 1
    except (MemoryError, OverflowError, ValueError) as error:
        if isinstance(error, ValueError) and "digits" not in str(error):  # more than Python reads as a number
            raise
        raise UserError("a message is longer than the memory: is its `Content-Length` right?") from error
    finally:
        everything.removeHandler(handler)
    return 0 if server.said_goodbye else 1
