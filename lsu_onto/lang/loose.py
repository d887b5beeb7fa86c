"""Reads a line that breaks the grammar as generously as possible, and writes it as the language does.

Class lists come from JSON, YAML, CSV, Python, ontologies and papers. They state the same few things in other forms:
ids, a name, a colour, other names, relations. Nothing is decided here that a line leaves open: where it does not say
which relation holds, the reading has several choices.
"""

from __future__ import annotations

import re
from itertools import takewhile

from lsu_onto.lang.colours import COLOURS, colours_written
from lsu_onto.lang.names import NAME, OTHERS_SAY, TYPED_KEYS, identifier
from lsu_onto.lang.plain import plain
from lsu_onto.lang.relations import Relations, ends_open, is_relation, relations, without_phrases
from lsu_onto.lang.syntax import RESERVED, Reading
from lsu_onto.lang.tokens import Token, tokens

_AKA = ("aka", "a.k.a.", "a.k.a", "alias", "aliases", "synonym", "synonyms", "auch")
_FILLER = ("true", "false", "null", "none", "nan", "nil")
_ENDINGS = ("void", "any", "ignore", "ignored", "none", "null", "nil", "nan", "n/a", "dontcare", "unmapped")
_LABEL = ("name", "id", "", "group", "", "", "", "colour")
"""The fields of `Label(…)` in the scripts of Cityscapes."""
_ENTRY = re.compile(
    r"""["']?\b(id|ids|raw|value|index|class_id|label_id|name|label|title|readable|color|colour|rgb|isthing|supercategory|category)
    ["']?\s*[:=]\s*("[^"]*"|'[^']*'|\[[^\]]*\]|\([^)]*\)|[^,}\s)]+)""",
    re.VERBOSE,
)
_NUMBER = r"(?:0[xX][0-9A-Fa-f]{1,4}|[0-9]{1,9})(?:\.0(?![0-9]))?(?![A-Za-z0-9_%])"
_IDS = re.compile(
    r"[-\s*•|\[({<]*"
    r"(?:(?:id|ids|index|idx|value|class|label|channel|nr|no)\b[\s:.=#]*)?#?"
    rf"(?:range\(\s*(?P<low>\d{{1,9}})\s*,\s*(?P<stop>\d{{1,9}})\s*\)"
    rf"|(?P<ids>{_NUMBER}(?:\s*(?:\.\.+|[-:+/,;|&]|(?<=\s)(?:to|bis|and|und)(?=\s)|\s)\s*{_NUMBER})*))"
    r"[\])>]*(?P<after>[\s,;:.|)=&]*(?:-(?=\s))?[\s|]*)"
)


def read_loosely(line: str, kind: str, alone: bool = True) -> Reading | None:
    """What a physical line was meant to say, or None if even that cannot be made out.

    Args:
        line: the line, without its end.
        kind: of the section: `source`, `dataset`, `mapped` (a dataset with its source), `map`, or empty above headers.
        alone: the class has no relations on further lines.
    """
    text, note = _without_note(re.sub(r"\s*\\+$", "", plain(line)))
    labelmap = re.fullmatch(r"\s*([^:]+):(\d+,\d+,\d+):*", text)  # of CVAT
    text = f"{labelmap[1]} {labelmap[2]}" if labelmap else text
    if kind in ("map", "mapped"):
        text = without_phrases(text)
        behind = re.match(r"\s*([A-Za-z_]\w*)\s*=\s*(\d{1,9})\s+((?:[=<>~!]|->).*)", text)
        if behind:  # the id behind the name: `pavement=1 < asphalt`
            text = " ".join([*([behind[2]] if kind == "mapped" else []), behind[1], behind[3]])
    if re.match(r"\s+(?:[=<>~!]|->)", line):
        found = relations(list(tokens(text)), False)
        indent = " " * (len(line) - len(line.lstrip()) - 1)
        return Reading(_joined(indent, found.text, note or found.note), found.choices) if found else None
    if kind == "map":
        return _row(text, note, alone)
    setting = _setting(text, note)
    if setting:
        return setting
    reading = _entry(text, kind, note) or _class(text, kind, note, alone)
    if reading and not alone:
        reading = reading._replace(lacks=tuple(x for x in reading.lacks if x != "relation"))
    return None if reading and "id" in reading.lacks and re.match(r"\s+\w", line) else reading


