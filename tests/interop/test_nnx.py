"""Flax nnx: any optimizer goes unchanged into `nnx.Optimizer`; the rate is read and set in it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.interop.table import OPTIMIZERS, assert_close, assert_same, kinds, make, spy, strictly

nnx = pytest.importorskip("flax.nnx")

X, Y = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 3)), jnp.float32)


class Model(nnx.Module):
    def __init__(self, seed=0):
        self.a = nnx.Linear(3, 4, rngs=nnx.Rngs(seed))
        self.b = nnx.Linear(4, 3, rngs=nnx.Rngs(seed + 1))

    def __call__(self, x):
        return self.b(jnp.tanh(self.a(x)))


def loss(model):
    return jnp.mean((model(X) - Y) ** 2)


class Training:
    """A model, its optimizer and a jitted step that counts how often it is traced."""

    def __init__(self, tx, **extra):
        self.model, self.traced = Model(), 0
        self.optimizer = nnx.Optimizer(self.model, tx, wrt=nnx.Param)

        @nnx.jit
        def step(model, optimizer):
            self.traced += 1
            value, grads = nnx.value_and_grad(loss)(model)
            optimizer.update(model, grads, **extra)
            return value

        self._step = step

    def run(self, n=1):
        return [float(self._step(self.model, self.optimizer)) for _ in range(n)]

    @property
    def rate(self):
        return float(adaptax.learning_rate(self.optimizer.opt_state))

    def set_rate(self, value, label=None):
        state = self.optimizer.opt_state
        self.optimizer.opt_state = adaptax.set_learning_rate(state, value, label)


def pure(model):
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_works_unchanged(name):
    training = Training(make(name, 0.01))
    training.run(3)

    graph, params = nnx.split(Model(), nnx.Param)
    params = nnx.to_pure_dict(params)

    def pure_loss(params):
        state = nnx.state(Model(), nnx.Param)
        nnx.replace_by_pure_dict(state, params)
        return loss(nnx.merge(graph, state))

    tx = make(name, 0.01)
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(jax.grad(pure_loss)(params), state, params)
        params = optax.apply_updates(params, updates)
    assert_close(pure(training.model), params, rtol=1e-4, atol=1e-6)
    assert training.traced == 1
    assert training.rate == pytest.approx(0.01)


def test_extra_arguments_reach_the_optimizer():
    seen = []
    tx = adaptax.chain(spy(seen), adaptax.adam(0.1))
    Training(tx, value=jnp.asarray(2.0), name="x", value_fn=loss).run()
    assert [sorted(extra) for extra in seen] == [["grad", "name", "value", "value_fn"]]
    assert seen[0]["name"] == "x" and seen[0]["value"].shape == ()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: tx,
        lambda tx: optax.chain(optax.clip(1.0), tx),
        lambda tx: optax.named_chain(("clip", adaptax.clip(1.0)), ("descent", tx)),
        lambda tx: optax.masked(tx, lambda params: jax.tree.map(lambda _: True, params)),
        lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
        lambda tx: optax.apply_if_finite(tx, 3),
    ],
    ids=["bare", "chain", "named_chain", "masked", "MultiSteps", "apply_if_finite"],
)
def test_the_rate_is_read_and_set_without_compiling_again(wrap):
    with jax.numpy_dtype_promotion("standard"):  # MultiSteps divides by its counter
        _read_and_set(Training(wrap(strictly(adaptax.sgd(0.5)))))


def _read_and_set(training):
    training.run(2)
    assert training.rate == 0.5
    before, structure = pure(training.model), jax.tree.structure(training.optimizer.opt_state)
    training.set_rate(0.125)
    assert jax.tree.structure(training.optimizer.opt_state) == structure
    assert training.rate == 0.125
    expected = jax.tree.map(lambda p, g: p - 0.125 * g, before, _gradients(training.model))
    training.run(1)
    assert_close(pure(training.model), expected, rtol=1e-5, atol=1e-6)
    training.run(2)
    assert training.traced == 1 and training.rate == 0.125


def _gradients(model):
    return nnx.to_pure_dict(nnx.state(nnx.grad(loss)(model), nnx.Param))


def test_setting_leaves_the_old_state_as_it_was():
    training = Training(adaptax.adam(0.5))
    old = training.optimizer.opt_state
    new = adaptax.set_learning_rate(old, 0.25)
    assert float(adaptax.learning_rate(old)) == 0.5 and float(adaptax.learning_rate(new)) == 0.25


def test_setting_rescales_a_schedule():
    training = Training(adaptax.sgd(optax.linear_schedule(1.0, 0.0, 8)))
    training.run(5)  # the latest step used the rate of step 4
    assert training.rate == 0.5
    training.set_rate(0.25)
    training.run(1)
    assert training.rate == pytest.approx(0.375 / 2) and training.traced == 1


def test_the_rate_is_set_inside_jitted_code():
    training = Training(adaptax.sgd(0.5))

    @nnx.jit
    def halve(optimizer):
        optimizer.opt_state = adaptax.scale_learning_rate(optimizer.opt_state, 0.5)

    training.run(1)
    halve(training.optimizer)
    assert training.rate == 0.25
    training.run(2)
    assert training.rate == 0.25 and training.traced == 1


def test_groups_have_labels():
    def labels(params):
        def label(path, _):
            return "slow" if "'a'" in jax.tree_util.keystr(path) else "fast"

        return jax.tree_util.tree_map_with_path(label, params)

    groups = {"slow": adaptax.adam(0.125), "fast": adaptax.sgd(0.5)}
    training = Training(optax.partition(groups, labels))
    training.run(1)
    training.set_rate(0.25, "slow")
    training.run(1)
    for state in (training.optimizer.opt_state, nnx.state(training.optimizer)):
        rates = adaptax.learning_rates(state)
        assert {k: float(v) for k, v in rates.items()} == {"slow": 0.25, "fast": 0.5}
    assert training.traced == 1


def test_weight_decay_masks_by_path():
    def kernels(params):
        def chosen(path, _):
            return "kernel" in jax.tree_util.keystr(path)

        return jax.tree_util.tree_map_with_path(chosen, params)

    frozen, decayed = Training(adaptax.sgd(0.0)), Training(adaptax.adamw(0.5, mask=kernels))
    decayed.run(1), frozen.run(1)
    plain = Training(adaptax.adam(0.5))
    plain.run(1)
    shrunk = jax.tree.map(lambda w, p: w - p, pure(decayed.model), pure(plain.model))
    start = pure(frozen.model)
    assert_close(shrunk["a"]["kernel"], -0.5 * 1e-4 * start["a"]["kernel"], rtol=1e-2, atol=1e-7)
    assert_same(shrunk["a"]["bias"], jnp.zeros(4))


def test_split_and_merge():
    training, whole = Training(adaptax.nadamw(0.1)), Training(adaptax.nadamw(0.1))
    training.run(2), whole.run(4)
    graph, state = nnx.split((training.model, training.optimizer))
    training.model, training.optimizer = nnx.merge(graph, state)
    training.run(2)
    assert_same(pure(training.model), pure(whole.model))


def test_a_pure_dict_round_trip_continues_bitwise():
    training, whole = Training(adaptax.amsgrad(0.1)), Training(adaptax.amsgrad(0.1))
    training.run(2), whole.run(4)
    saved = nnx.to_pure_dict(nnx.state((training.model, training.optimizer)))
    saved = jax.tree.map(np.asarray, saved)
    assert float(adaptax.learning_rate(saved)) == np.float32(0.1)

    fresh = Training(adaptax.amsgrad(0.1))
    state = nnx.state((fresh.model, fresh.optimizer))
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, saved))
    nnx.update((fresh.model, fresh.optimizer), state)
    fresh.run(2)
    assert_same(pure(fresh.model), pure(whole.model))


def test_the_state_keeps_its_kinds():
    training = Training(adaptax.rmsprop(0.1, momentum=0.9))
    before = kinds(nnx.to_pure_dict(nnx.state(training.optimizer)))
    training.run(2)
    assert kinds(nnx.to_pure_dict(nnx.state(training.optimizer))) == before


def test_a_gradient_of_another_shape_is_named_by_its_path():
    training = Training(adaptax.adam(0.1))
    grads = nnx.grad(loss)(training.model)
    grads["a"]["kernel"] = nnx.Param(jnp.ones((4,)))
    with pytest.raises(ValueError, match=r"\['a'\]\['kernel'\]: got float32\[4\], expected"):
        training.optimizer.update(training.model, grads)
