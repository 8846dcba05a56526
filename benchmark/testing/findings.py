"""All that is wrong with a method, check by check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.failures import told
from benchmark.testing.case import Case
from benchmark.testing.checks import CHECKS, NonConformanceError


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    check
        Its name.
    claim
        What it claims of every method.
    problem
        What is wrong, in one sentence; None where nothing is.
    """

    check: str
    claim: str
    problem: str | None


def findings(case: Case) -> Iterator[Finding]:
    """Make every check; where the method cannot be fitted or asked at all, that alone is found.

    Yields
    ------
    Finding
        As soon as its check has been made.
    """
    for check in CHECKS:
        name, claim = check.__name__.removeprefix("check_"), (check.__doc__ or "").partition("\n")[0]
        try:
            check(case)
        except NonConformanceError as wrong:
            yield Finding(name, claim, str(wrong))
        except (Exception, SystemExit) as error:
            yield Finding(name, claim, f"It raises {told(case.method_class, error)}")
            if not _answers(case):
                return
        else:
            yield Finding(name, claim, None)


def _answers(case: Case) -> bool:
    """Whether the method can be fitted and asked, so that more can be said of it."""
    try:
        return bool(case.answers)
    except (Exception, SystemExit):
        return False