def _joined(*parts: str) -> str:
    return " ".join(p for p in parts if p)


_NOTE = re.compile(
    r'"""|"[^"]*"|(?:(?<=\s)|^)#(?=\s|$|(?![0-9A-Fa-f]{3,8}(?![0-9A-Za-z]))[^\W\d])|//|/\*|<!--|(?<=\s)(?:--|;|%)(?=\s+[A-Za-z])|(?<=\s)%(?=[A-Za-z])'
)


def _without_note(text: str) -> tuple[str, str]:
    """The line without its note, and the note with `# `."""
    for found in _NOTE.finditer(text):
        if found[0] == '"""' or found[0][0] != '"':
            body = re.sub(r'(?:\*/|"""|-->)\s*$', "", text[found.end() :]).strip()
            return text[: found.start()].rstrip(), f"# {body}" if body else ""
    return text.rstrip("; \t"), ""


def _setting(text: str, note: str) -> Reading | None:
    """`"encoding": "id",` and `ignore_index=255`: a key."""
    quoted = re.fullmatch(r"""\s*[{]?["']([A-Za-z_][\w-]*)["']\s*:\s*(["']?)([^"':{}]*)\2\s*[,}]*\s*""", text)
    assigned = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=\s*()(.*?)\s*,?", text)
    found = quoted or (assigned if assigned and (assigned[1] in OTHERS_SAY or assigned[1] in TYPED_KEYS) else None)
    if not found or (
        quoted and (re.fullmatch(r"\d+(\.\.\d+)?[\s,]*|\[.*", found[3]) and found[1] not in ("void", *OTHERS_SAY))
    ):
        return None
    value = found[3].strip("[](){}\"', ")
    return Reading(_joined(f"{OTHERS_SAY.get(found[1], found[1])}: {value}", note))


# --- rows of a map -----------------------------------------------------------------------------------------


def _row(text: str, note: str, alone: bool) -> Reading | None:
    """A row: a class, then relations."""
    text = re.sub(r"^\s*[-*•]\s+(?=[\w\"'])", "", text)
    called = re.fullmatch(r"\s*(\w+:)?(\w+)\s*\((.*)\)\s*[.,;]?\s*", text)
    if called and is_relation([Token("word", called[2]), Token("word", "x")], 0):  # `SubClassOf(road asphalt)`
        first, *others = list(tokens(called[3])) or [Token("mark", "")]
        text = " ".join([first.text, called[2], *(t.text for t in others)])
    items = list(tokens(text))
    while items and items[0].kind == "mark":
        items.pop(0)
    head: list[str] = []
    related = any(is_relation(items, i) for i in range(1, len(items)))
    while items and items[0].kind in ("word", "string", "number", "group") and not (head and is_relation(items, 0)):
        if head and (items[0].kind == "string" or ends_open(items) or not related):
            break
        head.append(items.pop(0).text)
        if items and items[0].text in (",", ";", "|", "&"):
            break
    if not head:
        return None
    while items and items[0].kind == "mark":
        items.pop(0)
    found = relations(items, alone)
    if not found or not found.text:
        return None
    label = re.sub(r"^\w*:(?=\w)", "", " ".join(head).rstrip(":"))
    name = label if NAME.fullmatch(label) and label not in RESERVED else f'"{label}"'
    return Reading(_joined(name, found.text, note or found.note), found.choices)


# --- class lines -------------------------------------------------------------------------------------------


def _entry(text: str, kind: str, note: str) -> Reading | None:
    """`{"id": 1, "name": "road", "color": [9, 9, 9]}`, `"road": {"id": 1}`, `- name: road`, `Label('road', 7, …)`."""
    label = re.match(r"\s*Label\s*\((.*)\)\s*,?\s*$", text)
    fields: dict[str, str] = {}
    if label:
        values = re.findall(r"""'[^']*'|"[^"]*"|\([^)]*\)|[^,\s]+""", label[1])
        fields = {k: v for k, v in zip(_LABEL, values, strict=False) if k}
    else:
        for key, value in _ENTRY.findall(text):
            short = {"ids": "id", "raw": "id", "value": "id", "index": "id", "class_id": "id", "label_id": "id"}.get(
                key, key
            )
            short = {"label": "name", "title": "name", "readable": "name", "color": "colour", "rgb": "colour"}.get(
                short, short
            )
            fields.setdefault(short, value)
        keyed = re.match(r"""\s*["']?([^\W\d][^"':]*)["']?\s*:\s*\{""", text)  # `"road": {"id": 1}`
        if keyed and fields:
            fields["name"] = keyed[1]
        elif "name" not in fields or not re.match(r"\s*(?:[-{*]|dict\(|item\b)", text):
            return None
    name = fields.get("name", "").strip("\"'")
    if not name:
        return None
    ids = re.sub(r"[\[\]()\s]", "", fields.get("id", "")).strip("\"'")
    colour = colours_written(fields.get("colour", "").strip("\"'"))
    official = "" if identifier(name) == name else f'"{name}"'
    return _made(
        ids if re.fullmatch(r"\d+(,\d+)*", ids) else "", identifier(name), official, colour, [], None, kind, note
    )


