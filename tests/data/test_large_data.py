"""Cells that stay on disk: the same as in memory, bit by bit, in far less memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from benchmark.data import on_disk
from benchmark.data.dataset import Dataset, load_dataset
from benchmark.data.digests import content_digest
from benchmark.data.on_disk import OnDisk, belongs_on_disk, is_mapped
from benchmark.errors import BenchmarkError
from benchmark.evaluation.leaks import check_views, inspect_views
from benchmark.evaluation.scoring import ceiling, score
from benchmark.machine.paths import cache_folder
from benchmark.machine.progress import CurveKeeper, report_to
from benchmark.method import Method
from benchmark.perturbation import Perturbation
from benchmark.splits import Split, make_split
from benchmark.splits.views import training_views
from methods.additive import Additive
from methods.grnflow_prior import GRNFlowPrior
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from methods.linear import Linear
from methods.main_effects import MainEffects
from methods.scdfm import ScDFM
from tests.data.large_case import OPTIONS, run_limited, write_large
from tests.tiny import COLUMNS

HOMES = ("memory", "disk")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny screens have many blocks, too."""
    monkeypatch.setattr("benchmark.data.blocks.ENTRIES", 700)


def load(path: Path, where: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Dataset:
    """Load a screen in a home of its own, so that nothing is shared between the two ways."""
    monkeypatch.setenv(on_disk.VARIABLE, where)
    monkeypatch.setenv("BENCHMARK_HOME", str(path.parent / where))
    return load_dataset(str(path), **{**COLUMNS, **options})


def both(path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Dataset, Dataset]:
    memory, disk = (load(path, where, monkeypatch, **options) for where in HOMES)
    assert not is_mapped(memory.adata.X)
    assert is_mapped(disk.adata.X)
    return memory, disk


def equal(one: AnnData, other: AnnData) -> bool:
    """Whether all matrices, names and labels are the same, bit by bit."""
    pairs = [(one.X, other.X), *((one.layers[name], other.layers[name]) for name in one.layers)]
    parts = [(getattr(a, part), getattr(b, part)) for a, b in pairs for part in ("data", "indices", "indptr")]
    same = all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in parts)
    frames = one.obs.equals(other.obs) and one.var.equals(other.var)
    return same and frames and set(one.layers) == set(other.layers)


def as_counts(adata: AnnData) -> dict[str, Any]:
    return {}


def as_dense(adata: AnnData) -> dict[str, Any]:
    adata.X = adata.X.toarray()
    return {}


