"""What is done to a gradient before or after a rule, in float64: `step(g, theta) -> g`.

A hyperparameter is a number or a callable of the 0-based step index k.
"""

import numpy as np


def at(hyperparameter, k):
    """The value of a number or of a callable of the step index."""
    return float(hyperparameter(k)) if callable(hyperparameter) else hyperparameter


def _stateless(function):
    k = -1

    def step(g, theta=0.0):
        nonlocal k
        k += 1
        return function(np.asarray(g, np.float64), np.asarray(theta, np.float64), k)

    return step


def clip(max_delta):
    """Each element of g is cut to [-max_delta, max_delta]."""
    return _stateless(lambda g, theta, k: np.clip(g, -at(max_delta, k), at(max_delta, k)))


def _norm(arrays, axis=None):
    """Euclidean norm, scaled by the largest magnitude so that no square over- or underflows."""
    largest = max(float(np.max(np.abs(a), initial=0.0)) for a in arrays) or 1.0
    squares = [np.sum((a / largest) ** 2, axis=axis, keepdims=axis is not None) for a in arrays]
    return largest * np.sqrt(sum(squares))


def clip_by_global_norm(max_norm):
    """g min(1, max_norm / ||g||), the norm over all arrays. Pascanu et al., arXiv:1211.5063.

    Takes one array, or a list of arrays and then returns a list.
    """
    k = -1

    def step(g, theta=None):
        nonlocal k
        k += 1
        arrays = [np.asarray(a, np.float64) for a in (g if isinstance(g, list) else [g])]
        norm, largest = _norm(arrays), at(max_norm, k)
        clipped = arrays if norm <= largest else [a * (largest / norm) for a in arrays]
        return clipped if isinstance(g, list) else clipped[0]

    return step


def adaptive_grad_clip(clipping, eps=1e-3, axis=None):
    """G_i clipping max(||W_i||, eps) / ||G_i|| where that is below 1, unit by unit.

    Brock et al., arXiv:2102.06171, eq. 3. A unit is what feeds one output: the whole of a scalar,
    a vector or an array with at most one axis longer than 1; else a column over axis 0 (2 or 3
    axes), (0, 1, 2) (4 axes, HWIO) or (0, 1, 2, 3) (5 axes), as Optax computes it.
    """

    def clipped(g, theta, k):
        over = axis
        if axis is None and np.squeeze(g).ndim > 1:
            over = {2: 0, 3: 0, 4: (0, 1, 2), 5: (0, 1, 2, 3)}[g.ndim]
        norm = _norm([g], over)
        largest = at(clipping, k) * np.maximum(_norm([theta], over), at(eps, k))
        return g * np.divide(largest, norm, out=np.ones_like(norm), where=norm > largest)

    return _stateless(clipped)


def add_decayed_weights(weight_decay=0.0):
    """g + decay theta: coupled decay before a rule, decoupled after it. arXiv:1711.05101."""
    return _stateless(lambda g, theta, k: g + at(weight_decay, k) * theta)


def l2_penalty(coefficient):
    """g + c theta, the gradient of (c / 2) sum theta^2."""
    return add_decayed_weights(coefficient)


def l1_penalty(coefficient):
    """g + c sign(theta), a subgradient (0 at 0) of c sum |theta|."""
    return _stateless(lambda g, theta, k: g + at(coefficient, k) * np.sign(theta))


def chain(*steps):
    """One step after the other on g, each with the same theta."""

    def step(g, theta=0.0):
        for each in steps:
            g = each(g, theta)
        return g

    return step
