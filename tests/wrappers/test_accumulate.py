"""Accumulation is one step on the mean: in numbers, in cost, and in every loop."""

import functools
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests import reference_averages, references
from tests.conformance import compared, proves
from tests.interop.table import FEW, assert_same, kinds, make, params, spy

EVERY, WINDOWS = 3, 4
# how Optax wrote the names, and the float64 reference, of optimizers of several kinds
CASES = {
    "sgd": ({"momentum": 0.9}, references.sgd),
    "adamw": ({"weight_decay": 0.1}, references.adamw),
    "rmsprop": ({}, references.rmsprop),
    "amsgrad": ({}, references.amsgrad),
}
RATE = adaptax.linear(0.1, 0.01, 3)


def rate(k):
    return 0.1 + (0.01 - 0.1) * min(k / 3, 1)


def drawn(n=EVERY * WINDOWS, bad=(), seed=0, shape=(5,)):
    """n gradients, some of them with one entry that is not finite."""
    values = np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)
    for i, what in bad:
        values[i, i % shape[0]] = what
    return values


THETA = np.linspace(-1.0, 1.5, 5).astype(np.float32)


def run(tx, gradients, theta=THETA, state=None, **extra):
    """The parameters after every micro-batch, and the state; compiled once."""

    @jax.jit
    def loop(theta, state, gradients):
        def one(carry, g):
            theta, state = carry
            updates, state = tx.update(g, state, theta, **extra)
            theta = optax.apply_updates(theta, updates)
            return (theta, state), (theta, state.emitted, state.skipped)

        return jax.lax.scan(one, (theta, state), gradients)

    theta = jnp.asarray(theta)
    state = tx.init(theta) if state is None else state
    (_, state), (path, emitted, skipped) = loop(theta, state, jnp.asarray(gradients))
    return np.asarray(path), np.asarray(emitted), np.asarray(skipped), state


BAD = [(1, np.nan), (3, np.inf), (4, -np.inf), (5, np.nan), (8, np.nan)]


@proves("P43", row="accumulate")
@pytest.mark.parametrize(
    ("name", "skip"),
    [
        ("sgd", "batch"),
        ("adamw", "window"),
        ("adamw", "batch"),
        pytest.param("rmsprop", "window", marks=pytest.mark.slow),
        pytest.param("amsgrad", "batch", marks=pytest.mark.slow),
    ],
)
def test_it_equals_the_reference(name, skip):
    """With schedules of the rate, weight decay, and micro-batches that are not finite."""
    kwargs, reference = CASES[name]
    gradients = drawn(bad=BAD)
    tx = adaptax.accumulate(make(name, RATE, **kwargs), EVERY, skip)
    path, emitted, skipped, state = run(tx, gradients)
    want, steps, lost = reference_averages.accumulated(
        reference(rate, **kwargs), THETA, gradients, EVERY, skip
    )
    np.testing.assert_allclose(path, want, rtol=3e-6, atol=3e-7)
    assert emitted.tolist() == steps and skipped.tolist() == lost
    emissions = {"batch": 3, "window": 1}[skip]
    assert sum(steps) == emissions == int(state.gradient_step) == int(state.inner_state.rate.step)
    assert np.isfinite(path).all() and lost[-1] == {"batch": 5, "window": 3}[skip]


def test_a_window_that_changes_with_the_steps_made():
    every = adaptax.piecewise([1.0, 3.0], [2])
    tx = adaptax.accumulate(adaptax.sgd(0.1), every)
    gradients = drawn(8)
    path, emitted, _, _ = run(tx, gradients)
    want, steps, _ = reference_averages.accumulated(
        references.sgd(0.1), THETA, gradients, lambda steps: 1 if steps < 2 else 3
    )
    np.testing.assert_allclose(path, want, rtol=1e-6)
    assert emitted.tolist() == steps == [True, True, False, False, True, False, False, True]


@pytest.mark.parametrize("given", [0.0, -3.0, np.nan, 1.4], ids=str)
def test_a_schedule_below_one_is_one(given):
    tx = adaptax.accumulate(adaptax.sgd(0.1), lambda step: jnp.asarray(given, jnp.float32))
    assert run(tx, drawn(2))[1].all()


def test_a_float_schedule_is_rounded():
    tx = adaptax.accumulate(adaptax.sgd(0.1), lambda step: jnp.float32(2.9999998))
    assert run(tx, drawn(3))[1].tolist() == [False, False, True]


