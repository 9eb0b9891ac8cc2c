"""Averages of the parameters along the run: often better than the last ones, at the same cost.

Three compositions::

    ema_weights(adamw(1e-3), 0.999)                          # evaluation_params(state, params)
    swa(sgd(triangular(0.05, 0.01, 100)), start=1000, every=200)
    accumulate(ema_weights(adamw(1e-3)), 4)                  # averages emitted steps only
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from adaptax.core import branches, numerics, trees
from adaptax.core.step import Step
from adaptax.core.transformation import Transformation, transformation
from adaptax.wrappers.groups import check_transformation


class AverageState(NamedTuple):
    """State of `ema_weights` and `swa`; `evaluation_params` reads it."""

    step: jax.Array  # int32[], the number of updates made
    mass: jax.Array  # float32[], the weight averaged so far; 0 before the first average
    average: Any  # like the parameters, float32 or wider
    inner_state: Any


@transformation
def ema_weights(
    inner: Any, decay: Any = 0.999, debias: bool = True, every: int = 1
) -> Transformation:
    """Keep an exponential moving average of the parameters beside what `inner` does.

    a ← a + w (θ − a),  w = (1 − β)/(1 − βⁿ) at the n-th average;  w = 1 − β without `debias`

    θ is what the parameters become: (θ + u) in their own dtype, as `optax.apply_updates` rounds it.
    The updates are those of `inner`. That form is the debiased average itself, so the average of
    constant parameters is those parameters, to the bit, at every step.

    A float32 average stops following differences below 6e-8/(1 − β) of a weight: 6e-5 at 0.999,
    6e-3 at 0.99999. A larger `every` with a smaller β averages as long and loses less.

    The wrapper sees the updates that leave it: put it outermost, but inside of `accumulate`, which
    would otherwise count every micro-batch. Batch-norm statistics are not averaged.

    Args:
      inner: the transformation whose parameters are averaged; Optax's or ours.
      debias: False starts from the initial parameters, which keep the weight βⁿ.

    State: `AverageState`: 4 bytes a parameter and 8 more, and the state of `inner`.

    Raises:
      TypeError: not a transformation; a parameter that is not floating.
      ValueError: no `params` in update; updates that do not match them, with the paths.

    Source: Polyak and Juditsky 1992; Izmailov et al., arXiv 1803.05407, section 3.2; the debiasing
    of Kingma and Ba, arXiv 1412.6980, section 3. Without `debias`: PyTorch's `AveragedModel` but
    for its start, timm's `ModelEmaV3`.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.ema_weights(adaptax.sgd(0.5), decay=0.5)
        >>> params = jnp.asarray(1.0)
        >>> updates, state = tx.update(jnp.asarray(2.0), tx.init(params), params)
        >>> params = params + updates
        >>> updates, state = tx.update(jnp.asarray(-2.0), state, params)
        >>> params = params + updates
        >>> print(params, f"{adaptax.evaluation_params(state, params):.5f}")
        1.0 0.66667
    """
    check_transformation("ema_weights", "inner", inner)

    def weigh(number: jax.Array, mass: jax.Array) -> tuple[Any, jax.Array]:
        step = Step(number - 1, (mass,))
        if not debias:
            return step.complement(decay), jnp.ones_like(mass)
        absorbed = step.absorbed(decay).astype(mass.dtype)
        weight = step.complement(decay) / absorbed
        # (1 − β)/(1 − β¹) need not be 1 in float32, and a decay of 0 has no logarithm
        return jnp.where(mass == 0, jnp.ones_like(weight), weight), absorbed

    return _averaging("ema_weights", inner, every, every, weigh, start=None if debias else copied)


@transformation
def swa(inner: Any, start: int, every: int = 1) -> Transformation:
    """Keep the mean of the parameters after `start` updates and after every `every` further ones.

    a ← a + (θ − a)/n at the n-th average: a = (θ₁ + … + θₙ)/n

    θ is what the parameters become, as in `ema_weights`, which says where to put the wrapper. The
    updates are those of `inner`. With a cyclical rate, `every` is the length of a cycle; the
    updates up to `start` end one. Before deploying, compute batch-norm statistics anew.

    Args:
      inner: the transformation whose parameters are averaged; Optax's or ours.

    State: `AverageState`: 4 bytes a parameter and 8 more, and the state of `inner`; between two
      averages nothing of it is read or written.

    Raises:
      TypeError: not a transformation; a parameter that is not floating; steps that are not whole.
      ValueError: a step below 1; no `params` in update; updates that do not match them.

    Source: Izmailov et al., arXiv 1803.05407, algorithm 1.

    Example::

        >>> import adaptax
        >>> rate = adaptax.triangular(0.01, 0.05, 100)
        >>> tx = adaptax.swa(adaptax.sgd(rate, momentum=0.9), start=1000, every=200)
    """
    check_transformation("swa", "inner", inner)

    def weigh(number: jax.Array, mass: jax.Array) -> tuple[Any, jax.Array]:
        count = number.astype(mass.dtype)
        return 1.0 / count, count

    return _averaging("swa", inner, start, every, weigh, start=None)


def _averaging(
    where: str,
    inner: Any,
    first: int,
    every: int,
    weigh: Callable[[jax.Array, jax.Array], tuple[Any, jax.Array]],
    start: Callable[[Any], jax.Array] | None,
) -> Transformation:
    """Average after `first` updates and after every `every` further ones.

    `weigh(number of this average, mass before it)` gives its weight and the mass after it; `start`
    is what an array of the average starts from, zeros if it is None.
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: Any) -> AverageState:
        trees.check_inexact(params)
        average = jax.tree.map(start or zeros, params)
        mass = jnp.zeros((), numerics.scalar_dtype())
        return AverageState(jnp.zeros((), jnp.int32), mass, average, inner.init(params))

    def update(
        updates: Any, state: AverageState, params: Any = None, **extra: Any
    ) -> tuple[Any, AverageState]:
        check_params(where, state.average, params)
        u, inner_state = inner.update(updates, state.inner_state, params, **extra)
        theta = become(params, u)
        step = numerics.increment(state.step)

        def absorb() -> tuple[jax.Array, Any]:
            weight, mass = weigh((step - first) // every + 1, state.mass)
            return mass, towards(state.average, theta, weight)

        def keep() -> tuple[jax.Array, Any]:
            return state.mass, state.average

        due = (step >= first) & ((step - first) % every == 0)
        always = first == every == 1
        mass, average = absorb() if always else branches.either(due, absorb, keep)
        return u, AverageState(step, mass, average, inner_state)

    return Transformation(init, update)


def check_params(where: str, kept: Any, params: Any) -> None:
    """Raise a `ValueError` if there are no parameters, or others than those given to `init`."""
    if params is None:
        raise ValueError(f"{where}: it needs the parameters; call update(gradients, state, params)")
    trees.check_alike(kept, params, "parameters", "parameters given to init")


def become(params: Any, updates: Any) -> Any:
    """What `optax.apply_updates` makes of the parameters, as float32 or wider."""
    trees.check_alike(params, updates, "updates", "parameters")
    structure = jax.tree.structure(updates)
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(updates), strict=True)
    return structure.unflatten([_sum(jnp.asarray(p), jnp.asarray(u)) for p, u in pairs])


