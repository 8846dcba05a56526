"""What every GRNFlow variant shares: fitting, prediction, saving.

The hypothesis: a perturbation changes the regulatory network, and that changes expression. Here the network
is the attention of a frozen gene transformer, and its change, perturbed minus control, is a latent that is
generated first; expression is generated from it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from benchmark.config import MethodConfig
from benchmark.device import choose_device
from benchmark.errors import BenchmarkError
from benchmark.method import Method
from benchmark.paths import cache_folder
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.progress import stage
from methods._flow.backbone import TwoStreamFlow, build_flow, count_parameters
from methods._flow.encoders import GeneVocabulary
from methods._flow.sampling import Solver, non_negative, sample_cells, seeded_generator
from methods._flow.training import PairedCells, SpecialTokens, train_flow
from methods._grn.features import Standardiser, attention_change, batches, embedding_basis, scaled_top_k
from methods._grn.pairing import pair_cells, principal_components
from methods._grn.pretrain import (
    cache_file,
    cells_digest,
    load_cached,
    moments,
    new_transformer,
    pretrain,
    standardise,
    store,
)
from methods._grn.transformer import GeneTransformer
from methods._grnflow.config import GRNFlowConfig

COMPONENTS = 30
TOKENS_PER_CHUNK = 32_000
VALIDATION_CELLS = 32


class GRNFlow(Method):
    """Cascaded flow matching: the change of attention first, expression from it.

    At inference the latent is generated too: a prediction uses control cells and the perturbation alone.
    A perturbed gene that no training perturbation contains is predicted as an average perturbation.

    In training the expression flow is given the latent of another cell of the same perturbation, since a
    cell's own attention holds the expression that is to be predicted. Such a latent tells of the
    perturbation and of its network, and nothing of the single cell; whether it tells more than the
    perturbation's name does is the question that the method was made for, and this class does not answer it.
    """

    Config = GRNFlowConfig
    config: GRNFlowConfig

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Pretrain the gene transformer, compute latents, train both flows."""
        cells = sparse.csr_matrix(train.X, dtype=np.float32)
        labels = train.obs["perturbation"].astype(str).to_numpy()
        genes = [str(gene) for gene in train.var_names]
        trained = {label: Perturbation.parse(label).genes for label in np.unique(labels) if label != CONTROL}
        device = choose_device(self.device)
        transformer = self._transformer(cells, genes, device)
        pairs = self._pairs(cells, labels, list(trained))
        self.mean_, self.deviation_ = moments(cells)
        latent = self._latents(transformer, cells, pairs)
        self.vocabulary_ = GeneVocabulary(genes, {gene for names in trained.values() for gene in names})
        sizes = torch.tensor([len(rows) for _, rows in pairs.values()])
        paired = PairedCells(
            control=self._standardise(cells[np.concatenate([c for c, _ in pairs.values()])]),
            perturbed=self._standardise(cells[np.concatenate([p for _, p in pairs.values()])]),
            latent=latent,
            tokens=torch.tensor(
                [self.vocabulary_.tokens(trained[k]) for k, (_, p) in pairs.items() for _ in p]
            ),
            first=sizes.cumsum(0).sub(sizes).repeat_interleave(sizes),
            size=sizes.repeat_interleave(sizes),
        )
        self._train(paired, cells[np.flatnonzero(labels == CONTROL)], validation, device)
        return self

    def predict(self, control: AnnData, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Sample one cell for each control cell; a repeated control cell gets other noise."""
        self.require_fitted()
        if list(control.var_names) != self.vocabulary_.panel:
            raise BenchmarkError(
                f"The control cells have {control.n_vars} genes, which are not the "
                f"{len(self.vocabulary_.panel)} that '{self.name}' was fitted on; "
                "give the same genes in the same order."
            )
        device = choose_device(self.device)
        flow = self.flow_.to(device)
        start = self._standardise(sparse.csr_matrix(control.X, dtype=np.float32))
        solver = Solver(self.config.solver, self.config.expression_ode_steps)
        return (self._cells(flow, start, perturbation, solver) for perturbation in perturbations)

    @classmethod
    def parameter_count(cls, config: MethodConfig, n_genes: int, n_perturbed: int) -> int:
        """Count the flow's trainable parameters, supposing that all perturbed genes are measured."""
        assert isinstance(config, GRNFlowConfig)
        vocabulary = GeneVocabulary([str(gene) for gene in range(n_genes)], [])
        return count_parameters(config.flow_shape(n_genes, len(vocabulary)))

    @property
    def device_used(self) -> str:
        """What `device` resolves to."""
        return str(choose_device(self.device))

    def fitted_state(self) -> dict[str, Any]:
        """Genes, statistics and weights, as names and arrays."""
        weights = {f"flow.{key}": value.cpu().numpy() for key, value in self.flow_.state_dict().items()}
        genes = {"genes": self.vocabulary_.panel, "perturbed": self.vocabulary_.perturbed}
        return {"mean": self.mean_, "deviation": self.deviation_, **genes, **weights}

    def restore(self, state: dict[str, Any]) -> None:
        """Build the flow again and give it its weights."""
        self.vocabulary_ = GeneVocabulary(state["genes"], state["perturbed"])
        self.mean_, self.deviation_ = state["mean"], state["deviation"]
        shape = self.config.flow_shape(len(self.vocabulary_.panel), len(self.vocabulary_))
        self.flow_ = build_flow(shape, seed=0)
        weights = {key.removeprefix("flow."): value for key, value in state.items() if "." in key}
        self.flow_.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})

    def _standardise(self, cells: sparse.csr_matrix) -> Tensor:
        return standardise(cells, self.mean_, self.deviation_)

    def _transformer(
        self, cells: sparse.csr_matrix, genes: list[str], device: torch.device
    ) -> GeneTransformer:
        options = self.config.pretraining()
        path = cache_file(cache_folder("gene_transformers"), cells_digest(cells, genes), options, self.seed)
        model = load_cached(path, len(genes), options)
        if model is None:
            model = new_transformer(len(genes), options, self.seed).to(device)
            with stage("pretrain gene transformer", options.steps) as progress:
                for _, losses in pretrain(model, cells, options, self.seed):
                    progress.advance(**losses)
            store(model, path)
        return model.to(device).eval().requires_grad_(False)

    def _pairs(
        self, cells: sparse.csr_matrix, labels: np.ndarray, trained: list[str]
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(self.seed)
        return pair_cells(
            principal_components(cells, COMPONENTS, rng)[0],
            np.flatnonzero(labels == CONTROL),
            {label: np.flatnonzero(labels == label) for label in trained},
            pairs_per_group=self.config.pairs_per_perturbation,
            controls_per_group=self.config.controls_per_perturbation,
            rng=rng,
        )

    def _latents(
        self,
        transformer: GeneTransformer,
        cells: sparse.csr_matrix,
        pairs: dict[str, tuple[np.ndarray, np.ndarray]],
    ) -> Tensor:
        """Standardised latents of all pairs, (pairs, genes, d), float16 on the CPU."""
        control, perturbed = (np.concatenate(rows) for rows in zip(*pairs.values(), strict=True))
        basis = embedding_basis(transformer.gene_vectors(), self.config.latent)
        latents = torch.empty(len(control), cells.shape[1], basis.shape[1])
        parts = list(batches(len(control), TOKENS_PER_CHUNK // (4 * cells.shape[1])))
        with stage("attention change", len(parts)) as progress:
            for part in parts:
                latents[part] = attention_change(
                    transformer,
                    self._standardise(cells[control[part]]).to(basis.device),
                    self._standardise(cells[perturbed[part]]).to(basis.device),
                    basis,
                    top_k=scaled_top_k(self.config.top_k, cells.shape[1]),
                    layer=self.config.attention_layer,
                ).cpu()
                progress.advance()
        return Standardiser.fit(latents).apply(latents).half()

    def _train(
        self, pairs: PairedCells, control: sparse.csr_matrix, validation: AnnData, device: torch.device
    ) -> None:
        config, vocabulary = self.config, self.vocabulary_
        flow = build_flow(config.flow_shape(len(vocabulary.panel), len(vocabulary)), self.seed).to(device)
        averaged = copy.deepcopy(flow).requires_grad_(False)
        rng = np.random.default_rng(self.seed)
        start = self._standardise(control[rng.integers(control.shape[0], size=VALIDATION_CELLS)])
        special = SpecialTokens(vocabulary.control, vocabulary.unknown)
        generator = torch.Generator().manual_seed(self.seed)
        due = {round(config.steps * check / config.checks) for check in range(1, config.checks + 1)}
        best, kept = np.inf, averaged.state_dict()
        with stage("train flow", config.steps) as progress:
            for step, losses in train_flow(flow, averaged, pairs, special, config.training(), generator):
                if step in due and validation.n_obs:
                    losses["validation_mse"] = score = self._validate(averaged, start, validation)
                    if score < best:
                        best, kept = score, copy.deepcopy(averaged.state_dict())
                progress.advance(**losses)
        averaged.load_state_dict(kept)
        self.flow_ = averaged.eval()

    def _validate(self, flow: TwoStreamFlow, start: Tensor, validation: AnnData) -> float:
        """Mean squared error of predicted validation means: one Euler step gives the mean of the end."""
        labels = validation.obs["perturbation"].astype(str).to_numpy()
        errors = []
        for label in np.unique(labels):
            predicted = self._cells(flow, start, Perturbation.parse(label), Solver("euler", 1)).mean(0)
            real = np.asarray(validation.X[np.flatnonzero(labels == label)].mean(0)).ravel()
            errors.append(float(np.square(predicted - real).mean()))
        return float(np.mean(errors))

    def _cells(
        self, flow: TwoStreamFlow, start: Tensor, perturbation: Perturbation, solver: Solver
    ) -> np.ndarray:
        """Sample a cell for each standardised control cell, on the data's scale, (cells, genes)."""
        generator = seeded_generator(self.seed, str(perturbation))
        tokens = torch.tensor([self.vocabulary_.tokens(perturbation.genes)])
        latent = Solver(self.config.solver, self.config.latent_ode_steps)
        sampled = torch.empty_like(start)
        for part in batches(len(start), TOKENS_PER_CHUNK // start.shape[1]):
            sampled[part] = sample_cells(
                flow, start[part], tokens, generator, latent, solver, self.config.context_genes
            )
        return non_negative(
            sampled.mul_(torch.from_numpy(self.deviation_)).add_(torch.from_numpy(self.mean_))
        ).numpy()
