"""GRNFlow with sparse latents at full width: top-K attention changes of a gene times gene vectors."""

from __future__ import annotations

from methods._grn.attention import AttentionSource
from methods._grn.features import Projection, scaled_top_k
from methods._grnflow.config import GRNFlowConfig
from methods._grnflow.method import GRNFlow


class GRNFlowSparseTopK(GRNFlow):
    """Cascaded flow whose latent is the sparse change of attention times the gene vectors."""

    name = "grnflow_sparse_topk"

    def projection(self, source: AttentionSource) -> Projection:
        """Keep the K largest entries of a row and multiply with the gene vectors."""
        vectors = source.gene_vectors()
        return Projection(vectors, scaled_top_k(self.config.top_k, len(vectors)))

    @classmethod
    def latent_size(cls, config: GRNFlowConfig, width: int, n_genes: int) -> int:
        """The width of the gene vectors."""
        return width
