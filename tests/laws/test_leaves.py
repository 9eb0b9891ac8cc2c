"""Laws of leaves: any tree, complex numbers, low precision, and what stands around an optimizer."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.cases import rows
from tests.conformance import compared, proves
from tests.interop.table import assert_same, grads, kinds
from tests.laws.programs import drawn, optimizer, params, tree, ulps


def over(name):
    """A law over all rows that it applies to."""
    return pytest.mark.parametrize("case", rows(name), ids=lambda case: case.id)


class Pair(NamedTuple):
    w: Any
    value: Any


X, Y = jnp.arange(1.0, 4.0), jnp.full((2, 2), -0.5, jnp.float32)
EVERYTHING = {
    "tuple": (X, [Y, {"deep": X}]),
    "hole": None,
    "pair": Pair(jnp.asarray(0.5), Y),
    "none": jnp.zeros((0, 3)),
    "half": X.astype(jnp.bfloat16),
    "a/b": 0.25,
    "empty": {},
}


@proves("P25", "P28")
@over("P25")
def test_one_tree_with_everything(case):
    tx = optimizer(case)
    state = tx.init(EVERYTHING)
    before = kinds(state)
    for k in range(2):
        updates, state = tx.update(grads(EVERYTHING, k), state, EVERYTHING)
    assert jax.tree.structure(updates) == jax.tree.structure(EVERYTHING)
    assert kinds(state) == before
    for u, p in zip(jax.tree.leaves(updates), jax.tree.leaves(EVERYTHING), strict=True):
        compared(u.size)
        assert u.shape == np.shape(p) and u.dtype == jnp.result_type(p)
        assert bool(jnp.isfinite(u).all()) and bool((u != 0).all())


def fed(tx, gradients):
    """The updates of a few steps, op by op, from zero."""
    state, out = tx.init(jnp.zeros_like(gradients[0])), []
    for g in gradients:
        u, state = tx.update(g, state, jnp.zeros_like(g))
        out.append(u)
    return np.stack(out)


@proves("P26")
@over("P26")
def test_turned_gradients_give_turned_steps(case):
    """The modulus divides, as in Optax (PyTorch divides the two parts apart)."""
    turn = np.complex64(np.exp(0.7j))
    real, turned = (
        fed(optimizer(case), [jnp.asarray(g * by) for g in drawn(4)]) for by in (1, turn)
    )
    assert turned.dtype == np.complex64
    for part, want in ((turned.real, real * turn.real), (turned.imag, real * turn.imag)):
        assert ulps(part, want.astype(np.float32)) <= 16 * case.slack


@proves("P26")
@pytest.mark.parametrize("case", rows("P25"), ids=lambda case: case.id)
def test_complex_numbers_on_the_real_line(case):
    real, flat = (
        fed(optimizer(case), [jnp.asarray(g, dtype) for g in drawn(4)])
        for dtype in ("float32", "complex64")
    )
    np.testing.assert_array_equal(flat.imag, 0.0)
    assert ulps(flat.real, real) <= 4


SPIKE = 4.0


@proves("P32")
@over("P32")
def test_a_spike_decays_by_its_decay(case):
    """After a spike and 5,000 zeros the second moment is 0.999⁵⁰⁰⁰ of what it was."""
    names = [n for n in ("b2", "decay", "rho") if n in case.argument_names]
    tx = case.make(0.1, **{names[0]: 0.999})
    theta = {d: jnp.zeros(2, d) for d in ("bfloat16", "float16", "float32")}
    spike = jax.tree.map(lambda p: jnp.full_like(p, SPIKE), theta)
    _, state = tx.update(spike, tx.init(theta), theta)
    field = next(f for f in ("nu", "e_g") if optax.tree.get(state, f) is not None)
    first = optax.tree.get(state, field)

    def zeros(state, _):
        return tx.update(theta, state, theta)[1], None

    state, _ = jax.jit(lambda s: jax.lax.scan(zeros, s, length=5000))(state)
    for kept, start in zip(
        jax.tree.leaves(optax.tree.get(state, field)), jax.tree.leaves(first), strict=True
    ):
        assert kept.dtype == jnp.float32 and bool((start > 0).all())
        np.testing.assert_allclose(kept, start * np.float64(0.999) ** 5000, rtol=1e-4)


def scalars(jaxpr):
    """The dtypes of all floating scalars in a program, inner ones included."""
    for equation in jaxpr.eqns:
        for variable in [*equation.invars, *equation.outvars]:
            aval = variable.aval
            if getattr(aval, "shape", None) == () and jnp.issubdtype(aval.dtype, jnp.inexact):
                yield aval.dtype
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=is_program):
            if is_program(inner):
                yield from scalars(getattr(inner, "jaxpr", inner))


def is_program(x):
    return hasattr(x, "eqns") or hasattr(x, "jaxpr")


@proves("P33")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@over("P33")
def test_scalars_are_single_precision(case, dtype):
    """β, 1 − β, ε, both corrections and the rate, whatever the parameters are."""
    theta = jnp.zeros(3, dtype)
    tx = case.make(adaptax.linear(0.1, 0.0, 10))
    program = jax.make_jaxpr(tx.update)(theta, tx.init(theta), theta)
    found = list(scalars(program.jaxpr))
    found += [leaf.dtype for leaf in jax.tree.leaves(tx.init(theta)) if leaf.dtype != jnp.int32]
    compared(len(found))
    assert {dtype.name for dtype in found} == {"float32"}


@functools.cache
def plain(case):
    return fed(optimizer(case), [jnp.asarray(g) for g in drawn(5)])


# Injected, β₂ is a float32: half a unit in its last place, 2⁻²⁵, is 3e-5 of 1 − β₂ = 0.001, and
# half of that of the root. The bias correction takes in the same β₂ and cancels most of it.
ROUNDED_DECAY = 125


def injected(case, alone):
    make = functools.partial(getattr(adaptax, case.name), **case.kwargs)
    static = case.argument_names[1:] if alone else ()
    tx = optax.inject_hyperparams(make, static_args=static)(learning_rate=0.1)
    return fed(tx, [jnp.asarray(g) for g in drawn(5)])


@proves("P49")
@over("P49")
def test_an_injected_rate(case):
    assert ulps(injected(case, alone=True), plain(case)) <= 8 * case.slack


@proves("P49")
@over("P49")
def test_every_number_injected(case):
    assert ulps(injected(case, alone=False), plain(case)) <= ROUNDED_DECAY + 8 * case.slack


@proves("P49")
@over("P49")
def test_a_rate_that_is_set(case):
    """An optimizer of another rate, set to this one before its first step."""
    tx = case.make(0.7)

    def init(params):
        return adaptax.set_learning_rate(tx.init(params), 0.1)

    got = fed(adaptax.Transformation(init, tx.update), [jnp.asarray(g) for g in drawn(5)])
    np.testing.assert_array_equal(got, plain(case))


@proves("P50")
@over("P50")
def test_one_group_is_the_plain_optimizer(case):
    tx, grouped = optimizer(case), adaptax.by_path({"**": optimizer(case)})
    states = [tx.init(params()), grouped.init(params())]
    for g in drawn(3):
        made = [
            t.update(jax.tree.map(jnp.asarray, tree(g)), s, params())
            for t, s in zip((tx, grouped), states, strict=True)
        ]
        states = [state for _, state in made]
        assert_same(made[1][0], made[0][0])
