"""How a study went, and which hyper-parameters made a difference, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna import create_study
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from benchmark.tuning.plan import Direction

INK, MUTED, GRID = "#1f2430", "#5b6472", "#d9dde3"
VALUE, BEST = "#6b6b6b", "#1b6ca8"
DOTS_PER_INCH = 150
FEWEST = 4
"""Trials with a value below which nothing is said of importance."""


def draw_history(trials: Sequence[FrozenTrial], path: Path, *, title: str, direction: Direction) -> None:
    """Draw the values of trials in their order as a PNG, with the best so far.

    Parameters
    ----------
    trials
        Finished ones, at least one of them with a value. The first with a value is the default's.
    path
        The file to write.
    title
        Stands above the picture.
    direction
        ``"minimize"`` or ``"maximize"``.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    numbers = [trial.number for trial in complete]
    values = np.array([trial.value for trial in complete], dtype=float)
    best = (np.minimum if direction == "minimize" else np.maximum).accumulate(values)
    figure, panel = _picture(title, height=4)
    panel.plot(numbers, values, "o", color=VALUE, markersize=5, label="a configuration")
    panel.step(numbers, best, where="post", color=BEST, linewidth=2, label="the best so far")
    for state, marker, label in ((TrialState.PRUNED, "|", "ended early"), (TrialState.FAIL, "x", "failed")):
        ended = [trial.number for trial in trials if trial.state == state]
        if ended:
            floor = panel.get_xaxis_transform()
            panel.plot(ended, [0.02] * len(ended), marker, color=MUTED, transform=floor, label=label)
    panel.set_xlabel("trial", color=INK)
    panel.set_ylabel(f"objective ({'lower' if direction == 'minimize' else 'higher'} is better)", color=INK)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(frameon=False, fontsize=9)
    _save(figure, path)


def importances(
    trials: Sequence[FrozenTrial], names: Sequence[str], direction: Direction
) -> dict[str, float]:
    """How much of the variance of the objective each hyper-parameter explains alone; they add up to 1.

    Functional ANOVA (Hutter et al., ICML 2014) of the trials that drew all of `names`, by Optuna; empty where
    fewer than `FEWEST` have a value, or all the same.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    usable = [trial for trial in complete if set(trial.params) == set(names)]
    if len(usable) < FEWEST or len({trial.value for trial in usable}) == 1:
        return {}
    copy = create_study(direction=direction)
    copy.add_trials(usable)
    shares = get_param_importances(copy, params=list(names), evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(share) for name, share in shares.items()}


def draw_importances(shares: dict[str, float], path: Path, *, title: str) -> None:
    """Draw what `importances` returned, which must not be empty, as a PNG."""
    figure, panel = _picture(title, height=1.5 + 0.4 * len(shares))
    panel.barh(list(shares), list(shares.values()), color=BEST, height=0.6)
    panel.invert_yaxis()
    panel.set_xlabel("share of the variance of the objective, functional ANOVA", color=INK)
    _save(figure, path)


def _picture(title: str, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, height), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    panel.set_title(title, fontsize=11, color=INK, loc="left")
    panel.tick_params(labelsize=9, colors=MUTED, length=0)
    panel.grid(color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["bottom", "left"]].set_color(GRID)
    return figure, panel


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
