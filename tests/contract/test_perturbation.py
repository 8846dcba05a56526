"""A perturbation is the set of its genes, however a source writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation

GENES = st.from_regex(r"[A-Z][A-Z0-9-]{0,8}", fullmatch=True).filter(lambda gene: gene.lower() != "ctrl")


@pytest.mark.parametrize(
    ("label", "genes"),
    [
        ("control", ()),
        ("ctrl", ()),
        ("A", ("A",)),
        ("B+A", ("A", "B")),
        ("A+ctrl", ("A",)),
        ("ctrl+A", ("A",)),
    ],
)
def test_labels_are_read_as_sources_write_them(label, genes):
    assert Perturbation.parse(label).genes == genes


@given(st.sets(GENES, max_size=2))
def test_a_label_reads_back_as_what_it_was_written_from(genes):
    perturbation = Perturbation(tuple(genes))
    assert Perturbation.parse(str(perturbation)) == perturbation


def test_another_separator_and_control_label_are_understood():
    assert str(Perturbation.parse("B_A", separator="_", control_label="NT")) == "A+B"
    assert Perturbation.parse("NT", separator="_", control_label="NT").is_control


@pytest.mark.parametrize(
    ("label", "sentence"), [("A+B+C", "at most two"), ("A+A", "twice"), ("A+", "empty gene name")]
)
def test_impossible_labels_are_refused(label, sentence):
    with pytest.raises(BenchmarkError, match=sentence):
        Perturbation.parse(label)
