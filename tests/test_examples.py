"""Blocks of code in the docs that no other test runs: they are parsed, and what they name of ours is there.

`onto/reporting/test_docs.py` and `seg/commands/test_walkthrough.py` run files and commands whose output is shown;
`seg/losses/test_losses.py` and `seg/training` run the Python of `plain-pytorch.md` and `training.md`.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from lsu_onto.cli import main as onto
from lsu_seg.cli import main as seg

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / n for n in ("README.md", "CONTRIBUTING.md"))]
PAGES.append(ROOT / "tools/editor/vscode/README.md")
RUN = ("README", "language", "cookbook", "map-algebra", "adding-a-dataset", "first-map", "scan")
"""Pages whose `tax` and `console` blocks other tests run."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
REGISTERED = set(
    re.findall(
        r"^@register\(\w+\)\nclass (\w+)",
        "\n".join(f.read_text(encoding="utf-8") for f in (ROOT / "lsu_seg").rglob("*.py")),
        re.MULTILINE,
    )
)

_BLOCK = re.compile(r"^( *)```(\w*)[^\n`]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`((?:lsu-onto|lsu-seg|make) [^`]+)`(?!`)")
_PROGRAMS = {"lsu-onto": onto, "lsu-seg": seg}


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each block."""
    for indent, language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        yield language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)


def commands(text: str) -> Iterator[str]:
    """Command lines of a block, lines that go on joined."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        line = line.removeprefix("$ ")
        if re.match(r"(?:\w+=\S+ )*(?:lsu-onto|lsu-seg|make|pip|python|torchrun|srun)\s", line):
            yield line


