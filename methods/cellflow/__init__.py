"""CellFlow (Klein et al., 2025), the published package, in an environment of its own."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from anndata import AnnData
from pydantic import model_validator

from benchmark.config import parameter
from benchmark.errors import BenchmarkError
from benchmark.method import Resources
from benchmark.perturbation import CONTROL
from methods._gene_vectors import DescribedConfig, DescribedMethod


class CellFlowConfig(DescribedConfig):
    """CellFlow's hyper-parameters; the defaults are what a CPU trains in a minute or two."""

    n_pcs: int = parameter(
        50,
        ge=1,
        le=1000,
        search=(20, 100),
        log=True,
        help="Principal components of the training cells, at most.",
    )
    width: int = parameter(
        128, ge=1, le=8192, search=(64, 512), log=True, help="Width of all hidden layers, and of a condition."
    )
    time_freqs: int = parameter(64, ge=1, le=4096, help="Frequencies by which the network reads the time.")
    constant_noise: float = parameter(
        0.1, ge=0, le=10, search=(0.0, 0.5), help="Noise around the straight paths between cells."
    )
    epsilon: float = parameter(
        0.1, gt=0, le=100, search=(0.05, 1.0), log=True, help="Entropy of the transport that pairs cells."
    )
    iterations: int = parameter(
        5000, ge=1, le=10_000_000, search=(1000, 20_000), log=True, budget=True, help="Steps of training."
    )
    batch_size: int = parameter(256, ge=1, le=65536, search=(64, 1024), log=True, help="Cells per step.")
    lr: float = parameter(
        1e-3,
        gt=0,
        le=1,
        search=(1e-4, 3e-3),
        log=True,
        help="Step size of Adam, which falls as a cosine to 0.",
    )
    ema: float = parameter(
        1.0,
        gt=0,
        le=1,
        help="Weight of the present weights in the running mean that predicts, as the package computes it; "
        "1: no "
        "mean.",
    )
    check_every: int = parameter(
        1000, ge=1, le=10_000_000, help="Steps between two looks at the validation perturbations."
    )

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "smoke": {
            "n_pcs": 8, "width": 16, "time_freqs": 8, "iterations": 20, "batch_size": 32, "check_every": 10,
        },
        "paper": {
            "width": 1024, "time_freqs": 1024, "iterations": 200_000, "batch_size": 1024, "lr": 5e-5,
            "check_every": 20_000,
        },
    }  # fmt: skip

    @model_validator(mode="after")
    def _is_checked(self) -> Self:
        if self.check_every > self.iterations:
            raise ValueError(
                f"needs check_every {self.check_every} to be at most iterations {self.iterations}, since "
                f"the best "
                "step is one that was looked at"
            )
        return self


class CellFlow(DescribedMethod):
    """CellFlow (cellflow-tools 0.0.9, JAX): a flow from control cells to perturbed ones.

    Cells are their principal components, of training cells alone. Control and perturbed cells are paired by
    entropic optimal transport; a network learns the velocity between them, conditioned on a set of two gene
    tokens (``gene_vectors``; the second of a single is zero), of which an attention makes one vector.
    Predictions solve the differential equation from each control cell, are brought back to genes, and what is
    negative is 0.

    Where there are several contexts, control cells are those of the context (the package's split covariate),
    and the condition has one more token, of the context (its sample covariate): principal components of the
    mean of its control cells, so that one that shows these alone is described as the others are.

    The loop of the package's own `train` draws the same numbers whatever seed is given, and says nothing of
    where it is. Here its sampler and its step are called one by one, with the seed of the run. The step of
    least squared error of the means of validation perturbations is kept, the last one where there are none
    whose genes all have vectors. The JAX of the requirements computes on the CPU.

    `small` is what a CPU trains, with plain Adam: the package's default, which sums twenty gradients at a
    rate of 5e-5, moves nothing in a few thousand steps. `paper` is only larger; it is not a published
    configuration.

    Traps of the package, and what is done:

    - ``ema`` is the weight of the new weights, not of the old: it is passed on as the package reads it;
    - it imports ``requests`` without declaring it: the requirements name it;
    - a column of a gene that no training cell has keeps random weights: unseen genes are refused unless
      genes have vectors;
    - two genes in the other order give slightly other numbers: they are sorted;
    - "no perturbation" is not the identity: control cells stay as they are, the package is not asked.
    """

    name = "cellflow"
    draws = False
    supports_contexts = True
    resources = Resources(memory_gb=4)
    licence = (
        "cellflow-tools 0.0.9: MIT by the licence file of its wheel, while its metadata say PolyForm "
        "Noncommercial 1.0.0"
    )
    Config = CellFlowConfig
    config: CellFlowConfig

    def about(self, train: AnnData, validation: AnnData) -> dict[str, Any]:
        """Refuse cells without a perturbation, then say the vectors of genes."""
        if set(train.obs["perturbation"]) <= {CONTROL}:
            raise BenchmarkError(
                "The training cells hold no perturbed cells; nothing can be learned from them."
            )
        return super().about(train, validation)

    @property
    def device_used(self) -> str:
        """The JAX of the requirements computes on the CPU alone."""
        return "cpu"
