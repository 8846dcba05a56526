"""``benchmark check``: whether a method does what every method must."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options
from benchmark.cli.lines import filled

if TYPE_CHECKING:
    from benchmark.testing import Finding

SOMETHING_WRONG = 1


def check(
    method: Annotated[str, typer.Argument(help="Name of a method, or path/to/file.py:Class.")],
    preset: Annotated[str | None, typer.Option(help="Else smoke where there is one.")] = None,
    set_: options.Settings = None,
    json: options.AsJson = False,
) -> None:
    """Check a method on tiny data sets, and say all that is wrong; the exit code is 1 then."""
    from benchmark.registry import load_method
    from benchmark.testing import CHECKS, Case, findings

    method_class = load_method(method)
    method_class.require_ready()
    chosen = preset or ("smoke" if "smoke" in method_class.Config.presets else None)
    config = method_class.Config.build(chosen, options.read_settings(set_))
    found = []
    for finding in findings(Case(method_class, config)):
        found.append(finding)
        if not json:
            print(_line(finding), flush=True)
    wrong = sum(finding.problem is not None for finding in found)
    if json:
        print(json_module.dumps([asdict(finding) for finding in found], indent=1))
    else:
        parts = [f"{len(found) - wrong} of {len(CHECKS)} checks passed"]
        parts += [f"{wrong} failed"] if wrong else []
        parts += [f"{len(CHECKS) - len(found)} could not be made"] if len(found) < len(CHECKS) else []
        print(f"{method_class.name}: {', '.join(parts)}")
    if wrong:
        sys.exit(SOMETHING_WRONG)


def _line(finding: Finding) -> str:
    """A finding, no wider than the terminal; places in files stay whole."""
    text = f"{'ok' if finding.problem is None else 'WRONG':<5} {finding.problem or finding.claim}"
    return "\n    ".join(filled(line, others=" " * 6) for line in text.split("\n"))
