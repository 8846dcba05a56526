"""The perturbation of a cell as a value: which genes were perturbed together, and in which context."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmark.errors import BenchmarkError

CONTROL = "control"
CONTROL_LABELS = frozenset({CONTROL, "ctrl"})

IN_CONTEXT = "::"
"""Stands between a context and a perturbation in the label of a condition: ``K562::A+B``."""


@dataclass(frozen=True, order=True)
class Perturbation:
    """None (control), one or two perturbed genes, in alphabetical order.

    The text form is the canonical label: ``control``, ``A`` or ``A+B``.

    Attributes
    ----------
    genes
        The perturbed genes.
    context
        The cell line, donor or the like in which it is asked; empty where data have one alone. Perturbations
        of the same genes are equal whatever their contexts, so that what knows no contexts need not look.
    """

    genes: tuple[str, ...] = ()
    context: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "genes", tuple(sorted(self.genes)))
        if len(self.genes) > 2:
            raise BenchmarkError(
                f"Perturbation '{self}' names {len(self.genes)} genes, but at most two are supported; "
                "remove those cells from the data."
            )
        if CONTROL_LABELS & set(self.genes):
            raise BenchmarkError(
                f"Perturbation '{self}' names no gene but control cells, whose label was said to be another; "
                "correct the control label."
            )
        if len(set(self.genes)) < len(self.genes):
            raise BenchmarkError(f"Perturbation '{self}' names the same gene twice; correct the label.")

    @classmethod
    def parse(cls, label: str, *, separator: str = "+", control_label: str = CONTROL) -> Perturbation:
        """Read a label as sources write it: ``A``, ``A+B``, ``B+A``, ``A+ctrl``, ``ctrl+A``, the control's.

        The label of a condition, ``K562::A+B``, is that of a perturbation behind its context.

        Raises
        ------
        BenchmarkError
            When a gene is empty or named twice, or more than two genes are named.
        """
        if label == control_label:
            return cls()
        context, found, label = label.rpartition(IN_CONTEXT)
        if found and label == control_label:
            return cls((), context)
        parts = [part.strip() for part in label.split(separator)]
        if "" in parts:
            raise BenchmarkError(
                f"Perturbation label '{label}' has an empty gene name; write 'A' or 'A{separator}B'."
            )
        fillers = CONTROL_LABELS if control_label in CONTROL_LABELS else {control_label}
        return cls(tuple(part for part in parts if part not in fillers), context)

    @property
    def is_control(self) -> bool:
        """Whether no gene is perturbed."""
        return not self.genes

    @property
    def is_double(self) -> bool:
        """Whether two genes are perturbed."""
        return len(self.genes) == 2

    @property
    def label(self) -> str:
        """The label of the condition: the text form, behind its context where it has one."""
        return f"{self.context}{IN_CONTEXT}{self}" if self.context else str(self)

    def __str__(self) -> str:
        return "+".join(self.genes) or CONTROL
