"""Weight decay and penalties: terms that pull weights towards zero.

Decoupled decay stands after the rule, so the preconditioner does not touch it; a penalty stands
before it and is part of the gradient.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from adaptax.core import numerics, trees
from adaptax.core.link import link
from adaptax.core.transformation import Transformation, transformation


@transformation
def add_decayed_weights(weight_decay: Any = 0.0, mask: Any = None) -> Transformation:
    """Decoupled weight decay: u ← u + λθ, to be placed after the rule and before the rate.

    Args:
      mask: a tree of booleans (or a prefix of one, or a function from parameters to one) that says
        which leaves decay; None for all.

    State: nothing for a number, `step` int32[] for a schedule.

    Raises:
      ValueError: no `params` in update; a mask that does not fit, with the path.

    Source: Loshchilov and Hutter, arXiv 1711.05101, algorithm 2, line 12.

    Example::

        >>> import adaptax
        >>> tx = adaptax.chain(adaptax.add_decayed_weights(0.01), adaptax.scale_by_rate(0.1))
    """
    return pull("add_decayed_weights", weight_decay, mask)


@transformation
def l2_penalty(strength: Any, mask: Any = None) -> Transformation:
    """Coupled L2 penalty: g ← g + λθ, the gradient of ½λ‖θ‖²; to be placed before the optimizer.

    Args:
      mask: a tree of booleans (or a prefix, or a function) that says which leaves are penalised.

    State: nothing for a number, `step` int32[] for a schedule.

    Raises:
      ValueError: no `params` in update; a mask that does not fit, with the path.

    Example::

        >>> import adaptax
        >>> tx = adaptax.chain(adaptax.l2_penalty(1e-4), adaptax.sgd(0.1, momentum=0.9))
    """
    return pull("l2_penalty", strength, mask)


@transformation
def l1_penalty(strength: Any, mask: Any = None) -> Transformation:
    """Coupled L1 penalty: g ← g + λ sign(θ), a subgradient of λ‖θ‖₁; placed before the optimizer.

    Args:
      mask: a tree of booleans (or a prefix, or a function) that says which leaves are penalised.

    State: nothing for a number, `step` int32[] for a schedule.

    Raises:
      ValueError: no `params` in update; a mask that does not fit, with the path.

    Example::

        >>> import adaptax
        >>> tx = adaptax.chain(adaptax.l1_penalty(1e-4), adaptax.sgd(0.1))
    """
    return pull("l1_penalty", strength, mask, term=jnp.sign)


def pull(
    name: str,
    strength: Any,
    mask: Any,
    term: Callable[[jax.Array], jax.Array] = lambda p: p,
    factor: Any = 1.0,
) -> Transformation:
    """u + strength · factor · term(θ), computed wide, on the leaves that the mask chooses."""

    def check(params: Any) -> None:
        if mask is not None:
            trees.chosen(mask, params)

    def apply(updates: Any, params: Any, now: Any) -> Any:
        if isinstance(now, int | float) and now == 0:
            return updates
        weight = now * factor
        if params is None:
            raise ValueError(f"{name}: params are needed; call update(updates, state, params)")
        trees.check_alike(params, updates, "updates", "parameters")
        leaves, treedef = jax.tree.flatten(updates)
        chosen = [True] * len(leaves)
        if mask is not None:
            chosen = jax.tree.leaves(trees.chosen(mask, params))
        pairs = zip(leaves, jax.tree.leaves(params), chosen, strict=True)
        return treedef.unflatten(
            [_plus(u, term(numerics.widen(p)), weight) if on else u for u, p, on in pairs]
        )

    return link(strength, apply, check)


def _plus(u: jax.Array, term: jax.Array, strength: Any) -> jax.Array:
    wide = numerics.widen(u)
    return lax.add(wide, numerics.times(term, strength).astype(wide.dtype)).astype(u.dtype)
