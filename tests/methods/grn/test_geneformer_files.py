"""Folders of Geneformer checkpoints: every form that is published is read, and all else refused."""

from __future__ import annotations

import json
import pickle
import socket

import numpy as np
import pytest
import torch
import transformers

from methods._grn.checkpoint import SourceError
from methods._grn.geneformer.source import load_geneformer
from tests.bomb import Bomb
from tests.methods.grn.checkpoint_case import maps_of
from tests.methods.grn.geneformer_case import ENSEMBL, SYMBOLS, dictionaries, expression, model, write


def test_a_gene_without_a_median_is_missing(tmp_path):
    medians = dictionaries("V2")["gene_median_dictionary"]
    medians |= {ENSEMBL["GENE3"]: float("nan"), ENSEMBL["GENE5"]: 0.0}
    del medians[ENSEMBL["GENE1"]]
    (write(tmp_path) / "gene_median_dictionary.pkl").write_bytes(pickle.dumps(medians))
    assert load_geneformer(tmp_path, SYMBOLS).missing == ["GENE1", "GENE3", "GENE5"]


def test_half_precision_weights_are_read_as_single(tmp_path):
    folder = write(tmp_path)
    model().half().save_pretrained(folder)
    source = load_geneformer(folder, SYMBOLS)
    assert {parameter.dtype for parameter in source.parameters()} == {torch.float32}


def test_loading_is_quiet_local_and_leaves_no_trace(tmp_path, monkeypatch, capfd):
    """No network, no output, and neither the random state nor the settings of transformers change."""
    folder = write(tmp_path)
    capfd.readouterr()

    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    logging = transformers.utils.logging
    logging.enable_progress_bar()
    before = (torch.get_rng_state().tolist(), logging.get_verbosity())
    load_geneformer(folder, SYMBOLS)
    assert before == (torch.get_rng_state().tolist(), logging.get_verbosity())
    assert logging.is_progress_bar_enabled()
    assert capfd.readouterr() == ("", "")


def test_published_suffixes_and_json_are_read_alike(tmp_path):
    expected = maps_of(load_geneformer(write(tmp_path / "plain"), SYMBOLS), expression())
    folder = write(tmp_path / "suffix", suffix="_gc104M")
    (folder / "gene_name_id_dict_gc104M.pkl").unlink()
    (folder / "gene_name_id_dict.json").write_text(json.dumps(ENSEMBL))
    assert torch.equal(maps_of(load_geneformer(folder, SYMBOLS), expression()), expected)


