"""Controllers that follow a metric, given to the update as `value=`.

    adamw(plateau(1e-3, patience=5))                          lower it when the metric stalls
    adamw(plateau(warmup_cosine(1e-3, 100, 5000)))            the same on top of a schedule
    sgd(best_or_back_off(0.1))                                keep it while the metric improves

A metric that is NaN, or infinitely good, was not measured: nothing changes. So a validation loss
can be fed once an epoch from inside a jitted step that passes NaN otherwise. An infinitely bad
metric is a bad one.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.rates.control import Law, Seen, check_order, controller, metric, scalar

_LEAST, _MOST = 1e-30, 1e30  # of a factor: a product that reached 0 or inf would stay there


class PlateauState(NamedTuple):
    """Memory of `plateau`: six float32 scalars, 24 bytes."""

    best: jax.Array  # the best metric so far, as something to minimise; inf before the first
    bad: jax.Array  # measurements in a row that were not better
    cooldown: jax.Array  # measurements for which bad ones still do not count
    factor: jax.Array  # what the base is multiplied by
    sum: jax.Array  # of the measurements in the unfinished window, each divided by its length
    count: jax.Array  # measurements in the unfinished window


@dataclasses.dataclass(frozen=True)
class _Plateau:
    name: str
    base: Any
    factor: Any
    patience: int
    threshold: Any
    threshold_mode: str
    mode: str
    cooldown: int
    floor: Any
    window: int

    def init(self, params: Any) -> PlateauState:
        del params
        return PlateauState(*map(scalar, (np.inf, 0.0, 0.0, 1.0, 0.0, 0.0)))

    def absorb(self, memory: PlateauState, base: jax.Array, seen: Seen) -> PlateauState:
        del base
        given = metric(self.name, seen)
        loss = given if self.mode == "min" else -given
        measured = loss > -np.inf  # neither NaN nor infinitely good
        total = memory.sum + jnp.where(measured, loss, 0.0) / self.window
        count = memory.count + measured.astype(total.dtype)
        full = count >= self.window
        judged = self._judge(memory, total)
        kept = memory._replace(sum=total, count=count)
        return PlateauState(*(jnp.where(full, a, b) for a, b in zip(judged, kept, strict=True)))

    def _judge(self, memory: PlateauState, loss: jax.Array) -> PlateauState:
        """PyTorch's `ReduceLROnPlateau.step`, with the threshold relative to |best|."""
        known = jnp.isfinite(memory.best)
        margin = scalar(self.threshold)
        if self.threshold_mode == "rel":
            margin = margin * jnp.where(known, jnp.abs(memory.best), 0.0)
        better = loss < memory.best - jnp.where(known, margin, 0.0)
        cooling = memory.cooldown > 0
        bad = jnp.where(better | cooling, 0.0, memory.bad + 1)
        lower = bad > self.patience
        return PlateauState(
            best=jnp.where(better, loss, memory.best),
            bad=jnp.where(lower, 0.0, bad),
            cooldown=jnp.where(lower, float(self.cooldown), jnp.maximum(memory.cooldown - 1, 0)),
            factor=jnp.where(lower, memory.factor * scalar(self.factor), memory.factor),
            sum=jnp.zeros_like(memory.sum),
            count=jnp.zeros_like(memory.count),
        )

    def read(self, memory: PlateauState, base: jax.Array) -> jax.Array:
        return jnp.maximum(base * memory.factor, jnp.minimum(scalar(self.floor), base))


@controller
def plateau(
    base: Any,
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    mode: str = "min",
    cooldown: int = 0,
    floor: float = 0.0,
    window: int = 1,
) -> Law:
    """Lower the rate when a metric has stopped improving; PyTorch's `ReduceLROnPlateau`.

        rate = max(base · factorⁿ, min(floor, base)),  n: how often the metric stalled

    A measurement is better if it is below best − threshold · |best| ("rel") or best − threshold
    ("abs"), upside down for mode "max". What then happens:

    | measurement | best | bad in a row | rate |
    |---|---|---|---|
    | NaN, or infinitely good | – | – | – |
    | better | becomes it | 0 | – |
    | not better, during the cooldown | – | 0 | – |
    | not better, bad ≤ patience now | – | + 1 | – |
    | not better, bad > patience now | – | 0 | · factor, and the cooldown starts |

    Differences from PyTorch: the threshold is relative to |best|, so a negative metric can improve;
    NaN and infinitely good metrics count as not measured; a floor above the base does not raise the
    rate; and there is no `eps` below which a reduction is ignored.

    State: `PlateauState`, six float32 scalars, 24 bytes, whatever the parameters' dtype.

    Raises:
      ValueError: in update, no `value=`, or one that is not a scalar.
      TypeError: a base that is itself a controller; a value that is no number.

    Source: `torch.optim.lr_scheduler.ReduceLROnPlateau` (PyTorch 2.13); the averaging of a window
    is that of `optax.contrib.reduce_on_plateau`.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.sgd(adaptax.plateau(0.1, factor=0.5, patience=1))
        >>> params = {"w": jnp.ones(3)}
        >>> state = tx.init(params)
        >>> for loss in [1.0, float("nan"), 1.0, 1.0]:
        ...     _, state = tx.update(params, state, params, value=loss)
        >>> float(adaptax.learning_rate(state))
        0.05000000074505806
    """
    return _Plateau(
        "plateau", base, factor, int(patience), threshold, threshold_mode, mode,
        int(cooldown), floor, int(window),
    )  # fmt: skip


