"""The reader of Geneformer checkpoints: maps against transformers, ranks by hand, and all it refuses."""

from __future__ import annotations

import json
import pickle
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

from methods._grn.errors import SourceError
from methods._grn.geneformer import load_geneformer
from methods._grn.geneformer_cells import PanelTokens, panel_tokens, rank_encode

SYMBOLS = [f"GENE{i}" for i in range(12)]
ENSEMBL = {symbol: f"ENSG{i:011d}" for i, symbol in enumerate(SYMBOLS)}
LAYERS, HEADS, LONGEST = 3, 2, 11
SPECIALS = {"V1": ["<pad>", "<mask>"], "V2": ["<pad>", "<mask>", "<cls>", "<eos>"]}


def dictionaries(version: str) -> dict[str, dict]:
    """Dictionaries as they are published: tokens in the order of Ensembl ids, medians, ids of symbols."""
    names = [*SPECIALS[version], *ENSEMBL.values()]
    medians = np.random.default_rng(2).uniform(0.5, 4, size=len(ENSEMBL))
    return {
        "token_dictionary": {name: i for i, name in enumerate(names)},
        "gene_median_dictionary": dict(zip(ENSEMBL.values(), medians.tolist(), strict=True)),
        "gene_name_id_dict": {**ENSEMBL, "A1BG": "ENSG00000121410"},
    }


