"""The page in a browser: it sorts, narrows, opens rows, and works by keyboard, on a phone, in the dark."""

from __future__ import annotations

import pytest

from tests.board.page_case import EVIL, board_runs, browser, html_of, open_page, resize

pytestmark = pytest.mark.slow

RANKED = "#board tbody.ranked tr"
UNSCORED = "\N{EN DASH}"  # the error without noise, which no run of the case has


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "index.html"
    file.write_text(html_of(board_runs()), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def chromium():
    found = browser()
    yield found
    found.quit()


@pytest.fixture
def page(chromium, path):
    resize(chromium, 1300)
    open_page(chromium, path, "#dataset=tiny&split=doubles")
    yield chromium
    assert chromium.get_log("browser") == []


def all_of(page, selector):
    return page.find_elements("css selector", selector)


def one(page, selector):
    (found,) = all_of(page, selector)
    return found


def texts(page, selector):
    return [each.text for each in all_of(page, selector)]


def methods(page):
    return texts(page, f"{RANKED} .name")


def in_row(number):
    """What a row shows that has the same number in each metric."""
    return [number, number, number, UNSCORED, number]


def keys(page, *pressed):
    for key in pressed:
        page.switch_to.active_element.send_keys(key)


def choose(page, name, text):
    from selenium.webdriver.support.ui import Select

    Select(one(page, f"#{name}")).select_by_visible_text(text)


def focused(page):
    return page.execute_script("return document.activeElement.textContent")


def test_it_says_what_is_best_and_whether_that_means_anything(page):
    assert texts(page, ".card .winner") == ["winner"] * 4
    assert texts(page, ".card .badge") == ["Shared lead"] * 4
    assert all("Ahead of level by" in text and "may be chance" in text for text in texts(page, ".card"))
    assert "winner ranks first of 5" in one(page, ".summary").text


def test_a_heading_sorts_and_sorts_back(page):
    by_pearson = one(page, '[data-sort="pearson"]')
    by_pearson.click()
    assert methods(page) == ["winner", "level", EVIL, "train_mean", "no_change"]
    heading = one(page, "th[aria-sort]")
    assert (heading.text.split()[0], heading.get_attribute("aria-sort")) == ("pearson", "descending")
    one(page, '[data-sort="pearson"]').click()
    assert methods(page)[0] == "no_change"
    assert one(page, "th[aria-sort]").get_attribute("aria-sort") == "ascending"


def test_less_is_better_sorts_the_other_way(page):
    one(page, '[data-sort="mse"]').click()
    assert methods(page)[0] == "winner"
    assert one(page, "th[aria-sort]").get_attribute("aria-sort") == "ascending"


def test_rows_are_found_by_a_part_of_their_name(page):
    one(page, "#filter").send_keys("LEV")
    assert methods(page) == ["level"]
    assert "1 row" in one(page, "#said").get_attribute("textContent")


def test_another_data_set_has_other_rows(page):
    choose(page, "dataset", "second")
    assert sorted(methods(page)) == ["other", "winner"]
    assert texts(page, "#published h3") == []
    choose(page, "dataset", "elsewhere (published only)")
    assert methods(page) == []
    assert "published, not run here" in one(page, "#published h3").text


def test_what_metrics_can_tell_stands_below_the_board_that_it_was_measured_on(page):
    one(page, "#trust summary").click()
    assert texts(page, "#trust tbody th") == ["pearson"]
    assert texts(page, "#trust tbody td") == ["0.100", "0.800", "0.900", "87%", "0.0200", "30%", "95%", "–"]
    choose(page, "dataset", "second")
    assert texts(page, "#trust summary") == []


def test_a_group_has_means_of_its_own(page):
    before = texts(page, f"{RANKED} .metric .number")
    choose(page, "group", "combo_seen2")
    assert texts(page, f"{RANKED} .metric .number") != before
    assert texts(page, ".card .badge") == ["Best mean"] * 4


def test_metrics_are_hidden_and_shown(page):
    one(page, "#metrics summary").click()
    one(page, "#metric-mse").click()
    assert all_of(page, '[data-sort="mse"]') == []
    one(page, "#metric-mse").click()
    assert len(all_of(page, '[data-sort="mse"]')) == 1


def test_scaled_scores_put_the_baseline_at_zero_and_the_limit_at_one(page):
    one(page, "#scaled").click()
    assert texts(page, "#board tbody.reference .number") == in_row("1.00")
    place = methods(page).index("train_mean")
    assert texts(page, f"{RANKED}:nth-child({place + 1}) .number") == in_row("0.0000")


def test_intervals_and_lines_are_drawn(page):
    style = all_of(page, f"{RANKED} .plot")[0].get_attribute("style")
    for name in ("--at", "--from", "--to", "--at-baseline", "--at-no-change", "--at-bound"):
        assert f"{name}:" in style
    (low, high) = (float(style.split(f"{name}: ")[1].split("%")[0]) for name in ("--from", "--to"))
    assert 0 <= low < high <= 100


def test_everything_special_is_marked(page):
    rows = dict(zip(methods(page), texts(page, RANKED), strict=True))
    assert "tuned" in rows["winner"]
    assert "6 refused" in rows["level"]
    assert "simple baseline" in rows["train_mean"]
    assert all_of(page, "#board tbody.failed") == []
    one(page, "#attempts").click()
    assert "failed" in one(page, "#board tbody.failed tr").text
    assert "published, not run here" in one(page, "#published h3").text


def test_a_row_opens_with_all_that_is_known_of_it(page):
    all_of(page, f"{RANKED} .name")[methods(page).index(EVIL)].click()
    dialog = one(page, "dialog[open]")
    assert "64" in all_of(page, "dialog .config")[0].text
    assert "<b>bold</b>" in dialog.text
    assert "s" * 64 in one(page, "dialog").get_attribute("textContent")
    page.execute_async_script("scoresOf(board()).then(() => setTimeout(arguments[0]))")
    assert len(all_of(page, ".perturbations tbody tr")) == 20
    assert "P00+Q" in dialog.text


def test_a_failed_row_says_why(page):
    one(page, "#attempts").click()
    one(page, "#board tbody.failed .name").click()
    assert "RuntimeError: out of memory" in one(page, "dialog[open]").text


def test_a_name_that_looks_like_markup_does_no_harm(page):
    assert EVIL in methods(page)
    assert page.title == "Perturbation prediction: leaderboard"
    assert page.execute_script("return document.querySelectorAll('#board script, #board img').length") == 0


def test_the_keyboard_is_enough(page):
    """From the top: the data set, then a heading, then a row and out of it again."""
    from selenium.webdriver.common.keys import Keys

    for _ in range(60):
        keys(page, Keys.TAB)
        if focused(page).startswith("pearson"):
            break
    keys(page, Keys.ENTER)
    assert one(page, "th[aria-sort]").text.startswith("pearson")
    assert focused(page).startswith("pearson"), "the focus stays where it was"
    assert "sorted by pearson" in one(page, "#said").get_attribute("textContent")
    for _ in range(60):
        keys(page, Keys.TAB)
        if focused(page) == "winner":
            break
    keys(page, Keys.ENTER)
    assert len(all_of(page, "dialog[open]")) == 1
    keys(page, Keys.ESCAPE)
    assert all_of(page, "dialog[open]") == []
    assert focused(page) == "winner"


def test_a_screen_reader_finds_a_table_with_names_for_everything(page):
    assert one(page, "#board table caption").get_attribute("textContent") == "tiny, split doubles"
    headings = all_of(page, "#board thead th")
    assert all(each.get_attribute("scope") == "col" for each in headings)
    assert len(all_of(page, f"{RANKED} th[scope=row]")) == 5
    unnamed = (
        "return [...document.querySelectorAll('input, select')].filter((each) => !each.labels.length).length"
    )
    assert page.execute_script(unnamed) == 0
    second = all_of(page, RANKED)[methods(page).index("level")]
    level = second.find_element("css selector", ".number").get_attribute("textContent")
    assert "not told apart from the best" in level


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1300])
def test_no_width_scrolls_the_page_sideways(page, path, width):
    resize(page, width)
    open_page(page, path, "#dataset=tiny&split=doubles")
    widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    content, shown = page.execute_script(widths)
    assert content <= shown
    all_of(page, f"{RANKED} .name")[0].click()
    content, shown = page.execute_script(widths)
    assert content <= shown


