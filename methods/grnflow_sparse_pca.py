"""GRNFlow with sparse latents in few dimensions: top-K attention changes on PCA axes of gene vectors."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmark.config import parameter
from methods._grn.attention import AttentionSource
from methods._grn.features import Projection, embedding_basis, scaled_top_k
from methods._grnflow.config import GRNFlowConfig
from methods._grnflow.method import GRNFlow


class SparsePCAConfig(GRNFlowConfig):
    """Hyper-parameters of variants with latents on principal axes."""

    latent: int = parameter(
        16, ge=1, le=1024, search=(4, 64), log=True, help="Dimensions of a gene's latent."
    )

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "smoke": {**GRNFlowConfig.presets["smoke"], "latent": 4},
        "paper": {**GRNFlowConfig.presets["paper"], "latent": 64},
    }


class GRNFlowSparsePCA(GRNFlow):
    """Cascaded flow whose latent is the sparse change of attention, projected on principal axes of genes."""

    name = "grnflow_sparse_pca"
    Config = SparsePCAConfig
    config: SparsePCAConfig

    def projection(self, source: AttentionSource) -> Projection:
        """Keep the K largest entries of a row and multiply with principal axes of the gene vectors."""
        vectors = source.gene_vectors()
        size = self.latent_size(self.config, vectors.shape[1], len(vectors))
        return Projection(embedding_basis(vectors, size), scaled_top_k(self.config.top_k, len(vectors)))

    @classmethod
    def latent_size(cls, config: GRNFlowConfig, width: int, n_genes: int) -> int:
        """As many as asked for, at most the width of the gene vectors and the number of genes."""
        assert isinstance(config, SparsePCAConfig)
        return min(config.latent, width, n_genes)
