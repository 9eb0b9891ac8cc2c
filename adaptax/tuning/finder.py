"""The learning-rate finder: a range test, and on request short trainings around what it shows."""

import dataclasses
import math
import numbers
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from adaptax.core import registry, trees
from adaptax.optimizers.family import adamw
from adaptax.tuning import engine, rules, supply, trials
from adaptax.tuning.engine import Factory, Groups, Plan
from adaptax.tuning.meter import Meter
from adaptax.tuning.objective import Objective
from adaptax.tuning.range_test import judged
from adaptax.tuning.result import RateTest
from adaptax.tuning.supply import Supply

SHARE = 5  # one batch in five is held out
EXPECTED = 28  # trainings that a search takes, for the progress bar


def find_learning_rate(
    loss_fn: Callable[..., Any],
    params: Any,
    batches: Iterable[Any],
    optimizer: Factory = adamw,
    *,
    model_state: Any = None,
    key: Any = None,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    repeats: int = 5,
    horizon: int | None = None,
    eval_fn: Callable[..., Any] | None = None,
    labels: Any = None,
    others: Mapping[Hashable, float] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Any:
    """Find the learning rate for an optimizer, a model and data.

    The range test trains while the rate rises,

        rate(k) = low (high/low)^(k/(steps − 1)),  k = 0 … steps − 1,

    `repeats` times over batches in different orders, and recommends a tenth of the rate at which
    the smoothed loss is lowest. That costs `repeats · steps` training steps and is right to within
    a factor of a few. How long the real training will be decides the rest: with `horizon` about
    twenty-eight trainings of that many steps, the rate annealed by a cosine, look for the rate
    whose loss on held-out batches is lowest (see `adaptax.tuning.trials`). Without the time for
    that, take the range test's answer, or fewer `repeats`.

    Nothing that is passed in changes, whatever happens, but for an iterator of batches, which is
    read. The same call gives the same numbers. The rate is an argument of one compiled step, so a
    second call with the same functions and shapes compiles nothing, other `low` and `high`
    included. On a CPU that step is called in a loop, one repeat after another; elsewhere the
    repeats run side by side in a `lax.scan`.

    Args:
      loss_fn: `loss_fn(params, batch)` -> scalar loss. With `model_state`: `loss_fn(params,
        model_state, batch)` -> (loss, new_model_state). With `key` one more last argument, a key.
      params: initial parameters, a tree of floating arrays.
      batches: each a tree of arrays of one shape. A list is used whole; of any other iterable the
        first `steps` (or `horizon`, if larger) are taken and held. Too few are cycled, in a new
        random order each time. A batch with fewer examples than the first is left out. With
        `horizon` no example may be in two batches: give one epoch.
      optimizer: a function from the rate to an optimizer, which takes it first or as
        `learning_rate`; arguments of its own by `functools.partial(adaptax.sgd, momentum=0.9)`.
        It has to use that rate at every step: one that makes a schedule of it, such as
        `lambda rate: adaptax.sgd(adaptax.one_cycle(rate, 100))`, would follow the steps of the
        test, and is refused. A controller is all right if it starts at the rate.
      model_state: what the model keeps besides its parameters; None for none.
      key: for dropout and the like; None if the loss takes none.
      low: rate of the first step, in (0, high).
      high: rate of the last step.
      steps: of one range test, at least 10.
      repeats: range tests, and shares of the batches held out in turn, no more than there are
        batches; at least 1, and with `horizon` at most 5.
      horizon: steps of the training that the rate is for, at least 1; None makes no trainings.
      eval_fn: what held-out batches are judged by: `eval_fn(params, batch)` -> loss, with
        `model_state` `eval_fn(params, model_state, batch)` -> loss; for a loss without dropout or
        augmentation. None is `loss_fn`.
      labels: a tree of labels, a prefix of the parameters or a function of them to one, as for
        `optax.partition`: one search for every label.
      others: label -> rate of a group while another is searched; a group that is left out is held
        still meanwhile.
      seed: of the order of the batches.
      progress: show a bar or lines on standard error when it takes longer than two seconds.

    Returns:
      A `RateTest`; with `labels` a dict from label to `RateTest`.

    Raises:
      TypeError, ValueError: an argument out of range, with its name and what is allowed; a loss
        that is no scalar; parameters that are not floating arrays; batches that are empty, of
        different shapes, or with NaN or infinity; an optimizer with a schedule.

    Source: Smith, Cyclical Learning Rates, arXiv 1506.01186, section 3.3; the exponential sweep is
      Gugger and Howard's (fastai).

    Example::

        >>> import adaptax, jax.numpy as jnp, numpy as np
        >>> draw = np.random.default_rng(0)
        >>> inputs = draw.normal(size=(20, 16, 3)).astype(np.float32)
        >>> batches = [(x, x @ np.float32([1, 2, 3])) for x in inputs]
        >>> loss = lambda params, batch: jnp.mean((batch[0] @ params - batch[1]) ** 2)
        >>> found = adaptax.find_learning_rate(loss, jnp.zeros(3), batches, adaptax.sgd)
        >>> found.verdict, 0.01 < found.recommended < 0.5
        ('found', True)
    """
    setting = _Setting(low, high, steps, repeats, horizon, seed)
    objective = Objective(loss_fn, stateful=model_state is not None, keyed=key is not None)
    trees.check_inexact(params)
    if key is not None:
        engine.check_key("find_learning_rate", key)
    held = supply.read(batches, max(steps, horizon or 0))
    setting.check_shares(held)
    run = _Run(setting, held, params, model_state, key)
    with Meter(progress) as meter:
        if labels is None:
            if others is not None:
                raise ValueError(f"others={others!r}: only with labels, which name the groups")
            return run.find(Plan(objective, optimizer, None, eval_fn), (), meter)
        found = {}
        structure, leaves = _labelled(labels, params)
        rates = _other_rates(others, leaves)
        for label in dict.fromkeys(leaves):
            kept = {name: rate for name, rate in rates.items() if name != label}
            groups = Groups(structure, leaves, (label, *kept))
            plan = Plan(objective, optimizer, groups, eval_fn)
            found[label] = run.find(plan, tuple(kept.values()), meter)
        return found


@dataclasses.dataclass(frozen=True)
class _Setting:
    """The numbers of a search, checked."""

    low: float
    high: float
    steps: int
    repeats: int
    horizon: int | None
    seed: int

    def __post_init__(self) -> None:
        where = "find_learning_rate"
        for name in ("low", "high"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Real):
                raise TypeError(f"{where}({name}={value!r}): a positive number is needed")
            if not 0 < float(value) < math.inf:
                raise ValueError(f"{where}({name}={value!r}): a positive number is needed")
        if not self.low < self.high:
            raise ValueError(f"{where}(low={self.low!r}, high={self.high!r}): low must be below")
        limits = {"steps": (10, None), "repeats": (1, 5 if self.horizon else None)}
        for name, (least, most) in {**limits, "horizon": (1, None), "seed": (0, None)}.items():
            value = getattr(self, name)
            if name == "horizon" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, numbers.Integral):
                raise TypeError(f"{where}({name}={value!r}): a whole number is needed")
            if value < least or (most is not None and value > most):
                top = "" if most is None else f" and at most {most} with horizon"
                raise ValueError(f"{where}({name}={value!r}): at least {least}{top} is needed")

    def check_shares(self, held: Supply) -> None:
        if self.horizon is not None and len(held.batches) < 2:
            raise ValueError(
                f"find_learning_rate(horizon={self.horizon}): one batch is too few to hold some "
                "out; at least 2 are needed, or horizon=None"
            )

    def rates(self) -> np.ndarray:
        powers = np.arange(self.steps) / (self.steps - 1)
        return self.low * (self.high / self.low) ** powers


