"""Values that print as the call that made them.

A `Call` is a factory's name with all its arguments. Two equal calls are equal and hash equal, so an
optimizer that is built again is the same static argument to `jax.jit`; `repr` of a call evaluates
to an equal value. Where an argument cannot be compared (an array, a tracer), identity decides.
"""

import dataclasses
import functools
import inspect
import numbers
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, dataclass_transform

import numpy as np

from adaptax.core import checks, registry

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Call:
    """A factory's name and its arguments, defaults included."""

    name: str
    positional: tuple[Any, ...]
    named: dict[str, Any]

    @functools.cached_property
    def key(self) -> Hashable:
        return (self.name, _key(self.positional), _key(self.named))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        shown = [_show(value) for value in self.positional]
        shown += [f"{name}={_show(value)}" for name, value in self.named.items()]
        return f"{self.name}({', '.join(shown)})"


def rebuild(call: Call) -> Any:
    """What the call makes, by the registry; how values are unpickled."""
    return registry.lookup(call.name)(*call.positional, **call.named)


class _Same:
    """Equal only to itself: stands for what cannot be compared."""

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _key(value: Any) -> Hashable:
    if isinstance(value, dict):
        return ("dict", frozenset((k, _key(v)) for k, v in value.items()))
    if type(value) in (list, tuple):  # a transformation is a tuple too, with an equality of its own
        return (type(value).__name__, *map(_key, value))
    if isinstance(value, np.ndarray) or type(value).__hash__ is None or hasattr(value, "aval"):
        return _Same(value)
    try:
        hash(value)
    except TypeError:
        return _Same(value)
    return value


def _show(value: Any) -> str:
    if inspect.isfunction(value):
        return value.__qualname__
    return repr(value)


def plain(value: Any) -> Any:
    """Arguments in their one standard form: Python numbers, dtype names, tuples."""
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    if type(value).__name__ == "_ScalarMeta":  # jnp.bfloat16 and its like
        return np.dtype(value).name
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.generic):
        return value.item() if isinstance(value.item(), int | float | str) else float(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool | int | float):
        return float(value)
    if type(value) is list:
        return [plain(v) for v in value]
    if type(value) is tuple:
        return tuple(plain(v) for v in value)
    if type(value) is dict:
        return {k: plain(v) for k, v in value.items()}
    return value


def factory(kind: str, wrap: Callable[[Any, Call], T]) -> Callable[[Callable], Callable[..., T]]:
    """A decorator for factories: checks the arguments, records the call, registers the name.

    `wrap(made, call)` turns what the factory made into the value that the user holds.
    """

    def decorate(make: Callable[..., Any]) -> Callable[..., T]:
        signature = inspect.signature(make)
        name = make.__name__

        @functools.wraps(make)
        def build(*args: Any, **kwargs: Any) -> T:
            bound = _bind(name, signature, args, kwargs)
            for argument, value in bound.arguments.items():
                # of a schedule's arguments a list is a sequence; elsewhere it is a tree of its own
                row = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim == 1)
                value = tuple(value) if kind == "schedule" and row else value
                bound.arguments[argument] = plain(value)
            checks.arguments(name, bound.arguments)
            return wrap(make(*bound.args, **bound.kwargs), _call(name, signature, bound))

        build.__doc__ = checks.documented(make.__doc__, signature, name)
        registry.register(kind, name, build)
        return build

    return decorate


def _bind(name: str, signature: inspect.Signature, args: tuple, kwargs: dict) -> Any:
    for given in kwargs:
        takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        if given not in signature.parameters and not takes_any:
            raise TypeError(
                f"{name}() has no argument {given!r:.80}; "
                + registry.nearest(given, signature.parameters)
            )
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"{name}(): {error}; the call is {name}{signature_text(signature)}"
        ) from None
    bound.apply_defaults()
    return bound


def signature_text(signature: inspect.Signature) -> str:
    """The signature without annotations, which say little and take much room."""
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(bare))


def _call(name: str, signature: inspect.Signature, bound: inspect.BoundArguments) -> Call:
    positional: tuple[Any, ...] = ()
    named: dict[str, Any] = {}
    for argument, value in bound.arguments.items():
        if signature.parameters[argument].kind is inspect.Parameter.VAR_POSITIONAL:
            positional = tuple(value)
        else:
            named[argument] = value
    return Call(name, positional, named)


@dataclass_transform(frozen_default=True)
def part(cls: type[T]) -> type[T]:
    """A class decorator: a frozen value of the algebra, with the same laws as a call.

    Example::

        @part
        class Median: ...
    """
    own_check = cls.__dict__.get("__post_init__")

    def check(self: Any) -> None:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        checks.arguments(type(self).__name__, fields)
        for name in ("inner", "accumulator"):
            if name in fields and not hasattr(fields[name], "absorb"):
                raise TypeError(f"{self!r}: {name} must be a part of the algebra that absorbs")
        if own_check is not None:
            own_check(self)

    cls.__post_init__ = check  # type: ignore[attr-defined]
    made = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)

    def call(self: Any) -> Call:
        fields = {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return Call(type(self).__name__, (), fields)

    def equal(self: Any, other: Any) -> bool:
        return type(self) is type(other) and self.call == other.call

    made.call = property(call)  # type: ignore[attr-defined]
    made.__eq__ = equal  # type: ignore[method-assign,assignment]
    made.__hash__ = lambda self: hash(self.call)  # type: ignore[attr-defined]
    made.__repr__ = lambda self: repr(self.call)  # type: ignore[attr-defined]
    return made


def registered(cls: type[T]) -> type[T]:
    """Enter a part in the closed registry, so that configs and text may name it."""
    registry.register("part", cls.__name__, cls)
    return cls
