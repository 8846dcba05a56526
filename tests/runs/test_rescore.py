"""A metric that changed is computed anew for every run, from what the run predicted and nothing else."""

from __future__ import annotations

import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from benchmark.board import BOUNDS
from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS, Metric
from benchmark.evaluation.scoring import references_of
from benchmark.records import lookup
from benchmark.records.tracking import Tracker
from benchmark.runs.anchors import bound_at, record_bound
from benchmark.runs.handed_in import score_file
from benchmark.runs.rescore import rescore
from benchmark.runs.run import run
from benchmark.splits import load_split, split_file
from tests.machine.process_case import COMMAND, environment
from tests.tiny import COLUMNS, PATH_OPTIONS, request

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def dataset(screen):
    return load_dataset(str(screen), **COLUMNS)


@pytest.fixture
def declared():
    """The metrics, which are declared in the same order again afterwards: boards show them in it."""
    before = dict(METRICS)
    yield METRICS
    METRICS.clear()
    METRICS.update(before)


@pytest.fixture
def raised(monkeypatch):
    """Double the MSE, and raise its version; called when the runs have been done."""

    def raise_mse(version="2", factor=2.0):
        old = METRICS["mse"]
        new = Metric(replace(old.spec, version=version), lambda real, guess: factor * old.score(real, guess))
        monkeypatch.setitem(METRICS, "mse", new)

    return raise_mse


def stored(record):
    """What the board and the record say of a run: tags, record, table."""
    tracker = Tracker()
    (found,) = [each for each in tracker.runs() if each.run_id == record.run_id]
    return found, tracker.record(record.run_id)


def archive_of(record) -> Path:
    """The file of an archive in the store of this test."""
    folder = Tracker().client.get_run(record.run_id).info.artifact_uri
    return Path(folder.removeprefix("file://")) / record.archive


def test_a_raised_version_changes_that_metric_alone(screen, dataset, raised, monkeypatch):
    record, _ = run(request(screen))
    raised()
    # The method is not asked again.
    monkeypatch.setattr("methods.additive.Additive.fit", None)
    outcome = rescore(dataset=dataset)
    assert (outcome.done, outcome.current, outcome.skipped) == ([record.run_id], [], {})
    tags, again = stored(record)
    assert again.metric_versions == record.metric_versions | {"mse": "2"}
    assert again.metrics["mse"].mean == pytest.approx(2 * record.metrics["mse"].mean)
    assert tags.scores["mse"][again.perturbations[0]] == pytest.approx(again.scores["mse"][0], rel=1e-5)
    for name in record.scores.keys() - {"mse"}:
        assert again.scores[name] == record.scores[name], name
    kept = {"coordinates", "started", "seconds", "versions", "archive_sha256", "groups", "perturbations"}
    assert again.model_dump(include=kept) == record.model_dump(include=kept)
    assert again.rescored["at"] >= record.started


def test_everything_that_shows_scores_is_written_anew(screen, dataset, raised, type_, tmp_path):
    record, _ = run(request(screen))
    raised()
    rescore(dataset=dataset)
    tracker = Tracker()
    tags = tracker.client.get_run(record.run_id).data
    assert tags.metrics["mse"] == pytest.approx(2 * record.metrics["mse"].mean)
    folder = Path(tags.tags["record"]).parent
    path = tracker.client.download_artifacts(
        record.run_id, str(folder / "per_perturbation.csv"), str(tmp_path)
    )
    table = pd.read_csv(path, index_col="perturbation")
    np.testing.assert_allclose(table["mse"], 2 * np.array(record.scores["mse"]))
    code, out, _ = type_("leaderboard", "--format", "json")
    assert code == 0
    assert '"mse": "2"' in out


def test_metrics_that_are_new_come_and_those_that_are_gone_go(screen, dataset, declared, monkeypatch):
    """Also where fewer parts of the board's tags are needed than before."""
    monkeypatch.setattr("benchmark.records.tracking.TAG_LENGTH", 200)
    record, _ = run(request(screen))
    old = METRICS["mse"]
    gone = [
        name for name in METRICS if name.startswith(("de_", "pearson", "cosine")) and name != "de_overlap"
    ]
    for name in gone:
        del declared[name]
    declared["new"] = Metric(replace(old.spec, name="new"), lambda real, guess: 7.0)
    rescore(dataset=dataset)
    tags, again = stored(record)
    assert set(again.metrics) == set(tags.scores) == (set(record.metrics) | {"new"}) - set(gone)
    assert again.metrics["new"].mean == 7
    assert rescore(dataset=dataset).current == [record.run_id]


