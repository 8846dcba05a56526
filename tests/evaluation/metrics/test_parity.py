"""Every metric that cell-eval has too gives its numbers, or the difference has a name and a reason."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.evaluation.metrics import METRICS
from tests.evaluation.metrics.metric_case import differential_expression, evaluate

pytestmark = pytest.mark.slow

LABELS = ["control", "A", "A+B", "B", "quiet"]
EFFECTIVE = ["A", "A+B", "B"]
GENES = 1500
N_CELLS = 60
"""Of each perturbation, on both sides: of more cells on one of them, metrics here test as many."""
SAME = {
    "pearson_delta": "pearson",
    "mse": "mse",
    "mse_delta": "mse",
    "mae": "mae",
    "mae_delta": "mae",
    "overlap_at_N": "de_overlap",
    "overlap_at_50": "de_overlap_50",
    "overlap_at_100": "de_overlap_100",
    "overlap_at_200": "de_overlap_200",
    "overlap_at_500": "de_overlap_500",
    "precision_at_50": "de_precision_50",
    "precision_at_100": "de_precision_100",
    "precision_at_200": "de_precision_200",
    "precision_at_500": "de_precision_500",
    "de_direction_match": "direction",
    "de_spearman_lfc_sig": "de_spearman",
    "de_sig_genes_recall": "de_recall",
    "de_nsig_counts_real": "n_de_real",
    "de_nsig_counts_pred": "n_de_predicted",
    "pr_auc": "de_pr_auc",
    "roc_auc": "de_roc_auc",
}
"""cell-eval's columns, and the metric here that must give the same numbers."""

OTHERWISE = {
    "precision_at_N": "de_precision counts all real DE genes, cell-eval's as many of them as were predicted",
    "discrimination_score_l1": "a rank among the panel, which the tests of ranks compare",
    "discrimination_score_l2": "a rank among the panel, which the tests of ranks compare",
    "discrimination_score_cosine": "a rank among the panel, which the tests of ranks compare",
    "de_spearman_sig": "one number for a panel, which n_de_real and n_de_predicted give",
    "pearson_edistance": "one number for a panel: it asks which perturbations are strong, not what they do, "
    "and leaves nothing to pair, resample or group by perturbation",
    "clustering_agreement": "one number for a panel, and as much about the clusterer: the best of seven "
    "resolutions, chosen with the answer at hand",
}
"""cell-eval's metrics that no metric here gives as they are, and why."""

UNREAD = [name for name in OTHERWISE if name not in ("precision_at_N", "de_spearman_sig")]


@pytest.fixture(scope="module")
def pair() -> tuple[anndata.AnnData, anndata.AnnData]:
    """Make a real and a predicted AnnData with the same controls; "quiet" has no effect."""
    rng = np.random.default_rng(7)
    base = rng.gamma(1.0, 3.0, GENES) + 0.3

    def cells(n: int, means: np.ndarray) -> np.ndarray:
        counts = rng.poisson(rng.gamma(2, means / 2, (n, len(means)))).astype(float)
        return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)

    control = cells(80, base)
    blocks = {"real": [control], "predicted": [control]}
    for label in LABELS[1:]:
        fold = np.exp(rng.normal(0, 1, GENES) * (rng.random(GENES) < 0.6) * (label != "quiet"))
        blocks["real"].append(cells(N_CELLS, base * fold))
        guess = np.sqrt(fold) * np.exp(rng.normal(0, 0.4, GENES))
        blocks["predicted"].append(cells(N_CELLS, base * guess))
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


def cell_evals(
    real: anndata.AnnData, predicted: anndata.AnnData, folder: Path, profile: str = "full", **pdex: Any
) -> pd.DataFrame:
    """Score with cell-eval: its columns, a row per perturbation."""
    cell_eval = pytest.importorskip("cell_eval")
    evaluator = cell_eval.MetricsEvaluator(
        adata_pred=predicted,
        adata_real=real,
        control_pert="control",
        pert_col="perturbation",
        num_threads=1,
        outdir=str(folder / "out"),
        pdex_kwargs=pdex,
        skip_de=profile == "anndata",
    )
    scores, _ = evaluator.compute(profile=profile, skip_metrics=UNREAD, write_csv=False, break_on_error=True)
    return pd.DataFrame(scores.to_dicts()).set_index("perturbation").loc[LABELS[1:]].astype(float)


