"""The reader of scGPT checkpoints: maps against plain arithmetic, binning by hand, and all it refuses."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from methods._grn.errors import SourceError
from methods._grn.scgpt import load_scgpt
from methods._grn.scgpt_cells import bin_values, tie_breaks

WIDTH, HEADS, HIDDEN, LAYERS, BINS = 12, 3, 20, 3, 7
GENES = ["TP53", "MYC", "GATA1", "KLF1", "CEBPA", "SPI1", "FOXO4", "BAK1", "JUN"]
OTHERS = ["A1BG", "ZZZ3", "AATK"]
VOCABULARY = {name: i for i, name in enumerate([*OTHERS, *GENES[::-1], "<pad>", "<cls>", "<eoc>"])}
ARGS = {
    "data_source": "cellxgene/human",
    "valid_size_or_ratio": 0.003,
    "input_style": "binned",
    "input_emb_style": "continuous",
    "n_bins": BINS,
    "max_seq_len": 1200,
    "training_tasks": "both",
    "mask_ratio": [0.25, 0.5, 0.75],
    "mask_value": -1,
    "pad_token": "<pad>",
    "pad_value": -2,
    "fast_transformer": True,
    "nlayers": LAYERS,
    "nheads": HEADS,
    "embsize": WIDTH,
    "d_hid": HIDDEN,
    "dropout": 0.2,
    "n_layers_cls": 3,
    "no_cls": True,
    "USE_GENERATIVE_TRAINING": True,
    "fp16": True,
}
LAYER_SHAPES = {
    "self_attn.in_proj_weight": (3 * WIDTH, WIDTH),
    "self_attn.in_proj_bias": (3 * WIDTH,),
    "self_attn.out_proj.weight": (WIDTH, WIDTH),
    "self_attn.out_proj.bias": (WIDTH,),
    "linear1.weight": (HIDDEN, WIDTH),
    "linear1.bias": (HIDDEN,),
    "linear2.weight": (WIDTH, HIDDEN),
    "linear2.bias": (WIDTH,),
    "norm1.weight": (WIDTH,),
    "norm1.bias": (WIDTH,),
    "norm2.weight": (WIDTH,),
    "norm2.bias": (WIDTH,),
}
SHAPES = {
    "encoder.embedding.weight": (len(VOCABULARY), WIDTH),
    "encoder.enc_norm.weight": (WIDTH,),
    "encoder.enc_norm.bias": (WIDTH,),
    "flag_encoder.weight": (2, WIDTH),
    "value_encoder.linear1.weight": (WIDTH, 1),
    "value_encoder.linear1.bias": (WIDTH,),
    "value_encoder.linear2.weight": (WIDTH, WIDTH),
    "value_encoder.linear2.bias": (WIDTH,),
    "value_encoder.norm.weight": (WIDTH,),
    "value_encoder.norm.bias": (WIDTH,),
    **{
        f"transformer_encoder.layers.{i}.{name}": shape
        for i in range(LAYERS)
        for name, shape in LAYER_SHAPES.items()
    },
    "decoder.fc.0.weight": (WIDTH, WIDTH),
    "mvc_decoder.gene2query.weight": (WIDTH, WIDTH),
    "cls_decoder.out_layer.weight": (1, WIDTH),
}
STYLES = {
    "plain": {},
    "flash 1": {"self_attn.in_proj_": "self_attn.Wqkv."},
    "flash 2": {
        "self_attn.in_proj_": "self_attn._impl.Wqkv.",
        "self_attn.out_proj.": "self_attn._impl.out_proj.",
    },
}


def weights() -> dict[str, torch.Tensor]:
    """Random weights under the names of plain PyTorch."""
    generator = torch.Generator().manual_seed(5)
    state = {name: torch.randn(shape, generator=generator) * 0.6 for name, shape in SHAPES.items()}
    norms = [name for name in state if "norm" in name and name.endswith("weight")]
    return {**state, **{name: 1 + 0.3 * state[name] for name in norms}}


def write(folder: Path, style: str = "plain", state: dict | None = None, **args: object) -> Path:
    """Write a checkpoint as it is published."""
    folder.mkdir(exist_ok=True)
    named = weights() if state is None else state
    for plain, other in STYLES[style].items():
        named = {name.replace(plain, other): weight for name, weight in named.items()}
    torch.save(named, folder / "best_model.pt")
    (folder / "args.json").write_text(json.dumps(ARGS | args))
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    return folder


def expression(cells: int = 4, genes: int = len(GENES), seed: int = 0) -> torch.Tensor:
    """Log values of Poisson counts per 10,000, with many zeros and many that are equal."""
    counts = np.random.default_rng(seed).poisson(1.3, size=(cells, genes))
    counts[:, 0] += 1
    return torch.from_numpy(np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)).float()


def bins_by_definition(cell: np.ndarray, n_bins: int, ties: np.ndarray) -> np.ndarray:
    """Bins of one cell in the words of scGPT: digitise by quantiles from both sides, draw in between."""
    bins = np.zeros(len(cell), dtype=np.int64)
    there = cell > 0
    if there.any():
        edges = np.quantile(cell[there], np.linspace(0, 1, n_bins - 1))
        left, right = np.digitize(cell[there], edges), np.digitize(cell[there], edges, right=True)
        bins[there] = np.ceil(ties[there] * (right - left) + left)
    return bins


def reference_maps(cells: torch.Tensor, genes: list[str], layer: int, seed: int = 0) -> torch.Tensor:
    """Softmax maps (cells, heads, genes, genes) from torch's own layers and the definition of attention."""
    state = weights()
    ties = tie_breaks(len(genes), seed).numpy()
    bins = np.stack([bins_by_definition(cell, BINS, ties) for cell in cells.double().numpy()])
    values = torch.tensor(np.insert(bins, 0, 0, axis=1), dtype=torch.float32)[..., None]

    def part(prefix: str) -> list[torch.Tensor]:
        return [state[f"{prefix}.weight"], state[f"{prefix}.bias"]]

    rows = state["encoder.embedding.weight"][[VOCABULARY[name] for name in ["<cls>", *genes]]]
    hidden = functional.linear(values, *part("value_encoder.linear1")).relu()
    hidden = functional.linear(hidden, *part("value_encoder.linear2"))
    tokens = functional.layer_norm(rows, (WIDTH,), *part("encoder.enc_norm"))
    tokens = tokens + functional.layer_norm(hidden, (WIDTH,), *part("value_encoder.norm"))
    for i in range(layer):
        prefix = f"transformer_encoder.layers.{i}."
        block = torch.nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, dropout=0.0, batch_first=True)
        block.load_state_dict({name: state[prefix + name] for name in LAYER_SHAPES})
        tokens = block.train()(tokens).detach()
    prefix = f"transformer_encoder.layers.{layer}.self_attn.in_proj_"
    q, k, _ = (tokens @ state[f"{prefix}weight"].T + state[f"{prefix}bias"]).chunk(3, dim=-1)
    size = WIDTH // HEADS
    maps = []
    for head in range(HEADS):
        own = slice(head * size, (head + 1) * size)
        weight = (q[..., own] @ k[..., own].transpose(1, 2) / size**0.5).exp()
        maps.append((weight / weight.sum(-1, keepdim=True))[:, 1:, 1:])
    return torch.stack(maps, dim=1)


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


