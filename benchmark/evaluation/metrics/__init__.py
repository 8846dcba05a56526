"""Metrics: pure functions of the real and the predicted response to a perturbation, with declarations.

To add one, write the function and its `MetricSpec` in the module of its family. Import `evaluate` from
`benchmark.evaluation.metrics.evaluate`: whoever only reads the declarations does not wait for a compiler.
"""

from benchmark.evaluation.metrics import (
    de_adjusted,
    de_direction,
    de_genes,
    de_ranking,
    de_tables,
    dependence,
    discovery,
    distribution,
    interaction,
    interaction_fit,
    mean_centroid,
    mean_expression,
    mean_noise,
    mean_top_genes,
    mean_weighted,
    rank,
    uncertainty,
)
from benchmark.evaluation.metrics.reference import Moments, Reference
from benchmark.evaluation.metrics.response import Panel, Response
from benchmark.evaluation.metrics.spec import METRICS, Metric, MetricSpec, PanelMetric, headline_metrics

__all__ = [
    "METRICS",
    "Metric",
    "MetricSpec",
    "Moments",
    "Panel",
    "PanelMetric",
    "Reference",
    "Response",
    "de_adjusted",
    "de_direction",
    "de_genes",
    "de_ranking",
    "de_tables",
    "dependence",
    "discovery",
    "distribution",
    "headline_metrics",
    "interaction",
    "interaction_fit",
    "mean_centroid",
    "mean_expression",
    "mean_noise",
    "mean_top_genes",
    "mean_weighted",
    "rank",
    "uncertainty",
]
