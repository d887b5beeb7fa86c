"""`lsu-onto`: gathers the commands, which are imported when they are asked for.

Imports are inside the commands, so that `--help` starts without numpy, lark or networkx.
"""

from __future__ import annotations

from importlib import import_module

import click

from lsu_onto import __version__

_COMMANDS = {
    "changes": "changes:changes",
    "compile": "compile:compile_",
    "docs": "docs:docs",
    "doctor": "doctor:doctor",
    "explain": "explain:explain",
    "export": "export:export",
    "fmt": "fmt:fmt",
    "import": "import_:import_",
    "init": "init:init",
    "list": "list:list_",
    "lsp": "lsp:lsp",
    "render": "render:render",
    "show": "show:show",
    "validate": "validate:validate",
}
"""Command -> module of `lsu_onto.commands`, and the command's name in it."""


class _Commands(click.Group):
    """Imports a command when it is asked for, so that `validate` does not wait for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"lsu_onto.commands.{module}"), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lsu-onto")
def main() -> None:
    """Check, compile and draw label-space ontologies written in `.tax` files.

    \b
    Examples:
      lsu-onto validate taxonomies            check every file; silent when all is well
      lsu-onto show demo_town                 what a pixel of each class may be
      lsu-onto render demo_town -o town.svg   draw the map
      lsu-onto fmt taxonomies                 align the columns
      lsu-onto explain TAX306                 what a rule wants, and why
    """


if __name__ == "__main__":
    main()
