"""Metrics of genetic interaction: what a double perturbation does beyond the sum of its two singles.

The deviation from additivity of A+B is change(A+B) - change(A) - change(B), change = mean of log1p values
minus that of the control cells (Norman et al., Science 2019; Ahlmann-Eltze et al., Nature Methods 2025). The
two singles are real on both sides, so that only the double is predicted; whoever predicts their sum predicts
no deviation at all. Where the perturbation is no double, or one of its singles was not measured, everything
here is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmark.evaluation.metrics.agreement import correlation
from benchmark.evaluation.metrics.mean_top_genes import EXPRESSED_GENES, most_expressed
from benchmark.evaluation.metrics.ordered import average_precision, false_discovery_rates
from benchmark.evaluation.metrics.reference import Moments
from benchmark.evaluation.metrics.response import FDR_THRESHOLD, RESOLUTION, Response
from benchmark.evaluation.metrics.sorted_cells import SortedCells
from benchmark.evaluation.metrics.spec import MetricSpec, metric
from benchmark.perturbation import Perturbation

GENES = f"{EXPRESSED_GENES}, without the two targets"
REFERENCE = "the real control cells and the real cells of the two singles, for both sides"
NO_DOUBLE = "no double, or the two singles are not both measured"
DEVIATION = (
    "deviation = change(A+B) - change(A) - change(B), change = mean of log1p values minus that of the "
    "control cells, singles real on both sides"
)
SIGNIFICANT = (
    "|z| significant at FDR < 0.05 (Benjamini-Hochberg), z = real deviation / its standard error from the "
    "real cells of A+B, A, B and control, normal distribution; stands in for the local FDR of Ahlmann-Eltze "
    "et al."
)


@dataclass(frozen=True)
class Double:
    """A double perturbation over the genes that count, float64, (genes,).

    Attributes
    ----------
    real, predicted
        Change of the double.
    singles, known_singles
        (2, genes): real change of each single from the control cells of the real side, and from those of the
        predicted one, in alphabetical order.
    error
        Standard error of the real deviation from additivity.
    """

    real: np.ndarray
    predicted: np.ndarray
    singles: np.ndarray
    known_singles: np.ndarray
    error: np.ndarray

    @property
    def expected(self) -> np.ndarray:
        """The additive expectation."""
        return self.singles.sum(axis=0)

    @property
    def deviation(self) -> np.ndarray:
        """Real deviation from additivity."""
        return self.real - self.expected

    @property
    def predicted_deviation(self) -> np.ndarray:
        """Predicted deviation, the singles measured against the control cells of the predicted side."""
        deviation = self.predicted - self.known_singles.sum(axis=0)
        return np.where(np.abs(deviation) < RESOLUTION, 0.0, deviation)  # of addition rounding is left

    @property
    def z(self) -> np.ndarray:
        """Real deviation in standard errors; 0 where nothing varies."""
        return self._in_errors(self.deviation)

    @property
    def predicted_z(self) -> np.ndarray:
        """Predicted deviation in standard errors of the real one, so that the best guess has the real z."""
        return self._in_errors(self.predicted_deviation)

    def _in_errors(self, deviation: np.ndarray) -> np.ndarray:
        return np.divide(deviation, self.error, out=np.zeros_like(deviation), where=self.error > 0)


def double_of(real: Response, predicted: Response) -> Double | None:
    """Collect what is known of a double; None where it is none or a single was not measured.

    The targets are left out: how strongly they change says how they were perturbed, and everybody knows that
    they do. Genes come in descending order of control expression.
    """
    reference = real.reference
    names = Perturbation.parse(real.label).genes
    if len(names) != 2 or not reference.singles.keys() >= set(names):
        return None
    by_expression = most_expressed(reference.control.mean)
    genes = by_expression[~np.isin(by_expression, reference.targets([real.label]))]
    singles = [reference.singles[name] for name in names]
    sources: list[Response | SortedCells | Moments] = [real, reference.control, *singles]
    return Double(
        real=real.change[genes],
        predicted=predicted.change[genes],
        singles=np.stack([(single.mean - reference.control.mean)[genes] for single in singles]),
        known_singles=np.stack([(single.mean - predicted.control.mean)[genes] for single in singles]),
        error=np.sqrt(sum(source.variance[genes] / source.n_cells for source in sources)),
    )


@metric(
    MetricSpec(
        name="interaction_error",
        version="1",
        family="interaction",
        formula=f"|predicted - real deviation| / |real deviation|, Euclidean lengths over genes, {DEVIATION}"
        "; addition scores 1 (undivided it is the Euclidean distance of the means, where both sides share "
        "control cells)",
        range=(0.0, math.inf),
        higher_is_better=False,
        gene_set=GENES,
        reference=REFERENCE,
        nan_means=f"{NO_DOUBLE}, or there is no real deviation in any gene",
    )
)
def interaction_error(real: Response, predicted: Response) -> float:
    """Error of the predicted deviation, for each unit of the error of plain addition."""
    double = double_of(real, predicted)
    if double is None:
        return math.nan
    additive = np.linalg.norm(double.deviation)
    error = np.linalg.norm(double.predicted_deviation - double.deviation)
    return float(error / additive) if additive > 0 else math.nan


@metric(
    MetricSpec(
        name="interaction_pearson",
        version="1",
        family="interaction",
        formula=f"Pearson correlation over genes of predicted and real deviation, {DEVIATION}; "
        "the noise of the singles is in both, which flatters a guess that ignores them, such as no change",
        range=(-1.0, 1.0),
        higher_is_better=True,
        gene_set=GENES,
        reference=REFERENCE,
        nan_means=f"{NO_DOUBLE}, fewer than 2 genes, or a real deviation equal in all genes; a predicted "
        "deviation equal in all genes, as by addition, scores 0",
    )
)
def interaction_pearson(real: Response, predicted: Response) -> float:
    """Correlation of the deviations from additivity."""
    double = double_of(real, predicted)
    if double is None:
        return math.nan
    return correlation(double.deviation, double.predicted_deviation)


def _declare_auprc(name: str, towards: int, which: str) -> None:
    @metric(
        MetricSpec(
            name=name,
            version="1",
            family="interaction",
            formula=f"average precision of {which}z of the predicted deviation times the sign of change(A) + "
            f"change(B), over genes where {which}z of the real one times that sign is positive and "
            f"{SIGNIFICANT}; {DEVIATION}; predicted z by the real standard error; "
            "addition scores about the share of such genes",
            range=(0.0, 1.0),
            higher_is_better=True,
            gene_set=GENES,
            reference=REFERENCE,
            nan_means=f"{NO_DOUBLE}, or no gene, or every one, really deviates so",
        )
    )
    def auprc(real: Response, predicted: Response) -> float:
        double = double_of(real, predicted)
        if double is None or not double.real.size:
            return math.nan
        return _auprc(double, towards)


_declare_auprc("synergy_auprc", 1, "")
_declare_auprc("buffering_auprc", -1, "-")


def _auprc(double: Double, towards: int) -> float:
    """Average precision of the genes that go with (1) or against (-1) the expected change more than added."""
    from scipy.special import erfc

    sign = towards * np.sign(double.expected)
    significant = false_discovery_rates(erfc(np.abs(double.z) / math.sqrt(2))) < FDR_THRESHOLD
    deviates = significant & (sign * double.z > 0)
    if deviates.all() or not deviates.any():
        return math.nan
    return min(float(average_precision(deviates, sign * double.predicted_z)), 1.0)  # of rounded terms
