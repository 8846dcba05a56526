"""scGPT (Cui et al., Nature Methods 2024), the published model class, in an environment of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from anndata import AnnData
from pydantic import model_validator

from benchmark.config import parameter
from benchmark.errors import BenchmarkError
from benchmark.hosting.method import HostedConfig, SubprocessMethod
from benchmark.perturbation import Perturbation
from methods._gene_vectors import genes_of
from methods._grn.checkpoint import SourceError
from methods.scgpt.checkpoint import read_checkpoint


class ScgptConfig(HostedConfig):
    """scGPT's hyper-parameters; the defaults are what a CPU trains in a few minutes."""

    checkpoint: str = parameter(
        "",
        help="Folder of a published checkpoint (args.json, vocab.json, best_model.pt), whose sizes are "
        "taken; "
        "empty: no pretraining.",
    )
    width: int = parameter(64, ge=2, le=8192, search=(32, 64, 96, 128, 256), help="Size of a token.")
    heads: int = parameter(2, ge=1, le=64, help="Attention heads.")
    hidden: int = parameter(64, ge=1, le=65536, help="Width between two layers of the transformer.")
    layers: int = parameter(2, ge=1, le=64, search=(1, 4), help="Layers of the transformer.")
    dropout: float = parameter(
        0.0, ge=0, lt=1, search=(0.0, 0.2), help="Share of values dropped in training."
    )
    tokens: int = parameter(
        192, ge=2, le=100_000, help="Genes of a training step, the perturbed ones and others drawn at random."
    )
    epochs: int = parameter(
        6, ge=1, le=100_000, search=(2, 20), log=True, budget=True, help="Epochs; the best is kept."
    )
    cells_per_epoch: int = parameter(
        4000, ge=0, le=100_000_000, help="Training cells of an epoch, drawn at random; 0: all."
    )
    batch_size: int = parameter(16, ge=1, le=65536, search=(8, 64), log=True, help="Cells per step.")
    lr: float = parameter(
        1e-3,
        gt=0,
        le=1,
        search=(1e-4, 3e-3),
        log=True,
        help="Step size of Adam, times 0.9 after every epoch.",
    )

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "smoke": {
            "width": 8, "hidden": 8, "layers": 1, "tokens": 24, "epochs": 2, "cells_per_epoch": 64, "lr":
            1e-2,
        },
        "paper": {
            "width": 512, "heads": 8, "hidden": 512, "layers": 12, "dropout": 0.2, "tokens": 1536,
            "epochs": 15, "cells_per_epoch": 0, "batch_size": 64, "lr": 1e-4,
        },
    }  # fmt: skip

    @property
    def remark(self) -> str:
        """Whether the weights begin at random."""
        return "" if self.checkpoint else "no pretraining"

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"needs width {self.width} to be a multiple of heads {self.heads}")
        return self


class Scgpt(SubprocessMethod):
    """scGPT's model of perturbations (scgpt 0.2.4, TransformerGenerator), fine-tuned on the training cells.

    A gene is a token: its embedding, its log1p value, and a flag where it is perturbed. A transformer without
    positions reads the tokens of a control cell; its decoder gives the value under the perturbation. Each
    perturbed cell is paired once with one random control cell of its context, control cells with themselves.
    No name of a context is read: any is answered from its control cells. The loss is the squared error over
    all positions of a step. Each step has the perturbed genes and others drawn at random; predictions read
    all measured genes at once, and what is negative is 0.

    **Without ``checkpoint`` nothing was pretrained**, and the board calls the row "scgpt (no pretraining)".
    With the folder of a published checkpoint, embeddings, value encoder and transformer begin with its
    weights, all of which must be there; how many tensors were filled is said. Decoder and flags begin at
    random in either.

    The epoch of least squared error of the means of validation perturbations is kept, the last one where
    there are none whose genes have tokens.

    What is settled here where published scripts differ or fail:

    - the flag of a gene that is not perturbed is the zero vector (``pert_pad_id`` 0, as in the tutorial; the
      default of the class gives every unperturbed gene a random vector as long as its embedding);
    - a perturbed gene that is not measured has a token of value 0 outside the loss, our adaptation: the
      published code cannot perturb it. Such a gene must be perturbed in training, else it is refused;
    - genes that a checkpoint does not know begin with its vector of ``<pad>``, and learn one of their own;
    - the random genes of a step never leave out the perturbed ones;
    - the tutorial's prediction loses the flag of the first gene: it has one here;
    - the package imports torchtext, whose last release does not load beside a current torch: the worker has
      a stand-in for the little that is used of it.

    The preset `paper` has the published sizes and schedule, and is for GPUs.
    """

    name = "scgpt"
    draws = False
    supports_contexts = True
    licence = "scgpt 0.2.4: MIT"
    Config = ScgptConfig
    config: ScgptConfig
    genes_: list[str]

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Have the worker fine-tune, and remember which genes have a token."""
        self.genes_ = self._tokens(train)
        return super().fit(train, validation)

    def about(self, train: AnnData, validation: AnnData) -> dict[str, Any]:
        """Say which genes have tokens, measured ones first, and where a checkpoint has their vectors."""
        about = {"genes": self._tokens(train), "measured": train.n_vars}
        if not self.config.checkpoint:
            return about
        try:
            checkpoint = read_checkpoint(Path(self.config.checkpoint).expanduser(), list(train.var_names))
        except SourceError as error:
            raise BenchmarkError(str(error)) from error
        return {**about, "checkpoint": checkpoint.about(about["genes"])}

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a gene that has no token."""
        self.require_fitted()
        unknown = sorted(set(perturbation.genes).difference(self.genes_))
        if not unknown:
            return None
        genes = " and ".join(unknown)
        return f"{genes} is neither measured nor perturbed in training, so scGPT has no token of it"

    def finish(self, cells: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """Cut what is negative at 0."""
        return np.maximum(answer, 0).astype(np.float32)

    @staticmethod
    def _tokens(train: AnnData) -> list[str]:
        """Measured genes, then those that are perturbed in training and not measured."""
        measured = list(map(str, train.var_names))
        perturbed = {gene for label in train.obs["perturbation"].unique() for gene in genes_of(label)}
        return [*measured, *sorted(perturbed.difference(measured))]
