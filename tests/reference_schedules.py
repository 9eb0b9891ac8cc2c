"""The schedules' closed forms in float64: `value(k)` of the 0-based step index k.

Written so that nothing cancels near the end: distances to the end are integers (steps - k), and
(1 + cos x)/2 is taken as sin^2((pi - x)/2). `steps=0` means at the end from the first step.
"""

import math

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


def warmup(peak, steps, start=0.0):
    """start + (peak - start) min(k, steps)/steps; the peak at once when steps = 0."""
    return linear(start, peak, steps)


def warmup_cosine(peak, warmup_steps, steps, start=0.0, end=0.0):
    """Warm-up over warmup_steps, then cosine over steps - warmup_steps: it ends at `steps`."""
    return join(
        [warmup(peak, warmup_steps, start), cosine(peak, steps - warmup_steps, end)],
        [warmup_steps],
    )


def join(schedules, boundaries):
    """schedules[i](k - boundaries[i-1]) for boundaries[i-1] <= k < boundaries[i]."""

    def value(k):
        i = sum(b <= k for b in boundaries)
        return schedules[i](k - (boundaries[i - 1] if i else 0))

    return value
