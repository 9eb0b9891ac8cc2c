"""Bursts of NaN and infinity, of 1, of 3 and of all steps: in one entry, one leaf, one member, one
metric, one micro-batch. What is documented to pass passes there alone, what is guarded stays."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.conformance import proves

NAN, INF = float("nan"), float("inf")
STEPS = 8
BURSTS = {"one": [2], "three": [2, 3, 4], "endless": list(range(2, STEPS))}
OPTIMIZERS = {
    "sgd": adaptax.sgd(0.1),
    "momentum": adaptax.sgd(0.1, momentum=0.9),
    "adamw": adaptax.adamw(0.1),
    "adadelta": adaptax.adadelta(1.0),
    "clipped": adaptax.chain(adaptax.clip_by_global_norm(1.0), adaptax.adam(0.1)),
}
GUARDED = {
    "adamw": adaptax.guard(adaptax.adamw(0.1), max_consecutive=STEPS),
    "hypergradient": adaptax.guard(adaptax.sgd(adaptax.hypergradient(0.1, beta=0.01))),
    "clipped": adaptax.guard(OPTIMIZERS["clipped"]),
}


def params():
    return {"a": jnp.asarray([1.0, -2.0, 3.0]), "b": jnp.asarray([0.5, 0.25])}


def gradients():
    draw = np.random.default_rng(0)
    return [
        {"a": np.float32(draw.normal(size=3)), "b": np.float32(draw.normal(size=2))}
        for _ in range(STEPS)
    ]


def spoiled(steps, bad=NAN):
    """The gradients with one bad entry, the second of "a", in these steps."""
    found = gradients()
    for step in steps:
        found[step]["a"][1] = bad
    return found


@functools.cache
def compiled(tx):
    @jax.jit
    def step(params, state, gradients):
        updates, state = tx.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    return step


def trained(tx, gradients):
    state = (params(), tx.init(params()))
    for each in gradients:
        state = compiled(tx)(*state, each)
    return state


def assert_same(got, expected):
    pairs = list(zip(*map(jax.tree.leaves, (got, expected)), strict=True))
    assert pairs
    for one, other in pairs:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), strict=True)


@proves("P42", row="clipping")
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "clipped"])
def test_what_is_not_finite_stays_in_its_own_entry(name, burst, bad):
    tx = OPTIMIZERS[name]
    clean, _ = trained(tx, gradients())
    hit, _ = trained(tx, spoiled(BURSTS[burst], bad))
    assert not np.isfinite(hit["a"][1]), "a plain optimizer applies what it is given"
    rest = np.asarray([True, False, True])
    assert_same((hit["a"][rest], hit["b"]), (clean["a"][rest], clean["b"]))


@pytest.mark.parametrize("burst", BURSTS)
def test_a_norm_clip_spoils_no_other_entry(burst):
    hit, _ = trained(OPTIMIZERS["clipped"], spoiled(BURSTS[burst]))
    np.testing.assert_array_equal(np.isfinite(hit["a"]), [True, False, True])
    assert np.isfinite(hit["b"]).all()


def test_what_each_clip_makes_of_a_bad_entry():
    given = {"a": jnp.asarray([NAN, 5.0]), "b": jnp.asarray([INF, -INF])}
    like = {"a": jnp.asarray([3.0, 4.0]), "b": jnp.asarray([1.0, 1.0])}
    found = {
        tx.call.name: tx.update(given, tx.init(like), like)[0]
        for tx in (
            adaptax.clip(1.0), adaptax.clip_by_global_norm(1.0), adaptax.adaptive_grad_clip(0.1),
        )
    }  # fmt: skip
    assert_same(found["clip"], {"a": jnp.asarray([NAN, 1.0]), "b": jnp.asarray([1.0, -1.0])})
    assert_same(found["clip_by_global_norm"], given)
    assert_same(found["adaptive_grad_clip"], given)


@proves("P39", row="guard")
@pytest.mark.parametrize("bad", [NAN, INF])
@pytest.mark.parametrize("burst", BURSTS)
@pytest.mark.parametrize("name", GUARDED)
def test_under_a_guard_bad_steps_are_as_if_they_had_not_been(name, burst, bad):
    tx, steps = GUARDED[name], BURSTS[burst]
    hit, state = trained(tx, spoiled(steps, bad))
    kept = [each for step, each in enumerate(gradients()) if step not in steps]
    clean, without = trained(tx, kept)
    assert_same((hit, state.inner_state), (clean, without.inner_state))
    assert int(state.skipped) == len(steps) and int(state.last) == steps[-1]
    report = adaptax.guard_report(state, params())
    assert f"{len(steps)} of {STEPS} steps skipped" in report
    assert "the gradient of a is not finite" in report


@proves("P41", row="guard")
def test_an_endless_burst_halts_the_guard_and_never_gets_through():
    tx = adaptax.guard(adaptax.adam(0.1), max_consecutive=3)
    hit, state = trained(tx, spoiled(range(STEPS)))
    assert_same(hit, params())
    with pytest.raises(FloatingPointError, match=r"8 of 8 steps skipped.*the gradient of a"):
        adaptax.check_health(state, params())


@pytest.mark.parametrize("name", ["plain", "guarded"])
def test_a_bad_member_leaves_the_others_as_they_are(name):
    tx = OPTIMIZERS["adamw"] if name == "plain" else GUARDED["adamw"]

    @jax.jit
    @jax.vmap
    def step(params, state, gradients):
        updates, state = tx.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    def ensemble(steps):
        like = jax.tree.map(lambda x: jnp.stack([x, x + 1, x + 2]), params())
        state = like, jax.vmap(tx.init)(like)
        for number, each in enumerate(gradients()):
            stacked = jax.tree.map(lambda g: np.stack([g, 2 * g, 3 * g]), each)
            if number in steps:
                stacked["a"][1] = NAN
            state = step(*state, stacked)
        return state

    hit, clean = ensemble(BURSTS["three"]), ensemble([])
    others = np.asarray([0, 2])
    assert_same(*(jax.tree.map(lambda x: x[others], each) for each in (hit, clean)))
    assert np.isfinite(hit[0]["a"][1]).all() == (name == "guarded")


METRICS = {
    "plateau": adaptax.plateau(0.1, factor=0.5, patience=1),
    "best_or_back_off": adaptax.best_or_back_off(0.1),
    "bold_driver": adaptax.bold_driver(0.1),
    "polyak": adaptax.polyak(0.1),
}


@functools.cache
def measured(name):
    tx = adaptax.sgd(METRICS[name])
    return tx, jax.jit(lambda s, v: tx.update(params(), s, params(), value=v)[1])


def followed(name, metrics):
    tx, step = measured(name)
    state = tx.init(params())
    for value in metrics:
        state = step(state, np.float32(value))
    return state


@pytest.mark.parametrize("bad", [NAN, -INF])
@pytest.mark.parametrize("count", [1, 3, 50])
@pytest.mark.parametrize("name", METRICS)
def test_a_burst_of_metrics_that_mean_nothing_is_as_if_nothing_had_been_measured(name, count, bad):
    before, after = [3.0, 2.0, 2.5], [2.5, 2.5, 1.0]
    hit = followed(name, [*before, *[bad] * count, *after])
    clean = followed(name, [*before, *after])
    memory, kept = (
        [leaf for leaf in jax.tree.leaves(state) if leaf.dtype == jnp.float32]
        for state in (hit, clean)
    )
    assert_same(memory, kept)


@pytest.mark.parametrize("name", METRICS)
def test_endless_nan_metrics_leave_the_base(name):
    assert float(adaptax.learning_rate(followed(name, [NAN] * 20))) == np.float32(0.1)


@pytest.mark.parametrize(
    ("name", "factor"), [("plateau", 0.5), ("best_or_back_off", 0.125), ("bold_driver", 0.125)]
)
def test_an_infinitely_bad_metric_is_a_bad_one_and_is_left_behind(name, factor):
    hit = followed(name, [1.0, INF, INF, INF])
    assert float(adaptax.learning_rate(hit)) == pytest.approx(0.1 * factor)
    assert np.isfinite(float(adaptax.learning_rate(followed(name, [1.0, INF, 0.5]))))


@pytest.mark.parametrize(
    "controller",
    [
        adaptax.hypergradient(0.1, beta=0.01),
        adaptax.hypergradient(0.1, beta=0.01, rule="multiplicative"),
        adaptax.update_ratio(0.1),
        adaptax.polyak(0.1),
        adaptax.plateau(0.1),
    ],
    ids=lambda controller: f"{controller.call.name}-{len(controller.call.named)}",
)
@pytest.mark.parametrize("bad", [NAN, INF])
def test_bad_gradients_never_make_the_rate_bad(controller, bad):
    tx = adaptax.sgd(controller)
    step = jax.jit(lambda g, s: tx.update(g, s, params(), value=1.0)[1])
    state = tx.init(params())
    for given in spoiled([2, 3], bad):
        state = step(given, state)
        assert np.isfinite(float(adaptax.learning_rate(state)))
    assert float(adaptax.learning_rate(state)) > 0


@proves("P43", row="accumulate")
@pytest.mark.parametrize("skip", ["batch", "window"])
@pytest.mark.parametrize("lost", [[1], [3, 4, 5], list(range(6))], ids=["one", "window", "endless"])
def test_a_bad_micro_batch_never_enters_the_mean(skip, lost):
    tx = adaptax.accumulate(adaptax.sgd(1.0), every=3, skip=skip)
    given = gradients()[:6]
    hit = [dict(each) for each in given]
    for number in lost:
        hit[number]["b"] = np.full(2, NAN, np.float32)
    found, state = trained(tx, hit)
    expected = np.asarray(params()["a"], np.float64)
    for window in (range(3), range(3, 6)):
        good = [n for n in window if n not in lost]
        if good and (skip == "batch" or len(good) == 3):
            expected = expected - np.mean([given[n]["a"] for n in good], axis=0, dtype=np.float64)
    np.testing.assert_allclose(found["a"], expected, rtol=1e-6)
    windows = {number // 3 for number in lost}
    assert int(state.skipped) == (len(lost) if skip == "batch" else len(windows))
    if len(lost) == 6:
        assert_same(found, params())


def test_a_loss_scale_backs_off_under_a_burst_and_halts_under_an_endless_one():
    tx = adaptax.loss_scale(adaptax.sgd(0.1), initial=4.0, hysteresis=1)
    hit, state = trained(tx, spoiled([2], INF))
    assert float(adaptax.loss_scale_of(state)) == 2.0 and not state.halted
    assert np.isfinite(hit["a"]).all()
    still, state = trained(tx, spoiled(range(STEPS), INF))
    assert float(adaptax.loss_scale_of(state)) == 1.0
    assert_same(still, params())
    with pytest.raises(FloatingPointError, match="loss scale"):
        adaptax.check_health(state, params())
