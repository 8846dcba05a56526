"""Matrices as people have them: on the scale that is expected, brought to it, or refused."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from benchmark.data.blocks import layers_of
from benchmark.data.dataset import load_dataset
from tests.data.brought import HOW, LOGS, brought, file, labels_of, normalised, refusal


@pytest.mark.parametrize(
    ("target", "base", "said"),
    [
        (1e4, 2, "log2(1 + x) of counts per 10,000"),
        (1e4, 10, "log10(1 + x) of counts per 10,000"),
        (1e6, None, "log1p of counts per 1,000,000"),
        (1e6, 2, "log2(1 + x) of counts per 1,000,000"),
        (500, None, "log1p of counts per 500"),
    ],
)
def test_values_on_another_scale_become_those_of_log1p_per_10000_and_it_is_said(
    tmp_path, target, base, said, caplog
):
    expected = normalised(brought(), 1e4).X
    dataset = load_dataset(str(file(tmp_path, normalised(brought(), target, base))), **LOGS)
    assert dataset.adata.X.toarray() == pytest.approx(expected, rel=1e-4)
    assert f"are {said}: converted to log1p of counts per 10,000" in caplog.text


def test_normalised_counts_without_a_logarithm_are_given_one(tmp_path):
    cells = normalised(brought(), 1e6)
    cells.X = np.expm1(cells.X.astype(np.float64)).astype(np.float32)
    dataset = load_dataset(str(file(tmp_path, cells)), **LOGS)
    assert dataset.adata.X.toarray() == pytest.approx(normalised(brought(), 1e4).X, rel=1e-4)


def test_log1p_per_10000_is_taken_bit_by_bit_and_nothing_is_said(tmp_path, caplog):
    cells = normalised(brought(), 1e4)
    dataset = load_dataset(str(file(tmp_path, cells)), **LOGS)
    assert np.array_equal(dataset.adata.X.toarray(), cells.X)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_log2_of_selected_genes_cannot_be_converted_and_is_refused(tmp_path):
    cells = normalised(brought(), 1e4, 2)[:, [f"G{i}" for i in range(12)]].copy()
    assert "they look like log2(1 + x) of normalised counts" in refusal(file(tmp_path, cells), LOGS)


def test_log1p_of_selected_genes_is_taken_where_it_is_possible_and_refused_where_it_is_not(tmp_path):
    """Counts per 10,000 cannot sum to more than 10,000, whatever genes were selected."""
    genes = [f"G{i}" for i in range(12)]
    possible = normalised(brought(), 1e4)[:, genes].copy()
    assert load_dataset(str(file(tmp_path, possible)), **LOGS).adata.n_vars == 12
    assert "the values are too large" in refusal(
        file(tmp_path, normalised(brought(), 1e6)[:, genes].copy(), "cpm.h5ad"), LOGS
    )


def test_cells_that_were_normalised_in_two_ways_are_refused_where_they_would_be_converted(tmp_path):
    cells = normalised(brought(), 1e6)
    cells.X[3] = normalised(brought(), 5e5).X[3]
    assert "1 cells have another sum" in refusal(file(tmp_path, cells), LOGS)


def test_half_precision_is_read(tmp_path):
    cells = normalised(brought(), 1e4)
    expected = cells.X.copy()
    cells.X = cells.X.astype(np.float16)
    dataset = load_dataset(str(file(tmp_path, cells)), **LOGS)
    assert dataset.adata.X.dtype == np.float32
    assert dataset.adata.X.toarray() == pytest.approx(expected, rel=2e-3)


def test_cells_without_counts_are_left_out_on_request(tmp_path):
    cells = brought()
    dense = cells.X.toarray()
    dense[[4, 25]] = 0
    cells.X = sparse.csr_matrix(dense)
    path = file(tmp_path, cells)
    assert "--leave-out empty" in refusal(path, HOW)
    found = labels_of(load_dataset(str(path), **HOW, leave_out=("empty",)))
    assert (found["control"], found["G0"]) == (19, 5)


def test_scaled_values_name_the_matrix_that_would_do(tmp_path):
    cells = normalised(brought(), 1e4)
    cells.layers["counts"] = brought().X
    cells.raw = cells.copy()
    cells.X = (cells.X - cells.X.mean(0)).astype(np.float32)
    path = file(tmp_path, cells)
    sentence = refusal(path, LOGS)
    assert "layers/counts holds whole numbers: raw counts: read it with --layer counts" in sentence
    expected = load_dataset(str(file(tmp_path, brought(), "plain.h5ad")), **HOW)
    layer = load_dataset(str(path), **HOW, layer="counts")
    assert layer.digest == expected.digest
    raw = load_dataset(str(path), **LOGS, raw=True)
    assert raw.adata.X.toarray() == pytest.approx(expected.adata.X.toarray(), rel=1e-4)
    assert "There is no matrix 'layers/count'; did you mean 'layers/counts'?" in refusal(
        path, {**HOW, "layer": "count"}
    )


def test_whole_numbers_without_a_declaration_are_answered_with_what_to_declare(tmp_path):
    how = {name: value for name, value in HOW.items() if name != "expression"}
    sentence = refusal(file(tmp_path, brought()), how)
    assert (
        "log1p values are expected where --expression is not given, but all values are whole numbers"
        in sentence
    )
    assert "--expression counts" in sentence


def test_variable_genes_are_chosen_on_control_cells_alone(tmp_path):
    """A gene that varies in perturbed cells only does not come in; perturbed genes always do."""
    cells = brought()
    dense = cells.X.toarray()
    dense[:, 15] = np.where(np.arange(68) % 2, 0, 300) * (np.arange(68) < 20)
    dense[:, 16] = np.where(np.arange(68) % 2, 0, 300) * (np.arange(68) >= 20)
    cells.X = sparse.csr_matrix(dense)
    found = load_dataset(str(file(tmp_path, cells)), **HOW, genes="hvg:1").adata
    assert list(found.var_names) == [*(f"G{i}" for i in range(8)), "G15"]
    assert found.obs["depth"].tolist() == dense.sum(1).tolist()


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array])
def test_sparse_arrays_are_read_as_matrices_are(tmp_path, kind):
    """What scipy and anndata write from now on."""
    cells = brought()
    expected = load_dataset(str(file(tmp_path, cells, "matrix.h5ad")), **HOW).digest
    cells.X = kind(cells.X)
    assert load_dataset(str(file(tmp_path, cells, "array.h5ad")), **HOW).digest == expected


def test_the_matrix_that_newer_anndata_counts_as_a_layer_is_none():
    """From 0.13 on X is among the layers, under the name None."""
    assert layers_of(SimpleNamespace(layers={None: 1, "counts": 2})) == {"counts": 2}
