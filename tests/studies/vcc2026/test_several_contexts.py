"""The score of 2026 where several contexts are tested: each as if alone, and the mean over them."""

from __future__ import annotations

import json
import logging

import anndata as ad
import numpy as np
import pytest

from benchmark.counted import PredictedCounts
from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.splits import Split
from benchmark.splits.split import group_of
from benchmark.studies.vcc2026.contexts import mean_score, score_contexts
from benchmark.studies.vcc2026.suite import SIX, Context, means, measure
from tests.evaluation.metrics.cell_eval2_pair import (
    CONTROL,
    GENES,
    LABELS,
    RECORDED,
    _config,
    annotated,
    screens,
)
from tests.tiny import COLUMNS

THEIRS = json.loads(RECORDED.read_text())
SEEDS = {"A": 7, "B": 11}
OF_A_PANEL = "expr_mse_unbiased_capped_norm"


@pytest.fixture(scope="module")
def sides():
    """Real and predicted counts of the recorded pair, and of another one that stands for a second context."""
    return {name: screens(seed) for name, seed in SEEDS.items()}


@pytest.fixture(scope="module")
def question(sides, tmp_path_factory):
    """Both in one file, every perturbation tested in both, with the control cells that both sides share."""
    path = tmp_path_factory.mktemp("contexts") / "two.h5ad"
    parts = [annotated(real) for real, _ in sides.values()]
    for name, part in zip(sides, parts, strict=True):
        part.obs["line"] = name
        part.obs_names = [f"{name}{cell}" for cell in part.obs_names]
    ad.concat(parts).write_h5ad(path)
    dataset = load_dataset(str(path), context_column="line", **COLUMNS)
    test = tuple(sorted(f"{name}::{label}" for name in sides for label in LABELS))
    split = Split(
        dataset=dataset.name,
        scheme="all",
        seed=0,
        train=(),
        validation=(),
        test=test,
        groups={label: group_of(label, ()) for label in test},
        generator="test",
        parameters={},
        dataset_digest=dataset.digest,
    ).sealed()
    return dataset, split


@pytest.fixture(scope="module")
def predicted(sides):
    counts = {f"{name}::{label}": cells for name, (_, side) in sides.items() for label, cells in side.items()}
    return PredictedCounts(counts, lambda label, cells: 1e4 / cells.sum(axis=1))


@pytest.fixture(scope="module")
def found(question, predicted):
    return score_contexts(*question, predicted, halvings=2)


def test_each_context_scores_what_it_scores_alone(found, sides):
    """And that of the recorded pair what cell-eval2 gives."""
    assert [each.context for each in found] == ["A", "B"]
    for each in found:
        real, guess = sides[each.context]
        rest = {label: cells for label, cells in real.items() if label != CONTROL}
        alone = measure(Context(GENES, real[CONTROL], rest, "counts"), guess)
        assert each.values == pytest.approx(means(alone), abs=1e-9)
    assert {name: THEIRS["counts"]["together"][name] for name in SIX} == pytest.approx(
        found[0].values, abs=1e-6
    )


def test_the_score_is_the_mean_over_contexts_however_often_each_was_tested(found):
    one, other = found
    assert mean_score(found) == pytest.approx((one.score + other.score) / 2)
    assert mean_score([one, one, other]) == pytest.approx(mean_score(found))


def test_a_context_that_cannot_be_scored_is_named(question, predicted):
    dataset, split = question
    with pytest.raises(BenchmarkError, match="In context 'A': The challenge measures both sides"):
        score_contexts(dataset, split.model_copy(update={"controls": ()}), predicted)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_cell_eval2_has_the_same_mean_over_contexts(found, sides):
    """Skipped where `cell-eval2` and `pdex` are not installed (extra `eval`)."""
    cell_eval2 = pytest.importorskip("cell_eval2", reason="the extra `eval` is not installed")
    pytest.importorskip("pdex", reason="the extra `eval` is not installed")
    import polars as pl
    from cell_eval2.h5ad_manifest import _assemble_score_result

    logging.disable(logging.WARNING)
    try:
        frames = []
        for name, (real, guess) in sides.items():
            pair = annotated(guess | {CONTROL: real[CONTROL]}), annotated(real)
            table = cell_eval2.compute_metrics(*pair, config=_config("counts", "vcc2026"))
            frames.append(
                table.filter(
                    pl.col("metric").is_in([each for each in SIX if each != OF_A_PANEL])
                ).with_columns(dataset=pl.lit("two"), panel_id=pl.lit("all"), context=pl.lit(name))
            )
        overall = _assemble_score_result(frames).overall
    finally:
        logging.disable(logging.NOTSET)
    theirs = {row["metric"]: row["value"] for row in overall.to_dicts()}
    assert set(theirs) == set(SIX) - {OF_A_PANEL}
    ours = {name: np.mean([each.values[name] for each in found]) for name in theirs}
    assert theirs == pytest.approx(ours, abs=1e-6)
