"""What every GRNFlow variant shares.

The hypothesis: a perturbation changes the regulatory network, and that changes expression. Here the network
is the attention of a frozen gene transformer, and its change, perturbed minus control, is a latent that is
generated first; expression is generated from it.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from benchmark.config import MethodConfig
from benchmark.errors import BenchmarkError
from benchmark.machine import peers
from benchmark.machine.device import choose_device
from benchmark.machine.progress import stage
from benchmark.perturbation import Perturbation
from methods._effects import Base
from methods._flow.backbone import Flow, FlowShape, choose_context, count_parameters
from methods._flow.cascade import CascadeObjective, CascadeOptions, TimeRule, cascaded_times
from methods._flow.cells import DenseRows, moments
from methods._flow.paths import antithetic, gaussian
from methods._flow.pool import CellPool
from methods._flow.randomness import seeded_generator
from methods._flow.readout import ReadoutOptions
from methods._flow.sampling import Order, SamplingOptions, Solver, sample_mean, trace_cascade
from methods._flow.vocabulary import GeneVocabulary
from methods._grn.attention import AttentionSource
from methods._grn.features import Projection, Standardiser
from methods._grn.pairing import pair_cells, principal_components
from methods._grnflow.centre import LEAST_SPREAD, CentreLearner, LearnedCentre, Units, spread_around
from methods._grnflow.config import GRNFlowConfig
from methods._grnflow.direct import DIRECT
from methods._grnflow.latents import MapReader, Pairs, network_of, standardised, training_latents
from methods._grnflow.shown import CascadeTrace, RegulatoryMaps
from methods._grnflow.sources import Given, build_source, cells_to_read
from methods._grnflow.validation import Point, points_of
from methods._overlap import N_SHAPES
from methods._pseudobulk import mean_changes
from methods._trained_flow.method import FlowMethod, control_rows, perturbed_rows

COMPONENTS = 30
REFERENCE_CELLS = 64
"""Control cells that latents are sampled for where the mean is asked for."""

_log = logging.getLogger("benchmark")


class GRNFlow(FlowMethod):
    """Cascaded flow matching: the change of attention first, expression from it.

    At inference the latent is generated too: a prediction uses control cells and the perturbation alone.
    A perturbed gene that no training perturbation contains is predicted as an average perturbation.

    In training the expression flow is given the latent of another cell of the same perturbation, since a
    cell's own attention holds the expression that is to be predicted. Such a latent tells of the
    perturbation and of its network, and nothing of the single cell.

    A variant says what a latent is (`projection`) and how large (`latent_size`).
    """

    version = "4"
    Config = GRNFlowConfig
    config: GRNFlowConfig
    times: ClassVar[TimeRule] = staticmethod(cascaded_times)
    """Draws the times at which both streams are trained."""
    bases: ClassVar[Sequence[Base]] = ("learned",)
    """Ways to fit the effects that are told, of which the best on doubles is taken."""

    selected_in: ClassVar[tuple[Order, ...]] = ("latent_first",)
    """Orders whose errors on validation decide, on average, which weights are kept."""

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
        pairs = self._pairs(train, cells)
        latent, self.units_, self.projection_ = self._latents(given, pairs)
        named = [Perturbation.parse(label).genes for label in pairs]
        self.mean_, self.deviation_ = moments(cells)
        self.vocabulary_ = GeneVocabulary(genes, {gene for pair in named for gene in pair})
        self.shape_ = self._shape(self.config, len(self.vocabulary_), latent.shape[-1], len(genes))
        control, perturbed = (np.concatenate(rows) for rows in zip(*pairs.values(), strict=True))
        used, partner = np.unique(control, return_inverse=True)
        learner, told = self._learn_centre(train, latent)
        pool = CellPool(
            control=DenseRows(cells, used, self.in_units),
            perturbed=DenseRows(cells, perturbed, self.in_units),
            partner=torch.from_numpy(partner),
            size=torch.tensor([len(rows) for _, rows in pairs.values()]),
            tokens=torch.tensor([self.vocabulary_.tokens(pair) for pair in named]),
            latent=latent,
            prior=told,
        )
        self.spread_ = pool.spread().clamp(min=LEAST_SPREAD).numpy()
        self.latent_spread_ = spread_around(latent, told[..., 1 + N_SHAPES :]).numpy()
        objective = CascadeObjective(
            pool,
            self.config.options(CascadeOptions),
            self.times,
            control_token=self.vocabulary_.control,
            unknown_token=self.vocabulary_.unknown,
        )
        self.train_flow(objective, train, validation)
        self.centre_ = learner.complete(self.centre_, mean_changes(train, validation))
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

    def _learn_centre(self, train: AnnData, latent: Tensor) -> tuple[CentreLearner, Tensor]:
        """Learn what cells lie around; what is told of the training perturbations, in their order."""
        changes = mean_changes(train)
        chosen = control_rows(train)[:REFERENCE_CELLS]
        self.reference_ = self.in_units(sparse.csr_matrix(train.X[chosen], dtype=np.float32)).numpy()
        self.control_mean_ = changes.control_mean
        options = ReadoutOptions(self.shape_.readout_width, self.shape_.readout_vector)
        learner = CentreLearner(self.bases, options, self.seed)
        with stage("learn centre", 1) as progress:
            self.centre_, told = learner.learn(changes, latent, self._centre_units)
            progress.advance()
        _log.info(
            "Cells are generated around effects of the base '%s' %s.", self.centre_.base, self._overlap()
        )
        return learner, told

    def _overlap(self) -> str:
        steps = self.centre_.steps
        return f"with a readout of {steps} steps" if steps else "that add up"

    @property
    def _centre_units(self) -> Units:
        return Units(self.control_mean_, self.mean_, self.deviation_)

    def prepare(self, flow: Flow) -> None:
        """Give the flow what it generates around."""
        self.centre_.fill(flow.centre, self._centre_units)
        flow.centre.spread.copy_(torch.from_numpy(self.spread_))
        flow.centre.latent_spread.copy_(torch.from_numpy(self.latent_spread_))

    def control_side(self, start: Tensor, perturbation: Perturbation) -> Tensor:
        """The control cells, and what is told of the perturbation."""
        told = torch.from_numpy(self.centre_.told(perturbation, self._centre_units))
        return torch.cat([start.unsqueeze(-1), told.expand(*start.shape, -1)], dim=-1)

    def mean_in_units(self, flow: Flow, perturbation: Perturbation, options: SamplingOptions) -> Tensor:
        """The mean that is generated around, on the latents of control cells that are always the same."""
        reference = torch.from_numpy(self.reference_)
        generator = seeded_generator(self.seed, f"mean of {perturbation}")
        x0 = self.noise(reference, generator)
        z0 = gaussian((*reference.shape, self.shape_.latent), generator)
        context = choose_context(reference.shape[1], self.config.context_genes, generator)
        given = self.control_side(reference, perturbation)
        return sample_mean(flow, given, torch.tensor([self.tokens(perturbation)]), x0, z0, context, options)

    def predict_mean(self, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """The mean of the cells that are sampled, whatever control cells they begin from."""
        self.require_fitted()
        flow, options = self.flow_.to(choose_device(self.device)), self.sampling()
        for perturbation in perturbations:
            mean = self.mean_in_units(flow, perturbation, options)
            yield self.out_of_units(mean).clamp(min=0).double().numpy()

    def _validation(self, train: AnnData, validation: AnnData) -> Callable[[Flow], float]:
        """Squared error of the velocity of validation cells, at points that are always the same.

        Where the mean lies is not the flow's doing, so that errors of means say little of it.
        """
        generator = torch.Generator().manual_seed(self.seed)
        points = [
            (point, order)
            for point in points_of(self, train, validation, generator)
            for order in self.selected_in
        ]
        context = choose_context(train.n_vars, self.config.context_genes, generator)

        def error(flow: Flow, point: Point, order: Order) -> np.ndarray:
            return np.array([point.error(flow, order, context, self.config.precision)])

        return lambda flow: float(np.mean([*peers.spread(lambda pair: error(flow, *pair), points)]))

    def fitted_state(self) -> dict[str, Any]:
        """The flow's state, and what it generates around."""
        centre = {f"centre.{key}": value for key, value in self.centre_.state().items()}
        kept = {"reference": self.reference_, "control_mean": self.control_mean_}
        return {**super().fitted_state(), **kept, **centre}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back both."""
        super().restore(state)
        self.reference_, self.control_mean_ = state["reference"], state["control_mean"]
        self.centre_ = LearnedCentre.of(
            {key[7:]: value for key, value in state.items() if key.startswith("centre.")}
        )

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
        pairs = cells_to_read(self._pairs(train, reader.cells), self.config, self.seed)
        rng = np.random.default_rng(self.seed)
        controls = rng.permutation(control_rows(train))[: self.config.controls_per_perturbation]
        changes = ((label, reader.mean_change(*rows).cpu().numpy()) for label, rows in pairs.items())
        genes = [str(gene) for gene in train.var_names]
        return RegulatoryMaps(genes, reader.mean(controls).cpu().numpy(), changes)

    @classmethod
    def parameter_count(cls, config: MethodConfig, n_genes: int, n_perturbed: int) -> int | None:
        """Count the flow's trainable parameters, supposing that all perturbed genes are measured.

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
        )

    def _reader(self, given: Given) -> MapReader:
        """Build the attention source, and let it read the training cells."""
        return MapReader(build_source(given), given.cells, given.device)

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
