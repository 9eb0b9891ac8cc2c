"""Warm-up, stable, decay: one long run, and a decayed model from any of its checkpoints.

The optimizer of a branch is built from `schedule.decay_from(step)`. Its state has the structure of
the long run's, so the branch starts from the run's own state, and the run goes on untouched.
Run: python examples/wsd_branch.py (needs scikit-learn for the data that comes with it).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import adaptax

STEPS, DECAY, BATCH = 600, 100, 32
BRANCHES = (200, 400, 600)


def data():
    """1,797 digits of 8 x 8 pixels; the first 360 are for validation."""
    x, y = load_digits(return_X_y=True)
    x, y = jnp.asarray(x / 16, jnp.float32), jnp.asarray(y, jnp.int32)
    return (x[360:], y[360:]), (x[:360], y[:360])


def init(key):
    first, second = jax.random.split(key)
    return {
        "hidden": 0.2 * jax.random.normal(first, (64, 32)),
        "output": 0.2 * jax.random.normal(second, (32, 10)),
    }


def loss(params, x, y):
    logits = jax.nn.relu(x @ params["hidden"]) @ params["output"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


@functools.partial(jax.jit, static_argnames=("tx", "steps"))
def train(tx, params, state, x, y, first, steps):
    """`steps` steps from step `first` on; an equal `tx` is not traced again."""

    def step(carry, k):
        params, state = carry
        rows = jax.random.randint(jax.random.fold_in(jax.random.key(1), k), (BATCH,), 0, len(y))
        grads = jax.grad(loss)(params, x[rows], y[rows])
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), adaptax.learning_rate(state)

    return jax.lax.scan(step, (params, state), first + jnp.arange(steps))


def main():
    (x, y), held_out = data()
    schedule = adaptax.wsd(0.03, warmup_steps=50, decay_steps=DECAY)
    long_run = adaptax.adamw(schedule)
    params = init(jax.random.key(0))
    state, found = long_run.init(params), []
    for first, last in zip((0, *BRANCHES), BRANCHES, strict=False):
        (params, state), _ = train(long_run, params, state, x, y, first, last - first)
        branch = adaptax.adamw(schedule.decay_from(last))
        (decayed, _), rates = train(branch, params, state, x, y, last, DECAY)
        losses = [float(loss(p, *held_out)) for p in (params, decayed)]
        found.append((last, *losses, np.asarray(rates)))
        print(
            f"step {last}: validation loss {losses[0]:.3f} at learning rate {float(rates[0]):g}, "
            f"{losses[1]:.3f} after a decay of {DECAY} steps to {float(rates[-1]):.2g}"
        )
    return {"branches": found}


if __name__ == "__main__":
    main()
