"""One pair of a real and a predicted screen, as counts and as log values, and what cell-eval2 makes of both.

python tests/evaluation/metrics/cell_eval2_pair.py

writes ``cell_eval2.json`` anew, with an interpreter that has ``cell-eval2`` and ``pdex`` (and no more of this
project than this file): the reference values that the fast tests hold ours against.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

RECORDED = Path(__file__).with_name("cell_eval2.json")
CONTROL = "control"
GENES = tuple(f"G{number}" for number in range(400))
LABELS = tuple(f"G{number}" for number in range(10, 24))
NO_EFFECT, FEW_GENES, SILENT, FEW_CELLS, NOISE = LABELS[:5]
"""No real effect; fewer than ten real DE genes; predicted as control; fewer predicted cells; many of them."""

CELLS = 60
PREDICTED_CELLS = {FEW_CELLS: 25, NOISE: 90}
SETTINGS = {"auc_pval_floor": "clip"}
"""As cell-eval does, and as metrics here: false discovery rates below 1e-10 are all as good."""

Side = dict[str, np.ndarray]


def screens(seed: int = 7) -> tuple[Side, Side]:
    """Draw real and predicted counts, float64 (cells, genes), of all labels; both with the same controls."""
    rng = np.random.default_rng(seed)
    base = rng.lognormal(0, 2, len(GENES))
    base[300:320] = 1e-3  # too rare to be tested, and there all the same
    base *= 2e4 / base.sum()
    shared = np.where(rng.random(len(GENES)) < 0.1, rng.normal(0, 0.5, len(GENES)), 0)

    def cells(n: int, log_fold: np.ndarray) -> np.ndarray:
        rate = base * np.exp(log_fold) * rng.lognormal(0, 0.3, (n, 1))
        return rng.poisson(rng.gamma(4, rate / 4)).astype(float)

    real: Side = {CONTROL: cells(80, np.zeros(len(GENES)))}
    predicted: Side = {}
    for label in LABELS:
        touched = rng.random(len(GENES)) < {NO_EFFECT: 0, FEW_GENES: 0.015}.get(label, 0.3)
        effect = (shared + rng.normal(0, 0.7, len(GENES))) * touched
        if label not in (NO_EFFECT, FEW_GENES):
            effect[GENES.index(label)] = -2.5
        guess = 0 if label == SILENT else 0.3 * effect + rng.normal(0, 0.45, len(GENES))
        real[label] = cells(CELLS, effect)
        predicted[label] = cells(PREDICTED_CELLS.get(label, CELLS), np.zeros(len(GENES)) + guess)
    return real, predicted


def logs(side: Side) -> Side:
    """log1p of counts per 10,000, float32."""
    return {
        label: np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
        for label, counts in side.items()
    }


def digest(sides: tuple[Side, Side]) -> str:
    """By what it is seen that both interpreters drew the same counts."""
    found = hashlib.sha256()
    for side in sides:
        for cells in side.values():
            found.update(cells.astype("<i8").tobytes())
    return found.hexdigest()


def one_guess(predicted: Side) -> Side:
    """Predict the same cells for every label: what one perturbation is said to do."""
    return dict.fromkeys(predicted, predicted[LABELS[-1]])


def cell_eval2_scores(holds: str, profile: str = "full", guess: bool = False) -> dict[str, Any]:
    """Score the pair with cell-eval2: metric -> label -> value, and what it says of all labels together."""
    from cell_eval2 import aggregate_metrics, compute_metrics

    real, predicted = (side if holds == "counts" else logs(side) for side in screens())
    if guess:
        predicted = one_guess(predicted)
    table = compute_metrics(
        annotated(predicted | {CONTROL: real[CONTROL]}), annotated(real), config=_config(holds, profile)
    )
    together = {row["metric"]: row["mean"] for row in aggregate_metrics(table).to_dicts()}
    found: dict[str, Any] = {}
    for row in table.to_dicts():
        found.setdefault(row["metric"], {})[row["perturbation"]] = row["value"]
    return {"perturbations": found, "together": together}


def cell_eval2_anchors() -> dict[str, dict[str, float]]:
    """Anchors of the suite of 2026 on the real counts, and the scores of the pair between them."""
    from cell_eval2 import build_generic_baseline
    from cell_eval2.anchor import compute_replicate_anchor
    from cell_eval2.catalog import CATALOG
    from cell_eval2.score import _replicate_entries
    from cell_eval2.scoring import score_one

    real = annotated(screens()[0])
    config = _config("counts", "vcc2026")
    wide = build_generic_baseline(real, config=config, allow_degenerate=True).agg.to_dicts()
    mean = next(row for row in wide if row["statistic"] == "mean")
    _, anchor = compute_replicate_anchor(real, config=config)
    six = [name for name in mean if name in CATALOG and CATALOG[name].scoring.scored]
    replicate = {row["metric"]: row["replicate"] for row in anchor.to_dicts() if row["metric"] in six}
    low = {name: mean[name] for name in six}
    scales = _replicate_entries(low, anchor)
    values = cell_eval2_scores("counts", "vcc2026")["together"]
    scaled = {name: score_one(values[name], scales[name].base, scales[name].scoring) for name in six}
    return {"baseline": low, "replicate": replicate, "scaled": scaled}


def annotated(side: Side) -> Any:
    """Join the cells of all labels as an AnnData."""
    import anndata
    import pandas as pd

    labels = np.repeat(list(side), [len(cells) for cells in side.values()])
    obs = pd.DataFrame({"perturbation": labels}, index=[f"cell{row}" for row in range(len(labels))])
    return anndata.AnnData(np.concatenate(list(side.values())), obs, pd.DataFrame(index=list(GENES)))


def _config(holds: str, profile: str) -> Any:
    from cell_eval2 import EvalConfig
    from cell_eval2.config import DEParams

    return EvalConfig(
        metrics=profile,
        pert_col="perturbation",
        control=CONTROL,
        input_type=holds,  # type: ignore[arg-type]
        de=DEParams(backend="pdex", **SETTINGS),  # type: ignore[arg-type]
        num_threads=1,
        device="cpu",
    )


def record() -> None:
    """Write the reference values."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    about = {name: version(name) for name in ("cell-eval2", "pdex")}
    scores = {holds: cell_eval2_scores(holds) for holds in ("counts", "lognorm")}
    scores["one_guess"] = cell_eval2_scores("counts", "anndata", guess=True)
    scores["anchors"] = cell_eval2_anchors()
    written = {"versions": about, "settings": SETTINGS, "digest": digest(screens()), **scores}
    text = json.dumps(written, indent=1, sort_keys=True).replace("NaN", "null")
    RECORDED.write_text(text + "\n")


if __name__ == "__main__":
    record()
