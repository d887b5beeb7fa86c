"""How a program ends whose command raises an error."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from lsu_onto.program import Command, Program


def ended(monkeypatch: pytest.MonkeyPatch, error: BaseException, **settings: Any) -> Result:
    """A program whose command raises an error."""

    @click.command(cls=Command, **settings)
    def work() -> None:
        raise error

    module = ModuleType("program_of_a_test.work")
    module.work = work  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "program_of_a_test", ModuleType("program_of_a_test"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    main = Program(name="main", package="program_of_a_test", sections={"All": {"work": "work:work"}})
    return CliRunner().invoke(main, ["work"])
