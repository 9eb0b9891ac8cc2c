"""Rules: momentum ÷ preconditioner, for one array, and their one lift to trees.

A rule says where to go, not how far. Three of them:

    Rule(Trace(0.9))                                                 momentum
    Rule(Newest(), Rms(Total(0.1), inside=1e-7))                     AdaGrad
    Rule(Debiased(Ema(0.9)), Rms(Debiased(Ema(0.999)), eps=1e-8))    Adam
"""

import collections
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from adaptax.core import numerics, trees
from adaptax.core.accumulators import Accumulator, Kept
from adaptax.core.calls import part, registered
from adaptax.core.preconditioners import Belief, Preconditioner
from adaptax.core.step import Step
from adaptax.core.transformation import Transformation, transformation


@registered
@part
class Rule:
    """direction = reading of the momentum ÷ divisor of the preconditioner, for one array.

    Args:
      momentum: an accumulator of the gradient.
      scale: a preconditioner, or None to leave the direction as it is.

    Example::

        >>> from adaptax import Debiased, Ema, Rms, Rule, scale_by_rule
        >>> adam = scale_by_rule(Rule(Debiased(Ema(0.9)), Rms(Debiased(Ema(0.999)), eps=1e-8)))
    """

    momentum: Accumulator
    scale: Preconditioner | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.momentum, Accumulator):
            raise TypeError(f"Rule(momentum={self.momentum!r}): an accumulator is needed")
        if self.scale is not None and not isinstance(self.scale, Preconditioner):
            raise TypeError(f"Rule(scale={self.scale!r}): a preconditioner or None is needed")
        scale = getattr(self.scale, "inner", self.scale)
        if isinstance(scale, Belief) and not self.momentum.slots("mu"):
            raise ValueError(f"{self!r}: Belief needs a momentum that keeps an average")

    def slots(self) -> tuple[str, ...]:
        """The names of the arrays kept for each parameter, momentum's first."""
        first = self.momentum.slots("mu")
        second = self.scale.slots("nu") if self.scale else ()
        return first + tuple(f"{name}_of_scale" if name in first else name for name in second)

    def init(self, like: Any) -> Kept:
        """The arrays kept for one parameter."""
        dtype = numerics.wide(like.dtype)
        kept = self.momentum.init(like, dtype)
        return kept + (self.scale.init(like, dtype) if self.scale else ())

    def step(self, kept: Kept, g: jax.Array, step: Step) -> tuple[jax.Array, Any, Kept]:
        """The direction of one gradient, the scalar it still lacks, and what is kept."""
        split = len(self.momentum.slots("mu"))
        mu = self.momentum.absorb(kept[:split], g, step)
        top, correction = self.momentum.read(mu, g, step), self.momentum.correction(step)
        if self.scale is None:
            return top, step.once(self, "gain", lambda: 1.0 / correction), mu
        nu = self.scale.absorb(kept[split:], g, mu, step)
        return *self.scale.divide(top, correction, nu, g, step), mu + nu


@functools.cache
def state_type(fields: tuple[str, ...]) -> type:
    """The NamedTuple of a rule's state; Optax's own class where the fields are the same.

    Tools that look for Optax's class by type, such as ZeRO-1 sharding, then find it.
    """
    if fields == optax.ScaleByAdamState._fields:
        return optax.ScaleByAdamState
    made = collections.namedtuple("RuleState", fields)
    made.__reduce__ = lambda self: (_restate, (fields, tuple(self)))  # type: ignore[method-assign]
    made.__doc__ = f"State of scale_by_rule: {', '.join(fields)}."
    return made


def _restate(fields: tuple[str, ...], values: tuple) -> Any:
    return state_type(fields)(*values)


def _has_schedule(value: Any) -> bool:
    if dataclasses.is_dataclass(value):
        return any(_has_schedule(getattr(value, f.name)) for f in dataclasses.fields(value))
    return callable(value)