def _class(text: str, kind: str, note: str, alone: bool) -> Reading | None:
    """Ids, name, official name, colours, other names, relations: in their order, or nearly."""
    text = re.sub(r"^\s*(?:[*•|>+](?=\s)|class(?=\s+[A-Za-z]))", "", text)
    text = re.sub(r"(?<=\s)(?:colou?r|rgb|hex)\s*[=:]\s*(?=[\[(#]|\d+\s*,|0x)", "", text)
    front = re.match(r"\s*(#[0-9A-Fa-f]{6})\s+(.+)", text)  # the colour first
    ids, rest = _ids(f"{front[2]} {front[1]}" if front else text)
    items = list(tokens(colours_written(rest)))
    in_front = list(takewhile(lambda t: t.kind in ("mark", "colour"), items))
    items = [*items[len(in_front) :], *(t for t in in_front if t.kind == "colour")]
    name, official = _name(items, kind, bool(ids))
    if not name:
        return None
    colours: list[str] = []
    aliases: list[str] = []
    found: Relations | None = None
    while items:
        token = items[0]
        low = token.text.lower()
        if token.kind == "mark":
            items.pop(0)
        elif low.strip(":") in _AKA:
            items.pop(0)
            while items and items[0].kind in ("word", "string", "mark") and not is_relation(items, 0):
                aliases += [_quoted(t.text) for t in [items.pop(0)] if t.kind != "mark"]
        elif token.kind == "colour":
            colours.append(items.pop(0).text)
        elif token.kind == "string":
            items.pop(0)
            if re.fullmatch(r"#[0-9A-Fa-f]{6}", token.text):
                colours.append(token.text)
            elif not official:
                official = f'"{token.text}"'
            else:
                aliases.append(_quoted(token.text))
        elif kind == "mapped" and ids and ends_open(items):
            found = relations(items, alone)
            break
        elif token.kind == "number" or (low in _FILLER and kind != "mapped"):
            items.pop(0)
            if not ids and token.kind == "number":
                others = [t for t in items if t.kind == "number"]  # of several, any may be the id
                ids = "" if others or token.text.startswith("-") else str(int(token.text))
                items = [t for t in items if t.kind != "number"]
        elif (
            token.text in (":", "=", "->", "=>", ":=") and _only_a_number(items[1:]) and not (ids and kind == "mapped")
        ):
            ids = ids or next(t.text for t in items if t.kind == "number")
            items = []
        elif kind == "mapped" or is_relation(items, 0):
            found = relations(items, alone)
            if not found:
                break
            colours += found.colours if not colours else []
            aliases += found.aliases
            break
        else:
            return None
    return _made(ids, name, official, ",".join(colours), aliases, found, kind, note)


def _made(
    ids: str, name: str, official: str, colours: str, aliases: list[str], found: Relations | None, kind: str, note: str
) -> Reading:
    lacks = [] if ids else ["id"]
    if name == "class" and re.match(r"\d", ids):  # no letter of the label is a Latin one
        name = f"class_{re.split(r'[.,]', ids)[0]}"
    if kind == "mapped" and not (found and found.text):
        lacks.append("relation")
    several = len(aliases) > 1  # then quotes say where each ends
    other = "aka " + " ".join(f'"{a}"' if several and a[0] != '"' else a for a in aliases) if aliases else ""
    related, choices = (found.text, found.choices) if found else ("", ())
    note = note or (found.note if found else "")
    return Reading(_joined(ids or "0", name, official, colours, other, related, note), choices, tuple(lacks))


