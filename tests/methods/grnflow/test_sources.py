"""Attention sources by name: what each one is, and what is said where one cannot be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder
from methods._flow.cells import moments
from methods._grn.pretrain import new_transformer, pretrain
from methods._grn.sources import CoexpressionSource, TransformerSource, with_shuffled_genes, without_own
from methods._grnflow.direct import DIRECT
from methods._grnflow.pairs import paired_cells
from methods._grnflow.sources import SOURCES, Given, build_source, deranged
from methods.grnflow_dense import GRNFlowDense
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from tests.methods.grn.attention_case import counts, expression, transformer, whole
from tests.methods.grn.checkpoint_case import PUBLISHED
from tests.methods.grnflow.grnflow_case import (
    cells,
    fitted,
    new,
    predicted,
    recorded,
    training_cells,
    validation_cells,
)

OWN = ["pretrained", "random", "shuffled", "coexpression"]
DIRECTLY = {"regression", "noise", "oracle"}


def given(seed: int = 0, genes: int = 9, **settings: object) -> Given:
    """What a source is made from: forty cells, the first fifteen of them controls."""
    config = new(GRNFlowDense, transformer_width=8, **settings).config
    cells = counts(40, genes)
    names = [f"G{gene}" for gene in range(genes)]
    return Given(config, cells, cells[:15], names, seed, torch.device("cpu"))


def built(name: str, **settings: object):
    return build_source(given(attention_source=name, **settings))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_every_source_that_can_be_named_is_there():
    field = GRNFlowDense.Config.model_fields["attention_source"]
    assert set(DIRECT) == DIRECTLY
    assert set(SOURCES) == {*OWN, "wrong", "scgpt", "geneformer"}
    assert set(field.annotation.__args__) == DIRECTLY | set(SOURCES)


@pytest.mark.parametrize("name", OWN)
def test_every_source_gives_vectors_and_maps_of_the_panel(name):
    """Finite, frozen, and different for different cells."""
    read = built(name)
    maps = whole(read.maps(expression(3, 9, seed=5), block=4))
    assert maps.shape == (3, 9, 9)
    assert maps.isfinite().all()
    assert not maps.requires_grad
    assert (maps[0] - maps[1]).abs().max() > 1e-4
    assert read.gene_vectors().shape == (9, 8)
    assert not read.gene_vectors().requires_grad


@pytest.mark.parametrize("name", OWN)
def test_a_source_follows_the_seed_and_leaves_the_global_state_alone(name):
    """Made twice it is the same; with another seed, all but correlations are different."""
    before = torch.get_rng_state()
    cells = expression(2, 9)
    one, again, other = (
        whole(build_source(given(seed, attention_source=name)).maps(cells)) for seed in (0, 0, 1)
    )
    assert torch.equal(one, again)
    assert torch.equal(one, other) == (name == "coexpression")
    assert torch.equal(before, torch.get_rng_state())


def test_random_is_the_untrained_transformer():
    about = given(attention_source="random")
    read = build_source(about)
    assert same(read.model, new_transformer(9, about.config.pretraining(), 0))
    assert not cache_folder("gene_transformers").exists()


def test_pretrained_is_trained_on_the_training_cells():
    about = given(attention_source="pretrained")
    model = new_transformer(9, about.config.pretraining(), 0)
    list(pretrain(model, about.cells, about.config.pretraining(), 0))
    read = build_source(about)
    assert same(read.model, model)
    assert not read.model.training
    assert not any(weight.requires_grad for weight in read.model.parameters())


def test_pretrained_reads_values_in_units_of_the_training_cells():
    """Mean and deviation of each gene, the latter 1 where a gene is constant."""
    about = given(attention_source="pretrained")
    columns = about.cells.tolil()
    columns[:, 3] = 0
    flat = columns.tocsr().astype(np.float32)
    read = build_source(Given(about.config, flat, flat[:15], about.genes, 0, about.device))
    mean, deviation = moments(flat)
    deviation[3] = 1
    torch.testing.assert_close(read.mean, torch.from_numpy(mean))
    torch.testing.assert_close(read.deviation, torch.from_numpy(deviation))


def test_pretraining_is_done_once_for_all_sources_and_seeds_apart():
    """The second time, and for the shuffled source, the transformer comes from the cache."""
    stages = []
    for name, seed in (("pretrained", 0), ("pretrained", 0), ("shuffled", 0), ("pretrained", 1)):
        with recorded() as seen:
            build_source(given(seed, attention_source=name))
        stages.append(list(seen.totals))
    assert stages == [["pretrain gene transformer"], [], [], ["pretrain gene transformer"]]
    assert len(list(cache_folder("gene_transformers").iterdir())) == 2


def test_a_damaged_cache_is_made_again():
    first = built("pretrained")
    (path,) = cache_folder("gene_transformers").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert same(built("pretrained").model, first.model)


def test_shuffled_genes_are_those_of_the_trained_model_in_another_order():
    """Where gene g has the vectors of o(g), the map of any values is the old map of moved values, moved."""
    model, values = transformer(), expression(2)
    shuffled = with_shuffled_genes(model, seed=4)
    same_vector = (shuffled.gene_embedding.weight[:, None] == model.gene_embedding.weight).all(-1)
    order = same_vector.int().argmax(1)
    assert sorted(order.tolist()) == list(range(13))
    assert order.tolist() != list(range(13))
    units = torch.zeros(13), torch.ones(13)
    moved = torch.empty_like(values)
    moved[:, order] = values
    trained = whole(TransformerSource(model, *units).maps(moved))
    found = whole(TransformerSource(shuffled, *units).maps(values))
    torch.testing.assert_close(found, trained[:, order][:, :, order], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(found, whole(TransformerSource(model, *units).maps(values)), atol=1e-3)


def test_shuffled_is_the_pretrained_transformer_but_for_its_genes():
    """Every weight is the same, and both vectors of a gene are moved together."""
    one, other = built("pretrained").model, built("shuffled").model
    state = other.state_dict()
    vectors = {"gene_embedding.weight", "gene_scaling.weight"}
    different = {name for name, weight in one.state_dict().items() if not torch.equal(weight, state[name])}
    assert different == vectors
    together = torch.cat([one.gene_embedding.weight, one.gene_scaling.weight], 1)
    moved = torch.cat([other.gene_embedding.weight, other.gene_scaling.weight], 1)
    assert {tuple(row) for row in together.tolist()} == {tuple(row) for row in moved.tolist()}


def test_coexpression_by_hand():
    """corr(g, h) times the standardised value of h, and nothing of a gene's own."""
    own = without_own(np.array([[1.0, 0.5], [0.5, 1.0]]))
    assert own.tolist() == [[0.0, 0.5], [0.5, 0.0]]
    read = CoexpressionSource(own, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]), torch.eye(2))
    maps = whole(read.maps(torch.tensor([[3.0, 10.0]]), block=1))
    assert maps.tolist() == [[[0.0, 0.5 * 2.0], [0.5 * 2.0, 0.0]]]


