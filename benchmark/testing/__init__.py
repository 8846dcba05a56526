"""The conformance suite: what every method must do, as checks that anybody can run on their own.

    from benchmark.testing import check_method
    check_method(MyMethod)

or from the command line, ``python -m benchmark check my_method``, which names all that is wrong at once,
or, one test per check, ``@pytest.mark.parametrize("check", CHECKS)`` with one `Case` per method, whose fits
all checks share, in whatever order they run.
"""

from __future__ import annotations

from benchmark.config import MethodConfig
from benchmark.method import Method
from benchmark.testing import context_checks  # noqa: F401 - adds its checks
from benchmark.testing.case import Case
from benchmark.testing.checks import CHECKS, NonConformanceError
from benchmark.testing.findings import Finding, findings

__all__ = ["CHECKS", "Case", "Finding", "NonConformanceError", "check_method", "findings"]


def check_method(method_class: type[Method], config: MethodConfig | None = None) -> None:
    """Run every check on a method.

    Parameters
    ----------
    method_class
        The class to check.
    config
        Hyper-parameters; the preset ``smoke`` where there is one, else the defaults. A method that conforms
        is fitted three times on tiny data sets, and twice more where it looks at contexts; nothing is timed.

    Raises
    ------
    NonConformanceError
        With one sentence about the first thing that is wrong.
    """
    case = Case(method_class, config)
    for check in CHECKS:
        check(case)
