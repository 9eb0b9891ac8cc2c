"""Fine-tuning: rates for groups of layers, found by the finder, and layers that wait.

A small convolutional network learns the digits 0 to 4, then 5 to 9 in 20 steps on 200 images.
Run: python examples/fine_tuning.py (needs scikit-learn for the digits that come with it).
"""

import functools

import jax
import numpy as np
import optax
from sklearn.datasets import load_digits

import adaptax

SHOTS, BATCH, STEPS = 200, 20, 20


def data():
    x, y = load_digits(return_X_y=True)  # 0 to 4, also moved by a pixel, apart from 5 to 9
    x, y = (x / 16).astype(np.float32).reshape(-1, 1, 8, 8), y.astype(np.int32)
    moved = [np.roll(x[y < 5], (i, j), (2, 3)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return (np.concatenate(moved), np.tile(y[y < 5], 9)), (x[y >= 5], y[y >= 5] - 5)


def init(key):
    def layer(k, *shape):
        scale = np.sqrt(2 / np.prod(shape[1:]))
        return {"w": scale * jax.random.normal(k, shape), "b": np.zeros(shape[0], np.float32)}

    a, b, c = jax.random.split(key, 3)
    return {"body": [layer(a, 32, 1, 3, 3), layer(b, 64, 32, 3, 3)], "head": layer(c, 5, 256)}


def predict(params, x):
    for layer in params["body"]:
        x = jax.lax.conv(x, layer["w"], (2, 2), "SAME")
        x = jax.nn.relu(x + layer["b"][None, :, None, None])
    return x.reshape(len(x), -1) @ params["head"]["w"].T + params["head"]["b"][None]


def loss(params, batch):
    losses = optax.softmax_cross_entropy_with_integer_labels(predict(params, batch[0]), batch[1])
    return losses.mean()


@functools.partial(jax.jit, static_argnums=0)  # an optimizer is a value: equal ones share a trace
def step(tx, params, state, batch):
    updates, state = tx.update(jax.grad(loss)(params, batch), state, params)
    return optax.apply_updates(params, updates), state


def train(tx, params, x, y, batch=BATCH, steps=STEPS):
    state, draw = tx.init(params), np.random.default_rng(0)
    for _ in range(steps):
        rows = draw.choice(len(x), batch, replace=False)
        params, state = step(tx, params, state, (x[rows], y[rows]))
    return params


def find(scratch, start, x, y):  # a group is searched while the others stand still
    batches = list(zip(np.split(x, SHOTS // BATCH), np.split(y, SHOTS // BATCH), strict=True))
    run = functools.partial(adaptax.find_learning_rate, loss, horizon=STEPS, progress=False)
    found = run(start, batches, labels=adaptax.group_labels(["head/**", "body/**"], start))
    found |= {"from scratch": run(scratch, batches), "one rate": run(start, batches)}
    return {name: result.recommended for name, result in found.items()}


def optimizers(rates):
    tx = {name: adaptax.adamw(adaptax.cosine(rate, STEPS)) for name, rate in rates.items()}
    head, body = tx.pop("head/**"), tx.pop("body/**")
    layers, later = ["body/0/*", "body/1/*", "head/*"], adaptax.frozen_until(body, STEPS // 5)
    tx["layer-wise decay"] = adaptax.layerwise_decay(tx["one rate"], 0.5, layers)
    tx["two groups"] = adaptax.by_path({"head/**": head, "body/**": body})
    return tx | {"the body later": adaptax.by_path({"head/**": head, "body/**": later})}


def main():
    (x, y), (x_new, y_new) = data()
    rates, accuracies = {}, {}
    for seed in range(4):
        few, test = np.split(np.random.default_rng(seed).permutation(len(x_new)), [SHOTS])
        scratch = init(jax.random.key(seed))
        start = train(adaptax.adamw(3e-3), init(jax.random.key(10 + seed)), x, y, 50, 300)
        start["head"] = scratch["head"]
        rates = rates or find(scratch, start, x_new[few], y_new[few])
        for name, tx in optimizers(rates).items():
            params = scratch if name == "from scratch" else start
            params = train(tx, params, x_new[few], y_new[few])
            right = predict(params, x_new[test]).argmax(1) == y_new[test]
            accuracies.setdefault(name, []).append(float(right.mean()))
    print("learning rates found:", {name: float(f"{rate:.2g}") for name, rate in rates.items()})
    for name, each in accuracies.items():
        print(f"{name:16}  test accuracy {np.mean(each):.3f} ± {np.std(each):.3f}")
    return {"accuracies": accuracies, "rates": rates}


if __name__ == "__main__":
    main()
