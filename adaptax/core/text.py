"""Calls from text, without `eval`: "adamw(0.001, weight_decay=0.01)" to the value.

Only literals, tuples, lists, dicts and calls of registered names are read.
"""

import ast
import warnings
from typing import Any

from adaptax.core import registry

_LONGEST = 10_000


def parse(text: str) -> Any:
    """The value that the text of a call describes.

    Args:
      text: one call of a registered name, as `repr` of a value prints it.

    Raises:
      ValueError: not a call, or a name that is not registered; the nearest names are given.
      TypeError: an argument that the factory does not take.

    Example::

        >>> import adaptax
        >>> adaptax.parse("adamw(0.001)") == adaptax.adamw(0.001)
        True
    """
    name, args, kwargs = call(text)
    return registry.lookup(name)(*args, **kwargs)


def call(text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """The name and arguments of a call, inner calls made; a bare name is a call without any."""
    node = _expression(text)
    if isinstance(node, ast.Name):
        registry.lookup(node.id)
        return node.id, (), {}
    if not isinstance(node, ast.Call):
        raise ValueError(f"{_shown(text)} is not a call such as 'adamw(0.001)'")
    try:
        return _parts(node, text)
    except RecursionError:
        raise ValueError(f"{_shown(text)} is nested too deeply") from None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:200] + "…")


def _expression(text: str) -> ast.expr:
    if not isinstance(text, str):
        raise TypeError(f"text is expected, not {text!r}")
    if len(text) > _LONGEST:
        raise ValueError(f"text of {len(text)} characters; at most {_LONGEST} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{_shown(text)} does not read as a call such as 'adamw(0.001)'") from None


def _parts(node: ast.Call, text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    if not isinstance(node.func, ast.Name):
        raise ValueError(
            f"{_shown(text)}: only plain names are called, not {ast.unparse(node.func)!r}"
        )
    registry.lookup(node.func.id)
    named = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError(f"{_shown(text)}: '**' is not read; write the arguments out")
        if keyword.arg in named:
            raise ValueError(f"{_shown(text)}: {keyword.arg!r} is given twice")
        named[keyword.arg] = _value(keyword.value, text)
    return node.func.id, tuple(_value(a, text) for a in node.args), named


def _value(node: ast.expr, text: str) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            return node.value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Name(id="inf" | "nan"):
            return float(node.id)
        case ast.Tuple():
            return tuple(_value(e, text) for e in node.elts)
        case ast.List():
            return [_value(e, text) for e in node.elts]
        case ast.Dict() if None not in node.keys:
            keys = [_value(k, text) for k in node.keys if k is not None]
            if not all(isinstance(k, str | int | float) for k in keys):
                raise ValueError(f"{_shown(text)}: keys of a dict are text or numbers")
            return dict(zip(keys, (_value(v, text) for v in node.values), strict=True))
        case ast.Call():
            name, args, kwargs = _parts(node, text)
            return registry.lookup(name)(*args, **kwargs)
    raise ValueError(
        f"{_shown(text)}: {_shown(ast.unparse(node))} is not read; "
        "use numbers, text, tuples, lists, dicts and calls"
    )
