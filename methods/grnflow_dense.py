"""GRNFlow with dense latents: all attention changes of a gene, weighted sums of gene vectors."""

from __future__ import annotations

from methods._grn.attention import AttentionSource
from methods._grn.features import Projection
from methods._grnflow.config import GRNFlowConfig
from methods._grnflow.method import GRNFlow


class GRNFlowDense(GRNFlow):
    """Cascaded flow whose latent is the change of attention times the gene vectors, at their full width."""

    name = "grnflow_dense"

    def projection(self, source: AttentionSource) -> Projection:
        """Multiply whole rows with the gene vectors."""
        return Projection(source.gene_vectors())

    @classmethod
    def latent_size(cls, config: GRNFlowConfig, width: int, n_genes: int) -> int:
        """The width of the gene vectors."""
        return width
