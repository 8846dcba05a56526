"""GEARS (Roohani et al., Nature Biotechnology 2023), the published package, in an environment of its own."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from anndata import AnnData

from benchmark.config import parameter
from benchmark.contexts import require_one
from benchmark.data.priors import gene_sets, suited
from benchmark.errors import BenchmarkError
from benchmark.hosting.method import HostedConfig, SubprocessMethod
from benchmark.means import MovableCells
from benchmark.perturbation import CONTROL, Perturbation
from methods._pseudobulk import mean_expression
from methods.gears.graph import annotations, similarity_graph

_log = logging.getLogger("benchmark")


class GearsConfig(HostedConfig):
    """The hyper-parameters of GEARS under its own names, with its own defaults."""

    hidden_size: int = parameter(64, ge=2, search=(16, 128), log=True, help="Width of every layer.")
    epochs: int = parameter(
        20, ge=1, search=(5, 30), budget=True, help="Passes through the training cells; the best is kept."
    )
    batch_size: int = parameter(32, ge=2, search=(16, 128), log=True, help="Cells per training step.")
    lr: float = parameter(
        1e-3, gt=0, search=(1e-4, 1e-2), log=True, help="Step size of Adam, halved after every epoch."
    )
    weight_decay: float = parameter(
        5e-4, ge=0, search=(1e-5, 1e-2), log=True, help="Penalty of large weights, as Adam applies it."
    )
    num_go_gnn_layers: int = parameter(1, ge=1, search=(1, 3), help="Layers over the graph of shared terms.")
    num_gene_gnn_layers: int = parameter(1, ge=1, search=(1, 3), help="Layers over the co-expression graph.")
    num_similar_genes_go_graph: int = parameter(
        20, ge=1, search=(5, 40), help="Neighbours of a gene in the graph of shared terms, at most."
    )
    num_similar_genes_co_express_graph: int = parameter(
        20, ge=1, search=(5, 40), help="Neighbours of a gene in the co-expression graph, at most."
    )
    coexpress_threshold: float = parameter(
        0.4, ge=0, le=1, search=(0.1, 0.6), help="Least |Pearson correlation| of co-expressed neighbours."
    )
    direction_lambda: float = parameter(
        0.1, ge=0, help="Weight of the loss's direction term, whose gradient is zero as it is published."
    )
    gene_sets: str = parameter(
        "", help="Prior, or .gmt file, whose terms connect genes; empty: the one that the data's card names."
    )
    graph_genes: Literal["data", "all"] = parameter(
        "all",
        help="Which genes with terms can be perturbed: every gene of the gene sets (all), or those that are "
        "measured or perturbed in training (data), which is quicker but refuses more.",
    )

    presets: ClassVar = {
        "paper": {"hidden_size": 64, "epochs": 15, "batch_size": 32},
        "small": {"hidden_size": 32, "epochs": 4, "batch_size": 64},
        "smoke": {"hidden_size": 8, "epochs": 1, "batch_size": 16, "graph_genes": "data"},
    }


class Gears(SubprocessMethod):
    """The graph-enhanced model of GEARS (cell-gears 0.1.2), trained and asked by the package itself.

    A perturbed gene's embedding is spread over a graph of genes that share terms, and added to every
    gene's embedding, which is spread over a co-expression graph; a decoder gives the change of each gene,
    the same for all cells. So GEARS predicts means: every control cell is moved by the change, and the
    mean of the moved cells is the mean of the control cells plus the change, or zero where that is
    negative. It has no place for contexts, and pairs any control cell with any perturbed one: data of several
    contexts are refused.

    What is known to go wrong with the package, and what is done here:

    - It downloads three files. The table of genes' terms is put into its data folder, the list of genes
      that can be perturbed is given, and the graph of shared terms is made in `methods.gears.graph`, by
      the package's rule but without its 25 processes and its file in the working directory.
    - It silently takes a gene without terms for no perturbation at all. `unsupported` refuses such a gene,
      and training goes without perturbations that name one, which is logged.
    - It fails on a perturbation with one cell, for which it cannot test differential expression. Training
      goes without them, which is logged too.
    - It keeps the co-expression graph in a file that is named by seed, not by split. Every fit has an
      empty folder, and only training and validation cells are in it.
    - Its constructor fails on sparse cells with scipy 1.15 or later: they are dense for that call alone.
    - It wants a test part, to report on. It has none here: the part is empty, and is taken away again.
    - It needs a validation part, to choose the epoch by. Where there are no validation perturbations that it
      can use, the training perturbations stand for them.
    - It seeds torch with 0 when it is imported. It is seeded again, with the seed of the run.
    - Its loss is a fourth power and can overflow, of which it says nothing, or ends in an error of another
      package. Training stops at the first loss that is no number, and the error says so.
    - The co-expression graph connects the first cell of a batch alone. That is left as it is: predictions
      are made in batches of 300 control cells, as by `GEARS.predict`.
    """

    name = "gears"
    licence = "cell-gears 0.1.2: MIT"
    version = "2"
    predicts = "mean"
    Config = GearsConfig
    config: GearsConfig
    control_mean_: np.ndarray
    gene_sets_: str
    perturbable_: list[str]

    def about(self, train: AnnData, validation: AnnData) -> dict[str, Any]:
        """Name the perturbations to learn from, and make the graph of genes that share terms.

        Returns
        -------
        dict
            ``train`` and ``validation``: labels of the perturbations that are used. ``genes``: the nodes of
            the graph, sorted; ``edges`` and ``weights``: see `similarity_graph`.
        """
        require_one(train.obs, "GEARS")
        of_card = train.uns.get("gene_sets", "")
        if not (self.config.gene_sets or of_card):
            raise BenchmarkError(
                "GEARS needs gene sets, and the card of the data names none; choose some with "
                "`--set gene_sets=NAME`, or the path of a .gmt file."
            )
        self.gene_sets_ = self.config.gene_sets or suited(of_card)
        sets = gene_sets(self.gene_sets_)
        annotated = frozenset[str]().union(*sets.values())
        self.control_mean_ = mean_expression(train)[CONTROL]
        usable = self._usable(Counter(_labels(train) + _labels(validation)), annotated)
        self._require_cells(train, usable)
        learnable, chosen = (sorted(usable.intersection(_labels(part))) for part in (train, validation))
        perturbed = {gene for label in (*learnable, *chosen) for gene in _genes(label)}
        measured = set(map(str, train.var_names))
        nodes = annotated if self.config.graph_genes == "all" else annotated & (measured | perturbed)
        self.perturbable_ = sorted(nodes)
        edges, weights = similarity_graph(
            annotations(sets, self.perturbable_), self.config.num_similar_genes_go_graph
        )
        return {
            "train": learnable,
            "validation": chosen,
            "genes": self.perturbable_,
            "edges": edges.tolist(),
            "weights": weights.tolist(),
        }

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Say which gene is no node of the graph, so that GEARS knows nothing of it."""
        missing = sorted(set(perturbation.genes).difference(self.perturbable_))
        if not missing:
            return None
        among = {
            "data": "genes with terms that are measured or perturbed in training (`--set graph_genes=all` "
            "takes every gene with terms)",
            "all": "genes with terms",
        }[self.config.graph_genes]
        return (
            f"GEARS cannot perturb {' and '.join(missing)}: its graph of the gene sets '{self.gene_sets_}' "
            f"has only {among}"
        )

    def finish(self, cells: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """Move control cells to the mean of all of them plus what GEARS predicts, (genes,)."""
        return MovableCells(cells).to(self.control_mean_ + answer).astype(np.float32)

    def _usable(self, counts: Mapping[str, int], annotated: Collection[str]) -> set[str]:
        """Labels of the perturbations that GEARS can learn from; the others are logged."""
        labels = sorted(set(counts) - {CONTROL})
        without = [label for label in labels if not set(_genes(label)).issubset(annotated)]
        single = [label for label in labels if label not in without and counts[label] < 2]
        _warn(without, f"name a gene without terms in '{self.gene_sets_}'")
        _warn(single, "have one cell, too few for GEARS' test of differential expression")
        return set(labels).difference(without, single)

    def _require_cells(self, train: AnnData, usable: Collection[str]) -> None:
        """Refuse data on which not one step of training could be made."""
        counts = Counter(_labels(train))
        controls = counts.pop(CONTROL, 0)
        cells = controls + sum(counts[label] for label in usable)
        if counts.keys().isdisjoint(usable):
            raise BenchmarkError(
                f"GEARS can learn from none of the {len(counts)} training perturbations "
                f"({_some(sorted(counts))}), which need two cells each and genes with terms in "
                f"'{self.gene_sets_}'; choose other gene sets with `--set gene_sets=NAME`, or the path of a "
                ".gmt file."
            )
        if controls < 2:
            raise BenchmarkError(
                f"GEARS needs at least 2 control cells to train on, not {controls}; add some."
            )
        if cells < self.config.batch_size:
            raise BenchmarkError(
                f"GEARS trains on whole batches, but there are {cells} training cells for batches of "
                f"{self.config.batch_size}; set batch_size lower."
            )


def _labels(cells: AnnData) -> list[str]:
    return list(cells.obs["perturbation"].astype(str))


def _genes(label: str) -> tuple[str, ...]:
    return Perturbation.parse(label).genes


def _warn(labels: Sequence[str], why: str) -> None:
    if labels:
        _log.warning(
            "gears: %d perturbations %s and are not learned from: %s", len(labels), why, _some(labels)
        )


def _some(labels: Sequence[str], shown: int = 5) -> str:
    return ", ".join(labels[:shown]) + (", ..." if len(labels) > shown else "")
