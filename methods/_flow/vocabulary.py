"""Tokens of genes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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

    def __contains__(self, gene: str) -> bool:
        return gene in self._index

    def tokens(self, genes: Sequence[str], *, untrained: bool = False) -> list[int]:
        """Two tokens for the genes of a perturbation: one gene is paired with `control`.

        Parameters
        ----------
        genes
            One or two perturbed genes.
        untrained
            Whether a measured gene that was never perturbed keeps its own token.
        """
        known = self._index if untrained else {gene: self._index[gene] for gene in self._trained}
        return [*(known.get(gene, self.unknown) for gene in genes), self.control, self.control][:2]
