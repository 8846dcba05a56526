"""The file of the best configuration: what `tune` writes and `run --config` takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import project_home, replacing
from benchmark.records.record import Tuning
from benchmark.tuning.plan import RANK, Plan

SUFFIX = ".json"


class TunedConfiguration(BaseModel):
    """The best configuration of a study, and where it comes from.

    Attributes
    ----------
    method, method_version, source_digest
        What was tuned.
    dataset, dataset_digest, split, seed, split_digest
        On which split.
    tuned_on
        The perturbations, of its validation part, by which configurations were chosen.
    preset
        What was given: "default" or a preset; with single settings it is in `config` too.
    objective, value, default_value
        What was minimised or maximised, for the best and for the default configuration; None where the
        default failed.
    trials, seconds
        What it cost: finished trials, pruned and failed ones among them, and how long they took together.
    study
        Name of the study in its database.
    versions
        Of the software.
    config
        Every hyper-parameter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    method_version: str
    source_digest: str
    dataset: str
    dataset_digest: str
    split: str
    seed: int
    split_digest: str
    tuned_on: list[str]
    preset: str
    objective: str
    value: float
    default_value: float | None
    trials: int
    seconds: float
    study: str
    versions: dict[str, str]
    config: dict[str, Any]

    def ledger(self, file: Path, changed: Mapping[str, Any]) -> Tuning:
        """What a run with this configuration records of its tuning.

        Parameters
        ----------
        file
            Where the configuration was read.
        changed
            Hyper-parameters that the run has otherwise.
        """
        label = ", ".join([f"tuned ({file.name})", *(f"{name}={value}" for name, value in changed.items())])
        return Tuning(
            label=label,
            study=self.study,
            objective=self.objective,
            trials=self.trials,
            seconds=self.seconds,
            tuned_on=self.tuned_on,
        )


def read_tuned(file: Path, method: str) -> TunedConfiguration:
    """Read a file for a method.

    Raises
    ------
    BenchmarkError
        When it is no such file, or is of another method.
    """
    try:
        tuned = TunedConfiguration.model_validate_json(file.read_bytes())
    except OSError as error:
        raise BenchmarkError(f"{file} cannot be read ({error.strerror}); check the path.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
        raise BenchmarkError(
            f"{file} is no file of a tuned configuration ({reason}); `python -m benchmark tune` writes them."
        ) from error
    if tuned.method != method:
        raise BenchmarkError(
            f"{file} holds a configuration of '{tuned.method}', not of '{method}'; "
            f"give --method {tuned.method}, or another file."
        )
    return tuned


def write_tuned(tuned: TunedConfiguration, file: Path) -> None:
    """Write the file whole, or not at all."""
    with replacing(file) as temporary:
        temporary.write_text(tuned.model_dump_json(indent=1) + "\n", encoding="utf-8")


def check_output(file: Path | None) -> None:
    """Refuse a file that was asked for and has another ending, or no folder, before hours are spent on it."""
    if file is not None and file.suffix != SUFFIX:
        raise BenchmarkError(
            f"The best configuration is written as JSON; give {file} a name that ends in {SUFFIX}."
        )
    if file is not None and not file.parent.is_dir():
        raise BenchmarkError(f"There is no folder {file.parent} to write {file.name} to; make it first.")


def output_file(plan: Plan, method: str, dataset: str, split: str) -> Path:
    """Where the best configuration goes: the file that was asked for, or one named after what was tuned."""
    if plan.output is not None:
        return plan.output
    unusual = [plan.preset] if plan.preset not in (None, "default") else []
    unusual += [plan.objective] if plan.objective != RANK else []
    parts = [method, dataset, f"{split}-{plan.seed}", *unusual]
    return project_home() / "configs" / ("-".join(map(str, parts)) + SUFFIX)
