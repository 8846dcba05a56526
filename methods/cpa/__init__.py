"""CPA: an autoencoder whose latent adds up over perturbed genes; the published package (cpa-tools 0.8.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from anndata import AnnData
from pydantic import model_validator

from benchmark.config import parameter
from benchmark.contexts import CONTEXT, NONE, values_in_view
from benchmark.errors import BenchmarkError
from benchmark.hosting.method import HostedConfig, SubprocessMethod
from benchmark.perturbation import CONTROL, Perturbation
from methods._gene_vectors import read_vectors, require_all


class CpaConfig(HostedConfig):
    """CPA's hyper-parameters under its own names; the defaults are what a CPU trains in a minute or two."""

    recon_loss: Literal["auto", "nb", "gauss"] = parameter(
        "auto", help="Likelihood: of counts (nb) or of log values (gauss); auto takes nb where counts exist."
    )
    answer: Literal["sample", "mean"] = parameter(
        "sample",
        help="What is answered where counts are modelled: counts drawn from the learned distribution, or its "
        "mean for each cell, as the package's predict gives it.",
    )
    n_latent: int = parameter(32, ge=1, le=4096, search=(16, 256), log=True, help="Size of the latent.")
    doser_type: Literal["linear", "logsigm", "sigm"] = parameter(
        "linear", help="How a dose scales an embedding; all doses are 1 here."
    )
    n_hidden_encoder: int = parameter(
        128, ge=1, le=8192, search=(64, 1024), log=True, help="Width of the encoder's hidden layers."
    )
    n_layers_encoder: int = parameter(2, ge=1, le=16, search=(1, 5), help="The encoder's hidden layers.")
    n_hidden_decoder: int = parameter(
        128, ge=1, le=8192, search=(64, 1024), log=True, help="Width of the decoder's hidden layers."
    )
    n_layers_decoder: int = parameter(2, ge=1, le=16, search=(1, 5), help="The decoder's hidden layers.")
    use_batch_norm_encoder: bool = parameter(True, help="Batch normalisation in the encoder.")
    use_batch_norm_decoder: bool = parameter(False, help="Batch normalisation in the decoder.")
    dropout_rate_encoder: float = parameter(
        0.1, ge=0, lt=1, search=(0.0, 0.3), help="Share of hidden values dropped in the encoder."
    )
    dropout_rate_decoder: float = parameter(
        0.0, ge=0, lt=1, help="The same in the decoder; the package has it for the Gaussian loss only."
    )
    lr: float = parameter(
        3e-3, gt=0, le=1, search=(1e-4, 1e-2), log=True, help="Learning rate of the autoencoder."
    )
    wd: float = parameter(3e-6, ge=0, le=1, help="Weight decay of the autoencoder.")
    doser_lr: float = parameter(3e-4, gt=0, le=1, help="Learning rate of the dose curves.")
    doser_wd: float = parameter(4e-7, ge=0, le=1, help="Weight decay of the dose curves.")
    step_size_lr: int = parameter(45, ge=1, le=1_000_000, help="Epochs between steps of the rates' schedule.")
    gradient_clip_value: float = parameter(
        0.0, ge=0, le=1000, help="Where the gradient's norm is clipped; 0 for nowhere."
    )
    n_epochs_pretrain_ae: int = parameter(
        5, ge=0, le=1_000_000, budget=True, help="Epochs before the adversary acts on the autoencoder."
    )
    mixup_alpha: float = parameter(
        0.0, ge=0, le=100, help="Mixing of cells; the package mixes none where it pretrains and warms up."
    )
    n_epochs_mixup_warmup: int = parameter(
        10, ge=0, le=1_000_000, budget=True, help="Epochs in which mixing rises."
    )
    n_hidden_adv: int = parameter(64, ge=1, le=8192, help="Width of the adversary's hidden layers.")
    n_layers_adv: int = parameter(2, ge=1, le=16, help="The adversary's hidden layers.")
    dropout_rate_adv: float = parameter(0.3, ge=0, lt=1, help="Share of the adversary's values dropped.")
    adv_steps: int = parameter(
        3, ge=2, le=1000, help="One batch in so many trains the autoencoder, the others the adversary."
    )
    reg_adv: float = parameter(
        10.0, ge=0, le=1e6, search=(0.1, 100.0), log=True, help="Weight of the adversary's loss."
    )
    pen_adv: float = parameter(20.0, ge=0, le=1e6, help="Weight of the adversary's gradient penalty.")
    adv_lr: float = parameter(3e-3, gt=0, le=1, help="Learning rate of the adversary.")
    adv_wd: float = parameter(7e-6, ge=0, le=1, help="Weight decay of the adversary.")
    n_epochs_adv_warmup: int = parameter(
        10, ge=0, le=1_000_000, budget=True, help="Epochs in which the adversary's weight rises."
    )
    max_epochs: int = parameter(
        100, ge=2, le=1_000_000, search=(50, 2000), log=True, budget=True, help="Most epochs."
    )
    batch_size: int = parameter(256, ge=2, le=1_000_000, search=(64, 2048), log=True, help="Cells per step.")
    check_val_every_n_epoch: int = parameter(5, ge=1, le=100_000, help="Epochs between two validations.")
    early_stopping_patience: int = parameter(
        10, ge=1, le=100_000, help="Validations without a better score after which training ends."
    )
    gene_embeddings: str = parameter(
        "",
        help="CSV file without a header, one line per gene: symbol, then its numbers; needed for genes that "
        "no training perturbation names.",
    )

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "smoke": {
            "n_latent": 8, "n_hidden_encoder": 16, "n_layers_encoder": 1, "n_hidden_decoder": 16,
            "n_layers_decoder": 1, "n_hidden_adv": 8, "n_layers_adv": 1, "n_epochs_pretrain_ae": 1,
            "n_epochs_adv_warmup": 1, "max_epochs": 3, "batch_size": 64, "check_val_every_n_epoch": 1,
        },
        "paper": {
            "n_latent": 32, "doser_type": "linear", "n_hidden_encoder": 256, "n_layers_encoder": 4,
            "n_hidden_decoder": 256, "n_layers_decoder": 2, "use_batch_norm_encoder": True,
            "use_batch_norm_decoder": False, "dropout_rate_encoder": 0.2, "dropout_rate_decoder": 0.0,
            "lr": 1e-4, "wd": 3.2170178270865573e-6, "step_size_lr": 25, "gradient_clip_value": 0.0,
            "n_epochs_pretrain_ae": 10, "mixup_alpha": 0.1, "n_epochs_mixup_warmup": 10, "n_hidden_adv": 128,
            "n_layers_adv": 2, "dropout_rate_adv": 0.3, "adv_steps": 3, "reg_adv": 10.0, "pen_adv": 20.0,
            "adv_lr": 1e-4, "adv_wd": 7.051355554517135e-6, "n_epochs_adv_warmup": 50, "max_epochs": 2000,
            "batch_size": 2048, "check_val_every_n_epoch": 5, "early_stopping_patience": 5,
        },
    }  # fmt: skip

    @model_validator(mode="after")
    def _is_validated(self) -> Self:
        if self.check_val_every_n_epoch > self.max_epochs:
            raise ValueError(
                f"needs check_val_every_n_epoch {self.check_val_every_n_epoch} to be at most max_epochs "
                f"{self.max_epochs}, since the package keeps no weights that were never validated"
            )
        return self


