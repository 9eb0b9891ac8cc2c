"""A plain JAX loop: one jitted step whose parameters and state are donated.

Run: python examples/plain_loop.py (needs scikit-learn for the digits that come with it).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import adaptax

EPOCHS, BATCH = 15, 128


def data():
    """The 1797 digits of 8×8 pixels: 1437 to train on, 360 to test on."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = (images[order] / 16).astype(np.float32), labels[order].astype(np.int32)
    return (images[:1437], labels[:1437]), (images[1437:], labels[1437:])


def init(key, sizes=(64, 128, 10)):
    """The layers of a network with random weights."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {"w": jax.random.normal(k, (m, n)) * jnp.sqrt(2 / m), "b": jnp.zeros(n)}
        for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def predict(params, x):
    *hidden, last = params
    for layer in hidden:
        x = jax.nn.relu(x @ layer["w"] + layer["b"][None])
    return x @ last["w"] + last["b"][None]


def loss(params, x, y):
    logits = predict(params, x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), adaptax.adamw(3e-3, weight_decay=1e-2))


@functools.partial(jax.jit, donate_argnums=(0, 1))
def step(params, state, x, y):
    value, grads = jax.value_and_grad(loss)(params, x, y)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state, value


def main():
    (x, y), (x_test, y_test) = data()
    params = init(jax.random.key(0))
    state = tx.init(params)
    shuffle = np.random.default_rng(1)
    for epoch in range(EPOCHS):
        if epoch == 10:  # the rate lives in the state: set it, and nothing is compiled again
            state = adaptax.set_learning_rate(state, 3e-4)
        order = shuffle.permutation(len(x))
        for rows in np.array_split(order[: len(x) // BATCH * BATCH], len(x) // BATCH):
            params, state, value = step(params, state, x[rows], y[rows])
        rate = float(adaptax.learning_rate(state))
        print(f"epoch {epoch:2}  loss {float(value):.4f}  learning rate {rate:g}")
    accuracy = float(np.mean(np.asarray(predict(params, x_test)).argmax(1) == y_test))
    print(f"test accuracy {accuracy:.3f}, step compiled {step._cache_size()} time(s)")
    return {"accuracy": accuracy, "learning_rate": rate, "compiled": step._cache_size()}


if __name__ == "__main__":
    main()
