"""The references judge the library, so they are judged here: by Optax in float64, by exact
rationals, and by sums written out weight by weight (by PyTorch and Keras in `test_golden.py`). The
library is not imported."""

import contextlib
import importlib
import inspect
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import references

STEPS = 60
SHAPE = (4, 3)
OPTAX_RTOL = 1e-9


def gradients(seed=0, steps=STEPS, shape=SHAPE):
    """Random gradients over three decades, with a few exact zeros after the first step."""
    random = np.random.default_rng(seed)
    g = random.normal(size=(steps, *shape)) * 10.0 ** random.uniform(-2, 1, size=(1, *shape))
    g[1:][random.uniform(size=(steps - 1, *shape)) < 0.05] = 0.0
    return g


def start(seed=1):
    return np.random.default_rng(seed).uniform(0.5, 1.5, size=SHAPE)


@contextlib.contextmanager
def float64_arrays():
    """Optax in float64, whatever promotion rules the rest of the suite is run under."""
    home = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
    standard, allow = jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow")
    with home.enable_x64(True), standard, allow:
        yield


def rate(k):
    return 0.1 / (1 + k)


OPTAX = [
    ("sgd", {}),
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("adagrad", {}),
    ("adagrad", {"initial_accumulator_value": 0.0, "eps": 1e-3}),
    ("adadelta", {}),
    ("adadelta", {"rho": 0.95, "eps": 1e-3, "weight_decay": 0.1}),
    ("rmsprop", {}),
    ("rmsprop", {"decay": 0.95, "eps": 1e-3, "initial_scale": 1.0, "eps_in_sqrt": False}),
    ("rmsprop", {"bias_correction": True, "momentum": 0.9}),
    ("rmsprop", {"centered": True, "eps": 1e-3, "momentum": 0.9, "nesterov": True}),
    ("rmsprop", {"centered": True, "bias_correction": True, "initial_scale": 0.5, "eps": 1e-3}),
    ("adam", {}),
    ("adam", {"b1": 0.8, "b2": 0.99, "eps": 1e-3, "eps_root": 1e-3}),
    ("adam", {"b1": 0.0, "nesterov": True}),
    ("adamw", {}),
    ("adamw", {"weight_decay": 0.1, "nesterov": True}),
    ("adamw", {"weight_decay": rate}),
    ("adamax", {}),
    ("adamax", {"eps": 1e-2, "b2": 0.9}),
    ("adamaxw", {"weight_decay": 0.1}),
    ("nadam", {}),
    ("nadam", {"b1": 0.7, "b2": 0.99, "eps": 1e-3, "eps_root": 1e-3}),
    ("nadamw", {}),
    ("nadamw", {"weight_decay": 0.1}),
    ("amsgrad", {}),
    ("amsgrad", {"b2": 0.9, "eps_root": 1e-3}),
    ("amsgrad", {"bias_correction_mu": False, "bias_correction_nu": False}),
    ("radam", {}),
    ("radam", {"b2": 0.99, "threshold": 4.0, "eps_root": 1e-3, "nesterov": True}),
    ("adabelief", {}),
    ("adabelief", {"eps": 1e-3, "eps_root": 1e-3, "nesterov": True}),
    ("yogi", {}),
    ("yogi", {"b1": 0.8, "b2": 0.9, "eps": 1e-2}),
]


@pytest.mark.parametrize("name,arguments", OPTAX)
def test_equals_optax(name, arguments):
    learning_rate = rate if arguments else 0.03
    check_against(
        getattr(references, name)(learning_rate, **arguments),
        getattr(optax, name)(learning_rate, **arguments),
    )


def test_yogi_hyperparameters_optax_does_not_pass_on():
    arguments = {"eps_root": 1e-3, "initial_accumulator_value": 0.1}
    check_against(
        references.yogi(0.03, **arguments),
        optax.chain(optax.scale_by_yogi(**arguments), optax.scale(-0.03)),
    )


TRANSFORMS = [
    ("clip", [0.3]),
    ("clip_by_global_norm", [2.0]),
    ("clip_by_global_norm", [1e3]),
    ("adaptive_grad_clip", [0.2]),
    ("adaptive_grad_clip", [0.2, 1.8, 1]),
    ("add_decayed_weights", [0.1]),
    ("add_decayed_weights", [rate]),
]


@pytest.mark.parametrize("name,arguments", TRANSFORMS)
def test_transformations_equal_optax(name, arguments):
    check_against(getattr(references, name)(*arguments), getattr(optax, name)(*arguments))


def check_against(step, transformation):
    theta = start()
    with float64_arrays():
        parameters = jnp.asarray(theta)
        state = transformation.init(parameters)
        update = jax.jit(transformation.update)
        for g in gradients():
            theirs, state = update(jnp.asarray(g), state, parameters)
            assert theirs.dtype == jnp.float64
            np.testing.assert_allclose(step(g, theta), theirs, rtol=OPTAX_RTOL, atol=0)
            assert np.any(np.asarray(theirs))