@pytest.mark.parametrize("layer", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("style", STYLES)
def test_maps_are_those_of_the_plain_model(tmp_path, style, layer):
    """All names that scGPT's weights come under give the attention of torch's own layers, head by head."""
    source = load_scgpt(write(tmp_path, style), GENES, layer=layer)
    expected = reference_maps(expression(), GENES, layer % LAYERS).mean(1)
    assert expected.std() > 0.01
    torch.testing.assert_close(whole(source, expression(), block=4), expected, atol=1e-5, rtol=1e-4)
    assert source.missing == []


def test_blocks_cover_the_rows_once_and_do_not_matter(tmp_path):
    source = load_scgpt(write(tmp_path), GENES)
    rows = [rows for rows, _ in source.maps(expression(), 4)]
    assert rows == [slice(0, 4), slice(4, 8), slice(8, 9)]
    torch.testing.assert_close(whole(source, expression(), 4), whole(source, expression()))


def test_a_special_token_takes_its_share_of_every_row(tmp_path):
    """What `<cls>` is given is left out, so rows sum to less than one."""
    sums = whole(load_scgpt(write(tmp_path), GENES), expression()).sum(-1)
    assert ((sums > 0) & (sums < 1)).all()


def test_scores_are_the_products_of_queries_and_keys(tmp_path):
    """Softmax of the scores of each head, at the layer's scale, gives back the softmax maps."""
    folder = write(tmp_path)
    source = load_scgpt(folder, GENES, normalisation="scores")
    read = source.queries_keys(expression())
    assert read.queries.shape == (4, HEADS, len(GENES), WIDTH // HEADS)
    assert read.keys.shape == (4, HEADS, len(GENES) + 1, WIDTH // HEADS)
    products = torch.einsum("chqs,chks->chqk", read.queries, read.keys)
    torch.testing.assert_close(whole(source, expression()), products[..., :-1].mean(1))
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
    maps = whole(load_scgpt(folder, GENES, normalisation="ranks"), expression(), block=4)
    torch.testing.assert_close(maps, across.float().mean(1) / len(GENES))


@pytest.mark.parametrize("normalisation", ["softmax", "scores", "ranks"])
def test_unknown_genes_are_absent_and_change_nothing_for_the_others(tmp_path, normalisation):
    """Rows and columns of genes outside the vocabulary are zero; the rest is the map without them."""
    folder = write(tmp_path)
    panel = ["NEW1", *GENES[:4], "NEW2", *GENES[4:]]
    known = torch.tensor([gene in GENES for gene in panel])
    cells = torch.full((4, len(panel)), 3.0)
    cells[:, known] = expression()
    source = load_scgpt(folder, panel, normalisation=normalisation)
    maps = whole(source, cells, block=3)
    assert source.missing == ["NEW1", "NEW2"]
    assert not maps[:, ~known].any()
    assert not maps[:, :, ~known].any()
    alone = whole(load_scgpt(folder, GENES, normalisation=normalisation), expression())
    torch.testing.assert_close(maps[:, known][:, :, known], alone)


def test_gene_vectors_are_normed_embeddings(tmp_path):
    """Those of known genes are as the layers see them; others are zero."""
    vectors = load_scgpt(write(tmp_path), ["NEW", *GENES]).gene_vectors()
    state = weights()
    rows = state["encoder.embedding.weight"][[VOCABULARY[name] for name in GENES]]
    normed = (rows - rows.mean(1, keepdim=True)) / (rows.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    expected = normed * state["encoder.enc_norm.weight"] + state["encoder.enc_norm.bias"]
    torch.testing.assert_close(vectors[1:], expected)
    assert not vectors[0].any()


def test_binning_by_hand():
    """With 5 bins the edges are the quantiles 0, 1/3, 2/3 and 1 of the values that are not zero."""
    ties = torch.tensor([0.0, 0.4, 0.9, 0.5, 0.5])
    values = torch.tensor(
        [
            [1.0, 2, 3, 4, 0],  # edges 1, 2, 3, 4
            [0, 1, 2, 4, 0],  # edges 1, 5/3, 8/3, 4
            [1, 1, 1, 5, 0],  # edges 1, 1, 1, 5: the ones go to bins 3, 2 and 1
            [0, 0, 2, 0, 0],  # edges 2, 2, 2, 2: the one value goes anywhere from 1 to 4
            [0, 0, 0, 0, 0],
        ]
    )
    expected = [[1, 2, 3, 4, 0], [0, 1, 2, 4, 0], [3, 2, 1, 4, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert bin_values(values, 5, ties).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(3, 60), st.integers(0, 99))
def test_binning_equals_the_definition(counts, n_bins, seed):
    """Counts with many ties give the bins of the definition, exactly, for any number of bins."""
    cell, ties = np.log1p(np.array(counts) * 1.7), tie_breaks(len(counts), seed)
    found = bin_values(torch.from_numpy(cell)[None], n_bins, ties)[0].numpy()
    np.testing.assert_array_equal(found, bins_by_definition(cell, n_bins, ties.numpy()))
    assert ((found > 0) == (cell > 0)).all()
    assert found.max() <= n_bins - 1


def test_equal_values_spread_evenly():
    """A thousand equal values fall into all 50 bins, 20 in each but for chance."""
    bins = bin_values(torch.ones(1, 1000), 51, tie_breaks(1000, 3))
    assert bins.min() == 1
    assert np.bincount(bins[0], minlength=51)[1:].min() >= 8
    assert np.bincount(bins[0], minlength=51).max() <= 36


def test_bins_of_a_cell_depend_on_it_and_the_seed_alone(tmp_path):
    """The same cell has the same map in any company; another seed breaks ties otherwise."""
    folder, cells = write(tmp_path), expression()
    source = load_scgpt(folder, GENES, seed=1)
    torch.testing.assert_close(whole(source, cells[2:3]), whole(source, cells)[2:3])
    again = load_scgpt(folder, GENES, seed=1)
    assert torch.equal(whole(source, cells), whole(again, cells))
    assert not torch.allclose(whole(source, cells), whole(load_scgpt(folder, GENES, seed=2), cells))


def test_loading_and_reading_leave_the_global_random_state_alone(tmp_path):
    folder = write(tmp_path)
    before = torch.get_rng_state()
    source = load_scgpt(folder, GENES)
    whole(source, expression())
    assert torch.equal(before, torch.get_rng_state())
    assert not any(parameter.requires_grad for parameter in source.parameters())


def test_training_mode_changes_nothing(tmp_path):
    source = load_scgpt(write(tmp_path), GENES)
    frozen = whole(source, expression())
    assert torch.equal(whole(source.train(), expression()), frozen)


def test_half_precision_weights_and_a_model_in_bfloat16_come_close(tmp_path):
    """Weights stored in half precision are read as single; in bfloat16, bins stay as they are."""
    exact = whole(load_scgpt(write(tmp_path / "a"), GENES), expression())
    half = {name: weight.half() for name, weight in weights().items()}
    source = load_scgpt(write(tmp_path / "b", state=half), GENES)
    assert {parameter.dtype for parameter in source.parameters()} == {torch.float32}
    torch.testing.assert_close(whole(source, expression()), exact, atol=2e-4, rtol=5e-3)
    rough = whole(source.to(torch.bfloat16), expression())
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.01, rtol=0.05)


def test_a_cell_without_expression_has_a_finite_map(tmp_path):
    maps = whole(load_scgpt(write(tmp_path), GENES), torch.zeros(2, len(GENES)))
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


@pytest.mark.parametrize("name", ["args.json", "vocab.json", "best_model.pt"])
def test_an_incomplete_folder_says_what_is_missing(tmp_path, name):
    (write(tmp_path) / name).unlink()
    with pytest.raises(SourceError, match=f"lacks {name}"):
        load_scgpt(tmp_path, GENES)


def test_a_folder_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SourceError, match=r"There is no folder .*nowhere; .* vocab.json"):
        load_scgpt(tmp_path / "nowhere", GENES)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff\xfe", "[" * 100_000])
@pytest.mark.parametrize("name", ["args.json", "vocab.json"])
def test_a_damaged_json_file_is_named(tmp_path, name, text):
    (write(tmp_path) / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError, match=f"{name} is damaged"):
        load_scgpt(tmp_path, GENES)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"nheads": None}, "nheads"),
        ({"embsize": "12"}, "embsize"),
        ({"nlayers": 0}, "nlayers"),
        ({"d_hid": True}, "d_hid"),
        ({"nheads": 5}, "multiple of the heads"),
        ({"n_bins": 2}, "at least 3 bins"),
    ],
)
def test_senseless_sizes_are_refused(tmp_path, args, told):
    with pytest.raises(SourceError, match=rf"args\.json is damaged: .*{told}"):
        load_scgpt(write(tmp_path, **args), GENES)


