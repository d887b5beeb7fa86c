"""Renaming a class: its line, and every reference that resolves to it. The old name remains as an alias."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lsu_onto.diagnostics import Fix, Span
from lsu_onto.errors import UserError
from lsu_onto.lang import syntax as ast
from lsu_onto.lsp.session import Session
from lsu_onto.lsp.symbols import Occurrence, Symbol, references
from lsu_onto.ontology.model import Taxonomy


class RenameError(UserError):
    """This cannot be renamed. The message says why."""


def everywhere(session: Session, symbol: Symbol) -> Iterator[Occurrence]:
    """Every place that names a symbol, in all files."""
    for path in session.everywhere():
        yield from references(session.library, session.check(path), symbol)


def may_rename(session: Session, here: Occurrence) -> None:
    """Raise RenameError if the cursor is not on the name of a class, or the class does not belong to the user."""
    symbol = here.symbol
    if symbol.kind != "class":
        raise RenameError(
            f"a {symbol.kind} has no aliases, so files elsewhere would lose `{symbol.name}`:"
            " only classes can be renamed"
        )
    if not session.owns(symbol.place.file):
        raise RenameError(
            f"`{symbol.name}` belongs to `{symbol.taxonomy.name} {symbol.taxonomy.version}`, which lies"
            f" outside the folders that are open: {symbol.place.file}"
        )
    other = _text_at(session, here.span).strip('"')
    if other != symbol.name:
        raise RenameError(f"`{other}` is another name of `{symbol.name}`: rename the class where it is called that")


def rename(session: Session, symbol: Symbol, name: str) -> list[Fix]:
    """The edits that rename a class.

    The old name becomes an alias, so that files elsewhere keep their meaning and `changes` recognises the class.
    References through aliases and official names stay as they are, and so do files that do not belong to the user: the
    shipped library may map a taxonomy of the same name.

    Raises:
        RenameError: the name is invalid, reserved or taken.
    """
    old = symbol.name
    if name == old:
        return []
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise RenameError(f"`{name}` is not a name: names have letters, digits and `_`, and no digit first")
    if name in ast.RESERVED:
        raise RenameError(f"`{name}` is a reserved word")
    places = list(everywhere(session, symbol))
    for taxonomy in [symbol.taxonomy, *_extensions(session, symbol)]:
        replaced = taxonomy.by_name.get(old)
        if replaced is not None and taxonomy.classes[replaced].span != symbol.place:
            raise RenameError(f"`{taxonomy.name} {taxonomy.version}` replaces `{old}` by its own: rename that first")
        taken = taxonomy.by_name.get(name, taxonomy.by_other_name.get(name))
        if taken is not None and taxonomy.classes[taken].span != symbol.place:
            raise RenameError(
                f"`{name}` already stands for `{taxonomy.classes[taken].name}` in `{taxonomy.name} {taxonomy.version}`"
            )
    title = f"rename `{old}` to `{name}`"
    line = _line(session, symbol)
    again = next((a for a in line.aliases if a.text == name), None)  # back to a former name
    kept = (
        Fix(title, again.span, _text_at(session, again.span).replace(name, old))
        if again
        else _alias(title, symbol, line, old)
    )
    edits = [Fix(title, symbol.place, name), kept]
    for o in places:
        if not session.owns(o.span.file):
            continue
        text = _text_at(session, o.span)
        if o.span != symbol.place and text in (old, f'"{old}"') and not _on_line(line, o.span):
            edits.append(Fix(title, o.span, name))
    return edits


def _extensions(session: Session, symbol: Symbol) -> list[Taxonomy]:
    """The datasets that build on the one that declares this class."""
    taxonomies = [t for path in session.everywhere() for t in session.check(path).resolved.taxonomies]
    return [t for t in taxonomies if symbol.place.file in t.bases]


def _line(session: Session, symbol: Symbol) -> ast.ClassLine:
    statements = session.check(symbol.place.file).file.statements
    return next(s for s in statements if isinstance(s, ast.ClassLine) and s.name.span == symbol.place)


def _alias(title: str, symbol: Symbol, line: ast.ClassLine, old: str) -> Fix:
    end = symbol.place._replace(column=line.end, end=line.end)
    return Fix(title, end, f' "{old}"' if line.aliases else f" aka {old}")


def _on_line(line: ast.ClassLine, span: Span) -> bool:
    """Its own official name and aliases: facts about the class, not references."""
    own = [*([line.official] if line.official else []), *line.aliases]
    return span in [w.span for w in own]


def _text_at(session: Session, span: Span) -> str:
    line = session.lines(span.file)[span.line - 1]
    return line[span.column - 1 : span.end - 1]
