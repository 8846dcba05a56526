"""GRNFlow with sparse latents in few dimensions: top-K attention changes on PCA axes of gene vectors."""

from __future__ import annotations

from methods._grnflow.pca import SparsePCA


class GRNFlowSparsePCA(SparsePCA):
    """Cascaded flow whose latent is the sparse change of attention, projected on principal axes of genes."""

    name = "grnflow_sparse_pca"
