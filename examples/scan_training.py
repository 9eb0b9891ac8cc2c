"""A whole training as one compiled program: `lax.scan` over the steps, rates read from the state.

Run: python examples/scan_training.py (needs scikit-learn for the digits that come with it).
"""

import jax
import numpy as np
import optax
from jax import lax
from sklearn.datasets import load_digits

import adaptax

STEPS, BATCH = 300, 128


def data():
    """The 1797 digits of 8×8 pixels: 1437 to train on, 360 to test on."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = (images[order] / 16).astype(np.float32), labels[order].astype(np.int32)
    return (images[:1437], labels[:1437]), (images[1437:], labels[1437:])


def init(key):
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, 64)) * 0.2,
        "out": jax.random.normal(second, (64, 10)) * 0.2,
    }


def predict(params, x):
    return jax.nn.relu(x @ params["hidden"]) @ params["out"]


def loss(params, x, y):
    logits = predict(params, x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


tx = adaptax.adam(adaptax.warmup_cosine(0.02, warmup_steps=30, steps=STEPS))


@jax.jit
def train(key, x, y):
    """Parameters after training, and the loss and the rate of every step."""
    start, order = jax.random.split(key)
    params = init(start)

    def step(carry, key):
        params, state = carry
        rows = jax.random.choice(key, len(x), (BATCH,), replace=False)
        value, grads = jax.value_and_grad(loss)(params, x[rows], y[rows])
        updates, state = tx.update(grads, state, params)
        used = adaptax.learning_rate(state)  # an array in the state: no callback, no host
        return (optax.apply_updates(params, updates), state), (value, used)

    (params, _), history = lax.scan(step, (params, tx.init(params)), jax.random.split(order, STEPS))
    return params, history


def main():
    (x, y), (x_test, y_test) = data()
    params, (losses, rates) = train(jax.random.key(0), x, y)
    losses, rates = np.asarray(losses), np.asarray(rates)
    for k in (0, 15, 30, 100, 200, STEPS - 1):
        print(f"step {k:3}  loss {losses[k]:.4f}  learning rate {rates[k]:.6f}")
    accuracy = float(np.mean(np.asarray(predict(params, x_test)).argmax(1) == y_test))
    print(f"test accuracy {accuracy:.3f}")
    return {"accuracy": accuracy, "rates": rates, "losses": losses}


if __name__ == "__main__":
    main()
