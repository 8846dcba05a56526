"""Claims about the metrics of deviation from additivity, synergy and buffering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.evaluation.metrics import METRICS, Moments, Reference, Response
from benchmark.evaluation.metrics.differential import differential_expression
from benchmark.evaluation.metrics.evaluate import evaluate
from benchmark.evaluation.metrics.interaction import double_of
from tests.evaluation.metrics.metric_case import reference, response

FAMILY = [name for name, declared in METRICS.items() if declared.spec.family == "interaction"]
DEVIATIONS = ["interaction_error", "interaction_pearson", "synergy_auprc", "buffering_auprc"]
SEEDS = st.integers(0, 2**32 - 1)


def score(name: str, real: Response, predicted: Response) -> float:
    """Score one perturbation by name."""
    return METRICS[name](real, predicted)


def doubles(
    a: Sequence[float],
    b: Sequence[float],
    *changes: Sequence[float],
    variance: float | np.ndarray = 1e-4,
    control: float | Sequence[float] = 1.0,
    genes: Sequence[str] | None = None,
) -> list[Response]:
    """Make responses to A+B from the changes by A, by B and by each double."""
    mean = np.broadcast_to(np.asarray(control, float), len(a))
    singles = {
        name: Moments(10, mean + np.asarray(change, float), np.full(len(a), variance))
        for name, change in (("A", a), ("B", b))
    }
    shared = reference(len(a), control, variance, singles=singles, genes=genes)
    return [response(change, against=shared, variance=variance, label="A+B") for change in changes]


def drawn(seed: int, genes: int = 60, variance: float = 0.05) -> list[Response]:
    """Draw singles, and a real and a predicted double that deviate from their sum."""
    rng = np.random.default_rng(seed)
    a, b, deviation, error = rng.normal(0, [[0.5], [0.5], [0.4], [0.4]], (4, genes))
    spread = variance * rng.uniform(0.1, 3, genes)
    return doubles(a, b, a + b + deviation, a + b + deviation + error, variance=spread)


def test_deviations_by_hand() -> None:
    """Real deviations 1, -1, 0 and predicted ones 1, 1, 2: errors 0, 2, 2 over a length of sqrt(2)."""
    real, predicted = doubles([1, 0, 2], [0, 1, -1], [2, 0, 1], [2, 2, 3])
    assert score("interaction_error", real, predicted) == pytest.approx(np.sqrt(8) / np.sqrt(2))
    expected = np.corrcoef([1, -1, 0], [1, 1, 2])[0, 1]
    assert score("interaction_pearson", real, predicted) == pytest.approx(expected)


def test_synergy_and_buffering_by_hand() -> None:
    """The sum is expected to go +, +, -, +, and the double really goes on in 0 and 2 and back in 1.

    Predicted deviations times the expected sign are 1, .5, 0, .2. For synergy that orders the genes 0, 1, 3,
    2, with real ones first and last: (1 + 2 / 4) / 2. For buffering it is 2, 3, 1, 0: the real one is third.
    """
    a, b, sign = np.array([1, 0.5, -1, 1]), np.array([0, 0.5, 0, 1]), np.array([1, 1, -1, 1])
    real, predicted = doubles(
        a, b, a + b + sign * [1, -1, 1, 0], a + b + sign * [1, 0.5, 0, 0.2], variance=0.001
    )
    assert score("synergy_auprc", real, predicted) == pytest.approx(0.75)
    assert score("buffering_auprc", real, predicted) == pytest.approx(1 / 3)


def test_addition_is_the_zero_of_every_scale() -> None:
    """It deviates nowhere: error 1, correlation 0, and every gene alike, so the share of the real ones."""
    a, b = np.array([1, 0.5, -1, 1, 2]), np.array([0, 0.5, 0, 1, -4])
    real, added = doubles(a, b, a + b + [1, -1, -1, 0, 1], a + b)
    assert score("interaction_error", real, added) == 1
    assert score("interaction_pearson", real, added) == 0
    assert score("synergy_auprc", real, added) == pytest.approx(2 / 5)
    assert score("buffering_auprc", real, added) == pytest.approx(2 / 5)


def test_where_the_double_is_additive_there_is_no_interaction_to_predict() -> None:
    """NaN, because no guess could be told from another; so too where the deviation may be noise."""
    a, b = np.array([1, 0.5, -1]), np.array([0, 0.5, 2])
    added, guess = doubles(a, b, a + b, a + b + [1, 0, 2])
    assert all(np.isnan(score(name, added, guess)) for name in DEVIATIONS)
    noisy, guess = doubles(a, b, a + b + [1, -1, 1], a + b, variance=100)
    undefined = [name for name in DEVIATIONS if np.isnan(score(name, noisy, guess))]
    assert undefined == ["synergy_auprc", "buffering_auprc"]


def test_a_gene_of_which_no_change_is_expected_deviates_for_neither() -> None:
    """It stands at 0 among those that do not; where all genes deviate alike nothing can be ordered."""
    real, guess = doubles(
        [1, 1, 1], [-1, 1, 1], [5, 9, 2], [0, 0, 1]
    )  # guesses 0, -2, -1: the real one, gene 1, is last
    assert score("synergy_auprc", real, guess) == pytest.approx(1 / 3)
    real, guess = doubles([1, 1], [1, 1], [9, 9], [3, 2])
    assert np.isnan(score("synergy_auprc", real, guess))


@pytest.mark.parametrize("label", ["A", "A+C", "C+D"])
def test_without_two_measured_singles_everything_is_nan(label: str) -> None:
    """A single has no interaction, and a double needs both of its singles."""
    real, predicted = (replace(side, label=label) for side in drawn(0))
    assert len(FAMILY) == 8
    assert all(np.isnan(score(name, real, predicted)) for name in FAMILY)


def test_genes_that_nothing_changes_or_varies_cause_no_warning() -> None:
    """All-zero genes have no standard error: they deviate nowhere, and the others count as before."""
    a, b = np.array([1, 0.5, -1, 0, 0]), np.array([0, 0.5, 0, 0, 0])
    real, predicted = doubles(a, b, a + b + [1, -1, 0, 0, 0], a + b + [1, 0.5, 0.3, 0, 0])
    for side in (real, real.reference.control, *real.reference.singles.values()):
        side.variance[3:] = 0
    assert score("synergy_auprc", real, predicted) == 1
    assert score("buffering_auprc", real, predicted) == pytest.approx(1 / 4)
    assert all(np.isfinite(score(name, real, predicted)) for name in FAMILY)
    silent = doubles(*np.zeros((4, 5)), variance=0)
    assert all(np.isnan(score(name, *silent)) for name in FAMILY)


def by_hand(real: Response, predicted: Response, towards: int) -> float:
    """Average precision of significant deviations, written out gene by gene."""
    control, (a, b) = real.reference.control, real.reference.singles.values()
    rows = []
    for gene in range(len(real.mean)):
        variance = sum(s.variance[gene] / s.n_cells for s in (real, control, a, b))
        expected = a.mean[gene] + b.mean[gene] - 2 * control.mean[gene]
        z = (real.change[gene] - expected) / np.sqrt(variance)
        guess = (predicted.change[gene] - expected) / np.sqrt(variance)
        sign = towards * np.sign(expected)
        rows.append((2 * stats.norm.sf(abs(z)), sign * z > 0, sign * guess))
    ascending = sorted(p for p, _, _ in rows)
    passed = [p for rank, p in enumerate(ascending, 1) if p < 0.05 * rank / len(rows)]
    limit = max(passed, default=-1)
    ordered = sorted(rows, key=lambda row: -row[2])
    hits = np.array([p <= limit and along for p, along, _ in ordered])
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean()) if hits.any() else float("nan")


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_other_implementations_say_the_same(seed: int) -> None:
    """Loops over genes for the areas, NumPy and SciPy for error and correlation."""
    real, predicted = drawn(seed, variance=0.3)
    control, (a, b) = real.reference.control, real.reference.singles.values()
    truth, guess = (side.mean - a.mean - b.mean + control.mean for side in (real, predicted))
    assert score("synergy_auprc", real, predicted) == pytest.approx(by_hand(real, predicted, 1), nan_ok=True)
    assert score("buffering_auprc", real, predicted) == pytest.approx(
        by_hand(real, predicted, -1), nan_ok=True
    )
    assert score("interaction_pearson", real, predicted) == pytest.approx(
        stats.pearsonr(truth, guess).statistic
    )
    error = np.sqrt(((truth - guess) ** 2).mean() / (truth**2).mean())
    assert score("interaction_error", real, predicted) == pytest.approx(error)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_axioms(seed: int) -> None:
    """The truth is best, values stay in range, genes have no order, and an error grows along a line."""
    real, predicted = drawn(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(60)
    shared = real.reference
    control = 1 + rng.permutation(60) / 100  # a different mean for each, because they are taken in its order
    singles = {gene: single.mean - 1 for gene, single in shared.singles.items()}
    plain = doubles(*singles.values(), real.change, predicted.change, control=control, variance=0.05)
    regened = doubles(
        *(change[order] for change in (*singles.values(), real.change, predicted.change)),
        control=control[order],
        variance=0.05,
    )
    for name in FAMILY:
        spec = METRICS[name].spec
        assert score(name, real, real) == pytest.approx(spec.best, abs=1e-12)
        assert spec.range[0] <= score(name, *plain) <= spec.range[1]
        assert score(name, *regened) == pytest.approx(score(name, *plain), rel=1e-9)
    noise = predicted.change - real.change
    walk = [response(real.change + step * noise, against=shared, label="A+B") for step in (0, 0.5, 1, 4)]
    assert (np.diff([score("interaction_error", real, guess) for guess in walk]) > 0).all()
    assert (np.diff([score("interaction_pearson", real, guess) for guess in walk]) < 0).all()


@pytest.mark.parametrize("name", FAMILY)
def test_more_noise_is_worse_on_average(name: str) -> None:
    """Guesses with the real double plus ever more noise, over many doubles."""
    found = []
    for step in (0, 0.3, 1, 3, 9):
        scores = []
        for seed in range(25):
            real, predicted = drawn(seed)
            noisy = real.change + step * (predicted.change - real.change)
            scores.append(score(name, real, response(noisy, against=real.reference, label="A+B")))
        found.append(np.mean(scores))
    assert (np.diff(found) * (1 if METRICS[name].spec.higher_is_better else -1) < 0).all()


def test_spiking_the_two_targets_gains_nothing() -> None:
    """They are left out, because everybody knows that the targets change."""
    genes = ["A", "B", *(f"G{index}" for index in range(58))]
    rng = np.random.default_rng(4)
    a, b, deviation, error = rng.normal(0, 0.5, (4, 60))
    spiked = a + b + deviation + error
    spiked[:2] = 50
    real, honest, spike = doubles(a, b, a + b + deviation, a + b + deviation + error, spiked, genes=genes)
    for name in FAMILY:
        assert score(name, real, spike) == score(name, real, honest)


def test_genes_that_control_cells_hardly_express_do_not_count() -> None:
    """Of 1,100 genes the first 100 are expressed least, and they alone are predicted wrongly."""
    rng = np.random.default_rng(5)
    a, b, deviation, error = rng.normal(0, 0.5, (4, 1100))
    error[100:] = 0
    control = np.linspace(0.5, 4, 1100)
    real, predicted = doubles(a, b, a + b + deviation, a + b + deviation + error, control=control)
    for name in FAMILY:
        assert score(name, real, predicted) == pytest.approx(METRICS[name].spec.best, abs=1e-12)


def test_the_deviation_of_an_additive_double_has_a_standard_normal_z() -> None:
    """Cells of four conditions, drawn around additive means: the standard error holds all four."""
    rng = np.random.default_rng(6)
    a, b = rng.normal(0, 0.3, (2, 600))

    def cells(n: int, change: np.ndarray) -> np.ndarray:
        return (5 + change + rng.normal(0, 1, (n, 600))).clip(0)

    against = Reference.of(
        cells(60, np.zeros(600)),
        [f"G{index}" for index in range(600)],
        singles={"A": cells(50, a), "B": cells(40, b)},
    )
    real = differential_expression(against, "A+B", cells(45, a + b))
    double = double_of(real, real)
    assert double is not None
    assert np.mean(double.z) == pytest.approx(0, abs=0.1)
    assert np.std(double.z) == pytest.approx(1, abs=0.08)


def test_from_cells_on_neither_cells_have_an_order_nor_does_a_flat_guess_warn() -> None:
    """The very same numbers for permuted cells; equal predicted cells are as good as their mean."""
    rng = np.random.default_rng(7)
    control, a, b, ab, guess = rng.gamma(2, 0.6, (5, 30, 80)).astype(np.float32)
    genes = [f"G{index}" for index in range(80)]

    def scores(order: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        against = Reference.of(control[order], genes, singles={"A": a[order], "B": b[order]})
        return evaluate(against, {"A+B": ab[order]}, {"A+B": predicted[order]})[FAMILY].to_numpy()

    plain = scores(np.arange(30), guess)
    np.testing.assert_array_equal(scores(rng.permutation(30), guess), plain)
    flat = np.tile(guess.mean(axis=0, dtype=float), (30, 1))
    np.testing.assert_allclose(scores(np.arange(30), flat), plain, rtol=1e-3)
