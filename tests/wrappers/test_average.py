"""Averaged and slow weights: their numbers, where they are found, and every loop they work in."""

import functools
import json
import os
import pathlib
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests import reference_averages, references
from tests.interop.table import assert_close, assert_same, kinds, make, params, steps
from tests.wrappers.test_accumulate import CASES, RATE, THETA, drawn, rate, serialized

N = 12
WRAPPERS = {
    "ema": lambda tx: adaptax.ema_weights(tx, 0.9),
    "ema of a schedule": lambda tx: adaptax.ema_weights(tx, adaptax.linear(0.2, 0.9, 5)),
    "ema from the start": lambda tx: adaptax.ema_weights(tx, 0.9, debias=False),
    "ema now and then": lambda tx: adaptax.ema_weights(tx, 0.9, every=3),
    "swa": lambda tx: adaptax.swa(tx, 4, 3),
    "lookahead": lambda tx: adaptax.lookahead(tx, 3, 0.5),
}
every_wrapper = pytest.mark.parametrize("name", WRAPPERS)


def rest_slow(names, first):
    """The first few of the names by default, the others in the slow lane."""
    return [n if n in first else pytest.param(n, marks=pytest.mark.slow) for n in names]


def decay(k):
    return 0.2 + 0.7 * min(k / 5, 1)


def expected(name, optimizer, gradients, theta=THETA):
    """The path of the parameters, and what to evaluate with after each step, in float64."""
    if name == "lookahead":
        return reference_averages.lookahead(optimizer, theta, gradients, 3, 0.5)
    path = reference_averages.descended(optimizer, theta, gradients)
    average = {
        "ema": lambda seen: reference_averages.ema(seen, 0.9),
        "ema of a schedule": lambda seen: reference_averages.ema(seen, decay),
        "ema from the start": lambda seen: reference_averages.ema(seen, 0.9, theta),
        "ema now and then": lambda seen: reference_averages.ema(seen[2::3], 0.9),
        "swa": lambda seen: reference_averages.swa(seen, 4, 3),
    }[name]
    averages = [average(path[: i + 1]) for i in range(len(path))]
    return path, [p if a is None else a for p, a in zip(path, averages, strict=True)]


def run(tx, gradients, theta=THETA):
    """The parameters and those to evaluate with after every step, and the state."""

    @jax.jit
    def loop(theta, state, gradients):
        def one(carry, g):
            theta, state = carry
            updates, state = tx.update(g, state, theta)
            theta = optax.apply_updates(theta, updates)
            return (theta, state), (theta, adaptax.evaluation_params(state, theta))

        return jax.lax.scan(one, (theta, state), gradients)

    theta = jax.tree.map(jnp.asarray, theta)
    gradients = jax.tree.map(jnp.asarray, gradients)
    (_, state), (path, averages) = loop(theta, tx.init(theta), gradients)
    return path, averages, state


@every_wrapper
@pytest.mark.parametrize("optimizer", rest_slow(CASES, ["sgd", "adamw"]))
def test_it_equals_the_reference(name, optimizer):
    kwargs, reference = CASES[optimizer]
    gradients = drawn(N)
    path, averages, state = run(WRAPPERS[name](make(optimizer, RATE, **kwargs)), gradients)
    wanted, evaluated = expected(name, reference(rate, **kwargs), gradients)
    np.testing.assert_allclose(path, wanted, rtol=3e-6, atol=3e-7)
    np.testing.assert_allclose(averages, evaluated, rtol=3e-6, atol=3e-7)
    assert np.max(np.abs(np.asarray(averages[-1]) - path[-1])) > 1e-3 or name == "lookahead"
    assert adaptax.learning_rate(state) == adaptax.learning_rate(state.inner_state) > 0


