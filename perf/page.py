"""What the page costs: 2,000 runs to build, in bytes, and until the first sort after opening it.

python perf/page.py [FOLDER]     where the page is left to look at; a temporary folder unless named

Runs have four seeds, sixty metrics and eighty test perturbations, as real ones may. The last figures need
chromium and chromedriver.
"""

from __future__ import annotations

import gc
import json
import shutil
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmark.board import BOUNDS, build_board
from benchmark.board.page import as_content, as_html
from benchmark.evaluation.metrics import METRICS
from benchmark.records.tracking import StoredRun
from benchmark.studies.protocols import published_boards

RUNS = 2000
SEEDS = 4
BOARDS = 5
PERTURBATIONS = 80
FIRST = ("limit", "ceiling", "no_change", "train_mean", "additive")


def runs() -> list[StoredRun]:
    rng = np.random.default_rng(0)
    methods = RUNS // SEEDS // BOARDS
    return [
        _run(rng, FIRST[method] if method < len(FIRST) else f"method_{method}", board, seed, method / methods)
        for board in range(BOARDS)
        for method in range(methods)
        for seed in range(SEEDS)
    ]


def _run(rng: np.random.Generator, method: str, board: int, seed: int, level: float) -> StoredRun:
    labels = [f"GENE{k}+OTHER{k}" for k in range(PERTURBATIONS)]
    scores = {name: rng.normal(level, 0.1, PERTURBATIONS).round(6).tolist() for name in METRICS}
    packed = {"perturbations": labels, "groups": ["a", "b"] * (PERTURBATIONS // 2), "scores": scores}
    tags = {
        "method": method,
        "method_version": "1",
        "configuration": "default",
        "config.0000": json.dumps({f"parameter_{k}": rng.random() for k in range(20)}),
        "config_digest": "c" * 64,
        "source_digest": "f" * 64,
        "dataset": f"dataset_{board}",
        "dataset_digest": str(board) * 64,
        "split": "doubles",
        "split_digest": f"{seed}{board}" * 32,
        "seed": str(seed),
        "cells": "0" if method in BOUNDS else "256",
        "coverage": "1.0",
        "fallbacks": "0",
        "seconds": f"{rng.random() * 1000:.2f}",
        "peak_memory_mb": "1234",
        "device": "cpu",
        "metric_versions": json.dumps({name: declared.spec.version for name, declared in METRICS.items()}),
        "scores.0000": json.dumps(packed),
    }
    return StoredRun(f"{rng.integers(2**62):032x}", "finished", float(seed), tags)


def build(path: Path) -> None:
    made = runs()
    gc.disable()  # as the command does, and so is the limit
    with threadpool_limits(1):
        _build(made, path)
    gc.enable()


def _build(made: list[StoredRun], path: Path) -> None:
    marks = [_clock()]
    blocks = build_board(made)
    marks.append(_clock())
    text = as_html(as_content(blocks, made, published_boards()))
    path.write_text(text, encoding="utf-8")
    marks.append(_clock())
    for name, (before, after) in zip(("board", "page"), pairwise(marks), strict=True):
        wall, processor = after[0] - before[0], after[1] - before[1]
        print(f"{RUNS} runs, their {name}: {wall:.1f} s, of which the processor worked {processor:.1f} s")
    print("(target: 10 s for both)")
    print(f"{len(text) / 1e6:.2f} MB (target under 5)")


def _clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def first_sort(path: Path) -> None:
    """From opening the file to the table sorted by a metric, as the page itself measures it."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    click = """
        const done = arguments[0];
        const wait = () => {
          if (document.documentElement.dataset.ready !== "yes") return setTimeout(wait, 5);
          const ready = performance.now();
          document.querySelector('[data-sort="mse"]').click();
          requestAnimationFrame(() => setTimeout(() => done([ready, performance.now()])));
        };
        wait();
    """
    try:
        for _ in range(3):
            browser.get("about:blank")
            browser.get(path.as_uri())
            ready, seconds = (each / 1000 for each in browser.execute_async_script(click))
            print(f"drawn {ready:.2f} s after opening, sorted {seconds:.2f} s after opening (target under 1)")
    finally:
        browser.quit()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1] if len(sys.argv) > 1 else folder) / "page.html"
        build(path)
        if shutil.which("chromium") and shutil.which("chromedriver"):
            first_sort(path)


if __name__ == "__main__":
    main()
