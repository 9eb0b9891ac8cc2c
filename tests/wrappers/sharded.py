"""Run by `test_average.py` in a process of its own with eight virtual devices; prints JSON."""

import json

import jax
import numpy as np
from jax.sharding import AxisType

import adaptax
from tests.interop.sharded import inherited, params, place, step
from tests.interop.table import grads

INNER = adaptax.chain(adaptax.clip_by_global_norm(1.0), adaptax.adamw(0.1))
WRAPPED = {
    "accumulate": adaptax.accumulate(INNER, 2),
    "ema": adaptax.accumulate(adaptax.ema_weights(INNER, 0.9, debias=False), 2),
    "swa": adaptax.swa(INNER, 2),
    "lookahead": adaptax.lookahead(INNER, 2),
}


def compare(tx, mesh):
    """Arrays in the state, those placed otherwise than their parameter, and the largest error."""
    alone, state_alone = params(), tx.init(params())
    theta = place(params(), mesh)
    state = tx.init(theta)
    arrays, wrong = inherited(state, theta)
    move = step(tx)
    for k in range(4):
        alone, state_alone = move(alone, state_alone, grads(params(), k))
        theta, state = move(theta, state, place(grads(params(), k), mesh))
    found = adaptax.evaluation_params(state, theta)
    wrong += inherited((state, found), theta)[1]
    want = adaptax.evaluation_params(state_alone, alone)
    pairs = zip(*map(jax.tree.leaves, ((theta, found), (alone, want))), strict=True)
    apart = max(float(np.max(np.abs(np.asarray(x) - np.asarray(y)))) for x, y in pairs)
    return {"arrays": arrays, "wrong": wrong, "apart": apart}


def main():
    found = {}
    for kind in ("Auto", "Explicit"):
        types = (getattr(AxisType, kind),) * 2
        mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=types)
        with jax.set_mesh(mesh):
            found[kind] = {name: compare(tx, mesh) for name, tx in WRAPPED.items()}
    print(json.dumps({"devices": jax.device_count(), "found": found}))


if __name__ == "__main__":
    main()
