"""The report's page in headless Chromium, from disk, as a person uses it. Skipped where there is no browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.browser import LOW_CONTRAST, chromium, prefer
from helpers.reported import HOSTILE, counts, judge, log, step, validation
from lsu_seg.unify import report

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.keys import Keys

NAMES = ["road", *(f"class_with_a_long_name_{i}" for i in range(122)), HOSTILE]
MODELS = {"teacher": 0.6, "student_constrained": 0.8}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """124 classes, two datasets, two models with logs."""
    work = tmp_path_factory.mktemp("run")
    results: dict[str, Any] = {"pseudo_labels": {}, "settings": {"seed": 0}}
    for model, right in MODELS.items():
        tables = {"val": counts(3, 124, 0.8), "other": counts(3, 124, right, present=2)}
        tables["val"][:, 0, :2] = (400, 600)
        results[model] = judge(work / "evaluation" / model, tables, NAMES)
        log(work / model, "20260101_000000", [step(10, 2.0), step(20, right), validation(20, right)])
    return report.write(work / "report", "demo", results, [], work, list(MODELS))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def shown(browser: Any, page: Path) -> Iterator[Any]:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    yield browser
    assert browser.get_log("browser") == []
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def one(browser: Any, css: str) -> Any:
    return browser.find_element("css selector", css)


def bars(browser: Any) -> list[str]:
    script = "return [...document.querySelectorAll('.class')].filter(e => e.offsetHeight).map(e => e.dataset.class)"
    return list(browser.execute_script(script))


def choose(browser: Any, name: str, value: str) -> None:
    one(browser, f"#{name} option[value='{value}']").click()


def test_on_a_phone_only_boxes_scroll_sideways(shown: Any) -> None:
    assert shown.execute_script("return document.documentElement.scrollWidth") == 390
    assert shown.execute_script("return document.querySelector('#canvas').offsetWidth") > 1000


def test_filters(shown: Any) -> None:
    assert len(bars(shown)) == 126
    one(shown, "#search").send_keys("ROAD")
    assert bars(shown) == ["road", "road"]
    choose(shown, "change", "gained")
    assert bars(shown) == ["road"], "on val, both models are the same"
    choose(shown, "set", "val")
    assert bars(shown) == [] and one(shown, "#none").is_displayed()
    one(shown, "#clear").click()
    assert len(bars(shown)) == 126
    choose(shown, "change", "lost:student_constrained")
    assert bars(shown) == []
    one(shown, "body").send_keys(Keys.ESCAPE)
    choose(shown, "set", "other")
    assert len(bars(shown)) == 2
    assert one(shown, "#count").text == "2 of 126 bars"
    assert "other" in one(shown, "#matrix option:checked").text


def test_cells_of_the_matrix_tell_their_counts(shown: Any) -> None:
    canvas = one(shown, "#canvas")
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert one(shown, "#cell").text == "road, recognised: 40.0 %, 1,200 of 3,000 pixels"
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert one(shown, "#cell").text.startswith("road, taken for class_with_a_long_name_0: 60.0 %, 1,800 of")
    canvas.send_keys(*[Keys.ARROW_DOWN] * 9)
    assert one(shown, "#cell").text.startswith("class_with_a_long_name_8, taken for class_with_a_long_name_0: 0.0 %")
    one(shown, "#search").send_keys("name_7")
    place = shown.execute_script(  # a tap on the third of the rows that are left: name_7, name_70, name_71
        "const c = document.querySelector('#canvas'); c.scrollIntoView({block: 'center'});"
        "const b = c.getBoundingClientRect(), cell = 11, left = c.offsetWidth - 2 - 125 * cell;"
        "c.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true, pointerType: 'touch',"
        " clientX: b.left + left + 72.5 * cell, clientY: b.top + left + 2.5 * cell}));"
        "return document.querySelector('#cell').textContent"
    )
    assert place.startswith("class_with_a_long_name_71, recognised: 80.1 %, 2,403 of 3,000")


def test_curves_tell_their_values(shown: Any) -> None:
    loss = one(shown, ".chart svg")
    loss.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert one(shown, ".chart output").text == "iteration 20: teacher 0.6, student, constrained labels 0.8"
    assert "teacher: 2 at iteration 10, 0.6 at iteration 20" in loss.get_attribute("aria-label")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrasts_with_its_ground(shown: Any, scheme: str) -> None:
    prefer(shown, scheme)
    texts = "h1, h2, h3, h4, p, a, th, td, .sub, .gain, .key, .bar span:not(.track), select, button"
    assert shown.execute_script(LOW_CONTRAST, texts) == []


def test_without_javascript(browser: Any, page: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page.as_uri())
        assert not one(browser, "#search").is_displayed() and not one(browser, "#canvas").is_displayed()
        assert one(browser, "noscript p").is_displayed()
        assert one(browser, ".chart polyline").is_displayed()
        assert len(browser.find_elements("css selector", ".class")) == 126
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
