"""`lsu-onto doctor`."""

from __future__ import annotations

import sys

import click

from lsu_onto.program import text_or_json


@click.command()
@text_or_json
def doctor(format_: str) -> None:
    """Check the installation: versions, what is missing, what does not go together, and the command that fixes it.

    Exit code 0: no problems, 1: problems. An extra that is not installed is not a problem.

    \b
    Example:
      lsu-onto doctor
    """
    import json

    from lsu_onto.installation import Environment, as_dict, as_text, examine

    env = Environment()
    findings = examine(env)
    if format_ == "json":
        click.echo(json.dumps(as_dict(env, findings), indent=2))
    else:
        click.echo(as_text(env, findings))
    sys.exit(any(f.state == "problem" for f in findings))