@proves("P43", row="accumulate")
@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_window_of_one_is_the_plain_optimizer_to_the_bit(name, dtype):
    theta = {"a": jnp.asarray(THETA, dtype), "b": jnp.asarray(-0.0, dtype)}
    tx, plain = adaptax.accumulate(make(name), 1), make(name)
    state, expected = tx.init(theta), plain.init(theta)
    for g in drawn(3):
        g = {"a": jnp.asarray(g, dtype), "b": jnp.asarray(-0.0, dtype)}
        updates, state = tx.update(g, state, theta)
        wanted, expected = plain.update(g, expected, theta)
        assert_same((updates, state.inner_state), (wanted, expected))
        assert np.signbit(updates["b"]) == np.signbit(wanted["b"])


def error(u, r):
    """The normalised error of the suite: max |u − r| / (0.1 rms + |r|)."""
    return np.max(np.abs(u - r) / (0.1 * np.sqrt(np.mean(r**2)) + np.abs(r)))


@proves("P43", row="accumulate")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("every", [4, pytest.param(250, marks=pytest.mark.slow)])
def test_the_mean_is_that_of_the_big_batch(dtype, every):
    """Float32 whatever the gradients are: `inner` gets more than 16 bits of it."""
    got = []

    def keep(updates, state, params=None):
        del params
        got.append(updates)
        return updates, state

    inner = optax.GradientTransformation(lambda params: optax.EmptyState(), keep)
    g = jnp.asarray(drawn(every, shape=(50,)) + 0.5, dtype)
    tx = adaptax.accumulate(inner, every)
    path, emitted, _, state = run(tx, g, theta=jnp.zeros(50, dtype))
    assert emitted.sum() == 1 and state.acc_grads.dtype == got[-1].dtype == jnp.float32
    want = np.asarray(g, np.float64).mean(0)
    compared(want.size)
    assert error(np.asarray(state.acc_grads, np.float64), want) <= 1e-6
    assert path.dtype == dtype


def test_sixteen_bit_moments_and_updates():
    """Moments from the float32 mean; updates in the gradients' dtype."""
    theta = jnp.asarray(THETA, jnp.bfloat16)
    g = jnp.asarray(drawn(EVERY), jnp.bfloat16)
    tx = adaptax.accumulate(adaptax.adam(0.1, b1=0.0, b2=0.0), EVERY)
    state = tx.init(theta)
    for x in g:
        updates, state = tx.update(x, state, theta)
        assert updates.dtype == jnp.bfloat16
    want = np.asarray(g, np.float64).mean(0)
    np.testing.assert_allclose(state.inner_state.rule.mu, want, rtol=1e-6)


def test_optax_s_state_keeps_its_dtypes_in_16_bits():
    with jax.numpy_dtype_promotion("standard"):
        tx = adaptax.accumulate(optax.adam(0.1), 2)
        theta = jnp.asarray(THETA, jnp.bfloat16)
        path, emitted, _, state = run(tx, jnp.asarray(drawn(4), jnp.bfloat16), theta)
        assert emitted.tolist() == [False, True] * 2 and path.dtype == jnp.bfloat16
        assert kinds(state) == kinds(tx.init(theta)) and np.isfinite(path.astype("f4")).all()


def test_huge_gradients_do_not_overflow():
    huge = np.float32([3e38, -3e38, 3e38, 3e38])
    tx = adaptax.accumulate(adaptax.sgd(1.0), 4)
    _, emitted, skipped, state = run(tx, huge[:, None], theta=np.zeros(1, np.float32))
    np.testing.assert_allclose(state.acc_grads, [1.5e38], rtol=1e-6)
    assert emitted[-1] and not skipped.any()


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eager"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_in_between_no_bit_moves(compiled, dtype):
    theta = {"a": jnp.asarray([0.0, -0.0, 1.0, -6e4, np.inf, np.nan, 3e-5], dtype), "n": None}
    tx = adaptax.accumulate(adaptax.adamw(0.5), 3)
    update = jax.jit(tx.update) if compiled else tx.update
    before, state = np.asarray(theta["a"]).tobytes(), tx.init(theta)
    for scale in (1.0, np.nan):
        g = jax.tree.map(lambda p, s=scale: jnp.full(p.shape, s, p.dtype), theta)
        updates, state = update(g, state, theta)
        u = updates["a"]
        for part in (u.real, u.imag) if dtype == "complex64" else (u,):
            assert not np.any(np.asarray(part)) and np.signbit(np.asarray(part, "f4")).all()
        assert np.asarray(optax.apply_updates(theta, updates)["a"]).tobytes() == before
        assert not state.emitted
    assert int(state.mini_step) == 2 and int(state.skipped) == 1


