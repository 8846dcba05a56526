"""Protocol cards: one TOML file per published setting, with the numbers that were published for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmark.data import Dataset
from benchmark.data.cards import read_card
from benchmark.errors import unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.machine.paths import data_folders
from benchmark.splits import Split, load_split
from benchmark.studies.protocols.quantities import QUANTITIES

Source = Literal["table", "text", "figure", "secondary"]


class Part(BaseModel):
    """Part of a card: nothing that is not declared, nothing that changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Sanity(Part):
    """A number that must come out before any method is run, if data and splits are the published ones.

    Attributes
    ----------
    quantity
        A name in `benchmark.studies.protocols.quantities.QUANTITIES`.
    seed
        The split it belongs to; without one it is the mean over the seeds of the protocol.
    expected
        What was published.
    tolerance
        The largest difference, relative to `expected`, that still counts as the same.
    source
        Where the number is from, and what explains a tolerance.
    """

    quantity: str
    seed: int | None = Field(default=None, ge=0)
    expected: float
    tolerance: float = Field(default=0.0, ge=0)
    source: str = Field(min_length=1)


class Published(Part):
    """What was published for one method.

    Attributes
    ----------
    method
        As the publication calls it.
    group
        The test perturbations that count: ``single``, ``double``, a group of the split, or all.
    metrics
        Our metric -> published mean, where both are defined alike.
    other
        Published name -> mean, where we define it otherwise or not at all.
    source
        How the numbers were obtained: from a table or text of the publication, read off a figure, or from a
        secondary source.
    citation
        Where it was published; the card's unless said.
    note
        What makes it less comparable.
    """

    method: str
    group: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)
    other: dict[str, float] = Field(default_factory=dict)
    source: Source
    citation: str = ""
    note: str = ""


class Anchors(Part):
    """The two ends of a scale that are computed of the real cells, see `benchmark.studies.vcc2026`.

    Attributes
    ----------
    halvings
        How often the real cells are halved for the upper end.
    seed
        Of these, and of the draws of the lower end.
    """

    halvings: int = Field(ge=1)
    seed: int = Field(ge=0)


class ProtocolCard(Part):
    """How somebody else evaluated, in terms of this harness.

    Attributes
    ----------
    name, title, citation, notes
        For people; `name` is what the command line takes and the name of the card's file.
    dataset, split, seeds, cells
        What `run` is asked for; the genes that a method sees are those of the data set.
    shared_controls
        Whether methods know the control cells that real changes are measured against, as is usual.
    most_variable
        Where only so many genes are scored: those that vary most over control and test cells of each split,
        see `benchmark.studies.protocols.genes`. All genes are scored unless said.
    metrics
        What the board of the protocol shows.
    anchors
        Where the protocol scales its metrics between anchors and is one of any data set, which `dataset` and
        `split` then only stand in for.
    sanity, published
        See `Sanity` and `Published`.
    """

    name: str
    title: str
    citation: str
    notes: str = ""
    dataset: str
    split: str
    seeds: tuple[int, ...] = Field(min_length=1)
    cells: int = Field(ge=2)
    shared_controls: bool = True
    most_variable: int | None = Field(default=None, ge=1)
    metrics: tuple[str, ...] = Field(min_length=1)
    anchors: Anchors | None = None
    sanity: tuple[Sanity, ...] = ()
    published: tuple[Published, ...] = ()


def list_protocols() -> list[ProtocolCard]:
    """Return all protocol cards, by name; what they name is not looked up."""
    return [read_card(ProtocolCard, path, "protocol") for _, path in sorted(_files().items())]


def load_protocol(name: str) -> ProtocolCard:
    """Return one protocol card, with everything that it names known here.

    Raises
    ------
    BenchmarkError
        When there is no such card, it is not valid, or names a metric or quantity that does not exist.
    """
    files = _files()
    if name not in files:
        raise unknown("protocol", name, files, "`python -m benchmark protocol` lists them")
    card = read_card(ProtocolCard, files[name], "protocol")
    named = [*card.metrics, *(metric for row in card.published for metric in row.metrics)]
    _require_known(card, "metric", named, METRICS)
    _require_known(card, "quantity", [value.quantity for value in card.sanity], QUANTITIES)
    return card


def split_of(card: ProtocolCard, dataset: Dataset, seed: int) -> Split:
    """Return the frozen split of a seed, with the control cells as the protocol has them."""
    split = load_split(dataset, card.split, seed)
    return split.sharing_controls() if card.shared_controls else split


def _require_known(card: ProtocolCard, kind: str, named: Iterable[str], known: Iterable[str]) -> None:
    for name in named:
        if name not in known:
            raise unknown(f"{kind} of protocol '{card.name}'", name, known, "correct its card")


def _files() -> dict[str, Path]:
    """Name -> file; a shipped card goes before a user's of the same name."""
    folders = reversed(data_folders("leaderboard/protocols"))
    return {path.stem: path for folder in folders for path in folder.glob("*.toml")}
