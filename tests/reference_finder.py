"""The finder's parts in straight-line float64 NumPy and plain Python."""

import math

import numpy as np


def range_test(curvature, start, low, high, steps):
    """Gradient descent on the mean of curvature · p² / 2 while the rate rises: (rates, losses)."""
    params = np.array(start, np.float64)
    rates, losses = [], []
    for step in range(steps):
        rate = low * (high / low) ** (step / (steps - 1))
        rates.append(rate)
        losses.append(float(np.mean(curvature * params**2 / 2)))
        with np.errstate(over="ignore", invalid="ignore"):
            params = params - rate * curvature * params / len(params)
    return np.array(rates), np.array(losses)


def training(curvature, start, rate, steps):
    """The loss after descent with a cosine from `rate` to zero."""
    params = np.array(start, np.float64)
    for step in range(steps):
        now = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        params = params - now * curvature * params / len(params)
    return float(np.mean(curvature * params**2 / 2))


def smooth(losses, half):
    """A triangular mean, point for point."""
    made = []
    for i in range(len(losses)):
        total = weights = 0.0
        for j in range(max(0, i - half), min(len(losses), i + half + 1)):
            weight = half + 1 - abs(i - j)
            total, weights = total + weight * losses[j], weights + weight
        made.append(total / weights)
    return np.array(made)


def diverged_at(losses):
    """The first step whose mean of five is four times the lowest so far, or that is not finite."""
    lowest = math.inf
    for i in range(len(losses)):
        if not math.isfinite(losses[i]):
            return i
        recent = losses[max(0, i - 4) : i + 1]
        mean = sum(recent) / len(recent)
        lowest = min(lowest, mean)
        if mean > 4 * lowest:
            return i
    return None


def valley(rates, losses):
    """As in fastai's callback/schedule.py."""
    n = len(losses)
    max_start, max_end = 0, 0
    lds = [1] * n
    for i in range(1, n):
        for j in range(i):
            if losses[i] < losses[j] and lds[i] < lds[j] + 1:
                lds[i] = lds[j] + 1
        if lds[max_end] < lds[i]:
            max_end = i
            max_start = max_end - lds[max_end]
    sections = (max_end - max_start) / 3
    index = max_start + int(sections) + int(sections / 2)
    return float(rates[max(0, index)])


def steepest(rates, losses):
    """The largest fall for a step in the logarithm of the rate, both neighbours considered."""
    best, found = 0.0, None
    for i in range(len(losses)):
        a, b = max(0, i - 1), min(len(losses) - 1, i + 1)
        slope = (losses[b] - losses[a]) / (math.log(rates[b]) - math.log(rates[a]))
        if slope < best:
            best, found = slope, float(rates[i])
    return found


def slide(rates, losses, apart=15, share=0.005):
    """As in fastai's callback/schedule.py, its threshold a share of the curve's height."""
    slopes = np.gradient(np.asarray(losses))
    threshold = share * (max(losses) - min(losses))
    right, left = len(losses) - 1, len(losses) - 1 - apart
    found = None
    while left >= 0 and abs(slopes[right] - slopes[left]) > threshold:
        found = float(rates[left])
        right, left = right - 1, left - 1
    return found
