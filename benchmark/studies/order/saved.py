"""Fitted methods, kept in the work folder until all predictions that rest on them are recorded."""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from pathlib import Path

from benchmark.machine.paths import project_home
from benchmark.records.archive import file_digest
from benchmark.runs.run import Fitted
from benchmark.studies.order.experiment import Training

METHOD = "method"
NOTE = "training.json"


def is_kept(training: Training) -> bool:
    """Whether there is a saved fit, sound or not."""
    return _folder(training).is_dir()


def keep(training: Training, fitted: Fitted) -> None:
    """Save a fit, whole or not at all."""
    folder = _folder(training)
    _work_folder().mkdir(parents=True, exist_ok=True)
    (_work_folder() / ".gitignore").write_text("*\n")
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    try:
        fitted.method.save(draft / METHOD)
        note = {
            "started": fitted.started,
            "seconds": fitted.seconds,
            "curves": fitted.curves,
            "processor_seconds": fitted.processor_seconds,
            "files": _digests(draft / METHOD),
        }
        (draft / NOTE).write_text(json.dumps(note))
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load(training: Training) -> Fitted | None:
    """Load the fit of a training; None where there is none, or a damaged one, which is deleted."""
    folder = _folder(training)
    if not folder.is_dir():
        return None
    try:
        note = json.loads((folder / NOTE).read_text())
        if note["files"] != _digests(folder / METHOD):
            raise ValueError("its files have changed")
        method = training.task.method_class.load(folder / METHOD)
        method.device = training.task.device
        curves = {name: [(step, value) for step, value in curve] for name, curve in note["curves"].items()}
        return Fitted(method, note["started"], note["seconds"], curves, note["processor_seconds"])
    except Exception as error:  # what a damaged file raises depends on how the method saves
        logging.getLogger("benchmark").warning(
            "The saved training of %s is damaged (%s) and is made again.", training.label, error
        )
        discard(training)
        return None


def discard(training: Training) -> None:
    """Delete the fit of a training, and what a killed process left of saving it."""
    folder = _folder(training)
    for path in (folder, *_work_folder().glob(f".{folder.name}.*.part")):
        shutil.rmtree(path, ignore_errors=True)


def _folder(training: Training) -> Path:
    return _work_folder() / training.key[:32]


def _work_folder() -> Path:
    return project_home() / "order"


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): file_digest(path) for path in files}
