"""Groups by path: each is the plain transformation on its own parameters, and has its own rate."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.conformance import proves
from tests.interop.table import FEW, assert_same, kinds, make, spy, steps


def tree():
    return {
        "embed": {"table": jnp.arange(1.0, 5.0)},
        "body": [{"kernel": jnp.full((2, 3), -0.5), "bias": jnp.zeros(3)} for _ in range(2)],
        "head": {"kernel": jnp.ones((3, 2)), "bias": jnp.full(2, 0.25)},
    }


def floats(rates):
    return {label: float(rate) for label, rate in rates.items()}


@proves("P50")
@pytest.mark.parametrize("name", FEW)
def test_one_group_is_the_plain_transformation(name):
    grouped, state = steps(adaptax.by_path({"**": make(name)}), tree())
    plain, expected = steps(make(name), tree())
    assert_same(grouped, plain)
    assert_same(state.inner_states["**"].inner_state, expected)


@proves("P50")
@pytest.mark.parametrize("name", FEW)
def test_each_group_is_the_plain_transformation_on_its_parameters(name):
    """In whatever order the patterns are written."""
    groups = {"embed/**": make(name, 0.5), "**": make(name, 0.1), "**/bias": adaptax.sgd(0.25)}
    theta, _ = steps(adaptax.by_path(groups), tree())
    other, _ = steps(adaptax.by_path(dict(reversed(groups.items()))), tree())
    assert_same(theta, other)
    for pattern, keep in {
        "embed/**": lambda path: "embed" in path,
        "**": lambda path: "embed" not in path and "bias" not in path,
        "**/bias": lambda path: "bias" in path,
    }.items():
        mask = jax.tree_util.tree_map_with_path(
            lambda path, _, keep=keep: keep(jax.tree_util.keystr(path)), tree()
        )
        alone, _ = steps(optax.masked(groups[pattern], mask), tree())
        pairs = zip(*map(jax.tree.leaves, (theta, alone, mask)), strict=True)
        compared = [np.testing.assert_array_equal(x, y) for x, y, chosen in pairs if chosen]
        assert len(compared) == {"embed/**": 1, "**": 3, "**/bias": 3}[pattern]


def test_a_clip_in_a_group_clips_by_the_norm_of_the_group():
    """Two groups of norm 2 clipped to 1 each have the norm √2 together."""
    g = {"a": jnp.asarray([2.0, 0.0]), "b": jnp.asarray([0.0, 2.0])}
    clipped = adaptax.chain(adaptax.clip_by_global_norm(1.0), adaptax.sgd(1.0))
    inside = adaptax.by_path({"a": clipped, "b": clipped})
    before = adaptax.chain(
        adaptax.clip_by_global_norm(1.0), adaptax.by_path({"*": adaptax.sgd(1.0)})
    )
    for tx, norm in ((inside, 2.0**0.5), (before, 1.0)):
        updates, _ = tx.update(g, tx.init(g), g)
        np.testing.assert_allclose(optax.tree.norm(updates), norm, rtol=1e-6)


def test_rates_are_labelled_by_patterns_and_set_without_a_new_trace():
    tx = adaptax.chain(
        adaptax.clip(1.0),
        adaptax.by_path(
            {"head/**": adaptax.sgd(0.5), "**": adaptax.adamw(adaptax.constant(0.125))}
        ),
    )
    traces = []

    @jax.jit
    def step(state, theta):
        traces.append(1)
        return tx.update(jax.tree.map(jnp.ones_like, theta), state, theta)

    state = tx.init(tree())
    assert floats(adaptax.learning_rates(state)) == {"head/**": 0.5, "**": 0.125}
    _, state = step(state, tree())
    state = adaptax.set_learning_rate(state, 0.25, label="head/**")
    updates, state = step(adaptax.scale_learning_rate(state, 0.5, label="**"), tree())
    assert floats(adaptax.learning_rates(state)) == {"head/**": 0.25, "**": 0.0625}
    np.testing.assert_array_equal(updates["head"]["kernel"], -0.25)
    assert len(traces) == 1
    with pytest.raises(ValueError, match=r"did you mean 'head/\*\*'"):
        adaptax.set_learning_rate(state, 0.1, label="head/*")


def test_groups_within_groups():
    inner = adaptax.by_path({"body/0/*": adaptax.sgd(0.5), "**": adaptax.sgd(0.25)})
    tx = adaptax.by_path({"body/**": inner, "**": adaptax.sgd(0.125)})
    state = tx.init(tree())
    labels = {"**": 0.125, "body/**/**": 0.25, "body/**/body/0/*": 0.5}
    assert floats(adaptax.learning_rates(state)) == labels
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, tree()), state, tree())
    found = [float(updates[k][i]["bias"][0]) for k, i in (("body", 0), ("body", 1))]
    assert found == [-0.5, -0.25]


def test_extra_arguments_reach_every_group():
    seen = []
    tx = adaptax.by_path({"**": adaptax.chain(spy(seen), adaptax.sgd(0.1)), "**/bias": spy(seen)})
    tx.update(tree(), tx.init(tree()), tree(), value=2.0, other="x")
    assert [{**extra, "grad": None} for extra in seen] == [
        {"value": 2.0, "other": "x", "grad": None}
    ] * 2


def test_a_controller_in_one_group():
    rate = adaptax.plateau(0.5, factor=0.5, patience=0)
    tx = adaptax.by_path({"head/**": adaptax.sgd(rate), "**": adaptax.sgd(0.25)})
    state = tx.init(tree())
    for value in (1.0, 2.0):
        _, state = tx.update(tree(), state, tree(), value=value)
    assert floats(adaptax.learning_rates(state)) == {"head/**": 0.25, "**": 0.25}


def test_a_value():
    first, second = adaptax.sgd(0.5), adaptax.frozen_until(adaptax.sgd(0.1), 3)
    tx = adaptax.by_path({"a": first, "**": second})
    other = adaptax.by_path({"**": second, "a": first})
    assert tx == other and hash(tx) == hash(other)
    assert adaptax.from_config(json.loads(json.dumps(adaptax.to_config(tx)))) == tx
    assert adaptax.parse(repr(tx)) == tx != adaptax.by_path({"**": adaptax.sgd(0.5)})
    traces = []

    @functools.partial(jax.jit, static_argnums=0)
    def step(tx, g):
        traces.append(1)
        return tx.update(g, tx.init(g))[0]

    for one in (tx, other, adaptax.parse(repr(tx))):
        step(one, {"a": jnp.ones(1), "b": jnp.ones(1)})
    assert len(traces) == 1


GROUPED = adaptax.by_path({"**": adaptax.adam(0.1), "**/bias": adaptax.sgd(0.1, momentum=0.9)})


def test_init_from_shapes_and_kinds_of_state():
    shapes = jax.eval_shape(tree)
    made = jax.eval_shape(GROUPED.init, shapes)
    state = GROUPED.init(tree())
    assert jax.tree.structure(made) == jax.tree.structure(state)
    assert kinds(GROUPED.update(tree(), state, tree())[1]) == kinds(state)


def test_trees_without_leaves():
    """Nothing to group is no error; Optax's map over parameters looks with such a tree."""
    assert GROUPED.update({}, GROUPED.init({}), {})[0] == {}
    state = GROUPED.init(tree())
    mapped = optax.tree.map_params(GROUPED, lambda x: x + 1.0, state)
    kept = mapped.inner_states["**"].inner_state.rule
    assert int(kept.count) == 0 and bool((kept.mu["embed"]["table"] == 1.0).all())


