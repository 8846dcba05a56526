"""The mean that a double is expected to have: effects that add up, and a readout of how they overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmark.perturbation import Perturbation
from methods._effects import FOLDS, Folds
from methods._flow.randomness import seeded
from methods._flow.readout import Lesson, Readout, ReadoutOptions, ReadoutShape, readout_inputs, train_readout
from methods._overlap import N_SHAPES, Examples, chosen, examples

CHECKED_AFTER = (25, 50, 100, 150, 200)
"""Numbers of steps to choose from."""
NO_STEPS = "0"

TellsLatent = Callable[[Perturbation, Sequence[int]], np.ndarray]
"""Says what is known of the latent of a double, (genes * d), to somebody who has not seen some folds."""


@dataclass(frozen=True)
class ReadoutLearner:
    """Learns from doubles what the sum of the effects misses, by a base that has not seen them.

    Attributes
    ----------
    folds
        The doubles and their effects on expression, log1p CP10K.
    options
        Of the readout.
    seed
        Of its start and its batches.
    latents
        What effects that have not seen a double say of its latent; None without latents.
    spread
        How far latents lie around their sum of effects, float32 (genes, d).
    """

    folds: Folds
    options: ReadoutOptions
    seed: int
    latents: TellsLatent | None = None
    spread: np.ndarray | None = None

    def errors(self) -> dict[str, np.ndarray]:
        """Cross-validate: number of steps -> mean squared error of each double, (doubles,); 0 for no readout.

        Each fold is asked of readouts that were trained without it, on effects that were fitted without it.
        """
        choices = [steps for steps in CHECKED_AFTER if steps <= self.options.most_steps]
        errors: dict[str, list[np.ndarray]] = {str(steps): [] for steps in (0, *choices)}
        for fold in range(FOLDS):
            others = [other for other in range(FOLDS) if other != fold]
            asked = examples(self.folds, fold)
            errors[NO_STEPS].append(self.folds.by_double(fold, np.mean(asked.missed**2, axis=1)))
            for steps, fitted in zip(choices, self.train(choices, others, fold), strict=True):
                added = fitted.added(asked.shapes, self._latents([fold]))
                wrong = np.mean((asked.missed - added) ** 2, axis=1)
                errors[str(steps)].append(self.folds.by_double(fold, wrong))
        return {steps: np.concatenate(parts) for steps, parts in errors.items()}

    def best_steps(self) -> int:
        """The number of steps whose lead over no readout is clear and largest; else 0."""
        return int(chosen(self.errors(), NO_STEPS))

    def train(self, keep_after: Sequence[int], given: Sequence[int], *without: int) -> list[FittedReadout]:
        """Train on some folds, with effects that saw neither the double nor the folds `without`."""
        parts = [examples(self.folds, fold, *without) for fold in given]
        shapes = np.concatenate([part.shapes for part in parts])
        scales, unit = sizes(parts)
        latent = self._latents(given, *without)
        lesson = Lesson(
            torch.from_numpy((shapes / scales).astype(np.float32)),
            torch.from_numpy((np.concatenate([part.missed for part in parts]) / unit).astype(np.float32)),
            None if latent is None else torch.from_numpy(latent),
            None if self.spread is None else torch.from_numpy(self.spread),
        )
        options, genes = self.options, shapes.shape[1]
        inputs = N_SHAPES + (0 if latent is None else latent.shape[-1] + 1)
        shape = ReadoutShape(inputs, genes, options.width, options.vector, options.dropout)
        with seeded(self.seed):
            networks = train_readout(shape, lesson, options, keep_after)
        return [FittedReadout(network, scales, unit) for network in networks]

    def _latents(self, folds: Sequence[int], *without: int) -> np.ndarray | None:
        """What effects that have not seen them say of the latents of doubles, float32 (doubles, genes, d)."""
        if self.latents is None or self.spread is None:
            return None
        found = [
            self.latents(double, (fold, *without)) for fold in folds for double in self.folds.doubles(fold)[0]
        ]
        return np.stack(found).astype(np.float32).reshape(len(found), *self.spread.shape)


def better(plain: ReadoutLearner, other: ReadoutLearner) -> tuple[ReadoutLearner, int]:
    """The plain learner and its best number of steps, or the other where its lead over that is clear."""
    errors = plain.errors()
    steps = chosen(errors, NO_STEPS)
    further = chosen({**other.errors(), NO_STEPS: errors[steps]}, NO_STEPS)
    return (plain, int(steps)) if further == NO_STEPS else (other, int(further))


@dataclass(frozen=True)
class FittedReadout:
    """A trained readout, and the units of what goes in and comes out.

    Attributes
    ----------
    network
        The readout.
    scales
        What shapes are divided by, (15,).
    unit
        What its answer is multiplied with, log1p CP10K.
    """

    network: Readout
    scales: np.ndarray
    unit: float

    @property
    def reads_latent(self) -> bool:
        """Whether it has learned with latents."""
        return self.network.shape.inputs > N_SHAPES

    @torch.no_grad()
    def added(self, shapes: np.ndarray, latent: np.ndarray | None = None) -> np.ndarray:
        """What it adds to the sum of the effects, (doubles, genes); nothing where a gene is not known.

        Parameters
        ----------
        shapes
            (doubles, genes, 15).
        latent
            Finished latents, (doubles, genes, d); one that has learned without them does not read them.
        """
        numbers = torch.from_numpy((shapes / self.scales).astype(np.float32))
        if latent is not None and self.reads_latent:
            numbers = readout_inputs(numbers, torch.from_numpy(latent), torch.ones(len(shapes)))
        said = self.network(numbers).numpy().astype(np.float64) * self.unit
        return np.where(shapes.any(axis=(1, 2))[:, None], said, 0.0)


def sizes(given: Sequence[Examples]) -> tuple[np.ndarray, float]:
    """Root mean square of each shape, and of what the sum of the effects misses; 1 where that is 0."""
    count = sum(part.missed.size for part in given)
    squares = sum(np.square(part.shapes).sum(axis=(0, 1)) for part in given) / count
    missed = float(np.sqrt(sum(np.square(part.missed).sum() for part in given) / count))
    return np.where(squares > 0, np.sqrt(squares), 1.0), missed or 1.0
