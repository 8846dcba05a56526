"""Hyper-parameters of every GRNFlow variant."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from benchmark.config import parameter
from methods._grn.pretrain import PretrainOptions
from methods._trained_flow.config import PAPER, SMOKE, FlowConfig

Source = Literal[
    "pretrained",
    "scgpt",
    "geneformer",
    "random",
    "shuffled",
    "coexpression",
    "wrong",
    "regression",
    "noise",
    "oracle",
]
"""What latents can come from."""


class GRNFlowConfig(FlowConfig):
    """Hyper-parameters of every GRNFlow variant; the defaults, the preset `small`, suit a CPU."""

    attention_source: Source = parameter(
        "pretrained",
        help="What tells how the network changes. Attention: of a transformer pretrained here, of a "
        "checkpoint of scGPT or Geneformer, or of a control (untrained, genes permuted, correlations without "
        "a transformer, that of a wrong perturbation). Without maps: a network fitted by regression, noise, "
        "or the oracle, which knows the truth of simulated data and is never ranked.",
    )
    attention_folder: str | None = parameter(None, help="Checkpoint folder of scGPT or Geneformer.")
    prior_file: str | None = parameter(
        None, help="CSV file of known edges (source, target) that a regression is confined to."
    )
    oracle_of: Literal["regulation", "edges"] = parameter(
        "regulation",
        help="What the oracle tells of a gene: the change of its summed regulation, or of each edge into it.",
    )
    attention_layer: int = parameter(-1, ge=-48, le=47, help="Layer whose attention is read.")
    attention_normalisation: Literal["softmax", "scores", "ranks"] = parameter(
        "softmax",
        help="Softmax weights, raw scores, or ranks within rows and then columns (scGPT's tutorial).",
    )
    attention_of: Literal["cells", "means"] = parameter(
        "cells", help="Whether changes are of pairs of cells, or of the mean maps of a perturbation."
    )
    pairing: Literal["transport", "random"] = parameter(
        "transport", help="How perturbed cells get their control cells: optimal transport, or at random."
    )
    pairs_per_perturbation: int = parameter(
        64, ge=1, le=100_000, help="Cells used of each perturbation, each paired with one control cell."
    )
    controls_per_perturbation: int = parameter(
        1000, ge=1, le=100_000, help="Control cells among which partners are sought for each perturbation."
    )
    latents_per_perturbation: int = parameter(
        8, ge=1, le=10_000, help="Pairs of each perturbation whose attention is read."
    )
    top_k: int = parameter(
        30, ge=1, le=1000, help="Attention changes kept per gene at 1,000 genes; in proportion below."
    )
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
    readout_steps: int = parameter(
        200,
        ge=0,
        le=200,
        help="Most steps in which it is learned how two effects overlap, 25 at least; 0 to let them add up.",
    )
    latent_ode_steps: int = parameter(1, ge=1, le=1000, help="Solver steps of the latent flow.")
    transformer_width: int = parameter(64, ge=4, le=4096, help="Size of a token of the gene transformer.")
    transformer_heads: int = parameter(2, ge=1, le=64, help="Its attention heads.")
    transformer_layers: int = parameter(2, ge=1, le=48, help="Its layers.")
    transformer_steps: int = parameter(400, ge=1, le=10_000_000, help="Its pretraining steps.")

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "smoke": {
            **SMOKE, "pairs_per_perturbation": 8, "controls_per_perturbation": 64,
            "latents_per_perturbation": 4, "transformer_width": 16, "transformer_steps": 6,
            "readout_steps": 25,
        },
        "paper": {
            **PAPER, "learning_rate": 2e-4, "average": 0.9999, "pairs_per_perturbation": 500,
            "controls_per_perturbation": 5000, "latents_per_perturbation": 32, "latent_ode_steps": 10,
            "expression_ode_steps": 10, "transformer_width": 512, "transformer_heads": 8,
            "transformer_layers": 6, "transformer_steps": 20_000,
        },
    }  # fmt: skip

    @model_validator(mode="after")
    def _transformer_fits(self) -> Self:
        if self.transformer_width % self.transformer_heads:
            raise ValueError(
                f"needs transformer_width {self.transformer_width} to be a multiple of "
                f"transformer_heads {self.transformer_heads}"
            )
        own = self.attention_source in ("pretrained", "random", "shuffled", "wrong")
        if own and not -self.transformer_layers <= self.attention_layer < self.transformer_layers:
            raise ValueError(
                f"has attention_layer {self.attention_layer}, outside the {self.transformer_layers} layers"
            )
        return self

    def pretraining(self) -> PretrainOptions:
        """How the gene transformer is built and trained."""
        return PretrainOptions(
            width=self.transformer_width,
            heads=self.transformer_heads,
            layers=self.transformer_layers,
            steps=self.transformer_steps,
        )
