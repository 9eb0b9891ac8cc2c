"""A method of your own in eight lines: Adam that divides by E|g| instead of √E[g²].

Run: python examples/own_method.py (needs scikit-learn for the digits that come with it).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from sklearn.datasets import load_digits

import adaptax

STEPS, BATCH = 200, 128


@adaptax.part
class MeanRoot(adaptax.Ema):
    """(E√x)², a mean that one large x moves less; a `Rms` gives it x = |g|² and takes the root."""

    def absorb(self, kept, x, step):
        return (kept[0] + step.complement(self.decay) * (jnp.sqrt(x) - kept[0]),)

    def read(self, kept, x, step):
        return jnp.square(kept[0])

    def mass(self, step):
        return jnp.square(step.absorbed(self.decay))


def mean_absolute_adam(learning_rate, b1=0.9, b2=0.999, eps=1e-8):
    """u = −η m̂/(â + ε), a ← a + (1−β₂)(|g| − a); bias-corrected, settable, the same contract."""
    first, second = adaptax.Debiased(adaptax.Ema(b1)), adaptax.Debiased(MeanRoot(b2))
    return adaptax.descend(adaptax.Rule(first, adaptax.Rms(second, eps)), learning_rate)


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


@functools.partial(jax.jit, static_argnums=0)  # an adaptax optimizer compares and hashes by value
def train(tx, x, y):
    """The parameters and the optimizer's state after training, as one compiled program."""

    def loss(params, rows):
        logits = predict(params, x[rows])
        return optax.softmax_cross_entropy_with_integer_labels(logits, y[rows]).mean()

    def step(carry, rows):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params, rows), state, params)
        return (optax.apply_updates(params, updates), state), None

    params = init(jax.random.key(0))
    rows = jax.random.randint(jax.random.key(1), (STEPS, BATCH), 0, len(x))
    return lax.scan(step, (params, tx.init(params)), rows)[0]


def main():
    (x, y), (x_test, y_test) = data()
    print(f"{mean_absolute_adam(5e-3)}\n")
    accuracies = {}
    for make in (adaptax.adam, mean_absolute_adam):
        params, state = train(make(5e-3), x, y)
        predicted = np.asarray(predict(params, x_test)).argmax(1)
        accuracies[make.__name__] = accuracy = float(np.mean(predicted == y_test))
        rate = float(adaptax.learning_rate(state))
        print(f"{make.__name__:18}  test accuracy {accuracy:.3f}  learning rate {rate:g}")
    return {"learning_rate": rate, **accuracies}


if __name__ == "__main__":
    main()
