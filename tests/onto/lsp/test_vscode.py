"""The VS Code extension: its files agree with each other and with the language, and its grammar with the lexer.

What needs node runs where `npm install` was run in the extension's folder.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import lsu_onto
from helpers.tax import TAX
from lsu_onto.lang.syntax import KEYWORDS, RESERVED
from lsu_onto.library.searchpath import shipped

EXTENSION = Path(lsu_onto.__file__).parents[1] / "tools" / "editor" / "vscode"


def load(name: str) -> Any:
    return json.loads((EXTENSION / name).read_text(encoding="utf-8"))


def test_the_package_names_files_that_are_there() -> None:
    package = load("package.json")
    language, grammar = package["contributes"]["languages"][0], package["contributes"]["grammars"][0]
    assert (language["id"], language["extensions"], grammar["language"]) == ("tax", [".tax"], "tax")
    for file in (package["main"], language["configuration"], grammar["path"]):
        assert (EXTENSION / file).is_file(), file
    assert load(grammar["path"])["scopeName"] == grammar["scopeName"]
    assert load(language["configuration"])["comments"] == {"lineComment": "#"}
    code = (EXTENSION / package["main"]).read_text(encoding="utf-8")
    settings = {s.removeprefix("lsu-tax.") for s in package["contributes"]["configuration"]["properties"]}
    assert set(re.findall(r'\.get\("(\w+)"', code)) == settings - {"trace.server"}  # the client reads that one
    assert {c["command"] for c in package["contributes"]["commands"]} == set(
        re.findall(r'registerCommand\("([\w.-]+)"', code)
    )


def test_the_grammar_has_every_reserved_word() -> None:
    text = (EXTENSION / "syntaxes" / "tax.tmLanguage.json").read_text(encoding="utf-8")
    groups = [set(g.split("|")) for g in re.findall(r"\((?:\?:)?([a-z|]+)\)", text)]
    words = set.union(*groups) | set(re.findall(r"\\\\b(\w+)\\\\b", text))
    assert set(RESERVED) <= words
    assert {"source", "dataset", "map", "extends"} in groups and set(KEYWORDS) > {"tax", "aka"}


def test_every_include_is_there() -> None:
    grammar = load("syntaxes/tax.tmLanguage.json")
    used = set(re.findall(r'"include": "#(\w+)"', json.dumps(grammar)))
    assert used == set(grammar["repository"])


@pytest.mark.skipif(
    not (shutil.which("node") and (EXTENSION / "node_modules" / "vscode-textmate").is_dir()),
    reason="needs node, and `npm install` in tools/editor/vscode",
)
def test_the_grammar_in_the_engine_of_vs_code() -> None:
    files = [*(TAX / "ok").glob("*.tax"), *shipped().rglob("*.tax")]
    done = subprocess.run(
        ["node", "test/grammar.test.js", *map(str, files)], cwd=EXTENSION, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