@dataclasses.dataclass(frozen=True, eq=False)
class _Run:
    """Everything of a search but the plan that is compiled."""

    setting: _Setting
    supply: Supply
    params: Any
    model_state: Any
    key: Any

    def find(self, plan: Plan, others: Sequence[float], meter: Meter) -> RateTest:
        if not callable(plan.optimizer):
            raise TypeError(
                f"find_learning_rate(optimizer={plan.optimizer!r}): a function from a rate to an "
                "optimizer is needed, not an optimizer: adaptax.adamw, or with arguments "
                "functools.partial(adaptax.adamw, weight_decay=0.01)"
            )
        made = engine.program(plan)
        last = max(self.setting.steps, self.setting.horizon or 0) - 1
        engine.check_constant("find_learning_rate", made, self.params, 1 + len(others), last)
        losses = self._sweep(made, others, meter)
        found = judged(self.setting.rates(), losses)
        spent = int(np.isfinite(losses).sum())
        found = dataclasses.replace(found, steps=spent, dropped=self.supply.dropped)
        if self.setting.horizon is None or found.recommended is None:
            return found
        return self._refine(made, others, found, meter)

    def _begin(self, made: engine.Program, rates: Sequence[float], number: int) -> engine.Carry:
        key = None if self.key is None else jax.random.fold_in(self.key, number)
        return engine.begin(made, self.params, self.model_state, key, rates)

    def _sweep(self, made: engine.Program, others: Sequence[float], meter: Meter) -> np.ndarray:
        """The losses of the range tests, float[repeats, steps]."""
        setting = self.setting
        meter.expect("range test", setting.steps * setting.repeats)
        rates = np.empty((setting.repeats, setting.steps, 1 + len(others)))
        rates[..., 0], rates[..., 1:] = setting.rates(), others
        numbers = range(setting.repeats)
        orders = [self.supply.order(setting.steps, setting.seed + number) for number in numbers]
        carries = [self._begin(made, rates[number, 0], number) for number in numbers]
        _, losses = engine.train(
            made, carries, rates, np.stack(orders), self.supply, _has_diverged, meter
        )
        return losses

    def _refine(
        self, made: engine.Program, others: Sequence[float], found: RateTest, meter: Meter
    ) -> RateTest:
        setting, horizon = self.setting, int(self.setting.horizon or 0)
        meter.expect("trainings", EXPECTED * horizon)
        made_steps = 0

        def judge(pairs: Sequence[tuple[int, float]]) -> list[float]:
            nonlocal made_steps
            made_steps += len(pairs) * horizon
            if engine.looped():
                return self._train(made, others, pairs, meter)
            # side by side always as many as the range test had, so that one program serves all
            losses: list[float] = []
            for first in range(0, len(pairs), setting.repeats):
                group = list(pairs[first : first + setting.repeats])
                full = group + group[-1:] * (setting.repeats - len(group))
                losses += self._train(made, others, full, meter)[: len(group)]
            return losses

        shares = min(setting.repeats, len(self.supply.batches))
        best, interval, tried = trials.search(
            judge, float(found.recommended or 0.0), setting.low, setting.high, shares
        )
        found = dataclasses.replace(
            found, horizon=horizon, trials=tried, steps=found.steps + made_steps
        )
        if best is None:
            return dataclasses.replace(
                found,
                recommended=None,
                interval=None,
                verdict=rules.DIVERGES,
                reason=f"every training of {horizon} steps diverged; look for the cause in model "
                "and data, or take a smaller low",
            )
        reason = (
            f"of {len(tried)} rates, each trained for {horizon} steps, none has a clearly lower "
            "loss on batches held out; of a plateau the middle is taken"
        )
        return dataclasses.replace(
            found, recommended=best, interval=interval, verdict=rules.FOUND, reason=reason
        )

    def _train(
        self,
        made: engine.Program,
        others: Sequence[float],
        pairs: Sequence[tuple[int, float]],
        meter: Meter,
    ) -> list[float]:
        """Train every (share, rate) to the horizon; the losses on the share's batches."""
        horizon, count = int(self.setting.horizon or 0), len(self.supply.batches)
        cosine = 0.5 * (1.0 + np.cos(np.pi * np.arange(horizon) / horizon))
        rates = np.empty((len(pairs), horizon, 1 + len(others)))
        rates[..., 1:] = others
        orders, carries, shares = [], [], []
        for row, (share, rate) in enumerate(pairs):
            rates[row, :, 0] = rate * cosine
            out = np.arange(share, count, min(SHARE, max(2, count)))
            kept = np.setdiff1d(np.arange(count), out)
            orders.append(self.supply.order(horizon, self.setting.seed + share, kept))
            carries.append(self._begin(made, rates[row, 0], share))
            shares.append(out)
        last, losses = engine.train(
            made, carries, rates, np.stack(orders), self.supply, _is_not_finite, meter
        )
        results = []
        for carry, out, made_losses in zip(last, shares, losses, strict=True):
            if not np.isfinite(made_losses).all():
                results.append(math.inf)
                continue
            judged_by = [made.judge(carry, self.supply.batches[number]) for number in out]
            results.append(float(np.mean(jax.device_get(judged_by))))
        return [loss if math.isfinite(loss) else math.inf for loss in results]