@pytest.mark.parametrize("name", rest_slow(WRAPPERS, ["ema", "lookahead"]))
def test_in_double_precision(name, x64):
    gradients, theta = drawn(N).astype("f8"), THETA.astype("f8")
    wrap = WRAPPERS[name]
    path, averages, _ = run(wrap(adaptax.adamw(0.1)), gradients, theta)
    wanted, evaluated = expected(name, references.adamw(0.1), gradients, theta)
    np.testing.assert_allclose(path, wanted, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(averages, evaluated, rtol=1e-12, atol=1e-13)


@every_wrapper
@pytest.mark.parametrize("dtype", rest_slow(["float32", "bfloat16", "float16"], ["bfloat16"]))
def test_the_average_of_constant_parameters_is_those_to_the_bit(name, dtype):
    """At every step: Keras began with zeros, and so with weights near zero."""
    theta = jnp.asarray([1.0, -1e-3, 0.1, 3.14159, 6e4, -0.0], dtype)
    _, averages, state = run(WRAPPERS[name](adaptax.sgd(0.0)), jnp.ones((7, 6), dtype), theta)
    assert averages.dtype == theta.dtype
    np.testing.assert_array_equal(averages, np.broadcast_to(theta, (7, 6)))
    kept = state.slow if name == "lookahead" else state.average
    assert kept.dtype == jnp.float32
    np.testing.assert_array_equal(kept, np.asarray(theta, "f4"))


def test_a_decay_near_one_is_debiased():
    """1 − 0.99999 in float32 has an error of 1e-3; the weights of 300 steps are nearly equal."""
    gradients = np.ones((300, 1), np.float32)
    path, averages, _ = run(adaptax.ema_weights(adaptax.sgd(1.0), 0.99999), gradients, np.zeros(1))
    want = reference_averages.ema(list(np.asarray(path, "f8")), 0.99999)
    np.testing.assert_allclose(averages[-1], want, rtol=1e-5)
    path, averages, _ = run(adaptax.ema_weights(adaptax.sgd(1.0), 0.0), gradients[:5], np.zeros(1))
    np.testing.assert_array_equal(averages, path)


@pytest.mark.parametrize("dtype", rest_slow(["bfloat16", "float16"], ["bfloat16"]))
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eager"])
def test_what_is_averaged_is_what_the_parameters_become(dtype, compiled):
    """A compiler may compute with more bits than 16 where it sees a cast there and back."""
    theta = jnp.asarray(drawn(1, shape=(2000,))[0], dtype)
    g = jnp.asarray(drawn(1, seed=3, shape=(2000,))[0], dtype)
    tx = adaptax.swa(adaptax.sgd(0.37), 1, 1000)

    def step(theta, state, g):
        updates, state = tx.update(g, state, theta)
        return optax.apply_updates(theta, updates), state

    after, state = (jax.jit(step) if compiled else step)(theta, tx.init(theta), g)
    np.testing.assert_array_equal(np.asarray(after, "f4"), state.average)


def test_an_average_in_16_bits_follows():
    """A bfloat16 average with this decay would stand still."""
    theta = jnp.ones(4, jnp.bfloat16)
    g = -jnp.full((200, 4), 2.0**-7, jnp.bfloat16)
    path, averages, _ = run(adaptax.ema_weights(adaptax.sgd(1.0), 0.999), g, theta)
    want = reference_averages.ema(list(np.asarray(path, "f8")), 0.999)
    np.testing.assert_allclose(np.asarray(averages[-1], "f8"), want, rtol=2.0**-8)
    assert path[-1, 0] == 2 and np.ptp(np.asarray(averages, "f4")) > 0.5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_lookahead_lands_on_the_slow_weights(dtype):
    """Rounded to the parameters' dtype, and the slow ones do not see that rounding."""

    def rounded(x):
        return np.asarray(jnp.asarray(x, jnp.float32).astype(dtype), "f8")

    theta = jnp.asarray(np.linspace(3.0, 4.0, 500), dtype)
    tx = adaptax.lookahead(adaptax.sgd(0.3), 2, 0.3)
    state, slow, update = tx.init(theta), np.asarray(theta, "f8"), jax.jit(tx.update)
    for k, g in enumerate(np.clip(drawn(6, shape=(500,)), -1, 1), 1):
        ahead = rounded(np.asarray(theta, "f8") - rounded(0.3 * rounded(g)))
        updates, state = update(jnp.asarray(g, dtype), state, theta)
        assert updates.dtype == dtype
        theta = optax.apply_updates(theta, updates)
        if k % 2 == 0:
            slow = slow + 0.3 * (ahead - slow)
            assert_same(theta, state.slow.astype(dtype))
    np.testing.assert_allclose(state.slow, slow, rtol=1e-6)


def test_in_between_lookahead_is_the_inner_optimizer_to_the_bit():
    tx, plain = adaptax.lookahead(adaptax.adamw(0.1), 4), adaptax.adamw(0.1)
    ahead, state = steps(tx, params())
    theta, expected = steps(plain, params())
    assert_same((ahead, state.inner_state), (theta, expected))
    assert_same(state.slow, params())


def test_the_updates_are_those_of_inner():
    for name in ("ema", "swa"):
        wrapped, state = steps(WRAPPERS[name](adaptax.adamw(0.1)), params(), 6)
        theta, inner = steps(adaptax.adamw(0.1), params(), 6)
        assert_same((wrapped, state.inner_state), (theta, inner))


def tree():
    return {"a": jnp.asarray(THETA), "b": jnp.ones((2, 2)), "none": None}


def stacked(k=slice(None)):
    b = jnp.asarray(drawn(N, seed=1, shape=(2, 2))[k])
    return {"a": jnp.asarray(drawn(N)[k]), "b": b, "none": None}


@every_wrapper
def test_the_state_is_arrays_of_fixed_kinds(name):
    tx, theta = WRAPPERS[name](adaptax.adamw(0.1)), tree()
    state = tx.init(theta)
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(state))
    assert not any(x.weak_type for x in jax.tree.leaves(jax.eval_shape(lambda: state)))
    wanted = kinds(state)
    assert kinds(tx.init(jax.eval_shape(lambda: theta))) == wanted
    for _ in range(3):
        _, state = tx.update(theta, state, theta, value=1.0)
        assert kinds(state) == wanted
    marked = optax.tree.map_params(tx, lambda _: "array", state, transform_non_params=lambda _: "-")
    assert marked.step == "-"
    assert jax.tree.leaves(marked[-2]) == ["array"] * 2


