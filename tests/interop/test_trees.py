"""Any tree of parameters: containers, holes, sizes, dtypes; and errors that name the leaf."""

import collections
import dataclasses
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.conformance import compared, proves
from tests.interop.table import OPTIMIZERS, assert_close, assert_same, grads, kinds, make, steps


class Pair(NamedTuple):
    w: Any
    value: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    w: Any
    b: Any


X, Y = jnp.arange(1.0, 4.0), jnp.full((2, 2), -0.5, jnp.float32)

TREES = {
    "tuple": (X, Y),
    "list": [X, [Y]],
    "dict": {"x": X, "y": {"z": Y}},
    "OrderedDict": collections.OrderedDict(z=X, a=Y),
    "dataclass": Layer(X, Y),
    "NamedTuple": Pair(X, Y),
    "FrozenDict": flax.core.freeze({"x": X, "y": {"z": Y}}),
    "None": {"x": X, "hole": None, "y": [None, Y]},
    "array": X,
    "scalar": jnp.asarray(0.5),
    "float": {"x": 0.5, "y": Y},
    "numpy": {"x": np.ones(3, np.float32)},
    "zero-size": {"x": jnp.zeros((0, 3)), "y": Y},
    "only zero-size": {"x": jnp.zeros((0,))},
    "slashes": {"a/b": X, "a": {"b": Y}},
}
EMPTY = [{}, (), [], {"x": None}, {"x": {}}]


def finite(tree):
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


@proves("P25")
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_tree_goes_through(name, tree):
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), make(name))
    state = tx.init(tree)
    before = kinds(state)
    updates, state = tx.update(grads(tree), state, tree)
    assert jax.tree.structure(updates) == jax.tree.structure(tree)
    shapes = [(np.shape(leaf), jnp.result_type(leaf)) for leaf in jax.tree.leaves(tree)]
    assert [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(updates)] == shapes
    assert kinds(state) == before and finite((updates, state))
    moved = [leaf for leaf in jax.tree.leaves(updates) if leaf.size]
    compared(1 + sum(leaf.size for leaf in moved))
    assert all(bool((leaf != 0).all()) for leaf in moved) and len(moved) == _filled(tree)


def _filled(tree):
    return sum(np.size(leaf) > 0 for leaf in jax.tree.leaves(tree))


@proves("P25")
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("tree", EMPTY, ids=repr)
def test_a_tree_without_arrays_goes_through(name, tree):
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), make(name))
    state = tx.init(tree)
    updates, after = tx.update(tree, state, tree)
    compared(len(jax.tree.leaves(after)))
    assert updates == tree and kinds(after) == kinds(state)
    assert float(adaptax.learning_rate(after)) == np.float32(0.1)


@proves("P25")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_python_floats_are_parameters_and_gradients(name):
    tx = make(name)
    floats, arrays = {"x": 0.5}, {"x": jnp.asarray(0.5)}
    updates, state = tx.update({"x": 0.25}, tx.init(floats), floats)
    expected, _ = tx.update({"x": jnp.asarray(0.25)}, tx.init(arrays), arrays)
    assert_close(updates, expected)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(state))


@proves("P28")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_mixed_tree_keeps_each_dtype(name):
    tree = {"b": Y.astype(jnp.bfloat16), "f": X, "h": X.astype(jnp.float16)}
    after, state = steps(make(name), tree)
    assert {key: leaf.dtype.name for key, leaf in after.items()} == {
        "b": "bfloat16",
        "f": "float32",
        "h": "float16",
    }
    kept = [leaf.dtype for leaf in jax.tree.leaves(state) if leaf.dtype != jnp.int32]
    compared(len(after) + len(kept))
    assert set(kept) == {jnp.dtype("float32")} and finite((after, state))


@proves("P28")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_wider_than_its_parameter_keeps_its_dtype(name):
    tree = {"b": Y.astype(jnp.bfloat16)}
    tx = make(name)
    updates, _ = tx.update({"b": Y}, tx.init(tree), tree)
    compared(updates["b"].size)
    assert updates["b"].dtype == jnp.float32


