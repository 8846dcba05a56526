"""Splits that somebody else drew."""

from __future__ import annotations

import json

import pytest

from benchmark.data.dataset import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.splits import check_split, load_split, require_scheme
from tests.data.brought import HOW, brought, file

LISTS = {"train": ["G0", "G1", "ctrl"], "validation": ["G2"], "test": ["G1+G0", "G3"]}


@pytest.fixture
def dataset(tmp_path):
    return load_dataset(str(file(tmp_path, brought(doubles=6))), **HOW)


def as_csv(lists: dict[str, list[str]]) -> str:
    return "perturbation,part\n" + "".join(f"{label},{part}\n" for part in lists for label in lists[part])


@pytest.mark.parametrize(("name", "text"), [("mine.json", json.dumps(LISTS)), ("mine.csv", as_csv(LISTS))])
def test_lists_are_frozen_under_the_name_of_their_file(dataset, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    split = load_split(dataset, str(tmp_path / name), 0)
    assert (split.scheme, split.train, split.validation) == ("mine", ("G0", "G1"), ("G2",))
    assert split.groups == {"G0+G1": "combo_seen2", "G3": "unseen_single"}
    assert split.controls.n == 20
    assert check_split(split, dataset) == []
    assert load_split(dataset, "mine", 0) == split
    require_scheme("mine")


def test_labels_may_be_written_as_others_write_them(dataset, tmp_path):
    """Singles with a control in them, as GEARS has it, in either order."""
    (tmp_path / "mine.json").write_text(
        json.dumps({"train": ["G0+ctrl", "ctrl", "control"], "val": ["ctrl+G2"], "test": ["G1+G0"]})
    )
    split = load_split(dataset, str(tmp_path / "mine.json"), 0)
    assert (split.train, split.validation, split.test) == (("G0",), ("G2",), ("G0+G1",))


def test_perturbations_that_are_in_no_list_are_counted(dataset, tmp_path, caplog):
    (tmp_path / "mine.json").write_text(json.dumps(LISTS))
    load_split(dataset, str(tmp_path / "mine.json"), 0)
    assert "9 of 14 perturbations are in no list of mine.json, such as 'G0+G2'" in caplog.text


@pytest.mark.parametrize(
    ("lists", "sentence"),
    [
        ({**LISTS, "test": ["G0"]}, "has 'G0' in train and in test; leave it in one"),
        ({**LISTS, "test": []}, "has nothing for the test part"),
        ({**LISTS, "test": ["G33"]}, "There is no perturbation in the data 'G33'; did you mean 'G3'?"),
        ({**LISTS, "test": "G3"}, "cannot be read as a split (its parts are no lists)"),
        ([], "cannot be read as a split (it is no object of lists)"),
    ],
)
def test_lists_that_cannot_be_used_are_refused_and_nothing_is_frozen(
    dataset, home, tmp_path, lists, sentence
):
    (tmp_path / "mine.json").write_text(json.dumps(lists))
    with pytest.raises(BenchmarkError) as caught:
        load_split(dataset, str(tmp_path / "mine.json"), 0)
    assert sentence in str(caught.value)
    assert not (home / "splits").exists()


def test_a_list_that_was_changed_after_it_was_frozen_is_refused(dataset, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(LISTS))
    load_split(dataset, str(path), 0)
    path.write_text(json.dumps({**LISTS, "test": ["G4"]}))
    with pytest.raises(BenchmarkError, match="holds another split already; delete it first"):
        load_split(dataset, str(path), 0)


def test_a_list_does_not_pass_for_a_scheme(dataset, tmp_path):
    (tmp_path / "doubles.json").write_text(json.dumps(LISTS))
    with pytest.raises(BenchmarkError, match="has the name of a scheme"):
        load_split(dataset, str(tmp_path / "doubles.json"), 0)
