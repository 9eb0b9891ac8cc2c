"""The schedules' closed forms in float64: `value(k)` of the 0-based step index k.

Written so that nothing cancels near the end: distances to the end are integers (steps - k), and
(1 + cos x)/2 is taken as sin^2((pi - x)/2). `steps=0` means at the end from the first step.
"""

import math
from fractions import Fraction

import numpy as np


def _left(k, steps):
    """The part of `steps` still to go, in [0, 1]."""
    return 0.0 if k >= steps else (steps - k) / steps


def _power(base, exponent):
    """base**exponent, infinite where Python would raise on overflow."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.power(np.float64(base), np.float64(exponent)))


def constant(value):
    """value."""
    return lambda k: float(value)


def linear(start, end, steps):
    """start + (end - start) min(k, steps)/steps."""

    def value(k):
        left = _left(k, steps)
        done = 1.0 if k >= steps else k / steps
        return start * left + end * done

    return value


def polynomial(start, end, steps, power):
    """end + (start - end) (1 - min(k, steps)/steps)^power."""
    return lambda k: end + (start - end) * _left(k, steps) ** power


def exponential(start, decay_rate, steps, end=None):
    """start decay_rate^(k/steps), bounded by `end`: below when it decays, above when it grows."""

    def value(k):
        v = start * _power(decay_rate, k / steps)
        if end is None:
            return v
        return max(v, end) if decay_rate < 1 else min(v, end)

    return value


def staircase(start, decay_rate, every):
    """start decay_rate^floor(k/every)."""
    return lambda k: start * _power(decay_rate, k // every)


def piecewise(values, boundaries):
    """values[i] for boundaries[i-1] <= k < boundaries[i]."""
    return lambda k: float(values[sum(b <= k for b in boundaries)])


def inverse_time(start, decay_rate, steps):
    """start / (1 + decay_rate k/steps)."""
    return lambda k: start / (1 + decay_rate * k / steps)


def cosine(peak, steps, end=0.0):
    """end + (peak - end) (1 + cos(pi min(k, steps)/steps))/2. Loshchilov, arXiv:1608.03983."""
    return lambda k: end + (peak - end) * math.sin(math.pi / 2 * _left(k, steps)) ** 2


def rex(peak, steps, end=0.0):
    """end + (peak - end) (1 - z)/(1/2 + (1 - z)/2), z = k/steps. Chen, arXiv:2107.04197."""

    def value(k):
        z = _left(k, steps)
        return peak * (2 * z / (1 + z)) + end * ((1 - z if z < 0.5 else k / steps) / (1 + z))

    return value


def rise(shape, start, peak, steps):
    """From start to peak: a line, half a cosine, or equal factors; the peak from `steps` on."""

    def value(k):
        if k >= steps:
            return float(peak)
        left, done = (steps - k) / steps, k / steps
        if shape == "linear":
            return start * left + peak * done
        if shape == "cosine":
            up = math.sin(math.pi / 2 * done) ** 2
            return start * math.sin(math.pi / 2 * left) ** 2 + peak * up
        return start * (peak / start) ** done

    return value


def warmup(peak, steps, start=0.0, shape="linear"):
    """start + (peak - start) min(k, steps)/steps; the peak at once when steps = 0."""
    return rise(shape, start, peak, steps)


def warmup_cosine(peak, warmup_steps, steps, start=0.0, end=0.0, warmup_shape="linear"):
    """Warm-up over warmup_steps, then cosine over steps - warmup_steps: it ends at `steps`."""
    fall = rise("cosine", peak, end, steps - warmup_steps)
    return join([warmup(peak, warmup_steps, start, warmup_shape), fall], [warmup_steps])


def power_decay(peak, warmup_steps, exponent, start=0.0, warmup_shape="linear"):
    """Warm-up, then peak (W/k)^exponent. Shen et al., arXiv:2408.13359; W = 1 without a warm-up."""
    up, unit = warmup(peak, warmup_steps, start, warmup_shape), max(warmup_steps, 1)
    return lambda k: up(k) if k < warmup_steps else peak * _power(unit / max(k, unit), exponent)


def inverse_sqrt(peak, warmup_steps, start=0.0, warmup_shape="linear"):
    """Warm-up, then peak sqrt(W/k). Vaswani et al., arXiv:1706.03762, equation 3."""
    return power_decay(peak, warmup_steps, 0.5, start, warmup_shape)


def wsd(
    peak,
    warmup_steps,
    decay_steps,
    decay_at=None,
    shape="1-sqrt",
    start=0.0,
    end=0.0,
    warmup_shape="linear",
):
    """Warm-up, stable, decay. Hu et al., arXiv:2404.06395; the shapes of arXiv:2405.18392.

    1 - sqrt(z) is (1 - z)/(1 + sqrt(z)), which does not cancel.
    """
    up, fall = warmup(peak, warmup_steps, start, warmup_shape), None
    if shape != "1-sqrt":
        fall = rise(shape, peak, end, decay_steps)

    def value(k):
        if decay_at is None or k < decay_at:
            return up(k)
        n = k - decay_at
        if n >= decay_steps:
            return float(end)
        if fall is not None:
            return fall(n)
        root = math.sqrt(n / decay_steps)
        return peak * ((decay_steps - n) / decay_steps) / (1 + root) + end * root

    return value


def cosine_restarts(peak, period, growth=1.0, decay=1.0, end=0.0):
    """Half a cosine from peak decay^i to end in cycle i, whose first step is the nearest to
    period (1 + growth + ... + growth^(i-1)). Loshchilov, arXiv:1608.03983, equation 5.
    """

    def value(k):
        i, n, length = k // period, k % period, period
        if growth != 1:
            i, start, exact, size = 0, 0, Fraction(0), Fraction(period)
            while True:
                exact, size = exact + size, Fraction(int(size * Fraction(growth) * 2**200), 2**200)
                following = math.floor(exact + Fraction(1, 2))
                if k < following:
                    break
                i, start = i + 1, following
            n, length = k - start, following - start
        top = max(peak * _power(decay, i), end)
        left, done = (length - n) / length, n / length
        return top * math.sin(math.pi / 2 * left) ** 2 + end * math.sin(math.pi / 2 * done) ** 2

    return value


def _triangle(k, rise_steps, fall_steps):
    """The cycle, and how high in it, in [0, 1]. Smith, arXiv:1506.01186, section 3.2."""
    cycle, n = divmod(k, rise_steps + fall_steps)
    return cycle, n / rise_steps if n <= rise_steps else (rise_steps + fall_steps - n) / fall_steps


def triangular(start, peak, rise_steps, fall_steps=None):
    """start + (peak - start) x."""
    return exp_range(start, peak, rise_steps, 1.0, fall_steps)


def triangular2(start, peak, rise_steps, fall_steps=None):
    """start + (peak - start) x 2^-cycle."""

    def value(k):
        cycle, x = _triangle(k, rise_steps, fall_steps or rise_steps)
        return start + (peak - start) * x * _power(2.0, -cycle)

    return value


def exp_range(start, peak, rise_steps, decay_rate, fall_steps=None):
    """start + (peak - start) x decay_rate^k."""

    def value(k):
        _, x = _triangle(k, rise_steps, fall_steps or rise_steps)
        return start + (peak - start) * x * _power(decay_rate, k)

    return value


def _phases(values, bounds, shape):
    parts = [
        rise(shape, a, b, last - first)
        for a, b, first, last in zip(values, values[1:], [0, *bounds], bounds, strict=False)
    ]
    return join(parts, list(bounds[:-1]))


def _bounds(steps, pct_start, three_phase):
    up = math.floor(Fraction(pct_start) * steps + Fraction(1, 2))
    up = max(up, 1) if pct_start > 0 else 0
    return (up, min(2 * up, steps), steps) if three_phase else (up, steps)


def one_cycle(
    peak,
    steps,
    pct_start=0.3,
    div_factor=25.0,
    final_div_factor=1e4,
    three_phase=False,
    shape="cosine",
):
    """peak/div up to peak, (back, three_phase) and down to peak/div/final. Smith, 1708.07120."""
    first = peak / div_factor
    last = first / final_div_factor
    values = (first, peak, first, last) if three_phase else (first, peak, last)
    return _phases(values, _bounds(steps, pct_start, three_phase), shape)


def one_cycle_momentum(
    steps, base_momentum=0.85, max_momentum=0.95, pct_start=0.3, three_phase=False, shape="cosine"
):
    """From the highest down to the lowest and back, against the rate of one_cycle."""
    low, high = base_momentum, max_momentum
    values = (high, low, high, high) if three_phase else (high, low, high)
    return _phases(values, _bounds(steps, pct_start, three_phase), shape)


def product_of(*factors):
    """Each factor is a number or a function of k."""
    return lambda k: math.prod(f(k) if callable(f) else f for f in factors)


def sum_of(*terms):
    """Each term is a number or a function of k."""
    return lambda k: math.fsum(t(k) if callable(t) else t for t in terms)


def join(schedules, boundaries):
    """schedules[i](k - boundaries[i-1]) for boundaries[i-1] <= k < boundaries[i]."""

    def value(k):
        i = sum(b <= k for b in boundaries)
        return schedules[i](k - (boundaries[i - 1] if i else 0))

    return value
