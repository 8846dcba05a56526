"""How many control cells there are, and how many are needed for their noise not to matter.

A change is the mean of perturbed cells minus that of control cells, whose noise is the same in all changes.
With S the variance over genes of a true change and N that of the noise of the control mean, a prediction that
knows nothing correlates with the real change by N / (S + N) where both sides share their control cells, and a
perfect one by 1 / (1 + N / S) where each side has as many of its own, apart from the noise of the perturbed
cells. Both are off by less than `SHARE` where N < `SHARE` S.

Control cells are matched to contexts and not to batches. A perturbation whose cells lie in other batches than
the control cells is judged by what differs between batches as well, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from benchmark.perturbation import IN_CONTEXT

if TYPE_CHECKING:
    from benchmark.data import Dataset
    from benchmark.splits import Split

SHARE = 0.05
"""By how much the control cells may change a correlation unnoticed."""


ELSEWHERE = 0.25
"""Which share of its cells would have to be of other batches for a perturbation to lie with control cells."""

CHANCE = 1e-3
"""Below which p-value, after Bonferroni's correction over the test perturbations, this is no chance."""


def count_controls(dataset: Dataset, split: Split) -> dict[str, int]:
    """Count the control cells of a split, in each context that is tested.

    Returns
    -------
    dict
        "given", "scored": cells that methods are given, and that real changes are measured against; or
        "shared", where they are the same. "needed": how many on each side make their noise less than `SHARE`
        of the changes of the test perturbations, on average; 0 where nothing is seen to change. "elsewhere":
        how many test perturbations lie in other batches than the control cells; absent where none does. Where
        the data have several contexts, each name stands behind one, ``K562::given``.
    """
    return {
        f"{context}{IN_CONTEXT}{name}" if context else name: count
        for context in split.contexts
        for name, count in _counts(dataset, split.of_context(context)).items()
    }


def _counts(dataset: Dataset, split: Split) -> dict[str, int]:
    from benchmark.data.blocks import moments
    from benchmark.splits.views import held_out_cells, matched_controls, scored_controls

    scored = dataset.adata.X[scored_controls(dataset, split)]
    centre, variance = moments(scored)
    noise = variance.mean() / scored.shape[0]
    signals = []
    for cells in held_out_cells(dataset, split).values():
        mean, own = moments(cells)
        signals.append(np.var(mean - centre) - own.mean() / cells.shape[0] - noise)
    signal = float(np.mean(signals))
    needed = int(np.ceil(variance.mean() / (SHARE * signal))) if signal > 0 else 0
    elsewhere = len(in_other_batches(dataset, split))
    counts = {"needed": needed} | ({"elsewhere": elsewhere} if elsewhere else {})
    if split.controls is None:
        return {"shared": scored.shape[0], **counts}
    given = int(matched_controls(dataset, split).sum())
    return {"given": given, "scored": scored.shape[0], **counts}


def in_other_batches(dataset: Dataset, split: Split) -> list[str]:
    """Return the test perturbations of one context whose cells lie in other batches than the control cells.

    That is where at least `ELSEWHERE` of the cells would have to be of other batches for the shares to be
    those of the control cells (total variation), and a chi-squared test finds that this is no chance.
    """
    from benchmark.contexts import BATCH, is_varied, labels_of, values_of
    from benchmark.splits.views import scored_controls

    obs = dataset.adata.obs
    if not is_varied(obs, BATCH):
        return []
    from scipy.stats import chi2_contingency  # a second, which data without batches are not to wait for

    names, batches = np.unique(values_of(obs, BATCH), return_inverse=True)
    labels, found = labels_of(obs), []
    control = np.bincount(batches[scored_controls(dataset, split)], minlength=len(names))
    for label in split.test:
        own = np.bincount(batches[labels == label], minlength=len(names))
        both = np.stack([own, control])[:, own + control > 0]
        shares = both / both.sum(axis=1, keepdims=True)
        if np.abs(shares[0] - shares[1]).sum() / 2 < ELSEWHERE:
            continue
        if chi2_contingency(both, correction=False).pvalue < CHANCE / len(split.test):
            found.append(label)
    return found


def about_controls(counts: Mapping[str, int]) -> str:
    """Say how many control cells there are, in each context that is tested, and whether these are few."""
    by_context: dict[str, dict[str, int]] = {}
    for name, count in counts.items():
        context, _, kind = name.rpartition(IN_CONTEXT)
        by_context.setdefault(context, {})[kind] = count
    return "; ".join(
        (f"in {context} " if context else "") + _about(found) for context, found in by_context.items()
    )


def _about(counts: dict[str, int]) -> str:
    least = min(count for side, count in counts.items() if side not in ("needed", "elsewhere"))
    if "shared" in counts:
        said = f"{counts['shared']:,} control cells, shared by methods and real changes"
        effect = "correlations count their noise as agreement"
    else:
        said = f"{counts['given']:,} control cells for methods, {counts['scored']:,} others for real changes"
        effect = "correlations of all rows are lower for their noise"
    if counts["needed"] > least:
        said += f": too few, {effect} by more than {SHARE:g}; {counts['needed']:,} on a side would do"
    if "elsewhere" in counts:
        said += (
            f"; of the test perturbations {counts['elsewhere']:,} in other batches than these, so that what "
            "differs between batches is taken for their change"
        )
    return said
