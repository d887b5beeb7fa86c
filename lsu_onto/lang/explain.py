"""Explains a line that the grammar rejects: what is wrong with it, and what to write.

What is wrong is the parser's complaint in plain words (`mistakes.py`). What to write is a reading of the whole line,
which must itself be a line of the language: advice that leads to the next error is no advice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from lsu_onto.diagnostics import Diagnostic, Fix, Span
from lsu_onto.lang.headers import read_group, read_header
from lsu_onto.lang.loose import read_loosely
from lsu_onto.lang.mistakes import LONG, guess
from lsu_onto.lang.plain import plain
from lsu_onto.lang.syntax import KEYWORDS, Reading, Unread

_TOKEN = re.compile(r'"[^"]*"|\S+')
_PROSE = re.compile(rf"\s*(?:{'|'.join(KEYWORDS)})(?:\s+(?!to\b)[^\W\d_]+\b){{3}}", re.I)
_SIGNS = ("->", "=", "<", ">", "~", "!")


def explain(
    text: str, at: int, expected: set[str], place: Callable[[int, int], Span], kind: str, parses: Callable[[str], bool]
) -> Unread:
    """Why a logical line cannot be read, and what was probably meant.

    Args:
        text: the logical line.
        at: where the parser stopped.
        expected: the terminals that it expected there.
        place: the span from one character to another, which it includes.
        kind: of the section, as `read_loosely` has it.
        parses: whether a logical line can be read.
    """
    found = guess(text, at, expected, kind)
    lines = text.split("\n")
    number = min(text.count("\n", 0, min(found.start, len(text))), len(lines) - 1)
    line, start = lines[number], sum(len(x) + 1 for x in lines[:number])
    finding = Diagnostic(
        found.code, found.message, place(found.start, found.end - 1), found.help or found.expected or None
    )

    def fits(reading: Reading | None) -> Reading | None:
        changed = "\n".join([*lines[:number], reading.text, *lines[number + 1 :]]) if reading else ""
        return reading if changed != text and parses(changed) else None

    local = None  # the line with the obvious edit, if that is all it needs
    if found.instead is not None and found.end <= start + len(line):
        local = fits(Reading(line[: found.start - start] + found.instead + line[found.end - start :]))
    if (found.exact and found.instead is None) or len(text) > LONG:
        return Unread(line, finding, "", None)
    reading = fits(_read(line, kind, number > 0, len(lines) == 1))
    if local and reading and found.instead and not re.match(r"[\w-]+:|\[|$", local.text):
        # `== None` is `= None` after the edit, which the next message would be about
        local = None if _decides(reading) != _decides(local) else local._replace(lacks=reading.lacks)
    if local:
        title = f"write `{found.instead.strip()}`" if found.instead else "take it out"
        fix = Fix(title, finding.span, found.instead or "", found.sure)
        return Unread(line, replace(finding, fix=fix), found.help, local)
    return Unread(line, finding, "" if found.exact or not reading else found.help, reading)


def _decides(reading: Reading) -> bool:
    return bool(reading.choices) or "->" in reading.text


def _read(line: str, kind: str, continues: bool, alone: bool) -> Reading | None:
    header = None if continues else read_header(plain(line)) or read_group(line)
    if header:
        return Reading(header)
    begins = re.match(r"[ \t]*(\w+)(?=[ \t]+\w)", line)
    return None if begins and begins[1] in KEYWORDS else read_loosely(line, kind, alone)


def diagnostic_of(unread: Unread, reading: Reading | None = None) -> Diagnostic:
    """The finding on a line, with what to write.

    Args:
        unread: the line.
        reading: what it means where the names of classes are known; by default, what its form says.
    """
    finding, reading = unread.finding, reading or unread.reading
    if reading is None:
        return finding
    body = re.sub(r"\s+# .*", "", reading.text)
    behind = "; say at its end what the class is in the source, e.g. `-> void`" if "relation" in reading.lacks else ""
    if finding.fix and reading == unread.reading:
        return replace(finding, help=f"{finding.help}{behind}")
    if "id" in reading.lacks:
        help_ = f"write the number that label files store, e.g. `4 {body[2:]}`{behind}"
        help_ += "; `-` only if the class is never drawn"
        return replace(finding, code="TAX011", message="a class line starts with its id", help=help_, fix=None)
    start, end, new = _difference(unread.line, reading.text)
    old = unread.line[start:end]
    place = finding.span._replace(column=start + 1, end=end + 1)
    fix = Fix.write(new, place) if new else Fix(f"take `{old.strip()}` out", place, "")
    if reading.choices:
        first, *others = reading.choices
        front = body.removesuffix(first[0]).split()
        whole = unread.line.split()[: len(front)] != front
        written = ", ".join(
            [f"`{body if whole else first[0]}` {first[1]}", *(f"`{text}` {when}" for text, when in others)]
        )
        help_, fix = f"write {written}", None  # type: ignore[assignment]
    elif body.split(" ", 1)[0] in KEYWORDS:
        help_ = f"write `{body}`" + ("; `# ` in front if it is a comment" if _PROSE.match(unread.line) else "")
    elif not new:
        help_ = f"leave `{old.strip()}` out"
    elif finding.span == place or (start == 0 and end == len(unread.line)):
        help_ = f"write `{new}`"
    else:
        help_ = f"write `{new}` in place of `{old}`"
    rule = f"{unread.rule}: " if unread.rule else ""
    return replace(finding, help=f"{rule}{help_}{behind}", fix=fix)


def _difference(old: str, new: str) -> tuple[int, int, str]:
    """Where two lines differ: start and end in the old one, and what the new one has there."""
    ours, theirs = list(_TOKEN.finditer(old)), _TOKEN.findall(new)
    words = [m[0] for m in ours]
    first = 0
    while first < min(len(words), len(theirs)) and words[first] == theirs[first]:
        first += 1
    last = 0
    while last < min(len(words), len(theirs)) - first and words[-1 - last] == theirs[-1 - last]:
        last += 1
    if first and words[first - 1] in _SIGNS and first < len(theirs) - last:  # an operator is shown with its target,
        first -= 1
    if (
        last and first < len(theirs) - last and theirs[len(theirs) - last - 1] in _SIGNS
    ):  # and a target with its operator
        last -= 1
    changed, instead = ours[first : len(ours) - last], theirs[first : len(theirs) - last]
    if not instead and changed:
        if not first and last:
            return changed[0].start(), ours[len(changed)].start(), ""
        return (ours[first - 1].end() if first else changed[0].start()), changed[-1].end(), ""
    if not changed:  # something is missing: show it with its neighbour
        if last and instead[0] == "#":
            changed, instead = ours[first:], [*instead, *words[first:]]
        elif last and words[first] in _SIGNS and first + 1 < len(words):
            changed, instead = ours[first : first + 2], [*instead, *words[first : first + 2]]
        elif first:
            changed, instead = [ours[first - 1]], [words[first - 1], *instead]
        elif ours:
            changed, instead = [ours[0]], [*instead, words[0]]
        else:
            return 0, len(old), new
    return changed[0].start(), changed[-1].end(), " ".join(instead)
