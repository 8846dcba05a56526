"""A tuning tries what it is to try, once, and keeps the best."""

from __future__ import annotations

import json
import warnings

import pytest
from optuna.trial import TrialState

from benchmark.board import build_board
from benchmark.errors import BenchmarkError
from benchmark.records.tracking import Tracker
from benchmark.tuning.best import read_tuned
from benchmark.tuning.tune import tune
from benchmark.tuning.work import Bench
from tests.tiny import PATH_OPTIONS, write_screen
from tests.tuning.tuning_case import Case

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def case(screen):
    return Case(screen)


def trials(plan):
    """All that count."""
    return Bench.of(plan).study.trials()


@pytest.mark.slow
def test_the_default_is_tried_first_and_the_best_is_never_worse(case):
    tuned = tune(case.plan(trials=6, objective="mean_rank"))
    first, *others = trials(case.plan(trials=6, objective="mean_rank"))
    assert case.said[0]["config"] == {"scale": 0.5, "offset": 0, "kind": "a", "untuned": 7}
    assert first.params == {"scale": 0.5, "kind": "a"}
    assert tuned.configuration.default_value == first.value
    assert tuned.configuration.value == min(each.value for each in [first, *others])
    assert len(others) == 5
    assert all(each.params.keys() == {"scale", "offset", "kind"} for each in others)


def test_the_file_holds_the_best_configuration_and_what_it_cost(case, home):
    tuned = tune(case.plan(trials=5))
    assert tuned.file == home / "configs" / "scaled-screen-doubles-0-mse.json"
    read = read_tuned(tuned.file, "scaled")
    best = min(trials(case.plan(trials=5)), key=lambda trial: trial.value)
    assert read.config == {"offset": 0, "untuned": 7, "kind": "a", "scale": 0.5} | best.params
    assert (read.value, read.trials, read.objective, read.split) == (best.value, 5, "mse", "doubles")
    spent = sum(each.user_attrs["seconds"] for each in trials(case.plan(trials=5)))
    assert 0 < read.seconds == pytest.approx(spent, abs=0.01)
    assert {"python", "optuna", "commit"} < read.versions.keys()
    assert set(read.tuned_on).isdisjoint(label for each in case.said for label in each["labels"])


def test_the_same_command_goes_on_and_repeats_nothing(case):
    tune(case.plan(trials=3))
    assert len(case.scales) == 3
    tune(case.plan(trials=5))
    tuned = tune(case.plan(trials=5))
    assert len(case.scales) == len(set(case.scales)) == 5
    assert tuned.configuration.trials == 5


@pytest.mark.slow
def test_a_tuning_in_pieces_tries_what_one_in_one_piece_tries(case):
    for number in (1, 4, 12):
        tune(case.plan(trials=number, storage=f"sqlite:///{case.screen.parent / 'pieces.db'}"))
    pieces = list(case.scales)
    tune(case.plan(trials=12, storage=f"sqlite:///{case.screen.parent / 'one.db'}"))
    assert case.scales[12:] == pieces
    tune(case.plan(trials=4, seed=1))
    assert case.scales[25:] != pieces[1:4]


def test_other_data_code_objectives_or_settings_are_other_studies(case, tmp_path):
    names = {Bench.of(case.plan()).study.name}
    names.add(Bench.of(case.plan(objective="pearson")).study.name)
    names.add(Bench.of(case.plan(preset="small")).study.name)
    names.add(Bench.of(case.plan(settings={"untuned": 8})).study.name)
    names.add(Bench.of(case.plan(seed=1)).study.name)
    (tmp_path / "other").mkdir()
    other = Case(write_screen(tmp_path / "other" / "screen2.h5ad", seed=3))
    names.add(Bench.of(other.plan()).study.name)
    case.methods.write_text(case.methods.read_text() + "# changed\n")
    names.add(Bench.of(case.plan()).study.name)
    assert len(names) == 7


