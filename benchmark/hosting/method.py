"""A method whose work is done by a worker in an environment of its own."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmark.config import MethodConfig, parameter
from benchmark.contexts import COLUMNS, values_in_view
from benchmark.data.blocks import layers_of
from benchmark.errors import BenchmarkError
from benchmark.hosting.environment import Environment
from benchmark.hosting.worker import Worker
from benchmark.machine.device import choose_device
from benchmark.machine.processes import threads
from benchmark.method import Method, Resources
from benchmark.perturbation import Perturbation
from benchmark.registry import spelling


class HostedConfig(MethodConfig):
    """What every hosted method has beside its own hyper-parameters."""

    time_limit: float = parameter(
        86400.0, gt=0, help="Seconds that one step of the worker, fitting or predicting, may take."
    )


class SubprocessMethod(Method):
    """`fit` and `predict` run ``worker.py``, beside the class's own file, in the method's environment.

    The worker is told what to do by a folder of files (h5ad, npz, JSON; see ``benchmark/hosting/launch.py``
    for its side) and ends with the step. What it learns is one file of plain arrays, kept here as bytes.

    Attributes
    ----------
    worker
        The worker's file, looked for beside the class's.
    licence
        The licence of the package that the worker calls; `install` says it.
    model_
        uint8, (bytes,): the ``model.npz`` that the worker's `fit` left.
    """

    Config: ClassVar[type[MethodConfig]] = HostedConfig
    resources: ClassVar[Resources] = Resources(gpus=1, memory_gb=4)
    worker: ClassVar[str] = "worker.py"
    licence: ClassVar[str] = ""
    config: HostedConfig

    @classmethod
    def environment(cls) -> Environment:
        """Where the worker's Python comes from."""
        return Environment(cls.name, Path(inspect.getfile(cls)).parent, spelling(cls))

    @classmethod
    def require_ready(cls) -> None:
        """Refuse to begin where the environment is not installed."""
        cls._python()

    def about(self, train: AnnData, validation: AnnData) -> dict[str, Any]:
        """What the worker's `fit` is told beside cells and hyper-parameters; JSON."""
        return {}

    def asked(self, perturbations: Sequence[Perturbation]) -> dict[str, Any]:
        """What the worker's `predict` is told beside control cells and perturbations; JSON."""
        return {}

    def finish(self, cells: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """Turn what the worker answered into predicted cells.

        Parameters
        ----------
        cells
            The control cells, (cells, genes).
        answer
            float, finite: (cells, genes) where the method predicts cells, (genes,) where it predicts means.

        Returns
        -------
        numpy.ndarray
            float32, (cells, genes), not negative.
        """
        return answer.astype(np.float32)

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Have the worker learn from the cells."""
        about = self.about(train, validation)
        with self._job("fit", {"train": train, "validation": validation}, about) as worker:
            for _ in worker.answers():
                raise BenchmarkError(f"The worker of '{self.name}' answered while it was to fit; mend it.")
            self.model_ = np.frombuffer(worker.read("model.npz"), dtype=np.uint8)
        return self

    def predict(self, control: AnnData, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Have the worker predict; its answers are passed on as they come."""
        self.require_fitted()
        if not perturbations:
            return
        cells = control.X.toarray()
        shape = cells.shape if self.predicts == "cells" else cells.shape[1:]
        with self._job("predict", {"control": control}, self.asked(perturbations), perturbations) as worker:
            for index in worker.answers():
                answer = worker.answer(index, shape, str(perturbations[index]))
                yield self.finish(cells, answer)

    @property
    def device_used(self) -> str:
        """The device that the worker is told to use."""
        return str(choose_device(self.device))

    @property
    def threads_used(self) -> int:
        """What the worker is told to use."""
        return threads()

    @contextmanager
    def _job(
        self,
        step: str,
        cells: dict[str, AnnData],
        about: dict[str, Any],
        perturbations: Sequence[Perturbation] = (),
    ) -> Iterator[Worker]:
        """Write the files of a step and start it; folder and worker are gone when the block is left."""
        python = self._python()
        place = tempfile.TemporaryDirectory(prefix=f"benchmark-{self.name}-", ignore_cleanup_errors=True)
        with place as name:
            folder = Path(name)
            for key, adata in cells.items():
                _write(adata, folder / f"{key}.h5ad")
            if step != "fit":
                (folder / "model.npz").write_bytes(self.model_.tobytes())
            asked = {
                "config": self.config.model_dump(mode="json"),
                "perturbations": [list(perturbation.genes) for perturbation in perturbations],
                "about": about,
                "seed": self.seed,
                "device": self.device_used,
                "threads": self.threads_used,
            }
            (folder / "job.json").write_text(json.dumps(asked), encoding="utf-8")
            script = Path(inspect.getfile(type(self))).parent / self.worker
            with Worker.run(self.name, python, script, step, folder, self.config.time_limit) as worker:
                yield worker

    @classmethod
    def _python(cls) -> Path:
        environment = cls.environment()
        if environment.python is None:
            raise BenchmarkError(
                f"The method '{cls.name}' needs an environment of its own, which is not installed; run "
                f"`{environment.command}`."
            )
        return environment.python


def _write(adata: AnnData, path: Path) -> None:
    """Write cells with plain strings, which anndata of any age reads."""
    told = {name: values_in_view(adata.obs, name).astype(str).astype(object) for name in COLUMNS}
    labels = pd.DataFrame(
        {"perturbation": adata.obs["perturbation"].astype(str).to_numpy(object), **told},
        index=pd.Index([str(name) for name in adata.obs_names], dtype=object),
    )
    genes = pd.DataFrame(index=pd.Index([str(name) for name in adata.var_names], dtype=object))
    plain = AnnData(adata.X, obs=labels, var=genes, layers=layers_of(adata))
    plain.write_h5ad(path, convert_strings_to_categoricals=False)