def faults(line: str) -> Iterator[str]:
    """What a command line names that is not there: commands, options, choices, files, extras, targets of make."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        yield str(error)
        return
    words = words[: next((i for i, word in enumerate(words) if word in ("|", ">", ">>", "&&", ";", "||")), None)]
    while "=" in words[0]:
        words = words[1:]
    if "-m" in words and words[words.index("-m") + 1 :][:1] in (["lsu_seg"], ["lsu_onto"]):  # python, torchrun, srun
        start = words.index("-m") + 1
        words = [words[start].replace("_", "-"), *words[start + 1 :]]
    program, *rest = words
    if program in _PROGRAMS:
        yield from usage_faults(_PROGRAMS[program], rest)
    if program == "make":
        yield from (f"no target {w} in the Makefile" for w in rest if "=" not in w and w not in TARGETS)
    if program == "pip":
        extras = {e.strip() for w in rest for names in re.findall(r"^\.\[(.*)\]$", w) for e in names.split(",")}
        yield from (f"no extra [{e}]" for e in sorted(extras - set(PROJECT["optional-dependencies"])))
    for script in (w for w in rest if re.fullmatch(r"(?:tools|lsu_seg)/[\w/.-]+\.py", w)):
        if not (ROOT / script).is_file():
            yield f"no file {script}"
        elif program == "python":
            source = (ROOT / script).read_text(encoding="utf-8")
            yield from (f"{script} has no {w}" for w in rest if w.startswith("--") and f'"{w}"' not in source)


def usage_faults(program: click.Group, words: list[str]) -> Iterator[str]:
    name, *arguments = words
    command = program.get_command(click.Context(program), name) if not name.startswith("-") else program
    if command is None:
        yield f"no command {name}"
        return
    if any("…" in w or w == "..." for w in arguments):
        return
    context = click.Context(command, info_name=name)
    try:
        values, left, _ = command.make_parser(context).parse_args(list(arguments))
    except click.UsageError as error:
        yield error.format_message()
        return
    if isinstance(command, click.Group) and left and command is not program:
        yield from usage_faults(command, left)
    elif left and not isinstance(command, click.Group):
        yield f"{name}: {' '.join(left)} is too much"
    for parameter in command.params:
        if isinstance(parameter.type, click.Choice) and isinstance(value := values.get(parameter.name or ""), str):
            try:
                parameter.type.convert(value, parameter, context)
            except click.UsageError as error:
                yield error.format_message()


def test_what_counts_as_a_fault() -> None:
    good = "RUN=1 lsu-seg pseudo-label idd --source cityscapes --data-root data/idd -o work/idd  # labels"
    assert (
        list(faults(good))
        == list(faults("torchrun --nproc-per-node 4 -m lsu_seg train CONFIG --launcher pytorch"))
        == []
    )
    for bad, fault in {
        "lsu-onto validat x.tax": "no command validat",
        "lsu-seg review export out --too cvat": "No such option",
        "lsu-seg scan idd --data-rot x": "No such option '--data-rot'. Did you mean",
        "lsu-onto export idd --to yaml": "'yaml' is not one of",
        "lsu-onto explain 306 307": "explain: 307 is too much",
        "python -m lsu_seg label x": "no command label",
        "make tests": "no target tests",
        "pip install '.[seg,hff]'": "no extra [hff]",
        "python tools/" + "benchmrk.py": "no file tools/"
        + "benchmrk.py",  # in parts: it is no file that a text of ours names
        "python tools/benchmark.py --nothing": "tools/benchmark.py has no --nothing",
        "lsu-onto show 'x": "No closing quotation",
    }.items():
        (found,) = faults(bad)
        assert fault in found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_name_what_is_there(page: Path) -> None:
    lines = [line for language, text in blocks(page) if language in ("", "bash", "console") for line in commands(text)]
    prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    named = [re.sub(r"\s+", " ", line) for line in _INLINE.findall(prose) if "…" not in line]
    wrong = [f"{line}: {fault}" for line in lines + named for fault in faults(line)]
    # A sentence may name an option without a value.
    assert [fault for fault in wrong if not fault.endswith("requires an argument.")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_are_what_they_say(page: Path) -> None:
    for language, text in blocks(page):
        if language in ("tax", "console"):
            assert page.stem in RUN, f"no test runs this block of {page.name}:\n{text}"
        elif language == "python":
            python_is_sound(text)
        elif language == "yaml":
            assert yaml.safe_load(text)
        elif language == "toml":
            assert tomllib.loads(text)
        elif language == "json":
            assert json.loads(text)
        elif language == "bash":
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        else:
            assert language in ("", "lua"), f"{page.name}: how are blocks of {language} checked?"


def python_is_sound(text: str) -> None:
    """It parses, its imports of ours work, and what it names of a registry of ours is registered."""
    if text.startswith(">>>"):  # runs as a doctest
        return
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] in ("lsu_onto", "lsu_seg"):
                there = importlib.import_module(module)
                for alias in names:
                    assert hasattr(there, alias.name), f"{module} has no {alias.name}"
            case ast.Attribute(value=ast.Name(id="lsu_onto"), attr=name):
                assert hasattr(importlib.import_module("lsu_onto"), name), f"lsu_onto has no {name}"
            case ast.keyword(arg="type", value=ast.Constant(value=str(name))) if re.match(
                r"Tax|Ontology|Compound|Pseudo|SetNLL|HF|Torch", name
            ):
                assert name in REGISTERED, f"nothing registers {name}"


def test_the_first_map_of_the_page(tmp_path: Path) -> None:
    """Its table has what `suggest` prints, reasons cut short by an ellipsis."""
    harbour, command, table, *_ = (text for _, text in blocks(ROOT / "docs/first-map.md"))
    (tmp_path / "harbour.tax").write_text(harbour)
    _, *args = shlex.split(command.replace("harbour.tax", str(tmp_path / "harbour.tax")))
    result = CliRunner().invoke(onto, [*args, "-o", str(tmp_path / "map.tax")])
    assert result.exit_code == 0, result.output
    shown, printed = (
        [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()] for text in (table, result.stdout)
    )
    assert len(shown) == len(printed)
    for cells, whole in zip(shown, printed, strict=True):
        assert cells[:-1] == whole[:-1] and whole[-1].startswith(cells[-1].removesuffix("…"))