def test_optax_adadelta_without_a_rate_climbs():
    theta, g = start(), gradients(steps=1)[0]
    with float64_arrays():
        optimizer = optax.adadelta()
        theirs, _ = optimizer.update(jnp.asarray(g), optimizer.init(jnp.asarray(theta)), theta)
        np.testing.assert_allclose(references.adadelta()(g, theta), -theirs, rtol=OPTAX_RTOL)


@pytest.mark.parametrize("shape", [(), (5,), (1, 6), (4, 3), (2, 3, 4), (2, 2, 3, 4), (2,) * 5])
def test_units_of_adaptive_clipping(shape):
    random = np.random.default_rng(2)
    g, theta = 10 * random.normal(size=shape), random.normal(size=shape)
    with float64_arrays():
        clip = optax.adaptive_grad_clip(0.1)
        theirs, _ = clip.update(jnp.asarray(g), clip.init(theta), jnp.asarray(theta))
        ours = references.adaptive_grad_clip(0.1)(g, theta)
        np.testing.assert_allclose(ours, theirs, rtol=OPTAX_RTOL)
    assert np.all(np.abs(ours) < np.abs(g))
    zero = np.zeros(shape)
    assert np.array_equal(references.adaptive_grad_clip(0.1)(zero, theta), zero)


def test_global_norm_takes_all_arrays_and_any_magnitude():
    small, large = references.clip_by_global_norm(1.0)([np.array([3e200]), np.array([4e200])])
    np.testing.assert_allclose([small[0], large[0]], [0.6, 0.8], rtol=1e-15)
    assert np.array_equal(references.clip_by_global_norm(1.0)(np.zeros(3)), np.zeros(3))


def test_penalties_are_the_derivatives_of_their_penalty():
    theta, g, h = np.array([-2.0, 0.5, 3.0]), np.array([0.1, 0.2, 0.3]), 1e-6
    for step, penalty in [
        (references.l2_penalty(0.7), lambda x: 0.7 / 2 * x * x),
        (references.l1_penalty(0.7), lambda x: 0.7 * np.abs(x)),
    ]:
        slope = (penalty(theta + h) - penalty(theta - h)) / (2 * h)
        np.testing.assert_allclose(step(g, theta), g + slope, rtol=1e-8)
    chained = references.chain(references.l2_penalty(0.7), references.sgd(0.1))
    np.testing.assert_allclose(chained(g, theta), -0.1 * (g + 0.7 * theta), rtol=1e-15)


OPTIMIZERS = sorted({name for name, _ in OPTAX})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_shares_names_and_defaults_with_optax(name):
    ours = inspect.signature(getattr(references, name)).parameters
    theirs = inspect.signature(getattr(optax, name)).parameters
    not_numeric = {"mu_dtype", "accumulator_dtype", "mask", "weight_decay_mask"}
    assert set(theirs) - set(ours) == set(theirs) & not_numeric
    for shared in set(ours) & set(theirs):
        assert ours[shared].default == theirs[shared].default, shared


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_zero_gradients_give_zero_updates_even_without_eps(name):
    names = inspect.signature(getattr(references, name)).parameters
    no_eps = dict.fromkeys({"eps", "eps_root", "initial_accumulator_value"} & set(names), 0.0)
    step = getattr(references, name)(0.1, **no_eps)
    for _ in range(3):
        assert np.array_equal(step(np.zeros(4), np.zeros(4)), np.zeros(4))


@pytest.mark.parametrize("b2", [0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999])
def test_radam_length_equals_the_papers_formula_in_rationals(b2):
    exact_b2 = Fraction(b2)
    limit, power = 2 / (1 - exact_b2) - 1, Fraction(1)
    rectified = {4: [], 5: []}
    for t, rho in zip(range(1, 101), references.sma_lengths(b2), strict=False):
        power *= exact_b2
        exact = limit - 2 * t * power / (1 - power)
        assert abs(Fraction(rho) / exact - 1) < 1e-14
        for threshold, steps in rectified.items():
            assert (rho > threshold) == (exact > threshold)
            steps.append(rho > threshold)
    assert all(True in steps and False in steps for steps in rectified.values())


def test_radam_length_is_the_closed_form_when_that_does_not_cancel():
    b2, t = 0.999, 20_000
    lengths = references.sma_lengths(b2)
    rho = [next(lengths) for _ in range(t)][-1]
    limit = 2 / (1 - b2) - 1
    expected = limit - 2 * t * b2**t / references.one_minus_power(b2, t)
    assert rho == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("t", [1, 7, 60])
def test_bias_correction_equals_rationals(t):
    exact = 1 - Fraction(0.999999) ** t
    assert abs(Fraction(references.one_minus_power(0.999999, t)) / exact - 1) < 1e-15


def test_scheduled_betas_divide_by_the_weights_absorbed():
    """m_hat and v_hat as weighted means, the weights written out one by one."""
    b1, b2 = (lambda k: 0.9 - 0.5 / (k + 1)), (lambda k: 0.99 - 0.3 / (k + 2))
    g = gradients(steps=12)
    step = references.adam(0.1, b1=b1, b2=b2)

    def weights(b, t):
        return [(1 - b(i)) * math.prod(b(j) for j in range(i + 1, t)) for i in range(t)]

    for t in range(1, 13):
        mean = np.average(g[:t], axis=0, weights=weights(b1, t))
        square = np.average(g[:t] ** 2, axis=0, weights=weights(b2, t))
        expected = -0.1 * mean / (np.sqrt(square) + 1e-8)
        np.testing.assert_allclose(step(g[t - 1]), expected, rtol=1e-11)


