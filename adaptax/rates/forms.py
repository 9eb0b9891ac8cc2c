"""What the closed forms of schedules are made of: whole steps, shares of a length, exact powers.

A step has 31 bits and a float32 holds 24. So distances are subtracted as integers before they
become floats, and an exponent k·log₂(rate) is never held in one float: its integer part, its first
fractional bits and the rest are summed apart, each of them exactly or as good as.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax import lax

from adaptax.core import checks, numerics
from adaptax.core.checks import Argument, Range

LAST = np.iinfo(np.int32).max
"""The last step: counters stay there."""

_DIGITS = 2.0 ** np.array([0, 8, 16, 24])
_HIGH = 2.0**14  # a digit of 8 bits times a high part of 14 is exact in float32, and so is the sum
_FAR = 2.0**20  # no float reaches this exponent, and four digits times it still are an int32


def counter(step: Any) -> Any:
    """The step as int32, of any shape; below 0 it is 0, above `LAST` it is `LAST`.

    Raises:
      TypeError: a step that is not of an integer type.
    """
    if isinstance(step, int):
        step = max(0, min(step, LAST))
    lazy = isinstance(step, jax.Array) or hasattr(step, "__jax_array__")
    whole = jnp.asarray(step) if lazy else np.asarray(step)
    if not jax.numpy.issubdtype(whole.dtype, np.integer):
        raise TypeError(
            f"a schedule is called with a whole step or an integer array of steps, not {step!r}; "
            "for many steps use numpy.arange"
        )
    most = min(LAST, int(jnp.iinfo(whole.dtype).max))
    return whole.clip(0, most).astype(np.int32)


def whole(where: str, name: str, value: Any, meaning: str, least: int = 1) -> int:
    """A number of steps as an int, or an error: the length of a schedule is never traced."""
    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"{where}({name}={value!r}): {name} must be known when the schedule is made; "
            "a traced value has no number yet"
        )
    spec = Argument(meaning, Range(least, 2.0**31), whole=True)
    if isinstance(value, float) and not math.isfinite(value):  # neither whole nor not
        raise ValueError(f"{where}({name}={value!r}): {name} must be {spec.allowed()}: {meaning}")
    checks.argument(where, name, value, spec)
    return int(value)


def of_steps(formula: Callable[[Any, Any], jax.Array]) -> Callable[[Any], jax.Array]:
    """formula(k, dtype) as a function of any step.

    It is compiled, because a step must give the same bits alone, in an array of steps and inside
    a larger program; operations run one by one round where a compiled program need not.
    """
    program = jax.jit(lambda k: formula(k, numerics.scalar_dtype()), inline=True)
    return lambda step: program(counter(step))


def known(value: Any) -> Any:
    """A concrete number as a float; a traced one as it is."""
    return value if isinstance(value, jax.core.Tracer) else float(value)


def scalar(value: Any, dtype: Any) -> Any:
    """A number to compute with: a float as it is, a traced one in `dtype`."""
    return value if isinstance(value, float) else jnp.asarray(value).astype(dtype)


def ordered(where: str, low_name: str, low: Any, high_name: str, high: Any) -> None:
    """Refuse a floor above what falls to it."""
    ends = known(low), known(high)
    if all(isinstance(each, float) for each in ends) and ends[0] > ends[1]:
        raise ValueError(
            f"{where}({low_name}={low!r}, {high_name}={high!r}): {low_name} must be at most "
            f"{high_name}"
        )


def is_zero(value: Any) -> bool:
    """Whether a number is known to be zero."""
    return isinstance(value, float) and value == 0


def share(count: jax.Array, steps: int, dtype: Any) -> jax.Array:
    """count/steps; exactly 1 from `steps` on."""
    return jnp.where(count >= steps, jnp.ones((), dtype), count.astype(dtype) * (1.0 / steps))


def blend(start: Any, end: Any, left: Any, done: Any) -> Any:
    """start·left + end·done, where a zero costs nothing.

    Of two products the compiler fuses either with the sum, another one in another program; through
    a `where` it does not, so that the bits are the same in all.
    """
    if is_zero(end):
        return start * left
    if is_zero(start):
        return end * done
    return start * left + jnp.where(done > 0, end * done, jnp.zeros_like(done))


def level(value: Any) -> Callable[[Any, Any], jax.Array]:
    """The same value at every step."""
    return lambda k, dtype: jnp.full(k.shape, scalar(value, dtype), dtype)


def line(start: Any, end: Any, steps: int) -> Callable[[Any, Any], jax.Array]:
    """From `start` to `end`; `end` at once where there are no steps."""
    if steps == 0:
        return level(end)
    known_ends = isinstance(start, float) and isinstance(end, float)
    if known_ends and min(start, end) < 0 < max(start, end):
        return _crossing(start, end, steps)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        k = jnp.minimum(k, steps)
        left, done = share(steps - k, steps, dtype), share(k, steps, dtype)
        return blend(scalar(start, dtype), scalar(end, dtype), left, done)

    return at


def _crossing(start: float, end: float, steps: int) -> Callable[[Any, Any], jax.Array]:
    """The line through zero, as slope times the distance to the zero: two terms would cancel."""
    zero = Fraction(start) * steps / (Fraction(start) - Fraction(end))
    near = round(zero)
    rest, span = float(zero - near), end - start

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        distance = (jnp.minimum(k, steps) - near).astype(dtype) - rest
        return span * (distance * (1.0 / steps))

    return at


def quarter(count: jax.Array, steps: int, dtype: Any) -> jax.Array:
    """sin²(π/2 · count/steps); exactly 1 from `steps` on."""
    sine = jnp.sin(count.astype(dtype) * (np.pi / 2 / steps))
    return jnp.where(count >= steps, jnp.ones((), dtype), sine * sine)


def half_period(peak: Any, end: Any, steps: int) -> Callable[[Any, Any], jax.Array]:
    """From `peak` to `end` along half a cosine; `end` at once where there are no steps."""
    if steps == 0:
        return level(end)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        k = jnp.minimum(k, steps)
        left, done = quarter(steps - k, steps, dtype), quarter(k, steps, dtype)
        return blend(scalar(peak, dtype), scalar(end, dtype), left, done)

    return at


def geometric(start: Any, end: Any, steps: int) -> Callable[[Any, Any], jax.Array]:
    """From `start` to `end` by equal factors; `end` at once where there are no steps."""
    if steps == 0:
        return level(end)
    known_ends = isinstance(start, float) and isinstance(end, float)
    inside = growth(end / start, steps) if known_ends else None

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        k = jnp.minimum(k, steps)
        first, last = scalar(start, dtype), scalar(end, dtype)
        grow = inside or growth(jnp.asarray(last / first, dtype), steps)
        return jnp.where(k >= steps, jnp.asarray(last, dtype), grow(k, first, dtype))

    return at


def one_minus_root(peak: Any, end: Any, steps: int) -> Callable[[Any, Any], jax.Array]:
    """From `peak` to `end` as 1 − √(k/steps), which is (the part left)/(1 + √(k/steps))."""
    if steps == 0:
        return level(end)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        k = jnp.minimum(k, steps)
        root = jnp.sqrt(share(k, steps, dtype))
        left = share(steps - k, steps, dtype) / (1 + root)
        return blend(scalar(peak, dtype), scalar(end, dtype), left, root)

    return at


RISES = {"linear": line, "exponential": geometric, "cosine": half_period}
DECAYS = {"1-sqrt": one_minus_root, **RISES}


def named(
    where: str, name: str, shape: Any, among: dict[str, Any], start: Any, end: Any, steps: int
) -> Callable[[Any, Any], jax.Array]:
    """The form that a shape names, from `start` to `end`.

    Raises:
      TypeError, ValueError: no such shape, or ends that are not on one side of zero where the
        shape multiplies.
    """
    checks.argument(where, name, shape, Argument("a form of the curve", choices=tuple(among)))
    known_ends = isinstance(start, float) and isinstance(end, float)
    one_side = not known_ends or start > 0 < end or start < 0 > end
    if shape == "exponential" and steps > 0 and not one_side:
        raise ValueError(
            f"{where}({name}='exponential'): between {start!r} and {end!r} lies 0, which no factor "
            "reaches or leaves; give it ends above 0, such as a thousandth of the peak"
        )
    return among[shape](start, end, steps)


@dataclasses.dataclass(frozen=True)
class Split:
    """Exponents in three parts that sum to them: whole, a multiple of 2⁻¹⁴, the rest."""

    whole: Any
    high: Any
    low: Any

    @staticmethod
    def of(exponents: np.ndarray) -> "Split":
        whole = np.round(exponents)
        rest = exponents - whole
        high = np.round(rest * _HIGH) / _HIGH
        return Split(np.clip(whole, -_FAR, _FAR).astype(np.int32), high, rest - high)

    def at(self, index: jax.Array, dtype: Any) -> "Split":
        """One entry of a table of exponents."""
        high, low = (jnp.asarray(part.astype(dtype)) for part in (self.high, self.low))
        return Split(jnp.asarray(self.whole)[index], high[index], low[index])

    def plus(self, other: "Split", low: Any) -> "Split":
        return Split(self.whole + other.whole, self.high + other.high, self.low + other.low + low)

    def power(self, scale: Any, dtype: Any) -> jax.Array:
        """scale · 2^exponent, the power in two factors: one would overflow before the product."""
        carry = jnp.round(self.high + self.low)
        fraction = (self.high - carry) + self.low
        info = jnp.finfo(dtype)
        exponent = self.whole + carry.astype(np.int32)
        exponent = jnp.clip(exponent, 2 * int(info.minexp), 2 * (int(info.maxexp) - 1))
        half = exponent >> 1
        return scale * _two_to(half, dtype) * jnp.exp2(fraction) * _two_to(exponent - half, dtype)


def _two_to(exponent: jax.Array, dtype: Any) -> jax.Array:
    """2^exponent of a normal number, by its bits: `exp2` is not exact on whole numbers."""
    info = jnp.finfo(dtype)
    bits = np.dtype(f"int{info.bits}")
    biased = (exponent + (int(info.maxexp) - 1)).astype(bits)
    return lax.bitcast_convert_type(biased << info.nmant, np.dtype(dtype))


def growth(rate: Any, steps: int) -> Callable[[jax.Array, Any, Any], jax.Array]:
    """(k, scale, dtype) -> scale · rate^(k/steps): four digits of k, each with its exponent.

    A traced rate is raised in floating point.
    """
    if not isinstance(rate, float):
        return lambda k, scale, dtype: (
            scale * scalar(rate, dtype) ** (k.astype(dtype) * (1.0 / steps))
        )
    parts = Split.of(math.log2(rate) / steps * _DIGITS)

    def at(k: jax.Array, scale: Any, dtype: Any) -> jax.Array:
        digits = [(k >> shift) & 255 for shift in (0, 8, 16, 24)]
        floats = [digit.astype(dtype) for digit in digits]
        high, low = _dot(floats, parts.high), _dot(floats, parts.low)
        return Split(_dot(digits, parts.whole), high, low).power(scale, dtype)

    return at


def _dot(digits: Sequence[jax.Array], numbers: np.ndarray) -> jax.Array:
    products = [d * n.item() for d, n in zip(digits, numbers, strict=True)]
    return functools.reduce(operator.add, products)


def power(exponent: Any, unit: int) -> Callable[[jax.Array, Any, Any], jax.Array]:
    """(n, scale, dtype) -> scale · (n/unit)^exponent for n ≥ 1; `scale` at `unit`.

    With n = 2ᵉ(1 + i/128)(1 + d) the logarithm is two entries of tables and log(1 + d), d < 1/128;
    the float power of XLA is exp(exponent·log(n/unit)), wrong by the size of that exponent. It is
    what a traced exponent gets.
    """
    if not isinstance(exponent, float):
        return lambda n, scale, dtype: (
            scale * (n.astype(dtype) * (1.0 / unit)) ** scalar(exponent, dtype)
        )
    octaves = Split.of(exponent * (np.arange(31) - math.log2(unit)))
    parts = Split.of(exponent * np.log2(1 + np.arange(128) / 128))

    def at(n: jax.Array, scale: Any, dtype: Any) -> jax.Array:
        zeros = lax.clz(jnp.maximum(n, 1)) - 1
        bits = n << zeros  # the first 1 is bit 30
        i, rest = (bits >> 23) & 127, bits & (2**23 - 1)
        d = rest.astype(dtype) / ((i + 128) << 23).astype(dtype)
        low = (exponent / math.log(2)) * jnp.log1p(d)
        split = octaves.at(30 - zeros, dtype).plus(parts.at(i, dtype), low)
        return jnp.where(n == unit, jnp.asarray(scale, dtype), split.power(scale, dtype))

    return at


def share_power(exponent: Any, steps: int) -> Callable[[jax.Array, Any, Any], jax.Array]:
    """(n, scale, dtype) -> scale · (n/steps)^exponent for 0 ≤ n ≤ steps and exponent > 0."""
    inside = power(exponent, steps)

    def at(n: jax.Array, scale: Any, dtype: Any) -> jax.Array:
        return jnp.where(n > 0, inside(n, scale, dtype), jnp.zeros((), dtype))

    return at
