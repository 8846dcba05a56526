"""How many control cells there are, and how many are needed for their noise not to matter.

A change is the mean of perturbed cells minus that of control cells, whose noise is the same in all changes.
With S the variance over genes of a true change and N that of the noise of the control mean, a prediction that
knows nothing correlates with the real change by N / (S + N) where both sides share their control cells, and a
perfect one by 1 / (1 + N / S) where each side has as many of its own, apart from the noise of the perturbed
cells. Both are off by less than `SHARE` where N < `SHARE` S.
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


def count_controls(dataset: Dataset, split: Split) -> dict[str, int]:
    """Count the control cells of a split, in each context that is tested.

    Returns
    -------
    dict
        "given", "scored": cells that methods are given, and that real changes are measured against; or
        "shared", where they are the same. "needed": how many on each side make their noise less than `SHARE`
        of the changes of the test perturbations, on average; 0 where nothing is seen to change. Where the
        data have several contexts, each name stands behind one, ``K562::given``.
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
    if split.controls is None:
        return {"shared": scored.shape[0], "needed": needed}
    given = int(matched_controls(dataset, split).sum())
    return {"given": given, "scored": scored.shape[0], "needed": needed}


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
    least = min(count for side, count in counts.items() if side != "needed")
    if "shared" in counts:
        said = f"{counts['shared']:,} control cells, shared by methods and real changes"
        effect = "correlations count their noise as agreement"
    else:
        said = f"{counts['given']:,} control cells for methods, {counts['scored']:,} others for real changes"
        effect = "correlations of all rows are lower for their noise"
    if counts["needed"] > least:
        said += f": too few, {effect} by more than {SHARE:g}; {counts['needed']:,} on a side would do"
    return said
