"""Methods with something to tune, which tell what became of them, and plans to tune them."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.tuning.plan import Plan
from tests.tiny import COLUMNS, write_methods

METHODS = """
import json, os, signal, sys, time
from pathlib import Path
from typing import Literal
from benchmark.config import MethodConfig, parameter
from benchmark.perturbation import CONTROL
from benchmark.machine.progress import stage
from methods.train_mean import TrainMean

FOLDER = Path(__file__).parent

def say(**what):
    with (FOLDER / "said.jsonl").open("a") as file:
        file.write(json.dumps(what) + "\\n")

def once(name):
    try:
        (FOLDER / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

class ScaledConfig(MethodConfig):
    scale: float = parameter(0.5, ge=0, le=2, search=(0.0, 2.0), help="Of the mean change.")
    offset: int = parameter(0, ge=0, le=9, search=(1, 3), help="Does nothing; its default is not drawn.")
    kind: Literal["a", "b"] = parameter("a", search=("a", "b"), help="Does nothing.")
    untuned: int = parameter(7, ge=0, help="Is left alone.")
    presets = {"small": {"kind": "b"}}

class Scaled(TrainMean):
    name = "scaled"
    Config = ScaledConfig

    def fit(self, train, validation):
        labels = sorted({*train.obs["perturbation"], *validation.obs["perturbation"]} - {CONTROL})
        say(scale=self.config.scale, config=self.config.model_dump(), pid=os.getpid(), labels=labels)
        self.happens()
        return super().fit(train, validation)

    def happens(self):
        pass

    def shift(self, perturbation):
        return self.config.scale * self.shift_

class Meets(Scaled):
    name = "meets"
    def happens(self):
        patience = time.monotonic() + 600
        while len({json.loads(line)["pid"] for line in (FOLDER / "said.jsonl").read_text().splitlines()}) < 2:
            assert time.monotonic() < patience
            time.sleep(0.05)

class Fails(Scaled):
    name = "fails"
    def happens(self):
        if self.config.scale > 1:
            raise ValueError("too large\\nand a second line")

class AlwaysFails(Scaled):
    name = "always_fails"
    def happens(self):
        raise ValueError("no idea")

class Interrupted(Scaled):
    name = "interrupted"
    def happens(self):
        if self.config.scale != 0.5 and once("interrupted"):
            raise KeyboardInterrupt

class Stuck(Scaled):
    name = "stuck"
    def happens(self):
        if self.config.scale != 0.5 and once("stuck"):
            time.sleep(3600)

class Killed(Scaled):
    name = "killed"
    def happens(self):
        if self.config.scale != 0.5 and once("killed"):
            os.kill(os.getpid(), signal.SIGKILL)

class Trains(Scaled):
    name = "trains"
    def happens(self):
        with stage("train", 10) as progress:
            for step in range(1, 11):
                say(step=step, of=self.config.scale)
                progress.advance(loss=0.0, **({"validation": self.config.scale} if step % 5 == 0 else {}))

class NothingToTune(TrainMean):
    name = "nothing_to_tune"

class OnlyMeans(Scaled):
    name = "only_means"
    predicts = "mean"

class OneChoiceConfig(MethodConfig):
    kind: Literal["a", "b"] = parameter("a", search=("a", "b"), help="Does nothing.")

class OneChoice(Scaled):
    name = "one_choice"
    Config = OneChoiceConfig
    def fit(self, train, validation):
        say(kind=self.config.kind)
        return TrainMean.fit(self, train, validation)
    def shift(self, perturbation):
        return self.shift_
"""


class Case:
    """A screen and the methods beside it."""

    def __init__(self, screen: Path) -> None:
        self.screen = screen
        self.methods = write_methods(screen.parent, METHODS)

    def spelt(self, method: str) -> str:
        """How a method is asked for."""
        return f"{self.methods}:{method}"

    def plan(self, method: str = "Scaled", trials: int = 4, **options: object) -> Plan:
        """Ask for a tuning; by MSE, for which no baselines are needed, unless said."""
        options = {"objective": "mse", **options}
        return Plan(
            method=self.spelt(method), dataset=str(self.screen), columns=COLUMNS, trials=trials, **options
        )

    @property
    def said(self) -> list[dict]:
        """What the methods told, in its order."""
        path = self.methods.parent / "said.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def scales(self) -> list[float]:
        """The scale of each fit, in their order."""
        return [each["scale"] for each in self.said if "scale" in each]
