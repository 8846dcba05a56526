"""A Ray cluster, of many machines or of this one; it places runs where what their methods need is free."""

from __future__ import annotations

import os
import socket
from typing import Any

from benchmark.board import BOUNDS
from benchmark.errors import BenchmarkError
from benchmark.machine.extras import named_where_missing
from benchmark.machine.paths import project_home
from benchmark.method import Resources
from benchmark.registry import load_method
from benchmark.sweep.job import Job, Outcome

# Read when Ray is imported: no usage reports.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

PASSED_ON = ("BENCHMARK_DATA", "MLFLOW_TRACKING_URI", "PYTHONPATH")
"""Variables of this process's environment that runs on other machines need, too."""
ANSWER = 10
"""Seconds that a cluster has to answer."""
PATIENCE = 30
"""Seconds that runs have to be recorded as interrupted."""


class RayExecutor:
    """Runs as tasks of Ray.

    Parameters
    ----------
    address
        Of a cluster that runs, "auto" for the one of this machine; None starts one here, for this sweep.
    jobs
        CPUs of a cluster that is started here, and how many runs are under way at once; None leaves both to
        what there is.
    """

    def __init__(self, address: str | None = None, jobs: int | None = None) -> None:
        self._ray = _import_ray()
        self._jobs = jobs
        self._tasks: dict[Any, int] = {}
        try:
            _require_somebody_at(address)
            self._ray.init(
                address=address,
                num_cpus=jobs if address is None else None,
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level="error",
                runtime_env={"env_vars": _environment()},
            )
        except Exception as error:  # Ray raises plain ones, such as where a machine is too busy
            first = str(error).partition("\n")[0]
            raise BenchmarkError(
                f"The Ray cluster {address or 'of this machine'} cannot be used ({first}); "
                "start one with `ray start --head`, or leave --address out."
            ) from error
        self._do = self._ray.remote(_do)

    def has_room(self) -> bool:
        """Whether another run may wait for its turn: Ray is given one more than it can begin."""
        return len(self._tasks) < (self._jobs or int(self._ray.cluster_resources().get("CPU", 1)) + 1)

    def submit(self, number: int, job: Job) -> None:
        """Ask for a run, with the resources that its method declares as far as any machine has them."""
        task = self._do.options(max_retries=0, **self._options(job)).remote(job, os.getcwd())
        self._tasks[task] = number

    def wait(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Return what has come of runs; one whose process or machine has gone is lost."""
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        return [(self._tasks.pop(task), self._outcome(task)) for task in ready]

    def close(self) -> None:
        """Interrupt what is under way, wait until that has been recorded, and leave the cluster."""
        for task in self._tasks:
            self._ray.cancel(task)
        if self._tasks:
            self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=PATIENCE)
        self._ray.shutdown()

    def _outcome(self, task: Any) -> Outcome:
        try:
            outcome: Outcome = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            return Outcome("lost", reason=type(error).__name__)
        return outcome

    def _options(self, job: Job) -> dict[str, float]:
        wanted = load_method(job.method).resources if job.method not in BOUNDS else Resources()
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        gpus = min(wanted.gpus, max(machine.get("GPU", 0.0) for machine in machines))
        cpus = min(wanted.cpus, max(machine.get("CPU", 0.0) for machine in machines))
        memory = wanted.memory_gb * 2**30
        if memory > max(machine.get("memory", 0.0) for machine in machines):
            raise BenchmarkError(
                f"{job.method} takes {wanted.memory_gb:g} GB, and no machine of the Ray cluster has as much; "
                "add one, or start Ray with --memory."
            )
        return {"num_cpus": cpus, "num_gpus": gpus, "memory": memory}


def _do(job: Job, folder: str) -> Outcome:
    """Do a run in a process of Ray."""
    from benchmark.machine.progress import Silent, report_to
    from benchmark.sweep.work import do

    if os.path.isdir(folder):  # relative paths mean what they meant where they were typed
        os.chdir(folder)
    with report_to(Silent()):
        return do(job)


def _require_somebody_at(address: str | None) -> None:
    """Raise an OSError where nobody answers: Ray itself would try for minutes, and end the process then."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=ANSWER).close()


def _environment() -> dict[str, str]:
    """Variables that make a process elsewhere see the same home, data and store."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed, "BENCHMARK_HOME": str(project_home().resolve())}


def _import_ray() -> Any:
    with named_where_missing():
        import ray

    return ray
