"""What a flow generates around: the mean of a perturbation, and how far cells and latents lie from it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods._flow.readout import Readout, ReadoutShape, readout_inputs


class Centre(nn.Module):
    """Mean of expression from what is told of a perturbation and from its latent; mean of the latent as told.

    Of each gene is told: the sum of the effects of the perturbed genes on it (units of the flow), the shapes
    of their overlap (of the size of 1; all zero where not both genes are known), and the sum of their effects
    on its latent. The mean of expression is the first, plus what a readout says of shapes and latent.

    Parameters
    ----------
    readout
        Its shape; inputs are the shapes, and a latent with its time where there is one.
    latent
        Dimensions of a gene's latent.

    Attributes
    ----------
    units
        What the readout's answer is multiplied with, (genes,); zero where it is not trusted.
    spread, latent_spread
        Standard deviations around the means, (genes,) and (genes, latent).
    """

    units: Tensor
    spread: Tensor
    latent_spread: Tensor

    def __init__(self, readout: ReadoutShape, latent: int) -> None:
        super().__init__()
        self.readout = Readout(readout).requires_grad_(False).eval()
        self.latent = latent
        self.register_buffer("units", torch.zeros(readout.genes))
        self.register_buffer("spread", torch.ones(readout.genes))
        self.register_buffer("latent_spread", torch.ones(readout.genes, latent))

    @property
    def reads_latent(self) -> bool:
        """Whether the mean of expression depends on the latent."""
        of_latent = self.readout.first.weight[:, self.readout.shape.inputs - self.latent - 1 :]
        return self.latent > 0 and bool(self.units.any()) and bool(of_latent.any())

    def train(self, mode: bool = True) -> Centre:
        """Stay as for prediction: the readout is trained before the flow, not by it."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, told: Tensor, genes: Tensor, z_t: Tensor | None, t_latent: Tensor | None) -> Tensor:
        """Mean of expression, (cells, genes), in units of the flow.

        Parameters
        ----------
        told
            (cells, genes, told).
        genes
            Which genes of the panel they are, (genes,).
        z_t, t_latent
            Latents on their way, (cells, genes, latent), and their times, (cells,).
        """
        change, shapes = told[..., 0], told[..., 1 : told.shape[-1] - self.latent]
        numbers = shapes
        if z_t is not None and t_latent is not None:
            numbers = readout_inputs(shapes, z_t, t_latent)
        both_known = shapes.any(dim=-1).any(dim=-1).unsqueeze(-1)
        return change + self.readout(numbers.float(), genes) * self.units[genes] * both_known

    def of_latent(self, told: Tensor) -> Tensor:
        """Mean of the latent, (cells, genes, latent)."""
        return told[..., told.shape[-1] - self.latent :]
