"""Hashes of cells, by which copies are found without comparing every cell with every other."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from benchmark.data.blocks import row_blocks

FEWEST = 10
"""Non-zero genes below which two cells may be alike by chance."""


def fingerprints(matrix: csr_matrix) -> np.ndarray:
    """Hash the rows of a matrix: uint64, (rows,).

    The sum over non-zero genes of the bits of the float32 value times a random odd number of the gene, modulo
    2^64; equal rows have equal hashes, however their entries are ordered.
    """
    factors = np.random.default_rng(0).integers(0, 2**64, matrix.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes = np.empty(matrix.shape[0], dtype=np.uint64)
    for block in row_blocks(matrix.shape):
        bounds = matrix.indptr[block.start : block.stop + 1]
        part = slice(bounds[0], bounds[-1])
        bits = matrix.data[part].view(np.uint32).astype(np.uint64)
        rows = (bits, matrix.indices[part], bounds - bounds[0])
        hashes[block] = csr_matrix(rows, shape=(len(bounds) - 1, len(factors))) @ factors
    return hashes