def test_runs_that_are_up_to_date_stay_as_they_are_unless_forced(screen, dataset):
    record, _ = run(request(screen))
    assert rescore(dataset=dataset).current == [record.run_id]
    assert stored(record)[1] == record
    assert rescore(dataset=dataset, force=True).done == [record.run_id]
    again = stored(record)[1]
    assert again.rescored
    assert again.scores == record.scores


def test_means_get_no_metric_of_cells(screen, dataset, tmp_path, raised):
    own = tmp_path / "own.py"
    own.write_text(
        "from methods.additive import Additive\n"
        "class Means(Additive):\n    name = 'means'\n    predicts = 'mean'\n"
    )
    record, _ = run(request(screen, f"{own}:Means"))
    assert rescore(dataset=dataset).current == [record.run_id]
    raised()
    rescore(dataset=dataset)
    assert set(stored(record)[1].metrics) == set(record.metrics)
    assert "interval_coverage_50" not in record.metrics


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_bound_is_computed_from_the_data(screen, dataset, raised, bound):
    at = run(request(screen))[0].coordinates
    record, _ = record_bound(bound_at(bound, at), dataset)
    assert record.archive == ""
    raised()
    assert record.run_id in rescore(dataset=dataset).done
    again = stored(record)[1]
    np.testing.assert_allclose(
        np.array(again.scores["mse"], float), 2 * np.array(record.scores["mse"], float), rtol=1e-12
    )
    assert again.scores["direction"] == record.scores["direction"]


@pytest.mark.slow
def test_a_submission_is_read_again_as_it_was(screen, dataset, tmp_path, raised):
    archive = archive_of(run(request(screen))[0])
    theirs = ad.read_h5ad(archive)
    theirs.obs = theirs.obs.rename(columns={"perturbation": "condition"})[["condition"]]
    theirs.obs["condition"] = theirs.obs["condition"].astype(str).str.replace("+", "_").to_numpy()
    theirs[:, ::-1].copy().write_h5ad(tmp_path / "theirs.h5ad")
    split = load_split(dataset, "doubles", 0)
    reading = {"perturbation_column": "condition", "separator": "_", "predicts": "mean", "cells": 30}
    record = score_file(tmp_path / "theirs.h5ad", dataset, split, name="theirs", **reading).record
    (tmp_path / "theirs.h5ad").unlink()
    raised()
    assert record.run_id in rescore(dataset=dataset).done
    again = stored(record)[1]
    np.testing.assert_allclose(again.scores["mse"], 2 * np.array(record.scores["mse"]))
    assert again.scores["pearson"] == record.scores["pearson"]


def test_a_damaged_archive_is_skipped_and_the_others_are_done(screen, dataset, raised, type_):
    bad, _ = run(request(screen))
    good, _ = run(request(screen, "train_mean"))
    path = archive_of(bad)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    raised()
    code, out, _ = type_("rescore", "--dataset", screen, *PATH_OPTIONS)
    assert code == 2
    line, last = out.splitlines()
    assert bad.run_id in line
    assert "another SHA-256" in line
    assert last == "1 runs rescored, 1 skipped, 0 were up to date"
    assert stored(bad)[1] == bad
    assert stored(good)[1].metric_versions["mse"] == "2"
    path.unlink()
    outcome = rescore(dataset=dataset)
    assert "predictions.h5ad is not in the run store" in outcome.skipped.popitem()[1]
    assert outcome.current == [good.run_id]


