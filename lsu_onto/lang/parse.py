"""Text → syntax tree, one logical line at a time, so that a bad line costs one diagnostic and no more."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from lsu_onto.diagnostics import Diagnostic, Fix, Span
from lsu_onto.files import TAX_LIMIT, open_to_read
from lsu_onto.lang import fastpath
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.names import whole

_CONTINUES = re.compile(r"[ \t]+(?:[=<>~!]|->)")
_ALLOW = re.compile(r"\ballow:\s*(TAX\d{3}(?:[\s,]+TAX\d{3})*)")

_MANY = 20

Lines = dict[tuple[int | str, ...], ast.Statement | ast.Unread]
"""Number of the first line, kind of the section and texts of a logical line → its statement, or why it has none."""


def read(path: str) -> tuple[str, Diagnostic | None]:
    """The text of a file, or an empty text and the finding that says why it cannot be read."""
    here = Span(path, 1, 1, 1)
    try:
        with open_to_read(path) as file:
            data = file.read(TAX_LIMIT + 1)
    except OSError as e:
        return "", Diagnostic("TAX001", f"cannot read `{path}`: {e.strerror}", here)
    if len(data) > TAX_LIMIT:
        return "", Diagnostic("TAX001", f"`{path}` has more than {TAX_LIMIT >> 20} MB", here, "is this a `.tax` file?")
    if data.startswith(b"version https://git-lfs"):
        return "", Diagnostic("TAX001", "this is a git-LFS pointer, not the file", here, "run `git lfs pull`")
    try:
        text = data.decode("utf-8")
        at = data.find(b"\0")  # no text has it; UTF-16 has little else
        if at < 0:
            return text, None
    except UnicodeDecodeError as e:
        at = e.start
    line = data.count(b"\n", 0, at) + 1
    column = at - (data.rfind(b"\n", 0, at) + 1) + 1
    what = "binary data" if b"\0" in data[:4096] and data[at] else f"byte 0x{data[at]:02x}"
    span = Span(path, line, column, column + 1)
    return "", Diagnostic("TAX002", f"not UTF-8 text: found {what}", span, "save the file as UTF-8")


def parse(path: str, text: str, known: Lines | None = None) -> tuple[ast.File, list[Diagnostic]]:
    """Parse the text of a `.tax` file.

    Args:
        path: the file's name, for spans.
        text: its text.
        known: the statements of the previous text, which are replaced by those of this text: an editor parses all
            lines whenever one changes.

    Returns the file with every statement that could be read, and one diagnostic for each line that could not.
    Never raises for what the text contains.
    """
    findings: list[Diagnostic] = []
    if text.startswith("\ufeff"):
        findings.append(
            Diagnostic("TAX009", "the file starts with a byte order mark", Span(path, 1, 1, 2), "save without BOM")
        )
        text = text[1:]
    known = {} if known is None else known
    read_now: Lines = {}
    statements: list[ast.Statement] = []
    allowed: dict[int, frozenset[str]] = {}
    unread: dict[int, ast.Unread] = {}
    kind = ""
    for first, lines in _logical_lines(text):
        logical = "\n".join(lines)
        codes = frozenset(re.findall(r"TAX\d{3}", " ".join(m[1] for m in _ALLOW.finditer(logical))))
        for i in range(len(lines)):
            if codes:
                allowed[first + i] = codes
        for i, line in enumerate(lines):
            if "\t" in line:
                findings.append(_tab(line, path, first + i))
        key: tuple[int | str, ...] = (first, kind, *lines)
        statement = known.get(key) or fastpath.statement(path, first, lines) or _parse_line(path, first, logical, kind)
        read_now[key] = statement
        if isinstance(statement, ast.Meta) and statement.key.text.lower() in ast.KEYWORDS:
            statement = _header_with_colon(statement, lines[0], kind) or statement
            read_now[key] = statement
        if isinstance(statement, ast.Unread):
            from lsu_onto.lang.explain import diagnostic_of

            finding = diagnostic_of(statement)
            findings.append(finding)
            unread[finding.span.line] = statement
            kind = _kind(fastpath.statement(path, first, [statement.reading.text]) if statement.reading else None, kind)
        else:
            statements.append(statement)
            kind = _kind(statement, kind)
    known.clear()
    known.update(read_now)
    if len(unread) > _MANY and not any(isinstance(s, (ast.Edition, ast.Header)) for s in statements):
        return ast.File(path, text, tuple(statements), allowed, unread), [_no_tax_file(path, text, len(unread))]
    begins = min((s.span.line for s in statements if not isinstance(s, ast.Comment)), default=1 << 60)
    if not any(d.severity == "error" and d.span.line < begins for d in findings):  # otherwise that line was the edition
        findings += _edition(path, statements, text)
    return ast.File(path, text, tuple(statements), allowed, unread), findings


def _header_with_colon(s: ast.Meta, line: str, kind: str) -> ast.Unread | None:
    """`dataset: town v1`, which is no key. `source: Daimler` below a header is one, though an unknown one."""
    from lsu_onto.lang.headers import read_header

    if s.key.text in ("source", "map") and kind and not re.search(r"\bv?\d|->", s.value.text):
        return None
    header = read_header(line)
    if header is None:
        return None
    finding = Diagnostic("TAX003", "a header has no colon", s.key.span)
    return ast.Unread(line, finding, "", ast.Reading(header))


def _kind(statement: ast.Statement | None, kind: str) -> str:
    """The kind of the section that the next line stands in. A dataset with its source is `mapped`."""
    if isinstance(statement, ast.Header):
        return "mapped" if statement.kind == "dataset" and statement.target else statement.kind
    return kind


def _no_tax_file(path: str, text: str, lines: int) -> Diagnostic:
    """One finding in place of one for each line of, say, a JSON file. A tab in a line that is read does not count."""
    what = f"{lines} lines cannot be understood, and none says `tax`, `source`, `dataset` or `map`"
    end = max(2, len(text.split("\n", 1)[0]) + 1)
    return Diagnostic("TAX004", what, Span(path, 1, 1, end), "is this a `.tax` file? It starts with `tax 1`")


def _logical_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    current: list[str] = []
    first = 0
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r").rstrip(" \t")
        if not line:
            continue
        if current and first + len(current) == number and _CONTINUES.match(line):
            current.append(line)
            continue
        if current:
            yield first, current
        first, current = number, [line]
    if current:
        yield first, current


def _tab(line: str, path: str, number: int) -> Diagnostic:
    start, end = line.index("\t"), line.rindex("\t") + 1
    wide = line.expandtabs()
    spaces = Fix("use spaces", Span(path, number, start + 1, end + 1), wide[start : len(wide) - len(line[end:])], True)
    return Diagnostic("TAX010", "tab character", Span(path, number, start + 1, start + 2), "use spaces", fix=spaces)


def _edition(path: str, statements: list[ast.Statement], text: str) -> list[Diagnostic]:
    first = next((s for s in statements if not isinstance(s, ast.Comment)), None)
    if isinstance(first, ast.Edition):
        if first.number > ast.EDITION:
            return [
                Diagnostic(
                    "TAX005",
                    f"edition {first.number} is newer than this program knows (edition {ast.EDITION})",
                    first.span,
                    f"upgrade lsu-toolkit, or write `tax {ast.EDITION}` in a new file",
                )
            ]
        if first.number == ast.EDITION:
            return []
    here = first.span if first else Span(path, 1, 1, max(2, len(text.split("\n", 1)[0]) + 1))
    top = Span(path, 1, 1, 1)
    fix = Fix.write("1", first.span) if isinstance(first, ast.Edition) else Fix.write("tax 1\n", top)
    help_ = "write `tax 1` on the first line"
    if any(isinstance(s, ast.Header) for s in statements):
        fix = replace(fix, safe=not isinstance(first, ast.Edition))
    else:
        help_ += ", and a header such as `dataset NAME v1 -> SOURCE v1` on the second"
    return [Diagnostic("TAX004", "the file does not start with `tax 1`", here, help_, fix=fix)]


@cache
def _parser() -> Any:
    import lark

    return lark.Lark.open(
        "tax.lark",
        rel_to=__file__,
        start="line",
        parser="lalr",
        lexer="contextual",
        cache=_cache_file() or False,
    )


def _cache_file() -> str | None:
    """Where lark may keep the compiled grammar: in the user's own cache, because it is unpickled on the next start."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lsu-onto"
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):  # the latter of a user without a name, in a container
        return None
    import lark

    return str(base / f"tax-{lark.__version__}.lark-cache") if os.access(base, os.W_OK) else None


