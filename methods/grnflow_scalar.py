"""GRNFlow with one number per gene, the ablation: how much its attention changes, not to which genes."""

from __future__ import annotations

from methods._grn.attention import AttentionSource
from methods._grn.features import Projection
from methods._grnflow.config import GRNFlowConfig
from methods._grnflow.method import GRNFlow


class GRNFlowScalar(GRNFlow):
    """Cascaded flow whose latent is the summed magnitude of a gene's attention changes."""

    name = "grnflow_scalar"

    def projection(self, source: AttentionSource) -> Projection:
        """Sum |change| over a row."""
        vectors = source.gene_vectors()
        return Projection(vectors.new_ones(len(vectors), 1), magnitude=True)

    @classmethod
    def latent_size(cls, config: GRNFlowConfig, width: int, n_genes: int) -> int:
        """One."""
        return 1
