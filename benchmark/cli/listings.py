"""``benchmark methods``: what there is, and how tables are shown."""

from __future__ import annotations

import difflib
import json as json_module
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from benchmark.cli import options
from benchmark.cli.lines import filled

if TYPE_CHECKING:
    from benchmark.registry import Listing


class Named(TyperGroup):
    """A command with subcommands, of which ``show`` may be left out before a name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take a word that is no subcommand, nor like one, for a name to be shown."""
        is_name = bool(args) and not args[0].startswith("-") and args[0] not in self.commands
        if is_name and not difflib.get_close_matches(args[0], self.commands, n=1, cutoff=0.75):
            return super().resolve_command(ctx, ["show", *args])
        return super().resolve_command(ctx, args)


def show(rows: list[dict[str, Any]], json: bool, title: str = "") -> None:
    """Print rows as JSON, or as a table whose columns are their keys."""
    if json:
        print(json_module.dumps(rows, indent=1))
        return
    from benchmark.cli.screen import print_table

    print_table(rows, title)


def methods(
    name: Annotated[str | None, typer.Argument(help="Show the hyper-parameters of this method.")] = None,
    preset: Annotated[str | None, typer.Option(help="With the values of this preset.")] = None,
    dataset: Annotated[str, typer.Option(help="Whose panel parameters are counted for.")] = "simulated",
    json: options.AsJson = False,
) -> None:
    """List the methods, or describe one: hyper-parameters, ranges, presets, parameter count."""
    from benchmark.registry import list_methods, missing_extras

    if name is None:
        extras = missing_extras()
        show(
            [
                {
                    "name": found.name,
                    "summary": found.summary,
                    "source": found.source,
                    "ready": _readiness(found, extras),
                }
                for found in list_methods()
            ],
            json,
        )
        return
    about = _describe(name, preset, dataset)
    if json:
        print(json_module.dumps(about, indent=1))
        return
    print(f"{name}: {about['summary']}\n")
    print(f"presets: {', '.join(about['presets'])}; shown: {about['preset']}")
    count = about["parameters"]
    print(f"trainable parameters on {dataset}: {'none' if count is None else format(count, ',')}\n")
    width = shutil.get_terminal_size().columns
    print("\n".join(_paragraph(row, width) for row in about["hyper_parameters"]))


def _paragraph(row: Mapping[str, Any], width: int) -> str:
    """A hyper-parameter as its value, what may be in its place, and what it does; no word is broken."""
    bounds = f"{row['type']}, {row['bounds']}" if row["bounds"] else row["type"]
    allowed = f"({bounds}; searched: {row['search']})" if row["search"] else f"({bounds})"
    head = f"{row['name']} = {row['value']}"
    lines = [f"{head} {allowed}"] if len(head) + len(allowed) < width else [head, allowed]
    return "\n".join(
        filled(text, width, indent, "    ")
        for indent, text in [("", lines[0]), *(("    ", text) for text in [*lines[1:], row["help"]])]
        if text
    )


def _readiness(listing: Listing, extras: Mapping[str, str]) -> str:
    """Whether a method can run, or what makes it so; nothing of it is imported."""
    from benchmark.hosting.environment import REQUIREMENTS, Environment
    from benchmark.machine.extras import installation

    if listing.folder is None or not (listing.folder / REQUIREMENTS).is_file():
        return f"`{installation(extras[listing.name])}`" if listing.name in extras else "yes"
    environment = Environment(listing.name, listing.folder)
    return f"`{environment.command}`" if environment.python is None else "installed"


def _describe(name: str, preset: str | None, dataset: str) -> dict[str, Any]:
    from benchmark.registry import load_method

    method = load_method(name)
    config = method.Config.build(preset)
    n_genes, n_perturbed = _panel(dataset)
    return {
        "name": method.name,
        "summary": (method.__doc__ or "").partition("\n")[0],
        "version": method.version,
        "predicts": method.predicts,
        "preset": preset or "default",
        "presets": ["default", *method.Config.presets],
        "parameters": method.parameter_count(config, n_genes, n_perturbed),
        "hyper_parameters": method.Config.describe(preset),
    }


def _panel(dataset: str) -> tuple[int, int]:
    """How many genes a data set measures, and how many it perturbs."""
    from benchmark.data import load_dataset
    from benchmark.perturbation import Perturbation

    adata = load_dataset(dataset).adata
    labels = adata.obs["perturbation"].unique()
    return adata.n_vars, len({gene for label in labels for gene in Perturbation.parse(label).genes})
