"""Attention maps streamed in blocks, against dense references; and the gene transformer that has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods._grn.attention import QueriesKeys, stream_maps
from tests.methods.grn.attention_case import (
    LargestTensor,
    dense_attention,
    dense_maps,
    expression,
    source,
    transformer,
    whole,
)

CELLS, HEADS, GENES, SIZE, EXTRA = 3, 2, 9, 4, 2


def queries_keys(extra: int = 0, present: bool = False, seed: int = 0) -> QueriesKeys:
    """Random queries and keys; where presence counts, about a third of the genes is absent."""
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(CELLS, HEADS, GENES, SIZE, generator=generator)
    keys = torch.randn(CELLS, HEADS, GENES + extra, SIZE, generator=generator)
    there = torch.rand(CELLS, GENES + extra, generator=generator) < 0.7 if present else None
    return QueriesKeys(queries, keys, there)


def reference(read: QueriesKeys, normalisation: str) -> torch.Tensor:
    """Maps in NumPy, one cell and head at a time, on the genes and keys that the cell has."""
    maps = np.zeros((CELLS, GENES, GENES))
    for cell in range(CELLS):
        there = np.ones(read.keys.shape[2], bool) if read.present is None else read.present[cell].numpy()
        genes, keys = np.flatnonzero(there[:GENES]), np.flatnonzero(there)
        for head in range(HEADS):
            q, k = (tensor[cell, head].double().numpy() for tensor in (read.queries, read.keys))
            scores = q[genes] @ k[keys].T
            if normalisation == "softmax":
                weights = np.exp(scores / SIZE**0.5)
                scores = weights / weights.sum(1, keepdims=True)
            scores = scores[:, : len(genes)]
            if normalisation == "ranks":
                within = (scores[:, :, None] > scores[:, None, :]).sum(2)
                earlier = np.tri(len(genes), k=-1, dtype=bool)[:, :, None]
                less = within[:, None, :] > within[None, :, :]
                equal = (within[:, None, :] == within[None, :, :]) & earlier
                scores = (less | equal).sum(1) / max(len(genes), 1)
            maps[cell][np.ix_(genes, genes)] += scores / HEADS
    return torch.from_numpy(maps).float()


@pytest.mark.parametrize("block", [1, 4, 9, 100])
@pytest.mark.parametrize("present", [False, True])
@pytest.mark.parametrize("extra", [0, EXTRA])
@pytest.mark.parametrize("normalisation", ["softmax", "scores", "ranks"])
def test_blocks_put_together_are_the_dense_maps(normalisation, extra, present, block):
    """Whatever their size; rows follow one another and cover the panel once."""
    read = queries_keys(extra, present)
    blocks = list(stream_maps(read, normalisation, block))
    rows = [row for part, _ in blocks for row in range(GENES)[part]]
    assert rows == list(range(GENES))
    assert all(maps.shape == (CELLS, len(range(GENES)[part]), GENES) for part, maps in blocks)
    torch.testing.assert_close(whole(blocks), reference(read, normalisation), atol=1e-5, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 10), st.booleans(), st.integers(0, 3), st.integers(0, 10_000))
def test_weights_are_shares_of_what_a_gene_reads(block, present, extra, seed):
    """Rows of present genes sum to 1 less what extra keys take; rows and columns of absent ones are 0."""
    read = queries_keys(extra, present, seed)
    maps = whole(stream_maps(read, "softmax", block))
    assert (maps >= 0).all()
    sums = maps.sum(-1)
    there = torch.ones(CELLS, GENES + extra).bool() if read.present is None else read.present
    assert (maps[~there[:, :GENES]] == 0).all()
    assert (maps.mT[~there[:, :GENES]] == 0).all()
    rows = sums[there[:, :GENES]]
    shared = there[:, GENES:].any(1, keepdim=True).expand(CELLS, GENES)[there[:, :GENES]]
    torch.testing.assert_close(rows[~shared], torch.ones_like(rows[~shared]))
    assert (rows[shared] < 1).all()


def test_an_extra_key_takes_its_share_by_hand():
    """Two genes and a token with keys 0, 0 and log 2: the token takes half of what everybody reads."""
    keys = torch.tensor([1.0, 1.0, 2.0]).log().view(1, 1, 3, 1)
    read = QueriesKeys(torch.ones(1, 1, 2, 1), keys)
    maps = whole(stream_maps(read, "softmax", 8))
    torch.testing.assert_close(maps, torch.full((1, 2, 2), 0.25))


def test_extra_keys_do_not_matter_for_scores_and_ranks():
    with_extra = queries_keys(EXTRA)
    without = QueriesKeys(with_extra.queries, with_extra.keys[:, :, :GENES])
    for normalisation in ("scores", "ranks"):
        one, two = (whole(stream_maps(read, normalisation, 4)) for read in (with_extra, without))
        assert torch.equal(one, two)


def test_ranks_by_hand():
    """Scores 3 2 / 1 4: ranks within rows 1 0 / 0 1, within columns 1 0 / 0 1, halved."""
    read = QueriesKeys(torch.eye(2).view(1, 1, 2, 2), torch.tensor([[3.0, 1.0], [2.0, 4.0]]).view(1, 1, 2, 2))
    maps = whole(stream_maps(read, "ranks", 1))
    torch.testing.assert_close(maps[0], torch.tensor([[0.5, 0.0], [0.0, 0.5]]))


@pytest.mark.parametrize("normalisation", ["softmax", "scores", "ranks"])
def test_absent_genes_change_nothing_for_the_others(normalisation):
    """The map of the genes that a cell has is that of a panel without the others."""
    read = queries_keys()
    there = torch.ones(CELLS, GENES, dtype=torch.bool)
    there[:, [2, 7]] = False
    kept = [0, 1, 3, 4, 5, 6, 8]
    masked = whole(stream_maps(QueriesKeys(read.queries, read.keys, there), normalisation, 4))
    small = whole(stream_maps(QueriesKeys(read.queries[:, :, kept], read.keys[:, :, kept]), normalisation, 4))
    torch.testing.assert_close(masked[:, kept][:, :, kept], small)
    assert masked[:, [2, 7]].abs().max() == masked[:, :, [2, 7]].abs().max() == 0


@pytest.mark.parametrize("normalisation", ["softmax", "scores", "ranks"])
def test_a_cell_without_any_gene_has_an_empty_map(normalisation):
    read = queries_keys()
    there = torch.ones(CELLS, GENES, dtype=torch.bool)
    there[1] = False
    maps = whole(stream_maps(QueriesKeys(read.queries, read.keys, there), normalisation, 4))
    assert maps.isfinite().all()
    assert maps[1].abs().max() == 0
    assert maps[0].abs().max() > 0


def test_large_scores_do_not_overflow():
    read = queries_keys()
    maps = whole(stream_maps(QueriesKeys(100 * read.queries, 100 * read.keys), "softmax", 4))
    torch.testing.assert_close(maps.sum(-1), torch.ones(CELLS, GENES))


def test_bfloat16_gives_float32_maps_that_come_close():
    read = queries_keys(EXTRA, present=True)
    low = QueriesKeys(read.queries.bfloat16(), read.keys.bfloat16(), read.present)
    rough, exact = (whole(stream_maps(given, "softmax", 4)) for given in (low, read))
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.02, rtol=0)


@pytest.mark.parametrize("normalisation", ["softmax", "scores"])
def test_no_map_of_all_heads_is_ever_formed(normalisation):
    """Of 200 genes in blocks of 8, no operation gives as much as one map of one cell."""
    read = source(200, normalisation=normalisation, heads=4)
    cells = expression(4, 200)
    with LargestTensor() as largest:
        for _ in read.maps(cells, block=8):
            pass
    assert 0 < largest.most < 200 * 200


@pytest.mark.parametrize("block", [1, 4, 13, 100])
@pytest.mark.parametrize("layer", [0, 1])
def test_maps_of_a_transformer_equal_the_dense_ones(block, layer):
    """Of each layer, on values in units of each gene's deviation around its mean."""
    read, cells = source(layer=layer), expression()
    values = (cells - read.mean) / read.deviation
    expected = dense_attention(read.model, values, layer).mean(1)
    torch.testing.assert_close(whole(read.maps(cells, block)), expected)


