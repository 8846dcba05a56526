"""How conditions are divided where a context is to be predicted in which a perturbation was not measured.

Labels are those of `benchmark.splits.schemes` behind their contexts, ``K562::A+ctrl``. The context that is
tested is the one whose number, in alphabetical order, is the seed's: as many seeds as there are contexts test
each once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from benchmark.contexts import context_in
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.splits.schemes import Parts, Scheme, genes_of

VALIDATION = 0.1
"""Share of the perturbations of a context that are held out for choosing among models."""

TEST_OF_GENES = 0.2
"""Share of the genes that are held out in all contexts."""


def contexts(labels: Sequence[str], seed: int, *, test: float = 0.5, validation: float = VALIDATION) -> Parts:
    """Hold out half of the perturbations of one context that were measured in others, too, or another share.

    The context keeps its control cells, and the perturbations that are not held out: what it was shown of it
    tells a method how it differs. Of its sorted perturbations, shuffled by NumPy's legacy generator seeded
    with `seed`, the first int(0.5 N) are the test part and the next max(1, int(0.1 N)) the validation part.
    """
    here, elsewhere = _divided(labels, seed)
    shared = _shuffled(_measured_in(here, elsewhere), seed)
    n_test = int(test * len(shared))
    n_held_out = n_test + max(1, int(validation * len(shared)))
    held_out = set(shared[:n_held_out])
    train = sorted(set(labels) - held_out)
    return Parts(
        train=train,
        validation=sorted(shared[n_test:n_held_out]),
        test=sorted(shared[:n_test]),
        seen=_genes(train),
        parameters={"test_fraction": test, "validation_fraction": validation, "random_state": seed},
    )


def contexts_new(labels: Sequence[str], seed: int) -> Parts:
    """Hold out all perturbations of one context, which shows its control cells alone.

    Tested is what was measured in others, too; the rest is in no part. The validation part is that of
    `contexts` in the next context, so that methods are chosen by how they transfer.
    """
    here, elsewhere = _divided(labels, seed)
    names = sorted({context_in(label) for label in labels})
    next_one = names[(seed + 1) % len(names)]
    inside = [label for label in elsewhere if context_in(label) == next_one]
    outside = [label for label in labels if context_in(label) != next_one]
    shared = _shuffled(_measured_in(inside, outside), seed)
    validation = sorted(shared[: max(1, int(VALIDATION * len(shared)))])
    train = sorted(set(elsewhere) - set(validation))
    return Parts(
        train=train,
        validation=validation,
        test=_measured_in(here, elsewhere),
        seen=_genes(train),
        parameters={"validation_fraction": VALIDATION, "random_state": seed},
    )


def contexts_and_genes(labels: Sequence[str], seed: int) -> Parts:
    """Hold out a fifth of the genes in all contexts, and test them in one that shows its control cells alone.

    Genes are drawn from those that are perturbed alone in the context, as `singles` does; a tenth of them are
    for validation, in the other contexts. Perturbations with a held-out gene are in no other part.
    """
    here, elsewhere = _divided(labels, seed)
    alone = {genes_of(label)[0] for label in here if len(genes_of(label)) == 1}
    genes = _shuffled(alone, seed)
    n_test = int(TEST_OF_GENES * len(genes))
    tested, judged = set(genes[:n_test]), set(genes[n_test : n_test + max(1, int(VALIDATION * len(genes)))])
    train = [label for label in elsewhere if (tested | judged).isdisjoint(genes_of(label))]
    return Parts(
        train=sorted(train),
        validation=sorted(label for label in elsewhere if judged.issuperset(genes_of(label))),
        test=sorted(label for label in here if tested.issuperset(genes_of(label))),
        seen=_genes(train),
        parameters={
            "test_fraction": TEST_OF_GENES,
            "validation_fraction": VALIDATION,
            "random_state": seed,
        },
    )


CONTEXT_SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {"contexts": contexts, "contexts_new": contexts_new, "contexts_and_genes": contexts_and_genes}
)


def takes_contexts(scheme: str) -> bool:
    """Whether a scheme, by its name, also with other shares, divides conditions and not perturbations."""
    return any(scheme == name or scheme.startswith(f"{name}_") for name in CONTEXT_SCHEMES)


def _divided(labels: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """The labels of the context that is tested, and those of the others."""
    by_context: Mapping[str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        by_context[context_in(label)].append(label)
    names = sorted(by_context)
    tested = names[seed % len(names)]
    return by_context[tested], [label for name in names if name != tested for label in by_context[name]]


def _measured_in(labels: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those labels of one context whose perturbation, however it is spelt, is among the others.

    Raises
    ------
    BenchmarkError
        When there is none: nothing can be learned of this context in the others.
    """
    labels = list(labels)
    known = {Perturbation.parse(label) for label in others}
    found = [label for label in labels if Perturbation.parse(label) in known]
    if not found:
        context = context_in(labels[0]) if labels else ""
        raise BenchmarkError(
            f"None of the {len(labels)} perturbations of context '{context}' was measured in another one, so "
            "that there is nothing to transfer; take another seed, which tests another context, or a split "
            "that holds perturbations out in all contexts, such as doubles."
        )
    return found


def _shuffled(names: Collection[str], seed: int) -> list[str]:
    shuffled = np.unique(list(names))
    np.random.RandomState(seed).shuffle(shuffled)
    return shuffled.tolist()


def _genes(labels: Iterable[str]) -> set[str]:
    return {gene for label in labels for gene in genes_of(label)}
