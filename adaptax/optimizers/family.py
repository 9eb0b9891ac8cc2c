"""The classic family: gradient descent, AdaGrad, RMSprop, and Adam with its closest kin.

Each optimizer is one row of the algebra: a rule, given to `descend`. Names and arguments are
Optax's, so each drops in; what is added stands behind the `*`. Every decay, ε, momentum, weight
decay and rate takes a number or a schedule. All accumulators are float32 or wider unless a dtype is
asked for, and bias correction is exact for every decay.

State, for all of them: `DescentState(rule, decay, rate, after)`; `rule` holds `count` int32[] and
the trees that the docstring names, 4 bytes a parameter each; `rate` holds 12 bytes.
"""

from typing import Any

from adaptax.core.accumulators import Ema, Newest, Total, Trace, Yogi
from adaptax.core.preconditioners import Belief, Deviation, Rectified, Rms
from adaptax.core.readings import Debiased, Largest, Nesterov, stored
from adaptax.core.rule import Rule
from adaptax.core.transformation import Transformation, optimizer
from adaptax.optimizers.descend import descend


def _moment(b1: Any, nesterov: bool, dtype: Any, start: float = 0.0) -> Any:
    """Adam's first moment: a corrected average, stored as asked, read one step ahead if asked."""
    mean = Debiased(Ema(b1, start))
    return stored(Nesterov(mean) if nesterov else mean, dtype)


def _eps(eps: Any, inside: bool) -> dict[str, Any]:
    return {"inside": eps} if inside else {"eps": eps}


@optimizer
def sgd(
    learning_rate: Any,
    momentum: Any = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> Transformation:
    """Stochastic gradient descent, with Polyak's or Nesterov's momentum if asked.

    m ← μm + g;  u = −η m  (Nesterov: u = −η (g + μm))

    State: `trace` with momentum (4 bytes a parameter), nothing without.

    Raises:
      ValueError: an argument out of its range; the message names it.
      TypeError: an argument or a parameter of the wrong type.

    Source: Polyak 1964; Sutskever et al. 2013, equations 3 and 4, with the step outside m.

    Example::

        >>> import adaptax
        >>> tx = adaptax.sgd(0.1, momentum=0.9, nesterov=True)
    """
    if momentum is None:
        return descend(Rule(Newest()), learning_rate)
    trace = Nesterov(Trace(momentum)) if nesterov else Trace(momentum)
    return descend(Rule(stored(trace, accumulator_dtype)), learning_rate)


@optimizer
def adagrad(
    learning_rate: Any,
    initial_accumulator_value: Any = 0.1,
    eps: Any = 1e-7,
    *,
    eps_in_sqrt: bool = True,
) -> Transformation:
    """AdaGrad: divides by the root of the sum of all squared gradients.

    v ← v + g²;  u = −η g/√(v + ε)  (eps_in_sqrt=False: u = −η g/(√v + ε))

    The step sizes only ever shrink: good for sparse gradients, too timid for long training.
    Textbook: `adagrad(lr, 0.0, 1e-8, eps_in_sqrt=False)`; PyTorch the same with ε = 1e-10.

    State: `sum_of_squares`, 4 bytes a parameter.

    Raises:
      ValueError: an argument out of its range; the message names it.

    Source: Duchi, Hazan and Singer, JMLR 12 (2011), figure 1 (diagonal).

    Example::

        >>> import adaptax
        >>> tx = adaptax.adagrad(0.1)
    """
    scale = Rms(Total(initial_accumulator_value), **_eps(eps, eps_in_sqrt))
    return descend(Rule(Newest(), scale), learning_rate)


@optimizer
def rmsprop(
    learning_rate: Any,
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Any = None,
    nesterov: bool = False,
    bias_correction: bool = False,
    *,
    nu_dtype: Any = None,
) -> Transformation:
    """RMSprop: divides by a running root mean square of the gradient.

    v ← v + (1−ρ)(g² − v);  u = −η g/√(v + ε)  (eps_in_sqrt=False: u = −η g/(√v + ε))

    `centered` divides by the standard deviation instead; `momentum` accumulates the steps, rate
    included, as Optax and TensorFlow do. PyTorch: decay=0.99, eps_in_sqrt=False; TensorFlow 1:
    initial_scale=1.0; the lecture: eps_in_sqrt=False.

    State: `nu` (4 bytes a parameter); centered: `mean` and `variance` instead (8); momentum adds
    `trace` (4).

    Raises:
      ValueError: an argument out of its range; the message names it.

    Source: Hinton, lecture 6.5 (2012); centered: Graves, arXiv 1308.0850, equations 38 to 41.

    Example::

        >>> import adaptax
        >>> tx = adaptax.rmsprop(1e-3, decay=0.99, eps_in_sqrt=False)
    """
    if centered and nu_dtype is not None:
        raise ValueError(
            f"rmsprop(nu_dtype={nu_dtype!r}): a centred one is kept in float32 or wider"
        )
    if centered:
        scale: Any = Deviation(
            decay, initial_scale, debiased=bias_correction, **_eps(eps, eps_in_sqrt)
        )
    else:
        mean = Ema(decay, initial_scale)
        mean = stored(Debiased(mean) if bias_correction else mean, nu_dtype)
        scale = Rms(mean, **_eps(eps, eps_in_sqrt))
    after = None
    if momentum is not None:
        after = Rule(Nesterov(Trace(momentum)) if nesterov else Trace(momentum))
    return descend(Rule(Newest(), scale), learning_rate, after=after)


@optimizer
def adam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    nu_dtype: Any = None,
) -> Transformation:
    """Adam: a running mean of the gradient over a running root mean square.

    m ← m + (1−β₁)(g − m);  v ← v + (1−β₂)(g² − v)
    u = −η m̂/(√(v̂ + ε_root) + ε),  m̂ = m/(1−β₁ᵗ),  v̂ = v/(1−β₂ᵗ)

    State: `count` int32[], `mu` and `nu` (8 bytes a parameter; fewer with `mu_dtype`).

    Raises:
      ValueError: an argument out of its range; the message names it.
      TypeError: an argument or a parameter of the wrong type.

    Source: Kingma and Ba, arXiv 1412.6980, algorithm 1.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.adam(1e-3)
        >>> state = tx.init(jnp.ones(3))
        >>> updates, state = tx.update(jnp.full(3, 2.0), state)
        >>> updates
        Array([-0.001, -0.001, -0.001], dtype=float32)
    """
    scale = Rms(stored(Debiased(Ema(b2)), nu_dtype), eps, eps_root)
    return descend(Rule(_moment(b1, nesterov, mu_dtype), scale), learning_rate)


