"""GRNFlow that is told the main-effects estimate of the perturbed mean, and learns what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from benchmark.config import parameter, with_default
from benchmark.perturbation import Perturbation
from methods._flow.pool import CellPool
from methods._pseudobulk import mean_changes, mean_expression
from methods._trained_flow.method import RECENTRE_CELLS, control_rows
from methods.grnflow_sparse_pca import GRNFlowSparsePCA, SparsePCAConfig
from methods.main_effects import MainEffects, fitted_without_each


class PriorConfig(SparsePCAConfig):
    """Hyper-parameters of the variant with a prior; what differs from the others was chosen on validation."""

    learning_rate: float = with_default(SparsePCAConfig, "learning_rate", 2e-3)
    token_dropout: float = with_default(SparsePCAConfig, "token_dropout", 0.3)
    mean_share: float = with_default(SparsePCAConfig, "mean_share", 0.5)
    recentre: bool = with_default(SparsePCAConfig, "recentre", True)
    expression_ode_steps: int = with_default(SparsePCAConfig, "expression_ode_steps", 1)
    checks: int = with_default(SparsePCAConfig, "checks", 6)
    centred: bool = parameter(
        True, help="Whether cells are generated around the prior; else it is an input alone."
    )


class GRNFlowPrior(GRNFlowSparsePCA):
    """Sparse-latent cascade that is told, for each gene, what main effects say of the perturbation.

    Three more inputs per gene: the estimated change of the mean, and the effects of the two perturbed genes
    that it is made of, the larger one first; from these the flow can learn how effects saturate, which a sum
    cannot say. In training a perturbation is told the estimate of a ridge regression that was fitted without
    it, as will be the case for the perturbations that are predicted. The penalty is chosen on validation
    perturbations, and the flow is selected with an estimate from training perturbations alone, as is how far
    its correction of the estimate is trusted (by least squares, from not at all to wholly); the estimate
    that predictions use is then fitted on both, as that of `main_effects` is.
    """

    name = "grnflow_prior"
    Config = PriorConfig
    config: PriorConfig
    control_values: ClassVar[int] = 4

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Fit the estimate, then the flow, then the estimate again on all perturbations."""
        penalty = MainEffects().fit(train, validation).penalty_
        self.prior_ = MainEffects().fit_changes(mean_changes(train), penalty)
        self.trust_ = 1.0
        super().fit(train, validation)
        if self.config.centred and self.config.recentre and validation.n_obs:
            self.trust_ = self._best_trust(train, validation)
        self.prior_ = MainEffects().fit_changes(mean_changes(train, validation), penalty)
        return self

    def prepared(self, pool: CellPool, train: AnnData, labels: list[str]) -> CellPool:
        """Give every training perturbation the estimate that was made without it."""
        changes = mean_changes(train)
        if len(changes.perturbations) < 2:
            told = {changes.perturbations[0]: self._told(self.prior_, changes.perturbations[0])}
        else:
            models = fitted_without_each(changes, self.prior_.penalty_)
            told = {perturbation: self._told(model, perturbation) for perturbation, model in models}
        prior = torch.stack([told[Perturbation.parse(label)] for label in labels])
        if not self.config.centred:
            return replace(pool, prior=prior)
        return replace(pool, prior=prior, centre=prior[..., 0])

    def control_side(self, start: Tensor, perturbation: Perturbation) -> Tensor:
        """The control cells, and what is told of the perturbation, in the flow's units."""
        told = self._told(self.prior_, perturbation)
        return torch.cat([start.unsqueeze(-1), told.expand(*start.shape, -1)], dim=-1)

    def out_of_units(self, cells: Tensor, perturbation: Perturbation) -> Tensor:
        """Sampled cells as log1p CP10K, around the estimate where they are centred on it."""
        if self.config.centred:
            cells = cells + self._told(self.prior_, perturbation)[:, 0]
        return super().out_of_units(cells, perturbation)

    def trusted_mean(self, mean: Tensor) -> Tensor:
        """Take the flow's correction of the estimate as far as it is trusted."""
        if not self.config.centred:
            return mean
        scale = np.where(self.deviation_ > 0, self.deviation_, np.inf)
        uncorrected = torch.from_numpy(((self.prior_.control_mean_ - self.mean_) / scale).astype(np.float32))
        return torch.lerp(uncorrected, mean, self.trust_)

    def _best_trust(self, train: AnnData, validation: AnnData) -> float:
        """Share of its correction with which the flow errs least on the means of validation cells."""
        start = self.in_units(sparse.csr_matrix(train.X[control_rows(train)[:RECENTRE_CELLS]]))
        agreement = size = 0.0
        for label, real in mean_expression(validation).items():
            perturbation = Perturbation.parse(label)
            estimate = np.maximum(self.prior_.control_mean_ + self.prior_.shift(perturbation), 0)
            predicted = self.sample(self.flow_, start, perturbation, self.sampling()).mean(0)
            agreement += float(((predicted - estimate) * (real - estimate)).sum())
            size += float(np.square(predicted - estimate).sum())
        return min(max(agreement / size, 0.0), 1.0) if size else 0.0

    def fitted_state(self) -> dict[str, Any]:
        """The flow's state and the estimate's."""
        prior = {f"prior.{key}": value for key, value in self.prior_.fitted_state().items()}
        return {**super().fitted_state(), **prior, "trust": self.trust_}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back both."""
        super().restore(state)
        self.trust_ = state["trust"]
        self.prior_ = MainEffects()
        self.prior_.restore({key[6:]: value for key, value in state.items() if key.startswith("prior.")})

    def _told(self, model: MainEffects, perturbation: Perturbation) -> Tensor:
        """Estimated change and both effects in units of each gene's deviation, (genes, 3); 0 if constant."""
        changes = np.stack([model.shift(perturbation), *model.own_effects(perturbation)], axis=-1)
        scale = np.where(self.deviation_ > 0, self.deviation_, np.inf)
        return torch.from_numpy((changes / scale[:, None]).astype(np.float32))
