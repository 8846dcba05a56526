"""Curves are made of recorded runs, and say of each method whether more training would buy anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.board import HEADLINE
from benchmark.records.tracking import Tracker
from benchmark.studies.curves import points as pointing
from benchmark.studies.curves.figure import draw
from benchmark.studies.curves.points import Asked, Curves, Point, draw_curves
from benchmark.studies.curves.report import as_markdown, conclusions, write_report
from tests.tiny import write_screen

METHODS = """
from benchmark.config import parameter
from methods.main_effects import MainEffects, MainEffectsConfig

class Config(MainEffectsConfig):
    steps: int = parameter(4, ge=1, budget=True, help="Steps.")

class Learns(MainEffects):
    name = "learns"
    Config = Config

    def fit(self, train, validation):
        if self.config.steps == 8 and self.seed == 1:
            raise ValueError("no luck\\nat all")
        return super().fit(train, validation)

    def shift(self, perturbation):
        return (1 - 1 / (1 + self.config.steps)) * super().shift(perturbation)
"""
CARD = 'title = "Tiny"\nlocal_file = "tiny.h5ad"\nexpression = "counts"\n'


@pytest.fixture
def asked(store, home, monkeypatch) -> Asked:
    """A method that comes nearer to the answer the longer it learns, on data with a card."""
    downloads = home / "datasets" / "cache" / "downloads"
    downloads.mkdir(parents=True)
    write_screen(downloads / "tiny.h5ad")
    (home / "datasets" / "tiny.toml").write_text(CARD)
    (home / "own.py").write_text(METHODS)
    monkeypatch.setattr(pointing, "REFERENCES", ("train_mean",))
    return Asked((f"{home / 'own.py'}:Learns",), "tiny", cells=20, seeds=1, budgets=(1, 2), shares=(0.5, 1))


def test_every_point_is_a_run_that_is_made_once(asked):
    first = draw_curves(asked)
    done = len(Tracker().runs())
    (points,) = first.points.values()
    assert [(each.budget, each.share) for each in points] == [(1, 1), (2, 1), (1, 0.5)]
    assert draw_curves(asked).points == first.points
    assert len(Tracker().runs()) == done == 4
    assert all(each.processor_seconds is not None for each in points)


def test_a_longer_training_that_is_better_is_said(asked):
    (line,) = conclusions(draw_curves(asked))
    assert "is **not trained to its end** by 2 times the training: mse +" in line


@pytest.mark.slow
def test_what_fails_is_named_and_the_rest_goes_on(asked):
    found = draw_curves(replace(asked, seeds=2, shares=(1.0,)))
    (failure,) = found.failed
    assert failure.endswith(
        "budget 2, training 100%, seed 1: learns failed while fitting: ValueError: no luck"
    )
    (points,) = found.points.values()
    assert [sorted(each.scores) for each in points] == [[0, 1], [0]]
    assert failure in as_markdown(found, "x.png")


def test_the_command_writes_report_and_figure(asked, type_, tmp_path):
    report = tmp_path / "curves.md"
    options = ("--dataset", "tiny", "--cells", 20, "--seeds", 1, "--budgets", "1,2", "--train-shares", "1")
    code, out, err = type_("curves", "--methods", asked.methods[0], *options, "--output", report)
    assert code == 0, err
    assert "is not trained to its end" in out
    assert "| train_mean | 1 | 100% |" in report.read_text()
    assert report.with_suffix(".png").stat().st_size > 10_000


def test_what_takes_no_time_has_a_place_in_the_figure(tmp_path):
    """Though its axis is one of logarithms; Matplotlib warns where nothing on it is above zero."""
    scores = {0: {name: dict.fromkeys(("A+B", "C+D"), 0.5) for name in HEADLINE}}
    points = {"quick": [Point(1.0, 1.0, scores, 0.0, 1.0)]}
    draw(Curves(Asked(("quick",), "tiny"), points, {}, []), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--budgets", "1,x"], "--budgets takes numbers with commas between"),
        (["--budgets", "0"], "A budget is a positive number"),
        (["--train-shares", "2"], "share of the training perturbations is above 0"),
        (["--seeds", "0"], "At least 1 seed is needed"),
        (["--output", "x.txt"], "give x.txt a name that ends in .md"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(asked, type_, options, sentence):
    code, _, err = type_("curves", "--methods", asked.methods[0], "--dataset", "tiny", *options)
    assert code == 2
    assert sentence in err.strip().splitlines()[-1]
    assert Tracker().runs() == []


@pytest.mark.slow
def test_a_report_replaces_an_older_one_whole(asked, tmp_path):
    path = tmp_path / "curves.md"
    path.write_text("old")
    write_report(draw_curves(asked), path)
    assert path.read_text().startswith("# Cost against accuracy: tiny")


def test_auto_is_the_split_that_suits_the_data(asked):
    """The very runs of `doubles`, which the report names."""
    named = replace(asked, shares=(1.0,), budgets=(1.0,))
    first = draw_curves(named)
    done = len(Tracker().runs())
    found = draw_curves(replace(named, split="auto"))
    assert found == first
    assert len(Tracker().runs()) == done
    assert as_markdown(found, "x.png").startswith("# Cost against accuracy: tiny, split doubles\n")
