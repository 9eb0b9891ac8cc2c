"""Data-parallel training: batches over all devices, and the learning rate that goes with them.

Four times the devices take four times the batch, at the rate scaled for it and in a quarter of the
steps. Run: python examples/data_parallel.py, which makes four devices of a CPU (and needs
scikit-learn for the digits that come with it).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from sklearn.datasets import load_digits

import adaptax

RATE, BATCH, EPOCHS = 2e-3, 32, 16  # found for one device


def data():
    """The 1797 digits of 8×8 pixels: 1437 to train on, 360 to test on."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = (images[order] / 16).astype(np.float32), labels[order].astype(np.int32)
    return (images[:1437], labels[:1437]), (images[1437:], labels[1437:])


def init(key):
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, 128)) * 0.18,
        "out": jax.random.normal(second, (128, 10)) * 0.12,
    }


def predict(params, x):
    return jax.nn.relu(x @ params["hidden"]) @ params["out"]


def loss(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(predict(params, x), y).mean()


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def step(tx, params, state, x, y):
    # the mean over a batch that lies on several devices is where they talk to each other
    value, grads = jax.value_and_grad(loss)(params, x, y)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state, value


def train(devices, x, y):
    """Train on these devices, with BATCH examples on each in every step."""
    mesh = jax.make_mesh((len(devices),), ("data",), (AxisType.Auto,), devices=devices)
    everywhere = NamedSharding(mesh, PartitionSpec())
    apart = NamedSharding(mesh, PartitionSpec("data"))
    batch = BATCH * len(devices)
    steps = len(x) // batch
    rate = adaptax.scaled_for_batch(RATE, batch, BATCH, "sqrt")
    tx = adaptax.adamw(adaptax.warmup_cosine(rate, 2 * steps, EPOCHS * steps))
    params = jax.device_put(init(jax.random.key(0)), everywhere)
    state = jax.device_put(tx.init(params), everywhere)
    shuffle, used = np.random.default_rng(1), []
    for _ in range(EPOCHS):
        for rows in np.split(shuffle.permutation(len(x))[: steps * batch], steps):
            examples = jax.device_put((x[rows], y[rows]), apart)
            params, state, value = step(tx, params, state, *examples)
            used.append(adaptax.learning_rate(state))
    return params, {"loss": float(value), "steps": len(used), "rate": float(jnp.stack(used).max())}


def main():
    (x, y), (x_test, y_test) = data()
    runs = {}
    for count in sorted({1, jax.device_count()}):
        params, run = train(jax.devices()[:count], x, y)
        run["accuracy"] = float((predict(params, x_test).argmax(1) == y_test).mean())
        print(
            f"{count} device(s): {run['steps']} steps of {BATCH * count} examples, learning rate "
            f"up to {run['rate']:g}, loss {run['loss']:.4f}, test accuracy {run['accuracy']:.3f}"
        )
        runs[count] = run
    return runs


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 4)
    main()
