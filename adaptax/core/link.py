"""Links with one hyperparameter: a number keeps no state, a schedule keeps its step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from adaptax.core import numerics
from adaptax.core.step import Step
from adaptax.core.transformation import Transformation


class LinkState(NamedTuple):
    """State of a link whose hyperparameter is a schedule; `()` where it is a number."""

    step: jax.Array  # int32[], the number of updates made


def link(
    hyper: Any,
    apply: Callable[[Any, Any, Any], Any],
    check: Callable[[Any], None] | None = None,
) -> Transformation:
    """`updates ← apply(updates, params, value of hyper now)`; `check(params)` runs in `init`."""

    def init(params: Any) -> Any:
        if check is not None:
            check(params)
        return LinkState(jnp.zeros((), jnp.int32)) if callable(hyper) else ()

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        if not callable(hyper):
            number = hyper if isinstance(hyper, int | float) else jnp.asarray(hyper)
            return apply(updates, params, number), state
        now = Step(state.step).number(hyper)
        return apply(updates, params, now), LinkState(numerics.increment(state.step))

    return Transformation(init, update)