@pytest.mark.parametrize(
    "args",
    [{"pre_norm": True}, {"input_emb_style": "category"}, {"input_style": "log1p"}],
)
def test_a_model_that_computes_otherwise_is_refused(tmp_path, args):
    (name, value), *_ = args.items()
    with pytest.raises(SourceError, match=rf"with {name} {value}; only"):
        load_scgpt(write(tmp_path, **args), GENES)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"<cls>": None}, "a number of its own"), ({"MYC": 3}, "a number of its own")],
)
def test_a_vocabulary_without_proper_numbers_is_refused(tmp_path, change, told):
    (write(tmp_path) / "vocab.json").write_text(json.dumps(VOCABULARY | change))
    with pytest.raises(SourceError, match=rf"vocab\.json is damaged: .*{told}"):
        load_scgpt(tmp_path, GENES)


def test_a_vocabulary_without_its_first_token_is_refused(tmp_path):
    renamed = {"<x>" if name == "<cls>" else name: i for name, i in VOCABULARY.items()}
    (write(tmp_path) / "vocab.json").write_text(json.dumps(renamed))
    with pytest.raises(SourceError, match=r"vocab\.json is damaged: a token <cls>"):
        load_scgpt(tmp_path, GENES)


def test_missing_and_misshaped_weights_are_named(tmp_path):
    """The decoders, which are not needed, may be missing; those that are needed may not."""
    state = {name: weight for name, weight in weights().items() if "decoder" not in name}
    load_scgpt(write(tmp_path, state=state), GENES)
    name = "transformer_encoder.layers.1.linear2.bias"
    with pytest.raises(SourceError, match=rf"best_model\.pt lacks the weights {name};"):
        load_scgpt(write(tmp_path, state={k: v for k, v in state.items() if k != name}), GENES)
    with pytest.raises(SourceError, match=rf"another shape .*\({name} \(3,\) for \(12,\)\)"):
        load_scgpt(write(tmp_path, state=state | {name: torch.zeros(3)}), GENES)
    with pytest.raises(SourceError, match=r"value_encoder.linear1.weight, .* and \d+ more"):
        load_scgpt(write(tmp_path, state={"encoder.embedding.weight": torch.zeros(1)}), GENES)


