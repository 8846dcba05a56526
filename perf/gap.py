"""Where a method errs: bias or noise, on perturbations that it learned from and on held-out ones.

    python perf/gap.py simulated grnflow_sparse_pca grnflow_sparse_pca:steps=3000 main_effects

Each argument after the data set is a method, with settings after a colon. Methods are fitted on the training
perturbations of split doubles-0 and asked for training singles, training doubles and validation doubles;
test perturbations are not touched. The squared error of a mean is split into the noise of the real mean
(variance over cells / cells), the noise of the predicted mean (how two predictions from other control cells
and another seed differ) and what is left, the squared bias; it is negative where the noise of real means was
learned. `main_effects` and `linear` choose a penalty on the validation perturbations but are fitted
without them here, as is what GRNFlow generates around.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numpy as np
from anndata import AnnData

from benchmark.data import load_dataset
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.predicting import sample_cells
from benchmark.registry import load_method
from benchmark.splits import load_split
from benchmark.splits.views import training_views
from methods._grnflow.method import GRNFlow

CELLS = 128
AT_MOST = 20


def noise_of_real(cells: np.ndarray) -> float:
    """Variance of the mean of real cells, averaged over genes."""
    return float(cells.var(0, ddof=1).mean() / len(cells))


def two_means(method, starts: list[AnnData], labels: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Predict the mean of each perturbation twice, independently."""
    asked = [Perturbation.parse(label) for label in labels]
    found = []
    for seed, start in enumerate(starts):
        method.seed = seed
        found.append([cells.mean(0) for cells in method.predict(start, asked)])
    return zip(*found, strict=True)


def groups(train: AnnData, validation: AnnData) -> dict[str, list[str]]:
    """Labels of training singles, training doubles and validation perturbations, a sample of each."""
    rng = np.random.default_rng(0)
    labels = [str(label) for label in train.obs["perturbation"].unique() if label != CONTROL]
    parts = {
        "training singles": [label for label in labels if "+" not in label],
        "training doubles": [label for label in labels if "+" in label],
        "validation": [str(label) for label in validation.obs["perturbation"].unique()],
    }
    return {name: sorted(rng.permutation(found)[:AT_MOST].tolist()) for name, found in parts.items() if found}


def fitted(text: str, train: AnnData, validation: AnnData):
    """Fit ``method`` or ``method:name=value,...``; what would learn from validation cells sees none."""
    name, _, settings = text.partition(":")
    method_class = load_method(name)
    chosen = dict(pair.split("=") for pair in settings.split(",") if pair)
    method = method_class(method_class.Config.build(None, chosen), seed=0)
    method.fit(train, validation[:0].copy() if isinstance(method, GRNFlow) else validation)
    if name == "main_effects":
        config = method_class.Config(penalty=method.penalty_)
        method = method_class(config).fit(train, validation[:0].copy())
    if name == "linear":
        config = method_class.Config(rank=method.rank_, ridge=method.ridge_, embedding=method.embedding_)
        method = method_class(config).fit(train, validation[:0].copy())
    return method


def measure(dataset_name: str, methods: list[str]) -> None:
    dataset = load_dataset(dataset_name)
    train, validation = training_views(dataset, load_split(dataset, "doubles", 0))
    control = train[train.obs["perturbation"] == CONTROL].copy()
    starts = [sample_cells(control, CELLS, seed) for seed in (0, 1)]
    print("| method | perturbations | squared error | real noise | predicted noise | squared bias |")
    print("|---|---|---|---|---|---|")
    for text in methods:
        began = time.perf_counter()
        method = fitted(text, train, validation)
        seconds = time.perf_counter() - began
        for group, labels in groups(train, validation).items():
            source = validation if group == "validation" else train
            rows = []
            for label, (one, two) in zip(labels, two_means(method, starts, labels), strict=True):
                real = source.X[(source.obs["perturbation"] == label).to_numpy()].toarray()
                error = float(np.mean([np.square(mean - real.mean(0)).mean() for mean in (one, two)]))
                noise = noise_of_real(real), float(np.square(one - two).mean() / 2)
                rows.append([error, *noise, error - sum(noise)])
            values = " | ".join(f"{value:.4f}" for value in np.mean(rows, axis=0))
            print(f"| {text} ({seconds:.0f} s) | {group} | {values} |", flush=True)


if __name__ == "__main__":
    measure(sys.argv[1], sys.argv[2:])
