"""CPA behind the harness: what it learns from, what it refuses, and how decoded counts become cells."""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.sparse import csr_matrix

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.testing.case import tiny_panel
from methods import cpa
from methods.cpa import Cpa, CpaConfig
from tests.hosting.hosted import needs

PANEL = tiny_panel(0, 40)
SEEN = sorted({gene for label in PANEL.split.train for gene in label.split("+")})
UNSEEN = [gene for gene in PANEL.dataset.adata.var_names if gene not in SEEN][:2]


@cache
def worker() -> ModuleType:
    """The worker's file, imported here for the parts of it that need no package."""
    launch = ModuleType("launch")
    launch.Job, launch.Refusal = object, RuntimeError
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "launch", launch)
        spec = importlib.util.spec_from_file_location("cpa_worker", Path(cpa.__file__).with_name("worker.py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def unfitted(**settings: object) -> Cpa:
    return Cpa(CpaConfig.build("smoke", settings), seed=0, device="cpu")


def test_a_cells_own_counts_give_its_expression_again_also_where_its_depth_covers_more_genes():
    counts = np.array([[3, 0, 1], [0, 8, 2], [0, 0, 0]], dtype=np.float32)
    depth = np.array([[4], [50], [9]])
    expression = np.log1p(counts / depth * 1e4)
    again = worker().to_log(counts, csr_matrix(counts), csr_matrix(expression))
    np.testing.assert_allclose(again, expression, rtol=1e-6)
    twice = worker().to_log(2 * counts, csr_matrix(counts), csr_matrix(expression))
    np.testing.assert_allclose(np.expm1(twice), 2 * np.expm1(expression), rtol=1e-5)
    assert (again[2] == 0).all()


def test_drawn_counts_have_the_mean_and_variance_of_the_negative_binomial():
    mean, theta = np.array([0.5, 4.0, 30.0]), np.array([1.0, 0.5, 20.0])
    counts = worker().draw_counts(np.tile(mean, (200_000, 1)), theta, np.random.default_rng(0))
    np.testing.assert_allclose(counts.mean(axis=0), mean, rtol=0.02)
    np.testing.assert_allclose(counts.var(axis=0), mean + mean**2 / theta, rtol=0.03)
    assert (counts == counts.round()).all()


def test_the_epoch_is_chosen_on_validation_perturbations_whose_genes_are_known():
    labels = ["ctrl"] * 3 + ["A"] * 3 + ["B"] * 2 + ["A+B"] * 2 + ["A+C"] * 2
    parts = worker().divide(labels, 8, {"ctrl", "A", "B"}, 100, 0)
    assert parts.tolist() == ["train"] * 8 + ["valid"] * 2 + ["unused"] * 2


def test_where_validation_cannot_choose_a_share_of_each_training_perturbation_does():
    labels = ["ctrl"] * 40 + ["A"] * 20 + ["C"] * 4
    parts = worker().divide(labels, 60, {"ctrl", "A"}, 100, 0)
    assert [(parts[:40] == "valid").sum(), (parts[40:60] == "valid").sum()] == [6, 3]
    assert (parts[60:] == "unused").all()
    assert (parts == worker().divide(labels, 60, {"ctrl", "A"}, 100, 0)).all()


def test_no_cell_is_left_alone_in_a_batch():
    labels = ["ctrl"] * 5 + ["A"] * 4 + ["A"] * 5
    parts = worker().divide(labels, 9, {"ctrl", "A"}, 4, 0)
    assert parts.tolist() == ["train"] * 8 + ["unused"] + ["valid"] * 4 + ["unused"]


def test_a_negative_binomial_without_counts_is_refused():
    train, validation = PANEL.views
    del train.layers["counts"]
    with pytest.raises(BenchmarkError, match=r"recon_loss nb needs counts, .* --set recon_loss=gauss"):
        unfitted(recon_loss="nb").about(train, validation)
    assert unfitted().about(train, validation)["recon_loss"] == "gauss"
    assert unfitted().about(*PANEL.views)["recon_loss"] == "nb"


@pytest.mark.parametrize(
    ("loss", "answer", "holds"),
    [("nb", "sample", "counts"), ("nb", "mean", "log1p"), ("gauss", "sample", "log1p")],
)
def test_counts_are_handed_over_where_they_are_drawn(loss, answer, holds):
    """What is decoded as a mean, and log values, are none."""
    fitted = unfitted(answer=answer)
    fitted.genes_, fitted.recon_loss_, fitted.model_ = SEEN, loss, np.zeros(1, dtype=np.uint8)
    assert fitted.expression == holds


class Written:
    """What the worker's `predict` is given, and what it answers."""

    def __init__(self, answer: str) -> None:
        self.config = {"answer": answer, "gene_embeddings": "", **dict.fromkeys(worker().NETWORK, 1)}
        self.seed, self.device = 0, "cpu"
        self.perturbations = [[], [SEEN[0]]]
        self.answers: list[np.ndarray] = []

    def model(self):
        about = json.dumps({"genes": SEEN, "recon_loss": "nb"})
        return {"about": np.array(about), "px_r": np.full(PANEL.control.n_vars, np.log(1e3))}

    def cells(self, name):
        return PANEL.control

    def answer(self, index, values):
        self.answers.append(values)


class Doubling:
    """Stands for the package: decodes twice the counts of each cell."""

    def __init__(self) -> None:
        self.module = SimpleNamespace(load_state_dict=lambda weights: None)

    def to_device(self, device) -> None:
        pass

    def predict(self, query, batch_size) -> None:
        query.obsm["CPA_pred"] = 2 * query.X.toarray()


@pytest.mark.parametrize("answer", ["sample", "mean"])
def test_the_worker_answers_whole_counts_around_what_is_decoded_or_its_logarithm(monkeypatch, answer):
    """With the package replaced by one that doubles every count."""
    module, job = worker(), Written(answer)
    monkeypatch.setattr(module, "_package", lambda job: None)
    monkeypatch.setattr(module, "_model", lambda *given: Doubling())
    registered = SimpleNamespace(X=PANEL.control.layers["counts"], n_obs=PANEL.control.n_obs, obsm={})
    monkeypatch.setattr(module, "_registered", lambda *given: registered)
    module.predict(job)
    counts = PANEL.control.layers["counts"].toarray()
    for found in job.answers:
        if answer == "sample":
            assert (found == found.round()).all()
            assert found.sum() == pytest.approx(2 * counts.sum(), rel=0.1)
        else:
            np.testing.assert_allclose(np.expm1(found), 2 * np.expm1(PANEL.control.X.toarray()), rtol=1e-4)


def test_weights_that_are_never_validated_are_refused_at_once():
    with pytest.raises(ValidationError, match="check_val_every_n_epoch 9 to be at most max_epochs 3"):
        CpaConfig(max_epochs=3, check_val_every_n_epoch=9)


def test_the_paper_preset_is_that_of_the_tutorial():
    config = CpaConfig.build("paper")
    assert (config.n_latent, config.n_hidden_encoder, config.n_layers_encoder) == (32, 256, 4)
    assert (config.lr, config.reg_adv, config.pen_adv, config.batch_size) == (1e-4, 10, 20, 2048)


@pytest.mark.slow
def test_log_values_are_learned_where_there_are_no_counts_and_unseen_genes_are_refused():
    needs("cpa")
    train, validation = PANEL.views
    control = PANEL.control
    for view in (train, validation, control):
        del view.layers["counts"]
    hosted = unfitted().fit(train, validation)
    (cells,) = hosted.predict(control, PANEL.questions[:1])
    assert np.ptp(cells, axis=0).max() > 0.01
    assert hosted.unsupported(PANEL.questions[0]) is None
    reason = hosted.unsupported(Perturbation((UNSEEN[0],)))
    assert reason.startswith(f"no training perturbation names {UNSEEN[0]}, so CPA has no embedding for it")


@pytest.mark.slow
def test_with_vectors_a_gene_that_was_never_perturbed_is_predicted(tmp_path):
    needs("cpa")
    path, random = tmp_path / "vectors of genes.csv", np.random.default_rng(0)
    lines = [",".join([gene, *map(str, 3 * random.normal(size=4))]) for gene in [*SEEN, *UNSEEN]]
    path.write_text("\n".join(lines) + "\n")
    hosted = unfitted(gene_embeddings=str(path), answer="mean").fit(*PANEL.views)
    one, other = hosted.predict(PANEL.control, [Perturbation((gene,)) for gene in UNSEEN])
    assert not np.allclose(one.mean(axis=0), other.mean(axis=0), atol=1e-4)
    assert hosted.unsupported(Perturbation(("NOWHERE",))).endswith("has no vector of NOWHERE; add one.")
