"""Expression as Geneformer reads it: the genes of a cell in the order of their scaled expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CLS, EOS = "<cls>", "<eos>"


@dataclass(frozen=True)
class PanelTokens:
    """How the genes of a panel become tokens.

    Attributes
    ----------
    ids
        Number of each gene's token, (genes,); 0 where it has none.
    medians
        Median of each gene's non-zero expression in Geneformer's corpus, float64, (genes,); infinite where
        the gene has no token, so that it is never expressed.
    cls, eos
        Numbers of the tokens before and after the genes, where the vocabulary has them (models from V2 on).
    longest
        Most tokens that the model takes.
    """

    ids: Tensor
    medians: Tensor
    cls: int | None
    eos: int | None
    longest: int

    @property
    def known(self) -> Tensor:
        """Which genes have a token, boolean, (genes,)."""
        return self.medians.isfinite()

    def to(self, device: torch.device) -> PanelTokens:
        """Move to a device."""
        return PanelTokens(self.ids.to(device), self.medians.to(device), self.cls, self.eos, self.longest)


@dataclass(frozen=True)
class RankedCells:
    """Cells as sequences of tokens, and where the genes of the panel are in them.

    Attributes
    ----------
    tokens
        (cells, tokens); what stands in the padding does not matter.
    filled
        Which are no padding, boolean, (cells, tokens).
    positions
        Which token is that of each gene, (cells, genes); 0 where it has none.
    present
        Which genes have a token, boolean, (cells, genes).
    specials
        Which tokens are special, (cells, 0 to 2).
    """

    tokens: Tensor
    filled: Tensor
    positions: Tensor
    present: Tensor
    specials: Tensor


def panel_tokens(
    genes: Sequence[str],
    tokens: Mapping[str, int],
    medians: Mapping[str, float],
    ensembl: Mapping[str, str],
    longest: int,
) -> PanelTokens:
    """Look up genes, by symbol or Ensembl id, in the dictionaries of Geneformer."""
    names = [gene if gene in tokens else ensembl.get(gene, gene) for gene in genes]
    known = [name in tokens and medians.get(name, 0) > 0 for name in names]
    return PanelTokens(
        torch.tensor([tokens[name] if there else 0 for name, there in zip(names, known, strict=True)]),
        torch.tensor(
            [medians[name] if there else torch.inf for name, there in zip(names, known, strict=True)],
            dtype=torch.float64,
        ),
        tokens.get(CLS),
        tokens.get(EOS),
        longest,
    )


def rank_encode(cells: Tensor, panel: PanelTokens) -> RankedCells:
    """Encode cells by rank (Theodoris et al. 2023, Nature 618, 616, Methods).

    Counts per 10,000 are divided by the gene's median; genes that are not zero follow in falling order, equal
    ones in the order of the panel; the least expressed are cut where the model takes no more.

    Parameters
    ----------
    cells
        log1p of counts per 10,000, (cells, genes).
    panel
        How genes become tokens, on the same device.
    """
    before, after = int(panel.cls is not None), int(panel.eos is not None)
    scaled = cells.double().expm1() / panel.medians
    order = scaled.argsort(dim=1, descending=True, stable=True)
    counts = (scaled > 0).sum(1, keepdim=True).clamp(max=panel.longest - before - after)
    rank = order.argsort(1)
    present = rank < counts
    length = max(int(counts.max()), 1)
    tokens = torch.zeros(len(cells), length + before + after, dtype=torch.long, device=cells.device)
    taken = panel.ids[order[:, :length]]
    tokens[:, before : before + taken.shape[1]] = taken
    specials = []
    if panel.cls is not None:
        tokens[:, 0] = panel.cls
        specials.append(torch.zeros_like(counts))
    if panel.eos is not None:
        tokens.scatter_(1, before + counts, panel.eos)
        specials.append(before + counts)
    filled = torch.arange(tokens.shape[1], device=cells.device) < counts + before + after
    return RankedCells(
        tokens,
        filled,
        torch.where(present, rank + before, 0),
        present,
        torch.cat([counts[:, :0], *specials], dim=1),
    )
