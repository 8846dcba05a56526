"""What the readers of published checkpoints share: their files, their weights, how they cover a panel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LEAST_COVERAGE = 0.5
SHOWN = 5


class SourceError(ValueError):
    """A checkpoint cannot be used as it is: one sentence that says what to do."""


def some(names: Sequence[str]) -> str:
    """Join the first few names, and say how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def require_files(folder: Path, files: Sequence[str], model: str) -> None:
    """Refuse a folder that lacks one of the files of a checkpoint."""
    if not folder.is_dir():
        raise SourceError(f"There is no folder {folder}; give the one with {model}'s {', '.join(files)}.")
    absent = [name for name in files if not (folder / name).is_file()]
    if absent:
        raise SourceError(f"The {model} checkpoint in {folder} lacks {', '.join(absent)}; put it there.")


def damaged(path: Path, expected: str) -> SourceError:
    """Make the error for a file that does not hold what it should."""
    return SourceError(f"{path} is damaged: {expected} was expected; put the original file in its place.")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise damaged(path, "a JSON object") from error
    if not isinstance(found, dict):
        raise damaged(path, "a JSON object")
    return found


def chosen_layer(layer: int, layers: int, model: str) -> int:
    """Index of a layer from the first, where negative ones count from the end."""
    if not -layers <= layer < layers:
        raise SourceError(
            f"There is no layer {layer} in this {model} checkpoint of {layers} layers; "
            f"choose one from {-layers} to {layers - 1}."
        )
    return layer % layers


def refuse_weights(path: Path, missing: Sequence[str], misshaped: Sequence[str]) -> None:
    """Refuse a file, if it lacks any weights, or has any of another shape than the settings say."""
    if missing:
        raise SourceError(f"{path} lacks the weights {some(missing)}; use a complete checkpoint.")
    if misshaped:
        raise SourceError(
            f"{path} has weights of another shape than its settings say ({some(misshaped)}); "
            "use files of one and the same checkpoint."
        )


def uncovered(genes: Sequence[str], known: Sequence[bool], model: str, naming: str) -> list[str]:
    """List the genes that a vocabulary does not know.

    Raises
    ------
    SourceError
        Where it knows fewer than half of the panel: such a map would say little about it.
    """
    missing = [gene for gene, there in zip(genes, known, strict=True) if not there]
    covered = len(genes) - len(missing)
    if covered < LEAST_COVERAGE * len(genes) or not covered:
        raise SourceError(
            f"The vocabulary of {model} has only {covered} of the panel's {len(genes)} genes, less than half "
            f"(it lacks {some(missing)}); name genes by {naming}, or choose another source."
        )
    return missing


def to_panel(tokens: Tensor, positions: Tensor) -> Tensor:
    """Put what belongs to tokens in the order of the panel.

    Parameters
    ----------
    tokens
        (cells, heads, tokens, size).
    positions
        Which token belongs to each gene, (cells, genes); any where the gene has none.

    Returns
    -------
    Tensor
        (cells, heads, genes, size); what it has for a gene without a token means nothing.
    """
    index = positions[:, None, :, None].expand(-1, tokens.shape[1], -1, tokens.shape[-1])
    return tokens.gather(2, index)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary, and nothing else than that, into main memory."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file shows in many ways
        raise damaged(path, "a PyTorch state dictionary of weights alone") from error
    if not isinstance(found, dict) or not all(isinstance(weight, Tensor) for weight in found.values()):
        raise damaged(path, "a PyTorch state dictionary of weights alone")
    return found
