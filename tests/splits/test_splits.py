"""How perturbations are divided: published splits come out, and no perturbation is on two sides."""

from __future__ import annotations

import json
import os
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data import Dataset
from benchmark.data.cards import DatasetCard
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.splits import SCHEMES, check_split, make_split
from benchmark.splits.drawing import source_labels
from benchmark.splits.schemes import doubles, genes_of, half_doubles, holdout, simulation
from benchmark.splits.split import group_of

GENES = [f"G{i:02d}" for i in range(20)]
SCREEN = [f"{gene}+ctrl" for gene in GENES] + ["+".join(pair) for pair in combinations(GENES[:12], 2)]


def a_dataset(labels: list[str], **card: Any) -> Dataset:
    """One cell per source label; splits look at nothing else."""
    described = DatasetCard(name="screen", **{"control_label": "ctrl", **card})
    written = [described.control_label, *labels]
    canonical = [
        str(Perturbation.parse(label, separator=described.separator, control_label=described.control_label))
        for label in written
    ]
    obs = pd.DataFrame({"perturbation": canonical, "source_label": written}, dtype=object)
    obs.index = obs.index.astype(str)
    return Dataset("screen", AnnData(X=np.zeros((len(obs), 1)), obs=obs), "0" * 64, described)


def published(name: str) -> Any:
    folders = os.environ.get("BENCHMARK_DATA", "").split(os.pathsep)
    paths = [Path(folder) / name for folder in folders if (Path(folder) / name).is_file()]
    if not paths:
        pytest.skip(f"{name} is in no folder of BENCHMARK_DATA")
    return json.loads(paths[0].read_text())


@pytest.mark.parametrize("fold", range(5))
def test_doubles_reproduces_the_folds_of_scdfm(fold: int) -> None:
    """The same test doubles in the same order; what scDFM trains on is our training and validation part."""
    expected = published("norman19_scdfm_folds.json")[fold]
    labels = sorted(expected["test"] + expected["train"], reverse=True)
    parts = doubles([*labels, "AHR+ctrl"], fold)
    assert parts.test == expected["test"]
    assert parts.train[0] == "AHR+ctrl"
    assert parts.validation + parts.train[1:] == expected["train"]


def canonical(labels: list[str]) -> set[str]:
    """Labels as the rest of the harness writes them."""
    return {str(Perturbation.parse(label, control_label="ctrl")) for label in labels} - {"control"}


@pytest.mark.parametrize("fold", range(5))
def test_a_split_of_the_data_of_scdfm_is_its_fold(fold: int) -> None:
    """The whole way, from the labels of cells to canonical parts."""
    expected = published("norman19_scdfm_folds.json")[fold]
    singles = sorted({f"{gene}+ctrl" for pair in expected["train"] for gene in pair.split("+")})
    split = make_split(a_dataset([*expected["train"], *expected["test"], *singles]), "doubles", fold)
    assert set(split.test) == canonical(expected["test"])
    assert {*split.train, *split.validation} == canonical([*expected["train"], *singles])


@pytest.mark.parametrize("fold", range(5))
def test_holdout_keeps_fifteen_test_doubles_of_a_fold_and_the_singles_of_their_genes(fold: int) -> None:
    """The other 22 return; most held-out genes stay in training doubles, as in the published division."""
    expected = published("norman19_scdfm_folds.json")[fold]
    pairs = expected["test"] + expected["train"]
    singles = sorted({f"{gene}+ctrl" for pair in pairs for gene in pair.split("+")})
    parts = holdout([*pairs, *singles], fold)
    genes = {gene for pair in expected["test"][:15] for gene in pair.split("+")}
    assert parts.test[:15] == expected["test"][:15]
    assert parts.test[15:] == [single for single in singles if genes_of(single)[0] in genes]
    rest = [label for label in parts.train + parts.validation if len(genes_of(label)) == 2]
    assert sorted(rest) == sorted(expected["test"][15:] + expected["train"])
    assert 21 <= len(genes) <= 26
    assert 62 <= sum(not genes.isdisjoint(genes_of(label)) for label in rest) <= 75


