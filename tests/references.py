"""Every method in straight-line float64 NumPy, written from the papers' equations.

The library is judged by this module, so it imports nothing from it (only `math` and NumPy).
An optimizer here is `step(g, theta) -> update`, the update being what is *added* to theta:
minus sign and rate included. It keeps its history in a closure and serves one array.
A hyperparameter is a number or a callable of the 0-based step index k; t = k + 1 counts the
gradients seen. 0/0 is 0.

The gradient transformations and the schedules' closed forms are in `reference_gradients` and
`reference_schedules`, and reached from here as well.
"""

import math

import numpy as np

from tests.reference_gradients import (  # noqa: F401
    adaptive_grad_clip,
    add_decayed_weights,
    at,
    chain,
    clip,
    clip_by_global_norm,
    l1_penalty,
    l2_penalty,
)
from tests.reference_schedules import (  # noqa: F401
    constant,
    cosine,
    cosine_restarts,
    exp_range,
    exponential,
    inverse_sqrt,
    inverse_time,
    join,
    linear,
    one_cycle,
    one_cycle_momentum,
    piecewise,
    polynomial,
    power_decay,
    product_of,
    rex,
    staircase,
    sum_of,
    triangular,
    triangular2,
    warmup,
    warmup_cosine,
    wsd,
)


def _ratio(a, b):
    return np.divide(a, b, out=np.zeros_like(a), where=a != 0)


def one_minus_power(b, t):
    """1 - b**t without cancellation for b near 1, as -expm1(t log b)."""
    return 1.0 if b == 0 else -math.expm1(t * math.log(b))


class _Mass:
    """The weight an average absorbed so far: mass_t = b_t mass_{t-1} + (1 - b_t), mass_0 = 0.

    For a constant b this is the 1 - b**t of Adam (arXiv:1412.6980, section 3).
    """

    def __init__(self, b):
        self.b, self.t, self.mass = b, 0, 0.0

    def advance(self):
        b = at(self.b, self.t)
        self.t += 1
        if callable(self.b):
            self.mass = b * self.mass + (1 - b)
        else:
            self.mass = one_minus_power(b, self.t)
        return b


class _Average(_Mass):
    """m_t = b_t m_{t-1} + (1 - b_t) x_t, and its reading m_t / mass_t."""

    def __init__(self, b, start=0.0):
        super().__init__(b)
        self.value = start

    def absorb(self, x):
        b = self.advance()
        self.value = b * self.value + (1 - b) * x
        return self

    @property
    def corrected(self):
        return self.value / self.mass


def _descend(direction, learning_rate, weight_decay=0.0):
    """update = -rate (direction + decay theta): decoupled decay, arXiv:1711.05101 as PyTorch."""
    k = -1

    def step(g, theta=0.0):
        nonlocal k
        k += 1
        g, theta = np.asarray(g, np.float64), np.asarray(theta, np.float64)
        return -at(learning_rate, k) * (direction(g, theta, k) + at(weight_decay, k) * theta)

    return step


def sgd(learning_rate, momentum=None, nesterov=False):
    """m = mu m + g; update = -rate m, or -rate (g + mu m) with Nesterov.

    Polyak 1964; Sutskever et al. 2013, in the form PyTorch and Optax use.
    """
    m = 0.0

    def direction(g, theta, k):
        nonlocal m
        mu = 0.0 if momentum is None else at(momentum, k)
        m = mu * m + g
        return g + mu * m if nesterov else m

    return _descend(direction, learning_rate)


def adagrad(learning_rate, initial_accumulator_value=0.1, eps=1e-7, eps_in_sqrt=True):
    """G += g^2; update = -rate g / sqrt(G + eps), or the textbook -rate g / (sqrt(G) + eps).

    Duchi, Hazan and Singer, JMLR 2011. Inside is Optax; outside is PyTorch (G_0 = 0, eps=1e-10).
    """
    total = initial_accumulator_value

    def direction(g, theta, k):
        nonlocal total
        total = total + g * g
        e = at(eps, k)
        return _ratio(g, np.sqrt(total + e) if eps_in_sqrt else np.sqrt(total) + e)

    return _descend(direction, learning_rate)


def adadelta(learning_rate=None, rho=0.9, eps=1e-6, weight_decay=0.0):
    """v = rho v + (1-rho) g^2; u = g sqrt(a + eps)/sqrt(v + eps); a = rho a + (1-rho) u^2.

    Zeiler, arXiv:1212.5701, algorithm 1. None is the paper's rate, 1, and descends; Optax's None
    also drops the sign. The decay is coupled (it joins g before v), as in PyTorch and Optax.
    """
    v, a = _Average(rho), _Average(rho)

    def direction(g, theta, k):
        g = g + at(weight_decay, k) * theta
        e = at(eps, k)
        v.absorb(g * g)
        u = _ratio(g * np.sqrt(a.value + e), np.sqrt(v.value + e))
        a.absorb(u * u)
        return u

    return _descend(direction, 1.0 if learning_rate is None else learning_rate)


