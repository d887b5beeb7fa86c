"""The page of an audit in headless Chromium, from disk, as a person uses it. Skipped where there is no browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.audited import a_report
from helpers.audited_files import a_park
from helpers.browser import LOW_CONTRAST, chromium, prefer
from lsu_seg.audit.findings import Finding
from lsu_seg.audit.page import as_html, write_page
from lsu_seg.gallery.gallery import Gallery

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.keys import Keys  # noqa: E402


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def files(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`park`: a page with pictures. `many`: 60 x 60 classes."""
    folder = tmp_path_factory.mktemp("pages")
    report, sample, pictures, places = a_park(folder)
    write_page(report, sample, pictures, folder / "park.html", places)
    large = a_report(60, 60)
    notes = tuple(Finding("never-chosen", (d,), (d,), score=1.0) for d in range(60))
    large = replace(large, findings=(*large.findings, *notes))
    (folder / "many.html").write_text(as_html(large, {}, Gallery(), [], {}, None))
    return {name: folder / f"{name}.html" for name in ("park", "many")}


@pytest.fixture
def park(browser: Any, files: dict[str, Path]) -> Iterator[Any]:
    browser.get(files["park"].as_uri())
    yield browser
    assert browser.get_log("browser") == []


@pytest.fixture
def many(browser: Any, files: dict[str, Path]) -> Iterator[Any]:
    browser.get(files["many"].as_uri())
    yield browser
    assert browser.get_log("browser") == []


def one(browser: Any, css: str) -> Any:
    return browser.find_element("css selector", css)


def shown(browser: Any, css: str) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter(e => e.offsetParent).map(e => e.id)", css
    )


def press(browser: Any, *keys: str) -> None:
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def focus(browser: Any) -> str:
    return browser.execute_script("return document.activeElement.id")


def test_pictures_are_drawn_and_outlines_go_off(park: Any) -> None:
    drawn = park.execute_script(
        "const all = [...document.images]; all.forEach(i => { i.loading = 'eager'; });"
        "return Promise.all(all.map(i => i.decode())).then(() => all.filter(i => !i.naturalWidth).length)"
    )
    assert drawn == 0
    ragged = park.execute_script(
        "return [...document.querySelectorAll('.picture')].filter(p => new Set([...p.children].map(i => {"
        " const b = i.getBoundingClientRect(); return `${b.x} ${b.y} ${b.width} ${b.height}`; })).size > 1).length"
    )
    assert ragged == 0  # an outline is as large as its picture, and lies on it
    outline = one(park, ".finding .outline")
    assert outline.is_displayed()
    picture = one(park, ".finding .picture:has(.outline)")
    park.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    webdriver.ActionChains(park).move_to_element(picture).perform()
    assert not outline.is_displayed()
    webdriver.ActionChains(park).move_to_element(one(park, "#bar")).perform()
    press(park, "o")
    assert not outline.is_displayed()
    press(park, "o")
    assert outline.is_displayed()


def test_search_and_filter(park: Any) -> None:
    everything = shown(park, ".finding, .class")
    press(park, "/")
    assert focus(park) == "search"
    press(park, "GREEN")
    assert shown(park, ".finding") == ["finding-3"]
    assert "class-1" in shown(park, ".class") and "class-4" not in shown(park, ".class")
    assert one(park, "#count").text.startswith("1 findings")
    assert len(shown(park, "#table tbody tr")) == 1
    press(park, Keys.ESCAPE)
    assert shown(park, ".finding, .class") == everything
    one(park, "#kind option[value=never-chosen]").click()
    assert shown(park, ".finding") == ["finding-5"]
    one(park, "#class-1 a[href='#finding-3']").click()  # leads to what the filter hides
    assert "finding-3" in shown(park, ".finding")


def test_by_keys_from_finding_to_finding(park: Any) -> None:
    press(park, "j")
    assert focus(park) == "finding-1"
    press(park, "j", "j", "k")
    assert focus(park) == "finding-2"
    top = park.execute_script(
        "const top = (e) => e.getBoundingClientRect().top;"
        "return top(document.activeElement) - top(document.getElementById('bar'))"
    )
    assert 40 < top < 100
    press(park, *"jjj")
    assert focus(park) == "finding-5"
    press(park, "j")
    assert focus(park) == "class-0"
    press(park, "?")
    assert one(park, "#help").is_displayed()
    press(park, "j", Keys.ESCAPE)
    assert not one(park, "#help").is_displayed()
    press(park, "/", "j", "k")  # typed, not obeyed
    assert one(park, "#search").get_attribute("value") == "jk"


def test_a_cell_of_the_table_tells_its_figures(park: Any) -> None:
    cell = one(park, "#table tbody tr:nth-child(2) td:nth-of-type(5)")
    park.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    webdriver.ActionChains(park).move_to_element(cell).perform()
    tip = one(park, "#tip")
    assert tip.is_displayed() and "green / car: not allowed by the map; the teacher sees 83 % of it so" in tip.text
    assert len(park.find_elements("css selector", ".cross")) == 7 + 6 - 1  # a row and a column
    cell.find_element("css selector", "a").click()
    assert park.current_url.endswith("#finding-3")
    webdriver.ActionChains(park).move_to_element(one(park, "#bar")).perform()
    assert not tip.is_displayed()


def test_sixty_by_sixty_classes(many: Any) -> None:
    one(many, "#bar a[href='#table']").click()
    sizes = many.execute_script(
        "return [...new Set([...document.querySelectorAll('#table tbody td')].map(e => {"
        " const b = e.getBoundingClientRect(); return `${Math.round(b.width)} ${Math.round(b.height)}`; }))]"
    )
    assert sizes == ["20 20"]
    one(many, "#search").send_keys("class_59")
    assert shown(many, ".finding") == ["finding-69"]
    assert len(shown(many, "#table tbody tr")) == 1


@pytest.mark.parametrize("name", ["park", "many"])
@pytest.mark.parametrize("width", [500, 1400])
def test_nothing_is_wider_than_the_window(browser: Any, files: dict[str, Path], name: str, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(files[name].as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrasts_with_its_ground(browser: Any, files: dict[str, Path], scheme: str) -> None:
    prefer(browser, scheme)
    browser.get(files["park"].as_uri())
    texts = "h1, h2, h3, p, b, code, a:not(:empty), dt, dd, li, figcaption, .chip, .kind, .tax span, th, summary"
    assert browser.execute_script(LOW_CONTRAST, f"{texts}, button, select") == []


def test_without_javascript(browser: Any, files: dict[str, Path]) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(files["park"].as_uri())
        assert not one(browser, "#search").is_displayed()
        assert one(browser, "noscript p").is_displayed()
        assert "83 %" in one(browser, "#table tbody tr:nth-child(2) td:nth-of-type(5)").get_attribute("title")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
