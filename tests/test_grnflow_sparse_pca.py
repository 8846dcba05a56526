"""The method from end to end, on cells made for the purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from benchmark.errors import BenchmarkError, NotFittedError
from benchmark.perturbation import Perturbation
from benchmark.progress import report_to
from methods.grnflow_sparse_pca import GRNFlowSparsePCA

SMALL = GRNFlowSparsePCA.Config.build("small")
GENES = [f"G{index}" for index in range(20)]
LABELS = ["A", "B", "G1", "G2", "A+B", "A+G1", "B+G2"]


def cells(labels: list[str], each: int, seed: int = 0) -> AnnData:
    """Log-normalised cells in which gene i of a perturbation's name pushes some genes up."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.2, 3, size=20)
    names = ["A", "B", "G1", "G2"]
    effects = {name: np.random.default_rng(k).uniform(0.3, 3, 20) for k, name in enumerate(names)}
    rows = []
    for label in labels:
        rate = base * np.prod([effects.get(gene, np.ones(20)) for gene in label.split("+")], axis=0)
        rows.append(np.log1p(rng.poisson(rate, size=(each, 20))))
    obs = pd.DataFrame({"perturbation": np.repeat(labels, each)})
    obs.index = [f"cell{row}" for row in range(len(obs))]
    return AnnData(sparse.csr_matrix(np.concatenate(rows).astype(np.float32)), obs, pd.DataFrame(index=GENES))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the transformer cache out of the project."""
    monkeypatch.setenv("BENCHMARK_HOME", str(tmp_path))
    return tmp_path


def global_numpy_state() -> np.ndarray:
    """Copy NumPy's legacy global random state."""
    return np.random.get_state()[1].copy()  # noqa: NPY002


def fitted(seed: int = 0, config: GRNFlowSparsePCA.Config = SMALL) -> GRNFlowSparsePCA:
    """Fit the small preset on seven perturbations."""
    train = cells(["control"] * 2 + LABELS[:-1], 12)
    return GRNFlowSparsePCA(config, seed=seed, device="cpu").fit(train, cells(LABELS[-1:], 12, seed=1))


def predicted(method: GRNFlowSparsePCA, *labels: str, control: AnnData | None = None) -> list[np.ndarray]:
    """Predict labels from ten control cells."""
    start = cells(["control"], 10, seed=3) if control is None else control
    return list(method.predict(start, [Perturbation.parse(label) for label in labels]))


def test_predictions_are_non_negative_cells() -> None:
    """One float32 array (cells, genes) per perturbation, finite, at least 0, with spread between cells."""
    for values in predicted(fitted(), "A", "A+G2", "B+G2"):
        assert values.shape == (10, 20)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.std(axis=0).mean() > 0.1


def test_genes_unseen_or_unmeasured_are_predicted() -> None:
    """A measured gene never perturbed and a gene never heard of get the same, average perturbation."""
    method = fitted()
    unseen, unheard = (method.vocabulary_.tokens([gene]) for gene in ("G9", "NEVER"))
    assert unseen == unheard
    assert method.unsupported(Perturbation(("NEVER",))) is None
    assert np.isfinite(predicted(method, "NEVER+A", "G9")[0]).all()


def test_an_answer_does_not_depend_on_what_else_is_asked() -> None:
    """Alone, in company and in another order, a perturbation is predicted alike."""
    method = fitted()
    alone = predicted(method, "A+B")[0]
    np.testing.assert_array_equal(alone, predicted(method, "A", "A+B", "G2")[1])
    np.testing.assert_array_equal(alone, predicted(method, "A+B", "G1")[0])


def test_a_control_cell_can_be_sampled_several_times() -> None:
    """The same control cell in two rows gives two different cells."""
    control = cells(["control"], 2)
    control.X = control.X[[0, 0]]
    first, second = predicted(fitted(), "A", control=control)[0]
    assert not np.array_equal(first, second)


