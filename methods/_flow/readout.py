"""A small network that all genes share, and a vector for each gene that says how the gene reads it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ROWS = 32_000
"""Pairs of a perturbation and a gene that one step of training reads, about."""
AVERAGE = 0.98
"""Decay of the moving average of the weights."""


@dataclass(frozen=True)
class ReadoutShape:
    """What decides the parameters of a `Readout`.

    Attributes
    ----------
    inputs
        Numbers that are read for each gene.
    genes
        Measured genes.
    width, vector
        Of the hidden layers, and of what is learned of each gene.
    dropout
        Share of hidden values dropped in training; of no meaning for one that is trained.
    """

    inputs: int
    genes: int
    width: int = 64
    vector: int = 16
    dropout: float = 0.0


class Readout(nn.Module):
    """Two hidden layers with SiLU from some numbers of a gene to one number; it starts by saying 0.

    The vector of a gene scales and shifts what the first layer hands on, so that genes can read the same
    numbers in ways of their own, and share all that is learned of how numbers are read.
    """

    def __init__(self, shape: ReadoutShape) -> None:
        super().__init__()
        self.shape = shape
        self.vectors = nn.Parameter(torch.randn(shape.genes, shape.vector) * 0.1)
        self.first = nn.Linear(shape.inputs, shape.width)
        self.gate = nn.Linear(shape.vector, shape.width)
        self.shift = nn.Linear(shape.vector, shape.width, bias=False)
        self.second = nn.Linear(shape.width, shape.width)
        self.last = nn.Linear(shape.width, 1)
        nn.init.ones_(self.gate.bias)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, numbers: Tensor, genes: Tensor | None = None) -> Tensor:
        """Read numbers (..., genes, inputs) as (..., genes); of some genes alone where they are named."""
        vectors = self.vectors if genes is None else self.vectors[genes]
        hidden = functional.silu(self.first(numbers) * self.gate(vectors) + self.shift(vectors))
        share = self.shape.dropout if self.training else 0.0
        hidden = functional.silu(self.second(dropped(hidden, share)))
        return self.last(dropped(hidden, share)).squeeze(-1)


def dropped(values: Tensor, share: float) -> Tensor:
    """Dropout of a share that is rounded to 256ths: values are kept by random bytes.

    On a CPU the random numbers of PyTorch's own dropout take as long as all else of a step.
    """
    bound = min(round(share * 256), 255)
    if not bound:
        return values
    eights = torch.empty(-(-values.numel() // 8), dtype=torch.int64, device=values.device)
    drawn = eights.random_(-(2**63), None).view(torch.uint8)[: values.numel()].view_as(values)
    return values * (drawn >= bound).to(values.dtype).mul_(256 / (256 - bound))


@dataclass(frozen=True)
class ReadoutOptions:
    """How a readout is built and trained.

    Attributes
    ----------
    width, vector, dropout
        As in `ReadoutShape`.
    learning_rate, weight_decay
        Of AdamW.
    most_steps
        Its training ends there at the latest; 0 for no readout.
    """

    width: int = 64
    vector: int = 16
    dropout: float = 0.3
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    most_steps: int = 200


@dataclass(frozen=True)
class Lesson:
    """What a readout learns from.

    Attributes
    ----------
    shapes
        (perturbations, genes, shapes), of the size of 1.
    missed
        (perturbations, genes), of the size of 1: what is to be said.
    latent
        What is known of the latent of each gene, (perturbations, genes, d), or None without latents.
    spread
        How far latents lie around that, (genes, d).
    """

    shapes: Tensor
    missed: Tensor
    latent: Tensor | None = None
    spread: Tensor | None = None

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw perturbations: numbers (count, genes, inputs), and what is to be said of them."""
        rows = torch.randperm(len(self.shapes))[:count]
        if self.latent is None or self.spread is None:
            return self.shapes[rows], self.missed[rows]
        times = torch.rand(len(rows)).clamp(min=0.5) * 2 - 1  # at rest in half of the cases
        found = self.latent[rows] + self.spread * torch.randn_like(self.latent[rows])
        noisy = torch.lerp(torch.randn_like(found), found, times.view(-1, 1, 1))
        return readout_inputs(self.shapes[rows], noisy, times), self.missed[rows]


def readout_inputs(shapes: Tensor, latent: Tensor, times: Tensor) -> Tensor:
    """Join shapes and latents that are on their way from noise, with the time that says how far they are.

    Parameters
    ----------
    shapes
        (cells, genes, shapes).
    latent
        (cells, genes, d).
    times
        (cells,).
    """
    t = times.view(-1, 1, 1)
    return torch.cat([shapes, t * latent, t.expand(*latent.shape[:2], 1)], dim=-1)


def train_readout(
    shape: ReadoutShape, lesson: Lesson, options: ReadoutOptions, keep_after: Sequence[int]
) -> list[Readout]:
    """Train one network by least squares, and keep it as it was after some steps.

    The global random state decides the start and the batches: a caller seeds it.

    Parameters
    ----------
    keep_after
        Steps after which the moving average of the weights is kept, ascending; training ends with the last.

    Returns
    -------
    list
        One network for each of `keep_after`, for prediction.
    """
    network = Readout(shape)
    average, kept = copy.deepcopy(network).eval().requires_grad_(False), []
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.99)
    )
    count = max(1, min(len(lesson.shapes), ROWS // shape.genes))
    for step in range(1, max(keep_after, default=0) + 1):
        numbers, missed = lesson.draw(count)
        loss = functional.mse_loss(network(numbers), missed)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for mean, now in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(now, max(1 - AVERAGE, 1 / (step + 1)))
        if step in keep_after:
            kept.append(copy.deepcopy(average))
    return kept
