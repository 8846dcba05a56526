"""Cheating submissions: what somebody may hand in that looks better than it predicts.

An attack starts from honest predictions and uses what every participant has: the control cells, the gene
names and the labels that are asked for. It ends in the file that would be handed in: those that `cheat`
declares change predicted cells, those of `cheat_in_file` the file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from anndata import AnnData

from benchmark.means import MovableCells
from benchmark.perturbation import CONTROL
from tests.evaluation.attacks.case import Attack, Edit, Known, Predictions, as_file, spiked, with_changes

SPIKE = 6.0  # log1p of 400 counts per 10,000
MOST = float(np.log1p(1e4))  # all counts of a cell in one gene

ATTACKS: list[Attack] = []
Change: TypeAlias = Callable[[Predictions, Known], Predictions]


def cheat(does: str, why: str, raises: str = "", **options: Any) -> Callable[[Change], Change]:
    """Declare a change of the predicted cells; what it returns is cut to possible values."""

    def declare(change: Change) -> Change:
        def submit(predicted: Predictions, known: Known) -> AnnData:
            changed = change(predicted, known)
            return as_file({label: np.clip(cells, 0, MOST) for label, cells in changed.items()}, known)

        raised = frozenset(raises.split())
        ATTACKS.append(Attack(change.__name__, does, why, submit, raised, options=options))
        return change

    return declare


def cheat_in_file(does: str, why: str, **options: Any) -> Callable[[Edit], Edit]:
    """Declare an edit of the file that can still be scored."""

    def declare(edit: Edit) -> Edit:
        def submit(predicted: Predictions, known: Known) -> AnnData:
            return edit(as_file(predicted, known))

        ATTACKS.append(Attack(edit.__name__, does, why, submit, options=options))
        return edit

    return declare


# Attacks on the cells


@cheat(
    "hands in all real control cells for every perturbation",
    "This is what `no_change` predicts, and scores the same; as many cells as asked for are drawn from them.",
)
def copied_control(predicted: Predictions, known: Known) -> Predictions:
    return dict.fromkeys(predicted, known.control)


@cheat(
    "sets the perturbed genes themselves very high",
    "Where a screen activates genes, as `simulated` does, this is true and pays; it is a fact about the "
    "screen that everybody may use, and says nothing about other genes. The `pds` ranks leave targets out.",
    raises="pearson",
)
def own_targets_up(predicted: Predictions, known: Known) -> Predictions:
    return spiked(predicted, known.targets, SPIKE)


@cheat(
    "sets the perturbed genes themselves to zero",
    "True of a knock-down, where it hardly shows among all genes; false of `simulated`, where it costs.",
)
def own_targets_off(predicted: Predictions, known: Known) -> Predictions:
    return spiked(predicted, known.targets, 0.0)


@cheat(
    "sets the genes that the other perturbations of the panel target, and its own do not, very high",
    "It marks which perturbation a prediction is not, which pays in a knock-down screen where a rank is "
    "taken over all genes; the `pds` ranks leave the targets of the whole panel out.",
)
def other_targets_up(predicted: Predictions, known: Known) -> Predictions:
    return spiked(predicted, lambda label: _others(label, predicted, known), SPIKE)


@cheat(
    "sets the same genes to zero",
    "The same for a screen that activates genes, such as `simulated`.",
)
def other_targets_off(predicted: Predictions, known: Known) -> Predictions:
    return spiked(predicted, lambda label: _others(label, predicted, known), 0.0)


def _others(label: str, predicted: Predictions, known: Known) -> list[int]:
    return sorted(set(known.targets(*predicted)) - set(known.targets(label)))


@cheat(
    "adds 0.5 to every gene in every cell",
    "A correlation does not see a constant, but the squared error does. Against its spread, a shift is "
    "largest in genes that are expressed, where a test finds changes: that is not quite nothing.",
    raises="de_overlap_adjusted",
)
def shifted_up(predicted: Predictions, known: Known) -> Predictions:
    return {label: cells + 0.5 for label, cells in predicted.items()}


@cheat(
    "subtracts 0.5 from every gene in every cell",
    "Where most genes fall, saying that all fall has most directions right, which balancing takes away; "
    "genes without expression cannot fall, so that the change has the shape of the expression.",
    raises="de_overlap_adjusted",
)
def shifted_down(predicted: Predictions, known: Known) -> Predictions:
    return {label: cells - 0.5 for label, cells in predicted.items()}


@cheat(
    "doubles the spread of the cells around the same mean",
    "Means do not move, which is all that the headline metrics see.",
)
def more_spread(predicted: Predictions, known: Known) -> Predictions:
    return {
        label: MovableCells(2 * cells - cells.mean(axis=0)).to(cells.mean(axis=0, dtype=np.float64))
        for label, cells in predicted.items()
    }


@cheat(
    "draws all cells together to 1 % of their spread around the same mean",
    "Nearly every gene passes the test, whatever is known about it; the headline metrics do not test "
    "predicted cells.",
)
def no_spread(predicted: Predictions, known: Known) -> Predictions:
    means = {label: cells.mean(axis=0) for label, cells in predicted.items()}
    return {label: means[label] + (cells - means[label]) / 100 for label, cells in predicted.items()}


@cheat(
    "hands in every cell ten times, with a little noise, so that no two are the same",
    "As many cells as asked for are drawn from the file, so that more of them do not count.",
)
def many_cells(predicted: Predictions, known: Known) -> Predictions:
    return _copies(predicted)


@cheat(
    "the same, and asks to have all 2,560 cells scored (`cells=2560`)",
    "With more cells smaller changes pass the test, which `de_overlap` and `de_recall` pay for. The headline "
    "metrics do not test predicted cells, and the number of cells is part of a run's record. Where nothing "
    "changes, the noise that tells copies apart is a change of its own, larger in expressed genes.",
    cells=2560,
    raises="de_overlap_adjusted",
)
def many_cells_scored(predicted: Predictions, known: Known) -> Predictions:
    return _copies(predicted)


def _copies(predicted: Predictions) -> Predictions:
    rng = np.random.default_rng(0)
    tiled = {label: np.tile(cells, (10, 1)) for label, cells in predicted.items()}
    return {label: cells * (1 + 1e-3 * rng.random(cells.shape)) for label, cells in tiled.items()}


@cheat(
    "moves every gene by a large random number, the same for all perturbations",
    "With every gene called, DE overlap is what chance gives: the share of genes that really change. The "
    "adjusted one is zero there.",
)
def every_gene_called(predicted: Predictions, known: Known) -> Predictions:
    moves = np.random.default_rng(0).normal(0, 1, len(known.genes))
    return with_changes(predicted, known, lambda change: change + moves)


@cheat(
    "doubles every change from control",
    "The order of genes stays and more of them pass the test, which `de_overlap` pays for; the squared error "
    "pays for the rest.",
)
def exaggerated(predicted: Predictions, known: Known) -> Predictions:
    return with_changes(predicted, known, lambda change: 2 * change)


@cheat(
    "halves every change from control",
    "Caution pays in squared error where a prediction is mostly wrong: that is what regularised models do.",
)
def timid(predicted: Predictions, known: Known) -> Predictions:
    return with_changes(predicted, known, lambda change: change / 2)


@cheat(
    "doubles what sets a prediction apart from the mean of all predictions",
    "It helps to tell perturbations apart only as far as the differences are right.",
)
def contrasted(predicted: Predictions, known: Known) -> Predictions:
    control = known.control.mean(axis=0, dtype=np.float64)
    mean = np.mean([cells.mean(axis=0, dtype=np.float64) for cells in predicted.values()], axis=0) - control
    return with_changes(predicted, known, lambda change: 2 * change - mean)


@cheat(
    "hands in values under the wrong gene names",
    "Genes are found by their names, so that this is another, wrong prediction.",
)
def wrong_gene_names(predicted: Predictions, known: Known) -> Predictions:
    order = np.random.default_rng(0).permutation(len(known.genes))
    return {label: cells[:, order] for label, cells in predicted.items()}


@cheat(
    "answers one perturbation and leaves out the others (`allow_missing`)",
    "What is missing is scored as the train mean and counted as a fallback: whoever is worse than that "
    "gains, up to the train mean and no further.",
    raises="de_overlap_adjusted direction_balanced pearson",
    allow_missing=True,
)
def mostly_skipped(predicted: Predictions, known: Known) -> Predictions:
    first = next(iter(predicted))
    return {first: predicted[first]}


# Attacks on the file


@cheat_in_file(
    "hands in control cells of its own, at half of their expression, so that every gene seems to rise",
    "Both sides are compared with the real control cells; those of the file are never used, and a note says "
    "so.",
)
def moved_control(file: AnnData) -> AnnData:
    file.X[(file.obs["perturbation"] == CONTROL).to_numpy()] /= 2
    return file


@cheat_in_file(
    "hands in the same genes in another order",
    "Not an attack: genes are found by their names, so that nothing changes.",
)
def reordered_genes(file: AnnData) -> AnnData:
    return file[:, np.random.default_rng(0).permutation(file.n_vars)].copy()
