"""Every two arguments together: the rows of the cover of all pairs of values."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax
from tests.cases import APART, OTHERS, ROW_IDS, ROWS
from tests.conformance import compared, proves
from tests.interop.table import kinds
from tests.measure import gradients, normalised, report, run, run_reference, weights
from tests.pairwise import cover

every_row = pytest.mark.parametrize("case", ROWS, ids=ROW_IDS)


def check(case, steps, bound, dtype):
    case = case.wide
    grads, params = gradients(steps, 16), weights(16)
    want = run_reference(case.reference(1.0), grads, params)
    got = run(case.make(1.0), grads.astype(dtype), params.astype(dtype))
    error = normalised(got, want, case.unit)
    assert error.max() <= bound, report(error, case.id)


@proves("P1")
@every_row
def test_float32_over_60_steps(case):
    """What is stored in a low precision is stored in float32 here, as in the reference."""
    check(case, 60, 2e-6 * case.slack, np.float32)


@pytest.mark.slow
@proves("P2")
@every_row
def test_float64_over_60_steps(case, x64):
    check(case, 60, 1e-12, np.float64)


@proves("P13", "P16")
@every_row
def test_zero_gradients_and_the_state_s_structure(case):
    """Op by op, in four dtypes: exactly zero, and what is kept keeps its kinds."""
    tx = case.make(0.1)
    theta = {d: jnp.zeros(3, d) for d in ("float16", "bfloat16", "float32", "complex64")}
    state = tx.init(theta)
    before, start = kinds(state), case.name == "yogi"  # its moments start from a value
    for _ in range(2):
        updates, state = tx.update(theta, state, theta)
        assert kinds(state) == before
        for key, u in updates.items():
            compared(u.size)
            assert u.dtype == theta[key].dtype and bool(jnp.isfinite(u).all())
            assert start or not u.any(), (key, u)
    assert kinds(jax.eval_shape(tx.update, theta, state, theta)[1]) == before


@proves("P14")
@every_row
def test_a_row_is_a_value_that_travels(case):
    """Config, text and equality keep every argument."""
    tx = case.make(0.1)
    other = getattr(adaptax, case.name)(0.1)
    ways = [adaptax.parse(repr(tx)),
            adaptax.from_config(json.loads(json.dumps(adaptax.to_config(tx))))]  # fmt: skip
    for way in ways:
        compared(len(tx.call.named))
        assert way == tx and hash(way) == hash(tx) and way.call.named == tx.call.named
        assert (way == other) == (not case.kwargs)


def pairs(rows):
    return {
        frozenset({(a, repr(row[a])), (b, repr(row[b]))}) for row in rows for a in row for b in row
        if a < b
    }  # fmt: skip


def test_a_cover_has_every_pair():
    levels = {"a": [0, 1, 2], "b": [False, True], "c": [None, "x"], "d": [0.5, 1.0]}
    apart = [{"a": 2, "c": "x"}]
    found = cover(levels, apart)
    every = {
        frozenset({(x, repr(v)), (y, repr(w))})
        for x in levels for y in levels if x < y for v in levels[x] for w in levels[y]
    }  # fmt: skip
    assert pairs(found) == every - {frozenset({("a", "2"), ("c", "'x'")})}
    assert len(found) < 12 and cover(levels, apart) == found
    with pytest.raises(ValueError, match="no row holds"):
        cover({"a": [0], "b": [0], "c": [0]}, [{"a": 0, "c": 0}, {"b": 0, "c": 0}])


def test_every_value_beside_a_default_is_in_the_rows():
    for name in {case.name for case in ROWS}:
        found = {(k, v) for case in ROWS if case.name == name for k, v in case.kwargs.items()}
        arguments = next(case for case in ROWS if case.name == name).argument_names
        for argument in arguments[1:]:
            assert any((argument, value) in found for value in OTHERS[argument]), (name, argument)
    assert len(ROWS) == len(set(ROW_IDS)) and set(APART) <= {case.name for case in ROWS}
