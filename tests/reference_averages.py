"""Accumulation and averages in straight-line float64 NumPy: the library is judged by these.

`optimizer` is one of `references`: `step(g, theta) -> update`. Averages are written as sums over
the whole path with their weights, not as recursions. Nothing is imported from the library.
"""

import math

import numpy as np


def accumulated(optimizer, theta, gradients, every, skip="batch"):
    """θ after every micro-batch, whether a step was made, and how much was skipped up to then.

    `every` is a number or a function of the steps made.
    """
    theta = np.asarray(theta, np.float64)
    length = every if callable(every) else lambda steps: every
    window, path, emitted, skipped, steps, lost = [], [], [], [], 0, 0
    for g in gradients:
        window.append(np.asarray(g, np.float64))
        made = False
        good = [x for x in window if np.isfinite(x).all()]
        if skip == "batch" and not np.isfinite(window[-1]).all():
            lost += 1
        if len(window) >= length(steps):
            made = len(good) == len(window) if skip == "window" else bool(good)
            lost += skip == "window" and not made
            if made:
                theta = theta + optimizer(sum(good) / len(good), theta)
                steps += 1
            window = []
        path.append(theta), emitted.append(made), skipped.append(lost)
    return path, emitted, skipped


def descended(optimizer, theta, gradients):
    """θ after every step."""
    theta, path = np.asarray(theta, np.float64), []
    for g in gradients:
        theta = theta + optimizer(np.asarray(g, np.float64), theta)
        path.append(theta)
    return path


def weighted(weights, path):
    return sum(w * x for w, x in zip(weights, path, strict=True))


def ema(path, decay, start=None):
    """The debiased average of a path, or the plain one from a start; None where there is none.

    `decay` is a number or a function of the number of averages taken before.
    """
    at = decay if callable(decay) else lambda k: decay
    n = len(path)
    # the weight of θᵢ is (1 − βᵢ) βᵢ₊₁ … βₙ
    weights = [(1 - at(i)) * math.prod(at(k) for k in range(i + 1, n)) for i in range(n)]
    if start is not None:
        return weighted(weights, path) + math.prod(at(k) for k in range(n)) * start
    return weighted(weights, path) / sum(weights) if n else None


def swa(path, start, every):
    """The mean of θ after `start` steps and after every `every` further ones."""
    chosen = path[start - 1 :: every]
    return sum(chosen) / len(chosen) if chosen else None


def lookahead(optimizer, theta, gradients, sync_every, slow_step):
    """The fast and the slow weights after every step (arXiv:1907.08610, algorithm 1)."""
    slow = np.asarray(theta, np.float64)
    fast_path, slow_path = [], []
    fast = slow
    for t, g in enumerate(gradients, 1):
        fast = fast + optimizer(np.asarray(g, np.float64), fast)
        if t % sync_every == 0:
            slow = slow + slow_step * (fast - slow)
            fast = slow
        fast_path.append(fast), slow_path.append(slow)
    return fast_path, slow_path
