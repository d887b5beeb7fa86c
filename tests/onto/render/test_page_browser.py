"""The HTML page in headless Chromium, from disk, as a person uses it. Skipped where there is no browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.browser import LOW_CONTRAST, chromium, prefer
from helpers.large import DATASET, SOURCE, large_tax
from helpers.nasty import nasty
from helpers.processes import wait_until
from helpers.tax import TAX
from lsu_onto.library.library import Library
from lsu_onto.render import draw
from lsu_onto.render.page import page
from lsu_onto.render.serve import PageServer

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.keys import Keys  # noqa: E402


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "many.tax").write_text(large_tax())
    draw(Library().ontology(folder / "many.tax"), folder / "many.html", "map")
    return folder / "many.html"


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Any]:
    browser.get(file.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def one(browser: Any, css: str) -> Any:
    return browser.find_element("css selector", css)


def ids(browser: Any, css: str) -> set[str]:
    return set(browser.execute_script(f"return [...document.querySelectorAll('{css}')].map(e => e.dataset.id)"))


def hover(browser: Any, css: str) -> None:
    webdriver.ActionChains(browser).move_to_element(one(browser, css)).perform()


def press(browser: Any, key: str) -> None:
    webdriver.ActionChains(browser).send_keys(key).perform()


def test_hovering_shows_what_a_class_may_be(opened: Any) -> None:
    hover(opened, '#map [data-id="d56"]')  # ~ @nature void ! nature_sky
    said = one(opened, "#detail").text
    for words in ("label_56_x", "~ @nature void ! nature_sky", "~ nature_terrain", "∅ void", "raw value 112"):
        assert words in said
    assert "~ nature_sky" not in said
    assert ids(opened, "#map .c.on") == {"d56", "s27", "s28", "s30", "s31", "s32", "s63"}
    assert len(opened.find_elements("css selector", "#map .e.on")) == 6
    hover(opened, '#map [data-id="s35"]')  # the other way round: who may be drawn as it
    assert "= label_00_x" in one(opened, "#detail").text
    assert ids(opened, "#map .c.on") == {"s35", "d0", "d62", "d64"}
    hover(opened, '#map [data-id="d20"]')
    assert "both, and nothing else" in one(opened, "#detail").text
    hover(opened, "h1")
    assert ids(opened, "#map .c.on") == set()
    assert "Point at a class" in one(opened, "#detail").text


def test_clicking_pins_and_lets_go(opened: Any) -> None:
    one(opened, '#map [data-id="d3"]').click()
    hover(opened, "h1")
    assert "label_03" in one(opened, "#detail").text
    assert "pinned" in one(opened, "#detail").text
    assert ids(opened, "[aria-pressed=true]") == {"d3"}
    hover(opened, '#map [data-id="d5"]')  # looks at another, and comes back
    assert "label_05" in one(opened, "#detail").text
    hover(opened, "h1")
    assert "label_03" in one(opened, "#detail").text
    one(opened, "#detail .chip").click()  # its one source class
    assert ids(opened, "[aria-pressed=true]") == {"s38"}
    one(opened, '#map [data-id="s38"]').click()
    assert ids(opened, "[aria-pressed=true]") == set()
    one(opened, '#map [data-id="d3"]').click()
    press(opened, Keys.ESCAPE)
    hover(opened, "h1")
    assert ids(opened, "[aria-pressed=true], .c.on") == set()


def test_searching_names_official_names_and_notes(opened: Any) -> None:
    press(opened, "/")
    press(opened, "WHERE THEY ride")
    assert one(opened, "#count").text == f"1 of {DATASET + SOURCE + 1}"
    assert ids(opened, "#map [data-id]:not(.dim)") == {"d57"}
    search = one(opened, "#search")
    search.clear()
    search.send_keys("barrier--guard-rail", Keys.ENTER)
    assert ids(opened, "[aria-pressed=true]") == {"s2"}
    assert "construction_barrier_guard_rail" in one(opened, "#detail").text
    press(opened, Keys.ESCAPE)
    press(opened, Keys.ESCAPE)
    assert search.get_attribute("value") == ""
    assert ids(opened, ".c.dim") == set()


def test_by_keyboard_alone(opened: Any) -> None:
    press(opened, Keys.TAB)  # the tabs
    press(opened, Keys.ARROW_RIGHT)
    assert [one(opened, f"#{v}").is_displayed() for v in ("map", "tree", "matrix")] == [False, True, False]
    press(opened, Keys.ARROW_LEFT)
    press(opened, Keys.TAB)  # the search
    press(opened, Keys.TAB)  # the first class
    assert "label_00_x" in one(opened, "#detail").text
    press(opened, Keys.ARROW_DOWN)
    assert "label_01_x" in one(opened, "#detail").text
    press(opened, Keys.ENTER)
    assert ids(opened, "[aria-pressed=true]") == {"d1"}


OVERLAPS = """
const boxes = [...document.querySelectorAll(arguments[0])].map(e => {
  const range = document.createRange(); range.selectNodeContents(e);
  const inner = range.getBoundingClientRect(), outer = e.getBoundingClientRect();
  return {id: e.textContent, inner, outer};
});
const cut = boxes.filter(b => b.inner.left < b.outer.left - 1 || b.inner.right > b.outer.right + 1
  || b.inner.top < b.outer.top - 1 || b.inner.bottom > b.outer.bottom + 1);
