"""Claims about the network that rankings are held against, and about what is ranked."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from benchmark.data.cards import DatasetCard
from benchmark.errors import BenchmarkError
from benchmark.studies.network.rankings import Panel, correlation, rank_by_attention, rank_by_expression
from benchmark.studies.network.truth import KnownEdges, TrueNetwork, known_edges

GENES = ["A", "B", "C", "D", "E"]
CHAIN = KnownEdges(["A", "B", "C", "D"], ["B", "C", "D", "B"], "a chain", "", ())
"""A -> B -> C -> D -> B, and E alone."""

CARD = DatasetCard(name="real")


def names(mask: np.ndarray, genes=GENES) -> list[str]:
    return [gene for gene, chosen in zip(genes, mask, strict=True) if chosen]


@pytest.mark.parametrize(
    ("perturbed", "steps", "expected"),
    [
        ("A", 1, "B"),
        ("A", 2, "BC"),
        ("A", None, "BCD"),
        ("B", None, "CD"),
        ("AC", 1, "BD"),
        ("AB", 1, "C"),
        ("E", None, ""),
        ("", None, ""),
    ],
)
def test_downstream_follows_edges_and_leaves_out_what_was_perturbed(perturbed, steps, expected) -> None:
    network = CHAIN.among(GENES)
    positions = np.array([GENES.index(gene) for gene in perturbed], dtype=int)
    assert names(network.downstream(positions, steps)) == list(expected)


@given(st.integers(0, 2**25 - 1), st.integers(0, 4), st.integers(1, 4))
def test_downstream_is_what_powers_of_the_matrix_reach(bits, start, steps) -> None:
    edge = np.array([bits >> place & 1 for place in range(25)], dtype=int).reshape(5, 5)
    np.fill_diagonal(edge, 0)
    network = TrueNetwork(edge.astype(bool))
    walks = sum(np.linalg.matrix_power(edge, length) for length in range(1, steps + 1))[:, start] > 0
    walks[start] = False
    assert network.downstream(np.array([start]), steps).tolist() == walks.tolist()
    assert network.downstream(np.array([start]), 5).tolist() == network.downstream(np.array([start])).tolist()


def test_only_edges_between_measured_genes_count_and_none_to_itself() -> None:
    """X is not measured, A -> A is no edge, B -> C is there twice."""
    known = KnownEdges(["A", "X", "A", "B", "B"], ["A", "A", "X", "C", "C"], "", "", ())
    network = known.among(["C", "B", "A"])
    assert network.edge.tolist() == [[False, True, False], [False] * 3, [False] * 3]
    assert network.regulators.tolist() == [1]


def test_collectri_is_found_where_data_are(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
    with pytest.raises(
        BenchmarkError, match=r"No regulatory network is known for dataset 'real'; name .*--edges"
    ):
        known_edges(CARD)
    (tmp_path / "collectri.csv").write_text("source,target,weight\nA,B,1\n")
    known = known_edges(CARD)
    assert (known.regulator, known.target, known.origin) == (["A"], ["B"], "collectri.csv")
    assert known_edges(CARD).reach == ("direct targets", "within two steps")


def train_of(cells, labels, genes=("A", "B", "C")) -> AnnData:
    obs = pd.DataFrame({"perturbation": labels}, index=[str(row) for row in range(len(labels))])
    matrix = sparse.csr_matrix(np.array(cells, dtype=np.float32))
    return AnnData(matrix, obs=obs, var=pd.DataFrame(index=list(genes)))


TRAIN = train_of([[1, 0, 2], [3, 2, 2], [0, 5, 0], [4, 1, 1]], ["control", "control", "B", "A+X"])


def test_a_panel_has_the_measured_genes_of_each_training_perturbation() -> None:
    panel = Panel.of(TRAIN, np.array([1]))
    assert panel.labels == ["A+X", "B"]
    assert [genes.tolist() for genes in panel.perturbed] == [[0], [1]]


def test_attention_ranks_edges_by_the_column_that_is_read_and_genes_by_their_row() -> None:
    """Regulator B is column 1; the change of A+X at the perturbed is column A, that of B column B."""
    panel = Panel.of(TRAIN, np.array([1]))
    changes = {
        "B": np.array([[1, -2, 0], [0, 0, 0], [3, 4, -5]]),
        "A+X": np.array([[0, 6, 0], [7, 0, 0], [0, 0, 8]]),
    }
    attention = np.arange(9.0).reshape(3, 3)
    found = rank_by_attention(maps(attention=attention, changes=changes.items()), panel, "some")
    assert found.edges["attention"].ravel().tolist() == [1, 4, 7]
    assert found.edges["mean change"].ravel().tolist() == [4, 0, 2]
    assert found.genes["change of the row"].tolist() == [[6, 7, 8], [3, 0, 12]]
    assert found.genes["change at the perturbed"].tolist() == [[0, 7, 0], [2, 0, 4]]


def test_expression_ranks_by_correlation_and_by_change_of_the_mean() -> None:
    """In two control cells A and B move together, C not at all; their means are 2, 1 and 2."""
    found = rank_by_expression(TRAIN, Panel.of(TRAIN, np.array([1])))
    assert found.edges["correlation, control cells"].ravel() == pytest.approx([1, 1, 0])
    everywhere = np.corrcoef(TRAIN.X.toarray().T)[:, 1]
    assert found.edges["correlation, all cells"].ravel() == pytest.approx(np.abs(everywhere))
    assert everywhere.min() < -0.1
    assert found.genes["change of mean expression"].tolist() == [[2, 0, 1], [2, 4, 2]]


@given(st.integers(0, 1000))
def test_correlation_is_numpys_and_0_for_constant_genes(seed) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.poisson(1.0, (30, 6)) * rng.uniform(0.1, 3, 6)
    cells[:, 2], cells[:, 4] = 0, 0.1
    cells[0, 0] += 1
    cells[1, 1] += 1
    found = correlation(sparse.csr_matrix(cells), np.array([5, 2, 0]))
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(np.corrcoef(cells.T))[:, [5, 2, 0]]
    expected[4] = 0
    assert found == pytest.approx(expected, abs=1e-9)
    both_ways = found[[5, 2, 0]]
    assert (both_ways == both_ways.T).all()


def maps(**changed) -> SimpleNamespace:
    square = np.zeros((3, 3))
    plain = {"genes": ["A", "B", "C"], "attention": square, "changes": [("A+X", square), ("B", square)]}
    content = {**plain, **changed}
    return SimpleNamespace(**{**content, "changes": iter(content["changes"])})


ZERO, NAN = np.zeros((3, 3)), np.full((3, 3), np.nan)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"genes": ["A", "C", "B"]}, "give the same genes in the same order"),
        ({"genes": ["A", "B"]}, "have 2 genes, which are not the 3"),
        (
            {"attention": np.zeros((3, 2))},
            r"The attention of 'some' has the shape \(3, 2\); it must be \(3, 3\)",
        ),
        ({"attention": NAN}, "has 9 values that are not finite"),
        ({"changes": [("A+X", ZERO), ("B", NAN)]}, "The change of 'some' for 'B' has 9 values"),
        ({"changes": [("A+X", ZERO), ("B", ZERO[0])]}, "for 'B' has the shape"),
        ({"changes": [("A+X", ZERO)]}, "lack 1 training perturbations, such as 'B'"),
        ({"changes": [("B", ZERO), ("B", ZERO)]}, "'B', which is no training perturbation or came twice"),
        ({"changes": [("control", ZERO)]}, "'control', which is no training perturbation"),
    ],
)
def test_maps_that_are_not_what_they_should_be_are_refused(changed, sentence) -> None:
    with pytest.raises(BenchmarkError, match=sentence):
        rank_by_attention(maps(**changed), Panel.of(TRAIN, np.array([1])), "some")
