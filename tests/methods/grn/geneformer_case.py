"""Small Geneformer checkpoints as they are published, cells to read, and the maps of transformers."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

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
