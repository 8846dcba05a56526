"""A dataset is found without reading its cells, and never by a note that is out of date."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from anndata import read_h5ad

from benchmark.data import dataset as module
from benchmark.data import prepared as prepared_files
from benchmark.data.dataset import find_dataset, load_dataset
from benchmark.data.digests import noted_digest
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder
from tests.tiny import COLUMNS, write_screen

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def loaded(screen):
    """The screen, prepared and read."""
    return load_dataset(str(screen), **COLUMNS)


@pytest.fixture
def prepared(loaded) -> Path:
    (path,) = cache_folder("prepared").iterdir()
    return path


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """Every prepared file that is read from now on."""
    read, found = module.read_prepared, []

    def counting(path):
        found.append(path)
        return read(path)

    monkeypatch.setattr(module, "read_prepared", counting)
    return found


def test_cells_are_read_when_they_are_asked_for_and_once(screen, loaded, reads):
    found = find_dataset(str(screen), **COLUMNS)
    assert (found.name, found.digest, found.card) == (loaded.name, loaded.digest, loaded.card)
    assert reads == []
    assert found.adata.obs.equals(loaded.adata.obs)
    assert (found.adata.X != loaded.adata.X).nnz == 0
    assert len(reads) == 1


def test_what_was_never_prepared_is_loaded_at_once(screen, reads):
    found = find_dataset(str(screen), **COLUMNS)
    assert len(reads) == 1
    assert found.adata.n_vars == 40


@pytest.mark.parametrize("change", ["edited", "same size and time", "copied", "truncated", "gone"])
def test_a_prepared_file_that_is_another_one_now_is_read(screen, loaded, prepared, reads, change):
    before = prepared.stat()
    if change == "edited":
        other = read_h5ad(prepared)
        other.layers["counts"][0, 0] += 1
        other.write_h5ad(prepared)
    elif change == "same size and time":
        content = bytearray(prepared.read_bytes())
        content[len(content) // 2] ^= 1
        prepared.write_bytes(content)
        os.utime(prepared, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (prepared.stat().st_size, prepared.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    elif change == "copied":
        shutil.copy2(prepared, prepared.with_name("copy"))
        prepared.with_name("copy").replace(prepared)
    elif change == "truncated":
        os.truncate(prepared, before.st_size // 2)
    else:
        prepared.unlink()
    assert noted_digest(prepared) is None
    assert find_dataset(str(screen), **COLUMNS).digest == loaded.digest
    assert reads
    assert noted_digest(prepared) == loaded.digest


def test_another_source_or_way_of_preparing_is_not_taken_for_the_noted_one(screen, loaded, monkeypatch):
    write_screen(screen, seed=1)
    assert find_dataset(str(screen), **COLUMNS).digest != loaded.digest
    write_screen(screen, seed=0)
    monkeypatch.setattr(prepared_files, "PREPARATION_VERSION", 0)
    monkeypatch.setattr(module, "canonical_file", lambda card, path: pytest.fail("it was prepared anew"))
    with pytest.raises(pytest.fail.Exception, match="anew"):
        find_dataset(str(screen), **COLUMNS)


@pytest.mark.parametrize("content", ["", "no note", "[]", '{"digest": 1}', '{"digest": "0", "state": [1]}'])
def test_a_damaged_note_counts_for_nothing(screen, loaded, prepared, reads, content):
    (note,) = cache_folder("digests").iterdir()
    note.write_text(content)
    assert find_dataset(str(screen), **COLUMNS).digest == loaded.digest
    assert len(reads) == 1
    assert json.loads(note.read_text())["digest"] == loaded.digest


def test_cells_with_another_digest_than_the_noted_one_are_refused(screen, loaded, prepared):
    """The last line of defence: numbers are never computed from other cells than the coordinates name."""
    (note,) = cache_folder("digests").iterdir()
    note.write_text(json.dumps({**json.loads(note.read_text()), "digest": "0" * 64}))
    found = find_dataset(str(screen), **COLUMNS)
    with pytest.raises(BenchmarkError, match="have just changed; repeat the command"):
        _ = found.adata
    assert find_dataset(str(screen), **COLUMNS).digest == loaded.digest


def test_where_no_note_can_be_written_data_are_loaded_all_the_same(screen, loaded, reads):
    shutil.rmtree(cache_folder("digests"))
    cache_folder("digests").write_text("in the way")
    for _ in range(2):
        assert find_dataset(str(screen), **COLUMNS).digest == loaded.digest
    assert len(reads) == 2


def test_a_note_that_fits_is_not_written_again(screen, loaded):
    (note,) = cache_folder("digests").iterdir()
    before = note.stat().st_mtime_ns
    load_dataset(str(screen), **COLUMNS)
    assert note.stat().st_mtime_ns == before