SCHEDULED = [name for name in OPTIMIZERS if name not in ("sgd", "adagrad")]


@pytest.mark.parametrize("name", SCHEDULED)
def test_a_constant_schedule_of_any_hyperparameter_changes_nothing(name):
    parameters = inspect.signature(getattr(references, name)).parameters.values()
    numbers = {p.name: p.default for p in parameters if isinstance(p.default, float)}
    numbers = {key: value for key, value in numbers.items() if not key.startswith("initial")}
    assert numbers
    schedules = {key: lambda k, value=value: value for key, value in numbers.items()}
    plain = getattr(references, name)(0.1, **numbers)
    scheduled = getattr(references, name)(0.1, **schedules)
    for g in gradients():
        np.testing.assert_allclose(scheduled(g, start()), plain(g, start()), rtol=1e-12)


def test_nadam_becomes_its_simple_form_when_the_momentum_decay_is_over():
    simple, decayed = references.nadam(0.1), references.nadam(0.1, momentum_decay=1e6)
    for g in gradients():
        np.testing.assert_allclose(decayed(g), simple(g), rtol=1e-12)


def test_centered_statistic_is_the_textbook_difference():
    decay, v, m = 0.9, 0.5, 0.0
    step = references.rmsprop(1.0, decay=decay, initial_scale=v, centered=True, eps=1e-3)
    for g in gradients():
        v, m = decay * v + (1 - decay) * g * g, decay * m + (1 - decay) * g
        np.testing.assert_allclose(step(g), -g / np.sqrt(v - m * m + 1e-3), rtol=1e-10)


SCHEDULES = [
    (references.constant(0.3), lambda: optax.constant_schedule(0.3)),
    (references.linear(0.3, 0.01, 40), lambda: optax.linear_schedule(0.3, 0.01, 40)),
    (references.warmup(0.3, 40, 0.1), lambda: optax.linear_schedule(0.1, 0.3, 40)),
    (
        references.polynomial(0.3, 0.01, 40, 1.5),
        lambda: optax.polynomial_schedule(0.3, 0.01, 1.5, 40),
    ),
    (references.exponential(0.3, 0.5, 10), lambda: optax.exponential_decay(0.3, 10, 0.5)),
    (
        references.exponential(0.3, 0.5, 10, 0.02),
        lambda: optax.exponential_decay(0.3, 10, 0.5, end_value=0.02),
    ),
    (
        references.exponential(0.3, 2.0, 10, 0.9),
        lambda: optax.exponential_decay(0.3, 10, 2.0, end_value=0.9),
    ),
    (
        references.staircase(0.3, 0.5, 10),
        lambda: optax.exponential_decay(0.3, 10, 0.5, staircase=True),
    ),
    (
        references.piecewise([0.3, 0.06, 0.6], [10, 30]),
        lambda: optax.piecewise_constant_schedule(0.3, {10: 0.2, 30: 10.0}),
    ),
    (references.cosine(0.3, 40, 0.03), lambda: optax.cosine_decay_schedule(0.3, 40, alpha=0.1)),
    (
        references.warmup_cosine(0.3, 10, 40, 0.1, 0.02),
        lambda: optax.warmup_cosine_decay_schedule(0.1, 0.3, 10, 40, 0.02),
    ),
    (
        references.join([references.linear(0.0, 1.0, 9), references.constant(0.5)], [12]),
        lambda: optax.join_schedules(
            [optax.linear_schedule(0.0, 1.0, 9), optax.constant_schedule(0.5)], [12]
        ),
    ),
]


@pytest.mark.parametrize("ours,theirs", SCHEDULES)
def test_schedules_equal_optax(ours, theirs):
    with float64_arrays():
        expected = jax.vmap(theirs())(jnp.arange(STEPS))
    np.testing.assert_allclose([ours(k) for k in range(STEPS)], expected, rtol=1e-12, atol=1e-16)


def test_schedules_at_their_ends():
    last = 2**31 - 1
    assert references.inverse_time(0.3, 0.5, 10)(20) == pytest.approx(0.15, rel=1e-15)
    assert references.warmup(0.3, 0)(0) == 0.3
    assert references.linear(0.3, 0.1, 10)(last) == references.cosine(0.3, 10, 0.1)(last) == 0.1
    assert references.exponential(0.3, 0.5, 10)(last) == 0.0
    assert references.staircase(0.3, 0.5, 10)(9) == 0.3
    assert references.piecewise([1.0, 2.0], [5])(5) == 2.0
    assert references.warmup_cosine(0.3, 10, 40)(10) == 0.3
    one_before_the_end = references.cosine(1.0, 10**9)(10**9 - 1)
    assert one_before_the_end == pytest.approx((math.pi / 2 * 1e-9) ** 2, rel=1e-12, abs=0)
