"""The page of an audit: what it has, that it stands alone, and that nothing in it is taken for markup."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lsu_onto
from helpers.audited import a_report
from helpers.audited_files import SIZE, a_park
from helpers.forms import FORMS, write_tax
from lsu_seg.audit.findings import KINDS, Finding, Region
from lsu_seg.audit.page import as_html, write_page
from lsu_seg.audit.page_findings import article
from lsu_seg.audit.pictures import Pictures, make_strips
from lsu_seg.audit.words import WORDS
from lsu_seg.gallery.gallery import BUDGET, Gallery
from lsu_seg.layout.pairs import DatasetError

PANELS = ["image", "ground truth", "teacher", "pseudo-label"]


@pytest.fixture(scope="module")
def park(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return a_park(tmp_path_factory.mktemp("park"))


@pytest.fixture(scope="module")
def text(park: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    report, sample, pictures, places = park
    path = tmp_path_factory.mktemp("page") / "audit.html"
    write_page(report, sample, pictures, path, places)
    return path.read_text()


class Tags(HTMLParser):
    """Checks that what is opened is closed, and collects ids and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        values = dict(attrs)
        self.ids += [v for k, v in attrs if k == "id" and v]
        if (link := values.get("href")) is not None:
            self.links.append(link)
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# --- the text ----------------------------------------------------------------------------------------------


