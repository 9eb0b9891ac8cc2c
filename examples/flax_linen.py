"""Flax linen: adaptax's `TrainState` hands the loss to the optimizer; the stock class does not.

The last link halves the steps whenever the loss stops falling, so it needs `value=`.
Run: python examples/flax_linen.py (needs Flax, and scikit-learn for the data that comes with it).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_diabetes

import adaptax
from adaptax.flax import TrainState

STEPS = 400


def data():
    """Ten measurements of 442 patients and the course of their disease, standardised."""
    x, y = load_diabetes(return_X_y=True)
    return (x / x.std(0)).astype(np.float32), ((y - y.mean()) / y.std()).astype(np.float32)


class Network(nn.Module):
    @nn.compact
    def __call__(self, x, train=True):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(16)(x))
        return nn.Dense(1)(nn.tanh(x))[:, 0]


class State(TrainState):
    """A state with one more field, as in the stock class."""

    batch_stats: Any


@jax.jit
def step(state, x, y):
    def loss(params):
        variables = {"params": params, "batch_stats": state.batch_stats}
        predicted, changed = state.apply_fn(variables, x, mutable=["batch_stats"])
        return jnp.mean((predicted - y) ** 2), changed["batch_stats"]

    (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    # batch_stats is a field and replaces it; value is none and goes to the optimizer
    return state.apply_gradients(grads=grads, batch_stats=stats, value=value), value


def main():
    x, y = data()
    model = Network()
    variables = model.init(jax.random.key(0), x)
    plateau = optax.contrib.reduce_on_plateau(factor=0.5, patience=3, rtol=1e-3)
    state = State.create(
        apply_fn=model.apply,
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        tx=adaptax.chain(adaptax.adam(0.1), plateau),
    )
    losses = []
    for k in range(STEPS):
        state, value = step(state, x, y)
        losses.append(float(value))
        if k % 80 == 0 or k == STEPS - 1:
            scale = float(state.opt_state[1].scale)
            rate = float(adaptax.learning_rate(state.opt_state))
            print(f"step {k:3}  loss {losses[-1]:.4f}  learning rate {rate:g} × {scale:g}")
    return {"losses": losses, "learning_rate": rate, "scale": scale}


if __name__ == "__main__":
    main()
