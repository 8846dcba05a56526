"""``benchmark install``: the environment of a method that runs in one of its own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def install(
    method: Annotated[str, typer.Argument(help="Name of a hosted method, such as gears.")],
    force: Annotated[bool, typer.Option("--force", help="Make it anew although it is there.")] = False,
    python: Annotated[str, typer.Option(help="The Python to make it with.")] = sys.executable,
) -> None:
    """Install a published package into an environment of its own, from pinned requirements."""
    from benchmark.cli.screen import ProgressBars
    from benchmark.errors import BenchmarkError
    from benchmark.hosting.environment import install as install_environment
    from benchmark.hosting.method import SubprocessMethod
    from benchmark.machine.progress import report_to
    from benchmark.registry import load_method

    hosted = load_method(method)
    if not issubclass(hosted, SubprocessMethod):
        raise BenchmarkError(f"The method '{method}' needs no environment of its own; run it as it is.")
    environment = hosted.environment()
    with report_to(ProgressBars()):
        made_now = install_environment(environment, force, python)
    print(f"{method} {'is installed' if made_now else 'was installed already'}: {environment.python}")
