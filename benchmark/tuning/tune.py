"""A tuning from its plan to its result: the best configuration in a file, with pictures beside it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmark.errors import BenchmarkError
from benchmark.machine.progress import Stage, stage
from benchmark.records.record import software_versions
from benchmark.tuning.best import TunedConfiguration, check_output, output_file, write_tuned
from benchmark.tuning.crew import work_together
from benchmark.tuning.pictures import draw_history, draw_importances, importances
from benchmark.tuning.plan import Plan
from benchmark.tuning.study import DEFAULT, seconds_of
from benchmark.tuning.work import Bench, work

CALLED = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Tuned:
    """What came of a tuning.

    Attributes
    ----------
    configuration
        The best one.
    usual
        Values of the default configuration, of the hyper-parameters that were tuned.
    file
        Where it was written.
    pictures
        Beside the file.
    states
        How many trials were complete, pruned and failed.
    failures
        Number of a failed trial -> the reason.
    """

    configuration: TunedConfiguration
    usual: dict[str, Any]
    file: Path
    pictures: list[Path]
    states: dict[str, int]
    failures: dict[int, str]

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """Hyper-parameter -> its default and its best value, where they differ."""
        best = self.configuration.config
        return {name: (value, best[name]) for name, value in self.usual.items() if value != best[name]}


def tune(plan: Plan) -> Tuned:
    """Try configurations until the study has as many as it is to have, and write the best one to a file.

    The same plan again goes on with the same study: what is finished is not repeated, and where there is
    nothing to do the file is written anew.

    Raises
    ------
    BenchmarkError
        For anything in the plan that cannot be used, or when no configuration could be valued.
    """
    _check(plan)
    deadline = float("inf") if plan.timeout is None else time.time() + plan.timeout
    bench = Bench.of(plan)
    file = output_file(plan, bench.space.method.name, bench.problem.dataset.name, bench.identity["split"])
    bench.study.close_lost()
    bench.journal.open()
    try:
        with stage(f"tune {bench.space.method.name}", plan.trials) as progress:
            look = _look(bench, progress)
            look()
            if plan.jobs == 1:
                work(bench, deadline, look)
            else:
                work_together(plan, deadline, look, bench.study.close_lost)
        if len(bench.study.trials()) < plan.trials and time.time() < deadline:
            raise BenchmarkError(
                "The processes were killed from outside before they began a trial; the machine may lack "
                "memory for so many: lower --jobs and repeat the command."
            )
        tuned = _result(bench, file)
    except KeyboardInterrupt:
        bench.journal.abandon("interrupted", "stopped from the keyboard")
        raise
    except BenchmarkError as error:
        bench.journal.abandon("failed", str(error))
        raise
    best = tuned.configuration
    numbers = {"value": best.value, "trials": float(best.trials), "seconds": best.seconds}
    bench.journal.close(numbers, [file, *tuned.pictures])
    return tuned


def _check(plan: Plan) -> None:
    for name, value in (("trials", plan.trials), ("jobs", plan.jobs)):
        if value < 1:
            raise BenchmarkError(f"--{name} must be at least 1, not {value}.")
    check_output(plan.output)


def _look(bench: Bench, progress: Stage) -> Callable[[], None]:
    """Return what moves a bar to where the study is, with the best value so far."""
    shown = 0

    def look() -> None:
        nonlocal shown
        finished, best = len(bench.study.finished()), bench.study.best()
        values = {} if best is None or best.value is None else {"best": best.value}
        progress.advance(finished - shown, **values)
        shown = finished

    return look


def _result(bench: Bench, file: Path) -> Tuned:
    finished, best = bench.study.finished(), bench.study.best()
    failures = {
        trial.number: trial.user_attrs.get("reason", "")
        for trial in finished
        if trial.state == TrialState.FAIL
    }
    if best is None:
        raise BenchmarkError(_nothing(finished, failures))
    configuration = _configuration(bench, finished, best)
    write_tuned(configuration, file)
    usual = bench.space.default.model_dump(mode="json")
    return Tuned(
        configuration=configuration,
        usual={name: usual[name] for name in bench.space.distributions},
        file=file,
        pictures=_draw(bench, finished, file),
        states=dict(Counter(CALLED[each.state] for each in finished)),
        failures=failures,
    )


def _nothing(finished: list[FrozenTrial], failures: dict[int, str]) -> str:
    if not failures:
        return "No configuration was tried in the time that --timeout gives; give more."
    return (
        f"None of {len(finished)} configurations could be valued, and the last reason was: "
        f"{list(failures.values())[-1]}"
    )


def _configuration(bench: Bench, finished: list[FrozenTrial], best: FrozenTrial) -> TunedConfiguration:
    known = {key: bench.identity[key] for key in TunedConfiguration.model_fields if key in bench.identity}
    default = next((each for each in finished if each.user_attrs.get(DEFAULT)), None)
    config = bench.space.config({} if best is default else best.params)
    return TunedConfiguration(
        **{
            **known,
            "tuned_on": list(bench.problem.labels),
            "value": best.value,
            "default_value": default and default.value,
            "trials": len(finished),
            "seconds": round(seconds_of(finished), 2),
            "study": bench.study.name,
            "versions": {**software_versions(), "optuna": optuna.__version__},
            "config": config.model_dump(mode="json"),
        }
    )


def _draw(bench: Bench, finished: list[FrozenTrial], file: Path) -> list[Path]:
    """Draw the pictures that there is enough to draw for."""
    direction, at = bench.study.direction, bench.identity
    title = f"{at['method']} on {at['dataset']}, {at['split']}-{at['seed']}: {at['objective']}"
    history, bars = (file.with_name(f"{file.stem}-{what}.png") for what in ("history", "importance"))
    draw_history(finished, history, title=title, direction=direction)
    shares = importances(finished, list(bench.space.distributions), direction)
    if not shares:
        return [history]
    draw_importances(shares, bars, title=title)
    return [history, bars]