def test_none_and_a_single_array():
    theta = {"a": None, "b": jnp.ones(2)}
    tx = adaptax.by_path({"b": adaptax.sgd(0.5)})
    updates, _ = tx.update(theta, tx.init(theta), theta)
    assert updates["a"] is None and float(updates["b"][0]) == -0.5
    single = adaptax.by_path({"**": adaptax.sgd(0.5)})
    assert float(single.update(jnp.ones(()), single.init(jnp.ones(())))[0]) == -0.5


@pytest.mark.parametrize(
    ("patterns", "messages"),
    [
        (["embed/**", "head/**"], ["no pattern matches 4 parameters", "body/0/bias (nearest: "]),
        (["**", "heads/**"], ["matches 1 pattern", "'heads/**' (nearest: head/bias, head/kernel"]),
        (["**", "body/**", "**/bias"], ["match 2 parameters", "body/0/bias: '**/bias' and 'body"]),
    ],
)
def test_parameters_without_one_group(patterns, messages):
    tx = adaptax.by_path({pattern: adaptax.sgd(0.1) for pattern in patterns})
    for attempt in (tx.init, lambda t: adaptax.group_labels(patterns, t)):
        with pytest.raises(ValueError) as error:
            attempt(tree())
        for message in messages:
            assert message in str(error.value)


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: adaptax.by_path({}), "by_path(groups={})"),
        (lambda: adaptax.by_path([("a", adaptax.sgd(1.0))]), "groups must be a dict"),
        (lambda: adaptax.by_path({"a": 0.1}), "by_path: 'a' is 0.1, not a transformation"),
        (lambda: adaptax.by_path({"a": adaptax.sgd}), "call it first: sgd(...)"),
        (lambda: adaptax.by_path({1: adaptax.sgd(1.0)}), "pattern 1 must be text"),
        (lambda: adaptax.by_path({"a**": adaptax.sgd(1.0)}), "'**' stands for whole keys"),
        (lambda: adaptax.group_labels(["a//b"], {}), "group_labels: the pattern 'a//b'"),
    ],
    ids=range(7),
)
def test_bad_arguments(make_it, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make_it()
    assert message in str(error.value)


def test_labels_show_the_groups_and_are_optax_s():
    groups = {"**": adaptax.sgd(0.5), "**/bias": adaptax.sgd(0.25)}
    labels = adaptax.group_labels(groups, jax.eval_shape(tree))
    layer = {"kernel": "**", "bias": "**/bias"}
    assert labels == {"embed": {"table": "**"}, "body": [layer, layer], "head": layer}
    assert_same(
        steps(optax.partition(groups, labels), tree())[0],
        steps(adaptax.by_path(groups), tree())[0],
    )


def test_orbax_keeps_groups(tmp_path):
    """Patterns have slashes and stars, and become names in a checkpoint."""
    ocp = pytest.importorskip("orbax.checkpoint")
    theta, state = steps(GROUPED, tree(), 2)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        template = jax.eval_shape(lambda: GROUPED.init(tree()))
        restored = checkpointer.restore(tmp_path / "state", template)
        plain = checkpointer.restore(tmp_path / "state")
    assert_same(steps(GROUPED, theta, 1, restored), steps(GROUPED, theta, 1, state))
    plain = adaptax.set_learning_rate(plain, 0.5, label="**/bias")
    assert floats(adaptax.learning_rates(plain)) == {"**": np.float32(0.1), "**/bias": 0.5}


def test_nnx():
    """Flax's variables give other paths to init than to update."""
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Sequential(*(nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in range(2)))
    groups = {"layers/0/*": adaptax.adamw(0.5), "**": adaptax.sgd(0.25)}
    optimizer = nnx.Optimizer(model, adaptax.by_path(groups), wrt=nnx.Param)
    before = np.asarray(model.layers[1].kernel[...])

    @nnx.jit
    def step(model, optimizer):
        g = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
        optimizer.update(model, g)

    step(model, optimizer)
    np.testing.assert_allclose(model.layers[1].kernel[...], before - 0.25, rtol=1e-6)
    state = adaptax.set_learning_rate(optimizer.opt_state, 0.125, label="layers/0/*")
    assert floats(adaptax.learning_rates(state)) == {"layers/0/*": 0.125, "**": 0.25}


def test_equinox():
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(2, 2, width_size=2, depth=1, key=jax.random.key(0))
    params = eqx.filter(model, eqx.is_inexact_array)
    tx = adaptax.by_path({"layers/0/*": adaptax.sgd(0.5), "**": adaptax.sgd(0.25)})
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
    moved = eqx.apply_updates(model, updates)
    found = [float((moved.layers[i].bias - model.layers[i].bias)[0]) for i in range(2)]
    np.testing.assert_allclose(found, [-0.5, -0.25], rtol=1e-6)
