"""The worker's side of a hosted method; runs in the method's own environment, under ``python -I``.

``python -I launch.py WORKER STEP JOB PIPE`` imports the file WORKER and calls its function STEP with a
`Job`. It knows nothing of the harness: only numpy, and what the worker itself imports, must be installed.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import random
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np


class Refusal(Exception):  # noqa: N818 - not a fault of anything: the worker declines
    """Raise it for what a user can mend; the sentence is all that is shown."""


class Job:
    """One step that the harness asks for, and the folder in which both sides put their files.

    Attributes
    ----------
    folder
        ``train.h5ad``, ``validation.h5ad`` or ``control.h5ad`` come from the harness.
    config
        Hyper-parameters by name.
    perturbations
        Genes of each perturbation that is to be predicted; empty in other steps.
    about
        What else the harness says; JSON.
    seed, device, threads
        As they stand; random, numpy and, where it is installed, torch are seeded and limited already.
    """

    def __init__(self, folder: Path, messages: TextIO) -> None:
        asked = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        self.folder = folder
        self.config: dict[str, Any] = asked["config"]
        self.perturbations: list[list[str]] = asked["perturbations"]
        self.about: dict[str, Any] = asked["about"]
        self.seed: int = asked["seed"]
        self.device: str = asked["device"]
        self.threads: int = asked["threads"]
        self._messages = messages

    def cells(self, name: str) -> Any:
        """Read one of the harness's AnnData: X float32 CSR, log1p CP10K.

        Its obs are "perturbation", and "context" and "batch", empty where there are not several; the control
        cells of a prediction are of one context.
        """
        import anndata

        return anndata.read_h5ad(self.folder / f"{name}.h5ad")

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[_Stage]:
        """Open a piece of work of `total` steps, which the harness shows as a bar."""
        self._say({"stage": name, "total": total})
        yield _Stage(self._say)
        self._say({"end": name})

    def vectors(self) -> dict[str, np.ndarray]:
        """Vectors of perturbed genes, where the harness describes these; float32."""
        return {gene: np.array(values, np.float32) for gene, values in self.about["vectors"].items()}

    def save_model(self, **arrays: np.ndarray) -> None:
        """Keep what was learned; `model` of a later job gives it back."""
        np.savez(self.folder / "model.npz", **arrays)  # type: ignore[arg-type]

    def model(self) -> dict[str, np.ndarray]:
        """Read what `save_model` kept."""
        with np.load(self.folder / "model.npz", allow_pickle=False) as arrays:
            return dict(arrays)

    def answer(self, index: int, values: np.ndarray) -> None:
        """Give the prediction of the perturbation at `index`; in order, each once."""
        np.save(self.folder / f"answer-{index}.npy", values)
        self._say({"answer": index})

    def _say(self, message: dict[str, Any]) -> None:
        self._messages.write(json.dumps(message) + "\n")
        self._messages.flush()


class Best:
    """The state of the least error so far, such as of predictions for validation perturbations."""

    def __init__(self) -> None:
        self.error = float("inf")
        self.state: Any = None

    def offer(self, error: float, state: Callable[[], Any]) -> None:
        """Keep a state, which is made only then, where its error is less."""
        if error < self.error:
            self.error, self.state = error, state()

    def chosen(self, package: str) -> Any:
        """The state, or a refusal where no error was a number."""
        if self.state is None:
            raise Refusal(f"Training {package} gave nothing that predicts finite numbers; lower its rates.")
        return self.state


def mean_cells(cells: Any) -> dict[str, np.ndarray]:
    """Mean expression of each label, (genes,), float64."""
    labels = cells.obs["perturbation"].to_numpy(str)
    means = {label: cells.X[labels == label].mean(axis=0, dtype=np.float64) for label in np.unique(labels)}
    return {str(label): np.asarray(mean).ravel() for label, mean in means.items()}


def by_context(cells: Any) -> dict[str, Any]:
    """The cells of each context, the same object where that is all."""
    contexts = cells.obs["context"].to_numpy(str)
    names = [str(name) for name in np.unique(contexts)]
    return {name: cells if len(names) == 1 else cells[contexts == name].copy() for name in names}


def genes_of(label: str) -> list[str]:
    """The genes that a label names; none for the control."""
    return [] if label == "control" else label.split("+")


@contextmanager
def alone() -> Iterator[None]:
    """Let one process of this environment in at a time, however the others end.

    For the import of packages that have numba compile ufuncs for its cache: two processes that do so at once
    leave parts that do not fit each other, and every later one crashes (issue 10128 of numba).
    """
    place = sys.prefix if os.access(sys.prefix, os.W_OK) else tempfile.gettempdir()
    with open(Path(place) / f"alone-{os.getuid()}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class HeldOut(NamedTuple):
    """A validation perturbation in a context.

    Attributes
    ----------
    genes
        That are perturbed.
    context
        Its name; empty where there are not several.
    control
        Some control cells of the context, (cells, genes).
    start
        Mean of all of its control cells, less that of these, (genes,).
    mean
        Mean of its own cells, (genes,).
    """

    genes: list[str]
    context: str
    control: np.ndarray
    start: np.ndarray
    mean: np.ndarray

    def error(self, moved: np.ndarray) -> float:
        """Squared error of the mean where these control cells become others, (cells, genes)."""
        return float(np.mean((moved.mean(axis=0) + self.start - self.mean) ** 2))


def held_out(job: Job, train: Any, most: int) -> list[HeldOut]:
    """Return the validation perturbations of each context, with at most so many control cells of training."""
    known, found = by_context(train), []
    for context, part in by_context(job.cells("validation")).items():
        own = known[context]
        control = own[(own.obs["perturbation"] == "control").to_numpy()].X[:most].toarray()
        start = mean_cells(own)["control"] - control.mean(axis=0)
        found += [
            HeldOut(genes_of(label), context, control, start, mean)
            for label, mean in mean_cells(part).items()
        ]
    return found


class _Stage:
    def __init__(self, say: Any) -> None:
        self._say = say

    def advance(self, steps: int = 1, **values: float) -> None:
        """Say that steps are done, with named values of this moment such as a loss."""
        self._say({"advance": steps, "values": {name: float(value) for name, value in values.items()}})


def main(worker: str, step: str, folder: str, pipe: str) -> None:
    """Do one step; what goes wrong is told to the harness in one line."""
    threading.Thread(target=_end_with_the_harness, daemon=True).start()
    with os.fdopen(int(pipe), "w", encoding="utf-8") as messages:
        try:
            job = Job(Path(folder), messages)
            _settle(job)
            getattr(_load(Path(worker)), step)(job)
        except Refusal as refusal:
            messages.write(json.dumps({"refused": str(refusal)}) + "\n")
        except Exception as error:
            traceback.print_exc()
            text = f"{type(error).__name__}: {error}"
            messages.write(json.dumps({"failed": text, "errno": getattr(error, "errno", None)}) + "\n")


def _end_with_the_harness() -> None:
    """Wait until the harness's end of stdin closes, as it does however the harness dies; then end all."""
    while os.read(0, 1 << 10):  # not sys.stdin: its lock would be held when Python shuts down
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _settle(job: Job) -> None:
    """Seed what draws numbers and limit threads, before a worker imports anything that reads either."""
    random.seed(job.seed)
    np.random.seed(job.seed)  # noqa: NPY002 - what hosted packages draw from
    if importlib.util.find_spec("torch"):
        import torch

        if job.device == "cuda" and not torch.cuda.is_available():
            raise Refusal(
                "The torch in this method's environment finds no CUDA device; choose the device cpu."
            )
        torch.manual_seed(job.seed)
        torch.set_num_threads(job.threads)


def _load(path: Path) -> Any:
    """Import the worker's file, with this module's `Refusal` at hand as ``launch``."""
    sys.modules["launch"] = sys.modules["__main__"]
    spec = importlib.util.spec_from_file_location("worker", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["worker"] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(*sys.argv[1:])