def _quoted(text: str) -> str:
    return text if NAME.fullmatch(text) and text not in RESERVED else f'"{text}"'


def _ids(text: str) -> tuple[str, str]:
    """The ids in front of a class line, as the language writes them, and the rest of the line."""
    never = re.match(r"\s*-\s+(?=[^\s\d-])", text)
    if never:
        return "-", text[never.end() :]
    found = _IDS.match(text)
    if not found or not re.search(r"[^\W\d]", text[found.end() :]):
        return "", text
    rest = text[found.end() :]
    if found["low"]:
        low, high = int(found["low"]), max(int(found["low"]), int(found["stop"]) - 1)
        return f"{low}..{high}" if high > low else str(low), rest
    parts = re.findall(rf"({_NUMBER})|(\.\.+|[-:]|to|bis)", found["ids"])
    numbers = [n for n, _ in parts if n]
    if len(numbers) == 3 and not re.search(r"\.\.|[-:]", found["ids"]) and max(map(_value, numbers)) > 9:
        return "", f"{rest} {' '.join(numbers)}"  # a colour in front of the name, as in CamVid's list
    if len(numbers) == 4 and not re.search(r"\.\.|[-:]", found["ids"]):
        return numbers[0], f"{rest} {' '.join(numbers[1:])}"
    out = ""
    for number, dash in parts:
        out += ".." if dash else ("," if out and not out.endswith("..") else "") + str(_value(number))
    return out, rest


def _value(number: str) -> int:
    return int(number, 16) if number[:2] in ("0x", "0X") else int(number.removesuffix(".0"))


def _name(items: list[Token], kind: str, has_ids: bool) -> tuple[str, str]:
    """The name and the quoted official name at the front of the tokens, which are taken away."""
    if items and items[0].kind == "string":
        label = items.pop(0).text.strip()
        if not label:
            return "", ""
        return identifier(label), "" if identifier(label) == label else f'"{label}"'
    words: list[str] = []
    listed = "," in [t.text for t in items[:2]] and all(t.kind in ("word", "colour") or t.text == "," for t in items)
    if listed and kind != "mapped" and has_ids:  # `road, paved`
        while items and items[0].kind != "colour":
            token = items.pop(0)
            words[-1:] = [words[-1] + ","] if token.text == "," and words else [*words[-1:], token.text]
        words = [" ".join(words).rstrip(",")]
    while items:
        token = items[0]
        ends = token.text.lower().strip(":") in _AKA or (kind == "mapped" and _begins_relations(items))
        if token.kind == "word" and words and ends:
            break
        if token.kind == "word" or (token.text == "&" and words and _names_go_on(items)):
            words.append(items.pop(0).text)
        elif token.text == "(" and words and not _opens_aka(items) and any(t.text == ")" for t in items):
            while items:
                words.append(items.pop(0).text)
                if words[-1] == ")":
                    break
        else:
            break
    if len(words) == 2 and words[1].lower() in COLOURS and not any(t.kind == "colour" for t in items):
        items.insert(0, Token("colour", f"#{COLOURS[words.pop().lower()]}"))
    label = " ".join(words).replace("( ", "(").replace(" )", ")").rstrip(":")
    label = re.sub(r"^\w+:(?=[A-Za-z])", "", label)
    if not label:
        return "", ""
    if NAME.fullmatch(label) and label not in RESERVED:
        return label, ""
    name = identifier(label)
    if items and items[0].kind == "string":
        return name, ""  # the official name follows
    return name, f'"{label}"' if name != label else ""


def _names_go_on(items: list[Token]) -> bool:
    """Whether an operator comes behind the next words, which are of the name then."""
    behind = [t for t in items[1:] if t.kind != "word"]
    return (
        len(items) > 1 and items[1].kind == "word" and bool(behind) and behind[0].kind in ("sign", "colour", "string")
    )


def _begins_relations(items: list[Token]) -> bool:
    """Whether a word behind a name is more likely a relation than a part of the name."""
    return is_relation(items, 0) or (items[0].text.lower() in _ENDINGS and ends_open(items))


def _only_a_number(items: list[Token]) -> bool:
    return [t.kind for t in items if t.kind != "mark"] == ["number"] and not any(t.text.startswith("-") for t in items)


def _opens_aka(items: list[Token]) -> bool:
    return len(items) > 1 and items[1].text.lower() in _AKA
