"""Sources of maps of regulation by name: whose attention is read, and of which cells."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from benchmark.contexts import NONE
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder
from benchmark.machine.progress import stage
from methods._flow.cells import cells_digest, moments
from methods._flow.graph import correlation
from methods._grn.attention import AttentionSource
from methods._grn.checkpoint import SourceError
from methods._grn.pretrain import (
    PretrainOptions,
    cache_file,
    load_cached,
    loadings,
    new_transformer,
    pretrain,
    store,
)
from methods._grn.sources import (
    CoexpressionSource,
    TransformerSource,
    with_shuffled_genes,
    without_own,
)
from methods._grn.transformer import GeneTransformer
from methods._grnflow.config import GRNFlowConfig
from methods._grnflow.latents import Pairs


@dataclass(frozen=True)
class Given:
    """What a source is made from.

    Attributes
    ----------
    config
        Hyper-parameters of the method.
    cells, control
        All training cells and the control cells among them, log1p CP10K.
    genes
        The panel.
    seed, device
        Of the method.
    perturbed
        Label of each training perturbation, in their order, and the rows of its cells.
    latent
        How many numbers the variant makes of a gene's change of a map.
    contexts
        Context -> rows of its cells; empty where there are not several.
    """

    config: GRNFlowConfig
    cells: sparse.csr_matrix
    control: sparse.csr_matrix
    genes: list[str]
    seed: int
    device: torch.device
    perturbed: dict[str, np.ndarray] = field(default_factory=dict)
    latent: int = 1
    contexts: dict[str, np.ndarray] = field(default_factory=dict)

    def within_contexts(self) -> dict[str, Given]:
        """What is given of each context by itself, with the conditions that were measured in it."""
        if len(self.contexts) < 2:
            return dict.fromkeys(self.contexts or [NONE], self)
        found = {}
        for name, rows in self.contexts.items():
            places = {label: np.flatnonzero(np.isin(rows, own)) for label, own in self.perturbed.items()}
            here = {label: own for label, own in places.items() if len(own)}
            control = np.setdiff1d(np.arange(len(rows)), np.concatenate([[], *here.values()]))
            cells = self.cells[rows]
            found[name] = replace(self, cells=cells, control=cells[control], perturbed=here, contexts={})
        return found


def pretrained(given: Given) -> AttentionSource:
    """Read a transformer that was trained on the training cells to predict hidden values."""
    return _transformer_source(given, _pretrained_model(given))


def random(given: Given) -> AttentionSource:
    """Read the same transformer without training: a control."""
    return _transformer_source(
        given, new_transformer(len(given.genes), given.config.pretraining(), given.seed)
    )


def shuffled(given: Given) -> AttentionSource:
    """Read the trained transformer with the identities of genes permuted: a control."""
    return _transformer_source(given, with_shuffled_genes(_pretrained_model(given), given.seed))


def coexpression(given: Given) -> AttentionSource:
    """Read correlations of control cells, without a transformer: a control."""
    mean, deviation = _units(given)
    within = np.mean([correlation(part.control) for part in given.within_contexts().values()], axis=0)
    vectors = loadings(given.cells, deviation.cpu().numpy(), given.config.transformer_width, given.seed)
    return CoexpressionSource(
        without_own(within).to(given.device),
        mean,
        deviation,
        torch.from_numpy(vectors).to(given.device),
    )


def wrong(given: Given) -> AttentionSource:
    """Read the trained transformer, but for each perturbation on the cells of another: a control."""
    return pretrained(given)


def scgpt(given: Given) -> AttentionSource:
    """Read a checkpoint folder of scGPT."""
    from methods._grn.scgpt.source import load_scgpt

    return _checkpoint(given, partial(load_scgpt, seed=given.seed))


def geneformer(given: Given) -> AttentionSource:
    """Read a checkpoint folder of Geneformer."""
    from methods._grn.geneformer.source import load_geneformer

    return _checkpoint(given, load_geneformer)


SOURCES: dict[str, Callable[[Given], AttentionSource]] = {
    source.__name__: source
    for source in (pretrained, scgpt, geneformer, random, shuffled, coexpression, wrong)
}


def build_source(given: Given) -> AttentionSource:
    """Make the source that the configuration names.

    Raises
    ------
    BenchmarkError
        When its checkpoint cannot be used.
    """
    try:
        return SOURCES[given.config.attention_source](given)
    except SourceError as error:
        raise BenchmarkError(str(error)) from error


def deranged(pairs: Pairs, seed: int) -> Pairs:
    """Give each perturbation the cells of another one, drawn at random, none twice.

    Raises
    ------
    BenchmarkError
        When there is no other one.
    """
    if len(pairs) < 2:
        raise BenchmarkError(
            "The attention source 'wrong' gives each perturbation the latent of another one, and "
            f"'{next(iter(pairs))}' is the only one; train on more, or choose another attention_source."
        )
    # Each takes from the next in a random circle, so that none can meet itself.
    circle = np.random.default_rng(seed).permutation(list(pairs))
    taken = dict(zip(circle.tolist(), np.roll(circle, -1).tolist(), strict=True))
    return {label: pairs[taken[label]] for label in pairs}


REARRANGED: dict[str, Callable[[Pairs, int], Pairs]] = {"wrong": deranged}
"""Sources that read other cells than those of the perturbation."""


def cells_to_read(pairs: Pairs, config: GRNFlowConfig, seed: int) -> Pairs:
    """Which cells are read as those of each perturbation."""
    rearrange = REARRANGED.get(config.attention_source)
    return pairs if rearrange is None else rearrange(pairs, seed)


def _checkpoint(given: Given, load: Callable[..., Any]) -> AttentionSource:
    """Load a folder of published weights, and say which genes it does not know."""
    config = given.config
    if config.attention_folder is None:
        raise BenchmarkError(
            f"The attention source '{config.attention_source}' reads a local checkpoint, and none is named; "
            "add --set attention_folder=FOLDER."
        )
    source = load(
        Path(config.attention_folder).expanduser(),
        given.genes,
        layer=config.attention_layer,
        normalisation=config.attention_normalisation,
    )
    if source.missing:
        logging.getLogger("benchmark").warning(
            "The checkpoint does not know %d of the %d genes, such as %s; their attention counts as zero.",
            len(source.missing),
            len(given.genes),
            source.missing[0],
        )
    return source.to(given.device)


def _units(given: Given) -> tuple[Tensor, Tensor]:
    """Mean and deviation of genes, the latter 1 where a gene is constant, on the device."""
    mean, deviation = moments(given.cells)
    units = torch.from_numpy(np.where(deviation > 0, deviation, 1).astype(np.float32))
    return torch.from_numpy(mean).to(given.device), units.to(given.device)


def _transformer_source(given: Given, model: GeneTransformer) -> AttentionSource:
    config, frozen = given.config, model.to(given.device).eval().requires_grad_(False)
    return TransformerSource(frozen, *_units(given), config.attention_layer, config.attention_normalisation)


def _pretrained_model(given: Given) -> GeneTransformer:
    options: PretrainOptions = given.config.pretraining()
    digest = cells_digest(given.cells, given.genes)
    path = cache_file(cache_folder("gene_transformers"), digest, options, given.seed, given.device)
    model = load_cached(path, len(given.genes), options)
    if model is None:
        model = new_transformer(len(given.genes), options, given.seed).to(given.device)
        with stage("pretrain gene transformer", options.steps) as progress:
            for _, losses in pretrain(model, given.cells, options, given.seed):
                progress.advance(**losses)
        store(model, path)
    return model
