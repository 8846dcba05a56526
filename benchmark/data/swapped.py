"""Whether the control cells of a context look like its other cells, or as if contexts had been mixed up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.contexts import CONTEXT, contexts_of, values_of
from benchmark.data.blocks import row_blocks
from benchmark.perturbation import CONTROL

if TYPE_CHECKING:
    from anndata import AnnData


def strange_controls(adata: AnnData) -> list[str]:
    """Name contexts whose perturbed cells are nearer to the control cells of another.

    Distances are Euclidean, between mean expression over cells, log1p of counts per 10,000: contexts differ
    in far more genes than a usual perturbation changes.

    Parameters
    ----------
    adata
        In canonical form.

    Returns
    -------
    list of str
        A sentence each, without a full stop; none where there are not several contexts.
    """
    names = contexts_of(adata.obs)
    if len(names) < 2:
        return []
    control = (adata.obs["perturbation"] == CONTROL).to_numpy()
    place = np.searchsorted(names, values_of(adata.obs, CONTEXT).astype(str))
    sums, counts = np.zeros((2, len(names), adata.n_vars)), np.zeros((2, len(names), 1))
    for part in row_blocks(adata.shape):
        cells = adata.X[part]
        for kind, context in {*zip(control[part].tolist(), place[part].tolist(), strict=True)}:
            rows = np.flatnonzero((control[part] == kind) & (place[part] == context))
            sums[int(kind), context] += np.asarray(cells[rows].sum(axis=0, dtype=np.float64)).ravel()
            counts[int(kind), context] += len(rows)
    perturbed, controls = sums / np.maximum(counts, 1)
    apart = ((perturbed[:, None] - controls[None]) ** 2).sum(axis=2)
    nearest = apart.argmin(axis=1)
    return [
        f"the cells of context '{name}' are nearer to the control cells of '{names[nearest[row]]}' than to "
        "its own; check that no contexts were mixed up"
        for row, name in enumerate(names)
        if counts[0, row] and nearest[row] != row
    ]