class Cpa(SubprocessMethod):
    """CPA (Lotfollahi et al., Molecular Systems Biology 2023), the official package cpa-tools 0.8.1.

    An encoder with an adversary gives a basal latent that should not tell the perturbation; embeddings of
    the perturbed genes are added, and a decoder gives the mean of each gene. Counts are modelled with a
    negative binomial where they exist, else log values with a normal distribution. Control cells are put
    under the label of the perturbation. The package's `predict` gives the mean that is decoded for each cell,
    without the noise of counting; its logarithm is larger than the mean of the logarithms of counts, by which
    cells are compared here, most of all for genes with few. So counts are drawn around that mean from the
    negative binomial that was learned and handed over as they are (``answer="sample"``); ``answer="mean"``
    gives what the package does. Decoded counts have the library of the control cell (its counts on the
    measured genes); their mean is brought to its X by the factor that takes its own counts there, so that no
    change gives X again.

    Contexts are a categorical covariate to the package: each has an embedding, which is added to the basal
    latent and which the adversary takes out of it. That of a context that shows control cells alone is
    learned from these; of one without any the method refuses.

    The package picks its epoch by a score of its own (r2 of means and variances, gain of purity) on cells
    called "valid". Here these are the cells of validation perturbations whose genes all have an embedding;
    others are left out, since an untrained embedding would decide. Where none is left, 15 % of the cells of
    each training perturbation, as in the tutorial.

    The preset `paper` is that of the package's Norman tutorial, `small` shrinks it to what a CPU trains.

    Traps of the package, and what is done:

    - encoders of labels live in the class and outlast a data set: they are set anew for each;
    - its networks set all random generators to 0 whatever the caller did: the seed is handed to them;
    - an embedding that no training cell uses is noise: genes without one are refused, unless all genes
      have vectors in ``gene_embeddings``. The package never trains the map from these to the latent, which
      stays at its random start, and takes vectors as they are, unscaled; control has the zero vector;
    - weights of the first epoch cannot be chosen, and untrained ones are put back silently when no later
      epoch had a finite score: the configuration is checked, and the run fails with that reason;
    - one cell alone in the last batch stops it: the last cell of that part is left out;
    - its saved files are pickles that torch no longer reads: weights are kept as plain arrays;
    - an ``n_epochs_adv_warmup`` of 0 divides by zero: it is passed as None; doser_type "mlp" cannot run;
    - it imports tkinter without a use for it, and reads lists of differential genes with a type that NumPy
      dropped: a stand-in for the one, none of the other.
    """

    name = "cpa"
    version = "2"
    supports_contexts = True
    licence = "cpa-tools 0.8.1: BSD 3-Clause"
    Config = CpaConfig
    predicts = "cells"

    genes_: list[str]
    contexts_: list[str]
    recon_loss_: str
    config: CpaConfig

    @property
    def expression(self) -> Literal["log1p", "counts"]:
        """Counts where they are drawn from a distribution of counts, which data with counts have."""
        self.require_fitted()
        is_drawn = self.recon_loss_ != "gauss" and self.config.answer == "sample"
        return "counts" if is_drawn else "log1p"

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Have the worker train, and remember which genes it has an embedding of."""
        genes, loss = self._embedded(train), self._loss(train)
        super().fit(train, validation)
        self.genes_, self.recon_loss_ = genes, loss
        self.contexts_ = sorted(set(values_in_view(train.obs, CONTEXT).astype(str)))
        return self

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a gene that has neither been trained on nor a supplied vector."""
        self.require_fitted()
        if perturbation.context not in vars(self).get("contexts_", [NONE]):
            return f"no cells of {perturbation.context} were in training, so CPA has no embedding of it"
        unknown = sorted(set(perturbation.genes) - set(self.genes_))
        if not unknown:
            return None
        genes = " and ".join(unknown)
        if self.config.gene_embeddings:
            return f"{self.config.gene_embeddings} has no vector of {genes}; add one."
        return (
            f"no training perturbation names {genes}, so CPA has no embedding for it; supply vectors of all "
            "genes with --set gene_embeddings=FILE."
        )

    def about(self, train: AnnData, validation: AnnData) -> dict[str, Any]:
        """Settle the likelihood and the place of the vectors."""
        path = self.config.gene_embeddings
        return {"recon_loss": self._loss(train), "gene_embeddings": str(Path(path).resolve()) if path else ""}

    def _loss(self, train: AnnData) -> str:
        """The likelihood, which counts decide where it is not given."""
        has_counts = "counts" in train.layers
        if self.config.recon_loss == "nb" and not has_counts:
            raise BenchmarkError(
                "CPA's recon_loss nb needs counts, and these cells have none; use --set recon_loss=gauss."
            )
        automatic = "nb" if has_counts else "gauss"
        return automatic if self.config.recon_loss == "auto" else self.config.recon_loss

    def _embedded(self, train: AnnData) -> list[str]:
        """Genes that will have an embedding: those of the file, else those of training perturbations."""
        seen = {gene for label in train.obs["perturbation"].unique() for gene in label.split("+")} - {CONTROL}
        if not self.config.gene_embeddings:
            return sorted(seen)
        path = Path(self.config.gene_embeddings)
        vectors = read_vectors(path)
        require_all(seen, vectors, path)
        return sorted(vectors)
