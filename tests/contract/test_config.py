"""One declaration of a hyper-parameter is its option, its bounds, its search range and its help."""

from __future__ import annotations

from typing import Literal

import pytest

from benchmark.config import MethodConfig, parameter, with_default
from benchmark.errors import BenchmarkError


class Example(MethodConfig):
    presets = {"big": {"width": 512}}  # noqa: RUF012

    width: int = parameter(64, ge=8, le=1024, search=(16, 256), log=True, help="Width of every layer.")
    rate: float = parameter(1e-3, gt=0, help="Learning rate.")
    kind: Literal["a", "b"] = parameter("a", search=("a", "b"), help="Which kind.")


def test_settings_override_the_preset_which_overrides_the_defaults():
    config = Example.build("big", {"rate": "0.5"})
    assert (config.width, config.rate, config.kind) == (512, 0.5, "a")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"widht": "64"}, "There is no hyper-parameter 'widht'; did you mean 'width'"),
        ({"width": "4"}, "Hyper-parameter 'width' should be greater than or equal to 8, but '4' was given"),
        ({"width": "wide"}, "'width' should be a valid integer"),
        ({"rate": "nan"}, "'rate' should be"),
        ({"kind": "c"}, "'kind' should be 'a' or 'b'"),
    ],
)
def test_bad_settings_get_one_sentence(settings, sentence):
    with pytest.raises(BenchmarkError, match=sentence):
        Example.build(None, settings)


def test_an_unknown_preset_gets_the_closest_one():
    with pytest.raises(BenchmarkError, match="There is no preset 'bigg'; did you mean 'big'"):
        Example.build("bigg")


def test_the_description_holds_everything_that_was_declared():
    assert Example.describe("big")[0] == {
        "name": "width",
        "type": "int",
        "value": 512,
        "bounds": ">= 8, <= 1024",
        "search": "16 to 256 (log)",
        "help": "Width of every layer.",
    }


def test_choices_are_described_as_they_are_typed():
    kind = Example.describe()[2]
    assert (kind["type"], kind["search"], kind["bounds"]) == ("a | b", "a | b", "")


def test_the_digest_knows_values_and_nothing_else():
    assert Example().digest() == Example.build(None, {"width": "64"}).digest()
    assert Example().digest() != Example.build("big").digest()


def test_a_configuration_cannot_be_changed():
    with pytest.raises(Exception, match="frozen"):
        Example().width = 3


def test_another_default_keeps_bounds_search_range_and_help():
    """Of the parent nothing changes."""

    class Parent(MethodConfig):
        rate: float = parameter(0.1, gt=0, le=1, search=(0.01, 1.0), log=True, help="How fast.")

    class Child(Parent):
        rate: float = with_default(Parent, "rate", 0.5)

    (parent,), (child,) = Parent.describe(), Child.describe()
    assert (parent.pop("value"), child.pop("value")) == (0.1, 0.5)
    assert parent == child
    with pytest.raises(BenchmarkError, match="rate"):
        Child.build(settings={"rate": "2"})


class Trained(MethodConfig):
    steps: int = parameter(10, ge=1, le=100, budget=True, help="Steps.")
    epochs: int = parameter(3, ge=0, budget=True, help="Epochs.")
    width: int = parameter(8, ge=1, help="Width.")


@pytest.mark.parametrize(("factor", "steps", "epochs"), [(1, 10, 3), (4, 40, 12), (0.5, 5, 2), (0.01, 1, 1)])
def test_a_budget_multiplies_what_says_how_long_training_takes(factor, steps, epochs):
    found = Trained(width=5).at_budget(factor)
    assert found.model_dump() == {"steps": steps, "epochs": epochs, "width": 5}


def test_a_budget_that_cannot_be_is_refused_in_one_sentence():
    with pytest.raises(BenchmarkError, match=r"'steps' .*less than or equal to 100, but 110 was given"):
        Trained().at_budget(11)
    with pytest.raises(BenchmarkError, match="no length of training that a budget could change"):
        Example().at_budget(2)