def _parse_line(path: str, first: int, text: str, kind: str = "") -> ast.Statement | ast.Unread:
    import lark

    from lsu_onto.lang.explain import explain

    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)

    def span(start: int, end: int) -> Span:  # `end` is the last character
        row = max(i for i, s in enumerate(starts) if s <= start)
        column = start - starts[row] + 1
        return Span(path, first + row, column, max(end - starts[row] + 2, column + 1))

    try:
        tree = _parser().parse(text)
    except lark.UnexpectedCharacters as e:
        return explain(text, e.pos_in_stream or 0, set(e.allowed or ()), span, kind, _parses)
    except lark.UnexpectedToken as e:
        at = e.pos_in_stream if e.pos_in_stream is not None else len(text)
        if e.token.type == "$END":
            at = len(text)
        return explain(text, at, set(e.accepts or e.expected), span, kind, _parses)
    return _Builder(span).build(tree)


def _parses(text: str) -> bool:
    """Whether a logical line can be read. A blank one can."""
    import lark

    lines = text.split("\n")
    if not text.strip() or fastpath.statement("", 1, lines):
        return True
    try:
        _parser().parse(text)
    except lark.UnexpectedInput:
        return False
    return True


class _Builder:
    """lark's tree → our own tree. One method per rule of the grammar."""

    def __init__(self, span: Callable[[int, int], Span]) -> None:
        self.span = span

    def build(self, tree: Any) -> ast.Statement:
        method: Callable[[Any], ast.Statement] = getattr(self, tree.data.rstrip("_"))
        return method(tree)

    def of(self, token: Any) -> Span:
        return self.span(token.start_pos, token.end_pos - 1)

    def over(self, tree: Any) -> Span:
        tokens = list(tree.scan_values(lambda t: t.type != "NOTE"))
        first = self.of(tokens[0])
        last = [s for s in map(self.of, tokens) if s.line == first.line][-1]
        return Span(first.file, first.line, first.column, last.end)

    def word(self, token: Any) -> ast.Word:
        return ast.Word(token.value.strip('"') if token.type == "STRING" else token.value, self.of(token))

    @staticmethod
    def note(tree: Any) -> str:
        return " ".join(t.value[1:].strip() for t in tree.children if getattr(t, "type", "") == "NOTE")

    @staticmethod
    def parts(tree: Any, name: str) -> list[Any]:
        return [c for c in tree.children if getattr(c, "data", None) == name]

    @staticmethod
    def tokens(tree: Any, *types: str) -> list[Any]:
        return [c for c in tree.children if getattr(c, "type", None) in types]

    def comment(self, tree: Any) -> ast.Comment:
        token = tree.children[0]
        return ast.Comment(token.value[1:].strip(), self.of(token))

    def edition(self, tree: Any) -> ast.Edition:
        (number,) = self.tokens(tree, "INT")
        return ast.Edition(whole(number), self.note(tree), self.of(number))

    def taxon(self, tree: Any) -> ast.Taxon:
        name, version = self.tokens(tree, "NAME", "VERSION")
        return ast.Taxon(self.word(name), self.word(version))

    def header(self, tree: Any) -> ast.Header:
        arrow = self.parts(tree, "arrow")
        target = self.taxon(arrow[0]) if arrow else None
        return ast.Header(cast(Any, str(tree.data)), self.taxon(tree), target, self.note(tree), self.over(tree))

    source = dataset = map = header

    def extends(self, tree: Any) -> ast.Extends:
        return ast.Extends(self.taxon(tree), self.note(tree), self.over(tree))

    def meta(self, tree: Any) -> ast.Meta:
        (key,) = self.tokens(tree, "KEY")
        value = self.tokens(tree, "VALUE")
        word = self.word(value[0]) if value else ast.Word("", self.of(key))
        return ast.Meta(ast.Word(key.value[:-1], self.of(key)), word, self.note(tree), self.over(tree))

    def group(self, tree: Any) -> ast.Group:
        (token,) = self.tokens(tree, "GROUP_HEADER")
        return ast.Group(token.value[1:-1].strip(), self.note(tree), self.of(token))

    def ids(self, tree: Any) -> tuple[ast.IdRange, ...]:
        out = []
        for part in self.parts(tree, "id"):
            token = part.children[0]
            low, _, high = token.value.partition("..")
            out.append(ast.IdRange(whole(low), whole(high or low), self.of(token)))
        return tuple(out)

    def class_(self, tree: Any) -> ast.ClassLine:
        name, *official = self.tokens(tree, "NAME", "STRING")
        colours = [self.word(t) for c in self.parts(tree, "colours") for t in c.children]
        aliases = [self.word(t) for a in self.parts(tree, "aka") for t in self.tokens(a, "NAME", "STRING")]
        return ast.ClassLine(
            ids=self.ids(self.parts(tree, "ids")[0]),
            name=self.word(name),
            official=self.word(official[0]) if official else None,
            colours=tuple(colours),
            aliases=tuple(aliases),
            note=self.note(tree),
            relations=self.relations(tree),
            decision=self.decision(tree),
            span=self.of(name),
        )

    vars()["class"] = class_

    def row(self, tree: Any) -> ast.Row:
        (token,) = self.tokens(tree, "NAME", "STRING")
        kind: Any = "string" if token.type == "STRING" else "name"
        word = self.word(token)
        return ast.Row(
            ast.Target(kind, word.text, word.span),
            self.note(tree),
            self.relations(tree),
            self.decision(tree),
            word.span,
        )

    def relations(self, tree: Any) -> tuple[ast.Relation, ...]:
        return tuple(
            ast.Relation(str(self.tokens(r, "OP", "BUT")[0]), self.targets(r), self.note(r), self.over(r))
            for r in self.parts(tree, "relation")
        )

    def decision(self, tree: Any) -> ast.Decision | None:
        for d in self.parts(tree, "decision"):
            (to,) = self.tokens(d, "VOID", "ANY")
            minus = self.parts(d, "minus")
            note = " ".join(filter(None, [self.note(d), *map(self.note, minus)]))
            return ast.Decision(to.value, self.targets(minus[0]) if minus else (), note, self.over(d))
        return None

    def targets(self, tree: Any) -> tuple[ast.Target, ...]:
        out = []
        for part in self.parts(tree, "target"):
            token = part.children[0]
            out.append(ast.Target(token.type.lower(), token.value.strip('"').removeprefix("@"), self.of(token)))
        return tuple(out)