def as_logs_with_counts(adata: AnnData) -> dict[str, Any]:
    adata.layers["counts"] = adata.X.copy()
    adata.X = sparse.csr_matrix(np.log1p(adata.X.toarray() / 3))
    return {"expression": "log1p"}


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("change", [as_counts, as_dense, as_logs_with_counts])
def test_a_screen_is_prepared_alike_from_disk_and_from_memory(
    screen: Path, change: Any, compression: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same digest and the same bits; the second load maps what the first has prepared."""
    adata = read_h5ad(screen)
    options = change(adata)
    adata.write_h5ad(screen, compression=compression)
    memory, disk = both(screen, monkeypatch, **options)
    assert disk.digest == memory.digest == content_digest(disk.adata)
    assert equal(memory.adata, disk.adata)
    assert equal(memory.adata, load(screen, "disk", monkeypatch, **options).adata)


def test_what_is_prepared_for_disk_is_an_h5ad_like_any_other(
    screen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """anndata reads it, and so does a load into memory, and the other way round."""
    disk = load(screen, "disk", monkeypatch)
    (path,) = cache_folder("prepared").iterdir()
    assert equal(read_h5ad(path), disk.adata)
    monkeypatch.setenv(on_disk.VARIABLE, "memory")
    assert equal(load_dataset(str(screen), **COLUMNS).adata, disk.adata)
    load(screen, "memory", monkeypatch)
    monkeypatch.setenv(on_disk.VARIABLE, "disk")
    again = load_dataset(str(screen), **COLUMNS)
    assert is_mapped(again.adata.X)
    assert equal(again.adata, disk.adata)


def test_a_file_whose_rows_cannot_be_read_alone_is_read_whole_and_then_mapped(
    screen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Matrices compressed by column."""
    adata = read_h5ad(screen)
    adata.X = sparse.csc_matrix(adata.X)
    adata.write_h5ad(screen)
    memory, disk = both(screen, monkeypatch)
    assert equal(memory.adata, disk.adata)


def test_methods_are_given_copies_on_disk_that_hold_the_same(
    screen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie in files without a name, which vanish with the process that made them."""
    sides = both(screen, monkeypatch)
    split = make_split(sides[0], "doubles", 0)
    for memory, disk in zip(*(training_views(side, split) for side in sides), strict=True):
        assert is_mapped(disk.X)
        assert is_mapped(disk.layers["counts"])
        assert not np.may_share_memory(disk.X.data, sides[1].adata.X.data)
        assert equal(memory, disk)
        assert memory.uns == disk.uns
    assert list(cache_folder("mapped").iterdir()) == []


def test_leaks_are_found_on_disk_too(screen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sentences; a test cell among the training cells is refused."""
    sides = both(screen, monkeypatch)
    split = make_split(sides[0], "doubles", 0)
    clean, leaky = [], []
    for dataset in sides:
        train, validation = training_views(dataset, split)
        clean.append(inspect_views(dataset, split, train, validation))
        test = np.flatnonzero(dataset.adata.obs["perturbation"].isin(split.test))[:3]
        train.X = sparse.vstack([dataset.adata.X[test], train.X[3:]], format="csr")
        with pytest.raises(BenchmarkError, match=r"3 of .* test cells have copies") as caught:
            check_views(dataset, split, train, validation)
        leaky.append(str(caught.value))
    assert clean[0] == clean[1]
    assert leaky[0] == leaky[1]


def answers(method: Method, dataset: Dataset, split: Split) -> dict[str, np.ndarray]:
    """What a method predicts of the test perturbations, having learned from where the data set lies."""
    train, validation = training_views(dataset, split)
    method.fit(train, validation)
    start = train[train.obs["perturbation"] == "control"][:20].copy()
    asked = [Perturbation.parse(label) for label in split.test]
    return dict(zip(split.test, method.predict(start, asked), strict=True))


@pytest.mark.parametrize("method", [Additive, Linear, MainEffects])
def test_baselines_predict_the_same(
    screen: Path, method: type[Method], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit by bit."""
    sides = both(screen, monkeypatch)
    split = make_split(sides[0], "doubles", 0)
    memory, disk = (answers(method(), dataset, split) for dataset in sides)
    assert all(np.array_equal(memory[label], disk[label]) for label in split.test)


def test_predictions_score_the_same(screen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every metric of every perturbation, and the ceiling."""
    sides = both(screen, monkeypatch)
    split = make_split(sides[0], "doubles", 0)
    predicted = answers(Additive(), sides[0], split)
    tables = [score(dataset, split, predicted) for dataset in sides]
    assert tables[0].equals(tables[1])
    assert ceiling(sides[0], split).equals(ceiling(sides[1], split))


def trained(method: type[Method], dataset: Dataset, split: Split) -> tuple[dict, dict[str, np.ndarray]]:
    """The curves of a short training, and predictions."""
    keeper = CurveKeeper()
    with report_to(keeper):
        config = method.Config.build("smoke", {"steps": 6, "checks": 2})
        predicted = answers(method(config, seed=1), dataset, split)
    return keeper.curves, predicted


@pytest.mark.parametrize("method", [ScDFM, GRNFlowSparsePCA, GRNFlowPrior])
def test_flows_train_and_predict_the_same(
    screen: Path, method: type[Method], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All losses, validation scores and cells, bit by bit; how long steps waited for cells is kept, too."""
    sides = both(screen, monkeypatch)
    split = make_split(sides[0], "doubles", 0)
    found = []
    for where, dataset in zip(HOMES, sides, strict=True):
        monkeypatch.setenv("BENCHMARK_HOME", str(screen.parent / where))  # no transformer is shared
        found.append(trained(method, dataset, split))
    (curves, memory), (from_disk, disk) = found
    for side in (curves, from_disk):
        assert all(0 <= share <= 1 for _, share in side.pop("train flow/waiting"))
    assert len(curves["train flow/loss"]) == 6
    assert len(curves["train flow/validation"]) == 2
    assert curves == from_disk
    assert all(np.array_equal(memory[label], disk[label]) for label in split.test)


def test_memory_decides_where_cells_are_unless_somebody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what is available is the border."""
    monkeypatch.setattr(on_disk, "available_memory", lambda: 1000)
    monkeypatch.delenv(on_disk.VARIABLE, raising=False)
    assert not belongs_on_disk(500)
    assert belongs_on_disk(501)
    monkeypatch.setenv(on_disk.VARIABLE, "memory")
    assert not belongs_on_disk(501)
    monkeypatch.setenv(on_disk.VARIABLE, "disk")
    assert belongs_on_disk(1)
    monkeypatch.setenv(on_disk.VARIABLE, "tape")
    with pytest.raises(BenchmarkError, match="BENCHMARK_CELLS is 'tape', but must be"):
        belongs_on_disk(1)


def test_a_damaged_source_is_one_sentence(screen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut short, or with a block that cannot be unpacked, which shows only when it is reached."""
    adata = read_h5ad(screen)
    adata.write_h5ad(screen, compression="gzip")
    with h5py.File(screen, "r") as file:
        place = file["X/data"].id.get_chunk_info(0)
    whole = screen.read_bytes()
    broken = bytearray(whole)
    broken[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
    for content in (whole[: len(whole) // 2], bytes(broken)):
        screen.write_bytes(content)
        with pytest.raises(BenchmarkError, match=r"cannot be read as an \.h5ad file") as caught:
            load(screen, "disk", monkeypatch)
        assert "\n" not in str(caught.value)
        assert not cache_folder("prepared").exists()


@pytest.mark.parametrize("damage", ["truncated", "edited"])
def test_a_damaged_prepared_file_is_made_again(
    screen: Path, damage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As in memory."""
    first = load(screen, "disk", monkeypatch).digest
    (path,) = cache_folder("prepared").iterdir()
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        with h5py.File(path, "r") as file:
            content[file["layers/counts/data"].id.get_offset()] ^= 1
    path.write_bytes(content)
    assert load(screen, "disk", monkeypatch).digest == first
    assert "is damaged and is made again" in caplog.text


def test_values_that_are_refused_are_refused_alike(screen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first wrong value and how many there are, over all blocks; nothing half-made is left."""
    adata = read_h5ad(screen)
    values = adata.X.toarray()
    values[[70, 90], [3, 2]] = np.nan
    adata.X = sparse.csr_matrix(values)
    adata.write_h5ad(screen)
    for where in HOMES:
        with pytest.raises(BenchmarkError, match="has 2 NaN or infinite values, the first in cell 70"):
            load(screen, where, monkeypatch)
        assert not cache_folder("prepared").exists()


def test_a_full_disk_is_one_sentence(screen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which folder needs room; nothing is left behind."""

    class Full:
        def close(self) -> None:
            return

        def write(self, content: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(on_disk, "_nameless_file", Full)
    with pytest.raises(BenchmarkError, match=r"kept on disk .*No space left on device.*make room"):
        load(screen, "disk", monkeypatch)
    assert not cache_folder("prepared").exists()


def test_a_matrix_without_values_is_kept_as_well() -> None:
    """There is nothing to map then."""
    kept = OnDisk()
    kept.append(sparse.csr_matrix((3, 4), dtype=np.float32))
    assert kept.matrix().shape == (3, 4)


@pytest.mark.slow
def test_baselines_and_a_flow_learn_in_a_fraction_of_its_size(tmp_path: Path) -> None:
    """A limit on the process: what it may get is a fifth of what X takes; memory mode dies of it."""
    small, large = tmp_path / "small.h5ad", tmp_path / "large.h5ad"
    write_large(small, cells=400)
    room = write_large(large, cells=50_000) // 5
    imports = (
        "from benchmark.data import load_dataset\nfrom benchmark.evaluation.leaks import check_views\n"
        "from benchmark.splits import make_split\nfrom benchmark.splits.views import training_views\n"
        "from methods.additive import Additive\nimport methods.linear\nfrom methods.scdfm import ScDFM\n"
    )
    work = f"""
dataset = load_dataset(path, **{OPTIONS})
split = make_split(dataset, "doubles", 0)
views = training_views(dataset, split)
check_views(dataset, split, *views)
additive = Additive().fit(*views)
config = ScDFM.Config.build("smoke", {{"steps": 3, "graph_neighbours": 0, "checks": 0, "width": 8}})
flow = ScDFM(config, seed=0, device="cpu").fit(*views)
return f"{{len(additive.genes_)}} singles {{flow.device_used}}"
"""
    done = run_limited(imports, work, small, large, room)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "8 singles cpu\n"
    in_memory = f"import os; os.environ['{on_disk.VARIABLE}'] = 'memory'\n"
    assert "MemoryError" in run_limited(in_memory + imports, work, small, large, room).stderr
