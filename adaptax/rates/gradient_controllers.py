"""Controllers that look at gradients, directions and weights.

    sgd(hypergradient(0.01, beta=1e-4))       follow the derivative of the loss by the rate
    sgd(polyak(1.0))                          step as far as the loss is above its minimum
    adamw(update_ratio(1e-3))                 a fixed size of the step relative to the weights

Their inner products and norms are reductions over all parameters, between the rule and the step:
one more pass over the directions (and over what they are compared with) than a schedule costs.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from adaptax.core import numerics, trees
from adaptax.rates.control import Law, Seen, check_order, controller, metric, scalar


def _inner(a: Any, b: Any) -> jax.Array:
    """⟨a, b⟩ of two trees, accumulated in float32 or wider; the real part for complex arrays."""
    dtype = numerics.scalar_dtype()
    total = jnp.zeros((), dtype)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = numerics.widen(x), numerics.widen(y)
        product = x.real * y.real + x.imag * y.imag if jnp.iscomplexobj(x) else x * y
        total = total + jnp.sum(product, dtype=dtype)
    return total


def _ratio(top: jax.Array, divisor: jax.Array) -> jax.Array:
    """top/divisor, and 0 for a divisor of 0."""
    return numerics.quotient(top, divisor, positive=False) * (divisor != 0).astype(top.dtype)


class HypergradientState(NamedTuple):
    """Memory of `hypergradient`: two float32 scalars and one tree like the parameters."""

    change: jax.Array  # added to the base (additive) or what it is multiplied by (multiplicative)
    gain: jax.Array  # of the previous direction; 0 before the first
    direction: Any  # the previous direction without its gain, float32 or wider


@dataclasses.dataclass(frozen=True)
class _Hypergradient:
    base: Any
    beta: Any
    rule: str
    floor: Any
    ceiling: Any

    def init(self, params: Any) -> HypergradientState:
        def zeros(p: Any) -> jax.Array:
            return numerics.full(p, 0.0, numerics.wide(p.dtype))

        start = scalar(0.0 if self.rule == "additive" else 1.0)
        return HypergradientState(start, scalar(0.0), jax.tree.map(zeros, params))

    def absorb(self, memory: HypergradientState, base: jax.Array, seen: Seen) -> HypergradientState:
        slope = _inner(seen.gradients, memory.direction) * memory.gain  # −∂loss/∂rate
        if self.rule == "additive":
            change = memory.change + scalar(self.beta) * slope
        else:
            sizes = numerics.tree_norm(seen.gradients) * numerics.tree_norm(memory.direction)
            cosine = _ratio(slope, sizes * jnp.abs(memory.gain))
            change = memory.change * (1.0 + scalar(self.beta) * jnp.clip(cosine, -1.0, 1.0))
        change = jnp.where(jnp.isfinite(change), change, memory.change)
        change = self._within(change, base)
        gain = scalar(seen.gain)
        kept = jax.tree.map(
            lambda d, old: numerics.widen(d).astype(old.dtype), seen.directions, memory.direction
        )
        return HypergradientState(change, gain, kept)

    def _within(self, change: jax.Array, base: jax.Array) -> jax.Array:
        """The change that keeps the rate between floor and ceiling."""
        low, high = self._limits(base)
        if self.rule == "additive":
            return jnp.clip(change, low - base, high - base)
        unit = jnp.where(base > 0, base, jnp.ones_like(base))
        return jnp.where(base > 0, jnp.clip(change, low / unit, high / unit), change)

    def _limits(self, base: jax.Array) -> tuple[jax.Array, jax.Array]:
        most = scalar(jnp.finfo(base.dtype).max if self.ceiling is None else self.ceiling)
        return jnp.minimum(scalar(self.floor), base), most

    def read(self, memory: HypergradientState, base: jax.Array) -> jax.Array:
        change = memory.change
        rate = base + change if self.rule == "additive" else base * change
        return jnp.clip(rate, *self._limits(base))


@controller
def hypergradient(
    base: Any,
    beta: float = 1e-4,
    rule: str = "additive",
    floor: float = 0.0,
    ceiling: float | None = None,
) -> Law:
    """Move the rate down the derivative of the loss by the rate.

        η ← η + β ⟨gₜ, dₜ₋₁⟩                               additive
        η ← η · (1 + β ⟨gₜ, dₜ₋₁⟩ / (‖gₜ‖ ‖dₜ₋₁‖))         multiplicative

    dₜ₋₁ is the previous direction (θₜ₋₁ − θₜ₋₂ = −η dₜ₋₁), so ⟨gₜ, dₜ₋₁⟩ = −∂fₜ/∂η: while gradient
    and previous direction agree the rate grows. The sum or product so far is kept and applied to
    the base, whatever schedule that is. With decoupled weight decay or a momentum of the steps, d
    is the rule's direction alone.

    Args:
      beta: the rate's own rate; additive: in units of rate per unit of loss and rate, 1e-4 for
        losses and gradients near 1; multiplicative: the largest relative change a step, in [0, 1).
      rule: "additive" or "multiplicative". Default 'additive'.

    State: `HypergradientState`: two float32 scalars, and the previous direction, float32 or wider,
      4 bytes a parameter.

    Raises:
      TypeError: a base that is itself a controller.
      ValueError: a multiplicative beta of 1 or more; a ceiling below the floor.

    Source: Baydin et al., Online learning rate adaptation with hypergradient descent,
    arXiv 1703.04782: SGD-HD, SGDN-HD and Adam-HD, and the multiplicative rule.

    Example::

        >>> import adaptax
        >>> tx = adaptax.adam(adaptax.hypergradient(1e-3, beta=1e-7))
    """
    if rule == "multiplicative" and isinstance(beta, float | int) and beta >= 1:
        raise ValueError(
            f"hypergradient(beta={beta!r}): beta must be below 1 for the multiplicative rule, "
            "which could otherwise turn the rate negative"
        )
    check_order("hypergradient", floor, ceiling)
    return _Hypergradient(base, beta, rule, floor, ceiling)


class PolyakState(NamedTuple):
    """Memory of `polyak`: one float32 scalar, 4 bytes."""

    step_size: jax.Array  # the latest, before the cap; inf before the first


@dataclasses.dataclass(frozen=True)
class _Polyak:
    base: Any
    c: Any
    lower_bound: Any

    def init(self, params: Any) -> PolyakState:
        del params
        return PolyakState(scalar(jnp.inf))

    def absorb(self, memory: PolyakState, base: jax.Array, seen: Seen) -> PolyakState:
        del base
        loss = metric("polyak", seen)
        slope = _inner(seen.gradients, seen.directions) * scalar(seen.gain)
        above = jnp.maximum(loss - scalar(self.lower_bound), 0.0)
        size = above / (scalar(self.c) * jnp.where(slope > 0, slope, jnp.ones_like(slope)))
        size = jnp.where(slope > 0, size, jnp.where(slope == 0, scalar(jnp.inf), 0.0))
        measured = jnp.isfinite(loss) & jnp.isfinite(slope)
        return PolyakState(jnp.where(measured, size, memory.step_size))

    def read(self, memory: PolyakState, base: jax.Array) -> jax.Array:
        return jnp.minimum(memory.step_size, base)


@controller
def polyak(base: Any = 1.0, c: float = 0.5, lower_bound: float = 0.0) -> Law:
    """The stochastic Polyak step: as far as the loss of this batch is above its lower bound.

        η = min((f(θ) − f*) / (c ⟨g, d⟩), base)

    For plain SGD the direction is the gradient, ⟨g, d⟩ = ‖g‖², and this is SPS_max. For other rules
    ⟨g, d⟩ is what the loss falls by, to first order, per unit of rate. A direction that leads up
    (⟨g, d⟩ < 0, which momentum may do) is not taken: η = 0; ⟨g, d⟩ = 0 gives the base. A loss that
    is not finite keeps the step size of the update before; one at or below its bound gives η = 0.

    g must be the gradient of the loss itself. `adaptax.chain` sees to it behind a clip; with
    Optax's chain give it as `grad=`. Use one for all parameters: in groups, each would take the
    whole gap f(θ) − f* for its own.

    Args:
      base: the largest rate; a number in [0, inf) or a schedule. Default 1.0.
      c: a smaller one takes longer steps; a number in (0, inf), 0.5 or more in the paper.
        Default 0.5.
      lower_bound: f*, the lowest loss that a batch can have, in units of the loss. Default 0.0.

    State: `PolyakState`, one float32 scalar, 4 bytes.

    Raises:
      ValueError: in update, no `value=` (the loss that the gradients are of), or not a scalar.
      TypeError: a base that is itself a controller; a value that is no number.

    Source: Loizou et al., Stochastic Polyak step-size for SGD, arXiv 2002.10542, SPS_max
    (section 2.1); the preconditioned form: Abdukhakimov et al., arXiv 2310.06788.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.sgd(adaptax.polyak(10.0))
        >>> params = {"w": jnp.asarray([3.0, 4.0])}
        >>> loss = lambda p: 0.5 * jnp.sum(p["w"] ** 2)
        >>> updates, _ = tx.update(params, tx.init(params), params, value=loss(params))
        >>> updates["w"]  # one step to the minimum
        Array([-3., -4.], dtype=float32)
    """
    return _Polyak(base, c, lower_bound)


class UpdateRatioState(NamedTuple):
    """Memory of `update_ratio`: one float32 scalar, or one for each array, 4 bytes each."""

    ratio: Any  # ‖weights‖/‖direction‖ of the latest update; 1 before the first


@dataclasses.dataclass(frozen=True)
class _UpdateRatio:
    base: Any
    per_leaf: bool
    eps: Any

    def init(self, params: Any) -> UpdateRatioState:
        if not self.per_leaf:
            return UpdateRatioState(scalar(1.0))
        return UpdateRatioState(jax.tree.map(lambda _: scalar(1.0), params))

    def absorb(self, memory: UpdateRatioState, base: jax.Array, seen: Seen) -> UpdateRatioState:
        del base
        if seen.params is None:
            raise ValueError("update_ratio: params are needed; call update(updates, state, params)")
        trees.check_alike(seen.params, seen.directions, "updates", "parameters")
        gain = jnp.abs(scalar(seen.gain))
        if not self.per_leaf:
            return UpdateRatioState(self._ratio(seen.params, seen.directions, gain))
        directions = jax.tree.leaves(seen.directions)
        ratios = [
            self._ratio(p, d, gain)
            for p, d in zip(jax.tree.leaves(seen.params), directions, strict=True)
        ]
        return UpdateRatioState(jax.tree.structure(memory.ratio).unflatten(ratios))

    def _ratio(self, params: Any, directions: Any, gain: jax.Array) -> jax.Array:
        count = sum(leaf.size for leaf in jax.tree.leaves(params))
        least = scalar(self.eps) * count**0.5
        size = jnp.maximum(numerics.tree_norm(params), least)
        ratio = _ratio(size, numerics.tree_norm(directions) * gain)
        return jnp.where(jnp.isfinite(ratio), ratio, 0.0)

    def shares(self, memory: UpdateRatioState) -> Any:
        return memory.ratio if self.per_leaf else None

    def read(self, memory: UpdateRatioState, base: jax.Array) -> jax.Array:
        return base if self.per_leaf else base * memory.ratio


@controller
def update_ratio(base: Any = 1e-3, per_leaf: bool = False, eps: float = 1e-3) -> Law:
    """Keep the size of the step at a fixed part of the size of the weights.

        η = base · max(‖θ‖, ε√n) / ‖d‖,  so that ‖η d‖ / ‖θ‖ = base

    over all n parameters together, or over each array alone. With `per_leaf` the rate in the state
    is the base itself, and the ratios of the arrays are in the memory. The step is the rule's;
    decoupled weight decay comes on top, with the same rate.

    Args:
      base: the ratio that is kept; a number in [0, inf) or a schedule. Default 0.001.
      per_leaf: a rate of its own for each array. Default False.
      eps: the least root mean square that weights count with, so that zero weights can leave zero;
        in units of the weights, a number in [0, inf). Default 0.001.

    State: `UpdateRatioState`, one float32 scalar, 4 bytes; with `per_leaf` one for each array.

    Raises:
      ValueError: in update, no `params`.
      TypeError: a base that is itself a controller.

    Source: the trust ratio of LARS, You et al., arXiv 1708.03888, equation 6, here of the rule's
    direction; the ratio of 1e-3 as a rule of thumb is Karpathy's (CS231n notes).

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.adam(adaptax.update_ratio(0.01))
        >>> params = {"w": jnp.asarray([3.0, 4.0])}
        >>> updates, _ = tx.update({"w": jnp.asarray([1.0, 0.0])}, tx.init(params), params)
        >>> round(float(jnp.linalg.norm(updates["w"])), 6)  # 0.01 of ‖θ‖ = 5
        0.05
    """
    return _UpdateRatio(base, per_leaf, eps)
