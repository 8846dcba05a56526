"""Hyper-parameters of every flow."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self, TypeVar

from pydantic import model_validator

from benchmark.config import MethodConfig, parameter
from methods._flow.backbone import FlowShape

Options = TypeVar("Options")

PAPER: dict[str, Any] = {
    "width": 512,
    "heads": 8,
    "layers": 4,
    "dropout": 0.1,
    "steps": 100_000,
    "batch_size": 96,
    "genes_per_step": 1000,
    "context_genes": 100_000,
    "checks": 20,
    "compile": True,
}
"""What the paper presets of all flows share: scDFM's published sizes."""

SMOKE: dict[str, Any] = {
    "width": 16,
    "steps": 8,
    "warmup": 0.25,
    "batch_size": 8,
    "genes_per_step": 32,
    "checks": 1,
    "expression_ode_steps": 1,
    "graph_neighbours": 4,
}
"""What the smoke presets share: seconds on a CPU, to see that everything runs."""


class FlowConfig(MethodConfig):
    """Network, training and sampling of a flow; the defaults are what a CPU trains in minutes."""

    width: int = parameter(
        64, ge=4, le=4096, search=(32, 48, 64, 96, 128, 192, 256), help="Size of a token of the flow."
    )
    heads: int = parameter(
        2, ge=1, le=64, help="Attention heads of the flow; few wide heads are fast on CPUs."
    )
    layers: int = parameter(
        1, ge=1, le=48, search=(1, 4), help="Layers, each of two differential-attention blocks."
    )
    dropout: float = parameter(
        0.0, ge=0, lt=1, search=(0.0, 0.3), help="Share of hidden values dropped in training."
    )
    graph_neighbours: int = parameter(
        30, ge=0, le=1000, help="Co-expression neighbours that a gene's vector reads from; 0 for no graph."
    )
    steps: int = parameter(
        1000, ge=1, le=10_000_000, search=(500, 8000), log=True, budget=True, help="Training steps."
    )
    batch_size: int = parameter(32, ge=2, le=4096, help="Cells per step.")
    genes_per_step: int = parameter(200, ge=1, le=100_000, help="Genes in the random subset of a step.")
    context_genes: int = parameter(
        64, ge=1, le=100_000, help="Random genes that attention reads from, in training and in prediction."
    )
    learning_rate: float = parameter(
        4e-3, gt=0, le=0.1, search=(2e-4, 5e-3), log=True, help="Largest rate of the cosine schedule."
    )
    final_learning_rate: float = parameter(1e-6, ge=0, le=0.1, help="Rate at the end of the schedule.")
    warmup: float = parameter(0.05, ge=0, le=1, help="Share of the steps in which the rate rises.")
    weight_decay: float = parameter(
        0.01, ge=0, le=1, search=(1e-3, 0.3), log=True, help="AdamW's weight decay."
    )
    beta2: float = parameter(0.99, ge=0, lt=1, help="AdamW's decay of the mean of squared gradients.")
    gradient_norm: float = parameter(
        1.0, ge=0, le=1000, help="Where the gradient's norm is clipped; 0 for nowhere."
    )
    average: float = parameter(
        0.995, ge=0, lt=1, help="Decay of the moving average of the weights; 0 keeps the last ones."
    )
    checks: int = parameter(
        3, ge=0, le=1000, help="Times the flow is scored on validation, the best being kept; 0 for never."
    )
    patience: int = parameter(
        0, ge=0, le=1000, help="Training ends after so many checks without a better score; 0 for never."
    )
    checkpoint_steps: int = parameter(
        0, ge=0, le=10_000_000, help="Steps between checkpoints; 0 for by time alone."
    )
    checkpoint_minutes: float = parameter(
        5.0, ge=0, le=100_000, help="Minutes between checkpoints; 0 for by steps alone."
    )
    precision: Literal["auto", "float32", "bfloat16"] = parameter(
        "auto", help="Of matrix products; auto takes bfloat16 where the hardware multiplies it."
    )
    compile: bool = parameter(False, help="Whether the flow is compiled, on CUDA.")
    solver: Literal["euler", "midpoint", "rk4"] = parameter("midpoint", help="Fixed-step ODE solver.")
    expression_ode_steps: int = parameter(2, ge=1, le=1000, help="Solver steps of the expression flow.")

    @model_validator(mode="after")
    def _width_fits_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"needs width {self.width} to be a multiple of heads {self.heads}")
        return self

    def shape(self, n_tokens: int, **more: Any) -> FlowShape:
        """Make the shape of a flow over so many tokens; `more` of its fields are the method's own."""
        return FlowShape(
            n_tokens=n_tokens,
            width=self.width,
            heads=self.heads,
            layers=self.layers,
            dropout=self.dropout,
            graph=self.graph_neighbours > 0,
            **more,
        )

    def options(self, kind: type[Options]) -> Options:
        """Make options of a dataclass whose fields are called as the hyper-parameters are."""
        return kind(**{field.name: getattr(self, field.name) for field in dataclasses.fields(kind)})
