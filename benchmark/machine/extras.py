"""What this package needs, what is there of it, and which extra gives what is not.

The requirements are those of the installed package, and nothing of what they name is imported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PACKAGE = "perturbation-benchmark"
CORE = ""
"""Name of the requirements that no extra has to be named for."""
GIVES = {
    "flows": "GRNFlow, scDFM, gated and geneformer: the methods that need PyTorch",
    "devices": "run --devices N: one flow on several devices",
    "ray": "sweep --executor ray: many runs on a cluster",
    "tracking-server": "the command tracking-server: MLflow's pages of the runs",
    "vcc": "predictions in the packages of `vcc prep`",
    "docs": "make docs: this documentation as a site",
    "eval": "tests against cell-eval and cell-eval2",
    "dev": "the tests and the linters",
}
"""Extra -> what it gives."""
IMPORTED_AS = {"POT": "ot"}
"""Package -> module, where their names differ."""


@dataclass(frozen=True)
class Package:
    """A requirement, and what is installed of it.

    Attributes
    ----------
    name
        Of the package.
    wanted
        The versions that will do, empty where all will.
    found
        The version that is installed; None where none is.
    fits
        Whether a version is installed that will do.
    """

    name: str
    wanted: str
    found: str | None
    fits: bool


def packages() -> dict[str, list[Package]]:
    """Extra -> its packages, as the installed package declares them; those of `CORE` first.

    Raises
    ------
    BenchmarkError
        Where the package runs without having been installed, so that nothing is declared.
    """
    from importlib import metadata

    from packaging.requirements import Requirement

    try:
        declared = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise BenchmarkError(
            f"The package {PACKAGE} runs from a folder and is not installed, so that nobody can say what it "
            "needs; run `make setup`, or `pip install -e .`, in its checkout."
        ) from error
    known: dict[str, list[Package]] = defaultdict(list)
    for requirement in map(Requirement, declared):
        known[_extra(requirement)].append(_package(requirement))
    return {extra: known[extra] for extra in (CORE, *GIVES) if extra in known}


def installation(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install '{PACKAGE}[{extra}]'"


def lacking() -> dict[str, str]:
    """Return each module that is missing and that an extra gives -> the first extra that does."""
    try:
        known = packages()
    except BenchmarkError:
        return {}
    found: dict[str, str] = {}
    for extra, each in known.items():
        for package in each:
            if package.found is None and extra != CORE:
                found.setdefault(IMPORTED_AS.get(package.name, package.name), extra)
    return found


def require_extra(extra: str) -> None:
    """Raise `BenchmarkError` unless all packages of an extra are installed."""
    for package in packages()[extra]:
        if package.found is None:
            raise _missing(package.name, extra)


@contextmanager
def named_where_missing() -> Iterator[None]:
    """Say of a module that cannot be imported inside which extra gives it; others raise as they are.

    Raises
    ------
    BenchmarkError
        For a module that an extra gives.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        extra = lacking().get(module)
        if extra is None:
            raise
        raise _missing(module, extra) from error


def _missing(name: str, extra: str) -> BenchmarkError:
    return BenchmarkError(
        f"The package {name} is needed for this, and not installed; `{installation(extra)}` adds it."
    )


def _extra(requirement: Requirement) -> str:
    """The extra that a requirement stands behind; its whole marker where that names none of ours."""
    marker = requirement.marker
    if marker is None or marker.evaluate({"extra": CORE}):
        return CORE
    return next((extra for extra in GIVES if marker.evaluate({"extra": extra})), str(marker))


def _package(requirement: Requirement) -> Package:
    from importlib import metadata

    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Package(requirement.name, str(requirement.specifier), None, fits=False)
    fits = requirement.specifier.contains(found, prereleases=True)
    return Package(requirement.name, str(requirement.specifier), found, fits)
