"""Boosted regression trees that are grown by scikit-learn and kept as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trees:
    """A sum of binary trees; a leaf is its own child, so that any number of steps ends in one.

    Attributes
    ----------
    start
        What is predicted before the first tree.
    feature, threshold
        (trees, nodes): rows whose feature is at most the threshold go to the left.
    children
        (2, trees, nodes): left and right.
    value
        (trees, nodes): what a leaf adds.
    depth
        Steps from the root to the deepest leaf.
    """

    start: float
    feature: np.ndarray
    threshold: np.ndarray
    children: np.ndarray
    value: np.ndarray
    depth: int

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Sum what the leaves of all trees say of each row: (rows, features) -> (rows,)."""
        total = np.full(len(rows), self.start)
        number = np.arange(len(rows))
        for feature, threshold, left, right, value in zip(
            self.feature, self.threshold, *self.children, self.value, strict=True
        ):
            node = np.zeros(len(rows), dtype=np.int64)
            for _ in range(self.depth):
                below = rows[number, feature[node]] <= threshold[node]
                node = np.where(below, left[node], right[node])
            total += value[node]
        return total


NO_TREES = Trees(0.0, np.zeros((0, 1), int), np.zeros((0, 1)), np.zeros((2, 0, 1), int), np.zeros((0, 1)), 0)


def grow(
    rows: np.ndarray, targets: np.ndarray, *, trees: int, depth: int, learning_rate: float, smallest_leaf: int
) -> Trees:
    """Fit histogram gradient boosting with squared error; the same rows give the same trees.

    Parameters
    ----------
    rows
        (rows, features).
    targets
        (rows,).
    trees, depth, learning_rate, smallest_leaf
        How many trees, how deep, how much of each is added, and how many rows a leaf has at least.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=trees,
        max_depth=depth,
        max_leaf_nodes=None,
        learning_rate=learning_rate,
        min_samples_leaf=smallest_leaf,
        early_stopping=False,
        random_state=0,
    ).fit(rows, targets)
    # Saved methods are arrays, not pickles, and scikit-learn has no public name for the nodes of these trees.
    grown = [tree.nodes for (tree,) in model._predictors]
    kinds = {"feature_idx": np.int64, "num_threshold": np.float64, "left": np.int64, "right": np.int64}
    table: dict[str, np.ndarray] = {
        name: _padded([nodes[name] for nodes in grown], kind) for name, kind in kinds.items()
    }
    itself = np.arange(table["left"].shape[1])
    leaf = _padded([nodes["is_leaf"] for nodes in grown], np.int64) == 1
    return Trees(
        float(np.ravel(model._baseline_prediction)[0]),
        table["feature_idx"],
        table["num_threshold"],
        np.stack([np.where(leaf, itself, table["left"]), np.where(leaf, itself, table["right"])]),
        _padded([nodes["value"] for nodes in grown], np.float64),
        depth,
    )


def _padded(parts: list[np.ndarray], kind: type) -> np.ndarray:
    """One row for each tree, filled up with zeros."""
    table: np.ndarray = np.zeros((len(parts), max(map(len, parts))), dtype=kind)
    for row, part in zip(table, parts, strict=True):
        row[: len(part)] = part
    return table