const hit = [];
for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) {
  const a = boxes[i].outer, b = boxes[j].outer;
  if (a.left < b.right - .5 && b.left < a.right - .5 && a.top < b.bottom - .5 && b.top < a.bottom - .5)
    hit.push(boxes[i].id + ' | ' + boxes[j].id);
}
return [boxes.length, cut.map(b => b.id), hit];
"""


@pytest.mark.parametrize("view", ["map", "tree", "matrix"])
def test_no_label_is_cut_or_lies_on_another(opened: Any, view: str) -> None:
    one(opened, f"label[for=show-{view}]").click()
    count, cut, hit = opened.execute_script(OVERLAPS, f"#{view} .c")
    assert (cut, hit) == ([], [])
    assert count >= DATASET + SOURCE


def test_lines_end_at_their_classes(opened: Any) -> None:
    off = opened.execute_script("""
      const middle = (e) => { const b = e.getBoundingClientRect(); return (b.top + b.bottom) / 2; };
      const top = document.querySelector('#map svg').getBoundingClientRect().top;
      const left = document.querySelector('#map ul:first-child'), right = document.querySelector('#map ul:last-child');
      return [...document.querySelectorAll('#map .e')].map(e => {
        const line = e.querySelector('.line'), n = line.getTotalLength();
        const a = left.querySelector(`[data-id="${e.dataset.from}"]`);
        const b = right.querySelector(`[data-id="${e.dataset.to}"]`);
        return Math.max(Math.abs(line.getPointAtLength(0).y + top - middle(a)),
                        Math.abs(line.getPointAtLength(n).y + top - middle(b)));
      });""")
    assert len(off) > 100
    assert max(off) < 2


def test_pointing_at_a_cell_of_the_matrix(opened: Any) -> None:
    one(opened, "label[for=show-matrix]").click()
    hover(opened, "#matrix tbody tr:nth-child(2) td:nth-child(4)")
    assert ids(opened, "#matrix .c.on") == {"d1", "s36"}
    assert len(opened.find_elements("css selector", "#matrix td.cross")) == SOURCE + 1
    one(opened, '#matrix thead [data-id="s2"]').click()
    assert ids(opened, "#matrix [aria-pressed=true]") == {"s2"}
    assert len(opened.find_elements("css selector", "#matrix td.cross")) == DATASET


def test_a_source_alone(browser: Any, tmp_path: Path) -> None:
    draw(Library().ontology("demo"), tmp_path / "demo.html", "matrix")
    browser.get((tmp_path / "demo.html").as_uri())
    hover(browser, "#matrix tbody tr:nth-child(2) td:nth-child(4)")
    assert "channel 1" in one(browser, "#detail").text
    assert browser.get_log("browser") == []


def test_hostile_text_does_not_run(browser: Any, tmp_path: Path) -> None:
    draw(nasty(Library().ontology(TAX / "ok" / "field.tax")), tmp_path / "a.html", "map")
    browser.get((tmp_path / "a.html").as_uri())
    one(browser, '#map [data-id="d1"]').click()
    one(browser, '#map [data-id="s1"]').click()
    assert "<script>window.hit" in one(browser, "#detail").text
    assert browser.execute_script("return [window.hit, document.images.length]") == [None, 0]
    assert browser.get_log("browser") == []


def test_a_page_that_is_drawn_again_as_its_file_is_saved(browser: Any, tmp_path: Path) -> None:
    town = tmp_path / "town.tax"
    text = "tax 1\ndataset town v1 -> demo v1\n1 drivable > road lane_marking\n2 verge ~ grass void\n"

    def picture() -> str:
        town.write_text(text)
        return page(Library().ontology(town), "map")

    def seen(css: str) -> str:
        browser.switch_to.frame("page")
        found = " ".join(e.text for e in browser.find_elements("css selector", css))
        browser.switch_to.default_content()
        return found

    with PageServer() as server:
        server.show(picture(), "", "no warnings", "")
        browser.get(server.url)
        wait_until(lambda: browser.title == "town v1 → demo v1")
        assert one(browser, "#status").text == "no warnings" and not one(browser, "#findings").is_displayed()
        browser.switch_to.frame("page")
        one(browser, "label[for=show-tree]").click()
        one(browser, '#tree [data-id="d1"]').click()
        one(browser, "#search").send_keys("grass")
        browser.switch_to.default_content()

        server.show(None, "error", "there are errors", "error[TAX201]: <img src=x onerror=alert(1)>")
        wait_until(lambda: browser.title == "✗ town v1 → demo v1")
        assert one(browser, "#findings").text == "error[TAX201]: <img src=x onerror=alert(1)>"
        assert "drivable" in seen("#tree"), "the last picture"

        text = text.replace("drivable", "paved")
        server.show(picture(), "warning", "1 warning", "warning[TAX305]")
        wait_until(lambda: browser.title == "town v1 → demo v1")
        assert "paved" in seen("#tree") and "verge" in seen("#tree [aria-pressed=true]"), "what was chosen stays"
        assert seen("#count").startswith("1 of ")
        text = text.replace("verge", "edge")
        server.show(picture(), "", "no warnings", "")
        wait_until(lambda: "edge" in seen("#tree"))
        assert seen("#tree [aria-pressed=true]") == "", "another class has its place"
    wait_until(lambda: one(browser, "#status").text.startswith("lsu-onto has ended"))
    assert "edge" in seen("#tree")
    lost = [entry for entry in browser.get_log("browser") if "net::ERR_" not in entry["message"]]
    assert lost == [], "nothing but that the server is gone"


def test_without_javascript(browser: Any, file: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(file.as_uri())
        assert not one(browser, "#search").is_displayed()
        assert one(browser, "noscript p").is_displayed()
        one(browser, "label[for=show-tree]").click()
        assert one(browser, "#tree").is_displayed()
        assert not one(browser, "#map").is_displayed()
        assert "· may be everything but void" in one(browser, "#tree").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrasts_with_its_ground(browser: Any, file: Path, scheme: str) -> None:
    prefer(browser, scheme)
    browser.get(file.as_uri())
    texts = ".c, .sub, h1, h2, td[class], dd, label, .says, .group, .swatch"
    assert browser.execute_script(LOW_CONTRAST, texts) == []
