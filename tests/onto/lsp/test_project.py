"""The settings of a project in an editor: `[tool.lsu-onto]` of the folder that is open."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types

from helpers.lsp_client import Editor
from lsu_onto.lsp.session import Session

SOURCE = "tax 1\nsource s v1\n0 road\n"
OVERLAP = "tax 1\ndataset {} v1 -> s v1\n1 a  ~ road\n"


def test_a_session(tmp_path: Path) -> None:
    for name in ("sources", "drafts", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "sources/s.tax").write_text(SOURCE)
    settings = tmp_path / "pyproject.toml"
    settings.write_text('[tool.lsu-onto]\npaths = ["sources"]\nexclude = ["drafts"]\n')
    editor = Editor(tmp_path)
    messages: list[str] = []
    editor.client.feature(types.WINDOW_SHOW_MESSAGE)(lambda params: messages.append(params.message))

    def save(text: str) -> list[object]:
        """The codes of the findings after the settings were saved."""
        settings.write_text(text)
        editor.found.clear()
        event = types.FileEvent(settings.as_uri(), types.FileChangeType.Changed)
        editor.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))
        return [d.code for d in editor.findings("d.tax")]

    assert [d.code for d in editor.open("d.tax", OVERLAP.format("d"))] == ["TAX305"]  # which is not on the disk
    assert editor.open("drafts/e.tax", "tax 1\nno such line\n") == []
    assert save('[tool.lsu-onto]\npaths = ["sources"]\nignore = ["TAX305"]\n') == []
    assert save('[tool.lsu-onto]\npaths = ["elsewhere"]\n') == ["TAX203"]
    assert messages == []

    settings.write_text("[tool.lsu-onto]\nignor = []\n")
    event = types.FileEvent(settings.as_uri(), types.FileChangeType.Changed)
    for _ in range(2):
        editor.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))
    assert [d.code for d in editor.type("d.tax", OVERLAP.format("f"))] == ["TAX203"], "the settings before"
    (message,) = messages
    assert message.endswith("pyproject.toml:2: [tool.lsu-onto]: there is no setting `ignor`; did you mean `ignore`?")
    assert save('[tool.lsu-onto]\npaths = ["sources"]\n') == ["TAX305"]
    assert editor.stop() == 0


def test_a_whole_disk_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor may be opened in `/` or the home folder: each search took minutes."""
    for n in range(8):
        (tmp_path / f"{n}/deep").mkdir(parents=True)
        (tmp_path / f"{n}/deep/a.tax").write_text(SOURCE)
    session, said = Session(), list[str]()
    session.say = said.append
    session.folders = [tmp_path]
    inside = [p for p in session.everywhere() if Path(p).is_relative_to(tmp_path)]
    assert (len(inside), said) == (8, [])
    monkeypatch.setattr("lsu_onto.lsp.session._MANY", 12)
    inside = [p for p in (session.everywhere(), session.everywhere())[1] if Path(p).is_relative_to(tmp_path)]
    assert len(inside) == 4
    assert [f"`{tmp_path}` has more than 12 folders" in message for message in said] == [True]
