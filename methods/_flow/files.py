"""Files of tensors that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save_whole(state: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values to `path` in one move, so that a killed process leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(state, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