@controller
def best_or_back_off(base: Any, factor: float = 0.5, mode: str = "min", floor: float = 0.0) -> Law:
    """Keep the rate while the validation metric sets new bests, multiply it when it does not.

        rate ← rate · factor  whenever the metric is not better than the best so far

    The rule of practical guides: feed a validation metric once an epoch, NaN in between. It is
    `plateau` without patience, threshold and cooldown.

    State: `PlateauState`, six float32 scalars, 24 bytes.

    Raises:
      ValueError: in update, no `value=`, or one that is not a scalar.
      TypeError: a base that is itself a controller; a value that is no number.

    Source: Bengio, Practical recommendations for gradient-based training, arXiv 1206.5533,
    section 3.1.

    Example::

        >>> import adaptax
        >>> tx = adaptax.sgd(adaptax.best_or_back_off(0.1, factor=0.5))
    """
    return _Plateau("best_or_back_off", base, factor, 0, 0.0, "abs", mode, 0, floor, 1)


class BoldDriverState(NamedTuple):
    """Memory of `bold_driver`: two float32 scalars, 8 bytes."""

    previous: jax.Array  # the latest measurement; inf before the first
    factor: jax.Array  # what the base is multiplied by


@dataclasses.dataclass(frozen=True)
class _BoldDriver:
    base: Any
    up: Any
    down: Any
    floor: Any
    ceiling: Any

    def init(self, params: Any) -> BoldDriverState:
        del params
        return BoldDriverState(scalar(np.inf), scalar(1.0))

    def absorb(self, memory: BoldDriverState, base: jax.Array, seen: Seen) -> BoldDriverState:
        loss = metric("bold_driver", seen)
        measured = loss > -np.inf
        infinite = loss == np.inf
        judged = measured & (infinite | jnp.isfinite(memory.previous))
        worse = infinite | (loss > memory.previous)
        turn = jnp.where(worse, scalar(self.down), scalar(self.up))
        factor = self._within(memory.factor * turn, base)
        return BoldDriverState(
            jnp.where(measured, loss, memory.previous), jnp.where(judged, factor, memory.factor)
        )

    def _within(self, factor: jax.Array, base: jax.Array) -> jax.Array:
        """A factor far outside of floor and ceiling would be long in coming back."""
        unit = jnp.where(base > 0, base, jnp.ones_like(base))
        low = jnp.minimum(scalar(self.floor) / unit, 1.0)
        high = scalar(_MOST) if self.ceiling is None else scalar(self.ceiling) / unit
        inside = jnp.clip(factor, jnp.maximum(low, _LEAST), jnp.minimum(high, _MOST))
        return jnp.where(base > 0, inside, factor)

    def read(self, memory: BoldDriverState, base: jax.Array) -> jax.Array:
        rate = jnp.maximum(base * memory.factor, jnp.minimum(scalar(self.floor), base))
        return rate if self.ceiling is None else jnp.minimum(rate, scalar(self.ceiling))


@controller
def bold_driver(
    base: Any,
    up: float = 1.05,
    down: float = 0.5,
    floor: float = 0.0,
    ceiling: float | None = None,
) -> Law:
    """Raise the rate a little after a step that lowered the loss, cut it after one that did not.

        rate ← rate · up,    loss ≤ the previous loss
        rate ← rate · down,  loss > the previous loss, or infinite

    For losses with little noise, such as full-batch ones. A step that raised the loss is not taken
    back.

    State: `BoldDriverState`, two float32 scalars, 8 bytes.

    Raises:
      ValueError: in update, no `value=`, or one that is not a scalar; a ceiling below the floor.
      TypeError: a base that is itself a controller; a value that is no number.

    Source: Vogl et al., Accelerating the convergence of the back-propagation method, Biological
    Cybernetics 59, 1988; Battiti, Neural Computation 4, 1992, section 2.

    Example::

        >>> import adaptax
        >>> tx = adaptax.sgd(adaptax.bold_driver(0.01, ceiling=1.0))
    """
    check_order("bold_driver", floor, ceiling)
    return _BoldDriver(base, up, down, floor, ceiling)
