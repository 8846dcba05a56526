"""Metrics: pure functions of the real and the predicted response to a perturbation, with declarations.

To add one, write the function and its `MetricSpec` in the module of its family. Import `evaluate` from
`benchmark.metrics.evaluate`: whoever only reads the declarations does not wait for a compiler.
"""

from benchmark.metrics import de_genes, mean_expression, uncertainty
from benchmark.metrics.reference import Moments, Reference
from benchmark.metrics.response import Panel, Response
from benchmark.metrics.spec import METRICS, Metric, MetricSpec, PanelMetric, headline_metrics

__all__ = [
    "METRICS",
    "Metric",
    "MetricSpec",
    "Moments",
    "Panel",
    "PanelMetric",
    "Reference",
    "Response",
    "de_genes",
    "headline_metrics",
    "mean_expression",
    "uncertainty",
]
