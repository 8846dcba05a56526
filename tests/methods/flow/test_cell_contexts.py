"""Several cell contexts in a flow: their vectors, their control cells, and that one alone changes nothing."""

from __future__ import annotations

from dataclasses import replace

import torch

from methods._flow.backbone import build_flow
from methods._flow.pool import CellPool
from tests.methods.flow.flow_case import CONTROL, SHAPE, UNKNOWN, generator, objective, pool

SEVERAL = replace(SHAPE, cell_contexts=3)
TOKENS = torch.tensor([[0, CONTROL, 0], [0, CONTROL, 1], [0, CONTROL, 2]])


def test_a_context_adds_its_vector_to_that_of_the_perturbation():
    """One that was never perturbed has the vectors of the others in its shares."""
    flow, genes = build_flow(SEVERAL, seed=1).eval(), torch.arange(4)
    plain = build_flow(SHAPE, seed=1).eval().encode(genes, TOKENS[:1, :2]).perturbation
    torch.testing.assert_close(flow.encode(genes, TOKENS).perturbation, plain.expand(3, -1))  # at first
    own = torch.randn(3, SHAPE.width, generator=generator())
    flow.cell_contexts.vectors.data.copy_(own)
    flow.cell_contexts.shares[2] = torch.tensor([0.25, 0.75, 0.0])
    found = flow.encode(genes, TOKENS).perturbation - plain
    expected = torch.stack([own[0], own[1], 0.25 * own[0] + 0.75 * own[1]])
    torch.testing.assert_close(found, expected)


def test_contexts_leave_every_other_weight_as_it_was():
    """So that a flow with one context is the flow that there always was."""
    several, one = build_flow(SEVERAL, seed=1).state_dict(), build_flow(SHAPE, seed=1).state_dict()
    assert set(several) - set(one) == {"cell_contexts.vectors", "cell_contexts.shares"}
    assert all(torch.equal(several[name], value) for name, value in one.items())


def test_a_perturbed_gene_may_be_hidden_and_a_context_never_is():
    cells = pool()
    tokens = torch.cat([cells.tokens, torch.tensor([[1], [2]])], dim=1)
    learns = objective(cells=replace(cells, tokens=tokens), token_dropout=1.0)
    drawn = learns.draw(generator()).tokens
    assert set(drawn[:, 2].tolist()) == {1, 2}
    assert set(drawn[:, :2].flatten().tolist()) == {CONTROL, UNKNOWN}


def test_unpaired_controls_are_of_the_context_of_the_perturbation():
    cells = CellPool(
        control=torch.zeros(10, 2),
        perturbed=torch.zeros(4, 2),
        size=torch.tensor([2, 2]),
        tokens=TOKENS[:2],
        controls=torch.tensor([[0, 7], [7, 3]]),
    )
    drawn = cells.draw_controls(torch.tensor([0, 1]).repeat(500), generator()).unflatten(0, (500, 2))
    assert sorted(set(drawn[:, 0].tolist())) == list(range(7))
    assert sorted(set(drawn[:, 1].tolist())) == [7, 8, 9]
