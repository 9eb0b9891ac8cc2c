"""Every controller in every loop: one trace, one structure, float32 scalars, values."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import adaptax
from adaptax.core import registry
from tests.conformance import compared, proves
from tests.interop.table import assert_close, assert_same, grads, kinds, params

CONTROLLERS = registry.names("controller")
BASE = adaptax.warmup_cosine(0.1, 2, 20, start=0.01)
LOSSES = [3.0, 2.0, float("nan"), 4.0, 5.0, 6.0]
# settings under which a few steps change something
QUICK = {
    "plateau": {"patience": 0, "factor": 0.5},
    "bold_driver": {"up": 1.5},
    "hypergradient": {"beta": 0.01},
    "polyak": {"c": 20.0},
}
every_controller = pytest.mark.parametrize("name", CONTROLLERS)


def control(name, base=BASE):
    return getattr(adaptax, name)(base, **QUICK.get(name, {}))


def optimizer(name, base=BASE):
    return adaptax.chain(adaptax.clip_by_global_norm(1.0), adaptax.adamw(control(name, base)))


def run(tx, theta, state=None, losses=LOSSES, first=0):
    """Parameters, state and rates after a step for each loss."""
    state = tx.init(theta) if state is None else state
    rates = []
    for k, value in enumerate(losses, first):
        updates, state = tx.update(grads(theta, k), state, theta, value=jnp.float32(value))
        theta = optax.apply_updates(theta, updates)
        rates.append(float(adaptax.learning_rate(state)))
    return theta, state, rates


@functools.cache
def finished(name):
    return run(optimizer(name), params())


@every_controller
def test_it_steers(name):
    _, _, rates = finished(name)
    plain = [float(BASE(k)) for k in range(len(LOSSES))]
    assert np.isfinite(rates).all() and not np.allclose(rates, plain, rtol=1e-3)


@proves("P16", "P33")
@every_controller
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_its_scalars_are_float32_and_its_structure_stays(name, dtype):
    theta = jax.tree.map(lambda p: p.astype(dtype), params())
    tx = optimizer(name)
    state = tx.init(theta)
    scalars = [x for x in jax.tree.leaves(state[1].rate.controller) if not x.shape]
    compared(len(scalars) + 2 * len(jax.tree.leaves(state)))
    assert scalars and all(x.dtype == jnp.float32 and not x.weak_type for x in scalars)
    _, after, _ = run(tx, theta, losses=LOSSES[:2])
    assert kinds(after) == kinds(state) == kinds(adaptax.scale_learning_rate(after, 0.5))
    assert kinds(jax.eval_shape(tx.init, theta)) == kinds(tx.init(jax.eval_shape(lambda: theta)))


@proves("P15")
@every_controller
def test_metrics_settings_and_restored_states_are_one_trace(name):
    tx, traces = optimizer(name), []

    @jax.jit
    def step(theta, state, value):
        traces.append(1)
        updates, state = tx.update(grads(theta), state, theta, value=value)
        return optax.apply_updates(theta, updates), state

    theta, state = params(), tx.init(params())
    for value in LOSSES:
        theta, state = step(theta, state, jnp.float32(value))
        compared(1)
    before = float(adaptax.learning_rate(state))
    state = adaptax.set_learning_rate(state, 0.25)
    assert float(adaptax.learning_rate(state)) == 0.25
    theta, state = step(theta, state, jnp.float32(1.0))
    restored = jax.tree.map(jnp.asarray, pickle.loads(pickle.dumps(jax.device_get(state))))
    step(theta, adaptax.scale_learning_rate(restored, 2.0), jnp.float32(np.nan))
    assert len(traces) == 1 and before > 0


@every_controller
def test_a_set_rate_is_kept_until_the_controller_moves(name):
    tx = adaptax.sgd(control(name, 0.5))
    _, state, _ = run(tx, params(), losses=[1.0, 1.0])
    base, now = float(state.rate.base), float(adaptax.learning_rate(state))
    assert base == now > 0
    state = adaptax.set_learning_rate(state, 4 * now)
    _, after, rates = run(tx, params(), state, losses=[2.0], first=2)
    assert rates[0] == pytest.approx(4 * float(after.rate.base), rel=1e-6)


@proves("P18")
@every_controller
def test_inside_scan_and_cond_it_does_the_same(name):
    tx = optimizer(name)

    def step(carry, given):
        theta, state = carry
        g, value = given

        def move(theta, state):
            updates, state = tx.update(g, state, theta, value=value)
            return optax.apply_updates(theta, updates), state

        theta, state = lax.cond(g["a"][0] < 1e6, move, lambda *same: same, theta, state)
        return (theta, state), adaptax.learning_rate(state)

    stacked = jax.tree.map(lambda *g: jnp.stack(g), *[grads(params(), k) for k in range(6)])
    start = (params(), tx.init(params()))
    given = (stacked, jnp.asarray(LOSSES, jnp.float32))
    (theta, state), rates = jax.jit(lambda: lax.scan(step, start, given))()
    want_theta, want_state, want_rates = finished(name)
    assert_close((theta, state), (want_theta, want_state), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rates, want_rates, rtol=1e-5)


@proves("P19")
@every_controller
def test_members_of_a_vmap_are_steered_apart(name):
    tx = optimizer(name)

    def one(theta, losses):
        def step(carry, given):
            theta, state = carry
            g, value = given
            updates, state = tx.update(g, state, theta, value=value)
            return (optax.apply_updates(theta, updates), state), adaptax.learning_rate(state)

        stacked = jax.tree.map(lambda *g: jnp.stack(g), *[grads(params(), k) for k in range(6)])
        return lax.scan(step, (theta, tx.init(theta)), (stacked, losses))[1]

    members = jax.tree.map(lambda p: jnp.stack([p, -2 * p, p]), params())
    losses = jnp.asarray([LOSSES, LOSSES[::-1], [np.nan] * 6], jnp.float32)
    together = jax.jit(jax.vmap(one))(members, losses)
    for i in range(3):
        alone = one(jax.tree.map(lambda p, i=i: p[i], members), losses[i])
        np.testing.assert_allclose(together[i], alone, rtol=1e-5)


@proves("P23")
@every_controller
def test_it_is_donated_from_the_first_step(name):
    tx = optimizer(name)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(theta, state, g, value):
        updates, state = tx.update(g, state, theta, value=value)
        return optax.apply_updates(theta, updates), state

    theta, state = params(), tx.init(params())
    for k, value in enumerate(LOSSES):
        theta, state = step(theta, state, grads(theta, k), jnp.float32(value))
    assert_close(theta, finished(name)[0], rtol=1e-5, atol=1e-6)


@every_controller
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: optax.masked(tx, {"a": True, "b": False}),
        lambda tx: optax.partition({"x": tx}, {"a": "x", "b": "x"}),
        lambda tx: optax.named_chain(("step", tx)),
        lambda tx: optax.apply_if_finite(tx, 3),
        lambda tx: adaptax.by_path({"**": tx}),
    ],
    ids=["masked", "partition", "named_chain", "apply_if_finite", "by_path"],
)
def test_the_metric_reaches_it_through_a_wrapper(name, wrap):
    tx = wrap(adaptax.sgd(control(name, 0.5)))
    _, state, rates = run(tx, params(), losses=[1.0, 2.0])
    assert np.isfinite(rates).all()
    after = adaptax.scale_learning_rate(state, 0.5)
    assert float(adaptax.learning_rate(after)) == pytest.approx(rates[-1] / 2)


@every_controller
def test_it_is_a_value(name):
    made = optimizer(name)
    assert made == optimizer(name) and hash(made) == hash(optimizer(name))
    assert adaptax.parse(repr(control(name))) == control(name) != control(name, 0.3)
    assert adaptax.from_config(adaptax.to_config(made)) == made
    assert pickle.loads(pickle.dumps(made)) == made


@every_controller
def test_flax_nnx(name):
    nnx = pytest.importorskip("flax.nnx")
    from tests.interop.test_nnx import Training

    training = Training(adaptax.sgd(control(name, 0.1)), value=jnp.float32(2.0))
    training.run(3)
    assert training.traced == 1 and np.isfinite(training.rate)
    kept = nnx.to_pure_dict(nnx.state(training.optimizer))
    assert adaptax.learning_rate(kept["opt_state"]) == np.float32(training.rate)


@every_controller
def test_flax_linen_and_its_serialization(name):
    pytest.importorskip("flax")
    from flax import serialization

    from adaptax.flax import TrainState

    tx = adaptax.sgd(control(name, 0.1))
    state = TrainState.create(apply_fn=None, params=params(), tx=tx)
    for k, value in enumerate(LOSSES):
        state = state.apply_gradients(grads=grads(params(), k), value=jnp.float32(value))
    raw = serialization.to_bytes(state)
    fresh = TrainState.create(apply_fn=None, params=params(), tx=tx)
    restored = serialization.from_bytes(fresh, raw)
    assert_same((restored.params, restored.opt_state), (state.params, state.opt_state))
    plain = serialization.msgpack_restore(raw)["opt_state"]
    assert adaptax.learning_rate(plain) == adaptax.learning_rate(state.opt_state)


@every_controller
def test_equinox(name):
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
    theta = eqx.filter(model, eqx.is_inexact_array)
    tx = adaptax.sgd(control(name, 0.1))
    state = tx.init(theta)
    g = jax.tree.map(jnp.ones_like, theta)
    for value in LOSSES[:3]:
        updates, state = tx.update(g, state, theta, value=jnp.float32(value))
        model = eqx.apply_updates(model, updates)
    assert np.isfinite(float(adaptax.learning_rate(state)))


@proves("P51")
@every_controller
def test_orbax_continues_bitwise(name, tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    tx = optimizer(name)
    theta, state, _ = run(tx, params(), losses=LOSSES[:3])
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", {"params": theta, "opt_state": state})
        checkpointer.wait_until_finished()
        template = jax.eval_shape(lambda: {"params": params(), "opt_state": tx.init(params())})
        restored = checkpointer.restore(tmp_path / "state", template)
        plain = checkpointer.restore(tmp_path / "state")
    after = run(tx, restored["params"], restored["opt_state"], LOSSES[3:], first=3)
    assert_same(after[:2], run(tx, theta, state, LOSSES[3:], first=3)[:2])
    assert float(adaptax.learning_rate(plain)) == float(adaptax.learning_rate(state))


def test_map_params_sees_the_direction_and_no_scalar():
    tx = adaptax.sgd(adaptax.hypergradient(0.1))
    state = tx.init(params())
    marked = optax.tree.map_params(tx, lambda _: "array", state, transform_non_params=lambda _: "-")
    assert jax.tree.leaves(marked.rate.controller.direction) == ["array"] * 2
    assert marked.rate.controller.change == "-" and marked.rate.learning_rate == "-"


def test_it_runs_in_double_precision(x64):
    for name in CONTROLLERS:
        theta = jax.tree.map(lambda p: p.astype(jnp.float64), params())
        _, state, rates = run(optimizer(name), theta)
        assert {x.dtype for x in jax.tree.leaves(state[1].rate.controller)} == {np.dtype("f8")}
        assert np.isfinite(rates).all()


def test_optax_s_injection_passes_a_controller_on():
    tx = optax.inject_hyperparams(adaptax.adamw)(learning_rate=control("plateau", 0.1), b1=0.8)
    state = tx.init(params())
    with jax.numpy_dtype_promotion("standard"):
        for value in (1.0, 2.0):
            _, state = tx.update(params(), state, params(), value=jnp.float32(value))
    assert float(adaptax.learning_rate(state)) == pytest.approx(0.05)