@proves("P28")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_sides_of_a_mixed_tree_do_not_mix(name):
    both, _ = steps(make(name), {"b": Y.astype(jnp.bfloat16), "f": X})
    alone = {"f": X}
    tx = make(name)
    state = tx.init(alone)
    for k in range(3):
        g = {"f": grads({"b": Y, "f": X}, k)["f"]}
        updates, state = tx.update(g, state, alone)
        alone = optax.apply_updates(alone, updates)
    assert_same(both["f"], alone["f"])


@proves("P26")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_complex_parameters(name):
    tree = {"z": jnp.asarray([1 + 2j, -0.5j, 3.0], jnp.complex64), "f": X}
    after, state = steps(make(name), tree)
    compared(after["z"].size)
    assert after["z"].dtype == jnp.complex64 and finite((after, state))
    assert bool((after["z"] != tree["z"]).all())


FLOAT0 = np.zeros(3, jax.dtypes.float0)
LEAVES = [jnp.ones(3, jnp.int32), jnp.ones(3, bool), FLOAT0, 3, "text"]


@proves("P27")
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("leaf", LEAVES, ids=repr)
def test_a_leaf_that_no_gradient_moves_is_named(name, leaf):
    with pytest.raises(TypeError, match=r"parameter \['a'\]\['steps'\] is .*optax\.partition"):
        make(name).init({"a": {"w": X, "steps": leaf}})


WRONG = {
    "missing": ({"x": X}, r"\['y'\]\['z'\]: missing, expected float32\[2, 2\]"),
    "None": ({"x": None, "y": {"z": Y}}, r"\['x'\]: missing, expected float32\[3\]"),
    "extra": (
        {"x": X, "y": {"z": Y}, "w": jnp.ones(5)},
        r"\['w'\]: not expected, got float32\[5\]",
    ),
    "scalar": ({"x": X[0], "y": {"z": Y}}, r"\['x'\]: got float32\[\], expected float32\[3\]"),
    "one": ({"x": jnp.ones(1), "y": {"z": Y}}, r"\['x'\]: got float32\[1\], expected float32\[3\]"),
    "reshaped": ({"x": X, "y": {"z": Y[0]}}, r"\['z'\]: got float32\[2\], expected .*\[2, 2\]"),
    "transposed": ({"x": X[:, None], "y": {"z": Y}}, r"\['x'\]: got float32\[3, 1\], expected"),
    "renamed": ({"q": X, "y": {"z": Y}}, r"\['x'\]: missing, expected"),
    "other container": ([X, {"z": Y}], r"\[0\]: not expected"),
    "frozen": (flax.core.freeze({"x": X, "y": {"z": Y}}), "FrozenDict.*expected"),
}


@proves("P29")
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_a_gradient_that_does_not_match_is_named(name, wrong, message):
    tree = {"x": X, "y": {"z": Y}}
    tx = make(name)
    with pytest.raises(ValueError, match=f"(?s)nothing is broadcast.*{message}"):
        tx.update(wrong, tx.init(tree), tree)


# those with weight decay need the parameters, and sgd keeps nothing to compare with
ALONE = [name for name in OPTIMIZERS if not name.endswith("w") and name != "sgd"]


@proves("P29")
@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_without_parameters_it_is_compared_with_the_state(name, wrong, message):
    tree = {"x": X, "y": {"z": Y}}
    tx = make(name)
    with pytest.raises(ValueError, match=f"(?s)nothing is broadcast.*{message}"):
        tx.update(wrong, tx.init(tree))


def test_many_differences_are_counted():
    tree = {f"leaf{i}": X for i in range(15)}
    tx = adaptax.adam(0.1)
    with pytest.raises(ValueError, match="and 5 more") as raised:
        tx.update({}, tx.init(tree), tree)
    assert str(raised.value).count("missing") == 10


def test_a_leaf_called_value_keeps_its_name():
    tree = {"policy": X, "value": Y}
    tx = adaptax.adam(0.1)
    with pytest.raises(ValueError, match=r"\['value'\]: missing"):
        tx.update({"policy": X}, tx.init(tree), tree)
    tree = Pair(X, Y)
    with pytest.raises(ValueError, match=r"\.value: got float32\[2\], expected float32\[2, 2\]"):
        tx.update(Pair(X, Y[0]), tx.init(tree), tree)
