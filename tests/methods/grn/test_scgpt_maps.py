"""Attention of scGPT checkpoints: maps and vectors against plain arithmetic, and what they rest on."""

from __future__ import annotations

import json

import pytest
import torch

from methods._grn.scgpt.source import load_scgpt
from tests.methods.grn.attention_case import LargestTensor
from tests.methods.grn.checkpoint_case import maps_of
from tests.methods.grn.scgpt_case import (
    GENES,
    HEADS,
    LAYERS,
    STYLES,
    VOCABULARY,
    WIDTH,
    expression,
    reference_maps,
    weights,
    write,
)


@pytest.mark.parametrize("layer", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("style", STYLES)
def test_maps_are_those_of_the_plain_model(tmp_path, style, layer):
    """All names that scGPT's weights come under give the attention of torch's own layers, head by head."""
    source = load_scgpt(write(tmp_path, style), GENES, layer=layer)
    expected = reference_maps(expression(), GENES, layer % LAYERS).mean(1)
    assert expected.std() > 0.01
    torch.testing.assert_close(maps_of(source, expression(), block=4), expected, atol=1e-5, rtol=1e-4)
    assert source.missing == []


def test_blocks_cover_the_rows_once_and_do_not_matter(tmp_path):
    source = load_scgpt(write(tmp_path), GENES)
    rows = [rows for rows, _ in source.maps(expression(), 4)]
    assert rows == [slice(0, 4), slice(4, 8), slice(8, 9)]
    torch.testing.assert_close(maps_of(source, expression(), 4), maps_of(source, expression()))


def test_a_special_token_takes_its_share_of_every_row(tmp_path):
    """What `<cls>` is given is left out, so rows sum to less than one."""
    sums = maps_of(load_scgpt(write(tmp_path), GENES), expression()).sum(-1)
    assert ((sums > 0) & (sums < 1)).all()


def test_scores_are_the_products_of_queries_and_keys(tmp_path):
    """Softmax of the scores of each head, at the layer's scale, gives back the softmax maps."""
    folder = write(tmp_path)
    source = load_scgpt(folder, GENES, normalisation="scores")
    read = source.queries_keys(expression())
    assert read.queries.shape == (4, HEADS, len(GENES), WIDTH // HEADS)
    assert read.keys.shape == (4, HEADS, len(GENES) + 1, WIDTH // HEADS)
    products = torch.einsum("chqs,chks->chqk", read.queries, read.keys)
    torch.testing.assert_close(maps_of(source, expression()), products[..., :-1].mean(1))
    softmax = (products / (WIDTH // HEADS) ** 0.5).softmax(-1)[..., :-1]
    torch.testing.assert_close(softmax, reference_maps(expression(), GENES, 2), atol=1e-5, rtol=1e-4)


def test_ranks_count_how_many_are_less(tmp_path):
    """A rank is how many scores of the row are less, then how many of those ranks of the column are."""
    folder = write(tmp_path)
    read = load_scgpt(folder, GENES).queries_keys(expression())
    scores = torch.einsum("chqs,chks->chqk", read.queries, read.keys)[..., :-1]
    within = (scores.unsqueeze(-2) < scores.unsqueeze(-1)).sum(-1)
    earlier = torch.ones(len(GENES), len(GENES), dtype=torch.bool).tril(-1)
    this, other = within.transpose(2, 3).unsqueeze(-1), within.transpose(2, 3).unsqueeze(-2)
    across = ((other < this) | ((other == this) & earlier)).sum(-1).transpose(2, 3)
    maps = maps_of(load_scgpt(folder, GENES, normalisation="ranks"), expression(), block=4)
    torch.testing.assert_close(maps, across.float().mean(1) / len(GENES))


def test_gene_vectors_are_normed_embeddings(tmp_path):
    """Those of known genes are as the layers see them; others are zero."""
    vectors = load_scgpt(write(tmp_path), ["NEW", *GENES]).gene_vectors()
    state = weights()
    rows = state["encoder.embedding.weight"][[VOCABULARY[name] for name in GENES]]
    normed = (rows - rows.mean(1, keepdim=True)) / (rows.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    expected = normed * state["encoder.enc_norm.weight"] + state["encoder.enc_norm.bias"]
    torch.testing.assert_close(vectors[1:], expected)
    assert not vectors[0].any()


def test_bins_of_a_cell_depend_on_it_and_the_seed_alone(tmp_path):
    """The same cell has the same map in any company; another seed breaks ties otherwise."""
    folder, cells = write(tmp_path), expression()
    source = load_scgpt(folder, GENES, seed=1)
    torch.testing.assert_close(maps_of(source, cells[2:3]), maps_of(source, cells)[2:3])
    again = load_scgpt(folder, GENES, seed=1)
    assert torch.equal(maps_of(source, cells), maps_of(again, cells))
    assert not torch.allclose(maps_of(source, cells), maps_of(load_scgpt(folder, GENES, seed=2), cells))


def test_loading_and_reading_leave_the_global_random_state_alone(tmp_path):
    folder = write(tmp_path)
    before = torch.get_rng_state()
    source = load_scgpt(folder, GENES)
    maps_of(source, expression())
    assert torch.equal(before, torch.get_rng_state())
    assert not any(parameter.requires_grad for parameter in source.parameters())


def test_training_mode_changes_nothing(tmp_path):
    source = load_scgpt(write(tmp_path), GENES)
    frozen = maps_of(source, expression())
    assert torch.equal(maps_of(source.train(), expression()), frozen)


def test_half_precision_weights_and_a_model_in_bfloat16_come_close(tmp_path):
    """Weights stored in half precision are read as single; in bfloat16, bins stay as they are."""
    exact = maps_of(load_scgpt(write(tmp_path / "a"), GENES), expression())
    half = {name: weight.half() for name, weight in weights().items()}
    source = load_scgpt(write(tmp_path / "b", state=half), GENES)
    assert {parameter.dtype for parameter in source.parameters()} == {torch.float32}
    torch.testing.assert_close(maps_of(source, expression()), exact, atol=2e-4, rtol=5e-3)
    rough = maps_of(source.to(torch.bfloat16), expression())
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.01, rtol=0.05)


def test_a_cell_without_expression_has_a_finite_map(tmp_path):
    maps = maps_of(load_scgpt(write(tmp_path), GENES), torch.zeros(2, len(GENES)))
    assert maps.isfinite().all()
    torch.testing.assert_close(maps[0], maps[1])


def test_no_map_of_all_heads_is_ever_formed(tmp_path):
    """Of 300 genes, no operation gives as much as one map of one cell."""
    panel = [f"G{i}" for i in range(300)]
    vocabulary = {name: i for i, name in enumerate([*panel, "<pad>", "<cls>", "<eoc>"])}
    state = weights() | {"encoder.embedding.weight": torch.randn(len(vocabulary), WIDTH)}
    folder = write(tmp_path, state=state)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    source = load_scgpt(folder, panel)
    cells = expression(2, 300)
    with LargestTensor() as largest:
        for _ in source.maps(cells, block=16):
            pass
    assert 0 < largest.most < 300 * 300
