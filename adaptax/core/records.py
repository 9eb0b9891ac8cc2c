"""Frozen values as JSON and back: what a results file holds is checked field by field.

JSON has no way to write numbers that are not finite; they are kept as the texts "NaN", "Infinity"
and "-Infinity". A field with a default may be missing, so that older files can be read.
"""

import dataclasses
import math
import types
import typing
from typing import Any

from adaptax.core.shown import printable

_LARGEST = 2**63 - 1
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def plain(value: Any) -> Any:
    """JSON types only, with numbers that are not finite as text."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def build(kind: Any, value: Any, where: str) -> Any:
    """`value` as the type that a field declares, or a `ValueError` that names the field."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build_fields(kind, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(build(arguments[0], each, f"{where}[{i}]") for i, each in enumerate(value))
    if origin is dict and isinstance(value, dict):
        places = {key: f"{where}.{printable(key)}" for key in value}
        return {key: build(arguments[1], value[key], at) for key, at in places.items()}
    if origin is types.UnionType:
        if value is None:
            return None
        return build(arguments[0], value, where)
    if kind is float and isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if kind is int and type(value) is int and abs(value) > _LARGEST:
        raise ValueError(f"{where} is {value!r:.80}, beyond 64 bits")
    if kind is Any or (type(value) is kind):
        return value
    raise ValueError(f"{where} is {value!r:.80}, expected {getattr(kind, '__name__', kind)}")


def _build_fields(kind: type, value: Any, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    given = set(value) if isinstance(value, dict) else set()
    wrong = sorted((given - set(hints)) | (_needed(kind) - given))
    if wrong or not isinstance(value, dict):
        raise ValueError(
            f"{where} is no {kind.__name__}: missing or unknown "
            f"{printable(', '.join(wrong))[:200] or 'fields'}"
        )
    made = {
        name: build(hints[name], value[name], f"{where}.{name}") for name in hints if name in given
    }
    try:
        return kind(**made)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _needed(kind: type) -> set[str]:
    return {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
