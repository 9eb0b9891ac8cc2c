"""The finder: what it computes, that it changes nothing, and what it refuses."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax.tuning import engine, meter
from tests import reference_finder as reference
from tests.conformance import proves

find = functools.partial(adaptax.find_learning_rate, progress=False)
LOW, HIGH, STEPS = 1e-4, 10.0, 60


def quadratic(curvature):
    """mean(curvature · p²) / 2; every batch is the same, so the order of batches is nothing."""
    curvature = np.float32(curvature)

    def loss(params, batch):
        return jnp.mean(curvature * params**2 * batch) / 2

    return loss


ONES = [np.ones(2, np.float32)] * 5
START = np.array([1.0, -2.0], np.float32)
draw = np.random.default_rng(0)
X = draw.normal(size=(30, 16, 3)).astype(np.float32)
REGRESSION = [(x, x @ np.float32([1, -2, 3]) + draw.normal(size=16).astype(np.float32)) for x in X]


def squares(params, batch):
    x, y = batch
    return jnp.mean((x @ params["w"] + params["b"] - y) ** 2)


def zeros():
    return {"w": jnp.zeros(3), "b": jnp.zeros(())}


@pytest.mark.parametrize("curvature", [[4.0, 4.0], [40.0, 10.0], [1000.0, 1.0]])
def test_a_quadratic_against_numpy_and_its_stability_limit(curvature):
    """Descent on λp²/2 is stable up to the rate 2/λ; of a mean over two, 2 · 2/λ."""
    found = find(
        quadratic(curvature), jnp.asarray(START), ONES, adaptax.sgd, low=1e-5, high=HIGH, steps=100
    )
    rates, losses = reference.range_test(np.array(curvature), START, 1e-5, HIGH, 100)
    np.testing.assert_allclose(found.rates, rates, rtol=1e-12)
    end = reference.diverged_at(losses) or len(losses)
    for made in found.losses:
        np.testing.assert_allclose(made[:end], losses[:end], rtol=1e-3, atol=1e-9)
    assert found.diverged_at == pytest.approx(rates[end])
    limit = 2 * 2 / max(curvature)
    assert limit < found.diverged_at < 10 * limit
    smoothed = reference.smooth(losses[:end], end // 25)
    np.testing.assert_allclose(found.smoothed, smoothed, rtol=1e-3, atol=1e-9)
    assert found.recommended == pytest.approx(rates[smoothed.argmin()] / 10)
    assert limit / 40 < found.recommended < limit / 2
    assert found.suggestions["steepest"] < limit
    assert found.interval == pytest.approx((found.recommended,) * 2)


def test_trainings_against_numpy():
    curvature = [30.0, 1.0]
    found = find(quadratic(curvature), jnp.asarray(START), ONES, adaptax.sgd, horizon=40)
    assert found.verdict == "found" and found.horizon == 40 and len(found.trials) >= 3
    for trial in found.trials:
        expected = reference.training(np.array(curvature), START, trial.rate, 40)
        if expected < 1e6:
            np.testing.assert_allclose(trial.losses, expected, rtol=1e-3, atol=1e-9)
        else:
            assert min(trial.losses) > 1e4
    whole = {t.rate: np.mean(t.losses) for t in found.trials if len(t.losses) == 5}
    assert whole[found.recommended] <= 1.02 * min(whole.values())
    assert found.steps >= 40 * sum(len(trial.losses) for trial in found.trials)


def test_held_out_batches_are_not_trained_on():
    """Batches 0, 5, 10 … hold another target: share 0 is trained without them."""
    batches = [np.float32([1.0 if k % 5 else -1.0]) for k in range(20)]
    found = find(
        lambda p, batch: jnp.sum((p - batch) ** 2), jnp.full(1, 5.0), batches, adaptax.sgd,
        horizon=60, repeats=2, low=1e-3, high=1.0,
    )  # fmt: skip
    trained = [trial for trial in found.trials if len(trial.losses) == 2]
    for trial in trained:
        if 0.02 < trial.rate < 0.3:
            assert trial.losses[0] == pytest.approx(4.0, rel=0.05)  # from 1 to -1
            assert trial.losses[1] < 1.0
    assert trained


def test_eval_fn_judges_the_trainings():
    seen = find(squares, zeros(), REGRESSION, adaptax.sgd, horizon=20, eval_fn=lambda p, b: 7.0)
    assert {loss for trial in seen.trials for loss in trial.losses if loss < math.inf} == {7.0}


@proves("P48", row="finder")
def test_the_same_call_gives_the_same_curves_and_another_seed_others():
    first, second = (find(squares, zeros(), REGRESSION, steps=STEPS) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)
    assert first.to_dict() == second.to_dict()
    other = find(squares, zeros(), REGRESSION, steps=STEPS, seed=9)
    assert other.losses != first.losses
    assert len(set(first.losses)) == 5  # the repeats differ in order


def test_every_repeat_draws_from_a_key_of_its_own():
    def loss(params, batch, key):
        return jnp.sum((params - batch) ** 2) + jax.random.uniform(key)

    found = find(loss, jnp.zeros(2), ONES, adaptax.sgd, key=jax.random.key(0), steps=20)
    first = [each[0] for each in found.losses]
    assert len(set(first)) == 5 and max(first) - min(first) < 1.0


class Inputs:
    """Everything a search may be given, with copies to compare with afterwards."""

    def __init__(self):
        self.params, self.key = zeros(), jax.random.key(3)
        self.model_state = {"seen": jnp.zeros((), jnp.int32), "kept": jax.random.key(1)}
        self.batches = [(x.copy(), y.copy()) for x, y in REGRESSION]
        self.before = self.bits()

    def bits(self):
        leaves = jax.tree.leaves((self.params, self.model_state, self.key, self.batches))
        keys = [jax.random.key_data(x) if "key" in str(x.dtype) else x for x in leaves]
        return [(np.asarray(x).tobytes(), x.dtype, x.shape) for x in keys]

    @staticmethod
    def loss(params, state, batch, key):
        noise = 0.1 * jax.random.normal(key, batch[1].shape)
        x, y = batch
        value = jnp.mean((x @ params["w"] + params["b"] - y - noise) ** 2)
        return value, {"seen": state["seen"] + 1, "kept": state["kept"]}

    def find(self, **given):
        given = {"steps": 30, "horizon": 10, "repeats": 2, **given}
        return find(
            self.loss, self.params, given.pop("batches", self.batches), adaptax.adamw,
            model_state=self.model_state, key=self.key, **given,
        )  # fmt: skip


@proves("P48", row="finder")
def test_nothing_of_the_callers_changes():
    inputs = Inputs()
    first = inputs.find()
    assert inputs.bits() == inputs.before
    again = inputs.find()
    np.testing.assert_array_equal(again.losses, first.losses)
    assert again.to_dict() == first.to_dict()


@proves("P48", row="finder")
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["batches", "steps"])
def test_nothing_changes_when_it_is_stopped(error, place, monkeypatch):
    inputs = Inputs()
    expected = inputs.find()
    given = {}
    with monkeypatch.context() as patch:
        if place == "batches":

            def some():
                yield inputs.batches[0]
                raise error("stop")

            given["batches"] = some()
        else:
            calls = iter(range(100))

            def stop(self, steps):
                if next(calls) == 3:
                    raise error("stop")

            patch.setattr(meter.Meter, "add", stop)
        with pytest.raises(error):
            inputs.find(**given)
    assert inputs.bits() == inputs.before
    assert inputs.find().to_dict() == expected.to_dict()


def test_it_is_compiled_once():
    traces = []

    def loss(params, batch):
        traces.append(1)
        return squares(params, batch)

    def make():
        return functools.partial(adaptax.sgd, momentum=0.9)

    find(loss, zeros(), REGRESSION, make(), steps=40)
    once = len(traces)
    assert once <= 2
    find(loss, zeros(), REGRESSION, make(), steps=30, low=1e-6, high=2.0, repeats=2, seed=4)
    assert len(traces) == once
    found = find(loss, zeros(), REGRESSION, make(), steps=40, horizon=15)
    assert len(traces) == once + 1 and found.trials  # judging is one more
    find(loss, zeros(), REGRESSION, make(), steps=40, horizon=30)
    assert len(traces) == once + 1
    find(loss, zeros(), REGRESSION, functools.partial(adaptax.sgd, momentum=0.5), steps=40)
    assert len(traces) > once + 1


FACTORIES = {
    "adaptax": adaptax.sgd,
    "optax": optax.sgd,
    "injected": optax.inject_hyperparams(optax.sgd),
    "lambda": lambda rate: optax.chain(optax.clip(1e9), optax.sgd(rate)),
    "arithmetic": lambda rate: adaptax.sgd(2 * (rate / 2)),
    "partial": functools.partial(adaptax.sgd, momentum=0.0),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_any_function_of_the_rate_is_an_optimizer(name):
    found = find(squares, zeros(), REGRESSION, FACTORIES[name], steps=STEPS)
    expected = find(squares, zeros(), REGRESSION, adaptax.sgd, steps=STEPS)
    finite = np.isfinite(expected.losses) & (np.array(expected.losses) < 1e3)
    np.testing.assert_allclose(
        np.array(found.losses)[finite], np.array(expected.losses)[finite], rtol=1e-4
    )
    assert found.recommended == pytest.approx(expected.recommended, rel=1e-6)


def test_side_by_side_as_on_an_accelerator_gives_the_same(monkeypatch):
    inputs = Inputs()
    expected = inputs.find(repeats=3)
    monkeypatch.setattr(engine, "looped", lambda: False)
    found = inputs.find(repeats=3)
    a, b = np.array(found.losses), np.array(expected.losses)
    both = np.isfinite(a) & np.isfinite(b) & (b < 1e3)
    assert both.sum() > 60
    np.testing.assert_allclose(a[both], b[both], rtol=1e-3)
    assert found.recommended == pytest.approx(expected.recommended, rel=0.01)
    assert inputs.bits() == inputs.before


def test_in_float16_and_with_numbers_as_parameters():
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), zeros())
    batches = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), REGRESSION)
    found = find(
        lambda p, b: squares(p, b).astype(jnp.float32), half, batches, adaptax.adamw, steps=STEPS
    )
    assert found.verdict == "found"
    single = find(lambda p, b: jnp.mean((p * b - 1) ** 2), 0.5, ONES, adaptax.sgd, steps=STEPS)
    assert single.verdict == "found"