def equations(jaxpr, inside=False):
    """(name, inside a cond?) of every equation."""
    for eqn in jaxpr.eqns:
        yield eqn.primitive.name, inside
        for value in eqn.params.values():
            for sub in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(sub, "jaxpr", sub)
                if hasattr(inner, "eqns"):
                    yield from equations(inner, inside or eqn.primitive.name == "cond")


def test_the_inner_optimizer_stands_inside_the_branch_only():
    inner = adaptax.adamw(0.1)

    def roots(tx):
        jaxpr = jax.make_jaxpr(tx.update)(params(), tx.init(params()), params()).jaxpr
        return [inside for name, inside in equations(jaxpr) if name == "sqrt"]

    alone = roots(inner)
    assert alone and not any(alone)
    assert roots(adaptax.accumulate(inner, 4)) == [True] * len(alone)


def test_no_state_of_the_parameters_size_is_copied():
    """Beside the donated state there is room for the updates only."""
    theta = jnp.ones((256, 256))
    tx = adaptax.accumulate(adaptax.adamw(0.1), 4)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(theta, state, g):
        updates, state = tx.update(g, state, theta)
        return optax.apply_updates(theta, updates), state

    compiled = step.lower(theta, tx.init(theta), theta).compile()
    memory = compiled.memory_analysis()
    if memory is None:
        pytest.skip("this backend does not say how much memory a program takes")
    assert memory.temp_size_in_bytes <= 1.05 * theta.nbytes


class Fed:
    """An optimizer that hands down what it was given, as its state."""

    def __init__(self, names=("value",)):
        self.names = names

    def init(self, params):
        return {name: jnp.zeros(()) for name in self.names}

    def update(self, updates, state, params=None, **extra):
        del params, state
        return updates, {name: jnp.asarray(extra[name], jnp.float32) for name in self.names}

    def tx(self):
        return optax.GradientTransformationExtraArgs(self.init, self.update)


NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "bad", "want"),
    [
        ([1.0, 2.0, 6.0], (), 3.0),
        ([1.0, NAN, 2.0], (), 1.5),
        ([NAN, NAN, 4.0], (), 4.0),
        ([NAN, NAN, NAN], (), NAN),
        ([1.0, 100.0, 2.0], (1,), 1.5),
        ([1.0, float("inf"), 2.0], (), float("inf")),
    ],
)
def test_a_metric_is_averaged_over_the_micro_batches_in_the_mean(values, bad, want):
    tx = adaptax.accumulate(Fed().tx(), 3)
    state = tx.init(jnp.ones(2))
    for window in range(2):  # nothing of the first is left in the second
        for i, value in enumerate(values):
            g = jnp.full(2, NAN if i in bad else 1.0)
            _, state = tx.update(g, state, jnp.ones(2), value=value + (0.0 if window else 7.0))
    np.testing.assert_array_equal(state.inner_state["value"], np.float32(want))


def test_other_arguments_are_the_last_ones_and_grad_is_the_mean():
    seen = []
    tx = adaptax.accumulate(spy(seen), 2, averaged=("loss",))
    state, theta = tx.init(jnp.ones(2)), jnp.ones(2)
    for k in range(2):
        g = jnp.full(2, float(k))
        _, state = tx.update(g, state, theta, loss=2 * k, value=float(k), note=f"n{k}", grad=-g)
    last = seen[-1]
    assert float(last["loss"]) == 1.0 and last["value"] == 1.0 and last["note"] == "n1"
    np.testing.assert_array_equal(last["grad"], [0.5, 0.5])
    with pytest.raises(TypeError, match=r"accumulate\(loss='high'\): loss is averaged"):
        tx.update(theta, state, theta, loss="high")
    with pytest.raises(TypeError, match="must be a number"):
        tx.update(theta, state, theta, loss=jnp.ones(2))
    tx.update(theta, state, theta)
    assert "loss" not in seen[-1]


