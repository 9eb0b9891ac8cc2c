"""Flax linen with batch norm: the rate is cut when the validation loss stops falling.

adaptax's `TrainState` hands `value=` to the optimizer, which the stock class does not. The
validation loss is measured once an epoch; in all other steps `value` is NaN: not measured.
Run: python examples/flax_linen.py (needs Flax, and scikit-learn for the data that comes with it).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import adaptax
from adaptax.flax import TrainState

EPOCHS, BATCH, HELD_OUT = 30, 64, 360


def data():
    """1,797 digits of 8 x 8 pixels; the first 360 are for validation."""
    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype(np.float32), y.astype(np.int32)
    return (x[HELD_OUT:], y[HELD_OUT:]), (x[:HELD_OUT], y[:HELD_OUT])


class Network(nn.Module):
    @nn.compact
    def __call__(self, x, train=True):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(32)(x))
        return nn.Dense(10)(nn.relu(x))


class State(TrainState):
    """A state with one more field, as in the stock class."""

    batch_stats: Any


def mean_loss(logits, y):
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


@jax.jit
def step(state, x, y, measured):
    def loss(params):
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, changed = state.apply_fn(variables, x, mutable=["batch_stats"])
        return mean_loss(logits, y), changed["batch_stats"]

    grads, stats = jax.grad(loss, has_aux=True)(state.params)
    # batch_stats is a field and replaces it; value is none and goes to the optimizer
    return state.apply_gradients(grads=grads, batch_stats=stats, value=measured)


@jax.jit
def validate(state, x, y):
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    return mean_loss(state.apply_fn(variables, x, train=False), y)


def main():
    (x, y), held_out = data()
    model = Network()
    variables = model.init(jax.random.key(0), x[:1])
    state = State.create(
        apply_fn=model.apply,
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        tx=adaptax.adamw(adaptax.plateau(0.02, factor=0.2, patience=2, floor=1e-4)),
    )
    shuffle, measured, losses, rates = np.random.default_rng(1), jnp.float32(np.nan), [], []
    for epoch in range(EPOCHS):
        order = shuffle.permutation(len(x))[: len(x) // BATCH * BATCH]
        for rows in order.reshape(-1, BATCH):
            state = step(state, x[rows], y[rows], measured)
            measured = jnp.float32(np.nan)
        measured = validate(state, *held_out)  # the next step sees it
        losses.append(float(measured))
        rates.append(float(adaptax.learning_rate(state.opt_state)))
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1:2}  loss {losses[-1]:.4f}  learning rate {rates[-1]:g}")
    return {"losses": losses, "rates": rates}


if __name__ == "__main__":
    main()
