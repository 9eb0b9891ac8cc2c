"""The second look: whole trainings around a rate, judged by batches that they did not see.

A range test cannot know how long a training will be, and the best rate depends on it. Here every
candidate is trained for the planned number of steps with its rate annealed to zero by a cosine. The
rates lie on a lattice of quarters of a decade. With one share of the batches held out, rates half a
decade apart are tried to both sides until they are clearly worse, and the middle of those that are
about as good as the best is taken: it is as far from divergence as from standing still. Then all
shares are held out in turn, and the search moves to a neighbour, at half a decade and then at a
quarter, as long as that is better by more than the shares disagree.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

PER_DECADE = 4
COARSE = 2  # lattice steps between the first rates
ALIKE = 0.05  # relative loss within which rates are about as good
BETTER = 0.01  # relative loss that a move must gain
ERRORS = 0.5  # standard errors over the shares that a move must gain besides
LONGEST = 24  # moves

Judge = Callable[[Sequence[tuple[int, float]]], Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One rate, trained to the end.

    Attributes:
      rate: the peak of the cosine, per update.
      losses: on the batches held out, one for each share that was; infinite where it diverged.
    """

    rate: float
    losses: tuple[float, ...]


@dataclasses.dataclass
class _Table:
    """Losses by (share, place on the lattice), asked for once."""

    judge: Judge
    start: float
    lowest: int
    highest: int
    losses: dict[tuple[int, int], float] = dataclasses.field(default_factory=dict)

    def rate(self, place: int) -> float:
        return self.start * 10 ** (place / PER_DECADE)

    def ask(self, shares: Sequence[int], places: Sequence[int]) -> None:
        wanted = [(s, p) for p in places for s in shares if (s, p) not in self.losses]
        wanted = [(s, p) for s, p in wanted if self.lowest <= p <= self.highest]
        found = self.judge([(share, self.rate(place)) for share, place in wanted]) if wanted else ()
        self.losses.update(zip(wanted, map(float, found), strict=True))

    def scores(self, shares: Sequence[int], place: int) -> np.ndarray:
        """The loss for every share; infinite off the lattice."""
        return np.array([self.losses.get((share, place), math.inf) for share in shares])

    def unit(self, loss: float) -> float:
        """What a difference from this loss is a share of: the loss itself, where all are positive.

        Else it is the middle of the sizes of all losses.
        """
        known = [each for each in self.losses.values() if math.isfinite(each)]
        if not known or min(known) > 0:
            return abs(loss)
        return float(np.median(np.abs(known)))


def search(
    judge: Judge, start: float, low: float, high: float, shares: int
) -> tuple[float | None, tuple[float, float] | None, tuple[Trial, ...]]:
    """(best rate, the interval of rates about as good, all trials); None where all diverged.

    Args:
      judge: (share, rate) pairs -> the loss of each after training; those given together may run
        side by side.
      start: the rate to begin at.
      low, high: no rate outside is tried.
      shares: how many shares of the batches are held out in turn.
    """
    start = min(max(start, low), high)
    lowest = math.ceil(PER_DECADE * math.log10(low / start) - 1e-9)
    highest = math.floor(PER_DECADE * math.log10(high / start) + 1e-9)
    table = _Table(judge, start, lowest, highest)
    first, last = _alike(table)
    place = _refined(table, list(range(shares)), (first + last) // 2)
    if not np.isfinite(table.scores(range(shares), place)).all():
        return None, None, _trials(table)
    return table.rate(place), _interval(table, range(shares), place), _trials(table)


def _interval(table: _Table, shares: Sequence[int], place: int) -> tuple[float, float]:
    """Around `place` as far as rates are about as good, by all shares or, where that is not known,
    by the first; half a lattice step to each side is what the search cannot resolve."""
    good, here = _good(table), float(np.mean(table.scores(shares, place)))
    limit = here + ALIKE * table.unit(here)

    def alike(other: int) -> bool:
        known = all((share, other) in table.losses for share in shares)
        return float(np.mean(table.scores(shares, other))) <= limit if known else other in good

    known = sorted({other for _, other in table.losses})
    at = known.index(place)
    first = last = at
    while first > 0 and alike(known[first - 1]):
        first -= 1
    while last < len(known) - 1 and alike(known[last + 1]):
        last += 1
    half = 10 ** (0.5 / PER_DECADE)
    return table.rate(known[first]) / half, table.rate(known[last]) * half


def _alike(table: _Table) -> tuple[int, int]:
    """The first and last of the coarse places, on the first share, about as good as the best."""
    table.ask([0], [-COARSE, 0, COARSE])
    ends = [max(-COARSE, table.lowest), min(COARSE, table.highest)]
    for _ in range(LONGEST):
        good = _good(table)
        for side, direction in enumerate((-1, 1)):
            following = ends[side] + direction * COARSE
            lost = not good and direction > 0  # all diverged: only down can help
            open_end = not good or ends[side] in good
            if open_end and not lost and table.lowest <= following <= table.highest:
                table.ask([0], [following])
                ends[side] = following
                break
        else:
            break
    places = sorted(place for share, place in table.losses if share == 0)
    good = _good(table)
    first = last = min(range(len(places)), key=lambda k: table.losses[0, places[k]])
    while first > 0 and places[first - 1] in good:
        first -= 1
    while last < len(places) - 1 and places[last + 1] in good:
        last += 1
    return places[first], places[last]


def _good(table: _Table) -> set[int]:
    """The places about as good as the best, on the first share; none where all diverged."""
    tried = {place: loss for (share, place), loss in table.losses.items() if share == 0}
    best = min(tried.values())
    if not math.isfinite(best):
        return set()
    limit = best + ALIKE * table.unit(best)
    return {place for place, loss in tried.items() if loss <= limit}


def _refined(table: _Table, shares: Sequence[int], place: int) -> int:
    """From neighbour to neighbour while that gains more than chance on the shares would."""
    for stride in (COARSE, 1):
        for _ in range(LONGEST):
            around = [place - stride, place, place + stride]
            around = [each for each in around if table.lowest <= each <= table.highest]
            table.ask(shares, around)
            gains = {each: _gain(table, shares, place, each) for each in around if each != place}
            best = max(gains, key=lambda each: gains[each], default=place)
            if not gains or gains[best] <= BETTER:
                break
            place = best
    return place


def _gain(table: _Table, shares: Sequence[int], here: int, there: int) -> float:
    """How much less the loss is there, relative, less what chance on the shares may explain."""
    before, after = table.scores(shares, here), table.scores(shares, there)
    if not np.isfinite(after).all():
        return -math.inf
    if not np.isfinite(before).all():
        return math.inf
    gains = (before - after) / (table.unit(float(np.mean(before))) or 1.0)
    error = float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return float(np.mean(gains)) - ERRORS * error


def _trials(table: _Table) -> tuple[Trial, ...]:
    places = sorted({place for _, place in table.losses})
    return tuple(
        Trial(
            table.rate(place),
            tuple(loss for (_, p), loss in sorted(table.losses.items()) if p == place),
        )
        for place in places
    )
