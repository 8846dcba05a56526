"""A tuned configuration is run from its file, and the run says where it comes from and what it cost."""

from __future__ import annotations

import json
import shutil

import pytest

from benchmark.data import load_dataset
from benchmark.records.tracking import Tracker
from benchmark.registry import load_method
from benchmark.splits import load_split
from benchmark.tuning.best import read_tuned
from benchmark.tuning.tune import tune
from tests.tiny import COLUMNS, PATH_OPTIONS, write_screen
from tests.tuning.tuning_case import Case

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def case(screen):
    return Case(screen)


@pytest.fixture(scope="module")
def tuning(tmp_path_factory, _empty_store):
    """One tuning, in a home of its own, whose file all tests read."""
    folder = tmp_path_factory.mktemp("tuning")
    shutil.copy(_empty_store, folder / "mlflow.db")
    tuned = Case(write_screen(folder / "screen.h5ad"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHMARK_HOME", str(folder))
        tune(tuned.plan(trials=4, output=folder / "best.json"))
    return tuned


@pytest.fixture
def file(tuning, tmp_path):
    return shutil.copy(tuning.screen.parent / "best.json", tmp_path / "best.json")


@pytest.fixture
def run_(type_, case):
    """Run a method on the screen; returns exit code, stdout and stderr."""

    def run(method, *options):
        asked = ("--method", method, "--dataset", case.screen, *PATH_OPTIONS, "--cells", 20)
        return type_("run", *asked, "--no-anchors", *options)

    return run


def test_the_file_decides_and_the_record_has_the_ledger(run_, case, file):
    code, out, _ = run_(case.spelt("Scaled"), "--config", file, "--json")
    assert code == 0
    record, tuned = json.loads(out), json.loads(file.read_text())
    assert record["coordinates"]["config"] == tuned["config"]
    assert record["coordinates"]["configuration"] == "tuned (best.json)"
    ledger = record["tuning"]
    assert (ledger["trials"], ledger["seconds"]) == (4, tuned["seconds"])
    assert ledger["study"] == tuned["study"]
    (run,) = Tracker().runs()
    assert run.tags["tuning_trials"] == "4"
    assert float(run.tags["tuning_seconds"]) == pytest.approx(tuned["seconds"])
    assert run.tags["tuning_overlap"] == "0"


@pytest.mark.slow
def test_a_setting_goes_before_the_file_and_is_in_the_label(run_, case, file):
    record = json.loads(run_(case.spelt("Scaled"), "--config", file, "--set", "untuned=3", "--json")[1])
    assert record["coordinates"]["config"]["untuned"] == 3
    assert record["coordinates"]["configuration"] == "tuned (best.json), untuned=3"


def test_a_run_without_a_file_has_no_ledger(run_, case):
    assert json.loads(run_(case.spelt("Scaled"), "--json")[1])["tuning"] is None
    (run,) = Tracker().runs()
    assert not any(tag.startswith("tuning") for tag in run.tags)


@pytest.mark.slow
def test_a_default_that_nothing_was_better_than_gets_the_ledger_without_another_run(run_, case, file):
    before = json.loads(run_(case.spelt("Scaled"), "--json")[1])
    tuned = json.loads(file.read_text())
    file.write_text(json.dumps({**tuned, "config": before["coordinates"]["config"]}))
    after = json.loads(run_(case.spelt("Scaled"), "--config", file, "--json")[1])
    assert after.pop("tuning")["trials"] == 4
    assert after == {name: value for name, value in before.items() if name != "tuning"}
    (run,) = Tracker().runs()
    assert (run.tags["tuning_trials"], run.tags["configuration"]) == ("4", "default")
    assert json.loads(run_(case.spelt("Scaled"), "--json")[1])["tuning"]["trials"] == 4
    for trials, known in ((2, 4), (9, 9)):
        file.write_text(json.dumps({**json.loads(file.read_text()), "trials": trials}))
        again = json.loads(run_(case.spelt("Scaled"), "--config", file, "--json")[1])
        assert again["tuning"]["trials"] == known


def test_test_perturbations_that_chose_the_configuration_are_named(run_, case, file):
    """The seeds of a scheme share perturbations: what validates in one may be tested in another."""
    dataset = load_dataset(str(case.screen), **COLUMNS)
    tuned_on = set(load_split(dataset, "doubles", 0).validation)
    seed = next(seed for seed in range(1, 50) if tuned_on & set(load_split(dataset, "doubles", seed).test))
    code, _, err = run_(case.spelt("Scaled"), "--config", file, "--seed", seed)
    assert code == 0
    assert f"1 of the 3 test perturbations had a say in the configuration, such as {min(tuned_on)}" in err
    assert Tracker().runs()[0].tags["tuning_overlap"] == "1"


def test_what_was_written_is_read_as_what_was_best(tuning, file):
    """To the last digit of a number."""
    config = load_method(tuning.spelt("Scaled")).Config.build(None, read_tuned(file, "scaled").config)
    assert config.scale in tuning.scales


@pytest.mark.parametrize(
    ("spoil", "options", "sentence"),
    [
        (lambda text: text, ["linear"], "holds a configuration of 'scaled', not of 'linear'"),
        (lambda text: text, [None, "--preset", "small"], "leave out --preset small, or --config"),
        (lambda text: "{}", [None], "is no file of a tuned configuration (method: Field required)"),
        (lambda text: text[:50], [None], "is no file of a tuned configuration (Invalid JSON"),
        (lambda text: text.replace("untuned", "unknown"), [None], "There is no hyper-parameter 'unknown'"),
        (lambda text: None, [None], "cannot be read (No such file or directory)"),
    ],
)
def test_a_file_that_does_not_fit_gets_one_line(run_, case, file, spoil, options, sentence):
    changed = spoil(file.read_text())
    file.write_text(changed) if changed is not None else file.unlink()
    method, *more = options
    code, out, err = run_(method or case.spelt("Scaled"), "--config", file, *more)
    assert (code, out) == (2, "")
    assert sentence in err.strip().splitlines()[-1]
    assert Tracker().runs() == []
