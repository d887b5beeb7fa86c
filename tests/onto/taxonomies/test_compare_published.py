"""`tools/compare_published.py` on a drawn example, and the page docs/maps.md against the maps as they are."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from lsu_onto.library.library import Library

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "maps.md"


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_published", ROOT / "tools" / "compare_published.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


tool = _tool()

TAXONOMY = """\
tax 1
source tiny v1
0 road  #000001
1 grass #000002
2 car   #000003

dataset yard v1 -> tiny v1
encoding: id
0 nothing "not labelled"  #000000 -> any
1 drive                   #000001 < road
2 lawn                    #000002 aka "the lawn" ~ grass void  # flower beds are no class
3 mud                     #000003 < road        # published as grass
4 vehicle                 #000004 < car
5 thing                   #000005 -> void
"""

LABELS = """\
0,name,id,trainId
0,not-labelled,0,0
1,drive,1,1
2,The Lawn,2,2
3,swamp,3,3
4,vehicle ,4,4
"""

MAPPING = """\
trainId,name,,,
0,road,drive,carvoid,
1,grass,swamp,The Lawn,drive
2,car,vehicle ,,
255,void,The Lawn,,
"""


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    (tmp_path / "yard.tax").write_text(TAXONOMY)
    (tmp_path / "labels.csv").write_text(LABELS)
    (tmp_path / "master_labels_tiny.csv").write_text(MAPPING)
    return tmp_path


def run(*args: str | Path) -> str:
    result = CliRunner().invoke(tool.main, [str(a) for a in args])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_clone_of_the_published_files_is_found_as_well_as_a_folder_with_nothing_else(tmp_path: Path) -> None:
    file = "master_labels_cityscapes.csv"
    for folder in (tmp_path / "clone" / "datasets" / "IDD" / "lists", tmp_path / "files" / "IDD"):
        folder.mkdir(parents=True)
        (folder / file).write_text("trainId,name\n0,road,road\n255,void,\n")
        ((name, source, path),) = tool.published_files(tmp_path / folder.relative_to(tmp_path).parts[0], None, None)
        assert (name, source, path) == ("idd", "cityscapes", folder / file)
        assert tool.compare(Library().ontology(name, source), path).file == f"IDD/{file}"


def test_sets_remarks_and_what_matches_nothing(drawn: Path) -> None:
    out = run("yard", "--source", "tiny", "--published", drawn, "--path", drawn, "--format", "json")
    (found,) = json.loads(out)["maps"]
    assert (found["dataset"], found["source"]) == ("yard v1", "tiny v1")
    rows = {r["name"]: (r["published"], r["ours"], r["same"], r["remark"]) for r in found["classes"]}
    assert rows == {
        "nothing": (["void"], ["road", "grass", "car", "void"], False, "not mentioned"),
        "drive": (["road", "grass"], ["road"], False, ""),
        "lawn": (["grass", "void"], ["grass", "void"], True, ""),  # by its alias
        "mud": (["grass"], ["road"], False, "as `swamp`"),  # by its id
        "vehicle": (["car"], ["car"], True, ""),  # its blank is read as not meant
        "thing": (["void"], ["void"], True, "not mentioned"),
    }
    assert found["unmatched"] == ["`carvoid` in the row of `road`"]
    assert {r["name"]: r["why"] for r in found["classes"] if r["why"]} == {
        "lawn": "flower beds are no class",
        "mud": "published as grass",
    }


def test_text_and_page(drawn: Path) -> None:
    text = run("yard", "--source", "tiny", "--published", drawn / "master_labels_tiny.csv", "--path", drawn)
    assert "6 classes, 3 as published, 3 differ" in text
    assert "only published  grass" in text and "published as grass" in text and "NO NOTE" in text
    page = run("yard", "--source", "tiny", "--published", drawn, "--path", drawn, "--format", "md")
    assert "| `mud` | grass *(as `swamp`)* | road | published as grass |" in page
    assert "| `nothing` | void *(not mentioned)* | any |  |" in page
    assert "- `lawn`: grass void\n" in page
    assert "`carvoid` in the row of `road`" in page


def test_errors_say_what_to_do(drawn: Path) -> None:
    def failed(*args: str | Path) -> str:
        result = CliRunner().invoke(tool.main, [str(a) for a in args])
        assert result.exit_code in (1, 2) and not isinstance(result.exception, OSError)
        return result.output

    assert "give DATASET and --source" in failed("--published", drawn / "labels.csv")
    assert "none of its rows is a class of `tiny`" in failed(
        "yard", "--source", "tiny", "--published", drawn / "labels.csv", "--path", drawn
    )
    assert "master_labels_demo.csv" in failed("demo_town", "--source", "demo", "--published", drawn)
    assert "there is no map from `yord`" in failed("yord", "--source", "tiny", "--published", drawn, "--path", drawn)
    assert "give the folder data-priors" in failed("--published", drawn)


# --- the page -------------------------------------------------------------------------------------------

Sections = dict[str, tuple[list[list[str]], dict[str, str]]]


def page_sections() -> Sections:
    """Title → the cells of its departures, and the sets of the classes that are as published."""
    found: Sections = {}
    for part in re.split("^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, body = part.split("\n", 1)
        cells = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in body.splitlines() if line.startswith("| `")]
        found[title] = (cells, dict(re.findall(r"^- `(\w+)`: (.+)$", body, re.MULTILINE)))
    return found


@pytest.mark.skipif(not PAGE.is_file(), reason="no map has been compared yet")
def test_the_page_is_current() -> None:
    """Every set that the page states as ours, and every why, is what the map says now; no class is left out."""
    sections = page_sections()
    assert sections, f"{PAGE} has no section"
    library = Library()
    for title, (departures, same) in sections.items():
        dataset, source = title.split(" → ")
        ontology = library.ontology(dataset, source)
        names = [ontology.dataset.classes[r.cls].name for r in ontology.rows]
        now = {n: tool.set_text(ontology, tool.allowed(ontology, r)) for n, r in zip(names, ontology.rows, strict=True)}
        whys = {n: tool.reason(r) for n, r in zip(names, ontology.rows, strict=True)}
        stated = {c[0].strip("`"): c[2] for c in departures} | same
        assert stated == now, f"{title}: run tools/compare_published.py, as the page says"
        assert len(departures) + len(same) == len(now), title
        for name, published, ours, why in departures:
            assert why.strip(), f"{title}: {name} departs without a note in the map"
            assert why.replace("&lt;", "<").replace("\\|", "|") == whys[name.strip("`")], f"{title}: {name}"
            assert re.sub(r" \*\(.*", "", published) != ours, f"{title}: {name} does not depart"
        written = re.search(
            rf"^\| \[{re.escape(title)}\].*\| (\d+) \| (\d+) \| (\d+) \|$",
            PAGE.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        assert written and [int(n) for n in written.groups()] == [len(now), len(same), len(departures)], title
