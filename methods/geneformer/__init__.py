"""Geneformer's in-silico perturbation (Theodoris et al., Nature 2023) and a ridge regression."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from anndata import AnnData

from benchmark.errors import BenchmarkError
from benchmark.machine.device import choose_device
from benchmark.machine.progress import stage
from benchmark.method import Resources
from benchmark.perturbation import CONTROL, Perturbation
from methods._gene_vectors import genes_of
from methods._grn.checkpoint import SourceError
from methods._grn.geneformer.cells import PanelTokens
from methods._grn.geneformer.source import read_geneformer
from methods._pseudobulk import Changes, held_out_changes, mean_changes
from methods._shift import ShiftMethod
from methods.geneformer.config import GeneformerConfig
from methods.geneformer.insilico import Action, Embedding, concerned, edited, padded, sequences
from methods.geneformer.network import Sizes, new_settings, own_panel, pretrain, random_bert
from methods.geneformer.ridge import Ridge, fit_ridge

_log = logging.getLogger("benchmark")

ACTIONS: dict[str, Action] = {
    "CRISPRa": "overexpress",
    "CRISPRi": "delete",
    "knock-out": "delete",
    "Cas13d": "delete",
}
"""What is done in silico for each modality of a card."""
TRAINED_CELLS = 20_000
"""Cells that pretraining draws from, at most."""


class Geneformer(ShiftMethod):
    """In-silico perturbation of control cells, and a ridge regression from where they go to expression.

    A cell is the genes that it expresses, in the order of their scaled expression, as in Geneformer. A
    perturbation edits that order: ``delete`` (knock-out, knock-down) drops the tokens of its genes, and only
    in cells that express them all; ``overexpress`` (CRISPRa) puts them in front, also where a cell did not
    express them. Both genes of a double are edited together. A BERT embeds each cell, by its token ``<cls>``
    or, where there is none, by the mean over its genes; the mean shift of the embedding over control
    cells is what is known of the perturbation. A ridge regression on standardised shifts, fitted to training
    perturbations, gives the mean change; its strength is the one of least squared error on validation
    perturbations, or by leaving one out where there are none. It predicts means.

    **The weights.** ``checkpoint`` is the folder of a published one. Without it, a small BERT is pretrained
    on the training cells, by the published task of hidden ranks: the board calls that row "geneformer
    (in-domain)", and it is not Geneformer. Where the card does not say the modality, the action is the one
    that training perturbations show in their own genes, which is logged.

    Control cells of all contexts are edited alike, and changes within contexts are pooled: one is learned of
    a perturbation, and added to the control cells of the context that is asked.

    **The control.** ``--preset control`` is the same with random weights and the same ridge, and belongs
    beside every row: random codes of two inserted tokens can act as a regression on which genes are
    perturbed, so that a score says something of the weights only where it is better.

    Refused are genes without a token, and for ``delete`` perturbations whose genes no control cell expresses
    together. The published script for expression deletes another token in cells without the target; this does
    not.
    """

    name = "geneformer"
    Config = GeneformerConfig
    resources: ClassVar[Resources] = Resources(gpus=1, memory_gb=4)
    config: GeneformerConfig
    action_: Action
    genes_: list[str]
    tokens_: list[int]
    cells_: np.ndarray
    lengths_: np.ndarray
    settings_: dict[str, Any]
    weights_: np.ndarray
    scale_: float
    alpha_: float
    centre_: np.ndarray
    intercept_: np.ndarray
    slopes_: np.ndarray

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Get the network, perturb control cells in silico, and regress the mean changes on their shifts."""
        changes = mean_changes(train)
        self.know_controls(changes.controls)
        self.action_ = self._action(train, changes)
        panel, bert = self._network(train)
        self._keep(train, panel, bert)
        known, chosen = (
            {} if part is None else dict(zip(part.perturbations, part.values, strict=True))
            for part in (changes, held_out_changes(train, validation))
        )
        self._regress(self._supported(known), self._supported(chosen))
        return self

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a gene without a token, and a deletion that no control cell shows."""
        self.require_fitted()
        unknown = sorted(set(perturbation.genes).difference(self.genes_))
        if unknown:
            return f"there is no token of {' and '.join(unknown)} to perturb in silico"
        if not concerned(self._sequences(), self._targets(perturbation), self.action_):
            return f"no control cell expresses {' and '.join(perturbation.genes)}, so nothing can be deleted"
        return None

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return what the regression makes of the shift of the embedding."""
        ridge = Ridge(self.scale_, self.centre_, self.intercept_, self.slopes_, self.alpha_)
        return ridge.predict(self._shifts([perturbation]))[0]

    @property
    def device_used(self) -> str:
        """The device that embeds."""
        return str(choose_device(self.device))

    def _action(self, train: AnnData, changes: Changes) -> Action:
        """What is done in silico: as asked, by the modality, or by what the perturbed genes do."""
        if self.config.action != "auto":
            return self.config.action
        modality = str(train.uns.get("modality", "unknown"))
        if modality in ACTIONS:
            return ACTIONS[modality]
        column = {gene: index for index, gene in enumerate(train.var_names)}
        own = [
            row[column[gene]]
            for perturbation, row in zip(changes.perturbations, changes.values, strict=True)
            for gene in perturbation.genes
            if gene in column
        ]
        if not own:
            raise BenchmarkError(
                f"The card says modality '{modality}', and no perturbed gene is measured; say what "
                f"perturbations do "
                "with --set action=delete or --set action=overexpress."
            )
        action: Action = "overexpress" if np.mean(own) > 0 else "delete"
        _log.warning(
            "geneformer: the modality is '%s', and perturbed genes change by %+.2f on average: %s (--set "
            "action=...)",
            modality,
            np.mean(own),
            action,
        )
        return action

    def _network(self, train: AnnData) -> tuple[PanelTokens, Any]:
        """How genes become tokens, and the BERT that reads them."""
        device = choose_device(self.device)
        measured = list(map(str, train.var_names))
        if self.config.checkpoint:
            perturbed = {gene for label in train.obs["perturbation"].unique() for gene in genes_of(label)}
            self.genes_ = [*measured, *sorted(perturbed.difference(measured))]
            return self._published(measured, device)
        self.genes_ = measured
        sizes = Sizes(self.config.width, self.config.layers, self.config.heads, self.config.longest)
        panel = own_panel(train, sizes.longest)
        bert = random_bert(new_settings(int(panel.ids[-1]) + 1, sizes), self.seed).to(device)
        if self.config.weights == "pretrained":
            self._pretrain(train, panel, bert)
        return panel, bert

    def _published(self, measured: list[str], device: torch.device) -> tuple[PanelTokens, Any]:
        """A checkpoint, or random weights in its place."""
        folder = Path(self.config.checkpoint).expanduser()
        try:
            found = read_geneformer(folder, measured, self.genes_[len(measured) :])
            layers = found.config["num_hidden_layers"]
            if not -layers - 1 <= self.config.layer <= layers:
                raise SourceError(
                    f"There is no layer {self.config.layer} among {layers}; set layer otherwise."
                )
            bert = found.bert()
        except SourceError as error:
            raise BenchmarkError(str(error)) from error
        if self.config.weights == "random":
            bert = random_bert(_plain(bert.config), self.seed)
        return found.panel, bert.to(device)

    def _pretrain(self, train: AnnData, panel: PanelTokens, bert: Any) -> None:
        rng = np.random.default_rng(self.seed)
        rows = np.sort(rng.permutation(train.n_obs)[:TRAINED_CELLS])
        cells = [cell for cell in sequences(torch.from_numpy(train.X[rows].toarray()), panel) if cell]
        config = self.config
        with stage("pretrain", config.steps) as progress:
            for values in pretrain(bert, cells, config.steps, config.batch_size, config.lr, self.seed):
                progress.advance(**values)

    def _keep(self, train: AnnData, panel: PanelTokens, bert: Any) -> None:
        """Keep what `predict` needs: tokens, control cells, and the BERT as numbers."""
        known = panel.known.tolist()
        self.tokens_ = [int(panel.ids[row]) for row, there in enumerate(known) if there]
        self.genes_ = [gene for gene, there in zip(self.genes_, known, strict=True) if there]
        control = np.flatnonzero((train.obs["perturbation"] == CONTROL).to_numpy())
        rows = np.sort(np.random.default_rng(self.seed).permutation(control)[: self.config.cells])
        of_measured = replace(panel, ids=panel.ids[: train.n_vars], medians=panel.medians[: train.n_vars])
        cells = [each for each in sequences(torch.from_numpy(train.X[rows].toarray()), of_measured) if each]
        if not cells:
            raise BenchmarkError(
                "No control cell expresses a gene with a token; nothing can be perturbed in silico."
            )
        self.cells_, self.lengths_ = padded(cells)[0].numpy(), np.array([len(cell) for cell in cells])
        special = {"cls": panel.cls, "eos": panel.eos, "longest": panel.longest}
        self.settings_ = {**special, "bert": _plain(bert.config)}
        self.weights_ = torch.nn.utils.parameters_to_vector(bert.parameters()).detach().cpu().numpy()

    def _regress(self, known: dict[Perturbation, np.ndarray], chosen: dict[Perturbation, np.ndarray]) -> None:
        """Fit the ridge on training perturbations, its strength chosen on validation ones."""
        if len(known) < 2:
            raise BenchmarkError(
                f"Geneformer can perturb only {len(known)} of the training perturbations in silico, too "
                f"few to "
                "regress on; choose other data, or --set action=..."
            )
        ridge, error = fit_ridge(
            self._shifts(list(known)),
            np.stack(list(known.values())),
            self._shifts(list(chosen)),
            np.stack(list(chosen.values())) if chosen else np.empty((0, len(self.control_mean_))),
        )
        _log.info(
            "geneformer: a ridge of strength %g, whose error where it was chosen is %.3g", ridge.alpha, error
        )
        self.scale_, self.alpha_ = ridge.scale, ridge.alpha
        self.centre_, self.intercept_, self.slopes_ = ridge.centre, ridge.intercept, ridge.slopes

    def _supported(self, changes: dict[Perturbation, np.ndarray]) -> dict[Perturbation, np.ndarray]:
        return {each: change for each, change in changes.items() if self.unsupported(each) is None}

    def _sequences(self) -> list[list[int]]:
        return [row[:length].tolist() for row, length in zip(self.cells_, self.lengths_, strict=True)]

    def _targets(self, perturbation: Perturbation) -> list[int]:
        token = dict(zip(self.genes_, self.tokens_, strict=True))
        return [token[gene] for gene in perturbation.genes]

    def _shifts(self, perturbations: Sequence[Perturbation]) -> np.ndarray:
        """Mean shift of the embedding of control cells, (perturbations, width)."""
        cells, embed = self._sequences(), self._embedding()
        before = embed(cells)
        found = np.zeros((len(perturbations), before.shape[1]))
        with stage("perturb in silico", len(perturbations)) as progress:
            for row, perturbation in enumerate(perturbations):
                targets = self._targets(perturbation)
                rows = concerned(cells, targets, self.action_)
                if rows:
                    after = embed([edited(cells[each], targets, self.action_) for each in rows])
                    found[row] = (after - before[rows]).mean(axis=0)
                progress.advance()
        return found

    def _embedding(self) -> Embedding:
        """The network, rebuilt from its numbers."""
        bert = random_bert(self.settings_["bert"], 0).to(choose_device(self.device))
        weights = torch.from_numpy(self.weights_).to(next(bert.parameters()).device)
        torch.nn.utils.vector_to_parameters(weights, bert.parameters())
        special = {name: self.settings_[name] for name in ("cls", "eos", "longest")}
        return Embedding(bert, **special, layer=self.config.layer)


def _plain(settings: Any) -> dict[str, Any]:
    """What makes a BERT of the same shape; dropout is off when it embeds."""
    names = (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "max_position_embeddings",
        "layer_norm_eps",
        "type_vocab_size",
    )
    return {name: getattr(settings, name) for name in names}
