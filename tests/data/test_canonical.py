"""The canonical form by hand-computed values, and what is refused on the way to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from benchmark.data.canonical import canonicalise
from benchmark.data.cards import DatasetCard
from benchmark.errors import BenchmarkError

LABELS = ["ctrl", "ctrl", "A+ctrl", "ctrl+A", "B+A", "A+B"]
COUNTS = np.array([[1, 0, 3], [2, 2, 0], [0, 5, 5], [4, 0, 0], [1, 1, 1], [0, 0, 7]], dtype=np.float32)
CARD = DatasetCard(name="tiny", perturbation_column="condition", control_label="ctrl", expression="counts")
LOG_CARD = CARD.model_copy(update={"expression": "log1p"})


def cells(values: Any = COUNTS, labels: list[Any] = LABELS, **columns: Any) -> AnnData:
    obs = pd.DataFrame({"condition": labels, **columns}, index=[f"c{i}" for i in range(len(labels))])
    return AnnData(X=values, obs=obs, var=pd.DataFrame(index=["A", "g1", "g2"]))


def logs(values: np.ndarray = COUNTS) -> np.ndarray:
    return np.log1p(values / values.sum(1, keepdims=True) * 1e4)


def test_counts_are_divided_by_the_depth_of_the_cell() -> None:
    """First cell: 1 and 3 of 4 counts, so log1p(2500) and log1p(7500)."""
    found = canonicalise(cells(), CARD)
    assert found.X[0].toarray()[0] == pytest.approx([np.log1p(2500), 0, np.log1p(7500)])
    assert found.layers["counts"].toarray().tolist() == COUNTS.tolist()
    assert found.obs["depth"].tolist() == COUNTS.sum(1).tolist()


def test_counts_are_divided_by_the_depth_over_all_genes_where_a_column_says_it() -> None:
    """First cell: 1 and 3 of 8 counts, the rest of them in genes that were not kept."""
    card = CARD.model_copy(update={"depth_column": "total"})
    found = canonicalise(cells(total=2 * COUNTS.sum(1)), card)
    assert found.X[0].toarray()[0] == pytest.approx([np.log1p(1250), 0, np.log1p(3750)])


@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_the_canonical_form_is_one_whatever_the_source_stored(store: Callable[..., Any], kind: type) -> None:
    """float32 CSR with sorted indices and no stored zeros; plain labels; nothing else."""
    found = canonicalise(cells(store(COUNTS.astype(kind))), CARD)
    for matrix in (found.X, found.layers["counts"]):
        assert isinstance(matrix, sparse.csr_matrix)
        assert matrix.dtype == np.float32
        assert matrix.has_sorted_indices
        assert matrix.nnz == np.count_nonzero(COUNTS)
    assert found.obs.columns.tolist() == ["perturbation", "source_label", "depth"]
    assert found.obs[["perturbation", "source_label"]].dtypes.tolist() == [np.dtype(object)] * 2
    assert dict(found.uns) == {"modality": "unknown"}


def test_spellings_of_one_perturbation_become_one() -> None:
    """The label as the source wrote it is kept beside the canonical one."""
    found = canonicalise(cells(), CARD)
    assert found.obs["perturbation"].tolist() == ["control", "control", "A", "A", "A+B", "A+B"]
    assert found.obs["source_label"].tolist() == LABELS


def test_other_separators_and_categories_are_read() -> None:
    """What stands between genes is the card's to say; categorical columns are as good as text."""
    labels = pd.Categorical(["nt", "nt", "A", "A", "B_A", "B_A"])
    card = CARD.model_copy(update={"separator": "_", "control_label": "nt"})
    found = canonicalise(cells(labels=labels), card)  # type: ignore[arg-type]
    assert found.obs["perturbation"].unique().tolist() == ["control", "A", "A+B"]


def test_declared_log_values_are_taken_as_they_are_with_their_counts() -> None:
    """Nothing is normalised twice."""
    adata = cells(logs())
    adata.layers["counts"] = COUNTS
    found = canonicalise(adata, LOG_CARD)
    assert found.X.toarray() == pytest.approx(logs())
    assert found.layers["counts"].toarray().tolist() == COUNTS.tolist()
    assert "depth" not in found.obs


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), surplus=st.floats(1, 1.02))
def test_counts_come_back_from_log_values_and_an_approximate_depth(seed: int, surplus: float) -> None:
    """The depth column may exceed the depth that was divided by; whole numbers are found all the same."""
    counts = np.random.default_rng(seed).poisson(3, (6, 3)) + np.eye(6, 3, dtype=int) + [0, 0, 1]
    card = LOG_CARD.model_copy(update={"depth_column": "total"})
    found = canonicalise(cells(logs(counts), total=surplus * counts.sum(1)), card)
    assert found.layers["counts"].toarray().tolist() == counts.tolist()


def test_counts_that_do_not_come_out_whole_are_left_out() -> None:
    """Values that were scaled by gene are no log1p of normalised counts; nothing is made up."""
    card = LOG_CARD.model_copy(update={"depth_column": "total"})
    found = canonicalise(cells(logs() * [1.0, 0.7, 0.9], total=COUNTS.sum(1)), card)
    assert "counts" not in found.layers


