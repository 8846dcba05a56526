"""A mechanistic simulator of genetic perturbation screens, with the truth that evaluation needs."""

from benchmark.data.simulator.simulate import SimulatorConfig, simulate
from benchmark.data.simulator.truth import Truth

VERSION = "2"
"""Raised whenever the same configuration gives other data than before."""

__all__ = ["VERSION", "SimulatorConfig", "Truth", "simulate"]
