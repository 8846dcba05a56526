"""Folders of scGPT checkpoints: what is missing, damaged or of another model is refused."""

from __future__ import annotations

import json
import pickle

import pytest
import torch

from methods._grn.checkpoint import SourceError
from methods._grn.scgpt.source import load_scgpt
from tests.bomb import Bomb
from tests.methods.grn.checkpoint_case import maps_of
from tests.methods.grn.scgpt_case import GENES, VOCABULARY, expression, reference_maps, weights, write


@pytest.mark.parametrize("name", ["args.json", "vocab.json", "best_model.pt"])
def test_an_incomplete_folder_says_what_is_missing(tmp_path, name):
    (write(tmp_path) / name).unlink()
    with pytest.raises(SourceError, match=f"lacks {name}"):
        load_scgpt(tmp_path, GENES)


def test_a_folder_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SourceError, match=r"There is no folder .*nowhere; .* vocab.json"):
        load_scgpt(tmp_path / "nowhere", GENES)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff\xfe", "[" * 100_000])
@pytest.mark.parametrize("name", ["args.json", "vocab.json"])
def test_a_damaged_json_file_is_named(tmp_path, name, text):
    (write(tmp_path) / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError, match=f"{name} is damaged"):
        load_scgpt(tmp_path, GENES)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"nheads": None}, "nheads"),
        ({"embsize": "12"}, "embsize"),
        ({"nlayers": 0}, "nlayers"),
        ({"d_hid": True}, "d_hid"),
        ({"nheads": 5}, "multiple of the heads"),
        ({"n_bins": 2}, "at least 3 bins"),
    ],
)
def test_senseless_sizes_are_refused(tmp_path, args, told):
    with pytest.raises(SourceError, match=rf"args\.json is damaged: .*{told}"):
        load_scgpt(write(tmp_path, **args), GENES)


@pytest.mark.parametrize(
    "args",
    [{"pre_norm": True}, {"input_emb_style": "category"}, {"input_style": "log1p"}],
)
def test_a_model_that_computes_otherwise_is_refused(tmp_path, args):
    (name, value), *_ = args.items()
    with pytest.raises(SourceError, match=rf"with {name} {value}; only"):
        load_scgpt(write(tmp_path, **args), GENES)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"<cls>": None}, "a number of its own"), ({"MYC": 3}, "a number of its own")],
)
def test_a_vocabulary_without_proper_numbers_is_refused(tmp_path, change, told):
    (write(tmp_path) / "vocab.json").write_text(json.dumps(VOCABULARY | change))
    with pytest.raises(SourceError, match=rf"vocab\.json is damaged: .*{told}"):
        load_scgpt(tmp_path, GENES)


def test_a_vocabulary_without_its_first_token_is_refused(tmp_path):
    renamed = {"<x>" if name == "<cls>" else name: i for name, i in VOCABULARY.items()}
    (write(tmp_path) / "vocab.json").write_text(json.dumps(renamed))
    with pytest.raises(SourceError, match=r"vocab\.json is damaged: a token <cls>"):
        load_scgpt(tmp_path, GENES)


def test_missing_and_misshaped_weights_are_named(tmp_path):
    """The decoders, which are not needed, may be missing; those that are needed may not."""
    state = {name: weight for name, weight in weights().items() if "decoder" not in name}
    load_scgpt(write(tmp_path, state=state), GENES)
    name = "transformer_encoder.layers.1.linear2.bias"
    with pytest.raises(SourceError, match=rf"best_model\.pt lacks the weights {name};"):
        load_scgpt(write(tmp_path, state={k: v for k, v in state.items() if k != name}), GENES)
    with pytest.raises(SourceError, match=rf"another shape .*\({name} \(3,\) for \(12,\)\)"):
        load_scgpt(write(tmp_path, state=state | {name: torch.zeros(3)}), GENES)
    with pytest.raises(SourceError, match=r"value_encoder.linear1.weight, .* and \d+ more"):
        load_scgpt(write(tmp_path, state={"encoder.embedding.weight": torch.zeros(1)}), GENES)


def test_layers_after_the_one_that_is_read_may_be_missing(tmp_path):
    state = {name: weight for name, weight in weights().items() if ".layers.2." not in name}
    source = load_scgpt(write(tmp_path, state=state), GENES, layer=1)
    torch.testing.assert_close(
        maps_of(source, expression()), reference_maps(expression(), GENES, 1).mean(1), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("content", [b"", b"no weights", pickle.dumps({"a": 1}), "code", "list", "number"])
def test_a_weights_file_with_anything_else_is_refused_and_runs_nothing(tmp_path, content):
    path, ran = write(tmp_path) / "best_model.pt", tmp_path / "ran"
    match content:
        case "code":
            torch.save({"a": Bomb(ran)}, path)
        case "list":
            torch.save([torch.ones(2)], path)
        case "number":
            torch.save({"epoch": 3}, path)
        case _:
            path.write_bytes(content)
    with pytest.raises(SourceError, match=r"best_model\.pt is damaged"):
        load_scgpt(tmp_path, GENES)
    assert not ran.exists()