def test_other_data_and_other_splits_are_skipped(screen, dataset, raised, home):
    first, _ = run(request(screen))
    second, _ = run(request(screen, seed=1))
    raised()
    split_file("screen", "doubles", 0).unlink()
    assert "no frozen split doubles-0 of screen" in next(iter(rescore(dataset=dataset).skipped.values()))
    raised("3")
    made = load_split(dataset, "doubles", 0)
    other = made.model_copy(update={"test": made.test[:-1]}).sealed()
    split_file("screen", "doubles", 0).write_text(other.model_dump_json())
    outcome = rescore(dataset=dataset)
    assert f"its split has the digest {other.digest[:12]} now" in outcome.skipped.popitem()[1]
    assert outcome.done == [second.run_id]
    # Without the file there is no way to the data: every run on them says so.
    screen.unlink()
    outcome = rescore(force=True)
    assert len(outcome.skipped) == 2
    assert all("The file of 'screen', " in reason for reason in outcome.skipped.values())
    assert stored(first)[1] == first


@pytest.mark.slow
def test_the_reference_is_computed_once_for_all_runs_of_a_split(screen, dataset, raised, monkeypatch):
    for method in ("no_change", "train_mean", "additive"):
        for seed in (0, 1):
            run(request(screen, method, seed=seed))
    raised()
    seen = []

    def counted(dataset, split):
        seen.append(split.seed)
        return references_of(dataset, split)

    monkeypatch.setattr(lookup, "references_of", counted)
    assert len(rescore(dataset=dataset).done) == 6
    assert seen == [0, 1]


def test_one_run_can_be_chosen(screen, dataset, raised):
    first, _ = run(request(screen))
    run(request(screen, "train_mean"))
    raised()
    assert rescore(first.run_id, dataset=dataset).done == [first.run_id]
    with pytest.raises(BenchmarkError, match="no finished run 'nothing'"):
        rescore("nothing")


@pytest.mark.parametrize("where", ["log_artifact", "log_batch"])
@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), RuntimeError("anything")])
def test_a_run_whose_writing_fails_is_the_old_one(screen, dataset, raised, monkeypatch, where, trouble):
    record, _ = run(request(screen))
    before = stored(record)[0].tags
    raised()
    with monkeypatch.context() as patch:
        patch.setattr(f"mlflow.tracking.MlflowClient.{where}", failing(trouble))
        if isinstance(trouble, OSError):
            assert len(rescore(dataset=dataset).skipped) == 1
        else:
            with pytest.raises(RuntimeError, match="anything"):
                rescore(dataset=dataset)
    assert stored(record)[0].tags == before
    assert stored(record)[1] == record
    assert rescore(dataset=dataset).done == [record.run_id]
    assert stored(record)[1].metric_versions["mse"] == "2"


def failing(trouble):
    def fail(*args, **options):
        raise trouble

    return fail


@pytest.mark.slow
def test_an_interrupt_waits_until_a_run_is_written(screen, dataset, raised, monkeypatch):
    """Ctrl-C comes in the middle of writing: that run is new as a whole, the next is old."""
    records = [run(request(screen, method))[0] for method in ("additive", "train_mean")]
    raised()
    whole = Tracker.replace_record
    main = threading.main_thread().ident

    def interrupted(self, record, files):
        signal.pthread_kill(main, signal.SIGINT)
        whole(self, record, files)

    monkeypatch.setattr(Tracker, "replace_record", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rescore(dataset=dataset)
    found = [stored(record)[1] for record in records]
    assert sorted(each.metric_versions["mse"] for each in found) == ["1", "2"]
    for each, record in zip(found, records, strict=True):
        factor = float(each.metric_versions["mse"])
        assert each.metrics["mse"].mean == pytest.approx(factor * record.metrics["mse"].mean)


@pytest.mark.slow
def test_two_at_once_do_not_break_each_other(screen, dataset):
    """Two processes with --force: one waits, both do all."""
    records = [run(request(screen, method))[0] for method in ("additive", "train_mean")]
    command = [*COMMAND, "rescore", "--force", "--dataset", str(screen), *PATH_OPTIONS]

    def go(_):
        return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(go, range(2)):
            assert done.returncode == 0, done.stderr
            assert "2 runs rescored, 0 skipped" in done.stdout
    for record in records:
        assert stored(record)[1].scores == record.scores


def test_options_of_a_file_need_the_file(type_):
    code, out, err = type_("rescore", "--control-label", "control")
    assert (code, out) == (2, "")
    assert "name it with --dataset FILE.h5ad" in err


def test_nothing_recorded_is_nothing_to_do(type_):
    code, out, _ = type_("rescore")
    assert (code, out) == (0, "0 runs rescored, 0 skipped, 0 were up to date\n")
