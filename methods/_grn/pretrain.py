"""Masked-expression pretraining of the gene transformer, and its cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from methods._flow.cells import moments, standardise
from methods._flow.files import save_whole
from methods._flow.randomness import seeded
from methods._grn.pairing import principal_components
from methods._grn.transformer import GeneTransformer

CACHE_VERSION = 2


@dataclass(frozen=True)
class PretrainOptions:
    """How the gene transformer is built and pretrained.

    Attributes
    ----------
    width, heads, layers
        Of the transformer.
    steps, batch_size, genes_per_step, learning_rate
        Of AdamW with a cosine schedule; each step takes a random subset of the genes.
    masked_share
        Share of the values that are hidden and predicted.
    """

    width: int = 64
    heads: int = 2
    layers: int = 2
    steps: int = 400
    batch_size: int = 32
    genes_per_step: int = 256
    learning_rate: float = 3e-3
    masked_share: float = 0.4


def cache_file(folder: Path, cells: str, options: PretrainOptions, seed: int, device: torch.device) -> Path:
    """Where the transformer pretrained on these cells, with these options and this seed, is kept.

    What a training gives depends on the device too and, on a CPU, on the number of threads; a run must not
    read what it would not have trained itself.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    about = {"version": CACHE_VERSION, "cells": cells, "seed": seed, "torch": torch.__version__}
    about |= {"device": device.type, "threads": threads}
    text = json.dumps({**about, **asdict(options)}, sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.pt"


def new_transformer(n_genes: int, options: PretrainOptions, seed: int) -> GeneTransformer:
    """Build a transformer with random weights; the global random state is left as it was."""
    with seeded(seed):
        return GeneTransformer(n_genes, options.width, options.heads, options.layers)


def pretrain(
    model: GeneTransformer, cells: sparse.csr_matrix, options: PretrainOptions, seed: int
) -> Iterator[tuple[int, dict[str, float]]]:
    """Train `model` in place to predict hidden values, one step per item taken.

    Values are standardised gene by gene, so that highly expressed genes do not drown the others. The gene
    vectors start from the loadings of the cells' principal components: from random ones, hundreds of steps
    pass before anything is learned.

    Parameters
    ----------
    model
        The transformer, on the device where it is to be trained.
    cells
        Training cells, (cells, genes), log1p CP10K.
    options
        How to train.
    seed
        Of the choice of cells, genes and hidden values.

    Yields
    ------
    tuple
        The number of steps done, and ``loss`` (mean squared error, about 1 for a constant guess).
    """
    device = model.masked_value.device
    n_cells, n_genes = cells.shape
    mean, deviation = moments(cells)
    model.start_from(torch.from_numpy(loadings(cells, deviation, options.width, seed)).to(device))
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.learning_rate)
    rising = 0.1 if options.steps > 10 else 0.3  # of ten steps the schedule would divide by zero
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, options.learning_rate, total_steps=options.steps, pct_start=rising, cycle_momentum=False
    )
    subset = min(options.genes_per_step, n_genes)
    for step in range(1, options.steps + 1):
        rows = torch.randint(n_cells, (options.batch_size,), generator=generator)
        genes = torch.randperm(n_genes, generator=generator)[:subset]
        masked = torch.rand(options.batch_size, subset, generator=generator) < options.masked_share
        values = standardise(cells[rows.numpy()], mean, deviation)[:, genes].to(device)
        predicted = model(values, genes.to(device), masked.to(device))
        loss = masked_error(predicted, values, masked.to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        yield step, {"loss": loss.item()}


def masked_error(predicted: Tensor, target: Tensor, masked: Tensor) -> Tensor:
    """Mean squared error over the masked entries; zero where none is masked."""
    return ((predicted - target).square() * masked).sum() / masked.sum().clamp(min=1)


def loadings(cells: sparse.csr_matrix, deviation: np.ndarray, components: int, seed: int) -> np.ndarray:
    """Loadings of standardised genes on the principal components of cells, float32, (genes, components)."""
    scaling = 1 / np.where(deviation > 0, deviation, 1).astype(np.float64)
    _, found = principal_components(cells, components, np.random.default_rng(seed), scaling)
    return found.astype(np.float32)


def load_cached(path: Path, n_genes: int, options: PretrainOptions) -> GeneTransformer | None:
    """Read a pretrained transformer, or None where there is none or the file is damaged."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model = new_transformer(n_genes, options, seed=0)
        model.load_state_dict(state)
    except Exception:  # a damaged file shows in many ways, and pretraining again mends all of them
        return None
    return model


def store(model: GeneTransformer, path: Path) -> None:
    """Keep a transformer for `load_cached`."""
    save_whole({key: value.cpu() for key, value in model.state_dict().items()}, path)