def test_only_the_cells_that_the_card_keeps_remain() -> None:
    """A file may hold several screens."""
    card = CARD.model_copy(update={"keep": {"screen": "mine"}})
    rows = ["mine", "mine", "other", "other", "mine", "mine"]
    assert canonicalise(cells(screen=rows), card).obs_names.tolist() == ["c0", "c1", "c4", "c5"]
    with pytest.raises(BenchmarkError, match=r"no cells to keep \(screen == mine\)"):
        canonicalise(cells(screen=["other"] * 6), card)


def test_gene_symbols_come_from_the_column_that_holds_them() -> None:
    """Where the index holds identifiers, the card names the column of symbols."""
    adata = cells()
    adata.var["symbol"] = ["X", "Y", "Z"]
    card = CARD.model_copy(update={"gene_name_column": "symbol"})
    assert canonicalise(adata, card).var_names.tolist() == ["X", "Y", "Z"]


def test_the_source_is_left_unchanged() -> None:
    """Preparing data twice gives the same twice."""
    adata = cells(sparse.csr_matrix(COUNTS))
    first, second = canonicalise(adata, CARD), canonicalise(adata, CARD)
    assert adata.X.toarray().tolist() == COUNTS.tolist()
    assert adata.obs.columns.tolist() == ["condition"]
    assert (first.X != second.X).nnz == 0


def test_repeated_cell_names_are_made_unique() -> None:
    """Barcodes repeat where batches were joined; a cell's name has no meaning here."""
    adata = cells()
    adata.obs.index = pd.Index(["c"] * 6)
    assert canonicalise(adata, CARD).obs_names.is_unique


def changed(value: float, base: np.ndarray = COUNTS) -> np.ndarray:
    values = base.astype(np.float64)
    values[2, 1] = value
    return values


@pytest.mark.parametrize(
    ("make", "card", "sentence"),
    [
        (lambda: cells(changed(np.nan)), CARD, "1 NaN or infinite values, the first in cell 2, gene 1"),
        (lambda: cells(changed(np.inf, logs())), LOG_CARD, "1 NaN or infinite values"),
        (lambda: cells(changed(-1.0)), CARD, "1 negative values, the first in cell 2, gene 1"),
        (
            lambda: cells(changed(0.5)),
            CARD,
            "not whole numbers, such as 0.5; if they are log1p values, declare",
        ),
        (cells, LOG_CARD, "all values are whole numbers (the largest is 7); if they are raw counts, declare"),
        (lambda: cells(changed(15.5, logs())), LOG_CARD, "the values are too large (the largest is 15.5)"),
        (
            lambda: cells(COUNTS * [[1], [1], [1], [0], [1], [1]]),
            CARD,
            "1 cells of dataset 'tiny' have no counts",
        ),
        (lambda: cells(labels=["A+B+C"] * 2 + LABELS[2:]), CARD, "'A+B+C' names 3 genes"),
        (lambda: cells(labels=["A", *LABELS[1:]]), CARD, "such as 'control'; remove those cells"),
        (lambda: cells(labels=[*LABELS[:4], "A", "C"]), CARD, "fewer than 2 cells, such as 'C'"),
        (
            lambda: cells(labels=["A"] * 4 + LABELS[4:]),
            CARD,
            "no control cells labelled 'ctrl' (its most frequent",
        ),
        (lambda: cells(labels=["ctrl"] * 6), CARD, "has control cells only; check --perturbation-column"),
        (lambda: cells(labels=[None, *LABELS[1:]]), CARD, "Column 'condition' of obs is empty for 1 cells"),
        (lambda: cells(labels=["A+", *LABELS[1:]]), CARD, "'A+' has an empty gene name"),
    ],
)
def test_unusable_data_are_refused_in_one_sentence(
    make: Callable[[], AnnData], card: DatasetCard, sentence: str
) -> None:
    """The sentence names what is wrong and what to do."""
    with pytest.raises(BenchmarkError) as caught:
        canonicalise(make(), card)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"perturbation_column": "conditon"}, "no column of obs 'conditon'; did you mean 'condition'?"),
        ({"depth_column": "totals"}, "no column of obs 'totals'; did you mean 'total'?"),
        ({"gene_name_column": "symbols"}, "no column of var 'symbols'; did you mean 'symbol'?"),
    ],
)
def test_a_missing_column_names_the_closest_one(change: dict[str, str], sentence: str) -> None:
    """Whichever column it is."""
    adata = cells(total=COUNTS.sum(1))
    adata.var["symbol"] = adata.var_names
    with pytest.raises(BenchmarkError) as caught:
        canonicalise(adata, CARD.model_copy(update=change))
    assert sentence in str(caught.value)


def test_repeated_gene_names_are_refused() -> None:
    """Two genes of one name cannot be told apart by any method."""
    adata = cells()
    adata.var_names = pd.Index(["A", "g", "g"])
    with pytest.raises(BenchmarkError, match="1 gene names more than once, such as 'g'"):
        canonicalise(adata, CARD)


def test_counts_that_are_no_counts_are_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """A layer of scaled values must not pass for counts."""
    adata = cells(logs())
    adata.layers["counts"] = COUNTS * 0.3
    assert "counts" not in canonicalise(adata, LOG_CARD).layers
    assert "not whole numbers and was left out" in caplog.text
