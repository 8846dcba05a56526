"""Claims about the metrics of DE genes: by hand, against other implementations, and as axioms."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.evaluation.metrics import METRICS, Response
from benchmark.evaluation.metrics.response import FDR_THRESHOLD
from tests.evaluation.metrics.metric_case import response

FAMILY = [
    name
    for name, declared in METRICS.items()
    if declared.spec.family == "DE" and not name.startswith("de_wilcoxon_")
]
"""Those of cell-eval2 that bear its name have tests of their own (`test_verdicts`)."""
JUDGING = [name for name in FAMILY if METRICS[name].spec.higher_is_better]
SEEDS = st.integers(0, 2**32 - 1)


def score(name: str, real: Response, predicted: Response) -> float:
    """Score one perturbation by name."""
    return METRICS[name](real, predicted)


def scores(names: list[str], real: Response, predicted: Response) -> list[float]:
    """Score one perturbation by several names."""
    return [score(name, real, predicted) for name in names]


def sides(seed: int, genes: int = 60) -> tuple[Response, Response]:
    """Draw fold changes, no two alike, and FDRs of both sides; one to all but one gene are really DE."""
    rng = np.random.default_rng(seed)
    rates = 10 ** rng.uniform(-14, 0, (2, genes))
    rates[0, 0], rates[0, 1] = 1e-3, 0.9
    sizes = np.linspace(0.1, 5, genes)
    return tuple(response(rng.permutation(sizes) * rng.choice([-1, 1], genes), fdr=rate) for rate in rates)


def test_shared_genes_by_hand() -> None:
    """Real {0, 1, 2}, predicted {1, 2, 3, 4}: 2 shared, of 4, of 3, and of the 5 of either."""
    real, predicted = response([9, 8, 7, 0, 0], de="xxx.."), response([0, 8, 7, 6, 5], de=".xxxx")
    names = ["de_precision", "de_recall", "de_jaccard", "n_de_ratio"]
    assert scores(names, real, predicted) == pytest.approx([2 / 4, 2 / 3, 2 / 5, 4 / 3])


def test_calling_nothing_de_scores_zero_and_calling_everything_does_not_pay_in_jaccard() -> None:
    """Recall alone is won by calling every gene."""
    real = response([4, 3, 0, 0, 0, 0, 0, 0], de="xx......")
    silent, loud = response([1.0] * 8), response([1.0] * 8, de="x" * 8)
    sharing = [
        name
        for name in JUDGING
        if name.startswith(("de_overlap", "de_precision", "de_recall", "de_j")) and "adjusted" not in name
    ]
    assert scores(sharing, real, silent) == [0] * len(sharing)
    assert scores(["de_recall", "de_precision", "de_jaccard"], real, loud) == [1, 2 / 8, 2 / 8]


def test_precision_at_k_cuts_both_lists_at_k_but_never_beyond_the_predicted_genes() -> None:
    """Genes 0 to 29 are DE in falling order; predicted are 10 to 39, or only 28 and 29."""
    real = response(np.arange(60, 0, -1), de="x" * 30 + "." * 30)
    later = response(
        np.r_[np.zeros(10), np.arange(30, 0, -1), np.zeros(20)], de="." * 10 + "x" * 30 + "." * 20
    )
    assert score("de_precision_20", real, later) == pytest.approx(10 / 20)
    assert score("de_precision_50", real, later) == pytest.approx(20 / 30)
    last_two = response(np.ones(60), de="." * 28 + "xx" + "." * 30)
    assert (score("de_precision_20", real, last_two), score("de_precision", real, last_two)) == (0, 1)


def test_overlap_at_two_and_five_hundred_cuts_there() -> None:
    """Of 600 real DE genes the last 250 are predicted first, then the others in order."""
    real = response(np.arange(600, 0, -1), de="x" * 600)
    predicted = response(np.r_[np.arange(350, 0, -1), np.arange(1000, 750, -1)], de="x" * 600)
    assert score("de_overlap_200", real, predicted) == 0
    assert score("de_overlap_500", real, predicted) == pytest.approx((250 + 150) / 500)
    assert score("de_overlap", real, predicted) == 1


def test_spearman_of_fold_changes_by_hand() -> None:
    """Ranks 1 2 3 4 and 1 2 4 3 over the real DE genes: 1 - 6 * 2 / (4 * 15); the other gene counts 0."""
    real = response([0, 0, 0, 0, 0], fold=[-5, 1, 2, 9, 70], de="xxxx.")
    predicted = response([0, 0, 0, 0, 0], fold=[-1, 0, 3, 2, -50])
    assert score("de_spearman", real, predicted) == pytest.approx(0.8)


def test_equal_predicted_fold_changes_score_zero_and_one_gene_has_no_order() -> None:
    """Nor have real fold changes that are equal."""
    real, equal = response([1, 2, 3], de="xxx"), response([2, 2, 2], de="xxx")
    assert score("de_spearman", real, equal) == 0
    assert np.isnan(score("de_spearman", equal, real))
    assert np.isnan(score("de_spearman", response([1, 2, 3], de="x.."), real))


def test_areas_by_hand() -> None:
    """DE genes 0 and 2 are first and third of four: precision 1 and 2/3; 3 of 4 pairs are in order."""
    real = response([0] * 4, fdr=[0.01, 0.5, 0.01, 0.5])
    predicted = response([0] * 4, fdr=[1e-6, 1e-4, 0.02, 0.6])
    assert score("de_pr_auc", real, predicted) == pytest.approx((1 + 2 / 3) / 2)
    assert score("de_roc_auc", real, predicted) == pytest.approx(3 / 4)


def test_evidence_beyond_one_in_ten_billion_is_tied() -> None:
    """1e-30 of a wrong gene beats 1e-12 of the right one no more than the other way around; 1e-9 loses."""
    real = response([0] * 3, fdr=[0.01, 0.5, 0.5])
    tied = response([0] * 3, fdr=[1e-12, 1e-30, 1])
    assert score("de_roc_auc", real, tied) == pytest.approx((0.5 + 1) / 2)
    assert score("de_pr_auc", real, tied) == pytest.approx(1 / 2)
    assert score("de_roc_auc", real, response([0] * 3, fdr=[1e-9, 1e-30, 1])) == pytest.approx(1 / 2)


@pytest.mark.parametrize("marks", ["...", "xxx"])
def test_areas_need_genes_of_both_kinds(marks: str) -> None:
    """Where all genes are alike there is nothing to find."""
    real, predicted = response([1, 2, 3], de=marks), response([3, 2, 1], de="x..")
    assert np.isnan(scores(["de_pr_auc", "de_roc_auc"], real, predicted)).all()


def test_without_a_real_de_gene_everything_but_the_counts_is_nan_whatever_is_predicted() -> None:
    """So the same perturbations count for every method."""
    quiet = response([1, 2, 3])
    for predicted in (quiet, response([1, 2, 3], de="xx.")):
        defined = [name for name in FAMILY if not np.isnan(score(name, quiet, predicted))]
        assert defined == ["n_de_real", "n_de_predicted"]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_other_implementations_say_the_same(seed: int) -> None:
    """scikit-learn on labels, SciPy on ranks, and areas summed gene by gene."""
    real, predicted = sides(seed)
    labels = real.fdr < FDR_THRESHOLD, predicted.fdr < FDR_THRESHOLD
    ranking = [
        sorted(np.flatnonzero(label), key=lambda gene, side=side: -abs(side.log2_fold_change[gene]))
        for label, side in zip(labels, (real, predicted), strict=True)
    ]
    evidence = -np.log10(np.clip(predicted.fdr, 1e-10, 1))
    among = labels[0].sum() * (~labels[0]).sum()
    expected = {
        "de_precision": sklearn.metrics.precision_score(*labels, zero_division=0),
        "de_recall": sklearn.metrics.recall_score(*labels),
        "de_jaccard": sklearn.metrics.jaccard_score(*labels),
        "de_pr_auc": average_precision(labels[0], evidence),
        "de_roc_auc": stats.mannwhitneyu(evidence[labels[0]], evidence[~labels[0]]).statistic / among,
    }
    for limit in (20, 50):
        for name, count in (("overlap", len(ranking[0])), ("precision", len(ranking[1]))):
            k = min(limit, count)
            first = [set(genes[:k]) for genes in ranking]
            expected[f"de_{name}_{limit}"] = len(first[0] & first[1]) / k if k else 0
    if labels[0].sum() > 2:
        folds = [side.log2_fold_change[labels[0]] for side in (real, predicted)]
        expected["de_spearman"] = stats.spearmanr(*folds).statistic
    found = {name: score(name, real, predicted) for name in expected}
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def average_precision(is_de: np.ndarray, evidence: np.ndarray) -> float:
    """Sum over the distinct thresholds of recall gained times precision there."""
    total = before = 0.0
    for threshold in sorted(set(evidence), reverse=True):
        called = evidence >= threshold
        recall = (called & is_de).sum() / is_de.sum()
        total += (recall - before) * (called & is_de).sum() / called.sum()
        before = recall
    return total


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_axioms(seed: int) -> None:
    """Identity is best, values stay in range, gene order is nothing, precision mirrors recall."""
    real, predicted = sides(seed)
    for name in JUDGING:
        undefined = name in ("de_spearman", "de_overlap_adjusted")  # with a single DE gene, or all genes
        assert score(name, real, real) == pytest.approx(METRICS[name].spec.best, nan_ok=undefined)
    order = np.random.default_rng(seed).permutation(60)
    turned = [
        response(side.change[order], fold=side.log2_fold_change[order], fdr=side.fdr[order])
        for side in (real, predicted)
    ]
    for name in FAMILY:
        value = score(name, real, predicted)
        low, high = METRICS[name].spec.range
        assert np.isnan(value) or low <= value <= high
        assert score(name, *turned) == pytest.approx(value, rel=1e-12, abs=1e-12, nan_ok=True)
    if len(predicted.de_genes):
        assert score("de_jaccard", predicted, real) == score("de_jaccard", real, predicted)
        assert score("de_precision", predicted, real) == score("de_recall", real, predicted)
        assert score("de_precision_50", predicted, real) == score("de_overlap_50", real, predicted)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_genes_exchanged_for_wrong_ones_are_never_better(seed: int) -> None:
    """Ever more of the real DE genes swap their evidence and fold change with genes that are none."""
    rng = np.random.default_rng(seed)
    fold = np.sort(rng.uniform(1, 9, 60))[::-1] * rng.choice([-1, 1], 60)
    fold[30:] *= 0.01
    rates = np.sort(10 ** rng.uniform(-9, -2, 60))
    rates[30:] = np.sort(rng.uniform(0.1, 1, 30))
    real = response(fold, fdr=rates)
    names = [name for name in JUDGING if name not in ("de_spearman", "direction")]
    perfect = before = scores(names, real, real)
    for count in (3, 10, 25, 30):
        order = np.arange(60)
        order[:count], order[30 : 30 + count] = np.arange(30, 30 + count), np.arange(count)
        after = scores(names, real, response(fold[order], fdr=rates[order]))
        assert all(now <= then for now, then in zip(after, before, strict=True))
        before = after
    assert all(now < then for now, then in zip(before, perfect, strict=True))
