"""The table of rules: the code, severity and examples of everything that can be wrong with a `.tax` file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Rule:
    """One row of the TAX table: shared by `explain`, the docs and the tests."""

    code: str
    severity: Severity
    title: str
    why: str
    bad: str
    good: str


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
            "The path does not exist, is a folder without `.tax` files, or is not readable.",
            "lsu-onto validate twon.tax",
            "lsu-onto validate town.tax",
        ),
        _rule(
            "TAX002",
            "error",
            "file is not UTF-8 text",
            "Names and notes are data that appear in docs and exports, so their encoding must be certain.",
            "a file saved as Latin-1 or UTF-16",
            "the same file saved as UTF-8",
        ),
        _rule(
            "TAX003",
            "error",
            "line cannot be understood",
            "The line contains something that the language does not allow at that position.",
            "0 road #804080 = = road",
            "0 road #804080 = road",
        ),
        _rule(
            "TAX004",
            "error",
            "file does not start with `tax 1`",
            "The first line names the edition of the language, so that later editions can differ.",
            "source demo v1\n0 road #804080",
            "tax 1\nsource demo v1\n0 road #804080",
        ),
        _rule(
            "TAX005",
            "error",
            "file uses a newer edition",
            "This version of lsu-onto does not know the edition and would misread the file.",
            "tax 2",
            "tax 1",
        ),
        _rule(
            "TAX006",
            "error",
            "colour is not `#rrggbb`",
            "A colour has six hexadecimal digits, and no quotes.",
            "0 road #80408",
            "0 road #804080",
        ),
        _rule(
            "TAX007",
            "error",
            "`#` without a space",
            "`# ` starts a note, and `#804080` is a colour. Anything else is neither.",
            "0 road #the drivable part",
            "0 road # the drivable part",
        ),
        _rule(
            "TAX008",
            "warning",
            "unknown key",
            "A misspelt key would silently have no effect. It is an error if it stands for a key that says how label"
            " files are read: what it says would be lost.",
            "titel: Town",
            "title: Town",
        ),
        _rule(
            "TAX009",
            "warning",
            "file starts with a byte order mark",
            "UTF-8 does not need one, and some tools cannot handle it.",
            "(EF BB BF) tax 1",
            "tax 1",
        ),
        _rule(
            "TAX010",
            "warning",
            "tab character",
            "Editors display tabs with different widths. Align columns with spaces.",
            "0<TAB>road",
            "0  road",
        ),
        _rule(
            "TAX011",
            "error",
            "statement in the wrong place",
            "Each statement belongs to one kind of section: classes belong in `source` and `dataset`, rows that start"
            " with a name in `map`, and relations only in a section whose header names the source.",
            "tax 1\nsource demo v1\n0 road = road",
            "tax 1\ndataset town v1 -> demo v1\n0 road = road",
        ),
        _rule(
            "TAX012",
            "error",
            "key has an invalid value",
            "The loader acts on this value, so it must be valid.",
            "encoding: jpeg",
            "encoding: id",
        ),
        _rule(
            "TAX013",
            "error",
            "nothing is declared",
            "A file without a header, or a taxonomy without classes, is certainly a mistake.",
            "tax 1\nsource demo v1",
            "tax 1\nsource demo v1\n0 road",
        ),
        _rule(
            "TAX014",
            "error",
            "key given twice",
            "Only one of the values could apply, and choosing one would be a guess.",
            "void: 255\nvoid: 0",
            "void: 0,255",
        ),
        _rule(
            "TAX015",
            "warning",
            "several aliases without quotes",
            "Each word behind `aka` is an alias of its own, unless quotes hold several together. Quotes say which was"
            " meant. Only the first such line of a taxonomy is reported.",
            "0 asphalt aka paved road",
            '0 asphalt aka "paved road" "tar"',
        ),
        # 1xx: identity
        _rule(
            "TAX101",
            "error",
            "class name used twice",
            "A name stands for exactly one class.",
            "0 road\n1 road",
            "0 road\n1 road_marking",
        ),
        _rule(
            "TAX102",
            "error",
            "alias or official name already taken",
            "A reference through this name could mean two classes.",
            "0 road\n1 street aka road",
            "0 road aka street",
        ),
        _rule(
            "TAX103",
            "error",
            "id used twice",
            "A raw value belongs to exactly one class.",
            "0 road\n0 car",
            "0 road\n1 car",
        ),
        _rule(
            "TAX104",
            "error",
            "colour used twice where the colour is the encoding",
            "Under `encoding: rgb`, the colour is the raw value. Under other encodings, colours may repeat.",
            "encoding: rgb\n0 road #804080\n1 lane #804080",
            "encoding: rgb\n0 road #804080\n1 lane #804081",
        ),
        _rule(
            "TAX105",
            "error",
            "reserved word used as a name",
            "`void` and `any` are targets with their own meaning; the other reserved words are keywords.",
            "255 void #000000",
            "void: 255",
        ),
        _rule(
            "TAX106",
            "error",
            "channels of a source are not 0 to K-1",
            "The id of a source class is the model's output channel.",
            "source demo v1\n1 road\n2 car",
            "source demo v1\n0 road\n1 car",
        ),
        _rule(
            "TAX107",
            "error",
            "id out of range for the encoding",
            "A label file with this encoding cannot store the id.",
            "encoding: id\n300 road",
            "encoding: id16\n300 road",
        ),
        _rule(
            "TAX108",
            "error",
            "void value is also a class",
            "A pixel with this value would be both annotated and not annotated.",
            "void: 0\n0 road",
            "void: 255\n0 road",
        ),
        _rule(
            "TAX109",
            "error",
            "class without a colour where the colour is the encoding",
            "Under `encoding: rgb`, the colour is the raw value.",
            "encoding: rgb\n0 road",
            "encoding: rgb\n0 road #804080",
        ),
        _rule(
            "TAX110",
            "error",
            "taxonomy declared twice",
            "A name and version stand for exactly one taxonomy or map, in a file and in the folder where it is looked"
            " up. Copies that say the same do no harm.",
            "source demo v1\nsource demo v1",
            "source demo v1\nsource demo v2",
        ),
        _rule(
            "TAX111",
            "warning",
            "no class is ever drawn",
            "`-` in place of an id says that no label file has the class. If all classes have it, as in a list pasted"
            " from YAML, no label file can be read.",
            "- road\n- sky",
            "0 road\n1 sky",
        ),
        # 2xx: references
        _rule(
            "TAX201",
            "error",
            "unknown class",
            "No class, official name or alias matches this name.",
            "0 lorry < trukc",
            "0 lorry < truck",
        ),
        _rule(
            "TAX202",
            "error",
            "unknown group",
            "No `[group]` header has this name.",
            "0 thing ~ @vehicel",
            "0 thing ~ @vehicle",
        ),
        _rule(
            "TAX203",
            "error",
            "unknown taxonomy",
            "No file on the search path declares it. The search path is the file's folder, then `--path`, then the"
            " shipped taxonomies.",
            "dataset town v1 -> citiscapes v1",
            "dataset town v1 -> cityscapes v1",
        ),
        _rule(
            "TAX204",
            "error",
            "taxonomy exists only in another version",
            "Relations are written against one version; another version may have other classes.",
            "dataset town v1 -> cityscapes v9",
            "dataset town v1 -> cityscapes v1",
        ),
        _rule(
            "TAX205",
            "error",
            "`extends` is circular",
            "A dataset cannot extend itself, directly or through another dataset.",
            "dataset a v1\nextends a v1",
            "dataset a v2\nextends a v1",
        ),
        _rule(
            "TAX206",
            "warning",
            "reference through an alias",
            "Aliases are for searching. A reference by the class name can be found with grep.",
            "0 lorry < hgv",
            "0 lorry < truck",
        ),
        # 3xx: relations
        _rule(
            "TAX301",
            "error",
            "class is mapped to nothing",
            "A class without a relation would silently become void. If you want that, write `-> void`.",
            "0 tunnel #0a141e",
            "0 tunnel #0a141e -> void",
        ),
        _rule(
            "TAX302",
            "error",
            "two relations to one target",
            "Exactly one relation holds between two classes. `!` takes a part out of a group; it takes out neither a"
            " class that is named by itself nor a whole group.",
            "0 vehicle > car ~ car",
            "0 vehicle > car",
        ),
        _rule(
            "TAX303",
            "error",
            "`=` and `<` stand alone",
            "A class that equals a source class, or lies inside it, cannot overlap another source class.",
            "0 lorry < truck ~ car",
            "0 lorry ~ truck car",
        ),
        _rule(
            "TAX304",
            "error",
            "nothing is allowed",
            "S(d) must not be empty: every pixel of the class needs at least one allowed class, or void.",
            "0 thing ~ @vehicle ! @vehicle",
            "0 thing ! any",
        ),
        _rule(
            "TAX305",
            "warning",
            "a simpler relation says the same",
            "In a closed row, `~ s` alone allows only s, which is `< s`; `> s` alone is `= s`. A group of which `!`"
            " leaves one class is that class.",
            "0 lorry ~ truck",
            "0 lorry < truck",
        ),
        _rule(
            "TAX306",
            "error",
            "relations contradict each other",
            "The classes of one dataset share no pixels: if one class contains all of a source class, no other class"
            " can contain part of it (RCC-5 composition).",
            "0 vehicle > car truck\n1 police  < car",
            "0 vehicle ~ car truck\n1 police  < car",
        ),
        _rule(
            "TAX307",
            "info",
            "source class that nothing reaches",
            "This dataset can never provide a label for the class. That is common, but worth knowing.",
            "(no row names `train`)",
            "0 tram < train",
        ),
        _rule(
            "TAX308",
            "warning",
            "target named twice",
            "The second mention has no effect.",
            "0 vehicle ~ @vehicle car",
            "0 vehicle ~ @vehicle",
        ),
        _rule(
            "TAX309",
            "warning",
            "`!` that removes nothing",
            "A class that is not written is already excluded.",
            "0 lorry ~ truck car ! road",
            "0 lorry ~ truck car",
        ),
        _rule(
            "TAX310",
            "error",
            "target is not valid for this operator",
            "`void` is valid in decisions, and after `>` and `~`, where it says that part of the class is not a source"
            " class. `any` is valid only with `!` and `->`.",
            "0 sky_dome < void",
            "0 sky_dome ! any",
        ),
        _rule(
            "TAX311",
            "error",
            "class has two rows in one map",
            "A class is mapped in one place. To continue a row, indent the next line.",
            "road < road\nroad ~ terrain",
            "road ~ road terrain",
        ),
        _rule(
            "TAX312",
            "info",
            "`-> any` allows a class that another one claims whole",
            "The classes of one dataset share no pixels: if one class contains all of a source class, no pixel of"
            " another class can be it. `-> any` is a decision, and may still allow it where the claim is doubtful, or"
            " where annotators left pixels out.",
            "0 vehicle > car truck\n1 unsure  -> any",
            "0 vehicle > car truck\n1 unsure  -> any ! car truck",
        ),
        _rule(
            "TAX313",
            "warning",
            "data in a note cannot be read",
            "`by:`, `conf:` and `how:` in the note of a row say who related the class, how sure they are, and how they"
            " came to it. What is not in their form, as `Conf:` or `confidence:`, is a remark like any other: it is not"
            " exported as data."
            " A row has one `conf:` and one `how:`; of several the last one counts.",
            "0 way < road  # by: Ada; conf: quite",
            "0 way < road  # by: Ada; conf: 0.7",
        ),
        # 4xx: several maps together, `check-maps`
        _rule(
            "TAX401",
            "error",
            "maps contradict each other",
            "No pixel can be of the class: what one map says it is, the others exclude. One of the rows that are shown"
            " is wrong. A weaker one says the same S(d) with fewer claims: `~` instead of `>`, `void` where a part is"
            " no class.",
            "map town v1 -> fine v1      vehicle = car\nmap town v1 -> coarse v1    vehicle = person\n"
            "map fine v1 -> coarse v1    car < vehicle",
            "map town v1 -> fine v1      vehicle = car\nmap town v1 -> coarse v1    vehicle = vehicle\n"
            "map fine v1 -> coarse v1    car < vehicle",
        ),
        _rule(
            "TAX402",
            "warning",
            "one map allows what others exclude",
            "The row says that the classes overlap. By way of another source they have no pixel in common, so one of"
            " the rows that are shown lacks something, or this one has too much. Where the classes are understood in"
            " two ways, say in the note of the row how they differ, with `allow: TAX402` at its end.",
            "map town v1 -> fine v1      vehicle ~ car van\nmap town v1 -> coarse v1    vehicle < car\n"
            "map fine v1 -> coarse v1    van < truck",
            "map town v1 -> fine v1      vehicle ~ car van\nmap town v1 -> coarse v1    vehicle ~ car truck\n"
            "map fine v1 -> coarse v1    van < truck",
        ),
        # 9xx: changes between versions
        _rule(
            "TAX901",
            "error",
            "LABEL: a raw value stands for a different class",
            "Label files do not change. Everything read from them with the old version, and every pseudo-label made"
            " from it, is wrong under the new version.",
            "3 gravel (it was `3 grass`)",
            "3 grass, and 4 gravel in the next release of the labels",
        ),
        _rule(
            "TAX902",
            "error",
            "CHANNEL: a channel of a source changed",
            "Checkpoints predict channels. If a class was moved, removed or added, checkpoints of the old version are"
            " unusable, and silently wrong if the number of channels is the same.",
            "0 car and 1 road (it was 0 road and 1 car)",
            "a source with a new name",
        ),
        _rule(
            "TAX903",
            "error",
            "CONSTRAINT: the allowed set of a class changed, or a relation in it",
            "Existing pseudo-labels were chosen inside the old S(d), and are stale. A relation that changes, as from"
            " `<` to `=`, changes what evaluations count.",
            "gravel ~ road terrain (it was `< road`), with the old pseudo-labels",
            "the same change, with regenerated pseudo-labels",
        ),
        _rule(
            "TAX904",
            "error",
            "RENAME: a class was renamed without an alias",
            "Maps and scripts that use the old name no longer find the class. An alias keeps them working, and keeps"
            " the history readable. Pseudo-labels are another matter: their folder has the names that classes had, so"
            " training asks for new ones also after a rename with an alias.",
            "3 soil (it was `3 dirt`)",
            "3 soil aka dirt",
        ),
        _rule(
            "TAX905",
            "error",
            "CHAIN: what maps in a row say changed",
            "A map of the file is part of a chain, and what follows from the chain is not what it was. Maps composed of"
            " it, and pseudo-labels made with them, are stale. Listed are composed files, and datasets that have no map"
            " of their own to the last source.",
            "`car ~ vehicle void` in the second map (it was `< vehicle`), with the old composed map",
            "the same change, with the map composed again",
        ),
    )
}
