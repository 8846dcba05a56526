"""Perturbations of the test part that are the same as one that is learned from, under another name."""

from __future__ import annotations

from collections import defaultdict

from benchmark.data import Dataset
from benchmark.data.labels import LabelReader
from benchmark.perturbation import Perturbation
from benchmark.splits import Split


def sister_guides(dataset: Dataset, split: Split) -> dict[str, str]:
    """Find guides of the test part whose sister, a guide of the same gene, is learned from.

    Parameters
    ----------
    dataset
        Whose card does not read guides as their genes.
    split
        Of its perturbations.

    Returns
    -------
    dict
        Test perturbation -> one of training or validation that is of the same genes.
    """
    if dataset.card.as_labelled:
        return {}
    reader = LabelReader(dataset.card, list(dataset.adata.var_names))

    def genes(label: str) -> tuple[str, ...]:
        perturbation = Perturbation.parse(label)
        named = sorted(reader.gene_of_guide(name) or name for name in perturbation.genes)
        return perturbation.context, *named

    learned: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for label in (*split.train, *split.validation):
        learned[genes(label)].append(label)
    return {label: learned[genes(label)][0] for label in split.test if genes(label) in learned}
