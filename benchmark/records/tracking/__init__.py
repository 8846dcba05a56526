"""Runs in MLflow: opened before work begins, closed with what came of it, found again by their key.

Everything the board needs is in the tags of a run, so that one query reads a thousand of them; the
whole record, the table per perturbation and the prediction archive are its artifacts.
"""

from __future__ import annotations

import os

# All are read when MLflow is imported: no usage reports, no minutes of retries at a dead server, no bars.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from benchmark.records.tracking.open_run import Recording
from benchmark.records.tracking.store import EXPERIMENT
from benchmark.records.tracking.tags import SCORES, TAG_LENGTH, StoredRun, board_tags, coordinate_tags
from benchmark.records.tracking.tracker import Tracker

__all__ = [
    "EXPERIMENT",
    "SCORES",
    "TAG_LENGTH",
    "Recording",
    "StoredRun",
    "Tracker",
    "board_tags",
    "coordinate_tags",
]