def test_coexpression_takes_correlations_of_controls_and_units_of_all_cells():
    """Entry by entry from NumPy; the diagonal is zero, and so is what a constant gene says."""
    about = given(attention_source="coexpression")
    flat = about.cells.tolil()
    flat[:, 3] = 0
    flat = flat.tocsr().astype(np.float32)
    read = build_source(Given(about.config, flat, flat[:15], about.genes, 0, about.device))
    dense = flat.toarray().astype(np.float64)
    varied = [gene for gene in range(9) if gene != 3]
    expected = np.zeros((9, 9))
    expected[np.ix_(varied, varied)] = np.corrcoef(dense[:15, varied].T)
    np.fill_diagonal(expected, 0)
    cell = dense[20]
    deviation = np.where(dense.std(0) > 0, dense.std(0), 1)
    maps = whole(read.maps(torch.from_numpy(dense[20:21].astype(np.float32)), block=2))[0]
    np.testing.assert_allclose(maps, expected * (cell - dense.mean(0)) / deviation, atol=1e-5)
    assert not cache_folder("gene_transformers").exists()


def test_normalisation_and_layer_are_those_of_the_configuration():
    cells = expression(2, 9)
    maps = {
        (layer, normalisation): whole(
            built("random", attention_layer=layer, attention_normalisation=normalisation).maps(cells)
        )
        for layer in (0, 1)
        for normalisation in ("softmax", "scores", "ranks")
    }
    torch.testing.assert_close(maps[1, "softmax"].sum(-1), torch.ones(2, 9))
    assert (maps[1, "scores"] < 0).any()
    assert maps[1, "ranks"].max() < 1
    assert len({tuple(m.flatten().tolist()) for m in maps.values()}) == 6


def test_an_unknown_source_is_refused_with_those_there_are():
    with pytest.raises(BenchmarkError, match=r"'pretrained', .* or 'oracle', but 'gpt4'"):
        GRNFlowSparsePCA.Config.build(settings={"attention_source": "gpt4"})


@pytest.mark.parametrize("name", ["scgpt", "geneformer"])
def test_a_source_without_its_folder_is_refused_in_one_sentence(name):
    with pytest.raises(BenchmarkError) as caught:
        fitted(GRNFlowSparsePCA, attention_source=name)
    assert str(caught.value) == (
        f"The attention source '{name}' reads a local checkpoint, and none is named; "
        "add --set attention_folder=FOLDER."
    )


@pytest.mark.parametrize("name", ["scgpt", "geneformer"])
def test_a_folder_that_is_not_there_is_refused_in_one_sentence(name, tmp_path):
    folder = tmp_path / "nowhere"
    with pytest.raises(BenchmarkError, match=f"There is no folder {folder}") as caught:
        fitted(GRNFlowSparsePCA, attention_source=name, attention_folder=str(folder))
    assert "\n" not in str(caught.value)