def rmsprop(
    learning_rate,
    decay=0.9,
    eps=1e-8,
    initial_scale=0.0,
    eps_in_sqrt=True,
    centered=False,
    momentum=None,
    nesterov=False,
    bias_correction=False,
):
    """v = d v + (1-d) g^2; x = -rate g / sqrt(v + eps) or -rate g / (sqrt(v) + eps); m = mu m + x.

    Hinton, lecture 6.5; centered (v - mean^2) and momentum from Graves, arXiv:1308.0850, eq. 38-45.
    Momentum is taken after the rate. The centered statistic is summed from non-negative parts,
    because v - mean^2 cancels: with W the mass, Q = sum of weight (g - mean)^2 and mean = m/W,
    v - m^2 = Q + W (1 - W) mean^2, and its bias-corrected reading is Q / W.
    """
    v, history = _Average(decay, initial_scale), _Mass(decay)
    mean = spread = trace = 0.0

    def statistic(g):
        nonlocal mean, spread
        v.absorb(g * g)
        if not centered:
            return v.corrected if bias_correction else v.value
        before = history.mass
        d = history.advance()
        kept, mass = d * before, history.mass
        spread = d * spread + kept * (1 - d) / mass * (g - mean) ** 2
        mean = mean + (1 - d) / mass * (g - mean)
        start = initial_scale * (1 - mass)
        if bias_correction:
            return (spread + start) / mass
        return spread + start + mass * (1 - mass) * mean**2

    def direction(g, theta, k):
        nonlocal trace
        s, e = statistic(g), at(eps, k)
        x = _ratio(g, np.sqrt(s + e) if eps_in_sqrt else np.sqrt(s) + e)
        x = at(learning_rate, k) * x
        if momentum is None:
            return x
        mu = at(momentum, k)
        trace = mu * trace + x
        return x + mu * trace if nesterov else trace

    return _descend(direction, learning_rate=1.0)


def _first_moment(b1, nesterov, momentum_decay=None):
    """Adam's m/(1 - b1^t), or one of the two Nesterov readings.

    Simple (Optax): b1 m/(1 - b1^(t+1)) + (1 - b1) g/(1 - b1^t); with a schedule b1_t, the mass one
    step ahead is b1_t mass_t + (1 - b1_t).
    With momentum decay psi (Dozat 2016, PyTorch and Keras; m has constant b1, where the paper has
    mu_t): mu_t = b1 (1 - .96^(t psi)/2) and
    mu_{t+1} m/(1 - mu_1 ... mu_{t+1}) + (1 - mu_t) g/(1 - mu_1 ... mu_t).
    """
    m = _Average(b1)
    product = 1.0

    def read(g):
        nonlocal product
        b, t = at(b1, m.t), m.t + 1
        m.absorb(g)
        if not nesterov:
            return m.corrected
        if momentum_decay is None:
            return b * m.value / (b * m.mass + (1 - b)) + (1 - b) * g / m.mass
        psi = at(momentum_decay, t - 1)
        mu = b * (1 - 0.5 * 0.96 ** (t * psi))
        following = b * (1 - 0.5 * 0.96 ** ((t + 1) * psi))
        product = product * mu
        return following * m.value / (1 - product * following) + (1 - mu) * g / (1 - product)

    return read


def adamw(
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    *,
    weight_decay=1e-4,
    nesterov=False,
    momentum_decay=None,
):
    """update = -rate (m_hat / (sqrt(v_hat + eps_root) + eps) + decay theta).

    Kingma and Ba, arXiv:1412.6980, algorithm 1; Loshchilov and Hutter, arXiv:1711.05101.
    """
    first, v = _first_moment(b1, nesterov, momentum_decay), _Average(b2)

    def direction(g, theta, k):
        v.absorb(g * g)
        return _ratio(first(g), np.sqrt(v.corrected + at(eps_root, k)) + at(eps, k))

    return _descend(direction, learning_rate, weight_decay)


def adam(
    learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, *, nesterov=False, momentum_decay=None
):
    """AdamW without decay. arXiv:1412.6980, algorithm 1."""
    reading = {"nesterov": nesterov, "momentum_decay": momentum_decay}
    return adamw(learning_rate, b1, b2, eps, eps_root, weight_decay=0.0, **reading)


def nadam(
    learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, *, nesterov=True, momentum_decay=None
):
    """Adam with a Nesterov reading: Optax's (None), PyTorch's (.004) or Keras's (1)."""
    reading = {"nesterov": nesterov, "momentum_decay": momentum_decay}
    return adamw(learning_rate, b1, b2, eps, eps_root, weight_decay=0.0, **reading)


def nadamw(
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    *,
    weight_decay=1e-4,
    nesterov=True,
    momentum_decay=None,
):
    """AdamW with a Nesterov reading."""
    reading = {"nesterov": nesterov, "momentum_decay": momentum_decay}
    return adamw(learning_rate, b1, b2, eps, eps_root, weight_decay=weight_decay, **reading)


