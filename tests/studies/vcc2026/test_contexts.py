"""What cannot be a context of the challenge is refused in one line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder
from benchmark.splits import load_split
from benchmark.studies.vcc2026 import known
from benchmark.studies.vcc2026.contexts import context_of, unmeasured
from benchmark.studies.vcc2026.suite import SIX
from tests.tiny import COLUMNS


@pytest.fixture
def dataset(screen):
    return load_dataset(str(screen), **COLUMNS)


def test_a_context_is_the_test_part_with_control_cells_that_both_sides_share(dataset):
    """Of counts or of log values; with control cells of its own for each side there is no one reference."""
    split = load_split(dataset, "doubles", 0)
    with pytest.raises(BenchmarkError, match="run with --shared-controls"):
        context_of(dataset, split, "counts")
    context = context_of(dataset, split.sharing_controls(), "counts")
    assert context.labels == list(split.test)
    assert context.control.shape == (40, 40)
    assert np.array_equal(context.control.toarray(), np.round(context.control.toarray()))


def test_labels_that_name_no_gene_are_refused_and_single_ones_are_said(dataset):
    """Targets that cannot be left out would be paid for."""
    split = load_split(dataset, "doubles", 0)
    assert unmeasured(dataset, split.test) == []
    first = split.test[0].split("+")[0]
    cells = dataset.adata.copy()
    cells.var_names = [f"new-{name}" if name == first else name for name in cells.var_names]
    assert unmeasured(replace(dataset, adata=cells), split.test) == [first]
    cells.var_names = [f"id-{number}" for number in range(cells.n_vars)]
    with pytest.raises(BenchmarkError, match=r"None of the \d+ targets .* genes, such as 'id-0'"):
        unmeasured(replace(dataset, adata=cells), split.test)


def test_anchors_are_computed_once_for_the_same_cells_and_draws(dataset, monkeypatch):
    """A second method asks for none of them; other cells, seeds and damaged files do."""
    split = load_split(dataset, "doubles", 0).sharing_controls()
    context = context_of(dataset, split, "log1p")
    asked: list[int] = []
    six = dict.fromkeys(SIX, 0.5)
    monkeypatch.setattr(known, "baseline", lambda context, seed: asked.append(seed) or six)
    monkeypatch.setattr(known, "replicate", lambda context, seed, halvings: [six] * halvings)
    assert [known.anchors(context, 0, 2) for _ in range(2)] == [(six, six)] * 2
    assert asked == [0]
    known.anchors(context, 1, 2)
    other = dict(context.real)
    other[split.test[0]] = other[split.test[0]] * 2
    known.anchors(replace(context, real=other), 0, 2)
    assert asked == [0, 1, 0]
    for file in cache_folder("anchors").glob("*.json"):
        file.write_text("{")
    known.anchors(context, 0, 2)
    assert asked == [0, 1, 0, 0]
