"""The checks: one claim each, in the order in which a failure is easiest to understand."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import NotFittedError
from benchmark.perturbation import Perturbation
from benchmark.testing.case import CELLS, Case, rebuilt

MEAN_TOLERANCE = 1e-6
"""How far the mean of float32 cells may be off the declared one: rounding."""

SCALE = 10.0
"""A perturbed cell has not so many times the expression of a control cell, in logs."""

CHECKS: list[Callable[[Case], None]] = []


class NonConformanceError(AssertionError):
    """A method does not do what every method must."""


def check(function: Callable[[Case], None]) -> Callable[[Case], None]:
    """Add a check to the suite."""
    CHECKS.append(function)
    return function


def require(condition: bool, sentence: str) -> None:
    """Raise the sentence unless the condition holds."""
    if not condition:
        raise NonConformanceError(sentence)


def _require_same(found: Sequence[np.ndarray], due: Sequence[np.ndarray], sentence: str) -> None:
    """Require equal answers to the last bit, or raise the sentence with how many differ and by how much."""
    require(len(found) == len(due), f"{sentence} ({len(found)} answers, not {len(due)}.)")
    other = [(one, two) for one, two in zip(found, due, strict=True) if not np.array_equal(one, two)]
    sizes = [np.abs(one - two).max() if one.shape == two.shape else np.inf for one, two in other]
    require(
        not other,
        f"{sentence} ({len(other)} of {len(due)} answers differ, by at most {max(sizes, default=0):.2g}.)",
    )


@check
def check_constructor_only_stores(case: Case) -> None:
    """The constructor keeps configuration, seed and device, and does nothing else."""
    method = case.method_class(case.config, seed=3, device="cpu")
    require(
        vars(method) == {"config": case.config, "seed": 3, "device": "cpu"},
        f"The constructor of {method.name} sets {sorted(vars(method))}; it stores config, seed and device.",
    )


@check
def check_configuration_round_trips(case: Case) -> None:
    """A configuration written as JSON and read again is the same, and every field explains itself."""
    config_class = case.method_class.Config
    for preset in ["default", *config_class.presets]:
        config = config_class.build(preset)
        again = config_class.model_validate_json(config.model_dump_json())
        require(again == config, f"The preset {preset} does not survive JSON.")
    for name, field in config_class.model_fields.items():
        require(bool(field.description), f"The hyper-parameter {name} has no help.")


@check
def check_unfitted_methods_refuse(case: Case) -> None:
    """Predicting before fitting raises NotFittedError."""
    try:
        case.ask(case.new())
    except NotFittedError:
        return
    raise NonConformanceError(
        f"{case.method_class.name} predicts before it is fitted; call require_fitted first."
    )


@check
def check_fit_returns_the_method(case: Case) -> None:
    """`fit` returns self."""
    method, returned = case.observed_fit.result
    require(returned is method, "fit does not return self.")


@check
def check_answers_have_the_promised_form(case: Case) -> None:
    """One finite, non-negative float32 (cells, genes) array per perturbation."""
    answers = case.answers
    require(len(answers) == len(case.panel.questions), "predict does not answer every question once.")
    for cells in answers:
        require(
            isinstance(cells, np.ndarray) and cells.dtype == np.float32, "Predictions are not float32 arrays."
        )
        shape = (CELLS, case.panel.dataset.adata.n_vars)
        require(cells.shape == shape, f"A prediction has shape {cells.shape}, not {shape}.")
        require(bool(np.isfinite(cells).all()), "A prediction is not finite.")
        require(bool((cells >= 0).all()), "A prediction is negative; expression never is.")
        if case.fitted.expression == "counts":
            whole = bool((cells == np.round(cells)).all())
            require(whole, "A prediction of counts holds what is no whole number; draw counts.")


@check
def check_answers_are_on_the_scale_of_the_cells(case: Case) -> None:
    """Predictions are log1p CP10K, as the cells that are given, or counts at their depth."""
    control, is_counts = case.panel.control, case.fitted.expression == "counts"
    given = float((control.layers["counts"] if is_counts else control.X).sum(axis=1).mean())
    found = float(np.mean([cells.sum(axis=1).mean() for cells in case.answers]))
    wanted = "counts at the depth of the control cell" if is_counts else "log1p CP10K"
    require(
        found < SCALE * given,
        f"A predicted cell sums to {found:,.0f} on average and a control cell to {given:,.0f}: predictions "
        f"seem to be on another scale, such as CP10K without the logarithm; answer {wanted}.",
    )


@check
def check_cells_have_the_declared_mean(case: Case) -> None:
    """Where a method says what mean it predicts, its cells have that mean, however many there are."""
    questions = case.panel.questions
    declared = case.fitted.predict_mean(questions)
    if declared is None:
        return
    means = list(declared)
    require(len(means) == len(questions), "predict_mean does not answer every question once.")
    for question, mean, *answers in zip(questions, means, case.answers, case.ask_of_few(), strict=True):
        for cells in answers:
            found = cells.mean(axis=0, dtype=np.float64)
            gene = int(np.argmax(np.abs(found - mean)))
            require(
                bool(np.allclose(found, mean, rtol=0, atol=MEAN_TOLERANCE)),
                f"{case.method_class.name} says that the mean of {question} is {mean[gene]:.6g} in "
                f"{case.panel.dataset.adata.var_names[gene]}, but that of its {len(cells)} cells is "
                f"{found[gene]:.6g}; move the cells, or leave predict_mean as it is.",
            )


@check
def check_answers_keep_their_order(case: Case) -> None:
    """An answer depends neither on its place nor on what else is asked."""
    questions = case.panel.questions
    backwards = case.ask(case.fitted, questions[::-1])[::-1]
    _require_same(backwards, case.answers, "Asking in another order changes the answers.")
    alone = case.ask(case.fitted, questions[:1])
    _require_same(alone, case.answers[:1], "Asking one perturbation alone changes its answer.")


@check
def check_inputs_stay_as_they_are(case: Case) -> None:
    """Neither `fit` nor `predict` changes the cells that it is given."""
    changed = case.observed_fit.changes_given or case.observed_answers.changes_given
    require(not changed, "The cells that were given have been changed.")


@check
def check_same_seed_same_answers(case: Case) -> None:
    """The same seed gives the same numbers."""
    if _repeats(case):
        return
    _require_same(case.ask(case.fit(case.panel)), case.answers, "The same seed gave other numbers.")
    others = (check_data_sets_do_not_mix, check_test_cells_do_not_matter, check_only_what_is_given_matters)
    if all(_passes(check, case) for check in others):  # then nothing but chance is left
        require(case.repeats, "The same seed gave other numbers, though not in every fit.")


def _repeats(case: Case) -> bool:
    """Whether the hardest second fit gave the answers of the first, so that no check needs one of its own."""
    try:
        return case.repeats
    except Exception:  # the check that it is a matter of will meet it again
        return False


def _passes(check: Callable[[Case], None], case: Case) -> bool:
    try:
        check(case)
    except Exception:
        return False
    return True


@check
def check_global_state_is_left_alone(case: Case) -> None:
    """Random generators, warning filters and the working directory are as before."""
    changed = {*case.observed_fit.disturbs, *case.observed_answers.disturbs}
    if changed:  # a package that was imported on the way may have done it, and does it once
        again = case.observe_fit()
        changed &= {*again.disturbs, *case.observe_answers(again).disturbs}
    named = ", ".join(sorted(changed))
    require(not changed, f"{case.method_class.name} changes {named}, which belong to everybody.")


@check
def check_unseen_genes_get_an_answer_or_a_reason(case: Case) -> None:
    """A gene that was never perturbed, or not even measured, is predicted or refused with a reason."""
    seen = {gene for p in case.panel.split.train for gene in Perturbation.parse(p).genes}
    never = next(gene for gene in case.panel.dataset.adata.var_names if gene not in seen)
    for perturbation in (
        Perturbation((never,)),
        Perturbation(("NOT-MEASURED",)),
        Perturbation((never, min(seen))),
    ):
        reason = case.fitted.unsupported(perturbation)
        if reason is None:
            (cells,) = case.ask(case.fitted, [perturbation])
            require(bool(np.isfinite(cells).all()), f"The prediction of {perturbation} is not finite.")
        else:
            require(bool(reason.strip()), f"{perturbation} is refused without a reason.")


@check
def check_saved_methods_answer_alike_in_a_fresh_process(case: Case) -> None:
    """What `save` writes, `load` reads in a process that knows nothing else."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        case.fitted.save(folder / "method")
        case.panel.control.write_h5ad(folder / "control.h5ad")
        (folder / "questions.txt").write_text("\n".join(question.label for question in case.panel.questions))
        source = f"{inspect.getfile(case.method_class)}:{case.method_class.__qualname__}"
        done = subprocess.run(
            [sys.executable, "-m", "benchmark.testing.reload", source, str(folder)],
            capture_output=True,
            text=True,
            cwd=Path(inspect.getfile(Case)).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": str(case.fitted.threads_used)},
        )
        require(done.returncode == 0, f"Loading in a fresh process failed: {done.stderr.strip()[-500:]}")
        with np.load(folder / "answers.npz") as answers:
            again = [answers[str(index)] for index in range(len(answers))]
    _require_same(again, case.answers, "A saved and loaded method gives other numbers.")


@check
def check_data_sets_do_not_mix(case: Case) -> None:
    """Fitting one data set does not change what another fitted method, or a second fit, answers."""
    if _repeats(case):
        return
    before = case.answers
    other = case.fit(case.other_panel)
    _require_same(case.ask(case.fitted), before, "Fitting a second method changed the first one.")
    again = case.fit(case.panel, other)
    _require_same(case.ask(again), before, "A method that was fitted before learns something else.")


@check
def check_test_cells_do_not_matter(case: Case) -> None:
    """With other cells in the test part, more of them and elsewhere, predictions are the same bit for bit."""
    if _repeats(case):
        return
    method = case.fit(case.panel.with_other_test_cells())
    _require_same(case.ask(method), case.answers, "Predictions change with the test cells: there is a leak.")


@check
def check_only_what_is_given_matters(case: Case) -> None:
    """The same expression and labels under other cell names, and in new objects, give the same numbers."""
    if _repeats(case):
        return
    method = case.learn(case.new(), [rebuilt(cells) for cells in case.panel.views])
    _require_same(
        case.ask(method),
        case.answers,
        "Predictions change with the names of the cells, or with what stands behind them: a method learns "
        "from expression, counts and labels alone.",
    )