@functools.cache
def looped(name):
    """Six steps that donate everything from the first one, over a pickled state."""
    tx, traces = WRAPPERS[name](adaptax.adamw(RATE)), []

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(theta, state, g):
        traces.append(1)
        updates, state = tx.update(g, state, theta)
        return optax.apply_updates(theta, updates), state

    theta = jax.tree.map(jnp.array, tree())
    state = tx.init(theta)
    for k in range(6):
        if k == 4:
            raw = pickle.dumps(jax.device_get((theta, state)))
            theta, state = jax.tree.map(jnp.asarray, pickle.loads(raw))
        theta, state = step(theta, state, stacked(k))
    assert len(traces) == 1
    return theta, state


@pytest.mark.parametrize("name", rest_slow(WRAPPERS, ["ema", "lookahead"]))
def test_loops_scans_and_members_do_the_same(name):
    """The loop donates parameters and state, so no buffer is shared between them."""
    tx = WRAPPERS[name](adaptax.adamw(RATE))

    def scanned(theta, gradients):
        def one(carry, g):
            theta, state = carry
            updates, state = tx.update(g, state, theta)
            return (optax.apply_updates(theta, updates), state), None

        return jax.lax.scan(one, (theta, tx.init(theta)), gradients)[0]

    theta, state = looped(name)
    assert_close(jax.jit(scanned)(tree(), stacked(slice(6))), (theta, state), atol=1e-6)
    members = jax.tree.map(lambda x: jnp.stack([x, -x]), stacked(slice(6)))
    many = jax.jit(jax.vmap(scanned, in_axes=(None, 0)))(tree(), members)
    assert_close(jax.tree.map(lambda x: x[0], many), (theta, state), rtol=1e-5, atol=1e-6)
    assert np.all(np.asarray(many[0]["a"][0]) != many[0]["a"][1])


