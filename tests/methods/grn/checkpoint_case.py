"""Published checkpoints by name: what a test needs to ask the same of every reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from methods._grn.geneformer.source import load_geneformer
from methods._grn.scgpt.source import load_scgpt
from tests.methods.grn import geneformer_case, scgpt_case
from tests.methods.grn.attention_case import whole


@dataclass(frozen=True)
class Published:
    """A reader, and a small checkpoint of three layers that it reads.

    Attributes
    ----------
    load
        Reads a folder for a panel of genes.
    write
        Writes the checkpoint into a folder, which it returns.
    genes
        Twelve genes that the checkpoint knows.
    unknown
        Two names that it does not, whatever else it may say of them.
    expression
        Gives cells of the twelve genes.
    """

    load: Callable
    write: Callable[[Path], Path]
    genes: list[str]
    unknown: tuple[str, str]
    expression: Callable[[], torch.Tensor]


PUBLISHED = {
    "scgpt": Published(
        load_scgpt,
        scgpt_case.write,
        [*scgpt_case.GENES, *scgpt_case.OTHERS],
        ("NEW1", "NEW2"),
        partial(scgpt_case.expression, genes=12),
    ),
    "geneformer": Published(
        load_geneformer,
        geneformer_case.write,
        geneformer_case.SYMBOLS,
        ("NEW", "A1BG"),
        geneformer_case.expression,
    ),
}


def maps_of(source, cells: torch.Tensor, block: int = 128) -> torch.Tensor:
    """Maps (cells, genes, genes) that a source gives in blocks of rows, put together."""
    return whole(source.maps(cells, block))
