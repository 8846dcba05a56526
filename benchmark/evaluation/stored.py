"""Cells in an .h5ad file, read one perturbation at a time: a panel may be larger than memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import OldFormatWarning
from anndata.io import read_elem

from benchmark.data.h5ad import has_readable_rows
from benchmark.data.source import read
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.sorted_cells import Matrix


@dataclass(frozen=True, eq=False)
class StoredCells:
    """The cells of an .h5ad file, whose rows are read when they are asked for.

    What is held: ``obs``, the gene names and, of a sparse X, where each row begins (8 bytes a cell). An X
    whose rows cannot be read alone is held whole: compressed by column, or written before anndata 0.7. The
    file is open only while it is read.

    Attributes
    ----------
    path
        The file, which must stay as it is.
    obs
        A row per cell.
    genes
        Names of the columns.
    row_starts
        int64, (cells + 1,): where the rows of a sparse X begin; None where X is dense or held.
    held
        X, where it had to be read whole.
    """

    path: Path
    obs: pd.DataFrame
    genes: pd.Index
    row_starts: np.ndarray | None = None
    held: Matrix | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read everything but X.

        Raises
        ------
        BenchmarkError
            When the file cannot be read, or is no matrix of numbers with a name for each row and column.
        """
        try:
            with h5py.File(path, "r") as file:
                stored = cls._of_file(path, file) if has_readable_rows(file) else None
        except Exception as error:  # h5py and anndata raise many kinds for a damaged file
            raise _unreadable(path, error) from error
        return stored or cls._whole(path)

    @classmethod
    def _of_file(cls, path: Path, file: h5py.File) -> Self:
        obs, var, x = read_elem(file["obs"]), read_elem(file["var"]), file["X"]
        sparse = isinstance(x, h5py.Group)
        shape = tuple(x.attrs["shape"]) if sparse else x.shape
        if shape != (len(obs), len(var)):
            raise ValueError(
                f"X is {' x '.join(map(str, shape))}, but {len(obs)} cells and {len(var)} genes are named"
            )
        if (x["data"] if sparse else x).dtype.kind not in "fiub":
            raise ValueError("X holds no numbers")
        return cls(path, obs, var.index.astype(str), x["indptr"][:].astype(np.int64) if sparse else None)

    @classmethod
    def _whole(cls, path: Path) -> Self:
        with warnings.catch_warnings():
            # That the file is old is no news to whoever wrote it, and it is read all the same.
            warnings.filterwarnings("ignore", category=OldFormatWarning)
            adata = read(path)
        if adata.X is None:
            raise BenchmarkError(f"{path} has no matrix X; store the log1p expression of each cell there.")
        x = sp.csr_matrix(adata.X) if sp.issparse(adata.X) else np.asarray(adata.X)
        return cls(path, adata.obs, adata.var_names.astype(str), held=x)

    @property
    def expression(self) -> str | None:
        """What X holds, where the file says so as this project does: ``uns["expression"]``."""
        with h5py.File(self.path, "r") as file:
            said = file.get("uns/expression")
            value = said[()] if isinstance(said, h5py.Dataset) else None
        return value.decode() if isinstance(value, bytes) else None

    def labels(self, column: str) -> np.ndarray:
        """Return a column of ``obs`` as texts.

        Raises
        ------
        BenchmarkError
            When there is no such column, or it is empty for some cells.
        """
        if column not in self.obs:
            columns = ", ".join(map(str, self.obs.columns)) or "none"
            raise BenchmarkError(
                f"{self.path} has no obs column '{column}' (there are: {columns}); "
                "say which holds the label of each cell, or add it."
            )
        values = self.obs[column]
        if values.isna().any():
            raise BenchmarkError(
                f"The obs column '{column}' of {self.path} is empty for {int(values.isna().sum())} cells; "
                "label or remove them."
            )
        return values.astype(str).to_numpy()

    def columns(self, genes: Iterable[str]) -> np.ndarray:
        """Where each of these genes stands in the file, whose genes must be the same in any order.

        Raises
        ------
        BenchmarkError
            When genes are missing, more than are asked for, or named twice.
        """
        wanted = pd.Index(genes)
        repeated = self.genes[self.genes.duplicated()].unique()
        missing, more = wanted.difference(self.genes), self.genes.difference(wanted)
        for found, what, instead in (
            (repeated, f"{len(repeated)} genes more than once", ""),
            (
                missing,
                f"{len(missing)} of the {len(wanted)} genes of the data set not at all",
                _instead(missing, more),
            ),
            (more, f"{len(more)} genes that are not in the data set", ""),
        ):
            if len(found):
                raise BenchmarkError(
                    f"{self.path} holds {what}, such as '{found[0]}'{instead}; "
                    "predict exactly those of the data set, each once and under the same name."
                )
        return self.genes.get_indexer(wanted)

    def rows(
        self, index: np.ndarray, columns: np.ndarray | None = None, dtype: type[np.floating] = np.float32
    ) -> Matrix:
        """Read some cells.

        Parameters
        ----------
        index
            Rows of the file, ascending.
        columns
            Columns of the file in the order that is wanted; None: as they are.
        dtype
            Of the answer.

        Returns
        -------
        numpy.ndarray or scipy.sparse.csr_matrix
            (rows, genes): sparse where the file is.

        Raises
        ------
        BenchmarkError
            When the file is damaged.
        """
        try:
            cells = self._read(index) if self.held is None else self.held[index]
            with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused as such
                cells = cells.astype(dtype)
        except Exception as error:
            raise _unreadable(self.path, error) from error
        return cells if columns is None else cells[:, columns]

    def _read(self, index: np.ndarray) -> Matrix:
        """Read rows, neighbours in one piece."""
        pieces = [piece for piece in np.split(index, np.flatnonzero(np.diff(index) != 1) + 1) if len(piece)]
        with h5py.File(self.path, "r") as file:
            if self.row_starts is None:
                empty = np.empty((0, len(self.genes)), np.float32)
                return np.concatenate([empty, *(file["X"][piece[0] : piece[-1] + 1] for piece in pieces)])
            starts = self.row_starts
            spans = [slice(starts[piece[0]], starts[piece[-1] + 1]) for piece in pieces]
            data, indices = (_joined(file["X"][part], spans) for part in ("data", "indices"))
        ends = np.concatenate([[0], np.cumsum(starts[index + 1] - starts[index])])
        cells = sp.csr_matrix((data, indices, ends), shape=(len(index), len(self.genes)))
        cells.check_format(full_check=True)
        return cells


def _joined(values: Any, spans: list[slice]) -> np.ndarray:
    return np.concatenate([np.empty(0, values.dtype), *(values[span] for span in spans)])


def _instead(missing: pd.Index, more: pd.Index) -> str:
    """Say what a file has in place of genes that it lacks."""
    if more.empty:
        return ""
    others = {name.casefold(): name for name in more}
    alike = [others[name.casefold()] for name in missing if name.casefold() in others]
    if not alike:
        return f", but others, such as '{more[0]}'"
    return f", but {len(alike)} of them in other letter case, such as '{alike[0]}'"


def _unreadable(path: Path, error: Exception) -> BenchmarkError:
    """Say why a file cannot be read, the commonest reasons in words of their own."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    sentences: dict[type[Exception], str] = {
        FileNotFoundError: f"There is no file {path}; check the path.",
        IsADirectoryError: f"{path} is a folder; name the .h5ad file in it.",
        PermissionError: f"{path} may not be read by you; change its permissions, or copy it as its owner.",
    }
    sentence = f"{path} cannot be read as an .h5ad file ({reason}); write it again."
    return BenchmarkError(sentences.get(type(error), sentence))
