"""A subject whose numbers can be computed by hand: three genes, two test perturbations, few cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.data import Dataset
from benchmark.data.cards import DatasetCard
from benchmark.evaluation.metrics import Reference
from benchmark.records.record import Coordinates, Record, Summary
from benchmark.report.refit import Cascade
from benchmark.report.subject import Subject
from benchmark.splits import Split

GENES = ["A", "B", "C"]
CELLS = {
    "control": [[0, 1, 1], [0, 1, 3], [0, 1, 2], [0, 1, 2]],
    "A": [[2, 1, 2], [2, 1, 2]],
    "B": [[0, 3, 1], [0, 3, 1]],
    "A+B": [[2, 3, 3], [2, 3, 3]],
    "C": [[0, 1, 6], [0, 1, 6]],
}
PREDICTED = {"A+B": [[2, 3, 1], [2, 3, 1]], "C": [[0, 1, 4], [0, 1, 4]]}
GROUPS = {"A+B": "combo_seen2", "C": "unseen_single"}
SCORES = {"mse": [4 / 3, 1.0], "pearson": [0.5, None], "de_overlap_adjusted": [0.25, 0.75]}


def record(**changes: object) -> Record:
    """A record of both test perturbations."""
    at = Coordinates(
        method="own",
        method_version="1",
        configuration="default",
        config={"depth": 2},
        source_digest="0" * 64,
        dataset="made",
        dataset_digest="1" * 64,
        split="doubles",
        split_digest="2" * 64,
        seed=0,
        cells=2,
    )
    kept = {
        "coordinates": at,
        "status": "finished",
        "run_id": "abcdef0123456789",
        "started": "2026-01-01T00:00:00+00:00",
        "device": "cpu",
        "versions": {},
        "seconds": {"total": 1.0},
        "peak_memory_mb": 1.0,
        "coverage": 1.0,
        "fallbacks": {},
        "metrics": {name: Summary(mean=1.0, n=2, missing=0) for name in SCORES},
        "metric_versions": dict.fromkeys(SCORES, "1"),
        "perturbations": ["A+B", "C"],
        "groups": list(GROUPS.values()),
        "scores": SCORES,
        "archive": "predictions.h5ad",
    }
    return Record(**{**kept, **changes})


def subject(**changes: object) -> Subject:
    """The subject of that record."""
    labels = [label for label, cells in CELLS.items() for _ in cells]
    values = np.array([row for cells in CELLS.values() for row in cells], dtype=np.float32)
    obs = pd.DataFrame({"perturbation": pd.Categorical(labels)}, index=[str(n) for n in range(len(labels))])
    adata = AnnData(csr_matrix(values), obs=obs, var=pd.DataFrame(index=GENES))
    split = Split(
        dataset="made",
        scheme="doubles",
        seed=0,
        train=("A", "B"),
        validation=(),
        test=("A+B", "C"),
        groups=GROUPS,
        generator="by hand",
        parameters={},
        dataset_digest="1" * 64,
    )
    cells = {label: np.array(rows, dtype=np.float32) for label, rows in CELLS.items()}
    parts = {
        "record": record(),
        "dataset": Dataset("made", adata, "1" * 64, DatasetCard(name="made")),
        "split": split,
        "reference": Reference.of(
            cells["control"], GENES, train={g: cells[g] for g in "AB"}, singles={g: cells[g] for g in "AB"}
        ),
        "predicted": {label: np.array(rows, dtype=np.float32) for label, rows in PREDICTED.items()},
        "predicts": "cells",
        "chosen": ("A+B", "C"),
        "curves": {},
        "cascade": Cascade(),
    }
    return Subject(**{**parts, **changes})


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height, as the header of a PNG has them."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
