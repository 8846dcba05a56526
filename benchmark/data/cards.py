"""Dataset cards: one TOML file per dataset says where it comes from and how to read it."""

from __future__ import annotations

import functools
import logging
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmark.errors import BenchmarkError, unknown
from benchmark.machine.paths import data_files

Expression = Literal["counts", "log1p"]
GeneSelection = Literal["none", "all cells", "unknown"]
LeftOut = Literal["triples", "empty", "unlabelled"]
Modality = Literal["CRISPRa", "CRISPRi", "knock-out", "Cas13d", "simulated", "unknown"]


_log = logging.getLogger("benchmark")


class FileCard(BaseModel):
    """What is known about a published file before it is opened.

    Attributes
    ----------
    kind
        What it is, in messages.
    name, title, licence, citation, notes
        For people; `name` is what the command line takes and the name of the card's file.
    url
        Public address, where there is one.
    local_file
        The file's name in the cache and in the folders of ``$BENCHMARK_DATA``.
    member
        The file inside, where it is a zip archive.
    sha256
        Checksum of the file as downloaded; without one, the first copy that is used pins its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[str] = "file"

    name: str = Field(pattern=r"^[\w.-]+$")
    title: str = ""
    licence: str = ""
    citation: str = ""
    notes: str = ""
    url: str | None = None
    local_file: str | None = None
    member: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _download_has_a_name(self) -> Self:
        if self.url is not None and self.local_file is None:
            raise ValueError("a card with 'url' needs 'local_file', the name to store the download under")
        return self

    @property
    def is_by_path(self) -> bool:
        """Whether its file stays where its owner has it."""
        return self.local_file is not None and Path(self.local_file).is_absolute()


class DatasetCard(FileCard):
    """What is known about a dataset before it is opened.

    Its cells come from a file (`url`, `local_file`) or from the simulator (`simulator`).

    Attributes
    ----------
    perturbation_column, control_label, separator
        The column of ``obs`` with the labels, the label of control cells (or several, or patterns such as
        ``NT*``), what stands between two genes.
    collapse_guides
        Whether labels of guides, such as ``KLF1_sg2``, are read as their genes.
    ignore_case
        Whether a perturbed gene is the measured one that is spelt alike but for upper and lower case.
    as_labelled
        Whether labels are taken for genes also where they look like guides, or like pairs written otherwise.
    keep
        Column of ``obs`` -> value, or values: only cells that have these are kept.
    drop
        Labels of perturbations whose cells are left out, as the source or as this project writes them, or
        ``column=value`` for the cells with that value.
    min_cells
        Perturbations with fewer cells are left out; unless said, one with a single cell is refused.
    max_controls
        Control cells that are kept, drawn with a fixed seed.
    leave_out
        What is left out and counted instead of refused: ``triples``, labels of more than two genes;
        ``empty``, cells without counts; ``unlabelled``, cells without a label.
    genes
        Name of the list of genes that are kept (`benchmark.data.genes`), or ``hvg:N`` for the N that vary
        most among control cells, and the perturbed ones; all unless said.
    gene_selection
        Which cells decided what genes there are, when the file or the list was made: ``none`` where their
        expression did not matter, ``all cells`` where that of test cells counted too.
    layer, raw
        Which matrix is read instead of ``X``: a layer, or ``.raw``.
    expression
        What the matrix holds: raw ``counts``, or ``log1p`` of normalised counts. Declared, never guessed.
    as_published
        Whether values are taken as the file has them, also where their sums say another scale, because
        published numbers rest on them.
    context_column, batch_column
        The columns of ``obs`` that say in which cell line, donor or the like, and in which batch a cell was
        measured, where there are several.
    depth_column
        The column of ``obs`` with the counts of the cell over all genes, kept or not.
    gene_name_column
        The column of ``var`` with gene symbols, where the index holds something else.
    gene_table
        Name or path of the table by which ids of genes become symbols, in ``var`` and in labels
        (`benchmark.data.gene_tables`).
    modality
        How genes were perturbed.
    gene_sets
        Name of the gene sets that suit its genes, for methods that use some (`benchmark.data.priors`).
    simulator
        Parameters of the simulator.
    """

    kind: ClassVar[str] = "dataset"

    perturbation_column: str = "perturbation"
    control_label: str | tuple[str, ...] = "control"
    separator: str = Field(default="+", min_length=1)
    collapse_guides: bool = False
    ignore_case: bool = False
    as_labelled: bool = False
    keep: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    drop: tuple[str, ...] = ()
    min_cells: int | None = Field(default=None, ge=2)
    max_controls: int | None = Field(default=None, ge=2)
    leave_out: tuple[LeftOut, ...] = ()
    genes: str | None = None
    gene_selection: GeneSelection = "unknown"
    layer: str | None = None
    raw: bool = False
    expression: Expression = "log1p"
    as_published: bool = False
    context_column: str | None = None
    batch_column: str | None = None
    depth_column: str | None = None
    gene_name_column: str | None = None
    gene_table: str | None = None
    modality: Modality = "unknown"
    gene_sets: str = "go_basic"
    simulator: dict[str, Any] | None = None

    @field_validator("keep", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        """Take column=value, too; several values of a column are alternatives."""
        if isinstance(value, Mapping) or not isinstance(value, Sequence):
            return value
        values: dict[str, tuple[str, ...]] = {}
        for text in map(str, value):
            column, equals, wanted = text.partition("=")
            if not equals or not column:
                raise ValueError(f"it takes COLUMN=VALUE, not '{text}'")
            values[column] = (*values.get(column, ()), wanted)
        return {column: some[0] if len(some) == 1 else some for column, some in values.items()}

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.simulator is not None and self.local_file is not None:
            raise ValueError("a card has either 'local_file' or 'simulator', not both")
        if self.raw and self.layer is not None:
            raise ValueError("either a 'layer' is read or 'raw', not both")
        return self

    @property
    def controls(self) -> tuple[str, ...]:
        """The labels of control cells, and patterns of them."""
        return (self.control_label,) if isinstance(self.control_label, str) else self.control_label

    @property
    def matrix(self) -> str:
        """The matrix that is read, as its place in the file."""
        return "raw/X" if self.raw else f"layers/{self.layer}" if self.layer else "X"


Card = TypeVar("Card", bound=FileCard)
AnyCard = TypeVar("AnyCard", bound=BaseModel)


def list_cards() -> list[DatasetCard]:
    """Return the cards of all datasets, by name; one that is not valid is said, once, and left out."""
    found = []
    for _, path in sorted(data_files("datasets", ".toml").items()):
        try:
            found.append(read_card(DatasetCard, path, DatasetCard.kind))
        except BenchmarkError as error:
            _say_once(f"Left out: {error}")
    return found


@functools.cache
def _say_once(sentence: str) -> None:
    _log.warning("%s", sentence)


def load_card(name: str) -> DatasetCard:
    """Return the card of one dataset.

    Raises
    ------
    BenchmarkError
        When there is no such card, or it is not valid.
    """
    return named_card(DatasetCard, name, "datasets", "`python -m benchmark datasets` lists them")


def named_card(kind: type[Card], name: str, folder: str, hint: str = "") -> Card:
    """Return the card of a name from the shipped folder or the user's.

    Raises
    ------
    BenchmarkError
        When there is no such card, or it is not valid.
    """
    files = data_files(folder, ".toml")
    if name not in files:
        raise unknown(kind.kind, name, files, hint)
    return read_card(kind, files[name], kind.kind)


def read_card(kind: type[AnyCard], path: Path, called: str) -> AnyCard:
    """Read one card, which is named as its file.

    Raises
    ------
    BenchmarkError
        When the file is no TOML, or not a valid card.
    """
    try:
        return kind(name=path.stem, **tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, OSError, TypeError) as error:
        raise BenchmarkError(f"The {called} card {path} cannot be read ({error}); correct it.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the card"
        raise BenchmarkError(
            f"The {called} card {path} is not valid: {field}: {first['msg']}; correct it."
        ) from error
