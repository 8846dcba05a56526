"""What ``benchmark protocol`` does where a protocol scales its metrics between anchors, on any data set."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.listings import show
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.data import Dataset
    from benchmark.records.record import Record
    from benchmark.runs.request import Request
    from benchmark.studies.protocols import ProtocolCard
    from benchmark.studies.vcc2026.contexts import ContextScore


def score_requests(
    card: ProtocolCard, requests: Sequence[Request], dataset: Dataset, output: Path | None, json: bool
) -> None:
    """Run each request, score it on the scale of the protocol, print it, and write the documents.

    Parameters
    ----------
    card
        A protocol with anchors.
    requests
        What is run: one for each seed.
    dataset
        What they name.
    output
        A folder for ``evaluation_results.json``; of several seeds or contexts, with a folder for each.
    json
        Whether the documents are printed instead.
    """
    documents: list[dict[str, Any]] = []
    scored: list[ContextScore] = []
    for request, (record, contexts) in zip(requests, _scored(card, requests, dataset), strict=True):
        from benchmark.studies.vcc2026.document import document_of, write_document

        scored += contexts
        for found in contexts:
            document = document_of(found, record)
            documents.append(document)
            if not json:
                _print(found, record)
            if output is not None:
                folder = output if len(requests) == 1 else output / f"seed-{request.seed}"
                folder = folder if len(contexts) == 1 else folder / found.context
                print_to = write_document(document, folder)
                if not json:
                    print(f"Written to {print_to}.")
    if json:
        print(json_module.dumps(documents, indent=1))
        return
    from benchmark.studies.vcc2026.contexts import mean_score

    several = {found.context for found in scored}
    if len(several) > 1:
        print(f"Score: {mean_score(scored):+.4f}, the mean over {len(several)} contexts, each alike")


def replay(path: Path) -> None:
    """Score the run of a document anew and say whether it comes to the same.

    Raises
    ------
    BenchmarkError
        When it does not, or the run is gone.
    """
    from benchmark.contexts import NONE
    from benchmark.data import load_dataset
    from benchmark.records.tracking import Tracker
    from benchmark.studies.vcc2026.document import differences, document_of, read_document, require_same_data

    document = read_document(path)
    settings = document["suite"]["settings"]
    tracker = Tracker()
    runs = [run for run in tracker.runs("attributes.status = 'FINISHED'") if run.run_id == settings["run_id"]]
    if not runs:
        raise BenchmarkError(
            f"The run {settings['run_id']} of {path} is not in this store; replay it where it was made."
        )
    record = tracker.record(runs[0].run_id)
    dataset = load_dataset(settings["dataset"])
    require_same_data(document, dataset.digest)
    name = settings.get("context", NONE)
    scored = _of_record(tracker, record, dataset, **settings["anchors"])
    found = next((each for each in scored if each.context == name), None)
    if found is None:
        raise BenchmarkError(
            f"{path} does not say which of the contexts {', '.join(each.context for each in scored)} it "
            "scored; score the run again."
        )
    changed = differences(document, document_of(found, record))
    if changed:
        raise BenchmarkError(f"{path} does not come to the same: {changed[0]} ({len(changed)} differ).")
    print(f"The same: score {found.score:.4f}, as {path} says.")


def _scored(
    card: ProtocolCard, requests: Sequence[Request], dataset: Dataset
) -> Iterator[tuple[Record, list[ContextScore]]]:
    import sys
    from contextlib import redirect_stdout

    from benchmark.cli.screen import ProgressBars
    from benchmark.machine.progress import report_to
    from benchmark.records.tracking import Tracker
    from benchmark.runs.run import run

    assert card.anchors is not None
    for request in requests:
        with report_to(ProgressBars()), redirect_stdout(sys.stderr):
            record, _ = run(request, dataset)
            found = _of_record(Tracker(), record, dataset, **card.anchors.model_dump())
        yield record, found


def _of_record(tracker: Any, record: Record, dataset: Dataset, **anchors: int) -> list[ContextScore]:
    from benchmark.evaluation.scoring import references_of
    from benchmark.records.lookup import Question
    from benchmark.splits import frozen_split
    from benchmark.studies.vcc2026.contexts import score_run

    at = record.coordinates
    split = frozen_split(dataset, at.split, at.seed, at.split_digest)
    question = Question(dataset, split, references_of(dataset, split))
    return score_run(tracker, record, question, **anchors)


def _print(found: ContextScore, record: Record) -> None:
    at = record.coordinates
    rows = [
        {
            "metric": name,
            "value": f"{found.values[name]:.4f}",
            "mean response (0)": f"{found.low[name]:.4f}",
            "replicate (1)": f"{found.high[name]:.4f}",
            "scaled": f"{found.scaled[name]:+.3f}",
        }
        for name in found.scaled
    ]
    within = f", context {found.context}" if found.context else ""
    title = f"{at.method} on {at.dataset}{within}, split {at.split}-{at.seed}, of {found.holds}"
    show(rows, json=False, title=title)
    if found.unmeasured:
        print(
            f"Note: {len(found.unmeasured)} targets, such as '{found.unmeasured[0]}', are not measured and "
            "could not be left out."
        )
    print(f"Score: {found.score:+.4f}, the mean of the six over {len(found.table)} perturbations")
