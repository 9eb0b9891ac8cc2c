"""Layer-wise decay is a rate of its own for each layer, weight decay included."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests import references
from tests.interop.table import FEW, assert_close, assert_same, grads, make, steps


def net(depth=3):
    layers = {f"Dense_{i}": {"kernel": jnp.full((2, 2), 0.5 + i)} for i in range(depth)}
    return {"params": layers}


GIVEN = ["embed/**", ["body/**", "norm/**"], "head/**"]


def named():
    return {name: {"w": jnp.full(3, 0.5)} for name in ("embed", "body", "norm", "head")}


def test_each_layer_equals_its_reference_at_its_own_rate():
    """To the precision of float32, from the papers' equations in float64."""
    theta, n, rng = net(), 20, np.random.default_rng(0)
    tx = adaptax.layerwise_decay(adaptax.adamw(0.1, weight_decay=0.3), 0.75)
    state, step = tx.init(theta), jax.jit(tx.update)
    expected = [references.adamw(0.1 * 0.75**k, weight_decay=0.3) for k in (2, 1, 0)]
    exact = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(theta)]
    for _ in range(n):
        g = [rng.standard_normal(x.shape).astype(np.float32) for x in exact]
        updates, state = step(jax.tree.unflatten(jax.tree.structure(theta), g), state, theta)
        theta = optax.apply_updates(theta, updates)
        exact = [x + one(y, x) for x, one, y in zip(exact, expected, g, strict=True)]
    for got, wanted in zip(jax.tree.leaves(theta), exact, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FEW)
def test_equals_groups_with_the_rates_written_out(name):
    layered, _ = steps(adaptax.layerwise_decay(make(name, 0.1), 0.5, GIVEN), named())
    rates = {"embed/**": 0.025, "body/**": 0.05, "norm/**": 0.05, "head/**": 0.1}
    groups = {pattern: make(name, rate) for pattern, rate in rates.items()}
    assert_close(layered, steps(adaptax.by_path(groups), named())[0], rtol=1e-6)


def test_the_top_layer_and_the_state_are_those_of_the_plain_transformation():
    plain, kept = steps(adaptax.adamw(0.1), named(), 1)
    layered, state = steps(adaptax.layerwise_decay(adaptax.adamw(0.1), 0.5, GIVEN), named(), 1)
    assert_same(layered["head"], plain["head"])
    assert_same(state, kept)
    assert float(adaptax.learning_rate(state)) == np.float32(0.1)
    all_equal, _ = steps(adaptax.layerwise_decay(adaptax.adamw(0.1), 1.0, GIVEN), named(), 1)
    assert_same(all_equal, plain)


def test_the_rate_is_set_and_extra_arguments_arrive():
    rate = adaptax.plateau(0.5, factor=0.5, patience=0)
    tx = adaptax.chain(adaptax.clip(1.0), adaptax.layerwise_decay(adaptax.sgd(rate), 0.5, GIVEN))
    g = jax.tree.map(jnp.ones_like, named())
    state = tx.init(g)
    for value in (1.0, 2.0):
        updates, state = tx.update(g, state, g, value=value)
    assert float(updates["embed"]["w"][0]) == -0.0625
    updates, state = tx.update(g, adaptax.set_learning_rate(state, 1.0), g, value=0.5)
    assert [float(updates[k]["w"][0]) for k in named()] == [-0.25, -0.5, -0.5, -1.0]


def depths(paths, **kwargs):
    """The distances from the top that a tree with these paths gets."""
    tree = {}
    for path in paths:
        *above, last = path.split("/")
        node = tree
        for key in above:
            node = node.setdefault(key, {})
        node[last] = jnp.ones(())
    tx = adaptax.layerwise_decay(adaptax.sgd(1.0), 0.5, **kwargs)
    updates, _ = tx.update(tree, tx.init(tree))
    found = {}
    for path in paths:
        node = updates
        for key in path.split("/"):
            node = node[key]
        found[path] = round(-np.log2(-float(node)))
    return [found[path] for path in paths]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["Dense_0/kernel", "Dense_0/bias", "Dense_1/kernel"], [1, 1, 0]),
        (["params/Dense_0/kernel", "params/Dense_2/kernel", "params/Dense_10/b"], [2, 1, 0]),
        (["layers/0/w", "layers/3/w"], [1, 0]),  # what stands between has no parameters
        (["0/w", "1/w"], [1, 0]),
        (["net1/block_1/mlp/w1", "net1/block_1/b", "net1/block_2/w2"], [1, 1, 0]),
        (["fc1/kernel", "fc2/kernel", "fc3/kernel"], [2, 1, 0]),
    ],
)
def test_layers_are_told_from_numbered_modules(paths, expected):
    assert depths(paths) == expected


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["embed/table", "layers/0/w", "layers/1/w"], "(numbered are layers/<number>)"),
        (["Conv_0/w", "Conv_1/w", "Dense_0/w"], "Conv_<number>, Dense_<number>"),
        (["stages/0/blocks/0/w", "stages/0/blocks/1/w", "stages/1/blocks/0/w"], "stages/<number>"),
        (["linear/w", "linear_1/w"], "linear_<number>"),
        (["a/w", "b/w"], "none are numbered"),
        (["w1", "w2"], "none are numbered"),
        (["layers/0/w", "layers/0/b"], "none are numbered"),
        (["layer_1/w", "layer_01/w", "layer_2/w"], "written in two ways: 01, 1, 2"),
    ],
)
def test_what_leaves_doubt_is_an_error_that_lists_paths(paths, message):
    with pytest.raises(ValueError) as error:
        depths(paths)
    text = str(error.value)
    assert text.startswith("layerwise_decay(layers=None): the layers cannot be told")
    assert message in text and "layers=['embed/**'" in text
    assert "\n  " in text and text.splitlines()[1].strip() in paths


