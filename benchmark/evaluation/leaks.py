"""Whether anything of the test cells is in what a method is given.

Test cells are those of the test perturbations, and the control cells that real changes are measured against.
What is found: rows of test cells, of X or a layer, under whatever label; names and labels of another part;
whatever is not promised, or leads back to the data set. What is not found: cells that are almost a test cell,
and what a method fetches itself, since it runs in the same process and is trusted. That much shows in what it
predicts, if it predicts too well (`benchmark.evaluation.independence`).

A cell is recognised by its fingerprint, a hash of the genes and float32 values of its row. The hash only
finds candidates; a copy is what has the same row, value by value. Cells with fewer than `FEWEST` non-zero
genes are not looked for: of the shallowest cells of a large screen two may be alike by chance. (Of the 3,375
real cells of norman19_devel, half of which have 15 or fewer non-zero genes, no two are.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.contexts import COLUMNS, CONTEXT, is_varied, labels_in_view, labels_of, values_of
from benchmark.data.blocks import layers_of, row_blocks
from benchmark.data.canonical import canonicalise
from benchmark.data.cards import DatasetCard
from benchmark.data.dataset import Dataset
from benchmark.data.fingerprints import FEWEST, fingerprints
from benchmark.data.source import source_cells
from benchmark.errors import BenchmarkError
from benchmark.evaluation.sisters import sister_guides
from benchmark.perturbation import CONTROL
from benchmark.splits import Split
from benchmark.splits.views import scored_controls, training_views

UNS = {"modality", "gene_sets"}
OBS = {"perturbation", *COLUMNS}


@dataclass(frozen=True)
class Finding:
    """The outcome of one check, in a sentence, and whether it is a leak."""

    subject: str
    sentence: str
    is_leak: bool = False


def check_views(dataset: Dataset, split: Split, train: AnnData, validation: AnnData) -> None:
    """Refuse cells that hold anything of the test cells; every run does this before it fits.

    Parameters
    ----------
    dataset, split
        Where the cells come from, and which perturbations are for the test.
    train, validation
        What a method is about to be given.

    Raises
    ------
    BenchmarkError
        With all that was found, in one sentence.
    """
    leaks = [found.sentence for found in inspect_views(dataset, split, train, validation) if found.is_leak]
    if leaks:
        raise BenchmarkError(
            f"Test cells of '{dataset.name}', split {split.scheme}-{split.seed}, are in what methods learn "
            f"from: {'; '.join(leaks)}; correct the data set or the split."
        )


def examine(dataset: Dataset, split: Split) -> list[Finding]:
    """Check what a method would be given on a split, and how the data set was prepared.

    Raises
    ------
    BenchmarkError
        When the source of the data set cannot be read again.
    """
    findings = inspect_views(dataset, split, *training_views(dataset, split))
    return [*findings, _preparation(dataset, split), _gene_selection(dataset), _sisters(dataset, split)]


def inspect_views(dataset: Dataset, split: Split, train: AnnData, validation: AnnData) -> list[Finding]:
    """Look for test cells, whatever their label, in the training and validation cells of a method."""
    views = {"training": train, "validation": validation}
    return [
        _labels(split, views),
        _names(dataset, split, views),
        _copies(dataset, split, views),
        _extras(dataset, views),
    ]


def _labels(split: Split, views: Mapping[str, AnnData]) -> Finding:
    """Only the perturbations that the split has for a part are in it, and none is in two parts."""
    allowed = {"training": {CONTROL, *split.train}, "validation": set(split.validation)}
    wrong = [
        f"'{label}' is in the {part} cells"
        for part, view in views.items()
        for label in sorted(set(labels_in_view(view.obs)) - (allowed[part] - set(split.test)))
    ]
    shared = sorted(set(split.train) & set(split.validation))
    wrong += [f"'{label}' is in the training and in the validation part" for label in shared]
    fine = "training, validation and test cells are of different perturbations"
    return _finding("perturbations", wrong, fine)


def _names(dataset: Dataset, split: Split, views: Mapping[str, AnnData]) -> Finding:
    """No cell, by its name in the data set, is in two parts."""
    parts = {part: set(view.obs_names) for part, view in views.items()}
    test = set(dataset.adata.obs_names[_is_withheld(dataset, split)])
    wrong = [
        f"{len(both)} cells of the {part} part, such as '{min(both)}', are in the {other} part too"
        for part, names, other, others in (
            ("test", test, "training", parts["training"]),
            ("test", test, "validation", parts["validation"]),
            ("validation", parts["validation"], "training", parts["training"]),
        )
        if (both := names & others)
    ]
    return _finding("cells", wrong, "no cell is in two parts")


def _copies(dataset: Dataset, split: Split, views: Mapping[str, AnnData]) -> Finding:
    """No row of a test cell, of X or a layer, is a row of any matrix that a method is given."""
    test = np.flatnonzero(_is_withheld(dataset, split))
    originals = [(matrix, _hashes(matrix, test)) for _, matrix in _matrices(dataset.adata)]
    deep = np.logical_or.reduce([np.diff(matrix.indptr)[test] >= FEWEST for matrix, _ in originals])
    known = np.unique(np.concatenate([hashes[deep] for _, hashes in originals]))
    found: dict[str, str] = {}
    for part, view in views.items():
        for name, matrix in _matrices(view):
            hashes = fingerprints(matrix)
            for row in np.flatnonzero(np.isin(hashes, known) & (np.diff(matrix.indptr) >= FEWEST)):
                for cell in _same_row(matrix[row], hashes[row], test, originals):
                    place = (
                        f"{part} cell '{view.obs_names[row]}' ({view.obs['perturbation'].iloc[row]}, {name})"
                    )
                    found.setdefault(dataset.adata.obs_names[cell], place)
    labels = dict(zip(dataset.adata.obs_names, labels_of(dataset.adata.obs), strict=True)) if found else {}
    examples = [f"'{cell}' ({labels[cell]}) as {found[cell]}" for cell in sorted(found)]
    wrong = [f"{len(found)} of {len(test)} test cells have copies, such as {examples[0]}"] if found else []
    shallow = int((~deep).sum())
    beside = f"; {shallow} with fewer than {FEWEST} non-zero genes were not looked for" if shallow else ""
    n_cells = sum(view.n_obs for view in views.values())
    fine = f"none of {len(test):,} test cells is among the {n_cells:,} that methods are given{beside}"
    return _finding("copies", wrong, fine)


def _hashes(matrix: csr_matrix, rows: np.ndarray) -> np.ndarray:
    """Fingerprints of some rows, without a copy of all of them."""
    parts = [fingerprints(matrix[rows[part]]) for part in row_blocks((len(rows), matrix.shape[1]))]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _same_row(
    row: csr_matrix, value: np.uint64, test: np.ndarray, originals: list[tuple[csr_matrix, np.ndarray]]
) -> Iterator[int]:
    """Yield the test cells, as rows of the data set, that have exactly this row, in X or a layer."""
    for matrix, hashes in originals:
        for cell in test[hashes == value]:
            if (matrix[cell] != row).nnz == 0:
                yield int(cell)


def _extras(dataset: Dataset, views: Mapping[str, AnnData]) -> Finding:
    """Nothing beside expression, counts and labels, and no way back to the data set."""
    wrong = [
        f"the {part} cells have {extra}" for part, view in views.items() for extra in _extra(dataset, view)
    ]
    return _finding("rest", wrong, "methods are given copies of expression and labels, and nothing else")


def _extra(dataset: Dataset, view: AnnData) -> Iterator[str]:
    promised = {
        "obs": (view.obs, OBS),
        "uns": (view.uns, UNS),
        "var": (view.var, set()),
        "layers": (layers_of(view), set(layers_of(dataset.adata))),
        **{kind: (getattr(view, kind), set()) for kind in ("obsm", "varm", "obsp", "varp")},
    }
    for kind, (given, allowed) in promised.items():
        yield from (f"{kind} '{name}', which is not promised" for name in sorted(set(given) - allowed))
    if view.raw is not None:
        yield "a 'raw' matrix, which is not promised"
    if view.is_view or view.isbacked or np.may_share_memory(view.X.data, dataset.adata.X.data):
        yield "the data set itself behind them, as they are no copies"


def _preparation(dataset: Dataset, split: Split) -> Finding:
    """The data set, prepared again without its test cells, has the same genes and the same other cells."""
    card = dataset.card
    if card.simulator is None and card.local_file is None:
        return Finding("preparation", "not repeated, because the data set has no card")
    source = source_cells(card)
    kept = dataset.adata[~_is_test(dataset, split)]
    tested = {name: values[_is_test(dataset, split)] for name, values in _written(dataset).items()}
    others = ~_is_written(source.obs, card, pd.DataFrame(tested).drop_duplicates())
    again = canonicalise(source[others], card, is_whole=False)
    wrong = []
    if list(again.var_names) != list(kept.var_names):
        here = len(set(kept.var_names) - set(again.var_names))
        wrong.append(f"without test cells {here} of its {kept.n_vars} genes would not be selected")
    elif again.n_obs != kept.n_obs or dict(_matrices(again)).keys() != dict(_matrices(kept)).keys():
        wrong.append(
            "without test cells the other cells, or the layers that they have, would not be the same"
        )
    else:
        before = dict(_matrices(kept))
        wrong += [
            f"without test cells the other cells would have another {name}"
            for name, matrix in _matrices(again)
            if (matrix != before[name]).nnz
        ]
    fine = f"repeated without the test cells, it gives the same {again.n_vars:,} genes and the same cells"
    return _finding("preparation", wrong, fine)


def _written(dataset: Dataset) -> dict[str, np.ndarray]:
    """What the source says of each cell that tells its condition."""
    obs = dataset.adata.obs
    context = {CONTEXT: values_of(obs, CONTEXT)} if is_varied(obs, CONTEXT) else {}
    return {"label": obs["source_label"].to_numpy().astype(str), **context}


def _is_written(obs: pd.DataFrame, card: DatasetCard, conditions: pd.DataFrame) -> np.ndarray:
    """Whether a cell of the source is of one of some conditions, bool (cells,)."""
    columns = {"label": card.perturbation_column, CONTEXT: card.context_column}
    found = obs[[columns[name] for name in conditions]].astype(str)
    keys = {tuple(row) for row in conditions.itertuples(index=False)}
    return np.array([row in keys for row in found.itertuples(index=False, name=None)], dtype=bool)


def _gene_selection(dataset: Dataset) -> Finding:
    """What the card says of a selection that was made before, and cannot be repeated here."""
    genes = f"the list '{dataset.card.genes}'" if dataset.card.genes else "the file"
    sentences = {
        "none": "not selected by what cells express: there is nothing to repeat",
        "unknown": f"as in {genes}; on which cells they were selected is not known and cannot be repeated",
        "all cells": f"those of {genes} were selected on all cells, test cells among them",
    }
    selection = dataset.card.gene_selection
    return Finding("genes", sentences[selection], selection == "all cells")


def _sisters(dataset: Dataset, split: Split) -> Finding:
    """No test perturbation is of the same genes as one that is learned from, by another guide."""
    found = sister_guides(dataset, split)
    label = next(iter(found), "")
    wrong = f"{len(found)} test perturbations have a sister in training, such as '{label}'"
    wrong += f" with '{found.get(label)}': read guides as their genes with --collapse-guides"
    return _finding(
        "guides", [wrong] if found else [], "no test perturbation is another guide of a training one"
    )


def _finding(subject: str, wrong: list[str], fine: str) -> Finding:
    return Finding(subject, "; ".join(wrong) or fine, bool(wrong))


def _is_test(dataset: Dataset, split: Split) -> np.ndarray:
    return np.isin(labels_of(dataset.adata.obs), split.test)


def _is_withheld(dataset: Dataset, split: Split) -> np.ndarray:
    """Whether a cell is of a test perturbation, or a control cell that methods are not given."""
    tested = _is_test(dataset, split)
    return tested if split.controls is None else tested | scored_controls(dataset, split)


def _matrices(adata: AnnData) -> Iterator[tuple[str, csr_matrix]]:
    """Yield X and the layers as float32 CSR, with their names."""
    yield "X", csr_matrix(adata.X, dtype=np.float32)
    for name, layer in layers_of(adata).items():
        yield name, csr_matrix(layer, dtype=np.float32)
