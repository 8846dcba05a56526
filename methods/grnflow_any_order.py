"""GRNFlow trained at independent times, so that one set of weights predicts in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self, get_args

from anndata import AnnData
from pydantic import ValidationInfo, field_validator
from torch import Tensor

from benchmark.config import parameter
from benchmark.perturbation import Perturbation
from methods._flow.cascade import TimeRule, independent_times
from methods._flow.sampling import Order, SamplingOptions
from methods._grnflow.told_latent import TrueLatents
from methods._trained_flow.rows import perturbed_rows
from methods.grnflow_sparse_pca import GRNFlowSparsePCA, SparsePCAConfig

TOLD: dict[str, Callable[[TrueLatents, Perturbation], Tensor]] = {
    "true_latent": TrueLatents.true,
    "wrong_latent": TrueLatents.wrong,
}
"""Orders in which prediction is told a latent of the oracle; it is finished first, as with `latent_first`."""


class AnyOrderConfig(SparsePCAConfig):
    """Hyper-parameters of the variant for any order."""

    order: Literal["latent_first", "expression_first", "joint", "true_latent", "wrong_latent"] = parameter(
        "latent_first",
        help="Which comes first in prediction; training does not read it. With the oracle as source also the "
        "latent first, where that of the truth, or that of a wrong perturbation, is told.",
    )

    @field_validator("order")
    @classmethod
    def _truth_is_known(cls, order: str, before: ValidationInfo) -> str:
        source = before.data.get("attention_source")
        if order in TOLD and source != "oracle":
            raise ValueError(
                f"needs attention_source=oracle, not {source}, where a latent of the truth is told"
            )
        return order


class GRNFlowAnyOrder(GRNFlowSparsePCA):
    """Flow of sparse latents and expression at independent times; `order` is chosen at prediction."""

    name = "grnflow_any_order"
    Config = AnyOrderConfig
    config: AnyOrderConfig
    times: ClassVar[TimeRule] = staticmethod(independent_times)
    selected_in: ClassVar[tuple[Order, ...]] = ("latent_first", "expression_first")
    """Both, so that the weights that are kept favour neither; one step of `joint` is that of the latter."""

    truth_: TrueLatents | None

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Train, and with the oracle keep what brings its other latents into the same units."""
        super().fit(train, validation)
        self.truth_ = None
        if self.knows_truth(self.config):
            panel, trained = self.vocabulary_.panel, list(perturbed_rows(train))
            self.truth_ = TrueLatents(self.config.oracle_of, panel, trained, self.units_, self.seed)
        return self

    def control_side(self, start: Tensor, perturbation: Perturbation) -> Tensor:
        """What a prediction is told; where the order says so, a latent of the oracle's."""
        given = super().control_side(start, perturbation)
        if self.config.order in TOLD:
            assert self.truth_ is not None
            given[..., -self.shape_.latent :] = TOLD[self.config.order](self.truth_, perturbation)
        return given

    def sampling(self) -> SamplingOptions:
        """How cells are predicted: in the order that is asked for."""
        order = self.config.order
        return replace(super().sampling(), order=order if order in get_args(Order) else "latent_first")

    def fitted_state(self) -> dict[str, Any]:
        """The state of every variant, and what the oracle's latents need."""
        truth = {} if self.truth_ is None else self.truth_.state()
        return {**super().fitted_state(), **{f"truth.{key}": value for key, value in truth.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back both."""
        super().restore(state)
        kept = {key[6:]: value for key, value in state.items() if key.startswith("truth.")}
        of, panel = self.config.oracle_of, self.vocabulary_.panel
        self.truth_ = TrueLatents.restored(of, panel, self.seed, kept) if kept else None
