"""Perturbing cells in silico, as Geneformer does: edit a cell's ranks, and see where its embedding goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from methods._grn.geneformer.cells import PanelTokens, rank_encode

Action = Literal["delete", "overexpress"]
PADDING = 0
AT_ONCE = 8192
"""Tokens that are read together, about."""


def sequences(cells: Tensor, panel: PanelTokens) -> list[list[int]]:
    """Tokens of the genes that each cell expresses, highest first, none cut off.

    Parameters
    ----------
    cells
        log1p of counts per 10,000, (cells, genes).
    panel
        How the genes become tokens.
    """
    uncut = PanelTokens(panel.ids, panel.medians, None, None, cells.shape[1] + 1)
    ranked = rank_encode(cells, uncut)
    return [tokens[filled].tolist() for tokens, filled in zip(ranked.tokens, ranked.filled, strict=True)]


def edited(sequence: Sequence[int], targets: Sequence[int], action: Action) -> list[int]:
    """A cell after a perturbation of all targets together.

    ``delete`` drops their tokens. ``overexpress`` puts them in front, in the order given, also where the cell
    did not express them.
    """
    rest = [token for token in sequence if token not in targets]
    return rest if action == "delete" else [*targets, *rest]


def concerned(cells: Sequence[Sequence[int]], targets: Sequence[int], action: Action) -> list[int]:
    """Which cells a perturbation says something of: for ``delete`` those that express all its targets."""
    if action == "overexpress":
        return list(range(len(cells)))
    return [row for row, cell in enumerate(cells) if set(targets) <= set(cell)]


@dataclass(frozen=True)
class Embedding:
    """What becomes of a cell in a BERT.

    Attributes
    ----------
    bert
        A `BertModel` of transformers.
    cls, eos
        Special tokens around a cell, where the vocabulary has them. With ``cls`` its state is the embedding
        of the cell, without it the mean over the genes.
    longest
        Most tokens that the model takes; the rest is cut off.
    layer
        Which states are read, counted from the last layer where negative; 0 is what goes into the first
        layer.
    """

    bert: Any
    cls: int | None
    eos: int | None
    longest: int
    layer: int

    @torch.no_grad()
    def __call__(self, cells: Sequence[Sequence[int]]) -> np.ndarray:
        """Embeddings of cells, float64, (cells, width)."""
        self.bert.eval()
        return np.concatenate(
            [self._read(part) for part in self._parts([self._framed(cell) for cell in cells])]
        )

    def _framed(self, cell: Sequence[int]) -> list[int]:
        before = [] if self.cls is None else [self.cls]
        after = [] if self.eos is None else [self.eos]
        return [*before, *cell[: self.longest - len(before) - len(after)], *after] or [PADDING]

    @staticmethod
    def _parts(cells: list[list[int]]) -> Iterator[list[list[int]]]:
        size = max(AT_ONCE // max(map(len, cells)), 1)
        for start in range(0, len(cells), size):
            yield cells[start : start + size]

    def _read(self, cells: list[list[int]]) -> np.ndarray:
        tokens, filled = padded(cells)
        device = next(self.bert.parameters()).device
        states = self.bert(
            input_ids=tokens.to(device), attention_mask=filled.long().to(device), output_hidden_states=True
        ).hidden_states[self.layer]
        if self.cls is not None:
            return states[:, 0].double().cpu().numpy()
        genes = filled.clone()
        if self.eos is not None:
            genes[torch.arange(len(cells)), filled.sum(1) - 1] = False
        weights = genes.double() / genes.sum(1, keepdim=True).clamp(min=1)
        return torch.einsum("ct,ctw->cw", weights, states.double().cpu()).numpy()


def padded(cells: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Tokens of cells, and which are no padding: (cells, tokens) both."""
    longest = max(map(len, cells))
    tokens = torch.tensor([[*cell, *[PADDING] * (longest - len(cell))] for cell in cells])
    filled = torch.arange(longest) < torch.tensor([[len(cell)] for cell in cells])
    return tokens, filled
