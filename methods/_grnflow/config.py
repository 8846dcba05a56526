"""Hyper-parameters of every GRNFlow variant."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from benchmark.config import MethodConfig, parameter
from methods._flow.backbone import FlowShape
from methods._flow.training import TrainingOptions
from methods._grn.pretrain import PretrainOptions


class GRNFlowConfig(MethodConfig):
    """Hyper-parameters of every GRNFlow variant; the defaults are what a CPU trains in minutes."""

    width: int = parameter(64, ge=4, le=4096, search=(32, 256), log=True, help="Size of a token of the flow.")
    heads: int = parameter(
        2, ge=1, le=64, help="Attention heads of the flow; few wide heads are fast on CPUs."
    )
    layers: int = parameter(2, ge=1, le=48, search=(1, 4), help="Layers of the flow.")
    latent: int = parameter(
        16, ge=1, le=1024, search=(4, 64), log=True, help="Dimensions of a gene's latent."
    )
    top_k: int = parameter(
        30, ge=1, le=1000, help="Attention changes kept per gene at 1,000 genes; in proportion below."
    )
    attention_layer: int = parameter(-1, ge=-48, le=47, help="Transformer layer whose attention is read.")
    pairs_per_perturbation: int = parameter(
        48, ge=1, le=100_000, help="Cells used of each perturbation, each paired with one control cell."
    )
    controls_per_perturbation: int = parameter(
        1000, ge=1, le=100_000, help="Control cells among which optimal transport pairs each perturbation."
    )
    steps: int = parameter(1000, ge=1, le=10_000_000, search=(500, 8000), log=True, help="Training steps.")
    batch_size: int = parameter(32, ge=1, le=4096, help="Pairs per step, of mixed perturbations.")
    genes_per_step: int = parameter(300, ge=1, le=100_000, help="Genes in the random subset of a step.")
    context_genes: int = parameter(
        128, ge=1, le=100_000, help="Random genes that attention reads from, in training and in prediction."
    )
    learning_rate: float = parameter(
        4e-3,
        gt=0,
        le=0.1,
        search=(2e-4, 5e-3),
        log=True,
        help="Largest learning rate of the cosine schedule.",
    )
    weight_decay: float = parameter(
        0.01, ge=0, le=1, search=(1e-3, 0.3), log=True, help="AdamW's weight decay."
    )
    gradient_norm: float = parameter(1.0, gt=0, le=1000, help="Where the gradient's norm is clipped.")
    average: float = parameter(0.995, ge=0, lt=1, help="Decay of the moving average of the weights.")
    latent_probability: float = parameter(0.4, ge=0, le=1, help="Share of cells that train the latent flow.")
    latent_floor: float = parameter(
        0.75, ge=0, le=1, help="Least latent time at which the expression flow is trained."
    )
    token_dropout: float = parameter(
        0.05,
        ge=0,
        le=1,
        search=(0.0, 0.3),
        help="Share of perturbed genes hidden, which trains unseen genes.",
    )
    checks: int = parameter(3, ge=1, le=100, help="Times the flow is scored on validation; the best is kept.")
    solver: Literal["euler", "midpoint", "rk4"] = parameter("midpoint", help="Fixed-step ODE solver.")
    latent_ode_steps: int = parameter(1, ge=1, le=1000, help="Solver steps of the latent flow.")
    expression_ode_steps: int = parameter(2, ge=1, le=1000, help="Solver steps of the expression flow.")
    transformer_width: int = parameter(64, ge=4, le=4096, help="Size of a token of the gene transformer.")
    transformer_heads: int = parameter(2, ge=1, le=64, help="Attention heads of the gene transformer.")
    transformer_layers: int = parameter(2, ge=1, le=48, help="Layers of the gene transformer.")
    transformer_steps: int = parameter(400, ge=1, le=10_000_000, help="Its pretraining steps.")

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "width": 16, "latent": 4, "layers": 1, "steps": 30, "batch_size": 8, "genes_per_step": 32,
            "pairs_per_perturbation": 8, "controls_per_perturbation": 64, "checks": 1,
            "transformer_width": 16, "transformer_steps": 20, "expression_ode_steps": 1,
        },
        "paper": {
            "width": 512, "heads": 8, "layers": 4, "latent": 64, "top_k": 30, "steps": 100_000,
            "batch_size": 96, "genes_per_step": 1000, "context_genes": 100_000, "learning_rate": 2e-4,
            "average": 0.9999, "checks": 20, "pairs_per_perturbation": 500,
            "controls_per_perturbation": 5000, "latent_ode_steps": 10, "expression_ode_steps": 10,
            "transformer_width": 512, "transformer_heads": 8, "transformer_layers": 6,
            "transformer_steps": 20_000,
        },
    }  # fmt: skip

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"needs width {self.width} to be a multiple of heads {self.heads}")
        if self.transformer_width % self.transformer_heads:
            raise ValueError(
                f"needs transformer_width {self.transformer_width} to be a multiple of "
                f"transformer_heads {self.transformer_heads}"
            )
        if not -self.transformer_layers <= self.attention_layer < self.transformer_layers:
            raise ValueError(
                f"has attention_layer {self.attention_layer}, outside the {self.transformer_layers} layers"
            )
        return self

    def flow_shape(self, n_genes: int, n_tokens: int) -> FlowShape:
        """Sizes of the flow for a panel of `n_genes` and a vocabulary of `n_tokens`."""
        latent = min(self.latent, self.transformer_width, n_genes)
        return FlowShape(n_tokens, latent, self.width, self.heads, self.layers)

    def training(self) -> TrainingOptions:
        """How the flow is trained."""
        names = [field.name for field in dataclasses.fields(TrainingOptions)]
        return TrainingOptions(**{name: getattr(self, name) for name in names})

    def pretraining(self) -> PretrainOptions:
        """How the gene transformer is built and trained."""
        return PretrainOptions(
            width=self.transformer_width,
            heads=self.transformer_heads,
            layers=self.transformer_layers,
            steps=self.transformer_steps,
        )
