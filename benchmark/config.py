"""Hyper-parameters declared once: default, bounds, search range and help in one pydantic field.

The same field is the ``--set`` option, the search space, the logged parameter and the documentation.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from benchmark.errors import BenchmarkError, unknown


def parameter(
    default: Any,
    *,
    help: str,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    search: tuple[float, float] | tuple[Any, ...] | None = None,
    log: bool = False,
) -> Any:
    """Declare one hyper-parameter.

    Parameters
    ----------
    default
        Its value when nothing is said.
    help
        What it does, in one sentence.
    ge, gt, le, lt
        Bounds of the values that are accepted.
    search
        Where tuning looks: (low, high) for numbers, the choices for anything else; None leaves it alone.
    log
        Whether tuning draws numbers on a logarithmic scale.
    """
    extra: dict[str, Any] = {"search": list(search), "log": log} if search is not None else {}
    return Field(default, description=help, ge=ge, gt=gt, le=le, lt=lt, json_schema_extra=extra)


def with_default(parent: type[BaseModel], name: str, default: Any) -> Any:
    """Declare a hyper-parameter of `parent` again with another default; all else stays as it is there."""
    inherited = copy.copy(parent.model_fields[name])
    inherited.default = default
    return inherited


class MethodConfig(BaseModel):
    """The hyper-parameters of a method; `presets` names sets of values that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @classmethod
    def build(cls, preset: str | None = None, settings: Mapping[str, Any] | None = None) -> Self:
        """Take the defaults, then a preset, then single settings; text is read as the field's type.

        Raises
        ------
        BenchmarkError
            For an unknown preset or hyper-parameter, or a value outside its bounds.
        """
        values: dict[str, Any] = {}
        if preset is not None and preset != "default":
            if preset not in cls.presets:
                raise unknown("preset", preset, ["default", *cls.presets])
            values.update(cls.presets[preset])
        for name, value in (settings or {}).items():
            if name not in cls.model_fields:
                raise unknown("hyper-parameter", name, cls.model_fields)
            values[name] = value
        try:
            return cls(**values)
        except ValidationError as error:
            raise BenchmarkError(_sentence(error)) from error

    @classmethod
    def describe(cls, preset: str | None = None) -> list[dict[str, Any]]:
        """One row per hyper-parameter: name, type, value, bounds, search range and help."""
        values = cls.build(preset)
        return [
            {
                "name": name,
                "type": _type_name(field),
                "value": getattr(values, name),
                "bounds": _bounds(field),
                "search": _search(field),
                "help": field.description or "",
            }
            for name, field in cls.model_fields.items()
        ]

    def digest(self) -> str:
        """SHA-256 of the values, written as sorted JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _type_name(field: FieldInfo) -> str:
    """Name the type: "int", the choices of a Literal, the alternatives of a union."""
    if get_origin(field.annotation) is Literal:
        return " | ".join(map(str, get_args(field.annotation)))
    return getattr(field.annotation, "__name__", None) or str(field.annotation).replace("typing.", "")


def _search(field: FieldInfo) -> str:
    """Where tuning looks: "64 to 256 (log)", the choices, or nothing."""
    extra = field.json_schema_extra
    if not isinstance(extra, dict) or not isinstance(extra.get("search"), list):
        return ""
    places: list[Any] = extra["search"]  # type: ignore[assignment]
    if not all(isinstance(place, int | float) for place in places):
        return " | ".join(map(str, places))
    low, high = places
    return f"{low:g} to {high:g}" + (" (log)" if extra["log"] else "")


def _bounds(field: FieldInfo) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = [
        f"{sign} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join(found)


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "the configuration"
    rule = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"Hyper-parameter '{name}' {rule}, but {first['input']!r} was given; choose another value."
