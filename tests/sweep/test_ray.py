"""A sweep on a Ray cluster of this machine gives what one by processes gives, and survives lost workers."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmark.errors import BenchmarkError
from benchmark.records.tracking import Tracker
from benchmark.sweep.sweep import Where, sweep
from tests.machine.process_case import wait_until
from tests.sweep.sweep_case import Case, finished_by_run

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("store"),
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),  # Ray leaves its log files to the interpreter
]


@pytest.fixture
def case(screen):
    return Case(screen)


@pytest.fixture(autouse=True)
def _no_cluster_left():
    yield
    assert not ray.is_initialized()


def scores():
    """What every finished run scored, by method and seed."""
    return {
        (run.tags["method"], run.tags["seed"]): run.scores
        for run in Tracker().runs()
        if run.status == "finished"
    }


def test_ray_and_local_processes_give_the_same_numbers(case, home, monkeypatch, tmp_path):
    """With as many threads: sums over threads come in another order with another number of them."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    plan = case.plan("linear", "scdfm", preset="smoke", seeds=(0, 1), anchors=True)
    by_ray = sweep(plan, Where("ray", jobs=2))
    assert Counter(outcome.state for _, outcome in by_ray) == {"done": len(plan.jobs())}
    of_ray = scores()
    monkeypatch.setenv("BENCHMARK_HOME", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    sweep(plan, Where("local", jobs=2))
    of_local = scores()
    assert of_ray.keys() == of_local.keys()
    for name, values in of_ray.items():
        assert repr(values) == repr(of_local[name])


def test_a_run_whose_ray_worker_is_lost_is_done_by_another(case):
    names = [case.spelt(name) for name in ("DiesOnce", "Dies", "Fails")]
    done = sweep(case.plan(*names, "linear"), Where("ray", jobs=2))
    found = {job.method.rpartition(":")[2]: outcome for job, outcome in done}
    assert found["DiesOnce"].state == found["linear"].state == "done"
    assert found["Dies"].reason.startswith("its worker ended 3 times")
    assert found["Fails"].reason == "It cannot learn."
    assert finished_by_run() == {("dies_once", "0"): 1, ("linear", "0"): 1}


@pytest.fixture
def two_machines():
    """A cluster that runs already, of two machines as far as Ray is concerned."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.second = cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def test_a_machine_of_a_cluster_is_lost_and_its_run_is_done_by_another(case, two_machines):
    folder = case.file.parent

    def lose_one():
        wait_until("both runs are under way", lambda: len(list(folder.glob("began-*"))) == 2)
        two_machines.remove_node(two_machines.second, allow_graceful=False)
        (folder / "go").touch()

    with ThreadPoolExecutor() as pool:
        lost = pool.submit(lose_one)
        done = sweep(case.plan(case.spelt("Waits"), seeds=(0, 1)), Where("ray", address=two_machines.address))
        lost.result()
    assert [outcome.state for _, outcome in done] == ["done", "done"]
    assert Counter(run.status for run in Tracker().runs()) == {"finished": 2, "killed": 1}
    assert finished_by_run() == {("waits", "0"): 1, ("waits", "1"): 1}


def test_a_cluster_that_is_not_there_is_one_sentence(case):
    with pytest.raises(BenchmarkError, match="cannot be used"):
        sweep(case.plan("linear"), Where("ray", address="127.0.0.1:1"))


def test_a_cluster_that_does_not_start_is_one_sentence(case, monkeypatch):
    def too_busy(**options):
        raise Exception("The current node timed out during startup.")  # as Ray words it

    monkeypatch.setattr(ray, "init", too_busy)
    with pytest.raises(BenchmarkError, match="timed out during startup"):
        sweep(case.plan("linear"), Where("ray", jobs=1))


def test_a_method_that_needs_more_memory_than_any_machine_has_is_said(case):
    case.file.write_text(
        case.file.read_text()
        + "\nfrom benchmark.method import Resources\n"
        + "class Huge(TrainMean):\n    name = 'huge'\n    resources = Resources(memory_gb=1e6)\n"
    )
    with pytest.raises(BenchmarkError, match="no machine of the Ray cluster"):
        sweep(case.plan(case.spelt("Huge")), Where("ray", jobs=1))
