"""`lsu-onto`: gathers the commands.

Imports are inside the commands, so that `--help` starts without numpy, lark or networkx.
"""

from __future__ import annotations

import click

from lsu_onto import __version__
from lsu_onto.program import CONTEXT, Program

SECTIONS = {
    "Write a file": {
        "init": "init:init",
        "import": "import_:import_",
        "suggest": "suggest:suggest",
        "fmt": "fmt:fmt",
    },
    "Check it": {
        "validate": "validate:validate",
        "explain": "explain:explain",
        "changes": "changes:changes",
        "check-maps": "check_maps:check_maps",
    },
    "Derive others": {
        "compose": "compose:compose",
        "invert": "invert:invert",
        "restrict": "restrict:restrict",
        "unite": "unite:unite",
    },
    "Look at it": {"list": "list:list_", "show": "show:show", "render": "render:render"},
    "Use it elsewhere": {"compile": "compile:compile_", "export": "export:export"},
    "Tools": {"lsp": "lsp:lsp", "doctor": "doctor:doctor", "docs": "docs:docs"},
}


@click.group(cls=Program, package="lsu_onto.commands", sections=SECTIONS, context_settings=CONTEXT)
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

    Shell completion: docs/cli.md.
    """


if __name__ == "__main__":
    main()
