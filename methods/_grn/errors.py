"""What the features refuse; whoever runs them turns it into the harness's own error."""

from __future__ import annotations


class SourceError(ValueError):
    """An attention source cannot be used as it is: one sentence that says what to do."""
