"""The only assembly: rule → decoupled weight decay → rate → momentum of the steps.

Between the links everything stays in float32 or wider; the updates leave in the dtype in which the
gradients came.
"""

from typing import Any, NamedTuple

import jax
import optax

from adaptax.core import numerics, trees
from adaptax.core.rule import Lifted, Rule
from adaptax.core.transformation import Transformation, transformation
from adaptax.optimizers.decay import pull
from adaptax.rates.rate import RateState, next_rate, share_out, start_rate


class DescentState(NamedTuple):
    """State of every optimizer of the family; the fields are always the same four."""

    rule: Any  # what the rule keeps: count, mu, nu, …
    decay: Any  # () or the step of a scheduled weight decay
    rate: RateState  # the rate, readable and settable
    after: Any  # () or what the momentum of the steps keeps


class _Direction:
    """Any transformation in the place of a rule; its directions carry no gain."""

    def __init__(self, tx: Any):
        self.init, self._update = tx.init, optax.with_extra_args_support(tx).update

    def directions(self, updates: Any, state: Any, params: Any, **extra: Any) -> tuple:
        u, state = self._update(trees.widen(updates), state, params, **extra)
        return u, 1.0, state


@transformation
def descend(
    rule: Any,
    learning_rate: Any,
    weight_decay: Any = 0.0,
    mask: Any = None,
    after: Rule | None = None,
) -> Transformation:
    """An optimizer from its parts: u = −η (direction + λθ), where the rule gives the direction.

    Args:
      rule: a `Rule`, or any transformation that turns gradients into directions.
      mask: which leaves decay, as in `add_decayed_weights`; None for all.
      after: a rule for the steps themselves, as RMSprop's momentum; None for none.

    State: `DescentState(rule, decay, rate, after)`, the parts' own states; `()` where none is.

    Raises:
      TypeError: a parameter is not floating; the message has its path.
      ValueError: gradients that do not match the parameters, with the paths; a metric that a
        controller needs and that is missing.

    Example::

        >>> import adaptax
        >>> sign_like = adaptax.Rule(adaptax.Newest(), adaptax.Rms(adaptax.Newest(), eps=1e-8))
        >>> tx = adaptax.descend(sign_like, learning_rate=0.01)
    """
    if not isinstance(rule, Rule) and not (hasattr(rule, "init") and hasattr(rule, "update")):
        raise TypeError(f"descend(rule={rule!r}): a Rule or a transformation is needed")
    if after is not None and not isinstance(after, Rule):
        raise TypeError(f"descend(after={after!r}): a Rule or None is needed")
    first = Lifted(rule) if isinstance(rule, Rule) else _Direction(rule)
    last = None if after is None else Lifted(after)

    def decay(factor: Any) -> Transformation:
        return pull("weight_decay", weight_decay, mask, factor=factor)

    def init(params: Any) -> DescentState:
        return DescentState(
            first.init(params),
            decay(1.0).init(params),
            start_rate(learning_rate, params),
            () if last is None else last.init(params),
        )

    def update(
        updates: Any, state: DescentState, params: Any = None, **extra: Any
    ) -> tuple[Any, DescentState]:
        if params is not None:
            trees.check_alike(params, updates, "gradients", "parameters")
        u, gain, ruled = first.directions(updates, state.rule, params, **extra)
        shown = (updates, u, gain, params, extra)
        rate, rated = next_rate(learning_rate, state.rate, shown)
        # −η(gain·d + λθ) as (−η·gain)·d + (−η·λ)θ: two scalars, and no more operations an array
        down = -rate * gain
        u = jax.tree.map(lambda d: numerics.times(d, down), u)
        u, pulled = decay(-rate).update(u, state.decay, params)
        u = share_out(learning_rate, rated, u)
        traced = state.after
        if last is not None:
            u, gain, traced = last.directions(u, state.after)
            u = jax.tree.map(lambda d: numerics.times(d, gain), u)
        return trees.cast_like(u, updates), DescentState(ruled, pulled, rated, traced)

    return Transformation(init, update)
