"""What the page has for a talk or a paper: costs, learning curves, all ranks at a glance, a table to copy."""

from __future__ import annotations

import pytest

from benchmark.board import HEADLINE, build_board
from benchmark.board.page.content import as_content
from benchmark.board.page.costs import costs
from tests.board.board_case import alike, names, stored
from tests.board.page_case import browser, html_of, open_page, scored

PARTS = [
    *scored("trained", 0.3, processor_seconds="40"),
    *scored(
        "trained", 0.2, configuration="default, budget=0.25", budget="0.25", processor_seconds="10", started=1
    ),
    *scored("trained", 0.1, configuration="default, train_share=0.5", train_share="0.5", started=2),
]
RUNS = [
    *PARTS,
    *scored("cheap", 0.25, noise=5, processor_seconds="0.01"),
    *scored("untimed", 0.2, noise=9),
    *scored("limit", 0.5),
    *(
        stored(name, alike([level] * 3), labels=names(3), dataset="few", started=5)
        for name, level in (("cheap", 0.1), ("trained", 0))
    ),
    stored("broken", {}, status="failed", reason="ValueError: no", dataset="few"),
]


def line_of(block, lines, method):
    return next(line["points"] for line in lines if block.rows[line["row"]].method == method)


def test_budgets_and_shares_are_points_of_their_row_with_means_over_seeds():
    block = next(block for block in build_board(RUNS) if block.dataset == "tiny")
    lines = costs(block, RUNS)
    assert len(lines) == 3
    points = line_of(block, lines, "trained")
    assert [(each["budget"], each["share"], each["seconds"]) for each in points] == [
        (0.25, 1.0, 10.0),
        (1.0, 0.5, None),
        (1.0, 1.0, 40.0),
    ]
    row = next(row for row in block.rows if row.method == "trained")
    assert points[-1]["means"] == pytest.approx([row.metrics[name].mean for name in HEADLINE], rel=1e-3)
    place = HEADLINE.index("pearson")
    assert points[0]["means"][place] == pytest.approx(points[-1]["means"][place] - 0.1, abs=1e-3)


def test_points_are_over_the_seeds_that_all_of_a_row_have():
    runs = [run for run in RUNS if not (run.is_part and run.tags["seed"] == "1")]
    block = next(block for block in build_board(runs) if block.dataset == "tiny")
    points = line_of(block, costs(block, runs), "trained")
    first = [
        run for run in runs if run.tags["method"] == "trained" and run.tags["seed"] == "0" and not run.is_part
    ]
    place = HEADLINE.index("mse")
    expected = sum(first[0].scores["mse"].values()) / 20
    assert points[-1]["means"][place] == pytest.approx(expected, rel=1e-3)


def test_the_page_opens_on_the_data_set_that_says_most():
    blocks = build_board(RUNS)
    content = as_content(blocks, RUNS)
    assert content["boards"][content["opens"]]["dataset"] == "tiny"
    assert as_content([], [])["opens"] == 0


def test_reports_are_linked_from_their_runs():
    content = as_content(build_board(RUNS), RUNS, reports={RUNS[0].run_id: "reports/one/index.html"})
    linked = [run["report"] for board in content["boards"] for row in board["rows"] for run in row["runs"]]
    assert [each for each in linked if each] == ["reports/one/index.html"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    file = tmp_path_factory.mktemp("pictures") / "index.html"
    file.write_text(html_of(RUNS), encoding="utf-8")
    found = browser(1200)
    open_page(found, file)
    yield found
    assert found.get_log("browser") == []
    found.quit()


def texts(page, selector):
    return [each.get_attribute("textContent") for each in page.find_elements("css selector", selector)]


@pytest.mark.slow
def test_costs_and_learning_curves_are_drawn_for_each_headline_metric(page):
    assert len(page.find_elements("css selector", "#costs .chart")) == 2 * len(HEADLINE)
    titles = texts(page, "#costs circle title")
    assert any("trained (0.25 x the training)" in title and "10.0 s" in title for title in titles)
    assert any("trained (50%)" in title for title in titles)
    assert "Not drawn: 1 row whose" in texts(page, "#costs .remark")[0]


@pytest.mark.slow
def test_all_ranks_are_seen_at_a_glance(page):
    lines = [texts(page, f"#overview tbody tr:nth-child({n}) :is(th, td)") for n in (1, 2, 3)]
    assert sorted(lines) == sorted(
        [["trained", "2", "1"], ["cheap", "1", "2"], ["untimed", "\N{EN DASH}", "3"]]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "begins", "has"),
    [("Markdown", "| Rank | Method |", "| 1 | trained |"), ("LaTeX", "\\begin{table}", "1 & trained & ")],
)
def test_the_table_is_copied_with_the_line_that_says_where_it_is_from(page, name, begins, has):
    page.execute_script("document.querySelector('#copying details').open = true")
    page.find_element("css selector", f"#copy-{name}").click()
    text = page.find_element("css selector", "#copied").get_property("value")
    assert text.startswith(begins)
    assert has in text
    assert "Data set tiny, split doubles, 2 seeds" in text
    assert "de_overlap" in text if name == "Markdown" else "de\\_overlap" in text


@pytest.mark.slow
def test_numbers_and_dots_do_not_touch(page):
    gaps = page.execute_script("""
        return [...document.querySelectorAll('#board td.metric')].map((cell) => {
          const plot = cell.querySelector('.plot');
          if (!plot) return [99, ""];
          const number = cell.querySelector('.number');
          const right = number.getBoundingClientRect().right;
          return [plot.getBoundingClientRect().left - 4.5 - right, cell.textContent];
        });""")
    assert len(gaps) > 10
    assert [text for gap, text in gaps if gap < 0] == []


@pytest.mark.slow
def test_few_perturbations_show_no_interval_and_never_null_and_failures_wait_for_a_click(page):
    page.execute_script("change({ board: page.boards.findIndex((each) => each.dataset === 'few') })")
    assert page.find_elements("css selector", "#board tbody.failed") == []
    page.find_element("css selector", "#board tbody.ranked .name").click()
    dialog = page.find_element("css selector", "dialog[open]")
    assert "null" not in dialog.text
    page.execute_script("document.querySelector('dialog').close()")
    assert "null" not in page.find_element("css selector", "body").text


@pytest.mark.slow
def test_ahead_and_behind_agree_with_the_sign_beside_them(page):
    page.execute_script("change({ board: page.boards.findIndex((each) => each.dataset === 'tiny') })")
    seen = 0
    for place in range(len(page.find_elements("css selector", "#board tbody.ranked .name"))):
        page.execute_script(f"document.querySelectorAll('#board tbody.ranked .name')[{place}].click()")
        for line in page.find_elements("css selector", "dialog[open] section:first-of-type tbody tr"):
            _, words, by, *_ = [each.text for each in line.find_elements("css selector", "th, td")]
            sign = {"ahead": "+", "behin": "\N{MINUS SIGN}", "level": "0"}[words[:5]]
            assert by.startswith(sign), (words, by)
            seen += 1
        page.execute_script("document.querySelector('dialog').close()")
    assert seen > 8