@pytest.mark.slow
def test_a_hopeless_training_is_ended_early_and_counts(case):
    tuned = tune(case.plan("Trains", trials=16))
    done = {state: [] for state in ("COMPLETE", "PRUNED")}
    for trial in trials(case.plan("Trains", trials=16)):
        done[trial.state.name].append(trial)
    assert len(done["PRUNED"]) + len(done["COMPLETE"]) == tuned.configuration.trials == 16
    assert tuned.states == {"complete": len(done["COMPLETE"]), "pruned": len(done["PRUNED"])}
    assert done["PRUNED"]
    steps = {}
    for each in case.said:
        if "step" in each:
            steps[each["of"]] = each["step"]
    for trial in done["PRUNED"]:
        assert steps[trial.params["scale"]] == 5
        assert trial.intermediate_values == {50: trial.params["scale"]}
    assert all(steps[trial.params["scale"]] == 10 for trial in done["COMPLETE"])


@pytest.mark.slow
def test_a_loss_that_rises_prunes_also_where_the_objective_is_maximised(case):
    """A validation loss is a loss, whatever is to be maximised."""
    tune(case.plan("Trains", trials=16, objective="pearson"))
    pruned = [
        each.params["scale"]
        for each in trials(case.plan("Trains", trials=16, objective="pearson"))
        if each.state == TrialState.PRUNED
    ]
    kept = [scale for scale in case.scales if scale not in pruned]
    assert pruned
    assert sum(pruned) / len(pruned) > sum(kept) / len(kept)


def test_a_configuration_that_fails_is_a_trial_with_its_reason(case):
    tuned = tune(case.plan("Fails", trials=8))
    failed = [each for each in trials(case.plan("Fails", trials=8)) if each.state == TrialState.FAIL]
    assert failed
    assert all(each.params["scale"] > 1 for each in failed)
    assert set(tuned.failures.values()) == {"ValueError: too large"}
    assert tuned.states == {"complete": 8 - len(failed), "failed": len(failed)}
    assert len(case.scales) == 8
    tune(case.plan("Fails", trials=8))
    assert len(case.scales) == 8


def test_where_all_fail_there_is_one_sentence_and_no_file(case, home):
    with pytest.raises(BenchmarkError, match=r"None of 2 configurations .* ValueError: no idea$"):
        tune(case.plan("AlwaysFails", trials=2))
    assert not (home / "configs").exists()


@pytest.mark.slow
def test_the_same_configuration_is_not_tried_twice(case):
    tuned = tune(case.plan("OneChoice", trials=8))
    assert tuned.configuration.trials == 8
    # The default, and each of two choices.
    assert [each["kind"] for each in case.said] in (["a", "a", "b"], ["a", "b", "a"])


@pytest.mark.slow
def test_no_trial_begins_after_the_time(case):
    with pytest.raises(BenchmarkError, match="No configuration was tried in the time"):
        tune(case.plan(timeout=0.0))
    assert case.scales == []
    assert tune(case.plan(trials=2, timeout=3600.0)).configuration.trials == 2


@pytest.mark.slow
def test_trials_are_runs_below_one_run_and_on_no_board(case):
    tune(case.plan("Trains", trials=3))
    tune(case.plan("Trains", trials=4))
    assert build_board(Tracker().runs()) == []
    runs = Tracker("tuning").runs()
    (parent,) = (run for run in runs if run.tags["role"] == "study")
    children = [run for run in runs if run.tags["role"] == "trial"]
    assert len(children) == 4
    assert {run.tags["mlflow.parentRunId"] for run in children} == {parent.run_id}
    assert {run.status for run in runs} == {"finished"}
    client = Tracker("tuning").client
    newest = client.get_run(children[0].run_id).data
    assert newest.params.keys() == {"scale", "offset", "kind"}
    assert newest.metrics["value"] == newest.metrics["mse"]
    assert [point.step for point in client.get_metric_history(children[0].run_id, "train/validation")] == [
        5,
        10,
    ]
    files = {file.path for file in client.list_artifacts(parent.run_id)}
    assert {"trains-screen-doubles-0-mse.json", "trains-screen-doubles-0-mse-history.png"} <= files


