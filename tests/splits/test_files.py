"""Frozen split files are written whole, read back equal, and refused when they do not fit."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from benchmark.data.canonical import canonicalise
from benchmark.data.cards import DatasetCard
from benchmark.data.dataset import Dataset, load_dataset
from benchmark.data.digests import content_digest
from benchmark.data.simulator import SimulatorConfig, simulate
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import packaged_data
from benchmark.splits import (
    check_split,
    list_splits,
    load_split,
    make_split,
    read_split,
    save_split,
    split_file,
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    config = SimulatorConfig(n_genes=30, n_singles=8, n_doubles=10, cells_per_perturbation=3, n_controls=5)
    card = DatasetCard(name="tiny_screen", expression="counts")
    adata = canonicalise(simulate(config)[0], card)
    return Dataset("tiny_screen", adata, content_digest(adata), card)


def test_a_split_is_made_and_frozen_when_it_is_first_asked_for(
    dataset: Dataset, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is then read from its file, and the user was told where that is."""
    with caplog.at_level(logging.INFO, "benchmark"):
        first = load_split(dataset, "doubles", 0)
    path = home / "splits" / "tiny_screen" / "doubles-0.json"
    assert str(path) in caplog.text
    assert load_split(dataset, "doubles", 0) == first == read_split(path) == make_split(dataset, "doubles", 0)
    assert [file.name for file in path.parent.iterdir()] == ["doubles-0.json"]


def test_the_file_is_sorted_json_that_ends_in_a_newline(dataset: Dataset) -> None:
    """So that a new file differs from an old one only where the split does."""
    text = save_split(make_split(dataset, "singles", 2)).read_text()
    assert text.endswith("}\n")
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_a_split_made_for_other_data_is_refused(dataset: Dataset) -> None:
    """The same name, other cells."""
    save_split(make_split(dataset, "doubles", 0))
    other = Dataset(dataset.name, dataset.adata, "f" * 64, dataset.card)
    with pytest.raises(BenchmarkError, match=r"doubles-0\.json was made for other data"):
        load_split(other, "doubles", 0)


def test_a_frozen_split_is_not_replaced(dataset: Dataset) -> None:
    """Freezing it again changes nothing; freezing another under its name is refused."""
    split = make_split(dataset, "doubles", 0)
    path = save_split(split)
    assert save_split(split) == path
    other = split.model_copy(update={"dataset_digest": "f" * 64}).sealed()
    with pytest.raises(BenchmarkError, match="holds another split already"):
        save_split(other)
    assert read_split(path) == split


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: text[: len(text) // 2], "is damaged"),
        (lambda text: "[]", "is damaged"),
        (lambda text: text.replace('"seed": 0', '"seed": "first"'), "is damaged"),
        (lambda text: text.replace('"seed": 0', '"seed": 1'), "was changed after it was made"),
        (lambda text: text.replace("unseen", "seen").replace("combo_seen2", "combo_seen1"), "was changed"),
    ],
)
def test_a_damaged_or_edited_file_is_refused(dataset: Dataset, damage, sentence: str) -> None:
    """One sentence with the path."""
    path = save_split(make_split(dataset, "doubles", 0))
    path.write_text(damage(path.read_text()))
    with pytest.raises(BenchmarkError, match=rf"doubles-0\.json {sentence}") as caught:
        load_split(dataset, "doubles", 0)
    assert "\n" not in str(caught.value)


def test_a_file_under_another_name_is_refused(dataset: Dataset) -> None:
    """A copy of seed 0 does not become seed 1."""
    path = save_split(make_split(dataset, "doubles", 0))
    path.rename(path.with_name("doubles-1.json"))
    with pytest.raises(BenchmarkError, match="describes doubles-0 of 'tiny_screen'"):
        load_split(dataset, "doubles", 1)


def test_a_refused_split_leaves_no_file(dataset: Dataset, home: Path) -> None:
    """Neither an unknown scheme nor too few perturbations write anything."""
    with pytest.raises(BenchmarkError, match="no split 'dobles'"):
        load_split(dataset, "dobles", 0)
    assert not (home / "splits").exists()


def test_splits_are_listed_by_dataset_scheme_and_seed(dataset: Dataset) -> None:
    """Seeds count as numbers: 10 comes after 2."""
    for seed in (10, 2):
        save_split(make_split(dataset, "doubles", seed))
    listed = [split for split in list_splits() if split.dataset == "tiny_screen"]
    assert [split.seed for split in listed] == [2, 10]
    assert split_file("tiny_screen", "doubles", 10) is not None
    assert split_file("tiny_screen", "doubles", 3) is None


def test_every_shipped_split_is_sound_in_itself() -> None:
    """Own digest, disjoint parts, canonical labels, groups."""
    shipped = [split for split in list_splits() if (packaged_data() / "splits" / split.dataset).is_dir()]
    assert {split.dataset for split in shipped} >= {"simulated", "norman19_devel", "carpool_semi"}
    assert [problem for split in shipped for problem in check_split(split)] == []


def test_the_shipped_splits_of_the_embedded_dataset_fit_it() -> None:
    """They are what their schemes draw from the data as simulated on this machine."""
    simulated = load_dataset("simulated")
    shipped = [split for split in list_splits() if split.dataset == "simulated"]
    assert len(shipped) >= 16
    assert {f"{split.scheme}-{split.seed}": check_split(split, simulated) for split in shipped} == {
        f"{split.scheme}-{split.seed}": [] for split in shipped
    }
