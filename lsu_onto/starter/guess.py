"""How label files store classes, guessed from the values that occur. Every guess has its reason."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from lsu_onto.starter.label_values import Scan, ScanError

MAX_CLASSES = 1000
PACKINGS = (1000, 256)
"""Values of N in datasets that store `class * N + instance`."""


ELSEWHERE = {"panoptic-rgb": "the JSON of the segments", "polygons": "a JSON per image", "rle": "tables"}
"""Encodings whose classes are not in images, and where they are."""


@dataclass(frozen=True)
class Value:
    """A class as the files store it: its ids in the language, and every stored value of its pixels."""

    ids: str
    name: str
    stored: tuple[int, ...]
    colour: int | None = None
    note: str = ""


@dataclass
class Storage:
    """How label files store classes.

    Attributes:
        scan: the counts that `values` are about: of values, or of colours.
        why_encoding, why_void: the reasons, if these were guessed.
        palettes: `ignored` if the files' palettes contradict each other and values were asked for.
    """

    scan: Scan
    encoding: str
    values: list[Value]
    void: str = ""
    why_encoding: str = ""
    why_void: str = ""
    void_stored: tuple[int, ...] = field(default=())
    palettes: str = ""


def guess_storage(scan: Scan, encoding: str = "auto") -> Storage:
    """Encoding, void and classes of the files that were scanned.

    Args:
        encoding: `auto`, or one of the language, which the files must fit.

    Raises:
        ScanError: the files do not agree, do not fit, or hold too many values to be classes.
    """
    fits = _fitting(scan)
    if encoding in ELSEWHERE:
        raise ScanError(
            f"under `{encoding}` the classes stand in {ELSEWHERE[encoding]}, not in images; write them into"
            " a CSV, for `--from-csv`"
        )
    if encoding != "auto" and encoding.partition("/")[0] not in fits:
        raise ScanError(
            f"the files do not store `{encoding}`: {_seen(scan)}; they fit {' or '.join(f'`{f}`' for f in fits)}"
        )
    base = fits[0] if encoding == "auto" else encoding
    if encoding == "auto" and scan.clash:
        base = "rgb"
    if base == "rgb":
        guessed = _colours(scan, encoding == "rgb")
    elif base == "id":
        guessed = _ids(scan)
    elif encoding == "auto":
        guessed = _wide(scan)
    elif encoding == "instance-ids":
        guessed = _instance_ids(scan)
    else:
        divisor = int(encoding.partition("/")[2] or 1)
        guessed = _packed(scan, divisor) if divisor > 1 else _plain(scan)
    if encoding != "auto":
        guessed.why_encoding = ""
    if len(guessed.values) > MAX_CLASSES:
        raise ScanError(
            f"found {len(guessed.values)} different values, too many to be classes;"
            " if they count instances, say how: `--encoding id16/1000`"
        )
    return guessed


def _seen(scan: Scan) -> str:
    words = {
        "palette": "8-bit palette indices",
        "grey8": "8-bit grey",
        "grey16": "16-bit grey",
        "grey32": "32-bit grey",
        "rgb": "RGB colours",
    }
    return ", ".join(f"{words[k]} ({f})" for k, f in scan.kinds.items())


def _fitting(scan: Scan) -> list[str]:
    """The encodings under which every file can be read, likeliest first."""
    kinds = set(scan.kinds)
    out = []
    if kinds <= {"palette", "grey8", "grey32"} and max(scan.counts) <= 255:
        out.append("id")
    if kinds <= {"grey16", "grey32"}:
        out += ["id16", "instance-ids"]
    if kinds == {"rgb"} or kinds == {"palette"}:
        out.append("rgb")
    if not out:
        raise ScanError(f"the files do not store labels in one way: {_seen(scan)}; give those of one kind")
    return out


def _grey(colour: int) -> bool:
    return colour >> 16 == colour >> 8 & 255 == colour & 255


def _colours(scan: Scan, asked: bool) -> Storage:
    clash = scan.clash
    if "palette" in scan.kinds and scan.as_colours is None:
        what = f"{clash}; and not every file has a palette with colours" if clash else "the palettes have no colours"
        raise ScanError(f"{what}; pass `--encoding id` if the values tell the classes")
    scan = scan.as_colours or scan
    counts = scan.counts
    why = f"values mean nothing without their palettes: {clash}" if clash else "the files hold colours"
    if not asked and not clash and all(map(_grey, counts)):
        raise ScanError(
            f"{scan.kinds['rgb']}: found grey values stored three times (R = G = B); save one channel as"
            " 8-bit grey PNG, or pass `--encoding rgb` if the greys are meant as colours"
        )
    void = (0,) if 0 in counts and len(counts) > 1 else ()
    colours = sorted(set(counts) - set(void))
    return Storage(
        scan,
        "rgb",
        [Value(str(i), f"colour_{c:06x}", (c,), c) for i, c in enumerate(colours)],
        "#000000" if void else "",
        why,
        "black is often what nobody annotated; if it is a class, give it a line and take this one out",
        void,
    )


def _ids(scan: Scan) -> Storage:
    palette = scan.colours if any(not _grey(c) for c in scan.colours.values()) and not scan.clash else {}
    counts = scan.counts
    void: tuple[int, ...] = ()
    why = ""
    if 255 in counts and 254 not in counts and len(counts) > 1:
        void, why = (255,), "255 stands apart from the other values"
    elif 0 in counts and palette and palette.get(0) == 0 and len(counts) > 1:
        void, why = (
            (0,),
            "index 0 is black in the palette; if it is a class, give it a line and take this one out",
        )
    return Storage(
        scan,
        "id",
        [
            Value(
                str(v),
                f"class_{v}",
                (v,),
                palette.get(v),
                "is it void?" if v == 0 and not void else "",
            )
            for v in sorted(set(counts) - set(void))
        ],
        " ".join(map(str, void)),
        "palette indices" if set(scan.kinds) == {"palette"} else "8-bit values",
        why,
        void,
        "ignored" if scan.clash else "",
    )


def _plain(scan: Scan) -> Storage:
    void = (65535,) if 65535 in scan.counts and len(scan.counts) > 1 else ()
    values = [Value(str(v), f"class_{v}", (v,)) for v in sorted(set(scan.counts) - set(void))]
    return Storage(scan, "id16", values, "65535" if void else "", "16-bit values", "the largest value there is", void)


def _packed(scan: Scan, divisor: int) -> Storage:
    groups: dict[int, list[int]] = defaultdict(list)
    for v in sorted(scan.counts):
        groups[v // divisor].append(v)
    top = 65535 // divisor
    void = groups.pop(top) if groups.get(top) == [65535] and len(groups) > 1 else []
    values = [Value(str(q), f"class_{q}", tuple(stored)) for q, stored in groups.items()]
    return Storage(
        scan,
        f"id16/{divisor}",
        values,
        str(top) if void else "",
        f"the values cluster as class * {divisor} + instance",
        f"65535, the largest value there is, // {divisor}",
        tuple(void),
    )


def _instance_ids(scan: Scan) -> Storage:
    """Classes without instances by their id, the others packed by 1000: Cityscapes' instanceIds."""
    groups: dict[int, list[int]] = defaultdict(list)
    for v in sorted(scan.counts):
        groups[v if v < 1000 else v // 1000].append(v)
    void = groups.pop(65) if groups.get(65) == [65535] and len(groups) > 1 else []
    values = [Value(str(q), f"class_{q}", tuple(stored)) for q, stored in sorted(groups.items())]
    return Storage(
        scan,
        "instance-ids",
        values,
        "65" if void else "",
        "16-bit values; those from 1000 on cluster as class * 1000 + instance",
        "65535, the largest value there is, // 1000",
        tuple(void),
    )


def _mixed(scan: Scan, divisor: int) -> Storage:
    """The same with another divisor, which the language expresses by ranges."""
    plain = _plain(scan)
    groups: dict[int, list[int]] = defaultdict(list)
    for value in plain.values:
        for v in value.stored:
            groups[v if v < divisor else v // divisor].append(v)
    plain.values = [
        Value(_range(q, stored, divisor), f"class_{q}", tuple(stored)) for q, stored in sorted(groups.items())
    ]
    plain.why_encoding = f"16-bit values; those from {divisor} on cluster as class * {divisor} + instance"
    return plain


def _range(q: int, stored: list[int], divisor: int) -> str:
    packed = f"{q * divisor}..{q * divisor + divisor - 1}"
    if max(stored) < divisor:
        return str(q)
    return f"{q},{packed}" if q in stored else packed


def _wide(scan: Scan) -> Storage:
    for divisor in PACKINGS:
        if clusters(sorted(set(scan.counts) - {65535}), divisor):
            small = {v for v in scan.counts if 0 < v < divisor}
            if small:
                return _instance_ids(scan) if divisor == 1000 else _mixed(scan, divisor)
            return _packed(scan, divisor)
    return _plain(scan)


def clusters(values: list[int], divisor: int) -> bool:
    """Whether values look like `class * divisor + instance`: instances count up from 0 or 1 and never fill up.

    >>> clusters([7, 8, 24000, 24001, 24002, 26000, 26001], 1000), clusters(list(range(300)), 256)
    (True, False)
    >>> clusters([24003, 24004, 26000], 1000)
    False
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for v in values:
        groups[v // divisor].append(v % divisor)
    packed = {q: r for q, r in groups.items() if q}
    if not packed or max(map(max, groups.values())) > 0.9 * divisor:
        return False
    dense = all(r[0] <= 1 and r[-1] <= 2 * len(r) + 2 for r in packed.values())
    return dense and (len(packed) > 1 or len(values) > len(groups))
