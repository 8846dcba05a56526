"""From genes, times and perturbations to vectors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

TIME_SCALE = 1000.0


class GeneVocabulary:
    """Tokens of the panel's genes, of perturbed genes outside the panel, of `control` and of unknown genes.

    A gene that was perturbed in training keeps its own token. Any other perturbed gene gets the token of
    unknown genes: its own was never trained in that role, measured or not.

    Parameters
    ----------
    panel
        Measured genes; their tokens are 0 to G - 1.
    perturbed
        Genes perturbed in training.
    """

    def __init__(self, panel: Sequence[str], perturbed: Iterable[str]) -> None:
        self.panel = list(panel)
        self.perturbed = sorted(set(perturbed))
        unmeasured = [gene for gene in self.perturbed if gene not in set(panel)]
        self._index = {gene: token for token, gene in enumerate([*self.panel, *unmeasured])}
        self._trained = frozenset(self.perturbed)
        self.control = len(self._index)
        self.unknown = self.control + 1

    def __len__(self) -> int:
        return self.unknown + 1

    def tokens(self, genes: Sequence[str]) -> list[int]:
        """Two tokens for the genes of a perturbation: one gene is paired with `control`."""
        named = [self._index[gene] if gene in self._trained else self.unknown for gene in genes]
        return [*named, self.control, self.control][:2]


class ValueEncoder(nn.Module):
    """Encode `n_values` numbers per gene, added to the gene's embedding, into a token.

    Parameters
    ----------
    n_values
        Numbers per gene: the noisy value and the control cell's.
    width
        Size of a token.
    """

    def __init__(self, n_values: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_values, width)
        self.second = nn.Linear(width, width)

    def forward(self, values: Tensor, genes: Tensor) -> Tensor:
        """Make tokens (cells, genes, width) from values (cells, genes, n_values) and genes (genes, width)."""
        return genes + self.second(functional.gelu(self.first(values) + genes))


class TimeEmbedding(nn.Module):
    """Sinusoids of a time in [0, 1], scaled to [0, 1000] so that all frequencies vary, then a small net.

    Parameters
    ----------
    width
        Size of the embedding.
    frequencies
        Number of sine and cosine pairs.
    """

    def __init__(self, width: int, frequencies: int = 32) -> None:
        super().__init__()
        exponents = torch.arange(frequencies) / frequencies
        self.register_buffer("rates", torch.exp(-math.log(10_000.0) * exponents), persistent=False)
        self.net = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, times: Tensor) -> Tensor:
        """Embed times (cells,) as (cells, width)."""
        angles = TIME_SCALE * times.unsqueeze(-1) * self.rates
        return self.net(torch.cat([angles.sin(), angles.cos()], dim=-1))


class PerturbationEmbedding(nn.Module):
    """Mean of the tokens of the perturbed genes, as in scDFM, then a linear map.

    Parameters
    ----------
    width
        Size of a gene's embedding and of the result.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, width)

    def forward(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        """Embed perturbations (cells, 2) of tokens, with rows of `embedding` (tokens, width)."""
        return self.project(embedding[tokens].mean(dim=1))
