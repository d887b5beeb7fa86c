"""Renaming, colours, layout and quick fixes over the protocol: what an editor changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from helpers.lsp_client import Editor, apply
from helpers.lsp_files import DATASET, HEAD, MAP, SOURCE
from lsu_onto.cli import main
from lsu_onto.library.library import Library
from lsu_onto.library.searchpath import shipped
from lsu_onto.lsp.rename import rename
from lsu_onto.lsp.session import Session
from lsu_onto.lsp.symbols import occurrences


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


KEYED = """\
tax 1
source mini v1
prompt-road: a road
0 road
dataset boxes v1
encoding: polygons
background: way
prompt-way: a way
0 way
"""


@pytest.mark.parametrize(("name", "places"), [("road", 2), ("way", 3)])
def test_keys_that_name_a_class_follow_its_name(editor: Editor, name: str, places: int) -> None:
    editor.open("keyed.tax", KEYED)
    text = editor.rename("keyed.tax", f"-{name}", "lane", 2)["keyed.tax"]
    assert f"0 lane aka {name}" in text and "prompt-lane: " in text
    assert text.count("lane") == places
    assert [d.code for d in Library(texts={"keyed.tax": text}).check("keyed.tax").diagnostics] == []


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


def test_what_is_installed_below_an_open_folder_is_not_the_users() -> None:
    session = Session()
    session.folders = [Path("/")]
    assert session.owns("/project/farm.tax")
    assert not session.owns("/usr/lib/python3.12/site-packages/lsu_onto/taxonomies/urban/lanes.tax")
    session.folders.append(Path("/usr/lib/python3.12/site-packages/lsu_onto/taxonomies"))
    assert session.owns("/usr/lib/python3.12/site-packages/lsu_onto/taxonomies/urban/lanes.tax")


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


def test_all_safe_fixes_on_save(editor: Editor) -> None:
    text = HEAD.replace("\n", "\r\n") + "1 a\t~ road\r\n2 b < lorry\r\n3 c < gras\r\n"
    editor.open("x.tax", text)
    document = types.TextDocumentIdentifier(editor.uri("x.tax"))
    where = types.Range(types.Position(0, 0), types.Position(0, 0))

    def asked(*only: str) -> list[types.CodeAction]:
        context = types.CodeActionContext([], only=list(only) or None)
        return list(editor.ask("textDocument/codeAction", types.CodeActionParams(document, where, context)))

    for kind in ("source.fixAll", "source.fixAll.lsu-onto", "source"):
        (action,) = asked(kind)
        assert action.kind == "source.fixAll.lsu-onto" and action.edit
        after = editor.edited(action.edit)["x.tax"]
        assert [line.split() for line in after.split("\n")[2:5]] == [
            [*"1a<", "road"],
            [*"2b<", "truck"],
            [*"3c<", "gras"],
        ]
    assert asked() == asked("quickfix") == asked("source.fixAll.ruff") == asked("source.organizeImports") == []
    assert len(asked("source.fixAll", "quickfix")) == 1
    before = editor.hover("x.tax", "a\t~")
    assert "`~ road`" in before, "the document is as it was"
    editor.type("x.tax", after)
    assert asked("source.fixAll") == [], "nothing is left to fix"