def test_a_controller_counts_windows():
    """It sees the mean loss of each; one step of patience is one window."""
    tx = adaptax.accumulate(adaptax.sgd(adaptax.plateau(0.5, factor=0.5, patience=0)), 2)
    state, rates = tx.init(jnp.ones(1)), []
    for value in (4.0, 2.0, 9.0, 1.0, 0.5, 1.5):  # 3, 5: worse; 1: better
        _, state = tx.update(jnp.ones(1), state, jnp.ones(1), value=value)
        rates.append(float(adaptax.learning_rate(state)))
    assert rates == [0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    state = adaptax.set_learning_rate(state, 0.125)
    assert float(adaptax.learning_rate(state)) == 0.125


def test_a_missing_metric_is_named():
    tx = adaptax.accumulate(adaptax.sgd(adaptax.plateau(0.5)), 1)
    with pytest.raises(ValueError, match="plateau: the metric is missing"):
        tx.update(jnp.ones(1), tx.init(jnp.ones(1)), jnp.ones(1))


@proves("P30", row="accumulate")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adaptax.accumulate(adaptax.sgd(0.1), 0), r"accumulate\(every=0\): every must be"),
        (lambda: adaptax.accumulate(adaptax.sgd(0.1), -1), "every must be a whole number in"),
        (lambda: adaptax.accumulate(adaptax.sgd(0.1), 2.5), "every must be a whole number in"),
        (lambda: adaptax.accumulate(adaptax.sgd(0.1), None), "every must be a whole number in"),
        (lambda: adaptax.accumulate(adaptax.sgd, 2), r"call it first: sgd\(\.\.\.\)"),
        (lambda: adaptax.accumulate(adaptax.sgd(0.1), 2, "all"), "'batch' or 'window'"),
        (lambda: adaptax.accumulate(adaptax.sgd(0.1), 2, averaged="value"), "a tuple of names"),
        (lambda: adaptax.accumulate(adaptax.sgd(0.1), 2, averaged=("grad",)), "no number"),
        (lambda: adaptax.accumulate(adaptax.sgd(0.1), 2).init(jnp.arange(2)), "only floating"),
    ],
    ids=range(9),
)
def test_bad_calls(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@proves("P29", row="accumulate")
def test_other_gradients_are_named_by_their_paths():
    tx = adaptax.accumulate(adaptax.sgd(0.1), 2)
    state = tx.init(params())
    with pytest.raises(ValueError, match=r"\['b'\]\['c'\]: missing"):
        tx.update({"a": jnp.ones(3), "b": {}}, state)
    with pytest.raises(ValueError, match=r"\['a'\]: got float32\[\], expected float32\[3\]"):
        tx.update({"a": jnp.ones(()), "b": {"c": jnp.ones((2, 2))}}, state)


def test_the_state_is_arrays_of_fixed_kinds():
    tx = adaptax.accumulate(adaptax.by_path({"a": adaptax.adamw(0.1), "**": adaptax.sgd(0.1)}), 2)
    theta = {**params(), "none": None}
    state = tx.init(theta)
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(state))
    assert not any(x.weak_type for x in jax.tree.leaves(jax.eval_shape(lambda: state)))
    wanted = kinds(state)
    for _ in range(2):
        _, state = tx.update(theta, state, theta, value=1)
        assert kinds(state) == wanted
    assert kinds(tx.init(jax.eval_shape(lambda: theta))) == wanted
    assert kinds(jax.eval_shape(tx.init, theta)) == wanted
    marked = optax.tree.map_params(tx, lambda _: "array", state, transform_non_params=lambda _: "-")
    assert jax.tree.leaves(marked.acc_grads) == ["array"] * 2 and marked.mini_step == "-"


def tree():
    return {"a": jnp.asarray(THETA), "b": jnp.ones((2, 2))}


def serialized(state):
    """A state as a checkpoint without a template gives it: dicts for NamedTuples, lists."""
    if hasattr(state, "_asdict"):
        return {key: serialized(value) for key, value in state._asdict().items()}
    if isinstance(state, dict):
        return {key: serialized(value) for key, value in state.items()}
    if isinstance(state, tuple | list):
        return [serialized(value) for value in state]
    return np.asarray(state)


def test_a_value():
    tx = adaptax.accumulate(adaptax.adamw(RATE), adaptax.piecewise([1.0, 2.0], [3]), "window", ())
    assert adaptax.parse(repr(tx)) == tx != adaptax.accumulate(adaptax.adamw(RATE), 2)
    assert adaptax.from_config(json.loads(json.dumps(adaptax.to_config(tx)))) == tx
    assert pickle.loads(pickle.dumps(tx)) == tx
    assert "value" not in tx.init(jnp.ones(1)).metrics


def test_in_double_precision(x64):
    gradients = drawn().astype(np.float64)
    theta = THETA.astype(np.float64)
    path, _, _, state = run(adaptax.accumulate(adaptax.adamw(0.1), EVERY), gradients, theta)
    want, _, _ = reference_averages.accumulated(references.adamw(0.1), theta, gradients, EVERY)
    np.testing.assert_allclose(path, want, rtol=1e-12, atol=1e-13)
    assert state.acc_grads.dtype == np.float64