def test_trouble_with_the_run_store_is_warned_of_and_the_tuning_goes_on(case, caplog, monkeypatch):
    def broken(self, *arguments, **options):
        raise ConnectionError("gone")

    monkeypatch.setattr(Tracker, "log", broken)
    assert tune(case.plan(trials=2)).configuration.trials == 2
    assert "A trial is not in the run store (gone)" in caplog.text


@pytest.mark.slow
def test_pictures_are_drawn_beside_the_file(case):
    tuned = tune(case.plan(trials=7))
    assert [path.name for path in tuned.pictures] == [
        "scaled-screen-doubles-0-mse-history.png",
        "scaled-screen-doubles-0-mse-importance.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tuned.pictures)


@pytest.mark.slow
def test_the_end_of_the_command_says_what_changed(type_, case):
    options = ("--dataset", case.screen, *PATH_OPTIONS, "--objective", "mse", "--trials", 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code, out, err = type_("tune", "--method", case.spelt("Scaled"), *options)
    assert code == 0
    best = json.loads((case.screen.parent / "home/configs/scaled-screen-doubles-0-mse.json").read_text())
    assert f"{best['value']:.4g}" in out
    assert f"{best['default_value']:.4g}" in out
    assert f"{best['config']['scale']:.4g}" in out
    assert "untuned" not in out
    assert "6 configurations (6 complete)" in out
    assert "tune scaled: 6 steps" in err
    assert f"best {best['value']:.4g}" in err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--method", "linaer"], "did you mean 'linear'?"),
        (["--method", "additive"], "'additive' has nothing to tune: it declares no search"),
        (["--method", "linear", "--objective", "msee"], "There is no objective 'msee'; did you mean 'mse'?"),
        (["--method", "linear", "--split", "double"], "There is no split 'double'"),
        (["--method", "linear", "--trials", "0"], "--trials must be at least 1, not 0"),
        (["--method", "linear", "--jobs", "0"], "--jobs must be at least 1, not 0"),
        (["--method", "linear", "--preset", "huge"], "There is no preset 'huge'"),
        (["--method", "linear", "--set", "rnak=3"], "did you mean 'rank'?"),
        (["--method", "linear", "--output", "best.toml"], "give best.toml a name that ends in .json"),
        (["--method", "linear", "--output", "gone/best.json"], "There is no folder gone"),
        (["--method", "linear", "--device", "tpu"], "There is no device 'tpu'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_get_one_line_and_leave_nothing(type_, case, home, options, sentence):
    before = sorted(home.rglob("*"))
    code, out, err = type_("tune", *options)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("Error: ")
    assert sentence in line
    assert sorted(home.rglob("*")) == before


def test_a_metric_of_cells_is_no_objective_for_a_method_that_predicts_means(case):
    with pytest.raises(BenchmarkError, match="is for predicted cells, and 'only_means' predicts means"):
        tune(case.plan("OnlyMeans", objective="calibration_error"))


def test_auto_tunes_on_the_split_that_suits_the_data(case, home):
    plan = case.plan(trials=1, split="auto")
    assert Bench.of(plan).study.name == Bench.of(case.plan(trials=1)).study.name
    assert tune(plan).file == home / "configs" / "scaled-screen-doubles-0-mse.json"


def test_lists_of_ones_own_are_tuned_on_their_validation_part(case, tmp_path):
    """What is held out again is of the kind that they hold out: pairs here."""
    labels = sorted(Bench.of(case.plan()).problem.dataset.adata.obs["perturbation"].unique())
    pairs = [label for label in labels if "+" in label]
    parts = {"test": pairs[:2], "validation": pairs[2:4], "train": pairs[4:] + [labels[0].split("+")[0]]}
    (tmp_path / "mine.json").write_text(json.dumps(parts))
    problem = Bench.of(case.plan(split=str(tmp_path / "mine.json"))).problem
    assert list(problem.labels) == parts["validation"]
    assert len(problem.split.validation) == 1
    assert "+" in problem.split.validation[0]