def adamaxw(learning_rate, b1=0.9, b2=0.999, eps=1e-8, *, weight_decay=1e-4):
    """nu = max(|g| + eps, b2 nu); update = -rate (m_hat / nu + decay theta).

    arXiv:1412.6980, algorithm 2; eps as in PyTorch and Optax (the paper has none).
    """
    m, nu = _Average(b1), 0.0

    def direction(g, theta, k):
        nonlocal nu
        nu = np.maximum(np.abs(g) + at(eps, k), at(b2, k) * nu)
        return _ratio(m.absorb(g).corrected, nu)

    return _descend(direction, learning_rate, weight_decay)


def adamax(learning_rate, b1=0.9, b2=0.999, eps=1e-8):
    """AdamaxW without decay. arXiv:1412.6980, algorithm 2."""
    return adamaxw(learning_rate, b1, b2, eps, weight_decay=0.0)


def amsgrad(
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    *,
    bias_correction_mu=True,
    bias_correction_nu=True,
    maximum_of="corrected",
):
    """Adam divided by the largest second moment so far.

    Reddi, Kale and Kumar, arXiv:1904.09237, algorithm 2 (no bias correction in the paper).
    "corrected": n = max(n, v_hat), Optax. "raw": n = max(n, v), read as n / (1 - b2^t), PyTorch.
    """
    m, v, largest = _Average(b1), _Average(b2), 0.0

    def direction(g, theta, k):
        nonlocal largest
        m.absorb(g)
        v.absorb(g * g)
        m_hat = m.corrected if bias_correction_mu else m.value
        if not bias_correction_nu:
            n = largest = np.maximum(largest, v.value)
        elif maximum_of == "corrected":
            n = largest = np.maximum(largest, v.corrected)
        else:
            largest = np.maximum(largest, v.value)
            n = largest / v.mass
        return _ratio(m_hat, np.sqrt(n + at(eps_root, k)) + at(eps, k))

    return _descend(direction, learning_rate)


def sma_lengths(b2):
    """Yield RAdam's rho_t for t = 1, 2, ...

    The paper defines rho_t (arXiv:1908.03265, eq. 5 and section 4.1) as the length of the simple
    average with the same centre of mass as the exponential one:
    rho_t = 2 sum_i (i + 1) w_i / sum_i w_i - 1 over ages i < t, w_i = (1 - b2) b2^i.
    That equals rho_inf - 2 t b2^t / (1 - b2^t) but only adds positive terms, where the closed form
    cancels (2e6 - 2e6 = 5 for b2 = .999999). A scheduled b2 gives the weights of its average.
    """
    mass, moment, k = 0.0, 0.0, 0
    while True:
        b = at(b2, k)
        moment = b * (moment + mass) + (1 - b)
        mass = b * mass + (1 - b)
        k += 1
        yield 2 * moment / mass - 1


def radam(
    learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, threshold=5.0, *, nesterov=False
):
    """Adam times r_t once rho_t > threshold, before that momentum alone: -rate m_hat.

    r = sqrt((rho-4)(rho-2) rho_inf / ((rho_inf-4)(rho_inf-2) rho)), rho_inf = 2/(1-b2) - 1.
    Liu et al., arXiv:1908.03265, algorithm 2 (threshold 4; PyTorch and Optax 5).
    """
    first, v, lengths = _first_moment(b1, nesterov), _Average(b2), sma_lengths(b2)

    def direction(g, theta, k):
        m_hat, rho = first(g), next(lengths)
        v.absorb(g * g)
        if not rho > at(threshold, k):
            return m_hat
        limit = 2 / (1 - at(b2, k)) - 1
        r = math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
        return r * _ratio(m_hat, np.sqrt(v.corrected + at(eps_root, k)) + at(eps, k))

    return _descend(direction, learning_rate)


def adabelief(learning_rate, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, *, nesterov=False):
    """s = b2 s + (1-b2)(g - m)^2 + eps_root; update = -rate m_hat / (sqrt(s_hat) + eps).

    Zhuang et al., arXiv:2010.07468, algorithm 2: eps_root enters the accumulator every step.
    """
    first, m, s = _first_moment(b1, nesterov), _Average(b1), _Average(b2)

    def direction(g, theta, k):
        m.absorb(g)
        s.absorb((g - m.value) ** 2)
        s.value = s.value + at(eps_root, k)
        return _ratio(first(g), np.sqrt(s.corrected) + at(eps, k))

    return _descend(direction, learning_rate)


def yogi(
    learning_rate, b1=0.9, b2=0.999, eps=1e-3, *, eps_root=0.0, initial_accumulator_value=1e-6
):
    """v = v - (1-b2) sign(v - g^2) g^2; update = -rate m_hat / (sqrt(v_hat + eps_root) + eps).

    Zaheer et al., NeurIPS 2018, algorithm 2; bias correction and m_0 = v_0 = 1e-6 from Optax.
    """
    m, v, weight = _Average(b1, initial_accumulator_value), initial_accumulator_value, _Mass(b2)

    def direction(g, theta, k):
        nonlocal v
        v = v - (1 - weight.advance()) * np.sign(v - g * g) * g * g
        v_hat = v / weight.mass
        return _ratio(m.absorb(g).corrected, np.sqrt(v_hat + at(eps_root, k)) + at(eps, k))

    return _descend(direction, learning_rate)
