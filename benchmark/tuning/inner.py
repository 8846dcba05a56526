"""The split that configurations are tried on.

Some methods learn from the validation perturbations that they are given: `linear` and `main_effects` count
them among the training ones once they have chosen. What was learned from cannot judge, or the configuration
that remembers best would be chosen. So the validation part of a split takes the place of its test part, and
the scheme is applied to the training part once more, to draw the validation part that a method is given. It
is treated as in a run, with a few training perturbations less, and judged on ones of which it has seen
nothing.
"""

from __future__ import annotations

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.splits import Split, scheme_called
from benchmark.splits.contexts import takes_contexts
from benchmark.splits.schemes import NO_GENE, Scheme, doubles, singles
from benchmark.splits.split import group_of


def inner_split(split: Split) -> Split:
    """Hold out again, from the training part; what was for validation is predicted.

    Of what the scheme draws only its validation part is held out. Its test part goes back to training, but
    for perturbations that name a gene which is to be unseen.

    Parameters
    ----------
    split
        The split of a run.

    Returns
    -------
    Split
        Its ``test`` is the validation part of `split`; no test perturbation of `split` is in it.

    Raises
    ------
    BenchmarkError
        When there are too few training perturbations.
    """
    # Schemes of perturbations hold one out in all contexts, those of contexts in one.
    divided = split.train if takes_contexts(split.scheme) else sorted({_plain(each) for each in split.train})
    parts = _scheme(split)([_as_schemes_write(label) for label in divided], split.seed)
    drawn = {Perturbation.parse(label).label for label in parts.validation}
    validation = {label for label in split.train if {label, _plain(label)} & drawn}
    shown = {gene for label in parts.train for gene in _genes(label)}
    hidden = {gene for label in validation for gene in _genes(label)} - shown
    train = {label for label in split.train if label not in validation and hidden.isdisjoint(_genes(label))}
    if not validation or not train:
        raise BenchmarkError(
            f"The training part of the split {split.scheme}-{split.seed} of '{split.dataset}' has too few "
            f"perturbations, {len(split.train)}, to hold some of them out again; tune on another split."
        )
    seen = {gene for label in train for gene in _genes(label)}
    return split.model_copy(
        update={
            "train": tuple(sorted(train)),
            "validation": tuple(sorted(validation)),
            "test": split.validation,
            "groups": {label: group_of(label, seen, train) for label in split.validation},
        }
    ).sealed()


def _scheme(split: Split) -> Scheme:
    """Return the scheme of a split; for lists of one's own, one that holds out what they do."""
    drawn = scheme_called(split.scheme)
    has_pairs = any(Perturbation.parse(label).is_double for label in split.validation)
    return drawn or (doubles if has_pairs else singles)


def _plain(label: str) -> str:
    """The label of the perturbation, whatever its context."""
    return str(Perturbation.parse(label))


def _as_schemes_write(label: str) -> str:
    return label if Perturbation.parse(label).is_double else f"{label}+{NO_GENE}"


def _genes(label: str) -> tuple[str, ...]:
    return Perturbation.parse(label).genes
