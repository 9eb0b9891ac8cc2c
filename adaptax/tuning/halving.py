"""Successive halving: many rates for few steps, the better of them for more, the best for all."""

import dataclasses
import math
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Rung:
    """One rung: `members` rates have made `steps` steps when it is judged."""

    steps: int
    members: int


def rungs(members: int, steps: int, eta: int | None) -> tuple[Rung, ...]:
    """The rungs for so many rates, each of the last rung making all steps.

        rung i of 0 … s:  ⌊members / etaⁱ⌋ rates at ⌊steps / etaˢ⁻ⁱ⌋ steps,  s = ⌊log_eta members⌋

    There are fewer rungs where the first would have no step.

    Args:
      members: how many rates there are at first, at least 1.
      steps: of a whole training, at least 1.
      eta: one in `eta` goes on from a rung to the next, at least 2; None has one rung only.

    Source: Jamieson, Talwalkar, Non-stochastic Best Arm Identification, arXiv 1502.07943, figure 3;
      the sizes as in Li et al., Hyperband, arXiv 1603.06560, algorithm 1.

    Example::

        >>> from adaptax.tuning import halving
        >>> [(rung.members, rung.steps) for rung in halving.rungs(9, 90, 3)]
        [(9, 10), (3, 30), (1, 90)]
    """
    last = 0
    while eta is not None and eta ** (last + 1) <= min(members, steps):
        last += 1
    power = 1 if eta is None else eta
    return tuple(Rung(steps // power ** (last - i), members // power**i) for i in range(last + 1))


def survivors(losses: Sequence[float], most: int) -> list[int]:
    """Which members go on: at most `most` of those with a finite loss, the lowest ones, in order.

    Of equal losses the first goes on.

    Example::

        >>> from adaptax.tuning import halving
        >>> halving.survivors([2.0, float("inf"), 1.0, 3.0], most=2)
        [0, 2]
    """
    finite = [i for i, loss in enumerate(losses) if math.isfinite(loss)]
    return sorted(sorted(finite, key=lambda i: losses[i])[:most])
