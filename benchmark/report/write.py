"""A report from a run to its files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.data import Dataset, load_dataset
from benchmark.data.blocks import LazyCells
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.evaluation.scoring import of_context, only
from benchmark.evaluation.submission import Predicts
from benchmark.machine.paths import project_home, replacing
from benchmark.records.lookup import ALL, Place, Within, finished_run, predictions, question_of, read_record
from benchmark.records.record import Record
from benchmark.records.tracking import Tracker
from benchmark.report.gallery import PICTURES
from benchmark.report.page import as_html
from benchmark.report.picture import Drawn, draw_all
from benchmark.report.refit import not_asked, refitted
from benchmark.report.subject import Subject, choose, require_tested

PAGE = "index.html"
MACHINE = "system/"
"""Begins the names under which MLflow keeps the load of the machine."""


@dataclass(frozen=True)
class Request:
    """What somebody asks for on the command line.

    Attributes
    ----------
    run
        As `finished_run` takes it.
    perturbations
        Test perturbations that are drawn one by one; some are chosen where none is named.
    refit
        Whether the method is trained again, to draw what its two stages do.
    output
        The folder to write to; one in ``reports`` of the project home unless said.
    within
        Among which runs it is looked for.
    """

    run: str
    perturbations: tuple[str, ...] = ()
    refit: bool = False
    output: Path | None = None
    within: Within = ALL


@dataclass(frozen=True)
class Report:
    """What was written: the page of which run, and what each picture came to."""

    run_id: str
    page: Path
    drawn: list[Drawn]


def write_report(request: Request, load: Callable[[str], Dataset] = load_dataset) -> Report:
    """Draw a run and write page, pictures and their numbers; nothing is written before all is drawn.

    Raises
    ------
    BenchmarkError
        When there is no such run or perturbation, or its data or predictions are not what they were.
    """
    tracker = Tracker()
    run = finished_run(tracker.runs("attributes.status = 'FINISHED'"), request.run, request.within)
    try:
        record = read_record(tracker, run)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            subjects = _subjects(tracker, Place.of(run), record, request, load, Path(folder))
            drawn = draw_all(subjects, PICTURES, len(record.contexts) > 1)
    except BenchmarkError as error:
        raise BenchmarkError(f"Run {run.run_id[:8]} cannot be reported: {error}") from error
    at = record.coordinates
    name = f"{at.method}-{at.dataset}-{at.split}-{at.seed}-{record.run_id[:8]}"
    output = request.output or project_home() / "reports" / name
    page = _write(output, as_html(record, drawn, _notes(subjects, request)), drawn)
    return Report(record.run_id, page, drawn)


def _subjects(
    tracker: Tracker,
    place: Place,
    record: Record,
    request: Request,
    load: Callable[[str], Dataset],
    folder: Path,
) -> list[Subject]:
    """Lay out what pictures are made from, of each context that is tested, or asked for."""
    require_tested(record, request.perturbations)
    dataset, split, references = question = question_of(place, load)
    cells: Mapping[str, Matrix] = {}
    predicts: Predicts = "mean"
    if record.archive:
        cells, predicts = predictions(tracker, record, question, folder)
    curves = curves_of(tracker, record.run_id)
    cascade = not_asked(record)
    if request.refit:
        only(references, split)
        cascade = refitted(record, dataset, split, cells, choose(record, request.perturbations))
    subjects = []
    for context in split.contexts:
        part, own = split.of_context(context), record.of_context(context)
        here = LazyCells(of_context(cells, part.contexts), cells.__getitem__)
        asked = of_context(request.perturbations, part.contexts)
        if request.perturbations and not asked:
            continue
        about = (dataset, part, references[context], here, predicts, choose(own, asked))
        subjects.append(Subject(own, *about, curves, cascade))
    return subjects


def curves_of(tracker: Tracker, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Read the series that a training reported, "STAGE/NAME"; scores, and what the machine did, are none."""
    return {
        name: points
        for name, points in tracker.curves(run_id).items()
        if "/" in name and not name.startswith(MACHINE)
    }


def _notes(subjects: Sequence[Subject], request: Request) -> list[str]:
    how = (
        "as asked"
        if request.perturbations
        else "from the best predicted to the worst, by Pearson correlation"
    )
    chosen = ", ".join(label for subject in subjects for label in subject.chosen)
    return [f"Perturbations that are drawn one by one ({how}): {chosen}.", *subjects[0].cascade.notes]


def _write(folder: Path, page: str, drawn: Sequence[Drawn]) -> Path:
    """Write each file whole, the page last: what it shows is there then."""
    for each in drawn:
        for suffix, content in ((".png", each.png), (".csv", each.csv.encode())):
            path = folder / f"{each.file}{suffix}"
            if content:
                with replacing(path) as draft:
                    draft.write_bytes(content)
            else:
                path.unlink(missing_ok=True)  # of an earlier report into the same folder
    with replacing(folder / PAGE) as draft:
        draft.write_text(page, encoding="utf-8")
    return folder / PAGE