def test_the_page_stands_alone_and_is_well_formed(text: str) -> None:
    tags = Tags(text)
    assert tags.open == []
    assert len(tags.ids) == len(set(tags.ids))
    assert {link.removeprefix("#") for link in tags.links} <= set(tags.ids)
    assert not re.search(
        r'src="(?!data:image/(?:png|webp);base64,)|@import|url\((?!data:image/png;base64,)|https?:', text
    )
    (digest,) = re.findall(r"script-src 'sha256-([^']+)'", text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() == digest
    assert "default-src 'none'" in text and "img-src data:" in text


def test_each_kind_is_explained_and_ranked() -> None:
    report = a_report()
    text = as_html(report, {}, Gallery(), [], {}, None)
    assert Tags(text).open == []
    said = re.findall(r'class="finding (\w+)" id="finding-(\d+)" data-kind="([\w-]+)"', text)
    assert [kind for _, _, kind in said] == list(KINDS)
    assert [number for _, number, _ in said] == [str(n + 1) for n in range(len(KINDS))]
    assert [name for name, _, _ in said] == ["contradiction"] * 7 + ["note"] * 2
    notes = text.index('<section id="notes"')
    assert text.index('id="finding-7"') < notes < text.index('id="finding-8"')
    for words in WORDS.values():
        assert escape(words.meaning) in text and escape(words.advice) in text
    assert "the teacher is weak on <code>source_5</code>" in text
    assert "<dt>false alarms</dt><dd>0.3</dd>" in text
    assert "pixels annotated as <code>class_2</code> may only be <code>source_2</code>, but the teacher sees" in text


def test_a_finding_has_its_evidence_and_the_line_of_the_map(text: str) -> None:
    (shown,) = re.findall(r'<article[^>]*data-kind="insisted".*?</article>', text, re.S)
    for part in (
        r"park.tax:10</span><code>2 green   #70a030  &gt; grass tree</code>",
        "83 %",
        "7.31",
        "less than 0.01",
    ):
        assert part in shown
    (changed,) = re.findall(r'<article[^>]*data-kind="exchanged".*?</article>', text, re.S)
    assert "Proposed: <code>way</code> may be <code>sky</code>" in changed and "the finding is gone" in changed


def test_the_table_has_every_pair(text: str, park: Any) -> None:
    report = park[0]
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    rows = body.strip().split("<tr>")[1:]
    assert len(rows) == len(report.classes)
    cells = [re.findall(r'<td class="([^"]*)"([^>]*)>', row) for row in rows]
    assert {len(row) for row in cells} == {len(report.source_classes) + 1}
    assert [["allowed" in look for look, _ in row] for row in cells] == report.allowed.tolist()
    assert [look for look, _ in cells[1]] == [
        "undecidable",
        "allowed",
        "allowed",
        "",
        "about",
        "",
    ]
    assert all("undecidable" in look for look, _ in cells[4][:-1])  # not judged at all
    assert "--s:0.91" in cells[1][4][1]
    tip = "green / car: not allowed by the map; the teacher sees 83 % of it so; score"
    assert tip in cells[1][4][1] and "see finding 3" in cells[1][4][1]
    assert "nothing was seen of it" in cells[5][0][1]
    assert "had the map forgotten it, the audit would not have found it" in cells[1][0][1]


def test_each_class_has_its_section(text: str, park: Any) -> None:
    report = park[0]
    sections = dict(re.findall(r'<section class="class" id="class-(-?\d+)".*?>(.*?)</section>', text, re.S))
    assert list(sections) == [*map(str, range(len(report.classes))), "-1"]  # what is not annotated comes last
    assert [sections[f"{row}"].count("<figure") for row in range(-1, 6)] == [4, 4, 4, 4, 4, 0, 0]
    assert "not judged: the teacher was asked in none" in sections["4"]
    assert "May be <code>grass</code> or <code>tree</code>; the teacher sees <code>grass</code> 90 %" in sections["1"]
    assert 'See finding <a href="#finding-3">3</a>' in sections["1"]
    assert "at any share: road<" in sections["1"]  # and not `car`, which finding 3 has


# --- the pictures ------------------------------------------------------------------------------------------


def opened(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_a_finding_is_shown_as_image_annotation_teacher_and_label(park: Any) -> None:
    report, sample, pictures, _ = park
    strips, problems = make_strips(pictures, sample, report.findings, BUDGET)
    assert problems == []
    kinds = {f.kind: strips.get(i, []) for i, f in enumerate(report.findings)}
    assert {kind: len(shown) for kind, shown in kinds.items()} == {
        "mispaired": 2,
        "exchanged": 3,
        "insisted": 3,
        "void-hides": 1,
        "never-chosen": 0,
    }
    last, *others = kinds["insisted"]  # the last image has no label of the run; its teacher is that of the grid
    assert [p.title for p in last.panels] == ["image", "ground truth", "teacher, coarsely"]
    assert all([p.title for p in strip.panels] == PANELS for strip in others)
    for strip in (last, *others):
        inside = {p.title: [(name, share) for name, _, share in p.inside] for p in strip.panels}
        assert inside["ground truth"] == [("green", 1.0)] and strip.row == 1 and strip.outline
        (teacher,) = (inside[title][0] for title in inside if "teacher" in title)
        assert teacher[0] == "car" and teacher[1] > (0.99 if strip is not last else 0.5)
        assert inside.get("pseudo-label", [("grass", 1.0)]) == [("grass", 1.0)]
        assert {opened(p.picture).shape[:2] for p in strip.panels} == {strip.size[::-1]}
    assert kinds["void-hides"][0].row == -1
    assert kinds["mispaired"][0].row is None and not kinds["mispaired"][0].outline
    assert kinds["mispaired"][0].size == (360, round(360 * SIZE[0] / SIZE[1]))


def test_maps_have_the_colours_of_their_classes(park: Any) -> None:
    report, sample, pictures, _ = park
    strips, _ = make_strips(pictures, sample, [report.findings[0]], BUDGET)
    palette = pictures.constraint.source_palette
    for panel in strips[0][0].panels[2:]:
        colours = {tuple(c) for c in opened(panel.picture).reshape(-1, 3).tolist()}
        assert colours <= {*map(tuple, palette.tolist()), (20, 20, 20)}
        assert len(colours) >= 3


def test_what_cannot_be_opened_is_named_on_the_page(tmp_path: Path) -> None:
    report, sample, pictures, places = a_park(tmp_path)
    (tmp_path / "data/images/train/3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "run/labels/labels/train/2.png").write_bytes(b"<html>")
    Image.new("L", (3, 3)).save(tmp_path / "run/raw/labels/train/1.png")
    write_page(report, sample, pictures, tmp_path / "a.html", places)
    text = (tmp_path / "a.html").read_text()
    (problems,) = re.findall(r'<details class="problems" open><summary>Images.*?</details>', text, re.S)
    assert "could not be opened (3)" in problems
    for words in ("train/3.png: found a damaged PNG", "labels/labels/train/2.png: found", "a label of 3x3"):
        assert words in problems, words
    for kind in ("images", "labels"):
        next((tmp_path / "data" / kind / "train").glob("0.png")).unlink()
    pictures = Pictures.find(pictures.constraint, tmp_path / "data", ["train", "val"])
    write_page(report, sample, pictures, tmp_path / "a.html", places)
    text = (tmp_path / "a.html").read_text()
    assert "1 of 4 images that were looked at are gone, e.g. <code>labels/train/0</code>" in text
    assert "nothing matches <code>images/val/{stem}.png</code>" in text
    assert Pictures.find(pictures.constraint, tmp_path / "data").problems == ()  # `val` need not be there
    (tmp_path / "data").rename(tmp_path / "gone")
    with pytest.raises(DatasetError, match="no such folder"):
        Pictures.find(pictures.constraint, tmp_path / "data")
    write_page(report, sample, None, tmp_path / "b.html")
    assert "<img" not in (tmp_path / "b.html").read_text()


@pytest.mark.parametrize("form", FORMS)
def test_the_annotation_is_shown_in_every_encoding(tmp_path: Path, park: Any, form: str) -> None:
    rows = np.kron([[0, 1, 2, 3, 4, 5, 0, 1]], np.ones((8, 8), int))
    FORMS[form].write(tmp_path / "data", "train", {"x": rows})
    constraint = lsu_onto.load(write_tax(tmp_path / "tax", FORMS[form]))
    pictures = Pictures.find(constraint, tmp_path / "data")
    (key,) = pictures.sightings
    green = constraint.classes.index("green")
    finding = Finding("insisted", (green,), (4,), regions=(Region(key, (0, 8, 8, 16), 1.0),))
    strips, problems = make_strips(pictures, park[1], [finding], BUDGET)
    assert problems == [] and strips[0][0].panels[1].inside == [("green", "#70a030", 1.0)]


def test_a_region_outside_of_the_image_is_no_accident(park: Any) -> None:
    _, sample, pictures, _ = park
    far = Finding("insisted", (1,), (4,), regions=(Region(sample.keys[0], (500, 900, 600, 950), 0.1),))
    strips, problems = make_strips(
        pictures, sample, [far, replace(far, regions=(Region("gone", (0, 0, 1, 1), 1.0),))], BUDGET
    )
    assert [len(strips[0]), problems] == [1, []] and 1 not in strips


def test_the_same_audit_gives_the_same_page(park: Any, text: str, tmp_path: Path) -> None:
    report, sample, pictures, places = park
    write_page(report, sample, pictures, tmp_path / "again.html", places)
    assert (tmp_path / "again.html").read_text() == text


def test_the_pictures_of_many_findings_stay_in_the_budget(tmp_path: Path) -> None:
    """Also where images are noise, which no encoder makes small, and labels are scattered."""
    report, sample, pictures, _ = a_park(tmp_path)
    rng = np.random.default_rng(0)
    for file in sorted(tmp_path.glob("data/images/train/*.png")):
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(file)
    for file in sorted([*tmp_path.glob("data/labels/train/*.png"), *tmp_path.glob("run/*/labels/train/*.png")]):
        scattered = np.kron(rng.integers(1, 4, (18, 32), np.uint8), np.ones((4, 4), np.uint8))
        Image.fromarray(scattered).save(file)
    for number, budget in ((6, 200_000), (160, 2_000_000)):
        findings = [replace(report.findings[2], score=float(i)) for i in range(number)]
        strips, _ = make_strips(pictures, sample, findings, budget)
        texts = [article(report, i + 1, findings[i], shown, {}) for i, shown in strips.items()]
        assert budget // 8 < sum(map(len, texts)) < budget, number
        assert len(strips) == min(number, 150)


# --- names, and size ---------------------------------------------------------------------------------------

HOSTILE = "</script><script>window.hit=1</script><img src=x onerror=alert(1)>\"'&"


def test_hostile_names_are_text(tmp_path: Path) -> None:
    report = a_report()
    names = {"classes": (HOSTILE, *report.classes[1:]), "source_classes": (HOSTILE, *report.source_classes[1:])}
    hostile = replace(report, **names, remarks=(HOSTILE,), unseen={1: HOSTILE}, dataset=HOSTILE, source=HOSTILE)
    text = as_html(hostile, {}, Gallery(), [HOSTILE], {}, None)
    assert Tags(text).open == [] and "img" not in Tags(text).names
    assert text.count("<script") == 1 and HOSTILE not in text


def test_sixty_by_sixty_classes_make_a_page_of_reasonable_size() -> None:
    report = a_report(60, 60)
    many = tuple(Finding("never-chosen", (d,), (d,), score=1.0) for d in range(60))
    text = as_html(replace(report, findings=(*report.findings, *many)), {}, Gallery(), [], {}, None)
    assert Tags(text).open == []
    assert text.count("<td class=") == 60 * 61
    assert len(text) < 1_500_000


def test_the_grid_alone_shows_the_teacher(park: Any) -> None:
    report, sample, pictures, _ = park
    strips, _ = make_strips(replace(pictures, labels=None, raw=None), sample, report.findings, BUDGET)
    titles = [[p.title for p in strip.panels] for own in strips.values() for strip in own]
    assert ["image", "ground truth"] in titles  # the first image has no grid
    assert ["image", "ground truth", "teacher, coarsely"] in titles
