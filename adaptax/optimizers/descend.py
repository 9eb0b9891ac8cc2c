"""The only assembly: rule → decoupled weight decay → rate → momentum of the steps.

Between the links everything stays in float32 or wider; the updates leave in the dtype in which the
gradients came.
"""

from typing import Any, NamedTuple

from adaptax.core import trees
from adaptax.core.rule import Rule, scale_by_rule
from adaptax.core.transformation import Transformation, transformation
from adaptax.optimizers.decay import add_decayed_weights
from adaptax.rates.rate import RateState, scale_by_rate


class DescentState(NamedTuple):
    """State of every optimizer of the family; the fields are always the same four."""

    rule: Any  # what the rule keeps: count, mu, nu, …
    decay: Any  # () or the step of a scheduled weight decay
    rate: RateState  # the rate, readable and settable
    after: Any  # () or what the momentum of the steps keeps


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

    State: `DescentState(rule, decay, rate, after)`; the parts' own states, `()` where there is none.

    Raises:
      TypeError: a parameter is not floating; the message has its path.
      ValueError: gradients that do not match the parameters, with the paths.

    Example::

        >>> import adaptax
        >>> sign_like = adaptax.Rule(adaptax.Newest(), adaptax.Rms(adaptax.Newest(), eps=1e-8))
        >>> tx = adaptax.descend(sign_like, learning_rate=0.01)
    """
    first = scale_by_rule(rule) if isinstance(rule, Rule) else rule
    decay = add_decayed_weights(weight_decay, mask)
    rate = scale_by_rate(learning_rate)
    last = None if after is None else scale_by_rule(after)

    def init(params: Any) -> DescentState:
        return DescentState(
            first.init(params),
            decay.init(params),
            rate.init(params),
            () if last is None else last.init(params),
        )

    def update(
        updates: Any, state: DescentState, params: Any = None, **extra: Any
    ) -> tuple[Any, DescentState]:
        if params is not None:
            trees.check_alike(params, updates, "gradients", "parameters")
        u = trees.widen(updates)
        u, ruled = first.update(u, state.rule, params, **extra)
        u, decayed = decay.update(u, state.decay, params)
        u, rated = rate.update(u, state.rate, params, **extra)
        traced = state.after
        if last is not None:
            u, traced = last.update(u, state.after, params)
        return trees.cast_like(u, updates), DescentState(ruled, decayed, rated, traced)

    return Transformation(init, update)
