"""The conformance suite: what every method must do, as checks that anybody can run on their own.

    from benchmark.testing import check_method
    check_method(MyMethod)

or, one test per check, ``@pytest.mark.parametrize("check", CHECKS)`` with one `Case` per method, whose fits
all checks share, in whatever order they run.
"""

from __future__ import annotations

from benchmark.config import MethodConfig
from benchmark.method import Method
from benchmark.testing.case import Case
from benchmark.testing.checks import CHECKS, NonConformanceError

__all__ = ["CHECKS", "Case", "NonConformanceError", "check_method"]


def check_method(method_class: type[Method], config: MethodConfig | None = None) -> None:
    """Run every check on a method.

    Parameters
    ----------
    method_class
        The class to check.
    config
        Hyper-parameters; the preset ``smoke`` where there is one, else the defaults. A method that conforms
        is fitted three times on tiny data sets, and nothing is timed.

    Raises
    ------
    NonConformanceError
        With one sentence about the first thing that is wrong.
    """
    case = Case(method_class, config)
    for check in CHECKS:
        check(case)
