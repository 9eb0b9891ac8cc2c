"""Adamax: Adam with the infinity norm in place of the second moment."""

from typing import Any

from adaptax.core.accumulators import Ema, Peak
from adaptax.core.preconditioners import Infinity
from adaptax.core.readings import Debiased, stored
from adaptax.core.rule import Rule
from adaptax.core.transformation import Transformation, optimizer
from adaptax.optimizers.descend import descend


def _rule(b1: Any, b2: Any, eps: Any, mu_dtype: Any, nu_dtype: Any) -> Rule:
    return Rule(stored(Debiased(Ema(b1)), mu_dtype), Infinity(stored(Peak(b2), nu_dtype), eps))


@optimizer
def adamax(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    *,
    mu_dtype: Any = None,
    nu_dtype: Any = None,
) -> Transformation:
    """Adamax: a running mean of the gradient over its decaying maximum.

    n ← max(β₂ n, |g| + ε);  u = −η m̂/n, m as in `adam`

    ε is inside the maximum, as in Optax and PyTorch; the paper has none.

    State: `count`, `mu` and `nu` (8 bytes a parameter).

    Raises:
      ValueError: an argument out of its range; the message names it.

    Source: Kingma and Ba, arXiv 1412.6980, algorithm 2.

    Example::

        >>> import adaptax
        >>> tx = adaptax.adamax(2e-3)
    """
    return descend(_rule(b1, b2, eps, mu_dtype, nu_dtype), learning_rate)


@optimizer
def adamaxw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    weight_decay: Any = 1e-4,
    mask: Any = None,
    *,
    mu_dtype: Any = None,
    nu_dtype: Any = None,
) -> Transformation:
    """Adamax with decoupled weight decay: u = −η (m̂/n + λθ), m̂ and n as in `adamax`.

    Args:
      mask: which leaves decay: a tree of booleans, a prefix of one, or a function of the
        parameters.

    State: as `adamax`; a scheduled weight decay adds `step` int32[].

    Raises:
      ValueError: an argument out of its range; no `params` in update; a mask that does not fit.

    Source: Kingma and Ba, arXiv 1412.6980, algorithm 2; Loshchilov and Hutter, arXiv 1711.05101.

    Example::

        >>> import adaptax
        >>> tx = adaptax.adamaxw(2e-3, weight_decay=0.01)
    """
    return descend(_rule(b1, b2, eps, mu_dtype, nu_dtype), learning_rate, weight_decay, mask)
