"""Protocols: how somebody else evaluated, so that published numbers and ours stand side by side.

A protocol is a card in ``leaderboard/protocols``: data set, split, seeds, cells, scored genes and metrics;
sanity values, which need no method and say whether data and splits are the published ones; published rows.
"""

from benchmark.studies.protocols.card import ProtocolCard, Published, Sanity, list_protocols, load_protocol
from benchmark.studies.protocols.check import Checked, require_agreement, sanity_values
from benchmark.studies.protocols.lines import Line, as_rows, citations, published_boards, published_rows
from benchmark.studies.protocols.recorded import protocol_lines

__all__ = [
    "Checked",
    "Line",
    "ProtocolCard",
    "Published",
    "Sanity",
    "as_rows",
    "citations",
    "list_protocols",
    "load_protocol",
    "protocol_lines",
    "published_boards",
    "published_rows",
    "require_agreement",
    "sanity_values",
]
