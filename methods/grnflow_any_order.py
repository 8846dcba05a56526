"""GRNFlow trained at independent times, so that one set of weights predicts in any order."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from benchmark.config import parameter
from methods._flow.cascade import TimeRule, independent_times
from methods._flow.sampling import Order, SamplingOptions
from methods.grnflow_sparse_pca import GRNFlowSparsePCA, SparsePCAConfig


class AnyOrderConfig(SparsePCAConfig):
    """Hyper-parameters of the variant for any order."""

    order: Literal["latent_first", "expression_first", "joint"] = parameter(
        "latent_first", help="Which comes first in prediction; training does not read it."
    )


class GRNFlowAnyOrder(GRNFlowSparsePCA):
    """Flow of sparse latents and expression at independent times; `order` is chosen at prediction."""

    name = "grnflow_any_order"
    Config = AnyOrderConfig
    config: AnyOrderConfig
    times: ClassVar[TimeRule] = staticmethod(independent_times)
    selected_in: ClassVar[tuple[Order, ...]] = ("latent_first", "expression_first")
    """Both, so that the weights that are kept favour neither; one step of `joint` is that of the latter."""

    def sampling(self) -> SamplingOptions:
        """How cells are predicted: in the order that is asked for."""
        return replace(super().sampling(), order=self.config.order)
