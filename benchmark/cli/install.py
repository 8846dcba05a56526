"""``benchmark install`` and ``uninstall``: the environments of methods that run in one of their own."""

from __future__ import annotations

import json as json_module
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options

if TYPE_CHECKING:
    from benchmark.hosting.method import SubprocessMethod

MIB = 1 << 20
Hosted = Annotated[str, typer.Argument(help="Name of a hosted method, such as gears.")]


def install(
    method: Annotated[str | None, typer.Argument(help="Name of a hosted method, such as gears.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it anew although it is there.")] = False,
    python: Annotated[str, typer.Option(help="The Python to make it with.")] = sys.executable,
    listed: Annotated[
        bool, typer.Option("--list", help="Show what is installed, its size and who uses it.")
    ] = False,
    json: options.AsJson = False,
) -> None:
    """Install a published package into an environment of its own, from pinned requirements."""
    from benchmark.cli.listings import show
    from benchmark.cli.screen import ProgressBars
    from benchmark.errors import BenchmarkError
    from benchmark.hosting.installing import install as install_environment
    from benchmark.machine.progress import report_to

    if listed:
        show(_rows(), json)
        return
    if method is None:
        raise BenchmarkError("Name a method to install; `python -m benchmark methods` lists them.")
    hosted = _hosted(method)
    environment = hosted.environment()
    if hosted.licence and not json:
        print(f"Licence: {hosted.licence}")
    with report_to(ProgressBars()):
        made_now = install_environment(environment, force, python)
    if json:
        about = {"method": method, "python": str(environment.python), "installed_now": made_now}
        print(json_module.dumps(about))
        return
    print(f"{method} {'is installed' if made_now else 'was installed already'}: {environment.python}")


def uninstall(method: Hosted, json: options.AsJson = False) -> None:
    """Remove the environment of a method; packages that another one uses stay."""
    from benchmark.hosting.installing import uninstall as uninstall_environment

    freed = uninstall_environment(_hosted(method).name)
    if json:
        print(json_module.dumps({"method": method, "freed_bytes": freed}))
    else:
        print(f"{method} is not installed; {freed / MIB:,.0f} MiB are free again.")


def _hosted(method: str) -> type[SubprocessMethod]:
    from benchmark.errors import BenchmarkError
    from benchmark.hosting.method import SubprocessMethod
    from benchmark.registry import load_method

    hosted = load_method(method)
    if not issubclass(hosted, SubprocessMethod):
        raise BenchmarkError(f"The method '{method}' needs no environment of its own; run it as it is.")
    return hosted


def _rows() -> list[dict[str, Any]]:
    from benchmark.hosting.installing import installed

    return [
        {"packages": each.folder.name, "MiB": round(each.size / MIB), "used by": ", ".join(each.methods)}
        for each in installed()
    ]
