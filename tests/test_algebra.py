"""The laws that define the words, and properties that every optimizer has."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax
from adaptax import Debiased, Ema, Largest, Nesterov, Newest, Peak, Stored, Total, Trace, Yogi
from adaptax.core.step import Step
from tests.cases import CASES, IDS
from tests.conformance import compared, proves
from tests.measure import gradients, run, weights

RISING = lambda k: 0.5 + 0.4 * (1.0 - 1.0 / (1.0 + k.astype(jnp.float32)))  # noqa: E731
ACCUMULATORS = [
    Newest(), Ema(0.9), Ema(0.999999), Ema(0.0), Ema(RISING), Trace(0.9), Total(), Yogi(0.9),
]  # fmt: skip


def absorb(accumulator, values):
    """The reading and the mass after each value, for one array."""
    kept = accumulator.init(jnp.zeros(2), jnp.float32)
    carried, out = None, []
    for k, x in enumerate(values):
        step = Step(jnp.asarray(k, jnp.int32), carried)
        kept = accumulator.absorb(kept, x, step)
        reading = accumulator.read(kept, x, step) / accumulator.correction(step)
        out.append((reading, accumulator.mass(step)))
        carried = tuple(step.carrying) or None
    return out, kept


# Yogi's step is (1−β)x however near it is, so it overshoots: not an average
@pytest.mark.parametrize("accumulator", ACCUMULATORS[:-1], ids=repr)
def test_the_debiased_reading_of_a_constant_stream_is_that_constant(accumulator):
    constant = jnp.array([3.0, 0.7])
    for reading, _ in absorb(Debiased(accumulator), [constant] * 30)[0]:
        np.testing.assert_allclose(reading, constant, rtol=1e-6)


@pytest.mark.parametrize("accumulator", ACCUMULATORS[1:-1], ids=repr)
def test_absorbing_ones_leaves_the_mass(accumulator):
    for reading, mass in absorb(accumulator, [jnp.ones(2)] * 30)[0]:
        np.testing.assert_allclose(reading, mass, rtol=1e-6)


def test_newest_keeps_nothing():
    assert Newest().init(jnp.zeros(3), jnp.float32) == () and Newest().slots("mu") == ()
    assert jax.tree.leaves(adaptax.sgd(0.1).init(jnp.ones(3)).rule)[0].shape == ()


def test_largest_and_debiased_do_not_commute():
    values = [jnp.array([2.0, 1.0]), jnp.array([0.5, 0.1]), jnp.array([0.1, 0.1])]
    inner, outer = (
        absorb(Largest(Debiased(Ema(0.9))), values),
        absorb(Debiased(Largest(Ema(0.9))), values),
    )
    np.testing.assert_allclose(inner[0][-1][0], [2.0, 1.0], rtol=1e-6)
    v = 0.0
    for x in (2.0, 0.5, 0.1):
        v = 0.9 * v + 0.1 * x
    np.testing.assert_allclose(outer[0][-1][0][0], max(0.2, 0.23, v) / (1 - 0.9**3), rtol=1e-6)


def test_nesterov_absorbs_once_more():
    values = [jnp.array([1.0, 2.0]), jnp.array([3.0, -1.0])]
    (_, (reading, _)), kept = absorb(Nesterov(Trace(0.9)), values)
    np.testing.assert_allclose(reading, 0.9 * kept[0] + values[-1], rtol=1e-6)


def test_peak_decays_and_stored_rounds():
    (*_, (reading, _)), _ = absorb(Peak(0.5), [jnp.array([4.0, 1.0]), jnp.array([1.0, 1.0])])
    np.testing.assert_array_equal(reading, [2.0, 1.0])
    assert Stored(Ema(0.9), "bfloat16").init(jnp.zeros(2), jnp.float32)[0].dtype == jnp.bfloat16


@proves("P6", row="radam")
def test_rectification_starts_at_the_right_step():
    """The index is that of exact rational arithmetic; Optax's float32 ρₜ is late at β₂ ≥ 0.9999."""
    from fractions import Fraction

    from adaptax.core.preconditioners import _degrees_of_freedom

    for text in ("0.9", "0.99", "0.999", "0.9999", "0.99999"):
        b = Fraction(text)
        rho = [2 / (1 - b) - 1 - 2 * t * b**t / (1 - b**t) for t in range(1, 13)]
        counts = jnp.arange(1.0, 13.0)
        ours = np.array([_degrees_of_freedom(float(b), c)[0] for c in counts])
        np.testing.assert_allclose(ours, [float(r) for r in rho], rtol=3e-6)
        assert list(ours > 5) == [r > 5 for r in rho], text


