"""The test behind DE genes gives SciPy's numbers, and those that can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.evaluation.metrics.rank_sum import compiled, rank_sum_p_values, tie_terms
from tests.evaluation.metrics.metric_case import differential_expression


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    levels=st.integers(2, 60),
)
def test_p_values_are_scipys_with_ties_and_continuity(seed: int, sizes: tuple[int, int], levels: int) -> None:
    """Few levels make many ties; many levels make almost none."""
    rng = np.random.default_rng(seed)
    control, cells = (rng.integers(0, levels, (7, size)).astype(float) for size in sizes)
    control[:, 0] = levels  # a gene with one value everywhere has a test of its own
    expected = stats.mannwhitneyu(cells, control, use_continuity=True, method="asymptotic", axis=1).pvalue
    found = rank_sum_p_values(*(np.sort(side.astype(np.float32), axis=1) for side in (control, cells)))
    assert found == pytest.approx(expected, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.integers(1, 30))
def test_ties_of_the_control_cells_may_be_handed_in(seed: int, levels: int) -> None:
    """Tie terms by counting; and p-values are the same with them."""
    rng = np.random.default_rng(seed)
    control, cells = (np.sort(rng.integers(0, levels, (5, n)).astype(np.float32), axis=1) for n in (12, 9))
    counts = [np.unique(row, return_counts=True)[1].astype(float) for row in control]
    assert tie_terms(control).tolist() == [float((t**3 - t).sum()) for t in counts]
    found = rank_sum_p_values(control, cells, tie_terms(control))
    assert found.tolist() == rank_sum_p_values(control, cells).tolist()


def test_a_gene_with_one_value_everywhere_has_p_value_one() -> None:
    """No variation, no evidence."""
    assert rank_sum_p_values(np.zeros((1, 4), np.float32), np.zeros((1, 3), np.float32)).tolist() == [1.0]


def test_p_value_of_a_complete_separation_by_hand() -> None:
    """3 against 3, no ties: U = 9, mean 4.5, variance 9 * 7 / 12, z = 4 / sqrt(5.25)."""
    control = np.array([[0, 1, 2]], dtype=np.float32)
    expected = 2 * stats.norm.sf(4 / np.sqrt(5.25))
    assert rank_sum_p_values(control, control + 3) == pytest.approx([expected], rel=1e-12)


def test_fdr_is_benjamini_hochberg_by_hand() -> None:
    """Adjusted by hand from the p-values: p times n over its rank, made monotone from the largest down."""
    rng = np.random.default_rng(0)
    control = rng.gamma(2, 1, (60, 15)).astype(np.float32)
    cells = control[:30] + np.linspace(0, 1, 15, dtype=np.float32)
    found = differential_expression(control, cells)
    p = rank_sum_p_values(*(np.ascontiguousarray(np.sort(side.T, axis=1)) for side in (control, cells)))
    order = np.argsort(p)
    raw = p[order] * 15 / np.arange(1, 16)
    adjusted = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1)
    assert found.fdr[order] == pytest.approx(adjusted, rel=1e-12)
    assert found.fdr == pytest.approx(stats.false_discovery_control(p), rel=1e-12)


def test_a_kernel_is_compiled_also_where_its_code_can_be_kept_nowhere():
    """What was made of a text belongs to no file, beside which numba could keep anything."""
    made: dict[str, Callable[[int], int]] = {}
    exec("def twice(number): return 2 * number", made)
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(made["twice"])
    assert compiled(made["twice"])(21) == 42
