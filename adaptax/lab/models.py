"""The lab's networks, in Flax nnx.

Weights before a ReLU start from He's normal distribution, variance 2 / fan-in, so that activations
keep their size from layer to layer; biases start at zero. Dropout is active after `model.train()`
and off after `model.eval()`.

Source: He, Zhang, Ren, Sun, Delving Deep into Rectifiers, ICCV 2015, section 2.2.
"""

import itertools

import jax
from flax import nnx

he_normal = nnx.initializers.he_normal


def _check_dropout(where: str, dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(f"{where}(dropout={dropout!r}): a share in [0, 1) is needed")


class LeNet5(nnx.Module):
    """LeCun's convolutional network with ReLU and max-pooling.

    Two 5 x 5 convolutions (6 and 16 channels), each halved by pooling; then 120, 84, the classes.

    Args:
      shape: (rows, columns, channels) of one image.
      classes: number of outputs.
      padding: "VALID" as in the paper, for images of 32 x 32; "SAME" for small ones.
      dropout: share of hidden units silenced in training, in [0, 1).
      rngs: where initial weights and dropout draw from.

    Raises:
      ValueError: a share outside [0, 1), or images too small for the padding.

    Source: LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning, Proc. IEEE 1998, section II.

    Example::

        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from adaptax.lab.models import LeNet5
        >>> LeNet5((8, 8, 1), padding="SAME", rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 1))).shape
        (2, 10)
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int = 10,
        *,
        padding: str = "VALID",
        dropout: float = 0.0,
        rngs: nnx.Rngs,
    ):
        _check_dropout("LeNet5", dropout)
        rows, columns, channels = shape
        left = [_pooled(_pooled(size, padding), padding) for size in (rows, columns)]
        if padding not in ("SAME", "VALID") or min(left) < 1:
            raise ValueError(
                f"LeNet5(shape={shape}, padding={padding!r}): use 'VALID' from 16 x 16 upwards, "
                "'SAME' from 4 x 4"
            )
        kernel = {"kernel_size": (5, 5), "padding": padding, "kernel_init": he_normal()}
        self.conv1 = nnx.Conv(channels, 6, **kernel, rngs=rngs)
        self.conv2 = nnx.Conv(6, 16, **kernel, rngs=rngs)
        self.dense1 = nnx.Linear(16 * left[0] * left[1], 120, kernel_init=he_normal(), rngs=rngs)
        self.dense2 = nnx.Linear(120, 84, kernel_init=he_normal(), rngs=rngs)
        self.dense3 = nnx.Linear(84, classes, kernel_init=he_normal(), rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        for conv in (self.conv1, self.conv2):
            images = nnx.max_pool(nnx.relu(conv(images)), (2, 2), (2, 2))
        hidden = images.reshape(images.shape[0], -1)
        for dense in (self.dense1, self.dense2):
            hidden = self.dropout(nnx.relu(dense(hidden)))
        return self.dense3(hidden)


def _pooled(size: int, padding: str) -> int:
    """What is left of one side after a 5 x 5 convolution and pooling by two."""
    return (size - 4 if padding == "VALID" else size) // 2


class MLP(nnx.Module):
    """Dense layers with ReLU between them; inputs of any shape are flattened.

    Args:
      sizes: inputs, hidden layers, outputs; at least two numbers.
      dropout: share of hidden units silenced in training, in [0, 1).
      rngs: where initial weights and dropout draw from.

    Raises:
      ValueError: fewer than two sizes, or a share outside [0, 1).

    Example::

        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from adaptax.lab.models import MLP
        >>> MLP((64, 32, 10), rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 1))).shape
        (2, 10)
    """

    def __init__(self, sizes: tuple[int, ...], *, dropout: float = 0.0, rngs: nnx.Rngs):
        _check_dropout("MLP", dropout)
        if len(sizes) < 2:
            raise ValueError(f"MLP(sizes={sizes!r}): at least inputs and outputs are needed")
        self.layers = nnx.List(
            nnx.Linear(fan_in, fan_out, kernel_init=he_normal(), rngs=rngs)
            for fan_in, fan_out in itertools.pairwise(sizes)
        )
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        hidden = inputs.reshape(inputs.shape[0], -1)
        for layer in self.layers[:-1]:
            hidden = self.dropout(nnx.relu(layer(hidden)))
        return self.layers[-1](hidden)


class LinearRegression(nnx.Module):
    """One number per example: w . x + b.

    Args:
      inputs: numbers per example.
      rngs: where the initial weights draw from.
    """

    def __init__(self, inputs: int, *, rngs: nnx.Rngs):
        self.linear = nnx.Linear(inputs, 1, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.linear(inputs)[:, 0]
