"""Shapes, initial weights and dropout of the lab's networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from adaptax.lab.models import MLP, LeNet5, LinearRegression


def abstract(make, images):
    """A model without its numbers, and the shape of its output."""
    model = nnx.eval_shape(make)
    definition, state = nnx.split(model)
    inputs = jax.ShapeDtypeStruct(images, jnp.float32)
    made = jax.eval_shape(lambda state, x: nnx.merge(definition, state)(x), state, inputs)
    return model, made.shape


def test_lenet5_for_cifar_is_lecuns():
    model, shape = abstract(lambda: LeNet5((32, 32, 3), rngs=nnx.Rngs(0)), (2, 32, 32, 3))
    assert shape == (2, 10)
    sizes = [leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))]
    convolutions = 6 * (5 * 5 * 3 + 1) + 16 * (5 * 5 * 6 + 1)
    assert sum(sizes) == convolutions + 120 * 401 + 84 * 121 + 10 * 85 == 62_006


def test_lenet5_for_small_digits():
    def make():
        return LeNet5((8, 8, 1), padding="SAME", classes=7, rngs=nnx.Rngs(0))

    model, shape = abstract(make, (3, 8, 8, 1))
    assert shape == (3, 7) and model.dense1.kernel.shape == (2 * 2 * 16, 120)


def test_mlp_flattens_and_linear_regression_gives_one_number():
    _, shape = abstract(lambda: MLP((64, 16, 10), rngs=nnx.Rngs(0)), (4, 8, 8, 1))
    assert shape == (4, 10)
    _, shape = abstract(lambda: LinearRegression(3, rngs=nnx.Rngs(0)), (4, 3))
    assert shape == (4,)


@pytest.mark.parametrize(
    ("layer", "fan_in"), [("conv2", 150), ("dense1", 400), ("dense2", 120), ("dense3", 84)]
)
def test_weights_start_he_normal_and_biases_at_zero(layer, fan_in):
    models = [LeNet5((32, 32, 3), rngs=nnx.Rngs(seed)) for seed in range(4)]
    weights = np.stack([np.asarray(getattr(model, layer).kernel[...]) for model in models])
    # 3360 weights and more: a relative deviation of the variance of 0.024, four of them 0.1.
    assert weights.var() == pytest.approx(2 / fan_in, rel=0.1)
    assert abs(weights.mean()) < 4 * np.sqrt(2 / fan_in / weights.size)
    assert not np.any(np.asarray(getattr(models[0], layer).bias[...]))


@pytest.mark.parametrize(
    "make",
    [
        lambda rngs: LeNet5((8, 8, 1), padding="SAME", dropout=0.5, rngs=rngs),
        lambda rngs: MLP((64, 32, 10), dropout=0.5, rngs=rngs),
    ],
)
def test_dropout_is_on_in_training_and_off_in_evaluation(make):
    model, images = make(nnx.Rngs(0)), jnp.ones((2, 8, 8, 1))
    model.eval()
    np.testing.assert_array_equal(model(images), model(images))
    rested = model(images)
    model.train()
    first, second = model(images), model(images)
    assert not np.array_equal(first, second) and not np.array_equal(first, rested)


def test_dropout_keeps_the_mean():
    model = MLP((4, 4000, 1), dropout=0.25, rngs=nnx.Rngs(0))
    hidden = jnp.ones((8, 4000))
    dropped = model.dropout(hidden)
    assert float((dropped == 0).mean()) == pytest.approx(0.25, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_wrong_share_of_dropout_is_refused(dropout):
    with pytest.raises(ValueError, match=r"LeNet5\(dropout="):
        LeNet5((32, 32, 3), dropout=dropout, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"MLP\(dropout="):
        MLP((3, 2), dropout=dropout, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "wrong", [{"shape": (8, 8, 1)}, {"shape": (2, 2, 1), "padding": "SAME"}, {"padding": "same"}]
)
def test_images_too_small_for_the_padding_are_refused(wrong):
    with pytest.raises(ValueError, match="use 'VALID' from 16 x 16"):
        LeNet5(**{"shape": (32, 32, 3), **wrong}, rngs=nnx.Rngs(0))


def test_one_size_is_no_network():
    with pytest.raises(ValueError, match=r"MLP\(sizes=\(3,\)\)"):
        MLP((3,), rngs=nnx.Rngs(0))
