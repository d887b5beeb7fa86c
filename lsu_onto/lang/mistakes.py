"""Recognises common typing mistakes, and says what to type instead.

Only lines that the grammar rejects come here, so a guess can be wrong about the intention, never about the error.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lsu_onto.diagnostics import suggest
from lsu_onto.lang.syntax import EDITION, KEYWORDS

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_LIKE_SPACE = re.compile(r"[^\S \t\r\n]|[\u200b\u2060\ufeff]")
_OPERATORS = {
    "==": "=",
    "<=": "<",
    "=<": "<",
    ">=": ">",
    "=>": "->",
    "!=": "!",
    "~=": "~",
    "<>": "~",
    "→": "->",
    "⇒": "->",
    "-->": "->",
    "- >": "->",
    "⊂": "<",
    "⊆": "<",
    "⊃": ">",
    "⊇": ">",
}
_LONG = 2000
"""Longer lines are not typed by hand, and some of the patterns below take quadratic time."""
_QUOTES = "“”„«»'`"


class Guess(NamedTuple):
    """A diagnostic on `text[start:end]` of the logical line."""

    message: str
    start: int
    end: int
    help: str
    code: str = "TAX003"
    instead: str | None = None
    """The replacement, if it is obvious."""


def name_of(label: str) -> str:
    """A label as a name of the language.

    >>> name_of("lane-marking"), name_of("Obstacles / trash")
    ('lane_marking', 'obstacles_trash')
    """
    return re.sub(r"[^A-Za-z0-9]+", "_", label).strip("_").lower()


def css_colour(text: str) -> str | None:
    """`#rgb` and `#rrggbbaa` as `#rrggbb`.

    >>> css_colour("#ABC"), css_colour("#1020307f"), css_colour("#12345")
    ('#aabbcc', '#102030', None)
    """
    digits = text[1:].lower()
    if not re.fullmatch(r"[0-9a-f]{3}|[0-9a-f]{8}", digits):
        return None
    return "#" + ("".join(2 * c for c in digits) if len(digits) == 3 else digits[:6])


def guess(text: str, at: int, expected: set[str]) -> Guess | None:
    """What was meant by a line that the parser rejects at `at`, where it expected one of these terminals."""
    if len(text) > _LONG:
        return None
    before, rest = text[:at].rstrip(" \t\n"), text[at:]
    token = (re.match(r"[^\s,]+", rest) or [""])[0]
    first = (re.match(r"\S+", text) or [""])[0]

    odd = _LIKE_SPACE.match(rest)
    if odd:
        return Guess(
            f"U+{ord(odd[0]):04X} only looks like a space", at, at + 1, "type a space in its place", instead=" "
        )
    edition = re.fullmatch(r"(tax[ \t]*v?[\d.]*)[ \t]*(?:#.*)?", text.rstrip())
    if edition:
        return Guess(
            f"`{edition[1].strip()}` is not an edition",
            0,
            len(edition[1].strip()),
            f"write `tax {EDITION}`",
            instead=f"tax {EDITION}",
        )
    return (
        _void_key(text)
        or _operator(text, before, rest, at)
        or _group(text, first)
        or _ids(text, at, before, rest, token)
        or _decision(text, at, before, rest, token)
        or _target(text, at, before, rest, token)
        or _name(text, at, before, token, expected)
        or _colour(text, at, before, token, expected)
        or _words(text, at, before, token, rest, expected, first)
    )


def _void_key(text: str) -> Guess | None:
    key = re.match(r"(void[ \t]*[=:]?[ \t]*)(?=\d|#[0-9A-Fa-f]{6})", text)
    return key and Guess(
        f"`{key[1].strip()}` is not a key",
        0,
        len(key[1].rstrip()),
        "a key ends with a colon: `void:`",
        instead="void:" if key[1][-1:] in " \t" else "void: ",
    )


def _operator(text: str, before: str, rest: str, at: int) -> Guess | None:
    signs = sorted(_OPERATORS, key=len, reverse=True)
    if not before:
        sign = next((sign for sign in (*signs, "->", *"=<>~!") if rest.startswith(sign)), None)
        return sign and Guess(
            "a relation without its class",
            at,
            at + len(sign),
            "write the class in front of it, or indent the line to continue the class above",
        )
    both = text[at - 1 : at + 1]
    if both in _OPERATORS:
        return Guess(
            f"`{both}` is not an operator", at - 1, at + 1, f"write `{_OPERATORS[both]}`", instead=_OPERATORS[both]
        )
    for sign in signs:
        if rest.startswith(sign):
            return Guess(
                f"`{sign}` is not an operator",
                at,
                at + len(sign),
                f"write `{_OPERATORS[sign]}`",
                instead=_OPERATORS[sign],
            )
    return None


def _group(text: str, first: str) -> Guess | None:
    header = re.match(r"[ \t]*(\[[^\]#]*\]?)", text)
    if not header:
        return None
    name = ".".join(filter(None, (name_of(part) for part in header[1].split("."))))
    return Guess(
        f"`{header[1].strip()}` is not a group header",
        header.start(1),
        header.end(1),
        f"write `[{name or 'group'}]`: letters, digits and `_`, and `.` before a subgroup",
        instead=f"[{name}]" if name and not re.search(r"\s[^\]]*$", header[1]) else None,
    )


def _ids(text: str, at: int, before: str, rest: str, token: str) -> Guess | None:
    dashed = re.match(r"[ \t]*((\d+)[ \t]*-[ \t]*(\d+))\b", text)
    if dashed and at <= dashed.end():
        return Guess(
            f"`{dashed[1]}` is not an id",
            dashed.start(1),
            dashed.end(1),
            f"write `{dashed[2]}..{dashed[3]}` for a range",
            instead=f"{dashed[2]}..{dashed[3]}",
        )
    marked = re.match(r"[ \t]*((\d+)[.:;)]+|(\d+),(?=[ \t]+[A-Za-z_]))", text)
    if marked and at <= marked.end() + 1 and not re.match(r"[ \t]*\d+\.\.\d", text):
        number = marked[2] or marked[3]
        return Guess(
            f"`{marked[1]}` is not an id",
            marked.start(1),
            marked.end(1),
            f"write `{number}` and a space",
            instead=number if text[marked.end(1) : marked.end(1) + 1] in " \t" else f"{number} ",
        )
    if rest.startswith('"') and re.fullmatch(r"(\d|\.\.|[-, \t])+", before):
        official = (re.match(r'"([^"]*)', rest) or ["", ""])[1]
        return Guess(
            f'`"{official}"` is an official name, which stands behind the name',
            at,
            at + len(official) + 2,
            f'write `{name_of(official)} "{official}"`',
        )
    return None


def _decision(text: str, at: int, before: str, rest: str, token: str) -> Guess | None:
    if before.endswith("->"):
        if not token or token == "#":
            return Guess("`->` decides nothing", len(before) - 2, len(before), "write `-> void` or `-> any`")
        if token.lower() in ("void", "any"):
            return Guess(
                f"unexpected `{token}` after `->`",
                at,
                at + len(token),
                f"write `{token.lower()}`",
                instead=token.lower(),
            )
    if rest.startswith("->"):
        header = re.match(rf"source[ \t]+({_NAME}[ \t]+\S+)[ \t]*$", before)
        if header:
            return Guess(
                "a source has no source of its own",
                at,
                at + 2,
                f"write `dataset {header[1]} -> …` if these are a dataset's classes",
            )
        if re.search(r"[=<>~!]", before.partition("#")[0]) or re.search(r"[ \t][=<>~!][ \t]", before):
            return Guess("a decision stands alone", at, at + 2, "keep the relations, or `->` and what follows")
    return None


def _target(text: str, at: int, before: str, rest: str, token: str) -> Guess | None:
    """A missing target, or something other than a space between two targets."""
    last = re.search(r"(?<![=<>~!-])[=<>~!]$|,$", before)
    if last and (not token or re.match(r"#(?=[ \t]|$)", rest)):
        sign = last[0]
        if sign == ",":
            return Guess("nothing follows the `,`", last.start(), last.end(), "leave it out, or name another target")
        how = (
            "write `! any` if no source class fits" if sign == "!" else f"write `{sign} road` with the name of a class"
        )
        return Guess(f"`{sign}` names no class", last.start(), last.end(), how)
    between = re.match(rf"([;|/&+])[ \t]*@?{_NAME}", rest)
    *signs, targets = re.split(r"[=<>~!,]", before)
    if between and signs and re.fullmatch(rf"[ \t]*@?{_NAME}([ \t]+@?{_NAME})*", targets):
        return Guess(
            f"unexpected `{between[1]}`", at, at + 1, "targets are separated by spaces: leave it out", instead=" "
        )
    return None


def _name(text: str, at: int, before: str, token: str, expected: set[str]) -> Guess | None:
    """A word that is not a valid name: in a header, as a class, or as a target."""
    start = at - len((re.search(r"[\w.\-/&+]*$", text[:at]) or [""])[0])
    word = (re.match(r"[A-Za-z_][\w.\-/&+]*", text[start:]) or [""])[0].rstrip("-")
    if not word or re.fullmatch(_NAME, word) or word.endswith(":") or start + len(word) <= at - 1:
        return None
    lead, name = text[:start].strip(), name_of(word)
    message, end = f"`{word}` is not a name", start + len(word)
    if lead.split(" ")[0] in (*KEYWORDS, "->") and "aka" not in lead:
        return Guess(message, start, end, f"names have letters, digits and `_`; write `{name}`", instead=name)
    if re.search(r"[=<>~!]|(^|[ \t])aka[ \t]", lead):
        return Guess(message, start, end, f'write `{name}`, or `"{word}"` if that is the official name')
    return Guess(
        message,
        start,
        end,
        f'names have letters, digits and `_`; write `{name} "{word}"` to keep the official spelling',
        instead=None if re.match(r'[ \t]*"', text[end:]) else f'{name} "{word}"',
    )


def _colour(text: str, at: int, before: str, token: str, expected: set[str]) -> Guess | None:
    if "COLOUR" not in expected:
        return None
    how = "a colour is `#` and six hexadecimal digits"
    numbers = re.match(r"[(\[]?(\d{1,3})[ \t]*,[ \t]*(\d{1,3})[ \t]*,[ \t]*(\d{1,3})[)\]]?(?!\d)", text[at:])
    if numbers and all(int(n) < 256 for n in numbers.groups()):
        written = "#" + "".join(f"{int(n):02x}" for n in numbers.groups())
        return Guess(
            f"`{numbers[0]}` is not a colour",
            at,
            at + numbers.end(),
            f"{how}: write `{written}`",
            "TAX006",
            written,
        )
    plain = re.fullmatch(r"(?:0x)?([0-9A-Fa-f]{6})", token)
    if plain:
        return Guess(
            f"`{token}` is not a colour",
            at,
            at + len(token),
            f"{how}: write `#{plain[1]}`",
            "TAX006",
            f"#{plain[1]}",
        )
    if re.fullmatch(r"#[0-9A-Za-z]{3,8}", token) and len(re.findall(r"[0-9A-Fa-f]", token)) > len(token) / 2:
        return Guess(f"`{token}` is not a colour", at, at + len(token), how, "TAX006", css_colour(token))
    return None


def _words(text: str, at: int, before: str, token: str, rest: str, expected: set[str], first: str) -> Guess | None:
    if token[:1] and token[0] in _QUOTES:
        return Guess(f"unexpected `{token}`", at, at + len(token), 'a quoted name has straight quotes `"` around it')
    coloured = re.search(rf"({_NAME})[ \t]+(#[0-9A-Fa-f]{{6}})$", before)
    if rest.startswith('"') and coloured:
        official = (re.match(r'"[^"]*"?', rest) or [""])[0]
        return Guess(
            f"unexpected `{official}`",
            at,
            at + len(official),
            f"the official name stands behind the name: `{coloured[1]} {official} {coloured[2]}`",
        )
    if token.startswith(("//", "--", ";", "/*")):
        return Guess(
            f"unexpected `{token}`",
            at,
            at + len(token),
            "a note starts with `#` and a space",
            instead="#" if token in ("//", "--", ";") else None,
        )
    alone = re.match(rf"[ \t]*({_NAME})(?![A-Za-z0-9_])[ \t]*(?=$|\n|#(?:[ \t]|$)|:|{_NAME})", text)
    if alone and "OP" in expected and alone[1] not in KEYWORDS:
        word = alone[1]
        if text[0] in " \t":
            return Guess(
                "this line continues no class",
                alone.start(1),
                alone.end(1),
                f"start it with an operator, such as `~ {word}`, to continue the class above",
            )
        if token.startswith(":"):
            return Guess("unexpected `:`", at, at + 1, f"no space before the colon: `{word}:`")
        if not token or token == "#":
            return Guess(
                f"`{word}` says nothing",
                alone.start(1),
                alone.end(1),
                f"a class line starts with its id: `4 {word}`; a row of a map has a relation: `{word} < …`",
            )
        if not suggest(word, KEYWORDS):
            return Guess(
                f"unexpected `{token}` after `{word}`",
                at,
                at + len(token),
                f"a key ends with a colon: `{word}:`; a class line starts with its id: `4 {word}`",
            )
    if token in ("void", "any") and "OP" in expected and re.match(r"[ \t]*[-\d]", text):
        return Guess(
            f"unexpected `{token}`",
            at,
            at + len(token),
            f"a decision has an arrow: write `-> {token}`",
            instead=f"-> {token}",
        )
    named = re.fullmatch(rf"[ \t]*(?:[\d,. \t]+|-[ \t]+)({_NAME})((?:[ \t]+{_NAME})*)", before)
    following = re.match(rf"{_NAME}(?:[ \t]+{_NAME})*(?=[ \t]*(?:$|[#=<>~!\n]|->))", rest)
    if named and following and "STRING" in expected:
        official = f"{named[1]} {' '.join(following[0].split())}"
        return Guess(
            f"unexpected `{token}`",
            at,
            at + len(token),
            f'a name is one word: write `{name_of(official)} "{official}"`, or put an operator before a target',
        )
    targets = re.match(rf":?[ \t]*({_NAME}(?:[ \t]+{_NAME})*)", rest)
    if targets and "OP" in expected and re.match(r"[ \t]*[-\d]", text):
        target = targets[1].split()[-1]
        return Guess(
            f"unexpected `{token}`",
            at,
            at + len(token),
            f"a relation starts with an operator, one of `= < > ~ !`: `< {target}` if the class lies inside it",
        )
    return None
