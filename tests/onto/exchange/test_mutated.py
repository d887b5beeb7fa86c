"""Whatever a file holds, it is imported soundly or refused."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from helpers.class_lists import COCO, CVAT_XML, LABEL_STUDIO, LABELMAP, MAPILLARY, SUPERVISELY
from helpers.exchange import LABELS, LIST, MASTER, MODULE, MSEG, errors
from lsu_onto.exchange import ExchangeError, Options, export, import_
from lsu_onto.lang.fmt import format_text
from lsu_onto.library.library import Library

BITS = [
    '"',
    ",",
    "\n",
    "\r",
    "\t",
    "{",
    "}",
    "²",
    "-1",
    "255",
    "void",
    "any",
    "#",
    "# ",
    "allow: TAX301",
    "=",
    "é",
    "\0",
    "  ",
    "\u2028",
    "\x0b",
    "[",
    "]",
    "99999999999",
    "tax",
    "v1",
    "\\",
    ";",
    "..",
    "\\u0000",
    "\\ud800",
    "\\n",
    "&#0;",
    "&#11;",
    "<",
]


OURS = export(Library().ontology("demo_town", "demo"), "sssom")
OTHERS = (
    "# curie_map:\n#   x: https://x.org/\n# comment: wrapped\n#   text\n"
    "subject_id,subject_label,predicate_id,object_id,mapping_justification,confidence,author_id\n"
    "x:way,my way,skos:broadMatch,x:road,semapv:MappingReview,0.9,orcid:1|orcid:2\n"
    "x:bush,,skos:relatedMatch,x:vegetation,,1,\nx:bush,,skos:relatedMatch,x:terrain,,1,\n"
)


@pytest.mark.parametrize("seed", [pytest.param(n, marks=[pytest.mark.slow] * (n > 1)) for n in range(5)])
def test_mutated_files_are_imported_or_refused(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    def mutate(text: str, name: str) -> Path:
        for _ in range(chance.randint(1, 6)):
            i = chance.randrange(len(text) + 1)
            if chance.random() < 0.6:
                text = text[:i] + chance.choice(BITS) + text[i:]
            else:
                text = text[:i] + text[i + chance.randint(1, 9) :]
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    made = 0
    for _ in range(40):
        for format_, options, given in (
            ("csv", Options(), [(LIST, "a.csv")]),
            ("csv", Options(kind="source"), [(LIST, "a.csv")]),
            (
                "data-priors",
                Options(name="town"),
                [(LABELS, "labels.csv"), (MASTER, "master_labels_city.csv")],
            ),
            ("mseg", Options(column="town-4"), [(MSEG, "m.tsv")]),
            ("mmseg", Options(), [(MODULE, "m.py")]),
            ("json", Options(), [(json.dumps(MAPILLARY, indent=1), "m.json")]),
            ("json", Options(kind="source"), [(json.dumps(SUPERVISELY), "m.json")]),
            ("json", Options(), [(json.dumps(COCO), "m.json")]),
            ("xml", Options(), [(LABEL_STUDIO, "m.xml")]),
            ("xml", Options(), [(CVAT_XML, "m.xml")]),
            ("labelmap", Options(), [(LABELMAP, "m.txt")]),
            ("sssom", Options(), [(OURS, "m.tsv")]),
            ("sssom", Options(source="cityscapes", name="town"), [(OTHERS, "m.tsv")]),
        ):
            files: list[str | Path] = [mutate(text, name) for text, name in given]
            try:
                imported = import_(format_, files if format_ != "mmseg" else [f"{files[0]}:TownDataset"], options)
            except ExchangeError:
                continue
            made += 1
            assert format_text("", imported.text) == imported.text
            imported.text.encode()
            # What comes out can be read; ids and colours may be wrong, as the file said them.
            assert not [e for e in errors(imported.text) if not e.startswith(("TAX103", "TAX107", "TAX111"))], (
                imported.text
            )
    assert made > 50
