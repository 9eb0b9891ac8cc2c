"""Guards: steps that must not happen do not happen, and can be seen not to have happened.

Three compositions::

    guard(adamw(1e-3))
    guard(chain(clip_by_zscore(), adamw(1e-3)))        # rejects what is not finite, clips spikes
    guard(optax.MultiSteps(adamw(1e-3), 4))            # skips the one bad batch of the four
"""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from adaptax.core import globs, numerics
from adaptax.core.transformation import Transformation, transformation
from adaptax.wrappers.groups import check_transformation

GRADIENT, OVERFLOW, UPDATE = 1, 2, 3


class GuardState(NamedTuple):
    """State of `guard`; scalars, and the state of what it guards."""

    step: jax.Array  # int32[], the number of updates asked for
    skipped: jax.Array  # int32[], those that were rejected
    consecutive: jax.Array  # int32[], the bad ones in a row up to now
    overflowed: jax.Array  # int32[], those with finite gradients whose square overflows
    halted: jax.Array  # bool[], whether there were max_consecutive bad ones in a row
    last: jax.Array  # int32[], the step of the latest rejected one; −1 before
    reason: jax.Array  # int32[], why: 1 gradient, 2 its square, 3 update; 0 before
    place: jax.Array  # int32[], where first: the checksum of the path
    inner_state: Any


@transformation
def guard(
    inner: Any, max_consecutive: int = 10, overflow: str = "reject", recompute: bool = True
) -> Transformation:
    """Reject each step whose gradients or updates are not finite: nothing moves, nothing is kept.

    u, s ← inner(g, s) if g and u are finite, else −0, s

    −0 changes no bit of a parameter, where `guard` is the outermost transformation; the state of
    `inner` keeps every bit, its counters and its rate included. However often it happens, nothing
    gets through that is not finite. After `max_consecutive` bad steps in a row `halted` is set and
    stays, until `clear_halted`, so that it is seen whenever one looks; good steps are applied as
    before. `guard_report` says what happened and where; `check_health` raises.

    A finite gradient can do as much harm: squares overflow from 1.8e19 on in float32 and bfloat16,
    from 256 on in float16, and one such entry stops its parameter for as long as a second moment
    remembers it. Such steps are counted in `overflowed`, and rejected too, unless
    `overflow="accept"`. But `max_consecutive` of them in a row are the size of this loss and no
    spike: from then on, as long as they come, they are applied, and `halted` says so.

    All gradients are looked at together: around `by_path` it rejects for all groups, inside for
    its group. Around `optax.MultiSteps` it skips the bad micro-batch; inside, Optax keeps the NaN.
    On several devices all must see the same gradients, as jitted code on sharded arrays does.

    In compiled code it costs no memory beside the updates themselves: `inner` is computed once for
    the test, without its state, and once more, in place, in the branch of a `lax.cond`. With
    `recompute=False` it is computed once, and XLA keeps a second copy of the state meanwhile; that
    is better where updates are long to compute (matrix roots, line searches) or under `vmap`,
    which makes a copy in any case.

    Args:
      inner: any transformation; extra arguments such as `value=` reach it.

    State: `GuardState`; 29 bytes more than that of `inner`.

    Raises:
      TypeError: not a transformation; a number that is not whole.
      ValueError: `max_consecutive` below 1; another `overflow`.

    Optax: `apply_if_finite` looks at gradients only, and accepts NaN after so many in a row.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx, params = adaptax.guard(adaptax.adam(0.1)), {"w": jnp.ones(2)}
        >>> _, state = tx.update({"w": jnp.array([1.0, jnp.nan])}, tx.init(params), params)
        >>> print(adaptax.guard_report(state, params))
        1 of 1 steps skipped (1 in a row), the latest at step 0: the gradient of w is not finite
    """
    check_transformation("guard", "inner", inner)
    inner, limits = optax.with_extra_args_support(inner), Limits(int(max_consecutive), overflow)

    def init(params: Any) -> GuardState:
        return start(inner.init(params))

    def update(
        updates: Any, state: GuardState, params: Any = None, **extra: Any
    ) -> tuple[Any, GuardState]:
        def run() -> tuple[Any, Any]:
            return inner.update(updates, state.inner_state, params, **extra)

        u, state, _ = guarded(run, updates, state, limits, recompute)
        return u, state

    return Transformation(init, update)


class Limits(NamedTuple):
    """When to be alarmed."""

    max_consecutive: int
    overflow: str


class Found(NamedTuple):
    """What is wrong in one tree."""

    bad: jax.Array  # bool[leaves]
    codes: np.ndarray  # int32[leaves], the checksums of the paths

    def any(self) -> jax.Array:
        return jnp.any(self.bad)

    def first(self) -> jax.Array:
        """The code of the first bad leaf."""
        if not len(self.codes):
            return jnp.zeros((), jnp.int32)
        return jnp.asarray(self.codes)[jnp.argmax(self.bad)]


def start(inner_state: Any) -> GuardState:
    """The state before the first step."""

    def count(first: int = 0) -> jax.Array:
        return jnp.full((), first, jnp.int32)

    return GuardState(
        step=count(),
        skipped=count(),
        consecutive=count(),
        overflowed=count(),
        halted=jnp.zeros((), bool),
        last=count(-1),
        reason=count(),
        place=count(),
        inner_state=inner_state,
    )


