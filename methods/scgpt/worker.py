"""The worker of scGPT: the published model class, in its own environment."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch
from launch import Best, Job, Refusal, genes_of, held_out

SPECIAL = ("<pad>", "<cls>", "<eoc>")
"""Tokens that are no genes; the first is that of padding."""
CLIP, DECAY = 1.0, 0.9
"""Where the gradient's norm is clipped, and what the step size is multiplied with after each epoch."""
LOOKED_AT = 32
"""Control cells from which validation perturbations are predicted, at most."""
AT_ONCE = 16_384
"""Tokens of a prediction that are in memory together, about."""


def fit(job: Job) -> None:
    """Fine-tune scGPT, and keep the weights of the best epoch."""
    generator = _package(job)
    train, config = job.cells("train"), job.config
    draws, cells = np.random.default_rng(job.seed), train.X.toarray()
    labels = train.obs["perturbation"].to_numpy(str)
    place = {gene: index for index, gene in enumerate(job.about["genes"])}
    marked = [[place[gene] for gene in genes_of(label)] for label in labels]
    source, contexts = np.arange(len(cells)), train.obs["context"].to_numpy(str)
    for context in np.unique(contexts):
        here = contexts == context
        partners = draws.choice(np.flatnonzero(here & (labels == "control")), here.sum())
        source[here] = np.where(labels[here] == "control", source[here], partners)
    model = _model(generator, job)
    optimiser = torch.optim.Adam(model.parameters(), lr=config["lr"])
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 1, DECAY)
    look, best, size = _look(job, model, train, place), Best(), config["batch_size"]
    count = min(config["cells_per_epoch"] or len(cells), len(cells))
    with job.stage("train", config["epochs"] * -(-count // size)) as progress:
        for epoch in range(config["epochs"]):
            model.train()
            for rows in _batches(draws.permutation(len(cells))[:count], size):
                wanted = [marked[row] for row in rows]
                loss = _step(model, optimiser, cells[source[rows]], cells[rows], wanted, config["tokens"])
                progress.advance(loss=loss)
            schedule.step()
            best.offer(look(epoch), lambda: _arrays(model))
    about = {"genes": job.about["genes"], "measured": job.about["measured"], "sizes": _sizes(job)}
    job.save_model(about=np.array(json.dumps(about)), **best.chosen("scGPT"))


def predict(job: Job) -> None:
    """Answer control cells under each perturbation, all genes at once."""
    generator = _package(job)
    arrays = job.model()
    about = json.loads(str(arrays.pop("about")))
    model = _built(generator, about["sizes"], about["genes"], 0.0, job.device)
    model.load_state_dict({name: torch.as_tensor(value) for name, value in arrays.items()})
    place = {gene: index for index, gene in enumerate(about["genes"])}
    control = job.cells("control").X.toarray()
    for index, genes in enumerate(job.perturbations):
        missing = [gene for gene in genes if gene not in place]
        if missing:
            raise Refusal(f"scGPT has no token of {' and '.join(missing)}; ask for other genes.")
        job.answer(index, _answer(model, control, [place[gene] for gene in genes]))


def _package(job: Job) -> Any:
    """Import scGPT's model class, silent, with a stand-in for torchtext."""
    os.chdir(job.folder)
    os.environ["MPLCONFIGDIR"] = str(job.folder)
    warnings.simplefilter("ignore")
    text, vocab = ModuleType("torchtext"), ModuleType("torchtext.vocab")
    text.vocab, vocab.Vocab, vocab.vocab = vocab, Vocabulary, Vocabulary  # type: ignore[attr-defined]
    sys.modules.update({"torchtext": text, "torchtext.vocab": vocab})
    import scgpt
    from scgpt.model import TransformerGenerator

    scgpt.logger.setLevel(logging.ERROR)
    return TransformerGenerator


class Vocabulary:
    """Tokens and their numbers: what scGPT's model class asks of torchtext's vocabulary."""

    def __init__(self, tokens: Any) -> None:
        self.tokens = list(tokens)
        self._number = {token: number for number, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, token: str) -> int:
        return self._number[token]

    def __contains__(self, token: str) -> bool:
        return token in self._number


def _sizes(job: Job) -> dict[str, int]:
    """Sizes of the network: those of a checkpoint, else those that are asked for."""
    if "checkpoint" in job.about:
        return job.about["checkpoint"]["sizes"]
    names = {"embsize": "width", "nheads": "heads", "d_hid": "hidden", "nlayers": "layers"}
    return {official: job.config[ours] for official, ours in names.items()}


def _built(generator: Any, sizes: dict[str, int], genes: list[str], dropout: float, device: str) -> Any:
    """The published model class; flag 0, of genes that are not perturbed, is the zero vector."""
    vocabulary = Vocabulary([*SPECIAL, *genes])
    return generator(
        len(vocabulary),
        sizes["embsize"],
        sizes["nheads"],
        sizes["d_hid"],
        sizes["nlayers"],
        nlayers_cls=3,
        n_cls=1,
        vocab=vocabulary,
        dropout=dropout,
        pad_token=SPECIAL[0],
        pad_value=0,
        pert_pad_id=0,
        use_fast_transformer=False,
    ).to(device)


def _model(generator: Any, job: Job) -> Any:
    """The model to train, with the weights of a checkpoint where one is given."""
    model = _built(generator, _sizes(job), job.about["genes"], job.config["dropout"], job.device)
    if "checkpoint" not in job.about:
        return model
    said = job.about["checkpoint"]
    found = torch.load(said["file"], map_location="cpu", weights_only=True)
    for flash, plain in said["renamed"].items():
        found = {name.replace(flash, plain): weight for name, weight in found.items()}
    rows = [said["pad"]] * len(SPECIAL) + said["rows"]
    found["encoder.embedding.weight"] = found["encoder.embedding.weight"][rows]
    wanted = {
        name: weight
        for name, weight in model.state_dict().items()
        if name.startswith(tuple(said["prefixes"]))
    }
    filled = {name: found[name].float() for name, weight in wanted.items() if _fits(found, name, weight)}
    if len(filled) < len(wanted):
        lacking = sorted(wanted.keys() - filled.keys())
        raise Refusal(
            f"{said['file']} fills {len(filled)} of the {len(wanted)} tensors that fine-tuning takes over "
            f"(not "
            f"{lacking[0]}); use a complete checkpoint with its own args.json."
        )
    model.load_state_dict(filled, strict=False)
    print(
        f"the checkpoint filled {len(filled)} of {len(model.state_dict())} tensors, the rest begin at random"
    )
    return model


def _fits(found: dict[str, Any], name: str, weight: Any) -> bool:
    return name in found and found[name].shape == weight.shape


def _batches(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _step(
    model: Any,
    optimiser: Any,
    start: np.ndarray,
    target: np.ndarray,
    marked: list[list[int]],
    longest: int,
) -> float:
    """One step on pairs of cells, (cells, genes) both; the loss covers measured genes."""
    measured, device = start.shape[1], next(model.parameters()).device
    named = torch.tensor(sorted({index for each in marked for index in each}), dtype=torch.long)
    others = torch.randperm(measured)[: max(longest - len(named), 1)]
    chosen = torch.cat([named, others]).unique()
    inside = chosen[chosen < measured]
    out = _forward(model, torch.as_tensor(start).to(device), chosen, marked)[:, : len(inside)]
    loss = torch.nn.functional.mse_loss(out, torch.as_tensor(target)[:, inside].to(device))
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimiser.step()
    return loss.item()


def _forward(model: Any, values: torch.Tensor, chosen: torch.Tensor, marked: list[list[int]]) -> torch.Tensor:
    """Values of the chosen genes, in rising order; one that is not measured reads 0."""
    cells, measured = values.shape
    missing = int((chosen >= measured).sum())
    inside = chosen[: len(chosen) - missing]
    read = torch.nn.functional.pad(values[:, inside], (0, missing))
    flags = torch.zeros(cells, len(chosen), dtype=torch.long)
    for row, each in enumerate(marked):
        flags[row, torch.isin(chosen, torch.tensor(each, dtype=torch.long))] = 1
    ids = (chosen + len(SPECIAL)).repeat(cells, 1).to(values.device)
    return model(ids, read, flags.to(values.device), torch.zeros_like(read, dtype=torch.bool))["mlm_output"]


@torch.no_grad()
def _answer(model: Any, control: np.ndarray, marked: list[int]) -> np.ndarray:
    """Control cells under the marked genes, (cells, measured genes)."""
    model.eval()
    measured, device = control.shape[1], next(model.parameters()).device
    unmeasured = sorted(index for index in marked if index >= measured)
    chosen = torch.tensor([*range(measured), *unmeasured])
    size = max(AT_ONCE // len(chosen), 1)
    parts = [
        _forward(model, torch.as_tensor(part).to(device), chosen, [marked] * len(part))[:, :measured].cpu()
        for part in _batches(control, size)
    ]
    return torch.cat(parts).numpy()


def _look(job: Job, model: Any, train: Any, place: dict[str, int]) -> Any:
    """A function of the epoch: the squared error of the means of validation perturbations."""
    asked = [each for each in held_out(job, train, LOOKED_AT) if place.keys() >= set(each.genes)]

    def look(epoch: int) -> float:
        errors = [
            each.error(np.maximum(_answer(model, each.control, [place[gene] for gene in each.genes]), 0))
            for each in asked
        ]
        return float(np.mean(errors)) if errors else -float(epoch)

    return look


def _arrays(model: Any) -> dict[str, np.ndarray]:
    return {name: value.cpu().numpy().copy() for name, value in model.state_dict().items()}
