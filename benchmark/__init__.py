"""A benchmark harness for single-cell perturbation prediction."""

__version__ = "0.1.0"