def test_layers_after_the_one_that_is_read_may_be_missing(tmp_path):
    state = {name: weight for name, weight in weights().items() if ".layers.2." not in name}
    source = load_scgpt(write(tmp_path, state=state), GENES, layer=1)
    torch.testing.assert_close(
        whole(source, expression()), reference_maps(expression(), GENES, 1).mean(1), atol=1e-5, rtol=1e-4
    )


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("content", [b"", b"no weights", pickle.dumps({"a": 1}), "code", "list", "number"])
def test_a_weights_file_with_anything_else_is_refused_and_runs_nothing(tmp_path, content):
    path, ran = write(tmp_path) / "best_model.pt", tmp_path / "ran"
    match content:
        case "code":
            torch.save({"a": Runs(ran)}, path)
        case "list":
            torch.save([torch.ones(2)], path)
        case "number":
            torch.save({"epoch": 3}, path)
        case _:
            path.write_bytes(content)
    with pytest.raises(SourceError, match=r"best_model\.pt is damaged"):
        load_scgpt(tmp_path, GENES)
    assert not ran.exists()


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_refused(tmp_path, layer):
    with pytest.raises(SourceError, match=rf"no layer {layer} .* 3 layers; choose one from -3 to 2"):
        load_scgpt(write(tmp_path), GENES, layer=layer)


def test_a_vocabulary_that_covers_too_little_is_refused(tmp_path):
    """Half of the panel is enough; less is not, and the counts and some of the genes are named."""
    folder = write(tmp_path)
    panel = [*GENES[:4], *(f"NEW{i}" for i in range(4))]
    assert load_scgpt(folder, panel).missing == ["NEW0", "NEW1", "NEW2", "NEW3"]
    with pytest.raises(SourceError, match=r"only 2 of the panel's 10 genes.*NEW0, .*NEW4 and 3 more"):
        load_scgpt(folder, [*GENES[:2], *(f"NEW{i}" for i in range(8))])
