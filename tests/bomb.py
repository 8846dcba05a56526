"""What a file of weights or words may hide: something that runs where it is unpickled."""

from __future__ import annotations

from pathlib import Path


class Bomb:
    """Creates a file when it is unpickled, so that a test sees whether anything was run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)
