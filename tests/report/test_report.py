"""`benchmark report`: a finished run becomes a page that needs nothing else, or nothing is written."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.records.lookup import Within, finished_run
from benchmark.records.tracking import StoredRun, Tracker
from benchmark.report import write
from benchmark.report.write import Request, write_report
from benchmark.runs.run import run
from tests.report.report_case import png_size
from tests.tiny import COLUMNS, PATH_OPTIONS, request


def stored(run_id: str, key: str, status: str = "finished", **tags: str) -> StoredRun:
    """A run as the store has it."""
    usual = {"method": "additive", "dataset": "made", "split": "doubles", "seed": "0"}
    digests = {"config_digest": "c", "split_digest": "s", "scores.0000": "{}"}
    return StoredRun(run_id, status, 0.0, {**usual, **digests, "key": key, **tags})


RUNS = [
    stored("ee11", "k1", status="failed"),
    stored("aa11", "k1"),
    stored("aa22", "k1"),
    stored("bb11", "k2", method="linear"),
    stored("bb22", "k3", method="linear", seed="1"),
]


@pytest.mark.parametrize(
    ("called", "found"),
    [
        ("latest", "aa11"),
        ("aa2", "aa22"),
        ("aa", "aa11"),
        ("k2", "bb11"),
        ("additive", "aa11"),
        ("bb22", "bb22"),
    ],
)
def test_a_run_is_found_by_what_people_call_it(called, found):
    """Of those with the same coordinates the newest is meant, and the store has the newest first."""
    assert finished_run(RUNS, called).run_id == found


def test_a_name_that_fits_several_runs_lists_them():
    with pytest.raises(
        BenchmarkError, match=r"fits 2 runs; .*bb11 \(linear, made doubles-0\), bb22 \(.*-1\)"
    ):
        finished_run(RUNS, "linear")


@pytest.mark.parametrize(
    ("called", "hint"), [("aditive", "did you mean 'additive'"), ("", "ids"), ("ee11", "There")]
)
def test_a_name_that_fits_none_says_so(called, hint):
    with pytest.raises(BenchmarkError, match=hint):
        finished_run(RUNS, called)


def test_latest_is_the_newest_that_was_asked_for():
    beside = [
        stored("cc11", "k7", method="ceiling"),
        stored("cc22", "k8", method="train_mean", anchor="true"),
    ]
    assert finished_run([*beside, *RUNS], "latest").run_id == "aa11"
    with pytest.raises(BenchmarkError, match="No method was run"):
        finished_run(beside, "latest")


def test_a_name_is_looked_for_among_the_runs_of_a_seed_and_a_data_set():
    assert finished_run(RUNS, "linear", Within(seed=1)).run_id == "bb22"
    assert finished_run(RUNS, "latest", Within(dataset="made", split="doubles", seed=1)).run_id == "bb22"
    with pytest.raises(BenchmarkError, match="No finished run has dataset other, seed 0"):
        finished_run(RUNS, "latest", Within(dataset="other", seed=0))


def test_without_any_run_it_says_how_to_make_one():
    with pytest.raises(BenchmarkError, match="No run has finished yet"):
        finished_run(RUNS[:1], "latest")


@pytest.fixture
def done(screen, store):
    """A run on the tiny screen."""
    return run(request(screen))[0]


def test_the_page_needs_no_other_file_and_shows_every_picture(done, screen, type_, tmp_path):
    folder = tmp_path / "pictures"
    code, out, err = type_("report", done.run_id[:10], "--output", folder, "--dataset", screen, *PATH_OPTIONS)
    assert code == 0, err
    page = (folder / "index.html").read_text(encoding="utf-8")
    # Nothing is fetched: every source is in the page, there are no links, scripts or style sheets.
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)
    sources = re.findall(r'src="([^"]*)"', page)
    pictures = sorted(folder.glob("*.png"))
    assert len(sources) == len(pictures) > 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert f"{len(pictures)} pictures" in out
    for picture in pictures:
        assert min(png_size(picture.read_bytes())) > 200
        assert len(pd.read_csv(picture.with_suffix(".csv")))
    assert "Left out losses: The method reported no losses" in out
    assert "Left out trajectory, network: The method does not generate a change of the network first." in out
    assert "Left out: losses: The method reported no losses" in page
    assert done.run_id in page
    assert {path.suffix for path in folder.iterdir()} == {".png", ".csv", ".html"}


def test_what_cannot_be_reported_is_one_sentence_and_writes_nothing(done, screen, type_, tmp_path):
    folder, data = tmp_path / "pictures", ["--dataset", screen, *PATH_OPTIONS]
    other = tmp_path / "file"
    other.touch()
    for arguments, reason in (
        (["nothing", *data], "There is no finished run 'nothing'"),
        (["latest", "--perturbations", "X+Y", *data], "There is no test perturbation 'X+Y'"),
        (["latest", *PATH_OPTIONS], "options of a file were given without one"),
        (["latest", "--output", other, *data], "is a file; name a folder"),
    ):
        code, out, err = type_("report", "--output", folder, *arguments)
        assert code == 2
        assert reason in err
        assert err.startswith("Error: ")
        assert err.strip().count("\n") == 0
        assert out == ""
        assert not folder.exists()


def test_an_interrupt_while_drawing_leaves_nothing(done, screen, monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "draw_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(
            Request("latest", output=tmp_path / "pictures"), lambda name: load_dataset(str(screen), **COLUMNS)
        )
    assert not (tmp_path / "pictures").exists()


def test_an_archive_that_is_not_the_recorded_one_is_refused(done, screen, type_, tmp_path):
    artifacts = Tracker().client.get_run(done.run_id).info.artifact_uri.removeprefix("file://")
    (Path(artifacts) / done.archive).write_bytes(b"other")
    code, _, err = type_("report", "latest", "--dataset", screen, *PATH_OPTIONS, "--output", tmp_path / "x")
    assert code == 2
    assert "not the file that was recorded" in err
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_refit_draws_the_cascade_and_says_whether_it_is_the_recorded_training(screen, store, type_, tmp_path):
    smoke = request(screen, "grnflow_sparse_pca", preset="smoke", device="cpu")
    run(smoke)
    data = ["--dataset", screen, *PATH_OPTIONS, "--output", tmp_path / "pictures"]
    code, out, err = type_("report", "latest", *data)
    assert code == 0, err
    advice = "A run keeps no weights; --refit trains the method again and draws this."
    assert f"Left out trajectory, network: {advice}" in out
    code, out, err = type_("report", "latest", "--refit", *data)
    assert code == 0, err
    assert "Left out" not in out
    page = (tmp_path / "pictures" / "index.html").read_text(encoding="utf-8")
    assert "trained again for the two stages, and predicts the recorded cells of" in page
    assert {"network.png", "trajectory.png"} <= {path.name for path in (tmp_path / "pictures").iterdir()}


def test_refit_is_refused_where_there_is_nothing_to_follow(done, screen, type_, tmp_path):
    code, _, err = type_("report", "latest", "--refit", "--dataset", screen, *PATH_OPTIONS)
    assert code == 2
    assert "--refit is for methods that work in two stages" in err