def model(version: str = "V2", **config: int) -> BertForMaskedLM:
    """Build a small untrained Geneformer with attention that is far from even."""
    sizes = {
        "vocab_size": len(SPECIALS[version]) + len(ENSEMBL),
        "hidden_size": 8,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "intermediate_size": 16,
        "max_position_embeddings": LONGEST,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        layout = BertConfig(**(sizes | config), hidden_act="relu", initializer_range=0.7)
        built = AutoModelForMaskedLM.from_config(layout, attn_implementation="eager")
    return built.eval()


def write(folder: Path, version: str = "V2", weights: str = "model.safetensors", suffix: str = "") -> Path:
    """Write a checkpoint and its dictionaries as they are published."""
    built = model(version)
    built.save_pretrained(folder)
    if weights == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
        torch.save(built.state_dict(), folder / weights)
    for stem, content in dictionaries(version).items():
        (folder / f"{stem}{suffix}.pkl").write_bytes(pickle.dumps(content))
    return folder


def expression(cells: int = 5, seed: int = 0) -> torch.Tensor:
    """Log values of counts per 10,000; cells express 3 to 9 genes of 12."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(3, size=(cells, len(SYMBOLS))) + 1
    for row, cell in enumerate(counts):
        cell[rng.permutation(len(SYMBOLS))[: len(SYMBOLS) - 3 - row % 7]] = 0
    return torch.from_numpy(np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)).float()


def ranked_genes(cell: torch.Tensor, version: str) -> list[int]:
    """Genes of a cell in the order of their tokens, by sorting in Python, cut to what the model takes."""
    medians = dictionaries(version)["gene_median_dictionary"]
    scaled = {
        gene: np.expm1(float(value)) / medians[ENSEMBL[SYMBOLS[gene]]]
        for gene, value in enumerate(cell)
        if value > 0
    }
    room = LONGEST - (2 if version == "V2" else 0)
    return sorted(scaled, key=lambda gene: -scaled[gene])[:room]


def reference_maps(cells: torch.Tensor, version: str, layer: int) -> torch.Tensor:
    """Maps (cells, genes, genes) from the attentions that transformers gives, one cell at a time."""
    built = model(version)
    tokens = dictionaries(version)["token_dictionary"]
    maps = torch.zeros(len(cells), len(SYMBOLS), len(SYMBOLS))
    for cell, filled in zip(cells, maps, strict=True):
        genes = ranked_genes(cell, version)
        ids = [tokens[ENSEMBL[SYMBOLS[gene]]] for gene in genes]
        if version == "V2":
            ids = [tokens["<cls>"], *ids, tokens["<eos>"]]
        with torch.no_grad():
            attention = built(torch.tensor([ids]), output_attentions=True).attentions[layer][0].mean(0)
        first = 1 if version == "V2" else 0
        for i, reads in enumerate(genes):
            for j, read in enumerate(genes):
                filled[reads, read] = attention[first + i, first + j]
    return maps


def whole(source, cells: torch.Tensor, block: int = 128) -> torch.Tensor:
    """Put the blocks of a source together."""
    return torch.cat([maps for _, maps in source.maps(cells, block)], dim=1)


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that any operation gave."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.most = max([self.most, *sizes])
        return result


@pytest.mark.parametrize("layer", [0, 1, 2, -1])
@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("version", ["V1", "V2"])
def test_maps_are_those_of_transformers(tmp_path, version, weights, layer):
    """Padded cells of different length give the attentions of each alone, in the order of the panel."""
    source = load_geneformer(write(tmp_path, version, weights), SYMBOLS, layer=layer)
    expected = reference_maps(expression(), version, layer)
    assert expected.std() > 0.05
    torch.testing.assert_close(whole(source, expression(), block=5), expected, atol=1e-5, rtol=1e-4)
    assert source.missing == []


def test_blocks_cover_the_rows_once_and_do_not_matter(tmp_path):
    source = load_geneformer(write(tmp_path), SYMBOLS)
    rows = [rows for rows, _ in source.maps(expression(), 5)]
    assert rows == [slice(0, 5), slice(5, 10), slice(10, 12)]
    torch.testing.assert_close(whole(source, expression(), 5), whole(source, expression()))


@pytest.mark.parametrize(("version", "whole_rows"), [("V1", True), ("V2", False)])
def test_rows_sum_to_one_unless_special_tokens_take_a_share(tmp_path, version, whole_rows):
    """Genes that a cell does not express read nothing and are read by none."""
    sums = whole(load_geneformer(write(tmp_path, version), SYMBOLS), expression()).sum(-1)
    expressed = expression() > 0
    assert not sums[~expressed].any()
    if whole_rows:
        torch.testing.assert_close(sums[expressed], torch.ones(int(expressed.sum())))
    else:
        assert ((sums[expressed] > 0) & (sums[expressed] < 0.99)).all()


@pytest.mark.parametrize("normalisation", ["softmax", "scores", "ranks"])
def test_unknown_genes_are_absent_and_change_nothing_for_the_others(tmp_path, normalisation):
    """Rows and columns of genes without a token are zero; the rest is the map without them."""
    folder = write(tmp_path)
    panel = ["NEW", *SYMBOLS[:4], "A1BG", *SYMBOLS[4:]]
    known = torch.tensor([gene in ENSEMBL for gene in panel])
    cells = torch.full((5, len(panel)), 5.0)
    cells[:, known] = expression()
    source = load_geneformer(folder, panel, normalisation=normalisation)
    maps = whole(source, cells, block=3)
    assert source.missing == ["NEW", "A1BG"]
    assert not maps[:, ~known].any()
    assert not maps[:, :, ~known].any()
    alone = whole(load_geneformer(folder, SYMBOLS, normalisation=normalisation), expression())
    torch.testing.assert_close(maps[:, known][:, :, known], alone)


def test_a_gene_without_a_median_is_missing(tmp_path):
    medians = dictionaries("V2")["gene_median_dictionary"]
    medians |= {ENSEMBL["GENE3"]: float("nan"), ENSEMBL["GENE5"]: 0.0}
    del medians[ENSEMBL["GENE1"]]
    (write(tmp_path) / "gene_median_dictionary.pkl").write_bytes(pickle.dumps(medians))
    assert load_geneformer(tmp_path, SYMBOLS).missing == ["GENE1", "GENE3", "GENE5"]


def test_symbols_and_ensembl_ids_name_the_same_genes(tmp_path):
    folder = write(tmp_path)
    mixed = [ENSEMBL[symbol] if i % 2 else symbol for i, symbol in enumerate(SYMBOLS)]
    by_symbol = whole(load_geneformer(folder, SYMBOLS), expression())
    assert torch.equal(whole(load_geneformer(folder, mixed), expression()), by_symbol)


def test_gene_vectors_are_the_embeddings_of_tokens(tmp_path):
    vectors = load_geneformer(write(tmp_path), ["NEW", *SYMBOLS]).gene_vectors()
    embeddings = model().get_input_embeddings().weight.detach()
    torch.testing.assert_close(vectors[1:], embeddings[4:])
    assert not vectors[0].any()


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


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_a_cell_without_expression_has_an_empty_map(tmp_path, version):
    """Alone or beside others, it reads nothing, and the others do not change."""
    source = load_geneformer(write(tmp_path, version), SYMBOLS)
    cells = torch.cat([torch.zeros(1, len(SYMBOLS)), expression()])
    maps = whole(source, cells)
    assert not maps[0].any()
    torch.testing.assert_close(maps[1:], whole(source, expression()))
    assert not whole(source, cells[:1]).any()
    scores = load_geneformer(tmp_path, SYMBOLS, normalisation="scores")
    assert not whole(scores, cells[:1]).any()


def test_maps_do_not_depend_on_the_mode_or_the_company_of_a_cell(tmp_path):
    source = load_geneformer(write(tmp_path), SYMBOLS)
    together = whole(source, expression())
    torch.testing.assert_close(whole(source, expression()[1:2]), together[1:2])
    torch.testing.assert_close(whole(source.train(), expression()), together, atol=0, rtol=0)
    assert not any(parameter.requires_grad for parameter in source.parameters())


def test_bfloat16_keeps_the_ranks_and_comes_close(tmp_path):
    """Medians stay in double precision when the model does not."""
    source = load_geneformer(write(tmp_path), SYMBOLS)
    exact = whole(source, expression())
    rough = whole(source.to(torch.bfloat16), expression())
    assert source.panel.medians.dtype == torch.float64
    assert torch.equal(rough > 0, exact > 0)
    torch.testing.assert_close(rough, exact, atol=0.01, rtol=0.05)


def test_half_precision_weights_are_read_as_single(tmp_path):
    folder = write(tmp_path)
    model().half().save_pretrained(folder)
    source = load_geneformer(folder, SYMBOLS)
    assert {parameter.dtype for parameter in source.parameters()} == {torch.float32}


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


def test_loading_is_quiet_local_and_leaves_no_trace(tmp_path, monkeypatch, capfd):
    """No network, no output, and neither the random state nor the settings of transformers change."""
    folder = write(tmp_path)
    capfd.readouterr()

    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    logging = transformers.utils.logging
    logging.enable_progress_bar()
    before = (torch.get_rng_state().tolist(), logging.get_verbosity())
    load_geneformer(folder, SYMBOLS)
    assert before == (torch.get_rng_state().tolist(), logging.get_verbosity())
    assert logging.is_progress_bar_enabled()
    assert capfd.readouterr() == ("", "")


def test_published_suffixes_and_json_are_read_alike(tmp_path):
    expected = whole(load_geneformer(write(tmp_path / "plain"), SYMBOLS), expression())
    folder = write(tmp_path / "suffix", suffix="_gc104M")
    (folder / "gene_name_id_dict_gc104M.pkl").unlink()
    (folder / "gene_name_id_dict.json").write_text(json.dumps(ENSEMBL))
    assert torch.equal(whole(load_geneformer(folder, SYMBOLS), expression()), expected)


@pytest.mark.parametrize("module", ["numpy._core.multiarray", "numpy.core.multiarray"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_medians_may_be_scalars_of_numpy_old_and_new(tmp_path, kind, module):
    """Pickles of NumPy before and after version 2 name the same function by two modules."""
    folder = write(tmp_path)
    medians = dictionaries("V2")["gene_median_dictionary"]
    scalars = {name: np.array([median], dtype=kind)[0] for name, median in medians.items()}
    written = pickle.dumps(scalars, protocol=3).replace(b"numpy._core.multiarray", module.encode())
    assert module.encode() in written
    (folder / "gene_median_dictionary.pkl").write_bytes(written)
    found = load_geneformer(folder, SYMBOLS).panel.medians
    np.testing.assert_allclose(found, list(medians.values()), rtol=1e-6)


def test_scalars_of_numpy_are_read_in_the_order_of_their_bytes(tmp_path):
    """Written on a machine that puts the highest byte first, they are the same numbers."""
    folder = write(tmp_path)
    medians = dictionaries("V2")["gene_median_dictionary"]
    scalars = {name: np.float64(median).byteswap() for name, median in medians.items()}
    mark = b"X\x01\x00\x00\x00"
    written = pickle.dumps(scalars, protocol=3).replace(mark + b"<", mark + b">")
    (folder / "gene_median_dictionary.pkl").write_bytes(written)
    np.testing.assert_array_equal(load_geneformer(folder, SYMBOLS).panel.medians, list(medians.values()))


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, protocol):
    folder, ran = write(tmp_path), tmp_path / "ran"
    for content in ({"a": Runs(ran)}, Runs(ran)):
        (folder / "token_dictionary.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
        with pytest.raises(SourceError, match=r"safe to read \(.*\); write it as token_dictionary\.json"):
            load_geneformer(folder, SYMBOLS)
    assert not ran.exists()


@pytest.mark.parametrize(
    "content",
    [
        np.array([1.0]),
        {"a": np.array(["x"], dtype=object)},
        {"a": np.str_("x")},
        {"a": np.dtype("M8[s]")},
        {"a": slice(3)},
    ],
)
def test_other_objects_in_a_pickle_are_refused(tmp_path, content):
    (write(tmp_path) / "token_dictionary.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(SourceError, match=r"token_dictionary\.pkl is no pickle of text and numbers alone"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize("content", [[1, 2], {"a": "b"}, {"a": [1]}, {"a": True}, {"a": 1.5}, "text", None])
def test_a_dictionary_of_another_form_is_refused(tmp_path, content):
    (write(tmp_path) / "token_dictionary.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(SourceError, match=r"token_dictionary\.pkl is damaged: .* values of type int"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize("cut", [0, 1, 10, 100])
def test_a_cut_pickle_is_refused(tmp_path, cut):
    path = write(tmp_path) / "gene_name_id_dict.pkl"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SourceError, match=r"gene_name_id_dict\.pkl is (damaged|no pickle)"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize(
    "name", ["config.json", "token_dictionary.pkl", "gene_median_dictionary.pkl", "gene_name_id_dict.pkl"]
)
def test_an_incomplete_folder_says_what_is_missing(tmp_path, name):
    (write(tmp_path) / name).unlink()
    with pytest.raises(SourceError, match=f"lacks {name}"):
        load_geneformer(tmp_path, SYMBOLS)


def test_a_folder_without_weights_or_that_is_not_there_says_so(tmp_path):
    (write(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(SourceError, match=r"lacks model\.safetensors and pytorch_model\.bin; put one"):
        load_geneformer(tmp_path, SYMBOLS)
    with pytest.raises(SourceError, match="There is no folder"):
        load_geneformer(tmp_path / "nowhere", SYMBOLS)


def test_two_dictionaries_of_one_kind_are_refused(tmp_path):
    (write(tmp_path) / "token_dictionary_gc30M.pkl").write_bytes(b"")
    with pytest.raises(SourceError, match=r"has token_dictionary\.pkl and token_dictionary_gc30M\.pkl; put"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize("name", ["config.json", "gene_name_id_dict.json"])
def test_a_damaged_json_file_is_named(tmp_path, name):
    folder = write(tmp_path)
    (folder / name).with_suffix(".pkl").unlink(missing_ok=True)
    (folder / name).write_text("{")
    with pytest.raises(SourceError, match=f"{name} is damaged: a JSON object"):
        load_geneformer(folder, SYMBOLS)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_type": "gpt2"}, "model of type gpt2; Geneformer is a bert"),
        ({"num_hidden_layers": "3"}, "whole number for num_hidden_layers"),
        ({"num_attention_heads": 3}, "multiple of num_attention_heads"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, change, told):
    path = write(tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SourceError, match=rf"config\.json .*{told}"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights_are_named(tmp_path, weights):
    path = write(tmp_path, weights=weights) / weights
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(SourceError, match=f"{weights} is damaged"):
        load_geneformer(tmp_path, SYMBOLS)


def test_missing_and_misshaped_weights_are_named(tmp_path):
    """They would otherwise be drawn at random; the decoder, which is not needed, may be missing."""
    folder = write(tmp_path, weights="pytorch_model.bin")
    state = {name: weight for name, weight in model().state_dict().items() if name.startswith("bert.")}
    torch.save(state, folder / "pytorch_model.bin")
    load_geneformer(folder, SYMBOLS)
    before = torch.get_rng_state()
    name = "encoder.layer.1.output.dense.weight"
    torch.save({k: v for k, v in state.items() if not k.endswith(name)}, folder / "pytorch_model.bin")
    with pytest.raises(SourceError, match=rf"pytorch_model\.bin lacks the weights (bert\.)?{name};"):
        load_geneformer(folder, SYMBOLS)
    torch.save(state | {f"bert.{name}": torch.zeros(3)}, folder / "pytorch_model.bin")
    with pytest.raises(SourceError, match=rf"another shape .*\((bert\.)?{name}\); use"):
        load_geneformer(folder, SYMBOLS)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("number", [16, -1])
def test_tokens_that_the_model_does_not_have_are_refused(tmp_path, number):
    tokens = dictionaries("V2")["token_dictionary"] | {ENSEMBL["GENE2"]: number}
    (write(tmp_path) / "token_dictionary.pkl").write_bytes(pickle.dumps(tokens))
    with pytest.raises(SourceError, match=r"token_dictionary\.pkl has other tokens than the 16 of the model"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_refused(tmp_path, layer):
    with pytest.raises(SourceError, match=rf"no layer {layer} .* 3 layers; choose one from -3 to 2"):
        load_geneformer(write(tmp_path), SYMBOLS, layer=layer)


def test_a_vocabulary_that_covers_too_little_is_refused(tmp_path):
    """Half of the panel is enough; less is not, and the counts and some of the genes are named."""
    folder = write(tmp_path)
    panel = [*SYMBOLS[:4], *(f"NEW{i}" for i in range(4))]
    assert load_geneformer(folder, panel).missing == ["NEW0", "NEW1", "NEW2", "NEW3"]
    with pytest.raises(SourceError, match=r"only 2 of the panel's 10 genes.*NEW0, .*NEW4 and 3 more"):
        load_geneformer(folder, [*SYMBOLS[:2], *(f"NEW{i}" for i in range(8))])
