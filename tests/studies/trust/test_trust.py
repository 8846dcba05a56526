"""What metrics can tell: by hand, against what many draws give, and on simulated cells."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS
from benchmark.splits import load_split
from benchmark.studies.trust import TrustTable, measure, read_trust, seed_noise, trust_path, write_trust
from benchmark.studies.trust.measure import noise_variance, row_of
from tests.board.board_case import stored
from tests.tiny import COLUMNS

NAN = float("nan")


def of(*values: float) -> pd.Series:
    return pd.Series(values, index=[f"P{index}" for index in range(len(values))])


def test_a_row_by_hand() -> None:
    """Halves .2 apart: variance .04 / 4, error .1; duplicates vary by .02; one of two gains exceeds .2."""
    found = row_of("pearson", of(0, 0), of(0.5, 0.7), of(1, 0.2), [of(0.2, -0.2)])
    expected = {"train_mean": 0, "duplicate": 0.6, "bound": 0.6, "range": 0.6, "placed": 1}
    assert found == pytest.approx(expected | {"noise": 0.1, "sampling": 0.5, "told": 0.5})


def test_of_errors_less_is_more_range() -> None:
    found = row_of("mse", of(1, 1), of(0.4, 0.6), of(0, 0.2), [of(0.1, 0.1)])
    assert (found["range"], found["placed"], found["told"]) == pytest.approx((0.9, 5 / 9, 1))


def test_what_is_undefined_is_left_out_and_nothing_gives_nothing() -> None:
    found = row_of("pearson", of(0, NAN), of(0.5, NAN), of(1, NAN), [of(0.2, NAN)])
    assert found["told"] == 1
    nothing = row_of("pearson", of(NAN), of(NAN), of(NAN), [of(NAN)])
    assert all(np.isnan(value) for value in nothing.values())


def test_the_noise_of_halves_is_that_of_all_cells() -> None:
    """Means of 100 normal values: variance 1 / 100, from halves of one sample each."""
    samples = np.random.default_rng(0).normal(size=(4000, 100))
    apart = pd.Series(samples[:, :50].mean(axis=1) - samples[:, 50:].mean(axis=1))
    assert noise_variance([apart]) == pytest.approx(1 / 100, rel=0.06)


def runs_of(method: str, shifts: list[float], version: str = METRICS["pearson"].spec.version):
    """Make a run for each seed, off by a number in all six perturbations."""
    return [
        stored(
            method,
            {"pearson": [0.1 * index + shift for index in range(6)]},
            seed=seed,
            labels=[f"P{index}+Q" for index in range(6)],
            metric_versions=json.dumps({"pearson": version}),
        )
        for seed, shift in enumerate(shifts)
    ]


def test_the_noise_of_seeds_is_the_median_over_methods_of_how_much_trainings_differ() -> None:
    """Shifts -.1, 0 and .1 have the standard deviation .1; of three methods the one between counts."""
    runs = [
        *runs_of("steady", [0.2, 0.2, 0.2]),
        *runs_of("usual", [-0.1, 0, 0.1]),
        *runs_of("wild", [-0.3, 0, 0.3]),
    ]
    assert seed_noise(runs, "tiny", "doubles") == pytest.approx({"pearson": 0.1})


def test_bounds_old_versions_few_seeds_and_other_boards_do_not_count() -> None:
    wild = [-0.3, 0, 0.3]
    runs = [*runs_of("limit", wild), *runs_of("old", wild, version="0"), *runs_of("few", wild[:2])]
    assert seed_noise(runs, "tiny", "doubles") == {}
    assert seed_noise(runs_of("usual", wild), "tiny", "singles") == {}


@pytest.fixture
def measured(screen) -> TrustTable:
    dataset = load_dataset(str(screen), **COLUMNS)
    return measure(dataset, load_split(dataset, "doubles", 0))


def test_every_metric_that_judges_has_a_row(measured) -> None:
    judging = [name for name, each in METRICS.items() if each.spec.higher_is_better is not None]
    assert list(measured.rows.index) == judging
    assert not measured.rows.loc[["mse", "pearson"]].isna().any(axis=None)


def test_the_train_mean_knows_less_than_the_duplicate_and_that_less_than_the_truth(measured) -> None:
    mse = measured.rows.loc["mse"]
    assert mse["train_mean"] > mse["duplicate"] > mse["bound"] > 0
    # Half the way to the control cells is a fourth of their squared error; the rest is noise.
    assert 0.4 < mse["placed"] < 0.9
    assert measured.rows.loc["hit_auprc", "train_mean"] == 0


def test_a_table_comes_back_from_its_file_for_the_same_data_alone(home) -> None:
    rows = pd.DataFrame({"pearson": row_of("pearson", of(0, 0), of(0.5, 0.7), of(1, 0.2), [of(0.2)])}).T
    path = trust_path("tiny", "doubles")
    write_trust(TrustTable("tiny", "d" * 64, "doubles", 0, 2, rows), {"pearson": 0.123456}, path)
    found = read_trust("tiny", "doubles", "d" * 64)
    assert found["perturbations"] == 2
    assert found["metrics"]["pearson"]["noise"] == 0.1
    assert found["metrics"]["pearson"]["seeds"] == 0.1235
    assert read_trust("tiny", "doubles", "e" * 64) is None
    assert read_trust("tiny", "singles", "d" * 64) is None


def test_rows_of_other_versions_are_left_out_and_a_broken_file_is_said(home) -> None:
    rows = pd.DataFrame({"pearson": row_of("pearson", of(0), of(0.5), of(1), [of(NAN)])}).T
    path = trust_path("tiny", "doubles")
    write_trust(TrustTable("tiny", "d" * 64, "doubles", 0, 1, rows), {}, path)
    text = path.read_text()
    path.write_text(text.replace(f'"version": "{METRICS["pearson"].spec.version}"', '"version": "0"'))
    assert read_trust("tiny", "doubles", "d" * 64)["metrics"] == {}
    path.write_text(text[:50])
    with pytest.raises(BenchmarkError, match=r"tiny-doubles.json is no table of what metrics can tell"):
        read_trust("tiny", "doubles", "d" * 64)
