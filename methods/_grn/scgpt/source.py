"""Attention of a pretrained scGPT, read from a folder with its published files.

Every gene of the panel that scGPT knows is a token, zeros too, after a token `<cls>` of value 0, as in the
tutorial of scGPT on regulatory networks (Cui et al. 2024, Nature Methods 21, 1470, and the public code).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods._grn.attention import Normalisation, QueriesKeys, stream_maps
from methods._grn.checkpoint import (
    SourceError,
    chosen_layer,
    damaged,
    load_weights,
    read_json,
    refuse_weights,
    require_files,
    to_panel,
    uncovered,
)
from methods._grn.scgpt.cells import bin_values, tie_breaks
from methods._grn.scgpt.network import ScGPTEncoder

FILES = ("args.json", "vocab.json", "best_model.pt")
SIZES = ("embsize", "nheads", "d_hid", "nlayers", "n_bins")
# Settings that change the arithmetic; a checkpoint that says nothing of one has the value here.
SETTINGS = {
    "input_style": "binned",
    "input_emb_style": "continuous",
    "pre_norm": False,
    "domain_spec_batchnorm": False,
}
# Weights of flash attention and their names in plain PyTorch; both hold queries, keys, values in this order.
FLASH = {"self_attn._impl.": "self_attn.", "self_attn.Wqkv.": "self_attn.in_proj_"}
CLS = "<cls>"


class ScGPTSource(nn.Module):
    """Maps of one layer of a frozen scGPT; an `AttentionSource`.

    Parameters
    ----------
    encoder
        scGPT up to the layer that is read; its tokens are `<cls>` and those genes of the panel that its
        vocabulary has, in the order of the panel.
    present
        Which genes of the panel those are, boolean, (genes,).
    missing
        Names of the others; they read nothing and are read by none.
    n_bins
        Bins of values, with that of zeros.
    normalisation
        As in `stream_maps`.
    seed
        Of the choice of bins among equal values.
    """

    def __init__(
        self,
        encoder: ScGPTEncoder,
        present: Tensor,
        missing: list[str],
        n_bins: int,
        normalisation: Normalisation,
        seed: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.missing = missing
        self.n_bins = n_bins
        self.normalisation = normalisation
        self.register_buffer("present", present)
        self.register_buffer("positions", present.cumsum(0) * present)
        # No buffer: a change of the model's precision must not reach it.
        self.ties = tie_breaks(int(present.sum()), seed)

    @torch.no_grad()
    def gene_vectors(self) -> Tensor:
        """Embeddings of the panel's genes, (genes, width); zero for those that scGPT does not know."""
        return self.encoder.token_vectors()[self.positions].masked_fill(~self.present[:, None], 0)

    @torch.no_grad()
    def queries_keys(self, cells: Tensor) -> QueriesKeys:
        """Queries and keys of the layer that is read, for log1p CP10K expression (cells, genes)."""
        bins = bin_values(cells[:, self.present], self.n_bins, self.ties)
        values = functional.pad(bins, (1, 0)).to(self.encoder.encoder.embedding.weight.dtype)
        q, k = self.encoder.last_queries_keys(values)
        positions, present = (part.expand(len(cells), -1) for part in (self.positions, self.present))
        return QueriesKeys(
            to_panel(q, positions),
            torch.cat([to_panel(k, positions), k[:, :, :1]], dim=2),
            functional.pad(present, (0, 1), value=True) if self.missing else None,
        )

    def maps(self, cells: Tensor, block: int = 128) -> Iterator[tuple[slice, Tensor]]:
        """Stream the maps of cells, as `AttentionSource.maps` says."""
        return stream_maps(self.queries_keys(cells), self.normalisation, block)


def load_scgpt(
    folder: Path,
    genes: Sequence[str],
    *,
    layer: int = -1,
    normalisation: Normalisation = "softmax",
    seed: int = 0,
) -> ScGPTSource:
    """Read a scGPT checkpoint for a panel of genes.

    Parameters
    ----------
    folder
        Holds ``args.json``, ``vocab.json`` and ``best_model.pt``, with the names of weights of flash
        attention or of plain PyTorch. Decoders are ignored.
    genes
        Symbols of the panel.
    layer
        Which layer is read, counted from the end where negative.
    normalisation
        As in `stream_maps`.
    seed
        Of the choice of bins among equal values.

    Raises
    ------
    SourceError
        For a folder that is incomplete or damaged, a scGPT of another kind, a layer that is not there, and a
        vocabulary with fewer than half of the genes.
    """
    require_files(folder, FILES, "scGPT")
    sizes = read_sizes(folder / "args.json")
    vocabulary = read_vocabulary(folder / "vocab.json")
    index = chosen_layer(layer, sizes["nlayers"], "scGPT")
    known = [gene in vocabulary for gene in genes]
    missing = uncovered(genes, known, f"the scGPT checkpoint in {folder}", "symbol")
    with torch.device("meta"):
        encoder = ScGPTEncoder(
            len(vocabulary), sizes["embsize"], sizes["nheads"], sizes["d_hid"], layers=index + 1
        )
    _fill(encoder, folder / "best_model.pt")
    encoder.keep_tokens([vocabulary[CLS], *(vocabulary[gene] for gene in genes if gene in vocabulary)])
    return ScGPTSource(encoder, torch.tensor(known), missing, sizes["n_bins"], normalisation, seed)


def read_sizes(path: Path) -> dict[str, int]:
    """Sizes of the model, once it is sure that it computes as here."""
    args: dict[str, Any] = read_json(path)
    broken = [name for name in SIZES if type(args.get(name)) is not int or args[name] < 1]
    if broken:
        raise damaged(path, f"a whole number for {', '.join(broken)}")
    if args["embsize"] % args["nheads"] or args["n_bins"] < 3:
        raise damaged(path, "a width that is a multiple of the heads, and at least 3 bins,")
    other = [f"{name} {args[name]}" for name, value in SETTINGS.items() if args.get(name, value) != value]
    if other:
        readable = ", ".join(f"{name} {value}" for name, value in SETTINGS.items())
        raise SourceError(f"{path} describes a scGPT with {', '.join(other)}; only {readable} can be read.")
    return {name: args[name] for name in SIZES}


def read_vocabulary(path: Path) -> dict[str, int]:
    """Number of each token, once it is sure that each has its own."""
    vocabulary = read_json(path)
    numbers = list(vocabulary.values())
    if not all(type(number) is int for number in numbers) or sorted(numbers) != list(range(len(numbers))):
        raise damaged(path, "every token with a number of its own, from 0 on,")
    if CLS not in vocabulary:
        raise damaged(path, f"a token {CLS}")
    return vocabulary


def _fill(encoder: ScGPTEncoder, path: Path) -> None:
    """Give an encoder without memory the weights of a checkpoint, whose flash attention is renamed."""
    found = load_weights(path)
    for flash, plain in FLASH.items():
        found = {name.replace(flash, plain): weight for name, weight in found.items()}
    wanted = encoder.state_dict()
    misshaped = [
        f"{name} {tuple(found[name].shape)} for {tuple(weight.shape)}"
        for name, weight in wanted.items()
        if name in found and found[name].shape != weight.shape
    ]
    refuse_weights(path, [name for name in wanted if name not in found], misshaped)
    encoder.load_state_dict({name: found[name].float() for name in wanted}, assign=True)
