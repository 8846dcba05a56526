"""What a file holds, as lines for people and as one object for programs."""

from __future__ import annotations

import shlex
import textwrap
from typing import Any

from benchmark.data.describe import Description, sizes_of
from benchmark.data.matrices import Matrix
from benchmark.data.refusal import as_options
from benchmark.perturbation import CONTROL

WIDTH = 80
LEFT = 11


def as_text(about: Description, *, with_command: bool = True) -> str:
    """Lay a description out for a screen of 80 columns, with the command that reads the file or without."""
    lines = [f"{about.file.name}: {about.cells:,} cells, {about.genes:,} genes", ""]
    lines += _row("labels", f"column '{about.card.perturbation_column}', control {_controls(about)}")
    lines += _row("read as", _reading(about))
    lines += _row("targets", f"{len(about.perturbed):,} perturbed genes, {about.measured:,} of them measured")
    lines += _row("ids", about.renamed) if about.renamed else []
    for matrix in about.matrices:
        lines += _row(matrix.place, _matrix(matrix))
    for name, values in about.columns.items():
        lines += _row("column", f"{name}: {_values(values)}")
    lines += [line for what in about.left_out for line in _row("left out", what)]
    lines += _numbered("What cannot be read as it is", [problem.sentence for problem in about.problems])
    lines += _numbered("What is doubtful", about.warnings)
    lines += ["", *_command(about)] if with_command else []
    return "\n".join(lines)


def as_json(about: Description) -> dict[str, Any]:
    """Everything of a description, in types that JSON has."""
    sizes = sizes_of(about)
    return {
        "file": str(about.file),
        "cells": about.cells,
        "genes": about.genes,
        "controls": about.sizes[CONTROL],
        "singles": _count(about, 0),
        "doubles": _count(about, 1),
        "cells_per_perturbation": [int(sizes[at]) for at in (0, len(sizes) // 2, -1)] if len(sizes) else [],
        "perturbed_genes": len(about.perturbed),
        "perturbed_genes_measured": about.measured,
        "gene_ids": about.renamed,
        "matrices": {
            matrix.place: {
                "holds": str(matrix.scale),
                "stored": matrix.stored,
                "genes": matrix.genes,
                "median_depth": matrix.depth,
                "zeros": matrix.zeros,
                "target_sum": matrix.scale.target,
            }
            for matrix in about.matrices
        },
        "columns": about.columns,
        "problems": [problem.sentence for problem in about.problems],
        "warnings": about.warnings,
        "left_out": about.left_out,
        "reading": about.command_options if about.is_readable else None,
    }


def _reading(about: Description) -> str:
    singles, doubles, sizes = _count(about, 0), _count(about, 1), sizes_of(about)
    said = f"{about.sizes[CONTROL]:,} control cells, {singles:,} singles, {doubles:,} doubles"
    if not len(sizes):
        return said
    if sizes[0] == sizes[-1]:
        return f"{said}; {sizes[0]:,} cells each"
    return f"{said}; {sizes[0]:,} to {sizes[-1]:,} cells each, {sizes[len(sizes) // 2]:,} in the middle"


def _count(about: Description, separators: int) -> int:
    return sum(label != CONTROL and label.count("+") == separators for label in about.sizes)


def _controls(about: Description) -> str:
    return " or ".join(f"'{label}'" for label in about.card.controls)


def _matrix(matrix: Matrix) -> str:
    depth = "" if matrix.depth is None else f", median depth {matrix.depth:,.0f}"
    zeros = "" if matrix.zeros is None else f", {matrix.zeros:.0%} zeros"
    becomes = ", converted when it is read" if matrix.scale.is_exact and not matrix.scale.is_canonical else ""
    return f"{matrix.scale}{becomes}{depth}{zeros} ({matrix.stored})"


def _values(values: dict[str, int]) -> str:
    shown = ", ".join(f"{value} {number:,}" for value, number in list(values.items())[:3])
    return shown if len(values) <= 3 else f"{shown}, {len(values) - 3} more"


def _row(name: str, said: str) -> list[str]:
    indent = " " * (LEFT + 1)
    filled = textwrap.wrap(said, WIDTH - LEFT - 1, break_long_words=False, break_on_hyphens=False)
    head = f"{name:<{LEFT}} "
    if len(head) > LEFT + 1:
        return [name, *(indent + line for line in filled)]
    return [head + filled[0], *(indent + line for line in filled[1:])]


def _numbered(title: str, sentences: list[str]) -> list[str]:
    if not sentences:
        return []
    lines = ["", title]
    for number, sentence in enumerate(sentences, 1):
        lines += textwrap.wrap(
            f"{sentence}.",
            WIDTH,
            initial_indent=f"{number:>2}. ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _command(about: Description) -> list[str]:
    if not about.is_readable:
        return ["No options read this file; change it first."]
    options = as_options(about.command_options).split(" --")
    words = [f"python -m benchmark datasets add {shlex.quote(str(about.file))}", *_options(options)]
    return ["This reads it, and gives it a name:", *(f"  {line}" for line in _lines(words))]


def _options(parts: list[str]) -> list[str]:
    return [parts[0], *(f"--{part}" for part in parts[1:])]


def _lines(words: list[str]) -> list[str]:
    """Break a command between its options."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) + 5 > WIDTH:
            lines[-1] += " \\"
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}"
    return lines
