"""How perturbations are divided: one pure function per scheme, from labels to parts.

Labels are written as in Norman 2019 after GEARS: ``A+ctrl`` or ``ctrl+A`` for a single, ``A+B`` for a
double. Their spelling and order decide what a seed draws, so published splits come out only from it. Schemes
of contexts are in `benchmark.splits.contexts`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from benchmark.perturbation import IN_CONTEXT

NO_GENE = "ctrl"
HELD_OUT_DOUBLES = 15


@dataclass(frozen=True)
class Parts:
    """What a scheme draws.

    Attributes
    ----------
    train, validation, test
        Labels. One that is in no part may be neither learned from nor tested.
    seen
        Genes that are seen in training, by which test perturbations are grouped.
    parameters
        How they were drawn.
    """

    train: list[str]
    validation: list[str]
    test: list[str]
    seen: Collection[str]
    parameters: Mapping[str, float]


Scheme = Callable[[Sequence[str], int], Parts]


def genes_of(label: str) -> list[str]:
    """Return the genes that a label names, whatever its context."""
    return [part for part in label.rpartition(IN_CONTEXT)[2].split("+") if part != NO_GENE]


def doubles(labels: Sequence[str], seed: int, *, test: float = 0.3, validation: float = 0.1) -> Parts:
    """Hold out 30 % of the doubles, or another share; every single is trained on.

    The procedure of scDFM: sorted unique doubles, shuffled in place by NumPy's legacy generator seeded
    with 42 + `seed`; the first int(0.3 N) are the test part. scDFM has no validation part: here it is
    the next max(1, int(0.1 N)) of the shuffled doubles.
    """
    parameters = {"test_fraction": test, "validation_fraction": validation, "random_state": 42 + seed}
    names = np.unique([label for label in labels if len(genes_of(label)) == 2])
    np.random.RandomState(42 + seed).shuffle(names)
    n_test = int(parameters["test_fraction"] * len(names))
    n_held_out = n_test + max(1, int(parameters["validation_fraction"] * len(names)))
    singles = sorted({label for label in labels if len(genes_of(label)) == 1})
    return Parts(
        train=singles + names[n_held_out:].tolist(),
        validation=names[n_test:n_held_out].tolist(),
        test=names[:n_test].tolist(),
        seen={gene for label in singles for gene in genes_of(label)},
        parameters=parameters,
    )


def half_doubles(labels: Sequence[str], seed: int) -> Parts:
    """Hold out half of the doubles; every single is trained on.

    The division of Ahlmann-Eltze et al., Nature Methods 2025: of the sorted unique doubles NumPy's legacy
    generator, seeded with `seed`, chooses int(N / 2) for training. They call half of the rest validation and
    score both halves; here all of the rest is the test part, and validation is max(1, int(0.1 N)) of the
    training doubles, the last that were chosen.
    """
    parameters = {"train_share": 0.5, "validation_fraction": 0.1, "random_state": seed}
    names = np.unique([label for label in labels if len(genes_of(label)) == 2])
    count = int(parameters["train_share"] * len(names))
    chosen = np.random.RandomState(seed).choice(names, count, replace=False).tolist() if count else []
    n_validation = max(1, int(parameters["validation_fraction"] * len(names)))
    alone = sorted({label for label in labels if len(genes_of(label)) == 1})
    return Parts(
        train=alone + chosen[:-n_validation],
        validation=chosen[-n_validation:],
        test=sorted(set(names.tolist()) - set(chosen)),
        seen={gene for label in alone for gene in genes_of(label)},
        parameters=parameters,
    )


def holdout(labels: Sequence[str], seed: int) -> Parts:
    """Hold out 15 doubles with the singles of their genes: the second setting of scDFM.

    The doubles are the first 15 of the test part of `doubles`; its other test doubles are trained on, and its
    validation part is kept. No gene is held out by this: most of the genes are in some training double.
    """
    drawn = doubles(labels, seed)
    test = drawn.test[:HELD_OUT_DOUBLES]
    genes = {gene for label in test for gene in genes_of(label)}
    alone = [label for label in drawn.train if len(genes_of(label)) == 1]
    held_out = [label for label in alone if genes.issuperset(genes_of(label))]
    train = [label for label in drawn.train if label not in set(held_out)] + drawn.test[HELD_OUT_DOUBLES:]
    return Parts(
        train=train,
        validation=drawn.validation,
        test=test + held_out,
        seen={gene for label in train for gene in genes_of(label)},
        parameters={**drawn.parameters, "held_out_doubles": HELD_OUT_DOUBLES},
    )


def simulation(labels: Sequence[str], seed: int) -> Parts:
    """Hold out genes and, among the doubles of other genes, a quarter: the `simulation` split of GEARS.

    75 % of the genes are seen in training. The test part has the singles of unseen genes, the doubles
    with at least one of them, and 25 % of the doubles of two seen genes. Validation perturbations are
    drawn from the training part in the same way, with 90 % for both shares.
    """
    parameters = {"train_share": 0.75, "train_share_of_rest": 0.9, "random_state": seed}
    rest, test, seen = _by_seen_genes(labels, seed, parameters["train_share"])
    train, validation, _ = _by_seen_genes(rest, seed, parameters["train_share_of_rest"])
    return Parts(train, validation, test, seen, parameters)


def singles(labels: Sequence[str], seed: int, *, test: float = 0.2, validation: float = 0.1) -> Parts:
    """Hold out 20 % of the genes that are perturbed alone, and 10 % for validation, or other shares.

    A double shows what its genes do, so doubles with a held-out gene are in no part; the other doubles
    are trained on.
    """
    parameters = {"test_fraction": test, "validation_fraction": validation, "random_state": seed}
    alone = [label for label in labels if len(genes_of(label)) == 1]
    genes = np.unique([genes_of(label)[0] for label in alone])
    np.random.RandomState(seed).shuffle(genes)
    n_test = int(parameters["test_fraction"] * len(genes))
    n_held_out = n_test + max(1, int(parameters["validation_fraction"] * len(genes)))

    def of(chosen: np.ndarray) -> list[str]:
        return sorted(label for label in alone if genes_of(label)[0] in set(chosen))

    held_out = set(genes[:n_held_out])
    return Parts(
        train=sorted(label for label in labels if held_out.isdisjoint(genes_of(label))),
        validation=of(genes[n_test:n_held_out]),
        test=of(genes[:n_test]),
        seen=set(genes[n_held_out:]),
        parameters=parameters,
    )


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "doubles": doubles,
        "simulation": simulation,
        "singles": singles,
        "half_doubles": half_doubles,
        "holdout": holdout,
    }
)


def _by_seen_genes(
    labels: Sequence[str], seed: int, share: float
) -> tuple[list[str], list[str], Collection[str]]:
    """Return the labels to learn from, those held out, and the genes that are seen.

    Both draws start from the same seed, as in GEARS (`gears/data_utils.py`).
    """
    genes = np.unique([gene for label in labels for gene in genes_of(label)])
    seen = set(np.random.RandomState(seed).choice(genes, int(len(genes) * share), replace=False))
    known = [label for label in labels if seen.issuperset(genes_of(label))]
    pairs = np.unique([label for label in known if len(genes_of(label)) == 2])
    kept = {label for label in known if len(genes_of(label)) == 1}
    if len(pairs):
        kept.update(np.random.RandomState(seed).choice(pairs, int(len(pairs) * share), replace=False))
    return sorted(map(str, kept)), sorted(set(labels) - kept), seen
