"""Gradient accumulation: one step of the optimizer for several micro-batches.

Three compositions::

    accumulate(chain(clip_by_global_norm(1.0), adamw(1e-3)), 4)      # clips the mean
    accumulate(ema_weights(adamw(1e-3)), 4)                          # averages emitted steps
    accumulate(adamw(1e-3), piecewise([1.0, 8.0], [1000]))           # a batch that grows
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from adaptax.core import branches, numerics, trees
from adaptax.core.transformation import Transformation, transformation
from adaptax.wrappers.groups import check_transformation


class Measured(NamedTuple):
    """The mean of a metric over the micro-batches of a window that measured it."""

    mean: jax.Array  # float32[]
    count: jax.Array  # int32[]


class AccumulateState(NamedTuple):
    """State of `accumulate`. The names are those of Optax's `MultiSteps` where it has them."""

    mini_step: jax.Array  # int32[], micro-batches of the present window, 0 between two windows
    gradient_step: jax.Array  # int32[], steps emitted
    absorbed: jax.Array  # int32[], micro-batches in the mean
    skipped: jax.Array  # int32[], micro-batches (or windows) skipped, ever
    emitted: jax.Array  # bool[], whether the latest update was a step of the inner optimizer
    metrics: dict[str, Measured]
    acc_grads: Any  # the mean, float32 or wider; what the last window left until the next begins
    inner_state: Any


@transformation
def accumulate(
    inner: Any, every: Any, skip: str = "batch", averaged: Any = ("value",)
) -> Transformation:
    """Run `inner` once for every k micro-batches, on the mean of their gradients.

    ḡ = (g₁ + … + gₖ)/k;  u = inner(ḡ) at the k-th micro-batch, u = −0 before it

    The mean is float32 or wider, whatever the gradients are, and `inner` gets it so; the updates
    have the dtype that `inner` gives to gradients as they came. Adding −0 leaves every bit of a
    parameter. Weight decay, schedules, moments and controllers in `inner` count emitted steps.

    A micro-batch with a NaN or infinity never enters the mean. With skip="batch" it is left out:
    the mean is over the finite ones of the window, and a window without any emits nothing. With
    skip="window" its whole window emits nothing. To find them costs one more reading of the
    gradients.

    Extra arguments: the numbers named in `averaged` reach `inner` as their means over the
    micro-batches in the mean, NaN meaning "not measured"; NaN if none measured it. `grad` is
    replaced by ḡ. All others are passed on from the window's last micro-batch.

    `inner` is in one branch of a `lax.cond` and is not computed in between. Under `vmap` each
    member has a condition of its own, and XLA computes both branches.

    Args:
      inner: the transformation to run on the mean; Optax's or ours.
      every: micro-batches a window, at least 1; or a schedule of the emitted steps, rounded to a
        whole number, where less than 1 counts as 1.
      averaged: names of extra arguments that are averaged; each must be a number when it is given.

    State: `AccumulateState`: 4 bytes a parameter for the mean and 21 bytes of counters, 8 for each
      name in `averaged`, and the state of `inner`. `emitted` tells whether the latest update was a
      step.

    Raises:
      TypeError: not a transformation; a parameter that is not floating; an averaged argument that
        is not a number.
      ValueError: `every` below 1; gradients that do not match the parameters, with the paths.

    Optax: `MultiSteps`, which runs `inner` on every micro-batch and keeps a NaN for ever.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.accumulate(adaptax.sgd(1.0), every=2)
        >>> params = jnp.zeros(())
        >>> state = tx.init(params)
        >>> for gradient in (1.0, 2.0):
        ...     updates, state = tx.update(jnp.asarray(gradient), state, params)
        ...     print(updates, state.emitted)
        -0.0 False
        -1.5 True
    """
    check_transformation("accumulate", "inner", inner)
    names = _names(averaged)
    inner = optax.with_extra_args_support(inner)

    def init(params: Any) -> AccumulateState:
        trees.check_inexact(params)
        scalar = numerics.scalar_dtype()
        return AccumulateState(
            mini_step=jnp.zeros((), jnp.int32),
            gradient_step=jnp.zeros((), jnp.int32),
            absorbed=jnp.zeros((), jnp.int32),
            skipped=jnp.zeros((), jnp.int32),
            emitted=jnp.zeros((), bool),
            metrics={n: Measured(jnp.zeros((), scalar), jnp.zeros((), jnp.int32)) for n in names},
            acc_grads=jax.tree.map(
                lambda p: numerics.full(p, 0.0, numerics.wide(_dtype(p))), params
            ),
            inner_state=inner.init(params),
        )

    def update(
        updates: Any, state: AccumulateState, params: Any = None, **extra: Any
    ) -> tuple[Any, AccumulateState]:
        trees.check_inexact(updates, "gradient")
        trees.check_alike(state.acc_grads, updates, "gradients", "parameters given to init")
        finite = _all_finite(updates)
        starts = state.mini_step == 0
        before = jnp.where(starts, 0, state.absorbed)
        absorbed = before + finite.astype(jnp.int32)
        mean = _absorb(state.acc_grads, updates, finite, before, absorbed)
        metrics = {
            name: _measure(name, state.metrics[name], extra.get(name), starts, finite)
            for name in names
        }
        seen = state.mini_step + 1
        # not `seen >= …`: a schedule that gives NaN would never end a window
        ends = ~(seen < _length(every, state.gradient_step))
        whole = absorbed == seen if skip == "window" else absorbed > 0
        emit = ends & whole
        passed = {**extra, **{n: metrics[n].mean for n in names if extra.get(n) is not None}}
        u, inner_state = _step(inner, emit, mean, updates, state.inner_state, params, passed)
        lost = ends & ~whole if skip == "window" else ~finite
        return u, AccumulateState(
            jnp.where(ends, 0, seen),
            jnp.where(emit, numerics.increment(state.gradient_step), state.gradient_step),
            absorbed,
            jnp.where(lost, numerics.increment(state.skipped), state.skipped),
            emit,
            metrics,
            jax.tree.unflatten(jax.tree.structure(state.acc_grads), jax.tree.leaves(mean)),
            inner_state,
        )

    return Transformation(init, update)


