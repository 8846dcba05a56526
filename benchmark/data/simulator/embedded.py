"""The embedded dataset: cells from the simulator, and their truth in a file of its own."""

from __future__ import annotations

from pathlib import Path

from anndata import AnnData

from benchmark.data.cards import DatasetCard
from benchmark.data.simulator import VERSION, SimulatorConfig, Truth, simulate
from benchmark.data.simulator.contexts import ContextsConfig, simulate_contexts
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder


def recipe(card: DatasetCard) -> str:
    """Return what stands for a checksum: the parameters and the version of the simulator."""
    return f"{_config(card).digest()}-{VERSION}"


def cells(card: DatasetCard) -> AnnData:
    """Simulate the cells of a card, and keep the truth behind them."""
    config = _config(card)
    if not isinstance(config, ContextsConfig):
        adata, truth = simulate(config)
        truth.save(_truth_file(card))
        return adata
    adata, truths = simulate_contexts(config)
    for context, truth in truths.items():
        truth.save(_truth_file(card, context))
    return adata


def load_truth(card: DatasetCard, context: str = "") -> Truth:
    """Return what the simulator knows about a simulated dataset; for evaluation only.

    Parameters
    ----------
    card
        Of the dataset.
    context
        One of its contexts; without one, what all share: the network, and of each condition the mean.

    Raises
    ------
    BenchmarkError
        When the dataset is not simulated, or has no such context.
    """
    if card.simulator is None:
        raise BenchmarkError(f"Dataset '{card.name}' is not simulated, so its truth is unknown.")
    path = _truth_file(card, context)
    if not path.exists():
        cells(card)
    if not path.exists():
        raise BenchmarkError(
            f"Dataset '{card.name}' has no context '{context}'; name one of those that it has."
        )
    return Truth.load(path)


def _config(card: DatasetCard) -> SimulatorConfig:
    kind = ContextsConfig if "n_contexts" in (card.simulator or {}) else SimulatorConfig
    return kind.build(settings=card.simulator)


def _truth_file(card: DatasetCard, context: str = "") -> Path:
    of = f"{context}-" if context else ""
    return cache_folder("simulated") / f"{card.name}-truth-{of}{_config(card).digest()[:16]}-{VERSION}.npz"