def guarded(
    run: Callable[[], tuple[Any, Any]],
    gradients: Any,
    state: GuardState,
    limits: Limits,
    recompute: bool,
) -> tuple[Any, GuardState, jax.Array]:
    """The updates and the state of `run()`, or none; and whether all gradients are finite."""
    names, sizes = _codes(gradients), _sizes(gradients)
    endless, large = Found(~(sizes < np.inf), names), Found(sizes >= _limits(gradients), names)
    u, kept = run()
    broken = Found(_not_finite(u), _codes(u))

    measured = ~endless.any()
    over = measured & large.any()
    unwanted = over if limits.overflow == "reject" else jnp.zeros_like(over)
    spike = unwanted & (state.consecutive < limits.max_consecutive)
    wrong = ~measured | broken.any()
    skip = wrong | spike
    row = jnp.where(wrong | unwanted, numerics.increment(state.consecutive), np.int32(0))

    def first(of_gradient: Any, of_square: Any, of_update: Any) -> jax.Array:
        return jnp.where(~measured, of_gradient, jnp.where(spike, of_square, of_update))

    def where(new: Any, old: jax.Array) -> jax.Array:
        return jnp.where(skip, new, old)

    why = first(np.int32(GRADIENT), np.int32(OVERFLOW), np.int32(UPDATE))
    place = first(endless.first(), large.first(), broken.first())
    u, inner_state = _choose(skip, run if recompute else None, u, kept, state.inner_state)
    return (
        u,
        GuardState(
            step=numerics.increment(state.step),
            skipped=where(numerics.increment(state.skipped), state.skipped),
            consecutive=row,
            overflowed=jnp.where(over, numerics.increment(state.overflowed), state.overflowed),
            halted=state.halted | (row >= limits.max_consecutive),
            last=where(state.step, state.last),
            reason=where(why, state.reason),
            place=where(place, state.place),
            inner_state=inner_state,
        ),
        measured,
    )


def _choose(skip: jax.Array, run: Callable | None, u: Any, kept: Any, old: Any) -> tuple[Any, Any]:
    """No updates and the old state, or those of the step.

    A select needs the old and the new state at once, two arrays of the parameters' size; XLA writes
    the state of a branch in place. Outside of compiled code there is nothing to gain, and a branch
    would be compiled anew at each step.
    """
    old = jax.tree.map(jnp.asarray, old)

    def still() -> tuple[Any, Any]:
        return jax.tree.map(numerics.nothing, u), old

    def moved(u: Any, kept: Any) -> tuple[Any, Any]:
        return jax.tree.map(jnp.asarray, u), jax.tree.map(_like, kept, old)

    if run is not None and isinstance(skip, jax.core.Tracer):
        # in this order: with the branches exchanged XLA:CPU copies the state
        return lax.cond(~skip, lambda: moved(*run()), still)
    return jax.tree.map(lambda a, b: lax.select(skip, a, b), still(), moved(u, kept))


def _like(new: Any, old: jax.Array) -> jax.Array:
    """In the dtype of the state, which must not change; random keys have no astype."""
    new = jnp.asarray(new)
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def _inexact(tree: Any) -> list[jax.Array]:
    """The arrays, real: of a complex entry, the larger part; zero where nothing can be wrong."""
    arrays = [jnp.asarray(x) for x in jax.tree.leaves(tree)]
    return [_real(x) if x.size and _is_inexact(x) else jnp.zeros(()) for x in arrays]


def _is_inexact(x: jax.Array) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.inexact))


def _real(x: jax.Array) -> jax.Array:
    return lax.max(lax.abs(x.real), lax.abs(x.imag)) if jnp.iscomplexobj(x) else x


def _sizes(tree: Any) -> jax.Array:
    """The largest |x| of each array, NaN where an entry is NaN: one pass finds both faults."""
    dtype = numerics.scalar_dtype()
    each = [lax.reduce_max(lax.abs(x), tuple(range(x.ndim))) for x in _inexact(tree)]
    return jnp.stack([size.astype(dtype) for size in each]) if each else jnp.zeros((0,), dtype)


def _limits(tree: Any) -> np.ndarray:
    """From where on the square of an entry overflows in the array's own dtype."""
    ends = [2.0 ** (jnp.finfo(x.dtype).maxexp / 2) for x in _inexact(tree)]
    return np.asarray(ends, numerics.scalar_dtype())


def _not_finite(tree: Any) -> jax.Array:
    each = [lax.reduce_and(lax.is_finite(x), tuple(range(x.ndim))) for x in _inexact(tree)]
    return ~jnp.stack(each) if each else jnp.zeros((0,), bool)


def code(path: str) -> int:
    """A path as a number that a state can hold.

    The place in the tree would not do: inside `by_path` a tree is only a part of the whole one.
    """
    return zlib.crc32(path.encode()) & 0x7FFFFFFF


def _codes(tree: Any) -> np.ndarray:
    return np.asarray([code(path) for path in globs.paths(tree)], np.int32)
