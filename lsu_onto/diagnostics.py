"""What can be wrong with a `.tax` file: `Span`, `Diagnostic`, and the table of rules.

Diagnostics are plain values. Functions return them and never raise for a user's mistake.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "info"]


class Span(NamedTuple):
    """A stretch of one line. Lines and columns count from 1; `end` is the column after the last character."""

    file: str
    line: int
    column: int
    end: int


@dataclass(frozen=True)
class Fix:
    """The one obvious edit that settles a finding: `text` instead of what stands at `span`, which may be empty."""

    title: str
    span: Span
    text: str

    @classmethod
    def write(cls, text: str, span: Span) -> Fix:
        return cls(f"write `{text.strip()}`", span, text)


@dataclass(frozen=True)
class Diagnostic:
    """One finding: a rule's code, where, what, and what to do about it."""

    code: str
    message: str
    span: Span
    help: str | None = None
    second: Span | None = None
    label: str = ""
    """What the second place shows."""
    fix: Fix | None = None

    @property
    def severity(self) -> Severity:
        return RULES[self.code].severity


@dataclass(frozen=True)
class Rule:
    """One row of the TAX table: shared by `explain`, the docs and the tests."""

    code: str
    severity: Severity
    title: str
    why: str
    bad: str
    good: str


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that somebody who typed `word` most likely meant, or None.

    >>> did_you_mean("vegetaton", ["road", "vegetation"])
    'vegetation'
    """
    from rapidfuzz import fuzz, process  # only needed once something is wrong

    pool = {c.lower(): c for c in candidates}
    hit = process.extractOne(word.lower(), pool.keys(), scorer=fuzz.ratio, score_cutoff=60)
    return pool[hit[0]] if hit else None


def suggest(word: str, candidates: Iterable[str], fallback: str | None = None) -> str | None:
    """`did_you_mean` as a help line."""
    hit = did_you_mean(word, candidates)
    return f"did you mean `{hit}`?" if hit else fallback


def _rule(code: str, severity: Severity, title: str, why: str, bad: str, good: str) -> Rule:
    return Rule(code, severity, title, why, bad.strip("\n"), good.strip("\n"))


RULES: dict[str, Rule] = {
    r.code: r
    for r in (
        # 0xx: the text
        _rule(
            "TAX001",
            "error",
            "file cannot be read",
            "the path does not exist, is a folder without `.tax` files, or may not be read.",
            "lsu-onto validate twon.tax",
            "lsu-onto validate town.tax",
        ),
        _rule(
            "TAX002",
            "error",
            "file is not UTF-8 text",
            "names and notes are data that reach docs and exports, so their encoding must be certain.",
            "a file saved as Latin-1 or UTF-16",
            "the same file saved as UTF-8",
        ),
        _rule(
            "TAX003",
            "error",
            "line cannot be understood",
            "the line has something where the language expects something else.",
            "0 road #804080 = = road",
            "0 road #804080 = road",
        ),
        _rule(
            "TAX004",
            "error",
            "file does not start with `tax 1`",
            "the first line names the edition of the language, so that later editions can differ.",
            "source demo v1\n0 road #804080",
            "tax 1\nsource demo v1\n0 road #804080",
        ),
        _rule(
            "TAX005",
            "error",
            "file is of a newer edition",
            "this version of lsu-onto does not know the edition and would misread it.",
            "tax 2",
            "tax 1",
        ),
        _rule(
            "TAX006",
            "error",
            "colour is not `#rrggbb`",
            "a colour is written with six hexadecimal digits.",
            "0 road #80408",
            "0 road #804080",
        ),
        _rule(
            "TAX007",
            "error",
            "`#` without a space",
            "`# ` starts a note and `#804080` is a colour; anything else is neither.",
            "0 road #the drivable part",
            "0 road # the drivable part",
        ),
        _rule(
            "TAX008",
            "warning",
            "unknown key",
            "a misspelt key would be silently without effect.",
            "encodin: id",
            "encoding: id",
        ),
        _rule(
            "TAX009",
            "warning",
            "file starts with a byte order mark",
            "UTF-8 needs none, and other tools stumble over it.",
            "(EF BB BF) tax 1",
            "tax 1",
        ),
        _rule(
            "TAX010",
            "warning",
            "tab character",
            "tabs shift columns between editors; columns are aligned with spaces.",
            "0<TAB>road",
            "0  road",
        ),
        _rule(
            "TAX011",
            "error",
            "statement in the wrong place",
            "each statement belongs to one kind of section: classes to `source` and `dataset`, rows that start"
            " with a name to `map`, relations only to where the source is named.",
            "tax 1\nsource demo v1\n0 road = road",
            "tax 1\ndataset town v1 -> demo v1\n0 road = road",
        ),
        _rule(
            "TAX012",
            "error",
            "key has a value it cannot have",
            "the loader acts on these values.",
            "encoding: jpeg",
            "encoding: id",
        ),
        _rule(
            "TAX013",
            "error",
            "nothing is declared",
            "a file without a header, or a taxonomy without classes, cannot be meant.",
            "tax 1\nsource demo v1",
            "tax 1\nsource demo v1\n0 road",
        ),
        _rule(
            "TAX014",
            "error",
            "key given twice",
            "only one of the values could count, and which one would be a guess.",
            "void: 255\nvoid: 0",
            "void: 0,255",
        ),
        # 1xx: identity
        _rule(
            "TAX101",
            "error",
            "class name used twice",
            "a name stands for one class.",
            "0 road\n1 road",
            "0 road\n1 road_marking",
        ),
        _rule(
            "TAX102",
            "error",
            "alias or official name already taken",
            "a reference through it could mean two classes.",
            "0 road\n1 street aka road",
            "0 road aka street",
        ),
        _rule(
            "TAX103", "error", "id used twice", "a raw value belongs to one class.", "0 road\n0 car", "0 road\n1 car"
        ),
        _rule(
            "TAX104",
            "error",
            "colour used twice where the colour is the encoding",
            "under `encoding: rgb` the colour is the raw value; elsewhere colours may repeat.",
            "encoding: rgb\n0 road #804080\n1 lane #804080",
            "encoding: rgb\n0 road #804080\n1 lane #804081",
        ),
        _rule(
            "TAX105",
            "error",
            "reserved word used as a name",
            "`void` and `any` are targets with a meaning of their own; the keywords start statements.",
            "255 void #000000",
            "void: 255",
        ),
        _rule(
            "TAX106",
            "error",
            "channels of a source are not 0 to K-1",
            "the integer of a source class is the model's output channel.",
            "source demo v1\n1 road\n2 car",
            "source demo v1\n0 road\n1 car",
        ),
        _rule(
            "TAX107",
            "error",
            "id out of range for the encoding",
            "the label file could not store it.",
            "encoding: id\n300 road",
            "encoding: id16\n300 road",
        ),
        _rule(
            "TAX108",
            "error",
            "void value is also a class",
            "a pixel of that value would be both annotated and not.",
            "void: 0\n0 road",
            "void: 255\n0 road",
        ),
        _rule(
            "TAX109",
            "error",
            "class without a colour where the colour is the encoding",
            "under `encoding: rgb` the colour is the raw value.",
            "encoding: rgb\n0 road",
            "encoding: rgb\n0 road #804080",
        ),
        _rule(
            "TAX110",
            "error",
            "taxonomy declared twice",
            "a name and version stand for one taxonomy or map.",
            "source demo v1\nsource demo v1",
            "source demo v1\nsource demo v2",
        ),
        # 2xx: references
        _rule(
            "TAX201",
            "error",
            "unknown class",
            "the name is in neither the classes nor the official names nor the aliases.",
            "0 lorry < trukc",
            "0 lorry < truck",
        ),
        _rule(
            "TAX202",
            "error",
            "unknown group",
            "no `[group]` header has this name.",
            "0 thing ~ @vehicel",
            "0 thing ~ @vehicle",
        ),
        _rule(
            "TAX203",
            "error",
            "unknown taxonomy",
            "no file on the search path declares it: the file's folder, then `--path`, then the shipped library.",
            "dataset town v1 -> citiscapes v1",
            "dataset town v1 -> cityscapes v1",
        ),
        _rule(
            "TAX204",
            "error",
            "taxonomy found in another version only",
            "relations are written against one version; another may have other classes.",
            "dataset town v1 -> cityscapes v9",
            "dataset town v1 -> cityscapes v1",
        ),
        _rule(
            "TAX205",
            "error",
            "`extends` goes in a circle",
            "a dataset cannot build on itself.",
            "dataset a v1\nextends a v1",
            "dataset a v2\nextends a v1",
        ),
        _rule(
            "TAX206",
            "warning",
            "reference through an alias",
            "aliases are for searching; a file that names the class itself can be found with grep.",
            "0 lorry < hgv",
            "0 lorry < truck",
        ),
        # 3xx: relations
        _rule(
            "TAX301",
            "error",
            "class is mapped to nothing",
            "a class forgotten would become void silently; say so with `-> void` if that is what you mean.",
            "0 tunnel #0a141e",
            "0 tunnel #0a141e -> void",
        ),
        _rule(
            "TAX302",
            "error",
            "two relations to one target",
            "between two classes exactly one relation holds.",
            "0 vehicle > car ~ car",
            "0 vehicle > car",
        ),
        _rule(
            "TAX303",
            "error",
            "`=` and `<` stand alone",
            "a class that equals or lies inside one source class has no part in another.",
            "0 lorry < truck ~ car",
            "0 lorry ~ truck car",
        ),
        _rule(
            "TAX304",
            "error",
            "nothing is allowed",
            "S(d) must not be empty: every pixel of the class must be allowed to be something.",
            "0 thing ~ @vehicle ! @vehicle",
            "0 thing ! any",
        ),
        _rule(
            "TAX305",
            "warning",
            "relation says no more than a simpler one",
            "`~ s` alone and closed allows only s, which `< s` says; `> s` alone and closed is `= s`.",
            "0 lorry ~ truck",
            "0 lorry < truck",
        ),
        _rule(
            "TAX306",
            "error",
            "relations contradict each other",
            "the classes of one dataset share no pixels: if one class holds all of a source class, no other class"
            " can hold part of it (RCC-5 composition).",
            "0 vehicle > car truck\n1 police  < car",
            "0 vehicle ~ car truck\n1 police  < car",
        ),
        _rule(
            "TAX307",
            "info",
            "source class that nothing reaches",
            "this dataset can never label it; that is common, and worth knowing.",
            "(no row names `train`)",
            "0 tram < train",
        ),
        _rule(
            "TAX308",
            "warning",
            "target named twice",
            "the second mention adds nothing.",
            "0 vehicle ~ @vehicle car",
            "0 vehicle ~ @vehicle",
        ),
        _rule(
            "TAX309",
            "warning",
            "`!` that removes nothing",
            "what is not written is already excluded.",
            "0 lorry ~ truck car ! road",
            "0 lorry ~ truck car",
        ),
        _rule(
            "TAX310",
            "error",
            "target does not go with this operator",
            "`void` goes with `>` and `~` (part of the class is no source class); `any` only with `!` and `->`.",
            "0 sky_dome < void",
            "0 sky_dome ! any",
        ),
        _rule(
            "TAX311",
            "error",
            "class has two rows in one map",
            "a class is mapped in one place; continue a row on an indented line.",
            "road < road\nroad ~ terrain",
            "road ~ road terrain",
        ),
        # 9xx: changes between versions
        _rule(
            "TAX901",
            "error",
            "LABEL: a raw value means another class than before",
            "label files stay as they are: what was read from them with the old version, and every pseudo-label made"
            " from it, is wrong under the new one.",
            "3 gravel (it was `3 grass`)",
            "3 grass, and 4 gravel in the next release of the labels",
        ),
        _rule(
            "TAX902",
            "error",
            "CHANNEL: a channel of a source changed",
            "checkpoints predict channels: a class that moved, went or came makes those of the old version"
            " unusable, and silently wrong where their number is the same.",
            "0 car and 1 road (it was 0 road and 1 car)",
            "a source of another name",
        ),
        _rule(
            "TAX903",
            "error",
            "CONSTRAINT: what a class may be changed",
            "pseudo-labels were chosen inside the old S(d), and are stale.",
            "gravel ~ road terrain (it was `< road`), with the old pseudo-labels",
            "the same, and pseudo-labels made anew",
        ),
        _rule(
            "TAX904",
            "error",
            "RENAME: a class has another name and no alias tells",
            "maps and scripts that name the class no longer find it; an alias keeps them working, and keeps the"
            " history readable.",
            "3 soil (it was `3 dirt`)",
            "3 soil aka dirt",
        ),
    )
}
