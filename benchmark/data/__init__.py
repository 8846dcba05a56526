"""Data sets in canonical form, what they are made from, and the simulator.

What other rooms need are names of this one:
    from benchmark.data import Dataset, load_dataset

Cards are read by commands that wait for no cells, so anndata is imported with the first of these names only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.data.dataset import Dataset, load_dataset

__all__ = ["Dataset", "load_dataset"]


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("benchmark.data.dataset"), name)