def test_streamed_maps_equal_the_dense_ones_at_a_moderate_size():
    """300 genes, width 64, 4 heads: within 1e-5."""
    read = source(300, width=64, heads=4)
    cells = expression(2, 300)
    difference = whole(read.maps(cells, block=37)) - dense_maps(read, cells)
    assert difference.abs().max() < 1e-5


def test_layers_count_from_the_end_where_negative():
    cells = expression()
    first, second = (whole(source(layer=layer).maps(cells)) for layer in (0, 1))
    assert torch.equal(whole(source(layer=-1).maps(cells)), second)
    assert torch.equal(whole(source(layer=-2).maps(cells)), first)
    assert not torch.allclose(first, second)


def test_maps_need_no_gradients_and_do_not_depend_on_company():
    read, cells = source(), expression()
    read.model.requires_grad_(True)
    maps = whole(read.maps(cells))
    assert not maps.requires_grad
    assert not read.gene_vectors().requires_grad
    torch.testing.assert_close(whole(read.maps(cells[1:2])), maps[1:2])


def test_encoder_layer_equals_the_post_norm_encoder_of_torch():
    """With the same weights, the fused layer is torch's own post-norm ReLU encoder layer."""
    layer = transformer().layers[0]
    reference = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    names = {"in_proj.": "self_attn.in_proj_", "out_proj.": "self_attn.out_proj."}
    state = layer.state_dict()
    for ours, theirs in names.items():
        state = {key.replace(ours, theirs): value for key, value in state.items()}
    reference.load_state_dict(state)
    tokens = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(tokens), reference.train()(tokens))


def test_hidden_values_are_not_seen():
    """The prediction does not change with a value that is masked, and does with one that is not."""
    model, values = transformer(), expression(1)
    changed, masked = values.clone(), torch.zeros(1, 13, dtype=torch.bool)
    changed[0, 4] += 1
    masked[0, 4] = True
    torch.testing.assert_close(model(values, masked=masked), model(changed, masked=masked))
    assert not torch.allclose(model(values), model(changed))


def test_a_subset_of_genes_is_read_as_those_genes():
    """Given in another order, genes are predicted alike in that order."""
    model, values, order = transformer(), expression(2), torch.arange(13).flip(0)
    torch.testing.assert_close(model(values[:, order], order), model(values)[:, order], atol=1e-5, rtol=1e-4)
