"""Predictions that nobody can make without the test cells are refused, and honest ones never are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from benchmark.data import load_dataset
from benchmark.data.fingerprints import FEWEST
from benchmark.errors import BenchmarkError
from benchmark.evaluation.independence import MANY, TOO_CLOSE, Originals, require_independence
from benchmark.evaluation.scoring import ceiling
from benchmark.records.tracking import Tracker
from benchmark.runs.run import run
from benchmark.splits import load_split
from benchmark.splits.views import held_out_cells
from tests.tiny import COLUMNS, request, write_methods


def scores_of(*errors: float) -> pd.DataFrame:
    return pd.DataFrame({"mse": errors}, [f"G{index}" for index in range(len(errors))])


def alike(n: int) -> dict[str, np.ndarray]:
    """Perturbations of 2 cells, 2 genes: variances 8 and 2, so v / n is (8 / 2 + 2 / 2) / 2 = 2.5."""
    return {f"G{index}": np.array([[1, 2], [5, 4]], np.float32) for index in range(n)}


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_an_error_below_a_tenth_of_the_noise_is_refused_with_both_numbers(form):
    real = {label: form(cells) for label, cells in alike(1).items()}
    require_independence(real, scores_of(0.2501))
    with pytest.raises(BenchmarkError) as refusal:
        require_independence(real, scores_of(0.2499))
    assert str(refusal.value) == (
        "1 of 1 predictions are closer to the test cells than any that has not seen them can be, such as "
        "that of 'G0' (MSE 0.25, but the sampling noise of the real mean alone is 2.5); predict without the "
        "test cells."
    )


@pytest.mark.parametrize(("n", "allowed"), [(1, 0), (2, 1), (3, 1), (4, 1), (5, 1), (8, 2), (20, 5)])
def test_a_few_may_be_close_by_chance_and_more_than_a_quarter_not(n, allowed):
    """Perfect answers do not hide behind bad ones, and of two or three one alone is no evidence."""
    real = alike(n)
    require_independence(real, scores_of(*[0.0] * allowed, *[99.0] * (n - allowed)))
    with pytest.raises(BenchmarkError, match=f"{allowed + 1} of {n} predictions"):
        require_independence(real, scores_of(*[0.0] * (allowed + 1), *[99.0] * (n - allowed - 1)))


def test_only_what_was_predicted_counts_and_where_there_is_no_noise_nothing_is_known():
    require_independence(alike(3), scores_of())
    require_independence({"G0": np.ones((5, 3), np.float32)}, scores_of(0.0))
    with pytest.raises(BenchmarkError, match="1 of 1"):
        require_independence(alike(3), scores_of(0.0))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_cells=st.integers(5, 40),
    n_genes=st.integers(30, 60),
    n_perturbations=st.integers(1, 6),
    common=st.floats(0, 0.5),
)
def test_whoever_knows_the_very_truth_but_not_the_cells_is_not_refused(
    seed, n_cells, n_genes, n_perturbations, common
):
    """The expectation itself, which no method knows, also where part of the noise is common to all genes."""
    rng = np.random.default_rng(seed)
    truth, real, errors = 5.0, {}, []
    for index in range(n_perturbations):
        shared = rng.normal(0, common, (n_cells, 1))
        real[f"G{index}"] = cells = (truth + shared + rng.normal(size=(n_cells, n_genes))).astype(np.float32)
        errors.append(float(((cells.mean(axis=0, dtype=float) - truth) ** 2).mean()))
    require_independence(real, scores_of(*errors))


def test_the_bound_is_the_one_that_is_declared():
    """A sample of m of n cells is off by v (1 / m - 1 / n): a tenth of v / n for m = 10 / 11 n."""
    assert (TOO_CLOSE, MANY) == (0.1, 0.25)
    rng = np.random.default_rng(0)
    cells = {f"G{index}": rng.normal(5, 1, (110, 400)).astype(np.float32) for index in range(5)}

    def part(m):
        means = [(values[:m].mean(axis=0) - values.mean(axis=0)) for values in cells.values()]
        return scores_of(*(float((off.astype(float) ** 2).mean()) for off in means))

    require_independence(cells, part(96))
    with pytest.raises(BenchmarkError, match="closer to the test cells"):
        require_independence(cells, part(104))


def deep_cells(rng, n: int) -> np.ndarray:
    return rng.uniform(0.1, 3, (n, 30)).astype(np.float32)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_copies_of_test_cells_are_counted_whatever_their_label(form):
    rng = np.random.default_rng(0)
    real = {"A": deep_cells(rng, 7), "B": deep_cells(rng, 5)}
    originals = Originals({label: form(cells) for label, cells in real.items()})
    others = deep_cells(rng, 4)
    assert originals.copies(others) == 0
    assert originals.copies(np.concatenate([others, real["B"][1:3], real["A"][:1]])) == 3
    assert originals.copies(real["A"] * np.float32(1.00001)) == 0
    assert originals.copies(real["A"][:, ::-1]) == 0


def test_shallow_cells_are_no_evidence():
    for depth, copies in ((FEWEST - 1, 0), (FEWEST, 1)):
        cell = np.zeros((1, 30), np.float32)
        cell[0, :depth] = np.arange(1, depth + 1)
        assert Originals({"A": cell}).copies(cell) == copies


def test_a_negative_zero_makes_no_other_cell():
    cell = deep_cells(np.random.default_rng(0), 1)
    cell[0, :3] = 0
    assert Originals({"A": cell}).copies(np.where(cell == 0, np.float32(-0.0), cell)) == 1


def test_a_hash_alone_is_no_proof(monkeypatch):
    """Where all hashes are alike, rows are compared."""
    rng = np.random.default_rng(0)
    cells, others = deep_cells(rng, 6), deep_cells(rng, 6)
    monkeypatch.setattr(
        "benchmark.evaluation.independence.fingerprints", lambda matrix: np.zeros(matrix.shape[0], np.uint64)
    )
    originals = Originals({"A": cells})
    assert originals.copies(others) == 0
    assert originals.copies(np.concatenate([others, cells[2:]])) == 4


READS = """
from benchmark.data import load_dataset
from benchmark.means import MovableCells
from methods.train_mean import TrainMean


