"""`lsu-onto lsp`."""

from __future__ import annotations

import sys

import click

from lsu_onto.program import Command, path_option


@click.command(cls=Command, refused=2)
@path_option()
@click.option("--stdio", is_flag=True, help="Use standard input and output. Always on; many editors pass it.")
def lsp(search: tuple[str, ...], stdio: bool) -> None:
    """Serve an editor: findings as you type, hover, completion, renaming, quick fixes.

    Speaks the Language Server Protocol over standard input and output, so an editor starts it, not you. For VS Code
    the extension in tools/editor/vscode does. Exit code 0: the editor ended the session, 1: it vanished, 2: pygls is
    missing.

    \b
    Neovim 0.11, in init.lua:
      vim.filetype.add({ extension = { tax = 'tax' } })
      vim.lsp.config('lsu_onto', { cmd = { 'lsu-onto', 'lsp' }, filetypes = { 'tax' } })
      vim.lsp.enable('lsu_onto')

    \b
    Helix, in languages.toml:
      [language-server.lsu-onto]
      command = "lsu-onto"
      args = ["lsp"]
      [[language]]
      name = "tax"
      scope = "source.tax"
      file-types = ["tax"]
      comment-token = "#"
      language-servers = ["lsu-onto"]

    More in docs/editor.md.
    """
    from lsu_onto.lsp.server import serve

    sys.exit(serve(search))