def test_a_tree_with_many_doubtful_paths_is_cut():
    with pytest.raises(ValueError, match="and 15 more"):
        depths([f"part{'x' * i}/w" for i in range(25)])


def test_layers_given_from_input_to_output():
    paths = ["embed/w", "blocks/0/w", "blocks/0/b", "blocks/1/w", "head/w"]
    layers = ["embed/*", "blocks/0/*", "blocks/1/*", "head/*"]
    assert depths(paths, layers=layers) == [3, 2, 2, 1, 0]
    assert depths(paths, layers=tuple(reversed(layers))) == [0, 1, 1, 2, 3]
    assert depths(paths, layers=[["embed/*", "**/b"], "**"]) == [1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["embed/**", "body/**", "head/**"], "no pattern matches 1 parameter"),
        (["embed/**", "**", "top/**"], "matches 1 pattern"),
        (["*/**", "**/*"], "several equally specific patterns match 4 parameters"),
    ],
)
def test_layers_that_do_not_fit(layers, message):
    tx = adaptax.layerwise_decay(adaptax.sgd(1.0), 0.5, layers)
    with pytest.raises(ValueError) as error:
        tx.init(named())
    assert message in str(error.value) and str(error.value).startswith("layerwise_decay: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((adaptax.sgd, 0.5), "call it first: sgd(...)"),
        ((adaptax.sgd(0.1), 0.0), "layerwise_decay(decay=0.0): decay must be a number in (0, 1]"),
        ((adaptax.sgd(0.1), 1.5), "in (0, 1]"),
        ((adaptax.sgd(0.1), float("nan")), "in (0, 1]"),
        ((adaptax.sgd(0.1), adaptax.constant(0.5)), "in (0, 1]"),
        ((adaptax.sgd(0.1), 0.5, "head/**"), "layers must be a list of patterns"),
        ((adaptax.sgd(0.1), 0.5, []), "every layer needs a pattern"),
        ((adaptax.sgd(0.1), 0.5, ["a", []]), "every layer needs a pattern"),
        ((adaptax.sgd(0.1), 0.5, ["a", "a"]), "'a' is there twice"),
        ((adaptax.sgd(0.1), 0.5, ["a", 3]), "pattern 3 must be text"),
    ],
    ids=range(10),
)
def test_bad_arguments(arguments, message):
    with pytest.raises((TypeError, ValueError)) as error:
        adaptax.layerwise_decay(*arguments)
    assert message in str(error.value)


def test_trees_without_leaves_and_low_precision():
    tx = adaptax.layerwise_decay(adaptax.adamw(0.1), 0.5)
    assert tx.update({}, tx.init({}), {})[0] == {}
    theta = jax.tree.map(lambda x: x.astype("bfloat16"), net(2))
    updates, state = tx.update(theta, tx.init(theta), theta)
    assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype("bfloat16")}
    mapped = optax.tree.map_params(tx, lambda x: x + 1.0, state)
    assert jax.tree.structure(mapped) == jax.tree.structure(state)


def test_nnx_and_equinox():
    """Numbered layers are found in the paths that these libraries give, in init and update."""
    nnx, eqx = pytest.importorskip("flax.nnx"), pytest.importorskip("equinox")
    tx = adaptax.layerwise_decay(adaptax.sgd(1.0), 0.5)
    model = nnx.Sequential(*(nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in range(3)))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    updates = optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))
    found = [float(updates["layers"][i]["bias"][...][0]) for i in range(3)]
    assert found == [-0.25, -0.5, -1.0]

    mlp = eqx.nn.MLP(2, 2, width_size=2, depth=2, key=jax.random.key(0))
    params = eqx.filter(mlp, eqx.is_inexact_array)
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
    assert [float(layer.bias[0]) for layer in updates.layers] == [-0.25, -0.5, -1.0]


def test_within_a_group():
    """The layers of a group are those of its parameters."""
    theta = {"head": {"w": jnp.ones(1)}, "layers": [{"w": jnp.ones(1)}, {"w": jnp.ones(1)}]}
    body = adaptax.layerwise_decay(adaptax.sgd(1.0), 0.5)
    tx = adaptax.by_path({"head/*": adaptax.sgd(4.0), "layers/**": body})
    updates, _ = tx.update(theta, tx.init(theta), theta)
    found = [float(u[0]) for u in jax.tree.leaves(updates)]
    assert found == [-4.0, -0.5, -1.0]
    assert float(tx.update(grads(theta), tx.init(theta), theta)[0]["head"]["w"][0]) != 0
