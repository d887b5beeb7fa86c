"""Well-formed lines → syntax tree, without lark: the grammar of `tax.lark` once more, as fast as Python allows.

lark defines the language, and explains every line that this module cannot read. Most files have no such line; then lark
is not even imported, and a file of 150 classes is read in a quarter of the time. `tests/onto/lang/test_fastpath.py`
keeps the two in step: on any text, this returns what lark returns, or None.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from lsu_onto.diagnostics import Span
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.names import whole

_NOTE = r"#(?=[ \t]|$)[^\r\n]*"
_KINDS = {
    "note": _NOTE,
    "colour": r"#[0-9A-Fa-f]{6}(?![0-9A-Za-z])",
    "string": r'"[^"\r\n]*"',
    "name": r"[A-Za-z_][A-Za-z0-9_]*(?![A-Za-z0-9_]|-(?!>))",
    "group": r"@[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*",
    "range": r"[0-9]+\.\.[0-9]+(?![A-Za-z0-9_.])",
    "int": r"[0-9]+(?![A-Za-z0-9_.])",
    "arrow": r"->",
    "never": r"-(?![>0-9])",
    "comma": r",",
    "op": r"[=<>~!]",
    "end": r"$",
}
_ORDER = ["", *_KINDS]
_TOKEN = re.compile(rf"[ \t]*(?:{'|'.join(f'(?P<{kind}>{regex})' for kind, regex in _KINDS.items())})")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_VERSION = r"v[0-9]+(?:\.[0-9]+)*"
_META = re.compile(
    r"[ \t]*([A-Za-z_][A-Za-z0-9_-]*):(?=[ \t]|$)"
    r"[ \t]*((?:[^ \t\r\n#]|#(?![ \t]|$))(?:[^\r\n#]|#(?![ \t]|$))*(?<![ \t]))?"
    rf"[ \t]*({_NOTE})?"
)
_GROUP = re.compile(rf"[ \t]*(\[[ \t]*({_NAME}(?:\.{_NAME})*)[ \t]*\])[ \t]*({_NOTE})?")
_HEADER = re.compile(
    rf"[ \t]*(source|dataset|map|extends)[ \t]+({_NAME})[ \t]+({_VERSION})"
    rf"(?:[ \t]*->[ \t]*({_NAME})[ \t]+({_VERSION}))?(?![A-Za-z0-9_.-])[ \t]*({_NOTE})?"
)
_EDITION = re.compile(rf"[ \t]*tax[ \t]+([0-9]+)(?![A-Za-z0-9_.])[ \t]*({_NOTE})?")


class _Token(NamedTuple):
    kind: str
    text: str
    span: Span


_END = _Token("end", "", Span("", 0, 0, 0))


class _UnreadError(Exception):
    """A line that lark must read or explain."""


def statement(path: str, first: int, lines: Sequence[str]) -> ast.Statement | None:
    """The statement on a logical line, or None if lark must read it.

    Args:
        path: the file, for spans.
        first: number of the first physical line.
        lines: the physical lines, without trailing white space; the second and later ones continue the first.
    """
    if len(lines) == 1:
        result = _short(path, first, lines[0])
        if result:
            return result
    try:
        tokens = _Tokens(path, first, lines)
        kind = tokens.next.kind
        if kind in ("int", "range", "never"):
            return _class_line(tokens)
        if kind in ("name", "string") and tokens.next.text not in ast.KEYWORDS:
            return _row(tokens)
    except _UnreadError:
        pass
    return None


def _short(path: str, first: int, line: str) -> ast.Statement | None:
    """Statements that are one physical line: comments, keys, groups, headers."""

    def span(m: re.Match[str], a: int, b: int = 0) -> Span:
        return Span(path, first, m.start(a) + 1, m.end(b or a) + 1)

    def word(m: re.Match[str], a: int) -> ast.Word:
        return ast.Word(m[a], span(m, a))

    start = line.lstrip(" \t")[:1]
    if start == "#":
        m = re.fullmatch(rf"[ \t]*({_NOTE})", line)
        return ast.Comment(_text(m[1]), span(m, 1)) if m else None
    if start == "[":
        m = _GROUP.fullmatch(line)
        return ast.Group(m[2], _text(m[3]), span(m, 1)) if m else None
    m = _META.fullmatch(line)
    if m:
        key = ast.Word(m[1], Span(path, first, m.start(1) + 1, m.end(1) + 2))  # with its colon
        value = word(m, 2) if m[2] else ast.Word("", key.span)
        end = value.span.end if m[2] else key.span.end
        return ast.Meta(key, value, _text(m[3]), Span(path, first, key.span.column, end))
    m = _HEADER.fullmatch(line)
    if m and bool(m[4]) >= (m[1] == "map"):
        taxon = ast.Taxon(word(m, 2), word(m, 3))
        if m[1] == "extends":
            return None if m[4] else ast.Extends(taxon, _text(m[6]), span(m, 2, 3))
        target = ast.Taxon(word(m, 4), word(m, 5)) if m[4] else None
        if target and m[1] == "source":
            return None
        kind: Any = m[1]
        return ast.Header(kind, taxon, target, _text(m[6]), span(m, 2, 5 if target else 3))
    m = _EDITION.fullmatch(line)
    return ast.Edition(whole(m[1]), _text(m[2]), span(m, 1)) if m else None


def _text(note: str | None) -> str:
    return note[1:].strip() if note else ""


class _Tokens:
    """The tokens of a logical line, with one token of lookahead."""

    def __init__(self, path: str, first: int, lines: Sequence[str]) -> None:
        self.tokens: list[_Token] = []
        match, add = _TOKEN.match, self.tokens.append
        for number, line in enumerate(lines, first):
            at = 0
            while at < len(line):
                m = match(line, at)
                if m is None or m.lastindex is None:
                    raise _UnreadError
                start, at = m.span(m.lastindex)
                if start < at:  # else: the end
                    add(_Token(_ORDER[m.lastindex], line[start:at], Span(path, number, start + 1, at + 1)))
        self.tokens += [_END, _END]  # one to take, one to look at
        self.at = 0
        self.next = self.tokens[0]

    def take(self) -> _Token:
        token = self.next
        self.at += 1
        self.next = self.tokens[self.at]
        return token

    def take_if(self, kind: str, text: str | None = None) -> _Token | None:
        return self.take() if self.next.kind == kind and text in (None, self.next.text) else None

    def need(self, *kinds: str) -> _Token:
        if self.next.kind not in kinds:
            raise _UnreadError
        return self.take()

    def note(self) -> str:
        token = self.take_if("note")
        return _text(token.text) if token else ""


def _class_line(tokens: _Tokens) -> ast.ClassLine:
    ids: list[ast.IdRange] = []
    if not tokens.take_if("never"):
        while True:
            token = tokens.need("int", "range")
            low, _, high = token.text.partition("..")
            ids.append(ast.IdRange(whole(low), whole(high or low), token.span))
            if not tokens.take_if("comma"):
                break
    name = tokens.need("name")
    official = tokens.take_if("string")
    colours: list[ast.Word] = []
    if tokens.next.kind == "colour":
        colours.append(_word(tokens.take()))
        while tokens.take_if("comma"):
            colours.append(_word(tokens.need("colour")))
    aliases: list[ast.Word] = []
    if tokens.take_if("name", "aka"):
        aliases.append(_word(tokens.need("name", "string")))
        while tokens.next.kind in ("name", "string"):
            aliases.append(_word(tokens.take()))
    note = tokens.note()
    relations, decision = _relations(tokens)
    return ast.ClassLine(
        tuple(ids),
        _word(name),
        _word(official) if official else None,
        tuple(colours),
        tuple(aliases),
        note,
        relations,
        decision,
        name.span,
    )


def _row(tokens: _Tokens) -> ast.Row:
    target = _target(tokens.take(), plain=True)
    note = tokens.note()
    relations, decision = _relations(tokens)
    if not relations and not decision:
        raise _UnreadError
    return ast.Row(target, note, relations, decision, target.span)


def _relations(tokens: _Tokens) -> tuple[tuple[ast.Relation, ...], ast.Decision | None]:
    if tokens.take_if("arrow"):
        decision = _decision(tokens)
        tokens.need("end")
        return (), decision
    relations: list[ast.Relation] = []
    while tokens.next.kind == "op":
        op = tokens.take()
        targets = _targets(tokens)
        relations.append(ast.Relation(op.text, targets, tokens.note(), _over([op.span, *(t.span for t in targets)])))
    tokens.need("end")
    return tuple(relations), None


def _decision(tokens: _Tokens) -> ast.Decision:
    to = tokens.need("name")
    if to.text not in ("void", "any"):
        raise _UnreadError
    kind: Any = to.text
    notes, spans = [tokens.note()], [to.span]
    minus: tuple[ast.Target, ...] = ()
    if tokens.next.text == "!":
        spans.append(tokens.take().span)
        minus = _targets(tokens)
        spans += [t.span for t in minus]
        notes.append(tokens.note())
    return ast.Decision(kind, minus, " ".join(filter(None, notes)), _over(spans))


def _targets(tokens: _Tokens) -> tuple[ast.Target, ...]:
    targets = [_target(tokens.need("name", "string", "group"))]
    while tokens.next.kind in ("name", "string", "group", "comma"):
        tokens.take_if("comma")
        targets.append(_target(tokens.need("name", "string", "group")))
    return tuple(targets)


def _target(token: _Token, plain: bool = False) -> ast.Target:
    """A target. `plain`: it is the class at the start of a row, where `void` and `any` are not targets."""
    kind: Literal["name", "string", "group", "void", "any"]
    if token.kind == "string":
        return ast.Target("string", token.text.strip('"'), token.span)
    if token.kind == "group":
        return ast.Target("group", token.text[1:], token.span)
    kind = "void" if token.text == "void" else "any" if token.text == "any" else "name"
    return ast.Target("name" if plain else kind, token.text, token.span)


def _word(token: _Token) -> ast.Word:
    return ast.Word(token.text.strip('"') if token.kind == "string" else token.text, token.span)


def _over(spans: list[Span]) -> Span:
    """The span from the first to the last one on the same line."""
    first = spans[0]
    end = next(s.end for s in reversed(spans) if s.line == first.line)
    return Span(first.file, first.line, first.column, end)
