"""Pictures moved a little, so that a network cannot learn them by heart.

Every function is pure: `(key, images) -> images`, float arrays of shape [batch, rows, columns,
channels] in and out, the same size and dtype. They run inside the jitted training step.
"""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates


def random_flip(key: jax.Array, images: jax.Array, p: float = 0.5) -> jax.Array:
    """Mirror each image left to right with probability `p`.

    Args:
      key: a random key.
      images: [batch, rows, columns, channels].
      p: probability of a flip, in [0, 1].

    Raises:
      ValueError: `p` outside [0, 1].

    Example::

        >>> import jax, jax.numpy as jnp
        >>> from adaptax.lab import augment
        >>> row = jnp.arange(3.0).reshape(1, 1, 3, 1)
        >>> augment.random_flip(jax.random.key(0), row, p=1.0).ravel().tolist()
        [2.0, 1.0, 0.0]
    """
    if not 0 <= p <= 1:
        raise ValueError(f"random_flip(p={p!r}): a probability in [0, 1] is needed")
    turned = jax.random.bernoulli(key, p, (images.shape[0], 1, 1, 1))
    return jnp.where(turned, images[:, :, ::-1, :], images)


def random_rotation(key: jax.Array, images: jax.Array, degrees: float = 10.0) -> jax.Array:
    """Turn each image about its centre by an angle drawn evenly from [-degrees, degrees].

    Args:
      key: a random key.
      images: [batch, rows, columns, channels].
      degrees: largest angle, at least 0.

    Raises:
      ValueError: a negative angle.

    Example::

        >>> import jax, jax.numpy as jnp
        >>> from adaptax.lab import augment
        >>> images = jnp.ones((2, 8, 8, 1))
        >>> augment.random_rotation(jax.random.key(0), images).shape
        (2, 8, 8, 1)
    """
    if not degrees >= 0:
        raise ValueError(f"random_rotation(degrees={degrees!r}): an angle of at least 0 is needed")
    angles = jax.random.uniform(key, (images.shape[0],), minval=-degrees, maxval=degrees)
    return rotate(images, angles)


def rotate(images: jax.Array, degrees: jax.Array) -> jax.Array:
    """Turn image i counter-clockwise by `degrees[i]`, bilinearly.

    out(x) = in(R(-a)(x - c) + c), c the centre. What lies outside repeats the nearest edge.

    Args:
      images: [batch, rows, columns, channels], floating.
      degrees: [batch].
    """
    return jax.vmap(_rotate_one)(images, degrees)


def _rotate_one(image: jax.Array, degrees: jax.Array) -> jax.Array:
    rows, columns = image.shape[:2]
    angle = jnp.deg2rad(degrees)
    y = jnp.arange(rows, dtype=jnp.float32)[:, None] - (rows - 1) / 2
    x = jnp.arange(columns, dtype=jnp.float32)[None, :] - (columns - 1) / 2
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    # Rows grow downwards, hence the signs: a positive angle turns counter-clockwise on screen.
    source = [
        cosine * y + sine * x + (rows - 1) / 2,
        cosine * x - sine * y + (columns - 1) / 2,
    ]
    turn = jax.vmap(
        lambda plane: map_coordinates(plane, source, order=1, mode="nearest"),
        in_axes=-1,
        out_axes=-1,
    )
    return turn(image)
