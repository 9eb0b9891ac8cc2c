"""Controllers of a metric against plain Python state machines, over every kind of sequence."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adaptax
from adaptax.rates.control import Seen
from tests import reference_controllers as references
from tests.conformance import compared, proves

LENGTH = 48
LEAST = 1.2e-38  # below it float32 is not normal and XLA takes it for 0
BASES = {"number": 0.5, "schedule": adaptax.linear(0.0, 1.0, 20)}

PLATEAUS = [
    dict(zip(("factor", "patience", "threshold", "threshold_mode", "mode", "cooldown", "floor",
              "window"), row, strict=True))
    for row in [
        (0.5, 0, 0.0, "rel", "min", 0, 0.0, 1),
        (0.5, 0, 0.25, "rel", "max", 2, 0.0, 1),
        (0.1, 2, 0.25, "rel", "min", 0, 0.01, 1),
        (0.5, 1, 0.5, "abs", "min", 3, 0.125, 1),
        (0.25, 1, 0.5, "abs", "max", 1, 0.0, 2),
        (0.5, 3, 0.0, "abs", "min", 0, 0.0, 4),
        (0.0, 1, 0.0, "rel", "max", 0, 0.0, 1),
    ]
]  # fmt: skip
BACK_OFFS = [dict(zip(("factor", "mode", "floor"), row, strict=True))
             for row in itertools.product((0.5, 0.1), ("min", "max"), (0.0, 0.0625))]  # fmt: skip
DRIVERS = [
    dict(zip(("up", "down", "floor", "ceiling"), row, strict=True))
    for row in [(1.05, 0.5, 0.0, None), (2.0, 0.5, 0.25, 1.5), (1.25, 0.25, 0.0, 0.5)]
]
CASES = (
    [("plateau", "Plateau", kwargs) for kwargs in PLATEAUS]
    + [("best_or_back_off", "BestOrBackOff", kwargs) for kwargs in BACK_OFFS]
    + [("bold_driver", "BoldDriver", kwargs) for kwargs in DRIVERS]
)
every_case = pytest.mark.parametrize(
    ("name", "model", "kwargs"), CASES, ids=[f"{n}{i}" for i, (n, _, _) in enumerate(CASES)]
)


@functools.cache
def rates_of(name, items, base):
    """values float32[LENGTH] -> the rates of as many updates, and the last state; compiled once."""
    tx = adaptax.sgd(getattr(adaptax, name)(BASES[base], **dict(items)))

    def one(state, value):
        _, state = tx.update(jnp.zeros(1), state, jnp.zeros(1), value=value)
        return state, state.rate.learning_rate

    def run(values):
        return jax.lax.scan(one, tx.init(jnp.zeros(1)), values)

    return jax.jit(run), jax.jit(jax.vmap(run))


def expected(model, kwargs, base, values):
    machine = getattr(references, model)(**kwargs)
    bases = [0.5 if base == "number" else min(k / 20, 1.0) for k in range(len(values))]
    return [machine.step(b, float(v)) for b, v in zip(bases, values, strict=True)]


# Multiples of 1/8: sums and thresholds of them are exact, so no rounding decides what is better.
plain = st.integers(-40, 40).map(lambda n: n / 8)
odd = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 2.0**100, -(2.0**100)])
sequences = st.lists(st.one_of(plain, plain, plain, odd), min_size=1, max_size=LENGTH)


@proves("P47")
@every_case
@settings(max_examples=40, deadline=None, derandomize=True)
@given(values=sequences)
def test_any_sequence_gives_the_rates_of_the_model(name, model, kwargs, values):
    base = "number" if name == "bold_driver" else "schedule"
    values = np.pad(np.asarray(values, np.float32), (0, LENGTH - len(values)), mode="edge")
    run, _ = rates_of(name, tuple(kwargs.items()), base)
    _, rates = run(values)
    want = expected(model, kwargs, base, values)
    np.testing.assert_allclose(rates, want, rtol=1e-5, atol=LEAST, err_msg=str(list(values)))


@proves("P47")
@every_case
def test_long_random_walks_give_the_rates_of_the_model(name, model, kwargs):
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.integers(-3, 3, (64, LENGTH)), axis=1) / 8
    walks[rng.random(walks.shape) < 0.15] = np.nan
    walks = walks.astype(np.float32)
    _, many = rates_of(name, tuple(kwargs.items()), "number")
    _, rates = many(walks)
    want = [expected(model, kwargs, "number", walk) for walk in walks]
    np.testing.assert_allclose(rates, want, rtol=1e-5, atol=LEAST)
    # a test that never sees a rate change could not fail
    assert (np.ptp(np.asarray(want), axis=1) > 0).mean() > 0.1


@proves("P47", row="plateau")
def test_pytorch_gives_the_same_rates():
    torch = pytest.importorskip("torch")
    values = np.abs(np.cumsum(np.random.default_rng(1).normal(size=LENGTH))).astype(np.float32)
    for kwargs in PLATEAUS:
        if kwargs["window"] > 1 or kwargs["factor"] == 0:
            continue
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        theirs = {k: v for k, v in kwargs.items() if k not in ("floor", "window")}
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, min_lr=kwargs["floor"], eps=0.0, **theirs
        )
        want = []
        for value in values:
            optimizer.step()
            scheduler.step(float(value))
            want.append(optimizer.param_groups[0]["lr"])
        _, got = rates_of("plateau", tuple(kwargs.items()), "number")[0](values)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=0, err_msg=str(kwargs))
        assert min(want) < 0.5


@proves("P47", row="best_or_back_off")
@pytest.mark.parametrize("kwargs", BACK_OFFS[:4:3], ids=["min", "max"])
def test_best_or_back_off_is_a_plateau_without_patience(kwargs):
    walks = np.cumsum(np.random.default_rng(2).normal(size=LENGTH)).astype(np.float32)
    more = {"patience": 0, "threshold": 0.0, "threshold_mode": "abs", "cooldown": 0, "window": 1}
    _, got = rates_of("best_or_back_off", tuple(kwargs.items()), "number")[0](walks)
    _, want = rates_of("plateau", tuple({**kwargs, **more}.items()), "number")[0](walks)
    np.testing.assert_array_equal(got, want)


# Defects of others, each a sequence and the rate that it must end with.
DEFECTS = {
    "patience 0 keeps the rate while the loss improves": ([5, 4, 3, 2], {"patience": 0}, 0.5),
    "patience 0 cuts it at every flat step": ([5, 5, 5], {"patience": 0}, 0.125),
    "a negative metric that stalls": ([-1] * 8, {"patience": 2}, 0.125),
    "a negative metric that improves": ([-1, -2, -3, -4], {"patience": 0}, 0.5),
    "NaN in the first epoch": ([math.nan, 4, 3, 2], {"patience": 0}, 0.5),
    "one -inf is forgotten": ([3, -math.inf, 2, 1], {"patience": 0}, 0.5),
    "beyond float16": ([70000.0, 69000.0, 68000.0], {"patience": 0}, 0.5),
    "zero stays the best": ([0.0, 0.0, 0.0], {"patience": 1}, 0.25),
}


@proves("P47", row="plateau")
@pytest.mark.parametrize("name", DEFECTS)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_what_others_get_wrong(name, dtype):
    values, kwargs, rate = DEFECTS[name]
    tx = adaptax.adam(adaptax.plateau(0.5, factor=0.5, **kwargs))
    params = jnp.ones(2, dtype)
    state = tx.init(params)
    for value in values:
        _, state = tx.update(params, state, params, value=value)
    np.testing.assert_array_equal(adaptax.learning_rate(state), np.float32(rate))


def test_a_ceiling_holds_where_the_base_rises_above_it():
    tx = adaptax.sgd(adaptax.bold_driver(adaptax.linear(0.1, 1.0, 3), ceiling=0.5))
    state, rates = tx.init(jnp.ones(1)), []
    for _ in range(5):
        _, state = tx.update(jnp.ones(1), state, jnp.ones(1), value=math.nan)
        rates.append(float(adaptax.learning_rate(state)))
    np.testing.assert_allclose(rates, [0.1, 0.4, 0.5, 0.5, 0.5], rtol=1e-6)


@proves("P47", row="plateau")
def test_a_nan_changes_nothing_at_all():
    control = adaptax.plateau(0.1, patience=3, cooldown=2, window=2)
    memory = control.init(None)
    for value in (3.0, 3.0, 4.0, 5.0, 6.0):
        memory = control.absorb(memory, jnp.float32(0.1), Seen(value, None, None, 1.0, None))
    for value in (math.nan, -math.inf, np.float32("nan"), jnp.float32(jnp.nan)):
        after = control.absorb(memory, jnp.float32(0.1), Seen(value, None, None, 1.0, None))
        for name in memory._fields:
            compared(1)
            assert getattr(after, name) == getattr(memory, name), name


def test_a_validation_loss_is_fed_once_an_epoch_from_inside_a_scan():
    tx = adaptax.sgd(adaptax.plateau(1.0, factor=0.5, patience=0, threshold=0.0))
    losses = jnp.asarray([4.0, 3.0, 3.0, 2.0, 5.0])

    def step(state, k):
        value = jnp.where(k % 10 == 9, losses[k // 10], jnp.nan)
        _, state = tx.update(jnp.ones(1), state, jnp.ones(1), value=value)
        return state, adaptax.learning_rate(state)

    _, rates = jax.lax.scan(step, tx.init(jnp.ones(1)), jnp.arange(50))
    np.testing.assert_array_equal(rates[9::10], [1.0, 1.0, 0.5, 0.5, 0.25])
    np.testing.assert_array_equal(rates[8::10], [1.0, 1.0, 1.0, 0.5, 0.5])


@proves("P47")
@pytest.mark.parametrize("name", ["plateau", "best_or_back_off", "bold_driver", "polyak"])
@pytest.mark.parametrize(
    ("extra", "error", "says"),
    [
        ({}, ValueError, "the metric is missing"),
        ({"value": None}, ValueError, "the metric is missing"),
        ({"value": "low"}, TypeError, "real number"),
        ({"value": True}, TypeError, "real number"),
        ({"value": 1j}, TypeError, "real number"),
        ({"value": np.ones(3)}, ValueError, r"shape \[3\]"),
        ({"value": jnp.ones((1,))}, ValueError, r"shape \[1\]"),
    ],
    ids=["none", "None", "text", "bool", "complex", "array", "one"],
)
def test_a_bad_metric_is_refused_by_name(name, extra, error, says):
    tx = adaptax.sgd(getattr(adaptax, name)(0.1))
    state = tx.init(jnp.ones(2))
    with pytest.raises(error, match=f"{name}.*{says}"):
        tx.update(jnp.ones(2), state, jnp.ones(2), **extra)


@pytest.mark.parametrize(
    "value", [1, 1.5, np.float64(2), np.int32(3), jnp.float16(1), jnp.asarray(2)], ids=str
)
def test_any_real_scalar_is_a_metric(value):
    tx = adaptax.sgd(adaptax.plateau(0.1))
    _, state = tx.update(jnp.ones(2), tx.init(jnp.ones(2)), jnp.ones(2), value=value)
    assert float(state.rate.controller.best) == float(value)


@proves("P30", row="controllers")
@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: adaptax.plateau(-0.1), ValueError),
        (lambda: adaptax.plateau(0.1, factor=1.0), ValueError),
        (lambda: adaptax.plateau(0.1, patience=-1), ValueError),
        (lambda: adaptax.plateau(0.1, patience=1.5), TypeError),
        (lambda: adaptax.plateau(0.1, threshold=-1), ValueError),
        (lambda: adaptax.plateau(0.1, mode="lowest"), ValueError),
        (lambda: adaptax.plateau(0.1, mode=None), TypeError),
        (lambda: adaptax.plateau(0.1, window=0), ValueError),
        (lambda: adaptax.plateau(0.1, cooldown=math.nan), ValueError),
        (lambda: adaptax.plateau(adaptax.plateau(0.1)), TypeError),
        (lambda: adaptax.bold_driver(0.1, floor=1.0, ceiling=0.5), ValueError),
        (lambda: adaptax.bold_driver(0.1, up=0.9), ValueError),
        (lambda: adaptax.bold_driver(0.1, down=1.0), ValueError),
        (lambda: adaptax.adam(0.1, b1=adaptax.plateau(0.1)), TypeError),
        (lambda: adaptax.adamw(0.1, weight_decay=adaptax.plateau(0.1)), TypeError),
    ],
)
def test_bad_arguments_are_refused(call, error):
    with pytest.raises(error, match=r"\w+\(\w+="):
        call()