def _sum(p: jax.Array, u: jax.Array) -> jax.Array:
    """p + u in the dtype of p, widened.

    The compiler may drop a cast to 16 bits and back, and then averages what no parameter ever was;
    it may not drop this rounding.
    """
    total = _rounded(p, p.dtype) + _rounded(u, u.dtype).astype(numerics.wide(p.dtype))
    return _rounded(total, p.dtype)


def _rounded(x: jax.Array, dtype: Any) -> jax.Array:
    """The values that x has in a dtype, as float32 or wider."""
    x = numerics.widen(x)
    if numerics.wide(dtype) == dtype:
        return x
    kind = jnp.finfo(dtype)
    return lax.reduce_precision(x, kind.nexp, kind.nmant)


def towards(kept: Any, theta: Any, weight: Any) -> Any:
    """a + w (θ − a), in the structure and dtypes of what is kept."""

    def one(a: jax.Array, x: jax.Array) -> jax.Array:
        return a + numerics.times(x.astype(a.dtype) - a, weight)

    structure = jax.tree.structure(kept)
    pairs = zip(jax.tree.leaves(kept), jax.tree.leaves(theta), strict=True)
    return structure.unflatten([one(a, x) for a, x in pairs])


def zeros(p: Any) -> jax.Array:
    """Zeros, float32 or wider."""
    return numerics.full(p, 0.0, numerics.wide(jnp.result_type(p)))


def copied(p: Any) -> jax.Array:
    """The parameter itself, float32 or wider, in a buffer of its own; zeros for a mere shape."""
    if isinstance(p, jax.ShapeDtypeStruct):
        return zeros(p)
    return jnp.array(p, dtype=numerics.wide(jnp.result_type(p)), copy=True)
