"""Run by `test_sharding.py` in a process of its own with eight virtual devices; prints JSON."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import adaptax
from tests.interop.table import OPTIMIZERS, grads, make

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

STEPPED = ["adamw", "adadelta", "rmsprop"]
SPECS = {"w": PartitionSpec("data", "model"), "b": PartitionSpec("model"), "c": PartitionSpec()}


def params():
    shapes = {"w": (8, 4), "b": (4,), "c": ()}
    return jax.tree.map(lambda shape: jnp.full(shape, 0.5, jnp.float32), shapes, is_leaf=_is_shape)


def _is_shape(x):
    return isinstance(x, tuple)


def place(tree, mesh):
    return {key: jax.device_put(x, NamedSharding(mesh, SPECS[key])) for key, x in tree.items()}


def inherited(state, theta):
    """The arrays of the state with a parameter's shape that are placed otherwise than it."""
    expected = {x.shape: x.sharding for x in jax.tree.leaves(theta) if x.ndim}
    arrays = [x for x in jax.tree.leaves(state) if x.ndim]
    wrong = [x.shape for x in arrays if not x.sharding.is_equivalent_to(expected[x.shape], x.ndim)]
    return len(arrays), wrong


def step(tx):
    def one(theta, state, g):
        updates, state = tx.update(g, state, theta)
        return optax.apply_updates(theta, updates), state

    return jax.jit(one)


def inheritance(name, mesh):
    theta = place(params(), mesh)
    tx = make(name)
    state = tx.init(theta)
    arrays, wrong = inherited(state, theta)
    return {"arrays": arrays, "wrong": wrong}


def compare(name, mesh):
    """How far three sharded steps are from three unsharded ones."""
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), make(name))
    alone, state_alone = params(), tx.init(params())
    theta = place(params(), mesh)
    state = tx.init(theta)
    move = step(tx)
    for k in range(3):
        alone, state_alone = move(alone, state_alone, grads(params(), k))
        theta, state = move(theta, state, place(grads(params(), k), mesh))
    assert inherited(state, theta)[1] == []
    pairs = zip(*map(jax.tree.leaves, (alone, theta)), strict=True)
    return max(float(np.max(np.abs(np.asarray(x) - np.asarray(y)))) for x, y in pairs)


def main(kind):
    types = (getattr(AxisType, kind),) * 2
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=types)
    with jax.set_mesh(mesh):
        kept = {name: inheritance(name, mesh) for name in OPTIMIZERS}
        apart = {name: compare(name, mesh) for name in STEPPED}
    print(json.dumps({"devices": jax.device_count(), "kept": kept, "apart": apart}))


if __name__ == "__main__":
    main(sys.argv[1])
