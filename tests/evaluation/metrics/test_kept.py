"""What follows from real cells alone is computed once for all predictions of them, and for no other cells."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from benchmark.evaluation.metrics import Reference, differential, distribution
from benchmark.evaluation.metrics.evaluate import evaluate
from benchmark.evaluation.metrics.kept import Kept, bounded

GENES = ["A", "B", "C", "D", "E", "F"]


@pytest.fixture
def screen() -> tuple[Reference, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Controls with both singles, a real and a predicted double."""
    rng = np.random.default_rng(0)
    control, one, two, real, predicted = (rng.gamma(2, 0.5, (n, 6)).round(1) for n in (30, 20, 20, 25, 15))
    reference = Reference.of(control, GENES, singles={"A": one, "B": two})
    return reference, {"A+B": real}, {"A+B": predicted}


@pytest.fixture
def counted(monkeypatch) -> Iterator[list[str]]:
    """Note each test of genes and each set of distances between cells that is computed."""
    done: list[str] = []

    def noting(module, name):
        usual = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: done.append(name) or usual(*given))

    noting(differential, "rank_sum_p_values")
    noting(distribution, "_squared")
    return done


def test_a_second_prediction_of_the_same_cells_does_not_test_them_again(screen, counted, tmp_path):
    """The first tests both sides; the second the predicted one alone, with the same numbers."""
    reference, real, predicted = screen
    first = evaluate(reference, real, predicted, truth=tmp_path)
    assert counted.count("rank_sum_p_values") == 2
    before = counted.count("_squared")
    counted.clear()
    second = evaluate(reference, real, predicted, truth=tmp_path)
    assert counted.count("rank_sum_p_values") == 1
    assert counted.count("_squared") == before - 1
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    pd.testing.assert_frame_equal(first, evaluate(reference, real, predicted), check_exact=True)


@pytest.mark.parametrize("what", ["cells", "genes of cells", "control", "singles"])
def test_other_cells_are_never_given_what_is_kept(screen, what, tmp_path):
    """Under the same labels: one value moved, one gene shuffled over the cells, other controls or singles."""
    reference, real, predicted = screen
    evaluate(reference, real, predicted, truth=tmp_path)
    rng = np.random.default_rng(1)
    cells, control = real["A+B"].copy(), reference.control.values.T.copy()
    singles = {name: rng.gamma(2, 0.5, (20, 6)) for name in "AB"} if what == "singles" else None
    if what == "cells":
        cells[0, 0] += 0.1
    elif what == "genes of cells":
        cells[:, 0] = rng.permutation(cells[:, 0])
    elif what == "control":
        control[0, 0] += 0.1
    if what in ("control", "singles"):
        reference = Reference.of(control, GENES, singles=singles)
    pd.testing.assert_frame_equal(
        evaluate(reference, {"A+B": cells}, predicted, truth=tmp_path),
        evaluate(reference, {"A+B": cells}, predicted),
        check_exact=True,
    )


def test_a_damaged_file_is_computed_again(screen, tmp_path):
    reference, real, predicted = screen
    first = evaluate(reference, real, predicted, truth=tmp_path)
    (file,) = tmp_path.rglob("*.npz")
    for damaged in (b"", b"PK\x03\x04 not an archive", file.read_bytes()[:200]):
        file.write_bytes(damaged)
        pd.testing.assert_frame_equal(first, evaluate(reference, real, predicted, truth=tmp_path))


def test_without_room_nothing_is_kept_and_nothing_fails(screen, tmp_path):
    reference, real, predicted = screen
    occupied = tmp_path / "file"
    occupied.write_text("no folder")
    pd.testing.assert_frame_equal(
        evaluate(reference, real, predicted, truth=occupied), evaluate(reference, real, predicted)
    )


def test_what_is_kept_in_memory_alone_is_computed_once() -> None:
    kept, asked = Kept(), []
    for _ in range(2):
        assert kept.get("sum", lambda: np.array(asked.append(1) or 3)) == 3
    assert asked == [1]
    kept.save()


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    for age, name in enumerate(["new", "middle", "old"]):
        with bounded(tmp_path):
            kept = Kept(tmp_path / "code" / f"{name}.npz")
            kept.get("zeros", lambda: np.zeros(1000))
            kept.save()
        os.utime(tmp_path / "code" / f"{name}.npz", (1e9 - age, 1e9 - age))
    assert Kept(tmp_path / "code" / "old.npz").get("zeros", lambda: np.ones(1))[0] == 0
    with bounded(tmp_path, 20_000):
        pass
    assert sorted(path.stem for path in tmp_path.rglob("*.npz")) == ["new", "old"]
