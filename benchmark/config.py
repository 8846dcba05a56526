"""Hyper-parameters declared once: default, bounds, search range and help in one pydantic field.

The same field is the ``--set`` option, the search space, the logged parameter and the documentation.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
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
    budget: bool = False,
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
        Where tuning looks: two numbers are a range, ends included; anything else is a list of choices. None
        leaves it alone.
    log
        Whether tuning draws from a range on a logarithmic scale.
    budget
        Whether it says how long training takes, and is multiplied where another budget is asked for.
    """
    extra: dict[str, Any] = {"search": list(search), "log": log} if search is not None else {}
    if budget:
        extra["budget"] = True
    return Field(default, description=help, ge=ge, gt=gt, le=le, lt=lt, json_schema_extra=extra)


def with_default(parent: type[BaseModel], name: str, default: Any) -> Any:
    """Declare a hyper-parameter of `parent` again with another default; all else stays as it is there."""
    inherited = copy.copy(parent.model_fields[name])
    inherited.default = default
    return inherited


@dataclass(frozen=True)
class Range:
    """Numbers among which tuning looks: whole ones, or all between two ends."""

    low: float
    high: float
    log: bool
    whole: bool

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (" (log)" if self.log else "")


@dataclass(frozen=True)
class Choices:
    """Values among which tuning looks."""

    values: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return " | ".join(map(str, self.values))


class MethodConfig(BaseModel):
    """The hyper-parameters of a method; `presets` names sets of values that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @property
    def remark(self) -> str:
        """What a board has to say of this configuration beside its name, such as "no pretraining"."""
        return ""

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
                "search": str(_search(field) or ""),
                "help": field.description or "",
            }
            for name, field in cls.model_fields.items()
        ]

    @classmethod
    def searches(cls) -> dict[str, Range | Choices]:
        """Where tuning looks, for the hyper-parameters that declare it."""
        places = {name: _search(field) for name, field in cls.model_fields.items()}
        return {name: place for name, place in places.items() if place is not None}

    def at_budget(self, factor: float) -> Self:
        """Return the same configuration with a part, or a multiple, of its training.

        Parameters
        ----------
        factor
            What every hyper-parameter that is declared with ``budget=True`` is multiplied with; rounded, and
            1 at least.

        Raises
        ------
        BenchmarkError
            Where none is, or a value would be outside its bounds.
        """
        names = [name for name, field in type(self).model_fields.items() if _is_budget(field)]
        if not names:
            raise BenchmarkError(
                "This method has no length of training that a budget could change; leave out --budget."
            )
        values = self.model_dump()
        return self.build(None, values | {name: max(1, round(factor * values[name])) for name in names})

    def digest(self) -> str:
        """SHA-256 of the values, written as sorted JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _type_name(field: FieldInfo) -> str:
    """Name the type: "int", the choices of a Literal, the alternatives of a union."""
    if get_origin(field.annotation) is Literal:
        return " | ".join(map(str, get_args(field.annotation)))
    return getattr(field.annotation, "__name__", None) or str(field.annotation).replace("typing.", "")


def _search(field: FieldInfo) -> Range | Choices | None:
    extra = field.json_schema_extra
    if not isinstance(extra, dict) or not isinstance(extra.get("search"), list):
        return None
    places: list[Any] = extra["search"]  # type: ignore[assignment]
    kinds = {kind for kind in (field.annotation, *get_args(field.annotation)) if kind in (int, float)}
    if len(places) == 2 and kinds:
        return Range(places[0], places[1], log=bool(extra["log"]), whole=float not in kinds)
    return Choices(tuple(places))


def _is_budget(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("budget"))


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
