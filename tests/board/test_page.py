"""The page as a file: whole, safe, small, and with everything that is known of a run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib

import numpy as np
import pytest

from benchmark.board import HEADLINE, build_board
from benchmark.board.page import as_content
from benchmark.board.page.packed import packed_halves, packed_json
from benchmark.board.page.verdict import verdict
from benchmark.records.files import as_stored, write_record
from benchmark.records.tracking import Tracker
from benchmark.runs.run import run
from benchmark.studies.protocols import list_protocols, published_boards
from tests.board.board_case import alike, names, stored
from tests.board.page_case import EVIL, PUBLISHED, board_runs, html_of, scored
from tests.tiny import request


def content_of(runs) -> dict:
    """What the page reads, out of the file itself."""
    data = re.search(r'id="data">([^<]*)</script>', html_of(runs))[1]
    return json.loads(zlib.decompress(base64.b64decode(data)))


def block_of(runs):
    (block,) = build_board(runs)
    return block


def test_the_file_asks_the_network_for_nothing():
    text = html_of(board_runs())
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", text)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_the_policy_lets_this_script_run_and_no_other():
    text = html_of(board_runs())
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert text.count("<script") == 2


def test_no_name_reaches_the_markup():
    text = html_of(board_runs())
    assert "harmed" not in text
    (row,) = (row for row in content_of(board_runs())["boards"][1]["rows"] if row["method"] == EVIL)
    assert row["runs"][0]["config"] == {"width": 64, "path": "<b>bold</b>"}


def test_the_same_runs_give_the_same_file():
    assert html_of(board_runs()) == html_of(board_runs())


def test_each_row_has_its_seeds_digests_and_cost():
    runs = scored("winner", 0.4, tuning_trials="50", tuning_seconds="360", device="cpu")
    (row,) = content_of(runs)["boards"][0]["rows"]
    assert [each["seed"] for each in row["runs"]] == [0, 1]
    assert row["runs"][0]["split_digest"] == "s" * 64
    assert row["runs"][0]["seconds"] == 1.5
    assert row["trials"] == 50
    assert row["runs"][1]["means"]["mse"] == pytest.approx(
        np.mean(list(runs[1].scores["mse"].values())), rel=1e-3
    )


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"device": "cpu"}, "cpu"),
        ({"device": "cpu", "threads": "1"}, "cpu, 1 thread"),
        ({"device": "cpu", "threads": "16"}, "cpu, 16 threads"),
        ({"device": "cuda", "threads": "16"}, "cuda"),
    ],
)
def test_a_run_on_a_cpu_says_how_many_threads_it_used(tags, said):
    (row,) = content_of(scored("winner", 0.4, **tags))["boards"][0]["rows"]
    assert {each["device"] for each in row["runs"]} == {said}


def test_a_run_older_than_its_configuration_says_so():
    (row,) = content_of([stored("old", alike([0.1, 0.2]))])["boards"][0]["rows"]
    assert row["runs"][0]["config"] is None


@pytest.mark.usefixtures("store")
def test_a_run_knows_its_configuration_in_the_store_and_in_a_record(screen, tmp_path):
    record = run(request(screen, "linear"))[0]
    (of_store,) = Tracker().runs()
    write_record(record, tmp_path)
    assert of_store.config == as_stored(record).config == record.coordinates.config
    assert of_store.config


def test_a_long_configuration_is_spread_over_tags(monkeypatch):
    from benchmark.records.tracking import tags

    monkeypatch.setattr(tags, "TAG_LENGTH", 7)
    parts = tags._in_parts("config", '{"width": 64}')
    assert parts == {"config.0000": '{"width', "config.0001": '": 64}'}
    assert tags.StoredRun("id", "finished", 0, parts).config == {"width": 64}


def test_scores_per_perturbation_come_back_to_three_digits():
    values = np.array([0.1234, -5.678, 0.000123, np.nan, 40000.0, 1e9, 0.0])
    raw = np.frombuffer(zlib.decompress(base64.b64decode(packed_halves(values))), dtype=np.uint8)
    back = raw.reshape(2, -1)[::-1].T.copy().view("<f2").ravel().astype(float)
    np.testing.assert_allclose(back[[0, 1, 2, 4, 6]], values[[0, 1, 2, 4, 6]], rtol=1e-3)
    assert np.isnan(back[3])
    assert back[5] == 65504


def test_an_object_with_nan_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        packed_json({"value": float("nan")})


def test_a_clear_lead_is_called_clear():
    block = block_of(scored("good", 0.4) + scored("bad", 0.2))
    for card in verdict(block)["metrics"]:
        assert block.rows[card["row"]].method == "good"
        assert card["lead"] == "clear"
        (sentence,) = card["sentences"]
        assert sentence.startswith("Ahead of bad by 0.2 [0.2, 0.2], p < .001: more than chance")


def test_a_lead_in_one_seed_alone_is_not_called_clear():
    """Twenty perturbations say nothing of another training."""
    runs = [run for run in scored("good", 0.4) + scored("bad", 0.2) if run.tags["seed"] == "0"]
    for card in verdict(block_of(runs))["metrics"]:
        assert card["lead"] == "single"
        assert (
            card["sentences"][1]
            == "All rows were compared in one seed: other trainings may turn this around."
        )


def test_a_lead_that_may_be_chance_is_called_shared():
    block = block_of(scored("one", 0.300, noise=1) + scored("two", 0.299, noise=9) + scored("far", 0.0))
    card = verdict(block)["metrics"][0]
    assert card["lead"] == "shared"
    assert "which may be chance" in card["sentences"][0]
    assert card["sentences"][1].startswith("Beyond chance ahead of far by 0.3")


def test_a_lead_in_most_perturbations_that_the_mean_does_not_share_is_not_beyond_chance():
    """Nineteen of twenty are better by .01, one is worse by .19: the test says p < .01, the mean nothing."""
    better = np.full(20, 0.01)
    better[0] = -0.19 + 1e-6
    runs = [
        stored(method, alike(0.3 + gain), seed=seed, labels=names(20))
        for method, gain in (("often", better), ("even", np.zeros(20)))
        for seed in (0, 1)
    ]
    block = block_of(runs)
    card = verdict(block)["metrics"][-1]
    assert block.rows[card["row"]].method == "often"
    (behind,) = (row.behind_best["pearson"] for row in block.rows if row.method == "even")
    assert behind.corrected < 0.01
    assert behind.low < 0 < behind.mean
    assert card["lead"] == "shared"


def test_few_perturbations_are_not_tested():
    block = block_of(scored("one", 0.4, n=4) + scored("two", 0.2, n=4))
    card = verdict(block)["metrics"][0]
    assert card["lead"] == "untested"
    assert card["sentences"] == ["Ahead of two by 0.2, but 4 perturbations are too few for a test."]


def test_a_row_alone_and_a_board_without_ranks_have_words_too():
    assert "only ranked row" in verdict(block_of(scored("one", 0.4)))["summary"][0]
    failed = verdict(block_of([stored("one", {}, status="failed")]))
    assert failed["metrics"] == []
    assert "No run" in failed["summary"][0]


def test_rows_of_different_seeds_are_compared_over_the_seeds_that_all_have():
    """Seed 1, which only one has, would turn the order around."""
    runs = [
        stored("a", alike(np.full(8, 0.3)), seed=0, labels=names(8)),
        stored("a", alike(np.full(8, 0.0)), seed=1, labels=names(8)),
        stored("b", alike(np.full(8, 0.2)), seed=0, labels=names(8)),
    ]
    block = block_of(runs)
    found = verdict(block)
    assert found["seeds"] == [0]
    assert "compared over what all have, seed 0" in found["summary"][-1]
    assert block.rows[found["metrics"][0]["row"]].method == "a"
    (behind,) = (row for row in block.rows if row.method == "b")
    assert behind.behind_best["pearson"].mean == pytest.approx(0.1)


def test_the_best_row_is_behind_none_and_the_others_behind_it():
    block = block_of(board_runs()[:-4])
    for name in HEADLINE:
        (best,) = (row for row in block.rows if name in row.best_in)
        assert name not in best.behind_best
        for row in block.rows:
            if row.rank is not None and row is not best:
                assert row.behind_best[name].mean > 0


def test_published_rows_stand_on_their_board_or_on_one_of_their_own():
    boards = content_of(board_runs())["boards"]
    by_name = {each["dataset"]: each for each in boards}
    assert by_name["tiny"]["published"][0]["rows"][0]["label"] == "scGPT"
    assert by_name["second"]["published"] == []
    assert by_name["elsewhere"]["rows"] == []
    assert [each["dataset"] for each in boards][-1] == "elsewhere"


def test_every_card_has_its_published_rows():
    with_rows = [card for card in list_protocols() if card.published]
    for card, board in zip(with_rows, published_boards(), strict=True):
        assert (card.dataset, card.split) == (board.dataset, board.split)
        assert [row.method for row in board.rows] == [row.method for row in card.published]
        assert all(row.metrics or row.other for row in board.rows)
    assert published_boards(dataset="nowhere") == []


def test_the_content_has_no_number_that_json_lacks():
    runs = [stored("odd", {name: [float("nan"), 0.1] for name in HEADLINE})]
    content = as_content(build_board(runs), runs, PUBLISHED)
    json.dumps(content, allow_nan=False)
    assert content["boards"][0]["rows"][0]["metrics"]["mse"][3:] == [1, 1]
