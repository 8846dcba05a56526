"""The embedded dataset: cells from the simulator, and their truth in a file of its own."""

from __future__ import annotations

from pathlib import Path

from anndata import AnnData

from benchmark.data.cards import DatasetCard
from benchmark.data.simulator import VERSION, SimulatorConfig, Truth, simulate
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder


def recipe(card: DatasetCard) -> str:
    """Return what stands for a checksum: the parameters and the version of the simulator."""
    return f"{_config(card).digest()}-{VERSION}"


def cells(card: DatasetCard) -> AnnData:
    """Simulate the cells of a card, and keep the truth behind them."""
    adata, truth = simulate(_config(card))
    truth.save(_truth_file(card))
    return adata


def load_truth(card: DatasetCard) -> Truth:
    """Return what the simulator knows about a simulated dataset; for evaluation only.

    Raises
    ------
    BenchmarkError
        When the dataset is not simulated.
    """
    if card.simulator is None:
        raise BenchmarkError(f"Dataset '{card.name}' is not simulated, so its truth is unknown.")
    path = _truth_file(card)
    if not path.exists():
        cells(card)
    return Truth.load(path)


def _config(card: DatasetCard) -> SimulatorConfig:
    return SimulatorConfig.build(settings=card.simulator)


def _truth_file(card: DatasetCard) -> Path:
    return cache_folder("simulated") / f"{card.name}-truth-{_config(card).digest()[:16]}-{VERSION}.npz"
