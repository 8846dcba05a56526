"""A file of counts is scored as what it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmark.counted import PredictedCounts
from benchmark.errors import BenchmarkError
from benchmark.evaluation.submission import read_submission
from benchmark.runs.handed_in import score_file


@pytest.fixture
def counts(dataset, split) -> pd.DataFrame:
    """Control cells of which some counts are lost."""
    control = dataset.adata.layers["counts"][(dataset.adata.obs["perturbation"] == "control").to_numpy()]
    rng = np.random.default_rng(0)
    cells = [rng.binomial(control[rng.permutation(40)[:6]].toarray().astype(int), 0.9) for _ in split.test]
    return pd.DataFrame(
        np.concatenate(cells).astype(float), np.repeat(split.test, 6), dataset.adata.var_names
    )


def test_counts_are_read_where_they_are_declared(dataset, split, counts, write):
    """As log values that add up to what the median control cell does, and as they are."""
    submission = read_submission(write(counts), dataset, split, holds="counts")
    label = split.test[0]
    assert isinstance(submission.predicted, PredictedCounts)
    assert np.array_equal(submission.predicted.counts[label], counts.loc[label])
    totals = np.expm1(submission.predicted[label]).sum(axis=1)
    assert totals == pytest.approx(1e4, rel=1e-4)
    scores = score_file(write(counts), dataset, split, holds="counts").scores
    assert scores["expr_mse_unbiased_capped_norm"].notna().all()


def test_missing_perturbations_are_counts_of_the_train_mean(dataset, split, counts, write):
    """Whole numbers at the depth of control cells."""
    submission = read_submission(write(counts.iloc[6:]), dataset, split, holds="counts", allow_missing=True)
    cells = submission.predicted.counts[split.test[0]]
    assert list(submission.fallbacks) == [split.test[0]]
    assert np.array_equal(cells, np.round(cells))


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda table: table, {}, r"raw values .* or say --holds counts of raw counts"),
        (lambda table: table + 0.5, {"holds": "counts"}, "predicted cells of .* values that are not whole"),
        (lambda table: table * 1e6, {"holds": "counts"}, "a cell of .* counts, but no cell has more than"),
        (lambda table: table * 0, {"holds": "counts"}, "6 cells without a count"),
        (lambda table: table, {"holds": "counts", "predicts": "mean"}, "leave out --predicts mean"),
        (lambda table: table, {"holds": "tpm"}, "no content of X 'tpm'"),
    ],
)
def test_what_is_no_count_is_refused_in_one_line(dataset, split, counts, write, spoil, options, message):
    with pytest.raises(BenchmarkError, match=message) as refusal:
        read_submission(write(spoil(counts)), dataset, split, **options)
    assert "\n" not in str(refusal.value)
