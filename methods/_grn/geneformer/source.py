"""Attention of a pretrained Geneformer, read from a local folder in the format of Hugging Face.

Geneformer (Theodoris et al. 2023, Nature 618, 616) is a BERT whose tokens are the genes that a cell
expresses, in the order of their scaled expression. Which genes have a token differs from cell to cell: maps
are put back into the order of the panel; a gene without a token reads nothing and is read by none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from methods._grn.attention import Normalisation, QueriesKeys, stream_maps
from methods._grn.checkpoint import (
    SourceError,
    chosen_layer,
    damaged,
    read_json,
    refuse_weights,
    require_files,
    to_panel,
    uncovered,
)
from methods._grn.geneformer.cells import PanelTokens, panel_tokens, rank_encode
from methods._grn.geneformer.files import DICTIONARIES, find_dictionaries, read_dictionary

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
SIZES = ("hidden_size", "num_attention_heads", "num_hidden_layers", "max_position_embeddings", "vocab_size")


class GeneformerSource(nn.Module):
    """Maps of one layer of a frozen Geneformer; an `AttentionSource`.

    Parameters
    ----------
    bert
        A `BertModel` of transformers. It loses the later layers, and that which is read but for its queries
        and keys.
    layer
        Index of the layer that is read.
    panel
        How the genes of the panel become tokens.
    missing
        Names of the genes that have none.
    normalisation
        As in `stream_maps`.
    """

    def __init__(
        self, bert: Any, layer: int, panel: PanelTokens, missing: list[str], normalisation: Normalisation
    ) -> None:
        super().__init__()
        attention = bert.encoder.layer[layer].attention.self
        self.query, self.key = attention.query, attention.key
        self.heads = bert.config.num_attention_heads
        # Without the later layers, the model's output is what the chosen layer gets, in any version.
        bert.encoder.layer = bert.encoder.layer[:layer]
        self.bert = bert
        self.requires_grad_(False).eval()
        # No buffers: a change of the model's precision must not reach the medians, and so the ranks.
        self.panel = panel
        self.missing = missing
        self.normalisation = normalisation

    @torch.no_grad()
    def gene_vectors(self) -> Tensor:
        """Embeddings of the panel's genes, (genes, width); zero for those that Geneformer does not know."""
        vectors = self.bert.get_input_embeddings().weight
        panel = self.panel.to(vectors.device)
        return vectors[panel.ids].masked_fill(~panel.known[:, None], 0)

    @torch.no_grad()
    def queries_keys(self, cells: Tensor) -> QueriesKeys:
        """Queries and keys of the layer that is read, for log1p CP10K expression (cells, genes)."""
        ranked = rank_encode(cells, self.panel.to(cells.device))
        states = self.bert(input_ids=ranked.tokens, attention_mask=ranked.filled.long()).last_hidden_state
        q, k = self._split(self.query(states)), self._split(self.key(states))
        return QueriesKeys(
            to_panel(q, ranked.positions),
            to_panel(k, torch.cat([ranked.positions, ranked.specials], dim=1)),
            torch.cat([ranked.present, torch.ones_like(ranked.specials, dtype=torch.bool)], dim=1),
        )

    def maps(self, cells: Tensor, block: int = 128) -> Iterator[tuple[slice, Tensor]]:
        """Stream the maps of cells, as `AttentionSource.maps` says."""
        return stream_maps(self.queries_keys(cells), self.normalisation, block)

    def _split(self, tokens: Tensor) -> Tensor:
        """Split tokens (cells, tokens, width) by head, (cells, heads, tokens, size)."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def load_geneformer(
    folder: Path,
    genes: Sequence[str],
    *,
    layer: int = -1,
    normalisation: Normalisation = "softmax",
) -> GeneformerSource:
    """Read a Geneformer checkpoint for a panel of genes, without any access to a network.

    Parameters
    ----------
    folder
        Holds ``config.json``; ``model.safetensors`` or ``pytorch_model.bin``; and ``token_dictionary``,
        ``gene_median_dictionary`` and ``gene_name_id_dict``, each as ``.pkl`` or ``.json`` and possibly with
        the suffix under which it is published, such as ``_gc104M``.
    genes
        Symbols or Ensembl ids of the panel.
    layer
        Which layer is read, counted from the end where negative.
    normalisation
        As in `stream_maps`.

    Raises
    ------
    SourceError
        For a folder that is incomplete or damaged, a pickle that holds more than text and numbers, a layer
        that is not there, and a vocabulary with fewer than half of the genes.
    """
    found = read_geneformer(folder, genes)
    index = chosen_layer(layer, found.config["num_hidden_layers"], "Geneformer")
    return GeneformerSource(found.bert(), index, found.panel, found.missing, normalisation)


@dataclass(frozen=True)
class Geneformer:
    """A checkpoint that can be read for a panel.

    Attributes
    ----------
    weights
        The file of the weights.
    config
        Settings of the BERT.
    panel
        How the genes become tokens.
    missing
        Names of the genes that have none.
    """

    weights: Path
    config: dict[str, Any]
    panel: PanelTokens
    missing: list[str]

    def bert(self) -> Any:
        """Load the encoder, a `BertModel` of transformers."""
        return _load_bert(self.weights.parent, self.weights)


def read_geneformer(folder: Path, genes: Sequence[str], also: Sequence[str] = ()) -> Geneformer:
    """Read what a checkpoint says of itself, but not its weights; see `load_geneformer`.

    Parameters
    ----------
    folder, genes
        As for `load_geneformer`.
    also
        Genes that need not be known, behind those of the panel.
    """
    require_files(folder, ["config.json"], "Geneformer")
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise SourceError(
            f"The Geneformer checkpoint in {folder} lacks {' and '.join(WEIGHTS)}; put one of the two there."
        )
    config = _read_config(folder / "config.json")
    files = find_dictionaries(folder)
    dictionaries = [read_dictionary(files[stem], values) for stem, values in DICTIONARIES.items()]
    panel = panel_tokens([*genes, *also], *dictionaries, longest=config["max_position_embeddings"])
    known = panel.known.tolist()[: len(genes)]
    missing = uncovered(genes, known, f"the Geneformer checkpoint in {folder}", "symbol or Ensembl id")
    numbers = dictionaries[0].values()
    if min(numbers) < 0 or max(numbers) >= config["vocab_size"]:
        raise SourceError(
            f"{files['token_dictionary']} has other tokens than the {config['vocab_size']} of the model; "
            "use the dictionary that belongs to the weights."
        )
    return Geneformer(weights, config, panel, missing)


def _read_config(path: Path) -> dict[str, Any]:
    """Read settings, once it is sure that they are those of a BERT."""
    config = read_json(path)
    if config.get("model_type") != "bert":
        raise SourceError(
            f"{path} describes a model of type {config.get('model_type')}; Geneformer is a bert."
        )
    broken = [name for name in SIZES if type(config.get(name)) is not int or config[name] < 1]
    if broken:
        raise damaged(path, f"a whole number for {', '.join(broken)}")
    if config["hidden_size"] % config["num_attention_heads"]:
        raise damaged(path, "a hidden_size that is a multiple of num_attention_heads")
    return config


def _load_bert(folder: Path, weights: Path) -> Any:
    """Load the encoder; the memory-saving attention serves the layers before the one that is read."""
    from transformers import BertModel

    try:
        # Weights that are missing would be drawn at random before they can be refused.
        with torch.random.fork_rng(devices=[]), _quiet():
            bert, report = BertModel.from_pretrained(
                folder,
                add_pooling_layer=False,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                attn_implementation="sdpa",
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
    except Exception as error:  # a damaged file shows in many ways
        raise damaged(weights, "the weights of the BERT that config.json describes") from error
    # By version of transformers, a key that does not fit is a name, or a name with two shapes.
    misshaped = [key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]]
    refuse_weights(weights, sorted(report["missing_keys"]), sorted(misshaped))
    return bert.float()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reporting the decoder, which is left out on purpose, and from drawing bars."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
