"""Loading, splitting, standardising, ordering."""

import numpy as np
import pytest

from adaptax.lab import data


def numbered(count: int) -> data.Dataset:
    inputs = np.arange(2.0 * count, dtype=np.float32).reshape(count, 2)
    return data.Dataset(data.Arrays(inputs, np.arange(count, dtype=np.int32)), per="feature")


def test_digits_are_the_real_ones():
    digits = data.digits().train
    assert digits.inputs.shape == (1797, 8, 8, 1) and digits.inputs.dtype == np.uint8
    assert digits.inputs.max() == 16 and digits.inputs.min() == 0
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(digits.targets).tolist() == counts


def test_diabetes_is_the_real_one():
    diabetes = data.diabetes()
    assert diabetes.train.inputs.shape == (442, 10) and diabetes.scale_targets
    assert diabetes.train.targets.mean() == pytest.approx(152.13, abs=0.01)


def test_a_split_divides_every_example_once():
    one = data.split(numbered(100), seed=3)
    assert len(one.test.targets) == 20
    assert sorted([*one.train.targets, *one.test.targets]) == list(range(100))
    np.testing.assert_array_equal(one.train.inputs[:, 0], 2 * one.train.targets)


def test_a_split_is_a_function_of_the_seed():
    first, again, other = (data.split(numbered(100), seed).test.targets for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_a_given_test_set_is_kept():
    train, test = numbered(10).train, numbered(4).train
    one = data.split(data.Dataset(train, test, per="feature"), seed=0)
    np.testing.assert_array_equal(one.test.targets, test.targets)
    np.testing.assert_array_equal(one.train.targets, train.targets)
    assert data.counts(data.Dataset(train, test)) == (10, 4)


def test_moments_come_from_the_training_examples_alone():
    dataset = numbered(50)
    one = data.split(dataset, seed=1)
    np.testing.assert_allclose(one.mean, one.train.inputs.mean(0, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(one.deviation, one.train.inputs.std(0, keepdims=True), rtol=1e-6)
    assert not np.allclose(one.mean, dataset.train.inputs.mean(0, keepdims=True))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_channel_moments_of_bytes_and_floats_agree_with_numpy(dtype):
    images = np.random.default_rng(0).integers(0, 256, (30, 5, 4, 3)).astype(dtype)
    one = data.split(data.Dataset(data.Arrays(images, np.zeros(30)), test=numbered(2).train), 0)
    assert one.mean.shape == one.deviation.shape == (1, 1, 1, 3)
    exact = images.astype(np.float64)
    np.testing.assert_allclose(one.mean.ravel(), exact.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(one.deviation.ravel(), exact.std((0, 1, 2)), rtol=1e-6)


def test_a_constant_input_is_not_divided_by_zero():
    same = data.Arrays(np.full((10, 2), 7.0, np.float32), np.zeros(10))
    assert data.split(data.Dataset(same, per="feature"), 0).deviation.tolist() == [[1.0, 1.0]]


def test_regression_targets_are_standardised_by_the_training_part():
    one = data.split(data.diabetes(), seed=0)
    assert one.train.targets.mean() == pytest.approx(0, abs=1e-5)
    assert one.train.targets.std() == pytest.approx(1, abs=1e-5)
    assert abs(one.test.targets.mean()) > 1e-3


def test_a_share_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match=r"held_out=0.01.*10 examples cannot be divided"):
        data.split(numbered(10), seed=0, held_out=0.01)


def test_an_epoch_has_each_example_at_most_once_and_drops_the_rest():
    epochs = data.batches(10, 3, seed=0)
    first, second = next(epochs), next(epochs)
    assert first.shape == (3, 3) and first.dtype == np.int32
    assert len(set(first.ravel())) == 9 and set(first.ravel()) <= set(range(10))
    assert first.tolist() != second.tolist()
    assert next(data.batches(10, 3, seed=0)).tolist() == first.tolist()
    assert next(data.batches(10, 3, seed=1)).tolist() != first.tolist()
