"""Gene sets and edges come from cards and files, and a file that is none says so."""

from __future__ import annotations

import gzip

import pytest

from benchmark.data import load_dataset
from benchmark.data.cards import list_cards, load_card
from benchmark.data.gene_cards import load_prior_card
from benchmark.data.priors import FALLBACK, gene_sets, read_edges, suited
from benchmark.data.simulator.embedded import load_truth
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.splits import load_split
from benchmark.splits.views import training_views

GAF = """!gaf-version: 2.2
UniProtKB\tP04637\tTP53\tinvolved_in\tGO:0006915\tPMID:1\tIDA\t\tP\tp53\t\tprotein\ttaxon:9606\t20200101\tX
UniProtKB\tP04637\tTP53\tNOT|involved_in\tGO:0008150\tPMID:1\tIDA\t\tP\tp53\t\tprotein\ttaxon:9606\t20200101\tX
UniProtKB\tP01106\tMYC\tinvolved_in\tGO:0006915\tPMID:1\tIDA\t\tP\tmyc\t\tprotein\ttaxon:9606\t20200101\tX
UniProtKB\tP01106\tMYC\tlocated_in\tGO:0005634\tPMID:1\tIDA\t\tC\tmyc\t\tprotein\ttaxon:9606\t20200101\tX
"""
APOPTOSIS, NUCLEUS = "GO:0006915", "GO:0005634"


@pytest.mark.parametrize("packed", [False, True])
def test_annotations_that_say_not_are_left_out(tmp_path, packed):
    path = tmp_path / ("goa.gaf.gz" if packed else "goa.gaf")
    path.write_bytes(gzip.compress(GAF.encode()) if packed else GAF.encode())
    assert gene_sets(str(path)) == {APOPTOSIS: {"TP53", "MYC"}, NUCLEUS: {"MYC"}}


def test_sets_are_read_in_both_forms_of_gmt_and_named_by_their_term(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text(
        "apoptotic process (GO:0006915)\tfrom a paper\tTP53\tMYC\t\n"
        "nucleus, or what looks like it (GO:0005634),MYC\tJUN\n"
        '"binding, of two (GO:0051539)",JUN\tFOS\n'
        "HALLMARK_HYPOXIA\thttp://example.org\tVEGFA\n"
        "EMPTY\tnothing\t\n"
    )
    assert gene_sets(str(path)) == {
        APOPTOSIS: {"TP53", "MYC"},
        NUCLEUS: {"MYC", "JUN"},
        "GO:0051539": {"JUN", "FOS"},
        "HALLMARK_HYPOXIA": {"VEGFA"},
    }


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.gmt", None, "There is no file .*none.gmt to read gene sets from; check the path"),
        ("page.gmt", b"<html>\n", "page.gmt cannot be read as gene sets .line 1 is no gene set.; get"),
        ("empty.gmt", b"\n", "empty.gmt has no gene sets"),
        ("short.gaf", b"UniProtKB\tP04637\tTP53\n", "line 1 has 3 columns, not 17"),
        ("torn.gaf.gz", gzip.compress(GAF.encode(), mtime=0)[:40], "torn.gaf.gz cannot be read as gene sets"),
    ],
)
def test_files_that_are_no_gene_sets_are_refused(tmp_path, name, content, sentence):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BenchmarkError, match=sentence):
        gene_sets(str(path))


def test_an_unknown_prior_gets_the_closest_name():
    with pytest.raises(BenchmarkError, match="There is no prior 'go_basics'; did you mean 'go_basic'"):
        gene_sets("go_basics")


def test_a_card_may_unite_others(home, monkeypatch):
    cards = home / "datasets" / "priors"
    cards.mkdir(parents=True)
    (cards / "one.toml").write_text('local_file = "one.gmt"\n')
    (cards / "two.toml").write_text('local_file = "two.gmt"\n')
    (cards / "both.toml").write_text('parts = ["one", "two"]\n')
    (home / "one.gmt").write_text("A\tx\tX\n")
    (home / "two.gmt").write_text("B\tx\tY\n")
    monkeypatch.setenv("BENCHMARK_DATA", str(home))
    assert gene_sets("both") == {"A": {"X"}, "B": {"Y"}}


def test_sets_that_are_nowhere_to_be_had_are_replaced_by_the_current_ones_and_this_is_said(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
    assert suited("go_2018") == FALLBACK == "go_basic"
    assert load_prior_card(FALLBACK).url
    (line,) = caplog.messages
    assert "'go_2018' are not on this machine and have no public address: 'go_basic' stand in" in line
    for name in ("go_basic", "simulated_modules", "some.gmt"):
        assert suited(name) == name
    for part in load_prior_card("go_2018").parts:
        (tmp_path / load_prior_card(part).local_file).touch()
    assert suited("go_2018") == "go_2018"
    assert len(caplog.messages) == 1


def test_modules_of_the_simulated_network_hold_the_regulator_and_its_targets():
    sets = gene_sets("simulated_modules")
    modules = load_truth(load_card("simulated")).modules
    assert len(sets) == len(modules)
    for gene, targets in modules.items():
        assert sets[f"module of {gene}"] == {gene, *targets}


def test_every_data_set_names_gene_sets_that_have_a_card():
    for card in list_cards():
        assert load_prior_card(card.gene_sets).name == card.gene_sets


def test_a_method_is_told_which_gene_sets_suit_its_cells():
    dataset = load_dataset("simulated")
    train, validation = training_views(dataset, load_split(dataset, "doubles", 0))
    assert train.uns["gene_sets"] == validation.uns["gene_sets"] == "simulated_modules"
    perturbed = {
        gene for label in train.obs["perturbation"].unique() for gene in Perturbation.parse(label).genes
    }
    assert perturbed <= frozenset().union(*gene_sets("simulated_modules").values())


def test_a_gene_may_be_called_na(tmp_path) -> None:
    """What pandas takes for a missing value is a name here; quotes, spaces and more columns do no harm."""
    path = tmp_path / "edges.csv"
    path.write_text('"target","source","weight"\n"NA"," MYC",-1\nnan,TP53,1\n')
    assert read_edges(path).to_dict("list") == {"source": ["MYC", "TP53"], "target": ["NA", "nan"]}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "cannot be read as a list of edges"),
        ("source,target\n", "has no edges"),
        ("source;target\nA;B\n", "There is no column in .* 'source'"),
        ("source,targets\nA,B\n", "did you mean 'targets'"),
        ("source,target\nA,\nB,C\n", "has 1 edges without a target"),
        ("source,target\n ,B\n", "has 1 edges without a source"),
        ("source,target\nA,B,1\n", "more fields than its header"),
        ("source,target\nA,B\nA,B,1\n", "cannot be read as a list of edges"),
    ],
)
def test_a_bad_list_of_edges_is_refused_in_one_sentence(tmp_path, text, sentence) -> None:
    path = tmp_path / "edges.csv"
    path.write_text(text)
    with pytest.raises(BenchmarkError, match=sentence) as refused:
        read_edges(path)
    assert "\n" not in str(refused.value)


def test_edges_that_are_no_text_or_not_there_are_refused(tmp_path) -> None:
    path = tmp_path / "edges.csv"
    path.write_bytes(b"source,target\n\xff\xfe,\x00\n")
    with pytest.raises(BenchmarkError, match=r"edges\.csv cannot be read"):
        read_edges(path)
    for missing in (tmp_path / "gone.csv", tmp_path):
        with pytest.raises(BenchmarkError, match="There is no file"):
            read_edges(missing)
