"""What every GRNFlow variant shares: configuration, training, prediction, saving.

The hypothesis: a perturbation changes the regulatory network, and that changes expression. Here the network
is the attention of a frozen gene transformer, and its change, perturbed minus control, is a latent that is
generated first; expression is generated from it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from anndata import AnnData
from pydantic import model_validator
from scipy import sparse
from torch import Tensor

from benchmark.config import MethodConfig, parameter
from benchmark.errors import BenchmarkError
from benchmark.method import Method
from benchmark.paths import cache_folder
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.progress import stage
from methods._flow.backbone import FlowShape, TwoStreamFlow, build_flow, choose_context, count_parameters
from methods._flow.encoders import GeneVocabulary
from methods._flow.sampling import Solver, non_negative, sample_cascade, seeded_generator
from methods._flow.training import PairedCells, TrainingOptions, train_flow
from methods._grn.features import Standardiser, attention_change, batches, embedding_basis, scaled_top_k
from methods._grn.pairing import pair_cells, principal_components
from methods._grn.pretrain import (
    PretrainOptions,
    cache_file,
    cells_digest,
    load_cached,
    moments,
    new_transformer,
    pretrain,
    standardise,
    store,
)
from methods._grn.transformer import GeneTransformer

COMPONENTS = 30
TOKENS_PER_CHUNK = 32_000
VALIDATION_CELLS = 32


class GRNFlowConfig(MethodConfig):
    """Hyper-parameters of every GRNFlow variant; the defaults are what a CPU trains in minutes."""

    width: int = parameter(64, ge=4, le=4096, search=(32, 256), log=True, help="Size of a token of the flow.")
    heads: int = parameter(
        2, ge=1, le=64, help="Attention heads of the flow; few wide heads are fast on CPUs."
    )
    layers: int = parameter(2, ge=1, le=48, search=(1, 4), help="Layers of the flow.")
    latent: int = parameter(
        16, ge=1, le=1024, search=(4, 64), log=True, help="Dimensions of a gene's latent."
    )
    top_k: int = parameter(
        30, ge=1, le=1000, help="Attention changes kept per gene at 1,000 genes; in proportion below."
    )
    attention_layer: int = parameter(-1, ge=-48, le=47, help="Transformer layer whose attention is read.")
    pairs_per_perturbation: int = parameter(
        64, ge=1, le=100_000, help="Cells used of each perturbation, each paired with one control cell."
    )
    controls_per_perturbation: int = parameter(
        1000, ge=1, le=100_000, help="Control cells among which optimal transport pairs each perturbation."
    )
    steps: int = parameter(2000, ge=1, le=10_000_000, search=(500, 8000), log=True, help="Training steps.")
    batch_size: int = parameter(32, ge=1, le=4096, help="Pairs per step, of mixed perturbations.")
    genes_per_step: int = parameter(300, ge=1, le=100_000, help="Genes in the random subset of a step.")
    context_genes: int = parameter(
        128, ge=1, le=100_000, help="Random genes that attention reads from, in training and in prediction."
    )
    learning_rate: float = parameter(
        2e-3,
        gt=0,
        le=0.1,
        search=(2e-4, 5e-3),
        log=True,
        help="Largest learning rate of the cosine schedule.",
    )
    weight_decay: float = parameter(
        0.01, ge=0, le=1, search=(1e-3, 0.3), log=True, help="AdamW's weight decay."
    )
    average: float = parameter(0.995, ge=0, lt=1, help="Decay of the moving average of the weights.")
    latent_probability: float = parameter(0.4, ge=0, le=1, help="Share of cells that train the latent flow.")
    latent_floor: float = parameter(
        0.75, ge=0, le=1, help="Least latent time at which the expression flow is trained."
    )
    token_dropout: float = parameter(
        0.05,
        ge=0,
        le=1,
        search=(0.0, 0.3),
        help="Share of perturbed genes hidden, which trains unseen genes.",
    )
    checks: int = parameter(3, ge=1, le=100, help="Times the flow is scored on validation; the best is kept.")
    solver: Literal["euler", "midpoint", "rk4"] = parameter("midpoint", help="Fixed-step ODE solver.")
    latent_ode_steps: int = parameter(1, ge=1, le=1000, help="Solver steps of the latent flow.")
    expression_ode_steps: int = parameter(2, ge=1, le=1000, help="Solver steps of the expression flow.")
    transformer_width: int = parameter(64, ge=4, le=4096, help="Size of a token of the gene transformer.")
    transformer_heads: int = parameter(2, ge=1, le=64, help="Attention heads of the gene transformer.")
    transformer_layers: int = parameter(2, ge=1, le=48, help="Layers of the gene transformer.")
    transformer_steps: int = parameter(400, ge=1, le=10_000_000, help="Its pretraining steps.")

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "width": 16, "latent": 4, "layers": 1, "steps": 30, "batch_size": 8, "genes_per_step": 32,
            "pairs_per_perturbation": 8, "controls_per_perturbation": 64, "checks": 1, "transformer_width": 16,
            "transformer_steps": 20, "latent_ode_steps": 1, "expression_ode_steps": 1,
        },
        "paper": {
            "width": 512, "heads": 8, "layers": 4, "latent": 64, "top_k": 30, "steps": 100_000,
            "batch_size": 96, "genes_per_step": 1000, "context_genes": 100_000, "learning_rate": 2e-4, "average": 0.9999, "checks": 20,
            "pairs_per_perturbation": 500, "controls_per_perturbation": 5000, "latent_ode_steps": 10,
            "expression_ode_steps": 10, "transformer_width": 512, "transformer_heads": 8,
            "transformer_layers": 6, "transformer_steps": 20_000,
        },
    }  # fmt: skip

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"needs width {self.width} to be a multiple of heads {self.heads}")
        if self.transformer_width % self.transformer_heads:
            raise ValueError(
                f"needs transformer_width {self.transformer_width} to be a multiple of "
                f"transformer_heads {self.transformer_heads}"
            )
        if not -self.transformer_layers <= self.attention_layer < self.transformer_layers:
            raise ValueError(
                f"has attention_layer {self.attention_layer}, outside the {self.transformer_layers} layers"
            )
        return self


class GRNFlow(Method):
    """Cascaded flow matching: the change of attention first, expression from it.

    At inference the latent is generated too: a prediction uses control cells and the perturbation alone.
    A perturbed gene that no training perturbation contains is predicted as an average perturbation.
    """

    Config = GRNFlowConfig
    config: GRNFlowConfig

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Pretrain the gene transformer, compute latents, train both flows."""
        cells = sparse.csr_matrix(train.X, dtype=np.float32)
        labels = train.obs["perturbation"].astype(str).to_numpy()
        genes = [str(gene) for gene in train.var_names]
        trained = {label: Perturbation.parse(label).genes for label in np.unique(labels) if label != CONTROL}
        device = choose_device(self.device)
        transformer = self._transformer(cells, genes, device)
        pairs = self._pairs(cells, labels, list(trained))
        self.mean_, self.deviation_ = moments(cells)
        latent = self._latents(transformer, cells, pairs)
        self.vocabulary_ = GeneVocabulary(genes, {gene for names in trained.values() for gene in names})
        sizes = torch.tensor([len(rows) for _, rows in pairs.values()])
        paired = PairedCells(
            control=self._standardise(cells[np.concatenate([c for c, _ in pairs.values()])]),
            perturbed=self._standardise(cells[np.concatenate([p for _, p in pairs.values()])]),
            latent=latent,
            tokens=torch.tensor(
                [self.vocabulary_.tokens(trained[k]) for k, (_, p) in pairs.items() for _ in p]
            ),
            first=sizes.cumsum(0).sub(sizes).repeat_interleave(sizes),
            size=sizes.repeat_interleave(sizes),
        )
        self._train(paired, cells[np.flatnonzero(labels == CONTROL)], validation, device)
        return self

    def predict(self, control: AnnData, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Sample one cell for each control cell; a repeated control cell gets other noise."""
        self.require_fitted()
        if list(control.var_names) != self.vocabulary_.panel:
            raise BenchmarkError(
                f"The control cells have {control.n_vars} genes that are not the {len(self.vocabulary_.panel)} "
                f"genes '{self.name}' was fitted on; give the same genes in the same order."
            )
        device = choose_device(self.device)
        flow = self.flow_.to(device)
        start = self._standardise(sparse.csr_matrix(control.X, dtype=np.float32))
        solver = Solver(self.config.solver, self.config.expression_ode_steps)
        return (self._cells(flow, start, perturbation, solver) for perturbation in perturbations)

    @classmethod
    def parameter_count(cls, config: MethodConfig, n_genes: int, n_perturbed: int) -> int:
        """Count the flow's trainable parameters, supposing that all perturbed genes are measured."""
        assert isinstance(config, GRNFlowConfig)
        return count_parameters(cls.shape(config, n_genes, n_tokens=n_genes + 2))

    @staticmethod
    def shape(config: GRNFlowConfig, n_genes: int, n_tokens: int) -> FlowShape:
        """Sizes of the flow for a panel."""
        latent = min(config.latent, config.transformer_width, n_genes)
        return FlowShape(n_tokens, latent, config.width, config.heads, config.layers)

    def save(self, folder: Path) -> None:
        """Write weights and statistics to ``weights.pt``, the rest to ``method.json``."""
        self.require_fitted()
        folder.mkdir(parents=True, exist_ok=True)
        weights = {key: value.cpu() for key, value in self.flow_.state_dict().items()}
        statistics = {"mean": torch.from_numpy(self.mean_), "deviation": torch.from_numpy(self.deviation_)}
        torch.save({"flow": weights, **statistics}, folder / "weights.pt")
        about = {
            "name": self.name,
            "version": self.version,
            "config": self.config.model_dump(mode="json"),
            "seed": self.seed,
            "device": self.device,
            "state": {"genes": self.vocabulary_.panel, "perturbed": self.vocabulary_.perturbed},
        }
        (folder / "method.json").write_text(json.dumps(about, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        try:
            about = json.loads((folder / "method.json").read_text())
            weights = torch.load(folder / "weights.pt", map_location="cpu", weights_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise BenchmarkError(
                f"{folder} holds no saved method ({error}); save one there first."
            ) from error
        if about["name"] != cls.name:
            raise BenchmarkError(f"{folder} holds the method '{about['name']}', not '{cls.name}'.")
        method = cls(cls.Config(**about["config"]), seed=about["seed"], device=about["device"])
        method.vocabulary_ = GeneVocabulary(about["state"]["genes"], about["state"]["perturbed"])
        method.mean_, method.deviation_ = weights["mean"].numpy(), weights["deviation"].numpy()
        method.flow_ = build_flow(method._flow_shape(), seed=0)
        method.flow_.load_state_dict(weights["flow"])
        return method

    def _flow_shape(self) -> FlowShape:
        return self.shape(self.config, len(self.vocabulary_.panel), len(self.vocabulary_))

    def _standardise(self, cells: sparse.csr_matrix) -> Tensor:
        return standardise(cells, self.mean_, self.deviation_)

    def _transformer(
        self, cells: sparse.csr_matrix, genes: list[str], device: torch.device
    ) -> GeneTransformer:
        config = self.config
        options = PretrainOptions(
            width=config.transformer_width,
            heads=config.transformer_heads,
            layers=config.transformer_layers,
            steps=config.transformer_steps,
        )
        path = cache_file(cache_folder("gene_transformers"), cells_digest(cells, genes), options, self.seed)
        model = load_cached(path, len(genes), options)
        if model is None:
            model = new_transformer(len(genes), options, self.seed).to(device)
            with stage("pretrain gene transformer", options.steps) as progress:
                for _, losses in pretrain(model, cells, options, self.seed):
                    progress.advance(**losses)
            store(model, path)
        return model.to(device).eval().requires_grad_(False)

    def _pairs(
        self, cells: sparse.csr_matrix, labels: np.ndarray, trained: list[str]
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(self.seed)
        return pair_cells(
            principal_components(cells, COMPONENTS, rng)[0],
            np.flatnonzero(labels == CONTROL),
            {label: np.flatnonzero(labels == label) for label in trained},
            pairs_per_group=self.config.pairs_per_perturbation,
            controls_per_group=self.config.controls_per_perturbation,
            rng=rng,
        )

    def _latents(
        self,
        transformer: GeneTransformer,
        cells: sparse.csr_matrix,
        pairs: dict[str, tuple[np.ndarray, np.ndarray]],
    ) -> Tensor:
        """Standardised latents of all pairs, (pairs, genes, d), float16 on the CPU."""
        n_genes = cells.shape[1]
        device = transformer.masked_value.device
        control, perturbed = (np.concatenate(rows) for rows in zip(*pairs.values(), strict=True))
        basis = embedding_basis(transformer.gene_vectors(), self.config.latent)
        top_k = scaled_top_k(self.config.top_k, n_genes)
        latents = torch.empty(len(control), n_genes, basis.shape[1])
        parts = list(batches(len(control), max(1, TOKENS_PER_CHUNK // (4 * n_genes))))
        with stage("attention change", len(parts)) as progress:
            for part in parts:
                pair = (self._standardise(cells[rows[part]]).to(device) for rows in (control, perturbed))
                latents[part] = attention_change(
                    transformer, *pair, basis, top_k=top_k, layer=self.config.attention_layer
                ).cpu()
                progress.advance()
        return Standardiser.fit(latents).apply(latents).half()

    def _train(
        self, pairs: PairedCells, control: sparse.csr_matrix, validation: AnnData, device: torch.device
    ) -> None:
        config = self.config
        flow = build_flow(self._flow_shape(), self.seed).to(device)
        averaged = copy.deepcopy(flow).requires_grad_(False)
        options = TrainingOptions(
            steps=config.steps,
            batch_size=config.batch_size,
            genes_per_step=config.genes_per_step,
            context_genes=config.context_genes,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            average=config.average,
            latent_probability=config.latent_probability,
            latent_floor=config.latent_floor,
            token_dropout=config.token_dropout,
        )
        rng = np.random.default_rng(self.seed)
        start = self._standardise(control[rng.integers(control.shape[0], size=VALIDATION_CELLS)])
        special = (self.vocabulary_.unknown, self.vocabulary_.control)
        generator = torch.Generator().manual_seed(self.seed)
        due = {round(config.steps * check / config.checks) for check in range(1, config.checks + 1)}
        best, kept = np.inf, averaged.state_dict()
        with stage("train flow", config.steps) as progress:
            for step, losses in train_flow(flow, averaged, pairs, *special, options, generator):
                if step in due and validation.n_obs:
                    losses["validation_mse"] = score = self._validate(averaged, start, validation)
                    if score < best:
                        best, kept = score, copy.deepcopy(averaged.state_dict())
                progress.advance(**losses)
        averaged.load_state_dict(kept)
        self.flow_ = averaged.eval()

    def _validate(self, flow: TwoStreamFlow, start: Tensor, validation: AnnData) -> float:
        """Mean squared error of predicted validation means: one Euler step gives the mean of the end."""
        labels = validation.obs["perturbation"].astype(str).to_numpy()
        errors = []
        for label in np.unique(labels):
            predicted = self._cells(flow, start, Perturbation.parse(label), Solver("euler", 1)).mean(0)
            real = np.asarray(validation.X[np.flatnonzero(labels == label)].mean(0)).ravel()
            errors.append(float(np.square(predicted - real).mean()))
        return float(np.mean(errors))

    @torch.no_grad()
    def _cells(
        self, flow: TwoStreamFlow, start: Tensor, perturbation: Perturbation, solver: Solver
    ) -> np.ndarray:
        """Sample cells for standardised control cells, (cells, genes), on the data's scale."""
        device = flow.tokens.weight.device
        n_genes = start.shape[1]
        generator = seeded_generator(self.seed, str(perturbation))
        latent = Solver(self.config.solver, self.config.latent_ode_steps)
        genes = torch.arange(n_genes, device=device)
        tokens = torch.tensor([self.vocabulary_.tokens(perturbation.genes)], device=device)
        sampled = torch.empty_like(start)
        for part in batches(len(start), max(1, TOKENS_PER_CHUNK // n_genes)):
            x_ctrl = start[part].to(device)
            x0 = torch.randn(x_ctrl.shape, generator=generator).to(device)
            z0 = torch.randn(*x_ctrl.shape, flow.shape.latent, generator=generator).to(device)
            context = choose_context(n_genes, self.config.context_genes, generator)
            given = {"x_ctrl": x_ctrl, "perturbation": tokens, "genes": genes, "context": context}
            sampled[part] = sample_cascade(
                lambda x, z, s, t, given=given: flow(x, z, s, t, **given), x0, z0, latent, solver
            ).cpu()
        return non_negative(sampled * torch.from_numpy(self.deviation_) + torch.from_numpy(self.mean_)).numpy()


def choose_device(device: str) -> torch.device:
    """Resolve ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    BenchmarkError
        For CUDA where there is none, and for any other name.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device not in ("cpu", "cuda"):
        raise BenchmarkError(f"There is no device '{device}'; choose auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchmarkError("No CUDA device was found here; choose the device auto or cpu.")
    return torch.device(device)