def test_the_parameters_of_a_checkpoint_are_not_guessed():
    """The width of its gene vectors is not known before it is read."""
    config = new(GRNFlowDense, attention_source="scgpt").config
    assert GRNFlowDense.parameter_count(config, 20, 4) is None


@pytest.mark.parametrize("name", OWN)
def test_a_flow_learns_from_every_source(name):
    values = predicted(fitted(GRNFlowSparsePCA, attention_source=name), "A+G2")[0]
    assert np.isfinite(values).all()


def test_sources_give_different_flows():
    answers = [predicted(fitted(GRNFlowSparsePCA, attention_source=name), "A+B")[0] for name in OWN]
    assert len({answer.tobytes() for answer in answers}) == len(OWN)


@pytest.mark.parametrize("settings", [{"pairing": "random"}, {"attention_of": "means"}])
def test_other_ways_to_pair_and_to_compare_change_the_flow(settings):
    usual, other = fitted(GRNFlowSparsePCA), fitted(GRNFlowSparsePCA, **settings)
    assert not np.array_equal(*(predicted(method, "A+B")[0] for method in (usual, other)))


def test_a_cell_without_any_value_has_a_map():
    maps = whole(built("pretrained").maps(torch.zeros(1, 9)))
    torch.testing.assert_close(maps.sum(-1), torch.ones(1, 9))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [2, 3, 7])
def test_wrong_cells_are_those_of_another_perturbation_each_once(count, seed):
    pairs = {f"G{number}": (np.array([number]), np.array([10 + number])) for number in range(count)}
    found = deranged(pairs, seed)
    assert list(found) == list(pairs)
    assert all(found[label] is not pairs[label] for label in pairs)
    assert {id(rows) for rows in found.values()} == {id(rows) for rows in pairs.values()}


def test_wrong_cells_follow_the_seed():
    pairs = {f"G{number}": (np.array([number]), np.array([number])) for number in range(9)}
    taken = [[rows[0].item() for rows, _ in deranged(pairs, seed).values()] for seed in (0, 0, 1)]
    assert taken[0] == taken[1] != taken[2]


def test_wrong_latents_are_the_pretrained_ones_of_another_perturbation():
    """Of means, where nothing is drawn: the same latents, each in the place of another."""
    settings = {"attention_of": "means", "pairs_per_perturbation": 12}
    latents = {}
    for name in ("pretrained", "wrong"):
        method = new(GRNFlowSparsePCA, attention_source=name, **settings)
        about = method._given(training_cells())
        latents[name] = method._latents(
            about, paired_cells(training_cells(), about.cells, method.config, method.seed)
        )[0]
    distances = torch.cdist(*(found.float().flatten(1) for found in latents.values()))
    assert sorted(distances.argmin(0).tolist()) == list(range(6))
    assert (distances.argmin(0) != torch.arange(6)).all()
    assert distances.min(0).values.max() < 0.01 < distances.diag().min()


def test_wrong_maps_are_the_pretrained_ones_of_another_perturbation():
    maps = {
        name: new(GRNFlowSparsePCA, attention_source=name).regulatory_maps(training_cells())
        for name in ("pretrained", "wrong")
    }
    np.testing.assert_array_equal(maps["pretrained"].attention, maps["wrong"].attention)
    usual, wrong = (dict(found.changes) for found in maps.values())
    assert list(usual) == list(wrong)
    assert not any(np.array_equal(usual[label], wrong[label]) for label in usual)
    assert {change.tobytes() for change in usual.values()} == {change.tobytes() for change in wrong.values()}


def test_of_a_single_perturbation_there_is_no_wrong_one():
    train = cells(["control", "A"], 6)
    with pytest.raises(BenchmarkError) as caught:
        new(GRNFlowSparsePCA, attention_source="wrong").fit(train, train[:0].copy())
    assert str(caught.value) == (
        "The attention source 'wrong' gives each perturbation the latent of another one, and 'A' is the only "
        "one; train on more, or choose another attention_source."
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_flow_learns_from_a_published_checkpoint(name, tmp_path):
    """Cells of twelve genes of its vocabulary, one of them unknown to it, and a folder as it is published."""
    published = PUBLISHED[name]
    folder = published.write(tmp_path / "checkpoint")
    train, validation = (part[:, :12].copy() for part in (training_cells(), validation_cells()))
    train.var_names = validation.var_names = [*published.genes[:11], "UNKNOWN"]
    method = new(GRNFlowSparsePCA, attention_source=name, attention_folder=str(folder))
    values = predicted(method.fit(train, validation), "A+B", control=train[:5].copy())[0]
    assert values.shape == (5, 12)
    assert np.isfinite(values).all()
    train.var_names = validation.var_names = [f"X{gene}" for gene in range(12)]
    with pytest.raises(BenchmarkError, match="only 0 of the panel's 12 genes"):
        method.fit(train, validation)