def _names(averaged: Any) -> tuple[str, ...]:
    given = isinstance(averaged, list | tuple)
    if not given or not all(isinstance(name, str) for name in averaged):
        raise TypeError(
            f"accumulate(averaged={averaged!r}): averaged must be a tuple of names of extra "
            "arguments, such as ('value',), or () for none"
        )
    if "grad" in averaged:
        raise ValueError(
            "accumulate(averaged=...): 'grad' is no number; it is replaced by the mean gradient "
            "anyway"
        )
    return tuple(averaged)


def _dtype(x: Any) -> Any:
    return x.dtype if hasattr(x, "dtype") else jnp.result_type(x)


def _length(every: Any, gradient_step: jax.Array) -> Any:
    """The length of the window as a number that a count of micro-batches is compared with."""
    if not callable(every):
        return jnp.asarray(every).astype(jnp.int32)
    length = jnp.asarray(every(gradient_step))
    # a float schedule's 4 may come out as 3.9999998
    return jnp.round(length.astype(jnp.float32)).astype(jnp.int32)


def _all_finite(tree: Any) -> jax.Array:
    finite = jnp.ones((), bool)
    for x in jax.tree.leaves(tree):
        finite = finite & jnp.all(jnp.isfinite(x))
    return finite


def _absorb(
    mean: Any, updates: Any, finite: jax.Array, before: jax.Array, absorbed: jax.Array
) -> Any:
    """The running mean with one micro-batch more; as it was where that one is not finite."""
    first = before == 0
    share = 1.0 / jnp.maximum(absorbed, 1).astype(numerics.scalar_dtype())

    def one(g: Any, m: jax.Array) -> jax.Array:
        g = numerics.widen(g).astype(m.dtype)
        # both products before the difference: g − m may overflow
        moved = m + (numerics.times(g, share) - numerics.times(m, share))
        # the first is taken as it is, to the bit, whatever the last window left in the mean
        return lax.select(finite, lax.select(first, g, moved), m)

    return jax.tree.map(one, updates, mean)


def _measure(
    name: str, kept: Measured, value: Any, starts: jax.Array, finite: jax.Array
) -> Measured:
    """The running mean of a metric; NaN while nothing was measured."""
    count = jnp.where(starts, 0, kept.count)
    mean = jnp.where(count == 0, jnp.nan, kept.mean)
    if value is None:
        return Measured(mean, count)
    value = _number(name, value).astype(mean.dtype)
    measured = finite & ~jnp.isnan(value)
    count = count + measured.astype(jnp.int32)
    share = 1.0 / jnp.maximum(count, 1).astype(mean.dtype)
    # not mean + (value − mean)·share, which makes NaN of an infinite loss
    moved = jnp.where(count == 1, value, mean * (1.0 - share) + value * share)
    return Measured(jnp.where(measured, moved, mean), count)


def _number(name: str, value: Any) -> jax.Array:
    known = isinstance(value, bool | int | float | np.generic | np.ndarray | jax.Array)
    number = jnp.asarray(value) if known else None
    if number is None or number.shape or jnp.iscomplexobj(number):
        raise TypeError(
            f"accumulate({name}={value!r}): {name} is averaged over the micro-batches and must be "
            "a number; leave it out of averaged= to pass on that of the last one"
        )
    return number


def _step(
    inner: Any, emit: jax.Array, mean: Any, updates: Any, state: Any, params: Any, extra: dict
) -> tuple[Any, Any]:
    """The inner optimizer's step on the mean, or nothing and its state as it was."""

    def run(grads: Any) -> tuple[Any, Any]:
        own = {"grad": grads} if "grad" in extra else {}
        return inner.update(grads, state, params, **{**extra, **own})

    # a precision wrapper gives float32 to 16-bit gradients, most others what came
    kinds = jax.eval_shape(lambda: run(updates)[0])

    def step() -> tuple[Any, Any]:
        u, after = run(mean)
        return jax.tree.map(lambda x, kind: x.astype(kind.dtype), u, kinds), _like(after, state)

    def nothing() -> tuple[Any, Any]:
        return jax.tree.map(lambda g, kind: numerics.nothing(g, kind.dtype), updates, kinds), state

    return branches.either(emit, step, nothing)


def _like(after: Any, before: Any) -> Any:
    """A state in the structure and dtypes that it had, which a mean in float32 may have widened."""
    old, structure = jax.tree.flatten(before)
    new = jax.tree.leaves(after)
    kept = [y if y.dtype == x.dtype else y.astype(x.dtype) for x, y in zip(old, new, strict=True)]
    return structure.unflatten(kept)
