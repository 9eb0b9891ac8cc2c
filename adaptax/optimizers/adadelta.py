"""AdaDelta, the exception of the classic family: it also accumulates its own steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from adaptax.core import numerics, trees
from adaptax.core.accumulators import Ema
from adaptax.core.step import Step
from adaptax.core.transformation import Transformation, chain, optimizer, transformation
from adaptax.optimizers.decay import l2_penalty
from adaptax.optimizers.descend import descend


class AdadeltaState(NamedTuple):
    """State of `scale_by_adadelta`; the fields are Optax's and one counter."""

    count: jax.Array  # int32[]
    e_g: Any  # running mean of squared gradients, float32 or wider
    e_x: Any  # running mean of squared steps, float32 or wider


@transformation
def scale_by_adadelta(rho: Any = 0.9, eps: Any = 1e-6) -> Transformation:
    """AdaDelta's direction: the gradient in units of the parameter.

    v ← v + (1−ρ)(g² − v);  d = g √(a + ε)/√(v + ε);  a ← a + (1−ρ)(d² − a)

    State: `count` int32[], `e_g` and `e_x` (8 bytes a parameter).

    Raises:
      ValueError: gradients that do not match the parameters, with the paths.

    Source: Zeiler, arXiv 1212.5701, algorithm 1.

    Example::

        >>> import adaptax
        >>> tx = adaptax.scale_by_adadelta(rho=0.95)
    """
    mean = Ema(rho)

    def init(params: Any) -> AdadeltaState:
        trees.check_inexact(params)

        def zeros() -> Any:
            return jax.tree.map(lambda p: numerics.full(p, 0.0, _real(p)), params)

        return AdadeltaState(jnp.zeros((), jnp.int32), zeros(), zeros())

    def one(g: jax.Array, squares: Any, steps: Any, step: Step) -> tuple[Any, Any, Any]:
        wide = numerics.widen(g)
        own = step.number(eps)
        (squares,) = mean.absorb((squares,), numerics.absolute_square(wide), step)
        ratio = numerics.quotient(
            jnp.sqrt(numerics.plus(steps, own)),
            jnp.sqrt(numerics.plus(squares, own)),
            numerics.is_positive(own),
        )
        direction = wide * ratio.astype(wide.dtype)
        (steps,) = mean.absorb((steps,), numerics.absolute_square(direction), step)
        return direction.astype(g.dtype), squares, steps

    def update(
        updates: Any, state: AdadeltaState, params: Any = None, **extra: Any
    ) -> tuple[Any, AdadeltaState]:
        del params, extra
        trees.check_alike(state.e_g, updates, "gradients", "parameters given to init")
        step = Step(state.count)
        leaves, treedef = jax.tree.flatten(updates)
        kept = zip(treedef.flatten_up_to(state.e_g), treedef.flatten_up_to(state.e_x), strict=True)
        made = [one(g, v, a, step) for g, (v, a) in zip(leaves, kept, strict=True)]
        directions, squares, steps = (treedef.unflatten([m[i] for m in made]) for i in range(3))
        return directions, AdadeltaState(numerics.increment(state.count), squares, steps)

    return Transformation(init, update)


def _real(p: Any) -> Any:
    return numerics.real(
        numerics.wide(jnp.asarray(p).dtype if not hasattr(p, "dtype") else p.dtype)
    )


@optimizer
def adadelta(
    learning_rate: Any = 1.0,
    rho: Any = 0.9,
    eps: Any = 1e-6,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = None,
) -> Transformation:
    """AdaDelta: steps in units of the parameter, so that a rate of 1 is the method itself.

    g ← g + λθ;  v ← v + (1−ρ)(g² − v);  d = g √(a + ε)/√(v + ε);  a ← a + (1−ρ)(d² − a);  u = −η d

    The weight decay is coupled, as in Optax and PyTorch.

    Args:
      weight_decay_mask: which leaves decay: a tree of booleans, a prefix of one, or a function.

    State: `count`, `e_g` and `e_x` (8 bytes a parameter).

    Raises:
      ValueError: an argument out of its range; the message names it.

    Source: Zeiler, arXiv 1212.5701, algorithm 1. Optax's default rate of None steps uphill.

    Example::

        >>> import adaptax
        >>> tx = adaptax.adadelta(1.0, rho=0.95)
    """
    penalty = l2_penalty(weight_decay, weight_decay_mask)
    return descend(chain(penalty, scale_by_adadelta(rho, eps)), learning_rate)
