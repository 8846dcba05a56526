"""Hyper-parameters of in-silico perturbation and of the network that it asks."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from benchmark.config import MethodConfig, parameter


class GeneformerConfig(MethodConfig):
    """Where the weights come from, and how cells are perturbed and read."""

    checkpoint: str = parameter(
        "",
        help="Folder of a published checkpoint in the format of Hugging Face with its three dictionaries; "
        "empty: a "
        "small BERT is pretrained on the training cells.",
    )
    weights: Literal["pretrained", "random"] = parameter(
        "pretrained", help="random: the control, the same network with weights drawn at random."
    )
    action: Literal["auto", "delete", "overexpress"] = parameter(
        "auto",
        help="What is done to the tokens of the targets; auto goes by the modality of the data's card.",
    )
    cells: int = parameter(
        64, ge=1, le=100_000, search=(50, 300), log=True, help="Control cells that are perturbed, at most."
    )
    layer: int = parameter(
        -2, ge=-100, le=100, help="Whose states are read; -1 is the last, -2 the published choice."
    )
    width: int = parameter(
        64, ge=2, le=4096, search=(64, 96, 128, 192, 256), help="Size of a token, without a checkpoint."
    )
    layers: int = parameter(2, ge=1, le=48, search=(2, 6), help="Layers, without a checkpoint.")
    heads: int = parameter(4, ge=1, le=64, help="Attention heads, without a checkpoint.")
    longest: int = parameter(2048, ge=4, le=16384, help="Most tokens of a cell, without a checkpoint.")
    steps: int = parameter(
        400, ge=1, le=10_000_000, search=(200, 3000), log=True, budget=True, help="Steps of pretraining."
    )
    batch_size: int = parameter(16, ge=1, le=4096, search=(16, 64), log=True, help="Cells of such a step.")
    lr: float = parameter(
        1e-3, gt=0, le=1, search=(1e-4, 3e-3), log=True, help="Step size of AdamW in pretraining."
    )

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "control": {"weights": "random"},
        "smoke": {"cells": 8, "width": 16, "layers": 2, "heads": 2, "steps": 5, "batch_size": 8},
    }

    @property
    def remark(self) -> str:
        """Where the weights come from, where they are not published ones."""
        if self.weights == "random":
            return "random weights"
        return "" if self.checkpoint else "in-domain"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"needs width {self.width} to be a multiple of heads {self.heads}")
        if not self.checkpoint and not -self.layers - 1 <= self.layer <= self.layers:
            raise ValueError(f"needs layer {self.layer} to be from {-self.layers - 1} to {self.layers}")
        return self
