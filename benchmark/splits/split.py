"""Splits of a dataset's perturbations into training, validation and test parts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from benchmark.contexts import CONTEXT, contexts_of, labels_of, values_of
from benchmark.errors import BenchmarkError, unknown
from benchmark.perturbation import CONTROL, IN_CONTEXT, Perturbation
from benchmark.splits.contexts import CONTEXT_SCHEMES, takes_contexts
from benchmark.splits.schemes import NO_GENE, SCHEMES
from benchmark.splits.shares import scheme_called

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.data import Dataset

GENERATOR = "benchmark.splits 2"
"""Raised whenever a scheme divides the same labels, or control cells are divided, otherwise than before."""

USUAL = ("doubles", "singles")
"""Schemes that are proposed before others."""

FEWEST_CONTROLS = 4
"""Control cells that can be divided: a mean with a spread needs two on each side. Fewer are shared."""


class Controls(BaseModel):
    """Which control cells methods are given; what is real is measured against the others.

    Where both sides share them, the noise of their mean is in the real and in the predicted change, and every
    correlation of the two counts it as agreement.

    Attributes
    ----------
    n
        Control cells of the dataset.
    given
        A bit for each of them in the order of the dataset, 1 where methods are given it, in hexadecimal;
        filled up with zeros.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int = Field(ge=FEWEST_CONTROLS)
    given: str = Field(pattern="^([0-9a-f]{2})+$")

    @classmethod
    def halves(cls, n: int, seed: int) -> Self:
        """Give methods half of `n` cells, drawn by NumPy's legacy generator; of an odd number the less."""
        given = np.zeros(n, dtype=bool)
        given[np.random.RandomState(seed).permutation(n)[: n // 2]] = True
        return cls(n=n, given=np.packbits(given).tobytes().hex())

    @classmethod
    def of_contexts(cls, contexts: np.ndarray, divided: Collection[str], seed: int) -> Self | None:
        """Give methods half of the control cells of some contexts, as `halves` does, and all of the others.

        Parameters
        ----------
        contexts
            Of each control cell, (n,).
        divided
            The contexts in which something is measured against control cells.
        seed
            Of the draw.

        Returns
        -------
        Controls
            None where one of these contexts has too few to be divided: then both sides share all.
        """
        given = np.ones(len(contexts), dtype=bool)
        for context in sorted(divided):
            rows = np.flatnonzero(contexts == context)
            if len(rows) < FEWEST_CONTROLS:
                return None
            given[rows] = cls.halves(len(rows), seed).mask
        return cls(n=len(contexts), given=np.packbits(given).tobytes().hex())

    def known(self, shared: bool) -> int:
        """How many cells methods are given, of those that are divided or of all."""
        return self.n if shared else int(self.mask.sum())

    @property
    def mask(self) -> np.ndarray:
        """Which cells methods are given: bool, (n,)."""
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(self.given), dtype=np.uint8))
        return bits[: self.n].astype(bool)


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


def divided_controls(obs: pd.DataFrame, held_out: Iterable[str], seed: int) -> Controls | None:
    """Divide the control cells of each context in which something is held out; see `Controls.of_contexts`."""
    contexts = values_of(obs, CONTEXT)[(obs["perturbation"] == CONTROL).to_numpy()]
    return Controls.of_contexts(contexts, {Perturbation.parse(label).context for label in held_out}, seed)


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


def check_split(split: Split, dataset: Dataset | None = None) -> list[str]:
    """Return what is wrong with a split, one sentence each; without the data, less can be checked."""
    problems = [] if split.digest == split.content_digest() else ["it was changed after it was made"]
    parts = {"train": set(split.train), "validation": set(split.validation), "test": set(split.test)}
    problems += [f"its {part} part is empty" for part, labels in parts.items() if not labels]
    problems += _overlaps(parts)
    if set(split.groups) != parts["test"]:
        problems.append("its groups are not those of its test perturbations")
    labels = set.union(*parts.values())
    misspelt = sorted(label for label in labels if not _is_canonical(label))
    problems += [f"'{label}' is not a canonical label" for label in misspelt]
    if dataset is None:
        return problems
    if split.dataset_digest != dataset.digest:
        problems.append(f"it was made for other data than '{dataset.name}' as it is now")
    found = labels_of(dataset.adata.obs)
    n_controls = int((found == CONTROL).sum())
    if split.controls and split.controls.n != n_controls:
        problems.append(f"it divides {split.controls.n} control cells, but the data have {n_controls}")
    missing = sorted(labels - set(found))
    problems += [f"'{label}' is not in the data" for label in missing]
    ours = not problems and split.generator == GENERATOR
    drawn = make_split(dataset, split.scheme, split.seed) if ours else split
    if split not in (drawn, drawn.sharing_controls()):
        problems.append(f"it is not what the scheme '{split.scheme}' draws from these data")
    return problems


def _canonical(labels: Iterable[str], known: set[str]) -> set[str]:
    """Return the labels in canonical form; of a perturbation all its conditions where there are contexts."""
    drawn = {Perturbation.parse(label).label for label in labels}
    of_all = drawn - known
    spread = {label for label in known if str(Perturbation.parse(label)) in of_all} if of_all else set()
    return drawn & known | spread


def _is_canonical(label: str) -> bool:
    try:
        perturbation = Perturbation.parse(label)
    except BenchmarkError:
        return False
    return perturbation.label == label and not perturbation.is_control


def _overlaps(parts: Mapping[str, set[str]]) -> list[str]:
    names = list(parts)
    pairs = [(one, other) for i, one in enumerate(names) for other in names[i + 1 :]]
    return [
        f"'{label}' is in {one} and in {other}"
        for one, other in pairs
        for label in sorted(parts[one] & parts[other])
    ]
