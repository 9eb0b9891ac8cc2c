"""Nadam: Adam with Nesterov's look ahead, in the simple form and under Dozat's schedule."""

from typing import Any

from adaptax.core.accumulators import Ema
from adaptax.core.preconditioners import Rms
from adaptax.core.readings import Debiased, Dozat, Nesterov, stored
from adaptax.core.rule import Rule
from adaptax.core.transformation import Transformation, optimizer
from adaptax.optimizers.descend import descend


def _rule(
    b1: Any,
    b2: Any,
    eps: Any,
    eps_root: Any,
    nesterov: bool,
    momentum_decay: Any,
    dtypes: tuple[Any, Any],
) -> Rule:
    first: Any = Nesterov(Debiased(Ema(b1))) if nesterov else Debiased(Ema(b1))
    if momentum_decay is not None:
        if not nesterov:
            raise ValueError(f"momentum_decay={momentum_decay!r} needs nesterov=True")
        first = Dozat(Ema(b1), momentum_decay)
    mu_dtype, nu_dtype = dtypes
    return Rule(stored(first, mu_dtype), Rms(stored(Debiased(Ema(b2)), nu_dtype), eps, eps_root))


@optimizer
def nadam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    momentum_decay: Any = None,
    nu_dtype: Any = None,
) -> Transformation:
    """Nadam: Adam that looks one step ahead.

    u = −η m̃/(√(v̂ + ε_root) + ε), m, v and v̂ as in `adam`
    simple form: m̃ = β₁ m/(1−β₁ᵗ⁺¹) + (1−β₁) g/(1−β₁ᵗ)
    with momentum_decay = ψ: μₜ = β₁(1 − ½·0.96^(tψ)),
    m̃ = μₜ₊₁ m/(1−∏ᵗ⁺¹μ) + (1−μₜ) g/(1−∏ᵗμ)

    Optax has the simple form, PyTorch ψ = 0.004, Keras ψ = 1. The products cost no state.

    State: `count`, `mu` and `nu` (8 bytes a parameter).

    Raises:
      ValueError: an argument out of its range; the message names it.
      TypeError: a scheduled b1 together with `momentum_decay`.

    Source: Dozat, OpenReview OM0jvwB8jIp57ZJjtNEZ (2016), algorithm 2.

    Example::

        >>> import adaptax
        >>> like_torch = adaptax.nadam(2e-3, momentum_decay=0.004)
    """
    rule = _rule(b1, b2, eps, eps_root, nesterov, momentum_decay, (mu_dtype, nu_dtype))
    return descend(rule, learning_rate)


@optimizer
def nadamw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = True,
    momentum_decay: Any = None,
    nu_dtype: Any = None,
) -> Transformation:
    """Nadam with decoupled weight decay: u = −η (direction of `nadam` + λθ).

    Args:
      mask: which leaves decay: a tree of booleans, a prefix of one, or a function of the
        parameters.

    State: as `nadam`; a scheduled weight decay adds `step` int32[].

    Raises:
      ValueError: an argument out of its range; no `params` in update; a mask that does not fit.
      TypeError: a scheduled b1 together with `momentum_decay`.

    Source: Dozat as in `nadam`; Loshchilov and Hutter, arXiv 1711.05101.

    Example::

        >>> import adaptax
        >>> tx = adaptax.nadamw(1e-3, weight_decay=0.01)
    """
    rule = _rule(b1, b2, eps, eps_root, nesterov, momentum_decay, (mu_dtype, nu_dtype))
    return descend(rule, learning_rate, weight_decay, mask)
