"""Cells of a file of predictions, in the order of the genes of a data set, as log values and as counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from benchmark.counted import dense, logs_of
from benchmark.data import Dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.forms import CONTEXT
from benchmark.evaluation.metrics.counts import require_counts
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.evaluation.stored import StoredCells

STANDARD_ERRORS = 6
"""How far the mean of submitted control cells may be off before they count as other cells."""

LOOKED_AT = 200
"""Cells of each context by whose mean contexts are told apart."""


@dataclass(frozen=True, eq=False)
class HandedCells:
    """Cells of a file, whatever they hold.

    Attributes
    ----------
    stored
        The file.
    columns
        Where each gene of the data set stands in it.
    usual
        What the counts of a cell are made to add up to, per 10,000; None where the file holds log values.
    """

    stored: StoredCells
    columns: np.ndarray
    usual: float | None

    @classmethod
    def of(cls, stored: StoredCells, dataset: Dataset, control: csr_matrix, is_counts: bool) -> HandedCells:
        """Find the genes; `control` are control cells that methods know, log1p of counts per 10,000."""
        totals = np.asarray(control.astype(np.float64).expm1().sum(axis=1))
        columns = stored.columns(dataset.adata.var_names)
        return cls(stored, columns, float(np.median(totals)) if is_counts else None)

    def raw(self, rows: np.ndarray, dtype: type[np.floating] = np.float32) -> Matrix:
        """Read cells as they are."""
        return self.stored.rows(rows, self.columns, dtype)

    def worth(self, counts: np.ndarray) -> np.ndarray:
        """How many counts per 10,000 one count of each cell is worth, (cells,)."""
        assert self.usual is not None
        return self.usual / counts.sum(axis=1, dtype=np.float64)

    def checked_logs(self, label: str, rows: np.ndarray) -> np.ndarray:
        """Read cells as log values; counts must be such.

        Raises
        ------
        BenchmarkError
            For values that are no counts where counts are declared.
        """
        if self.usual is None:
            return dense(self.raw(rows))
        counts = dense(self.raw(rows, np.float64))
        require_counts(counts, f"The predicted cells of '{label}' in {self.stored.path}")
        return logs_of(counts, self.worth(counts))

    def require_own_context(self, chosen: np.ndarray | None, control: csr_matrix) -> None:
        """Refuse the cells of another context: those under another name are far nearer to the controls.

        A perturbation changes a cell much less than its context does. Some cells of each context are looked
        at, by their mean.

        Parameters
        ----------
        chosen
            Rows of the context that is scored; None where the file knows no contexts.
        control
            The control cells of the data set, log1p of counts per 10,000.

        Raises
        ------
        BenchmarkError
            When the cells of another context are less than half as far from the control cells.
        """
        if chosen is None:
            return
        of_cells, centre = self.stored.labels(CONTEXT), np.asarray(control.mean(axis=0)).ravel()
        far = {}
        for context in sorted(set(of_cells)):
            rows = np.flatnonzero(of_cells == context)
            some = rows[np.unique(np.linspace(0, len(rows) - 1, LOOKED_AT).astype(int))]
            cells = self.checked_logs(context, some)
            far[context] = float(np.linalg.norm(cells.mean(axis=0, dtype=np.float64) - centre))
        own, nearest = str(of_cells[chosen[0]]), min(far, key=lambda context: far[context])
        if 2 * far[nearest] < far[own]:
            raise BenchmarkError(
                f"The cells of context '{own}' in {self.stored.path} are {far[own] / far[nearest]:.1f} times "
                f"as far from the control cells of the data set as those of context '{nearest}'; contexts "
                "seem to be swapped: label them as the data are, or name another with --context."
            )

    def foreign_controls(self, rows: np.ndarray | None, control: csr_matrix) -> list[str]:
        """Say so where the control cells of the file are no draw from the real ones.

        The standard error of the mean of n out of N cells is s sqrt((1 - n / N) / n), so that all of them
        must have the very mean (Cochran, "Sampling Techniques", 1977, theorem 2.2). Counts say nothing of the
        genes that the data set leaves out, so they are not compared.
        """
        if rows is None or self.usual is not None:
            return []
        mean = np.asarray(self.raw(rows).mean(axis=0, dtype=np.float64)).ravel()
        real = control.toarray()
        error = real.std(axis=0, dtype=np.float64) * np.sqrt(max(1 / len(rows) - 1 / len(real), 0))
        off = np.abs(mean - real.mean(axis=0, dtype=np.float64))
        if (off <= STANDARD_ERRORS * error + 1e-4).all():
            return []
        return [
            f"its {len(rows)} control cells are not those of the data set (a mean is off by "
            f"{off.max():.3g}); they are not used, and responses are measured against the real ones"
        ]


def require_cells(stored: StoredCells, predicts: str, is_counts: bool) -> None:
    """Refuse means of counts: they are no counts.

    Raises
    ------
    BenchmarkError
        When both are declared.
    """
    if is_counts and predicts == "mean":
        raise BenchmarkError(
            f"{stored.path} holds counts, of which cells are scored; leave out --predicts mean."
        )
