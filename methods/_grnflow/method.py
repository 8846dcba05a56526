"""What every GRNFlow variant shares.

The hypothesis: a perturbation changes the regulatory network, and that changes expression. Here the network
is the attention of a frozen gene transformer, and its change, perturbed minus control, is a latent that is
generated first; expression is generated from it.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from benchmark.config import MethodConfig
from benchmark.errors import BenchmarkError
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
from methods._grn.features import Projection, Standardiser
from methods._grnflow.centred import CentredFlow
from methods._grnflow.config import GRNFlowConfig
from methods._grnflow.direct import DIRECT
from methods._grnflow.latents import MapReader, Pairs, network_of, standardised, training_latents
from methods._grnflow.pairs import by_perturbation, paired_cells
from methods._grnflow.shown import CascadeTrace, RegulatoryMaps
from methods._grnflow.sources import Given, build_source, cells_to_read
from methods._overlap import N_SHAPES
from methods._trained_flow.contexts import CellContexts
from methods._trained_flow.rows import (
    control_rows,
    perturbed_rows,
    rows_by_context,
)


class GRNFlow(CentredFlow):
    """Cascaded flow matching: the change of attention first, expression from it.

    At inference the latent is generated too: a prediction uses control cells and the perturbation alone.
    A perturbed gene that no training perturbation contains is predicted as an average perturbation.

    In training the expression flow is given the latent of another cell of the same perturbation, since a
    cell's own attention holds the expression that is to be predicted. Such a latent tells of the
    perturbation and of its network, and nothing of the single cell.

    Where cells are of several contexts, all this is done within them: cells are paired with control cells of
    their context, effects and how they overlap are learned from changes within contexts, to which comes what
    a context differs in (`methods._differences`), and a prediction lies around the mean of the control cells
    of the context that is asked. The network is told the context; one that shows control cells alone is to it
    a mixture of the others, by how alike their control cells are.

    A variant says what a latent is (`projection`) and how large (`latent_size`).
    """

    version = "10"
    Config = GRNFlowConfig
    config: GRNFlowConfig
    times: ClassVar[TimeRule] = staticmethod(cascaded_times)
    """Draws the times at which both streams are trained."""

    @abstractmethod
    def projection(self, source: AttentionSource) -> Projection:
        """How a change of the map becomes latents."""

    @classmethod
    @abstractmethod
    def latent_size(cls, config: GRNFlowConfig, width: int, n_genes: int) -> int:
        """Dimensions of a gene's latent, for gene vectors of `width` and a panel of `n_genes`."""

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Make the attention source, compute latents, learn what cells lie around, train both flows."""
        given = self._given(train)
        cells, genes = given.cells, given.genes
        pairs = paired_cells(train, cells, self.config, self.seed)
        latent, self.units_, self.projection_ = self._latents(given, pairs)
        named = [Perturbation.parse(label) for label in pairs]
        self.mean_, self.deviation_ = moments(cells)
        self.contexts_ = CellContexts.of(train)
        self.vocabulary_ = GeneVocabulary(genes, {gene for each in named for gene in each.genes})
        shape = self._shape(self.config, len(self.vocabulary_), latent.shape[-1], len(genes))
        self.shape_ = replace(shape, cell_contexts=self.contexts_.told_apart)
        control, perturbed = (np.concatenate(rows) for rows in zip(*pairs.values(), strict=True))
        used, partner = np.unique(control, return_inverse=True)
        told = self.learn_centre(train, latent)
        pool = CellPool(
            control=DenseRows(cells, used, self.in_units),
            perturbed=DenseRows(cells, perturbed, self.in_units),
            partner=torch.from_numpy(partner),
            size=torch.tensor([len(rows) for _, rows in pairs.values()]),
            tokens=torch.tensor([self.tokens(each) for each in named]),
            latent=latent,
            told=told,
        )
        self.measure_spread(pool)
        objective = CascadeObjective(
            pool,
            self.config.options(CascadeOptions),
            self.times,
            control_token=self.vocabulary_.control,
            unknown_token=self.vocabulary_.unknown,
        )
        self.train_flow(objective, train, validation)
        self.complete_centre(train, validation, latent)
        return self

    def _latents(self, given: Given, pairs: Pairs) -> tuple[Tensor, Standardiser, Projection | None]:
        """Latents of the training perturbations, their units, and how they were made of maps, if so."""
        direct = DIRECT.get(self.config.attention_source)
        if direct is not None:
            return *standardised(direct.latents(given).unsqueeze(1)), None
        reader = self._reader(given)
        projection = self.projection(reader.source)
        read = cells_to_read(pairs, self.config, self.seed)
        latent, units = training_latents(reader, read, projection, self.config, self.seed)
        return latent, units, replace(projection, basis=projection.basis.cpu())

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
            expression=torch.stack([self.out_of_units(cells) for cells in expression]).numpy(),
            network=None if network is None else network.numpy(),
        )

    def regulatory_maps(self, train: AnnData) -> RegulatoryMaps:
        """What the attention source says of the network, without training a flow.

        Parameters
        ----------
        train
            Training cells, as for `fit`.

        Raises
        ------
        BenchmarkError
            Where the source gives latents that are not made of maps.
        """
        if self.config.attention_source in DIRECT:
            raise BenchmarkError(
                f"The attention source '{self.config.attention_source}' gives one latent for each "
                "perturbation and has no maps of who regulates whom; choose one that has, such as "
                "'pretrained' or 'coexpression'."
            )
        reader = self._reader(self._given(train))
        pairs = by_perturbation(paired_cells(train, reader.cells, self.config, self.seed))
        pairs = cells_to_read(pairs, self.config, self.seed)
        rng = np.random.default_rng(self.seed)
        controls = rng.permutation(control_rows(train))[: self.config.controls_per_perturbation]
        changes = ((label, reader.mean_change(*rows).cpu().numpy()) for label, rows in pairs.items())
        genes = [str(gene) for gene in train.var_names]
        return RegulatoryMaps(genes, reader.mean(controls).cpu().numpy(), changes)

    @classmethod
    def parameter_count(cls, config: MethodConfig, n_genes: int, n_perturbed: int) -> int | None:
        """Count the flow's trainable parameters for one context whose perturbed genes are all measured.

        None where the width of latents is not known: that of a checkpoint's gene vectors before it is read,
        and that of true edges before the network is looked up.
        """
        assert isinstance(config, GRNFlowConfig)
        if config.attention_source in ("scgpt", "geneformer"):
            return None
        latent: int | None = cls.latent_size(config, config.transformer_width, n_genes)
        if config.attention_source in DIRECT:
            latent = DIRECT[config.attention_source].width(config, latent)
        if latent is None:
            return None
        vocabulary = GeneVocabulary([str(gene) for gene in range(n_genes)], [])
        return count_parameters(cls._shape(config, len(vocabulary), latent, n_genes))

    @classmethod
    def knows_truth(cls, config: MethodConfig) -> bool:
        """Whether the oracle is asked."""
        assert isinstance(config, GRNFlowConfig)
        return config.attention_source == "oracle"

    @classmethod
    def _shape(cls, config: GRNFlowConfig, n_tokens: int, latent: int, n_genes: int) -> FlowShape:
        told = 1 + N_SHAPES + latent
        return config.shape(n_tokens, latent=latent, told=told, panel=n_genes, meeting=2 * config.width)

    def _given(self, train: AnnData) -> Given:
        cells, genes = sparse.csr_matrix(train.X, dtype=np.float32), [str(gene) for gene in train.var_names]
        return Given(
            self.config,
            cells,
            cells[control_rows(train)],
            genes,
            self.seed,
            choose_device(self.device),
            perturbed_rows(train),
            self.latent_size(self.config, self.config.transformer_width, len(genes)),
            rows_by_context(train),
        )

    def _reader(self, given: Given) -> MapReader:
        """Build the attention source, and let it read the training cells."""
        return MapReader(build_source(given), given.cells, given.device)
