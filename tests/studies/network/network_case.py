"""A small simulated data set, and methods whose attention knows its network, nothing, or the reverse."""

from __future__ import annotations

from pathlib import Path

CARD = """
modality = "simulated"
expression = "counts"

[simulator]
n_genes = 40
n_singles = 8
n_doubles = 10
cells_per_perturbation = 12
n_controls = 40
"""
FAKE = """
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np

from benchmark.config import MethodConfig, parameter
from benchmark.perturbation import Perturbation
from benchmark.data.simulator import SimulatorConfig, simulate
from methods.train_mean import TrainMean

class Config(MethodConfig):
    attention_source: Literal["pretrained", "random", "shuffled"] = parameter("pretrained", help="Whose.")
    folder: str = parameter("", help="Where to write what was seen.")

class Fake(TrainMean):
    '''Knows the network (pretrained), nothing (random), or takes targets for regulators (shuffled).'''

    name = "fake"
    Config = Config

    def regulatory_maps(self, train):
        print("a method may print what it likes")
        labels = sorted(set(train.obs["perturbation"]))
        if self.config.folder:
            seen = {"labels": labels, "obs": list(train.obs), "seed": self.seed, "device": self.device}
            (Path(self.config.folder) / f"{self.config.attention_source}.json").write_text(json.dumps(seen))
        network = simulate(SimulatorConfig(
            n_genes=40, n_singles=8, n_doubles=10, cells_per_perturbation=12, n_controls=40
        ))[1].network
        truth = np.zeros((40, 40))
        truth[network.target, network.regulator] = 1
        noise = np.random.default_rng(0).random((40, 40))
        attention = {"pretrained": truth, "random": noise, "shuffled": truth.T}[self.config.attention_source]
        genes = list(train.var_names)

        def changes():
            for label in labels[:-1]:
                perturbed = [genes.index(gene) for gene in Perturbation.parse(label).genes]
                change = np.zeros((40, 40))
                change[:, perturbed] = -attention[:, perturbed]
                yield label, change

        assert labels[-1] == "control"
        return SimpleNamespace(genes=genes, attention=attention, changes=changes())

class Broken(Fake):
    name = "broken"

    def regulatory_maps(self, train):
        maps = super().regulatory_maps(train)
        maps.attention = np.full((40, 40), np.inf)
        return maps
"""


def write_case(home: Path, folder: Path) -> list[str]:
    """Write the card into a home and the methods into a folder; returns the options that name them."""
    (home / "datasets").mkdir()
    (home / "datasets" / "small.toml").write_text(CARD)
    methods = folder / "fake.py"
    methods.write_text(FAKE)
    return [
        *("--dataset", "small", "--method", f"{methods}:Fake"),
        *("--sources", "pretrained,random,shuffled"),
    ]
