"""One training step as a pure function: what the finder and the sweeps compile and repeat."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from adaptax.tuning.objective import Objective


class Carry(NamedTuple):
    """What a step takes and gives back.

    `model_state` is None where the objective has none, `key` where it takes none.
    """

    params: Any
    model_state: Any
    state: optax.OptState
    key: jax.Array | None


Step = Callable[[Carry, Any], tuple[Carry, jax.Array]]


def make_step(objective: Objective, tx: optax.GradientTransformation) -> Step:
    """The training step: (carry, batch) -> (carry, loss), a pure function to jit, scan or vmap.

        (L, g) ← ∇ loss(params, batch);  u, state ← tx.update(g, state, params, value=L);
        params ← params + u

    The key is split at every step, one half for the loss function.

    Args:
      objective: what is minimised.
      tx: any Optax transformation; one that takes extra arguments sees the loss as `value=`.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> from adaptax.tuning.objective import Objective
        >>> from adaptax.tuning.training import Carry, make_step
        >>> tx = adaptax.sgd(0.25)
        >>> step = make_step(Objective(lambda p, batch: jnp.sum((p - batch) ** 2)), tx)
        >>> start = jnp.zeros(2)
        >>> carry, loss = step(Carry(start, None, tx.init(start), None), jnp.ones(2))
        >>> carry.params
        Array([0.5, 0.5], dtype=float32)
    """
    update = optax.with_extra_args_support(tx).update

    def step(carry: Carry, batch: Any) -> tuple[Carry, jax.Array]:
        key, drawn = carry.key, None
        if carry.key is not None:
            key, drawn = jax.random.split(carry.key)
        (loss, model_state), gradients = objective.gradients(
            carry.params, carry.model_state, batch, drawn
        )
        updates, state = update(gradients, carry.state, carry.params, value=loss)
        params = optax.apply_updates(carry.params, updates)
        return Carry(params, model_state, state, key), loss

    return step
