"""Claims about what metrics share."""

from __future__ import annotations

import gc

from benchmark.evaluation.metrics import Response
from benchmark.evaluation.metrics.once import once_per_pair
from tests.evaluation.metrics.metric_case import response


def test_what_two_metrics_share_is_computed_once_and_forgotten_with_the_responses() -> None:
    """For each pair of responses by itself."""
    asked = []

    @once_per_pair
    def shift(real: Response, predicted: Response) -> float:
        asked.append((real.label, predicted.label))
        return float(predicted.mean[0] - real.mean[0])

    real, one, two = (response([change], label=label) for change, label in ((1, "R"), (2, "P"), (4, "Q")))
    assert [shift(real, one), shift(real, two), shift(real, one), shift(one, real)] == [1, 3, 1, -1]
    assert asked == [("R", "P"), ("R", "Q"), ("P", "R")]
    del real, one, two
    gc.collect()
    assert not any(type(kept) is Response and kept.label in "RPQ" for kept in gc.get_objects())