def test_the_same_seed_gives_the_same_cells_and_another_seed_others() -> None:
    """Fitting twice is repeating oneself, whether the transformer comes from the cache or not."""
    first, cached, other = (predicted(fitted(seed), "A+B")[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, cached)
    assert not np.array_equal(first, other)


def test_fit_and_predict_leave_the_surroundings_alone() -> None:
    """Global random states, the number of threads and the inputs are as before."""
    train, control = cells(["control", *LABELS], 12), cells(["control"], 10)
    copies, threads = (train.copy(), control.copy()), torch.get_num_threads()
    torch_state, numpy_state = torch.get_rng_state(), global_numpy_state()
    predicted(GRNFlowSparsePCA(SMALL).fit(train, cells(["B+G2"], 5)), "A", control=control)
    assert torch.equal(torch_state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, global_numpy_state())
    assert threads == torch.get_num_threads()
    for data, copied in zip((train, control), copies, strict=True):
        assert (data.X != copied.X).nnz == 0
        pd.testing.assert_frame_equal(data.obs, copied.obs)


def test_a_loaded_method_predicts_the_same(tmp_path: Path) -> None:
    """Save, load, predict: bit for bit."""
    method = fitted()
    method.save(tmp_path / "saved")
    loaded = GRNFlowSparsePCA.load(tmp_path / "saved")
    assert loaded.config == method.config
    for one, other in zip(predicted(method, "A", "NEVER+B"), predicted(loaded, "A", "NEVER+B"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_cut_save_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """A truncated weights file and an empty folder are user errors."""
    fitted().save(tmp_path)
    weights = tmp_path / "state.npz"
    weights.write_bytes(weights.read_bytes()[:200])
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BenchmarkError, match="holds no saved method"):
            GRNFlowSparsePCA.load(folder)


def test_predict_and_save_before_fit_are_refused(tmp_path: Path) -> None:
    """At the call, not at the first cell."""
    with pytest.raises(NotFittedError):
        GRNFlowSparsePCA().predict(cells(["control"], 2), [Perturbation(("A",))])
    with pytest.raises(NotFittedError):
        GRNFlowSparsePCA().save(tmp_path)


def test_other_genes_are_refused() -> None:
    """Control cells with genes in another order are not what the method was fitted on."""
    control = cells(["control"], 3)[:, ::-1].copy()
    with pytest.raises(BenchmarkError, match="same genes in the same order"):
        predicted(fitted(), "A", control=control)


def test_parameter_count_is_that_of_the_fitted_flow() -> None:
    """Counted from the configuration, found in the module; A and B lie outside the panel."""
    count = GRNFlowSparsePCA.parameter_count(SMALL, n_genes=20, n_perturbed=4)
    built = sum(part.numel() for part in fitted().flow_.parameters())
    assert built == count + 2 * SMALL.width


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"width": 30, "heads": 4}, "multiple of heads"),
        ({"transformer_width": 10, "transformer_heads": 4}, "transformer_heads"),
        ({"attention_layer": 2, "transformer_layers": 2}, "attention_layer"),
        ({"top_k": 0}, "top_k"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(values: dict[str, int], said: str) -> None:
    """Each one clear sentence."""
    with pytest.raises(BenchmarkError, match=said):
        GRNFlowSparsePCA.Config.build(settings=values)


def test_the_paper_preset_has_the_published_sizes() -> None:
    """Width 512, 8 heads, 4 layers, latent 64, K 30, 100,000 steps of 96 cells and 1,000 genes."""
    paper = GRNFlowSparsePCA.Config.build("paper")
    sizes = (paper.width, paper.heads, paper.layers, paper.latent, paper.top_k, paper.steps)
    assert (*sizes, paper.batch_size, paper.genes_per_step) == (512, 8, 4, 64, 30, 100_000, 96, 1000)


def test_odd_data_is_fitted() -> None:
    """Two cells per perturbation, no validation, a constant gene, fewer genes than latent dimensions."""
    train = cells(["control", "A", "B"], 2)[:, :3].copy()
    train.X = train.X.multiply(np.array([1, 0, 1], dtype=np.float32)).tocsr()
    method = GRNFlowSparsePCA(SMALL).fit(train, train[:0].copy())
    values = predicted(method, "A+B", control=train[:2].copy())[0]
    assert np.isfinite(values).all()
    assert (values[:, 1] == 0).all()


def test_the_best_weights_on_validation_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three checks scored 2, 1 and 3, the second's weights are predicted with."""
    scores, seen = iter([2.0, 1.0, 3.0]), []

    def score(self: GRNFlowSparsePCA, flow: torch.nn.Module, *_: object) -> float:
        seen.append({key: value.clone() for key, value in flow.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(GRNFlowSparsePCA, "_validate", score)
    method = fitted(config=SMALL.model_copy(update={"checks": 3}))
    assert all(torch.equal(seen[1][key], value) for key, value in method.flow_.state_dict().items())
    assert any(not torch.equal(seen[2][key], value) for key, value in method.flow_.state_dict().items())


def test_progress_is_reported_by_stage() -> None:
    """Three stages, each advanced to its total, with losses that are finite."""
    seen: dict[str, list] = {}

    class Recorder:
        @contextmanager
        def stage(self, name: str, total: int) -> Iterator[Recorder]:
            self.name = name
            seen[name] = [total, 0, {}]
            yield self

        def advance(self, steps: int = 1, **values: float) -> None:
            seen[self.name][1] += steps
            seen[self.name][2].update(values)

    with report_to(Recorder()):
        fitted()
    assert list(seen) == ["pretrain gene transformer", "attention change", "train flow"]
    assert all(total == done for total, done, _ in seen.values())
    assert {"loss", "expr_r2", "latent_r2", "validation_mse"} <= set(seen["train flow"][2])
    assert all(np.isfinite(list(values.values())).all() for _, _, values in seen.values())