def _masses(rule: Rule) -> tuple[jax.Array, ...]:
    """The masses that have no closed form (those of scheduled decays), before the first step."""
    if not _has_schedule(rule):
        return ()
    step = Step(jnp.zeros((), jnp.int32))
    zero = jnp.zeros((), jnp.float32)
    _one(rule, zero, rule.init(zero), step)
    return tuple(jnp.zeros((), step.dtype) for _ in step.carrying)


class Lifted:
    """A rule on trees: the one place where the two meet. Gives directions and their common gain."""

    def __init__(self, rule: Rule):
        self.rule, self.slots = rule, rule.slots()

    def init(self, params: Any) -> Any:
        trees.check_inexact(params)
        leaves, treedef = jax.tree.flatten(params)
        kept = [self.rule.init(_array(p)) for p in leaves]
        arrays = [treedef.unflatten([k[i] for k in kept]) for i in range(len(self.slots))]
        masses = _masses(self.rule)
        fields = ("count", *self.slots) + (("mass",) if masses else ())
        return state_type(fields)(jnp.zeros((), jnp.int32), *arrays, *((masses,) if masses else ()))

    def directions(
        self, updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, Any, Any]:
        """The directions (wide), the gain they are still to be multiplied by, and the new state."""
        del params, extra
        trees.check_inexact(updates, "gradient")
        arrays = state[1 : 1 + len(self.slots)]
        if arrays:
            trees.check_alike(arrays[-1], updates, "gradients", "parameters given to init")
        leaves, treedef = jax.tree.flatten(updates)
        columns = [treedef.flatten_up_to(tree) for tree in arrays]
        step = Step(state.count, getattr(state, "mass", None))
        gain: Any = 1.0
        directions, kept = [], []
        for i, leaf in enumerate(leaves):
            before = tuple(column[i] for column in columns)
            direction, gain, after = _one(self.rule, numerics.widen(leaf), before, step)
            directions.append(direction)
            kept.append(after)
        after = [treedef.unflatten([k[i] for k in kept]) for i in range(len(self.slots))]
        mass = (tuple(step.carrying) or state.mass,) if hasattr(state, "mass") else ()
        count = numerics.increment(state.count)
        return treedef.unflatten(directions), gain, type(state)(count, *after, *mass)


@transformation
def scale_by_rule(rule: Rule) -> Transformation:
    """Turn gradients into the directions of a rule.

    uₜ = rule(g₁, …, gₜ), array by array

    Args:
      rule: a `Rule`.

    State: `count` int32[], then one tree like the parameters for each slot of the rule (`mu`, `nu`,
      `trace`, …), float32 or wider, 4 bytes a parameter each; `mass` only for scheduled decays that
      are bias-corrected.

    Raises:
      TypeError: a parameter is not floating; the message has its path.
      ValueError: the gradients do not match the parameters; the message has the paths.

    Example::

        >>> import adaptax
        >>> tx = adaptax.scale_by_rule(adaptax.Rule(adaptax.Trace(0.9)))
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"scale_by_rule({rule!r}): a Rule is needed")
    lifted = Lifted(rule)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        directions, gain, state = lifted.directions(updates, state)
        scaled = jax.tree.map(lambda d: numerics.times(d, gain), directions)
        return trees.cast_like(scaled, updates), state

    return Transformation(lifted.init, update)


def _array(leaf: Any) -> Any:
    return leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf)


def _one(rule: Rule, g: jax.Array, kept: Kept, step: Step) -> tuple[jax.Array, Any, Kept]:
    """One array's step: computed wide, kept in the dtypes it was kept in."""
    direction, gain, after = rule.step(tuple(_up(k, g.dtype) for k in kept), g, step)
    stored = tuple(new.astype(old.dtype) for new, old in zip(after, kept, strict=True))
    return direction, gain, stored


def _up(kept: jax.Array, dtype: Any) -> jax.Array:
    """What is kept, in the dtype to compute in; a real statistic of a complex one stays real."""
    return kept.astype(dtype if jnp.iscomplexobj(kept) else numerics.real(dtype))
