"""The learning-rate finder on a Flax nnx model: a range test, then trainings of the real length.

Run: python examples/find_rate_nnx.py (needs Flax, and scikit-learn for the digits).
"""

import jax
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

import adaptax
from adaptax.flax import functional

EPOCHS, BATCH = 10, 64


def data():
    """The 1797 digits of 8×8 pixels: 1437 to train on, 360 to test on."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = (images[order] / 16).astype(np.float32), labels[order].astype(np.int32)
    return (images[:1437], labels[:1437]), (images[1437:], labels[1437:])


class Network(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(64, 64, rngs=rngs)
        self.norm = nnx.BatchNorm(64, rngs=rngs)
        self.out = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x):
        return self.out(jax.nn.relu(self.norm(self.hidden(x))))


def loss(model, batch):
    x, y = batch
    return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()


@nnx.jit
def step(model, optimizer, batch):
    value, grads = nnx.value_and_grad(loss)(model, batch)
    optimizer.update(model, grads, value=value)


def train(rate, x, y):
    model = Network(nnx.Rngs(0))
    steps = EPOCHS * (len(x) // BATCH)
    tx = adaptax.adamw(adaptax.cosine(rate, steps))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    shuffle = np.random.default_rng(1)
    for _ in range(EPOCHS):
        order = shuffle.permutation(len(x))[: len(x) // BATCH * BATCH]
        for rows in order.reshape(-1, BATCH):
            step(model, optimizer, (x[rows], y[rows]))
    model.eval()
    return model


def main():
    (x, y), (x_test, y_test) = data()
    batches = [(x[k : k + BATCH], y[k : k + BATCH]) for k in range(0, len(x), BATCH)]
    parts = functional(Network(nnx.Rngs(0)), loss)
    given = {"model_state": parts.model_state, "progress": False}
    quick = adaptax.find_learning_rate(parts.loss_fn, parts.params, batches, **given)
    print(quick)
    found = adaptax.find_learning_rate(
        parts.loss_fn, parts.params, batches, horizon=EPOCHS * (len(x) // BATCH), **given
    )
    low, high = found.interval
    print(f"for {EPOCHS} epochs: learning rate {found.recommended:.3g} ({low:.3g} to {high:.3g})")
    model = train(found.recommended, x, y)
    accuracy = float(np.mean(np.asarray(model(x_test)).argmax(1) == y_test))
    print(f"test accuracy {accuracy:.3f}")
    return {"accuracy": accuracy, "quick": quick, "found": found}


if __name__ == "__main__":
    main()
