"""Values to plain JSON types and back: `to_config` and `from_config`.

A value becomes `{"name": ..., "arguments": {...}}`. Names are looked up in the closed registry,
and arguments go through the factory's own checks: a config can do no more than a call.
"""

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
    return _encode_call(call)


def _encode_call(call: Call) -> dict[str, Any]:
    registry.lookup(call.name)
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
        return _encode_call(call)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) in (tuple, list):
        return [_encode(v, where) for v in value]
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
    if not isinstance(config, dict):
        raise TypeError(f"a config is a dict with 'name' and 'arguments', not {config!r}")
    unknown = set(config) - {"name", "arguments", "positional"}
    if unknown or not {"name", "arguments"} <= set(config):
        raise ValueError(
            f"a config has 'name' and 'arguments' (and 'positional'), not {sorted(config, key=str)}"
        )
    name, named, positional = config["name"], config["arguments"], config.get("positional", [])
    if not isinstance(name, str) or not isinstance(named, dict) or not isinstance(positional, list):
        raise TypeError(
            f"config {config!r}: 'name' is text, 'arguments' a dict, 'positional' a list"
        )
    make = registry.lookup(name)
    return make(*map(_decode, positional), **{k: _decode(v) for k, v in named.items()})


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decode(v) for v in value)
    if isinstance(value, dict):
        if set(value) == {"float"} and value["float"] in ("inf", "-inf", "nan"):
            return float(value["float"])
        if set(value) == {"dict"} and isinstance(value["dict"], list):
            return {_decode(k): _decode(v) for k, v in value["dict"]}
        return from_config(value)
    return value
