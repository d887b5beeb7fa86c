"""The README's first file with one mistake each: the message alone leads to a valid file.

A case: what was typed (in place of what), the code, the phrase of the message or help that says what to do, and the
file after doing it. `None` as the repair: the README's line is what the message asks for.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lsu_onto.diagnostics import Diagnostic
from lsu_onto.library.library import Library

ROOT = Path(__file__).parents[2]
README = re.findall(r"```\n(tax 1\n.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[0]

CASES: list[tuple[str, str, str, str, str | None]] = [
    # the edition and the header
    ("tax 1\n", "", "TAX004", "write `tax 1` on the first line", "tax 1\n"),
    ("tax 1", "tax v1", "TAX003", "write `tax 1`", None),
    ("tax 1", "tax", "TAX003", "write `tax 1`", None),
    ("tax 1", "tax1", "TAX003", "write `tax 1`", None),
    ("tax 1", "tax 1.0", "TAX003", "write `tax 1`", None),
    ("tax 1", "tax 2", "TAX005", "write `tax 1` in a new file", None),
    ("dataset town", "datset town", "TAX003", "did you mean `dataset`?", None),
    ("town v1", "town", "TAX003", "expected a version such as `v1`", None),
    ("town v1", "town 1", "TAX003", "expected a version such as `v1`", None),
    ("demo v1", "demo", "TAX003", "expected a version such as `v1`", None),
    ("demo v1", "demo v2", "TAX204", "write `demo v1`", None),
    ("-> demo", "-> dmo", "TAX203", "did you mean `demo`?", None),
    ("-> demo", "=> demo", "TAX003", "write `->`", None),
    ("-> demo", "> demo", "TAX003", "expected `->`", None),
    (" -> demo v1", "", "TAX011", "write `dataset town v1 -> SOURCE v1` in line 2", None),
    ("dataset town", "dataset my-town", "TAX003", "write `my_town`", "dataset my_town"),
    ("dataset town", "source town", "TAX003", "write `dataset town v1 -> …`", None),
    ("dataset town v1 -> demo v1", "source town v1", "TAX011", "write `dataset town v1 -> SOURCE v1` in line 2", None),
    ("dataset town", "map town", "TAX011", "write `dataset town v1 -> …`", None),
    ("[rest]", "dataset town v1 -> demo v1\n[rest]", "TAX110", "take one out", None),
    # keys
    ("encoding:", "encodng:", "TAX008", "did you mean `encoding`?", None),
    ("encoding: id", "encoding id", "TAX003", "a key ends with a colon: `encoding:`", None),
    ("encoding: id", "encoding = id", "TAX011", "a key ends with a colon: `encoding: …`", None),
    ("encoding: id", "encoding : id", "TAX003", "no space before the colon: `encoding:`", None),
    ("encoding: id", "encoding: png", "TAX012", "one of `id`", None),
    ("void:     255", "void 255", "TAX003", "a key ends with a colon: `void:`", None),
    ("void:     255", "void = 255", "TAX003", "a key ends with a colon: `void:`", None),
    ("void:     255", "void:     black", "TAX012", "expected numbers such as `0,255`", None),
    ("void:     255", "void:     5", "TAX108", "take it out of `void:`", ""),
    ("void:     255", "void:     256", "TAX107", "write values from 0 to 255 under `void:`", None),
    ("void:     255", "void:", "TAX012", "write one, or take the line out", ""),
    ("[ground]", "255 void #000000\n[ground]", "TAX105", "take the line out", None),
    # groups and ids
    ("[ground]", "[ground", "TAX003", "write `[ground]`", None),
    ("[ground]", "[the ground]", "TAX003", "write `[the_ground]`", "[the_ground]"),
    ("[ground]", "[on-ground]", "TAX003", "write `[on_ground]`", "[on_ground]"),
    ("1  drivable", "drivable", "TAX011", "write the number that label files store", None),
    ("4  sky         #4080b0", "sky", "TAX011", "write the number that label files store, e.g. `4 sky …`", "4 sky"),
    ("1  drivable", "1: drivable", "TAX003", "write `1` and a space", None),
    ("1  drivable", "1. drivable", "TAX003", "write `1` and a space", None),
    ("1  drivable", "1, drivable", "TAX003", "write `1` and a space", None),
    ("2  verge", "1  verge", "TAX103", "the lowest free id is 0", "0  verge"),
    ("7  unlabelled", "-1  unlabelled", "TAX003", "write `-` for a class that is never drawn", "-  unlabelled"),
    ("7  unlabelled", "7-9  unlabelled", "TAX003", "write `7..9` for a range", "7..9  unlabelled"),
    ("7  unlabelled", "9..7  unlabelled", "TAX107", "write `7..9`", "7..9  unlabelled"),
    ("7  unlabelled", "256  unlabelled", "TAX107", "0 to 255", None),
    # names and colours
    ("3  kerb", "3  verge", "TAX101", "rename one of the two", None),
    ("2  verge", "2  grass-verge", "TAX003", '`grass_verge "grass-verge"`', '2  grass_verge "grass-verge"'),
    ("2  verge ", "2  grass verge ", "TAX003", '`grass_verge "grass verge"`', '2  grass_verge "grass verge" '),
    ("2  verge", "2  verge/grass", "TAX003", '`verge_grass "verge/grass"`', '2  verge_grass "verge/grass"'),
    ("4  sky", '4  "sky"', "TAX003", '`sky "sky"`', '4  sky "sky"'),
    ("4  sky ", '4  sky "the sky ', "TAX003", 'add `"` at the end of the name', '4  sky "the sky" '),
    ("4  sky ", "4  sky “the sky” ", "TAX003", 'straight quotes `"`', '4  sky "the sky" '),
    (
        "4  sky         #4080b0",
        '4  sky #4080b0 "the sky"',
        "TAX003",
        '`sky "the sky" #4080b0`',
        '4  sky "the sky" #4080b0',
    ),
    ("4  sky ", "4  any ", "TAX105", "choose another name", None),
    ("#805080", "805080", "TAX006", "write `#805080`", None),
    ("#805080", "128,80,128", "TAX006", "write `#805080`", None),
    ("#805080", "#858", "TAX006", "six hexadecimal digits", None),
    ("#805080", "#80508g", "TAX006", "six hexadecimal digits", None),
    ("drivable    #805080", "#805080 drivable", "TAX003", "or a name", None),
    # notes and white space
    ("# lies inside", "#lies inside", "TAX007", "put a space after `#`", None),
    ("# lies inside", "// lies inside", "TAX003", "a note starts with `#` and a space", None),
    ("# lies inside", "lies inside", "TAX201", "a note starts with `# `", None),
    ("4  sky", "4\tsky", "TAX010", "use spaces", None),
    ("4  sky", "4\u00a0sky", "TAX003", "type a space in its place", None),
    ("road lane_marking ", "road\n> lane_marking ", "TAX003", "indent the line", "road\n  > lane_marking "),
    ("road lane_marking ", "road\n  lane_marking ", "TAX003", "start it with an operator", "road\n  > lane_marking "),
    # relations
    ("= sky", "== sky", "TAX003", "write `=`", None),
    ("< sidewalk  ", "<= sidewalk  ", "TAX003", "write `<`", None),
    ("= sky", ": sky", "TAX003", "a relation starts with an operator, one of `= < > ~ !`", None),
    ("< sidewalk  ", "in sidewalk  ", "TAX003", "`< sidewalk` if the class lies inside it", None),
    ("< sidewalk  ", "sidewalk  ", "TAX003", "`< sidewalk` if the class lies inside it", None),
    ("< sidewalk  ", "< sidewlk  ", "TAX201", "did you mean `sidewalk`?", None),
    ("< sidewalk  ", "< curb  ", "TAX201", "`lsu-onto show demo` lists its classes", None),
    ("= sky", "= Sky", "TAX201", "did you mean `sky`?", None),
    ("lane_marking", "lane-marking", "TAX003", "write `lane_marking`", None),
    ("lane_marking", "lane marking", "TAX201", "did you mean `lane_marking`?", None),
    ("< sidewalk  ", "< side walk  ", "TAX201", "did you mean `sidewalk`?", None),
    ("-> any ", "< all ", "TAX201", "`-> any` leaves the class unconstrained", None),
    ("-> any ", "~ Everything ", "TAX201", "`-> any` leaves the class unconstrained", None),
    ("road lane_marking", "road and lane_marking", "TAX201", "separated by spaces: leave it out", None),
    ("road lane_marking", "road | lane_marking", "TAX003", "separated by spaces: leave it out", None),
    ("road lane_marking", "road;lane_marking", "TAX003", "separated by spaces: leave it out", None),
    ("road lane_marking ", "road lane_marking, ", "TAX003", "leave it out", None),
    ("! any", "!", "TAX003", "write `! any`", None),
    ("= sky ", "= ", "TAX003", "with the name of a class", None),
    ("< sidewalk  ", "< @sidewalk  ", "TAX202", "write it without `@`", None),
    ("grass sidewalk void", "nature void", "TAX201", "write `@nature`", "@nature void"),
    ("grass sidewalk void", "@natur void", "TAX202", "did you mean `@nature`?", "@nature void"),
    ("grass sidewalk void", "@Nature void", "TAX202", "did you mean `@nature`?", "@nature void"),
    ("grass sidewalk void", "Nature void", "TAX201", "write `@nature`", "@nature void"),
    ("< sidewalk  ", "< @Sidewalk  ", "TAX202", "write it without `@`", None),
    ("grass sidewalk void", "grass grass void", "TAX308", "leave it out", "grass void"),
    ("~ grass sidewalk void", "~ grass", "TAX305", "write `< grass`", "< grass"),
    ("< sidewalk  ", "< sidewalk grass  ", "TAX303", "write `~ sidewalk grass`", "~ sidewalk grass  "),
    ("= sky ", "= sky tree ", "TAX303", "write `~ sky tree`", "~ sky tree "),
    ("= sky ", "= sky tree ", "TAX303", "or `> sky tree` if they make up all of it", "> sky tree "),
    ("= sky ", "= sky = sky ", "TAX308", "leave it out", None),
    ("= sky ", "= sky ! tree ", "TAX303", "leave what follows `!` out", None),
    ("= sky ", "= @nature ", "TAX303", "write `~ @nature`", "~ @nature "),
    ("< sidewalk  ", "= sidewalk  ", "TAX306", "weaken `kerb` to `<`", None),
    ("  -> void ", "", "TAX301", "write `-> void`", None),
    ("-> void ", "< void ", "TAX310", "`-> void` to ignore it", None),
    ("-> void ", "~ void ", "TAX310", "`-> void` to ignore it", None),
    ("-> void ", "void ", "TAX003", "`-> void`", None),
    ("-> any ", "any ", "TAX003", "`-> any`", None),
    ("#000000  -> void ", "void ", "TAX003", "write `-> void`", "-> void "),
    ("-> void ", "-> VOID ", "TAX003", "write `void`", None),
    ("-> void ", "-> ", "TAX003", "write `-> void` or `-> any`", None),
    ("6  blurred", "→  blurred", "TAX003", "write the class in front of it", None),
    ("-> void ", "→ void ", "TAX003", "write `->`", None),
    ("-> void ", "- > void ", "TAX003", "write `->`", None),
    ("-> void ", "! any -> void ", "TAX003", "keep the relations, or `->`", None),
    ("= sky", "-> sky", "TAX003", "to relate the class write `< sky`", "< sky"),
    ("! any", "= any", "TAX310", "`! any` if no source class fits", None),
    ("-> any", "~ any", "TAX310", "write `-> any`", None),
    ("-> any", "-> any - sky", "TAX003", "expected `!`", "-> any ! sky"),
]


def findings(text: str) -> list[Diagnostic]:
    return [d for d in Library().check("town.tax", text).diagnostics if d.severity != "info"]


@pytest.mark.parametrize("case", CASES, ids=lambda c: repr(c[1])[1:-1])
def test_the_message_leads_to_a_valid_file(case: tuple[str, str, str, str, str | None]) -> None:
    right, typed, code, phrase, repair = case
    assert README.count(right) >= 1
    at = README.index(right)
    found = findings(README[:at] + typed + README[at + len(right) :])
    assert code in [d.code for d in found]
    assert any(d.code == code and phrase in f"{d.message}; {d.help}" for d in found)
    assert len(found) <= 3, "follow-on errors"
    assert findings(README[:at] + (right if repair is None else repair) + README[at + len(right) :]) == []


def test_the_readmes_file_is_valid_and_the_cases_are_many() -> None:
    assert findings(README) == []
    assert len(CASES) >= 25 and len({c[2] for c in CASES}) >= 20
