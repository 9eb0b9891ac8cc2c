"""Laws of the numbers: closed forms of the first step, bounds, and what leaves them unchanged."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax
from tests.cases import CASES, rows
from tests.conformance import proves
from tests.laws.programs import assert_bitwise, drawn, optimizer, updates
from tests.measure import normalised, report, run


def over(name):
    """A law over all rows that it applies to."""
    return pytest.mark.parametrize("case", rows(name), ids=lambda case: case.id)


def arguments(case):
    """All arguments of a case, defaults included."""
    parameters = inspect.signature(getattr(adaptax, case.name)).parameters
    return {**{k: p.default for k, p in parameters.items()}, **case.kwargs}


def ahead(a, at=1):
    """How many times the mean gradient an average reads after one step: 1, or Nesterov's."""
    if a.get("momentum_decay") is not None:
        b, psi = a["b1"], a["momentum_decay"]
        now, then = (b * (1 - 0.5 * 0.96 ** (t * psi)) for t in (1, 2))
        return then * (1 - b) / (1 - now * then) + 1
    return 1 + a["b1"] / (1 + a["b1"]) if a.get("nesterov") else 1.0


def adaptive(g, a, second, root=0.0):
    return ahead(a) * g / (np.sqrt(second + root) + a["eps"])


def rmsprop(g, a):
    r, start = a["decay"], a["initial_scale"]
    second = (1 - r) * (r if a["centered"] else 1) * g * g + r * start
    second = second / (1 - r) if a["bias_correction"] else second
    if a["bias_correction"] and a["centered"]:
        second = r * start / (1 - r)
    x = g / (np.sqrt(second + a["eps"]) if a["eps_in_sqrt"] else np.sqrt(second) + a["eps"])
    return x * (1 + a["momentum"]) if a["nesterov"] else x


def adagrad(g, a):
    second = a["initial_accumulator_value"] + g * g
    return g / (np.sqrt(second + a["eps"]) if a["eps_in_sqrt"] else np.sqrt(second) + a["eps"])


def amsgrad(g, a):
    first = g if a["bias_correction_mu"] else (1 - a["b1"]) * g
    second = g * g if a["bias_correction_nu"] else (1 - a["b2"]) * g * g
    return first / (np.sqrt(second + a["eps_root"]) + a["eps"])


def yogi(g, a):
    start, b1, b2 = a["initial_accumulator_value"], a["b1"], a["b2"]
    first = (b1 * start + (1 - b1) * g) / (1 - b1)
    second = (start - (1 - b2) * np.sign(start - g * g) * g * g) / (1 - b2)
    return first / (np.sqrt(second + a["eps_root"]) + a["eps"])


def adam(g, a):
    return adaptive(g, a, g * g, a["eps_root"])


FIRST_STEPS = {
    "sgd": lambda g, a: g * (1 + a["momentum"]) if a["nesterov"] else g,
    "adagrad": adagrad,
    "adadelta": lambda g, a: g * np.sqrt(a["eps"] / ((1 - a["rho"]) * g * g + a["eps"])),
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adam,
    "nadam": adam,
    "nadamw": adam,
    "adamax": lambda g, a: g / (np.abs(g) + a["eps"]),
    "adamaxw": lambda g, a: g / (np.abs(g) + a["eps"]),
    "amsgrad": amsgrad,
    "radam": lambda g, a: ahead(a) * g,
    "adabelief": lambda g, a: adaptive(
        g, a, a["b1"] ** 2 * g * g + a["eps_root"] / (1 - a["b2"])
    ),
    "yogi": yogi,
}  # fmt: skip


# A step is eight to twelve roundings of at most half a unit each, those of 1 − β and of both
# corrections among them: six units at worst, and 2.3 at most as measured.
ROUNDINGS = 3 * 2.0**-23


@proves("P7")
@over("P7")
def test_the_first_step_is_its_closed_form(case):
    """Over eight decades of gradients."""
    g = np.concatenate([s * 10.0 ** np.linspace(-4, 4, 33) for s in (1, -1)]).astype(np.float32)
    got = run(case.make(1.0), g[None], np.zeros_like(g))[0]
    want = -FIRST_STEPS[case.name](g.astype(np.float64), arguments(case))
    np.testing.assert_allclose(got, want, rtol=ROUNDINGS, atol=0)


LAST = 300  # the step at which the bound is reached


def first_weights(a, t):
    """Of the gradients of age 0, 1, …, t − 1 in the numerator."""
    age, b = np.arange(t), a["b1"]
    mean = (1 - b) * b**age
    newest = (age == 0) * 1.0
    if a.get("momentum_decay") is not None:
        mu = [b * (1 - 0.5 * 0.96 ** (i * a["momentum_decay"])) for i in range(1, t + 2)]
        product = np.prod(mu[:t])
        return mu[t] * mean / (1 - product * mu[t]) + (1 - mu[t - 1]) / (1 - product) * newest
    if a.get("nesterov"):
        return b * mean / (1 - b ** (t + 1)) + (1 - b) / (1 - b**t) * newest
    return mean / (1 - b**t) if a.get("bias_correction_mu", True) else mean


def second_weights(a, t):
    """Of the squares in the denominator, by age."""
    mean = (1 - a["b2"]) * a["b2"] ** np.arange(t)
    return mean / (1 - a["b2"] ** t) if a.get("bias_correction_nu", True) else mean


