"""The settings of a project in an editor: `[tool.lsu-onto]` of the folder that is open."""

from __future__ import annotations

from pathlib import Path

from lsprotocol import types

from helpers.lsp_client import Editor

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
