"""A page for every family of metrics, with the declaration of each."""

from __future__ import annotations

from markdown_pieces import table

from benchmark.evaluation.metrics import METRICS, MetricSpec

BETTER = {True: "higher is better", False: "lower is better", None: "it describes and does not judge"}

COUNTS = {
    True: "taken as they are where both sides hold them, else log values",
    False: "made log1p of counts per 10,000 first",
}


def pages() -> dict[str, str]:
    """Address in the site -> Markdown."""
    specs = [declared.spec for declared in METRICS.values()]
    families = list(dict.fromkeys(spec.family for spec in specs))
    return {"metrics/index.md": _index(specs)} | {
        f"metrics/{family.lower()}.md": _family(family, [spec for spec in specs if spec.family == family])
        for family in families
    }


def _index(specs: list[MetricSpec]) -> str:
    rows = [
        {
            "metric": f"[`{spec.name}`]({spec.family.lower()}.md#{spec.name})",
            "family": spec.family,
            "better": BETTER[spec.higher_is_better].split()[0] if spec.best is not None else "",
            "headline": "yes" if spec.headline else "",
        }
        for spec in specs
    ]
    return (
        f"# Metrics\n\n{len(specs)} metrics, each declared beside its code. Methods are ranked by the "
        "headline ones; [evaluation](../evaluation.md) says how. `python -m benchmark metrics NAME` prints a "
        "declaration.\n\n" + table(rows)
    )


def _family(family: str, specs: list[MetricSpec]) -> str:
    return f"# Metrics: {family}\n\n" + "\n\n".join(_section(spec) for spec in specs)


def _section(spec: MetricSpec) -> str:
    low, high = spec.range
    rows = {
        "range": f"{low:g} to {high:g}; {BETTER[spec.higher_is_better]}",
        "genes": spec.gene_set,
        "reference": spec.reference,
        "NaN": spec.nan_means,
        "applies to": "predicted cells" if spec.needs == "cells" else "predicted cells and means",
        "counts": COUNTS[spec.of_counts],
        "version": spec.version,
    }
    if spec.aliases:
        rows["in cell-eval2"] = ", ".join(f"`{alias}`" for alias in spec.aliases)
    headline = "\n\n**Methods are ranked by it.**" if spec.headline else ""
    return f"## {spec.name} {{ #{spec.name} }}\n\n{_plain(spec.formula)}{headline}\n\n" + table(
        [{"what": name, "declared": value} for name, value in rows.items()]
    )


def _plain(text: str) -> str:
    """Formulas are text: nothing in them is markup."""
    for sign in ("\\", "*", "_", "<", "["):
        text = text.replace(sign, "\\" + sign if sign != "<" else "&lt;")
    return text
