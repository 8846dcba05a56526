"""The tiny data sets that conformance checks fit methods on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix, vstack

from benchmark.config import MethodConfig
from benchmark.data.canonical import canonicalise
from benchmark.data.cards import DatasetCard
from benchmark.data.dataset import Dataset, content_digest
from benchmark.data.simulator import SimulatorConfig, simulate
from benchmark.method import Method
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.splits import Split, make_split
from benchmark.splits.views import training_views

CELLS = 12
GENE_SETS = Path(__file__).with_name("tiny.gmt")
"""Sets of the genes of both data sets, for methods that use some."""


@dataclass(frozen=True)
class Panel:
    """One tiny data set with its split, and the control cells that predictions start from."""

    dataset: Dataset
    split: Split

    @property
    def views(self) -> tuple[AnnData, AnnData]:
        """Fresh copies of the training and validation cells."""
        return training_views(self.dataset, self.split)

    @property
    def control(self) -> AnnData:
        """A fresh copy of a few control cells."""
        adata = self.dataset.adata
        control = adata[adata.obs["perturbation"] == CONTROL][:CELLS].copy()
        control.obs = control.obs[["perturbation"]].copy()
        return control

    @property
    def questions(self) -> list[Perturbation]:
        """The test perturbations."""
        return [Perturbation.parse(label) for label in self.split.test]

    def with_other_test_cells(self) -> Panel:
        """The same data set with nonsense in place of the test cells: more cells, and in another place."""
        adata = self.dataset.adata
        rest = adata[~adata.obs["perturbation"].isin(self.split.test)]
        labels = [label for label in self.split.test for _ in range(CELLS + 5)]
        noise = np.random.default_rng(7).random((len(labels), adata.n_vars), dtype=np.float32)
        nonsense = csr_matrix(np.ceil(3 * noise))
        obs = rest.obs.iloc[: len(labels)].assign(perturbation=labels, source_label=labels)
        obs.index = pd.Index([f"other-{number}" for number in range(len(labels))])
        others = AnnData(nonsense, obs=obs, var=adata.var, layers={"counts": nonsense.copy()})
        changed = AnnData(
            vstack([others.X, rest.X], format="csr"),
            obs=pd.concat([others.obs, rest.obs]),
            var=adata.var,
            layers={"counts": vstack([others.layers["counts"], rest.layers["counts"]], format="csr")},
            uns=adata.uns,
        )
        return replace(self, dataset=replace(self.dataset, adata=changed))


def rebuilt(cells: AnnData) -> AnnData:
    """Everything that methods are promised about some cells, in an object that comes from nowhere."""
    obs = pd.DataFrame({"perturbation": cells.obs["perturbation"].to_numpy()})
    obs.index = pd.Index([f"cell-{number}" for number in range(cells.n_obs)])
    layers = {name: layer.copy() for name, layer in cells.layers.items()}
    var = pd.DataFrame(index=cells.var_names.copy())
    return AnnData(cells.X.copy(), obs=obs, var=var, layers=layers, uns=dict(cells.uns))


@cache
def tiny_panel(seed: int, n_genes: int) -> Panel:
    """Simulate a data set of a few hundred cells and divide its doubles."""
    config = SimulatorConfig(
        seed=seed, n_genes=n_genes, n_singles=8, n_doubles=10, cells_per_perturbation=12, n_controls=40
    )
    cells, _ = simulate(config)
    card = DatasetCard(
        name=f"tiny{seed}", expression="counts", modality="simulated", gene_sets=str(GENE_SETS)
    )
    adata = canonicalise(cells, card)
    dataset = Dataset(card.name, adata, content_digest(adata), card)
    return Panel(dataset, make_split(dataset, "doubles", 0))


class Case:
    """A method to check, fitted once on the first tiny data set."""

    def __init__(self, method_class: type[Method], config: MethodConfig | None = None) -> None:
        preset = "smoke" if "smoke" in method_class.Config.presets else None
        self.method_class = method_class
        self.config = method_class.Config.build(preset) if config is None else config
        self.panel = tiny_panel(0, 40)
        self.other_panel = tiny_panel(1, 30)

    def new(self, seed: int = 0) -> Method:
        """Return an unfitted method."""
        return self.method_class(self.config, seed=seed, device="cpu")

    def fit(self, panel: Panel, method: Method | None = None) -> Method:
        """Fit a method on a panel."""
        return (method or self.new()).fit(*panel.views)

    @cached_property
    def fitted(self) -> Method:
        """The method, fitted on the first panel."""
        return self.fit(self.panel)

    @cached_property
    def answers(self) -> list[np.ndarray]:
        """What the fitted method predicts for every test perturbation."""
        return self.ask(self.fitted)

    def ask(self, method: Method, questions: Sequence[Perturbation] | None = None) -> list[np.ndarray]:
        """Predict perturbations of the first panel, all of the test part unless said."""
        asked = self.panel.questions if questions is None else questions
        return list(method.predict(self.panel.control, asked))
