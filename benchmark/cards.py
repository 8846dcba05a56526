"""Dataset cards: one TOML file per dataset says where it comes from and how to read it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import BenchmarkError, unknown
from benchmark.paths import data_folders

Expression = Literal["counts", "log1p"]
Modality = Literal["CRISPRa", "CRISPRi", "knock-out", "Cas13d", "simulated", "unknown"]


class DatasetCard(BaseModel):
    """What is known about a dataset before it is opened.

    Its cells come from a file (`url`, `local_file`) or from the simulator (`simulator`).

    Attributes
    ----------
    name, title, licence, citation, notes
        For people; `name` is what ``--dataset`` takes and the name of the card's file.
    url
        Public address, where there is one.
    local_file
        The file's name in the cache and in the folders of ``$BENCHMARK_DATA``.
    member
        The ``.h5ad`` inside, where the file is a zip archive.
    sha256
        Checksum of the file as downloaded; without one, the first copy that is used pins its own.
    perturbation_column, control_label, separator
        The column of ``obs`` with the labels, the label of control cells, what stands between two genes.
    keep
        Column of ``obs`` -> value: only cells that have these values are kept.
    expression
        What ``X`` holds: raw ``counts``, or ``log1p`` of normalised counts. Declared, never guessed.
    depth_column
        The column of ``obs`` with the counts of the cell over all genes, kept or not.
    gene_name_column
        The column of ``var`` with gene symbols, where the index holds something else.
    modality
        How genes were perturbed.
    simulator
        Parameters of the simulator.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[\w.-]+$")
    title: str = ""
    licence: str = ""
    citation: str = ""
    notes: str = ""
    url: str | None = None
    local_file: str | None = None
    member: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    perturbation_column: str = "perturbation"
    control_label: str = "control"
    separator: str = Field(default="+", min_length=1)
    keep: dict[str, str] = Field(default_factory=dict)
    expression: Expression = "log1p"
    depth_column: str | None = None
    gene_name_column: str | None = None
    modality: Modality = "unknown"
    simulator: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> DatasetCard:
        if self.url is not None and self.local_file is None:
            raise ValueError("a card with 'url' needs 'local_file', the name to store the download under")
        if self.simulator is not None and self.local_file is not None:
            raise ValueError("a card has either 'local_file' or 'simulator', not both")
        return self


def list_cards() -> list[DatasetCard]:
    """Return the cards of all datasets, by name."""
    return [_read_card(path) for _, path in sorted(_card_files().items())]


def load_card(name: str) -> DatasetCard:
    """Return the card of one dataset.

    Raises
    ------
    BenchmarkError
        When there is no such card, or it is not valid.
    """
    files = _card_files()
    if name not in files:
        raise unknown("dataset", name, files, "`python -m benchmark datasets` lists them")
    return _read_card(files[name])


def _card_files() -> dict[str, Path]:
    """Name -> file; a shipped card goes before a user's of the same name."""
    folders = reversed(data_folders("datasets"))
    return {path.stem: path for folder in folders for path in folder.glob("*.toml")}


def _read_card(path: Path) -> DatasetCard:
    try:
        return DatasetCard(name=path.stem, **tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, OSError, TypeError) as error:
        raise BenchmarkError(f"The dataset card {path} cannot be read ({error}); correct it.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the card"
        raise BenchmarkError(
            f"The dataset card {path} is not valid: {field}: {first['msg']}; correct it."
        ) from error
