"""Laws of flips and rotations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.lab import augment

IMAGES = jax.random.uniform(jax.random.key(7), (5, 6, 6, 3))


def test_two_certain_flips_are_none():
    once = augment.random_flip(jax.random.key(0), IMAGES, p=1.0)
    np.testing.assert_array_equal(once, np.asarray(IMAGES)[:, :, ::-1])
    np.testing.assert_array_equal(augment.random_flip(jax.random.key(1), once, p=1.0), IMAGES)


def test_an_impossible_flip_changes_nothing():
    np.testing.assert_array_equal(augment.random_flip(jax.random.key(0), IMAGES, p=0.0), IMAGES)


def test_each_image_is_flipped_on_its_own_and_about_half_are():
    rows = jnp.tile(jnp.arange(2.0).reshape(1, 1, 2, 1), (2000, 1, 1, 1))
    flipped = augment.random_flip(jax.random.key(0), rows)[:, 0, 0, 0] == 1
    assert 0.45 < float(flipped.mean()) < 0.55  # 2000 draws: five deviations are 0.056


def test_no_rotation_is_exactly_the_identity():
    np.testing.assert_array_equal(augment.rotate(IMAGES, jnp.zeros(5)), IMAGES)
    same = augment.random_rotation(jax.random.key(0), IMAGES, degrees=0.0)
    np.testing.assert_array_equal(same, IMAGES)


@pytest.mark.parametrize("size", [5, 6])
@pytest.mark.parametrize("quarters", [1, 2, 3, -1])
def test_quarter_turns_of_a_square_are_numpys(size, quarters):
    image = jax.random.uniform(jax.random.key(1), (1, size, size, 2))
    turned = augment.rotate(image, jnp.array([90.0 * quarters]))
    np.testing.assert_allclose(turned[0], np.rot90(np.asarray(image[0]), quarters), atol=1e-5)


def test_every_image_has_its_own_angle():
    angles = jnp.array([0.0, 90.0, 180.0, -90.0, 0.0])
    turned = np.asarray(augment.rotate(IMAGES, angles))
    for i, quarters in enumerate([0, 1, 2, 3, 0]):
        np.testing.assert_allclose(turned[i], np.rot90(np.asarray(IMAGES[i]), quarters), atol=1e-5)


def test_a_small_rotation_stays_near_and_a_constant_image_stays_constant():
    turned = augment.random_rotation(jax.random.key(0), IMAGES, degrees=3.0)
    assert turned.shape == IMAGES.shape and turned.dtype == IMAGES.dtype
    assert 0 < float(jnp.abs(turned - IMAGES).mean()) < 0.1
    flat = jnp.full((2, 8, 8, 1), 0.25)
    turned = augment.random_rotation(jax.random.key(0), flat, 45.0)
    np.testing.assert_allclose(turned, flat, rtol=1e-6)


def test_angles_reach_the_limit_and_not_beyond():
    """A single bright pixel on the right edge: its row tells the angle."""
    angles = []
    for seed in range(3):
        keys = jax.random.split(jax.random.key(seed))
        one = augment.random_rotation(keys[0], jnp.repeat(_spot(), 400, axis=0), degrees=20.0)
        by_row = np.asarray(one[..., 0].sum(2))
        rows = (by_row * np.arange(21)).sum(1) / by_row.sum(1)
        angles.append(np.degrees(np.arcsin((10 - rows) / 7)))
    found = np.concatenate(angles)
    assert -22 < found.min() < -15 and 15 < found.max() < 22


def _spot() -> jax.Array:
    return jnp.zeros((1, 21, 21, 1)).at[0, 10, 17, 0].set(1.0)


def test_augmentation_is_pure_and_jits_to_the_same():
    key = jax.random.key(3)
    for function in (augment.random_flip, augment.random_rotation):
        plain = function(key, IMAGES)
        np.testing.assert_array_equal(plain, function(key, IMAGES))
        np.testing.assert_allclose(plain, jax.jit(function)(key, IMAGES), atol=1e-5)
        assert not np.array_equal(plain, function(jax.random.key(4), IMAGES))


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_probability_outside_is_refused(p):
    with pytest.raises(ValueError, match=r"random_flip\(p=.*in \[0, 1\]"):
        augment.random_flip(jax.random.key(0), IMAGES, p=p)


@pytest.mark.parametrize("degrees", [-1.0, float("nan")])
def test_a_negative_angle_is_refused(degrees):
    with pytest.raises(ValueError, match=r"random_rotation\(degrees="):
        augment.random_rotation(jax.random.key(0), IMAGES, degrees=degrees)
