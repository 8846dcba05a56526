"""One file per picture; this is their order in a report."""

from __future__ import annotations

from benchmark.report.gallery import (
    changes,
    dots,
    effect_size,
    embedding,
    interaction,
    losses,
    network,
    trajectory,
    volcano,
)
from benchmark.report.picture import Picture

PICTURES: tuple[Picture, ...] = tuple(
    module.PICTURE
    for module in (
        effect_size,
        changes,
        volcano,
        dots,
        embedding,
        interaction,
        trajectory,
        network,
        losses,
    )
)
