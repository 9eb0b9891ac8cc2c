"""Golden traces of PyTorch and Keras: the library and its references step as they do.

`golden/make.py` wrote them, in an environment of its own; `golden/traces.json` says how arguments
correspond and where the libraries differ.
"""

import functools
import hashlib
import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax
from tests import references
from tests.conformance import proves

FOLDER = pathlib.Path(__file__).parent / "golden"
MADE = json.loads((FOLDER / "traces.json").read_text())
TRACES = {"torch": [], "keras": []}
for trace in MADE["traces"]:
    TRACES[trace["library"]].append((trace["ours"]["name"], trace))
# The parameters are of order 1, so that a difference of two of them carries a few of their last
# units.
SUBTRACTION = 1e-15


@functools.cache
def arrays():
    content = (FOLDER / "traces.npz").read_bytes()
    assert hashlib.sha256(content).hexdigest() == MADE["sha256"], "traces.npz is not the one made"
    with np.load(FOLDER / "traces.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def traces(library):
    found = TRACES[library]
    ids = [f"{i:02d}-{trace['theirs']['name']}" for i, (_, trace) in enumerate(found)]
    return pytest.mark.parametrize(("name", "trace"), found, ids=ids)


def arguments(trace):
    """Our arguments; an eps over the root of the mass changes from step to step."""
    found = dict(trace["ours"]["arguments"])
    if isinstance(found.get("eps"), dict):
        eps, decay = found["eps"]["over_root_of_mass"]
        found["eps"] = _shrinking(eps, decay)
    return found


def _shrinking(eps, decay):
    def now(step):
        if isinstance(step, int):
            return eps / math.sqrt(1 - decay ** (step + 1))
        return eps / jnp.sqrt(1 - decay ** (step + 1).astype(jnp.float64))

    return now


def check(theta, trace):
    """Each step equals theirs; the trace must move."""
    want = arrays()[trace["key"]]
    before, start = np.vstack([arrays()["start"], want[:-1]]), arrays()["start"]
    taken, theirs = np.diff(theta, axis=0, prepend=start[None]), want - before
    assert np.abs(theirs).max() > 1e-6
    np.testing.assert_allclose(taken, theirs, rtol=1e-10, atol=4 * SUBTRACTION)
    np.testing.assert_allclose(theta, want, rtol=1e-10)


def ours(name, trace):
    """Our parameters after each step, starting where theirs start and going our own way."""
    tx = getattr(adaptax, name)(MADE["learning_rate"], **arguments(trace))

    @jax.jit
    def run(theta, grads):
        def body(carry, g):
            theta, state = carry
            updates, state = tx.update(g, state, theta)
            return (theta + updates, state), theta + updates

        return jax.lax.scan(body, (theta, tx.init(theta)), grads)[1]

    theta = run(jnp.asarray(arrays()["start"]), jnp.asarray(arrays()["gradients"]))
    assert theta.dtype == np.float64
    return np.asarray(theta)


@proves("P3")
@traces("torch")
def test_pytorch(name, trace, x64):
    check(ours(name, trace), trace)


@proves("P5")
@traces("keras")
def test_keras(name, trace, x64):
    check(ours(name, trace), trace)


@pytest.mark.parametrize("trace", MADE["traces"], ids=lambda trace: trace["key"])
def test_references(trace):
    """The references judge the library; the traces judge them."""
    found = arguments(trace)
    if found.pop("correct_maximum", False):
        found["maximum_of"] = "raw"
    step = getattr(references, trace["ours"]["name"])(MADE["learning_rate"], **found)
    theta, all_of_them = arrays()["start"], []
    for g in arrays()["gradients"]:
        theta = theta + step(g, theta)
        all_of_them.append(theta)
    check(np.array(all_of_them), trace)


def test_every_difference_is_told():
    """Arguments that correspond under other names only are explained in the mapping."""
    assert {trace["library"] for trace in MADE["traces"]} == {"torch", "keras"}
    for trace in MADE["traces"]:
        if isinstance(trace["ours"]["arguments"].get("eps"), dict):
            assert "mass" in trace["differs"], trace["key"]
