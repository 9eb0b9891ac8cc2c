"""Drop-in laws: same arguments, same numbers as Optax."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax.core import registry
from tests.cases import CASES
from tests.conformance import compared, proves
from tests.measure import gradients, normalised, report, run, weights

OURS = [name for name in registry.names("optimizer") if hasattr(optax, name)]
SHARED = [case for case in CASES if case.optax]


@proves("P4")
@pytest.mark.parametrize("name", OURS)
def test_arguments_are_optax_s(name):
    """Every argument of Optax's, in its order and with its default; ours are keywords behind."""
    theirs = inspect.signature(getattr(optax, name)).parameters
    ours = inspect.signature(getattr(adaptax, name)).parameters
    for argument, parameter in theirs.items():
        assert argument in ours, argument
        if (name, argument) != ("adadelta", "learning_rate"):  # Optax's None steps uphill
            assert ours[argument].default == parameter.default, argument
    positional = [k for k, p in theirs.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    compared(len(theirs))
    assert [k for k, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == positional
    extra = set(ours) - set(theirs)
    assert all(ours[k].kind is inspect.Parameter.KEYWORD_ONLY for k in extra), extra


@proves("P4")
@pytest.mark.parametrize("case", SHARED, ids=[c.id for c in SHARED])
def test_equals_optax_in_double_precision(case, x64):
    """Optax's method without Optax's rounding: what a drop-in has to be."""
    grads, params = gradients(100, 32), weights(32).astype(np.float64)
    want = run_theirs(case, grads, params)
    error = normalised(run(case.make(0.1), grads, params), want, unit=False)
    assert error.max() <= 1e-9, report(error, case.id)


@proves("P4")
@pytest.mark.parametrize("case", SHARED, ids=[c.id for c in SHARED])
def test_equals_optax_in_single_precision(case):
    """Within 2e-5, or within Optax's own error where that is larger (RAdam, centred RMSprop)."""
    grads, params = gradients(100, 32), weights(32)
    single = grads.astype(np.float32)
    want = run_theirs(case, single, params)
    got = run(case.make(0.1), single, params)
    with jax.enable_x64(True):
        exact = run_theirs(case, grads, params.astype(np.float64))
    own = normalised(want, exact, unit=False).max()
    error = normalised(got, exact, unit=False)
    assert error.max() <= 2e-5, report(error, case.id)
    between = normalised(got, want, unit=False)
    assert between.max() <= 2e-5 + 1.1 * own, report(between, case.id)


def run_theirs(case, grads, params):
    with jax.numpy_dtype_promotion("standard"):
        return run(getattr(optax, case.name)(0.1, **case.kwargs), grads, params)


def test_one_wrong_number_would_be_seen():
    """The comparison bites: β₂ = 0.998 instead of 0.999 is no drop-in."""
    grads, params = gradients(100, 32).astype(np.float32), weights(32)
    with jax.numpy_dtype_promotion("standard"):
        want = run(optax.adam(0.1), grads, params)
    assert normalised(run(adaptax.adam(0.1, b2=0.998), grads, params), want, False).max() > 1e-3


def test_states_have_optax_s_names():
    params = jnp.ones(3)
    for name, fields in {
        "adam": ("count", "mu", "nu"),
        "adamw": ("count", "mu", "nu"),
        "amsgrad": ("count", "mu", "nu", "nu_max"),
        "adagrad": ("sum_of_squares",),
        "adadelta": ("e_g", "e_x"),
        "rmsprop": ("nu",),
    }.items():
        state = getattr(adaptax, name)(0.1).init(params)
        for field in fields:
            found = optax.tree.get(state, field)
            assert found.shape == (() if field == "count" else (3,)), (name, field)
    assert optax.tree.get(adaptax.sgd(0.1, momentum=0.9).init(params), "trace").shape == (3,)
    assert isinstance(adaptax.adam(0.1).init(params).rule, optax.ScaleByAdamState)
