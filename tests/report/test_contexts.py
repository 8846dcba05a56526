"""A report of a run that tested several contexts: each by itself, and the mean of what they scored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmark.data.simulator.contexts import ContextsConfig, simulate_contexts
from benchmark.errors import BenchmarkError
from benchmark.records.record import Summary
from benchmark.records.tracking import Tracker
from benchmark.report.gallery import PICTURES
from benchmark.report.picture import Drawn
from benchmark.report.write import Request, write_report
from benchmark.runs.request import Request as RunRequest
from benchmark.runs.run import run
from tests.tiny import COLUMNS

HOW = {**COLUMNS, "context_column": "context", "batch_column": "batch"}


def test_a_mean_gives_all_contexts_the_same_weight():
    values = pd.Series([1.0, 3.0, np.nan, 8.0], ["K562::A", "K562::B", "K562::C", "RPE1::A"])
    assert Summary.of(values) == Summary(mean=5.0, n=3, missing=1)
    assert Summary.of(values[:3]).mean == 2.0
    assert Summary.of(values[2:3]) == Summary(mean=None, n=0, missing=1)


def test_files_of_a_context_are_named_after_it_whatever_it_is_called():
    picture = PICTURES[0]
    assert Drawn(picture).file == picture.name
    assert Drawn(picture, context="a/b c").file == f"{picture.name}-a%2Fb c"


def test_each_context_is_drawn_by_itself(store, tmp_path):
    path = tmp_path / "two_lines.h5ad"
    config = ContextsConfig(
        n_contexts=2, n_genes=40, n_singles=10, n_doubles=6, cells_per_perturbation=12, n_controls=40
    )
    simulate_contexts(config)[0].write_h5ad(path)
    asked = RunRequest(
        method="same_elsewhere", dataset=str(path), split="doubles", seed=0, columns=HOW, cells=20
    )
    record, _ = run(asked)
    written = write_report(Request(record.run_id, output=tmp_path / "report"))
    page = written.page.read_text()
    drawn = {each.file for each in written.drawn if each.png}
    assert {"effect_size-C1", "effect_size-C2", "changes-C1", "changes-C2"} <= drawn
    for context in ("C1", "C2"):
        numbers = pd.read_csv(tmp_path / "report" / f"effect_size-{context}.csv")
        assert set(numbers["perturbation"]) == {
            label for label in record.perturbations if label.startswith(context)
        }
        assert f"{record.of_context(context).metrics['mse'].mean:.4f}" in page
    assert f"{record.metrics['mse'].mean:.4f}" in page
    assert Tracker().record(record.run_id).contexts == ["C1", "C2"]
    (label, *_) = (label for label in record.perturbations if label.startswith("C2"))
    one = write_report(Request(record.run_id, perturbations=(label,), output=tmp_path / "one"))
    assert "changes-C2" in {each.file for each in one.drawn if each.png}
    assert not [each.file for each in one.drawn if each.context == "C1"]
    assert f"(as asked): {label}." in one.page.read_text()
    with pytest.raises(BenchmarkError, match="tests 2 contexts, and this is for one"):
        write_report(Request(record.run_id, refit=True, output=tmp_path / "other"))
    assert not (tmp_path / "other").exists()
