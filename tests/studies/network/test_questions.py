"""Claims about what is asked of a ranking of genes or edges, and how the answer is judged."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.studies.network.findings import Interval, Row, compare, sentence, verdict, written
from benchmark.studies.network.questions import EdgeQuestion, SetQuestion
from benchmark.studies.network.rankings import Panel, Rankings
from benchmark.studies.network.truth import TrueNetwork


def network_of(edges: str, genes: int) -> TrueNetwork:
    """Read "0>1 0>2" as edges from the first to the second."""
    matrix = np.zeros((genes, genes), dtype=bool)
    for edge in edges.split():
        regulator, target = map(int, edge.split(">"))
        matrix[target, regulator] = True
    return TrueNetwork(matrix)


def panel_of(network: TrueNetwork, *perturbed: list[int]) -> Panel:
    genes = [f"G{place}" for place in range(len(network.edge))]
    labels = [f"P{place}" for place in range(len(perturbed))]
    return Panel(genes, network.regulators, labels, [np.array(genes, dtype=int) for genes in perturbed])


def test_targets_are_scored_perturbation_by_perturbation_without_the_perturbed_genes() -> None:
    """Gene 0 acts on 1 and 2, gene 3 on 1: ranks 1 and 3 of three, and rank 2 of three.

    Left out: a perturbation of nothing measured, one of a gene without targets, and 0+3, whose sets hold
    every other gene.
    """
    network = network_of("0>1 0>2 3>1", 4)
    panel = panel_of(network, [0], [3], [], [1], [0, 3])
    question = SetQuestion(network, panel, "direct targets")
    assert (question.size, question.why_not) == (2, "")
    assert question.about.startswith("2 of 5 training perturbations")
    unused = [9.0, 9, 9, 9]
    score = question.score(np.array([[9, 3, 1, 2], [3, 2, 1, 9], unused, unused, unused]))
    assert score.auprc == pytest.approx(np.mean([(1 + 2 / 3) / 2, 1 / 2]))
    assert score.early == pytest.approx(np.mean([1 / 2, 0]))
    chance = question.chance()
    assert chance.auprc == pytest.approx(np.mean([(1 + 5 / 6 + 7 / 12) / 3, (1 + 1 / 2 + 1 / 3) / 3]))
    assert chance.early == pytest.approx(np.mean([2 / 3, 1 / 3]))
    assert set(np.round(score.draws, 9)) == set(np.round([5 / 6, 2 / 3, 1 / 2], 9))


def test_edges_are_one_ranking_of_all_pairs_but_those_of_a_gene_with_itself() -> None:
    """Regulators 0 and 2; the pairs 0>1, 0>2, 2>0, 2>1 have the scores 4, 1, 3, 2; two are true."""
    network = network_of("0>1 2>1", 3)
    question = EdgeQuestion(network, panel_of(network, [0]))
    score = question.score(np.array([[99.0, 3], [4, 2], [1, 99]]))
    assert score.auprc == pytest.approx((1 + 2 / 3) / 2)
    assert score.early == pytest.approx(1 / 2)
    assert question.chance().early == pytest.approx(2 / 4)


def drawn(seed: int, genes: int = 14, perturbations: int = 9):
    """A random network with rankings by two sources and by expression."""
    rng = np.random.default_rng(seed)
    edge = (rng.random((genes, genes)) < 0.2) & ~np.eye(genes, dtype=bool)
    edge[:, genes // 2 :] = False
    network = TrueNetwork(edge)
    panel = panel_of(network, *(rng.choice(genes, 2, replace=False).tolist() for _ in range(perturbations)))

    def rankings(*names: str) -> Rankings:
        tables = {name: rng.integers(0, 9, (genes, genes)).astype(float) for name in names}
        sets = {name: rng.integers(0, 9, (perturbations, genes)).astype(float) for name in names}
        return Rankings(tables, sets)

    return network, panel, {"one": rankings("a", "b"), "two": rankings("a", "b")}, rankings("plain")


def findings_of(network, panel, attention, expression) -> list[Row]:
    questions = [EdgeQuestion(network, panel), SetQuestion(network, panel, "direct targets")]
    at = panel.regulators

    def cut(found: Rankings) -> Rankings:
        return Rankings({name: table[:, at] for name, table in found.edges.items()}, found.genes)

    return compare(
        questions, list(attention), {name: cut(found) for name, found in attention.items()}, cut(expression)
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_genes_changes_no_score(seed) -> None:
    network, panel, attention, expression = drawn(seed)
    order = np.random.default_rng(seed + 100).permutation(len(panel.genes))
    place = np.argsort(order)
    moved = TrueNetwork(network.edge[np.ix_(order, order)])
    moved_panel = panel_of(moved, *(place[genes].tolist() for genes in panel.perturbed))

    def move(found: Rankings) -> Rankings:
        tables = {name: table[np.ix_(order, order)] for name, table in found.edges.items()}
        return Rankings(tables, {name: table[:, order] for name, table in found.genes.items()})

    before = findings_of(network, panel, attention, expression)
    after = findings_of(
        moved, moved_panel, {name: move(found) for name, found in attention.items()}, move(expression)
    )
    for one, other in zip(before, after, strict=True):
        assert (one.question, one.source, one.ranking) == (other.question, other.source, other.ranking)
        assert one.auprc.value == pytest.approx(other.auprc.value)
        assert one.early_precision == pytest.approx(other.early_precision)
        assert one.auprc_ratio == pytest.approx(other.auprc_ratio)


def test_a_ranking_is_judged_against_the_strongest_of_its_rivals_in_the_same_resamples() -> None:
    """Equal to the strongest: a difference of exactly 0, undecided however wide the resamples are."""
    network, panel, attention, expression = drawn(1)
    attention["one"].edges["a"][:] = expression.edges["plain"]
    attention["one"].edges["b"][:] = network.edge
    rows = {(row.source, row.ranking): row for row in findings_of(network, panel, attention, expression)[:6]}
    rivals = {"plain": rows["expression", "plain"], "random order": rows["chance", "random order"]}
    strongest = max(rivals, key=lambda name: rivals[name].auprc.value)
    same, perfect = rows["one", "a"], rows["one", "b"]
    assert same.against == perfect.against == strongest
    assert same.differences["plain"] == Interval(value=0, low=0, high=0)
    assert perfect.verdict == "better"
    assert perfect.beats == ["plain", "random order"]
    assert perfect.difference.value == pytest.approx(1 - rivals[strongest].auprc.value)
    assert rivals["plain"].against is None


def test_fewer_than_five_perturbations_get_no_interval() -> None:
    network, panel, attention, expression = drawn(2)
    few = Panel(panel.genes, panel.regulators, panel.labels[:2], [np.array([0]), np.array([1])])
    rows = findings_of(network, few, attention, expression)
    judged = [row for row in rows if row.question == "direct targets" and row.source == "one"]
    assert {row.verdict for row in judged} == {"too few"}
    assert all(row.auprc.low is None and row.difference.high is None for row in judged)
    assert written(judged[0].auprc) == f"{judged[0].auprc.value:.3f}"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 0.2, "better"), (-0.2, -0.1, "worse"), (-0.1, 0.1, "undecided"), (0, 0.1, "undecided")],
)
def test_a_verdict_needs_an_interval_without_0(low, high, expected) -> None:
    assert verdict(Interval(value=(low + high) / 2, low=low, high=high)) == expected


def test_the_line_of_a_source_counts_what_it_beats() -> None:
    good, bad = Interval(value=0.2, low=0.1, high=0.3), Interval(value=-0.05, low=-0.08, high=-0.01)
    judged = {"against": "plain", "question": "edges", "source": "one"}
    rows = [
        Row(ranking="a", differences={"plain": good, "random order": good}, verdict="better", **judged),
        Row(ranking="b", differences={"plain": bad, "random order": good}, verdict="worse", **judged),
        Row(question="edges", source="expression", ranking="plain"),
    ]
    assert sentence("one", rows) == (
        "one: better than chance in 2 of 2 rankings, better than all that needs no transformer in 1."
    )
