"""Data as short text: deflated, then base64, which no HTML parser can misread."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

LARGEST = 65504.0
"""Of half precision."""


def packed_json(content: Mapping[str, Any]) -> str:
    """Pack an object; NaN is refused, because JSON has none."""
    return _packed(json.dumps(content, separators=(",", ":"), allow_nan=False).encode())


def packed_halves(values: np.ndarray) -> str:
    """Pack numbers in half precision, three digits of each, all low bytes after all high ones.

    NaN stays NaN, and what is beyond half precision becomes its largest number.
    """
    halves = np.clip(values, -LARGEST, LARGEST).astype("<f2").ravel().view(np.uint8).reshape(-1, 2)
    return _packed(halves[:, ::-1].T.tobytes())


def short(value: float | None) -> float | None:
    """Four significant digits, as many as anybody reads."""
    return None if value is None else float(f"{value:.4g}")


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()
