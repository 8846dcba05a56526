"""Both anchors of a context, which are the same for all methods: computed once, and kept by content."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.kept import code_digest
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.machine.paths import cache_folder, replacing
from benchmark.studies.vcc2026.anchors import baseline, mean_of, replicate
from benchmark.studies.vcc2026.suite import SIX, Context

Anchors = tuple[dict[str, float], dict[str, float]]


def anchors(context: Context, seed: int, halvings: int) -> Anchors:
    """Return what the mean response and a replicate score, see `baseline` and `replicate`.

    Parameters
    ----------
    context
        The real cells.
    seed, halvings
        Of the draws.
    """
    path = cache_folder("anchors") / f"{_digest(context, seed, halvings)[:32]}.json"
    # A damaged file is as good as none.
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(path.read_text())
        low, high = ({name: float(found[end][name]) for name in SIX} for end in ("low", "high"))
        return low, high
    low, high = baseline(context, seed), mean_of(replicate(context, seed, halvings))
    with suppress(BenchmarkError, OSError), replacing(path) as draft:
        draft.write_text(json.dumps({"low": low, "high": high}))
    return low, high


def _digest(context: Context, seed: int, halvings: int) -> str:
    """SHA-256 of all that they follow from: cells, genes, draws and code."""
    code = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    about = [code_digest(), list(context.genes), context.holds, seed, halvings, sorted(context.labels)]
    digest = hashlib.sha256(code + json.dumps(about).encode())
    for cells in (context.control, *(context.real[label] for label in sorted(context.labels))):
        _update(digest, cells)
    return digest.hexdigest()


def _update(digest: hashlib._Hash, cells: Matrix) -> None:
    parts = [cells] if isinstance(cells, np.ndarray) else [cells.indptr, cells.indices, cells.data]
    for part in parts:
        digest.update(np.ascontiguousarray(part).data)
