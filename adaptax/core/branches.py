"""Branches of which one alone is computed."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.core
from jax import lax

T = TypeVar("T")


def either(condition: jax.Array, then: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """`then()` or `otherwise()`, which give alike trees; where the condition is known, no tracing.

    Outside of compiled code `lax.cond` would trace and compile both branches at every call.
    """
    if not isinstance(condition, jax.core.Tracer):
        return then() if bool(condition) else otherwise()
    return lax.cond(condition, then, otherwise)
