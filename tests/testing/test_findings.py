"""All that is wrong with a method at once, from Python and from the command line."""

from __future__ import annotations

import json

import numpy as np

from benchmark.testing import CHECKS, Case, findings
from methods.additive import Additive
from methods.train_mean import TrainMean

BROKEN = """
import numpy as np
from methods.train_mean import TrainMean

class Broken(TrainMean):
    name = "broken"

    def fit(self, train, validation):
        np.random.random()
        super().fit(train, validation)

class Raises(TrainMean):
    name = "raises"

    def fit(self, train, validation):
        return train.X @ np.ones(3)
"""


class WithoutLogarithm(TrainMean):
    def predict_mean(self, perturbations):
        return None

    def predict(self, control, perturbations):
        self.require_fitted()
        yield from (np.expm1(control.X.toarray()) for _ in perturbations)


class OneArray(Additive):
    def predict(self, control, perturbations):
        array = np.empty(control.shape, dtype=np.float32)
        for cells in super().predict(control, perturbations):
            array[:] = cells
            yield array


def problems(method_class) -> dict[str, str]:
    """What is wrong, by check."""
    return {found.check: found.problem for found in findings(Case(method_class)) if found.problem}


def test_a_method_that_conforms_has_no_problem_and_every_check_says_what_it_claims():
    found = list(findings(Case(OneArray)))
    assert [each.problem for each in found] == [None] * len(CHECKS)
    assert all(each.claim.endswith(".") for each in found)


def test_values_without_the_logarithm_are_called_that():
    found = problems(WithoutLogarithm)
    assert "CP10K without the logarithm" in found.pop("answers_are_on_the_scale_of_the_cells")
    assert not found


def test_everything_that_is_wrong_is_named_at_once(type_, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(BROKEN)
    code, out, _ = type_("check", f"{path}:Broken")
    assert code == 1
    wrong = [line for line in out.splitlines() if line.startswith("WRONG")]
    assert [line.split()[1] for line in wrong] == ["fit", "broken"]
    assert "broken: 17 of 19 checks passed, 2 failed" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_method_that_cannot_be_fitted_is_told_with_the_line_of_its_code(type_, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(BROKEN)
    code, out, _ = type_("check", f"{path}:Raises", "--json")
    *passed, last = json.loads(out)
    assert code == 1
    assert [each["problem"] for each in passed] == [None] * len(passed)
    assert last["problem"].startswith("It raises ValueError: ")
    assert f"\n  {path}:16, in fit: return train.X @ np.ones(3)" in last["problem"]
