"""The keys of a taxonomy: which exist, what each means, and which values it can have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from lsu_onto.diagnostics import Diagnostic, Fix, Span, did_you_mean, suggest
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.names import OTHERS_SAY
from lsu_onto.ontology import model, patterns

KEYS = {
    "title": "the full name",
    "url": "where it is published",
    "paper": "the paper that describes it",
    "cite": "how to cite it",
    "licence": "under what terms it may be used",
    "license": "under what terms it may be used",
    "confidence": "how sure one is of the relations below",
    "source-of-labels": "where the list of classes was taken from",
    "encoding": "how raw values are stored: `id`, `id16`, `id16/1000`, `rgb`",
    "void": 'raw values that mean "not annotated": `255`, `0,255`, `250..255`, or colours under `rgb`',
    "background": "the class of pixels on which nothing is drawn, where labels are shapes or segments",
    "palettes": "`ignored` if the palettes of label files differ, and only the values count",
    "splits": "the names of the splits",
    "images": "where images lie below the root: `images/{split}/{stem}.jpg`; alternatives with ` | ` between them",
    "image-bits": "how many bits the values of 16-bit images use, from 8 to 16: `12` if they end at 4095",
    "labels": "where label files lie below the root: `labels/{split}/{stem}.png`",
    "segments": "where the JSON tables of `panoptic-rgb` and `rle` lie",
    "list": "where the list of a split's files lies",
}

_LINES = "a class has a line of its own, with its id in front and without a key: `0 road #804080`"
_GROUP = ("group", "groups", "category", "categories")
_FOREIGN_LAYOUT = {
    **dict.fromkeys(("img_dir", "img_path", "image_dir", "images_dir", "img_prefix"), "write `images:` and a pattern"),
    **dict.fromkeys(
        ("ann_dir", "mask_dir", "label_dir", "seg_map_path", "masks", "annotations"), "write `labels:` and a pattern"
    ),
    "reduce_zero_label": "write `void: 0` if it is true; the other ids stay as the label files store them",
}
"""Those about label files, which are errors: what they say would be lost."""
FOREIGN = {
    **_FOREIGN_LAYOUT,
    **dict.fromkeys(
        ("classes", "class", "names", "label", "id", "ids", "color", "colors", "colour", "palette"), _LINES
    ),
    **dict.fromkeys(_GROUP, "a group stands in brackets: `[vehicle]`"),
    **dict.fromkeys(("name", "dataset_name", "version"), "it stands in the header: `dataset NAME v1`"),
    **dict.fromkeys(("description", "comment", "note", "notes", "info"), "a note starts with `# `"),
    **dict.fromkeys(("author", "authors", "doi", "reference", "citation"), "write it behind `cite:` or `paper:`"),
    "num_classes": "leave the line out: the classes below are counted",
    **dict.fromkeys(("prompt", "prompts"), "write one for each class, with its name: `prompt-road: an asphalt road`"),
}
"""Settings of other programs → what to do about them."""

SPLIT = "split-"
PROMPT = "prompt-"
_OF_NAMES = {
    SPLIT: "the split of this name has the files whose placeholder is one of these: `scene = park-8 trail-5`",
    PROMPT: "what the class of this name looks like, in words: `a lawn | mown grass`",
}
"""How keys begin that end with a name → what they mean."""

ENCODINGS = {
    "id": "8-bit images or palette indices",
    "id16": "16-bit images",
    "id16/1000": "16-bit images; the class is the stored value // 1000",
    "instance-ids": "16-bit images: the value below 1000, else value // 1000 (Cityscapes)",
    "rgb": "the colour is the raw value",
    "panoptic-rgb": "colours are numbers of segments; the JSON of `segments:` has their categories",
    "polygons": "a JSON of labelled polygons per image",
    "rle": "tables of masks in the folder `segments:`",
}
"""`id16/N` may have any N; the others are written exactly like this."""

_LABELS = (
    "encoding",
    "void",
    "background",
    "image-bits",
    "palettes",
    "splits",
    *patterns.PATTERNS,
)
"""The keys that say how label files are found and read. A misspelt one is an error: what it says would be lost."""

_CALLED = {
    **dict.fromkeys(
        ("png", "uint8", "8bit", "8-bit", "palette", "index", "indexed", "grey", "gray", "mask", "ids"), "id"
    ),
    **dict.fromkeys(("uint16", "16bit", "16-bit"), "id16"),
    **dict.fromkeys(("color", "colour", "colors", "colours", "hex"), "rgb"),
}
"""What encodings are called elsewhere."""

_DRAWN = ("panoptic-rgb", "polygons", "rle")
"""Encodings with pixels on which nothing is drawn."""


def meaning(key: str) -> str | None:
    """What a key means; None if there is none of this name."""
    return KEYS.get(key) or next((about for start, about in _OF_NAMES.items() if key.startswith(start)), None)


@dataclass
class Keys:
    """The keys of one section: those it inherits and its own."""

    meta: dict[str, str]
    encoding: str
    void: tuple[int, ...]
    void_span: Span | None = None
    findings: list[Diagnostic] = field(default_factory=list)

    def error(self, code: str, message: str, span: Span, help: str, fix: Fix | None = None) -> None:
        self.findings.append(Diagnostic(code, message, span, help, fix=fix))


def read(statements: Sequence[ast.Statement], base: model.Dataset | None) -> Keys:
    """The keys of a section, added to those of the dataset that it extends."""
    keys = Keys(dict(base.meta), base.encoding, base.void, base.void_span) if base else Keys({}, "id", ())
    first: dict[str, ast.Meta] = {}
    misspelt: dict[str, ast.Meta] = {}
    for s in statements:
        if not isinstance(s, ast.Meta):
            continue
        key, value = s.key.text, s.value.text
        if key in first and not meaning(key):
            continue
        if key in first:
            again = Diagnostic(
                "TAX014",
                f"`{key}:` is already given",
                s.key.span,
                "keep one of the two",
                first[key].key.span,
                "first here",
            )
            keys.findings.append(again)
            continue
        first[key] = s
        keys.meta[key] = value
        if not meaning(key):
            meant = _about_labels(key, value)
            _unknown(keys, s, meant)
            if meant in first:
                keys.findings[-1] = replace(
                    keys.findings[-1], help=f"leave the line out: `{meant}:` is given", fix=None
                )
            if meant:
                misspelt.setdefault(meant, s)
            known = bool(meant)
        else:
            known = True
        if known and not value:
            keys.error("TAX012", f"`{key}:` has no value", s.span, "write one, or take the line out")
        elif key in patterns.PATTERNS:
            keys.findings += patterns.check_pattern(s)
    first = misspelt | first  # judged as what was meant: else what depends on it would be wrong, too
    if "encoding" in first:
        keys.encoding = _encoding(keys, first["encoding"])
    if "void" in first:
        keys.void = _void(keys, first["void"])
        keys.void_span = first["void"].value.span
    return keys


def _about_labels(key: str, value: str = "") -> str | None:
    """The key about label files that a misspelt one stands for."""
    lower = key.lower().replace("-", "_")
    if lower == "label" and re.search(r"[/{]", value):  # a pattern, not a list of classes
        return "labels"
    split = re.fullmatch(r"splits?_(\w+)", lower)
    if split and not key.startswith(SPLIT):
        return f"{SPLIT}{key[-len(split[1]) :]}"
    hit = OTHERS_SAY.get(lower) or (None if lower in FOREIGN else did_you_mean(key, KEYS, 75))
    return hit if hit in _LABELS else None


def is_key(key: str) -> bool:
    """Whether it is a key, or probably meant as one."""
    known = meaning(key) or key.lower() in _FOREIGN_LAYOUT
    return bool(known) or bool(_about_labels(key) or did_you_mean(key, KEYS, 70))


def misplaced(statements: Sequence[ast.Statement], dataset: str) -> list[Diagnostic]:
    """Findings on the keys of a map: those about labels belong to its dataset, and would have no effect."""
    findings, others = [], []
    for s in statements:
        if isinstance(s, ast.Meta):
            key = s.key.text
            foreign = key.lower() in _FOREIGN_LAYOUT or (key not in KEYS and _about_labels(key, s.value.text))
            if key.startswith(PROMPT):
                what = f"`{key}:` says what a class looks like, and has no effect in a map"
                findings.append(Diagnostic("TAX011", what, s.key.span, "write it where the class is declared"))
            elif key in _LABELS or key.startswith(SPLIT) or foreign:
                what = f"`{key}:` says how labels are read, and has no effect in a map"
                findings.append(Diagnostic("TAX011", what, s.key.span, f"write it below `dataset {dataset}`"))
            else:
                others.append(s)
    return findings + read(others, None).findings


def class_in(s: ast.Meta) -> str | None:
    """The class line that was meant by `road: 3`, `road: [128, 64, 128]` or `road: {id: 3}`, or None."""
    from lsu_onto.lang.colours import colours_written
    from lsu_onto.lang.loose import read_loosely

    key, value = s.key.text, s.value.text
    if key.lower() in FOREIGN:
        return None
    if re.match(r"""\{\s*["']?\w+["']?\s*[:=].*\}$""", value):
        reading = read_loosely(f"- name: {key}, {value[1:-1]}", "dataset")
        line = reading.text if reading else f"0 {key}"
        return f"… {line.partition(' ')[2]}" if not reading or "id" in reading.lacks else line
    if "-" in key or _about_labels(key) or did_you_mean(key, KEYS, 70):
        return None
    if re.fullmatch(r"\d+(\.\.\d+)?(\s*,\s*\d+)*", value) and value.count(",") != 2:
        return f"{''.join(value.split())} {key}"
    colour = colours_written(value)
    return f"… {key} {colour}" if re.fullmatch(r"#[0-9a-f]{6}", colour) else None


def _unknown(keys: Keys, s: ast.Meta, about_labels: str | None) -> None:
    key, value = s.key.text, s.value.text
    prompt = re.fullmatch(r"(?i:prompts?)[-_]+(\w+)", key)
    other = f"{PROMPT}{prompt[1]}" if prompt else did_you_mean(key, KEYS, 70)
    hit = about_labels or (None if key.lower() in FOREIGN else other)
    fix = Fix.write(f"{hit}:", s.key.span) if hit else None
    if hit:
        help_ = f"did you mean `{hit}`?"
    elif key.lower() in _GROUP and re.fullmatch(r"[A-Za-z_]\w*", value):
        fix = Fix.write(f"[{value}]", s.span)
        help_ = f"a group stands in brackets: `{fix.text}`"
    elif key.lower() in FOREIGN:
        help_ = FOREIGN[key.lower()]
    elif not value:
        fix = Fix.write(f"[{key.replace('-', '_')}]", s.key.span)
        help_ = f"a group stands in brackets: `{fix.text}`"
    else:
        help_ = f"known are {', '.join(f'`{k}:`' for k in KEYS)}"
    what, raised = f"unknown key `{key}`", bool(about_labels) or key.lower() in _FOREIGN_LAYOUT
    keys.findings.append(Diagnostic("TAX008", what, s.key.span, help_, fix=fix, raised=raised))


def _encoding(keys: Keys, s: ast.Meta) -> str:
    value = s.value.text
    if value in ENCODINGS or re.fullmatch(r"id16/[1-9]\d{0,4}", value):
        return value
    word = value.strip("\"' ").lower()
    hit = word if word in ENCODINGS else _CALLED.get(word) or did_you_mean(word, ENCODINGS, 70)
    fix = Fix.write(hit, s.value.span) if hit and value else None
    known = f"one of {', '.join(f'`{e}`' for e in ENCODINGS)}"
    keys.error(
        "TAX012", f"unknown encoding `{value}`", s.value.span, f"did you mean `{hit}`? {known}" if hit else known, fix
    )
    return hit or "id"


def _void(keys: Keys, s: ast.Meta) -> tuple[int, ...]:
    """Raw values: numbers, ranges, or colours under `encoding: rgb`."""
    encoding, place = keys.encoding, s.value.span
    ranges: list[tuple[int, int]] = []
    values = _loose_values(s.value.text, encoding)
    if values is not None:
        written = f"void: {values}"
        what = f"`{s.value.text}` is no list of raw values"
        help_ = f"write `{written}`" if values else "leave the line out: without it, no value means void"
        keys.error("TAX012", what, place, help_, Fix.write(written, s.span) if values else None)
        return ()
    for word in dict.fromkeys(re.split(r"[\s,]+", s.value.text)):
        numbers = re.fullmatch(r"(\d{1,10})(?:\.\.(\d{1,10}))?", word)
        if encoding in model.NAMED:
            what = f"`encoding: {encoding}` stores names, and void is none"
            keys.error("TAX012", what, place, "write the label as a class, and `-> void` behind it")
        elif encoding == "rgb" and re.fullmatch(r"#[0-9A-Fa-f]{6}", word):
            ranges.append((int(word[1:], 16), int(word[1:], 16)))
        elif encoding != "rgb" and numbers and int(numbers[2] or numbers[1]) - int(numbers[1]) < 65536:
            ranges.append((int(numbers[1]), int(numbers[2] or numbers[1])))
        else:
            expected = "colours such as `#000000`" if encoding == "rgb" else "numbers such as `0,255` or `250..255`"
            what = f"`{word}` is not a raw value of `encoding: {encoding}`"
            help_ = f"expected {expected}"
            if word.startswith("#"):
                help_ += "; colours are raw values only under `encoding: rgb`"
            keys.error("TAX012", what, place, help_)
    out: list[int] = []
    for low, high in sorted(ranges):  # ranges may overlap, and there may be many
        out += range(max(low, out[-1] + 1 if out else 0), high + 1)
    return tuple(out)


def _loose_values(text: str, encoding: str) -> str | None:
    """Raw values in another form, such as `[0, 255]`, as the language writes them; empty if there are said to be none.
    None if the form is right, or not understood."""
    if re.fullmatch(r"(#[0-9A-Fa-f]{6}[\s,]*)+" if encoding == "rgb" else r"[\d.]+([\s,]+[\d.]+)*", text):
        return None
    from lsu_onto.lang.colours import colours_written, named_colours
    from lsu_onto.lang.plain import plain

    text = plain(text)
    if text.strip("[](){}\"' ").lower() in ("", "null", "none", "~", "no", "false", "nan", "-", "-1"):
        return ""
    if encoding == "rgb":
        colours = re.split(r"[\s,;]+", colours_written(named_colours(text)).strip("[](){} "))
        return ",".join(colours) if all(re.fullmatch(r"#[0-9A-Fa-f]{6}", c) for c in colours) else None
    if encoding in model.NAMED:
        return None
    text = re.sub(r"\b0[xX]([0-9A-Fa-f]{1,8})\b", lambda m: str(int(m[1], 16)), text)
    text = re.sub(r"(?<=\d)\s*(?:-|:|to|bis)\s*(?=\d)", "..", text)
    text = re.sub(r"\b(?:and|und|or)\b|[\[\](){}\"';|/&+]", " ", text)
    values = re.split(r"[\s,]+", text.strip(" ,"))
    return ",".join(values) if all(re.fullmatch(r"\d{1,9}(\.\.\d{1,9})?", v) for v in values) else None


def misfits(s: ast.Meta, t: model.Taxonomy) -> Iterator[Diagnostic]:
    """Findings on one key, given the whole taxonomy."""
    key, value, encoding = s.key.text, s.value.text, t.encoding

    def wrong(message: str, place: Span, help: str | None, instead: str | None = None) -> Diagnostic:
        fix = Fix.write(instead, place) if instead else None
        return Diagnostic("TAX012", message, place, help, fix=fix)

    yield from patterns.check_layout(s, t)
    if key == "background":
        if encoding not in _DRAWN:
            what = f"every pixel has a value under `encoding: {encoding}`"
            yield wrong(what, s.key.span, "leave `background:` out")
        elif value not in t.by_name:
            hint = suggest(value, t.by_name, "name the class of pixels on which nothing is drawn")
            close = did_you_mean(value, t.by_name)
            yield wrong(f"`{t.name}` has no class `{value}`", s.value.span, hint, close)
    elif key == "encoding" and value in ("panoptic-rgb", "rle") and not t.meta.get("segments"):
        what = "JSON file" if value == "panoptic-rgb" else "folder of JSON tables"
        yield wrong(f"`encoding: {value}` needs `segments:`", s.value.span, f"add the pattern of its {what}")
    elif key == "image-bits" and not (re.fullmatch(r"\d{1,2}", value) and 8 <= int(value) <= 16):
        yield wrong(f"`{value}` is no number of bits", s.value.span, "write `12` if the largest value there is is 4095")
    elif key == "palettes" and encoding != "id":
        yield wrong(f"no palette is looked at under `encoding: {encoding}`", s.key.span, "leave `palettes:` out")
    elif key == "palettes" and value != "ignored":
        hint = "write `ignored` if the values count whatever the palettes say, `encoding: rgb` if the colours do"
        yield wrong(f"`{value}` says nothing of palettes", s.value.span, hint, "ignored")
    elif key == "segments" and encoding not in ("panoptic-rgb", "rle"):
        yield wrong(f"`encoding: {encoding}` has no segments", s.key.span, "leave `segments:` out")
    elif key == "labels" and encoding == "rle":
        yield wrong("`encoding: rle` has its labels in tables", s.key.span, "leave `labels:` out")
    elif key.startswith(PROMPT):
        name = key.removeprefix(PROMPT)
        if name not in t.by_name:
            hint = suggest(name, t.by_name, f"write `{PROMPT}` and the name of one of its classes")
            close = did_you_mean(name, [n for n in t.by_name if f"{PROMPT}{n}" not in t.meta])
            yield wrong(f"`{t.name}` has no class `{name}`", s.key.span, hint, close and f"{PROMPT}{close}:")
        elif not all(text.strip("| ") == text != "" for text in model.alternatives(value)):
            hint = "write words with ` | ` between several texts: `a lawn | mown grass`"
            yield wrong(f"`{value}` has a text without words", s.value.span, hint)
    elif key.startswith(SPLIT):
        split = key.removeprefix(SPLIT)
        words = re.fullmatch(r"(\w+)\s*=\s*\S.*", value)
        if split not in t.splits:
            hint = suggest(split, t.splits, "name it in `splits:`")
            close = did_you_mean(split, [n for n in t.splits if f"{SPLIT}{n}" not in t.meta])
            yield wrong(f"there is no split `{split}`", s.key.span, hint, close and f"{SPLIT}{close}:")
        elif not words:
            hint = "write `placeholder = value value`, e.g. `scene = park-1 park-2`"
            yield wrong(f"`{value}` does not say which files", s.value.span, hint)
        else:
            name, places = f"{{{words[1]}}}", [t.meta.get(k, "") for k in ("images", "labels")]
            # If only one alternative had it, the other would match the files of all splits.
            if not any(all(name in a for a in model.alternatives(p)) for p in places):
                some = any(name in p for p in places)
                what = f"an alternative has no `{name}`" if some else f"no pattern has `{name}`"
                hint = "name a placeholder of every alternative of `images:`, or of `labels:`"
                yield wrong(what, s.value.span, hint if some else "name a placeholder of `images:` or `labels:`")
