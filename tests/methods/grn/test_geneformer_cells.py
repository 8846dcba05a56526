"""How Geneformer's cells are read: genes in the order of their ranks, worked out by hand."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods._grn.geneformer.cells import PanelTokens, panel_tokens, rank_encode


def hand_panel(cls: int | None, eos: int | None, longest: int = 10) -> PanelTokens:
    """Four genes with tokens 11 to 14 and medians 1, 2, 4 and 1, and one without a token."""
    medians = torch.tensor([1, 2, 4, 1, torch.inf], dtype=torch.float64)
    return PanelTokens(torch.tensor([11, 12, 13, 14, 0]), medians, cls, eos, longest)


def test_rank_encoding_by_hand():
    """Counts per 10,000 over medians, in falling order; equal ones as in the panel; zeros have no token."""
    cells = torch.log1p(
        torch.tensor(
            [
                [3.0, 8, 20, 0, 99],  # scaled 3, 4, 5, -: order 13, 12, 11
                [2, 8, 0, 2, 0],  # scaled 2, 4, -, 2: two are equal
                [0, 0, 0, 0, 7],  # only the gene without a token
            ],
            dtype=torch.float64,
        )
    )
    found = rank_encode(cells, hand_panel(None, None))
    assert found.tokens.masked_fill(~found.filled, 0).tolist() == [[13, 12, 11], [12, 11, 14], [0, 0, 0]]
    assert found.positions.tolist() == [[2, 1, 0, 0, 0], [1, 0, 0, 2, 0], [0, 0, 0, 0, 0]]
    assert found.present.int().tolist() == [[1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [0, 0, 0, 0, 0]]
    assert found.specials.shape == (3, 0)
    wrapped = rank_encode(cells, hand_panel(2, 3))
    shown = wrapped.tokens.masked_fill(~wrapped.filled, 0)
    assert shown.tolist() == [[2, 13, 12, 11, 3], [2, 12, 11, 14, 3], [2, 3, 0, 0, 0]]
    assert wrapped.specials.tolist() == [[0, 4], [0, 4], [0, 1]]


def test_the_least_expressed_are_cut_where_the_model_takes_no_more():
    cells = torch.log1p(torch.tensor([[3.0, 8, 20, 1, 0]]))
    found = rank_encode(cells, hand_panel(2, 3, longest=4))
    assert found.tokens.tolist() == [[2, 13, 12, 3]]
    assert found.present.tolist() == [[False, True, True, False, False]]
    assert rank_encode(cells, hand_panel(None, None, longest=3)).tokens.tolist() == [[13, 12, 11]]


def test_many_equal_genes_stay_in_the_order_of_the_panel():
    panel = PanelTokens(torch.arange(5000), torch.ones(5000, dtype=torch.float64), None, None, 5000)
    assert torch.equal(rank_encode(torch.ones(1, 5000), panel).tokens[0], torch.arange(5000))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=4), st.booleans())
def test_each_gene_is_where_its_position_says(counts, wrapped):
    """In any cells, tokens and positions agree, expressed genes with a token are present, and no other is."""
    panel = hand_panel(*((2, 3) if wrapped else (None, None)))
    cells = torch.log1p(torch.tensor(counts, dtype=torch.float32))
    found = rank_encode(cells, panel)
    assert torch.equal(found.present, (cells > 0) & panel.known)
    at = found.tokens.gather(1, found.positions)
    assert torch.equal(at[found.present], panel.ids.expand_as(at)[found.present])
    expected = found.present.sum(1) + 2 * wrapped
    assert torch.equal(found.filled.sum(1), expected)


def test_panel_tokens_look_up_symbols_and_ids():
    tokens = {"<pad>": 0, "<cls>": 2, "ENSG1": 5, "ENSG2": 6}
    names = {"A": "ENSG1", "B": "ENSG9"}
    found = panel_tokens(["A", "ENSG2", "B", "C"], tokens, {"ENSG1": 2.0, "ENSG2": 3}, names, 8)
    assert found.ids.tolist() == [5, 6, 0, 0]
    assert found.medians.tolist() == [2, 3, torch.inf, torch.inf]
    assert (found.cls, found.eos, found.longest) == (2, None, 8)
