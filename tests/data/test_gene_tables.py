"""Genes that a file calls by ids are found by symbols, by a table of one's own or that of HGNC."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import anndata as ad
import pytest

from benchmark.data.dataset import load_dataset
from benchmark.data.describe import describe
from benchmark.data.file_text import as_text
from benchmark.data.gene_cards import load_gene_table_card
from benchmark.data.gene_tables import HUMAN, read_gene_table
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder
from tests.data.brought import HOW, brought, file, relabelled
from tests.data.test_download import Server


def an_id(number: int) -> str:
    return f"ENSG{number:011d}"


TABLE = "id\tsymbol\n" + "".join(f"{an_id(i)}\tG{i}\n" for i in range(20))
HGNC = "hgnc_id\tsymbol\tname\talias_symbol\tensembl_gene_id\n" + "".join(
    f'HGNC:{i}\tG{i}\tgene {i}\t"A{i}|B{i}"\t{an_id(i)}\n' for i in range(20)
)


def by_ids(version: str = "") -> ad.AnnData:
    """The usual screen, whose measured genes are called by ids and whose labels are symbols."""
    cells = brought(doubles=3)
    cells.var_names = [an_id(i) + version for i in range(20)]
    return cells


def table(folder: Path, text: str = TABLE, name: str = "genes.tsv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a folder with files nor a proxy."""
    monkeypatch.delenv("BENCHMARK_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize("version", ["", ".7"])
def test_measured_ids_become_the_symbols_that_labels_have(tmp_path, version, caplog):
    """With versions or without; the cells are those of a file that had symbols from the first."""
    expected = load_dataset(str(file(tmp_path / "symbols", brought(doubles=3))), **HOW)
    path = file(tmp_path, by_ids(version), "ids.h5ad")
    with caplog.at_level(logging.INFO, "benchmark"):
        found = load_dataset(str(path), **HOW, gene_table=table(tmp_path))
    assert found.digest == expected.digest
    assert "20 of 20 genes are ids that have symbols in the table 'genes.tsv'" in caplog.text


def test_ids_in_labels_become_the_symbols_that_are_measured(tmp_path):
    def rule(number: int, label: str) -> str:
        return (
            label if label == "ctrl" else "+".join(an_id(int(gene[1:])) + ".2" for gene in label.split("+"))
        )

    path = file(tmp_path, relabelled(brought(doubles=3), rule))
    found = load_dataset(str(path), **HOW, gene_table=table(tmp_path))
    assert set(found.adata.obs["perturbation"]) == {
        "control",
        *(f"G{i}" for i in range(8)),
        "G0+G1",
        "G0+G2",
        "G0+G3",
    }


def test_what_is_missing_or_ambiguous_keeps_its_name_and_is_counted(tmp_path, caplog):
    """G0 has two ids of the file, id 2 has two symbols, id 3 is not in the table, id 4 has no symbol."""
    lines = [f"{an_id(i)},G{i}" for i in range(20) if i != 3]
    lines[1] = f"{an_id(1)},G0"
    lines += [f"{an_id(2)},X2"]
    lines = [line.replace(",G4", ",") for line in lines]
    path = file(tmp_path, by_ids())
    with caplog.at_level(logging.INFO, "benchmark"):
        found = load_dataset(
            str(path), **HOW, gene_table=table(tmp_path, "id,symbol\n" + "\n".join(lines), "mine.csv")
        )
    assert list(found.adata.var_names) == [an_id(i) if i < 5 else f"G{i}" for i in range(20)]
    said = "15 of 20 genes are ids that have symbols in the table 'mine.csv'; 2 not in it, such as "
    assert said + f"'{an_id(3)}'; 3 ambiguous, such as '{an_id(0)}', keep their names" in caplog.text


def test_a_symbol_that_is_measured_already_is_not_given_to_another_gene(tmp_path):
    cells = by_ids()
    cells.var_names = ["G1", *cells.var_names[1:]]
    found = load_dataset(str(file(tmp_path, cells)), **HOW, gene_table=table(tmp_path))
    assert list(found.adata.var_names[:3]) == ["G1", an_id(1), "G2"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hgnc.txt", HGNC),
        (
            "mart_export.txt",
            "Gene stable ID,Gene stable ID version,Gene name\n" + f"{an_id(5)},{an_id(5)}.3,G5\n",
        ),
        ("biomart.tsv", f"external_gene_name\tensembl_gene_id\nG5\t{an_id(5)}\nG5\t{an_id(5)}\n"),
        ("features.tsv", f"{an_id(5)}\tG5\tGene Expression\n"),
        ("excel.csv", f'\ufeff"Gene ID","Gene symbol"\n"{an_id(5)}","G5"\n'),
    ],
)
def test_tables_are_read_as_others_write_them(tmp_path, name, text):
    found = read_gene_table(Path(table(tmp_path, text, name)), name)
    assert found.symbol(f"{an_id(5)}.11") == "G5"
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    assert read_gene_table(tmp_path / f"{name}.gz", name) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a\tb\n1\t2\n", r"\(no column is called ensembl_gene_id or the like, but a, b\); give CSV or TSV"),
        ("id\tname of it\n1\t2\n", r"\(no column is called symbol or the like"),
        ("", "cannot be read as a table of gene ids"),
    ],
)
def test_what_is_no_table_of_ids_is_refused(tmp_path, text, sentence):
    with pytest.raises(BenchmarkError, match=sentence):
        read_gene_table(Path(table(tmp_path, text)), "genes.tsv")


