"""What is kept of a run: its coordinates, and everything that came out."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict

import benchmark
from benchmark.config import MethodConfig
from benchmark.contexts import context_in

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["running", "finished", "failed", "interrupted", "killed"]

LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "anndata",
    "scikit-learn",
    "torch",
    "torchdiffeq",
    "POT",
    "mlflow-skinny",
)


class Coordinates(BaseModel):
    """What makes a run the same run: asked for again, the finished one is shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    method_version: str
    configuration: str
    """How people call the hyper-parameters: "default", a preset, or what differs from the default."""
    config: dict[str, Any]
    source_digest: str
    """Of the files that define the method, so that a run of other code is another run."""
    dataset: str
    dataset_digest: str
    split: str
    """The scheme: "doubles"."""
    split_digest: str
    seed: int
    cells: int
    """Control cells that each perturbation is predicted for."""
    samples: int = 1
    """How many cells are predicted for each of them."""
    devices: int = 1
    """How many processes shared the training, each with a batch as large as the configuration says."""
    budget: float = 1.0
    """What the length of training was multiplied with, which `config` has in it already."""
    train_share: float = 1.0
    """Which part of the training perturbations was learned from."""

    @property
    def config_digest(self) -> str:
        """SHA-256 of the hyper-parameters."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()

    @property
    def key(self) -> str:
        """SHA-256 of all that decides the numbers; names and labels do not.

        One sample, one device and the whole of budget and training are left out: runs that are older than
        these keep the key that they were recorded with.
        """
        parts = self.model_dump(exclude={"configuration", "dataset", "split"})
        for name in ("samples", "devices", "budget", "train_share"):
            if parts[name] == 1:
                del parts[name]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Summary(BaseModel):
    """One metric over the test perturbations; `missing` counts those where it is undefined."""

    mean: float | None
    n: int
    missing: int

    @classmethod
    def of(cls, values: pd.Series) -> Self:
        """Take the mean where the metric is defined: in each context, then over contexts, all alike.

        Parameters
        ----------
        values
            float, of each test perturbation, by its label; NaN where the metric is undefined.
        """
        defined = values.dropna()
        means = [float(part.mean()) for _, part in defined.groupby(defined.index.map(context_in))]
        mean = fmean(means) if len(means) > 1 else next(iter(means), None)
        return cls(mean=mean, n=len(defined), missing=int(values.isna().sum()))


class Tuning(BaseModel):
    """Where a tuned configuration comes from, and what it cost.

    Attributes
    ----------
    label
        What the configuration is called.
    study, objective
        Of `python -m benchmark tune`.
    trials, seconds
        Configurations that were tried, and how long that took in all.
    tuned_on
        The perturbations by whose scores it was chosen.
    """

    label: str
    study: str
    objective: str
    trials: int
    seconds: float
    tuned_on: list[str]


class Record(BaseModel):
    """Everything that is kept of a finished run."""

    coordinates: Coordinates
    status: Status
    run_id: str
    started: str
    device: str
    threads: int | None = None
    """Processor threads that the run's libraries used, on which trained numbers depend; None: not known."""
    controls: dict[str, int] = {}
    """How many control cells there are, see `benchmark.evaluation.controls.count_controls`."""
    sampling_noise: float | None = None
    """Mean over perturbations of what drawing cells adds to the MSE; None: the method knows its mean."""
    knows_truth: bool = False
    """Whether the method was told what nobody can know: a control, which is not ranked."""
    versions: dict[str, str]
    seconds: dict[str, float]
    processor_seconds: float | None = None
    """What training took of all processors; None: not known."""
    peak_memory_mb: float
    coverage: float
    fallbacks: dict[str, str]
    """Perturbations that the method refused, with its reason; the train mean was scored in their place."""
    metrics: dict[str, Summary]
    metric_versions: dict[str, str]
    perturbations: list[str]
    groups: list[str]
    scores: dict[str, list[float | None]]
    """Per metric one value for each of `perturbations`; None where it is undefined."""
    archive: str = ""
    """Name of the file with the predictions; empty where nothing was predicted, as for a bound."""
    archive_sha256: str = ""
    archive_mb: float = 0.0
    reading: dict[str, Any] = {}
    """How a file of somebody else is read, see `benchmark.evaluation.submission`; empty for an archive."""
    rescored: dict[str, str] = {}
    """When ("at") and by which software the metrics were computed anew; empty where they never were."""
    tuning: Tuning | None = None
    """Where the configuration comes from, where it was read from a file of `tune`."""

    @property
    def contexts(self) -> list[str]:
        """The contexts that were tested, sorted."""
        return sorted(set(map(context_in, self.perturbations)))

    def of_context(self, context: str) -> Self:
        """Return what is known of one context alone; the archive stays that of all."""
        import pandas as pd

        places = [place for place, label in enumerate(self.perturbations) if context_in(label) == context]
        labels = [self.perturbations[place] for place in places]
        scores = {name: [values[place] for place in places] for name, values in self.scores.items()}
        return self.model_copy(
            update={
                "perturbations": labels,
                "groups": [self.groups[place] for place in places],
                "scores": scores,
                "metrics": {
                    name: Summary.of(pd.Series(values, labels, float)) for name, values in scores.items()
                },
                "fallbacks": {label: why for label, why in self.fallbacks.items() if label in labels},
            }
        )

    @property
    def tuned_on_test(self) -> list[str]:
        """Test perturbations of this run that had a say in its configuration: they are no test of it."""
        return sorted(set(self.perturbations) & set(self.tuning.tuned_on if self.tuning else ()))


def configuration_label(config: MethodConfig) -> str:
    """Name a configuration: its remark, and the preset that it equals or what differs from the default."""
    name = _configuration_name(config)
    return ", ".join(filter(None, [config.remark, "" if config.remark and name == "default" else name]))


def _configuration_name(config: MethodConfig) -> str:
    if config == type(config)():
        return "default"
    for name in config.presets:
        if config == type(config).build(name):
            return name
    usual = type(config)().model_dump()
    return ", ".join(f"{key}={value}" for key, value in config.model_dump().items() if value != usual[key])


def device_label(device: str, threads: int | None) -> str:
    """Name what a run ran on: the device, and for a CPU the number of threads where it is known."""
    if device != "cpu" or threads is None:
        return device
    return f"{device}, {threads} thread" + ("s" if threads != 1 else "")


def software_versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that numbers depend on, and the commit."""
    found = {"python": sys.version.split()[0], "benchmark": benchmark.__version__, "commit": _commit()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def _commit() -> str:
    """The commit that the package runs from, with "+changes" where files differ from it."""
    folder = Path(benchmark.__file__).parent.parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "benchmark", "methods")
    except (OSError, subprocess.CalledProcessError):
        return "not a checkout"
    return commit + ("+changes" if changed else "")
