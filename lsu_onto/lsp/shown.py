"""Requests for what an editor shows of a document as a whole, answered by `reading.py` in the words of the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsprotocol import types

from lsu_onto.lsp import reading
from lsu_onto.lsp.positions import to_path
from lsu_onto.lsp.symbols import references

if TYPE_CHECKING:
    from lsu_onto.lsp.server import Server

LEGEND = types.SemanticTokensLegend(list(reading.TOKENS), list(reading.MODIFIERS))


def on_tokens(ls: Server, params: types.SemanticTokensParams) -> types.SemanticTokens:
    """Five numbers a word, of which the first two count from the word before."""
    data: list[int] = []
    line = character = 0
    for token in reading.tokens(ls.session.library, ls.session.check(to_path(params.text_document.uri))):
        where = ls.range(token.span)
        start = where.start
        before = character if start.line == line else 0
        length = where.end.character - start.character
        data += [
            start.line - line,
            start.character - before,
            length,
            reading.TOKENS.index(token.kind),
            int(token.declared),
        ]
        line, character = start.line, start.character
    return types.SemanticTokens(data)


def on_highlight(ls: Server, params: types.DocumentHighlightParams) -> list[types.DocumentHighlight]:
    here = ls.under(params.text_document.uri, params.position)
    if not here:
        return []
    analysis = ls.session.check(here.span.file)
    kinds = (types.DocumentHighlightKind.Read, types.DocumentHighlightKind.Write)
    return [
        types.DocumentHighlight(ls.range(o.span), kinds[o.span == here.symbol.place])
        for o in references(ls.session.library, analysis, here.symbol)
    ]


def on_folds(ls: Server, params: types.FoldingRangeParams) -> list[types.FoldingRange]:
    comment = types.FoldingRangeKind.Comment
    return [
        types.FoldingRange(fold.first - 1, fold.last - 1, kind=comment if fold.is_comment else None)
        for fold in reading.folds(ls.session.check(to_path(params.text_document.uri)).file)
    ]


def on_hints(ls: Server, params: types.InlayHintParams) -> list[types.InlayHint]:
    lines = range(params.range.start.line + 1, params.range.end.line + 2)
    return [
        types.InlayHint(ls.range(span).end, short, tooltip=whole if short != f"= {whole}" else None, padding_left=True)
        for span, short, whole in reading.hints(ls.session.check(to_path(params.text_document.uri)), lines)
    ]


def on_links(ls: Server, params: types.DocumentLinkParams) -> list[types.DocumentLink]:
    found = reading.links(ls.session.library, ls.session.check(to_path(params.text_document.uri)))
    return [
        types.DocumentLink(ls.range(span), target)
        if isinstance(target, str)
        else types.DocumentLink(ls.range(span), ls.uri(target.span.file), f"{target.name} {target.version}")
        for span, target in found
    ]


def on_workspace_symbols(ls: Server, params: types.WorkspaceSymbolParams) -> list[types.WorkspaceSymbol]:
    return [
        types.WorkspaceSymbol(
            ls.location(found.span),
            found.name,
            types.SymbolKind.EnumMember if found.inside else types.SymbolKind.Namespace,
            container_name=found.inside or None,
        )
        for found in reading.by_name(ls.session, params.query)
    ]


FEATURES: list[tuple[str, Any, Any]] = [
    (types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, on_tokens, LEGEND),
    (types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT, on_highlight, None),
    (types.TEXT_DOCUMENT_FOLDING_RANGE, on_folds, None),
    (types.TEXT_DOCUMENT_INLAY_HINT, on_hints, None),
    (types.TEXT_DOCUMENT_DOCUMENT_LINK, on_links, None),
    (types.WORKSPACE_SYMBOL, on_workspace_symbols, None),
]
