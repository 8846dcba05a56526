"""biolord (Piran et al., Nature Biotechnology 2024), the published package, in an environment of its own."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from anndata import AnnData

from benchmark.config import parameter
from benchmark.contexts import require_one
from benchmark.means import MovableCells
from benchmark.perturbation import CONTROL
from methods._gene_vectors import DescribedConfig, DescribedMethod
from methods._pseudobulk import mean_expression


class BiolordConfig(DescribedConfig):
    """biolord's hyper-parameters under its own names; the defaults are what a CPU trains in minutes."""

    n_latent: int = parameter(
        32, ge=2, le=4096, search=(8, 64), log=True, help="Size of what is not known of a cell."
    )
    n_latent_attribute_ordered: int = parameter(
        16, ge=2, le=4096, search=(8, 128), log=True, help="Size of what a perturbation becomes."
    )
    decoder_width: int = parameter(
        128, ge=1, le=8192, search=(64, 512), log=True, help="Width of the decoder's hidden layers."
    )
    decoder_depth: int = parameter(2, ge=1, le=16, search=(1, 4), help="The decoder's hidden layers.")
    attribute_nn_width: int = parameter(
        128, ge=1, le=8192, search=(64, 512), log=True, help="Width of the perturbation's network."
    )
    attribute_nn_depth: int = parameter(
        1, ge=1, le=16, search=(1, 3), help="Layers of the perturbation's network."
    )
    attribute_dropout_rate: float = parameter(
        0.0, ge=0, lt=1, search=(0.0, 0.3), help="Share of values dropped in the perturbation's network."
    )
    reconstruction_penalty: float = parameter(
        1e2, ge=0, le=1e9, help="Weight of the squared error beside the likelihood."
    )
    unknown_attribute_penalty: float = parameter(
        1e1, ge=0, le=1e9, search=(1e-1, 1e3), log=True, help="Weight of the size of what is not known."
    )
    unknown_attribute_noise_param: float = parameter(
        0.1, ge=0, le=1e3, search=(1e-2, 1e1), log=True, help="Noise that is added to what is not known."
    )
    use_batch_norm: bool = parameter(False, help="Batch normalisation in the decoder.")
    use_layer_norm: bool = parameter(False, help="Layer normalisation in the decoder.")
    latent_lr: float = parameter(
        3e-3, gt=0, le=1, search=(1e-4, 1e-2), log=True, help="Learning rate of what is not known."
    )
    latent_wd: float = parameter(1e-4, ge=0, le=1, help="Weight decay of what is not known.")
    decoder_lr: float = parameter(
        1e-3, gt=0, le=1, search=(1e-4, 1e-2), log=True, help="Learning rate of the decoder."
    )
    decoder_wd: float = parameter(1e-4, ge=0, le=1, help="Weight decay of the decoder.")
    attribute_nn_lr: float = parameter(
        1e-3, gt=0, le=1, search=(1e-4, 1e-2), log=True, help="Learning rate of the perturbation's network."
    )
    attribute_nn_wd: float = parameter(4e-8, ge=0, le=1, help="Weight decay of the perturbation's network.")
    step_size_lr: int = parameter(45, ge=1, le=1_000_000, help="Epochs between steps of the rates' schedule.")
    cosine_scheduler: bool = parameter(False, help="Whether that schedule is a cosine, else a tenth a step.")
    scheduler_final_lr: float = parameter(1e-5, ge=0, le=1, help="Where the cosine ends.")
    max_epochs: int = parameter(
        200, ge=1, le=1_000_000, search=(50, 500), log=True, budget=True, help="Epochs."
    )
    batch_size: int = parameter(256, ge=2, le=1_000_000, search=(32, 512), log=True, help="Cells per step.")
    check_every: int = parameter(
        10, ge=1, le=100_000, help="Epochs between two looks at the validation perturbations."
    )

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "smoke": {
            "n_latent": 4, "n_latent_attribute_ordered": 4, "decoder_width": 16, "decoder_depth": 1,
            "attribute_nn_width": 8, "max_epochs": 4, "batch_size": 64, "check_every": 2,
        },
        "paper": {
            "n_latent": 32, "decoder_width": 1024, "decoder_depth": 4, "attribute_nn_width": 512,
            "attribute_nn_depth": 2, "attribute_dropout_rate": 0.1, "latent_lr": 1e-4, "decoder_lr": 1e-4,
            "attribute_nn_lr": 1e-2, "step_size_lr": 45, "cosine_scheduler": True, "max_epochs": 500,
            "batch_size": 512, "check_every": 5,
        },
    }  # fmt: skip


class Biolord(DescribedMethod):
    """biolord (biolord 0.0.3): cells as what a perturbation does, and the rest, learned cell by cell.

    Each training cell has a latent of its own, kept small and noisy so that it does not tell the
    perturbation; a network turns the perturbation into a second one; a decoder gives mean and variance of log
    expression from both. A perturbation is the sum of the vectors of its genes (``gene_vectors``), zero for
    control cells.

    The latents of cells exist for training cells only. So the training control cells are decoded under the
    asked perturbation and under none, and the difference of the two means is the predicted change: biolord
    predicts means here, to which control cells are moved. These are all control cells: data of several
    contexts are refused.

    The package chooses its epoch by how well it reconstructs cells whose latents were never trained. Here the
    epoch of least squared error of the mean changes of validation perturbations is kept, the last one where
    there are none whose genes are all described. All training cells train.

    The preset `paper` has the sizes and rates of the authors' published notebooks.

    Traps of the package, and what is done:

    - its module sets all generators to a seed of its own: the seed of the run is handed to it;
    - a gene that no training cell has keeps random weights: it is refused unless genes have vectors;
    - one cell alone in the last batch loses its dimension: the last cell is left out then.
    """

    name = "biolord"
    predicts = "mean"
    licence = "biolord 0.0.3: BSD 3-Clause"
    Config = BiolordConfig
    config: BiolordConfig
    control_mean_: np.ndarray

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Have the worker train, and keep the mean of the control cells."""
        require_one(train.obs, "biolord")
        super().fit(train, validation)
        self.control_mean_ = mean_expression(train)[CONTROL]
        return self

    def finish(self, cells: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """Move control cells to the mean of the training ones plus biolord's change, (genes,)."""
        return MovableCells(cells).to(self.control_mean_ + answer).astype(np.float32)