@pytest.fixture(scope="module")
def tables(
    pair: tuple[anndata.AnnData, anndata.AnnData], tmp_path_factory: pytest.TempPathFactory
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Our scores and cell-eval's, with its fold changes of mean counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of cell-eval and of what it imports
        return ours(*pair), cell_evals(*pair, tmp_path_factory.mktemp("means"), geometric_mean=False)


def test_every_metric_of_cell_eval_is_here_or_has_a_reason_not_to_be() -> None:
    """A metric that a later cell-eval adds must be decided upon."""
    names = set(pytest.importorskip("cell_eval.metrics").metrics_registry.list_metrics())
    counts = {"de_nsig_counts_real", "de_nsig_counts_pred"}  # registered as one
    assert (SAME.keys() - counts) | {"de_nsig_counts"} | OTHERWISE.keys() == names
    assert not SAME.keys() & OTHERWISE.keys()
    assert set(SAME.values()) <= METRICS.keys()


def test_cell_eval_gives_the_same_scores_on_the_same_cells(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    """All but `direction` agree to 1e-6 once cell-eval's fold changes are of mean counts."""
    here, there = tables
    names = {theirs: name for theirs, name in SAME.items() if name != "direction"}
    expected = there.loc[EFFECTIVE, list(names)].set_axis(list(names.values()), axis=1)
    pd.testing.assert_frame_equal(
        expected, here.loc[EFFECTIVE, expected.columns], rtol=0, atol=1e-6, check_names=False
    )
    assert expected["de_overlap"].nunique() == len(EFFECTIVE)
    assert expected.loc["A"].filter(like="de_overlap").nunique() == 5


def test_without_a_real_de_gene_cell_eval_mostly_writes_zero_where_we_say_nan(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    """The named difference: a perturbation that nobody can be right about is left out here."""
    here, there = (table.loc["quiet"] for table in tables)
    assert here["n_de_real"] == there["de_nsig_counts_real"] == 0
    zeros = [name for name in SAME if name.startswith(("overlap", "precision"))]
    assert (there[zeros] == 0).all()
    undefined = [
        *zeros,
        "pr_auc",
        "roc_auc",
        "de_direction_match",
        "de_spearman_lfc_sig",
        "de_sig_genes_recall",
    ]
    assert here[[SAME[name] for name in undefined]].isna().all()
    assert there[undefined[len(zeros) :]].isna().all()
    same = ["pearson_delta", "mse", "mae", "de_nsig_counts_pred"]
    assert there[same].to_numpy() == pytest.approx(here[[SAME[name] for name in same]].to_numpy(), abs=1e-6)


def test_precision_at_n_differs_where_fewer_genes_are_predicted_than_are_real(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    """cell-eval's precision compares with the strongest real DE genes only, ours with all."""
    here, there = (table.loc[EFFECTIVE] for table in tables)
    fewer = here["n_de_predicted"] < here["n_de_real"]
    assert set(fewer) == {True, False}
    difference = (here["de_precision"] - there["precision_at_N"]).to_numpy()
    assert difference[~fewer] == pytest.approx(0, abs=1e-6)
    assert (difference[fewer] > 0.01).all()


def test_de_spearman_sig_can_be_read_from_the_numbers_of_de_genes(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    """One number for the panel, over perturbations with a real DE gene; cell-eval repeats it in each row."""
    here, there = tables
    counts = here.loc[EFFECTIVE, ["n_de_real", "n_de_predicted"]]
    expected = stats.spearmanr(counts["n_de_real"], counts["n_de_predicted"]).statistic
    assert there["de_spearman_sig"].to_numpy() == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore")
def test_cell_eval_by_default_orders_de_genes_by_ratios_of_geometric_means(
    pair: tuple[anndata.AnnData, anndata.AnnData],
    tables: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
) -> None:
    """The named difference at cell-eval's defaults: what fold changes order; `direction` agrees.

    The sign of a ratio of geometric means is the sign of the change in mean log value, which is ours.
    """
    here, there = tables[0].loc[EFFECTIVE], cell_evals(*pair, tmp_path).loc[EFFECTIVE]
    ordered = [name for name in SAME if name.startswith(("overlap", "precision", "de_spearman"))]
    same = [name for name in SAME if name not in ordered]
    names = [SAME[name] for name in same]
    np.testing.assert_allclose(there[same], here[names], rtol=0, atol=1e-6)
    assert not np.allclose(there["overlap_at_50"], here["de_overlap_50"], atol=1e-6)
    assert there[ordered].to_numpy() == pytest.approx(
        here[[SAME[name] for name in ordered]].to_numpy(), abs=0.15
    )


@pytest.mark.filterwarnings("ignore")
def test_cell_eval_lets_a_prediction_move_its_own_control(
    pair: tuple[anndata.AnnData, anndata.AnnData],
    tables: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
) -> None:
    """The named difference for changes: each side has its own control there, and both have the real one here.

    Moving the predicted controls alone moves cell-eval's scores of changes; here there is nothing to move.
    """
    real, predicted = pair
    moved = predicted.copy()
    chosen = (moved.obs["perturbation"] == "control").to_numpy()
    moved.X[chosen] *= np.linspace(0, 1, GENES, dtype=np.float32)
    honest = tables[1]
    there = cell_evals(real, moved, tmp_path, profile="anndata")
    pd.testing.assert_frame_equal(there[["mse", "mae"]], honest[["mse", "mae"]])
    assert (np.abs(there["pearson_delta"] - honest["pearson_delta"]) > 0.1).all()
    assert not np.allclose(there["mse_delta"], honest["mse_delta"], atol=1e-3)
    pd.testing.assert_frame_equal(ours(real, moved), tables[0])


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
