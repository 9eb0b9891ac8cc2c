"""Spike control in float64, from the papers, with the restarts: `step(list of arrays) -> list`."""

import numpy as np


def norm(arrays):
    """The Euclidean norm of all arrays, scaled so that no square over- or underflows."""
    arrays = [np.asarray(a, np.float64) for a in arrays]
    largest = max(float(np.max(np.abs(a), initial=0.0)) for a in arrays) or 1.0
    return largest * np.sqrt(sum(float(np.sum((a / largest) ** 2)) for a in arrays))


def clip_by_zscore(threshold=2.5, decay=0.97, warmup=25, reciprocal=True, max_norm=None):
    """ZClip, arXiv:2504.02507: a norm far above its average is clipped towards it."""
    norms, row, mean, variance = [], 0, 0.0, 0.0

    def step(arrays):
        nonlocal norms, row, mean, variance
        size = norm(arrays)
        if len(norms) < warmup:
            norms.append(size)
            mean, variance = np.mean(norms), np.var(norms)
            row = 0
            bound = size if max_norm is None else min(size, max_norm)
        else:
            sigma = max(np.sqrt(variance), 1e-6 * mean)
            z = (size - mean) / sigma if sigma > 0 else 0.0
            bound = size
            row = row + 1 if z > threshold else 0
            if z > threshold:
                z = threshold**2 / z if reciprocal else threshold
                bound = mean + z * sigma
            mean = decay * mean + (1 - decay) * bound
            variance = decay * variance + (1 - decay) * (bound - mean) ** 2
            if row == warmup:
                norms, row = [], 0
        return [np.asarray(a, np.float64) * (bound / size if size else 1.0) for a in arrays]

    return step


def clip_by_average_norm(ratio=1.05, decay=0.98, warmup=100, max_norm=1.0):
    """AdaGC, arXiv:2502.11034: each array's norm at most `ratio` times the average of its own."""
    k, averages, rows = 0, None, None

    def step(arrays):
        nonlocal k, averages, rows
        sizes = [norm([a]) for a in arrays]
        averages = averages or [0.0] * len(arrays)
        rows = rows or [0] * len(arrays)
        total, made = norm(arrays), []
        for i, (a, size) in enumerate(zip(arrays, sizes, strict=True)):
            average = averages[i]
            if k < warmup:
                factor = min(1.0, max_norm / total) if total else 1.0
                kept = size * factor
                averages[i] = (average * k + kept) / (k + 1) if average > 0 else kept
            else:
                over = average > 0 and size > ratio * average
                factor = ratio * average / size if over else 1.0
                rows[i] = rows[i] + 1 if over else 0
                averages[i] = decay * average + (1 - decay) * size * factor
                if average == 0 or rows[i] == warmup:
                    averages[i], rows[i] = size, 0
            made.append(np.asarray(a, np.float64) * factor)
        k += 1
        return made

    return step