@pytest.mark.parametrize("module", ["numpy._core.multiarray", "numpy.core.multiarray"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_medians_may_be_scalars_of_numpy_old_and_new(tmp_path, kind, module):
    """Pickles of NumPy before and after version 2 name the same function by two modules."""
    folder = write(tmp_path)
    medians = dictionaries("V2")["gene_median_dictionary"]
    scalars = {name: np.array([median], dtype=kind)[0] for name, median in medians.items()}
    written = pickle.dumps(scalars, protocol=3).replace(b"numpy._core.multiarray", module.encode())
    assert module.encode() in written
    (folder / "gene_median_dictionary.pkl").write_bytes(written)
    found = load_geneformer(folder, SYMBOLS).panel.medians
    np.testing.assert_allclose(found, list(medians.values()), rtol=1e-6)


def test_scalars_of_numpy_are_read_in_the_order_of_their_bytes(tmp_path):
    """Written on a machine that puts the highest byte first, they are the same numbers."""
    folder = write(tmp_path)
    medians = dictionaries("V2")["gene_median_dictionary"]
    scalars = {name: np.float64(median).byteswap() for name, median in medians.items()}
    mark = b"X\x01\x00\x00\x00"
    written = pickle.dumps(scalars, protocol=3).replace(mark + b"<", mark + b">")
    (folder / "gene_median_dictionary.pkl").write_bytes(written)
    np.testing.assert_array_equal(load_geneformer(folder, SYMBOLS).panel.medians, list(medians.values()))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, protocol):
    folder, ran = write(tmp_path), tmp_path / "ran"
    for content in ({"a": Bomb(ran)}, Bomb(ran)):
        (folder / "token_dictionary.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
        with pytest.raises(SourceError, match=r"safe to read \(.*\); write it as token_dictionary\.json"):
            load_geneformer(folder, SYMBOLS)
    assert not ran.exists()


@pytest.mark.parametrize(
    "content",
    [
        np.array([1.0]),
        {"a": np.array(["x"], dtype=object)},
        {"a": np.str_("x")},
        {"a": np.dtype("M8[s]")},
        {"a": slice(3)},
    ],
)
def test_other_objects_in_a_pickle_are_refused(tmp_path, content):
    (write(tmp_path) / "token_dictionary.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(SourceError, match=r"token_dictionary\.pkl is no pickle of text and numbers alone"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize("content", [[1, 2], {"a": "b"}, {"a": [1]}, {"a": True}, {"a": 1.5}, "text", None])
def test_a_dictionary_of_another_form_is_refused(tmp_path, content):
    (write(tmp_path) / "token_dictionary.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(SourceError, match=r"token_dictionary\.pkl is damaged: .* values of type int"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize("cut", [0, 1, 10, 100])
def test_a_cut_pickle_is_refused(tmp_path, cut):
    path = write(tmp_path) / "gene_name_id_dict.pkl"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SourceError, match=r"gene_name_id_dict\.pkl is (damaged|no pickle)"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize(
    "name", ["config.json", "token_dictionary.pkl", "gene_median_dictionary.pkl", "gene_name_id_dict.pkl"]
)
def test_an_incomplete_folder_says_what_is_missing(tmp_path, name):
    (write(tmp_path) / name).unlink()
    with pytest.raises(SourceError, match=f"lacks {name}"):
        load_geneformer(tmp_path, SYMBOLS)


def test_a_folder_without_weights_or_that_is_not_there_says_so(tmp_path):
    (write(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(SourceError, match=r"lacks model\.safetensors and pytorch_model\.bin; put one"):
        load_geneformer(tmp_path, SYMBOLS)
    with pytest.raises(SourceError, match="There is no folder"):
        load_geneformer(tmp_path / "nowhere", SYMBOLS)


def test_two_dictionaries_of_one_kind_are_refused(tmp_path):
    (write(tmp_path) / "token_dictionary_gc30M.pkl").write_bytes(b"")
    with pytest.raises(SourceError, match=r"has token_dictionary\.pkl and token_dictionary_gc30M\.pkl; put"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize("name", ["config.json", "gene_name_id_dict.json"])
def test_a_damaged_json_file_is_named(tmp_path, name):
    folder = write(tmp_path)
    (folder / name).with_suffix(".pkl").unlink(missing_ok=True)
    (folder / name).write_text("{")
    with pytest.raises(SourceError, match=f"{name} is damaged: a JSON object"):
        load_geneformer(folder, SYMBOLS)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_type": "gpt2"}, "model of type gpt2; Geneformer is a bert"),
        ({"num_hidden_layers": "3"}, "whole number for num_hidden_layers"),
        ({"num_attention_heads": 3}, "multiple of num_attention_heads"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, change, told):
    path = write(tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SourceError, match=rf"config\.json .*{told}"):
        load_geneformer(tmp_path, SYMBOLS)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights_are_named(tmp_path, weights):
    path = write(tmp_path, weights=weights) / weights
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(SourceError, match=f"{weights} is damaged"):
        load_geneformer(tmp_path, SYMBOLS)


def test_missing_and_misshaped_weights_are_named(tmp_path):
    """They would otherwise be drawn at random; the decoder, which is not needed, may be missing."""
    folder = write(tmp_path, weights="pytorch_model.bin")
    state = {name: weight for name, weight in model().state_dict().items() if name.startswith("bert.")}
    torch.save(state, folder / "pytorch_model.bin")
    load_geneformer(folder, SYMBOLS)
    before = torch.get_rng_state()
    name = "encoder.layer.1.output.dense.weight"
    torch.save({k: v for k, v in state.items() if not k.endswith(name)}, folder / "pytorch_model.bin")
    with pytest.raises(SourceError, match=rf"pytorch_model\.bin lacks the weights (bert\.)?{name};"):
        load_geneformer(folder, SYMBOLS)
    torch.save(state | {f"bert.{name}": torch.zeros(3)}, folder / "pytorch_model.bin")
    with pytest.raises(SourceError, match=rf"another shape .*\((bert\.)?{name}\); use"):
        load_geneformer(folder, SYMBOLS)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("number", [16, -1])
def test_tokens_that_the_model_does_not_have_are_refused(tmp_path, number):
    tokens = dictionaries("V2")["token_dictionary"] | {ENSEMBL["GENE2"]: number}
    (write(tmp_path) / "token_dictionary.pkl").write_bytes(pickle.dumps(tokens))
    with pytest.raises(SourceError, match=r"token_dictionary\.pkl has other tokens than the 16 of the model"):
        load_geneformer(tmp_path, SYMBOLS)
