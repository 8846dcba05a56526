"""What `describe` proposes reads the file at once, and what a refusal proposes does, too."""

from __future__ import annotations

import shlex

import pytest

from benchmark.cli.options import READING
from benchmark.data.dataset import load_dataset
from benchmark.data.describe import describe
from benchmark.errors import BenchmarkError
from tests.data.brought import HOW, brought, file, guides, relabelled


def proposed_by(sentence: str) -> dict[str, object]:
    """The reading that a refusal proposes, from the command that it ends with."""
    words = shlex.split(sentence.partition("datasets add ")[2])[1:]
    options: dict[str, object] = {}
    while words:
        name = words.pop(0).removeprefix("--").replace("-", "_")
        value = True if READING[name][0] is bool else words.pop(0)
        several = name in ("leave_out", "control_label", "drop", "keep")
        options[name] = (*options.get(name, ()), value) if several else value
    return options


def several_guides(number: int, label: str) -> str:
    """Guides with ; between them, some cells with three or four, controls with a guide of their own."""
    if label == "ctrl":
        return "neg_1"
    written = ";".join(f"{gene}_{1 + number % 2}" for gene in label.split("+"))
    return f"{written};G7_1;G6_2" if number % 37 == 0 else written


def test_what_comes_up_once_something_is_mended_is_mended_too(tmp_path):
    """With the right separator there are triples, which the wrong one took for single genes."""
    path = file(tmp_path, relabelled(brought(doubles=6), several_guides))
    said = describe(path, {})
    expected = {"separator": ";", "collapse_guides": True, "leave_out": ("triples",)}
    assert expected.items() <= said.command_options.items()
    assert "min_cells" not in said.command_options
    assert sorted(load_dataset(str(path), **said.command_options).adata.obs["perturbation"].unique())[:3] == [
        "G0",
        "G0+G1",
        "G0+G2",
    ]
    with pytest.raises(BenchmarkError) as caught:
        load_dataset(str(path), **HOW | {"control_label": "neg_1"})
    assert load_dataset(str(path), **proposed_by(str(caught.value))).adata.n_obs == 102


def test_genes_in_other_case_are_proposed_in_the_command(tmp_path):
    path = file(tmp_path, relabelled(brought(), lambda number, label: label.replace("G", "g")))
    assert describe(path, {}).command_options["ignore_case"] is True
    assert describe(path, {}).measured == 8


def test_many_labels_of_control_cells_are_proposed_as_their_pattern(tmp_path):
    def rule(number: int, label: str) -> str:
        return f"non-targeting_{number}" if label == "ctrl" else label

    path = file(tmp_path, relabelled(brought(), rule))
    assert describe(path, {}).card.controls == ("non-targeting*",)
    assert load_dataset(str(path), **describe(path, {}).command_options).adata.n_obs == 68


@pytest.mark.parametrize("gene", ["G5", "G1"])
def test_a_pattern_that_would_take_a_gene_for_controls_is_not_proposed(tmp_path, gene):
    """Alone, or second in a pair."""

    def rule(number: int, label: str) -> str:
        return f"NT{number}" if label == "ctrl" else label.replace(gene, "NTRK")

    path = file(tmp_path, relabelled(brought(doubles=4), rule))
    assert describe(path, {}).card.controls == tuple(sorted(f"NT{i}" for i in range(20)))


def test_symbols_that_several_genes_share_keep_their_ids_as_10x_has_them(tmp_path):
    cells = brought()
    cells.var["symbol"] = ["G0", "G0", None, "", *(f"G{i}" for i in range(4, 20))]
    cells.var_names = [f"ENSG{i:011d}" for i in range(20)]
    path = file(tmp_path, cells)
    found = load_dataset(str(path), **HOW, gene_name_column="symbol").adata.var_names
    assert list(found) == [f"ENSG{i:011d}" for i in range(4)] + [f"G{i}" for i in range(4, 20)]
    assert "4 of 20 genes, such as 'ENSG00000000000', have no name of their own" in describe(path, {}).renamed


def test_numbers_of_guides_are_not_read_as_genes_also_where_no_gene_is_measured(tmp_path):
    unmeasured = guides(brought())[:, [f"G{i}" for i in range(8, 20)]].copy()
    with pytest.raises(BenchmarkError) as caught:
        load_dataset(str(file(tmp_path, unmeasured)), **HOW, separator="_")
    assert "16 of 16 pairs have a name that is neither measured nor ever perturbed alone" in str(caught.value)
    assert "such as 'sg1' in 'G0_sg1'" in str(caught.value)
    assert proposed_by(str(caught.value))["collapse_guides"] is True


def test_a_separator_within_names_is_said(tmp_path):
    """Drugs with a plus sign among others that stand alone."""
    path = file(tmp_path, relabelled(brought(), lambda n, label: "Vit D3+K2" if label == "G0" else label))
    (said,) = [sentence for sentence in (describe(path, HOW).warnings) if "Vit D3+K2" in sentence]
    assert "1 of 1 pairs have a name that is neither measured nor ever perturbed alone" in said
    assert "if '+' is part of one name, give another --separator" in said
    assert "Vit D3+K2" in set(load_dataset(str(path), **HOW, separator="|").adata.obs["perturbation"])


@pytest.mark.parametrize("name", ["Cell Line ID", "cell-type", "organism", "tissue", "source_dataset"])
def test_kinds_of_cells_are_found_by_what_their_column_is_called(tmp_path, name):
    cells = brought()
    cells.obs[name] = ["one kind", "another"] * 34
    (said,) = describe(file(tmp_path, cells), HOW).warnings[-1:]
    assert f"by the column '{name}' (one kind 34, another 34)" in said
    keep = f"{name}=one kind"
    assert f"--keep '{keep}' takes one" in said


@pytest.mark.parametrize("name", ["orig.ident", "batch", "organoid", "guide_identity", "n_datasets_seen"])
def test_other_columns_are_not_taken_for_kinds_of_cells(tmp_path, name):
    cells = brought()
    cells.obs[name] = ["one", "another"] * 34
    assert describe(file(tmp_path, cells), HOW).warnings == []


def test_a_file_of_another_kind_is_told_what_is_read(tmp_path):
    (tmp_path / "matrix.h5").write_bytes(b"\x89HDF")
    with pytest.raises(BenchmarkError, match=r"matrix\.h5 is no \.h5ad file, the one kind that is read"):
        load_dataset(str(tmp_path / "matrix.h5"))


def test_no_control_cells_are_not_called_few(tmp_path):
    said = describe(file(tmp_path, brought()[20:].copy()), {})
    assert said.is_readable is False
    assert said.warnings == []
    assert "has no control cells labelled 'control'" in said.problems[0].sentence


def test_one_card_with_a_fault_hides_no_other(home, type_, caplog):
    (home / "datasets").mkdir()
    (home / "datasets" / "broken.toml").write_text('separator = 3\nexpression = "cpm"\n')
    code, out, err = type_("datasets", "list")
    assert code == 0
    assert "simulated" in out
    assert "broken.toml is not valid" in err + caplog.text
    with pytest.raises(BenchmarkError, match=r"broken\.toml is not valid"):
        load_dataset("broken")
