"""What one optimizer step costs, by counting: equations, kernels, temporary memory, state.

Counts are the same on every run and every machine of a kind, so tests can hold them; times are
measured in `adaptax.lab.bench`.
"""

import collections
import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

_FUSION = re.compile(r" fusion\(")
_DONATED = (0, 2)  # parameters and state


@dataclasses.dataclass(frozen=True)
class Subject:
    """An optimizer whose whole step is measured: update and apply, compiled together.

    Attributes:
      name: whose it is.
      tx: any transformation of Optax's protocol.

    Example::

        >>> import adaptax
        >>> from adaptax.lab import cost
        >>> cost.equations_per_leaf(cost.Subject("sgd", adaptax.sgd(0.1)), 2, 3)
        2.0
    """

    name: str
    tx: optax.GradientTransformation

    def step(self, params: Any, grads: Any, state: Any) -> tuple[Any, Any]:
        """New parameters and new state."""
        updates, state = self.tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def lower(self, params: Any) -> Any:
        """The step on parameters of these shapes, traced and lowered, with its inputs donated."""
        state = jax.eval_shape(self.tx.init, params)
        return jax.jit(self.step, donate_argnums=_DONATED).lower(params, params, state)


def tree(shapes: list[tuple[int, ...]]) -> dict[str, jax.ShapeDtypeStruct]:
    """A float32 leaf of each shape, without memory behind it."""
    return {f"w{i}": jax.ShapeDtypeStruct(shape, jnp.float32) for i, shape in enumerate(shapes)}


def parameters(params: Any) -> int:
    """How many numbers a tree holds."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def equations(jaxpr: Any) -> int:
    """The equations of a jaxpr, those of every jaxpr inside it included."""
    return sum(1 + sum(map(equations, _inside(equation))) for equation in jaxpr.eqns)


def _inside(equation: Any) -> Iterator[Any]:
    for value in equation.params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(one, "jaxpr", one)
            if hasattr(inner, "eqns"):
                yield inner


def step_equations(subject: Subject, leaves: int) -> int:
    """The equations of a whole step on so many small leaves."""
    params = tree([(3, 3)] * leaves)
    state = jax.eval_shape(subject.tx.init, params)
    return equations(jax.make_jaxpr(subject.step)(params, params, state).jaxpr)


def equations_per_leaf(subject: Subject, few: int = 50, many: int = 150) -> float:
    """How many equations one more leaf adds: what tracing and compiling time grows with."""
    return _slope(lambda leaves: step_equations(subject, leaves), few, many)


def kernels(subject: Subject, leaves: int) -> int:
    """The fused loops of a compiled step on so many leaves, all of different shapes.

    On a CPU compiling takes nearly the same time for each, whatever is in it.
    """
    shapes = [(8 + i, 8 + 2 * i) for i in range(leaves)]
    return len(_FUSION.findall(subject.lower(tree(shapes)).compile().as_text()))


def kernels_per_leaf(subject: Subject, few: int = 2, many: int = 4) -> float:
    """How many fused loops one more leaf adds."""
    return _slope(lambda leaves: kernels(subject, leaves), few, many)


def _slope(count: Callable[[int], int], few: int, many: int) -> float:
    return (count(many) - count(few)) / (many - few)


def temporary_bytes(compiled: Any) -> int | None:
    """What a compiled step allocates beside its inputs and outputs; None where nobody knows."""
    found = compiled.memory_analysis()
    return None if found is None else int(found.temp_size_in_bytes)


def state_bytes(tx: optax.GradientTransformation, dtype: Any = jnp.float32) -> tuple[float, int]:
    """Bytes of state for each parameter of this dtype, and the bytes that do not grow with them."""
    sizes = collections.Counter[int]()
    for count in (1000, 2000):
        state = jax.eval_shape(tx.init, jax.ShapeDtypeStruct((count,), dtype))
        for leaf in jax.tree.leaves(state):
            sizes[count] += leaf.dtype.itemsize * int(np.prod(leaf.shape))
    grows = (sizes[2000] - sizes[1000]) / 1000
    return grows, int(sizes[1000] - 1000 * grows)
