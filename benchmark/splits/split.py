"""Which perturbations of a dataset are for training, for validation and for the test."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from benchmark.perturbation import Perturbation
from benchmark.splits.controls import Controls


class Split(BaseModel):
    """Which perturbations are for training, for choosing among models and for the test.

    Attributes
    ----------
    dataset, scheme, seed
        What was divided, and how.
    train, validation, test
        Canonical labels, sorted, without the control; no label is in two parts. Of data with several contexts
        those of conditions, ``K562::A+B``.
    controls
        How the control cells are divided; None where both sides share all of them.
    groups
        Test label -> ``unseen_single``, ``combo_seen0``, ``combo_seen1`` or ``combo_seen2``: how many of
        its genes are seen in training, as the scheme has it. ``seen_elsewhere`` where training has the same
        perturbation in another context.
    generator, parameters
        What made the split.
    dataset_digest
        `benchmark.data.content_digest` of the data that were divided.
    digest
        SHA-256 of everything above.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    scheme: str
    seed: int = Field(ge=0)
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    controls: Controls | None = None
    groups: dict[str, str]
    generator: str
    parameters: dict[str, float]
    dataset_digest: str
    digest: str = ""

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts that are tested, sorted; `NONE` alone where the data have not several."""
        return tuple(sorted({Perturbation.parse(label).context for label in self.test}))

    def of_context(self, context: str) -> Self:
        """Return what is asked and learned from in one context; the digest stays that of the whole."""

        def here(labels: Iterable[str]) -> tuple[str, ...]:
            return tuple(label for label in labels if Perturbation.parse(label).context == context)

        parts = {part: here(getattr(self, part)) for part in ("train", "validation", "test")}
        return self.model_copy(
            update={**parts, "groups": {label: self.groups[label] for label in parts["test"]}}
        )

    def content_digest(self) -> str:
        """Return what `digest` must be; shared controls, which older files know nothing of, do not count."""
        absent = {"digest"} if self.controls else {"digest", "controls"}
        text = json.dumps(self.model_dump(mode="json", exclude=absent), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def sealed(self) -> Self:
        """Return the split with its digest."""
        return self.model_copy(update={"digest": self.content_digest()})

    def sharing_controls(self) -> Self:
        """Return the same parts with all control cells on both sides, as many publications have it."""
        return self.model_copy(update={"controls": None}).sealed()

    def with_train_share(self, share: float) -> Self:
        """Return the same split with a part of its training perturbations: a point of a learning curve.

        Singles and doubles keep their proportion, and a larger part holds every smaller one. Digest and
        groups stay those of the whole.

        Parameters
        ----------
        share
            Above 0, up to 1.
        """
        rng, kept = np.random.default_rng(self.seed), []
        for is_double in (False, True):
            kind = [label for label in self.train if Perturbation.parse(label).is_double == is_double]
            kept += [kind[place] for place in rng.permutation(len(kind))[: math.ceil(share * len(kind))]]
        return self.model_copy(update={"train": tuple(sorted(kept))})


def group_of(label: str, seen: Collection[str], train: Collection[str] = ()) -> str:
    """Return the group of a test label.

    Parameters
    ----------
    label
        Of a test perturbation.
    seen
        Genes that are seen in training.
    train
        Labels of training; of a condition one in another context may be of the same perturbation.
    """
    perturbation = Perturbation.parse(label)
    if perturbation.context and perturbation in {Perturbation.parse(other) for other in train}:
        return "seen_elsewhere"
    genes = perturbation.genes
    return f"combo_seen{sum(gene in seen for gene in genes)}" if len(genes) == 2 else "unseen_single"