def _has_diverged(run: int, losses: np.ndarray) -> bool:
    del run
    return rules.diverged_at(losses) is not None


def _is_not_finite(run: int, losses: np.ndarray) -> bool:
    del run
    return not np.isfinite(losses).all()


def _labelled(labels: Any, params: Any) -> tuple[Any, tuple[Hashable, ...]]:
    """The tree of labels as (structure, leaves)."""
    tree = labels(params) if callable(labels) else labels
    try:
        jax.tree.map(lambda label, under: None, tree, params)
    except ValueError as error:
        raise ValueError(
            f"find_learning_rate(labels=...): they are no prefix of the parameters: {error}"
        ) from None
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple(leaves)


def _other_rates(
    others: Mapping[Hashable, float] | None, leaves: tuple[Hashable, ...]
) -> dict[Hashable, float]:
    rates = dict(others or {})
    for label, rate in rates.items():
        if label not in leaves:
            near = registry.nearest(str(label), [str(each) for each in dict.fromkeys(leaves)])
            raise ValueError(f"find_learning_rate(others=...): no group {label!r}; {near}")
        if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not 0 <= rate < math.inf:
            raise ValueError(
                f"find_learning_rate(others={{{label!r}: {rate!r}}}): a rate of at least 0 is "
                "needed"
            )
    return {label: float(rate) for label, rate in rates.items()}
