"""What an editor shows of a document as a whole: colours of words, folds, hints, links, and symbols by name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from helpers.lsp_client import Editor
from helpers.lsp_files import DATASET, HEAD, SOURCE
from lsu_onto.library.library import Library
from lsu_onto.library.pipe import Analysis
from lsu_onto.lsp import reading

Word = tuple[str, str, bool]


def document(editor: Editor, name: str) -> types.TextDocumentIdentifier:
    return types.TextDocumentIdentifier(editor.uri(name))


def text_at(editor: Editor, name: str, where: types.Range) -> str:
    """The text of a range of one line, whose characters are UTF-16 code units."""
    line = editor.text(name).split("\n")[where.start.line].encode("utf-16-le")
    assert where.start.line == where.end.line
    return line[2 * where.start.character : 2 * where.end.character].decode("utf-16-le")


def coloured(editor: Editor, name: str) -> list[Word]:
    """Each word of a document with its kind, and whether it is declared there."""
    legend = editor.capabilities.semantic_tokens_provider.legend
    answer = editor.ask("textDocument/semanticTokens/full", types.SemanticTokensParams(document(editor, name)))
    out, line, character = [], 0, 0
    for n in range(0, len(answer.data), 5):
        down, right, length, kind, modifiers = answer.data[n : n + 5]
        line, character = line + down, right if down else character + right
        where = types.Range(types.Position(line, character), types.Position(line, character + length))
        out.append((text_at(editor, name, where), legend.token_types[kind], bool(modifiers)))
    return out


def test_words_have_the_colours_of_what_they_mean(editor: Editor) -> None:
    editor.open("track.tax")
    words = coloured(editor, "track.tax")
    assert words[:7] == [
        ("tax", "keyword", False),
        ("1", "number", False),
        ("dataset", "keyword", False),
        ("track", "namespace", True),
        ("v1", "number", False),
        ("->", "operator", False),
        ("ground", "namespace", False),
    ]
    for word in [
        ("encoding", "property", False),
        ("things", "type", True),
        ("way", "class", True),
        ("#102030", "number", False),
        ("aka", "keyword", False),
        ("road", "enumMember", False),
        ("void", "keyword", False),
        ("# 🚗 parks here ~ often", "comment", False),
        ("@vehicle", "type", False),
        ("lorry", "class", True),
    ]:
        assert word in words, word
    editor.open("ground.tax")
    assert ("road", "enumMember", True) in coloured(editor, "ground.tax")
    editor.open("x.tax", HEAD + '1 a "🚗🚗" ~ road gras void\r\n')
    assert [w for w in coloured(editor, "x.tax") if w[0] in ("road", "gras")] == [("road", "enumMember", False)]


def test_the_places_of_the_name_under_the_cursor(editor: Editor) -> None:
    editor.open("ground.tax")

    def places(text: str) -> list[tuple[int, int]]:
        params = types.DocumentHighlightParams(*editor.at("ground.tax", text, 1))
        return [(h.range.start.line, h.kind) for h in editor.ask("textDocument/documentHighlight", params)]

    read, write = types.DocumentHighlightKind.Read, types.DocumentHighlightKind.Write
    assert places("lorry") == [(11, write), (11, read)] and places("title") == []
    editor.open("track.tax")
    params = types.DocumentHighlightParams(*editor.at("track.tax", "grass void"))
    found = editor.ask("textDocument/documentHighlight", params)
    assert [(text_at(editor, "track.tax", h.range), h.kind) for h in found] == [("grass", read)] * 2


def test_folds(editor: Editor) -> None:
    text = (
        "# why\n# this\ntax 1\n\nsource s v1\n# one line\n[a]\n0 b\n1 c\n\n# of\n# the next\n[d.e]\n2 f\n"
        "\n[g]\n3 h\n4 i\n"
        "dataset x v1 -> s v1\n1 j ~ b\n    ~ c\n\n\n"
    )
    editor.open("x.tax", text)
    found = editor.ask("textDocument/foldingRange", types.FoldingRangeParams(document(editor, "x.tax")))
    lines = text.split("\n")
    assert [(lines[f.start_line], lines[f.end_line], f.kind) for f in found] == [
        ("# why", "# this", types.FoldingRangeKind.Comment),
        ("source s v1", "4 i", None),
        ("[a]", "1 c", None),
        ("# of", "# the next", types.FoldingRangeKind.Comment),
        ("[d.e]", "2 f", None),
        ("[g]", "4 i", None),
        ("dataset x v1 -> s v1", "    ~ c", None),
    ]


def test_hints_say_what_relations_do_not(editor: Editor) -> None:
    text = (
        HEAD + "1 a > @vehicle  # 🚗\n2 b < road\n3 c ! any\n4 d ~ @flat\n    ~ void  # more\n5 e -> any\n6 f ~ gras\n"
    )
    editor.open("x.tax", text)

    def shown(first: int, last: int) -> list[tuple[int, int, str]]:
        where = types.Range(types.Position(first, 0), types.Position(last, 0))
        hints = editor.ask("textDocument/inlayHint", types.InlayHintParams(document(editor, "x.tax"), where))
        return [(h.position.line, h.position.character, h.label) for h in hints]

    assert shown(0, 9) == [(2, 14, "= car truck"), (4, 9, "= void"), (6, 10, "= everything but car truck")]
    assert shown(3, 4) == [(4, 9, "= void")]
    members = "".join(f"{i} class_{i}\n" for i in range(30))
    many = f"tax 1\nsource s v1\n[g]\n{members}[h]\n30 z\ndataset d v1 -> s v1\n1 a ~ @g\n2 b ~ @h @g\n3 c > @h void\n"
    editor.open("y.tax", many + "".join(f"{i} d{i} < z\n" for i in range(4, 9)))
    where = types.Range(types.Position(0, 0), types.Position(99, 0))
    hints = editor.ask("textDocument/inlayHint", types.InlayHintParams(document(editor, "y.tax"), where))
    assert [h.label for h in hints] == ["= everything but z void", "= everything but void", "= z void"]


def test_long_hints_are_cut(editor: Editor) -> None:
    halves = "".join(f"[g{g}]\n" + "".join(f"{15 * g + i} class_{g}_{i}\n" for i in range(15)) for g in range(3))
    editor.open("y.tax", f"tax 1\nsource s v1\n{halves}dataset d v1 -> s v1\n1 a ~ @g0\n")
    where = types.Range(types.Position(0, 0), types.Position(99, 0))
    (hint,) = editor.ask("textDocument/inlayHint", types.InlayHintParams(document(editor, "y.tax"), where))
    assert hint.label.endswith(" class_0_7 …") and len(hint.label) < 85
    assert hint.tooltip == " ".join(f"class_0_{i}" for i in range(15))


def test_links(editor: Editor) -> None:
    text = (
        "tax 1\ndataset x v1 -> ground v1\nextends track v1\nurl: https://example.org/a?b=c#d\n"
        "9 e < road  # see (http://example.org/x_(y)), and 🚗 https://example.org/z.\n"
        "map track v1 -> ground v1\nway < road\ndataset y v1 -> nowhere v1\nextends x v1\n"
    )
    editor.open("x.tax", text)
    found = editor.ask("textDocument/documentLink", types.DocumentLinkParams(document(editor, "x.tax")))
    ground, track = editor.uri("ground.tax"), editor.uri("track.tax")
    assert [(text_at(editor, "x.tax", x.range), x.target) for x in found] == [
        ("https://example.org/a?b=c#d", "https://example.org/a?b=c#d"),
        ("http://example.org/x_(y)", "http://example.org/x_(y)"),
        ("https://example.org/z", "https://example.org/z"),
        ("ground v1", ground),
        ("track v1", track),
        ("track v1", track),
        ("ground v1", ground),
    ]


def test_symbols_by_name(editor: Editor) -> None:
    def named(query: str) -> list[tuple[str, str, str | None]]:
        found = editor.ask("workspace/symbol", types.WorkspaceSymbolParams(query))
        return [(s.name, Path(s.location.uri).name, s.container_name) for s in found]

    assert named("lrry") == [("lorry", "track.tax", "track v1")]
    assert ("ground v1", "ground.tax", None) in named("GROUND")
    assert ("other v1", "other.tax", None) in named("") and len(named("")) == 4 + 1 + 4 + 1 + 2 + 1
    assert ("traffic_light", "cityscapes.tax", "cityscapes v1") in named("trafficlight")
    assert named("no such name") == []
    editor.open("new.tax", "tax 1\nsource brand_new v1\n0 gadget\n")
    assert named("gadget") == [("gadget", "new.tax", "brand_new v1")]
    editor.open("new.tax", f"tax 1\nsource brand_new v1\n0 {'a' * 60}\n")
    assert named(f"{'a' * 30}b") == []  # and not after trying all ways to take 30 of 60
    assert len(named("a" * 30)) == 1


def test_symbols_of_a_file_whose_name_is_no_text(editor: Editor, folder: Path) -> None:
    path = folder / os.fsdecode(b"caf\xe9.tax")
    try:
        path.write_text("tax 1\nsource coffee v1\n0 cup\n")
    except OSError:
        pytest.skip("this disk takes no such name")
    try:
        found = editor.ask("workspace/symbol", types.WorkspaceSymbolParams("coffee"))
        assert any(symbol.location.uri.endswith("/caf%E9.tax") for symbol in found)
        document = types.TextDocumentItem("file:///\ud83d/caf%E9.tax", "tax", 1, "tax 1\n")  # half a character
        editor.client.text_document_did_open(types.DidOpenTextDocumentParams(document))
        assert editor.ask("workspace/symbol", types.WorkspaceSymbolParams("coffee"))
    finally:
        path.unlink()


def test_hints_are_asked_for_again_where_a_source_is_edited(editor: Editor) -> None:
    editor.open("ground.tax")
    editor.open("track.tax")
    editor.refreshed.clear()
    editor.type("track.tax", DATASET.replace("3    vehicles", "4    vehicles"))
    editor.type("ground.tax", SOURCE.replace("3  truck", "3  van"), "track.tax")
    editor.hover("ground.tax", "road")  # is answered behind what the server asks before
    assert editor.refreshed == ["workspace/inlayHint/refresh", "workspace/semanticTokens/refresh"]


def seconds(run: Callable[[], Any]) -> float:
    """Of processor time, at best."""
    times = []
    for _ in range(3):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def test_the_time_grows_with_the_file(tmp_path: Path) -> None:
    took = []
    for n in (100, 800):
        path = str(tmp_path / f"{n}.tax")
        source = "".join(f"{i} s{i}\n" for i in range(n))
        many = "".join(f"- d{i} ~ @g ! s{i}\n# note\n" for i in range(5))
        rows = "".join(f"- e{i} ~ s{i} void  # https://example.org/{i}\n" for i in range(n))
        library = Library(texts={path: f"tax 1\nsource s v1\n[g]\n{source}dataset d v1 -> s v1\n{many}{rows}"})
        asked: list[Callable[[Library, Analysis], Iterable[object]]] = [
            reading.tokens,
            lambda library, analysis: reading.folds(analysis.file),
            lambda library, analysis: reading.hints(analysis, range(len(analysis.file.text))),
            reading.links,
        ]
        analysis = library.check(path)
        took.append([seconds(lambda x=library, a=analysis, ask=ask: list(ask(x, a))) for ask in asked])
    for small, large in zip(*took, strict=True):
        assert large < 30 * small + 0.01, took  # 8 times as much; what is quadratic takes 64 times


def test_documents_that_are_no_taxonomies(editor: Editor) -> None:
    where = types.Range(types.Position(0, 0), types.Position(99, 0))
    for text in ("", "\n\n", "tax", "\x00\ufeff{", "tax 1\nmap a", '"', "[", "tax 1\ndataset a v1 -> \n0 a < @", "🚗"):
        editor.open("x.tax", text)
        here = document(editor, "x.tax")
        editor.ask("textDocument/semanticTokens/full", types.SemanticTokensParams(here))
        editor.ask("textDocument/foldingRange", types.FoldingRangeParams(here))
        editor.ask("textDocument/inlayHint", types.InlayHintParams(here, where))
        editor.ask("textDocument/documentLink", types.DocumentLinkParams(here))
        editor.ask("textDocument/documentHighlight", types.DocumentHighlightParams(here, where.start))
        editor.close("x.tax")
    assert DATASET  # the server is still there: the fixture ends it
