"""Bad arguments are refused at construction; the message names argument, value and range."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax
from adaptax.core import checks, registry
from tests.cases import CASES
from tests.conformance import compared, proves

OPTIMIZERS = registry.names("optimizer")
NUMBERS = [
    "b1",
    "b2",
    "decay",
    "rho",
    "momentum",
    "eps",
    "eps_root",
    "weight_decay",
    "learning_rate",
]
NUMBERS += ["initial_accumulator_value", "initial_scale", "threshold", "momentum_decay"]
BAD = [-1.0, math.nan, math.inf, -math.inf, "0.1", True, (0.1,), np.ones(2), object(), 1j]
BELOW_ONE = {"b1", "b2", "decay", "rho", "momentum"}


def arguments(name):
    case = next(case for case in CASES if case.name == name)
    return [argument for argument in case.argument_names if argument in NUMBERS]


@proves("P30")
@pytest.mark.parametrize(("name", "argument"), [(n, a) for n in OPTIMIZERS for a in arguments(n)])
def test_bad_numbers(name, argument):
    make = getattr(adaptax, name)
    for value in BAD + ([1.0, 1.5] if argument in BELOW_ONE else []):
        with pytest.raises((ValueError, TypeError)) as error:
            make(**{"learning_rate": 0.1, argument: value})
        message = str(error.value)
        assert message.startswith(f"{name}({argument}={value!r})"), message
        assert f"{argument} must be a number in " in message, message
    if argument not in ("momentum", "momentum_decay"):
        with pytest.raises(TypeError, match=f"{argument} must be"):
            make(**{"learning_rate": 0.1, argument: None})


@proves("P30")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_ends_of_the_ranges_are_allowed(name):
    make = getattr(adaptax, name)
    make(0.0)
    make(0)
    compared(2)
    for argument in arguments(name):
        if argument != "threshold":
            compared(1)
            make(**{"learning_rate": 0.1, argument: 0.0})


@proves("P30", row="arguments")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: adaptax.adam(0.1, mu_dtype="int32"), "mu_dtype must be a floating dtype"),
        (lambda: adaptax.adam(0.1, mu_dtype="bfloat17"), "mu_dtype must be a floating dtype"),
        (lambda: adaptax.adam(0.1, nesterov=1), "nesterov must be True or False"),
        (lambda: adaptax.adam(), "missing a required argument: 'learning_rate'"),
        (lambda: adaptax.adam(0.1, beta1=0.9), "no argument 'beta1'; did you mean 'b1'"),
        (lambda: adaptax.clip(-1.0), "max_delta must be"),
        (lambda: adaptax.clip_by_global_norm(math.nan), "max_norm must be"),
        (lambda: adaptax.adaptive_grad_clip(0.0), "clipping must be a number in (0, inf)"),
        (lambda: adaptax.adaptive_grad_clip(0.1, axis="x"), "adaptive_grad_clip(axis='x')"),
        (lambda: adaptax.chain(), "at least one"),
        (lambda: adaptax.chain(adaptax.adam), "call it first: adam(...)"),
        (lambda: adaptax.Rule(0.9), "an accumulator is needed"),
        (lambda: adaptax.Rule(adaptax.Newest(), 1.0), "a preconditioner or None"),
        (lambda: adaptax.scale_by_rule(adaptax.Ema(0.9)), "a Rule is needed"),
        (lambda: adaptax.nadam(0.1, b1=lambda k: 0.9, momentum_decay=0.004), "constant decay"),
        (lambda: adaptax.Nesterov(adaptax.Total()), "Ema or a Trace"),
        (lambda: adaptax.Ema(2.0), "Ema(decay=2.0): decay must be a number in [0, 1)"),
        (lambda: adaptax.Debiased(3), "inner must be a part of the algebra"),
        (lambda: adaptax.Rms(3), "accumulator must be a part of the algebra"),
        (lambda: adaptax.Dozat(adaptax.Ema(0.9), -1.0), "psi must be a number in [0, inf)"),
        (lambda: adaptax.Stored(adaptax.Ema(0.9), "int8"), "dtype must be a floating dtype"),
        (lambda: adaptax.descend(3, 0.1), "descend(rule=3)"),
        (lambda: adaptax.descend(adaptax.Rule(adaptax.Newest()), 0.1, after=3), "descend(after=3)"),
        (lambda: adaptax.nadam(0.1, nesterov=False, momentum_decay=0.1), "needs nesterov=True"),
        (lambda: adaptax.rmsprop(0.1, centered=True, nu_dtype="bfloat16"), "nu_dtype='bfloat16'"),
        (lambda: adaptax.adam(1e39), "learning_rate must be"),
        (lambda: adaptax.adam(10**400), "learning_rate must be"),
        (lambda: adaptax.adaptive_grad_clip(0.1, eps=lambda k: 0.1), "eps must be a number in"),
        (
            lambda: adaptax.adam(0.1, b2=jnp.asarray(0.999, jnp.bfloat16)),
            "cannot hold a decay near 1",
        ),
        (
            lambda: adaptax.Rule(adaptax.Newest(), adaptax.Belief(adaptax.Ema(0.9))),
            "keeps an average",
        ),
    ],
)
def test_bad_calls(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert message in str(error.value), error.value


def test_traced_numbers_are_not_checked():
    """Traced code never raises: a sweep may build optimizers inside jit."""

    @jax.jit
    def first_step(rate):
        tx = adaptax.adam(rate)
        return tx.update(jnp.ones(2), tx.init(jnp.ones(2)))[0]

    np.testing.assert_allclose(first_step(0.5), -0.5, rtol=1e-6)
    np.testing.assert_allclose(
        jax.vmap(first_step)(jnp.array([0.1, 0.2]))[:, 0], [-0.1, -0.2], rtol=1e-6
    )


def test_every_argument_is_explained():
    """No public factory has an argument that its docstring does not explain."""
    import inspect

    for kind in ("optimizer", "transformation", "schedule", "controller"):
        for name in registry.names(kind):
            factory = registry.lookup(name)
            for argument in inspect.signature(factory).parameters:
                assert f" {argument}:" in factory.__doc__ or f"*{argument}:" in factory.__doc__, (
                    name,
                    argument,
                )
    assert str(checks.UNIT) == "[0, 1)"
    assert str(checks.Range(1, 2.0**31)) == "[1, 2147483648)"
    assert str(checks.Range(-2e9, 2.0**24)) == "[-2000000000, 16777216)"
    assert str(checks.Range(0.05, 1e30)) == "[0.05, 1e+30)" and str(checks.ANY) == "(-inf, inf)"


MASKS = [
    ({"w": True}, "no prefix"),
    ({"w": 1, "b": False}, r"mask at \['w'\] is 1"),
    (lambda params: {"x": True}, "no prefix"),
]


@proves("P31", row="masks")
@pytest.mark.parametrize(("mask", "message"), MASKS)
def test_bad_masks(mask, message):
    with pytest.raises(ValueError, match=message):
        adaptax.adamw(0.1, mask=mask).init({"w": jnp.ones(2), "b": jnp.ones(2)})


@proves("P27", row="gradients")
def test_integer_gradients_are_named():
    for tx in (
        adaptax.sgd(0.1),
        adaptax.adam(0.1),
        adaptax.clip(1.0),
        adaptax.clip_by_global_norm(1.0),
    ):
        params = {"w": jnp.ones(2)}
        with pytest.raises(TypeError, match=r"gradient \['w'\] is int32\[2\]"):
            tx.update({"w": jnp.ones(2, jnp.int32)}, tx.init(params))


@proves("P30", row="schedules")
def test_schedules_give_scalars():
    tx = adaptax.sgd(lambda step: jnp.ones(2))
    with pytest.raises(ValueError, match=r"must be a scalar; got shape \(2,\)"):
        tx.init(jnp.ones(2))


@proves("P29", row="adamw")
def test_weight_decay_needs_the_weights():
    tx = adaptax.adamw(0.1)
    with pytest.raises(ValueError, match=r"call update\(updates, state, params\)"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
