"""Groups of parameters by their paths: what is done to each, and from when on.

Three compositions::

    by_path({"embed/**": adamw(1e-4), "**": adamw(1e-3)})
    by_path({"head/**": adamw(1e-3), "body/**": frozen_until(adamw(1e-4), 100)})
    gradual_unfreezing(adamw(1e-3), {"head/**": 0, "body/**": 100, "embed/**": 200})
"""

import inspect
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from adaptax.core import globs, numerics
from adaptax.core.transformation import Transformation, transformation
from adaptax.rates import forms
from adaptax.rates.rate import RateState


@transformation
def by_path(groups: dict[str, Any]) -> Transformation:
    """Apply to each parameter the transformation of the pattern that its path matches best.

    u = tₖ(g) over the parameters of pattern k, for every k

    A path is the keys joined by slashes, `encoder/layers/0/kernel`. In a pattern `*`, `?` and
    `[0-9]` stand for characters within one key, and `**` for any number of keys, also none. The
    most specific pattern wins, whatever the order: the one with more keys without a wildcard; then
    with more keys that are fixed in part; then with more characters fixed in those; then with more
    keys that are all wildcard but `**`; then with fewer stars.

    A transformation sees its group only: `clip_by_global_norm` in a group clips by the norm of that
    group. To clip by the norm of all, put it before: `chain(clip_by_global_norm(1.0), by_path(…))`.

    Args:
      groups: pattern -> transformation, at least one.

    State: `optax.partition`'s: `inner_states`, each group's state by its pattern. So
      `learning_rates` names rates by patterns, and `set_learning_rate` takes one as `label`.

    Raises:
      TypeError: not such a dict.
      ValueError: a pattern that cannot be read; in `init`, with the paths: a parameter that no
        pattern matches or several equally specific ones do, a pattern that matches no parameter.

    Optax: `partition(transforms, labels)`; PyTorch: parameter groups.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.by_path({"embed/**": adaptax.adamw(1e-4), "**": adaptax.adamw(1e-3)})
        >>> state = tx.init({"embed": {"table": jnp.ones(3)}, "head": jnp.ones(3)})
        >>> {label: f"{rate:.0e}" for label, rate in adaptax.learning_rates(state).items()}
        {'**': '1e-03', 'embed/**': '1e-04'}
    """
    check_patterns("by_path", "groups", groups, "a transformation")
    for pattern, tx in groups.items():
        check_transformation("by_path", repr(pattern), tx)
    patterns = tuple(groups)
    transforms: dict[Hashable, Any] = {**groups}
    made = optax.partition(transforms, lambda tree: _labels("by_path", patterns, tree))
    return Transformation(made.init, made.update)


def group_labels(patterns: Iterable[str], params: Any) -> Any:
    """The pattern that each parameter belongs to, as `by_path` groups them: a tree of labels.

    It shows the groups, and `find_learning_rate` and `optax.partition` take it as labels.

    Args:
      patterns: patterns, or a dict that has them as keys.
      params: a tree of parameters, or of their shapes.

    Raises:
      TypeError, ValueError: what `by_path` raises, too.

    Example::

        >>> import adaptax
        >>> params = {"embed": {"table": 0.0}, "head": {"kernel": 0.0, "bias": 0.0}}
        >>> adaptax.group_labels(["**", "**/bias"], params)
        {'embed': {'table': '**'}, 'head': {'bias': '**/bias', 'kernel': '**'}}
    """
    patterns = tuple(patterns)
    for pattern in patterns:
        globs.check("group_labels", pattern)
    return _labels("group_labels", patterns, params)


def _labels(where: str, patterns: tuple[str, ...], tree: Any) -> Any:
    chosen = globs.assign(where, patterns, globs.paths(tree))
    return jax.tree.unflatten(jax.tree.structure(tree), chosen)


class FrozenState(NamedTuple):
    """State of `frozen_until`."""

    step: jax.Array  # int32[], the number of updates made
    inner_state: Any  # as `init` made it until the thaw, but for the rate


