"""What is claimed of methods that look at contexts: whose control cells an answer lies around.

Two tiny contexts are simulated, of which the one that is asked shows control cells alone. Then the same cells
are learned again with every other gene of the asked context four times as high, and the genes between these
four times as high in the other context. Changes within a context hardly differ by that. So an answer has to
rise with the control cells of its own context, and not with those of the other. Of a method that says means
that is asked to the letter. A network says none, and in the few steps of its training here it learns hardly
more than a level: of it is asked that it does not rise more with the other context than with its own.
"""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from benchmark.counted import worth_of_counts
from benchmark.errors import BenchmarkError
from benchmark.method import Method
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.testing.case import RAISED, Case, Panel, raised_contexts, tiny_contexts
from benchmark.testing.checks import MEAN_TOLERANCE, check, require

FOLLOWS, STAYS = 0.75, 0.25
"""By which part of what control cells rise an answer rises at least with its own, and at most with others."""
NOWHERE = "NEVER-SEEN"
"""A context of which nothing was seen in training."""


def _asked(case: Case) -> list[Perturbation]:
    """The test conditions that the method does not refuse."""
    method = case.of_contexts
    return [each for each in tiny_contexts().questions if method.unsupported(each) is None]


@check
def check_an_unseen_context_gets_an_answer_or_a_reason(case: Case) -> None:
    """A method that looks at contexts predicts for one that shows its controls alone, or says why not."""
    if not case.method_class.supports_contexts:
        return
    panel, method = tiny_contexts(), case.of_contexts
    reasons = {question: method.unsupported(question) for question in panel.questions}
    require(all(reason is None or reason.strip() for reason in reasons.values()), "A reason is empty.")
    asked = _asked(case)
    answers = [cells.copy() for cells in method.predict(panel.control, asked)]
    require(len(answers) == len(asked), "predict does not answer every question in a context once.")
    require(all(np.isfinite(cells).all() for cells in answers), "A prediction in a context is not finite.")
    for question, mean, cells in zip(asked, method.predict_mean(asked) or (), answers, strict=False):
        off = float(np.abs(cells.mean(axis=0, dtype=np.float64) - mean).max())
        require(
            off <= MEAN_TOLERANCE,
            f"{method.name} says another mean of {question.label} than its cells have, by {off:.2g}: it is "
            "that of the context that is asked.",
        )


@check
def check_a_context_without_controls_gets_an_answer_or_a_reason(case: Case) -> None:
    """Of a context of which no cell was seen in training, a method answers, or says in a sentence why not."""
    if not case.method_class.supports_contexts:
        return
    method, control = case.of_contexts, tiny_contexts().control
    control.obs["context"] = NOWHERE
    for each in _asked(case)[:1]:
        stranger = Perturbation(each.genes, NOWHERE)
        try:
            reason = method.unsupported(stranger)
            answers = [] if reason else list(method.predict(control, [stranger]))
        except BenchmarkError as error:
            reason, answers = str(error), []
        require(
            bool(answers) or bool(reason and reason.strip() and "\n" not in reason),
            f"{stranger.label}, of whose context nothing was seen, is refused without a sentence.",
        )
        require(
            all(np.isfinite(cells).all() for cells in answers), "A prediction in a context is not finite."
        )


@check
def check_an_answer_lies_around_the_controls_of_its_context(case: Case) -> None:
    """An answer rises with the control cells of its context, and not with those of another."""
    if not case.method_class.supports_contexts or not _asked(case):
        return
    name, rises = case.method_class.name, _rises(case)
    says_means = case.of_contexts.predict_mean([]) is not None
    require(
        rises["C2"] <= STAYS + (0 if says_means else max(rises["C1"], 0)),
        f"Where another context is higher, answers of {name} rise by {rises['C2']:.0%} of that: they lie "
        "around control cells of another context, and have to lie around those of the one that is asked.",
    )
    require(
        rises["C1"] >= FOLLOWS or not says_means,
        f"Where the control cells of the context that is asked are higher, answers of {name} rise by "
        f"{rises['C1']:.0%} of that: they have to lie around these cells.",
    )


def _rises(case: Case) -> dict[str, float]:
    """By which part of the rise of the control cells of each context answers in C1 rise, where genes do."""
    plain, raised = tiny_contexts(), raised_contexts()
    asked = _asked(case)
    moved = _mean_answer(case.of_raised_contexts, raised.control, asked)
    moved -= _mean_answer(case.of_contexts, plain.control, asked)
    found = {}
    for context, genes in RAISED.items():
        rise = (_control_mean(raised, context) - _control_mean(plain, context))[genes]
        found[context] = float(moved[genes] @ rise / (rise @ rise))
    return found


def _mean_answer(method: Method, control: AnnData, asked: list[Perturbation]) -> np.ndarray:
    """Mean over cells and questions, (genes,), log1p CP10K."""
    answers = [cells.astype(np.float64) for cells in method.predict(control, asked)]
    if method.expression == "counts":
        worth = worth_of_counts(control.X, control.layers["counts"])
        answers = [np.log1p(cells * worth[:, None]) for cells in answers]
    return np.mean([cells.mean(axis=0) for cells in answers], axis=0)


def _control_mean(panel: Panel, context: str) -> np.ndarray:
    """Mean of the control cells that methods are given of a context, (genes,)."""
    train, _ = panel.views
    rows = (train.obs["perturbation"] == CONTROL) & (train.obs["context"] == context)
    return np.asarray(train.X[rows.to_numpy()].mean(axis=0, dtype=np.float64)).ravel()