class Reads(TrainMean):
    name = "reads"

    def predict(self, control, perturbations):
        cells = load_dataset({path!r}, **{columns!r}).adata
        for perturbation in perturbations:
            mean = cells.X[(cells.obs["perturbation"] == str(perturbation)).to_numpy()].toarray().mean(axis=0)
            yield MovableCells(control.X.toarray()).to(mean).astype("float32")
"""


def test_a_run_of_a_method_that_reads_the_answers_fails_with_that_sentence(screen, store, tmp_path):
    file = write_methods(tmp_path, READS.format(path=str(screen), columns=COLUMNS))
    with pytest.raises(BenchmarkError, match="3 of 3 predictions are closer to the test cells"):
        run(request(screen, f"{file}:Reads"))
    (found,) = Tracker().runs()
    assert found.status == "failed"
    assert "closer to the test cells" in found.tags["reason"]


@pytest.mark.parametrize("method", ["no_change", "train_mean", "additive", "linear", "main_effects"])
def test_honest_methods_and_the_ceiling_are_far_from_the_bound(screen, store, method):
    """On a screen of 12 cells per perturbation; what is expected is at least 1."""
    record, _ = run(request(screen, method))
    dataset = load_dataset(str(screen), **COLUMNS)
    split = load_split(dataset, "doubles", 0)
    real = {label: cells.toarray().astype(float) for label, cells in held_out_cells(dataset, split).items()}
    noise = [cells.var(axis=0, ddof=1).mean() / len(cells) for cells in real.values()]
    assert min(np.array(record.scores["mse"]) / noise) > 5 * TOO_CLOSE
    assert min(ceiling(dataset, split)["mse"] / noise) > 5 * TOO_CLOSE
