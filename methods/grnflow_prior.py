"""GRNFlow that is told effects of ridge regression, where the others learn effects by descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from methods._effects import BASES, Base
from methods.grnflow_sparse_pca import GRNFlowSparsePCA, SparsePCAConfig


class GRNFlowPrior(GRNFlowSparsePCA):
    """Sparse-latent cascade around a mean that ridge regression and a readout of overlap are told to make.

    The regression has one penalty, or one for each principal component of the mean changes, as in
    `saturation`; which, cross-validation on the training doubles says, and the log of a run.
    """

    name = "grnflow_prior"
    Config = SparsePCAConfig
    bases: ClassVar[Sequence[Base]] = BASES
