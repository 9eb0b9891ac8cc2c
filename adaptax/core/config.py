"""Values to plain JSON types and back: `to_config` and `from_config`.

A value becomes `{"name": ..., "arguments": {...}}`. Names are looked up in the closed registry,
and arguments go through the factory's own checks: a config can do no more than a call.
"""

import dataclasses
import math
from typing import Any

from adaptax.core import registry
from adaptax.core.calls import Call


def to_config(value: Any) -> dict[str, Any]:
    """The call that makes `value`, as a dict of JSON types.

    Args:
      value: a transformation, schedule or part of the algebra.

    Raises:
      TypeError: an argument is a function, array or other object that no call describes.

    Example::

        >>> import adaptax
        >>> adaptax.to_config(adaptax.clip(1.0))
        {'name': 'clip', 'arguments': {'max_delta': 1.0}}
    """
    call = getattr(value, "call", None)
    if not isinstance(call, Call):
        raise TypeError(f"{value!r} was not made by a registered factory and has no config")
    return _encode_call(call, value)


def _encode_call(call: Call, value: Any) -> dict[str, Any]:
    # a part of the user's own may bear a registered name; its config would make another value
    if dataclasses.is_dataclass(value) and not registry.has(call.name, type(value)):
        raise TypeError(f"{value!r} is a part of your own, which no config can name")
    arguments = {
        name: _encode(argument, f"{call.name}({name}=...)") for name, argument in call.named.items()
    }
    config: dict[str, Any] = {"name": call.name, "arguments": arguments}
    if call.positional:
        config["positional"] = [_encode(v, f"{call.name}(...)") for v in call.positional]
    return config


def _encode(value: Any, where: str) -> Any:
    call = getattr(value, "call", None)
    if isinstance(call, Call):
        return _encode_call(call, value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is list:
        return [_encode(v, where) for v in value]
    if type(value) is tuple:
        return {"tuple": [_encode(v, where) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[_encode(k, where), _encode(v, where)] for k, v in value.items()]}
    raise TypeError(
        f"{where}: {value!r} has no config; use a number, text, or a value made by adaptax"
    )


def from_config(config: dict[str, Any]) -> Any:
    """The value that `to_config` described.

    Args:
      config: a dict with the keys "name" and "arguments" (and "positional" for `chain`).

    Raises:
      ValueError: an unknown name or key, or an argument out of range.
      TypeError: not such a dict, or an argument of the wrong type.

    Example::

        >>> import adaptax
        >>> tx = adaptax.adamw(1e-3)
        >>> adaptax.from_config(adaptax.to_config(tx)) == tx
        True
    """
    try:
        return _build(config)
    except RecursionError:
        raise ValueError("the config is nested too deeply") from None


def _build(config: Any) -> Any:
    if not isinstance(config, dict):
        raise TypeError(f"a config is a dict with 'name' and 'arguments', not {str(config)[:200]}")
    unknown = set(config) - {"name", "arguments", "positional"}
    if unknown or not {"name", "arguments"} <= set(config):
        raise ValueError(
            "a config has 'name' and 'arguments' (and 'positional'), not "
            f"{sorted(config, key=str)!s:.200}"
        )
    name, named, positional = config["name"], config["arguments"], config.get("positional", [])
    kinds = isinstance(name, str), isinstance(named, dict), isinstance(positional, list)
    if not all(kinds) or not all(isinstance(argument, str) for argument in named):
        raise TypeError(
            f"config {str(config)[:200]}: 'name' is text, 'arguments' a dict with text as keys, "
            "'positional' a list"
        )
    make = registry.lookup(name)
    return make(*map(_decode, positional), **{k: _decode(v) for k, v in named.items()})


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"float"} and value["float"] in ("inf", "-inf", "nan"):
        return float(value["float"])
    if set(value) == {"tuple"} and isinstance(value["tuple"], list):
        return tuple(_decode(v) for v in value["tuple"])
    if set(value) == {"dict"}:
        return _decode_dict(value["dict"])
    return _build(value)


def _decode_dict(pairs: Any) -> dict[Any, Any]:
    listed = isinstance(pairs, list) and all(isinstance(p, list) and len(p) == 2 for p in pairs)
    if not listed or not all(isinstance(k, str | int | float) for k, _ in pairs):
        raise ValueError(f"config {str(pairs)[:200]}: a dict is a list of [key, value] pairs")
    return {k: _decode(v) for k, v in pairs}
