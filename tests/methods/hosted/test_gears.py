"""GEARS behind the harness: what it learns from, what it refuses, and how its answers become cells."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.testing.case import tiny_contexts
from methods.gears import Gears, GearsConfig
from methods.gears.graph import THRESHOLD, annotations, similarity_graph
from tests.hosting.hosted import REPOSITORY, needs
from tests.methods.hosted.gears_case import (
    GENES,
    TRAINED,
    UNMEASURED,
    cells,
    method,
    terms_of_genes,
    write_gene_sets,
)

SINGLE = next(str(each) for each in TRAINED if len(each.genes) == 1 and UNMEASURED not in each.genes)


@cache
def fitted() -> Gears:
    """A fit of seconds that several tests ask."""
    with TemporaryDirectory() as place:
        sets = write_gene_sets(Path(place) / "sets.gmt", terms_of_genes())
        return method(sets).fit(*cells()[:2])


def test_genes_are_connected_by_the_share_of_their_terms_and_to_the_nearest_alone():
    """A and B share 2 of 5 terms, A and C 1 of 5, B and C none, A and D 1 of 11, which is too little."""
    sets = {
        "t1": {"A", "B"},
        "t2": {"A", "B"},
        "t3": {"A", "C"},
        "t4": {"B"},
        **{f"d{number}": {"D"} for number in range(7)},
        "t5": {"C"},
        "t6": {"A", "D"},
    }
    edges, weights = similarity_graph(annotations(sets, ["A", "B", "C", "D"]), neighbours=1)
    found = {
        (source, target): weight for source, target, weight in zip(*edges.tolist(), weights, strict=True)
    }
    assert found == pytest.approx(
        {(0, 0): 1, (1, 0): 2 / 5, (1, 1): 1, (0, 1): 2 / 5, (2, 2): 1, (0, 2): 1 / 5, (3, 3): 1}
    )
    assert THRESHOLD > 1 / 11  # A and D share 1 of 11 terms, which is too little


@pytest.mark.parametrize("neighbours", [1, 3, 50])
def test_the_graph_is_that_of_all_pairs_compared_one_by_one(neighbours):
    """Few terms, so that many pairs are equally alike: of those, the gene that comes first is taken."""
    terms = terms_of_genes()
    sets = {term: {gene for gene in GENES if term in terms[gene]} for term in set().union(*terms.values())}
    expected = []
    for target, gene in enumerate(GENES):
        alike = [len(terms[gene] & terms[other]) / len(terms[gene] | terms[other]) for other in GENES]
        best = sorted(range(len(GENES)), key=lambda source: (-alike[source], source))[: neighbours + 1]
        expected += [(source, target, alike[source]) for source in best if alike[source] > THRESHOLD]
    edges, weights = similarity_graph(annotations(sets, GENES), neighbours)
    assert list(zip(*edges.tolist(), weights.tolist(), strict=True)) == expected


def test_a_perturbation_of_a_gene_without_terms_is_left_out_and_named(tmp_path, caplog):
    terms = terms_of_genes()
    for gene in Perturbation.parse(SINGLE).genes:
        del terms[gene]
    hosted = method(write_gene_sets(tmp_path / "sets.gmt", terms))
    train, validation, _ = cells()
    with caplog.at_level(logging.WARNING, "benchmark"):
        about = hosted.about(train, validation)
    assert not any(SINGLE in label.split("+") for label in about["train"])
    assert any("name a gene without terms" in line and SINGLE in line for line in caplog.messages)
    assert hosted.unsupported(Perturbation((SINGLE,))).startswith(f"GEARS cannot perturb {SINGLE}: its graph")


def test_a_perturbation_with_one_cell_is_left_out_and_named(tmp_path, caplog):
    train, validation, _ = cells()
    of_single = np.flatnonzero(train.obs["perturbation"] == SINGLE)
    train = train[np.setdiff1d(np.arange(train.n_obs), of_single[1:])].copy()
    with caplog.at_level(logging.WARNING, "benchmark"):
        about = method(write_gene_sets(tmp_path / "sets.gmt", terms_of_genes())).about(train, validation)
    assert SINGLE not in about["train"]
    assert any(line.startswith("gears: 1 perturbations have one cell") for line in caplog.messages)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"terms": {"OTHER": {"T"}}}, r"learn from none of the \d+ training perturbations .*--set gene_sets"),
        ({"batch_size": 10_000}, r"there are \d+ training cells for batches of 10000; set batch_size lower"),
        ({"gene_sets": ""}, r"needs gene sets, and the card of the data names none; choose some with"),
        ({"gene_sets": "go_basics"}, r"There is no prior 'go_basics'; did you mean 'go_basic'"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_before_a_worker_starts(tmp_path, change, sentence):
    settings = dict(change)
    sets = write_gene_sets(tmp_path / "sets.gmt", settings.pop("terms", terms_of_genes()))
    hosted = method(settings.pop("gene_sets", sets), **settings)
    train, validation, _ = cells()
    train.uns.pop("gene_sets", None)
    with pytest.raises(BenchmarkError, match=sentence):
        hosted.about(train, validation)


def test_which_genes_can_be_perturbed_is_a_choice(tmp_path):
    terms = {**terms_of_genes(), "ELSEWHERE": {"T01"}}
    sets = write_gene_sets(tmp_path / "sets.gmt", terms)
    for choice, extra in (("data", []), ("all", ["ELSEWHERE"])):
        hosted = method(sets, graph_genes=choice)
        about = hosted.about(*cells()[:2])
        assert about["genes"] == hosted.perturbable_ == sorted([*GENES, *extra])
        assert (hosted.unsupported(Perturbation(("ELSEWHERE",))) is None) == bool(extra)
    assert GearsConfig().graph_genes == "all"


def test_cells_are_moved_to_the_mean_that_is_predicted_and_never_below_zero():
    control = np.array([[0.0, 2.0, 0.0], [2.0, 4.0, 1.0]], dtype=np.float32)
    gears = method("sets.gmt")
    gears.control_mean_ = np.array([1.0, 3.0, 0.5])  # of all control cells, these among them
    moved = gears.finish(control, np.array([0.5, -10.0, 0.0]))
    assert moved.dtype == np.float32
    assert (moved >= 0).all()
    np.testing.assert_allclose(moved.mean(axis=0), [1.5, 0, 0.5], atol=1e-6)


def test_the_paper_preset_is_that_of_the_published_script():
    config = GearsConfig.build("paper")
    assert (config.hidden_size, config.epochs, config.batch_size, config.lr) == (64, 15, 32, 1e-3)


@pytest.mark.slow
def test_a_gene_that_is_not_measured_is_perturbed_through_its_terms():
    needs("gears")
    train, _, control = cells()
    assert UNMEASURED not in train.var_names
    asked = [Perturbation((UNMEASURED,)), Perturbation((SINGLE,))]
    one, other = fitted().predict(control, asked)
    assert one.shape == control.shape
    assert not np.allclose(one.mean(axis=0), other.mean(axis=0), atol=1e-4)


@pytest.mark.slow
def test_another_seed_gives_another_network(tmp_path):
    needs("gears")
    train, validation, control = cells()
    other = method(write_gene_sets(tmp_path / "sets.gmt", terms_of_genes()))
    other.seed = fitted().seed + 1
    asked = [Perturbation((SINGLE,))]
    (one,), (two,) = fitted().predict(control, asked), other.fit(train, validation).predict(control, asked)
    assert not np.allclose(one, two, atol=1e-4)


@pytest.mark.slow
def test_a_training_that_diverges_says_so(tmp_path):
    needs("gears")
    hosted = method(write_gene_sets(tmp_path / "sets.gmt", terms_of_genes()), lr=1e12)
    with pytest.raises(
        BenchmarkError, match=r"The loss of GEARS' training has become (nan|inf); set lr lower"
    ):
        hosted.fit(*cells()[:2])


@pytest.mark.slow
def test_without_validation_cells_the_training_perturbations_choose_the_epoch(tmp_path):
    needs("gears")
    train, validation, control = cells()
    hosted = method(write_gene_sets(tmp_path / "sets.gmt", terms_of_genes()))
    (predicted,) = hosted.fit(train, validation[:0].copy()).predict(control, [Perturbation((SINGLE,))])
    assert np.isfinite(predicted).all()


@pytest.mark.slow
def test_training_writes_nothing_outside_its_folder(tmp_path, monkeypatch):
    needs("gears")
    sets = write_gene_sets(tmp_path / "sets.gmt", terms_of_genes())
    monkeypatch.chdir(tmp_path)
    method(sets).fit(*cells()[:2])
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["sets.gmt"]


def test_cells_of_several_contexts_are_refused_before_a_worker_starts():
    with pytest.raises(
        BenchmarkError, match="GEARS compares perturbed cells with control cells of any context"
    ):
        method("sets.gmt").fit(*tiny_contexts().views)


IMPORTS = """
import sys
sys.path += sys.argv[1:]
import worker
worker._package()
"""


@pytest.mark.slow
def test_workers_that_compile_for_the_first_time_at_once_do_not_break_each_other(tmp_path):
    """Nor those that come later: what is compiled is kept."""
    needs("gears")
    folders = [REPOSITORY / "methods" / "gears", REPOSITORY / "benchmark" / "hosting"]
    command = [Gears.environment().python, "-I", "-c", IMPORTS, *folders]
    apart = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    started = []
    for _ in range(3):
        started.append(subprocess.Popen(command, env=apart, stderr=subprocess.PIPE, text=True))
        time.sleep(2)  # so that one is amid what the other begins
    ended = [(process.communicate()[1], process.returncode) for process in started]
    assert [code for _, code in ended] == [0] * 3, ended
    assert list(tmp_path.rglob("*.nbc"))
    subprocess.run(command, env=apart, check=True)
