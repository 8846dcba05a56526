"""A page with everything on it, and a browser to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmark.board import build_board
from benchmark.board.page import PublishedBoard, as_content, as_html
from benchmark.board.page.published import PublishedRow
from benchmark.records.tracking import StoredRun
from tests.board.board_case import alike, names, stored
from tests.machine.process_case import PATIENCE

EVIL = "<script>document.title='harmed'</script><img src=x onerror=\"document.title='harmed'\">"
GROUPS = ("combo_seen1", "combo_seen2")

PUBLISHED = [
    PublishedBoard(
        dataset="tiny",
        split="doubles",
        title="Somebody's protocol",
        remarks=("On other genes: do not compare.",),
        rows=(PublishedRow("scGPT", "", {"mse": 0.25}, {"AUPRC": 0.3}, "A paper; read off a figure"),),
    ),
    PublishedBoard(
        "elsewhere", "doubles", "Another", (), (PublishedRow("GEARS", "", {"mse": 0.5}, {}, "B"),)
    ),
]


def scored(method: str, level: float, *, n: int = 20, noise: int = 0, **other: str) -> list[StoredRun]:
    """Two seeds of a method around a level; the same noise makes rows that differ by their levels alone."""
    groups = [GROUPS[k % 2] for k in range(n)]
    return [
        stored(
            method,
            alike(level + np.random.default_rng(noise + seed).normal(0, 0.05, n)),
            seed=seed,
            labels=names(n),
            groups=groups,
            **other,
        )
        for seed in (0, 1)
    ]


def board_runs() -> list[StoredRun]:
    """Ceiling, baselines, a tuned method, one that is level with it, an evil name, a failed run."""
    return [
        *scored("limit", 0.45),
        *scored("no_change", 0.0, noise=10),
        *scored("train_mean", 0.1, noise=20),
        *scored("winner", 0.40, noise=30, tuning_trials="50", tuning_seconds="360"),
        *scored("level", 0.395, noise=31, fallbacks="3", coverage="0.85"),
        *scored(EVIL, 0.2, noise=50, **{"config.0000": '{"width": 64, "path": "<b>bold</b>"}'}),
        stored("broken", {}, status="failed", reason="RuntimeError: out of memory"),
        *scored("winner", 0.2, noise=60, dataset="second"),
        *scored("other", 0.3, noise=70, dataset="second"),
    ]


TRUST = {
    ("tiny", "doubles", "d" * 64): {
        "seed": 0,
        "perturbations": 20,
        "metrics": {
            "pearson": {"train_mean": 0.1, "duplicate": 0.8, "bound": 0.9, "placed": 0.875}
            | {"noise": 0.02, "sampling": 0.3, "told": 0.95, "seeds": None}
        },
    }
}


def html_of(runs: Sequence[StoredRun]) -> str:
    return as_html(as_content(build_board(runs), runs, PUBLISHED, TRUST))


def browser(width: int = 1300, dark: bool = False):
    """A headless Chromium, or a skipped test where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no browser here: `apt-get install chromium chromium-driver`")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options, webdriver.ChromeService(driver))
    found.set_script_timeout(PATIENCE)
    resize(found, width)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    found.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    return found


def resize(browser, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def open_page(browser, path: Path, view: str = "") -> None:
    """Open it afresh, and wait until it has drawn itself."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get("about:blank")
    browser.get(path.as_uri() + view)
    ready = "return document.documentElement.dataset.ready"
    WebDriverWait(browser, PATIENCE).until(lambda page: page.execute_script(ready) == "yes")
