"""The plug-in point: what a perturbation prediction method must offer."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self
from zipfile import BadZipFile

import numpy as np

from benchmark.config import MethodConfig
from benchmark.counted import Expression
from benchmark.errors import BenchmarkError, NotFittedError
from benchmark.machine.processes import threads
from benchmark.perturbation import Perturbation

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Resources:
    """What one run of a method takes of a machine; read by whoever places several runs on machines.

    Attributes
    ----------
    cpus
        Cores that a run keeps busy.
    gpus
        GPUs, or a share of one, that it uses where there are any; it runs without.
    memory_gb
        Main memory that it takes at most.
    """

    cpus: int = 1
    gpus: float = 0.0
    memory_gb: float = 2.0


class Method(ABC):
    """A model that predicts the cells of a perturbation that it has not seen.

    A subclass in ``methods/foo.py`` with ``name = "foo"`` is what ``--method foo`` runs; no other
    file is edited. What `fit` learns is kept in attributes whose names end in an underscore.

    Attributes
    ----------
    name
        The name on the command line, equal to the module's.
    version
        Raised whenever the same configuration gives other predictions than before.
    Config
        The hyper-parameters.
    predicts
        ``"cells"`` where predicted cells vary as real ones should, ``"mean"`` where only their mean does.
    resources
        What a run takes of a machine, for `sweep` on a cluster.
    spreads
        Whether several processes can share its training and its predictions, see `benchmark.machine.peers`.
    draws
        Whether a control cell that is asked about twice gets two answers.
    supports_contexts
        Whether it looks at the contexts of cells, where data have several: ``obs["context"]`` of what it is
        given, `Perturbation.context` of what it is asked. One that does not learns from all contexts as one.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    Config: ClassVar[type[MethodConfig]] = MethodConfig
    predicts: ClassVar[Literal["cells", "mean"]] = "cells"
    resources: ClassVar[Resources] = Resources()
    spreads: ClassVar[bool] = False
    draws: ClassVar[bool] = True
    supports_contexts: ClassVar[bool] = False

    def __init__(self, config: MethodConfig | None = None, *, seed: int = 0, device: str = "auto") -> None:
        self.config = type(self).Config() if config is None else config
        self.seed = seed
        self.device = device

    @abstractmethod
    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Learn from cells.

        Parameters
        ----------
        train
            Control cells and the cells of the training perturbations: X float32 CSR (cells, genes),
            log1p of counts per 10,000; ``obs["perturbation"]``; ``obs["context"]`` and ``obs["batch"]``,
            empty where the data have not several; ``layers["counts"]`` where counts exist.
        validation
            The cells of the validation perturbations, without controls, for choosing among models.
        """

    @abstractmethod
    def predict(self, control: AnnData, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Predict cells, one perturbation after the other.

        Parameters
        ----------
        control
            Control cells to start from, in the form of `fit`, all of one context.
        perturbations
            What to predict, in that context; the answer for one does not depend on the others.

        Yields
        ------
        numpy.ndarray
            float32, (cells of `control`, genes), one row per control cell: log1p of counts per 10,000 and so
            never negative, or, where `expression` says so, counts at the depth of the control cell.

        Raises
        ------
        NotFittedError
            When `fit` or `load` has not been called.
        """

    def predict_mean(self, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray] | None:
        """Say the mean of the cells that `predict` gives, where it does not depend on which are drawn.

        Most metrics read means alone. A method that knows its mean gives cells that have it, however many are
        asked for; of one that does not, the noise of drawing so many cells is measured and shown.

        Parameters
        ----------
        perturbations
            As for `predict`. With none it is asked whether means are known at all.

        Returns
        -------
        iterator of numpy.ndarray
            float64, (genes,), log1p of counts per 10,000, never negative: the mean over the answer of
            `predict` for any control cells. None where it is not known.
        """
        return None

    @property
    def expression(self) -> Expression:
        """What `predict` of a fitted method gives; one that generates counts hands them over as they are."""
        return "log1p"

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Say why a fitted method knows nothing of a perturbation, or None where it knows something."""
        return None

    @classmethod
    def require_ready(cls) -> None:
        """Raise a BenchmarkError where something that the method needs is not installed."""
        return

    @property
    def device_used(self) -> str:
        """The device that the work runs on; a method that can use another than the CPU says which."""
        return "cpu"

    @property
    def threads_used(self) -> int:
        """Processor threads that share a computation; with another number, sums round otherwise."""
        torch = sys.modules.get("torch")  # which settles on a number of its own, not always one for each core
        return threads() if torch is None else int(torch.get_num_threads())

    @classmethod
    def parameter_count(cls, config: MethodConfig, n_genes: int, n_perturbed: int) -> int | None:
        """Count trainable parameters for a panel of `n_genes` of which `n_perturbed` are perturbed."""
        return None

    @classmethod
    def knows_truth(cls, config: MethodConfig) -> bool:
        """Say whether it reads what no method can know, as a simulator's truth; it is then never ranked."""
        return False

    def save(self, folder: Path) -> None:
        """Write the fitted method: arrays in ``state.npz``, the rest in ``method.json``."""
        self.require_fitted()
        folder.mkdir(parents=True, exist_ok=True)
        state = self.fitted_state()
        arrays: dict[str, Any] = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
        np.savez_compressed(folder / "state.npz", **arrays)
        plain = {key: value for key, value in state.items() if key not in arrays}
        about = {
            "name": self.name,
            "version": self.version,
            "config": self.config.model_dump(mode="json"),
            "seed": self.seed,
            "device": self.device,
            "state": plain,
        }
        (folder / "method.json").write_text(json.dumps(about, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        try:
            about = json.loads((folder / "method.json").read_text())
            with (folder / "state.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                state = dict(arrays)
        except (OSError, ValueError, BadZipFile) as error:
            raise BenchmarkError(
                f"{folder} holds no saved method ({error}); save one there first."
            ) from error
        if about["name"] != cls.name:
            raise BenchmarkError(f"{folder} holds the method '{about['name']}', not '{cls.name}'.")
        method = cls(cls.Config(**about["config"]), seed=about["seed"], device=about["device"])
        method.restore({**about["state"], **state})
        return method

    def fitted_state(self) -> dict[str, Any]:
        """Everything that `fit` learned, as arrays and values that JSON can hold."""
        return self._learned()

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `fitted_state` gave."""
        vars(self).update(state)

    def _learned(self) -> dict[str, Any]:
        """The attributes whose names end in an underscore."""
        return {key: value for key, value in vars(self).items() if key.endswith("_")}

    def require_fitted(self) -> None:
        """Raise `NotFittedError` unless `fit` or `load` has been called."""
        if not self._learned():
            raise NotFittedError(f"The method '{self.name}' has not been fitted; call fit or load first.")
