"""What is tuned is what a method declares, less what is given."""

from __future__ import annotations

from typing import Literal

import pytest
from optuna import create_study
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler

from benchmark.config import Choices, MethodConfig, Range, parameter
from benchmark.errors import BenchmarkError
from benchmark.registry import list_methods, load_method, missing_extras
from benchmark.tuning.space import Space
from methods.train_mean import TrainMean


class ExampleConfig(MethodConfig):
    width: int = parameter(64, search=(16, 256), log=True, help="")
    rank: int | None = parameter(None, search=(2, 100), help="")
    rate: float | None = parameter(0.1, search=(0, 1), help="")
    size: int = parameter(8, search=(4, 8, 32), help="")
    flag: bool = parameter(False, search=(False, True), help="")
    kind: Literal["a", "b"] = parameter("a", search=("a", "b"), help="")
    left_alone: int = parameter(1, help="")
    presets = {"wide": {"width": 200}}  # noqa: RUF012


class Example(TrainMean):
    name = "example"
    Config = ExampleConfig


def test_two_numbers_are_a_range_and_anything_else_choices():
    assert ExampleConfig.searches() == {
        "width": Range(16, 256, log=True, whole=True),
        "rank": Range(2, 100, log=False, whole=True),
        "rate": Range(0, 1, log=False, whole=False),
        "size": Choices((4, 8, 32)),
        "flag": Choices((False, True)),
        "kind": Choices(("a", "b")),
    }


def test_the_distributions_are_those_of_the_declaration():
    assert Space.of(Example, None, {}).distributions == {
        "width": IntDistribution(16, 256, log=True),
        "rank": IntDistribution(2, 100),
        "rate": FloatDistribution(0, 1),
        "size": CategoricalDistribution((4, 8, 32)),
        "flag": CategoricalDistribution((False, True)),
        "kind": CategoricalDistribution(("a", "b")),
    }


def test_what_is_given_is_kept_and_not_tuned():
    space = Space.of(Example, "wide", {"kind": "b", "left_alone": "3"})
    assert set(space.distributions) == {"rank", "rate", "size", "flag"}
    config = space.config({"rank": 5})
    assert (config.width, config.kind, config.left_alone, config.rank) == (200, "b", 3, 5)


def test_the_start_is_the_default_as_far_as_it_can_be_drawn():
    space = Space.of(Example, None, {})
    assert space.start == {"width": 64, "rate": 0.1, "size": 8, "flag": False, "kind": "a"}
    assert space.default == ExampleConfig()


@pytest.mark.parametrize(
    ("preset", "settings", "sentence"),
    [
        (None, dict.fromkeys(("width", "rank", "rate", "size"), 8), "all that it declares is given"),
        ("huge", {}, "There is no preset 'huge'"),
        (None, {"widht": "3"}, "did you mean 'width'"),
    ],
)
def test_what_cannot_be_tuned_gets_one_sentence(preset, settings, sentence):
    if len(settings) == 4:
        settings = {**settings, "rate": 0.5, "flag": True, "kind": "a"}
    with pytest.raises(BenchmarkError, match=sentence):
        Space.of(Example, preset, settings)


HERE = [listing.name for listing in list_methods() if listing.name not in missing_extras()]
TUNABLE = [name for name in HERE if load_method(name).Config.searches()]


@pytest.mark.parametrize("name", TUNABLE)
def test_whatever_is_drawn_for_a_method_is_a_valid_configuration(name):
    space = Space.of(load_method(name), None, {})
    study = create_study(sampler=RandomSampler(seed=0))
    for _ in range(40):
        drawn = study.ask(space.distributions).params
        config = space.config(drawn)
        assert {key: getattr(config, key) for key in drawn} == drawn
