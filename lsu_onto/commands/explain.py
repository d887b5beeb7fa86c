"""`lsu-onto explain`."""

from __future__ import annotations

import sys

import click
from click.shell_completion import CompletionItem

from lsu_onto.commands.arguments import colours


def _codes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from lsu_onto.diagnostics import RULES

    return [
        CompletionItem(code, help=rule.title)
        for code, rule in RULES.items()
        if code.startswith((incomplete.upper(), f"TAX{incomplete}"))
    ]


@click.command()
@click.argument("code", shell_complete=_codes)
def explain(code: str) -> None:
    """Explain a diagnostic: what the rule wants, why, and an example of each. `306` is TAX306.

    \b
    Example:
      lsu-onto explain TAX306
    """
    from lsu_onto.diagnostics import RULES, suggest

    full = code.upper() if not code.isdecimal() else f"TAX{code}"
    rule = RULES.get(full)
    if rule is None:
        hint = suggest(full, RULES)
        raise click.UsageError(f"there is no rule `{code}`" + (f"; {hint}" if hint else ""))
    click.echo(f"{rule.severity}[{rule.code}]: {rule.title}\n\n{rule.why}\n")
    click.echo(f"bad:\n{_example(rule.bad)}\n\ngood:\n{_example(rule.good)}")


def _example(text: str) -> str:
    if colours(sys.stdout):
        from lsu_onto.lang.highlight import highlight

        text = highlight(text)
    return "\n".join(f"    {line}" for line in text.split("\n"))
