"""Flax nnx: `nnx.Optimizer` takes an adaptax optimizer as it is; the rate is read and set in it.

Run: python examples/flax_nnx.py (needs Flax, and scikit-learn for the digits that come with it).
"""

import jax
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

import adaptax

EPOCHS, BATCH = 15, 128


def data():
    """The 1797 digits of 8×8 pixels: 1437 to train on, 360 to test on."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = (images[order] / 16).astype(np.float32), labels[order].astype(np.int32)
    return (images[:1437], labels[:1437]), (images[1437:], labels[1437:])


class Network(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(64, 128, rngs=rngs)
        self.out = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x):
        return self.out(jax.nn.relu(self.hidden(x)))


def loss(model, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()


@nnx.jit
def step(model, optimizer, x, y):
    value, grads = nnx.value_and_grad(loss)(model, x, y)
    optimizer.update(model, grads, value=value)  # the loss reaches whoever needs it
    return value


def main():
    (x, y), (x_test, y_test) = data()
    model = Network(nnx.Rngs(0))
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), adaptax.nadamw(3e-3, weight_decay=1e-2))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    shuffle, rates = np.random.default_rng(1), []
    for epoch in range(EPOCHS):
        if epoch == 10:  # the state keeps its structure: nothing is compiled again
            optimizer.opt_state = adaptax.set_learning_rate(optimizer.opt_state, 5e-4)
        order = shuffle.permutation(len(x))
        for rows in np.array_split(order[: len(x) // BATCH * BATCH], len(x) // BATCH):
            value = step(model, optimizer, x[rows], y[rows])
        rates.append(float(adaptax.learning_rate(optimizer.opt_state)))
        print(f"epoch {epoch:2}  loss {float(value):.4f}  learning rate {rates[-1]:g}")
    accuracy = float(np.mean(np.asarray(model(x_test)).argmax(1) == y_test))
    print(f"test accuracy {accuracy:.3f}")
    return {"accuracy": accuracy, "rates": rates}


if __name__ == "__main__":
    main()
