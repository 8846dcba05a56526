"""What a published checkpoint of scGPT has for a panel of genes, checked before a worker starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from methods._grn.checkpoint import damaged, load_weights, require_files, uncovered
from methods._grn.scgpt.source import FILES, FLASH, read_sizes, read_vocabulary

PAD = "<pad>"
PREFIXES = ("encoder.", "value_encoder.", "transformer_encoder.")
"""Begin the names of weights that fine-tuning takes over."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder that can be fine-tuned.

    Attributes
    ----------
    folder
        Where it is.
    sizes
        ``embsize``, ``nheads``, ``d_hid`` and ``nlayers``.
    vocabulary
        Token -> row of the embedding.
    """

    folder: Path
    sizes: Mapping[str, int]
    vocabulary: Mapping[str, int]

    def about(self, genes: Sequence[str]) -> dict[str, Any]:
        """What the worker is told: the file, names to replace, sizes, and the row of each gene."""
        pad = self.vocabulary[PAD]
        return {
            "file": str((self.folder / FILES[-1]).resolve()),
            "prefixes": PREFIXES,
            "renamed": FLASH,
            "sizes": dict(self.sizes),
            "pad": pad,
            "rows": [self.vocabulary.get(gene, pad) for gene in genes],
        }


def read_checkpoint(folder: Path, measured: Sequence[str]) -> Checkpoint:
    """Read what a checkpoint says of itself.

    Parameters
    ----------
    folder
        Holds ``args.json``, ``vocab.json`` and ``best_model.pt``.
    measured
        Symbols of the panel.

    Raises
    ------
    SourceError
        For a folder that is incomplete or damaged, a file that holds more than weights, an embedding of
        another width than is said, and a vocabulary with fewer than half of the genes.
    """
    require_files(folder, FILES, "scGPT")
    sizes = read_sizes(folder / "args.json")
    vocabulary = read_vocabulary(folder / "vocab.json")
    if PAD not in vocabulary:
        raise damaged(folder / "vocab.json", f"a token {PAD}")
    known = [gene in vocabulary for gene in measured]
    uncovered(measured, known, f"the scGPT checkpoint in {folder}", "symbol")
    embedding = load_weights(folder / FILES[-1]).get("encoder.embedding.weight")
    wanted = (len(vocabulary), sizes["embsize"])
    if embedding is None or tuple(embedding.shape) != wanted:
        found = "none" if embedding is None else f"one of shape {tuple(embedding.shape)}"
        raise damaged(folder / FILES[-1], f"an embedding of shape {wanted}, not {found},")
    return Checkpoint(folder, sizes, vocabulary)
