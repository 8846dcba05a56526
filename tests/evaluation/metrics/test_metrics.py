"""Claims about the metrics, on responses and cells whose values can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS, Metric, MetricSpec, headline_metrics
from benchmark.evaluation.metrics.sorted_cells import SortedCells
from benchmark.evaluation.metrics.spec import metric
from benchmark.machine.progress import report_to
from tests.evaluation.metrics.metric_case import differential_expression, evaluate, reference, response

FAMILIES = {"expression", "DE", "uncertainty"}


def cells(rng: np.random.Generator, n: int, means: np.ndarray) -> np.ndarray:
    """Draw cells: log1p of counts per 10,000 with random depths."""
    counts = rng.poisson(means * rng.uniform(0.5, 2, (n, 1)))
    counts[:, 0] += 1
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)


def screen(seed: int, genes: int = 40) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Make controls and two perturbations, real and predicted, with strong effects."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.2, 5, genes)
    control = cells(rng, 50, base)
    real, predicted = {}, {}
    for label in ("A", "A+B"):
        fold = np.where(rng.random(genes) < 0.4, rng.choice([0.2, 4.0], genes), 1.0)
        real[label] = cells(rng, 40, base * fold)
        predicted[label] = cells(rng, 30, base * np.sqrt(fold))
    return control, real, predicted


def test_de_genes_are_ordered_by_fold_change_and_ties_keep_gene_order() -> None:
    """Only FDR < 0.05 counts; equal |fold change| leaves the genes in their order."""
    ordered = response([0] * 5, fold=[1, -2, 2, 9, -2], de="xxx.x").de_genes
    assert ordered.tolist() == [1, 2, 4, 0]


def test_de_overlap_compares_as_many_predicted_genes_as_there_are_real_ones() -> None:
    """Real {0,1,2}; the three strongest of four predicted are {3,0,1}: 2 of 3 shared."""
    real = response([3, 2, 1, 0, 0], de="xxx..")
    predicted = response([4, 3, 1, 5, 0], de="xxxx.")
    assert METRICS["de_overlap"](real, predicted) == pytest.approx(2 / 3)
    assert METRICS["de_overlap"](real, response([3, 2, 1, 0, 0], de=".x...")) == pytest.approx(1 / 3)


def test_de_overlap_at_k_cuts_both_lists_at_k_but_never_beyond_the_real_genes() -> None:
    """With 30 real DE genes k is 20, 30 and 30 for the limits 20, 50 and 100."""
    real = response(list(range(40, 0, -1)), de="x" * 30 + "." * 10)
    late_first = response([0] * 10 + list(range(30, 0, -1)), de="." * 10 + "x" * 30)
    assert METRICS["de_overlap_20"](real, late_first) == pytest.approx(10 / 20)
    assert METRICS["de_overlap_50"](real, late_first) == pytest.approx(20 / 30)
    assert METRICS["de_overlap_100"](real, late_first) == METRICS["de_overlap"](real, late_first)


def test_direction_counts_signs_over_real_de_genes_whatever_the_prediction_calls_significant() -> None:
    """Signs agree in genes 0 and 2, not in 1; a predicted change of 0 (gene 3) is wrong; gene 4 is not DE."""
    real = response([1, -1, -2, 2, 1], de="xxxx.")
    assert METRICS["direction"](real, response([9, 1, -0.1, 0, -1])) == pytest.approx(2 / 4)


def test_mse_averages_squared_errors_of_means() -> None:
    """Errors 1, 2 and 0 over three genes, or 1 alone where only gene 0 is DE."""
    real, predicted = response([0, 0, 5], de="x.."), response([1, 2, 5])
    assert METRICS["mse"](real, predicted) == pytest.approx(5 / 3)
    assert METRICS["mse_top20"](real, predicted) == pytest.approx(1)


def test_top20_takes_the_twenty_strongest_real_de_genes() -> None:
    """Of 25 DE genes the 20 with the largest fold change are predicted perfectly, the other five are not."""
    strength = list(range(1, 26))
    real = response(strength, de="x" * 25)
    predicted = response([9.0] * 5 + strength[5:])
    assert METRICS["mse_top20"](real, predicted) == 0
    assert METRICS["pearson_top20"](real, predicted) == pytest.approx(1)
    assert METRICS["mse"](real, predicted) > 0


def test_pearson_correlates_changes_from_control() -> None:
    """(1, 2, 3) with (2, 1, 3) has correlation 1/2; scale and sign matter as they should."""
    real = response([1, 2, 3])
    assert METRICS["pearson"](real, response([2, 1, 3])) == pytest.approx(0.5)
    assert METRICS["pearson"](real, response([0.1, 0.2, 0.3])) == pytest.approx(1)
    assert METRICS["pearson"](real, response([-1, -2, -3])) == pytest.approx(-1)


def test_a_constant_predicted_change_scores_zero_and_a_constant_real_change_is_nan() -> None:
    """Not moving anything is no way to be left out of the mean."""
    moving, still = response([1, 2, 3], de="xxx"), response([0, 0, 0], de="xxx")
    for name in ("pearson", "pearson_top20"):
        assert METRICS[name](moving, still) == 0
        assert np.isnan(METRICS[name](still, moving))


def test_without_real_de_genes_the_metrics_over_them_are_nan_and_the_others_are_not() -> None:
    """NaN exactly where the declaration says so."""
    shared = reference(30, centroid=[1, 0, 2] * 10)
    quiet = response([1, -2, 3] * 10, against=shared)
    loud = response([3, -2, 2] * 10, de="xx." * 10, against=shared)
    of_pairs = {name: m for name, m in METRICS.items() if isinstance(m, Metric) and m.spec.family in FAMILIES}
    undefined = {name for name, score in of_pairs.items() if np.isnan(score(quiet, loud))}
    assert undefined == {name for name, m in of_pairs.items() if m.spec.nan_means.find("real DE gene") >= 0}
    assert METRICS["de_overlap"](loud, quiet) == 0
    assert (METRICS["n_de_real"](quiet, loud), METRICS["n_de_predicted"](quiet, loud)) == (0, 20)


def test_one_real_de_gene_leaves_its_correlation_undefined() -> None:
    """A correlation needs two points."""
    assert np.isnan(METRICS["pearson_top20"](response([1, 2], de="x."), response([1, 2])))


def test_fold_changes_are_of_mean_counts() -> None:
    """Counts 0 and 30 against a steady 5: means 15 to 5 give log2(3), whatever the mean log value."""
    control = np.log1p(np.full((2, 1), 5.0))
    moved = differential_expression(control, np.log1p(np.array([[0.0], [30.0]])))
    assert moved.log2_fold_change == pytest.approx([np.log2(3)], rel=1e-6)
    # Cells are float32, whose logs are right to 1e-7 here, as is the small difference of two of them.
    assert moved.change == pytest.approx([np.log(31) / 2 - np.log(6)], abs=1e-6)


def test_genes_seen_on_one_side_only_come_first_in_a_finite_order() -> None:
    """Means of zero: finite, above every other fold change, larger mean first; 0 against 0 is no change."""
    counts = {"control": [0, 0, 0, 8, 1], "moved": [4, 2, 0, 0, 1000]}
    control, moved = (np.log1p(np.tile(np.array(row, float), (2, 1))) for row in counts.values())
    fold = differential_expression(control, moved).log2_fold_change
    assert np.isfinite(fold).all()
    assert np.argsort(-np.abs(fold), kind="stable").tolist() == [3, 0, 1, 4, 2]
    assert fold[2] == 0
    assert fold[3] < 0 < fold[0]


def test_specs_say_everything_and_headline_metrics_are_the_four() -> None:
    """No empty declaration; the ranking uses the four metrics of the field."""
    assert headline_metrics() == ["de_overlap_adjusted", "direction_balanced", "mse", "pearson"]
    for name, declared in METRICS.items():
        spec = declared.spec
        assert spec.name == name
        assert all([spec.version, spec.formula, spec.gene_set, spec.reference, spec.nan_means])
        assert spec.range[0] < spec.range[1]


def test_two_metrics_cannot_share_a_name() -> None:
    """The second declaration is refused and the first stays."""
    before = METRICS["mse"]
    with pytest.raises(ValueError, match="declared twice"):
        metric(MetricSpec("mse", "2", "expression", "f", (0, 1), True, "g", "r", "n"))(
            lambda real, predicted: 0.0
        )
    assert METRICS["mse"] is before


def test_a_perfect_prediction_has_the_best_value_of_every_metric_that_judges() -> None:
    """Real cells as their own prediction; only for calibration they are closer than they should be."""
    control, real, predicted = screen(seed=1)
    table = evaluate(control, real, real, train=predicted)
    assert (table["n_de_real"] > 5).all()
    for name in [name for name in table if METRICS[name].spec.family in FAMILIES - {"uncertainty"}]:
        best = METRICS[name].spec.best
        if "mse_unbiased" in name:  # subtracts noise that a copy does not have
            assert (table[name] < 0).all()
        elif best is not None:
            assert table[name].dropna().to_numpy() == pytest.approx(best, abs=1e-12)
            assert table[name].notna().any()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
@example(seed=150696)  # an average precision of 1 + 2e-16
def test_scores_stay_in_range_and_do_not_depend_on_the_order_of_genes_or_cells(seed: int) -> None:
    """Permuting the genes of all sides together, or the cells of each side, changes no score."""
    control, real, predicted = screen(seed)
    table = evaluate(control, real, predicted)
    for name, declared in METRICS.items():
        low, high = declared.spec.range
        assert table[name].dropna().between(low, high).all()

    rng = np.random.default_rng(seed)
    shuffled = [{k: rng.permutation(v) for k, v in side.items()} for side in (real, predicted)]
    assert evaluate(rng.permutation(control), *shuffled).equals(table)

    genes = rng.permutation(control.shape[1])
    regened = [{k: v[:, genes] for k, v in side.items()} for side in (real, predicted)]
    np.testing.assert_allclose(evaluate(control[:, genes], *regened), table, rtol=1e-9, atol=1e-12)


def test_sparse_and_dense_cells_score_the_same_and_stay_unchanged() -> None:
    """The matrix format is no part of the result, and inputs are only read."""
    control, real, predicted = screen(seed=3)
    originals = [control.copy(), {k: v.copy() for k, v in real.items()}]
    dense = evaluate(control, real, predicted)
    assert np.array_equal(control, originals[0])
    assert all(np.array_equal(real[label], originals[1][label]) for label in real)
    for convert in (sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix):
        matrices = [{k: convert(v) for k, v in side.items()} for side in (real, predicted)]
        assert evaluate(convert(control), *matrices).equals(dense)


def test_one_perturbation_at_a_time_equals_all_at_once() -> None:
    """A row depends on nothing but its own cells and the controls; ranks alone are among all."""
    control, real, predicted = screen(seed=4)
    together = evaluate(control, real, predicted)
    assert together.index.tolist() == ["A", "A+B"]
    assert together.index.name == "perturbation"
    assert together.columns.tolist() == list(METRICS)
    for label in real:
        alone = evaluate(control, {label: real[label]}, {label: predicted[label]})
        pairs = [name for name, declared in METRICS.items() if isinstance(declared, Metric)]
        assert alone[pairs].equals(together.loc[[label], pairs])


def test_scores_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """More genes than one chunk, one thread against three."""
    control, real, predicted = screen(seed=5, genes=1100)
    tables = []
    for threads in (1, 3):
        monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", threads)
        tables.append(evaluate(control, real, predicted))
    assert tables[0].equals(tables[1])


class OneAtATime(Mapping[str, np.ndarray]):
    """Gives each perturbation once, when asked, and remembers the order."""

    def __init__(self, sides: dict[str, np.ndarray]) -> None:
        self.sides = sides
        self.asked: list[str] = []

    def __getitem__(self, label: str) -> np.ndarray:
        """Hand out the cells of one perturbation."""
        self.asked.append(label)
        return self.sides[label]

    def __iter__(self) -> Iterator[str]:
        """Go through the labels."""
        return iter(self.sides)

    def __len__(self) -> int:
        """Count the perturbations."""
        return len(self.sides)


class Log:
    """A reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.steps = 0

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Log]:
        """Open a stage."""
        self.heard.append((name, total))
        yield self

    def advance(self, steps: int = 1, **values: float) -> None:
        """Count steps."""
        self.steps += steps


