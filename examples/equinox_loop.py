"""Equinox: the optimizer sees the arrays of the model, `None` stands where there is none.

Run: python examples/equinox_loop.py (needs Equinox, and scikit-learn for the digits).
"""

import equinox as eqx
import jax
import numpy as np
import optax
from sklearn.datasets import load_digits

import adaptax

EPOCHS, BATCH = 10, 128


def data():
    """The 1797 digits of 8×8 pixels: 1437 to train on, 360 to test on."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = (images[order] / 16).astype(np.float32), labels[order].astype(np.int32)
    return (images[:1437], labels[:1437]), (images[1437:], labels[1437:])


def loss(model, x, y):
    logits = jax.vmap(model)(x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


tx = adaptax.adabelief(3e-3)


@eqx.filter_jit
def step(model, state, x, y):
    value, grads = eqx.filter_value_and_grad(loss)(model, x, y)
    updates, state = tx.update(grads, state, eqx.filter(model, eqx.is_inexact_array))
    return eqx.apply_updates(model, updates), state, value


def main():
    (x, y), (x_test, y_test) = data()
    model = eqx.nn.MLP(64, 10, width_size=128, depth=1, key=jax.random.key(0))
    state = tx.init(eqx.filter(model, eqx.is_inexact_array))
    shuffle = np.random.default_rng(1)
    for epoch in range(EPOCHS):
        order = shuffle.permutation(len(x))
        for rows in np.array_split(order[: len(x) // BATCH * BATCH], len(x) // BATCH):
            model, state, value = step(model, state, x[rows], y[rows])
        rate = float(adaptax.learning_rate(state))
        print(f"epoch {epoch}  loss {float(value):.4f}  learning rate {rate:.6f}")
        state = adaptax.scale_learning_rate(state, 0.9)  # from here on, nothing compiled again
    accuracy = float(np.mean(np.asarray(jax.vmap(model)(x_test)).argmax(1) == y_test))
    print(f"test accuracy {accuracy:.3f}")
    return {"accuracy": accuracy, "learning_rate": rate}


if __name__ == "__main__":
    main()
