"""Rates for another batch size than the one they were found for."""

import math
from typing import Any

import jax.core

from adaptax.core import checks
from adaptax.core.checks import NONNEGATIVE, Argument, Range
from adaptax.rates.arithmetic import product_of

_RATE = Argument(
    "the rate for base_batch_size; of a controller, scale the base", NONNEGATIVE, schedule=True
)
_SIZE = Argument("examples in an update", Range(1, 2.0**53), whole=True)
_BASE = Argument("examples in an update that the rate was found for", Range(1, 2.0**53), whole=True)
_RULE = Argument(
    "linear for SGD, sqrt for Adam and other adaptive methods", choices=("linear", "sqrt")
)


def scaled_for_batch(rate: Any, batch_size: int, base_batch_size: int, rule: str) -> Any:
    """The rate for one batch size from the rate found for another.

        η = κ η₀ (linear) or √κ η₀ (sqrt),  κ = batch_size/base_batch_size

    For SGD use "linear": κ small steps become one. For Adam and other adaptive methods use "sqrt",
    which keeps the noise of the steps. Both hold while batches are small against the critical batch
    size, and a large κ needs a warm-up. For Adam the rule also takes 1 − β to κ(1 − β) for both
    decays and ε to ε/√κ, which is left to you. A schedule is only multiplied: make it for the new
    number of steps first, as by `with_horizon`.

    Args:
      rate: the rate for `base_batch_size`, per update: a number in [0, inf) or a schedule. A
        controller is scaled through its base: `plateau(scaled_for_batch(…))`.
      batch_size: examples in an update, on all devices together; a whole number in [1, 2⁵³).
      base_batch_size: examples in an update that the rate was found for; the same.
      rule: "linear" or "sqrt".

    Returns:
      A number for a number; for a schedule the schedule `product_of(factor, rate)`.

    Raises:
      TypeError, ValueError: an argument that is not of these; the message names it.

    Source: linear: Goyal et al., arXiv 1706.02677, section 2.1. sqrt: Krizhevsky, arXiv 1404.5997;
    Hoffer et al., arXiv 1705.08741; for adaptive methods Malladi et al., arXiv 2205.10287.

    Example::

        >>> import adaptax
        >>> adaptax.scaled_for_batch(0.1, 1024, 256, "linear")
        0.4
        >>> adaptax.scaled_for_batch(adaptax.cosine(0.1, 100), 1024, 256, "sqrt")
        product_of(2.0, cosine(peak=0.1, steps=100, end=0.0))
    """
    where = "scaled_for_batch"
    checks.argument(where, "rate", rate, _RATE)
    checks.argument(where, "batch_size", batch_size, _SIZE)
    checks.argument(where, "base_batch_size", base_batch_size, _BASE)
    checks.argument(where, "rule", rule, _RULE)
    ratio = float(batch_size) / float(base_batch_size)
    factor = ratio if rule == "linear" else math.sqrt(ratio)
    if callable(rate):
        return product_of(factor, rate)
    return factor * (rate if isinstance(rate, jax.core.Tracer) else float(rate))
