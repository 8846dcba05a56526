"""The tiny data sets that conformance checks fit methods on, and the fits that checks share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix, vstack

from benchmark.config import MethodConfig
from benchmark.contexts import COLUMNS, values_in_view
from benchmark.data.blocks import layers_of
from benchmark.data.canonical import canonicalise
from benchmark.data.cards import DatasetCard
from benchmark.data.dataset import Dataset
from benchmark.data.digests import content_digest
from benchmark.data.simulator import SimulatorConfig, simulate
from benchmark.data.simulator.contexts import ContextsConfig, simulate_contexts
from benchmark.method import Method
from benchmark.perturbation import Perturbation
from benchmark.splits import Split, make_split
from benchmark.splits.views import control_cells, training_views
from benchmark.testing.observed import Observed, observe

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
        return control_cells(self.dataset, self.split)[:CELLS].copy()

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

    def raised(self, parts: Mapping[str, slice], factor: int) -> Panel:
        """The same data set with some genes of each context so many times as high, in counts and before logs.

        Parameters
        ----------
        parts
            Context -> its genes that are raised.
        factor
            By how much; zeros stay zero.
        """
        adata = self.dataset.adata.copy()
        times = np.ones(adata.shape)
        for context, genes in parts.items():
            times[np.flatnonzero(adata.obs["context"] == context), genes] = factor
        adata.X = csr_matrix(np.log1p(np.expm1(adata.X.toarray()) * times).astype(np.float32))
        adata.layers["counts"] = csr_matrix(adata.layers["counts"].multiply(times).astype(np.float32))
        return replace(self, dataset=replace(self.dataset, adata=adata))


def rebuilt(cells: AnnData) -> AnnData:
    """Everything that methods are promised about some cells, in an object that comes from nowhere."""
    told = {name: values_in_view(cells.obs, name) for name in COLUMNS}
    obs = pd.DataFrame({"perturbation": cells.obs["perturbation"].to_numpy(), **told})
    obs.index = pd.Index([f"cell-{number}" for number in range(cells.n_obs)])
    layers = {name: layer.copy() for name, layer in layers_of(cells).items()}
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


@cache
def tiny_contexts() -> Panel:
    """Simulate a data set of two contexts, of which one shows its control cells alone."""
    config = ContextsConfig(
        n_contexts=2, n_genes=40, n_singles=8, n_doubles=4, cells_per_perturbation=12, n_controls=40
    )
    cells, _ = simulate_contexts(config)
    card = DatasetCard(
        name="tiny_contexts",
        expression="counts",
        modality="simulated",
        gene_sets=str(GENE_SETS),
        context_column="context",
        batch_column="batch",
    )
    adata = canonicalise(cells, card)
    dataset = Dataset(card.name, adata, content_digest(adata), card)
    return Panel(dataset, make_split(dataset, "contexts_new", 0))


RAISED = {"C1": slice(0, None, 2), "C2": slice(1, None, 2)}
"""Genes of each context that are raised where it is seen whose control cells an answer lies around."""


@cache
def raised_contexts() -> Panel:
    """The data set of `tiny_contexts`, every other gene of one context raised, and of the other the rest."""
    return tiny_contexts().raised(RAISED, 4)


class Case:
    """A method to check: fitted on the first tiny data set and watched, and fitted twice more to compare.

    One that looks at contexts is fitted on both data sets with contexts, too. Each fit is made when a check
    first asks for it, and serves all that do.
    """

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
        return self.learn(method or self.new(), panel.views)

    def learn(self, method: Method, cells: Sequence[AnnData]) -> Method:
        """Fit a method on training and validation cells; what belongs to everybody is put back."""
        observe(lambda: method.fit(*cells), ())
        return method

    def ask(self, method: Method, questions: Sequence[Perturbation] | None = None) -> list[np.ndarray]:
        """Predict perturbations of the first panel, all of the test part unless said."""
        asked = self.panel.questions if questions is None else questions
        return observe(lambda: _kept(method.predict(self.panel.control, asked)), ()).result

    def ask_of_few(self) -> list[np.ndarray]:
        """Predict the same from half of the control cells."""
        few = self.panel.control[: CELLS // 2].copy()
        return _kept(self.fitted.predict(few, self.panel.questions))

    def observe_fit(self) -> Observed[tuple[Method, object]]:
        """Watch a new method being fitted on the first panel: the method, and what its `fit` returned."""
        method, views = self.new(), self.panel.views
        return observe(lambda: (method, method.fit(*views)), views)

    def observe_answers(self, fit: Observed[tuple[Method, object]]) -> Observed[list[np.ndarray]]:
        """Watch it predict every test perturbation, the cells that it was fitted on among what is watched."""
        (method, _), control = fit.result, self.panel.control
        return observe(lambda: _kept(method.predict(control, self.panel.questions)), [*fit.given, control])

    @cached_property
    def observed_fit(self) -> Observed[tuple[Method, object]]:
        """The first fit."""
        return self.observe_fit()

    @cached_property
    def observed_answers(self) -> Observed[list[np.ndarray]]:
        """The first answers."""
        return self.observe_answers(self.observed_fit)

    @cached_property
    def of_contexts(self) -> Method:
        """The method, fitted on `tiny_contexts`."""
        return self.fit(tiny_contexts())

    @cached_property
    def of_raised_contexts(self) -> Method:
        """The method, fitted on `raised_contexts`."""
        return self.fit(raised_contexts())

    @property
    def fitted(self) -> Method:
        """The method, fitted on the first panel."""
        return self.observed_fit.result[0]

    @property
    def answers(self) -> list[np.ndarray]:
        """What the fitted method predicts for every test perturbation."""
        return self.observed_answers.result

    @cached_property
    def repeats(self) -> bool:
        """Whether the answers come again, bit for bit, where that is hardest.

        They are asked of the fitted method once a second one has learned the other panel, and of this second
        one once it has learned the first panel too: under other cell names, in new objects, and with other
        test cells. Where both answer alike, neither the chance of a fit nor any of these mattered.
        """
        answers = self.answers  # before anything else is learned
        second = self.fit(self.other_panel)
        still = self.ask(self.fitted)
        others = [rebuilt(cells) for cells in self.panel.with_other_test_cells().views]
        again = self.ask(self.learn(second, others))
        return _same(still, answers) and _same(again, answers)


def _kept(answers: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The answers, each copied as it comes, as a run does: a method may use one array again and again."""
    return [copy(answer) for answer in answers]


def _same(found: list[np.ndarray], due: list[np.ndarray]) -> bool:
    return len(found) == len(due) and all(map(np.array_equal, found, due))
