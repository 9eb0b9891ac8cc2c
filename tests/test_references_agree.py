"""Laws against the references: every case equals its straight-line float64 NumPy version."""

import inspect

import jax
import numpy as np
import pytest

import adaptax
from tests.cases import CASES, IDS
from tests.conformance import compared, proves
from tests.measure import gradients, normalised, report, run, run_reference, weights

SIZE = 64


def check(case, steps, bound, dtype=np.float32, **more):
    grads, params = gradients(steps, SIZE), weights(SIZE)
    want = run_reference(case.reference(1.0, **more), grads, params)
    got = run(case.make(1.0, **more), grads.astype(dtype), params.astype(dtype))
    error = normalised(got, want, case.unit)
    assert error.max() <= bound, report(error, f"{case.id} {more}")
    return error


@proves("P1")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_float32_over_300_steps(case):
    check(case, 300, 2e-6 * case.slack)


@proves("P2")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_float64_over_300_steps(case, x64):
    check(case, 300, 1e-12, np.float64)


@proves("P2")
@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c.smooth], ids=lambda c: c.id)
def test_float64_over_10_000_steps(case, x64):
    check(case, 10_000, 1e-12, np.float64)


# One float32 array per moment cannot do better than the random walk of its own rounding. A step
# rounds by a uniform half unit in the last place, 2.5e-8 of v in the mean square; over n steps that
# is 2.5e-8·√(n/3) of v and half of it of √v: σ = 1.0e-6 for n = 20,000. The largest of 1.3 million
# correlated normal deviates is near 5σ, and 99 % are within 2σ over all steps (σ grows to the end).
AVERAGES = [0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999]


def check_long(case, decay):
    error = check(case, 20_000, 5e-6 * case.slack, **{case.average: decay})
    tail = np.quantile(error, 0.99)
    assert tail <= 2e-6 * case.slack, f"{case.id} {decay}: 99 % are within {tail:.2e}"


@proves("P1", row="adam")
@pytest.mark.parametrize("decay", [0.999, 0.999999])
def test_adam_over_20_000_steps(decay):
    check_long(next(c for c in CASES if c.name == "adam"), decay)


@proves("P1")
@pytest.mark.slow
@pytest.mark.parametrize("decay", AVERAGES)
@pytest.mark.parametrize("case", [c for c in CASES if c.average and c.smooth], ids=lambda c: c.id)
def test_every_decay_over_20_000_steps(case, decay):
    check_long(case, decay)


@proves("P1")
@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c.smooth], ids=lambda c: c.id)
def test_float32_over_20_000_steps(case):
    check(case, 20_000, 5e-6 * case.slack)


def step_number(k):
    return 1.0 + (k if isinstance(k, int) else k.astype(np.float32))


SCHEDULES = {
    "b1": lambda k: 0.9 - 0.2 / step_number(k),
    "b2": lambda k: 0.99 - 0.3 / step_number(k),
    "decay": lambda k: 0.9 - 0.2 / step_number(k),
    "rho": lambda k: 0.9 - 0.2 / step_number(k),
    "momentum": lambda k: 0.9 - 0.4 / step_number(k),
    "eps": lambda k: 1e-3 / step_number(k),
    "eps_root": lambda k: 1e-3 / step_number(k),
    "weight_decay": lambda k: 0.1 / step_number(k),
    "learning_rate": lambda k: 1.0 / step_number(k),
}


def scheduled_arguments(case):
    """The numeric arguments of a case that can change from step to step."""
    names = inspect.signature(getattr(adaptax, case.name)).parameters
    for name in SCHEDULES:
        if name in names and (name, case.name) not in SKIPPED:
            off = name == "momentum" and "momentum" not in case.kwargs
            dozat = name == "b1" and case.kwargs.get("momentum_decay") is not None
            if not off and not dozat:
                yield name


# RAdam's ρₜ takes the decay of the moment as if it had always been so; the reference weighs the
# actual history.
SKIPPED = {("b2", "radam")}
PLAIN = {case.name: case for case in reversed(CASES)}
SCHEDULED = [(case, name) for case in PLAIN.values() for name in scheduled_arguments(case)]


@proves("P1", "P14")
@pytest.mark.parametrize(
    ("case", "name"), SCHEDULED, ids=[f"{c.id}-{name}" for c, name in SCHEDULED]
)
def test_every_number_may_be_a_schedule(case, name):
    grads, params = gradients(50, SIZE), weights(SIZE)
    schedule = SCHEDULES[name]
    settings = {"learning_rate": 1.0, name: schedule}
    want = run_reference(case.reference(**settings), grads, params)
    got = run(case.make(**settings), grads.astype(np.float32), params)
    error = normalised(got, want, unit=False)
    assert error.max() <= 2e-5, report(error, f"{case.id} {name}")
    constant = run(case.make(1.0), grads.astype(np.float32), params)
    assert np.abs(got - constant).max() > 1e-6, f"{name} is ignored"


@proves("P49", row="adamw")
def test_a_schedule_is_first_asked_for_step_zero():
    asked = []

    def spy(step):
        asked.append(step)
        return 0.5

    with jax.disable_jit():
        tx = adaptax.adamw(spy, b1=spy, b2=spy, eps=spy, weight_decay=spy)
        params = np.ones(3, np.float32)
        state = tx.init(params)
        asked.clear()
        for k in range(3):
            _, state = tx.update(params, state, params)
            compared(len(asked))
            assert {int(step) for step in asked} == {k}, asked
            asked.clear()
