"""How shells complete the command lines of both programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from lsu_onto.cli import main
from lsu_onto.diagnostics import RULES

ROOT = Path(__file__).parents[3]


LINES = [
    ("lsu-seg pse", "pseudo-label"),
    ("lsu-seg train --work", "--work-dir"),
    ("lsu-onto show demo_t", "demo_town"),
    ("lsu-seg scan vis", "vistas"),
    ("lsu-onto compile idd --source vi", "vistas"),
    ("lsu-onto explain tax30", "TAX306"),
    ("lsu-seg decode --unknown v", "void"),
]

_BASH = """
eval "$({variable}=bash_source {program})"
COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_{function}_completion {program}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
_ZSH = """
compdef() {{ :; }}
compadd() {{ local names=${{@[-1]}}; print -l -- "${{(@P)names}}" }}  # -U -V unsorted -a NAMES
_describe() {{ print -l -- "${{(@P)3}}" }}  # -V unsorted NAMES -U
autoload -U is-at-least
eval "$({variable}=zsh_source {program})"
words=({line}); CURRENT=${{#words}}
_{function}_completion
"""
_FISH = "{variable}=fish_source {program} | source; complete -C '{line}'"


@pytest.mark.parametrize(("shell", "script"), [("bash", _BASH), ("zsh", _ZSH), ("fish", _FISH)])
@pytest.mark.parametrize(("line", "expected"), LINES)
def test_shells_complete(shell: str, script: str, line: str, expected: str, path: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = line.split()[0]
    function = program.replace("-", "_")
    text = script.format(program=program, function=function, variable=f"_{function.upper()}_COMPLETE", line=line)
    done = subprocess.run(
        [shell, "-c", text], capture_output=True, text=True, check=False, env=os.environ | {"PATH": path}
    )
    found = [candidate.split("\t")[0].partition(":")[0] for candidate in done.stdout.splitlines()]
    assert expected in found, (found, done.stderr)
    assert all(candidate.lower().startswith(line.split()[-1].lower()) for candidate in found)


def test_ctrl_c_while_a_line_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(click.Group, "make_context", interrupted)
    for name, value in {"_LSU_ONTO_COMPLETE": "bash_complete", "COMP_WORDS": "lsu-onto s", "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        main([], prog_name="lsu-onto")
    assert stopped.value.code == 130


def test_white_space_is_completed_by_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"_LSU_ONTO_COMPLETE": "fish_complete", "COMP_WORDS": "lsu-onto validate ", "COMP_CWORD": "\t"}
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        main([], prog_name="lsu-onto")
    assert (stopped.value.code, capsys.readouterr()) == (0, ("", ""))


def test_every_code_is_completed() -> None:
    from lsu_onto.commands.explain import explain

    (argument,) = explain.params
    found = argument.shell_complete(click.Context(explain), "")
    assert [item.value for item in found] == list(RULES)


@pytest.mark.parametrize(
    "words",
    [{}, {"COMP_WORDS": "lsu-onto sh", "COMP_CWORD": "last"}, {"_LSU_ONTO_COMPLETE": "1"}],
)
def test_completion_that_no_shell_asks_for_is_refused(
    words: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        for name, value in ({"_LSU_ONTO_COMPLETE": "bash_complete"} | words).items():
            patch.setenv(name, value)
        main([], prog_name="lsu-onto")
    assert stopped.value.code == 2 and "for shells; write `bash_source`, `zsh_source` or" in capsys.readouterr().err
