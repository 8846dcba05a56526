"""Draws splits of a dataset by a scheme."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from benchmark.contexts import CONTEXT, contexts_of, labels_of
from benchmark.errors import BenchmarkError, unknown
from benchmark.perturbation import CONTROL, IN_CONTEXT, Perturbation
from benchmark.splits.contexts import CONTEXT_SCHEMES, takes_contexts
from benchmark.splits.controls import divided_controls
from benchmark.splits.schemes import NO_GENE, SCHEMES
from benchmark.splits.shares import scheme_called
from benchmark.splits.split import Split, group_of

if TYPE_CHECKING:
    from benchmark.data import Dataset

GENERATOR = "benchmark.splits 2"
"""Raised whenever a scheme divides the same labels, or control cells are divided, otherwise than before."""

USUAL = ("doubles", "singles")
"""Schemes that are proposed before others."""


def make_split(dataset: Dataset, scheme: str, seed: int) -> Split:
    """Divide the perturbations of a dataset; nothing is written.

    Where a source spells one perturbation in two ways (``A+B``, ``B+A``) and they are drawn for two
    parts, all its cells go to the test part, else to validation: held out once is held out.

    Raises
    ------
    BenchmarkError
        For an unknown scheme, or a dataset with too few perturbations for it.
    """
    draw = scheme_called(scheme)
    if draw is None:
        raise unknown(
            "split", scheme, {*SCHEMES, *CONTEXT_SCHEMES}, "`python -m benchmark splits` lists them"
        )
    if seed < 0:
        raise BenchmarkError(f"The seed of a split is 0 or more, but {seed} was given; choose another.")
    obs = dataset.adata.obs
    with_contexts = takes_contexts(scheme)
    if with_contexts and len(contexts_of(obs)) < 2:
        raise BenchmarkError(
            f"Dataset '{dataset.name}' has one context, but the split '{scheme}' tests one of several; name "
            "their column with --context-column, or choose another split."
        )
    parts = draw(source_labels(dataset, with_contexts), seed)
    known = set(labels_of(obs)) - {CONTROL}
    test = _canonical(parts.test, known)
    validation = _canonical(parts.validation, known) - test
    train = _canonical(parts.train, known) - test - validation
    for part, labels in (("training", train), ("validation", validation), ("test", test)):
        if not labels:
            raise BenchmarkError(
                f"Dataset '{dataset.name}' has too few perturbations for the split '{scheme}' with seed "
                f"{seed}: its {part} part would be empty{_instead(dataset, scheme, seed)}."
            )
    return Split(
        dataset=dataset.name,
        scheme=scheme,
        seed=seed,
        train=tuple(sorted(train)),
        validation=tuple(sorted(validation)),
        test=tuple(sorted(test)),
        controls=divided_controls(obs, test | validation, seed),
        groups={label: group_of(label, parts.seen, train) for label in sorted(test)},
        generator=GENERATOR,
        parameters=dict(parts.parameters),
        dataset_digest=dataset.digest,
    ).sealed()


def fitting_scheme(dataset: Dataset, seed: int) -> str:
    """Return the scheme that suits a dataset: `doubles`, else `singles`, else any other.

    Raises
    ------
    BenchmarkError
        When there is none.
    """
    fitting = _fitting(dataset, seed)
    if not fitting:
        raise BenchmarkError(
            f"Dataset '{dataset.name}' has too few perturbations for any split "
            f"({', '.join(SCHEMES)}); give a list of your own with --split FILE.csv."
        )
    return fitting[0]


def _fitting(dataset: Dataset, seed: int) -> list[str]:
    schemes = {**SCHEMES, **CONTEXT_SCHEMES} if len(contexts_of(dataset.adata.obs)) > 1 else SCHEMES
    labels = {kind: source_labels(dataset, kind) for kind in {takes_contexts(name) for name in schemes}}
    drawn = {name: scheme(labels[takes_contexts(name)], seed) for name, scheme in schemes.items()}
    fitting = {name for name, parts in drawn.items() if parts.train and parts.validation and parts.test}
    return [name for name in dict.fromkeys((*USUAL, *schemes)) if name in fitting]


def _instead(dataset: Dataset, scheme: str, seed: int) -> str:
    """What to do where a scheme has too few perturbations."""
    pairs = sum("+" in label for label in dataset.adata.obs["perturbation"].unique())
    reason = "; there are no pairs" if not pairs and scheme != "singles" else ""
    others = [name for name in _fitting(dataset, seed) if name != scheme]
    return f"{reason}: use --split {others[0]}" if others else f"{reason}; choose another split"


def source_labels(dataset: Dataset, with_contexts: bool = False) -> list[str]:
    """Return the labels of a dataset, in its source's order of genes, in the form that schemes take.

    They are those of perturbations, or, as schemes of contexts take them, of conditions.

    Where a source writes something else than the genes themselves, such as their guides, they are in
    alphabetical order.
    """

    def rewrite(label: str, canonical: str) -> str:
        genes = Perturbation.parse(canonical).genes
        written = [part.strip() for part in label.split(dataset.card.separator)]
        parts = [part if part in genes else NO_GENE for part in written]
        if sorted(part for part in parts if part != NO_GENE) != list(genes):
            parts = list(genes)
        return "+".join(parts if len(parts) == 2 else [*parts, NO_GENE])

    obs = dataset.adata.obs
    perturbed = obs.loc[obs["perturbation"] != CONTROL, ["source_label", "perturbation"]]
    if not with_contexts:
        return sorted({rewrite(*pair) for pair in perturbed.drop_duplicates().itertuples(index=False)})
    conditions = perturbed.assign(context=obs[CONTEXT].astype(str)).drop_duplicates()
    return sorted(
        f"{context}{IN_CONTEXT}{rewrite(label, canonical)}"
        for label, canonical, context in conditions.itertuples(index=False)
    )


def _canonical(labels: Iterable[str], known: set[str]) -> set[str]:
    """Return the labels in canonical form; of a perturbation all its conditions where there are contexts."""
    drawn = {Perturbation.parse(label).label for label in labels}
    of_all = drawn - known
    spread = {label for label in known if str(Perturbation.parse(label)) in of_all} if of_all else set()
    return drawn & known | spread