@optimizer
def adamw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = False,
    nu_dtype: Any = None,
) -> Transformation:
    """Adam with decoupled weight decay.

    u = −η (m̂/(√(v̂ + ε_root) + ε) + λθ), the moments as in `adam`

    The decay is multiplied by the rate, as in PyTorch and Optax (the paper's schedule multiplier).

    Args:
      mask: which leaves decay: a tree of booleans, a prefix of one, or a function of the
        parameters.

    State: as `adam`; a scheduled weight decay adds `step` int32[].

    Raises:
      ValueError: an argument out of its range; no `params` in update; a mask that does not fit.
      TypeError: an argument or a parameter of the wrong type.

    Source: Loshchilov and Hutter, arXiv 1711.05101, algorithm 2.

    Example::

        >>> import adaptax
        >>> tx = adaptax.adamw(1e-3, weight_decay=0.01)
    """
    scale = Rms(stored(Debiased(Ema(b2)), nu_dtype), eps, eps_root)
    rule = Rule(_moment(b1, nesterov, mu_dtype), scale)
    return descend(rule, learning_rate, weight_decay, mask)


@optimizer
def amsgrad(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    nu_dtype: Any = None,
    correct_maximum: bool = False,
) -> Transformation:
    """AMSGrad: Adam whose second moment never shrinks.

    v̄ ← max(v̄, v̂);  u = −η m̂/(√(v̄ + ε_root) + ε), m and v as in `adam`

    PyTorch keeps the maximum of the raw v and corrects that: `correct_maximum=True`. The paper
    corrects nothing: `bias_correction_mu=False, bias_correction_nu=False`.

    Args:
      correct_maximum: take the maximum first and correct it then; True or False. Default False.

    State: `count`, `mu`, `nu` and `nu_max` (12 bytes a parameter).

    Raises:
      ValueError: an argument out of its range; the message names it.

    Source: Reddi, Kale and Kumar, arXiv 1904.09237, algorithm 2.

    Example::

        >>> import adaptax
        >>> tx = adaptax.amsgrad(1e-3)
    """
    first = Debiased(Ema(b1)) if bias_correction_mu else Ema(b1)
    second: Any = Largest(Ema(b2))
    if bias_correction_nu:
        second = Debiased(Largest(Ema(b2))) if correct_maximum else Largest(Debiased(Ema(b2)))
    scale = Rms(stored(second, nu_dtype), eps, eps_root)
    return descend(Rule(stored(first, mu_dtype), scale), learning_rate)


