"""What hosting costs: GEARS and CPA through the harness against the packages driven by hand.

    python perf/hosting.py [gears] [cpa]     both unless named; needs `python -m benchmark install` of each

Both sides fit the `small` preset on the training cells of `simulated`, doubles-0, and predict its 18 test
perturbations from the same control cells; by hand means one process of the package's environment that reads
one h5ad. The rounds alternate, and medians are compared.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from anndata import AnnData, concat

from benchmark.data import load_dataset
from benchmark.data.priors import gene_sets
from benchmark.machine.processes import threads
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.registry import load_method
from benchmark.splits import load_split
from benchmark.splits.views import training_views

ROUNDS = 3
SEED = 0
TESTS = Path(__file__).parents[1] / "tests" / "methods" / "hosted"
OF_NETWORKS = (
    *("n_latent", "doser_type", "n_hidden_encoder", "n_layers_encoder", "n_hidden_decoder"),
    *("n_layers_decoder", "use_batch_norm", "dropout_rate_encoder", "dropout_rate_decoder"),
)
"""How names of CPA's settings begin that go to its networks."""
OF_TRAINING = ("max_epochs", "batch_size", "check_val_every_n_epoch", "early_stopping_patience")
NOT_PASSED = {"answer", "recon_loss", "gene_embeddings", "time_limit", "gradient_clip_value"}
DATASET = load_dataset("simulated")
SPLIT = load_split(DATASET, "doubles", SEED)
ASKED = [Perturbation.parse(label) for label in SPLIT.test]


def condition(label: str) -> str:
    """A label in the words of GEARS."""
    genes = Perturbation.parse(label).genes
    return "+".join([*genes, "ctrl"][:2] if genes else ["ctrl"])


def gears_task(train: AnnData, validation: AnnData, config, folder: Path) -> None:
    """Write what ``tests/methods/hosted/gears_by_hand.py`` reads."""
    together = concat([train, validation])
    obs = pd.DataFrame({"condition": [condition(label) for label in together.obs["perturbation"]]})
    obs = obs.assign(cell_type="cell").set_axis(list(together.obs_names))
    var = pd.DataFrame({"gene_name": list(train.var_names)}, index=list(train.var_names))
    AnnData(together.X, obs=obs, var=var).write_h5ad(folder / "cells.h5ad")
    chosen = [condition(label) for label in SPLIT.validation]
    terms: dict[str, list[str]] = {}
    for term, genes in gene_sets("simulated_modules").items():
        for gene in genes:
            terms.setdefault(gene, []).append(term)
    task = {
        "seed": SEED,
        "threads": threads(),
        "gene2go": {gene: sorted(of_gene) for gene, of_gene in terms.items()},
        "split": {"train": ["ctrl", *map(condition, SPLIT.train)], "val": chosen, "test": chosen},
        "batch_size": config.batch_size,
        "neighbours": config.num_similar_genes_go_graph,
        "network": {"hidden_size": config.hidden_size},
        "training": {"epochs": config.epochs, "lr": config.lr, "weight_decay": config.weight_decay},
        "ask": [list(perturbation.genes) for perturbation in ASKED],
    }
    (folder / "task.json").write_text(json.dumps(task))


def cpa_task(train: AnnData, validation: AnnData, config, folder: Path) -> None:
    """Write what ``tests/methods/hosted/cpa_by_hand.py`` reads."""
    together = concat([train, validation])
    labels = ["ctrl" if label == CONTROL else label for label in together.obs["perturbation"]]
    columns = {
        "perturbation": labels,
        "dosage": ["1.0+1.0" if "+" in label else "1.0" for label in labels],
        "cell_type": "cell",
        "split": ["train"] * train.n_obs + ["valid"] * validation.n_obs,
    }
    obs = pd.DataFrame(columns, index=list(together.obs_names))
    AnnData(together.layers["counts"], obs=obs).write_h5ad(folder / "cells.h5ad")
    control = train[train.obs["perturbation"] == CONTROL]
    AnnData(control.layers["counts"], obs=pd.DataFrame(index=list(control.obs_names))).write_h5ad(
        folder / "control.h5ad"
    )
    values = {name: value for name, value in config.model_dump().items() if name not in NOT_PASSED}
    network = {name: value for name, value in values.items() if name.startswith(OF_NETWORKS)}
    training = {name: values[name] for name in OF_TRAINING}
    task = {
        "network": {**network, "recon_loss": "nb", "seed": SEED},
        "plan": {name: values[name] for name in values.keys() - network.keys() - training.keys()},
        "training": training,
        "ask": list(SPLIT.test),
    }
    (folder / "task.json").write_text(json.dumps(task))


def by_hand(name: str, train: AnnData, validation: AnnData, config) -> float:
    """Seconds of the package's own script, the writing of its file included."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        TASKS[name](train, validation, config, folder)
        command = [load_method(name).environment().python, "-I", TESTS / f"{name}_by_hand.py", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    return time.perf_counter() - start


def through_harness(name: str, train: AnnData, validation: AnnData, config) -> float:
    """Seconds of `fit` and `predict` of the hosted method."""
    control = train[train.obs["perturbation"] == CONTROL].copy()
    start = time.perf_counter()
    method = load_method(name)(config, seed=SEED, device="cpu").fit(train, validation)
    assert len(list(method.predict(control, ASKED))) == len(ASKED)
    return time.perf_counter() - start


TASKS = {"gears": gears_task, "cpa": cpa_task}


def measure(name: str) -> None:
    config = load_method(name).Config.build("small")
    views = training_views(DATASET, SPLIT)
    rounds = [(by_hand(name, *views, config), through_harness(name, *views, config)) for _ in range(ROUNDS)]
    hand, hosted = (statistics.median(side) for side in zip(*rounds, strict=True))
    print(
        f"{name}: by hand {hand:.1f} s, through the harness {hosted:.1f} s, {hosted / hand:.2f} times "
        f"(target: at most 1.10 times and 5 s more: {1.1 * hand + 5:.1f} s)",
        flush=True,
    )


if __name__ == "__main__":
    for each in sys.argv[1:] or TASKS:
        measure(each)
