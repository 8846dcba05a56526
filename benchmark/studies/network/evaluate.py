"""From a request to findings: look everything up, read the maps of each source, compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.config import MethodConfig
from benchmark.data import load_dataset
from benchmark.data.cards import load_card
from benchmark.errors import BenchmarkError
from benchmark.machine.device import require_device
from benchmark.method import Method
from benchmark.registry import load_method
from benchmark.splits import load_split, require_scheme
from benchmark.splits.views import training_views
from benchmark.studies.network.findings import Findings, compare, sentence
from benchmark.studies.network.questions import EdgeQuestion, Question, SetQuestion
from benchmark.studies.network.rankings import (
    MapsRegulation,
    Panel,
    Rankings,
    rank_by_attention,
    rank_by_expression,
)
from benchmark.studies.network.truth import known_edges

SOURCES = ("pretrained", "random", "shuffled", "coexpression")
SOURCE_SETTING = "attention_source"


@dataclass(frozen=True)
class Request:
    """What somebody asks for on the command line.

    Attributes
    ----------
    sources
        Values of the method's hyper-parameter ``attention_source``, one after the other.
    edges
        A CSV file of known edges, which goes before the network that belongs to the data set.
    """

    method: str
    dataset: str = "simulated"
    split: str = "doubles"
    seed: int = 0
    sources: tuple[str, ...] = SOURCES
    settings: Mapping[str, Any] = field(default_factory=dict)
    edges: Path | None = None
    device: str = "auto"


def evaluate(request: Request) -> Findings:
    """Score the attention of a method against the true regulatory network.

    The method sees training cells alone, and so do the rankings that it is compared with; the truth is
    opened here and nowhere else.

    Raises
    ------
    BenchmarkError
        For anything in the request or the data that cannot be used, and for maps that are not what
        `RegulatoryMaps` promises.
    """
    method_class, configs = _method(request)
    require_scheme(request.split)
    known = known_edges(load_card(request.dataset), request.edges)
    dataset = load_dataset(request.dataset)
    split = load_split(dataset, request.split, request.seed)
    train, _ = training_views(dataset, split)
    network = known.among([str(gene) for gene in train.var_names])
    panel = Panel.of(train, network.regulators)
    questions: list[Question] = [EdgeQuestion(network, panel)]
    questions += [SetQuestion(network, panel, name) for name in known.reach]
    attention: dict[str, Rankings] = {}
    expression = None
    if not all(question.why_not for question in questions):
        expression = rank_by_expression(train, panel)
        for source, config in configs.items():
            method = method_class(config, seed=request.seed, device=request.device)
            assert isinstance(method, MapsRegulation)
            attention[source] = rank_by_attention(method.regulatory_maps(train), panel, source)
    rows = compare(questions, request.sources, attention, expression)
    return Findings(
        method=method_class.name,
        method_version=method_class.version,
        settings={name: str(value) for name, value in request.settings.items()},
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        split=split.scheme,
        split_digest=split.digest,
        seed=request.seed,
        network=known.origin,
        network_digest=known.digest,
        questions={question.name: question.about for question in questions},
        rows=rows,
        verdicts={source: sentence(source, rows) for source in request.sources},
    )


def _method(request: Request) -> tuple[type[Method], dict[str, MethodConfig]]:
    """Return the class of the method, and its configuration for each source."""
    method_class = load_method(request.method)
    if not issubclass(method_class, MapsRegulation):
        raise BenchmarkError(
            f"The method '{method_class.name}' has no attention to look at; choose one that defines "
            "regulatory_maps, such as grnflow_sparse_pca."
        )
    if not request.sources:
        raise BenchmarkError(f"No attention source is named; name some, such as {','.join(SOURCES)}.")
    if SOURCE_SETTING in request.settings:
        raise BenchmarkError(f"--sources says which attention is read; leave --set {SOURCE_SETTING} out.")
    require_device(request.device)
    return method_class, {
        source: method_class.Config.build(settings={**request.settings, SOURCE_SETTING: source})
        for source in request.sources
    }
