"""Attention of Geneformer checkpoints: maps and vectors against transformers, and what they rest on."""

from __future__ import annotations

import json

import pytest
import torch

from methods._grn.geneformer.source import load_geneformer
from tests.methods.grn.attention_case import LargestTensor
from tests.methods.grn.checkpoint_case import maps_of
from tests.methods.grn.geneformer_case import ENSEMBL, SYMBOLS, expression, model, reference_maps, write


@pytest.mark.parametrize("layer", [0, 1, 2, -1])
@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("version", ["V1", "V2"])
def test_maps_are_those_of_transformers(tmp_path, version, weights, layer):
    """Padded cells of different length give the attentions of each alone, in the order of the panel."""
    source = load_geneformer(write(tmp_path, version, weights), SYMBOLS, layer=layer)
    expected = reference_maps(expression(), version, layer)
    assert expected.std() > 0.05
    torch.testing.assert_close(maps_of(source, expression(), block=5), expected, atol=1e-5, rtol=1e-4)
    assert source.missing == []


def test_blocks_cover_the_rows_once_and_do_not_matter(tmp_path):
    source = load_geneformer(write(tmp_path), SYMBOLS)
    rows = [rows for rows, _ in source.maps(expression(), 5)]
    assert rows == [slice(0, 5), slice(5, 10), slice(10, 12)]
    torch.testing.assert_close(maps_of(source, expression(), 5), maps_of(source, expression()))


@pytest.mark.parametrize(("version", "whole_rows"), [("V1", True), ("V2", False)])
def test_rows_sum_to_one_unless_special_tokens_take_a_share(tmp_path, version, whole_rows):
    """Genes that a cell does not express read nothing and are read by none."""
    sums = maps_of(load_geneformer(write(tmp_path, version), SYMBOLS), expression()).sum(-1)
    expressed = expression() > 0
    assert not sums[~expressed].any()
    if whole_rows:
        torch.testing.assert_close(sums[expressed], torch.ones(int(expressed.sum())))
    else:
        assert ((sums[expressed] > 0) & (sums[expressed] < 0.99)).all()


def test_symbols_and_ensembl_ids_name_the_same_genes(tmp_path):
    folder = write(tmp_path)
    mixed = [ENSEMBL[symbol] if i % 2 else symbol for i, symbol in enumerate(SYMBOLS)]
    by_symbol = maps_of(load_geneformer(folder, SYMBOLS), expression())
    assert torch.equal(maps_of(load_geneformer(folder, mixed), expression()), by_symbol)


def test_gene_vectors_are_the_embeddings_of_tokens(tmp_path):
    vectors = load_geneformer(write(tmp_path), ["NEW", *SYMBOLS]).gene_vectors()
    embeddings = model().get_input_embeddings().weight.detach()
    torch.testing.assert_close(vectors[1:], embeddings[4:])
    assert not vectors[0].any()


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_a_cell_without_expression_has_an_empty_map(tmp_path, version):
    """Alone or beside others, it reads nothing, and the others do not change."""
    source = load_geneformer(write(tmp_path, version), SYMBOLS)
    cells = torch.cat([torch.zeros(1, len(SYMBOLS)), expression()])
    maps = maps_of(source, cells)
    assert not maps[0].any()
    torch.testing.assert_close(maps[1:], maps_of(source, expression()))
    assert not maps_of(source, cells[:1]).any()
    scores = load_geneformer(tmp_path, SYMBOLS, normalisation="scores")
    assert not maps_of(scores, cells[:1]).any()


def test_maps_do_not_depend_on_the_mode_or_the_company_of_a_cell(tmp_path):
    source = load_geneformer(write(tmp_path), SYMBOLS)
    together = maps_of(source, expression())
    torch.testing.assert_close(maps_of(source, expression()[1:2]), together[1:2])
    torch.testing.assert_close(maps_of(source.train(), expression()), together, atol=0, rtol=0)
    assert not any(parameter.requires_grad for parameter in source.parameters())


def test_bfloat16_keeps_the_ranks_and_comes_close(tmp_path):
    """Medians stay in double precision when the model does not."""
    source = load_geneformer(write(tmp_path), SYMBOLS)
    exact = maps_of(source, expression())
    rough = maps_of(source.to(torch.bfloat16), expression())
    assert source.panel.medians.dtype == torch.float64
    assert torch.equal(rough > 0, exact > 0)
    torch.testing.assert_close(rough, exact, atol=0.01, rtol=0.05)


def test_no_map_of_all_heads_is_ever_formed(tmp_path):
    """Of 300 genes that a cell expresses, no operation gives more than one mask for each cell."""
    symbols = [f"S{i}" for i in range(300)]
    built = model(vocab_size=304, max_position_embeddings=302, num_attention_heads=8)
    built.save_pretrained(tmp_path)
    names = ["<pad>", "<mask>", "<cls>", "<eos>", *symbols]
    (tmp_path / "token_dictionary.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    (tmp_path / "gene_median_dictionary.json").write_text(json.dumps(dict.fromkeys(symbols, 1.5)))
    (tmp_path / "gene_name_id_dict.json").write_text("{}")
    source = load_geneformer(tmp_path, symbols)
    cells = 1 + torch.rand(2, 300, generator=torch.Generator().manual_seed(0))
    cells[1, :100] = 0
    with LargestTensor() as largest:
        for _ in source.maps(cells, block=16):
            pass
    assert 0 < largest.most <= 2 * 302 * 302