def bound(case, t):
    """The largest |u_t| there is, and the gradients, by age, that reach it.

    |Σ w g| ≤ √(Σ w²/v)·√(Σ v g²) by Cauchy–Schwarz, with equality for g = w/v; and
    Σ w |g| ≤ Σ w/bᵏ · max bᵏ|g| for Adamax, with equality for g = 1/bᵏ.
    """
    a, newest = arguments(case), np.eye(t)[0]
    if case.name.startswith("adamax"):
        growth = a["b2"] ** -np.arange(t, dtype=float)
        return np.sum(first_weights(a, t) * growth), growth
    if case.name == "adagrad":
        return 1.0, newest
    if case.name == "rmsprop":
        return 1 / np.sqrt(1 - a["decay"]), newest
    w, v = first_weights(a, t), second_weights(a, t)
    return np.sqrt(np.sum(w * w / v)), w / v


@proves("P8")
@over("P8")
def test_steps_are_bounded_and_the_bound_is_reached(case):
    """By Cauchy–Schwarz: 7.27 for Adam at (0.9, 0.999) in the limit, not the paper's 3.16."""
    most = np.array([bound(case, t)[0] for t in range(1, LAST + 1)])
    worst = bound(case, LAST)[1][::-1]
    heavy = np.random.default_rng(0).standard_cauchy((LAST, 15))
    # no gradient so small that ε counts, which adds to Adamax's |g|, or that its square underflows
    worst = np.maximum(worst / np.abs(worst).max(), 1e-15) * 1e15
    grads = np.column_stack([worst, heavy * 1e9]).astype(np.float32)
    steps = np.abs(run(case.make(1.0), grads, np.zeros(16, np.float32)))
    np.testing.assert_array_less(steps, np.broadcast_to(most[:, None] * (1 + 1e-5), steps.shape))
    assert steps[-1, 0] >= most[-1] * (1 - 1e-3), (steps[-1, 0], most[-1])


def test_the_bound_of_adam_is_that_of_its_limit():
    limit = 0.1 / np.sqrt(0.001 * (1 - 0.81 / 0.999))
    assert limit == pytest.approx(7.27, abs=0.01)
    adam = next(case for case in CASES if case.id == "adam()")
    assert bound(adam, 5000)[0] == pytest.approx(limit, rel=1e-2)
    assert bound(adam, LAST)[0] > 3.2, "not above the paper's 3.16"


@proves("P11")
@over("P11")
def test_permuted_coordinates(case):
    order = np.random.default_rng(0).permutation(8)
    plain = updates(optimizer(case), drawn())
    permuted = updates(optimizer(case), drawn()[:, order])
    np.testing.assert_array_equal(permuted["whole"], plain["whole"][:, order], strict=True)


@proves("P9")
@over("P9")
def test_the_sign_does_not_matter(case):
    plain, negative = (updates(optimizer(case), g) for g in (drawn(), -drawn()))
    assert_bitwise(negative, jax.tree.map(np.negative, plain))


@proves("P12")
@over("P12")
def test_a_leaf_is_its_parts(case):
    """Each run has the same entries twice: as one leaf and as two."""
    got = updates(optimizer(case), drawn())
    parts = np.concatenate([got["left"], got["right"]], axis=1)
    np.testing.assert_array_equal(parts, got["whole"], strict=True)


ADDED = ("eps", "eps_root", "initial_accumulator_value", "initial_scale")


@proves("P10")
@over("P10")
def test_powers_of_two_scale_nothing_or_everything(case):
    """Without ε a step does not see the unit of the gradient, or is proportional to it."""
    tx = optimizer(case, **{name: 0.0 for name in ADDED if name in case.argument_names})
    plain = updates(tx, drawn())["whole"]
    for power in (-20.0, 20.0):
        scaled = updates(tx, drawn() * np.float32(2.0**power))["whole"]
        grown = case.linear or np.arange(len(plain))[:, None] < case.undivided
        np.testing.assert_array_equal(scaled, np.where(grown, plain * 2.0**power, plain))


DECOUPLED = [case for case in CASES if case.name in ("adamw", "nadamw", "adamaxw")]


@proves("P14")
@pytest.mark.parametrize("case", DECOUPLED, ids=lambda case: case.id)
def test_decoupled_decay_shrinks_the_weights_alone(case):
    """With zero gradients the weights follow (1 − ηλ)ᵗ, and the L2 penalty does not."""
    tx = case.make(0.1, weight_decay=0.5)
    update, theta, state = jax.jit(tx.update), jnp.ones(3), tx.init(jnp.ones(3))
    for _ in range(10):
        u, state = update(jnp.zeros(3), state, theta)
        theta = theta + u
    np.testing.assert_allclose(theta, 0.95**10, rtol=1e-5)


RECTIFIED = [case for case in CASES if case.name == "radam"]


@proves("P6")
@pytest.mark.parametrize("decay", [0.9, 0.99, 0.999, 0.9999, 0.99999])
@pytest.mark.parametrize("case", RECTIFIED, ids=lambda case: case.id)
def test_the_first_rectified_steps(case, decay):
    """The steps around the first that is divided; Optax divides one too late for β₂ ≥ 0.9999."""
    grads, theta = drawn(8), np.zeros(8, np.float32)
    step = case.reference(1.0, b2=decay)
    want = np.array([step(g, theta) for g in grads.astype(np.float64)])
    error = normalised(run(case.make(1.0, b2=decay), grads, theta), want, unit=True)
    assert error.max() <= 3e-6, report(error, f"{case.id} {decay}")