def test_half_doubles_divides_as_the_published_script_draws() -> None:
    """The script's own steps, written out with the global generator that it seeds."""
    pairs = published("norman19_scdfm_folds.json")[0]["train"][:62] + SCREEN[20:82]
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    chosen = np.random.choice(sorted(pairs), size=len(pairs) // 2, replace=False).tolist()  # noqa: NPY002
    np.random.set_state(state)  # noqa: NPY002
    parts = half_doubles([*pairs, *SCREEN[:20]], 3)
    assert (len(parts.test), len(chosen)) == (62, 62)
    assert parts.train[20:] + parts.validation == chosen
    assert parts.test == sorted(set(pairs) - set(chosen))
    assert len(parts.validation) == 12
    assert parts.train[:20] == SCREEN[:20]


def gears_labels() -> list[str]:
    split = published("norman19_gears_simulation_seed1.json")
    return [label for part in ("train", "val", "test") for label in split[part] if label != "ctrl"]


def test_simulation_reproduces_the_published_lists_of_gears() -> None:
    """Training, validation and test part of seed 1, drawn on the original labels, spelling and all."""
    expected = published("norman19_gears_simulation_seed1.json")
    parts = simulation(gears_labels(), 1)
    assert sorted(parts.train) == sorted(set(expected["train"]) - {"ctrl"})
    assert sorted(parts.validation) == sorted(expected["val"])
    assert sorted(parts.test) == sorted(expected["test"])


def test_a_split_of_the_data_of_gears_is_the_published_one() -> None:
    """The whole way; `A+ctrl` and `ctrl+A`, which GEARS counts as two, are always in one part."""
    expected = published("norman19_gears_simulation_seed1.json")
    split = make_split(a_dataset(gears_labels()), "simulation", 1)
    assert set(split.train) == canonical(expected["train"])
    assert set(split.validation) == canonical(expected["val"])
    assert set(split.test) == canonical(expected["test"])


@pytest.mark.parametrize(
    ("seed", "counts"),
    [
        (1, (9, 43, 19, 36)),
        (2, (12, 52, 16, 37)),
        (3, (4, 51, 19, 35)),
        (4, (4, 52, 18, 37)),
        (5, (3, 56, 18, 40)),
    ],
)
def test_simulation_has_the_group_sizes_of_gears(seed: int, counts: tuple[int, ...]) -> None:
    """combo_seen0, 1, 2 and unseen_single, as GEARS prints them for Norman 2019."""
    parts = simulation(gears_labels(), seed)
    found = Counter(
        group_of(label.replace("+ctrl", "").replace("ctrl+", ""), parts.seen) for label in parts.test
    )
    assert (
        tuple(found[group] for group in ("combo_seen0", "combo_seen1", "combo_seen2", "unseen_single"))
        == counts
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), drop=st.sets(st.integers(0, len(SCREEN) - 1), max_size=30))
def test_no_perturbation_is_on_two_sides(scheme: str, seed: int, drop: set[int]) -> None:
    """Whatever the screen: disjoint parts, canonical labels of the data, a group for each test label."""
    dataset = a_dataset([label for number, label in enumerate(SCREEN) if number not in drop])
    split = make_split(dataset, scheme, seed)
    assert check_split(split, dataset) == []
    assert split == make_split(dataset, scheme, seed)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_order_of_cells_does_not_matter_and_no_global_generator_is_touched(scheme: str) -> None:
    """A split depends on which labels there are, and on its seed."""
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    forward, backward = a_dataset(SCREEN), a_dataset(SCREEN[::-1])
    assert make_split(forward, scheme, 3) == make_split(backward, scheme, 3)
    assert make_split(forward, scheme, 3).test != make_split(forward, scheme, 4).test
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_doubles_trains_on_every_single_and_tests_thirty_percent_of_the_doubles() -> None:
    """66 doubles: 19 for the test, 6 for validation, 41 for training."""
    split = make_split(a_dataset(SCREEN), "doubles", 0)
    assert set(GENES) <= set(split.train)
    assert (len(split.test), len(split.validation), len(split.train)) == (19, 6, 41 + 20)
    assert set(split.groups.values()) == {"combo_seen2"}


def test_groups_of_doubles_count_the_genes_with_a_single() -> None:
    """Doubles of genes that were never perturbed alone are the hardest."""
    split = make_split(a_dataset([label for label in SCREEN if label != "G00+ctrl"]), "doubles", 0)
    assert set(split.groups.values()) == {"combo_seen1", "combo_seen2"}
    assert all(("G00" in label) == (group == "combo_seen1") for label, group in split.groups.items())


def test_singles_shows_nothing_of_a_held_out_gene() -> None:
    """Of 20 genes 4 are for the test and 2 for validation; their doubles are in no part."""
    split = make_split(a_dataset(SCREEN), "singles", 0)
    assert (len(split.test), len(split.validation)) == (4, 2)
    held_out = {*split.test, *split.validation}
    assert all(held_out.isdisjoint(genes_of(label)) for label in split.train)
    missing = {str(Perturbation.parse(label)) for label in SCREEN} - {*split.train, *held_out}
    assert all(held_out & set(genes_of(label)) for label in missing)
    assert set(split.groups.values()) == {"unseen_single"}


