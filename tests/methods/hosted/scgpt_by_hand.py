"""Drives the published model class of scGPT in its environment, for the parity test; see ``driving.py``."""

from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import anndata
import numpy as np
import torch


class Tokens:
    """What is asked of torchtext's vocabulary."""

    def __init__(self, tokens):
        self.tokens = list(tokens)

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, token):
        return self.tokens.index(token)


text, vocab = ModuleType("torchtext"), ModuleType("torchtext.vocab")
text.vocab, vocab.Vocab, vocab.vocab = vocab, Tokens, Tokens
sys.modules.update({"torchtext": text, "torchtext.vocab": vocab})

from scgpt.loss import masked_mse_loss  # noqa: E402
from scgpt.model import TransformerGenerator  # noqa: E402
from scgpt.utils import map_raw_id_to_vocab_id  # noqa: E402


class Batch(SimpleNamespace):
    """What `pred_perturb` asks of a batch of GEARS."""

    def to(self, device):
        """Stay where it is."""
        return self


def main(folder: Path) -> None:
    """Fine-tune on the cells of the folder, choose the epoch on validation, and predict what is asked for."""
    os.chdir(folder)
    task = json.loads(Path("task.json").read_text())
    torch.set_num_threads(task["threads"])
    torch.manual_seed(task["seed"])
    train, validation, control = (
        anndata.read_h5ad(f"{part}.h5ad") for part in ("train", "validation", "control")
    )
    labels = train.obs["perturbation"].to_numpy(str)
    genes = list(train.var_names)
    tokens = Tokens(["<pad>", "<cls>", "<eoc>", *genes])
    ids = np.array([tokens[gene] for gene in genes])

    def flags(label: str) -> torch.Tensor:
        return torch.tensor([int(gene in label.split("+")) for gene in genes])

    flagged = torch.stack([flags(label) for label in labels])
    draws = np.random.default_rng(task["seed"])
    chosen = draws.choice(np.flatnonzero(labels == "control"), len(labels))
    source = np.where(labels == "control", np.arange(len(labels)), chosen)
    model = TransformerGenerator(
        len(tokens), task["width"], task["heads"], task["hidden"], task["layers"], nlayers_cls=3, n_cls=1,
        vocab=tokens, dropout=task["dropout"], pad_token="<pad>", pad_value=0, pert_pad_id=0,
        use_fast_transformer=False,
    )  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), lr=task["lr"])
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 1, gamma=0.9)
    kept, cells = [], torch.tensor(train.X)
    for _ in range(task["epochs"]):
        model.train()
        for rows in np.split(
            (order := draws.permutation(len(labels))),
            range(task["batch_size"], len(order), task["batch_size"]),
        ):
            named = flagged[rows].any(0).nonzero().ravel()
            others = torch.randperm(len(genes))[: task["tokens"] - len(named)]
            some = torch.cat([named, others]).unique()
            asked = map_raw_id_to_vocab_id(some, ids).repeat(len(rows), 1)
            start, target = cells[source[rows]][:, some], cells[rows][:, some]
            padding = torch.zeros_like(start, dtype=torch.bool)
            out = model(asked, start, flagged[rows][:, some], src_key_padding_mask=padding)["mlm_output"]
            loss = masked_mse_loss(out, target, torch.ones_like(target, dtype=torch.bool))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        schedule.step()
        kept.append(copy.deepcopy(model.state_dict()))

    @torch.no_grad()
    def mean(label: str, cells: np.ndarray) -> np.ndarray:
        both = torch.stack([torch.tensor(cells).ravel(), flags(label).repeat(len(cells)).float()], 1)
        batch = Batch(x=both, pert=[label] * len(cells))
        out = model.pred_perturb(batch, include_zero_gene="all", gene_ids=ids, amp=False)
        return np.maximum(out.double().numpy(), 0).mean(axis=0)

    names = validation.obs["perturbation"].to_numpy(str)
    controls = train.X[labels == "control"]
    few = controls[:32]
    errors = []
    for weights in kept:
        model.load_state_dict(weights)
        predicted = {
            label: mean(label, few) + controls.mean(axis=0) - few.mean(axis=0) for label in set(names)
        }
        real = {label: validation.X[names == label].mean(axis=0) for label in predicted}
        errors.append(np.mean([(predicted[label] - real[label]) ** 2 for label in predicted]))
    model.load_state_dict(kept[int(np.argmin(errors))])
    np.save("answers.npy", np.stack([mean(label, control.X) for label in task["ask"]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