def test_lazy_predictions_are_loaded_once_each_and_progress_is_told() -> None:
    """A mapping that loads on demand is asked for each perturbation one time."""
    control, real, predicted = screen(seed=6)
    lazy, log = OneAtATime(predicted), Log()
    with report_to(log):
        table = evaluate(control, real, lazy)
    assert sorted(lazy.asked) == ["A", "A+B"]
    assert (log.heard, log.steps) == ([("score", 2)], 2)
    assert table.equals(evaluate(control, real, predicted))


def spoil(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Write one bad value into a copy of the cells."""

    def change(good: np.ndarray) -> np.ndarray:
        bad = good.copy()
        bad[3, 2] = value
        return bad

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil(np.nan), "NaN, infinite or negative"),
        (spoil(np.inf), "NaN, infinite or negative"),
        (spoil(-np.inf), "NaN, infinite or negative"),
        (spoil(-0.5), "NaN, infinite or negative"),
        (spoil(900), "up to 900, too large for log1p"),
        (lambda good: good[:, :-1], "have 39 genes, but the control cells have 40"),
        (lambda good: good[:1], "at least 2 cells"),
        (lambda good: good[0], "at least 2 cells"),
    ],
)
def test_impossible_cells_are_refused_with_the_name_of_their_perturbation(
    change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    """On the real and on the predicted side, dense."""
    control, real, predicted = screen(seed=7)
    with pytest.raises(BenchmarkError, match=message) as refusal:
        evaluate(control, real, {**predicted, "A+B": change(predicted["A+B"])})
    assert "predicted cells of 'A+B'" in str(refusal.value)
    with pytest.raises(BenchmarkError, match=message) as refusal:
        evaluate(control, {**real, "A": change(real["A"])}, predicted)
    assert "real cells of 'A'" in str(refusal.value)


def test_impossible_controls_are_refused() -> None:
    """The message names the control cells; sparse matrices are looked through as well."""
    control, real, predicted = screen(seed=8)
    with pytest.raises(BenchmarkError, match="The control cells hold NaN"):
        evaluate(sparse.csr_matrix(spoil(np.nan)(control)), real, predicted)
    with pytest.raises(BenchmarkError, match="The control cells have the shape"):
        SortedCells.of(control[:, :0], "The control cells")


def test_perturbations_of_one_side_only_are_refused_not_dropped() -> None:
    """A missing prediction must be decided by whoever asks, not by the scorer."""
    control, real, predicted = screen(seed=9)
    with pytest.raises(BenchmarkError, match=r"1 perturbations have no predicted cells, such as 'A\+B'"):
        evaluate(control, real, {"A": predicted["A"]})
    with pytest.raises(BenchmarkError, match="1 perturbations have no real cells, such as 'A'"):
        evaluate(control, {"A+B": real["A+B"]}, predicted)
    with pytest.raises(BenchmarkError, match="no perturbations to score"):
        evaluate(control, {}, {})
