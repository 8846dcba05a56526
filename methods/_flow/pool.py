"""Training cells of a flow, by perturbation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from methods._flow.cells import DenseRows


@dataclass(frozen=True)
class CellPool:
    """Control and perturbed cells, those of one perturbation next to each other.

    Attributes
    ----------
    control
        What the flow is given of each control cell, (controls, genes).
    perturbed
        What it is to generate, (cells, genes).
    size
        Cells of each perturbation, (perturbations,).
    tokens
        Tokens of each perturbation, (perturbations, 2), and where there are several the number of its cell
        context behind them, (perturbations, 3).
    partner
        Row of `control` that each perturbed cell is paired with, (cells,); None where they are not paired.
    latent
        Some latents of each perturbation, (perturbations, latents, genes, d), or None.
    told
        What is known of each perturbation beforehand, (perturbations, genes, values), or None.
    controls
        Where the control cells of each perturbation begin in `control`, and how many they are,
        (perturbations, 2); None where any control cell may stand beside any perturbation.
    """

    control: Tensor | DenseRows
    perturbed: Tensor | DenseRows
    size: Tensor
    tokens: Tensor
    partner: Tensor | None = None
    latent: Tensor | None = None
    told: Tensor | None = None
    controls: Tensor | None = None

    @property
    def n_genes(self) -> int:
        """Genes of the panel."""
        return self.perturbed.shape[1]

    def spread(self) -> Tensor:
        """Deviation of cells around the mean of their perturbation, each counting alike, (genes,)."""
        ends = self.size.cumsum(0).tolist()
        variances = [
            self.perturbed[start:end].var(0, correction=0)
            for start, end in zip([0, *ends], ends, strict=False)
        ]
        return torch.stack(variances).mean(0).sqrt()

    def draw_perturbations(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw perturbations, each as likely as any other, with replacement, (count,)."""
        return torch.randint(len(self.size), (count,), generator=generator)

    def draw_cells(self, perturbations: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a row of `perturbed` for each of some perturbations, with replacement."""
        size = self.size[perturbations]
        first = (self.size.cumsum(0) - self.size)[perturbations]
        uniform = torch.rand(len(perturbations), generator=generator)
        return first + (uniform * size).long().clamp(max=size - 1)

    def draw_controls(self, perturbations: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a row of `control` for each of some perturbations, with replacement, unpaired."""
        if self.controls is None:
            return torch.randint(len(self.control), perturbations.shape, generator=generator)
        first, count = self.controls[perturbations].unbind(-1)
        uniform = torch.rand(len(perturbations), generator=generator)
        return first + (uniform * count).long().clamp(max=count - 1)

    def draw_latents(self, perturbations: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one latent of each of some perturbations, float32 (perturbations, genes, d)."""
        assert self.latent is not None
        which = torch.randint(self.latent.shape[1], perturbations.shape, generator=generator)
        return self.latent[perturbations, which].float()

    def targets(self, rows: Tensor, genes: Tensor) -> Tensor:
        """Some genes of perturbed cells, (cells, genes)."""
        return self.perturbed[rows][:, genes]

    def control_side(self, control_rows: Tensor, perturbations: Tensor, genes: Tensor) -> Tensor:
        """Of some genes the control cell, then what is told of the perturbation, (cells, genes, values)."""
        control = self.control[control_rows][:, genes].unsqueeze(-1)
        if self.told is None:
            return control
        return torch.cat([control, self.told[perturbations][:, genes]], dim=-1)


def random_genes(n_genes: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` different genes; all of them, shuffled, where there are not so many."""
    return torch.randperm(n_genes, generator=generator)[:count]