def test_simulation_trains_on_no_double_of_an_unseen_gene() -> None:
    """A gene is seen or it is not, in singles and doubles alike."""
    split = make_split(a_dataset(SCREEN), "simulation", 0)
    unseen = {label for label, group in split.groups.items() if group == "unseen_single"}
    assert unseen
    assert all(unseen.isdisjoint(genes_of(label)) for label in split.train + split.validation)
    for label, group in split.groups.items():
        if group != "unseen_single":
            assert group == f"combo_seen{2 - len(unseen & set(genes_of(label)))}"


def test_a_perturbation_spelt_in_two_ways_is_held_out_once_and_for_all() -> None:
    """Both spellings of each double are drawn apart; the test part then wins, validation comes next."""
    both = SCREEN + ["+".join(reversed(label.split("+"))) for label in SCREEN[20:]]
    dataset = a_dataset(both)
    parts = doubles(source_labels(dataset), 0)
    drawn = {
        part: {str(Perturbation.parse(label)) for label in getattr(parts, part)} for part in ("train", "test")
    }
    assert drawn["train"] & drawn["test"]
    split = make_split(dataset, "doubles", 0)
    assert set(split.test) == drawn["test"]
    assert check_split(split, dataset) == []


def test_the_same_labels_in_another_spelling_are_divided_in_the_same_way() -> None:
    """`A` and `A+ctrl`, `A_B` and `A+B`: the source's punctuation is not what is drawn."""
    other = [label.replace("+ctrl", "").replace("+", "_") for label in SCREEN]
    dataset = a_dataset(other, separator="_", control_label="none")
    assert source_labels(dataset) == sorted(SCREEN)
    for scheme in SCHEMES:
        assert make_split(dataset, scheme, 1) == make_split(a_dataset(SCREEN), scheme, 1)


@pytest.mark.parametrize(
    ("labels", "scheme", "part"),
    [
        (SCREEN[:20], "doubles", "validation"),
        (SCREEN[:23], "doubles", "test"),
        (SCREEN[:3], "singles", "test"),
    ],
)
def test_too_few_perturbations_are_refused(labels: list[str], scheme: str, part: str) -> None:
    """An empty part would give a board without numbers."""
    with pytest.raises(
        BenchmarkError, match=f"too few perturbations for the split '{scheme}' .* {part} part"
    ):
        make_split(a_dataset(labels), scheme, 0)


def test_an_unknown_scheme_names_the_closest_and_a_seed_is_not_negative() -> None:
    """Typing errors are answered in one sentence."""
    with pytest.raises(BenchmarkError, match="no split 'double'; did you mean 'doubles'"):
        make_split(a_dataset(SCREEN), "double", 0)
    with pytest.raises(BenchmarkError, match="seed of a split is 0 or more, but -1"):
        make_split(a_dataset(SCREEN), "doubles", -1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"validation": ("G00+G01",), "test": ("G00+G01",)}, "'G00+G01' is in validation and in test"),
        ({"test": ("G01+G00",)}, "'G01+G00' is not a canonical label"),
        ({"train": ("control", "G00")}, "'control' is not a canonical label"),
        ({"validation": ()}, "its validation part is empty"),
        ({"validation": ("ABC",)}, "'ABC' is not in the data"),
        ({"groups": {}}, "its groups are not those of its test perturbations"),
        ({"dataset_digest": "1" * 64}, "it was made for other data than 'screen' as it is now"),
        ({"train": ("G00",)}, "it is not what the scheme 'doubles' draws from these data"),
    ],
)
def test_each_fault_of_a_split_is_found(change: dict[str, Any], problem: str) -> None:
    """A split made by hand, with a digest of its own that is right."""
    dataset = a_dataset(SCREEN)
    split = make_split(dataset, "doubles", 0).model_copy(update=change).sealed()
    assert problem in check_split(split, dataset)


def test_a_changed_split_is_found_without_the_data() -> None:
    """Its own digest tells."""
    split = make_split(a_dataset(SCREEN), "doubles", 0).model_copy(update={"seed": 5})
    assert check_split(split) == ["it was changed after it was made"]


WHOLE = make_split(a_dataset(SCREEN), "doubles", 0)


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_a_larger_part_of_the_training_holds_every_smaller_one(one: float, other: float, seed: int) -> None:
    """Singles and doubles keep their proportion; all else is that of the whole."""
    split = WHOLE.model_copy(update={"seed": seed})
    small, large = (set(split.with_train_share(share).train) for share in sorted((one, other)))
    assert small <= large <= set(split.train)
    for kind in (True, False):
        whole, found = (
            sum(Perturbation.parse(label).is_double == kind for label in part)
            for part in (split.train, split.with_train_share(one).train)
        )
        assert one * whole <= found < one * whole + 1
    assert split.with_train_share(1) == split
    assert split.with_train_share(one).model_copy(update={"train": split.train}) == split
