"""A BERT that embeds cells, with random weights or pretrained on the training cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from scipy.sparse import csc_matrix
from torch import Tensor

from methods._flow.randomness import seeded
from methods._grn.geneformer.cells import PanelTokens
from methods.geneformer.insilico import PADDING, padded

MASK, CLS, EOS = 1, 2, 3
FIRST_GENE = 4
"""Number of the first gene's token in a vocabulary that is made here."""
MASKED = 0.15
"""Share of tokens that pretraining hides, as published."""
DROPOUT = 0.02


@dataclass(frozen=True)
class Sizes:
    """Of a BERT that is made here."""

    width: int
    layers: int
    heads: int
    longest: int


def own_panel(train: AnnData, longest: int) -> PanelTokens:
    """Tokens of the measured genes, with the medians of their non-zero values in the training cells.

    A gene that no training cell expresses has none.
    """
    values = csc_matrix(train.X, dtype=np.float64).expm1()
    columns = [
        values.data[start:end] for start, end in zip(values.indptr[:-1], values.indptr[1:], strict=True)
    ]
    medians = [np.median(column[column > 0]) if (column > 0).any() else np.inf for column in columns]
    ids = torch.arange(FIRST_GENE, FIRST_GENE + len(medians))
    return PanelTokens(ids, torch.tensor(medians, dtype=torch.float64), CLS, EOS, longest)


def new_settings(tokens: int, sizes: Sizes) -> dict[str, Any]:
    """Settings of a BERT with so many tokens."""
    return {
        "vocab_size": tokens,
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": 2 * sizes.width,
        "hidden_act": "relu",
        "max_position_embeddings": sizes.longest,
        "hidden_dropout_prob": DROPOUT,
        "attention_probs_dropout_prob": DROPOUT,
    }


def random_bert(settings: dict[str, Any], seed: int) -> Any:
    """A `BertModel` with random weights; the global random state is left as it was."""
    from transformers import BertConfig, BertModel

    with seeded(seed):
        return BertModel(BertConfig(**settings, pad_token_id=PADDING), add_pooling_layer=False)


def pretrain(
    bert: Any, cells: Sequence[Sequence[int]], steps: int, batch_size: int, lr: float, seed: int
) -> Iterator[dict[str, float]]:
    """Train a BERT in place to say which gene stands at a hidden rank, one step per item taken.

    Parameters
    ----------
    bert
        Made by `random_bert` with the vocabulary of `own_panel`.
    cells
        Tokens of cells, without special ones.
    steps, batch_size, lr
        Of AdamW.
    seed
        Of everything that is drawn.

    Yields
    ------
    dict
        ``loss``, the cross-entropy of the hidden tokens.
    """
    device = next(bert.parameters()).device
    draws, longest = np.random.default_rng(seed), bert.config.max_position_embeddings
    optimiser = torch.optim.AdamW(bert.parameters(), lr)
    bert.train()
    for _ in range(steps):
        rows = draws.integers(len(cells), size=batch_size)
        tokens, filled = padded([[CLS, *cells[row][: longest - 2], EOS] for row in rows])
        hidden = torch.from_numpy(draws.random(tokens.shape) < MASKED) & (tokens >= FIRST_GENE)
        with seeded(int(draws.integers(2**31))):  # dropout draws from the global state
            loss = _hidden_loss(bert, tokens.to(device), filled.to(device), hidden.to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield {"loss": loss.item()}


def _hidden_loss(bert: Any, tokens: Tensor, filled: Tensor, hidden: Tensor) -> Tensor:
    """Cross-entropy of hidden tokens, scored against the embeddings of all; 0 where nothing is hidden."""
    states = bert(input_ids=tokens.masked_fill(hidden, MASK), attention_mask=filled.long()).last_hidden_state
    scores = states[hidden] @ bert.get_input_embeddings().weight.T
    return torch.nn.functional.cross_entropy(scores, tokens[hidden], reduction="sum") / hidden.sum().clamp(
        min=1
    )
