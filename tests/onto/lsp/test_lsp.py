"""`lsu-onto lsp` over the protocol, with a real client and one server process for all of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from helpers.lsp_client import Editor, apply
from helpers.processes import seconds
from lsu_onto.cli import main
from lsu_onto.library.library import Library
from lsu_onto.library.searchpath import shipped
from lsu_onto.lsp.rename import rename
from lsu_onto.lsp.session import Session
from lsu_onto.lsp.symbols import occurrences
from lsu_onto.ontology import keys, resolve

SOURCE = """\
tax 1
source ground v1

title: A small source

[flat]
0  road   #804080  aka street
1  grass  #98FB98              # short or long
[vehicle.small]
2  car    #00008e
[vehicle.large]
3  truck  #000046  aka lorry   # 🚚 is one
"""
DATASET = """\
tax 1
dataset track v1 -> ground v1

encoding: id
void:     255

[things]
1,2  way "the way"  #102030  aka path  ~ road grass void  # 🚗 parks here ~ often
3    vehicles       #405060  > @vehicle
4    lawn                    < grass
5    lorry                   -> void                      # too rare
"""
MAP = 'tax 1\nmap track v1 -> ground v1\nway < road\nvehicles ~ car truck\n"lawn" < grass\nlorry < truck\n'
OTHER = "tax 1\ndataset other v1 -> ground v1\n1  tarmac  < road\n2  street2  < street  # through the alias\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    for name, text in {"ground": SOURCE, "track": DATASET, "other": OTHER}.items():
        (folder / f"{name}.tax").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Editor]:
    editor = Editor(folder)
    yield editor
    assert editor.stop() == 0


@pytest.fixture
def editor(server: Editor) -> Iterator[Editor]:
    yield server
    for name in list(server.texts):
        server.close(name)


def codes(found: list[types.Diagnostic]) -> list[Any]:
    return [d.code for d in found]


# --- findings ----------------------------------------------------------------------------------------------


def test_findings_as_one_types(editor: Editor) -> None:
    assert editor.open("track.tax") == []
    (found,) = editor.type("track.tax", DATASET.replace("< grass", "< gras"))
    assert (found.code, found.severity, found.source) == (
        "TAX201",
        types.DiagnosticSeverity.Error,
        "lsu-onto",
    )
    assert "did you mean `grass`?" in found.message
    assert found.range == types.Range(types.Position(9, 31), types.Position(9, 35))
    for half in ("< ", "< g", "< gr", "< gra", "< gras"):
        assert len(editor.type("track.tax", DATASET.replace("< grass", half))) == 1
    assert editor.type("track.tax", DATASET) == []


def test_infos_are_shown_and_second_places_are_related(editor: Editor) -> None:
    text = "tax 1\ndataset x v1 -> ground v1\n1 vehicle > @vehicle\n2 police < car\n"
    info, error = editor.open("x.tax", text)
    assert (info.code, info.severity) == ("TAX307", types.DiagnosticSeverity.Information)
    assert error.code == "TAX306" and error.related_information
    (second,) = error.related_information
    assert "claims all of `car`" in second.message
    assert second.location == types.Location(
        editor.uri("x.tax"), types.Range(types.Position(2, 10), types.Position(2, 20))
    )
    assert error.data["why"].startswith("The classes of one dataset share no pixels")  # type: ignore[index]


def test_places_count_utf_16_code_units(editor: Editor) -> None:
    (found,) = editor.open("x.tax", 'tax 1\nsource x v1\n0 a "🚗🚗"\n1 b "🚗c" #12\n')
    assert found.range == types.Range(types.Position(3, 10), types.Position(3, 13))


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 12), ("utf-16", 10), ("utf-32", 9)])
def test_the_client_chooses_what_is_counted(folder: Path, encoding: str, character: int) -> None:
    editor = Editor(folder, encodings=[encoding])
    assert editor.capabilities.position_encoding == encoding
    (found,) = editor.open("x.tax", 'tax 1\nsource x v1\n0 a\n1 b "🚗c" #12\n')
    assert found.range.start == types.Position(3, character)
    assert editor.stop() == 0


def test_an_edited_source_is_what_open_datasets_are_checked_against(editor: Editor) -> None:
    assert editor.open("ground.tax") == []
    assert editor.open("track.tax") == []
    renamed = SOURCE.replace("1  grass", "1  meadow")
    assert codes(editor.type("ground.tax", renamed, "track.tax")) == ["TAX201", "TAX201"]
    assert codes(editor.type("ground.tax", SOURCE.replace("ground v1", "ground v2"), "track.tax")) == ["TAX204"]
    assert editor.type("ground.tax", SOURCE, "track.tax") == []


def test_closing_without_saving_brings_the_file_back(editor: Editor) -> None:
    editor.open("ground.tax", SOURCE.replace("1  grass", "1  meadow"))
    assert codes(editor.open("track.tax")) == ["TAX201", "TAX201"]
    editor.found.clear()
    editor.close("ground.tax")
    assert editor.findings("track.tax") == []


def test_a_file_that_changes_on_disk(editor: Editor, folder: Path) -> None:
    try:
        editor.open("track.tax")
        editor.found.clear()
        (folder / "ground.tax").write_text(SOURCE.replace("1  grass", "1  meadow"), encoding="utf-8")
        event = types.FileEvent(editor.uri("ground.tax"), types.FileChangeType.Changed)
        editor.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))
        assert codes(editor.findings("track.tax")) == ["TAX201", "TAX201"]
    finally:
        (folder / "ground.tax").write_text(SOURCE, encoding="utf-8")


def test_broken_documents(editor: Editor) -> None:
    for text in (
        "",
        "\n\n",
        "tax",
        "\x00\ufeff{",
        "tax 1\nmap a",
        '"',
        "[",
        "tax 1\ndataset a v1 -> \n0 a < @",
        "🚗",
    ):
        editor.open("x.tax", text)
        document = types.TextDocumentIdentifier(editor.uri("x.tax"))
        for position in (types.Position(0, 0), types.Position(0, 99), types.Position(99, 0)):
            assert editor.ask("textDocument/completion", types.CompletionParams(document, position)) is not None
            editor.ask("textDocument/hover", types.HoverParams(document, position))
            editor.ask("textDocument/definition", types.DefinitionParams(document, position))
        for method, params in (
            ("textDocument/documentSymbol", types.DocumentSymbolParams(document)),
            ("textDocument/documentColor", types.DocumentColorParams(document)),
            (
                "textDocument/formatting",
                types.DocumentFormattingParams(document, types.FormattingOptions(2, True)),
            ),
        ):
            editor.ask(method, params)
        editor.close("x.tax")


# --- looking -----------------------------------------------------------------------------------------------


def test_hover(editor: Editor) -> None:
    editor.open("track.tax")
    way = editor.hover("track.tax", "way", 1)
    assert "S(way) = {road, grass, void}" in way and "`~ road grass void` in `ground v1`" in way
    for fact in (
        "raw value: 1, 2",
        "`#102030`",
        "official name: the way",
        "aka path",
        "🚗 parks here",
        "in `things`",
    ):
        assert fact in way
    grass = editor.hover("track.tax", "grass void", 2)
    assert "**grass**: a class of `ground v1`, in `flat`" in grass and "channel: 1" in grass
    assert "`#98fb98`" in grass and "> short or long" in grass
    assert editor.hover("track.tax", "@vehicle", 3) == "**@vehicle**: a group of `ground v1`\n\ncar, truck"
    taxonomy = editor.hover("track.tax", "ground v1")
    assert "a source of 4 classes" in taxonomy and "title: A small source" in taxonomy
    assert "overlap in part" in editor.hover("track.tax", "~ road")
    assert "not a class" in editor.hover("track.tax", "void  # 🚗", 1)
    assert "a decision" in editor.hover("track.tax", "-> void", 4)
    assert "how raw values are stored" in editor.hover("track.tax", "encoding")
    assert "starts a dataset" in editor.hover("track.tax", "dataset", 2)
    assert editor.hover("track.tax", "parks here") == ""


def test_hover_on_a_code_that_is_allowed(editor: Editor) -> None:
    editor.open("x.tax", "tax 1\ndataset x v1 -> ground v1\n1 a ~ road  # 🚗 allow: TAX305\n")
    text = editor.hover("x.tax", "TAX305", 3)
    assert "**TAX305** (warning): a simpler relation says the same" in text and "good:" in text


def labels(editor: Editor, text: str, after: str) -> list[str]:
    editor.open("x.tax", text)
    found = list(editor.completions("x.tax", after))
    editor.close("x.tax")
    return found


HEAD = "tax 1\ndataset x v1 -> ground v1\n"


def test_completion_of_targets(editor: Editor) -> None:
    groups = ["@flat", "@vehicle", "@vehicle.small", "@vehicle.large"]
    classes = ["road", "grass", "car", "truck"]
    assert labels(editor, HEAD + "1 a ~ ", "~ ") == [*classes, *groups, "void"]
    assert labels(editor, HEAD + "1 a ~ road gr", "road gr") == ["grass", "car", "truck", *groups, "void"]
    assert labels(editor, HEAD + "1 a < ", "a < ") == classes
    assert labels(editor, HEAD + "1 a < road ", "< road ") == []
    assert labels(editor, HEAD + "1 a ! ", "a ! ") == [*classes, *groups, "any"]
    assert labels(editor, HEAD + "1 a -> ", "a -> ") == ["void", "any"]
    assert labels(editor, HEAD + "1 a -> any ! ", "any ! ") == [*classes, *groups, "void"]
    assert labels(editor, HEAD + "1 a ~ road  # note\n    > ", "    > ")[:2] == ["road", "grass"]
    assert labels(editor, HEAD + "1 a ~ road  # or ", "# or ") == []
    assert labels(editor, HEAD + "1 a ~ road  # allow: ", "allow: ")[:2] == ["TAX008", "TAX009"]
    assert labels(editor, "tax 1\nsource y v1\n1 a ~ ", "~ ") == []


def test_what_a_completion_shows_and_replaces(editor: Editor) -> None:
    editor.open("x.tax", HEAD + "1 a ~ @veh  # 🚗")
    item = editor.completions("x.tax", "@veh")["@vehicle"]
    assert (item.detail, item.documentation) == ("2 classes", "car, truck")
    assert isinstance(item.text_edit, types.TextEdit)
    assert apply(editor.texts["x.tax"], [item.text_edit]) == HEAD + "1 a ~ @vehicle  # 🚗"
    truck = editor.completions("x.tax", "@veh")["truck"]
    assert (truck.detail, truck.documentation) == ("channel 3, in vehicle.large", "🚚 is one")


def test_completion_of_everything_else(editor: Editor) -> None:
    assert labels(editor, "", "") == ["tax 1", "source", "dataset", "map"]
    start = labels(editor, HEAD + "enc", "enc")
    assert {"encoding:", "void:", "images:", "extends", "map"} <= set(start)
    assert labels(editor, HEAD + "encoding: ", "encoding: ") == list(keys.ENCODINGS)
    assert "ground v1" in labels(editor, "tax 1\ndataset y v1 -> gr", "-> gr")
    assert labels(editor, "tax 1\ndataset y v1 -> ground ", "ground ") == ["v1"]
    assert {"track v1", "other v1"} <= set(labels(editor, "tax 1\nmap ", "map "))
    assert "ground v1" not in labels(editor, "tax 1\ndataset y v1\nextends ", "extends ")
    assert labels(editor, "tax 1\ndataset new", "new") == []
    rows = labels(editor, "tax 1\nmap track v1 -> ground v1\nway < road\n", "road\n")
    assert rows[:3] == ["vehicles", "lawn", "lorry"]


def test_definition(editor: Editor) -> None:
    editor.open("track.tax")

    def target(text: str, inside: int = 0) -> tuple[str, int, int]:
        found = editor.ask("textDocument/definition", types.DefinitionParams(*editor.at("track.tax", text, inside)))
        return Path(found.uri).name, found.range.start.line, found.range.start.character

    assert target("road grass") == ("ground.tax", 6, 3)
    assert target("@vehicle", 2) == ("ground.tax", 8, 0)
    assert target("ground v1", 8) == ("ground.tax", 1, 7)
    assert target("lawn", 1) == ("track.tax", 9, 5)


def test_references(editor: Editor) -> None:
    editor.open("ground.tax")

    def places(text: str, declaration: bool) -> list[tuple[str, int]]:
        document, position = editor.at("ground.tax", text, 1)
        context = types.ReferenceContext(declaration)
        found = editor.ask("textDocument/references", types.ReferenceParams(context, document, position))
        return [(Path(x.uri).name, x.range.start.line) for x in found]

    assert places("road", False) == [("ground.tax", 6), ("other.tax", 2), ("other.tax", 3), ("track.tax", 7)]
    assert places("truck", True) == [("ground.tax", 11), ("ground.tax", 11)]
    assert places("vehicle.small", False) == [("ground.tax", 8)]
    editor.open("new.tax", MAP)
    assert ("new.tax", 5) in places("truck", True)


def test_outline(editor: Editor) -> None:
    editor.open("track.tax")
    document = types.TextDocumentIdentifier(editor.uri("track.tax"))
    (section,) = editor.ask("textDocument/documentSymbol", types.DocumentSymbolParams(document))
    assert (section.name, section.detail) == ("dataset track v1", "-> ground v1")
    (group,) = section.children
    assert group.name == "things" and [c.name for c in group.children] == ["way", "vehicles", "lawn", "lorry"]
    assert group.children[0].detail == "1, 2"
    assert section.range.end.line == group.range.end.line == 10


# --- changing ----------------------------------------------------------------------------------------------


def test_rename_keeps_the_old_name_as_an_alias_and_every_file_valid(editor: Editor, folder: Path) -> None:
    editor.open("ground.tax")
    after = editor.rename("ground.tax", "road", "asphalt")
    assert set(after) == {"ground.tax", "track.tax", "other.tax"}
    assert '0  asphalt   #804080  aka street "road"\n' in after["ground.tax"]
    assert "~ asphalt grass void" in after["track.tax"]
    assert "< asphalt\n" in after["other.tax"] and "< street  #" in after["other.tax"]
    texts: dict[str | Path, str] = {folder / name: text for name, text in after.items()}
    for file in texts:
        assert Library(texts=texts).check(file).errors == []
    for name, text in after.items():
        editor.texts.pop(name, None)
        editor.open(name, text)
    back = editor.rename("ground.tax", "asphalt", "road")
    assert '0  road   #804080  aka street "asphalt"\n' in back["ground.tax"]
    assert "~ road grass void" in back["track.tax"]


def test_rename_a_class_of_a_dataset_from_a_reference(editor: Editor) -> None:
    bare = DATASET.replace(" -> ground v1", "").replace("  ~ road grass void", "").replace("> @vehicle", "")
    editor.open("track.tax", bare.replace("< grass", "").replace("-> void", ""))
    editor.open("maps.tax", MAP)
    assert editor.found[editor.uri("maps.tax")] == []
    after = editor.rename("maps.tax", '"lawn"', "turf", 1)
    assert "\nturf < grass\n" in after["maps.tax"]
    assert "4    turf aka lawn" in after["track.tax"]


def test_an_inherited_class_without_a_row_shows_at_the_header_and_leads_there(editor: Editor) -> None:
    bare = "tax 1\ndataset old v1\n1 way\n2 verge\n"
    editor.open("old.tax", bare)
    (found,) = editor.open("plus.tax", "tax 1\ndataset old v2 -> demo v1\nextends old v1\n1 way < road\n")[:1]
    assert found.code == "TAX301" and found.range.start.line == 1
    assert found.related_information and found.related_information[0].location.uri == editor.uri("old.tax")


@pytest.mark.parametrize("name", ["demo", "camvid11"])
def test_renaming_changes_no_finding_of_the_shipped_taxonomies(name: str) -> None:
    session = Session()
    session.folders = [shipped()]
    files = session.everywhere()
    before = {f: [d.code for d in session.check(f).diagnostics] for f in files}
    file = next(f for f in files if Path(f).stem == name)
    here = next(o for o in occurrences(session.library, session.check(file)) if o.symbol.kind == "class")
    fixes = rename(session, here.symbol, "quite_new")
    texts: dict[str | Path, str] = {f: session.text(f) for f in {x.span.file for x in fixes}}
    for fix in sorted(fixes, key=lambda x: x.span, reverse=True):
        lines = texts[fix.span.file].split("\n")
        line = lines[fix.span.line - 1]
        lines[fix.span.line - 1] = line[: fix.span.column - 1] + fix.text + line[fix.span.end - 1 :]
        texts[fix.span.file] = "\n".join(lines)
    library = Library(texts=texts)
    assert {f: [d.code for d in library.check(f).diagnostics] for f in files} == before
    assert len(fixes) > 2


def test_names_that_a_class_cannot_have(editor: Editor) -> None:
    editor.open("ground.tax")
    for name, why in {
        "2nd": "is not a name",
        "a-b": "is not a name",
        "": "is not a name",
        "void": "is a reserved word",
        "map": "is a reserved word",
        "car": "already stands for `car`",
        "lorry": "already stands for `truck`",
    }.items():
        with pytest.raises(JsonRpcException, match=why):
            editor.rename("ground.tax", "road", name)


def test_rename_leaves_the_shipped_files_alone(tmp_path: Path) -> None:
    copy = tmp_path / "lanes.tax"
    copy.write_text((shipped() / "urban" / "lanes.tax").read_text())
    session = Session([tmp_path])  # its `lanes` goes before the shipped one, for the shipped maps too
    path = str(copy)
    here = next(o for o in occurrences(session.library, session.check(path)) if o.symbol.kind == "class")
    assert {fix.span.file for fix in rename(session, here.symbol, "quite_new")} == {path}


def test_what_cannot_be_renamed(editor: Editor) -> None:
    editor.open("ground.tax")
    with pytest.raises(JsonRpcException, match="only classes can be renamed"):
        editor.rename("ground.tax", "vehicle.small", "cars")
    editor.open("x.tax", "tax 1\ndataset x v1 -> demo v1\n1 a < road\n")
    with pytest.raises(JsonRpcException, match="belongs to `demo v1`, which lies outside"):
        editor.rename("x.tax", "road", "way")
    with pytest.raises(JsonRpcException, match="`lorry` is another name of `truck`"):
        editor.rename("ground.tax", "lorry", "van")
    document, position = editor.at("ground.tax", "grass", 2)
    found = editor.ask("textDocument/prepareRename", types.PrepareRenameParams(document, position))
    assert found.placeholder == "grass" and found.range.start.character == 3


def test_a_class_that_an_extension_replaces_cannot_be_renamed(editor: Editor) -> None:
    editor.open("track.tax")
    editor.open("plus.tax", "tax 1\ndataset track v2\nextends track v1\n9 lawn\n")
    with pytest.raises(JsonRpcException, match="`track v2` replaces `lawn`"):
        editor.rename("track.tax", "lawn", "turf")


def test_colours(editor: Editor) -> None:
    editor.open("ground.tax")
    document = types.TextDocumentIdentifier(editor.uri("ground.tax"))
    found = editor.ask("textDocument/documentColor", types.DocumentColorParams(document))
    assert len(found) == 4 and found[1].color.red == 0x98 / 255
    params = types.ColorPresentationParams(document, found[1].color, found[1].range)
    (shown,) = editor.ask("textDocument/colorPresentation", params)
    assert shown.label == "#98fb98"
    assert "1  grass  #98fb98 " in apply(SOURCE, [shown.text_edit])


@pytest.mark.parametrize("text", [DATASET, DATASET.replace("\n", "\r\n"), "tax 1\nsource a v1\n0   b\n1 c", "\n\n"])
def test_layout_is_that_of_fmt(editor: Editor, tmp_path: Path, text: str) -> None:
    messy = text.replace("aka path  ~", "aka   path ~")
    (tmp_path / "x.tax").write_bytes(messy.encode())
    CliRunner().invoke(main, ["fmt", str(tmp_path / "x.tax"), "--path", str(editor.folder)])
    editor.open("x.tax", messy)
    document = types.TextDocumentIdentifier(editor.uri("x.tax"))
    params = types.DocumentFormattingParams(document, types.FormattingOptions(4, True))
    edits = editor.ask("textDocument/formatting", params)
    assert apply(messy, edits).replace("\r\n", "\n").encode() == (tmp_path / "x.tax").read_bytes()
    assert messy == DATASET or edits


def test_quick_fixes(editor: Editor) -> None:
    text = HEAD + "1 a < gras\n2 b\n3 c ~ car\n4 d ~ road grass, road  # 🚗\n5 e < lorry\n"
    editor.open("x.tax", text)
    document = types.TextDocumentIdentifier(editor.uri("x.tax"))

    def fixes(line: int, *only: str) -> list[types.CodeAction]:
        where = types.Range(types.Position(line, 0), types.Position(line, 0))
        context = types.CodeActionContext([], only=list(only) or None)
        return list(editor.ask("textDocument/codeAction", types.CodeActionParams(document, where, context)))

    def line_after(line: int) -> tuple[str, str]:
        (action,) = fixes(line)
        assert action.kind == "quickfix" and action.is_preferred and action.edit
        return action.title, editor.edited(action.edit)["x.tax"].split("\n")[line]

    assert line_after(2) == ("write `grass`", "1 a < grass")
    assert line_after(3) == ("add `-> void`", "2 b  -> void")
    assert line_after(4) == ("write `< car`", "3 c < car")
    assert line_after(5) == ("take `road` away", "4 d ~ road grass  # 🚗")
    assert line_after(6) == ("write `truck`", "5 e < truck")
    assert fixes(0) == [] and fixes(2, "refactor") == [] and len(fixes(2, "quickfix")) == 1


# --- starting and stopping ---------------------------------------------------------------------------------


def test_the_search_path(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "s.tax").write_text(f"tax 1\nsource {name} v1\n0 road\n")
    (tmp_path / "open").mkdir()
    editor = Editor(tmp_path / "open", "--path", str(tmp_path / "one"), options={"path": [str(tmp_path / "two")]})
    for name in ("one", "two"):
        assert editor.open(f"{name}.tax", f"tax 1\ndataset x v1 -> {name} v1\n1 a < road\n") == []
    (tmp_path / "open" / "deep").mkdir()
    (tmp_path / "open" / "deep" / "far.tax").write_text("tax 1\ndataset far v1 -> one v1\n1 b < road\n")
    place = editor.at("one.tax", "road")
    edit = editor.ask("textDocument/rename", types.RenameParams(*place, "way"))
    assert {Path(uri).name for uri in edit.changes} == {"s.tax", "one.tax", "far.tax"}
    assert editor.stop() == 0


def test_an_editor_that_vanishes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lsu_onto.cli", "lsp", "--stdio"],
        input=b"",
        capture_output=True,
        cwd=Path(resolve.__file__).parents[1],
        timeout=600,
    )
    assert done.returncode == 1 and done.stdout == b""


def test_without_pygls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith(("pygls.", "lsu_onto.lsp."))]:
        monkeypatch.delitem(sys.modules, name)  # another test may have imported it
    monkeypatch.setitem(sys.modules, "pygls", None)
    done = CliRunner().invoke(main, ["lsp"])
    assert done.exit_code == 2 and "pip install '.[lsp]'" in done.stderr


def test_help_says_how_to_set_up_an_editor() -> None:
    text = " ".join(CliRunner().invoke(main, ["lsp", "--help"]).stdout.split())
    assert all(word in text for word in ("VS Code", "vim.lsp.config", "languages.toml", "docs/editor.md"))


# --- speed -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads times in /proc")
def test_an_answer_to_a_keystroke(editor: Editor) -> None:
    """200 lines against 194 classes. The bar is 50 ms; slow machines get five times that."""
    source = "".join(
        f"[g{i // 20}.s{i // 5}]\n" * (i % 5 == 0) + f'{i} c{i} "Class {i}" #{i:06x}\n' for i in range(194)
    )
    rows = [f"{i} d{i} #{i:06x}  ~ c{i} c{(i + 1) % 194} void  # note" for i in range(194)]
    editor.open("big.tax", f"tax 1\nsource big v1\n{source}")
    head = "tax 1\ndataset many v1 -> big v1\nencoding: id\n"
    editor.open("many.tax", head + "\n".join(rows))
    server = editor.client._server.pid
    start = seconds(server)
    for n in range(20):
        rows[100] = f"100 d100 #000064  ~ c100 c101 void  # {'n' * n}"
        assert editor.type("many.tax", head + "\n".join(rows)) == []
    took = (seconds(server) - start) / 20
    print(f"keystroke: {1000 * took:.1f} ms of a core", file=sys.stderr)
    assert took < 0.25