ARGUMENTS = {
    "b1": 0.5, "b2": 0.9, "decay": 0.5, "rho": 0.5, "eps": 0.3, "eps_root": 0.3, "momentum": 0.5,
    "weight_decay": 0.3, "initial_accumulator_value": 0.9, "initial_scale": 0.9, "nesterov": None,
    "centered": None, "bias_correction": None, "bias_correction_mu": None,
    "bias_correction_nu": None,
    "eps_in_sqrt": None, "correct_maximum": None, "momentum_decay": 0.004, "threshold": 40.0,
    "mu_dtype": "bfloat16", "nu_dtype": "bfloat16", "accumulator_dtype": "bfloat16",
    "mask": False, "weight_decay_mask": False,
}  # fmt: skip
NEEDS = {"nesterov": {"momentum": 0.9}, "accumulator_dtype": {"momentum": 0.9},
         "weight_decay_mask": {"weight_decay": 0.1}, "mask": {"weight_decay": 0.1},
         "eps_in_sqrt": {"eps": 0.3}}  # fmt: skip
EVERY = [(c.name, a) for c in {c.name: c for c in CASES}.values() for a in c.argument_names[1:]]


@proves("P14")
@pytest.mark.parametrize(("name", "argument"), EVERY, ids=[f"{n}-{a}" for n, a in EVERY])
def test_every_argument_changes_the_update(name, argument):
    make = getattr(adaptax, name)
    parameters = inspect.signature(make).parameters
    base = {k: v for k, v in NEEDS.get(argument, {}).items() if k in parameters}
    value = ARGUMENTS[argument]
    if value is None:
        value = not parameters[argument].default
    grads, params = gradients(60, 16).astype(np.float32), weights(16)
    off = run(make(0.1, **base), grads, params)
    compared(off.size)
    on = run(make(0.1, **{**base, argument: value}), grads, params)
    assert np.abs(on - off).max() > 1e-6, f"{name}({argument}={value!r}) changes nothing"


@proves("P44")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_counters_stay_at_their_largest(case):
    """At 2³¹ − 1 updates the counters stop, and everything stays finite."""
    most, params = np.iinfo(np.int32).max, jnp.ones(3)
    tx = case.make(0.1)
    state = jax.tree.map(
        lambda x: jnp.full_like(x, most) if x.dtype == jnp.int32 else x, tx.init(params)
    )
    u, after = tx.update(jnp.ones(3), state, params)
    assert bool(jnp.isfinite(u).all()), u
    counters = [x for x in jax.tree.leaves(after) if x.dtype == jnp.int32]
    compared(len(counters))
    assert counters and all(int(x) == most for x in counters), counters


def test_corrections_of_every_preconditioner_are_used():
    """A corrected divisor makes the first step one, whatever its statistic."""
    second = Debiased(Ema(0.999))
    for part in (adaptax.Rms(second, 1e-8), adaptax.Infinity(second)):
        tx = adaptax.scale_by_rule(adaptax.Rule(Debiased(Ema(0.9)), part))
        u, _ = tx.update(jnp.array([3.0, -2.0]), tx.init(jnp.ones(2)))
        np.testing.assert_allclose(u, [1.0, -1.0], rtol=1e-5)


def test_two_parts_with_one_name_are_kept_apart():
    rule = adaptax.Rule(Trace(0.9), adaptax.Rms(Trace(0.9), eps=1e-8))
    state = adaptax.scale_by_rule(rule).init(jnp.ones(3))
    assert state._fields == ("count", "trace", "trace_of_scale")


def test_penalties_and_masks():
    params = {"w": jnp.array([2.0, -3.0]), "b": jnp.array([1.0])}
    zeros = jax.tree.map(jnp.zeros_like, params)
    for mask in ({"w": True, "b": False}, lambda p: {"w": True, "b": False}):
        u, _ = adaptax.l2_penalty(0.5, mask).update(zeros, (), params)
        np.testing.assert_array_equal(u["w"], [1.0, -1.5])
        assert not u["b"].any()
    u, _ = adaptax.l1_penalty(0.5).update(zeros, (), params)
    np.testing.assert_array_equal(u["w"], [0.5, -0.5])
    tx = adaptax.adamw(1.0, weight_decay=0.5, mask={"w": False, "b": True})
    u, _ = tx.update(zeros, tx.init(params), params)
    assert not u["w"].any() and float(u["b"][0]) == -0.5


@proves("P20", row="adamw")
def test_differentiating_through_steps(x64):
    """Three steps of Adam, differentiated by the rate, equal finite differences."""

    def loss(rate):
        p = jnp.array([1.0, -2.0])
        tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), adaptax.adamw(rate, eps_root=1e-12))
        state = tx.init(p)
        for _ in range(3):
            u, state = tx.update(p**2 * jnp.array([1.0, 0.3]), state, p)
            p = p + u
        return jnp.sum(p**3)

    rate, h = 0.1, 1e-6
    want = (loss(rate + h) - loss(rate - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(loss)(rate), want, rtol=1e-6)
