"""STATE (Adduri et al., 2025), the ST model of the published package, in an environment of its own."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import model_validator

from benchmark.config import parameter
from methods._gene_vectors import DescribedConfig, DescribedMethod


class StateConfig(DescribedConfig):
    """STATE's hyper-parameters; the defaults are what a CPU trains in minutes."""

    cell_set_len: int = parameter(
        32, ge=2, le=4096, search=(16, 128), log=True, help="Cells in a set, which see each other."
    )
    hidden_dim: int = parameter(
        128, ge=2, le=8192, search=(32, 64, 96, 128, 256), help="Width of the transformer."
    )
    num_hidden_layers: int = parameter(2, ge=1, le=64, search=(1, 4), help="Layers of the transformer.")
    num_attention_heads: int = parameter(8, ge=1, le=64, help="Heads of the attention between cells.")
    intermediate_size: int = parameter(
        512, ge=1, le=65536, help="Width between two layers of the transformer."
    )
    n_encoder_layers: int = parameter(1, ge=1, le=16, help="Layers that read a cell and a perturbation.")
    n_decoder_layers: int = parameter(1, ge=1, le=16, help="Layers that write a cell.")
    batch_size: int = parameter(8, ge=1, le=4096, search=(4, 32), log=True, help="Sets per step.")
    max_steps: int = parameter(
        3000, ge=1, le=10_000_000, search=(500, 5000), log=True, budget=True, help="Steps."
    )
    val_freq: int = parameter(200, ge=1, le=1_000_000, help="Steps between two looks at the validation sets.")
    lr: float = parameter(1e-3, gt=0, le=1, search=(1e-4, 3e-3), log=True, help="Learning rate.")
    weight_decay: float = parameter(5e-4, ge=0, le=1, help="Weight decay.")

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "smoke": {
            "cell_set_len": 8, "hidden_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 32, "batch_size": 2, "max_steps": 12, "val_freq": 4,
        },
        "paper": {
            "cell_set_len": 128, "hidden_dim": 672, "num_hidden_layers": 4, "num_attention_heads": 8,
            "intermediate_size": 2688, "n_encoder_layers": 4, "n_decoder_layers": 4, "batch_size": 16,
            "max_steps": 400_000, "val_freq": 2000, "lr": 1e-4,
        },
    }  # fmt: skip

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.hidden_dim % (2 * self.num_attention_heads):
            raise ValueError(
                f"needs hidden_dim {self.hidden_dim} to be a multiple of twice num_attention_heads "
                f"{self.num_attention_heads}, since each head is turned in pairs"
            )
        if self.val_freq > self.max_steps:
            raise ValueError(
                f"needs val_freq {self.val_freq} to be at most max_steps {self.max_steps}, since the best "
                f"step "
                "is one that was validated"
            )
        return self


class State(DescribedMethod):
    """The ST model of STATE (arc-state 0.11.1) in the space of genes, trained by the package itself.

    A transformer maps a set of control cells and a perturbation to a set of perturbed cells: cells attend to
    each other, and the loss is the energy distance between predicted and real sets. A perturbation is the sum
    of the vectors of its genes (``gene_vectors``), zero for control cells.

    **Licence: CC BY-NC-SA 4.0, for non-commercial use**; the authors put outputs of the model under their
    own non-commercial licence and acceptable use policy. The package is installed only by who asks for it,
    and is called, never copied.

    An answer depends on which control cells are in a set together. Control cells are cut into sets of the
    trained size in their order, and the last set is filled up with cells from the beginning.

    A context is a cell type to the package: the control cells of a set are of the context of its perturbed
    cells, validation perturbations are held out in the contexts in which they are that, and the control cells
    of a context that shows nothing else are trained on as themselves. The network reads no name of a context,
    so that any is answered from the control cells that are given. Batches are not told to it.

    The step of least validation loss is kept, on validation perturbations whose genes all have vectors; the
    last step where there are none. The package is told of no test perturbation.

    The preset `paper` has the sizes of the configuration ``state_sm`` that the package ships.

    Traps of the package, and what is done:

    - labels that are not categorical in the file stop it: the worker writes a file of its own;
    - a perturbation without features silently becomes the control: all that are asked have vectors;
    - a column of a gene that no training cell has keeps random weights: unseen genes are refused unless
      genes have vectors;
    - without a validation part it would take test cells for one, so a test part is never given;
    - twelve processes load cells unless told otherwise, and the network keeps a table of 32,000 tokens that
      nothing reads: none and eight here;
    - it decides by itself on a GPU: one is hidden from it where the device is the CPU.
    """

    name = "state"
    draws = False
    supports_contexts = True
    licence = (
        "arc-state 0.11.1: CC BY-NC-SA 4.0, for non-commercial use only; outputs of the model are under the "
        "non-commercial licence and acceptable use policy of the Arc Institute"
    )
    Config = StateConfig
    config: StateConfig