@optimizer
def radam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    threshold: Any = 5.0,
    *,
    nesterov: bool = False,
    mu_dtype: Any = None,
    nu_dtype: Any = None,
) -> Transformation:
    """Rectified Adam: no division until the second moment can be trusted.

    u = −η rₜ m̂/(√(v̂ + ε_root) + ε) while ρₜ > threshold, else −η m̂
    ρₜ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ);  rₜ² = (ρₜ−4)(ρₜ−2)ρ∞/((ρ∞−4)(ρ∞−2)ρₜ)

    The threshold is 5 in PyTorch and Optax, 4 in the paper. ρₜ is computed without cancellation,
    so that rectification starts at the right step for every β₂.

    State: `count`, `mu` and `nu` (8 bytes a parameter).

    Raises:
      ValueError: an argument out of its range; the message names it.

    Source: Liu et al., arXiv 1908.03265, algorithm 2.

    Example::

        >>> import adaptax
        >>> tx = adaptax.radam(1e-3)
    """
    scale = Rms(stored(Debiased(Ema(b2)), nu_dtype), eps, eps_root)
    rule = Rule(_moment(b1, nesterov, mu_dtype), Rectified(scale, b2, threshold))
    return descend(rule, learning_rate)


@optimizer
def adabelief(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-16,
    eps_root: Any = 1e-16,
    *,
    nesterov: bool = False,
    mu_dtype: Any = None,
    nu_dtype: Any = None,
) -> Transformation:
    """AdaBelief: divides by how far the gradient is from its own prediction.

    s ← s + (1−β₂)((g−m)² − s) + ε_root;  u = −η m̂/(√ŝ + ε), m as in `adam`

    State: `count`, `mu` and `nu` (8 bytes a parameter).

    Raises:
      ValueError: an argument out of its range; the message names it.

    Source: Zhuang et al., arXiv 2010.07468, algorithm 2.

    Example::

        >>> import adaptax
        >>> tx = adaptax.adabelief(1e-3)
    """
    scale = Belief(stored(Debiased(Ema(b2)), nu_dtype), eps, eps_root)
    return descend(Rule(_moment(b1, nesterov, mu_dtype), scale), learning_rate)


@optimizer
def yogi(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-3,
    *,
    eps_root: Any = 0.0,
    initial_accumulator_value: Any = 1e-6,
    mu_dtype: Any = None,
    nu_dtype: Any = None,
) -> Transformation:
    """Yogi: Adam whose second moment moves by at most (1−β₂)g² a step.

    v ← v − (1−β₂) sign(v − g²) g²;  u = −η m̂/(√(v̂ + ε_root) + ε), m as in `adam`

    Both moments start from `initial_accumulator_value`, as in Optax, so that its first steps are
    not zero even where the gradient is.

    State: `count`, `mu` and `nu` (8 bytes a parameter).

    Raises:
      ValueError: an argument out of its range; the message names it.

    Source: Zaheer et al., NeurIPS 2018, algorithm 2.

    Example::

        >>> import adaptax
        >>> tx = adaptax.yogi(1e-2)
    """
    second = stored(Debiased(Yogi(b2, initial_accumulator_value)), nu_dtype)
    first = _moment(b1, False, mu_dtype, initial_accumulator_value)
    return descend(Rule(first, Rms(second, eps, eps_root)), learning_rate)
