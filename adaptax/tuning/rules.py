"""What a range test says: where it diverges, what may be a good rate, or why none can be named.

Everything here is a function of curves on the host. A curve is a loss for each of the increasing
rates; it is smoothed in the middle of a window, so that nothing is shifted to larger rates, and cut
where it diverges.
"""

import math
from collections.abc import Callable

import numpy as np

FOUND = "found"
FLAT = "flat"
NOISE = "noise-dominated"
DIVERGES = "diverges everywhere"
FALLING = "still falling"
NOT_FINITE = "not finite at the start"

BLOWN_UP = 4.0  # times the lowest loss so far
TRAILING = 5  # losses averaged to tell divergence from one bad batch
SIGNIFICANT = 6.0  # standard errors that a fall must have
SMALLEST_FALL = 0.01  # of the loss at the start; less is flat


def window(count: int) -> int:
    """Half the width of the smoothing window of a curve of `count` points."""
    return max(1, count // 25)


def smooth(losses: np.ndarray) -> np.ndarray:
    """The centred mean with weights that fall linearly to both sides, cut off at the ends."""
    half = window(len(losses))
    weights = np.concatenate([np.arange(1, half + 1), [half + 1], np.arange(half, 0, -1)])
    total = np.convolve(losses, weights, "same") if len(losses) > 2 * half else None
    if total is None:
        return np.array(losses, np.float64)
    return total / np.convolve(np.ones(len(losses)), weights, "same")


def diverged_at(losses: np.ndarray) -> int | None:
    """The first step that no longer counts: not finite, or four times the lowest loss so far.

    Means of the last five losses are compared. Where losses may be negative, four times is three
    times the way from the lowest up to the first, above the lowest.
    """
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(np.argmin(finite))
    sums = np.concatenate([[0.0], np.cumsum(losses[:end])])
    first = np.maximum(np.arange(1, end + 1) - TRAILING, 0)
    means = (sums[1:] - sums[first]) / (np.arange(1, end + 1) - first)
    lowest = np.minimum.accumulate(means) if end else means
    if end and lowest[-1] > 0:
        limit = BLOWN_UP * lowest
    else:
        limit = lowest + (BLOWN_UP - 1) * np.maximum(np.abs(lowest), means[:1] - lowest)
    beyond = np.flatnonzero(means > limit)
    if beyond.size:
        return int(beyond[0])
    return None if end == len(losses) else end


def steepest(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """Where the loss falls fastest with the logarithm of the rate."""
    slopes = np.gradient(losses, np.log(rates))
    return float(rates[np.argmin(slopes)]) if slopes.min() < 0 else None


def minimum(rates: np.ndarray, losses: np.ndarray) -> float:
    """A tenth of the rate with the lowest loss."""
    return float(rates[np.argmin(losses)]) / 10


def valley(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """Halfway along the longest falling sequence of losses, not necessarily neighbours.

    Source: fastai, `fastai/callback/schedule.py`, `valley`.
    """
    longest = np.ones(len(losses), int)
    for i in range(1, len(losses)):
        below = longest[:i][losses[:i] > losses[i]]
        longest[i] = 1 + (below.max() if below.size else 0)
    end = int(np.argmax(longest))
    length = int(longest[end])
    if length < 2:
        return None
    start, third = end - length, length / 3
    return float(rates[max(0, start + int(third) + int(third / 2))])


def slide(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """Back from the end of the curve to where the slope has stopped changing.

    The slope is compared with that of 15 points (of a hundred) before, until they differ by less
    than half a per cent of the curve's height.

    Source: fastai, `fastai/callback/schedule.py`, `slide`, whose threshold is an absolute loss.
    """
    apart = max(1, (15 * len(rates)) // 100)
    slopes = np.gradient(losses)
    threshold = 0.005 * float(np.ptp(losses))
    right = len(losses) - 1
    found = None
    while right - apart >= 0 and abs(slopes[right] - slopes[right - apart]) > threshold:
        found = float(rates[right - apart])
        right -= 1
    return found


RULES: dict[str, Callable[[np.ndarray, np.ndarray], float | None]] = {
    "valley": valley,
    "steepest": steepest,
    "minimum/10": minimum,
    "slide": slide,
}


def suggestions(rates: np.ndarray, losses: np.ndarray) -> dict[str, float | None]:
    """What every rule says of a smoothed curve that is cut where it diverges."""
    if len(losses) < 3:
        return dict.fromkeys(RULES)
    return {name: rule(rates, losses) for name, rule in RULES.items()}


def noise(losses: np.ndarray) -> float:
    """The standard deviation of one loss, from second differences: a trend leaves it be."""
    if len(losses) < 3:
        return 0.0
    return float(np.sqrt(np.mean(np.diff(losses, 2) ** 2) / 6))


def verdict(losses: np.ndarray, smoothed: np.ndarray, diverged: bool) -> str:
    """A word for a curve that is cut where it diverges.

    A fall counts if it is six times its standard error: the mean of the first fifth against the
    smoothed minimum, each with the noise of its own neighbourhood. Of curves that are noise alone
    about one in a thousand falls that far.

    Args:
      losses: the mean over the repeats, up to divergence.
      smoothed: the same, smoothed.
      diverged: whether there was more.
    """
    half = window(len(losses))
    if len(losses) < 2 * half + 1:
        return DIVERGES if diverged else FLAT
    lowest = int(np.argmin(smoothed))
    early = losses[: max(2 * half + 1, len(losses) // 5)]
    # what follows the minimum is the way up
    near = losses[max(0, lowest - 2 * half) : max(lowest + 2, 2 * half + 1)]
    weights = np.concatenate([np.arange(1, half + 2), np.arange(half, 0, -1)])
    kept = float(np.sqrt(np.sum((weights / weights.sum()) ** 2)))  # of the noise, by smoothing
    error = math.hypot(noise(near) * kept, noise(early) / math.sqrt(len(early)))
    start = float(np.mean(early))
    fall = start - float(smoothed[lowest])
    if fall <= SIGNIFICANT * error or fall <= SMALLEST_FALL * abs(start):
        if error > SMALLEST_FALL * abs(start):
            return NOISE
        return DIVERGES if diverged else FLAT
    if not diverged and lowest >= len(smoothed) - half - 1:
        return FALLING
    return FOUND
