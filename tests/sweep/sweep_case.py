"""Sweeps over a tiny screen, with methods that fail, end their process or take their time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmark.records.tracking import Tracker
from benchmark.sweep.plan import Plan
from tests.tiny import COLUMNS, write_methods

METHODS = """
import os, signal, time
from pathlib import Path
from benchmark.errors import BenchmarkError
from methods.train_mean import TrainMean

FOLDER = Path(__file__).parent

def once(name):
    try:
        (FOLDER / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

class Fails(TrainMean):
    name = "fails"
    def fit(self, train, validation):
        raise BenchmarkError("It cannot learn.")

class DiesOnce(TrainMean):
    name = "dies_once"
    def fit(self, train, validation):
        if once(f"died-{self.seed}"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(train, validation)

class Dies(TrainMean):
    name = "dies"
    def fit(self, train, validation):
        os.kill(os.getpid(), signal.SIGKILL)

class Slow(TrainMean):
    name = "slow"
    def fit(self, train, validation):
        (FOLDER / f"began-{self.seed}").touch()
        time.sleep(float(os.environ.get("SLOW", 1)))
        return super().fit(train, validation)

class Waits(TrainMean):
    name = "waits"
    def fit(self, train, validation):
        (FOLDER / f"began-{self.seed}").touch()
        while not (FOLDER / "go").exists():
            time.sleep(0.05)
        return super().fit(train, validation)

class Counts(TrainMean):
    name = "counts"
    def fit(self, train, validation):
        with (FOLDER / "fits").open("a") as file:
            file.write(f"{self.seed} {os.getpid()}\\n")
        time.sleep(0.3)
        return super().fit(train, validation)
"""


class Case:
    """A screen, and methods beside it.

    Parameters
    ----------
    screen
        The file of the screen.
    """

    def __init__(self, screen: Path) -> None:
        self.screen = screen
        self.file = write_methods(screen.parent, METHODS)

    def spelt(self, name: str) -> str:
        """How one of the methods is asked for."""
        return f"{self.file}:{name}"

    def plan(self, *methods: str, **other: object) -> Plan:
        """Plan a sweep without anchors, unless they are asked for."""
        usual = {"anchors": False, "cells": 20, "columns": COLUMNS, "datasets": (str(self.screen),)}
        return Plan(**{**usual, "methods": methods, **other})


def finished_by_run() -> Counter[tuple[str, str]]:
    """How many finished runs the store has of each method and seed."""
    runs = Tracker().runs()
    return Counter((run.tags["method"], run.tags["seed"]) for run in runs if run.status == "finished")
