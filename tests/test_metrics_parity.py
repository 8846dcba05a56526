"""The same numbers from independent implementations: SciPy for the test, cell-eval for the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.metrics.ranksum import rank_sum_p_values
from tests.metric_case import differential_expression, evaluate

LABELS = ["control", "A", "A+B", "B", "quiet"]
EFFECTIVE = ["A", "A+B", "B"]
OUR_NAMES = {
    "overlap_at_N": "de_overlap",
    "overlap_at_50": "de_overlap_50",
    "overlap_at_100": "de_overlap_100",
    "de_direction_match": "direction",
    "mse": "mse",
    "pearson_delta": "pearson",
    "de_nsig_counts_real": "n_de_real",
    "de_nsig_counts_pred": "n_de_predicted",
}


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
    found = differential_expression(control, control[:30] + np.linspace(0, 1, 15, dtype=np.float32))
    order = np.argsort(found.p_value)
    raw = found.p_value[order] * 15 / np.arange(1, 16)
    adjusted = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1)
    assert found.fdr[order] == pytest.approx(adjusted, rel=1e-12)
    assert found.fdr == pytest.approx(stats.false_discovery_control(found.p_value), rel=1e-12)


def screen() -> tuple[anndata.AnnData, anndata.AnnData]:
    """Make a real and a predicted AnnData with the same controls; "quiet" has no effect."""
    rng = np.random.default_rng(7)
    base = rng.gamma(1.0, 3.0, 200) + 0.3

    def cells(n: int, means: np.ndarray) -> np.ndarray:
        counts = rng.poisson(rng.gamma(2, means / 2, (n, len(means)))).astype(float)
        return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)

    control = cells(80, base)
    blocks = {"real": [control], "predicted": [control]}
    for label in LABELS[1:]:
        fold = np.exp(rng.normal(0, 1, 200) * (rng.random(200) < 0.4) * (label != "quiet"))
        blocks["real"].append(cells(60, base * fold))
        guess = np.sqrt(fold) * np.exp(rng.normal(0, 0.4, 200))
        blocks["predicted"].append(cells(120, base * guess))
    return annotated(blocks["real"]), annotated(blocks["predicted"])


def annotated(blocks: list[np.ndarray]) -> anndata.AnnData:
    """Join blocks of cells, one for each of `LABELS`."""
    labels = np.repeat(LABELS[: len(blocks)], [len(block) for block in blocks])
    obs = pd.DataFrame({"perturbation": labels}, index=[f"cell{i}" for i in range(len(labels))])
    return anndata.AnnData(np.concatenate(blocks), obs=obs)


def ours(real: anndata.AnnData, predicted: anndata.AnnData) -> pd.DataFrame:
    """Score with this package."""
    control, *real_cells = (real.X[real.obs["perturbation"] == label] for label in LABELS)
    predicted_cells = [predicted.X[predicted.obs["perturbation"] == label] for label in LABELS[1:]]
    return evaluate(
        control,
        dict(zip(LABELS[1:], real_cells, strict=True)),
        dict(zip(LABELS[1:], predicted_cells, strict=True)),
    )


def cell_evals(real: anndata.AnnData, predicted: anndata.AnnData, folder: Path, **pdex: Any) -> pd.DataFrame:
    """Score with cell-eval, under the names of this package."""
    cell_eval = pytest.importorskip("cell_eval")
    evaluator = cell_eval.MetricsEvaluator(
        adata_pred=predicted,
        adata_real=real,
        control_pert="control",
        pert_col="perturbation",
        num_threads=1,
        outdir=str(folder / "out"),
        pdex_kwargs=pdex,
    )
    skipped = ["clustering_agreement", "pearson_edistance", "pr_auc", "roc_auc"]
    skipped += [f"discrimination_score_{distance}" for distance in ("l1", "l2", "cosine")]
    scores, _ = evaluator.compute(profile="full", skip_metrics=skipped, write_csv=False, break_on_error=True)
    table = pd.DataFrame(scores.to_dicts()).set_index("perturbation")
    return table.rename(columns=OUR_NAMES)[list(OUR_NAMES.values())]


@pytest.mark.filterwarnings("ignore")
def test_cell_eval_gives_the_same_scores_on_the_same_cells(tmp_path: Path) -> None:
    """All but `direction` agree to 1e-6 once cell-eval's fold changes are of mean counts.

    Named difference: without a real DE gene cell-eval writes an overlap of 0, where we say NaN.
    """
    real, predicted = screen()
    here = ours(real, predicted)
    there = cell_evals(real, predicted, tmp_path, geometric_mean=False)
    names = here.columns.intersection(there.columns).drop("direction")
    pd.testing.assert_frame_equal(
        there.loc[EFFECTIVE, names], here.loc[EFFECTIVE, names], rtol=0, atol=1e-6, check_names=False
    )
    assert here.loc["quiet", "n_de_real"] == 0
    assert here.loc["quiet", ["de_overlap", "de_overlap_50", "de_overlap_100"]].isna().all()
    assert (there.loc["quiet", ["de_overlap", "de_overlap_50", "de_overlap_100"]] == 0).all()


@pytest.mark.filterwarnings("ignore")
def test_cell_eval_by_default_orders_de_genes_by_ratios_of_geometric_means(tmp_path: Path) -> None:
    """The named difference at cell-eval's defaults: overlaps only; the rest agrees, `direction` included.

    The sign of a ratio of geometric means is the sign of the change in mean log value, which is ours.
    """
    real, predicted = screen()
    here = ours(real, predicted).loc[EFFECTIVE]
    there = cell_evals(real, predicted, tmp_path).loc[EFFECTIVE]
    same = ["direction", "mse", "pearson", "n_de_real", "n_de_predicted"]
    pd.testing.assert_frame_equal(there[same], here[same], rtol=0, atol=1e-6, check_names=False)
    assert not np.allclose(there["de_overlap"], here["de_overlap"], atol=1e-6)
    assert there["de_overlap"].to_numpy() == pytest.approx(here["de_overlap"].to_numpy(), abs=0.1)


@pytest.mark.filterwarnings("ignore")
def test_fold_changes_from_and_to_zero_are_pdexs_with_its_pseudocount() -> None:
    """Where cell-eval's pdex (no pseudocount) gives infinity, ours are its default ones, and rank first."""
    pdex = pytest.importorskip("pdex").pdex
    rng = np.random.default_rng(1)
    control, cells = (rng.gamma(1, 1, (20, 12)).astype(np.float32) for _ in range(2))
    control[:, :3] = 0
    cells[:, 2:5] = 0
    fold = differential_expression(control, cells).log2_fold_change
    options = {"groupby": "perturbation", "reference": "control", "is_log1p": True, "geometric_mean": False}
    pair = annotated([control, cells])
    bare = pdex(pair, epsilon=0.0, **options)["log2_fold_change"].to_numpy()
    guarded = pdex(pair, **options)["log2_fold_change"].to_numpy()
    assert np.flatnonzero(np.isinf(bare)).tolist() == [0, 1, 3, 4]
    assert set(np.argsort(-np.abs(fold))[:4]) == {0, 1, 3, 4}
    assert fold[2] == 0
    np.testing.assert_allclose(fold, guarded, rtol=1e-5, atol=1e-6)
