"""Small scGPT checkpoints as they are published, cells to read, and maps by plain arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from methods._grn.scgpt.cells import tie_breaks

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