def test_a_table_of_other_genes_is_refused(tmp_path):
    foreign = table(tmp_path, f"id\tsymbol\n{an_id(99)}\tX\n")
    with pytest.raises(
        BenchmarkError, match=r"The gene table 'genes\.tsv' has none of the 20 measured genes"
    ):
        load_dataset(str(file(tmp_path, by_ids())), **HOW, gene_table=foreign)


def test_a_table_that_changes_is_read_again_and_gives_other_data(tmp_path):
    path, place = str(file(tmp_path, by_ids())), table(tmp_path)
    first = load_dataset(path, **HOW, gene_table=place)
    table(tmp_path, TABLE.replace("\tG9\n", "\tX9\n"))
    second = load_dataset(path, **HOW, gene_table=place)
    assert (first.name, second.name) == ("brought", f"brought-{second.digest[:8]}")
    assert second.adata.var_names[9] == "X9"
    Path(place).unlink()
    with pytest.raises(BenchmarkError, match=r"There is no file .*genes\.tsv to read gene ids from"):
        load_dataset(path, **HOW, gene_table=place)


def test_the_table_is_kept_by_add_and_found_from_any_folder(tmp_path, type_, monkeypatch):
    path = file(tmp_path, by_ids())
    table(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = ("--perturbation-column", "condition", "--control-label", "ctrl", "--expression", "counts")
    code, *_ = type_("datasets", "add", path, *options, "--gene-table", "genes.tsv", "--name", "mine")
    assert code == 0
    monkeypatch.chdir("/")
    assert load_dataset("mine").adata.var_names[0] == "G0"


@pytest.mark.usefixtures("_alone")
def test_describe_proposes_the_table_of_human_genes_and_downloads_nothing(tmp_path):
    said = describe(file(tmp_path, by_ids(".1")), {})
    assert said.card.gene_table == HUMAN
    assert said.measured == 0
    assert (
        "measured genes are called by Ensembl ids, the others are not: --gene-table hgnc" in said.warnings[0]
    )
    assert "--gene-table hgnc" in as_text(said)
    assert not cache_folder("downloads").exists()


def test_describe_counts_with_a_table_that_is_at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
    table(tmp_path, HGNC, "hgnc_complete_set.txt")
    said = describe(file(tmp_path, by_ids()), {})
    assert (said.card.gene_table, said.measured, said.warnings[1:]) == (HUMAN, 8, [])
    assert "ids         20 of 20 genes are ids that have symbols in the table 'hgnc'" in as_text(said)


def test_ids_of_another_species_need_a_table_of_ones_own(tmp_path):
    cells = brought()
    cells.var_names = [f"ENSMUSG{i:011d}" for i in range(20)]
    said = describe(file(tmp_path, cells), {})
    assert said.card.gene_table is None
    assert "--gene-table FILE gives them the symbols of a table with both" in said.warnings[0]


@pytest.mark.usefixtures("_alone")
def test_the_table_of_hgnc_is_downloaded_checked_and_pinned(tmp_path, home, monkeypatch):
    """From a server of this test: nobody here has seen the public one answer."""
    card = load_gene_table_card(HUMAN)
    assert card.url.endswith("/hgnc_complete_set.txt")
    path = str(file(tmp_path, by_ids()))
    with Server().running() as server:
        at_home = card.model_copy(update={"url": server.url})
        monkeypatch.setattr("benchmark.data.gene_tables.load_gene_table_card", lambda name: at_home)
        server.body = b"<!DOCTYPE html><html>busy</html>"
        with pytest.raises(BenchmarkError, match="sent no whole file for gene table 'hgnc'"):
            load_dataset(path, **HOW, gene_table=HUMAN)
        server.body, server.promised = HGNC.encode()[:200], len(HGNC)
        with pytest.raises(BenchmarkError, match="The gene table 'hgnc' could not be downloaded"):
            load_dataset(path, **HOW, gene_table=HUMAN)
        server.body, server.promised = HGNC.encode(), None
        found = load_dataset(path, **HOW, gene_table=HUMAN)
        assert found.adata.var_names[3] == "G3"
        assert server.requests == 3
    local = cache_folder("downloads") / "hgnc_complete_set.txt"
    local.write_text(HGNC.replace("G3", "X3"))
    with pytest.raises(BenchmarkError, match="it was set aside as hgnc_complete_set"):
        load_dataset(path, **HOW, gene_table=HUMAN, min_cells=3)


def test_what_is_described_at_the_first_run_is_what_was_asked_for(tmp_path, caplog):
    """Symbols that are in a column but were not asked for are not counted as read."""
    cells = by_ids()
    cells.var["symbol"] = [f"G{i}" for i in range(20)]
    with caplog.at_level(logging.INFO, "benchmark"):
        load_dataset(str(file(tmp_path, cells)), **HOW)
    assert "8 perturbed genes, 0 of them measured" in caplog.text