@transformation
def frozen_until(inner: Any, step: int) -> Transformation:
    """Do not move before `step`; from there on, do what a fresh `inner` does.

    uₖ = −0 for k < step, which changes no bit of a parameter; then u = inner(g)

    At the thaw the state is what `init` makes: fresh moments, a fresh bias correction. The rate
    alone has gone on with the run, with its schedule and its controller: at the thaw it is
    schedule(step), and before, `learning_rate` reads what it would be. Other schedules, such as
    that of a weight decay, start at the thaw.

    Before it, gradients count as zero, whatever they are, NaN included, and controllers see those
    zeros (and the real `value=`). So what is kept stays zero where it starts from zero; what starts
    from another number shows one step with a zero gradient from it. A backend that flushes
    subnormal numbers, as XLA may on CPUs, flushes those of the parameters in any addition.

    `inner` is computed from the start. For `adamw` that takes up to ten operations more for each
    parameter array, but no memory and no further pass over it: the kernels are as many as without.

    Args:
      inner: any transformation; in one of Optax's a schedule of the rate starts at the thaw, too.
      step: the first update that moves; a whole number in [0, 2³¹).

    State: `FrozenState(step, inner_state)`; 4 bytes more than that of `inner`.

    Raises:
      TypeError: not a transformation, or a step that is not a whole number.
      ValueError: a negative step.

    Source: Howard and Ruder, arXiv 1801.06146, section 3.3, where it is applied group by group.

    Example::

        >>> import adaptax
        >>> later = adaptax.frozen_until(adaptax.adamw(1e-4), 100)
        >>> tx = adaptax.by_path({"head/**": adaptax.adamw(1e-3), "body/**": later})
    """
    check_transformation("frozen_until", "inner", inner)
    thaw = forms.whole("frozen_until", "step", step, "the first update that moves", least=0)
    inner = optax.with_extra_args_support(inner)

    def init(params: Any) -> FrozenState:
        return FrozenState(jnp.zeros((), jnp.int32), inner.init(params))

    def update(
        updates: Any, state: FrozenState, params: Any = None, **extra: Any
    ) -> tuple[Any, FrozenState]:
        after = numerics.increment(state.step)
        if thaw == 0:
            u, kept = inner.update(updates, state.inner_state, params, **extra)
            return u, FrozenState(after, kept)
        frozen = state.step < thaw
        # The state is exchanged where it goes in. Where it comes out, XLA would have to keep the
        # old and the new one at once: two arrays of the parameters' size and a multiple of the time
        fresh = inner.init(updates if params is None else params)
        starts = state.step <= thaw
        start = _but_rates(
            lambda old, new: lax.select(starts, _of_type(new, old.dtype), old),
            state.inner_state,
            fresh,
        )
        quiet = jax.tree.map(
            lambda g: lax.select(frozen, jnp.zeros_like(g), jnp.asarray(g)), updates
        )
        u, kept = inner.update(quiet, start, params, **extra)
        u = jax.tree.map(lambda x: lax.select(frozen, numerics.nothing(x), x), u)
        counted = _but_rates(lambda new, old: _scalar(frozen, old, new), kept, start)
        return u, FrozenState(after, counted)

    return Transformation(init, update)


def _but_rates(change: Callable[[Any, Any], Any], tree: Any, other: Any) -> Any:
    """`change` of every two arrays, but the first tree's nodes where they hold a rate."""

    def is_rate(node: Any) -> bool:
        return isinstance(node, RateState)

    def one(node: Any, counterpart: Any) -> Any:
        return node if is_rate(node) else change(jnp.asarray(node), jnp.asarray(counterpart))

    return jax.tree.map(one, tree, other, is_leaf=is_rate)


def _of_type(x: jax.Array, dtype: Any) -> jax.Array:
    return x if x.dtype == dtype else x.astype(dtype)  # random keys have no astype


def _scalar(frozen: jax.Array, old: jax.Array, new: jax.Array) -> jax.Array:
    """Counters stand while nothing moves; arrays stay by themselves, for their gradients are 0."""
    return new if new.ndim else lax.select(frozen, old, new)


@transformation
def gradual_unfreezing(inner: Any, steps: dict[str, int]) -> Transformation:
    """Let groups of parameters begin to move one after the other.

    by_path({pattern: frozen_until(inner, step), …})

    Each group starts with fresh moments, and `inner` sees its group only; the rest is as in
    `by_path` and `frozen_until`.

    Args:
      inner: the transformation of every group.
      steps: pattern -> the first update that moves these parameters; 0 is from the start.

    State: that of `by_path`; each group has a rate of its own, labelled by its pattern.

    Raises:
      TypeError, ValueError: what `by_path` and `frozen_until` raise.

    Source: Howard and Ruder, arXiv 1801.06146, section 3.3.

    Example::

        >>> import adaptax
        >>> order = {"head/**": 0, "body/**": 100, "embed/**": 200}
        >>> tx = adaptax.gradual_unfreezing(adaptax.adamw(1e-3), order)
    """
    check_transformation("gradual_unfreezing", "inner", inner)
    check_patterns("gradual_unfreezing", "steps", steps, "a step")
    meaning = "the first update that moves"
    for pattern, step in steps.items():
        forms.whole("gradual_unfreezing", f"steps[{pattern!r}]", step, meaning, least=0)
    return by_path({pattern: frozen_until(inner, step) for pattern, step in steps.items()})


def check_patterns(where: str, name: str, given: Any, of: str) -> None:
    """Raise an error if what is given is no dict from patterns."""
    if type(given) is not dict or not given:
        kind = ValueError if type(given) is dict else TypeError
        raise kind(
            f"{where}({name}={given!r}): {name} must be a dict that gives {of} for each pattern, "
            "such as {'head/**': …, '**': …}"
        )
    for pattern in given:
        globs.check(where, pattern)


def check_transformation(where: str, name: str, tx: Any) -> None:
    """Raise a `TypeError` if it is not a pair of `init` and `update`."""
    if isinstance(tx, tuple) and hasattr(tx, "init") and hasattr(tx, "update"):
        return
    hint = f"; call it first: {tx.__name__}(...)" if inspect.isfunction(tx) else ""
    raise TypeError(f"{where}: {name} is {tx!r}, not a transformation{hint}")
