"""How far one overflowing spike holds every optimizer back.

    python -m tests.spiked

prints, for each dtype, how far a parameter moves in the 200 unit gradients after a spike at step
40, as a share of the run without it; and the least share with `guard`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import adaptax
from adaptax.core import registry

SPIKES = {"float32": 2e19, "bfloat16": 2e19, "float16": 300.0}


def driven(tx, spikes=None, at=None, before=40, n=200):
    """How far parameters of each dtype are driven by n unit gradients, and the state after them.

    With spikes: by those after a spike that comes in the place of one at the step `at`.
    """
    theta = {dtype: jnp.zeros((), dtype) for dtype in SPIKES}
    gs = {dtype: np.ones(before + n + 1, np.float32) for dtype in SPIKES}
    if spikes is not None:
        for dtype, g in gs.items():
            g[at] = spikes[dtype]
    state, us = scanned(tx)(tx.init(theta), jax.tree.map(jnp.asarray, gs), theta)
    start = before + 1 if at is None else at + 1
    far = {
        dtype: abs(np.asarray(u, np.float64)[start : start + n].sum()) for dtype, u in us.items()
    }
    return far, state


@functools.cache
def scanned(tx):
    @jax.jit
    def run(state, gs, theta):
        def one(state, g):
            g = jax.tree.map(lambda x, p: x.astype(p.dtype), g, theta)
            updates, state = tx.update(g, state, theta)
            return state, jax.tree.map(lambda u: u.astype(jnp.float32), updates)

        return jax.lax.scan(one, state, gs)

    return run


def shares(tx):
    """What is left of the way, by dtype."""
    without, got = driven(tx)[0], driven(tx, SPIKES, 40)[0]
    return {dtype: got[dtype] / without[dtype] for dtype in SPIKES}


def main():
    print(f"| | {' | '.join(SPIKES)} | with `guard` |")
    print("|---|" + "---:|" * (len(SPIKES) + 1))
    for name in registry.names("optimizer"):
        tx = getattr(adaptax, name)(0.01)
        plain = [f"{share:.2f}" for share in shares(tx).values()]
        least = min(shares(adaptax.guard(tx, recompute=False)).values())
        print(f"| {name} | {' | '.join(plain)} | {least:.2f} |", flush=True)


if __name__ == "__main__":
    main()
