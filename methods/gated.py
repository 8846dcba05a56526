"""Ridge regression as in main effects, and a network that all genes share for how two effects overlap."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from benchmark.config import MethodConfig, parameter
from methods._effects import FOLDS, Folds
from methods._flow.readout import Readout, ReadoutOptions, ReadoutShape
from methods._overlap import N_SHAPES, OverlapMethod
from methods._readout_learner import FittedReadout, ReadoutLearner


class GatedConfig(MethodConfig):
    """Size and training of the network."""

    width: int = parameter(64, ge=1, le=4096, search=(16, 256), log=True, help="Of the two hidden layers.")
    vector: int = parameter(
        16, ge=1, le=1024, search=(4, 32), log=True, help="Numbers that are learned of each measured gene."
    )
    dropout: float = parameter(0.3, ge=0, lt=1, search=(0.0, 0.6), help="Share of hidden values dropped.")
    learning_rate: float = parameter(3e-3, gt=0, le=0.1, search=(3e-4, 1e-2), log=True, help="Of AdamW.")
    weight_decay: float = parameter(0.01, ge=0, le=10, search=(1e-3, 1.0), log=True, help="Of AdamW.")


class Gated(OverlapMethod):
    """Main effects, and a small network for what two genes do together beyond the sum.

    As `saturation`, with a network in the place of shared coefficients. It reads the fifteen shapes of the
    two effects on a measured gene; a learned vector of each measured gene gates and shifts its first layer,
    so that genes saturate in ways of their own (`methods._flow.readout`). It learns from doubles whose
    effects come from a base that has not seen them, by least squares, all of them in each step. Six-fold
    cross-validation on training and validation doubles chooses for how many steps; where no number of them
    has a clear lead over no network at all, there is none. It is the mean around which GRNFlow generates
    cells, but that GRNFlow learns its effects by descent, without a latent and without a flow: what it does
    is not to be taken for what a flow does.
    """

    name = "gated"
    version = "2"
    Config = GatedConfig
    config: GatedConfig
    steps_: int
    weights_: np.ndarray
    scales_: np.ndarray
    unit_: float

    def learn_nothing(self) -> None:
        """Keep no network."""
        self.steps_, self.weights_ = 0, np.zeros(0)
        self.scales_, self.unit_ = np.ones(N_SHAPES), 1.0

    def learn(self, folds: Folds) -> None:
        """Choose the number of steps, then train on all doubles."""
        self.learn_nothing()
        options = ReadoutOptions(**self.config.model_dump())
        learner = ReadoutLearner(folds, options, self.seed)
        self.steps_ = learner.best_steps()
        if self.steps_:
            (fitted,) = learner.train((self.steps_,), range(FOLDS))
            self.weights_ = parameters_to_vector(fitted.network.parameters()).numpy()
            self.scales_, self.unit_ = fitted.scales, fitted.unit

    def overlap(self, shapes: np.ndarray) -> np.ndarray:
        """Ask the network about every gene."""
        if not self.steps_:
            return np.zeros(len(shapes))
        config = self.config
        shape = ReadoutShape(N_SHAPES, len(shapes), config.width, config.vector, config.dropout)
        network = Readout(shape).eval().requires_grad_(False)
        vector_to_parameters(torch.from_numpy(self.weights_), network.parameters())
        return FittedReadout(network, self.scales_, self.unit_).added(shapes[None])[0]