def test_a_phone_sorts_without_headings(page, path):
    resize(page, 390)
    open_page(page, path, "#dataset=tiny&split=doubles")
    assert not one(page, "#board thead").is_displayed()
    choose(page, "sort", "mse")
    assert methods(page)[0] == "winner"
    assert all_of(page, f"{RANKED} .plot")[0].is_displayed()


def contrast(page, selector):
    """The contrast of a text with what is behind it, as WCAG 2 defines it."""
    return page.execute_script(
        """
        const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
        const light = (color) => rgb(color).slice(0, 3).map((v) => v / 255)
          .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
          .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = (element) => {
          const color = getComputedStyle(element).backgroundColor;
          return rgb(color)[3] === 0 ? behind(element.parentElement) : color;
        };
        return [...document.querySelectorAll(arguments[0])].map((element) => {
          const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        });
        """,
        selector,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(page, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (int(paper[4:].split(",")[0]) < 128) == (scheme == "dark")
    found = contrast(page, "h1, p, small, .mark, .number, .level, button, legend, li, th, td, .badge")
    assert len(found) > 100
    assert min(found) >= 4.5


def test_a_browser_that_cannot_unpack_it_says_so(chromium, path):
    """Before 2023 browsers had no DecompressionStream."""
    hide = {"source": "delete globalThis.DecompressionStream"}
    hidden = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", hide)
    chromium.get("about:blank")
    chromium.get(path.as_uri())
    chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", hidden)
    assert "cannot be drawn here" in one(chromium, "#answer .notice").text
    assert "DecompressionStream is not defined" in chromium.get_log("browser")[0]["message"]


def test_a_view_can_be_sent_to_somebody(page, path):
    choose(page, "dataset", "second")
    one(page, '[data-sort="mse"]').click()
    address = page.current_url
    open_page(page, path)
    page.get("about:blank")
    page.get(address)
    assert one(page, "#dataset").get_attribute("value") == "second"
    assert one(page, "th[aria-sort]").text.startswith("mse")
