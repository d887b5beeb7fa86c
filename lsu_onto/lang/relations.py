"""Reads relations that break the grammar: words for operators, brackets, other separators, arrows to classes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lsu_onto.lang.names import NAME
from lsu_onto.lang.syntax import RESERVED
from lsu_onto.lang.tokens import Token

_MEANINGS = {
    "ignored": "void ignore ignored ignorieren ignoriert none null nil nan na n/a unknown unlabeled unlabelled"
    " undefined unannotated background nothing skip drop dontcare dont_care nichts unbekannt 255 65535 -1 -",
    "no class": "none null nil nan na n/a - nothing new novel nichts keine unmapped",
    "everything": "any all everything anything whatever unconstrained teacher alles *",
    "undecided": "? ?? ??? todo tbd tba fixme xxx",
    "joining": "and or und oder plus et sowie +",
    "<": "subclassof subclass_of in inside within isa is_a partof part_of broadmatch broader subset_of subsetof",
    ">": "superclassof superclass_of contains contain includes include narrowmatch narrower superset_of consists_of",
    "=": "equivalentclass equivalentto equivalent equals equal exactmatch sameas same_as",
    "~": "overlaps overlap relatedmatch related closematch intersects partially",
    "!": "not disjointwith disjoint never except excluding without minus ohne ausser außer nicht but \\",
    "->": "to maps maps_to becomes is ist as",
}
IGNORED, NO_CLASS, EVERYTHING, _UNDECIDED, _JOINING, *_ = (frozenset(words.split()) for words in _MEANINGS.values())
"""What other formats call void; what may mean void, or that no class of the source fits; and so on."""
_SIGN_OF = {word: sign for sign, words in _MEANINGS.items() if len(sign) < 3 for word in words.split()}
_CONFIDENCE = ("conf", "confidence", "score", "weight", "prob", "probability", "p")
_PHRASES = tuple(
    (re.compile(rf"(?<![\w'-])(?:{phrase})(?![\w'-])", re.IGNORECASE), word)
    for phrase, word in (
        (r"(?:(?:is|are)\s+)?(?:an?\s+)?(?:part|subset|subclass|kind|type|sort)\s+of", "part_of"),
        (r"belongs\s+to|(?:is|are|lies|falls|contained|included)\s+(?:contained\s+)?(?:in|inside|within)", "part_of"),
        (r"is[\s-]an?", "is_a"),
        (
            r"(?:(?:is|are)\s+)?(?:an?\s+)?(?:superset|union)\s+of|consists\s+of|(?:made|composed)\s+(?:up\s+)?of",
            "contains",
        ),
        (r"(?:(?:is|are)\s+)?(?:the\s+)?same\s+as", "equals"),
        (r"overlaps?\s+with|partly|mostly|mainly", "overlaps"),
        (r"(?:is\s+)?disjoint\s+(?:with|from)", "disjoint"),
        (r"(?:is\s+)?map(?:s|ped)?\s+to", "maps_to"),
    )
)
"""Several words → the one above."""
OPERATORS = {
    "==": "=",
    "===": "=",
    "<=": "<",
    "=<": "<",
    ">=": ">",
    "!=": "!",
    "~=": "~",
    "<>": "~",
    ">>": ">",
    "<<": "<",
}
"""Typed → meant."""
ARROWS = ("=>", "-->", "==>", "- >", ":=", ":", "<-", "<--", "<->", "<=>")
"""What is typed for `->`, or to say of a class that it is another one."""
IN_TWO = "if the class lies inside it", "if it has the same pixels"
OF_SEVERAL = "if it overlaps them", "if they make up all of it"
WITHOUT = "to ignore its pixels (a decision)", "if no class of the source fits (a fact)"
OPEN = "to let the teacher choose"


@dataclass
class Relations:
    """Relations as the language writes them, and what stood among them."""

    text: str
    choices: tuple[tuple[str, str], ...] = ()
    colours: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    note: str = ""


def without_phrases(text: str) -> str:
    """A line with one word in place of several that stand for an operator, where it has no other.

    >>> without_phrases("1 car is part of vehicle"), without_phrases("1 part of car < vehicle")
    ('1 car part_of vehicle', '1 part of car < vehicle')
    """
    text = re.sub(r"(?i)\bdon['\u2019]?t[\s_-]+care\b", "dontcare", text)
    if '"' in text or re.search(r"[=<>~!]|->", text):
        return text
    for phrase, word in _PHRASES:
        text = phrase.sub(word, text)
    return text


def is_relation(items: list[Token], at: int) -> bool:
    """Whether relations start at this token."""
    token = items[at]
    if token.kind == "sign":
        return True
    return token.kind == "word" and _word_sign(token.text) is not None and at + 1 < len(items)


def ends_open(items: list[Token]) -> bool:
    """Whether all that is left is a word for void, for no class, or for any: `ignore`, `None`, `255`, `void any`."""
    left = [t.text.lower() for t in items if t.kind != "mark"]
    return left == ["void", "any"] or (len(left) == 1 and left[0] in IGNORED | NO_CLASS | EVERYTHING | _UNDECIDED)


def is_foreign(word: str) -> bool:
    """Whether a word among the targets is probably no name: `and`, `not`, `None`, `aka` …"""
    low = word.lower()
    return (
        low in _JOINING | IGNORED | NO_CLASS | EVERYTHING | _UNDECIDED
        or low in ("", "aka")
        or _word_sign(word) is not None
    )


def _word_sign(text: str) -> str | None:
    return _SIGN_OF.get(re.sub(r"^\w+:", "", text).lower().rstrip(":"))


def relations(items: list[Token], alone: bool = True) -> Relations | None:
    """The relations that tokens state, to the last one. None if they state none.

    `alone`: the class has no others on further lines.
    """
    out = Relations("")
    items = _without_shares(items, out)
    words = [t.text.lower() for t in items if t.kind != "mark"]
    if words and all(w in _UNDECIDED for w in words):
        return Relations("-> void", (("-> void", WITHOUT[0]), ("-> any", OPEN)))
    if words and items[-1].text.lower() in _UNDECIDED:
        out.note, items = f"# {items[-1].text}", items[:-1]
    if [t.text.lower() for t in items if t.kind != "mark"] == ["-"]:
        return Relations("-> void", (("-> void", WITHOUT[0]), ("! any", WITHOUT[1])))
    if len(words) > 1 and re.fullmatch(r"0?\.\d+|1\.0+", items[-1].text):  # how sure somebody is, or a weight
        out.note, items = f"# conf: {float(items[-1].text):g}", items[:-1]
        while items and (items[-1].kind in ("mark", "sign") or items[-1].text.lower().strip(":") in _CONFIDENCE):
            items = items[:-1]
    parts: list[tuple[str, list[str]]] = []
    i = 0
    while i < len(items):
        token, low = items[i], items[i].text.lower()
        i += 1
        sign = _sign(items, i - 1, bool(parts and parts[-1][1]))
        if sign:
            if not (parts and not parts[-1][1] and sign in ("->", parts[-1][0])):
                parts.append((sign, []))
            continue
        if token.text == "(" and parts and parts[-1][1] and i < len(items) and _word_sign(items[i].text) != "!":
            words = []
            while i < len(items) and items[i].text != ")":
                words.append(items[i].text)
                i += 1
            if words[:1] and words[0].lower() == "aka":
                out.aliases += words[1:]
            else:
                out.note = "# " + " ".join(words)
            continue
        if token.kind == "word" and low == "aka":
            out.aliases += [t.text for t in items[i:] if t.kind in ("word", "string") and NAME.fullmatch(t.text)]
            break
        if token.kind == "colour" and parts and parts[-1][1]:
            out.colours.append(token.text)
            continue
        target = _target(token)
        if target:
            if not parts:
                parts.append(("", []))
            parts[-1][1].append(target)
    return _written(parts, out, alone)


def _without_shares(items: list[Token], out: Relations) -> list[Token]:
    """The tokens without how much of the class each of several targets is, which becomes the note."""
    apart = [
        t._replace(text=part)
        for t in items
        for part in ([t.text] if t.kind != "word" else re.split(r":(?=(?:0?\.\d+|1\.0+)$)", t.text))
    ]
    shares = [i for i, t in enumerate(apart) if i and re.fullmatch(r"0?\.\d+|1\.0+", t.text)]
    if len(shares) < 2:
        return items
    out.note = "# " + " ".join(f"{apart[i - 1].text}={apart[i].text}" for i in shares)
    return [t for i, t in enumerate(apart) if i not in shares]


def _sign(items: list[Token], at: int, follows: bool) -> str | None:
    """The operator that a token stands for. `follows`: it follows a target."""
    token = items[at]
    if token.kind == "sign":
        return "->" if token.text in ARROWS else OPERATORS.get(token.text, token.text)
    if token.kind != "word" or at + 1 == len(items):
        return None
    if token.text == "-" and follows:
        return "!"
    return _word_sign(token.text)


def _target(token: Token) -> str | None:
    """A target as the language writes it, or None for what only separates."""
    text = token.text
    if token.kind == "mark" or text.lower() in _JOINING or re.fullmatch(r"[\d.]+%|[?.:]+", text):
        return None
    if token.kind == "group" and text.lower() in EVERYTHING:
        return "any"
    if token.kind == "group":
        return "@" + re.sub(r"[./]\*$|\.+$", "", text)
    if token.kind == "word":
        if re.search(r"[./]\*$", text):
            return "@" + text[:-2]
        if text.lower() in EVERYTHING:
            return "any"
        text = re.sub(r"^\w+:(?=\w)", "", text.strip("?!.:"))
    if not re.search(r"\w", text):
        return None
    return text if NAME.fullmatch(text) and (text in ("void", "any") or text not in RESERVED) else f'"{text}"'


def _bare(target: str) -> str:
    return target.strip('"').lower()


def _written(parts: list[tuple[str, list[str]]], out: Relations, alone: bool) -> Relations | None:
    """Operators and targets, made into relations that stand together."""
    parts = [(sign, list(dict.fromkeys(targets))) for sign, targets in parts if targets]
    if not parts:
        return None
    sign = parts[0][0]
    minus = [t for s, ts in parts if s == "!" for t in ts]
    positive = [t for s, ts in parts if s != "!" for t in ts]
    if positive and "void" not in minus and "none" in minus:  # `∩ asphalt ≠ ∅`
        parts = [(s, ["void" if t == "none" and s == "!" else t for t in ts]) for s, ts in parts]
        minus = ["void" if t == "none" else t for t in minus]
    if positive and "void" in minus:
        parts = [(s, [t for t in ts if t != "void"] if s == "!" else ts) for s, ts in parts]
        parts = [(parts[0][0], [*parts[0][1], "void"]), *((s, ts) for s, ts in parts[1:] if ts)]
        minus, positive = [t for t in minus if t != "void"], [*positive, "void"]
    names = {_bare(t) for t in positive}
    if not positive:
        if any(t in ("any", "void") or _bare(t) in NO_CLASS for t in minus):
            out.text = "! any"
        else:
            out.text = f"-> any ! {' '.join(minus)}"
        return out
    if sign in ("", "->") and "any" in names and names <= IGNORED | EVERYTHING:
        out.text = "-> any" + (f" ! {' '.join(minus)}" if minus else "")
        if names & IGNORED:  # one ignores the pixels, the other does not
            out.choices = (out.text, OPEN), ("-> void", WITHOUT[0])
        return out
    if names <= NO_CLASS and sign != "->":
        out.text, out.choices = "-> void", (("-> void", WITHOUT[0]), ("! any", WITHOUT[1]))
        return out
    if names <= IGNORED:
        out.text = "-> void"
        if "void" in names and sign not in ("", "->"):  # it relates the class to nothing
            out.choices = ("-> void", WITHOUT[0]), ("! any", WITHOUT[1])
        return out
    if names == {"any"}:
        out.text, out.choices = "-> any", (("-> any", "to leave the class unconstrained"), ("! any", WITHOUT[1]))
        return out
    removed = f" ! {' '.join(minus)}" if minus else ""
    if removed and sign in "=<" and len(positive) == 1:  # nothing else is allowed anyway
        out.text = f"{sign} {positive[0]}"
        return out
    several = len(positive) > 1 or positive[0].startswith("@")
    if sign in ("", "->") or (several and any(s in "=<" for s, _ in parts)):
        listed = " ".join(positive)
        signs, when = ("~>", OF_SEVERAL) if several or minus else ("<=", IN_TWO)
        if sign == "=":
            signs, when = ">~", (OF_SEVERAL[1], OF_SEVERAL[0])
        out.choices = tuple((f"{s} {listed}{removed}", w) for s, w in zip(signs, when, strict=True))
        out.text = out.choices[0][0]
        return out
    if alone and len(parts) == 1 and sign in ">~" and not several and positive != ["void"]:
        simple, holds = ("=", IN_TWO[1]) if sign == ">" else ("<", IN_TWO[0])
        out.choices = (
            (f"{simple} {positive[0]}", holds),
            (f"{sign} {positive[0]} void", "if a part of it is not a source class"),
        )
        out.text = out.choices[0][0]
        return out
    out.text = " ".join(f"{s} {' '.join(ts)}" for s, ts in parts)
    return out
