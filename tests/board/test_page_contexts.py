"""The page of a board with several contexts: it narrows to one, and draws what was learned where."""

from __future__ import annotations

import numpy as np
import pytest

from tests.board.board_case import alike, stored
from tests.board.page_case import browser, html_of, open_page, resize

pytestmark = pytest.mark.slow

LABELS = [f"{context}::P{k}" for context in ("K562", "RPE1") for k in range(8)]
LEVELS = {"train_mean": (0.0, 0.1), "good": (0.35, 0.2), "other": (0.1, 0.4)}


def runs():
    noise = np.random.default_rng(0).normal(0, 0.01, 8)
    noise -= noise.mean()
    return [
        stored(method, alike([*(one + noise), *(other + noise)]), labels=LABELS)
        for method, (one, other) in LEVELS.items()
    ]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html_of(runs()), encoding="utf-8")
    found = browser()
    resize(found, 1300)
    open_page(found, path, "#dataset=tiny&split=doubles")
    yield found
    assert found.get_log("browser") == []
    found.quit()


def texts(page, selector):
    return [each.text for each in page.find_elements("css selector", selector)]


def test_a_map_of_each_metric_has_the_contexts_and_their_mean(page):
    maps = page.find_elements("css selector", "#transfer figure")
    assert len(maps) == 4
    assert texts(page, "#transfer figure:last-child thead tr:last-child th") == [
        "Method",
        "K562",
        "RPE1",
        "mean",
    ]
    assert texts(page, "#transfer figure:last-child tbody th") == ["good", "other", "train_mean"]
    assert texts(page, "#transfer figure:last-child .best") == ["0.850", "0.775", "0.900"]
    assert "all trained on not known" in maps[-1].find_element("css selector", "figcaption").text


def test_the_rest_narrows_to_a_context_and_the_address_keeps_it(page):
    from selenium.webdriver.support.ui import Select

    choice = Select(page.find_element("css selector", "#context"))
    assert [each.text for each in choice.options] == ["mean over all contexts", "in K562", "in RPE1"]
    choice.select_by_visible_text("in RPE1")
    assert "group=in+RPE1" in page.current_url
    row = page.find_element("xpath", "//*[@id='board']//tr[.//button[contains(., 'other')]]")
    assert "0.900" in row.text


def test_maps_fit_a_phone(page):
    resize(page, 390)
    wide = (
        "return [...document.querySelectorAll('#transfer .scroll')].map(e => e.scrollWidth - e.clientWidth)"
    )
    assert max(page.execute_script(wide)) <= 0
    resize(page, 1300)
