"""What cards promise, and where the package looks for what it ships and writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.data.cards import DatasetCard, list_cards, load_card
from benchmark.errors import BenchmarkError
from benchmark.machine import paths

ROOT = Path(__file__).parents[2]


@pytest.fixture
def own_cards(home: Path) -> Path:
    (home / "datasets").mkdir()
    return home / "datasets"


def test_the_shipped_cards_are_valid_and_named_like_their_files() -> None:
    """Every shipped card is listed under its file's name and says what people must know."""
    cards = {card.name: card for card in list_cards()}
    assert set(cards) >= {
        "simulated",
        "norman19",
        "norman19_devel",
        "norman19_singles",
        "norman_semi",
        "carpool_semi",
    }
    for card in cards.values():
        assert card.title
        assert card.licence
        assert card.citation
        assert (card.simulator is None) == (card.local_file is not None)


def test_an_unknown_dataset_names_the_closest_one() -> None:
    """A typing error is answered with what was probably meant."""
    with pytest.raises(BenchmarkError, match="no dataset 'norman19_devl'; did you mean 'norman19_devel'"):
        load_card("norman19_devl")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('titel = "x"', "titel: Extra inputs are not permitted"),
        ('expression = "log2"', "expression: Input should be 'counts' or 'log1p'"),
        ('url = "http://example.org/x"', "the card: Value error, a card with 'url' needs 'local_file'"),
        ('local_file = "x.h5ad"\n[simulator]', "either 'local_file' or 'simulator'"),
        ('name = "other"', "multiple values"),
        ("title = ", "cannot be read"),
    ],
)
def test_an_invalid_card_is_refused_with_its_path(own_cards: Path, text: str, reason: str) -> None:
    """A card that says something unknown or impossible is not half-understood."""
    (own_cards / "broken.toml").write_text(text)
    with pytest.raises(BenchmarkError, match=r"broken\.toml") as caught:
        load_card("broken")
    assert reason in str(caught.value)


def test_a_card_of_the_user_is_found_and_does_not_hide_a_shipped_one(own_cards: Path) -> None:
    """A new name is added; a shipped name keeps meaning what it means."""
    (own_cards / "mine.toml").write_text('title = "Mine"\nlocal_file = "mine.h5ad"')
    (own_cards / "simulated.toml").write_text('title = "Fake"\nlocal_file = "fake.h5ad"')
    assert load_card("mine").title == "Mine"
    assert load_card("simulated").title != "Fake"


def test_a_checksum_must_look_like_one() -> None:
    """A shortened checksum would be compared with a whole one and never match."""
    with pytest.raises(ValueError, match="pattern"):
        DatasetCard(name="x", sha256="abc")


def test_listing_cards_and_splits_imports_nothing_heavy() -> None:
    """The command line lists what there is without waiting for libraries of cells and tensors."""
    code = (
        "import sys, benchmark.machine.paths; from benchmark.data.cards import list_cards; "
        "from benchmark.splits import list_splits; list_cards(); list_splits(); "
        "print([name for name in ('anndata', 'scanpy', 'torch', 'pandas', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_home_is_what_the_environment_says_else_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Results, new splits and the cache go to one place."""
    monkeypatch.setenv("BENCHMARK_HOME", str(tmp_path))
    assert paths.project_home() == tmp_path
    assert paths.cache_folder("prepared") == tmp_path / "datasets" / "cache" / "prepared"
    monkeypatch.delenv("BENCHMARK_HOME")
    assert paths.project_home() == paths.packaged_data() == ROOT


def test_an_installed_copy_ships_its_data_and_works_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Outside a checkout a folder named `datasets` beside the package may belong to another library."""
    package = tmp_path / "site-packages" / "benchmark"
    (tmp_path / "site-packages" / "datasets").mkdir(parents=True)
    monkeypatch.setattr(paths, "_PACKAGE", package)
    monkeypatch.delenv("BENCHMARK_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert paths.packaged_data() == package / "_data"
    assert paths.project_home() == tmp_path
    assert paths.data_folders("splits") == [package / "_data" / "splits", tmp_path / "splits"]


def write_and_fail(path: Path, failure: BaseException) -> None:
    with paths.replacing(path) as temporary:
        temporary.write_text("half")
        raise failure


def test_replacing_leaves_the_old_file_and_nothing_else_when_it_fails(home: Path) -> None:
    """Whatever ends the writing, readers never see half a file."""
    path = home / "kept.txt"
    path.write_text("old")
    for failure in (ValueError(), KeyboardInterrupt()):
        with pytest.raises(type(failure)):
            write_and_fail(path, failure)
    assert [file.name for file in home.iterdir()] == ["kept.txt"]
    assert path.read_text() == "old"


def test_a_full_disk_is_one_sentence_and_leaves_nothing(home: Path) -> None:
    """The operating system's refusal reaches the user with advice."""
    path = home / "new.txt"
    with pytest.raises(BenchmarkError, match=r"new\.txt could not be written \(No space left"):
        write_and_fail(path, OSError(28, os.strerror(28)))
    assert list(home.iterdir()) == []
