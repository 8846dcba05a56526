"""``benchmark doctor``: what is installed and what is missing, the machine, and where things are kept."""

from __future__ import annotations

import json as json_module
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import benchmark
from benchmark.cli import options
from benchmark.cli.lines import filled

NOT_WELL = 1
GIB = 1 << 30
PASSWORD = r"(?<=:)[^:/@]+(?=@)"
"""In the address of a store."""
LABEL = 18
"""Columns of what a line is about."""


def doctor(json: options.AsJson = False) -> None:
    """Say what is installed, which extra adds what is missing, what machine this is, where things are kept.

    Nothing heavy is imported and nothing is written. The exit code is 1 where something is wrong.
    """
    about = {
        "version": benchmark.__version__,
        "python": sys.version.split()[0],
        "installed": _installed(),
        "hosted": _hosted(),
        "machine": _machine(),
        "kept": _kept(),
    }
    about["wrong"] = list(_wrong(about))
    print(json_module.dumps(about, indent=1) if json else "\n".join(_lines(about)))
    if about["wrong"]:
        sys.exit(NOT_WELL)


def _installed() -> list[dict[str, Any]]:
    """The packages of the core and of each extra, and what an extra gives."""
    from benchmark.machine.extras import GIVES, PACKAGE, installation, packages

    return [
        {
            "extra": extra,
            "gives": GIVES.get(extra, "everything else"),
            "complete": all(each.found for each in found),
            "packages": {each.name: each.found for each in found},
            "unfit": {each.name: each.wanted for each in found if each.found and not each.fits},
            "command": installation(extra) if extra else f"pip install {PACKAGE}",
        }
        for extra, found in packages().items()
    ]


def _hosted() -> list[str]:
    """Published packages that have an environment here."""
    from benchmark.hosting.environment import method_of, pointers

    return sorted({method_of(pointer) for pointer in pointers()})


def _machine() -> dict[str, Any]:
    import psutil

    from benchmark.machine.device import seen_gpus
    from benchmark.machine.processes import cores, threads

    memory = psutil.virtual_memory()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "threads": threads(),
        "memory_gib": round(memory.total / GIB, 1),
        "memory_free_gib": round(memory.available / GIB, 1),
        "gpus": seen_gpus(),
    }


def _kept() -> dict[str, Any]:
    """Where runs, files and data are, and whether they can be."""
    from benchmark.machine.paths import brought_data, cache_folder, packaged_data, project_home
    from benchmark.records.tracking.delivery import waiting_room
    from benchmark.records.tracking.store import store_uri

    home = project_home()
    there = next(folder for folder in (home, *home.resolve().parents) if folder.is_dir())
    waiting = waiting_room()
    return {
        "home": str(home),
        "home_writable": os.access(there, os.W_OK),
        "disk_free_gib": round(shutil.disk_usage(there).free / GIB, 1),
        "runs": re.sub(PASSWORD, "***", store_uri()),
        "undelivered": len(list(waiting.iterdir())) if waiting.is_dir() else 0,
        "cache": str(cache_folder("").resolve()),
        "cards_and_splits": str(packaged_data()),
        "data": {str(folder): folder.is_dir() for folder in brought_data()},
    }


def _wrong(about: dict[str, Any]) -> Iterator[str]:
    """What will not work although it looks as if it should, a sentence each."""
    core, *extras = about["installed"]
    for name, found in core["packages"].items():
        if found is None:
            yield f"The package {name} is missing; `{core['command']}` adds it."
    for group in (core, *extras):
        for name, wanted in group["unfit"].items():
            found = group["packages"][name]
            yield f"{name} {found} is installed, but {wanted} is needed; `{group['command']}` changes it."
    kept = about["kept"]
    if not kept["home_writable"]:
        yield f"Nothing can be written to {kept['home']}; set BENCHMARK_HOME to another folder."
    for folder, is_there in kept["data"].items():
        if not is_there:
            yield f"BENCHMARK_DATA names {folder}, which is no folder; correct it."


def _lines(about: dict[str, Any]) -> Iterator[str]:
    """The same for people, no wider than the terminal."""
    yield f"perturbation-benchmark {about['version']}, Python {about['python']}"
    yield "\ninstalled"
    core, *extras = about["installed"]
    yield _line("core", f"{len(core['packages'])} packages")
    for group in extras:
        if group["complete"]:
            versions = ", ".join(f"{name} {found}" for name, found in group["packages"].items())
            yield _line(group["extra"], versions)
    yield _line("hosted packages", ", ".join(about["hosted"]) or "none; `python -m benchmark install NAME`")
    missing = [group for group in extras if not group["complete"]]
    if missing:
        yield "\nnot installed"
    for group in missing:
        yield _line(group["extra"], group["gives"])
        yield _line("", group["command"])
    machine, kept = about["machine"], about["kept"]
    yield "\nmachine"
    yield _line("system", machine["system"])
    yield _line("processors", f"{machine['cores']}; threads of a computation: {machine['threads']}")
    yield _line("memory", f"{machine['memory_gib']} GiB, {machine['memory_free_gib']} free")
    yield _line("GPUs", "; ".join(machine["gpus"]) or "none that nvidia-smi sees")
    torch = {name: found for group in extras for name, found in group["packages"].items()}.get("torch") or ""
    if machine["gpus"] and torch.endswith("+cpu"):
        yield _line("", f"torch {torch} was built without CUDA, and cannot use them")
    yield "\nkept"
    yield _line("what you make", f"{kept['home']} ({kept['disk_free_gib']} GiB free)")
    waiting = f"; {kept['undelivered']} wait in undelivered/" if kept["undelivered"] else ""
    yield _line("runs", kept["runs"] + waiting)
    yield _line("cache", kept["cache"])
    yield _line("cards and splits", kept["cards_and_splits"])
    yield _line("BENCHMARK_DATA", os.pathsep.join(kept["data"]) or "not set")
    yield "\nwrong" if about["wrong"] else "\nNothing is wrong."
    for sentence in about["wrong"]:
        yield filled(sentence, others="  ")


def _line(name: str, text: str) -> str:
    """A line of the list: a name and what is to be said of it; no path is broken."""
    return filled(text, first=f"  {name:<{LABEL}}", others=" " * (LABEL + 2))
