"""Recognises common typing mistakes in a line that the grammar rejects, and says what is wrong.

Only lines that the grammar rejects come here, so a guess can be wrong about the intention, never about the error.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lsu_onto.diagnostics import did_you_mean, suggest
from lsu_onto.lang.colours import COLOURS, colours_written
from lsu_onto.lang.headers import read_group, read_header
from lsu_onto.lang.names import TYPED_KEYS, identifier
from lsu_onto.lang.plain import plain
from lsu_onto.lang.relations import ARROWS, OPERATORS
from lsu_onto.lang.syntax import EDITION, KEYWORDS

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_LIKE_SPACE = re.compile(r"[^\S \t\r\n]|[\u200b\u2060\ufeff]")
_OPERATORS = OPERATORS | {"=>": "->", "-->": "->", "- >": "->"}
"""Typed → meant, where an operator in its place is all that is needed."""
_SIGNS = (*_OPERATORS, *(arrow for arrow in ARROWS if len(arrow) > 1))
LONG = 2000
"""Longer lines are not typed by hand, and some of the patterns below take quadratic time."""
_QUOTES = "“”„«»'`\u2018\u2019"
_PYTHON = re.compile(
    r"\s*(?:(?:classes|CLASSES|palette|PALETTE|METAINFO|metainfo|type|data_root|data_prefix|img_suffix|seg_map_suffix|num_classes"
    r"|pipeline|dataset_type|ann_file|label_map)\s*[=:]|import\s|from\s+[\w.]+\s+import\b|class\s+\w+\s*[(:]|def\s|@\w+\.\w+\()"
)
_COLUMN = (
    r"(?:dataset|source|target|from|to|ids?|index|idx|name|class|class_id|label|label_id|colou?r|r|g|b|red|green|blue|rgb"
    r"|hex|category)"
)
_MARKS = re.compile(
    r"\s*(={3,}|\.{3}|[|:\s-]*-{3,}[|:\s-]*|<[?!/]?\w[^>]*>|```\w*|\"\"\"|%YAML.*|@(?:prefix|base)\s.*|PREFIX\s.*"
    r"|(?:item|entry|labels?|class(?:es)?)?\s*[:=]?\s*[{}\[\]()]+[,;]?|[\[({][\s\[\](){},\d.]*[\])}][\])},;]*)\s*$"
)
"""Lines that only open or close something, or draw a table."""
_NUMBER_OF = "write the number that label files store, e.g. `4 {}`; `-` only if the class is never drawn"

# What the parser's terminals are called in messages.
_EXPECTED = {
    "NAME": "a name",
    "STRING": 'a "quoted" name',
    "COLOUR": "a colour `#rrggbb`",
    "INT": "a number",
    "RANGE": "a range `1..3`",
    "NEVER": "`-`",
    "OP": "an operator `= < > ~ !`",
    "BUT": "`!`",
    "GROUP": "`@group`",
    "VOID": "`void`",
    "ANY": "`any`",
    "VERSION": "a version such as `v1`",
    "AKA": "`aka`",
    "GROUP_HEADER": "`[group]`",
    "KEY": "`key:`",
    "VALUE": "a value",
    "COMMA": "`,`",
    "__ANON_0": "`->`",
    "$END": "the end of the line",
}


class Guess(NamedTuple):
    """What is wrong with `text[start:end]` of the logical line."""

    message: str
    start: int
    end: int
    help: str
    code: str = "TAX003"
    instead: str | None = None
    """The replacement, if it is obvious."""
    exact: bool = True
    """`help` says what to write. Otherwise it is only a rule, or empty, and a reading of the line has to say it."""
    expected: str = ""
    """What the parser expected: the help where nothing better is known."""
    sure: bool = False
    """Nothing else than `instead` can have been meant."""


def guess(text: str, at: int, expected: set[str], kind: str) -> Guess:
    """What is wrong with a line that the parser rejects at `at`, where it expected one of these terminals."""
    before, rest = text[:at].rstrip(" \t\n"), text[at:]
    token = (re.match(r"[^\s,]+", rest) or [""])[0]
    known = None
    if len(text) <= LONG:
        known = (
            _line(text, at, rest, kind)
            or _operator(text, before, rest, at)
            or _group(text)
            or _ids(text, at, before, rest)
            or _decision(text, at, before, rest, token)
            or _target(before, rest, token, at)
            or _name(text, at, token)
            or _colour(text, at, token, expected)
            or _words(text, at, before, token, rest, expected, kind)
        )
    return known or _hash(token, at) or _rest(text, at, before, rest, token, expected)


def _line(text: str, at: int, rest: str, kind: str) -> Guess | None:
    """Lines that are wrong as a whole."""
    if re.match(r"[ \t]*#(?:\s)[^\n]*\n", text):
        help_ = "put the note above the class, or at the end of one of its lines"
        return Guess("a note on a line of its own ends the class above it", at, at + max(1, len(rest)), help_)
    joined = re.match(rf"[ \t]+([|+&,;])[ \t]*@?{_NAME}", text)
    if joined and at <= joined.end(1):
        help_ = "start it with the operator, such as `~`, to continue the class above"
        return Guess("this line continues no class", joined.start(1), joined.end(1), help_)
    odd = _LIKE_SPACE.match(rest)
    if odd:
        return Guess(
            f"U+{ord(odd[0]):04X} only looks like a space",
            at,
            at + 1,
            "type a space in its place",
            instead=" ",
            sure=True,
        )
    edition = re.fullmatch(r"(tax[ \t]*v?[\d.]*)[ \t]*(?:#.*)?", text.rstrip())
    if edition:
        wrong = edition[1].strip()
        return Guess(f"`{wrong}` is not an edition", 0, len(wrong), f"write `tax {EDITION}`", instead=f"tax {EDITION}")
    void = re.match(r"(void[ \t]*[=:]?[ \t]*)(?=\d|#[0-9A-Fa-f]{6})", text)
    if void:
        instead = "void:" if void[1][-1:] in " \t" else "void: "
        what = f"`{void[1].strip()}` is not a key"
        return Guess(what, 0, len(void[1].rstrip()), "a key ends with a colon: `void:`", instead=instead)
    tight = re.match(rf"\s*(({_NAME}):)(?=[^\s:])", text)
    if tight and tight[2] in TYPED_KEYS:
        help_ = f"a space follows the colon: `{tight[1]} …`"
        return Guess(
            f"no space after `{tight[1]}`", tight.start(1), tight.end(1), help_, instead=f"{tight[1]} ", sure=True
        )
    mark = _MARKS.match(text)
    if mark:
        help_ = "leave the line out: sections and lists have no marks around them"
        return Guess(f"unexpected `{mark[1]}`", mark.start(1), mark.end(1), help_, instead="")
    included = re.match(r"\s*[#@!]?(?:include|import|require|load|use)\b[\s:(]*[\"'<][^\"'>]*\.\w+[\"'>]", text)
    if included:
        help_ = "leave the line out: other files are found by the names that they declare"
        return Guess("a file includes no other", 0, len(text.rstrip()), help_, instead="")
    power = re.match(r"[ \t]*(\d{1,4}(?:\.0)?[eE]\+?[0-5])(?=[ \t,])", text)
    if power and kind != "map":
        help_ = f"an id is written in digits: `{float(power[1]):.0f}`"
        return Guess(
            f"`{power[1]}` is no id", power.start(1), power.end(1), help_, "TAX011", f"{float(power[1]):.0f}", sure=True
        )
    part = re.match(r"[ \t]*(\d*\.\d+)(?=[ \t,])", text)
    if part and kind != "map" and float(part[1]) % 1:
        help_ = "an id is a whole number, the one that label files store"
        return Guess(f"`{part[1]}` is no id", part.start(1), part.end(1), help_, "TAX011")
    python = _PYTHON.match(text)
    if python:
        help_ = (
            "leave the line out: a class has a line of its own, `0 road #804080`, and `lsu-onto import` reads configs"
        )
        if re.match(r"\s*import\b", text):
            help_ = "leave the line out: other files are found by the names that they declare"
        return Guess("this is a line of Python", python.start(), python.end(), help_)
    if re.fullmatch(rf"\s*(?:{_COLUMN}[\s,;|]+)+{_COLUMN}\s*", text.strip(" |"), re.IGNORECASE) and not re.match(
        r"\s*\d", text
    ):
        help_ = "leave the line out: the columns of a class line have no names"
        return Guess("this is the header of a table", 0, len(text.rstrip()), help_, instead="")
    if re.match(r"\s*-?\s*[\"']?(?:id|name|color|colour|label)[\"']?\s*:", text) and not re.search(r"name|label", text):
        help_ = "a class has a line of its own and no keys: `0 road #804080`"
        return Guess("this is a part of a class in YAML or JSON", 0, len(text.rstrip()), help_)
    rows = re.match(rf"\s*({_NAME})((?:\s*[,;&+|]\s*{_NAME})+)\s*((?:[=<>~!]|->)\s*\w.*)", text)
    if rows and kind == "map" and "\n" not in text:
        names = re.findall(_NAME, rows[1] + rows[2])
        relation = re.sub(r"\s+#.*", "", rows[3])
        help_ = "write " + ", ".join(f"`{name} {relation}`" for name in names) + " on a line each"
        return Guess("a row of a map is about one class", rows.start(1), rows.end(2), help_)
    arrowless = re.match(r"map[ \t]+[^>]+$", text)
    if arrowless and not read_header(plain(text)):
        taxon = " ".join(text.partition("#")[0].split()[1:3])
        if re.fullmatch(rf"{_NAME} v[\d.]+", taxon):
            return Guess("a map names its source", 0, len(f"map {taxon}"), f"write `map {taxon} -> SOURCE v1`")
    base = re.search(r"[ \t](extends[ \t]+\S+(?:[ \t]+v[\d.]+)?)", text)
    if base and text.startswith("dataset"):
        help_ = f"write `{base[1]}` on a line of its own, below this one"
        return Guess("unexpected `extends`", base.start(1), base.start(1) + 7, help_)
    return None


def _operator(text: str, before: str, rest: str, at: int) -> Guess | None:
    signs = sorted(_SIGNS, key=len, reverse=True)
    if not before and not re.match(r"\s*<\d|=+\s*\w[\w ]*=+\s*$", text):
        sign = next((sign for sign in (*signs, "->", "→", *"=<>~!") if rest.startswith(sign)), None)
        return sign and Guess(
            "a relation without its class",
            at,
            at + len(sign),
            "write the class in front of it, or indent the line to continue the class above",
        )
    for start in (at - 1, at):
        sign = next((s for s in signs if start >= 0 and text.startswith(s, start) and start + len(s) > at), None)
        if sign:
            meant = _OPERATORS.get(sign)
            how, message = f"write `{meant}`" if meant else "", f"`{sign}` is not an operator"
            return Guess(message, start, start + len(sign), how, instead=meant, exact=bool(meant))
    char = rest[:1]
    if char and not char.isascii() and re.fullmatch(r" ?(?:[=<>~!,]|->) ?", plain(char)):
        return Guess(f"`{char}` is not an operator", at, at + 1, "", exact=False)
    return None


def _group(text: str) -> Guess | None:
    header = re.match(r"[ \t]*(\[+[^\]#]*\]*[:,;{]?)[ \t]*(?:$|#[ \t])", text)
    if not header:
        return None
    if re.match(r"\[+(?:source|dataset|map|extends)[ \t]", header[1]):
        return Guess(f"`{header[1].strip()}` is not a group", header.start(1), header.end(1), "", exact=False)
    instead = read_group(header[1] if "]" in header[1] else header[1].strip() + "]")
    return Guess(
        f"`{header[1].strip()}` is not a group header",
        header.start(1),
        header.end(1),
        f"write `{instead or '[group]'}`: letters, digits and `_`, and `.` before a subgroup",
        instead=instead if instead and not re.search(r"\s[^\]]*$", header[1].rstrip()) else None,
    )


def _ids(text: str, at: int, before: str, rest: str) -> Guess | None:
    half = re.match(r"[ \t]*((?P<low>\d*)[ \t]*\.{2,3}[ \t]*(?P<high>\d*))(?=[ \t]+[A-Za-z_])", text)
    if half and at <= half.end() + 1 and not (half["low"] and half["high"]):
        low = int(half["low"][:9] or 0)
        high = half["high"] or max(255, low + 1)
        help_ = f"a range has both its ends: write them, such as `{low}..{high}`"
        return Guess(f"`{half[1].strip()}` is half a range", half.start(1), half.end(1), help_)
    dashed = re.match(r"[ \t]*((\d+)[ \t]*-[ \t]*(\d+))\b", text)
    if dashed and at <= dashed.end():
        return Guess(
            f"`{dashed[1]}` is not an id",
            dashed.start(1),
            dashed.end(1),
            f"write `{dashed[2]}..{dashed[3]}` for a range",
            instead=f"{dashed[2]}..{dashed[3]}",
        )
    marked = re.match(r"[ \t]*((\d+)[.:;)]+(?!\d)|(\d+),(?=[ \t]+[A-Za-z_]))", text)
    if marked and at <= marked.end() + 1 and not re.match(r"[ \t]*\d+\.{2,}\d", text):
        number = marked[2] or marked[3]
        return Guess(
            f"`{marked[1]}` is not an id",
            marked.start(1),
            marked.end(1),
            f"write `{number}` and a space",
            instead=number if text[marked.end(1) : marked.end(1) + 1] in " \t" else f"{number} ",
        )
    if rest.startswith('"') and re.fullmatch(r"(\d|\.\.|[-, \t])+", before):
        official = (re.match(r'"[^"]*"?', rest) or [""])[0]
        what = f"`{official}` is an official name"
        return Guess(what, at, at + len(official), "an official name stands behind the name", exact=False)
    if re.match(r"-\d", rest):
        negative = (re.match(r"-\d+", rest) or [""])[0]
        help_ = "" if before else "write `-` for a class that is never drawn"
        instead = None if before else "-"
        return Guess(f"`{negative}` is negative", at, at + len(negative), help_, instead=instead, exact=not before)
    return None


def _decision(text: str, at: int, before: str, rest: str, token: str) -> Guess | None:
    if before.endswith("->") and before.split(None, 1)[0] not in KEYWORDS:
        if not token or token == "#":
            return Guess("`->` decides nothing", len(before) - 2, len(before), "write `-> void` or `-> any`")
        if token.lower() in ("void", "any"):
            help_, instead = f"write `{token.lower()}`", token.lower()
            return Guess(f"unexpected `{token}` after `->`", at, at + len(token), help_, instead=instead)
        return Guess(
            f"unexpected `{token}` after `->`", at, at + len(token), "`->` is followed by `void` or `any`", exact=False
        )
    if rest.startswith("->"):
        header = re.match(rf"source[ \t]+({_NAME}[ \t]+\S+)[ \t]*$", before)
        if header:
            help_ = f"write `dataset {header[1]} -> …` if these are a dataset's classes"
            return Guess("a source has no source of its own", at, at + 2, help_)
        if re.search(r"[=<>~!]", before.partition("#")[0]) or re.search(r"[ \t][=<>~!][ \t]", before):
            return Guess("a decision stands alone", at, at + 2, "keep the relations, or `->` and what follows")
    return None


def _target(before: str, rest: str, token: str, at: int) -> Guess | None:
    """A missing target, or something other than a space between two targets."""
    last = re.search(r"(?<![=<>~!-])[=<>~!]$|,$", before)
    if last and (not token or re.match(r"#(?=[ \t]|$)", rest)):
        sign = last[0]
        if sign != "," and re.search(r"[=<>~!>][^=<>~!]*\w[^=<>~!]*[=<>~!]$", before):
            help_ = f"leave it out, or name a class behind it: `{sign} …`"
            return Guess(f"`{sign}` names no class", last.start(), last.end(), help_, instead="")
        if sign == ",":
            help_ = "leave it out, or name another target"
            return Guess("nothing follows the `,`", last.start(), last.end(), help_, instead="")
        how = (
            "write `! any` if no source class fits" if sign == "!" else f"write `{sign} road` with the name of a class"
        )
        return Guess(f"`{sign}` names no class", last.start(), last.end(), how)
    between = re.match(rf"([;|/&+])[ \t]*@?{_NAME}", rest)
    *signs, targets = re.split(r"[=<>~!,]", before)
    if between and signs and re.fullmatch(rf"[ \t]*@?{_NAME}([ \t]+@?{_NAME})*", targets):
        note = len(before) < at and re.match(r";\s+[A-Za-z]", rest)
        rule = "a note starts with `#` and a space" if note else "targets are separated by spaces"
        return Guess(f"unexpected `{between[1]}`", at, at + 1, rule, exact=False)
    return None


def _name(text: str, at: int, token: str) -> Guess | None:
    """A word that is not a valid name: in a header, as a class, or as a target."""
    start = at - len((re.search(r"[\w.\-/&+%]*$", text[:at]) or [""])[0])
    word = (re.match(r"(?:[^\W\d]|\d+[^\W\d]|\d+%)[\w.\-/&+%]*", text[start:]) or [""])[0].rstrip("-")
    if not word or re.fullmatch(_NAME, word) or word.endswith(":") or start + len(word) <= at - 1:
        return None
    if re.fullmatch(r"0x[0-9A-Fa-f]+|[\d.]+%|[nN][/.][aA]\.?", word) or word.isnumeric():
        return None
    lead = text[:start].strip()
    message, end = f"`{word}` is not a name", start + len(word)
    if lead.split(" ")[0] in KEYWORDS and "aka" not in lead:
        name = identifier(word, "taxonomy")
        return Guess(message, start, end, f"names have letters, digits and `_`; write `{name}`", instead=name)
    return Guess(message, start, end, "names have letters, digits and `_`", exact=False)


def _colour(text: str, at: int, token: str, expected: set[str]) -> Guess | None:
    if "COLOUR" not in expected:
        return None
    if token.lower() in COLOURS and re.fullmatch(rf"[ \t]*[\d,.-]+[ \t]+{_NAME}([ \t]+\"[^\"]*\")?[ \t]+", text[:at]):
        six = f"#{COLOURS[token.lower()]}"
        how = f"a colour is `#` and six hexadecimal digits: write `{six}`"
        return Guess(f"`{token}` is not a colour", at, at + len(token), how, "TAX006", six)
    written = re.match(
        r"(?:rgba?[ \t]*)?[(\[]*\d{1,3}(?:[ \t]*[,;][ \t]*|[ \t]+)[\d,; \t.]*\d[)\]]*|(?:0x|#)?[0-9A-Fa-f]{3,8}(?!\w)",
        text[at:],
    )
    if written:
        six = colours_written(
            written[0] if not re.fullmatch(r"[0-9A-Fa-f]{6}", written[0]) else f"0x{written[0]}"
        ).strip()
        if re.fullmatch(r"#[0-9a-f]{6}", six):
            how = f"a colour is `#` and six hexadecimal digits: write `{six}`"
            sure = written[0].startswith("#")
            return Guess(f"`{written[0]}` is not a colour", at, at + len(written[0]), how, "TAX006", six, sure=sure)
    if re.fullmatch(r"#[0-9A-Za-z]{3,8}", token) and len(re.findall(r"[0-9A-Fa-f]", token)) > len(token) / 2:
        how = "a colour is `#` and six hexadecimal digits"
        return Guess(f"`{token}` is not a colour", at, at + len(token), how, "TAX006")
    return None


def _hash(token: str, at: int) -> Guess | None:
    if not token.startswith("#") or token == "#" or re.fullmatch(r"#[0-9A-Fa-f]{6}", token):
        return None
    if re.fullmatch(r"#[0-9A-Fa-f]{3,8}", token):
        how = "a colour is `#` and six hexadecimal digits"
        return Guess(f"`{token}` is not a colour", at, at + len(token), how, "TAX006")
    if re.fullmatch(r"#\d+", token) or re.match(r"#(?:tax|source|dataset|map)\b", token, re.IGNORECASE):
        return Guess(f"`{token}` is neither a note nor a colour", at, at + len(token), "", "TAX007", exact=False)
    how, instead = "put a space after `#` to start a note", f"# {token[1:]}"
    what = f"`{token}` is neither a note nor a colour"
    return Guess(what, at, at + len(token), how, "TAX007", instead, sure=True)


def _words(text: str, at: int, before: str, token: str, rest: str, expected: set[str], kind: str) -> Guess | None:
    unexpected = f"unexpected `{token}`"
    if token[:1] and token[0] in _QUOTES:
        return Guess(unexpected, at, at + len(token), 'a quoted name has straight quotes `"` around it', exact=False)
    coloured = re.search(rf"({_NAME})[ \t]+(#[0-9A-Fa-f]{{6}})$", before)
    if rest.startswith('"') and coloured:
        official = (re.match(r'"[^"]*"?', rest) or [""])[0]
        help_ = "the official name stands behind the name"
        return Guess(f"unexpected `{official}`", at, at + len(official), help_, exact=False)
    if token.startswith(("//", "--", "/*")):
        return Guess(unexpected, at, at + len(token), "a note starts with `#` and a space", exact=False)
    alone = re.match(rf"[ \t]*({_NAME})(?![A-Za-z0-9_])[ \t]*(?=$|\n|#(?:[ \t]|$)|:|{_NAME}|\d)", text)
    if alone and "OP" in expected and alone[1] not in KEYWORDS:
        word = alone[1]
        if text[0] in " \t":
            target = re.sub(r"^(?:and|or|und|oder)\s+(?=\w)", "", text.strip(), flags=re.IGNORECASE).split()[0]
            help_ = f"start it with an operator, such as `~ {target}`, to continue the class above"
            return Guess("this line continues no class", alone.start(1), alone.end(1), help_)
        key = did_you_mean(word.lower(), TYPED_KEYS) if kind != "map" else None
        if token.startswith(":") and text[at - 1] in " \t":
            start, colon = alone.start(1), f"{word}:"
            return Guess(
                "unexpected `:`", start, at + 1, f"no space before the colon: `{colon}`", instead=colon, sure=True
            )
        if not token or token == "#":
            help_ = f"a class line starts with its id: `4 {word}`; a row of a map has a relation: `{word} < …`"
            if kind in ("source", "dataset", "mapped"):
                help_ = f"a class line starts with its id: `4 {word}`"
            elif kind == "map":
                help_ = f"say what it is in the source, e.g. `{word} -> void` to ignore its pixels"
            return Guess(f"`{word}` says nothing", alone.start(1), alone.end(1), help_)
        if key == word:
            start = alone.start(1)
            what = f"unexpected `{token}` after `{word}`"
            help_ = f"a key ends with a colon: `{word}:`"
            return Guess(what, start, alone.end(1), help_, instead=f"{word}:")
    if token in ("void", "any") and "OP" in expected and re.match(r"[ \t]*[-\d]", text):
        help_ = f"a decision has an arrow: write `-> {token}`"
        return Guess(unexpected, at, at + len(token), help_, instead=f"-> {token}")
    named = re.fullmatch(rf"[ \t]*(?:[\d,. \t]+|-[ \t]+)({_NAME})((?:[ \t]+{_NAME})*)", before)
    following = re.match(rf"{_NAME}(?:[ \t]+{_NAME})*(?=[ \t]*(?:$|[#=<>~!\n(]|->))", rest)
    if named and following and "STRING" in expected and kind not in ("mapped", ""):
        return Guess(unexpected, at, at + len(token), "a name is one word", exact=False)
    if named and following and "STRING" in expected:
        return Guess(
            unexpected, at, at + len(token), "a name is one word, and an operator stands before a target", exact=False
        )
    targets = re.match(rf":?[ \t]*({_NAME}(?:[ \t]+{_NAME})*)", rest)
    if (
        targets
        and not re.match(r":\w", rest)
        and "OP" in expected
        and re.match(r"[ \t]*[-\d]", text)
        and kind in ("mapped", "")
    ):
        return Guess(
            unexpected, at, at + len(token), "a relation starts with an operator, one of `= < > ~ !`", exact=False
        )
    return None


def _rest(text: str, at: int, before: str, rest: str, token: str, expected: set[str]) -> Guess:
    """What is left: the parser's complaint."""
    here = at, at + max(1, len(token))
    if token.startswith('"') and token.count('"') % 2 and '"' not in rest[1:]:
        return Guess("the quote is not closed", *here, 'add `"` at the end of the name')
    if token and re.fullmatch(r"[A-Za-z_]\w*", before) and before not in KEYWORDS:
        keyword = did_you_mean(before, KEYWORDS)
        if keyword:
            help_ = suggest(before, KEYWORDS) or ""
            return Guess(f"unexpected `{token}` after `{before}`", 0, len(before), help_, instead=keyword)
    if (
        re.match(r"[A-Za-z_]\w*[ \t]+$", text[:at])
        and re.match(r'#[0-9A-Fa-f]{6}\b|"|aka\b', rest)
        and before not in KEYWORDS
    ):
        return Guess(
            "a class line starts with its id", 0, len(before), _NUMBER_OF.format(f"{before} …"), "TAX011", exact=False
        )
    choices = sorted({_EXPECTED[t] for t in expected if t in _EXPECTED})
    what = f"unexpected `{token}`" if token and token != "#" else "the line ends too early"
    return Guess(what, *here, "", exact=False, expected=f"expected {_either(choices)}" if choices else "")


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
