"""Labels of genes and perturbations as people write them: read right, or refused with what reads them."""

from __future__ import annotations

import anndata as ad
import pytest

from benchmark.data.dataset import load_dataset
from benchmark.data.describe import describe
from benchmark.splits import make_split
from tests.data.brought import HOW, brought, file, guides, labels_of, refusal, relabelled


def test_ids_are_mapped_to_the_symbols_of_a_column(tmp_path):
    cells = brought()
    cells.var["symbol"] = list(cells.var_names)
    cells.var_names = [f"ENSG{i:011d}" for i in range(20)]
    path = file(tmp_path, cells)
    said = describe(path, {**HOW, "separator": "+"})
    assert said.card.gene_name_column == "symbol"
    assert said.measured == 8
    assert set(load_dataset(str(path), **HOW, gene_name_column="symbol").adata.var_names) >= {"G0", "G7"}


def test_perturbed_genes_that_are_not_measured_are_counted_and_said(tmp_path):
    cells = brought()[:, [f"G{i}" for i in range(8, 20)]].copy()
    said = describe(file(tmp_path, cells), HOW)
    assert said.measured == 0
    assert said.warnings[0].startswith("none of 8 perturbed genes is measured")


def test_genes_that_differ_in_case_alone_are_found_on_request(tmp_path):
    path = file(tmp_path, relabelled(brought(), lambda number, label: label.replace("G", "g")))
    assert "8 but for upper and lower case: --ignore-case" in describe(path, HOW).warnings[0]
    assert "G3" in labels_of(load_dataset(str(path), **HOW, ignore_case=True))


def test_guides_are_said_and_become_genes_on_request(tmp_path):
    path = file(tmp_path, guides(brought()))
    said = describe(path, HOW)
    assert said.warnings[0].startswith("16 perturbed names look like guides of 8 genes, such as 'G0_sg1' and")
    assert said.card.collapse_guides
    assert len(labels_of(load_dataset(str(path), **HOW))) == 17
    dataset = load_dataset(str(path), **HOW, collapse_guides=True)
    assert labels_of(dataset) == {"control": 20, **{f"G{i}": 6 for i in range(8)}}
    split = make_split(dataset, "singles", 0)
    assert set(split.test).isdisjoint(split.train)


@pytest.mark.parametrize("labels", [("NTg*",), ("NTg0", "NTg1", "NTg2", "NTg3")])
def test_several_control_labels_or_a_pattern_of_them_are_controls(tmp_path, labels):
    path = file(
        tmp_path,
        relabelled(brought(), lambda i, label: f"NTg{i % 4}" if label == "ctrl" else f"{label}g{1 + i % 2}"),
    )
    few = describe(path, {**HOW, "control_label": "NTg0"})
    assert any(
        "3 perturbed names look like control cells ('NTg1', 'NTg2', 'NTg3')" in line for line in few.warnings
    )
    found = labels_of(load_dataset(str(path), **{**HOW, "control_label": labels}, collapse_guides=True))
    assert found == {"control": 20, **{f"G{i}": 6 for i in range(8)}}


def test_another_control_label_is_named_and_mended(tmp_path):
    cells = relabelled(
        brought(doubles=6), lambda i, label: ("control", "non-targeting")[i % 2] if label == "ctrl" else label
    )
    path = file(tmp_path, cells)
    sentence = refusal(path, {**HOW, "control_label": "non-targeting"})
    assert "'control' names no gene but control cells" in sentence
    assert "--control-label non-targeting --control-label control" in sentence
    both = load_dataset(str(path), **{**HOW, "control_label": ("non-targeting", "control")})
    assert labels_of(both)["control"] == 20


def test_a_separator_that_tears_plasmids_or_numbers_off_is_refused(tmp_path):
    for name, mark in (("plasmids", "pDS10"), ("numbers", "")):
        path = file(
            tmp_path,
            relabelled(brought(), lambda i, s, mark=mark: s if s == "ctrl" else f"{s}_{mark}{s[1:]}"),
            f"{name}.h5ad",
        )
        sentence = refusal(path, {**HOW, "separator": "_"})
        assert (
            f"8 of 8 pairs have a name that is neither measured nor ever perturbed alone, such as '{mark}0'"
            in sentence
        )
        assert "--separator + --expression counts --collapse-guides" in sentence


def test_pairs_with_another_separator_are_no_unseen_singles(tmp_path):
    path = file(tmp_path, relabelled(brought(doubles=8), lambda i, label: label.replace("+", "_")))
    sentence = refusal(path, HOW)
    assert "8 labels would be single genes, but are two known ones with '_' between them" in sentence
    assert "--separator _" in sentence
    assert labels_of(load_dataset(str(path), **HOW, separator="_"))["G0+G1"] == 6
    assert "G0_G1" in labels_of(load_dataset(str(path), **HOW, as_labelled=True))


@pytest.mark.parametrize("separator", ["|", "_plus_", ";"])
def test_the_separator_is_proposed(tmp_path, separator):
    path = file(tmp_path, relabelled(brought(doubles=8), lambda i, label: label.replace("+", separator)))
    assert describe(path, {}).card.separator == separator


def test_a_control_pair_beside_a_gene_is_a_single(tmp_path):
    def rule(number: int, label: str) -> str:
        if label == "ctrl":
            return "NegCtrl0_NegCtrl0"
        return label.replace("+", "_") if "+" in label else f"NegCtrl0_{label}"

    path = file(tmp_path, relabelled(brought(doubles=8), rule))
    how = {**HOW, "control_label": "NegCtrl0_NegCtrl0", "separator": "_"}
    found = labels_of(load_dataset(str(path), **how))
    assert [sum("+" in label for label in found), len(found), found["control"]] == [8, 17, 20]
    assert describe(path, {}).command_options == {**how, "expression": "counts"}


def test_a_dash_within_a_gene_is_no_separator(tmp_path):
    cells = brought(doubles=4)
    cells.var_names = ["HLA-A", *cells.var_names[1:]]
    cells = relabelled(cells, lambda i, label: label.replace("+", "-").replace("G0", "HLA-A"))
    found = labels_of(load_dataset(str(file(tmp_path, cells)), **HOW, separator="-"))
    assert {"HLA-A", "G1+HLA-A"} <= set(found)


def test_two_guides_of_one_gene_in_a_cell_are_a_single(tmp_path):
    cells = relabelled(brought(doubles=4), lambda i, label: "G0_1+G0_2" if label == "G0" else label)
    assert labels_of(load_dataset(str(file(tmp_path, cells)), **HOW, collapse_guides=True))["G0"] == 6


def test_nullable_strings_are_read_as_any_others(tmp_path):
    cells = brought(doubles=6)
    plain = load_dataset(str(file(tmp_path, cells)), **HOW)
    cells.obs["condition"] = cells.obs["condition"].astype("string")
    cells.obs.index, cells.var.index = cells.obs.index.astype("string"), cells.var.index.astype("string")
    with ad.settings.override(allow_write_nullable_strings=True):
        path = file(tmp_path, cells, "nullable.h5ad")
    assert load_dataset(str(path), **HOW).digest == plain.digest


def test_dates_that_a_spreadsheet_made_of_genes_are_said(tmp_path):
    cells = brought()
    cells.var_names = ["1-Mar", "2-Sep", *cells.var_names[2:]]
    said = describe(
        file(tmp_path, relabelled(cells, lambda i, label: "1-Mar" if label == "G1" else label)), HOW
    )
    assert any("1 perturbed genes are dates that a spreadsheet made" in line for line in said.warnings)
    assert any("2 measured genes are dates" in line for line in said.warnings)
