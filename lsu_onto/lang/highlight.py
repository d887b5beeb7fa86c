"""The language in colour: a Pygments lexer, and the one function through which terminal output uses it.

The lexer reads what the parser reads, and continues where the parser gives up: tokens cover any text and change none of
it. Once the package is installed, `pygmentize -l tax` and Sphinx's `.. code-block:: tax` know the lexer, too.
"""

from __future__ import annotations

from functools import cache
from io import StringIO
from typing import Any, ClassVar

from pygments.formatters.terminal import TerminalFormatter
from pygments.lexer import RegexLexer, bygroups, default, words
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
    Token,
    Whitespace,
    _TokenType,
)

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_END = r"(?![A-Za-z0-9_])"

_SHARED = [
    (r"[ \t]+", Whitespace),
    (r"#(?=[ \t\r\n]|$)[^\r\n]*", Comment.Single),
    (r"\r?\n", Whitespace, "#pop"),
    (r'"[^"\r\n]*"', String.Double),
]
_RELATION = (r"->|[=<>~!]", Operator, ("#pop", "relation"))
_TAXON = r"([ \t]+)(" + _NAME + r")([ \t]+)(v[0-9]+(?:\.[0-9]+)*)"


class TaxLexer(RegexLexer):  # type: ignore[misc]
    """Tokens of a `.tax` file.

    >>> [(str(t)[6:], v) for t, v in TaxLexer().get_tokens("3  gravel  #786450  ~ road") if v.strip()]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('Literal.Number.Integer', '3'), ('Name.Class', 'gravel'), ('Literal.Number.Hex', '#786450'),
     ('Operator', '~'), ('Name', 'road')]
    """

    name = "Tax"
    aliases: ClassVar[list[str]] = ["tax"]
    filenames: ClassVar[list[str]] = ["*.tax"]
    mimetypes: ClassVar[list[str]] = ["text/x-tax"]

    tokens: ClassVar[dict[str, Any]] = {
        # One line, whose first word says what it is.
        "root": [
            (r"\ufeff", Whitespace),
            (r"(?:[ \t]*\r?\n)+", Whitespace),
            (r"[ \t]+(?=[=<>~!]|->)", Whitespace, "relation"),
            (r"[ \t]+", Whitespace),
            (r"#(?=[ \t\r\n]|$)[^\r\n]*", Comment.Single),
            (r"(tax)([ \t]+)([0-9]+)" + _END, bygroups(Keyword.Declaration, Whitespace, Number.Integer), "rest"),
            (
                r"(source|dataset|map|extends)" + _TAXON,
                bygroups(Keyword.Declaration, Whitespace, Name.Namespace, Whitespace, Number),
                "header",
            ),
            (r"([A-Za-z_][A-Za-z0-9_-]*)(:)(?=[ \t\r\n]|$)", bygroups(Name.Attribute, Punctuation), "value"),
            (
                r"(\[)([ \t]*)(" + _NAME + r"(?:\." + _NAME + r")*)([ \t]*)(\])",
                bygroups(Punctuation, Whitespace, Name.Label, Whitespace, Punctuation),
                "rest",
            ),
            (r"(?=[0-9]|-(?![>0-9]))", Text, "ids"),
            (r'"[^"\r\n]*"', String.Double, "class"),
            (_NAME, Name.Class, "class"),
            (r"[^\r\n]", Error, "rest"),
        ],
        "ids": [
            (r"[ \t]+", Whitespace),
            (r"[0-9]+", Number.Integer),
            (r"\.\.|,", Punctuation),
            (r"-(?![>0-9])", Keyword.Constant),
            (_NAME, Name.Class, ("#pop", "class")),
            default(("#pop", "class")),
        ],
        "class": [
            *_SHARED,
            (r"#[0-9A-Fa-f]{6}(?![0-9A-Za-z])", Number.Hex),
            (r",", Punctuation),
            (r"aka" + _END, Keyword, ("#pop", "aka")),
            _RELATION,
            (r"[^\r\n]", Error),
        ],
        "aka": [*_SHARED, (_NAME, Name.Variable), _RELATION, (r"[^\r\n]", Error)],
        "relation": [
            *_SHARED,
            (r"->|[=<>~!]", Operator),
            (r",", Punctuation),
            (words(("void", "any"), suffix=_END), Keyword.Constant),
            (rf"@{_NAME}(?:\.{_NAME})*", Name.Label),
            (_NAME, Name),
            (r"[^\r\n]", Error),
        ],
        "header": [
            (r"[ \t]+", Whitespace),
            (r"->(?=[ \t]*[A-Za-z_])", Operator),
            (r"v[0-9]+(?:\.[0-9]+)*" + _END, Number),
            (_NAME, Name.Namespace),
            default(("#pop", "rest")),
        ],
        "value": [
            *_SHARED[:3],
            (r"(?:[^ \t\r\n#]|#(?![ \t\r\n]|$)|[ \t]+(?![ \t\r\n]|#(?:[ \t\r\n]|$)|$))+", String),
            (r"[^\r\n]", String),
        ],
        "rest": [*_SHARED, (r"[^\r\n]", Error)],
    }


# Colours come from the terminal's own palette, which suits its background. Errors stay plain, because the marks of the
# diagnostic are red already.
_COLOURS: dict[_TokenType, tuple[str, str]] = {
    kind: (colour, colour)
    for kind, colour in {
        Token: "",
        Comment: "brightblack",
        Keyword: "magenta",
        Operator: "*yellow*",
        Name.Class: "*cyan*",
        Name.Namespace: "*cyan*",
        Name.Attribute: "blue",
        Name.Label: "green",
        Number.Integer: "blue",
        Number.Hex: "brightblack",
        String: "green",
    }.items()
}


@cache
def _tools() -> tuple[TaxLexer, TerminalFormatter]:
    return TaxLexer(), TerminalFormatter(colorscheme=_COLOURS)


def highlight(text: str, start: int = 0, end: int | None = None) -> str:
    r"""A stretch of `.tax` text with terminal colours; without them it is `text[start:end]`, to the byte.

    Args:
        text: whole lines, because the meaning of a word depends on what precedes it.
        start, end: the stretch to return.

    >>> highlight("way  < road", start=5)
    '\x1b[01m\x1b[33m<\x1b[39;49;00m road'
    """
    lexer, formatter = _tools()
    end = len(text) if end is None else end
    pieces = (
        (kind, value[max(0, start - at) : max(0, end - at)]) for at, kind, value in lexer.get_tokens_unprocessed(text)
    )
    out = StringIO()
    formatter.format(((kind, value) for kind, value in pieces if value), out)
    return out.getvalue()
