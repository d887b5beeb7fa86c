"""Findings on class lines that say something other than what was meant, though every word of them can be read."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from lsu_onto.diagnostics import Diagnostic, Fix
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.colours import as_colour


def quoted_colour(s: ast.ClassLine) -> Diagnostic | None:
    """A colour in quotes would be the official name of the class, or an alias."""
    for word in [*([s.official] if s.official else []), *s.aliases]:
        colour = as_colour(word.text)
        if colour:
            fix = Fix.write(colour, word.span, True) if word is s.official and not s.colours else None
            what = f'`"{word.text}"` in quotes is a name, not a colour'
            return Diagnostic("TAX006", what, word.span, f"write `{colour}`, without quotes, behind the names", fix=fix)
    return None


def several_aliases(lines: Iterable[ast.ClassLine]) -> Diagnostic | None:
    """The first of several aliases that may have been meant as one of several words. Once is enough."""
    for s in lines:
        for bare, run in groupby(s.aliases, lambda a: a.span.end - a.span.column == len(a.text)):
            aliases = list(run)
            if bare and len(aliases) > 1:
                words = " ".join(a.text for a in aliases)
                what, each = f"`{words}` are {len(aliases)} aliases", " ".join(f'"{a.text}"' for a in aliases)
                help_ = f'write `"{words}"` if it is one of several words, `{each}` if each is one'
                return Diagnostic("TAX015", what, aliases[0].span, help_)
    return None
