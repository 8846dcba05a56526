"""Runs with another budget, or with a part of the training perturbations."""

from __future__ import annotations

import pytest

from benchmark.board import build_board
from benchmark.errors import BenchmarkError
from benchmark.records.tracking import Tracker
from benchmark.runs.request import prepare
from benchmark.runs.run import fit, run
from tests.tiny import request, write_methods

pytestmark = pytest.mark.usefixtures("store")

METHODS = """
from benchmark.config import MethodConfig, parameter
from methods.additive import Additive

class Config(MethodConfig):
    steps: int = parameter(8, ge=1, budget=True, help="Steps.")

class Learns(Additive):
    name = "learns"
    Config = Config

    def fit(self, train, validation):
        self.seen_ = sorted(set(train.obs["perturbation"].astype(str)) - {"control"})
        return super().fit(train, validation)
"""


@pytest.fixture
def learns(tmp_path):
    return f"{write_methods(tmp_path, METHODS)}:Learns"


def test_a_budget_changes_the_configuration_and_the_label(screen, learns):
    at = prepare(request(screen, learns, budget=0.25)).coordinates
    assert (at.config, at.budget, at.configuration) == ({"steps": 2}, 0.25, "default, budget=0.25")
    same = prepare(request(screen, learns, settings={"steps": 2})).coordinates
    assert same.key != at.key


def test_the_whole_has_the_key_that_it_had_before_there_were_parts(screen, learns):
    at = prepare(request(screen, learns)).coordinates
    assert "budget" not in at.configuration
    assert at.key == at.model_copy(update={"budget": 1.0, "train_share": 1.0}).key
    assert at.key != at.model_copy(update={"train_share": 0.5}).key


def test_a_method_gets_the_part_and_is_asked_for_the_whole_test(screen, learns):
    whole, part = (prepare(request(screen, learns, train_share=share)) for share in (1, 0.5))
    assert fit(whole).method.seen_ == sorted(whole.split.train)
    seen = fit(part).method.seen_
    assert set(seen) < set(whole.split.train)
    assert len(seen) == len(part.learned_from.train)
    assert part.split == whole.split


def test_a_part_is_recorded_and_is_no_row(screen, learns):
    run(request(screen, learns))
    record, _ = run(request(screen, learns, train_share=0.5))
    assert record.coordinates.configuration == "default, train_share=0.5"
    assert record.processor_seconds >= 0
    (block,) = build_board(Tracker().runs())
    assert [row.label for row in block.rows] == ["learns"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"budget": 0}, "A budget is a positive number, but 0 was given"),
        ({"budget": float("inf")}, "A budget is a positive number, but inf was given"),
        ({"train_share": 0}, "share of the training perturbations is above 0 and up to 1, not 0"),
        ({"train_share": 1.5}, "share of the training perturbations is above 0 and up to 1, not 1.5"),
    ],
)
def test_parts_that_cannot_be_are_refused(screen, learns, options, sentence):
    with pytest.raises(BenchmarkError, match=sentence):
        prepare(request(screen, learns, **options))


def test_a_method_without_a_length_of_training_has_no_budget(screen):
    with pytest.raises(BenchmarkError, match="leave out --budget"):
        prepare(request(screen, "additive", budget=2))
