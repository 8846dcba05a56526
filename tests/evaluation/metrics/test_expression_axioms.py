"""Claims about the metrics of mean expression: other implementations agree, and what holds of all values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
import sklearn.preprocessing
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from benchmark.evaluation.metrics import METRICS, Metric, Reference, Response
from benchmark.evaluation.metrics.evaluate import evaluate
from tests.evaluation.metrics.metric_case import reference, response

FAMILY = [
    name
    for name, declared in METRICS.items()
    if declared.spec.family == "expression" and isinstance(declared, Metric)
]
NEED_CENTROID = ["pearson_centroid", "cosine_centroid", "weighted_r2"]
SYMMETRIC = ["mse", "mae", "rmse", "l2", "pearson", "cosine", "pearson_centroid", "cosine_centroid"]
SYMMETRIC += ["mse_top1000", "l2_top1000", "pearson_top1000"]
SEEDS = st.integers(0, 2**32 - 1)


def score(name: str, real: Response, predicted: Response) -> float:
    """Score one perturbation by name."""
    return METRICS[name](real, predicted)


def moments(seed: int, genes: int = 30) -> tuple[Response, Response]:
    """Draw both sides of a perturbation as means and variances, with a centroid and DE genes."""
    rng = np.random.default_rng(seed)
    control = rng.uniform(0.5, 3, genes)
    against = reference(
        genes, control, rng.uniform(0.1, 2, genes), n_control=8, centroid=control + rng.normal(0, 0.3, genes)
    )
    marks = "".join(rng.choice(["x", "."], genes))
    return tuple(
        response(
            rng.normal(0, 0.5, genes),
            de=marks,
            against=against,
            variance=rng.uniform(0.1, 2, genes),
            n_cells=n_cells,
        )
        for n_cells in (11, 13)
    )


def moved(side: Response, mean: np.ndarray) -> Response:
    """Give a response another mean, all else alike."""
    change = mean - side.reference.control.mean
    marks = "".join("x" if rate < 0.05 else "." for rate in side.fdr)
    return response(change, de=marks, against=side.reference, variance=side.variance, n_cells=side.n_cells)


def test_without_known_training_perturbations_metrics_against_the_centroid_are_nan() -> None:
    """And no other is; what they are measured against cannot be made up."""
    real, predicted = moments(1)
    assert not [name for name in FAMILY if np.isnan(score(name, real, predicted))]
    blind = reference(30, real.reference.control.mean)
    real, predicted = (
        response(side.change, de="x" * 30, against=blind, variance=side.variance)
        for side in (real, predicted)
    )
    assert [name for name in FAMILY if np.isnan(score(name, real, predicted))] == NEED_CENTROID


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_other_implementations_say_the_same(seed: int) -> None:
    """scikit-learn for errors and R^2, SciPy for distances, correlations and Welch's t."""
    real, predicted = moments(seed)
    control = real.reference.control
    sides = real.mean, predicted.mean
    against_centroid = [side.mean - real.reference.centroid for side in (real, predicted)]
    t = stats.ttest_ind_from_stats(
        real.mean,
        np.sqrt(real.variance),
        real.n_cells,
        control.mean,
        np.sqrt(control.variance),
        control.n_cells,
        equal_var=False,
    ).statistic
    weights = sklearn.preprocessing.minmax_scale(np.abs(t)) ** 2
    top = real.de_genes[:20]
    expected = {
        "mse": sklearn.metrics.mean_squared_error(*sides),
        "mae": sklearn.metrics.mean_absolute_error(*sides),
        "rmse": sklearn.metrics.root_mean_squared_error(*sides),
        "l2": distance.euclidean(*sides),
        "pearson": stats.pearsonr(real.change, predicted.change).statistic,
        "cosine": 1 - distance.cosine(real.change, predicted.change),
        "pearson_centroid": stats.pearsonr(*against_centroid).statistic,
        "cosine_centroid": 1 - distance.cosine(*against_centroid),
        "weighted_mse": sklearn.metrics.mean_squared_error(*sides, sample_weight=weights),
        "weighted_r2": sklearn.metrics.r2_score(*against_centroid, sample_weight=weights),
    }
    if len(top) > 2:
        expected |= {
            "mse_top20": sklearn.metrics.mean_squared_error(real.mean[top], predicted.mean[top]),
            "pearson_top20": stats.pearsonr(real.change[top], predicted.change[top]).statistic,
            "cosine_top20": 1 - distance.cosine(real.change[top], predicted.change[top]),
        }
    found = {name: score(name, real, predicted) for name in expected}
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_axioms(seed: int) -> None:
    """Identity is best, values stay in range, and where it is claimed the sides can be exchanged."""
    real, predicted = moments(seed)
    for name in FAMILY:
        spec = METRICS[name].spec
        noise = real.variance.mean() / real.n_cells if name == "mse_unbiased" else 0.0  # of the copied mean
        assert score(name, real, real) + noise == pytest.approx(
            spec.best, abs=1e-12, nan_ok="real DE gene" in spec.nan_means
        )
        assert not score(name, real, predicted) < spec.range[0]
        assert not score(name, real, predicted) > spec.range[1]
    for name in SYMMETRIC:
        assert score(name, real, predicted) == pytest.approx(score(name, predicted, real), rel=1e-12)
    for name in ("mse", "l2", "pearson"):
        assert score(f"{name}_top1000", real, predicted) == pytest.approx(score(name, real, predicted))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_more_noise_of_the_same_kind_is_never_better(seed: int) -> None:
    """The guess walks away from the truth along one random direction."""
    real, predicted = moments(seed)
    noise = predicted.mean - real.mean
    walk = [moved(real, real.mean + step * noise) for step in (0, 0.1, 0.5, 1, 3)]
    for name in FAMILY:
        values = np.array([score(name, real, guess) for guess in walk])
        steps = np.diff(values) * (1 if METRICS[name].spec.higher_is_better else -1)
        assert not (steps > 1e-12).any(), name


def permuted(seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Put the genes of any matrix in one and the same other order."""
    order = np.random.default_rng(seed).permutation(60)
    return lambda cells: cells[:, order]


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_scores_against_a_centroid_do_not_depend_on_the_order_of_genes_or_cells(seed: int) -> None:
    """All of the family, from cells on; permuted genes change nothing but the order of sums."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.5, 4, 60)
    control, b, c, real, predicted = (
        np.log1p(rng.poisson(base * np.exp(rng.normal(0, 0.6, 60)), (25, 60))).astype(np.float32)
        for _ in range(5)
    )

    def scores(change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        against = Reference.of(
            change(control), [f"G{gene}" for gene in range(60)], {"B": change(b), "C": change(c)}
        )
        return evaluate(against, {"A": change(real)}, {"A": change(predicted)}).loc["A", FAMILY].to_numpy()

    plain = scores(lambda cells: cells)
    assert np.isfinite(plain).all()
    np.testing.assert_array_equal(scores(rng.permutation), plain)
    np.testing.assert_allclose(scores(permuted(seed)), plain, rtol=1e-9, atol=1e-12)
