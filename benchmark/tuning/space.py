"""Which hyper-parameters are tuned, and how a draw becomes a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from benchmark.config import Choices, MethodConfig, Range
from benchmark.errors import BenchmarkError
from benchmark.method import Method


@dataclass(frozen=True)
class Space:
    """The search that a method declares, less what a preset or a setting gives.

    A preset names sizes that belong together, so tuning below a preset keeps them.

    Attributes
    ----------
    method
        Whose hyper-parameters they are.
    preset, settings
        What is given.
    distributions
        Hyper-parameter -> where its values are drawn.
    """

    method: type[Method]
    preset: str | None
    settings: Mapping[str, Any]
    distributions: dict[str, BaseDistribution]

    @classmethod
    def of(cls, method: type[Method], preset: str | None, settings: Mapping[str, Any]) -> Self:
        """Take what a method declares.

        Raises
        ------
        BenchmarkError
            For a preset or setting that does not exist, or where nothing is left to tune.
        """
        method.Config.build(preset, settings)
        given = {*method.Config.presets.get(preset or "default", {}), *settings}
        declared = method.Config.searches()
        distributions = {name: _distribution(place) for name, place in declared.items() if name not in given}
        if not distributions:
            reason = "all that it declares is given" if declared else "it declares no search"
            raise BenchmarkError(
                f"The method '{method.name}' has nothing to tune: {reason}; "
                f"`python -m benchmark methods {method.name}` shows its hyper-parameters."
            )
        return cls(method, preset, settings, distributions)

    @property
    def default(self) -> MethodConfig:
        """The configuration without tuning."""
        return self.config({})

    @property
    def start(self) -> dict[str, Any]:
        """The values of the default that lie where tuning looks; the rest of it cannot be drawn."""
        declared, usual = self.method.Config.searches(), self.default
        values = {name: getattr(usual, name) for name in self.distributions}
        return {name: value for name, value in values.items() if value in declared[name]}

    def config(self, drawn: Mapping[str, Any]) -> MethodConfig:
        """Return the configuration with drawn values.

        Raises
        ------
        BenchmarkError
            When the values do not go together.
        """
        return self.method.Config.build(self.preset, {**self.settings, **drawn})


def _distribution(place: Range | Choices) -> BaseDistribution:
    if isinstance(place, Choices):
        return CategoricalDistribution(place.values)
    if place.whole:
        return IntDistribution(int(place.low), int(place.high), log=place.log)
    return FloatDistribution(place.low, place.high, log=place.log)
