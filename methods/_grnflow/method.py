"""What every GRNFlow variant shares.

The hypothesis: a perturbation changes the regulatory network, and that changes expression. Here the network
is the attention of a frozen gene transformer, and its change, perturbed minus control, is a latent that is
generated first; expression is generated from it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from benchmark.config import MethodConfig
from benchmark.machine.device import choose_device
from benchmark.perturbation import Perturbation
from methods._flow.backbone import FlowShape, choose_context, count_parameters
from methods._flow.cascade import CascadeObjective, CascadeOptions, TimeRule, cascaded_times
from methods._flow.cells import DenseRows, moments
from methods._flow.paths import antithetic, gaussian
from methods._flow.pool import CellPool
from methods._flow.randomness import seeded_generator
from methods._flow.sampling import SamplingOptions, Solver, trace_cascade
from methods._flow.vocabulary import GeneVocabulary
from methods._grn.attention import AttentionSource
from methods._grn.features import Projection
from methods._grn.pairing import pair_cells, principal_components
from methods._grnflow.config import GRNFlowConfig
from methods._grnflow.latents import MapReader, Pairs, network_of, training_latents
from methods._grnflow.sources import Given, build_source
from methods._trained_flow.method import FlowMethod, control_rows, perturbed_rows

COMPONENTS = 30


@dataclass(frozen=True)
class RegulatoryMaps:
    """What an attention source says of the regulatory network.

    Attributes
    ----------
    genes
        The panel.
    attention
        Mean map over control cells, (genes, genes): rows read from columns.
    changes
        Label and change of the map of each training perturbation, (genes, genes), signed.
    """

    genes: list[str]
    attention: np.ndarray
    changes: Iterator[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class CascadeTrace:
    """How one perturbation was predicted, step by step.

    Attributes
    ----------
    latent
        (points, cells, genes, d): the change of the network, standardised, from noise to what is generated.
    expression
        (points, cells, genes), log1p CP10K: from noise to the predicted cells, before they are recentred and
        clamped.
    network
        (genes, genes): the change of the map that the mean latent stands for, row = gene that reads; None
        where the latent does not say which genes are read.
    """

    latent: np.ndarray
    expression: np.ndarray
    network: np.ndarray | None


class GRNFlow(FlowMethod):
    """Cascaded flow matching: the change of attention first, expression from it.

    At inference the latent is generated too: a prediction uses control cells and the perturbation alone.
    A perturbed gene that no training perturbation contains is predicted as an average perturbation.

    In training the expression flow is given the latent of another cell of the same perturbation, since a
    cell's own attention holds the expression that is to be predicted. Such a latent tells of the
    perturbation and of its network, and nothing of the single cell.

    A variant says what a latent is (`projection`) and how large (`latent_size`).
    """

    version = "3"
    Config = GRNFlowConfig
    config: GRNFlowConfig
    times: ClassVar[TimeRule] = staticmethod(cascaded_times)
    """Draws the times at which both streams are trained."""
    control_values: ClassVar[int] = 1
    """Numbers per gene that the flow is told beside noise."""

    @abstractmethod
    def projection(self, source: AttentionSource) -> Projection:
        """How a change of the map becomes latents."""

    @classmethod
    @abstractmethod
    def latent_size(cls, config: GRNFlowConfig, width: int, n_genes: int) -> int:
        """Dimensions of a gene's latent, for gene vectors of `width` and a panel of `n_genes`."""

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Make the attention source, compute latents, train both flows."""
        reader = self._reader(train)
        cells, genes = reader.cells, [str(gene) for gene in train.var_names]
        pairs = self._pairs(train, cells)
        named = [Perturbation.parse(label).genes for label in pairs]
        self.mean_, self.deviation_ = moments(cells)
        self.vocabulary_ = GeneVocabulary(genes, {gene for pair in named for gene in pair})
        projection = self.projection(reader.source)
        self.shape_ = self._shape(self.config, len(self.vocabulary_), projection.basis.shape[1])
        latent, self.units_ = training_latents(reader, pairs, projection, self.config, self.seed)
        self.projection_ = replace(projection, basis=projection.basis.cpu())
        control, perturbed = (np.concatenate(rows) for rows in zip(*pairs.values(), strict=True))
        used, partner = np.unique(control, return_inverse=True)
        pool = CellPool(
            control=DenseRows(cells, used, self.in_units),
            perturbed=DenseRows(cells, perturbed, self.in_units),
            partner=torch.from_numpy(partner),
            size=torch.tensor([len(rows) for _, rows in pairs.values()]),
            tokens=torch.tensor([self.vocabulary_.tokens(pair) for pair in named]),
            latent=latent,
        )
        objective = CascadeObjective(
            self.prepared(pool, train, list(pairs)),
            self.config.options(CascadeOptions),
            self.times,
            control_token=self.vocabulary_.control,
            unknown_token=self.vocabulary_.unknown,
        )
        self.train_flow(objective, train, validation)
        return self

    def prepared(self, pool: CellPool, train: AnnData, labels: list[str]) -> CellPool:
        """Change the training cells before they are learned from; `labels` are the pool's perturbations."""
        return pool

    def noise(self, start: Tensor, generator: torch.Generator) -> Tensor:
        """Where paths of expression begin: in pairs of opposite noise, which makes means sharper."""
        return antithetic(tuple(start.shape), generator)

    def sampling(self) -> SamplingOptions:
        """How cells are predicted: the latent first."""
        latent = Solver(self.config.solver, self.config.latent_ode_steps)
        return replace(super().sampling(), latent=latent)

    def trace(self, control: AnnData, perturbation: Perturbation, steps: int) -> CascadeTrace | None:
        """Follow both stages for one perturbation; None for a method that was loaded, or of another order.

        What makes a network of a latent is known after `fit` alone: predictions do not need it, so it is not
        saved.

        Parameters
        ----------
        control
            Control cells to start from, as for `predict`; one path for each.
        perturbation
            What is predicted.
        steps
            Steps of each stage, at least; as many as a prediction takes where those are more.
        """
        self.require_fitted()
        options = self.sampling()
        if not hasattr(self, "units_") or options.order != "latent_first":
            return None
        flow = self.flow_.to(choose_device(self.device))
        start = self.in_units(sparse.csr_matrix(control.X, dtype=np.float32))
        generator = seeded_generator(self.seed, str(perturbation))
        x0 = self.noise(start, generator)
        context = choose_context(start.shape[1], self.config.context_genes, generator)
        z0 = gaussian((*start.shape, self.shape_.latent), generator)
        latent, expression = trace_cascade(
            flow,
            self.control_side(start, perturbation),
            torch.tensor([self.tokens(perturbation)]),
            x0,
            z0,
            context,
            replace(
                options,
                latent=replace(options.latent, steps=max(steps, options.latent.steps)),
                expression=replace(options.expression, steps=max(steps, options.expression.steps)),
            ),
        )
        network = network_of(latent[-1].mean(0), self.units_, self.projection_)
        return CascadeTrace(
            latent=latent.numpy(),
            expression=torch.stack([self.out_of_units(cells, perturbation) for cells in expression]).numpy(),
            network=None if network is None else network.numpy(),
        )

    def regulatory_maps(self, train: AnnData) -> RegulatoryMaps:
        """What the attention source says of the network, without training a flow.

        Parameters
        ----------
        train
            Training cells, as for `fit`.
        """
        reader = self._reader(train)
        rng = np.random.default_rng(self.seed)
        controls = rng.permutation(control_rows(train))[: self.config.controls_per_perturbation]
        changes = (
            (label, reader.mean_change(*rows).cpu().numpy())
            for label, rows in self._pairs(train, reader.cells).items()
        )
        genes = [str(gene) for gene in train.var_names]
        return RegulatoryMaps(genes, reader.mean(controls).cpu().numpy(), changes)

    @classmethod
    def parameter_count(cls, config: MethodConfig, n_genes: int, n_perturbed: int) -> int | None:
        """Count the flow's trainable parameters, supposing that all perturbed genes are measured.

        None where gene vectors come from a checkpoint, whose width is not known before it is read.
        """
        assert isinstance(config, GRNFlowConfig)
        if config.attention_source in ("scgpt", "geneformer"):
            return None
        vocabulary = GeneVocabulary([str(gene) for gene in range(n_genes)], [])
        latent = cls.latent_size(config, config.transformer_width, n_genes)
        return count_parameters(cls._shape(config, len(vocabulary), latent))

    @classmethod
    def _shape(cls, config: GRNFlowConfig, n_tokens: int, latent: int) -> FlowShape:
        return config.shape(
            n_tokens, latent=latent, control_values=cls.control_values, meeting=2 * config.width
        )

    def _reader(self, train: AnnData) -> MapReader:
        """Build the attention source, and let it read the training cells."""
        cells, device = sparse.csr_matrix(train.X, dtype=np.float32), choose_device(self.device)
        genes = [str(gene) for gene in train.var_names]
        given = Given(self.config, cells, cells[control_rows(train)], genes, self.seed, device)
        return MapReader(build_source(given), cells, device)

    def _pairs(self, train: AnnData, cells: sparse.csr_matrix) -> Pairs:
        rng = np.random.default_rng(self.seed)
        return pair_cells(
            principal_components(cells, COMPONENTS, rng)[0],
            control_rows(train),
            perturbed_rows(train),
            pairs_per_group=self.config.pairs_per_perturbation,
            controls_per_group=self.config.controls_per_perturbation,
            pairing=self.config.pairing,
            rng=rng,
        )