@every_wrapper
def test_bad_input_is_named(name):
    wrapper = {"swa": "swa", "lookahead": "lookahead"}.get(name, "ema_weights")
    tx = WRAPPERS[name](adaptax.sgd(0.1))
    state = tx.init(params())
    with pytest.raises(ValueError, match=rf"{wrapper}: it needs the parameters; call update\("):
        tx.update(params(), state)
    with pytest.raises(ValueError, match=r"\['a'\]: got float32\[1\], expected float32\[3\]"):
        tx.update(params(), state, {**params(), "a": jnp.ones(1)})
    with pytest.raises(ValueError, match=r"\['a'\]: got float32\[1\], expected float32\[3\]"):
        tx.update({**params(), "a": jnp.ones(1)}, state, params())
    with pytest.raises(TypeError, match="only floating"):
        tx.init({"i": jnp.arange(3)})
    scalar = WRAPPERS[name](optax.stateless(lambda u, p: jnp.zeros(())))
    with pytest.raises(ValueError, match="the updates do not match the parameters"):
        scalar.update(jnp.ones(3), scalar.init(jnp.ones(3)), jnp.ones(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda tx: adaptax.ema_weights(tx, 1.0), r"ema_weights\(decay=1.0\): decay must be"),
        (lambda tx: adaptax.ema_weights(tx, -0.1), "decay must be a number in"),
        (lambda tx: adaptax.ema_weights(tx, debias=1), "debias must be True or False"),
        (lambda tx: adaptax.ema_weights(tx, every=0), r"ema_weights\(every=0\): every must be"),
        (lambda tx: adaptax.swa(tx, 0), r"swa\(start=0\): start must be a whole number in \[1,"),
        (lambda tx: adaptax.swa(tx, 1, 1.5), "every must be a whole number"),
        (lambda tx: adaptax.swa(tx, adaptax.constant(1.0)), "start must be a whole number"),
        (lambda tx: adaptax.lookahead(tx, 0), r"lookahead\(sync_every=0\): sync_every must be"),
        (lambda tx: adaptax.lookahead(tx, 5, 0.0), r"slow_step must be a number in \(0, 1\]"),
        (lambda tx: adaptax.lookahead(tx, 5, 1.5), "slow_step must be"),
        (lambda tx: adaptax.ema_weights(adaptax.sgd), r"call it first: sgd\(\.\.\.\)"),
        (lambda tx: adaptax.swa(0.1, 1), "swa: inner is 0.1, not a transformation"),
        (lambda tx: adaptax.lookahead(None), "lookahead: inner is None"),
    ],
    ids=range(13),
)
def test_bad_calls(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(adaptax.sgd(0.1))


@every_wrapper
def test_a_value(name):
    tx = WRAPPERS[name](adaptax.adamw(RATE))
    assert adaptax.parse(repr(tx)) == tx != WRAPPERS[name](adaptax.adamw(0.1))
    assert adaptax.from_config(json.loads(json.dumps(adaptax.to_config(tx)))) == tx
    assert pickle.loads(pickle.dumps(tx)) == tx


@every_wrapper
def test_a_controller_and_a_set_rate_go_through(name):
    tx = WRAPPERS[name](adaptax.sgd(adaptax.plateau(0.5, factor=0.5, patience=0)))
    state = tx.init(params())
    for value in (1.0, 2.0):
        _, state = tx.update(params(), state, params(), value=value)
    assert float(adaptax.learning_rate(serialized(state))) == 0.25
    state = adaptax.set_learning_rate(state, 0.125)
    assert float(adaptax.learning_rate(state)) == 0.125


@pytest.mark.slow
def test_sharded_parameters_keep_their_places():
    """On Auto and Explicit meshes, for `accumulate` as well, with the same numbers."""
    flags = "--xla_force_host_platform_device_count=8 --xla_cpu_multi_thread_eigen=false"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-m", "tests.wrappers.sharded"]
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout)
    assert result["devices"] == 8 and set(result["found"]) == {"Auto", "Explicit"}
    for kind, each in result["found"].items():
        for name, seen in each.items():
            assert seen["wrong"] == [] and seen["apart"] < 1e-6, (kind, name, seen)
            assert seen["arrays"] == {"ema": 8}.get(name, 6)
